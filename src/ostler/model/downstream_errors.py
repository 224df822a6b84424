"""The branch of the error tree for calls of downstream tools that gave no answer, and whether they reached the tool."""

from enum import StrEnum

from ostler.model.errors import OstlerError

CALLERS_LIMIT = "what the caller allows it"
"""Names the time limit of a call, in next steps, where only the caller knows what sets it."""


class Delivery(StrEnum):
    """What is known about whether a tool call reached the tool."""

    NOT_SENT = "not_sent"
    """Certainly not delivered: safe to send again."""
    REJECTED = "rejected"
    """Delivered and refused before the tool did anything (unknown tool, invalid params)."""
    AMBIGUOUS = "ambiguous"
    """Perhaps delivered: the tool may have acted."""


class DownstreamError(OstlerError):
    """A call to a downstream server gave no answer. `delivery` says whether the tool may have acted."""

    code = "downstream"
    delivery: Delivery = Delivery.NOT_SENT
    retryable = True


class ServerUnavailableError(DownstreamError):
    """The downstream server is not connected; the call was not sent."""

    code = "server_unavailable"


class ToolNotFoundError(DownstreamError):
    """The downstream server (or the tool on it) does not exist; the call was not sent."""

    code = "tool_not_found"
    retryable = False


class ToolDeniedError(DownstreamError):
    """The policy of this Ostler does not let the tool be called; the call was not sent."""

    code = "tool_denied"
    retryable = False


class SecretMissingError(DownstreamError):
    """A secret that an argument refers to cannot be looked up; the call was not sent."""

    code = "secret_missing"
    retryable = False


class ToolRejectedError(DownstreamError):
    """The downstream server refused the request itself (JSON-RPC error), before the tool ran."""

    code = "tool_rejected"
    delivery = Delivery.REJECTED
    retryable = False


class ToolTimeoutError(DownstreamError):
    """The tool did not answer in time; it may have acted."""

    code = "tool_timeout"
    delivery = Delivery.AMBIGUOUS


class ConnectionLostError(DownstreamError):
    """The connection ended while the call was under way; the tool may have acted."""

    code = "connection_lost"
    delivery = Delivery.AMBIGUOUS


class ResponseTooLargeError(DownstreamError):
    """The answer is larger than the limit and was not kept; the tool has acted."""

    code = "response_too_large"
    delivery = Delivery.AMBIGUOUS
    retryable = False


class BadResponseError(DownstreamError):
    """The answer does not follow the protocol; the tool may have acted."""

    code = "bad_response"
    delivery = Delivery.AMBIGUOUS
    retryable = False
