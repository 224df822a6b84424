"""Required args of a class that a create lacks: the person is asked for them, if the client can ask."""

import json

from ostler.adapters.serving.asking import Outcome, Person, Question
from ostler.engine.services.views import CreateRequest
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError
from ostler.model.json import JsonObject
from ostler.model.manifest import ArgSpec

_GAVE_NONE = (
    "the client was asked for it and gave none; in a run without a person, clients do so unasked: "
    "pass it if you know it, else ask the person"
)
_SIMPLE = ("string", "integer", "number", "boolean")


async def missing_args(
    app: ApplicationLike, request: CreateRequest, error: ArgumentError, person: Person
) -> JsonObject:
    """Return the args of `request` with those that a person adds; nothing else may be wrong with it.

    Secrets are never asked for, because forms are shown to models and kept by clients, and neither are lists and
    objects, which forms do not have.

    Raises:
        ArgumentError: `error` itself, if no one can be asked or nothing was given.
        InputNeededError: the reply comes with the repeated call.
    """
    if not error.missing or len(error.missing) != len(error.problems):
        raise error
    specs = app.classes.get(request.class_name).service_class.spec.args
    wanted = {name: specs[name] for name in error.missing}
    if any(spec.secret or spec.type not in _SIMPLE for spec in wanted.values()):
        raise error
    names = ", ".join(wanted)
    what = f"service {request.name!r} of class" if request.name else "a new service of class"
    question = Question(
        f"args {request.class_name}",
        f"What {'is' if len(wanted) == 1 else 'are'} {names} for {what} {request.class_name}?",
        {name: _field(name, spec) for name, spec in wanted.items()},
        tuple(wanted),
    )
    reply = await person.ask(question)
    match reply.outcome:
        case Outcome.UNAVAILABLE:
            raise error
        case Outcome.ACCEPTED:
            given = {name: value for name, value in reply.content.items() if name in wanted and value is not None}
            return {**request.args, **given}
        case Outcome.DECLINED | Outcome.DISMISSED:
            raise ArgumentError(
                error.problems,
                missing=error.missing,
                next_actions=(*error.next_actions, _GAVE_NONE),
            )


def _field(name: str, spec: ArgSpec) -> JsonObject:
    """Return an argument as the field of a form; choices are texts there, which stand for their values."""
    field: JsonObject = {"type": spec.type, "title": name}
    if described := "; ".join(part for part in (spec.description, _pattern(spec)) if part):
        field["description"] = described
    if spec.enum:
        field |= {"type": "string", "enum": [item if isinstance(item, str) else json.dumps(item) for item in spec.enum]}
    for key in ("minimum", "maximum"):
        if (limit := getattr(spec, key)) is not None and spec.type in ("integer", "number"):
            field[key] = limit
    return field


def _pattern(spec: ArgSpec) -> str:
    return f"must match {spec.pattern}" if spec.pattern else ""
