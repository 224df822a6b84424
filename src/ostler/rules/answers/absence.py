"""Whether an answer that misses its expectation proves that the thing is gone: a fact, not a failed probe."""

import re
from collections.abc import Iterator, Sequence
from typing import cast

from ostler.model.errors import ExtractionError
from ostler.model.json import JsonMapping, JsonValue
from ostler.model.late_patterns import late_pattern
from ostler.model.manifest import Expectation
from ostler.model.responses import ToolResponse
from ostler.rules.answers.expectations import listed, mentions
from ostler.rules.answers.extraction import find_in_response
from ostler.rules.text.equality import loosely_equal
from ostler.rules.text.missing import says_missing
from ostler.rules.text.statements import RUNS, denies, is_sentence

_GONE = frozenset(
    {
        "absent", "closed", "completed", "crashed", "dead", "deleted", "destroyed", "does not exist", "ended", "exited",
        "expired", "finished", "gone", "inactive", "killed", "missing", "no such container", "not found", "not running",
        "removed", "shut down", "shutdown", "stopped", "terminated",
    }
)  # fmt: skip
"""States, in many servers' words, of what does not run any more. What may come back without a start (`restarting`,
`paused`, `unhealthy`) is not among them."""

_GONE_FROM_RUNNING = frozenset(
    {
        "aborted", "canceled", "cancelled", "complete", "done", "down", "errored", "exit", "failed", "fatal",
        "no longer running", "not started", "off", "offline", "succeeded", "unloaded",
    }
)  # fmt: skip
"""States that mean an end where something was expected to run; of a health they would mean something else."""

_GONE_FOR_SURE = _GONE - {"completed", "finished", "closed"}
"""Those that are not said of a question, either, that has been answered."""

_LEAVING = frozenset(
    {
        "closing", "deleting", "draining", "ending", "exiting", "halting", "in progress", "killing", "pending deletion",
        "removing", "shutting down", "shuttingdown", "shutdown pending", "stop pending", "stopping", "terminating",
        "tearing down", "winding down",
    }
)  # fmt: skip
"""States, in many servers' words, of things that are about to be gone."""

_COMING = frozenset(
    {
        "booting", "connecting", "creating", "initializing", "launching", "loading", "pending", "preparing",
        "provisioning", "queued", "restarting", "scheduled", "starting", "waiting",
    }
)  # fmt: skip
"""States, in many servers' words, of things that do not exist yet."""

_PRESENCE = late_pattern(r"(?:^|[._])(?:is_?)?(?:running|alive|exists?|found|present|active)$", re.IGNORECASE)
"""Paths whose `false` says that there is nothing."""

_LIFE = late_pattern(r"(?:is_?)?(?:running|alive|exists)", re.IGNORECASE)
"""Those among them that mean nothing else; `active` may be the one of several that is in use."""

_ENDED_WHERE = late_pattern(
    r"(?:^|[._])(?:exit_?(?:code|status)|return_?code|(?:ended|exited|finished|stopped|terminated)_?at|term_?signal)$",
    re.IGNORECASE,
)
"""Paths that have a value only once something has ended."""

_EQUALITY = late_pattern(r"\s*(?P<path>[\w.]+)\s*==\s*(?:'(?P<raw>[^']*)'|`\"?(?P<literal>[^`\"]*)\"?`)\s*")
"""`state == 'running'`: what a JMESPath says that could as well be a `jsonPath`."""

_STATUS_LINE = late_pattern(
    r"^\W*(?:(?:current|process|job)\s)?(?:status|state)\W*[:=]\W*(?P<word>[^\n]{1,80})$",
    re.IGNORECASE | re.MULTILINE,
)
"""`Status: exited` in a text."""

_MORE_OF_IT = late_pattern(r"\s*(?:[(\[,;:]|\b(?:with|by|at|after|on|since)\b|\s-\s).*", re.DOTALL)
"""What follows a word for an end: `exited (code 1)`, `terminated by SIGKILL`."""

_OUT_OF_REACH = late_pattern(
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
"""How servers say, often with `isError: false`, that they could not reach what they are a front for."""

_LABEL = late_pattern(r"[\w #:=\"'-]*$")
"""What an expectation has directly before the service's id, such as the `PID: ` of `PID: 4711`."""

_EMPTY_LIST = late_pattern(
    r"\W*(?:there\ are\ |you\ have\ |currently\ )?no(?!\ (?:access|permissions|credentials|success)\b)"
    r"(?:\ [\w-]+){0,3}?\ (?:\w{2,}s|\w+\ (?:found|running|active))(?:\ (?:found|running|active|yet|currently))?\W*",
    re.IGNORECASE,
)
"""How servers say that a list is empty: `No active sessions`."""

_LONGEST_COMPLAINT = 600
"""Characters of a text that is nothing but a complaint; logs, which may have such words, are longer."""

_SEARCHED = 20_000
"""Characters of a text in which a status is looked for."""

_SEPARATORS = late_pattern(r"[\s_-]+")


def proves_absence(response: ToolResponse, expect: Expectation | None) -> bool:
    """Return whether an answer that misses `expect` says that the service does not exist.

    - A tool that failed proves it only where the class says what its success means (`expect: {success: …}`), and
      gave a reason: a proxy whose server is gone fails without one.
    - Whoever could not ask proves nothing: `Failed to connect to …`.
    - A value at a missed `jsonPath` (or at `path == 'value'` of a `jmespath`) proves it when it is a word for an end,
      such as `exited` or `not_found`, also with more behind it: `exited (code 1)`; words such as `failed`, without a
      complaint, where `running` or the like was expected; the `false` of a path such as `running` or `exists`; a value
      where none was expected at one such as `exitCode`.
    - A text that misses `contains` or `matches` proves it when all of it is such a word, or its one line `Status: …`.
      A sentence that misses `contains: running` or `matches: running`, or the like, also does when it ends with denying
      that: `web is not running`.

    Everything else may be a passing trouble, which thresholds are for.
    """
    if is_out_of_reach(response):
        return False
    if response.is_error:
        return expect is not None and expect.success is not None and not response.is_silent
    if expect is None:
        return False
    may_be_failure = _complains(response.value)
    for path, wanted, found in _missed(response, expect):
        if _shows_end(path, wanted, found) and not (may_be_failure and str(found).lower() == "failed"):
            return True
    if not (expect.contains or expect.matches):
        return False
    said = response.text.strip()
    return (
        (is_sentence(said) and any(denies(said, *place) for place in mentions(expect, said)))
        or _is_among(_GONE, said)
        or _is_among(_GONE, status_in(said))
    )


def _shows_end(path: str, wanted: JsonValue, found: JsonValue) -> bool:
    if found is False:
        return _PRESENCE.search(path) is not None
    if wanted is None:
        return found is not None and _ENDED_WHERE.search(path) is not None
    if not isinstance(found, str):
        return False
    word = _MORE_OF_IT.sub("", found) or found
    return _is_among(_GONE, word) or (_is_among(RUNS, wanted) and _is_among(_GONE_FROM_RUNNING, word))


def _complains(value: JsonValue) -> bool:
    """Return whether an answer has a message, so that its `failed` may be about the question."""
    match value:
        case {"error": str(said)} | {"message": str(said)}:
            return bool(said)
        case _:
            return False


def status_in(text: str) -> str:
    """Return the status that a line of a text states; empty if none does, or several do."""
    found = [match["word"] for match in _STATUS_LINE.finditer(text[:_SEARCHED])]
    return _MORE_OF_IT.sub("", found[0].strip("*_` ")) if len(found) == 1 else ""


def is_list_without(
    response: ToolResponse, expect: Expectation | None, args: JsonMapping, identifiers: Sequence[str]
) -> bool:
    """Return whether an answer that misses `expect` is a list, in words, that has everything but the service.

    It is where the expectation names the service, and the call does not: so all services were asked for. A list says
    that it is empty, or has of others what the expectation has directly before the service's id. No other text is one:
    a server that cannot look may say so in any words.

    Args:
        response: the answer.
        expect: as rendered, `PID: 4711` say.
        args: of the call.
        identifiers: what names the service: its name, and what its start tool returned.
    """
    if response.is_error or expect is None or is_out_of_reach(response):
        return False
    asked, text = " ".join(map(str, args.values())), response.text
    labels: list[str] = []
    for wanted in (*listed(expect.contains), *listed(expect.matches)):
        for one in identifiers:
            if len(one) > 1 and (place := wanted.find(one)) >= 0:
                if one in asked or one in text:
                    return False
                labels += [label[0].strip() for label in _LABEL.finditer(wanted[:place])]
    return bool(labels) and (
        _EMPTY_LIST.fullmatch(text) is not None or any(label and label in text for label in labels)
    )


def is_said_missing(response: ToolResponse, args: JsonMapping, identifiers: Sequence[str]) -> bool:
    """Return whether an answer that misses its expectation says in words that the service is gone.

    That is a state such as `exited`, `alive: false`, or a sentence about the service.

    Args:
        response: the answer; a tool that failed proves nothing.
        args: of the call; one of `identifiers` is among their values.
        identifiers: what names the service: its name, and what its start tool returned.
    """
    asked = {str(value) for value in args.values()}
    names = [name for name in identifiers if name in asked]
    if response.is_error or not names or is_out_of_reach(response):
        return False
    text = response.text
    match response.value:
        case {"error": str(said)} | {"message": str(said)} | {"detail": str(said)} | {"result": str(said)}:
            text = said
        case _:
            pass
    return _has_gone_state(response) or any(says_missing(text, name) for name in names)


def _has_gone_state(response: ToolResponse) -> bool:
    """Return whether an answer has a state of something that has ended, or `false` for running."""
    if not isinstance(response.value, dict):
        return _is_among(_GONE_FOR_SURE, status_in(response.text))
    facts = cast("JsonMapping", response.value)
    state = next((facts[key] for key in ("state", "status") if isinstance(facts.get(key), str)), "")
    if _is_among(_COMING | _LEAVING, state):
        return False
    word = _MORE_OF_IT.sub("", str(state)) or state
    lives = {item for key, item in facts.items() if _LIFE.fullmatch(key) and isinstance(item, bool)}
    return lives == {False} or (not lives and _is_among(_GONE_FOR_SURE, word))


def is_out_of_reach(response: ToolResponse) -> bool:
    """Return whether an answer says only that the status could not be read."""
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
    """Return whether a success says nothing: an empty list of many servers, but also a call without effect."""
    return not response.is_error and not response.content and response.value is None


def is_leaving(response: ToolResponse, expect: Expectation | None) -> bool:
    """Return whether an answer that misses `expect` says that the service is about to be gone."""
    if response.is_error or expect is None:
        return False
    if any(_is_among(_LEAVING, found) for _, _, found in _missed(response, expect)):
        return True
    if not (expect.contains or expect.matches):
        return False
    return _is_among(_LEAVING, response.text) or _is_among(_LEAVING, status_in(response.text))


def is_coming(response: ToolResponse, expect: Expectation | None) -> bool:
    """Return whether an answer that misses `expect` says that the service is still starting."""
    if response.is_error or expect is None:
        return False
    found = [said for _, _, said in _missed(response, expect)]
    if expect.contains or expect.matches:
        found += [response.text, status_in(response.text)]
    return any(_is_among(_COMING, said) for said in found)


def is_of_other_kind(response: ToolResponse, expect: Expectation | None) -> bool:
    """Return whether an answer that misses `expect` says nothing, or is a text where a key of JSON was expected."""
    if response.is_error or expect is None:
        return False
    has_keys = bool(expect.json_path) or any("@" not in expression for expression in listed(expect.jmespath))
    return is_empty(response) or (has_keys and not isinstance(response.value, dict | list))


def says_another_state(response: ToolResponse, expect: Expectation) -> bool:
    """Return whether an answer that misses `expect` says that there is nothing, or that it is coming or going."""
    if _EMPTY_LIST.fullmatch(response.text) or proves_absence(response, expect) or is_leaving(response, expect):
        return True
    found = [said for _, _, said in _missed(response, expect)]
    return any(_is_among(_COMING, said) for said in (*found, response.text, status_in(response.text)))


def _missed(response: ToolResponse, expect: Expectation) -> Iterator[tuple[str, JsonValue, JsonValue]]:
    """Yield the paths at which an answer has another value than the one expected, with both values."""
    for path, wanted in ((expect.json_path or {}) | _equalities(expect)).items():
        try:
            found = find_in_response(response, path)
        except ExtractionError:
            continue
        if not loosely_equal(found, wanted):
            yield path, wanted, found


def _equalities(expect: Expectation) -> dict[str, JsonValue]:
    found = filter(None, map(_EQUALITY.fullmatch, listed(expect.jmespath)))
    return {match["path"]: match["raw"] if match["raw"] is not None else match["literal"] for match in found}


def _is_among(words: frozenset[str], value: JsonValue) -> bool:
    return isinstance(value, str) and _SEPARATORS.sub(" ", value.strip().rstrip(".!…").lower()) in words
