"""The projects of this server: `up`, `down` and `status` of the folder that a client works in, and leftovers."""

import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from msgspec.structs import replace

from ostler.adapters.process.strays import Stray, end_strays, find_strays
from ostler.adapters.projects.folders import (
    find_checkout,
    find_project,
    has_pointer,
    has_worktrees,
    is_disk,
    is_gone,
    linked_root,
    require_project,
)
from ostler.adapters.projects.journal import UpJournal
from ostler.adapters.projects.project_files import named_project, read_scope, read_variables
from ostler.adapters.regular_files import expanded
from ostler.adapters.secret_calls import SecretCalls
from ostler.engine.instances.instance import ServiceInstance, instances_in
from ostler.engine.keepers.leases import IsHeld
from ostler.engine.manager import ServiceManager
from ostler.engine.projects.changes import Change, ChangeKind, changes_of, named_services
from ostler.engine.projects.directory import Outlook, ProjectDirectory
from ostler.engine.projects.foresight import faults_of_classes, forewarned
from ostler.engine.projects.runner import ProjectReport, ProjectRunner
from ostler.engine.projects.scope import ProjectScope, as_written
from ostler.engine.protocols import Progress
from ostler.engine.services.views import PROJECT_LABEL, RENEWAL_LABEL, ProjectRef
from ostler.faces.project_runs import ProjectRuns
from ostler.faces.project_watches import ProjectWatches
from ostler.faces.projects import CALL_SECONDS, ClientFolders, Projects, ProjectStatus
from ostler.model.errors import ArgumentError, ManifestError, NotFoundError, OstlerError
from ostler.model.events import EventKind
from ostler.model.projects import PROJECT_FILE

if TYPE_CHECKING:
    from ostler.engine.keepers.leftovers import LeftoversSurvey

logger = logging.getLogger(__name__)

PRUNE_SECONDS = 60.0
"""Between looks whether the folders of projects are gone, for `autoPrune`."""


class HostedProjects(Projects):
    """Brings projects up and down, and watches their files.

    Args:
        manager: has the services.
        environment: gives what templates see as `env`, as it is then.
        journal: keeps which projects are being brought up.
        processes: the folder of the process server, to find processes that an earlier life of Ostler left.
        prunes: whether services are removed when the folder of their project is gone.
        secrets: knows the references to secrets in a project's file; without it they are refused.
    """

    def __init__(
        self,
        manager: ServiceManager,
        environment: Callable[[], Mapping[str, str]],
        journal: UpJournal | None = None,
        processes: Path | None = None,
        prunes: Callable[[], bool] = lambda: False,
        *,
        secrets: SecretCalls | None = None,
    ) -> None:
        self._manager = manager
        self._environment = environment
        self._runner = ProjectRunner(manager)
        self._watches = ProjectWatches(manager, self._bring_up)
        self._runs = ProjectRuns(manager, self._runner, journal or UpJournal(), self._watches.after)
        self._processes = processes
        self._prunes = prunes
        self._secrets = secrets
        self._clients = ClientFolders(manager.leases.look)
        self._directory = ProjectDirectory(
            manager.registry,
            lambda folder: linked_root(Path(folder)),
            lambda folder: find_project(Path(folder)) is not None,
            lambda folder, known: named_project(Path(folder), known),
        )

    def __repr__(self) -> str:
        return f"HostedProjects({self._runs!r})"

    @property
    def directory(self) -> ProjectDirectory:
        """See `Projects.directory`."""
        return self._directory

    @property
    def clients(self) -> ClientFolders:
        """See `Projects.clients`."""
        return self._clients

    def run_in(self, group: TaskGroup) -> None:
        """Let runs and watches be tasks of `group`, which outlives every client."""
        self._watches.run_in(group)
        self._runs.run_in(group, self.scope_of)
        self._began = anyio.current_time()
        self._manager.leases.hold_where(self._attended)
        if self._secrets is not None:
            self._secrets.recall_in(group, self._manager.secrets())
        group.start_soon(self._watch_all, name="ostler-project-watches")
        group.start_soon(self._prune_gone, name="ostler-project-prune")

    def _attended(self) -> IsHeld:
        """Return which services a project uses that a client works in now: their lease does not run meanwhile.

        Right after the start of the server clients may be on their way back.
        """
        early = anyio.current_time() - self._began < CALL_SECONDS

        @cache
        def seen() -> list[Outlook]:  # it reads folders: once, and only if a lease depends on it
            folders = self.clients.present()
            return [self.directory.seen_from(folder) for folder in folders if self.directory.project_of(folder)]

        def is_attended(instance: ServiceInstance) -> bool:
            labels = instance.record.labels
            if not labels.get(RENEWAL_LABEL):
                return False
            project = str(labels.get(PROJECT_LABEL, ""))
            return early or any(outlook.has(instance.name, project) for outlook in seen())

        return is_attended

    async def _watch_all(self) -> None:
        """Watch again what an earlier run of the server watched; a file with findings is watched from its next `up`."""
        for folder in set(self.directory.folders().values()):
            with suppress(OstlerError):
                self._watches.watch(await self.scope_of(folder))

    async def _bring_up(self, scope: ProjectScope, name: str) -> None:
        """Bring up one service of a project, unasked."""
        if self._runs.is_taken_down(scope.ref.directory):
            return
        _, report = await self._runs.up(scope, (name,), timeout=None, progress=_ignored)
        for error in report.failures.values():
            logger.warning("project %s is not up: %s", scope.ref.id, error)

    # -- looking -------------------------------------------------------------------------------------------

    async def scope_of(self, directory: str) -> ProjectScope:
        """See `Projects.scope_of`."""
        path = _path(directory)
        if project := self._left_at(path):
            place = self.directory.folders()[project]
            if self._is_bare(project):
                raise NotFoundError(
                    "project",
                    str(path),
                    why=f"{place} is that of a bare repository, whose worktrees share the services of {project}",
                    next_actions=("project_up in a worktree", "project_down here stops and removes what they share"),
                )
            gone = f"its {PROJECT_FILE}" if _exists(path) else "the folder"
            raise NotFoundError(
                "project",
                str(path),
                why=f"{gone} is gone, and the services of project {project} that it had are left over",
                next_actions=("project_down stops and removes them",),
            )
        folder = require_project(path)
        marked = as_written if self._secrets is None else self._secrets.marks.marked
        checked = partial(faults_of_classes, manager=self._manager)
        scope = await read_scope(folder, self.directory.folders(), self._environment(), marked, checked)
        return await self._watches.with_inputs(scope)

    def _left_at(self, path: Path) -> str:
        """Return the project that `path` lies in and whose file, or folder, is gone; empty if there is none.

        The file that is found may be that of a project around it, as for a worktree inside of its main checkout.
        """
        project = self.directory.project_of(str(path))
        if not project:
            return ""
        found, place = find_project(path), Path(self.directory.folders()[project])
        is_left = found is None or (found.directory != place and place.is_relative_to(found.directory))
        return project if is_left else ""

    def _is_bare(self, project: str) -> bool:
        """Whether `project` has what the worktrees of a bare repository share."""
        return "." not in project and has_worktrees(Path(self.directory.folders()[project]))

    async def status(self, directory: str) -> ProjectStatus:
        """See `Projects.status`."""
        path = _path(directory)
        if project := self._left_at(path):
            ref = ProjectRef(project, self.directory.folders()[project])
            return ProjectStatus(ref, self.directory.members(project), is_bare=self._is_bare(project))
        folder = find_project(path)
        try:
            scope = await self.scope_of(directory)
        except ManifestError as error:
            if (project := self.directory.project_of(str(folder.directory if folder else path))) == "":
                raise
            ref = ProjectRef(project, self.directory.folders()[project])
            file = str(folder.file) if folder else ""
            return ProjectStatus(ref, self.directory.members(project), file=file, findings=error.findings)
        names = {scope.full_name(name) for name in scope.services}
        shared = [
            service
            for name in sorted(names)
            if isinstance(service := self._manager.registry.find(name), ServiceInstance)
        ]
        own = [service for service in self.directory.members(scope.ref.id) if service.name not in names]
        changes = await self._changes(scope, named_services(scope, ()), starts=False)
        return ProjectStatus(scope.ref, [*shared, *own], changes, scope.loaded.file)

    def is_project(self, directory: str) -> bool:
        """See `Projects.is_project`."""
        if not directory:
            return False
        found = find_project(Path(directory)) if _exists(Path(directory)) else None
        return found is not None or bool(self._left_at(Path(directory)))

    async def plan(self, directory: str, names: Sequence[str]) -> tuple[ProjectScope, list[Change]]:
        """See `Projects.plan`."""
        scope = await self.scope_of(directory)
        wanted = named_services(scope, names)
        changes = await self._changes(scope, wanted, starts=True)
        return scope, changes if not names else changes[: len(wanted)]

    async def _changes(self, scope: ProjectScope, wanted: Sequence[str], *, starts: bool) -> list[Change]:
        changes = await changes_of(scope, wanted, self._manager)
        return [self._with_past(each) for each in await forewarned(scope, changes, self._manager, starts=starts)]

    def _with_past(self, change: Change) -> Change:
        """Return `change`; if the service is missing because its start failed, it says so."""
        if change.kind is not ChangeKind.CREATE or not (why := self._manager.why_not_created(change.full_name)):
            return change
        return replace(change, reason=f"{why}: service_explain {change.full_name} shows why")

    def full_name(self, name: str, folder: str) -> str:
        """See `Projects.full_name`."""
        full = self.directory.full_name(name, folder)
        registry = self._manager.registry
        if full != name or not folder or "." in name or registry.find(name) is not None:
            return full
        known = self.directory.folders()
        if name in known or registry.why_missing(name) or registry.why_removed(name):
            return name
        # Nothing has the name: what this project has not, or had, is meant, and not what another one has or had.
        found = None if (here := self.directory.project_of(folder)) else find_project(Path(folder))
        here = here or (named_project(found.directory, known) if found is not None else "")
        return f"{name}.{here}" if here else name

    async def owner_of_new(self, folder: str) -> ProjectRef | None:
        """See `Projects.owner_of_new`."""
        found = find_project(Path(folder)) if folder else None
        known = self.directory.folders()
        if folder and (project := self._left_at(Path(folder))):
            return ProjectRef(project, known[project])
        if found is None:
            return None
        if project := self.directory.project_at(str(found.directory)):
            return ProjectRef(project, str(found.directory))
        try:
            return (await read_scope(found, known, self._environment())).ref
        except ManifestError:  # a broken file keeps no one from working in its folder
            return found.refs("", known)[0]

    async def read_variables(self, directory: str, files: Sequence[str]) -> dict[str, str]:
        """See `Projects.read_variables`."""
        return await read_variables(directory, files)

    # -- acting --------------------------------------------------------------------------------------------

    async def up(
        self, directory: str, names: Sequence[str], *, timeout: float | None, progress: Progress
    ) -> tuple[ProjectScope, ProjectReport]:
        """See `Projects.up`."""
        scope = await self.scope_of(directory)
        return await self._runs.up(scope, tuple(names), timeout=timeout, progress=progress)

    async def down(
        self, directory: str, names: Sequence[str], *, timeout: float | None
    ) -> tuple[ProjectRef, ProjectReport]:
        """See `Projects.down`."""
        path = _path(directory)
        left = self._left_at(path)
        place = self.directory.folders()[left] if left else str(require_project(path).directory)
        async with self._runs.taking_down(place, whole=not names):  # an `up` may have made no service yet
            ref = ProjectRef(left or self.directory.project_at(place), place)
            return ref, await self._take_down(ref, names, timeout=timeout) if ref.id else ProjectReport()

    async def _take_down(self, ref: ProjectRef, names: Sequence[str], *, timeout: float | None) -> ProjectReport:
        declared: dict[str, str] = {}
        if names:
            with suppress(OstlerError):  # a file with mistakes, or none, keeps no one from taking down
                scope = await self.scope_of(ref.directory)
                declared = {name: scope.full_name(name) for name in scope.services}
        report = await self._runner.down(ref.id, names, declared=declared, timeout=timeout)
        if not self.directory.members(ref.id):
            self._watches.forget(ref.id)
        return report

    # -- leftovers -----------------------------------------------------------------------------------------

    def left_over(self) -> list[ProjectRef]:
        """See `Projects.left_over`."""
        known = self.directory.folders()
        shared = {folder for folder, count in Counter(known.values()).items() if count > 1}
        left: list[ProjectRef] = []
        worktrees_first = sorted(known.items(), key=lambda item: ("." not in item[0], item))  # they use what is shared
        for project, folder in worktrees_first:
            if is_gone(Path(folder) / PROJECT_FILE):
                if self._is_bare(project):
                    continue
                left.append(ProjectRef(project, folder))
            elif folder in shared and (now := named_project(Path(folder), known)) not in ("", project):
                left.append(ProjectRef(project, folder, now))
        return left

    async def _prune_gone(self) -> None:
        """Remove the services of projects whose folder was gone at two looks, if the settings say so."""
        seen: set[str] = set()
        while True:
            await anyio.sleep(PRUNE_SECONDS)
            gone = [ref for ref in self.left_over() if is_removed(ref)] if self._prunes() else []
            for ref in gone:
                if ref.id not in seen or not (self._is_left(ref) and is_removed(ref)):
                    continue
                message = f"the folder {ref.directory} of project {ref.id} is gone: its services are removed"
                self._manager.events.append(EventKind.WARNING, message=message)
                try:
                    report = await self._remove_left(ref, timeout=None)
                except OstlerError as error:  # the journal cannot be written; the next look tries again
                    logger.warning("project %s could not be removed: %s", ref.id, error)
                    continue
                for name, error in report.failures.items():
                    logger.warning("service %s of project %s could not be removed: %s", name, ref.id, error)
            seen = {ref.id for ref in gone}

    async def strays(self) -> list[Stray]:
        """See `Projects.strays`."""
        if (folder := self._processes) is None:
            return []
        return await anyio.to_thread.run_sync(lambda: find_strays(folder, services=self._service_ids))

    async def end_strays(self) -> list[Stray]:
        """See `Projects.end_strays`."""
        return [] if self._processes is None else await end_strays(self._processes, services=self._service_ids)

    async def leftovers(self) -> "LeftoversSurvey":
        """See `Projects.leftovers`."""
        return await self._manager.leftovers().find()

    async def remove_leftovers(self, *, timeout: float | None = None) -> "LeftoversSurvey":
        """See `Projects.remove_leftovers`."""
        return await self._manager.leftovers().remove_all(timeout=timeout)

    def _service_ids(self) -> frozenset[str]:
        return frozenset(service.id for service in instances_in(self._manager.registry))

    async def prune(self, *, timeout: float | None) -> list[tuple[ProjectRef, ProjectReport]]:
        """See `Projects.prune`."""
        ends = math.inf if timeout is None else anyio.current_time() + timeout
        reports: list[tuple[ProjectRef, ProjectReport]] = []
        for ref in self.left_over():
            if self._is_left(ref):
                left = None if timeout is None else max(0.0, ends - anyio.current_time())
                reports.append((ref, await self._remove_left(ref, timeout=left)))
        return reports

    def _is_left(self, ref: ProjectRef) -> bool:
        """Whether `ref` is still left over: its folder may have come back while other projects were taken down."""
        return ref in self.left_over()

    async def _remove_left(self, ref: ProjectRef, *, timeout: float | None) -> ProjectReport:
        if ref.replaced_by:  # what is under way there is another project's
            return await self._take_down(ref, (), timeout=timeout)
        async with self._runs.taking_down(ref.directory, whole=True):
            return await self._take_down(ref, (), timeout=timeout)


async def _ignored(_done: float, _total: float | None, _message: str | None) -> None:
    """Take progress that no one waits for."""


def is_removed(left: ProjectRef) -> bool:
    """Whether the folder of a project that is left over was removed or moved, and is not just out of reach.

    As on a disk that is not mounted: the folder that it was in must be there, and hold something or be in a checkout,
    as there is an empty folder else where a disk is mounted. What a running server writes while git removes its
    worktree stays: a folder that is in no worktree any more, and holds something, is a removed one, too.
    """
    folder = Path(left.directory)
    try:
        if is_gone(folder):
            if is_disk(folder):  # it may be unplugged
                return False
            return any(folder.parent.iterdir()) or find_checkout(folder.parent) is not None
        return left.is_worktree and not has_pointer(folder) and any(folder.iterdir())
    except OSError:
        return False


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises where it may not look)


def _path(directory: str) -> Path:
    """Return the folder that a call is about.

    Raises:
        ArgumentError: neither the call nor its connection names one.
    """
    if not directory:
        raise ArgumentError(
            ["directory is required here: this client does not say which folder it works in"],
            next_actions=(f"give the folder of the project, the one with {PROJECT_FILE}, as an absolute path",),
        )
    path = expanded(directory)
    if not path.is_absolute():
        raise ArgumentError([f"directory {directory!r} must be an absolute path"])
    return path.resolve()
