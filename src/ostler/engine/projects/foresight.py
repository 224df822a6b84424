"""What of an `up` is known to fail before anything is started: all of it at once, each at its line of `ostler.yaml`."""

from collections.abc import Iterator, Mapping, Sequence

import anyio
from msgspec.structs import replace

from ostler.engine.clock import in_turns
from ostler.engine.manager import ServiceManager
from ostler.engine.projects.changes import Change, ChangeKind, changes_of, removals_of
from ostler.engine.projects.scope import ProjectScope
from ostler.model.errors import ConflictError, Finding, ManifestError, NotFoundError, OstlerError, TemplateError
from ostler.model.json import JsonObject, JsonValue, KeyPath
from ostler.model.late_patterns import late_pattern
from ostler.model.manifest import ServiceClass
from ostler.rules.calls.arguments import as_meant, value_problems
from ostler.rules.templates.template import optional_names, referenced_names, render
from ostler.rules.text.findings import by_place, dotted
from ostler.rules.text.work_budget import bounded_work


async def refuse_foreseen(scope: ProjectScope, wanted: Sequence[str], manager: ServiceManager) -> None:
    """Refuse an `up` of `wanted`, before it does anything, if something of it is known to fail.

    What depends on what other services will make, such as outputs and folders, shows when they have made it.

    Raises:
        ManifestError: with every finding.
    """
    changes = await changes_of(scope, wanted, manager)
    found = await foreseen(scope, changes, manager)
    if findings := by_place(finding for findings in found.values() for finding in findings):
        error = ManifestError(findings, what=scope.loaded.file)
        error.add("nothing was started, stopped or changed")
        raise error


async def forewarned(
    scope: ProjectScope, changes: Sequence[Change], manager: ServiceManager, *, starts: bool
) -> list[Change]:
    """Return `changes` with those as impossible that an `up` of all of them would refuse; `starts`: see `foreseen`."""
    found = await foreseen(scope, changes, manager, starts=starts)

    def seen(change: Change) -> Change:
        findings = found.get(change.name, ()) if change.kind is not ChangeKind.IMPOSSIBLE else ()
        reason = "; ".join(finding.message for finding in findings)
        return replace(change, kind=ChangeKind.IMPOSSIBLE, reason=reason) if reason else change

    return list(map(seen, changes))


async def foreseen(
    scope: ProjectScope, changes: Sequence[Change], manager: ServiceManager, *, starts: bool = True
) -> dict[str, list[Finding]]:
    """Return by service what of `changes`, and of all that they need, is known to fail.

    Args:
        scope: the project.
        changes: what is to be done.
        manager: what runs.
        starts: consider this machine, too: folders, programs and ports.
    """
    known = {change.name: change for change in changes if change.kind is not ChangeKind.REMOVE}
    found = {name: list(scope.faults.get(name, ())) for name in known}
    doubtful = [name for name in known if not found[name] and _is_doubtful(scope, name, known)]
    plain = await in_turns(_is_plain(scope, name, manager, known) for name in doubtful)
    if unclear := [name for name, is_plain in zip(doubtful, plain, strict=True) if not is_plain]:
        found |= await _faults_of_files(scope, unclear, manager, known)
    for name, needed in _ends_that_never_come(scope, manager, known):
        text = f"{needed!r} never completes: its class {scope.services[needed].class_name!r} has no 'completed'"
        fix = "write 'started' or 'healthy', or use a class of jobs, such as job"
        found[name].append(_finding(scope, ("services", name, "dependsOn", needed), text, fix))
    for name, other, port in _ports_asked_twice(scope, manager, known):
        text = f"port {port} is asked for by {other!r} and {name!r}"
        found[name].append(_finding(scope, ("services", name, "args", "port"), text, _OWN_PORT))

    async def foresee(name: str) -> None:
        if (error := await _failure_of_start(scope, name, manager, known)) is not None:
            fix = "; ".join(error.next_actions[:1])
            found[name].append(_finding(scope, ("services", name), f"{name!r} cannot start: {error.summary}", fix))

    async with anyio.create_task_group() as group:
        for name, change in known.items():
            if starts and change.kind is not ChangeKind.KEEP and not found[name]:
                group.start_soon(foresee, name)
    return found


_OUTPUT = late_pattern(r"\{\{ *services\.(?P<service>\w+)\.outputs\.(?P<output>\w+) *\}\}")
_DOUBTFUL = (ChangeKind.UNKNOWN, ChangeKind.IMPOSSIBLE)
_OWN_PORT = "leave the port out: each service gets its own and keeps it"


def _finding(scope: ProjectScope, path: KeyPath, message: str, fix: str = "") -> Finding:
    line, column = scope.loaded.document.locate(path)
    return Finding(message, scope.loaded.file, line, column, path=dotted(path), fix=fix)


def _is_doubtful(scope: ProjectScope, name: str, changes: Mapping[str, Change]) -> bool:
    """Whether it is not known that a service can be made: it cannot be, or takes what is still to come."""
    kind = changes[name].kind
    if kind is ChangeKind.KEEP:
        return False
    still_open = set(_open_needs(scope, name, changes))
    return kind in _DOUBTFUL or not still_open.isdisjoint(_services_named(dict(scope.written(name))))


def _open_needs(scope: ProjectScope, name: str, changes: Mapping[str, Change]) -> list[str]:
    """Return what service `name` needs that `up` changes first."""
    return [other for other in scope.needs(name) if changes[other].kind is not ChangeKind.KEEP]


# -- the file, and the files that it names -----------------------------------------------------------------


def _is_plain(scope: ProjectScope, name: str, manager: ServiceManager, changes: Mapping[str, Change]) -> bool:
    """Whether a service's part of the file is right for certain: all that is open in it are variables that are outputs.

    Most are. To load the check of the rest and to make it takes 20 ms of CPU, which the first program would wait for.
    """
    service_class, written = _class_of(scope, name, manager), scope.written(name)
    if service_class is None or changes[name].kind is ChangeKind.IMPOSSIBLE:
        return False
    specs, still_open = service_class.spec.args, set(_open_needs(scope, name, changes))
    if not written["args"].keys() <= specs.keys() or _services_named(written["args"]) & still_open:
        return False
    if not all(_is_output(scope, name, value, manager) for value in written["env"].values() if _services_named(value)):
        return False
    wrong, fitting = _rendered_alone(scope, name, manager, changes)
    required = (key for key, spec in specs.items() if spec.required and not spec.has_default)
    return not wrong and all(dotted(("services", name, "args", key)) in fitting for key in required)


def _is_output(scope: ProjectScope, name: str, value: JsonValue, manager: ServiceManager) -> bool:
    """Whether a variable of service `name` is an output that a service that it needs will have."""
    found = _OUTPUT.fullmatch(value) if isinstance(value, str) else None
    if found is None or found["service"] not in scope.needs(name):
        return False
    service_class = _class_of(scope, found["service"], manager)
    return service_class is not None and found["output"] in service_class.config.outputs


async def _faults_of_files(
    scope: ProjectScope, doubtful: Sequence[str], manager: ServiceManager, changes: Mapping[str, Change]
) -> dict[str, list[Finding]]:
    """Return by service what is wrong with its part of the file, as `ostler check` finds it."""
    from ostler.rules.loading.project_check import check_project  # noqa: PLC0415 (first starts that need none load none)

    classes = {entry.name: entry.service_class for entry in manager.classes.get_all()}
    checked = [
        each
        for each in check_project(scope.loaded, None, classes, doubtful)
        if each.severity == "error" and each.rule != "never-true"
    ]

    def faults(name: str) -> list[Finding]:
        exact, fitting = _rendered_alone(scope, name, manager, changes)
        static = [each for each in checked if _is_within(each.path, dotted(("services", name)))]
        static = [each for each in static if not any(_is_within(each.path, part) for part in (*fitting, *exact))]
        both = [*static, *(finding for findings in exact.values() for finding in findings)]
        if changes[name].kind is ChangeKind.IMPOSSIBLE and not both:
            return [_finding(scope, ("services", name), changes[name].reason)]
        return both

    return dict(zip(doubtful, await in_turns(map(faults, doubtful)), strict=True))


def _is_within(path: str, whole: str) -> bool:
    return path == whole or path.startswith((f"{whole}.", f"{whole}["))


def _rendered_alone(
    scope: ProjectScope, name: str, manager: ServiceManager, changes: Mapping[str, Change]
) -> tuple[dict[str, list[Finding]], set[str]]:
    """Return what is wrong with the parts of service `name` that need nothing that is still to come, and what fits.

    The parts are single args and variables, named by their paths.
    """
    names, still_open = scope.template_names(name, manager), set(_open_needs(scope, name, changes))
    wrong: dict[str, list[Finding]] = {}
    fitting: set[str] = set()
    for kind, parts in scope.written(name).items():
        for key, value in parts.items():
            if _services_named(value) & still_open:
                continue
            path: KeyPath = ("services", name, kind, key)
            try:
                with bounded_work():
                    rendered: JsonObject = render({key: value}, names)
            except TemplateError as error:
                wrong[dotted(path)] = [_finding(scope, path, error.summary)]
                continue
            service_class = _class_of(scope, name, manager)
            spec = service_class.spec.args.get(key) if service_class is not None and kind == "args" else None
            if spec is None or rendered.get(key) is None:
                continue
            if problems := list(value_problems(key, spec, as_meant(spec, rendered[key]))):
                wrong[dotted(path)] = [_finding(scope, path, problem) for problem in problems]
            else:
                fitting.add(dotted(path))
    return wrong, fitting


def _services_named(value: JsonValue) -> set[str]:
    named = referenced_names(value) | optional_names(value)
    return {path[1] for path in named if path[0] == "services" and len(path) > 1}


def _class_of(scope: ProjectScope, name: str, manager: ServiceManager) -> ServiceClass | None:
    try:
        return manager.classes.get(scope.services[name].class_name).service_class
    except NotFoundError:
        return None


def _ends_that_never_come(
    scope: ProjectScope, manager: ServiceManager, changes: Mapping[str, Change]
) -> Iterator[tuple[str, str]]:
    """Yield each service that waits for the end of one that is not a job, and that one."""
    for name, change in changes.items():
        for needed, need in scope.services[name].depends_on.items():
            if change.kind is ChangeKind.KEEP or need.condition != "completed":
                continue
            if (found := _class_of(scope, needed, manager)) is not None and found.config.completed is None:
                yield name, needed


# -- the machine -------------------------------------------------------------------------------------------


def _ports_asked_twice(
    scope: ProjectScope, manager: ServiceManager, changes: Mapping[str, Change]
) -> Iterator[tuple[str, str, int]]:
    """Yield each service that asks for a port of an earlier one, that one, and the port, once they are known."""
    taken: dict[tuple[str, int], str] = {}
    for name, change in changes.items():
        value = scope.services[name].args.get("port")
        if value is None or change.kind is ChangeKind.KEEP or _is_doubtful(scope, name, changes):
            continue
        args = scope.request(name, manager).args
        port = str(args.get("port", 0)).strip()
        if port.isdecimal() and int(port):
            place = str(args.get("host", "")), int(port)
            if place in taken:
                yield name, taken[place], int(port)
            taken.setdefault(place, name)


async def _failure_of_start(
    scope: ProjectScope, name: str, manager: ServiceManager, changes: Mapping[str, Change]
) -> OstlerError | None:
    """Return why the start of a service is known to fail, such as a port that another program holds."""
    error = manager.unavailable(scope.services[name].class_name)
    if error is not None or _open_needs(scope, name, changes) or _is_doubtful(scope, name, changes):
        return error
    error = await manager.foresee(scope.request(name, manager))
    if isinstance(error, ConflictError) and error.holders:
        gone = {change.full_name for change in changes.values() if change.kind is ChangeKind.REPLACE}
        gone |= {change.full_name for change in removals_of(scope, manager)}
        if not gone.isdisjoint(error.holders):  # it may be free by then
            return None
    return error
