"""Answers that do not depend on services: taken from the server, for bridges that answer before it is up."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import anyio
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY, JSONRPCRequest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

from ostler.faces.mcp.server import build_server
from ostler.faces.mcp.toolbox import TOOLSETS
from ostler.model.json import JsonObject

if TYPE_CHECKING:
    from ostler.faces.mcp.surface import ApplicationLike

_LISTS = ("tools/list", "prompts/list", "resources/templates/list")
_CLIENT = {"name": "ostler", "version": "1"}
_ENVELOPE = {
    PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
    CLIENT_INFO_META_KEY: _CLIENT,
    CLIENT_CAPABILITIES_META_KEY: {},
}


async def fixed_answers() -> JsonObject:
    """Return the results of both eras: of the handshake, `server/discover` and the lists, by toolset.

    The application behind the server has nothing in it, so an answer that depended on one would fail here.
    """
    toolsets: JsonObject = {}
    for toolset in TOOLSETS:
        empty = cast("ApplicationLike", SimpleNamespace(manager=SimpleNamespace(events=None), classes=None))
        server = build_server(empty, toolset)
        hello = {"protocolVersion": LATEST_HANDSHAKE_VERSION, "capabilities": {}, "clientInfo": _CLIENT}
        initialize, *legacy = await _ask(server, {"initialize": hello, **{name: {} for name in _LISTS}})
        modern = {"_meta": _ENVELOPE}
        discover, *lists = await _ask(server, dict.fromkeys(("server/discover", *_LISTS), modern))
        del initialize["protocolVersion"]
        cached = {key: value for key, value in lists[0].items() if key not in legacy[0]}
        assert lists == [{**plain, **cached} for plain in legacy], "the eras list the same"
        toolsets[toolset] = {
            "initialize": initialize,
            "discover": discover,
            "cached": cached,
            "lists": dict(zip(_LISTS, legacy, strict=True)),
        }
    return {"handshakeProtocols": list(HANDSHAKE_PROTOCOL_VERSIONS), "toolsets": toolsets}


async def _ask(server: Server[Any], requests: JsonObject) -> list[JsonObject]:
    """Return the results as they go over the wire."""
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    results: list[JsonObject] = []
    async with to_server, from_server, anyio.create_task_group() as tasks:
        tasks.start_soon(server.run, incoming, outgoing, server.create_initialization_options())
        for method, params in requests.items():
            await to_server.send(SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=1, method=method, params=params)))
            answer = (await from_server.receive()).message
            results.append(answer.model_dump(mode="json", by_alias=True, exclude_unset=True)["result"])
        tasks.cancel_scope.cancel()
    return results
