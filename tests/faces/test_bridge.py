"""The bridge and the background server as real processes: start, share, die, come back, make room."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes.bridge_client import MODERN_META, BridgeClient, clean_place, eventually, scripted, servers_of
from tests.support.small_disk import fill, small_disk

from ostler.faces.bridge.dialer import Dialer, OstlerUnavailableError
from ostler.faces.bridge.holder import read_holder
from ostler.faces.bridge.place import ServerPlace

pytestmark = pytest.mark.realtime


def bridge(place: ServerPlace, *options: str, forked: bool = True) -> BridgeClient:
    return BridgeClient(scripted("bridge", place, *options, forked=forked))


def test_one_server_for_all_clients_and_it_outlives_them(place: ServerPlace) -> None:
    with bridge(place) as first, bridge(place) as second:
        assert first.initialize()["serverInfo"]["name"] == "scripted"
        pid = first.call("pid")
        assert second.call("pid", modern=True) == pid
        assert first.close() == 0
        assert second.call("pid", modern=True) == pid
        assert second.close() == 0
    # of two bridges that found no server both may have started one; the later ends when it finds the folder taken
    eventually(lambda: servers_of(place) == [int(pid)], "one server is left")


@pytest.mark.parametrize("_round", range(2))
def test_bridges_started_at_the_same_instant_share_one_server(place: ServerPlace, _round: int) -> None:
    bridges = [bridge(place) for _ in range(3)]
    try:
        pids = {client.call("pid", modern=True) for client in bridges}
        assert len(pids) == 1
        eventually(lambda: servers_of(place) == [int(pid) for pid in pids], "the servers that lost have ended")
    finally:
        for client in bridges:
            client.__exit__(None, None, None)


def test_killed_server_is_started_again_and_every_call_under_way_is_answered(place: ServerPlace) -> None:
    with bridge(place) as first, bridge(place) as second, bridge(place) as third:
        first.initialize()
        second.initialize()
        assert "result" in first.ask("resources/subscribe", {"uri": "service://web"})
        pid = int(first.call("pid"))
        assert int(third.call("pid", modern=True)) == pid
        hanging = [
            (first, first.send_call("hang")),
            (first, first.send_call("hang")),
            (second, second.send_call("hang")),
        ]
        hanging.append((third, third.send_call("hang", modern=True)))
        for client in (first, second):
            client.call("pid")  # what was sent before has arrived
        third.call("pid", modern=True)

        os.kill(pid, signal.SIGKILL)

        for client, key in hanging:
            error = client.answer(key)["error"]
            assert error["code"] == -32000
            assert "the Ostler server ended while this call was under way" in error["message"]
            assert f"pid {pid}" in error["message"]
            assert "service_status" in error["message"]
        # No client has to do anything: its handshake and subscriptions are on the new server already.
        pids = {first.call("pid"), second.call("pid"), third.call("pid", modern=True)}
        assert len(pids) == 1
        assert pids != {str(pid)}
        assert first.wait_for_notification("notifications/resources/updated")["params"] == {"uri": "service://web"}
        assert "starting it again" in first.notes()
    logged = place.log_file.read_text()
    assert logged.count("subscribed service://web") == 2
    assert re.findall(rf"the server before this one \(pid {pid}, .*\) ended before a shutdown was over", logged)


def test_the_client_sees_no_answer_to_the_repeated_handshake(place: ServerPlace) -> None:
    with bridge(place, forked=False) as client:
        client.initialize()
        crashed = client.send_call("crash")
        assert "was killed by SIGKILL" in client.answer(crashed)["error"]["message"]
        client.call("pid")
        assert client.answers == {}


def test_a_client_that_gives_up_on_discover_may_still_do_the_handshake_on_the_same_connection(
    place: ServerPlace,
) -> None:
    """Copilot CLI 1.0 sends both when the answer to `server/discover` takes it too long."""
    with bridge(place) as client:
        discovering = client.send("server/discover", {"_meta": MODERN_META})
        initialized = client.initialize()
        assert initialized["serverInfo"]["name"] == "scripted"
        assert "2026-07-28" in client.answer(discovering)["result"]["supportedVersions"]
        pid = client.call("pid")
        assert client.call("pid", modern=True) == pid
        assert "result" in client.ask("resources/subscribe", {"uri": "service://web"})

        os.kill(int(pid), signal.SIGKILL)

        assert client.wait_for_notification("notifications/resources/updated")["params"] == {"uri": "service://web"}
        assert client.call("pid") != pid


def test_after_stop_server_the_next_request_starts_a_new_one(place: ServerPlace) -> None:
    with bridge(place) as client, bridge(place) as modern:
        client.initialize()
        pid = int(client.call("pid"))
        hanging = client.send_call("hang")
        stream = modern.send("subscriptions/listen", {"notifications": {}, "_meta": MODERN_META})
        modern.wait_for_notification("notifications/subscriptions/acknowledged")
        Dialer(place, kind="cli", note=print).request("stop")
        assert "was stopped" in client.answer(hanging)["error"]["message"]
        ended = {"resultType": "complete", "_meta": {"io.modelcontextprotocol/subscriptionId": stream}}
        assert modern.answer(stream)["result"] == ended
        eventually(lambda: servers_of(place) == [], "the server has ended")
        assert read_holder(place) is None
        assert int(client.call("pid")) != pid


def test_a_newer_bridge_takes_over_and_an_older_one_joins(place: ServerPlace) -> None:
    with bridge(place, "--version", "1.0.0rc1") as older:
        assert older.initialize()["serverInfo"]["version"] == "1.0.0rc1"
        pid = older.call("pid")
        with bridge(place, "--version", "1.0.0") as newer:
            assert newer.initialize()["serverInfo"]["version"] == "1.0.0"
            assert newer.call("pid") != pid
            assert older.call("pid") == newer.call("pid")
        with bridge(place, "--version", "0.9") as oldest:
            assert oldest.initialize()["serverInfo"]["version"] == "1.0.0"
        assert "handed over to a newer version" in older.notes()


def test_large_messages_in_small_pieces(place: ServerPlace) -> None:
    text = "x" * 10_000_000
    params = {"name": "echo", "arguments": {"text": text}}
    with bridge(place) as client:
        client.initialize()
        line = json.dumps({"jsonrpc": "2.0", "id": 99, "method": "tools/call", "params": params}).encode() + b"\n"
        for start in range(0, len(line), 3_333_333):
            client.write(line[start : start + 3_333_333])
        assert client.answer(99)["result"]["content"][0]["text"] == text
        assert client.call("echo", text="small") == "small"


def test_signal_ends_the_bridge_and_nothing_else(place: ServerPlace) -> None:
    with bridge(place) as client:
        client.initialize()
        pid = int(client.call("pid"))
        client.process.send_signal(signal.SIGTERM)
        assert client.process.wait(40) == 0
        assert "Traceback" not in client.notes()
    assert servers_of(place) == [pid]


def test_a_shell_pipe_gets_its_answer(place: ServerPlace) -> None:
    line = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    line += b'"clientInfo":{"name":"sh","version":"1"}}}'  # and no newline
    done = subprocess.run(scripted("bridge", place), input=line, capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["result"]["serverInfo"]["name"] == "scripted"


def test_a_server_that_cannot_start_is_explained(place: ServerPlace) -> None:
    with bridge(place, "--fail", "the database is damaged") as client:
        error = client.ask("tools/list")["error"]["message"]
        assert "did not start" in error
        assert "the database is damaged" in error
        assert str(place.log_file) in error


def test_a_server_that_cannot_write_why_it_does_not_start_is_explained(tmp_path: Path) -> None:
    with small_disk(tmp_path, "256k") as disk, clean_place(disk / "state") as place:
        place.paths.create_state()
        place.log_file.parent.mkdir(exist_ok=True)
        fill(disk)
        command = [sys.executable, "-c", "raise SystemExit(1)"]
        with pytest.raises(OstlerUnavailableError, match="because the disk is full. Next: free space there"):
            Dialer(place, kind="cli", note=print, command=command).connect()


def test_loopback_transport_works_and_refuses_strangers(place: ServerPlace) -> None:
    loopback = {"OSTLER_TRANSPORT": "loopback"}
    with BridgeClient(scripted("bridge", place), env=loopback) as client:
        client.initialize()
        assert client.call("echo", text="over TCP") == "over TCP"
        endpoint = place.read_endpoint()
        assert endpoint is not None
        assert place.endpoint_file.stat().st_mode & 0o777 == 0o600
        assert not place.socket_file.exists()
        connection, _ = place.dial()
        with connection, connection.makefile("rb") as answers:
            connection.sendall(b'{"ostler":"hello","nonce":"n","proof":"guess"}\n')
            assert b"was not proven" in answers.readline()


def test_plain_serve_imports_nothing_heavy_and_starts_fast(place: ServerPlace) -> None:
    with bridge(place) as client:
        client.initialize()
        probe = (
            "import atexit, sys\n"
            "atexit.register(lambda: print(*sorted(sys.modules), sep='\\n', file=sys.stderr))\n"
            "from ostler.faces.entry import main\n"
            f"main(['serve', '--state', {place.state_dir!r}, '--config', {place.config_dir!r}])"
        )
        done = subprocess.run([sys.executable, "-c", probe], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.returncode == 0
    modules = {name.partition(".")[0] for name in done.stderr.decode().split()}
    assert "ostler" in modules
    heavy = {"mcp", "mcp_types", "pydantic", "anyio", "typer", "rich", "asyncio", "platformdirs", "subprocess", "ssl"}
    assert not modules & heavy
