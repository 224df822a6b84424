"""Which names a class's templates may use where, and which of those they use are not there."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.json import JsonObject, JsonValue, KeyPath
from ostler.model.manifest import STEPS as ALL_STEPS
from ostler.model.manifest import DependencySpec, OutputSpec, ServiceClass, ToolCallSpec
from ostler.rules.answers.responses import RESPONSE_KEYS
from ostler.rules.templates.template import (
    is_template,
    optional_names,
    referenced_names,
    template_syntax_errors,
    template_texts,
)
from ostler.rules.text.findings import Violation

CONFIG: KeyPath = ("spec", "serviceConfig")
TOOLS: KeyPath = (*CONFIG, "lifecycleTools")

STEPS = tuple(step for step in ALL_STEPS if step not in ("stopped", "delete"))
"""Steps whose outputs templates see."""

BEFORE_START = ("preStart", "start", "find")
"""Steps whose templates see nothing but the request, as the service does not exist yet."""

_WITHOUT_OUTPUTS = ("start", "find", "ready", "postStart", "stop", "stopped", "preStop")
"""Steps that are planned before the service's outputs are made."""

RESERVED_NAMES = frozenset({"args", "name", "service", "outputs", "dependencies", "env", "response", *STEPS})
"""Names with a meaning of their own, which an arg of the same name does not take."""

_SERVICE_KEYS = ("id", "name", "class", "startKey", "folder", "mark", "metadata")
METADATA_KEYS = ("labels", "owner", "purpose")
ASKED_KEYS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "logs": ("logs", ("lines", "since", "search", "newerThan")),
    "sendInput": ("input", ("text", "enter")),
}
"""Steps with a request: its name below `service`, and its keys."""

Keys: TypeAlias = "Mapping[str, Keys | None]"
"""What is below a name: its keys, or None for anything."""


class _Scope(Struct, frozen=True):
    """The names at one place.

    `unsure` are there only after the step of that name has run, `optional_args` only when the caller gives them.
    """

    names: Keys
    unsure: frozenset[str] = frozenset()
    optional_args: frozenset[str] = frozenset()


def check_names(service_class: ServiceClass) -> Iterator[Violation]:
    """Yield each template that does not parse, and each name that is unknown where it is used."""
    scopes = _Scopes(service_class)
    config = service_class.config
    yield from _shadowed(service_class)
    place: KeyPath = (*CONFIG, "defaultName")
    yield from _check(place, config.default_name, scopes.before_name())
    for index, dependency in enumerate(config.dependencies):
        place = (*CONFIG, "dependencies", index)
        value: JsonValue = dependency
        if isinstance(dependency, DependencySpec):
            value = {"name": dependency.name, "when": dependency.when, "args": dependency.args}
        yield from _check(place, value, scopes.base(with_dependencies=False))
    for step, call in service_class.tools.calls:
        name, _, index_text = step.rstrip("]").partition("[")
        place = (*TOOLS, name, *((int(index_text),) if index_text else ()))
        yield from _check_call(place, call, scopes.step(name))
    if config.leftovers is not None:
        yield from _check((*CONFIG, "leftovers", "args"), config.leftovers.args, _Scope(_LEFTOVER_NAMES))
        inspected = _Scope({**_LEFTOVER_NAMES, "item": None})
        yield from _check((*CONFIG, "leftovers", "inspectArgs"), config.leftovers.inspect_args, inspected)
    if config.completed is not None:
        completed: JsonObject = config.completed.model_dump(mode="json", by_alias=True, exclude_unset=True)
        yield from _check((*CONFIG, "completed"), completed, scopes.step("status"))
    for name, source in config.outputs.items():
        template = source.template if isinstance(source, OutputSpec) else source
        place = (*CONFIG, "outputs", name, *(("template",) if isinstance(source, OutputSpec) else ()))
        yield from _check(place, template, scopes.service_outputs())


def _check_call(path: KeyPath, call: ToolCallSpec, scope: _Scope) -> Iterator[Violation]:
    values: JsonObject = {"args": call.args}
    for keys, expectation in call.expectations():
        place = values
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = expectation.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if call.batch is not None:
        values["batch"] = {"match": call.batch.match}
    yield from _check(path, values, scope)
    answered = replace(scope, names={**scope.names, "response": dict.fromkeys(RESPONSE_KEYS)})
    for name, source in call.outputs.items():
        if isinstance(source, OutputSpec):
            yield from _check((*path, "outputs", name, "template"), source.template, answered)
        elif is_template(source):
            yield from _check((*path, "outputs", name), source, answered)


def _check(path: KeyPath, value: JsonValue, scope: _Scope) -> Iterator[Violation]:
    for inner, message, line in template_syntax_errors(value):
        text = f"the template does not parse: {message}"
        yield Violation((*path, *inner), "template-syntax", text, _syntax_fix(message), line=line)
    for inner, text in template_texts(value):
        needed, possible = referenced_names(text), optional_names(text)
        for name in sorted(needed | possible):
            found = _name_problem(name, scope, is_optional=name in possible)
            if found:
                line = next((n for n, part in enumerate(text.splitlines(), 1) if name[-1] in part), 1)
                fix = _subscript(name, scope, text) or found[1]
                yield Violation((*path, *inner), "unknown-name", found[0], fix, line=line)
            elif name in needed and (arg := _argument(name, scope)):
                message = f"the arg {arg!r} may be left out, and then this template fails"
                fix = f"write '{'.'.join(name)} | default(…)', or give the arg a default or 'required: true'"
                yield Violation((*path, *inner), "maybe-undefined", message, fix)


def _name_problem(name: tuple[str, ...], scope: _Scope, *, is_optional: bool) -> tuple[str, str] | None:
    if name[0] in scope.unsure and not is_optional:
        shown = ".".join(name)
        return (
            f"{shown!r} is only there after {name[0]} has run",
            f"write '{shown} | default(…)'",
        )
    keys: Keys | None = scope.names
    for depth, part in enumerate(name):
        if keys is None:
            return None
        if part not in keys:
            return _unknown(name[: depth + 1], keys)
        keys = keys[part]
    return None


def _subscript(name: tuple[str, ...], scope: _Scope, text: str) -> str:
    """Return how to write a name with a dash in it (Jinja2 reads only a part of it); empty if `text` has none."""
    keys: Keys | None = scope.names
    for depth, part in enumerate(name):
        if keys is None:
            return ""
        if part not in keys:
            within: Keys = keys if depth else (scope.names.get("args") or {})
            dashed = (key for key in within if not key.isidentifier() and part in re.split(r"\W+", key))
            if (meant := next((key for key in dashed if key in text), None)) is None:
                return ""
            subscripted = f"{'.'.join(name[:depth]) or 'args'}['{meant}']"
            return f"'-' subtracts in a template: write {{{{ {subscripted} }}}}, or choose a name with '_'"
        keys = keys[part]
    return ""


def _argument(name: tuple[str, ...], scope: _Scope) -> str | None:
    """Return the optional arg that `name` reaches for, if it is one."""
    root, *below = name
    arg = below[0] if root == "args" and below else root
    is_hidden = root != "args" and root in RESERVED_NAMES
    return arg if arg in scope.optional_args and not is_hidden else None


def _unknown(name: tuple[str, ...], keys: Keys) -> tuple[str, str]:
    shown, parent = ".".join(name), ".".join(name[:-1])
    what = f"{shown!r} is not known here"
    if name[0] in (*STEPS, "outputs") and len(name) == 1:
        return what, "it is made by a later step, or its tool is not in the class"
    close = difflib.get_close_matches(name[-1], list(keys), n=1)
    if close:
        return what, f"did you mean {'.'.join((*name[:-1], close[0]))!r}?"
    if name[0] == "response":
        return what, f"write 'response.value.{name[-1]}'"
    if parent in STEPS:
        return what, f"declare it under {parent}.outputs" + (f", which has: {', '.join(keys)}" if keys else "")
    return what, f"known{f' under {parent}' if parent else ''}: {', '.join(keys) or 'nothing'}"


def _syntax_fix(message: str) -> str:
    if "unexpected '.'" in message:
        return "write names without the leading dot, as in {{ port }}"
    return ""


def _shadowed(service_class: ServiceClass) -> Iterator[Violation]:
    for arg in service_class.spec.args:
        if arg in RESERVED_NAMES:
            message = f"the arg {arg!r} is only reachable as 'args.{arg}', because {arg!r} has a meaning of its own"
            yield Violation(("spec", "args", arg), "shadowed-name", message, at_key=True)


_LEFTOVER_NAMES: Keys = {"service": dict.fromkeys(("mark", "class")), "env": None}
"""What is known when no service is: `leftovers` is about the class."""


class _Scopes:
    """The names of one class at every place."""

    def __init__(self, service_class: ServiceClass) -> None:
        specs = service_class.spec.args
        args: Keys = dict.fromkeys(specs)
        self._optional = frozenset(arg for arg, spec in specs.items() if not spec.required and not spec.has_default)
        together = None if service_class.spec.additional_args else args
        self._before_name: Keys = {**args, "args": together, "env": None}
        metadata: Keys = dict.fromkeys(METADATA_KEYS)
        service: Keys = {**dict.fromkeys(_SERVICE_KEYS), "metadata": metadata}
        self._base: Keys = {**self._before_name, "name": None, "service": service}
        self._dependencies = _dependency_keys(service_class)
        self._steps: dict[str, Keys] = {
            step: dict.fromkeys(call.outputs) for step, call in service_class.tools.calls if "[" not in step
        }
        self._outputs: Keys = dict.fromkeys(service_class.config.outputs)

    def before_name(self) -> _Scope:
        return self._scope(self._before_name)

    def base(self, *, with_dependencies: bool) -> _Scope:
        return self._scope({**self._base, "dependencies": self._dependencies} if with_dependencies else self._base)

    def step(self, step: str) -> _Scope:
        names: dict[str, Keys | None] = {**self.base(with_dependencies=True).names}
        if step in BEFORE_START:
            return self._scope(names)
        if step not in _WITHOUT_OUTPUTS:
            names["outputs"] = self._outputs
        if step in ASKED_KEYS:
            about, keys = ASKED_KEYS[step]
            names["service"] = {**(names["service"] or {}), about: dict.fromkeys(keys)}
        return self._after_start(names, "ready" if step == "postStart" else "")

    def service_outputs(self) -> _Scope:
        return self._after_start(self.base(with_dependencies=True).names, "ready")

    def _after_start(self, names: Keys, done: str) -> _Scope:
        unsure = frozenset(self._steps) - {"start", done}
        return _Scope({**names, **self._steps}, unsure, self._optional)

    def _scope(self, names: Keys) -> _Scope:
        return _Scope(names, optional_args=self._optional)


def _dependency_keys(service_class: ServiceClass) -> "Keys | None":
    keys: dict[str, Keys | None] = {}
    for dependency in service_class.config.dependencies:
        alias = dependency_alias(dependency)
        if alias is None:
            return None
        keys[alias] = None
    return keys


def dependency_alias(dependency: str | DependencySpec) -> str | None:
    """Return how templates call the dependency, or None when that is only known at run time."""
    if isinstance(dependency, str):
        alias = dependency
    elif dependency.alias:
        return dependency.alias
    else:
        alias = dependency.service_class_name or dependency.name or ""
    return None if is_template(alias) else alias.replace("-", "_")
