"""What is under way between one client and the server, so that no request is left hanging when the server ends.

The ledger reads each JSON-RPC message as it passes and remembers four things: the client's unanswered requests, the
server's unanswered requests, the client's handshake (2025-11-25 era), and the resources it subscribed to. Requests of
the 2026-07-28 era carry all they need, so nothing of theirs is repeated on a new connection.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeGuard, cast

from ostler.model.json import as_object

Message: TypeAlias = dict[str, Any]
RequestKey: TypeAlias = int | float | str

OWN_ID: Final = "ostler-bridge-"
"""How the ids of the bridge's own requests begin; their answers are not the client's."""

_LIST_CHANGES: Final = ("tools", "resources", "prompts")
_SUBJECTS: Final = {"tools/list": "tools", "prompts/list": "prompts", "resources/templates/list": "resources"}
"""The lists that are answered early, and what their change is notified as."""

INVALID_REQUEST: Final = -32600
_BATCH: Final = (
    "JSON-RPC batches are not taken, as the protocol has them no longer: send each message on a line of its own"
)


class Orphans(NamedTuple):
    """Requests whose other side is gone."""

    of_client: tuple[RequestKey, ...]
    of_server: tuple[RequestKey, ...]
    streams: tuple[RequestKey, ...] = ()
    """Those of the client that wait for nothing but the end of the server: `subscriptions/listen`."""


def read_messages(line: bytes) -> list[Message]:
    """Return the JSON-RPC messages of a line; empty when it holds none (the server will say so to the client)."""
    try:
        content: Any = json.loads(line)
    except (ValueError, RecursionError):
        return []
    items = cast("list[Any]", content) if isinstance(content, list) else [content]
    return [cast("Message", item) for item in items if isinstance(item, dict)]


def error_line(key: RequestKey | None, message: str, *, code: int = -32000) -> bytes:
    """Return a JSON-RPC error answering request `key`."""
    answer = {"jsonrpc": "2.0", "id": key, "error": {"code": code, "message": message}}
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"


def cut_off(how: str) -> str:
    """Return what to tell the client of a call that was under way when the server ended; `how` says how it did."""
    return (
        f"the Ostler server ended while this call was under way ({how}); repeat a call that changes nothing; "
        "the outcome of any other is being recovered: ask service_status for the service first"
    )


def stream_end_line(key: RequestKey) -> bytes:
    """Return the answer to the `subscriptions/listen` request `key` of a server that ends as it should."""
    result: Message = {"resultType": "complete", "_meta": {"io.modelcontextprotocol/subscriptionId": key}}
    return json.dumps({"jsonrpc": "2.0", "id": key, "result": result}, separators=(",", ":")).encode() + b"\n"


def batch_refusals(messages: Sequence[Message]) -> list[bytes]:
    """Return the answers to a batch: an error for each request in it, and one without an id where it has none."""
    keys = [key for message in messages if is_key(key := message.get("id"))]
    return [error_line(key, _BATCH, code=INVALID_REQUEST) for key in keys or [None]]


def notification_line(method: str, params: Message | None = None) -> bytes:
    """Return a JSON-RPC notification."""
    body: Message = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        body["params"] = params
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


class Ledger:
    """The messages between one client and whatever server it is joined to. Not safe for threads: its owner locks."""

    def __init__(self) -> None:
        self._of_client: dict[RequestKey, Message] = {}
        self._of_server: set[RequestKey] = set()
        self._own: set[RequestKey] = set()
        self._initialize: bytes = b""
        self._initialize_key: RequestKey | None = None
        self._initialized: bytes = b""
        self._handshaken = False
        self._capabilities: Message = {}
        self._subscriptions: dict[str, None] = {}
        self._replays = 0
        self._early: dict[str, tuple[Message, Message]] = {}
        self._other: list[str] = []

    def __repr__(self) -> str:
        return f"<Ledger {len(self._of_client)} of the client, {len(self._of_server)} of the server under way>"

    @property
    def is_idle(self) -> bool:
        """Whether the client waits for nothing."""
        return not self._of_client

    @property
    def is_handshaken(self) -> bool:
        """Whether the client's `initialize` was answered."""
        return self._handshaken

    def answered_early(self, line: bytes, request: Message, result: Message) -> bytes:
        """Note a request that no server has seen yet, and return the line that answers it with `result`.

        The next server is asked the same.
        """
        answer: Message = {"jsonrpc": "2.0", "id": request["id"], "result": result}
        self.sent(line, [request])
        self.received([answer])
        self._early[request["method"]] = (request, result)
        return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"

    def repeats(self, message: Message) -> bool:
        """Whether a fresh server gets `message` by `begin_replay`."""
        method = message.get("method")
        return method == "initialize" or (method == "notifications/initialized" and self._handshaken)

    def take_other_answers(self) -> list[str]:
        """Return the methods that the server has answered differently from what the client was told early."""
        found, self._other = self._other, []
        return found

    def changed_lists(self, methods: list[str]) -> list[bytes]:
        """Return what notifies a client of the handshake era that the lists it got by `methods` are others."""
        subjects = [_SUBJECTS[method] for method in methods if method in _SUBJECTS]
        return [notification_line(f"notifications/{subject}/list_changed") for subject in subjects if self._initialized]

    def sent(self, line: bytes, messages: list[Message]) -> bool:
        """Note what the client sends; return whether the server should get it.

        An answer to a request of an earlier server is not for the present one, which may use the same id.
        """
        wanted = not messages
        for message in messages:
            key = message.get("id")
            method = message.get("method")
            if method is None and not ("result" in message or "error" in message):
                wanted = True  # neither a request nor an answer: the server says so to the client
                continue
            if method is None:
                if is_key(key) and key in self._of_server:
                    self._of_server.discard(key)
                    wanted = True
                continue
            wanted = True
            if is_key(key):
                self._of_client[key] = message
                if method == "initialize":
                    self._initialize, self._initialize_key, self._handshaken = line, key, False
            elif method == "notifications/initialized":
                self._initialized = line
            elif method == "notifications/cancelled" and is_key(cancelled := _params(message).get("requestId")):
                self._of_client.pop(cancelled, None)
        return wanted

    def received(self, messages: list[Message]) -> bool:
        """Note what the server sends; return whether the client should get it."""
        wanted = not messages
        for message in messages:
            key = message.get("id")
            if "method" in message:
                if is_key(key):
                    self._of_server.add(key)
                elif message["method"] == "notifications/cancelled" and is_key(
                    cancelled := _params(message).get("requestId")
                ):
                    self._of_server.discard(cancelled)
                wanted = True
            elif is_key(key) and key in self._own:
                self._own.discard(key)
                self._handshake_answered(key, message)
                self._compare(key, message)
            else:
                wanted = True
                if is_key(key):
                    self._answered(key, message)
        return wanted

    def take_orphans(self, *, keep_initialize: bool) -> Orphans:
        """Forget what was under way with a server that has ended, and return it.

        Args:
            keep_initialize: leave an unanswered `initialize` out: the next server will answer it.
        """
        kept = self._initialize_key if keep_initialize else None
        of_client = tuple(key for key in self._of_client if key != kept)
        streams = tuple(key for key in of_client if self._of_client[key].get("method") == "subscriptions/listen")
        orphans = Orphans(of_client, tuple(self._of_server), streams)
        for key in of_client:
            del self._of_client[key]
        self._of_server.clear()
        self._own.clear()
        return orphans

    def begin_replay(self) -> list[bytes]:
        """Return the lines that put a fresh server where the last one was; empty for one that has nothing to know.

        The answer to a repeated `initialize` is the bridge's own, unless the client still waits for it.
        """
        lines = self._repeat_handshake()
        for method, (request, _) in self._early.items():
            if method != "initialize":
                key = f"{OWN_ID}{method}"
                self._own.add(key)
                lines.append(json.dumps({**request, "id": key}, separators=(",", ":")).encode() + b"\n")
        return lines

    def _repeat_handshake(self) -> list[bytes]:
        if not self._initialize:
            return []
        if not self._handshaken:
            return [self._initialize] if self._initialize_key in self._of_client else []
        self._replays += 1
        if self._initialize_key is not None:
            self._own.add(self._initialize_key)
        lines = [self._initialize]
        if self._initialized:
            lines.append(self._initialized)
        for index, uri in enumerate(self._subscriptions):
            key = f"{OWN_ID}{self._replays}-{index}"
            self._own.add(key)
            request = {"jsonrpc": "2.0", "id": key, "method": "resources/subscribe", "params": {"uri": uri}}
            lines.append(json.dumps(request, separators=(",", ":")).encode() + b"\n")
        return lines

    def news_for_client(self) -> Iterator[bytes]:
        """Yield what notifies a client of the handshake era that everything may have changed with the server."""
        if not (self._handshaken and self._initialized):
            return
        for subject in _LIST_CHANGES:
            if as_object(self._capabilities.get(subject)).get("listChanged"):
                yield notification_line(f"notifications/{subject}/list_changed")
        for uri in self._subscriptions:
            yield notification_line("notifications/resources/updated", {"uri": uri})

    def _answered(self, key: RequestKey, answer: Message) -> None:
        request = self._of_client.pop(key, None)
        if request is None or "result" not in answer:
            return
        match request["method"]:
            case "initialize":
                self._handshake_answered(key, answer)
            case "resources/subscribe":
                uri = _params(request).get("uri")
                if isinstance(uri, str):
                    self._subscriptions[uri] = None
            case "resources/unsubscribe":
                if isinstance(uri := _params(request).get("uri"), str):
                    self._subscriptions.pop(uri, None)
            case _:
                pass

    def _compare(self, key: RequestKey, answer: Message) -> None:
        method = "initialize" if key == self._initialize_key else str(key).removeprefix(OWN_ID)
        _, told = self._early.pop(method, (None, None))
        if told is not None and answer.get("result") != told:
            self._other.append(method)

    def _handshake_answered(self, key: RequestKey, answer: Message) -> None:
        result = answer.get("result")
        if key == self._initialize_key and isinstance(result, dict):
            self._handshaken = True
            self._capabilities = as_object(cast("Message", result).get("capabilities"))


def is_key(value: object) -> TypeGuard[RequestKey]:
    """Whether `value` is the id of a request."""
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _params(message: Message) -> Message:
    return as_object(message.get("params"))
