"""Answers that a bridge gives while its server starts: at once, in both eras, and corrected if the server disagrees."""

import json
import math
import queue
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp_types import METHOD_NOT_FOUND
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from processes.bridge_client import MODERN_META

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.dialer import Dialer, Link, OstlerUnavailableError
from ostler.faces.bridge.known_answers import KnownAnswers
from ostler.faces.bridge.ledger import OWN_ID
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.relay import Relay

pytestmark = pytest.mark.realtime

PATIENCE = 60.0
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
LISTS = ("tools/list", "prompts/list", "resources/templates/list")


def request(key: int, method: str, params: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": key, "method": method, **({} if params is None else {"params": params})}


class StartingDialer(Dialer):
    """Starts a server that is there only when the test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(ServerPlace(Paths(folder, folder)), kind="bridge", note=print, command=["false"])
        self.outcomes: queue.SimpleQueue[Link | str] = queue.SimpleQueue()

    def connect(
        self, *, patience: float = 0.0, launched: Callable[[], None] | None = None, deadline: float = math.inf
    ) -> Link:
        del patience, deadline
        if launched is not None:
            launched()
        outcome = self.outcomes.get(timeout=PATIENCE)
        if isinstance(outcome, str):
            raise OstlerUnavailableError(outcome)
        return outcome


class Stage:
    """A client, a relay that is looking for its server, and what the server gets once it is there."""

    def __init__(self, folder: Path, toolset: str = "full", *, handshake_only: bool = False) -> None:
        self.known = KnownAnswers(toolset)
        self._dialer = StartingDialer(folder)
        self._from_client: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._to_client: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.notes: list[str] = []
        relay = Relay(
            self._dialer,
            read=lambda _size: self._from_client.get(timeout=PATIENCE),
            write=lambda data: self._to_client.put(json.loads(data)),
            note=self.notes.append,
            answers=self.known,
            handshake_only=handshake_only,
        )
        self._relay = threading.Thread(target=relay.run, daemon=True)
        self._relay.start()

    def say(self, *messages: Any) -> None:
        for message in messages:
            self._from_client.put(json.dumps(message).encode() + b"\n")

    def hear(self) -> dict[str, Any]:
        return self._to_client.get(timeout=PATIENCE)

    def result(self, key: int, method: str, params: Any = None) -> dict[str, Any]:
        self.say(request(key, method, params))
        answer = self.hear()
        assert answer["id"] == key
        return answer["result"]

    def shake_hands(self) -> dict[str, Any]:
        initialized = self.result(0, "initialize", HELLO)
        self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return initialized

    def fail(self, why: str) -> None:
        self._dialer.outcomes.put(why)

    @contextmanager
    def server(self) -> Generator["Server"]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(PATIENCE)
            self._dialer.outcomes.put(Link(theirs, {"version": "9", "pid": 1}))
            yield Server(ours)
            self.end()

    def end(self) -> None:
        self._from_client.put(b"")
        self._relay.join(PATIENCE)


class Server:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")

    def hears(self) -> dict[str, Any]:
        return json.loads(self._lines.readline())

    def says(self, message: dict[str, Any]) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\n")


@pytest.mark.parametrize("toolset", ["full", "core", "muster"])
def test_the_handshake_and_the_lists_are_answered_before_there_is_a_server(tmp_path: Path, toolset: str) -> None:
    stage = Stage(tmp_path, toolset)
    assert stage.shake_hands()["serverInfo"]["name"] == "ostler"
    plain = {method: stage.result(key, method) for key, method in enumerate(LISTS, 1)}
    discovered = stage.result(7, "server/discover", {"_meta": MODERN_META})
    modern = {method: stage.result(8, method, {"_meta": MODERN_META}) for method in LISTS}

    assert plain["tools/list"]["tools"]
    assert discovered["supportedVersions"] == ["2026-07-28"]
    assert [modern[method]["ttlMs"] for method in LISTS] == [3_600_000] * 3
    assert [plain[method].items() <= modern[method].items() for method in LISTS] == [True] * 3
    with stage.server() as server:
        assert [server.hears()["method"] for _ in range(2)] == ["initialize", "notifications/initialized"]


def test_what_only_a_server_knows_waits_for_it_in_order_and_the_lists_do_not_wait_behind(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.shake_hands()
    stage.say(request(1, "tools/call", {"name": "service_list"}), request(2, "resources/list"))
    assert stage.result(3, "tools/list")["tools"]
    with stage.server() as server:
        heard = [server.hears() for _ in range(5)]
        assert [message["method"] for message in heard[:2]] == ["initialize", "notifications/initialized"]
        assert heard[2]["id"] == f"{OWN_ID}tools/list"
        assert [message["id"] for message in heard[3:]] == [1, 2]
        server.says({"jsonrpc": "2.0", "id": 1, "result": {"content": []}})
        assert stage.hear() == {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}
        stage.say(request(4, "tools/list"))
        assert server.hears()["id"] == 4


def test_a_batch_is_refused_at_once_and_never_sent(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.say([request(1, "initialize", HELLO), request(2, "tools/call", {"name": "service_create"})])
    refused = [stage.hear() for _ in range(2)]
    assert [answer["id"] for answer in refused] == [1, 2]
    assert all("batches are not taken" in answer["error"]["message"] for answer in refused)
    stage.shake_hands()
    with stage.server() as server:
        assert [server.hears().get("method") for _ in range(2)] == ["initialize", "notifications/initialized"]
        stage.say([request(3, "ping")], request(4, "ping"))
        assert stage.hear()["id"] == 3
        assert server.hears() == request(4, "ping")


def test_a_client_that_needs_the_handshake_falls_back_to_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, handshake_only=True)
    stage.say(request(1, "server/discover", {"_meta": MODERN_META}))
    assert stage.hear()["error"]["code"] == METHOD_NOT_FOUND
    assert stage.shake_hands()["protocolVersion"] == "2025-11-25"
    with stage.server() as server:
        assert server.hears()["method"] == "initialize"


@pytest.mark.parametrize("same", [True, False])
def test_a_server_that_says_otherwise_corrects_what_was_said_early(tmp_path: Path, same: bool) -> None:
    stage = Stage(tmp_path)
    hello = stage.shake_hands()
    listed = stage.result(1, "tools/list")
    with stage.server() as server:
        assert [server.hears()["method"] for _ in range(3)][2] == "tools/list"
        server.says({"jsonrpc": "2.0", "id": 0, "result": hello})
        server.says({"jsonrpc": "2.0", "id": f"{OWN_ID}tools/list", "result": listed if same else {"tools": []}})
        server.says({"jsonrpc": "2.0", "method": "notifications/message"})
        heard = [stage.hear()["method"]]
        if not same:
            heard.append(stage.hear()["method"])
    assert heard == [*([] if same else ["notifications/tools/list_changed"]), "notifications/message"]
    assert any("answers tools/list differently" in note for note in stage.notes) is not same


def test_a_server_that_does_not_start_fails_what_waits_for_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.shake_hands()
    stage.say(request(1, "tools/call", {"name": "service_list"}))
    assert stage.result(2, "prompts/list")["prompts"]
    stage.fail("no space left on the moon")
    assert stage.hear() == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32000, "message": "no space left on the moon"},
    }
    stage.end()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("initialize", {**HELLO, "protocolVersion": "1999-01-01"}),
        ("initialize", {"protocolVersion": "2025-11-25"}),
        ("initialize", [1]),
        ("tools/list", {"cursor": "x"}),
        ("tools/list", {"_meta": {**MODERN_META, "io.modelcontextprotocol/protocolVersion": "2030-01-01"}}),
        ("tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}),
        ("server/discover", {"_meta": {}}),
        ("resources/list", {}),
        ("tools/call", {"name": "service_list"}),
    ],
)
def test_what_is_unusual_is_left_to_the_server(method: str, params: Any) -> None:
    assert KnownAnswers("full").result(request(1, method, params), in_session=True) is None


@pytest.mark.parametrize("protocol", HANDSHAKE_PROTOCOL_VERSIONS)
def test_lists_need_a_handshake_of_a_version_that_the_sdk_serves(protocol: str) -> None:
    known = KnownAnswers("full")
    answer = known.result(request(1, "initialize", {**HELLO, "protocolVersion": protocol}), in_session=False)
    assert answer is not None
    assert answer["protocolVersion"] == protocol
    assert known.result(request(1, "tools/list"), in_session=False) is None
