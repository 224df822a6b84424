"""Watching the files of projects: a service is restarted when its files change, and a job is run again."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from msgspec import Struct, field
from msgspec.structs import replace

from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.manager import ServiceManager
from ostler.engine.projects.scope import ProjectScope
from ostler.model.errors import OstlerError
from ostler.model.events import EventKind
from ostler.model.projects import PROJECT_FILE
from ostler.model.states import ServiceState

Changed = Callable[[str, str], Awaitable[None]]
"""Is called with a service and a file of its that changed."""

Watching = Callable[[Path, Mapping[str, Sequence[str]], Changed, Callable[[], object], anyio.Event], Awaitable[None]]
"""As `ostler.adapters.projects.restart_watch.watch_files`."""

_BEGIN_SECONDS = 2.0
"""How long an `up` waits until the files are watched, so that it misses no change that is made after it."""

logger = logging.getLogger(__name__)


class _Watch(Struct):
    """The files of one project that are watched, and the project as it was brought up last.

    `wanted` is set once changes count, `begun` once none is missed any more.
    """

    scope: ProjectScope
    patterns: Mapping[str, Sequence[str]]
    wanted: anyio.Event = field(default_factory=anyio.Event)
    begun: anyio.Event = field(default_factory=anyio.Event)
    cancelling: anyio.CancelScope = field(default_factory=anyio.CancelScope)


async def _watch_files(
    directory: Path,
    patterns: Mapping[str, Sequence[str]],
    changed: Changed,
    begun: Callable[[], object],
    wanted: anyio.Event,
) -> None:
    from ostler.adapters.projects.restart_watch import watch_files

    await watch_files(directory, patterns, changed, begun, wanted)


class ProjectWatches:
    """The watched files of every project.

    Args:
        manager: has the services.
        bring_up: brings one service of a project up.
        watching: calls what it is given for each series of changes.
    """

    def __init__(
        self,
        manager: ServiceManager,
        bring_up: Callable[[ProjectScope, str], Awaitable[None]],
        watching: Watching | None = None,
    ) -> None:
        self._manager = manager
        self._bring_up = bring_up
        self._watching = watching or _watch_files
        self._group: TaskGroup | None = None
        self._watches: dict[str, _Watch] = {}

    def __repr__(self) -> str:
        return f"ProjectWatches({len(self._watches)} projects)"

    def run_in(self, group: TaskGroup) -> None:
        """Let watches be tasks of `group`."""
        self._group = group

    def watch(self, scope: ProjectScope) -> None:
        """Watch the files that the services of `scope` name, instead of those of an earlier file of the project."""
        patterns = _patterns_of(scope)
        if (earlier := self._watches.get(scope.ref.id)) is not None:
            if earlier.patterns == patterns and earlier.scope.ref == scope.ref:  # no change is missed
                earlier.scope = scope
                earlier.wanted.set()
                return
            self.forget(scope.ref.id)
        if patterns:
            self._prepare(scope, patterns).wanted.set()

    @asynccontextmanager
    async def after(self, scope: ProjectScope) -> AsyncGenerator[None]:
        """Watch as `watch` does from the end of the block, which returns once no later change is missed.

        That takes at most `_BEGIN_SECONDS`, and no time where the block took longer than to watch every folder. What
        the block itself changes does not count, if nothing of the project was watched before.
        """
        prepared: _Watch | None = None
        if scope.ref.id not in self._watches and (patterns := _patterns_of(scope)):
            prepared = self._prepare(scope, patterns)
        try:
            yield
        except BaseException:
            if prepared is not None and prepared is self._watches.get(scope.ref.id) and not prepared.wanted.is_set():
                self.forget(scope.ref.id)
            raise
        if prepared is not None and prepared.begun.is_set() and not prepared.wanted.is_set():
            return  # it cannot be watched, which was reported
        self.watch(scope)
        if (watch := self._watches.get(scope.ref.id)) is not None:
            with anyio.move_on_after(_BEGIN_SECONDS):
                await watch.begun.wait()

    def _prepare(self, scope: ProjectScope, patterns: Mapping[str, Sequence[str]]) -> _Watch:
        """Begin to watch every folder; no change counts yet."""
        assert self._group is not None, "run_in comes first"
        watch = self._watches[scope.ref.id] = _Watch(scope, patterns)
        self._group.start_soon(self._run, watch, name=f"ostler-watch-{scope.ref.id}")
        return watch

    def forget(self, project: str) -> None:
        """Watch the files of a project no more."""
        if (watch := self._watches.pop(project, None)) is not None:
            watch.cancelling.cancel()

    async def with_inputs(self, scope: ProjectScope) -> ProjectScope:
        """Return `scope` with what the files that its jobs watch hold now."""
        from ostler.adapters.projects.project_tree import digest_of_files

        jobs = {entry.name for entry in self._manager.classes.get_all() if entry.service_class.config.completed}
        inputs: dict[str, str] = {}
        for name, spec in scope.services.items():
            if spec.watch and spec.class_name in jobs:
                folder = Path(scope.owner_of(name).directory)
                inputs[name] = await anyio.to_thread.run_sync(digest_of_files, folder, spec.watch)
        return replace(scope, inputs=inputs)

    async def _run(self, watch: _Watch) -> None:
        project = watch.scope.ref

        async def changed(name: str, file: str) -> None:
            await self._file_changed(watch.scope, name, file)

        with watch.cancelling:
            try:
                await self._watching(Path(project.directory), watch.patterns, changed, watch.begun.set, watch.wanted)
            except Exception as error:  # boundary: what is wrong with one project's files must not end the server
                if self._watches.get(project.id) is watch:
                    del self._watches[project.id]
                message = (
                    f"the files of project {project.id} are not watched any more: {error}. "
                    "Next: project_up watches them again; at a limit, first raise fs.inotify.max_user_watches, or "
                    "max_user_instances for open files"
                )
                self._manager.events.append(EventKind.WARNING, message=message)
                # An OSError is expected: the folder went away, or there are no watches left.
                logger.warning("%s", message, exc_info=not isinstance(error, OSError))
            finally:
                watch.begun.set()

    async def _file_changed(self, scope: ProjectScope, short: str, file: str) -> None:
        """Restart a service that runs, or that failed (the change may be the fix), or a job that has completed."""
        name = scope.full_name(short)
        service = self._manager.registry.find(name)
        has_completed = isinstance(service, ServiceInstance) and service.has_completed
        if service is None or not (service.state.is_up or service.state is ServiceState.FAILED or has_completed):
            return
        if not await anyio.Path(scope.ref.directory, PROJECT_FILE).is_file():
            return  # a worktree that is being removed, or another branch: there is nothing to start it again from
        is_job = short in scope.inputs
        self._manager.events.append(EventKind.WARNING, name, f"{file} changed: {'up' if is_job else 'restarting'}")
        if is_job:
            assert self._group is not None, "run_in comes first"
            self._group.start_soon(self._run_again, scope, short, name=f"ostler-again-{name}")
            return
        try:
            await self._manager.restart_service(name, wait=False)
        except OstlerError as error:
            logger.warning("%s", error)

    async def _run_again(self, scope: ProjectScope, job: str) -> None:
        """Bring a job up whose files changed, so that it keeps what they held."""
        try:
            await self._bring_up(await self.with_inputs(scope), job)
        except OstlerError as error:
            name = scope.full_name(job)
            self._manager.events.append(EventKind.WARNING, name, f"it could not be run again: {error}")
            logger.warning("%s could not be run again: %s", name, error)


def _patterns_of(scope: ProjectScope) -> dict[str, Sequence[str]]:
    return {name: spec.watch for name, spec in scope.services.items() if spec.watch}
