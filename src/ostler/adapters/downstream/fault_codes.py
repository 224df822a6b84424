"""The names of faults that Ostler's transports write into `data["ostler"]` of the JSON-RPC errors they make up."""

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ostler.model.json import JsonValue, as_object

if TYPE_CHECKING:
    from mcp.shared.exceptions import MCPError


class Fault(StrEnum):
    """What happened to a request that the server did not answer itself."""

    AUTH_REQUIRED = "auth_required"
    """The server answered 401 or 403."""
    NOT_SENT = "not_sent"
    """It certainly did not reach the server."""
    LOST = "lost"
    """The connection broke while it was under way."""
    SESSION_GONE = "session_gone"
    """The server does not know this session any more, and did nothing."""
    HTTP_FAULT = "http_fault"
    """An HTTP error that says nothing in JSON-RPC."""
    TOO_LARGE = "too_large"
    """The answer passed the size limit and was dropped."""
    INPUT_REQUIRED = "input_required"
    """The tool asks its client for something that Ostler declines to give."""


OWN_FAULT: Final = "ostler_fault"
"""Extension of an answer that no server gave: the fault that it reports, and why."""

TOO_LARGE_MARK: Final = "is larger than the limit of"
"""Part of an HTTP answer's fault when its body passed the limit (the SDK keeps only the text)."""

LOST_MARK: Final = "the connection broke while the answer was read"
"""Part of an HTTP answer's fault when its body broke off."""


def fault_of(error: "MCPError") -> Fault | None:
    """Return the fault that `error` stands for, or None when the server (or the SDK) wrote the error."""
    data: JsonValue = error.data
    kind = as_object(data).get("ostler")
    return Fault(kind) if isinstance(kind, str) and kind in Fault.__members__.values() else None
