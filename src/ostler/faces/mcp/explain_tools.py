"""The tool that explains a service: causes, last calls, and what to send next, in at most 800 tokens."""

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from ostler.adapters.serving.answers import Answer, clipped
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.engine.insight.explanation import Explanation, NextCall, PastCall, explain, is_noteworthy
from ostler.engine.instances.compensation import CREATE_AGAIN, start_again
from ostler.faces.client_facts import current_client
from ostler.faces.mcp import shapes
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.service_tools import ServiceNameArgs, next_call, next_line
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.events import Event, EventKind
from ostler.model.json import JsonObject, present
from ostler.rules.secrets.masking import shorten

MAX_BYTES = 3_200
"""Bytes of the whole answer, facts and text: 800 tokens."""

_OPERATIONS = 3
_EVENTS = 60
"""Events of a service that is gone in which its end and its last failure are looked for."""

_GONE_TEXT = 600
"""Characters of a failure of a service that is gone."""
_SHORTER = ((400, 5), (240, 4), (160, 3), (100, 2), (60, 1), (40, 0))
"""(characters of a text, past calls) to try until the answer is short enough."""


async def service_explain(app: ApplicationLike, args: ServiceNameArgs, call: Call) -> Answer:
    """Say why a service is as it is, or why one is gone."""
    service = app.manager.registry.find(args.name)
    if service is None:
        gone = _gone(app, args.name, call.now())
        if gone is not None:
            return gone
        service = app.manager.registry.get(args.name)
    history = await app.manager.history(args.name, limit=_OPERATIONS)
    found = explain(service, app.manager.registry, app.pool, history)
    shown = _shown(found, call.now(), *_SHORTER[0])
    for limit, calls in _SHORTER[1:]:
        if _size(shown) <= MAX_BYTES:
            break
        shown = _shown(found, call.now(), limit, calls)
    return shown


def _gone(app: ApplicationLike, name: str, now: datetime) -> Answer | None:
    """Return why the service `name` is gone, and what had failed before; None when nothing is known of it."""
    project = app.projects.directory.project_of(current_client().directory)
    departed = app.manager.find_removed(name)
    names = [name, *([f"{name}.{project}"] if project else []), *([departed.name] if departed is not None else [])]
    for each in dict.fromkeys(names):
        events = list(reversed(app.manager.events.read(service=each, newest=True, limit=_EVENTS).events))
        deleted = next((event for event in events if event.kind is EventKind.SERVICE_DELETED), None)
        if deleted is not None:
            return _gone_shown(each, events, deleted, now, has_log=departed is not None)
    return None


def _gone_shown(name: str, events: Sequence[Event], deleted: Event, now: datetime, *, has_log: bool) -> Answer:
    """Return the last life of a service that was deleted, from its events, newest first."""
    life = [event for event in events if event.cursor < deleted.cursor]
    born = next((event.cursor for event in life if event.kind is EventKind.SERVICE_CREATED), 0)
    life = [event for event in life if event.cursor > born]
    began = next((e.message for e in life if e.kind is EventKind.OPERATION_BEGAN and e.data["kind"] == "delete"), "")
    why = began.partition(": ")[2]
    causes = [f"{name} was deleted {shapes.age(deleted.at, now)} ago" + (f": {why}" if why else "")]
    failed = (e for e in life if e.kind is EventKind.OPERATION_ENDED and e.data.get("outcome") == "failed")
    again = start_again(name)
    causes += [clipped(event.message.replace(again, CREATE_AGAIN), _GONE_TEXT) for event in islice(failed, 2)]
    called = [event for event in life if event.kind is EventKind.TOOL_CALLED]
    past: list[JsonObject] = [
        {
            "step": event.data["step"],
            "tool": event.data["tool"],
            "outcome": "failed" if event.data.get("isError") else "answered",
            "at": shapes.timestamp(event.at),
        }
        for event in called[:_OPERATIONS]
    ]
    tools = {"service_logs": "shows what it printed"} if has_log else {}
    tools |= {"service_events": "shows what happened to it"}
    steps = [NextCall(tool, {"name": name}, when) for tool, when in tools.items()]
    following = list(map(next_call, steps))
    structured: JsonObject = {"name": name, "state": "deleted", "causes": causes, "nextCalls": following}
    lines = [f"{name}: deleted", *(f"- {cause}" for cause in causes)]
    lines += [f"{item['at']} {item['step']}: {item['tool']} {item['outcome']}" for item in past]
    lines += map(next_line, steps)
    return Answer({**structured, **present({"lastCalls": past})}, "\n".join(lines))


def _size(shown: Answer) -> int:
    text = json.dumps(shown.structured, ensure_ascii=False) + shown.text
    return len(text.encode("utf-8", "surrogatepass"))


def _shown(found: Explanation, now: datetime, limit: int, calls: int) -> Answer:
    view = found.view
    causes = [clipped(cause, limit) for cause in found.causes[:6]]
    steps = found.next_calls[:5]
    following = list(map(next_call, steps))
    past = [_past(item, limit) for item in found.calls[:calls]]
    structured: JsonObject = {
        "name": view.name,
        "state": view.state.value,
        "health": view.health.value,
        "causes": causes,
        **present({"question": clipped(found.question, limit), "lastCalls": past, "nextCalls": following}),
    }
    health = shapes.health_text(view, now)
    lines = [f"{view.name}: {view.state.value} for {shapes.age(view.state_since, now)}, health {health}"]
    lines += [f"- {cause}" for cause in causes if not (found.question and found.question in cause)]
    lines += [_past_line(item) for item in past]
    if found.question:
        lines.append(f"Question: {clipped(found.question, limit)}")
    lines += map(next_line, steps)
    return Answer(structured, "\n".join(lines))


def _past(item: PastCall, limit: int) -> JsonObject:
    call = item.call
    facts: JsonObject = {
        "operation": item.operation,
        "step": call.step,
        "tool": call.tool,
        "outcome": call.outcome.value,
        "at": shapes.timestamp(call.sent_at),
    }
    if is_noteworthy(call):
        facts |= present({"args": shorten(call.args, limit), "error": clipped(call.error, limit)})
    return facts


def _past_line(item: JsonObject) -> str:
    step = item["step"] if item["operation"] == item["step"] else f"{item['operation']} ({item['step']})"
    line = f"{item['at']} {step}: {item['tool']} {item['outcome']}"
    line += f" {json.dumps(item['args'], ensure_ascii=False)}" if "args" in item else ""
    return f"{line}: {item['error']}" if "error" in item else line


EXPLAIN_TOOLS = (
    ToolDefinition(
        "service_explain",
        "Explain a service",
        "Why a service is failed, waiting, unknown or held, and what to call next.",
        ServiceNameArgs,
        answer("name state health question causes:strings lastCalls:objects nextCalls:objects"),
        Effect.READS,
        service_explain,
    ),
)
