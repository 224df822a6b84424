"""A first ServiceClass from the tools of a server: certain parts are written, for others a question is asked."""

from collections.abc import Sequence

from ostler.model.errors import DefinitionError
from ostler.model.label_names import label_of
from ostler.rules.drafts.class_writer import Alternative, ClassWriter, Draft
from ostler.rules.drafts.lifecycle_pairs import LifecyclePair, find_pairs, find_step, said_pair
from ostler.rules.drafts.lifecycle_words import words_of
from ostler.rules.drafts.tool_traits import Step, Tool
from ostler.rules.text.work_budget import WorkSpentError, bounded_work

MAX_TOOL_NAME = 256
"""Characters; the protocol recommends 128 at most."""

NAMED = 3
"""How many other pairs a question names."""

DRAFT_SECONDS = 5.0
"""Processor time that the search for a pair may take: that of 100 tools takes 0.1 s, and most servers have fewer."""

_SHOWN = 8


def draft_class(server: str, tools: Sequence[Tool], *, name: str = "", start: str = "", stop: str = "") -> Draft:
    """Return a class drafted from the tools of `server`.

    Args:
        server: its name in mcp.json.
        tools: its tools.
        name: the class's name; empty for one made from the server and the thing.
        start: the tool that starts, when the likeliest is not the right one; a use of it is `tool(action=value)`.
        stop: the tool that stops. With both given, they are taken as they are.

    Raises:
        DefinitionError: no tools belong together as start and stop; it says what there is.
    """
    tools = [tool for tool in tools if len(tool.name) <= MAX_TOOL_NAME]
    for what, wanted in (("start", start), ("stop", stop)):
        if wanted and find_step(tools, wanted) is None:
            raise _unknown_tool(server, tools, what, wanted)
    if start and stop:
        chosen, others = _said(tools, start, stop), list[LifecyclePair]()
    else:
        try:
            with bounded_work(DRAFT_SECONDS):
                chosen, others = _likeliest(server, tools, start, stop)
        except WorkSpentError:
            raise _too_many(server, tools) from None
    rivals = [] if start or stop else [str(pair) for pair in others if chosen.rivals(pair)][:NAMED]
    writer = ClassWriter(server, chosen, name or _class_name(server, chosen.thing), rivals)
    shown = tuple(Alternative(str(pair.start), str(pair.stop), pair.reason) for pair in others[:_SHOWN])
    return writer.draft(shown)


def _likeliest(
    server: str, tools: Sequence[Tool], start: str, stop: str
) -> tuple[LifecyclePair, Sequence[LifecyclePair]]:
    """Return the likeliest pair, with one of its tools if that is named, and the others."""
    pairs = find_pairs(tools)
    wanted = pairs if not start and not stop else find_pairs(tools, records=True)
    fitting = [pair for pair in wanted if _is_meant(pair.start, start) and _ends(pair, stop)]
    if not fitting:
        raise _no_pair(server, tools, start, stop)
    chosen = fitting[0] if not stop or _is_meant(fitting[0].stop, stop) else _said(tools, str(fitting[0].start), stop)
    return chosen, [pair for pair in pairs if str(pair.start) != str(chosen.start)]


def _is_meant(step: Step, wanted: str) -> bool:
    return not wanted or wanted in (str(step), step.tool.name)


def _ends(pair: LifecyclePair, stop: str) -> bool:
    return _is_meant(pair.stop, stop) or stop in pair.others


def _said(tools: Sequence[Tool], start: str, stop: str) -> LifecyclePair:
    """Return the pair that a person said; of a tool that chooses by an action, the use that is likeliest."""
    try:
        with bounded_work(DRAFT_SECONDS):
            found = find_pairs(tools, records=True)
    except WorkSpentError:
        found = []
    likely = next((pair for pair in found if _is_meant(pair.start, start) and _is_meant(pair.stop, stop)), None)
    if likely is not None:
        return likely
    first, last = find_step(tools, start), find_step(tools, stop)
    assert first is not None, "looked up before"
    assert last is not None, "looked up before"
    return said_pair(tools, first, last)


def _unknown_tool(server: str, tools: Sequence[Tool], what: str, wanted: str) -> DefinitionError:
    names = ", ".join(tool.name for tool in tools[:40]) or "none"
    return DefinitionError(
        f"server {server!r} has no pair of tools with {what}={wanted!r}: it has no such tool (tools: {names})",
        next_actions=(f"give {what} the name of one of its tools",),
    )


def _too_many(server: str, tools: Sequence[Tool]) -> DefinitionError:
    return DefinitionError(
        f"server {server!r} has {len(tools)} tools, and to weigh all pairs of them takes more than "
        f"{DRAFT_SECONDS:g} s of processor time",
        next_actions=("name both: start=TOOL and stop=TOOL are taken as they are",),
    )


def _no_pair(server: str, tools: Sequence[Tool], start: str, stop: str) -> DefinitionError:
    if start or stop:
        what, other = ("start", "stop") if start else ("stop", "start")
        return DefinitionError(
            f"no tool of server {server!r} looks as if it belongs to {what}={start or stop!r}",
            next_actions=(f"name both: {what}={start or stop} and {other}=TOOL are taken as they are",),
        )
    names = ", ".join(tool.name for tool in tools[:40]) or "none"
    nearest = find_pairs(tools, records=True)[:NAMED]
    records = "; ".join(map(str, nearest))
    note = f"; {records} look like records, which do not run, or only pause things" if records else ""
    asked = [
        f'serviceclass_draft {{"server": "{server}", "start": "{pair.start}", "stop": "{pair.stop}"}} if that runs'
        + (f" ({pair.reason})" if pair.reason else "")
        for pair in nearest
    ]
    return DefinitionError(
        f"no two tools of server {server!r} look as if one starts and the other stops a thing (tools: {names}){note}",
        next_actions=(
            *asked,
            "name them, if there are such tools: start=TOOL and stop=TOOL are taken as they are",
            "or do it once with tool_call; then serviceclass_draft without a server drafts from these calls",
        ),
    )


def _class_name(server: str, thing: str) -> str:
    known = words_of(server)
    words = [word for word in thing.split() if word not in known] or thing.split()
    return label_of("-".join([server, *words]), "drafted")
