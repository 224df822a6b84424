"""Where a stop takes the id from that says which thing it ends: an arg, the service's name, or the start's answer."""

import re

from msgspec import Struct

from ostler.model.json import JsonObject, JsonValue
from ostler.rules.checking.identity import is_identifier
from ostler.rules.drafts.answer_fields import AnswerField, answer_fields
from ostler.rules.drafts.argument_drafts import arg_name, arg_schema
from ostler.rules.drafts.data_flow import regex_for, scalars_in
from ostler.rules.drafts.lifecycle_pairs import LifecyclePair
from ostler.rules.drafts.lifecycle_words import plain_words, squeezed, words_of
from ostler.rules.drafts.pair_evidence import MAKERS
from ostler.rules.text.manifest_text import quoted

_ID = ("id", "uuid", "uid", "pid")


class AnswerSource(Struct, frozen=True):
    """How a value is taken from the start's answer.

    Attributes:
        name: what the class calls the output.
        spec: the output as YAML.
        is_guess: nothing says that the answer has it there.
    """

    name: str
    spec: str
    is_guess: bool = False


def named_parameter(pair: LifecyclePair) -> str:
    """Return the parameter of start that takes the thing's own name, which is the service's; '' when there is none."""
    thing = {*pair.thing.split(), "name"}
    parameters = pair.start.tool.parameters()
    for name, schema in parameters.items():
        words = words_of(name)
        if words and words[-1] == "name" and set(words) <= thing and _is_text(schema):
            return name
    # an id that callers may choose, and stop takes: it is the service's name, unless the answer gives another
    handle = pair.handle
    is_own = pair.start.tool is not pair.stop.tool
    is_made = handle not in pair.start.needed() or bool(MAKERS & set(pair.start.saying))
    chosen = is_own and handle in parameters and is_made and is_identifier(handle)
    if (
        chosen
        and _is_text(parameters[handle])
        and answer_field(pair) is None
        and not re.search(r"\bexisting\b|\bpid\b|uuid", f"{handle} {pair.start.description_of(handle)}", re.IGNORECASE)
    ):
        return handle
    return ""


def answer_field(pair: LifecyclePair) -> AnswerField | None:
    """Return the field of the start's answer that is the handle, as far as the list or recorded answers say so."""
    fields = answer_fields(pair.start.tool)
    wanted = squeezed(pair.handle)
    exact = [each for each in fields if squeezed(each.name) == wanted]
    if exact:
        return exact[0]
    things = {squeezed(f"{pair.thing.split()[-1]}{word}") for word in _ID} if pair.thing else set[str]()
    if not is_identifier(pair.handle) and not set(words_of(pair.handle)) <= set(pair.thing.split()):
        return None
    near = [each for each in fields if squeezed(each.name) in things or squeezed(each.name).endswith(wanted)]
    plain = [each for each in fields if each.name.lower() in _ID]
    return next(iter([*near, *plain]), None)


def answer_source(pair: LifecyclePair) -> AnswerSource:
    """Return how the handle is taken from the start's answer: by its schema, recorded answers, or its name."""
    name = arg_name(pair.handle)
    kind = arg_schema(pair.stop.tool.parameters().get(pair.handle)).get("type")
    is_number = kind in ("integer", "number")
    found = answer_field(pair)
    if found is not None:
        typed = is_number and found.kind == "string"
        return AnswerSource(name, f"{{path: {found.path}, type: integer}}" if typed else path_text(found.path))
    typed_text = ", type: integer" if is_number else ""
    seen = _seen_pattern(pair)
    if seen:
        return AnswerSource(name, f"{{regex: {quoted(seen)}{typed_text}}}")
    pattern = handle_pattern(pair.handle, pair.thing, is_number=is_number)
    return AnswerSource(name, f"{{regex: {quoted(pattern)}{typed_text}}}", is_guess=True)


def path_text(path: str) -> str:
    """Return a JMESPath expression as YAML."""
    return path if re.fullmatch(r"[A-Za-z_][\w.]*", path) else quoted(path)


def _seen_pattern(pair: LifecyclePair) -> str:
    """Return a regular expression for the handle by recorded answers: a later call used what the start said."""
    used: list[JsonValue] = []
    for answer in pair.stop.tool.answers:
        used += [value for _, key, value in scalars_in(answer.args) if key == pair.handle]
    for answer in pair.start.tool.answers:
        for value in used:
            if answer.is_error or not isinstance(value, str | int) or value in answer.args.values():
                continue
            if answer.text.strip() == str(value):
                return r"\A\s*(?P<value>\S+)\s*\Z"
            found = regex_for(answer.text, value, "value")
            if found:
                return found
    return ""


def handle_pattern(handle: str, thing: str, *, is_number: bool = False) -> str:
    """Return a regular expression that takes the value after its name, in JSON as in prose (`PID 4711`).

    Args:
        handle: the parameter's name, such as `branchId`.
        thing: what it is of, so that a bare `id` is found as `Branch ID` too.
        is_number: it is a whole number; of pages and tabs, the number of the chosen line of a list is taken too
            (`2: … [selected]`).
    """
    words = [re.escape(word) for word in plain_words(handle) or [handle]]
    short = words[-1]
    name = "[ _-]?".join(words)
    if len(words) == 1 and thing:
        name = f"(?:{'[ _-]?'.join(re.escape(word) for word in thing.split())}[ _-]?)?{short}"
        if short not in _ID:
            # "session: 12", but also "Session ID: 12"
            name += "(?:[ _-]?id)?"
    elif len(words) > 1:
        # the short name alone only where it belongs to nothing else: "id", but not the one of "Project ID"
        # ("Connection opened: 4f1c" and "New session: %1" have their own words for the thing)
        noun = re.escape(thing.rsplit(maxsplit=1)[-1]) if thing and short in _ID else ""
        made = rf"|{noun} \w+ed(?=: )|(?:new|created|opened|started|spawned) {noun}(?=: )" if noun else ""
        name = f"(?:{name}|(?<![A-Za-z][ _-]){short}{made})"
    if is_number:
        is_listed = {"page", "tab", "window"} & set(thing.split())
        chosen = r"|^[-*\s]*(?=\d+: .*[(\[](?:current|selected|active)[)\]])" if is_listed else ""
        return rf"(?im)(?:\b{name}\b\W{{1,6}}|\A\s*(?=\S+\s*\Z){chosen})(?P<value>\d+)"
    # or the value is the whole answer; ids may begin with a sign of their own: $0, %3, /dev/pts/1
    return rf"(?i)(?:\b{name}\b[^\w$%/@#]{{1,6}}|\A\s*(?=\S+\s*\Z))(?P<value>[\w$%/@#][\w./:$%@#-]*(?<![.:]))"


def _is_text(schema: JsonValue) -> bool:
    known: JsonObject = arg_schema(schema)
    return known.get("type") == "string" and "enum" not in known
