"""The logs of a project as one: over all its services, their restarts, and after their removal."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.support.ledger_app import call, refusal

from ostler.adapters.config.paths import Paths
from ostler.adapters.process.log_times import MAX_MARKS, LogTimes
from ostler.adapters.process.logfile import tail
from ostler.faces.application import Application
from ostler.faces.assembly import open_application
from ostler.faces.client_facts import client_of
from ostler.faces.mcp.server import build_server
from ostler.faces.project_logs import project_logs
from ostler.faces.ranked_lines import best_lines
from ostler.model.errors import ArgumentError, OperationError
from ostler.rules.secrets.masking import without_likely_secrets
from ostler.rules.text.log_pages import LogPage, LogRange, page_of

FILE = """\
services:
  api:
    class: bare
    args: {script: "echo begin; echo 'error: no route to the database'; echo password=hunter2; sleep 300"}
  web: {class: command, args: {command: "exec <&-; seq 1 300 | sed 's/^/line /'; sleep 300", shell: true}}
"""
ONCE = """\
services:
  once:
    class: job
    args: {{command: "echo said $WORD_PASSWORD", shell: true}}
    env: {{WORD_PASSWORD: {word}}}
"""
BARE = """\
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: bare}
spec:
  args: {script: {required: true}}
  serviceConfig:
    lifecycleTools:
      start: {tool: process/start, args: {key: "{{ name }}", command: /bin/sh, args: [-c, "{{ args.script }}"]}}
      stop: {tool: process/stop, args: {key: "{{ name }}"}}
      status: {tool: process/status, args: {key: "{{ name }}"}, expect: {jsonPath: {state: running}}}
"""
"""A class that says nothing about logs: the process server has those of what it started."""


@asynccontextmanager
async def client_in(folder: Path, app: Application) -> AsyncGenerator[Client]:
    """A client that works in `folder`, as a bridge says."""
    with client_of({"directory": str(folder)}):
        async with Client(build_server(app)) as client:
            yield client


async def until_line(client: Client, text: str, **args: Any) -> dict[str, Any]:
    with anyio.fail_after(60):
        while True:
            page: dict[str, Any] = await call(client, "service_logs", **args)
            if any(text in line for line in page["lines"]):
                return page
            await anyio.sleep(0.02)


@pytest.mark.anyio
@pytest.mark.realtime
async def test_one_cursor_reads_all_logs_of_a_project(state_dir: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    paths = Paths(tmp_path / "config", state_dir)
    paths.serviceclasses_dir.mkdir(parents=True)
    (paths.serviceclasses_dir / "bare.yaml").write_text(BARE)
    async with open_application(paths) as app, client_in(shop, app) as client:
        await app.downstream.wait_until_connected("process", 60)
        text, _ = await refusal(client, "project_up")
        assert "not found: neither it nor a folder above it has an ostler.yaml" in text
        assert "Draft of" not in text, "nothing says what it could have"
        (shop / "Procfile").write_text("web: serve --port $PORT\n")
        text, _ = await refusal(client, "project_up", dryRun=True)
        assert f"Draft of {shop}/ostler.yaml" in text
        assert "\n  web:\n    class: dev-server\n" in text, "which a client without the command line can write"
        (shop / "Procfile").unlink()
        (shop / "ostler.yaml").write_text(FILE)
        text, _ = await refusal(client, "service_logs")
        assert "name is required here" in text
        await call(client, "project_up")
        waited = await call(client, "service_wait", name="web, process", state="running,connected")
        assert [each["name"] for each in waited["services"]] == ["web.shop", "process"]
        await until_line(client, "web | line 300", lines=30)
        page = await until_line(client, "api | password", lines=30)
        assert page["name"] == "project shop"
        assert page["truncated"]
        assert page["lines"] == [
            *("api | begin", "api | error: no route to the database", "api | password=***"),
            *(f"web | line {number}" for number in range(274, 301)),
        ]
        assert page == await call(client, "service_logs", name="shop", lines=30), "by the id of the project"
        errors = await call(client, "service_logs", errorsOnly=True)
        assert errors["lines"] == ["api | error: no route to the database"]
        assert (await call(client, "service_logs", since="1h", lines=30))["lines"] == page["lines"]
        found = await call(client, "service_logs", search="data routes 299", ranked=True, lines=2)
        assert found["lines"] == ["web | line 299", "api | error: no route to the database"]
        text, _ = await refusal(client, "service_logs", ranked=True)
        assert "'ranked' needs words in 'search'" in text
        assert "got 3 bytes" in (await call(client, "service_input", name="api", text="hi"))["message"]
        text, _ = await refusal(client, "service_input", name="web", text="hi")
        assert "has closed its input" in text
        assert "(step 'sendInput', tool 'process/input'). Next: " in text, "the tool's next steps are the error's"
        for cursor in ("12", "0"):
            text, _ = await refusal(client, "service_logs", name="web", cursor=cursor)
            assert f"{cursor!r} is not a cursor of a log" in text
        nothing = await call(client, "service_logs", cursor=page["cursor"])
        assert (nothing["lines"], nothing["truncated"]) == ([], False)

        await call(client, "service_restart", name="api")
        new = await until_line(client, "api | password", cursor=page["cursor"])
        assert new["lines"] == ["api | begin", "api | error: no route to the database", "api | password=***"]
        for cursor in ("of:", "of:[]", 'of:{"a":1}', "at:3"):
            assert (
                "is not a cursor of the logs of a project" in (await refusal(client, "service_logs", cursor=cursor))[0]
            )

        assert "has no logs" in (await refusal(client, "service_logs", name="process"))[0]
        paths.server_log.write_text("INFO something was done\n")
        assert (await call(client, "service_logs", name="process"))["lines"] == ["INFO something was done"]
        await call(client, "project_down")

    async with open_application(paths) as app, client_in(shop, app) as client:
        await app.downstream.wait_until_connected("process", 60)
        for name in ("api.shop", "api"):
            left = await call(client, "service_logs", name=name)
            assert left["lines"] == ["begin", "error: no route to the database", "password=***"]
            assert left["source"] == "process/logs; service 'api.shop' was removed"
        assert "'nothing.shop' not found" in (await refusal(client, "service_logs", name="nothing"))[0]


@pytest.mark.anyio
@pytest.mark.realtime
async def test_the_log_of_a_service_that_exists_is_never_read_as_that_of_a_removed_one(
    state_dir: Path, tmp_path: Path
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    paths = Paths(tmp_path / "config", state_dir)
    async with open_application(paths) as app, client_in(shop, app) as client:
        await app.downstream.wait_until_connected("process", 60)
        for word in ("correcthorse", "batterystaple"):  # the second time a removed one has the name, and other secrets
            (shop / "ostler.yaml").write_text(ONCE.format(word=word))
            await call(client, "project_up", services=["once"])
            assert (await call(client, "service_logs", name="once"))["lines"] == ["said ***"]
            async with client_in(tmp_path, app) as elsewhere:
                text, _ = await refusal(elsewhere, "service_logs", name="once")
                assert "'once' not found; did you mean 'once.shop'?" in text
            await call(client, "project_down")
        async with client_in(tmp_path, app) as elsewhere:
            left = await call(elsewhere, "service_logs", name="once")
            assert left["lines"] == ["said ***"], "its secrets are still known"


@pytest.mark.anyio
async def test_what_one_service_does_not_need_goes_to_the_others() -> None:
    logs = {"a": [f"a{number}" for number in range(2)], "b": [f"b{number}" for number in range(50)]}
    logs["c"] = [f"c{number}" for number in range(50)]

    async def read(name: str, wanted: LogRange) -> LogPage:
        if name == "broken":
            raise OperationError("there is none")
        return page_of(logs[name], wanted, source=name)

    names = {name: name.upper() for name in ("b", "a", "broken", "c")}
    page = await project_logs(read, names, LogRange(12))
    assert [line.split(" | ")[1] for line in page.lines] == [
        *("b45", "b46", "b47", "b48", "b49"), "a0", "a1", *("c45", "c46", "c47", "c48", "c49"),
    ]  # fmt: skip
    assert page.truncated
    assert page.source == "b, a, c (BROKEN has none to show: there is none)"
    logs["a"] += [f"a{number}" for number in range(2, 20)]
    seen: list[str] = []
    while True:
        page = await project_logs(read, names, LogRange(12, page.cursor))
        seen += page.lines
        if not page.truncated:
            break
    assert seen == [f"A | a{number}" for number in range(2, 20)], "each new line once, and in its order"
    with pytest.raises(ArgumentError, match="is not a regular expression"):
        await project_logs(read, {"a": "A"}, LogRange(search="("))


def test_the_best_lines_have_the_rarest_words() -> None:
    lines = ["GET /", "GET /cart", "timeout of redis", "redis is up", "GET /", "redis: GET"]
    assert best_lines(lines, "redis timeout", 2) == ["timeout of redis", "redis: GET"]
    assert best_lines(lines, '"car" OR (', 5) == ["GET /cart"]
    with pytest.raises(ArgumentError, match="needs a word"):
        best_lines(lines, "!?", 5)


def test_lines_of_a_time_are_found_by_what_the_log_had_then(tmp_path: Path) -> None:
    times = LogTimes()
    assert times.offset_at(time.time()) == 0
    for second in range(1000):
        times.note(float(second), second * 10)
        times.note(second + 0.5, second * 10)
    assert times.offset_at(-1.0) == 0
    assert times.offset_at(999.2) == 9990
    assert all(times.offset_at(float(second)) <= second * 10 for second in range(1000)), "never too few lines"
    assert f"{times}" < f"LogTimes({MAX_MARKS + 1}"
    log = tmp_path / "log"
    log.write_text("one\ntwo\nthree\nfour\n")
    assert tail(log, base=0, lines=10, begin=8).lines == ["three", "four"]
    assert tail(log, base=0, lines=10, begin=9).lines == ["four"], "half a line is none"
    assert tail(log, base=100, lines=10, begin=50).truncated
    assert tail(log, base=0, lines=10, begin=19).lines == []


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("postgresql://ann:pa55@host/db is up", "postgresql://ann:***@host/db is up"),
        ("API_KEY=abc123 DEBUG=1", "API_KEY=*** DEBUG=1"),
        ('{"password": "a b", "user": "ann"}', '{"password": ***, "user": "ann"}'),
        ("http://localhost:8080/a?token=xyz&b=1", "http://localhost:8080/a?token=***&b=1"),
        ("token refreshed, passwords: none here", "token refreshed, passwords: none here"),
        ("SESSION_KEY=abcdef01 PORT=80", "SESSION_KEY=*** PORT=80"),
        ("STRIPE_KEY='a b' and KEY_FILE=/run/key", "STRIPE_KEY=*** and KEY_FILE=/run/key"),
        ('{"jwt": "abc", "keys": 3}', '{"jwt": "***", "keys": 3}'),
        ("charged by sk_live_51Habcdefghijklmnop now", "charged by *** now"),
        ("MY_KEY='of sk_live_51Habcdefghijklmnop of 1'", "MY_KEY=***"),
        ("JWT=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0.dozjgNryP4J3jV", "JWT=***"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(line: str, shown: str) -> None:
    assert without_likely_secrets(line) == shown
