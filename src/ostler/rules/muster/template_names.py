"""What the names in a muster manifest's templates are called in Ostler's."""

import difflib
from collections.abc import Collection, Mapping

from msgspec import Struct

from ostler.model.json import JsonMapping
from ostler.rules.checking.names import METADATA_KEYS, RESERVED_NAMES, STEPS
from ostler.rules.muster.jinja import Name

_MUSTERS = frozenset({"name", "serviceClassName", "args", "service", "start", "stop", "restart"})
"""Names that muster itself gave, over args of the same name."""

_HINTS: Mapping[str, str] = {
    "timestamp": "there is no time in templates; leave it out, and give the name yourself when you create",
    "execution_time": "there is no time in templates; take it from a tool's output",
    "input": "'.input' is of workflows; write the arg's name alone, as in {{ .port }}",
    "results": "'.results' is of workflows; outputs of the start tool are {{ .start.name }}",
    "context": "'.context' is of workflows; outputs of the start tool are {{ .start.name }}",
    "vars": "'.vars' is of workflows; write the arg's name alone",
    "Values": "'.Values' is Helm's; write the arg's name alone",
}
_DEPENDENCY_KEYS = ("outputs", "name", "state")


class ManifestNames(Struct, frozen=True):
    """The names of one manifest.

    Attributes:
        args: the specification of each arg.
        outputs: the names of the outputs that each step takes from its tool's answer.
        dependencies: how a template may call each dependency → its alias.
        is_open: the class declares no args, so that it takes any.
        used: (step, output) of every output that a template named; filled by `resolve`.
    """

    args: Mapping[str, JsonMapping]
    outputs: Mapping[str, frozenset[str]]
    dependencies: Mapping[str, str] = {}
    is_open: bool = False
    used: set[tuple[str, str]] = set()

    @property
    def names(self) -> Collection[str]:
        """Every name that means something at the root."""
        return {*self.args, *RESERVED_NAMES}

    def resolve(self, path: tuple[str, ...]) -> Name | str:
        """Return what `.path` is in Ostler, or `message; fix`."""
        root, rest = path[0], path[1:]
        if root in _MUSTERS:
            of_that_name = self._output(root, ()) if not rest and root in ("service", *STEPS) else None
            return of_that_name or self._musters(root, rest)
        if root in self.args:
            return self._arg(root, rest)
        if root == "dependencies":
            return self._dependency(rest)
        found = self._output(root, rest) or self._of_service(root, rest)
        if found is None and root in STEPS and rest:
            found = self._step(root, rest)
        if found is None and root in ("outputs", "env", "response"):
            found = Name(path, is_optional=True)
        if found is None and self.is_open and root not in STEPS:
            return Name(("args", *path), is_optional=True)
        return self._unknown(root) if found is None else found

    def _musters(self, root: str, rest: tuple[str, ...]) -> Name | str:
        match root:
            case "name":
                return Name(("name", *rest))
            case "serviceClassName":
                return Name(("service", "class", *rest))
            case "args":
                return self._of_args(rest)
            case "service":
                return self._service(rest)
            case _:
                return self._step(root, rest)

    def _of_args(self, rest: tuple[str, ...]) -> Name | str:
        if not rest:
            return Name(("args", "args") if "args" in self.args else ("args",))
        if self.is_open:
            return Name(("args", *rest), is_optional=True)
        return self._arg(rest[0], rest[1:], explicit=True) if rest[0] in self.args else self._unknown(rest[0])

    def _arg(self, arg: str, rest: tuple[str, ...], *, explicit: bool = False) -> Name:
        spec = self.args[arg]
        optional = bool(rest) or not (spec.get("required") is True or "default" in spec)
        path = ("args", arg) if explicit or arg in RESERVED_NAMES else (arg,)
        return Name((*path, *rest), is_optional=optional, kind="" if rest else str(spec.get("type", "")))

    def _service(self, rest: tuple[str, ...]) -> Name | str:
        if rest[:1] == ("metadata",) and len(rest) > 1 and rest[1] not in METADATA_KEYS:
            found = self._output(rest[1], rest[2:])
            if found is None:
                return f"'.service.metadata.{rest[1]}' is not an output of a tool; declare it under start.outputs"
            return found
        if rest[:1] == ("serviceClassName",):
            rest = ("class", *rest[1:])
        return Name(("service", *rest))

    def _step(self, step: str, rest: tuple[str, ...]) -> Name | str:
        if not rest:
            return Name((step,), is_late=step != "start")
        if rest[0] not in self.outputs.get(step, ()) and step == "start":
            # muster kept the outputs of every tool under `start`
            return self._output(rest[0], rest[1:]) or self._undeclared(step, rest[0])
        if step == "start":
            return self._output(rest[0], rest[1:], first=step) or Name((step, *rest))
        self.used.add((step, rest[0]))
        return Name((step, *rest), is_late=True)

    def _output(self, name: str, rest: tuple[str, ...], *, first: str = "start") -> Name | None:
        """Return the output `name` of whichever step takes it; what restart renews is under `start` too."""
        steps = [step for step in (first, "restart", *self.outputs) if name in self.outputs.get(step, ())]
        if not steps:
            return None
        self.used.add((steps[0], name))
        return Name((steps[0], name, *rest), is_optional=bool(rest), is_late=steps[0] != "start")

    def _dependency(self, rest: tuple[str, ...]) -> Name | str:
        if not rest:
            return Name(("dependencies",))
        alias = self.dependencies.get(rest[0]) or self.dependencies.get(rest[0].replace("-", "_"))
        if alias is None:
            known = ", ".join(sorted(set(self.dependencies.values())))
            fix = f"; known: {known}" if known else "; name it under serviceConfig.dependencies"
            return f"'.dependencies.{rest[0]}' is not one of the dependencies{fix}"
        if len(rest) > 1 and rest[1] not in _DEPENDENCY_KEYS:
            rest = (rest[0], "outputs", *rest[1:])
        return Name(("dependencies", alias, *rest[1:]), is_optional=True)

    def _of_service(self, root: str, rest: tuple[str, ...]) -> Name | None:
        """`.service_id` and `.service_session_id`, which the documentation shows: the output, else the service's id."""
        if not root.startswith("service_"):
            return None
        name = root.removeprefix("service_")
        wanted = (_plain(name), f"service{_plain(name)}")
        for output in sorted(self.outputs.get("start", ())):
            if _plain(output) in wanted:
                return self._output(output, rest)
        return Name(("service", name)) if name in ("id", "name") and not rest else None

    def _undeclared(self, step: str, name: str) -> str:
        known = sorted(self.outputs.get(step, ()))
        close = difflib.get_close_matches(name, known, n=1)
        fix = f"did you mean '.{step}.{close[0]}'?" if close else f"declare it under {step}.outputs"
        return f"'.{step}.{name}' is not an output of a tool; {fix}"

    def _unknown(self, root: str) -> str:
        if root in _HINTS:
            return f"'.{root}' is not known here; {_HINTS[root]}"
        known = sorted({*self.args, *(name for names in self.outputs.values() for name in names)})
        close = difflib.get_close_matches(root, known, n=1)
        fix = f"did you mean '.{close[0]}'?" if close else f"known: name, {', '.join(known)}" if known else ""
        return f"'.{root}' is neither an arg nor an output of a tool; {fix}"


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
