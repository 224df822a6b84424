"""The process server's logs: bounded answers, offsets that go on over rotations, patterns, earlier runs."""

import json
import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from tests.adapters.test_process_adoption import start_and_kill_the_server
from tests.support.processes import (
    SLEEP,
    ProcessClient,
    process_server,
    start_arguments,
)
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)
from tests.support.small_disk import fill, small_disk

from ostler.adapters.process.contract import MIB
from ostler.adapters.process.logfile import MAX_TAIL_BYTES, rotate, tail, unread
from ostler.adapters.process.probes import SCAN_BYTES, SCANS_PER_LOOK, LogScanner
from ostler.rules.text.patterns import line_filter

pytestmark = [pytest.mark.anyio, pytest.mark.realtime, pytest.mark.usefixtures("nothing_left")]


async def run_to_its_end(server: ProcessClient, key: str, script: str) -> None:
    await server.start(key, script)
    await server.until(key, lambda answer: answer["state"] == "exited")


async def test_the_end_of_the_log_is_shown_also_after_the_exit(state_dir: Path) -> None:
    script = (
        "import sys\nprint('x' * 60 + '!1')\nfor i in range(500): print('line', i)\n"
        "sys.stderr.write('and an error without an end')"
    )
    async with process_server(state_dir / "p") as server:
        await run_to_its_end(server, "job", script)
        answer = await server.call("logs", key="job")
        assert len(answer["lines"]) == 100
        assert answer["lines"][-2:] == ["line 499", "and an error without an end"]
        assert answer["truncated"] is True
        few = await server.call("logs", key="job", lines=3, grep="line .7$")
        assert few["lines"] == ["line 77", "line 87", "line 97"]
        assert (await server.call("logs", key="job", lines=2000))["truncated"] is False
        assert "grep: '[' is not a regular expression" in await server.fail("logs", key="job", grep="[")
        assert "took longer" in await server.fail("logs", key="job", grep="(x|xx|x)+[0-9]")


async def test_reading_on_gives_every_line_once(state_dir: Path) -> None:
    script = "import time\nfor i in range(30): print('line', i, flush=True); time.sleep(0.01)\nprint('end', end='')"
    async with process_server(state_dir / "p") as server:
        await server.start("job", script)
        lines: list[str] = []
        since = 0
        with anyio.fail_after(60):
            while "end" not in lines:
                answer = await server.call("logs", key="job", since=since, lines=7)
                assert len(answer["lines"]) <= 7
                lines += answer["lines"]
                since = answer["nextOffset"]
        assert lines == [*(f"line {i}" for i in range(30)), "end"]
        beyond = await server.call("logs", key="job", since=10**9)
        assert beyond["lines"] == []
        await server.until("job", lambda answer: answer["state"] == "exited")


@pytest.mark.parametrize("since", [None, 0])
async def test_no_answer_is_larger_than_64_kib(state_dir: Path, since: int | None) -> None:
    script = (
        "import sys\nfor i in range(300): print(chr(34) * 3000 + 'ä' * 3000)\n"
        "sys.stdout.buffer.write(bytes(range(256)) * 1000)\nprint('x' * 2_000_000)"
    )
    async with process_server(state_dir / "p") as server:
        await run_to_its_end(server, "job", script)
        result = await server.client.call_tool("logs", {"key": "job", "lines": 2000, "since": since})
        assert len(json.dumps(result.structured_content, ensure_ascii=False).encode()) <= 32 * 1024
        assert len(result.model_dump_json().encode()) <= 64 * 1024
        assert result.structured_content["lines"]
        assert result.structured_content["truncated"] is True


async def test_lines_are_for_reading(state_dir: Path) -> None:
    script = r"print('\x1b[31mred\x1b[0m \x1b]0;title\x07done'); print('10%\r55%\r100%'); print('bell\x07 tab\t.')"
    async with process_server(state_dir / "p") as server:
        await run_to_its_end(server, "job", script)
        assert (await server.call("logs", key="job"))["lines"] == ["red done", "100%", "bell tab\t."]


async def test_a_large_log_is_rotated_and_reading_goes_on(state_dir: Path) -> None:
    script = (
        "import time\ni = 0\nwhile True:\n  print('%06d' % i, 'x' * 93)\n  i += 1\n  if i % 100 == 0: time.sleep(0.005)"
    )
    async with process_server(state_dir / "p") as server:
        started = await server.start("job", script, logMaxBytes=64 * 1024, ready={"log": "^000010"})
        log = Path(started["logFile"])
        previous = log.with_name(log.name + ".1")
        with anyio.fail_after(60):
            while not previous.exists() or (await server.call("logs", key="job", lines=1))["nextOffset"] < 400_000:
                await anyio.sleep(0.02)
        assert previous.stat().st_size < 2 * 1024 * 1024
        answer = await server.call("logs", key="job", lines=5)
        numbers = [int(line[:6]) for line in answer["lines"]]
        assert numbers == list(range(numbers[0], numbers[0] + 5))
        with anyio.fail_after(60):
            then = answer
            while then["nextOffset"] == answer["nextOffset"] or not then["lines"]:
                then = await server.call("logs", key="job", since=answer["nextOffset"], lines=5)
        assert then["nextOffset"] > answer["nextOffset"]
        assert int(then["lines"][-1][:6]) > numbers[-1]
        lost = await server.call("logs", key="job", since=0, lines=1)
        assert lost["truncated"] is True
        earlier = await server.call("logs", key="job", previous=True, lines=1)
        now = await server.call("logs", key="job", lines=1)
        assert 0 < int(earlier["lines"][0][:6]) < int(now["lines"][0][:6])
        # its line is long gone, but it was seen in this run
        assert (await server.call("status", key="job", ready={"log": "^000010"}))["ready"] is True
        assert (await server.call("stop", key="job"))["signal"] == "SIGTERM"
        size = log.stat().st_size
    async with process_server(state_dir / "p") as server:
        after = await server.call("logs", key="job", lines=1)
        assert after["nextOffset"] > 400_000 > size or after["nextOffset"] > size
    assert not list((state_dir / "p").rglob("*.tmp"))


async def test_a_new_run_has_a_new_log_and_the_last_one_is_kept(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        await run_to_its_end(server, "job", "print('first')")
        await run_to_its_end(server, "job", "print('second')")
        assert (await server.call("logs", key="job"))["lines"] == ["second"]
        assert (await server.call("logs", key="job", previous=True))["lines"] == ["first"]
        # the pattern of readiness must be in this run's output
        arguments: dict[str, Any] = {"ready": {"log": "second", "timeout": "300ms"}}
        assert "was not ready" in await server.fail("start", **start_arguments("job", SLEEP, **arguments))


def test_a_rotation_copies_no_more_than_there_was_and_cuts_where_there_is_no_room(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_bytes(b"old" * 100 + b"new" * 100)

    cut: list[int] = []

    def write_more(removed: int) -> None:
        cut.append(removed)
        if len(cut) == 1:
            with log.open("ab") as writer:
                writer.write(b"late")

    assert rotate(log, 300, write_more)
    assert cut == [600, 4], "offsets count what was added meanwhile"
    assert log.read_bytes() == b""
    assert (tmp_path / "job.log.1").read_bytes() == b"new" * 100
    log.write_bytes(b"x" * 600)
    (tmp_path / "job.log.tmp").mkdir()  # no copy can be made there, as on a full disk
    assert rotate(log, 300, lambda removed: None)
    assert log.read_bytes() == b""


def test_a_line_that_is_longer_than_all_that_is_read_is_shown_by_its_end(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_bytes(b"x" * (MAX_TAIL_BYTES + 1) + b" the last words\n")
    [line] = tail(log, base=0, lines=10).lines
    assert line.startswith("…x")
    assert line.endswith("x the last words")


def log_sizes(root: Path) -> list[int]:
    sizes: list[int] = []
    for path in (root / "logs").iterdir():
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sizes


@pytest.mark.parametrize("end", ["", "\\n"])
async def test_what_a_loud_program_leaves_is_small_and_ends_with_its_last_words(state_dir: Path, end: str) -> None:
    limit = 256 * 1024
    script = (
        f"import os\nfor _ in range(100): os.write(1, (b'x' * 1023 + b'{end}') * 1024)\n"
        "os.write(1, b' the last words'); raise SystemExit(3)"
    )
    async with process_server(state_dir / "p") as server:
        await server.start("job", script, logMaxBytes=limit)
        await server.until("job", lambda answer: answer["state"] == "exited")
        assert sum(log_sizes(state_dir / "p")) <= 2 * limit
        answer = await server.call("logs", key="job", lines=3)
        assert answer["lines"][-1].endswith(" the last words")
        assert answer["nextOffset"] == 100 * (1023 + bool(end)) * 1024 + len(" the last words")


async def test_logs_stay_within_their_limit_while_no_server_looks(state_dir: Path) -> None:
    limit = 64 * 1024
    root = state_dir / "p"
    script = "import os\nwhile True: os.write(1, b'yes yes\\n' * 8192)"
    [started] = start_and_kill_the_server(root, start_arguments("yes", script, logMaxBytes=limit))
    log = Path(started["logFile"])
    begun, before, most = 0, 0, 0
    with anyio.fail_after(60):
        while begun < 50:
            most = max(most, *log_sizes(root))
            number = log.stat().st_ino
            begun, before = begun + (number != before), number
            await anyio.sleep(0)
    assert most <= limit
    async with process_server(root) as server:
        assert set((await server.call("logs", key="yes", lines=2000))["lines"]) == {"yes yes"}
        await server.call("stop", key="yes")


async def test_no_line_is_lost_where_a_log_begins_again(state_dir: Path) -> None:
    lines = [f"{number:04} {'x' * 60}" for number in range(1500)]
    script = f"print('up', flush=True)\nfor n in range(1500): print('%04d' % n, {'x' * 60!r})\nraise SystemExit(3)"
    async with process_server(state_dir / "p") as server:
        started = await server.start("job", script, logMaxBytes=64 * 1024)
        await server.until("job", lambda answer: answer["state"] == "exited")
        assert Path(started["logFile"]).stat().st_size < 64 * 1024, "there are two parts"
        read: list[str] = []
        since = 0
        while found := (await server.call("logs", key="job", since=since, lines=400)):
            since = found["nextOffset"]
            read += found["lines"]
            if not found["lines"]:
                break
        assert read == ["up", *lines]
        assert (await server.call("logs", key="job", lines=1, grep="^0001"))["lines"] == lines[1:2]


async def test_a_pattern_is_found_in_the_older_part_of_a_log_and_behind_much_else(state_dir: Path) -> None:
    script = "print('early')\nfor _ in range(900): print('x' * 99)\nprint('late', flush=True); " + SLEEP
    async with process_server(state_dir / "p") as server:
        log = Path((await server.start("job", script, logMaxBytes=64 * 1024))["logFile"])
        await server.until_logged("job", "late")
        assert "early" not in log.read_text()
        assert (await server.call("status", key="job", ready={"log": "^early$"}))["ready"] is True
        await server.call("stop", key="job")
        pieces = SCAN_BYTES // 4096 * (SCANS_PER_LOOK + 1)
        behind = f"print(('x' * 4095 + chr(10)) * {pieces})\nprint('late', flush=True); {SLEEP}"
        await server.start("job", behind, logMaxBytes=64 * MIB)
        await server.until_logged("job", "late")
        looks = [(await server.call("status", key="job", ready={"log": "^late$"}))["ready"] for _ in range(2)]
        assert looks == [False, True], "the second look reads on"
        await server.call("stop", key="job")


async def test_on_a_full_disk_logs_of_ended_programs_give_way_and_how_they_ended_stays(state_dir: Path) -> None:
    script = "print('x' * 200_000); raise SystemExit(3)"
    with small_disk(state_dir, "8m") as disk:
        async with process_server(disk / "p") as server:
            await run_to_its_end(server, "old", script)
            await run_to_its_end(server, "new", script)
            assert (await server.call("logs", key="old"))["lines"]
            fill(disk)
            with anyio.fail_after(60):
                while (answer := await server.call("logs", key="old"))["lines"]:
                    await anyio.sleep(0.02)
            assert answer["nextOffset"] == 200_001, "cursors stay what they are"
            assert (await server.call("status", key="old"))["exitCode"] == 3
            assert (await server.call("logs", key="new"))["lines"], "the newest is what a person looks for"


@pytest.mark.parametrize("key", ["log", "failLog"])
async def test_a_pattern_that_takes_long_in_each_of_many_lines_is_given_up(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr("ostler.adapters.process.probes.SCAN_SECONDS", 0.05)
    monkeypatch.setattr("ostler.adapters.process.log_watch.WATCH_SECONDS", 0.05)
    async with process_server(state_dir / "p") as server:
        await server.start("job", f"print(('a' * 22 + '!\\n') * 2000, 'end', flush=True); {SLEEP}")
        await server.until_logged("job", "end")
        text = await server.fail("status", key="job", ready={key: "(a|aa)+$"})
        assert "took longer than all searches may together" in text
        await server.call("stop", key="job")


async def test_a_full_disk_stops_no_program_and_how_it_ended_is_known(state_dir: Path) -> None:
    script = "import os\nfor _ in range(100): os.write(1, bytes(65536))\nos._exit(3)"
    with small_disk(state_dir, "2m") as disk:
        async with process_server(disk / "p") as server:
            await server.start("loud", script, logMaxBytes=64 << 20)
            ended = await server.until("loud", lambda answer: answer["state"] == "exited")
            assert ended["exitCode"] == 3
            kept = Path(ended["logFile"]).stat().st_size
            assert kept + ended["lostBytes"] == 100 * 65536
            assert f"free some room on the disk of {disk / 'p' / 'logs'}" in ended["warning"]


async def test_what_a_full_disk_lost_is_known_after_its_keeper_was_killed_and_not_in_the_next_run(
    state_dir: Path,
) -> None:
    script = "import os, time\nwhile True: os.write(1, bytes(65536)); time.sleep(0.01)"
    with small_disk(state_dir, "2m") as disk:
        async with process_server(disk / "p") as server:
            started = await server.start("loud", script, logMaxBytes=64 << 20)
            lost = await server.until("loud", lambda answer: answer.get("lostBytes", 0) > 400_000)
            keeper = psutil.Process(started["pid"]).parent()
            assert keeper is not None
            keeper.kill()
            until_then = (await server.call("status", key="loud"))["lostBytes"]
            more = await server.until("loud", lambda answer: answer["lostBytes"] > until_then + 400_000)
            assert more["warning"] == lost["warning"]
            await server.call("stop", key="loud")
            await server.start("loud", SLEEP)
            assert "lostBytes" not in await server.call("status", key="loud")
            await server.call("stop", key="loud")


async def test_a_log_is_kept_small_while_the_end_of_its_program_is_waited_for(state_dir: Path) -> None:
    script = (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\n"
        "while True: os.write(1, b'x' * 65536 * 8); time.sleep(0.005)"
    )
    cuts = 0
    async with process_server(state_dir / "p") as server, anyio.create_task_group() as group:
        started = await server.start("job", script, logMaxBytes=64 * 1024)
        with anyio.fail_after(60):
            while sum(log_sizes(state_dir / "p")) < 64 * 1024:  # it is deaf before it says so much
                await anyio.sleep(0.02)

        async def kill_after_cuts() -> None:
            nonlocal cuts
            before = 0
            while cuts < 2:
                size = Path(started["logFile"]).stat().st_size
                cuts += size < before
                before = size
                await anyio.sleep(0.02)
            os.kill(started["pid"], signal.SIGKILL)

        group.start_soon(kill_after_cuts)
        assert (await server.call("stop", key="job", timeout="60s"))["signal"] == "SIGKILL"
    assert cuts == 2, "it did not end before"


def say(log_file: str, line: str, *, seconds_ago: float = 0.0) -> None:
    """Append a line as the program would."""
    with Path(log_file).open("a") as log:
        log.write(f"{line}\n")
    at = time.time() - seconds_ago
    os.utime(log_file, (at, at))


async def test_a_log_line_that_reports_trouble_counts_until_one_clears_it_or_its_time_is_over(state_dir: Path) -> None:
    async def looks(server: ProcessClient, **ready: object) -> tuple[bool, str]:
        answer = await server.call("status", key="web", ready=ready)
        return answer["ready"], answer["detail"]

    cleared = {"failLog": "Failed to (compile)", "log": "Compiled"}
    timed = {"failLog": "^ERROR", "failLogFor": "1h"}
    async with process_server(state_dir / "p") as server:
        log_file = (await server.start("web", SLEEP))["logFile"]
        await server.until_logged("web", "up")  # else that line may come after the times below
        say(log_file, "Compiled")
        say(log_file, "ERROR 1", seconds_ago=4000)
        assert (await looks(server, **cleared))[0]
        assert (await looks(server, **timed))[0]
        say(log_file, "Failed to compile", seconds_ago=90)
        say(log_file, "ERROR 2", seconds_ago=1800)
        is_ready, detail = await looks(server, **cleared)
        assert not is_ready
        said = r"the log said 'Failed to compile' 18\d\d s ago, and no later line matches 'Compiled'"
        assert re.fullmatch(said, detail)
        is_ready, detail = await looks(server, **timed)
        assert not is_ready
        assert re.search(r"'ERROR 2' 18\d\d s ago, which counts for 1h", detail)
    async with process_server(state_dir / "p") as server:  # what was found outlives the server
        assert not (await looks(server, **cleared))[0]
        say(log_file, "Compiled again")
        assert (await looks(server, **cleared))[0]
        assert not (await looks(server, **timed))[0]
        assert (await looks(server, failLog="^ERROR", failLogFor="10s"))[0]
        assert "give 'failLog' too" in await server.fail("status", key="web", ready={"failLogFor": "1s"})
        await server.call("stop", key="web")


def test_what_is_unread_is_found_over_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"first\nsecond\n")
    _, position, _ = unread(log, base=0, since=0)
    with log.open("ab") as file:
        file.write(b"third\nfour")
    cut: list[int] = []
    rotate(log, 12, cut.append)
    with log.open("ab") as file:
        file.write(b"th\nfif")
    data, position, _ = unread(log, base=cut[0], since=position)
    assert data == b"third\nfourth\n"
    with log.open("ab") as file:
        file.write(b"th\n")
    assert unread(log, base=cut[0], since=position)[0] == b"fifth\n"


def test_a_log_is_read_again_only_where_something_was_written(tmp_path: Path) -> None:
    log = tmp_path / "a.log"

    def looks(scanner: LogScanner) -> tuple[bool, bool, bool]:
        """Return whether the log had no news, whether the line was found, and whether it has no news then."""
        return scanner.has_no_news(), scanner.look(), scanner.has_no_news()

    waiting = LogScanner(log, "ready (?P<how>.+)", line_filter("ready (?P<how>.+)", "ready.log"))
    assert looks(waiting) == (False, False, False), "there is no log yet"
    log.write_bytes(b"x" * (SCAN_BYTES * SCANS_PER_LOOK + 1) + b"\n")
    assert looks(waiting) == (False, False, False), "there is more than one look reads"
    assert looks(waiting) == (False, False, True)
    with log.open("a") as file:
        file.write("ready at l")
    assert looks(waiting) == (False, False, True), "half a line"
    with log.open("a") as file:
        file.write("ast\n")
    assert looks(waiting) == (False, True, False)
    assert waiting.matched == {"how": "at last"}

    other = LogScanner(log, "ready", line_filter("ready", "ready.log"))
    log.write_text("begins\n")
    assert looks(other) == (False, False, True)
    (tmp_path / "b.log").write_text("ready!\n")
    (tmp_path / "b.log").rename(log)
    assert looks(other) == (False, True, False), "another file of the same length"
