"""What is left when servers end, in order or by `kill -9`, at any instant: persisted services, and nothing else.

`python -m benchmarks crash` goes on for longer.
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from processes.bridge_client import BridgeClient, clean_place, eventually, servers_of
from tests.support.chaos import Chaos
from tests.support.kills import GOALS, Forker, Killer

from ostler.faces.bridge.place import ServerPlace

pytestmark = pytest.mark.realtime


@pytest.fixture(scope="module")
def forker() -> Iterator[Forker]:
    with Forker() as forker:
        yield forker


@pytest.fixture
def killer(state_dir: Path, forker: Forker) -> Iterator[Killer]:
    killer = Killer(state_dir, 1, forker)
    with killer.running():
        killer.start()
        yield killer


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "stop", "handover"])
def test_a_server_that_ends_in_order_leaves_persisted_services_and_nothing_else(killer: Killer, how: str) -> None:
    kept = killer.call("service_create", serviceClassName="sleeper", name="a")["service"]["outputs"]["pid"]
    killer.call("service_create", serviceClassName="sleeper", name="b", persist=False)
    killer.call("service_create", serviceClassName="entry", name="d")
    assert killer.processes() == {"a": 1, "b": 1}

    killer.end(how)

    assert killer.processes() == {"a": 1}
    assert killer.entries() == {"d": 1}
    eventually(lambda: not killer.downstream(), "its downstream server has ended too")

    killer.start()
    killer.settle({})
    assert killer.report.faults == []
    assert killer.states == {"a": "running", "b": "absent", "c": "absent", "d": "running", "e": "absent"}
    assert killer.call("service_get", name="a")["outputs"] == {"pid": kept}
    killer.call("service_delete", name="a")
    assert killer.processes() == {}


def test_whatever_was_under_way_reaches_its_goal_after_a_kill(state_dir: Path, forker: Forker) -> None:
    killer = Killer(state_dir, 11, forker)
    with killer.running():
        report = killer.play(12)
    assert report.faults == []
    assert report.kills >= 12


def test_nothing_is_left_unsettled_when_everything_goes_wrong_at_once(state_dir: Path, forker: Forker) -> None:
    """A few rounds of what `python -m benchmarks crash` plays."""
    chaos = Chaos(state_dir, 4, forker)
    with chaos.running():
        chronicle = chaos.play_rounds(4)
    assert chronicle.violations == []
    assert chronicle.faults


INSTANTS = ("late", "silent before", "silent after")
"""The call acts and answers soon; it does not act, or it acts, and no answer comes."""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "stop", "handover"])
def test_what_every_kind_of_end_cuts_off_is_finished_by_the_next_server(
    state_dir: Path, forker: Forker, how: str
) -> None:
    chaos = Chaos(state_dir, 1, forker)
    cells = {
        f"{operation}-{instant.replace(' ', '-')}": (operation, instant) for operation in GOALS for instant in INSTANTS
    }
    with chaos.running():
        chaos.allow("20s", "60s")
        chaos.start()
        with chaos.client() as client:
            for name, (operation, _) in cells.items():
                if operation != "create":
                    args = {"serviceClassName": "both", "name": name, "start": operation != "start"}
                    assert not client.call_tool("service_create", args).is_error
        plan: dict[str, str] = {}
        for name, (operation, instant) in cells.items():
            tools = ("start",) if operation in ("create", "start") else ("stop",)
            keys = (name, *chaos.there()[name])
            plan |= {f"{tool} {key}": instant for tool in tools for key in keys}
        chaos.set_faults(plan=plan)
        chaos.ask_all({name: (operation, "both") for name, (operation, _) in cells.items()})
        eventually(lambda: chaos.faults_played() == len(cells), "every call is under way")
        chaos.end(how) if how != "SIGKILL" else chaos.kill()
        chaos.set_faults()
        chaos.start()
        with chaos.client() as client:
            assert chaos.becomes_quiet(client) == {
                name: GOALS[operation] for name, (operation, _) in cells.items() if operation != "delete"
            }
        assert {name: len(ids) for name, ids in chaos.there().items() if ids} == {
            name: 1 for name, (operation, _) in cells.items() if GOALS[operation] == "running"
        }
        assert chaos.most_at_once() == 1


def test_a_start_that_was_cut_off_has_its_key_until_its_outcome_is_known(state_dir: Path, forker: Forker) -> None:
    chaos = Chaos(state_dir, 1, forker)
    with chaos.running():
        chaos.allow("3s", "12s")
        chaos.start()
        chaos.set_faults(plan={"start keyed-1": "silent after"})
        chaos.eventually(chaos.listens, "the server listens")
        chaos.ask_all({"keyed-1": ("create", "keyed")})
        eventually(lambda: chaos.faults_played() == 1, "the start tool has acted")
        chaos.kill()
        chaos.set_faults(plan={"start keyed-1": "error before"})
        chaos.start()
        with chaos.client() as client:
            assert chaos.becomes_quiet(client) == {"keyed-1": "failed"}
            chaos.set_faults(plan={"start keyed-1": "silent after"})
            create = {"name": "keyed-1", "serviceClassName": "keyed"}
            assert client.call_tool("service_create", create).is_error
            chaos.set_faults()
            assert not client.call_tool("service_start", {"name": "keyed-1"}).is_error
        assert len(chaos.there()["keyed-1"]) == chaos.most_at_once() == 1


def test_three_clients_outlive_a_killed_server_and_so_do_services(state_dir: Path) -> None:
    with clean_place(state_dir) as place:
        clients = [serve(place) for _ in range(3)]
        try:
            for client in clients:
                client.initialize()
            command = {"command": "sleep 86400"}
            clients[0].call("service_create", serviceClassName="command", name="kept", args=command)
            pid = pid_of(clients[1])
            under_way = [
                (client, client.send_call("service_wait", name="kept", state=["failed"])) for client in clients
            ]
            for client in clients:
                client.call("service_status", name="kept")  # what was sent before has arrived
            eventually(lambda: len(servers_of(place)) == 1, "one server is left of those that were started")
            (server,) = servers_of(place)

            os.kill(server, signal.SIGKILL)

            for client, key in under_way:
                error = client.answer(key)["error"]
                assert "the Ostler server ended while this call was under way" in error["message"]
            for client in clients:
                client.call("service_wait", name="kept", state=["running"])
                assert pid_of(client) == pid
            eventually(lambda: len(servers_of(place)) == 1, "the servers that lost the race have ended")
            assert servers_of(place) != [server]
            assert "deleted" in clients[2].call("service_delete", name="kept")
        finally:
            for client in clients:
                client.__exit__(None, None, None)


def test_a_client_that_ends_all_descendants_of_its_server_ends_the_bridge_alone(state_dir: Path) -> None:
    """opencode 1.18 sends SIGTERM to the MCP servers that it started and to whatever descends from them."""
    with clean_place(state_dir) as place, serve(place) as first:
        first.initialize()
        first.call("service_create", serviceClassName="command", name="kept", args={"command": "sleep 86400"})
        kept, server = pid_of(first), servers_of(place)
        bridge = psutil.Process(first.process.pid)
        for process in [*bridge.children(recursive=True), bridge]:
            process.terminate()
        first.process.wait(30)

        with serve(place) as second:
            second.initialize()
            assert pid_of(second) == kept
            assert servers_of(place) == server
            assert "deleted" in second.call("service_delete", name="kept")


def serve(place: ServerPlace) -> BridgeClient:
    folders = ["--config", place.config_dir, "--state", place.state_dir]
    return BridgeClient([sys.executable, "-m", "ostler.faces.entry", "serve", *folders])


def pid_of(client: BridgeClient) -> int:
    answer = client.ask("tools/call", {"name": "service_status", "arguments": {"name": "kept"}})
    pid: int = answer["result"]["structuredContent"]["outputs"]["pid"]
    return pid
