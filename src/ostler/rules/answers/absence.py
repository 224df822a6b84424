"""Whether an answer that misses its expectation proves that the thing is gone: a fact, not a failed probe."""

import re
from collections.abc import Iterator

from ostler.model.errors import ExtractionError
from ostler.model.json import JsonValue
from ostler.model.manifest import Expectation
from ostler.model.responses import ToolResponse
from ostler.rules.answers.extraction import find_in_response
from ostler.rules.text.equality import loosely_equal

_GONE = frozenset(
    {
        "absent", "closed", "completed", "crashed", "dead", "deleted", "destroyed", "does not exist", "ended", "exited",
        "expired", "finished", "gone", "inactive", "killed", "missing", "no such container", "not found", "not running",
        "removed", "shut down", "shutdown", "stopped", "terminated",
    }
)  # fmt: skip
"""States, in many servers' words, of what does not run any more. What may come back without a start (`restarting`,
`paused`, `unhealthy`) is not among them."""

_LEAVING = frozenset(
    {
        "closing", "deleting", "draining", "ending", "exiting", "halting", "in progress", "killing", "pending deletion",
        "removing", "shutting down", "shuttingdown", "shutdown pending", "stop pending", "stopping", "terminating",
        "tearing down", "winding down",
    }
)  # fmt: skip
"""States, in many servers' words, of what is about to be gone and is not yet."""

_PRESENCE = re.compile(r"(?:^|[._])(?:is_?)?(?:running|alive|exists?|found|present|active)$", re.IGNORECASE)
"""Paths whose `false` says that there is nothing."""

_OUT_OF_REACH = re.compile(
    r"""
    ^\W*(?:\w*(?:error|exception)\W+)*                           # "Error: ", "ConnectionError: "
    (?:
        (?:failed|unable|could\ not|couldn.t|cannot|can.t|can\ not)\ (?:to\ )?(?:connect|reach|contact)\b
      | (?:the\ )?(?:connection|request|operation|command)\ (?:was\ )?(?:refused|reset|timed\ out|aborted)\b
      | (?:unauthori[sz]ed|forbidden|permission\ denied|access\ denied|too\ many\ requests|rate\ limit)\b
      | (?:service\ unavailable|internal\ server\ error|bad\ gateway|gateway\ time-?out)\b
      | (?:http|status)\W*(?:code\W*)?(?:401|403|429|5\d\d)\b
      | (?:401|403|429|5\d\d)\W+(?:unauthori[sz]ed|forbidden|too\ many|internal|bad\ gateway|service\ un|gateway)
    )
  | \b(?:ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EAI_AGAIN)\b
  | \bconnection\ refused\b
  | \bis\ the\ (?:\w+\ )?daemon\ running\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""How servers say, often with `isError: false`, that they could not ask what they stand in front of."""

_LONGEST_COMPLAINT = 600
"""Characters of a text that is nothing but a complaint; logs, which may have such words, are longer."""

_SEPARATORS = re.compile(r"[\s_-]+")


def proves_absence(response: ToolResponse, expect: Expectation | None) -> bool:
    """Return whether an answer that misses `expect` says that what was asked about is not there.

    - A tool that failed proves it only where the class says what its success means (`expect: {success: …}`), and
      gave a reason: a proxy whose server is gone fails without one.
    - Whoever could not ask proves nothing: `Failed to connect to …`.
    - A value at a missed `jsonPath` proves it when it is a word for an end, such as `exited` or `not_found`, or the
      `false` of a path such as `running` or `exists`.
    - A text that misses `contains` or `matches` proves it when all of it is such a word.

    Everything else may be a passing trouble, which thresholds are for.
    """
    if is_out_of_reach(response):
        return False
    if response.is_error:
        return expect is not None and expect.success is not None and not response.is_silent
    if expect is None:
        return False
    if any(_is_end(found) or (found is False and _PRESENCE.search(path)) for path, found in _missed(response, expect)):
        return True
    return bool(expect.contains or expect.matches) and _is_end(response.text)


def is_out_of_reach(response: ToolResponse) -> bool:
    """Return whether an answer says nothing but that what was to be asked could not be asked."""
    text = response.text
    match response.value:
        case {"error": str(error)}:
            text = error
        case dict() | list():
            return False
        case _:
            pass
    return len(text) <= _LONGEST_COMPLAINT and _OUT_OF_REACH.search(text) is not None


def is_empty(response: ToolResponse) -> bool:
    """Return whether a success says nothing at all: an empty list of many servers, but also what they did not do."""
    return not response.is_error and not response.content and response.value is None


def is_leaving(response: ToolResponse, expect: Expectation | None) -> bool:
    """Return whether an answer that misses `expect` says that what was asked about is on its way out."""
    if response.is_error or expect is None:
        return False
    if any(_is_among(_LEAVING, found) for _, found in _missed(response, expect)):
        return True
    return bool(expect.contains or expect.matches) and _is_among(_LEAVING, response.text)


def _missed(response: ToolResponse, expect: Expectation) -> Iterator[tuple[str, JsonValue]]:
    """Yield the paths at which an answer has another value than the one expected, with that value."""
    for path, wanted in (expect.json_path or {}).items():
        try:
            found = find_in_response(response, path)
        except ExtractionError:
            continue
        if not loosely_equal(found, wanted):
            yield path, found


def _is_end(value: JsonValue) -> bool:
    return _is_among(_GONE, value)


def _is_among(words: frozenset[str], value: JsonValue) -> bool:
    return isinstance(value, str) and _SEPARATORS.sub(" ", value.strip().rstrip(".!…").lower()) in words
