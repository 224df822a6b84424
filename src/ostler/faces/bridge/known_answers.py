"""What a server of this version answers whatever its services are, for clients that do not wait for one to start.

Some clients leave out an MCP server that needs a second (`codex exec` does), and that is how long a server takes. What
it says of itself and of its tools is the same at every start, so it is kept in `answers.json`, which
`docs/generate.py` takes from the server itself. The relay asks the server the same again once it is there.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

from ostler.faces.bridge.ledger import Message, is_key

_PREFIX: Final = "io.modelcontextprotocol/"


class KnownAnswers:
    """The answers of a server that this version starts, to the clients of one toolset."""

    def __init__(self, toolset: str) -> None:
        self._toolset = toolset

    def __repr__(self) -> str:
        return f"<KnownAnswers of the toolset {self._toolset}>"

    def result(self, request: Message, *, in_session: bool) -> Message | None:
        """Return the result that answers `request`, or None when it is left to the server, as everything unusual is.

        Args:
            request: any JSON-RPC message.
            in_session: whether the client's handshake was answered.
        """
        method, params = request.get("method"), request.get("params", {})
        if not isinstance(method, str) or not isinstance(params, dict) or not is_key(request.get("id")):
            return None
        given = cast("Message", params)
        if method == "initialize":
            return self._initialized(given)
        meta = given.get("_meta", {})
        if not isinstance(meta, dict) or given.keys() - {"_meta"}:
            return None
        envelope = cast("Message", meta)
        if f"{_PREFIX}protocolVersion" in envelope:
            return self._modern(method) if self._is_complete(envelope) else None
        return self._known["lists"].get(method) if in_session else None

    def _modern(self, method: str) -> Message | None:
        if method == "server/discover":
            return self._known["discover"]
        result = self._known["lists"].get(method)
        return None if result is None else {**result, **self._known["cached"]}

    @cached_property
    def _file(self) -> Message:
        return json.loads(Path(__file__).with_name("answers.json").read_bytes())

    @property
    def _known(self) -> Message:
        return self._file["toolsets"][self._toolset]

    def _initialized(self, params: Message) -> Message | None:
        protocol = params.get("protocolVersion")
        if protocol not in self._file["handshakeProtocols"] or not isinstance(params.get("capabilities"), dict):
            return None
        if not _is_implementation(params.get("clientInfo")):
            return None
        return {**self._known["initialize"], "protocolVersion": protocol}

    def _is_complete(self, envelope: Message) -> bool:
        return (
            envelope[f"{_PREFIX}protocolVersion"] in self._known["discover"]["supportedVersions"]
            and _is_implementation(envelope.get(f"{_PREFIX}clientInfo"))
            and isinstance(envelope.get(f"{_PREFIX}clientCapabilities"), dict)
        )


def _is_implementation(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    facts = cast("Message", value)
    return isinstance(facts.get("name"), str) and isinstance(facts.get("version"), str)
