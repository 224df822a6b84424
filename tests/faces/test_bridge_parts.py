"""The bridge's parts alone: lines, the ledger of requests, versions, and a server that will not start."""

import json
import socket
import sys
import time
from collections.abc import Callable
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import pytest

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.dialer import CRASH_LIMIT, Dialer, Link, OstlerUnavailableError
from ostler.faces.bridge.greeting import decode_line, encode_line, proof, proves
from ostler.faces.bridge.launcher import launch
from ostler.faces.bridge.ledger import Ledger, read_messages
from ostler.faces.bridge.lines import LineTooLongError, split_lines
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.version import VERSION, version_order
from ostler.faces.entry import begin_early, bridge_options

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def reader(*chunks: bytes) -> Callable[[int], bytes]:
    rest = iter(chunks)
    return lambda _size: next(rest, b"")


def line_of(message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


class Wire:
    """A ledger with messages passing by."""

    def __init__(self) -> None:
        self.ledger = Ledger()

    def client_says(self, message: Any) -> bool:
        line = line_of(message)
        return self.ledger.sent(line, read_messages(line))

    def server_says(self, message: Any) -> bool:
        return self.ledger.received(read_messages(line_of(message)))

    def shake_hands(self, **capabilities: Any) -> None:
        self.client_says(INITIALIZE)
        self.server_says({"jsonrpc": "2.0", "id": 0, "result": {"capabilities": capabilities}})
        self.client_says(INITIALIZED)


@pytest.mark.parametrize(
    "chunks",
    [(b"one\ntwo\nthree",), (b"o", b"ne\nt", b"wo", b"\n", b"three"), (b"one\n", b"two\nth", b"ree")],
)
def test_lines_do_not_depend_on_the_reads(chunks: tuple[bytes, ...]) -> None:
    assert list(split_lines(reader(*chunks))) == [b"one\n", b"two\n", b"three"]


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(LineTooLongError, match="longer than"):
        list(split_lines(reader(b"ok\n", b"x" * 60, b"x" * 60), limit=100))


def test_unanswered_requests_of_both_sides_are_orphans() -> None:
    wire = Wire()
    wire.client_says({"jsonrpc": "2.0", "id": 1, "method": "tools/call"})
    wire.client_says({"jsonrpc": "2.0", "id": "1", "method": "tools/call"})
    wire.client_says({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
    wire.server_says({"jsonrpc": "2.0", "id": 7, "method": "elicitation/create"})
    wire.server_says({"jsonrpc": "2.0", "id": 2, "result": {}})
    orphans = wire.ledger.take_orphans(keep_initialize=True)
    assert set(orphans.of_client) == {1, "1"}
    assert orphans.of_server == (7,)
    assert wire.ledger.is_idle


def test_streams_are_orphans_that_wait_for_nothing_but_the_end() -> None:
    wire = Wire()
    wire.client_says({"jsonrpc": "2.0", "id": 1, "method": "tools/call"})
    wire.client_says({"jsonrpc": "2.0", "id": 2, "method": "subscriptions/listen"})
    orphans = wire.ledger.take_orphans(keep_initialize=True)
    assert (orphans.of_client, orphans.streams) == ((1, 2), (2,))


def test_cancelled_requests_are_no_orphans() -> None:
    wire = Wire()
    wire.client_says({"jsonrpc": "2.0", "id": 1, "method": "tools/call"})
    wire.client_says({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    assert wire.ledger.is_idle


def test_an_answer_to_an_earlier_server_is_kept_from_the_next_one() -> None:
    wire = Wire()
    wire.server_says({"jsonrpc": "2.0", "id": 7, "method": "elicitation/create"})
    wire.ledger.take_orphans(keep_initialize=True)
    assert not wire.client_says({"jsonrpc": "2.0", "id": 7, "result": {}})


def test_a_new_server_is_put_where_the_last_one_was() -> None:
    wire = Wire()
    wire.shake_hands(tools={"listChanged": True}, resources={"listChanged": False})
    for key, method, uri in (
        (1, "resources/subscribe", "service://a"),
        (2, "resources/subscribe", "service://b"),
        (3, "resources/unsubscribe", "service://a"),
    ):
        wire.client_says({"jsonrpc": "2.0", "id": key, "method": method, "params": {"uri": uri}})
        wire.server_says({"jsonrpc": "2.0", "id": key, "result": {}})
    wire.ledger.take_orphans(keep_initialize=True)

    replay = [json.loads(line) for line in wire.ledger.begin_replay()]

    assert replay[:2] == [INITIALIZE, INITIALIZED]
    assert [message["params"] for message in replay[2:]] == [{"uri": "service://b"}]
    assert not wire.server_says({"jsonrpc": "2.0", "id": 0, "result": {"capabilities": {}}})
    assert not wire.server_says({"jsonrpc": "2.0", "id": replay[2]["id"], "result": {}})


def test_what_may_have_changed_is_told_to_those_who_can_hear_it() -> None:
    wire = Wire()
    wire.shake_hands(tools={"listChanged": True}, prompts={})
    methods = [json.loads(line)["method"] for line in wire.ledger.news_for_client()]
    assert methods == ["notifications/tools/list_changed"]


def test_an_unanswered_handshake_is_repeated_and_answered_to_the_client() -> None:
    wire = Wire()
    wire.client_says(INITIALIZE)
    assert wire.ledger.take_orphans(keep_initialize=True).of_client == ()
    assert [json.loads(line) for line in wire.ledger.begin_replay()] == [INITIALIZE]
    assert wire.server_says({"jsonrpc": "2.0", "id": 0, "result": {"capabilities": {}}})
    assert wire.ledger.is_idle


def test_a_stateless_client_needs_no_replay() -> None:
    wire = Wire()
    wire.client_says({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {}}})
    wire.server_says({"jsonrpc": "2.0", "id": 1, "result": {}})
    assert wire.ledger.begin_replay() == []
    assert list(wire.ledger.news_for_client()) == []


@pytest.mark.parametrize("line", [b"not json\n", b"[1, 2]\n", b"17\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"])
def test_what_is_not_a_message_is_passed_on(line: bytes) -> None:
    ledger = Ledger()
    assert ledger.sent(line, read_messages(line))
    assert ledger.received(read_messages(line))


def test_versions_have_an_order() -> None:
    ordered = ["", "0.9.1", "0.10.0.dev2", "0.10.0a1", "0.10.0b1", "0.10.0rc1", "0.10.0rc2", "0.10.0", "0.10.1", "1.0"]
    assert sorted(ordered, key=version_order) == ordered
    assert version_order("1.0") == version_order("1.0.0")


def test_the_version_is_the_package_s() -> None:
    assert installed_version("ostler") == VERSION


def test_own_lines_are_told_from_messages() -> None:
    assert decode_line(encode_line("hello", version="1")) == {"ostler": "hello", "version": "1"}
    assert decode_line(line_of(INITIALIZE)) is None
    assert decode_line(b'{"ostler": broken\n') is None


def test_a_proof_is_for_one_role_and_nonce() -> None:
    claim = proof("secret", "client", "n")
    assert proves(claim, "secret", "client", "n")
    assert not proves(claim, "secret", "server", "n")
    assert not proves(claim, "secret", "client", "m")
    assert not proves(claim, "other", "client", "n")
    assert not proves(None, "secret", "client", "n")


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["serve"], {}),
        (["serve", "--toolset", "core"], {"toolset": "core"}),
        (["serve", "--toolset=muster"], {"toolset": "muster"}),
        (["serve", "--toolset=tiny"], None),
        (["serve", "--state", "/s"], {"state": "/s"}),
        (["--config=/c", "serve", "--state=/s"], {"config": "/c", "state": "/s"}),
        (["serve", "--foreground"], None),
        (["serve", "--http", ":1"], None),
        (["serve", "--help"], None),
        (["serve", "--state"], None),
        (["ps"], None),
        ([], None),
    ],
)
def test_only_a_plain_serve_goes_straight_to_the_bridge(arguments: list[str], options: dict[str, str] | None) -> None:
    assert bridge_options(arguments) == options


@pytest.mark.realtime
def test_a_server_that_keeps_dying_is_not_started_forever(state_dir: Path) -> None:
    place = ServerPlace(Paths.resolve(state_dir / "config", state_dir / "state"))
    command = [sys.executable, "-S", "-c", "import sys; sys.exit('no space left on the moon')"]
    dialer = Dialer(place, kind="bridge", note=print, command=command)
    for _ in range(CRASH_LIMIT):
        with pytest.raises(OstlerUnavailableError, match="ended with status 1") as said:
            dialer.connect()
        assert "no space left on the moon" in str(said.value)
    with pytest.raises(OstlerUnavailableError, match=f"ended {CRASH_LIMIT} times within 60 s") as said:
        dialer.connect()
    assert str(place.log_file) in str(said.value)


@pytest.mark.realtime
def test_a_server_that_is_on_its_way_is_waited_for(state_dir: Path) -> None:
    place = ServerPlace(Paths.resolve(state_dir / "config", state_dir / "state"))
    first = launch(place, [sys.executable, "-S", "-c", "import sys; sys.exit('the first one ended')"])
    second = [sys.executable, "-S", "-c", "import sys; sys.exit('a second one was started')"]
    with pytest.raises(OstlerUnavailableError, match="the first one ended") as said:
        Dialer(place, kind="cli", note=print, command=second, launched=first).connect()
    assert f"pid {first.pid}" in str(said.value)
    assert "second" not in place.log_file.read_text()


@pytest.mark.realtime
def test_a_wait_for_a_server_that_starts_ends_with_what_starts_it(state_dir: Path) -> None:
    launched = launch(ServerPlace(Paths(state_dir, state_dir)), [sys.executable, "-S", "-c", "raise SystemExit(3)"])
    launched.wait(60.0)
    assert launched.exit_status() == 3


def test_a_start_that_takes_too_long_is_given_up_at_the_deadline(state_dir: Path) -> None:
    place = ServerPlace(Paths(state_dir, state_dir))
    slow = [sys.executable, "-S", "-c", "import sys; sys.stdin.read(); import time; time.sleep(20)"]
    began = time.monotonic()
    with pytest.raises(OstlerUnavailableError, match="no Ostler server answered .* within 1 s"):
        Dialer(place, kind="cli", note=print, command=slow).connect(deadline=began + 0.6)
    assert time.monotonic() - began < 5


def test_only_verbs_that_start_something_start_the_server_early(state_dir: Path) -> None:
    (state_dir / "file").write_text("")
    folders = ["--config", str(state_dir), f"--state={state_dir / 'state'}"]
    for words in ([], ["ps"], ["up", "--help"], ["--unknown", "up"], ["project", "init"]):
        assert begin_early([*folders, *words]) is None
    assert not (state_dir / "state").exists()
    assert begin_early(["--state", str(state_dir / "file" / "state"), "up"]) is None  # the command line says why


@pytest.mark.realtime
def test_a_state_folder_that_cannot_be_used_is_named(state_dir: Path) -> None:
    (state_dir / "file").write_text("")
    place = ServerPlace(Paths.resolve(state_dir, state_dir / "file" / "state"))
    with pytest.raises(OstlerUnavailableError, match="state folder"):
        Dialer(place, kind="bridge", note=print).connect()


def test_lines_that_come_do_not_put_off_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        deadline = time.monotonic() + 0.2
        lines = Link(ours, {}).lines(deadline)
        theirs.sendall(b"one\n")
        assert next(lines) == b"one\n"
        with pytest.raises(TimeoutError):
            next(lines)
        assert time.monotonic() >= deadline
        theirs.sendall(b"two\n")
        with pytest.raises(TimeoutError):
            next(Link(ours, {}).lines(deadline))
