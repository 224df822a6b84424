"""What is known to fail in an `up` before anything is started: all of it at once, each at its line of `ostler.yaml`."""

from collections.abc import Collection, Iterator, Sequence

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
from ostler.rules.loading.projects import LoadedProject, hopeless_needs, ports_asked_twice
from ostler.rules.templates.template import optional_names, referenced_names, render
from ostler.rules.text.findings import Violation, by_place, dotted

UNTOUCHED = "nothing was started, stopped or changed"
"""What the error of a refused `up` says of the rest."""


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
        error.add(UNTOUCHED)
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
    """Return what is known to fail in `changes` and in all that they need, by service.

    Args:
        scope: the project.
        changes: what is to be done.
        manager: what runs.
        starts: consider this machine, too: folders, programs and ports.
    """
    return await _Foresight(scope, changes, manager).all_of(starts=starts)


def faults_of_classes(
    loaded: LoadedProject, manager: ServiceManager, only: Collection[str] | None = None
) -> list[Finding]:
    """Return what in a project's file, or in its services `only`, does not fit the classes, as in `ostler check`."""
    from ostler.rules.loading.project_check import check_project  # noqa: PLC0415 (first starts that need none load none)

    classes = {entry.name: entry.service_class for entry in manager.classes.get_all()}
    found = check_project(loaded, None, classes, only)
    return [each for each in found if each.severity == "error" and each.rule != "never-true"]


_OUTPUT = late_pattern(r"\{\{ *services\.(?P<service>\w+)\.outputs\.(?P<output>\w+) *\}\}")
_DOUBTFUL = (ChangeKind.UNKNOWN, ChangeKind.IMPOSSIBLE)


class _Foresight:
    """What is known to fail among the changes of a project."""

    def __init__(self, scope: ProjectScope, changes: Sequence[Change], manager: ServiceManager) -> None:
        self._scope = scope
        self._manager = manager
        self._changes = {change.name: change for change in changes if change.kind is not ChangeKind.REMOVE}
        self._moving: set[str] = set()
        """What is changed, and what needs that, directly or not: only then is it as it will be."""
        for name, change in self._changes.items():  # which come after what they need
            if change.kind is not ChangeKind.KEEP or not self._moving.isdisjoint(scope.needs(name)):
                self._moving.add(name)
        needs = [(user, name) for user in self._changes for name in scope.needs(user)]
        self._optional = {name for _, name in needs} - {name for user, name in needs if scope.is_required(user, name)}
        """What all that need it can do without: it may fail."""

    async def all_of(self, *, starts: bool) -> dict[str, list[Finding]]:
        """See `foreseen`."""
        found = {name: list(self._scope.faults.get(name, ())) for name in self._changes}
        doubtful = list(filter(self._is_doubtful, self._changes))
        plain = await in_turns(map(self._is_plain, doubtful))
        if unclear := [name for name, is_plain in zip(doubtful, plain, strict=True) if not is_plain]:
            for name, faults in (await self._faults_of_files(unclear)).items():
                found[name] += faults
        for each in self._wrong_between_services():
            found[str(each.path[1])].append(self._finding(each.path, each.message, each.fix))

        async def foresee(name: str) -> None:
            if (error := await self._failure_of_start(name)) is not None:
                fix = "; ".join(error.next_actions[:1])
                text = f"{name!r} cannot start: {error.summary}"
                found[name].append(self._finding(("services", name), text, fix))

        async with anyio.create_task_group() as group:
            for name in self._changes if starts else ():
                if not self._is_kept(name) and not found[name] and name not in self._optional:
                    group.start_soon(foresee, name)
        return found

    def _wrong_between_services(self) -> Iterator[Violation]:
        """Yield each wait for an end that never comes, and each port that two services ask for."""
        project = self._scope.loaded.project
        for name in [name for name in self._changes if not self._is_kept(name)]:
            for each in hopeless_needs(name, project, self._class_called):
                if self._scope.is_required(name, str(each.path[-1])):
                    yield each
        yield from ports_asked_twice({name: self._address(name) for name in project.services if name in self._changes})

    def _address(self, name: str) -> JsonObject:
        """Return the `host` and `port` among the args of service `name`; empty if they are still to come."""
        args = self._scope.written(name)["args"]
        address = {key: args[key] for key in ("host", "port") if key in args}
        if "port" not in address or self._takes_what_is_open(name, address):
            return {}
        try:
            return render(address, self._scope.template_names(name, self._manager))
        except TemplateError:  # shown at its line
            return {}

    def _finding(self, path: KeyPath, message: str, fix: str = "") -> Finding:
        line, column = self._scope.loaded.document.locate(path)
        return Finding(message, self._scope.loaded.file, line, column, path=dotted(path), fix=fix)

    def _is_kept(self, name: str) -> bool:
        return self._changes[name].kind is ChangeKind.KEEP

    def _is_doubtful(self, name: str) -> bool:
        """Whether it is not known that a service can be made: it cannot be, or takes what is still to come."""
        if self._is_kept(name):
            return False
        return self._changes[name].kind in _DOUBTFUL or self._takes_what_is_open(name, dict(self._scope.written(name)))

    def _takes_what_is_open(self, name: str, value: JsonValue) -> bool:
        """Whether the templates in `value`, a part of service `name`, take outputs that are still to come."""
        return not self._moving.isdisjoint(_services_named(value).intersection(self._scope.needs(name)))

    # -- the file, and the files that it names ---------------------------------------------------------------

    def _is_plain(self, name: str) -> bool:
        """Whether a service's part of the file is certainly right: only variables are open in it, and are outputs.

        Most are so. To load and make the check of the rest takes 20 ms of CPU, which the first program would wait for.
        """
        service_class, written = self._class_of(name), self._scope.written(name)
        if service_class is None or self._changes[name].kind is ChangeKind.IMPOSSIBLE:
            return False
        specs = service_class.spec.args
        if not written["args"].keys() <= specs.keys() or self._takes_what_is_open(name, written["args"]):
            return False
        if not all(self._is_output(name, value) for value in written["env"].values() if _services_named(value)):
            return False
        wrong, fitting = self._rendered_alone(name)
        required = (key for key, spec in specs.items() if spec.required and not spec.has_default)
        return not wrong and all(dotted(("services", name, "args", key)) in fitting for key in required)

    def _is_output(self, name: str, value: JsonValue) -> bool:
        """Whether a variable of service `name` is an output that a service that it needs will have."""
        found = _OUTPUT.fullmatch(value) if isinstance(value, str) else None
        if found is None or found["service"] not in self._scope.needs(name):
            return False
        service_class = self._class_of(found["service"])
        return service_class is not None and found["output"] in service_class.config.outputs

    async def _faults_of_files(self, doubtful: Sequence[str]) -> dict[str, list[Finding]]:
        """Return by service what is wrong with its part of the file, as `ostler check` finds it."""
        checked = faults_of_classes(self._scope.loaded, self._manager, doubtful)

        def faults(name: str) -> list[Finding]:
            exact, fitting = self._rendered_alone(name)
            static = [each for each in checked if _is_within(each.path, dotted(("services", name)))]
            static = [each for each in static if not any(_is_within(each.path, part) for part in (*fitting, *exact))]
            both = [*static, *(finding for findings in exact.values() for finding in findings)]
            if self._changes[name].kind is ChangeKind.IMPOSSIBLE and not both and not self._scope.faults.get(name):
                return [self._finding(("services", name), self._changes[name].reason)]
            return both

        return dict(zip(doubtful, await in_turns(map(faults, doubtful)), strict=True))

    def _rendered_alone(self, name: str) -> tuple[dict[str, list[Finding]], set[str]]:
        """Return what is wrong with the parts of service `name` that need nothing that is still to come, and what fits.

        The parts are single args and variables, named by their paths.
        """
        names, service_class = self._scope.template_names(name, self._manager), self._class_of(name)
        wrong: dict[str, list[Finding]] = {}
        fitting: set[str] = set()
        for kind, parts in self._scope.written(name).items():
            for key, value in parts.items():
                if self._takes_what_is_open(name, value):
                    continue
                path: KeyPath = ("services", name, kind, key)
                try:
                    rendered: JsonObject = render({key: value}, names)
                except TemplateError as error:
                    wrong[dotted(path)] = [self._finding(path, error.summary)]
                    continue
                spec = service_class.spec.args.get(key) if service_class is not None and kind == "args" else None
                if spec is None or rendered.get(key) is None:
                    continue
                if problems := list(value_problems(key, spec, as_meant(spec, rendered[key]))):
                    wrong[dotted(path)] = [self._finding(path, problem) for problem in problems]
                else:
                    fitting.add(dotted(path))
        return wrong, fitting

    def _class_of(self, name: str) -> ServiceClass | None:
        return self._class_called(self._scope.services[name].class_name)

    def _class_called(self, name: str) -> ServiceClass | None:
        try:
            return self._manager.classes.get(name).service_class
        except NotFoundError:
            return None

    # -- the machine -----------------------------------------------------------------------------------------

    async def _failure_of_start(self, name: str) -> OstlerError | None:
        """Return why the start of a service is known to fail, such as a port that another program holds."""
        error = self._manager.unavailable(self._scope.services[name].class_name)
        if error is not None or not self._moving.isdisjoint(self._scope.needs(name)):
            return error
        try:
            request = self._scope.request(name, self._manager)
            if self._changes[name].kind is ChangeKind.START and self._manager.difference(request):
                return None  # it is shared, and started as another checkout made it
        except OstlerError:  # what it takes has changed since
            return None
        error = await self._manager.foresee(request)
        if isinstance(error, ConflictError) and error.holders:
            gone = {change.full_name for change in self._changes.values() if change.kind is ChangeKind.REPLACE}
            gone |= {change.full_name for change in removals_of(self._scope, self._manager)}
            if not gone.isdisjoint(error.holders):  # it may be free by then
                return None
        return error


def _services_named(value: JsonValue) -> set[str]:
    named = referenced_names(value) | optional_names(value)
    return {path[1] for path in named if path[0] == "services" and len(path) > 1}


def _is_within(path: str, whole: str) -> bool:
    return path == whole or path.startswith((f"{whole}.", f"{whole}["))
