"""Each `up` as a task of the server: equal ones are joined, others wait, and a crash does not end it."""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct, field

from ostler.adapters.projects.journal import UpJournal
from ostler.engine.manager import ServiceManager
from ostler.engine.projects.changes import named_services
from ostler.engine.projects.foresight import UNTOUCHED, refuse_foreseen
from ostler.engine.projects.runner import ProjectReport, ProjectRunner
from ostler.engine.projects.scope import ProjectScope
from ostler.engine.protocols import Progress
from ostler.engine.services.views import ProjectRef
from ostler.model.errors import OstlerError, StoreError, SupersededError
from ostler.model.events import EventKind

logger = logging.getLogger(__name__)

OWED_SECONDS = 15.0
"""For how long a run that failed is kept for the caller who stopped waiting for it, and asks again to wait on."""


class _Run(Struct, eq=False):
    """An `up` under way: those who ask for the same one wait for it together.

    First it brings services up, which a project has one run for at a time; then it waits for the jobs that it named,
    and for the first health checks.
    """

    names: tuple[str, ...]
    report: ProjectReport
    scope: ProjectScope
    listeners: list[Progress] = []
    brought: anyio.Event = field(default_factory=anyio.Event)
    done: anyio.Event = field(default_factory=anyio.Event)
    cancelling: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    error: OstlerError | None = None
    is_owed: bool = False
    """Its last caller stopped waiting before it ended."""
    ended_at: float = 0.0

    def is_over(self, now: float) -> bool:
        """Whether no one may ask for it any more."""
        if not self.done.is_set():
            return False
        is_good = self.error is None and self.report.is_good
        return is_good or not self.is_owed or now - self.ended_at > OWED_SECONDS

    def is_of(self, scope: ProjectScope, names: tuple[str, ...]) -> bool:
        """Whether it brings up the same services of the same files."""
        mine, other = self.scope, scope
        same_file = mine.loaded.document.text == other.loaded.document.text
        return self.names == names and same_file and (mine.env_files, mine.inputs) == (other.env_files, other.inputs)

    async def show_progress(self, done: float, total: float | None, message: str | None) -> None:
        for listener in list(self.listeners):
            await listener(done, total, message)


class ProjectRuns:
    """The `up` of each project. It belongs to the server: it goes on when its client leaves, and after a crash.

    Args:
        manager: has the services.
        runner: carries them out.
        journal: what a crash cuts off is finished from it.
        around: what is entered for the project of each `up`, and left when that was carried out.
    """

    def __init__(
        self,
        manager: ServiceManager,
        runner: ProjectRunner,
        journal: UpJournal,
        around: Callable[[ProjectScope], AbstractAsyncContextManager[None]],
    ) -> None:
        self._manager = manager
        self._runner = runner
        self._journal = journal
        self._around = around
        self._runs: dict[str, _Run] = {}
        self._later: list[_Run] = []
        """Those that have brought everything up, wait for jobs and checks, or are owed to a caller."""
        self._downs: dict[str, list[anyio.Event]] = {}
        """What is set at the end of each `down` that is under way, by folder."""
        self._taken_down: Counter[str] = Counter()
        """How often each folder's whole project was to be taken down."""
        self._group: TaskGroup | None = None

    def __repr__(self) -> str:
        return f"ProjectRuns({len(self._runs)} under way)"

    def run_in(self, group: TaskGroup, scope_of: Callable[[str], Awaitable[ProjectScope]]) -> None:
        """Let runs be tasks of `group`, and finish those of an earlier run of the server; `scope_of` reads a folder."""
        self._group = group
        group.start_soon(self._resume, scope_of, name="ostler-project-resume")

    async def _resume(self, scope_of: Callable[[str], Awaitable[ProjectScope]]) -> None:
        """Go on with what was cut off, so that a service that was being replaced is not lost."""
        assert self._group is not None, "run_in comes first"
        cut_off = await self._journal.load()
        if cut_off:
            await self._manager.recovered.wait()
        for directory, names in cut_off.items():
            try:
                scope = await scope_of(directory)
                if scope.ref.id not in self._runs:
                    named_services(scope, names)
                    run = self._begin(scope, tuple(names), foresees=False)  # what it has begun comes first
                    self._group.start_soon(self._report_failures, run, name=f"ostler-resumed-{scope.ref.id}")
            except OstlerError as error:  # it stays in the journal until the project is brought up or taken down
                message = f"bringing up the project in {directory} was cut off, and cannot go on: {error}"
                self._manager.events.append(EventKind.WARNING, message=message)
                logger.warning("%s", message)

    async def _report_failures(self, run: _Run) -> None:
        """Write down how a run failed that no one waits for."""
        await run.done.wait()
        project = run.scope.ref.id
        failures = [run.error] if run.error is not None else list(run.report.failures.values())
        for error in failures:
            self._manager.events.append(EventKind.WARNING, message=f"project {project} is not up: {error}")
            logger.warning("project %s is not up: %s", project, error)

    async def up(
        self, scope: ProjectScope, names: tuple[str, ...], *, timeout: float | None, progress: Progress
    ) -> tuple[ProjectScope, ProjectReport]:
        """Bring `names` of a project up and wait at most `timeout` seconds; an equal run under way is joined.

        It begins when no `down` is under way that may still remove what it would keep.

        Raises:
            NotFoundError: the file has no such service.
            OstlerError: it could not be carried out.
        """
        wanted = named_services(scope, names)
        run: _Run | None = None
        with anyio.move_on_after(timeout):
            await self._await_downs(scope, progress)
            while (run := self._equal(scope, names)) is None and (other := self._runs.get(scope.ref.id)) is not None:
                await other.brought.wait()
                if other.cancelling.cancel_called:
                    raise _taken_down(scope)
            run = run or self._begin(scope, names)
            run.listeners.append(progress)
            try:
                for name, why in dict(run.report.waiting).items():  # which was said before this one listened
                    await progress(float(run.report.ended), None, f"{name} {why}")
                await run.done.wait()
            finally:
                run.listeners.remove(progress)
                run.is_owed = not run.done.is_set()
        if run is None:
            return scope, ProjectReport(unfinished=list(wanted))
        if run.error is not None:
            raise run.error.fresh()
        run.report.unfinished = [name for name in wanted if not run.report.has_ended(name)]
        return run.scope, run.report

    def _equal(self, scope: ProjectScope, names: tuple[str, ...]) -> _Run | None:
        """Return the run that does the same: under way, or not yet said to the caller who asked for it."""
        now = anyio.current_time()
        self._later = [run for run in self._later if not run.is_over(now)]
        running = self._runs.get(scope.ref.id)
        found = [*([] if running is None else [running]), *self._later]
        return next((run for run in found if run.scope.ref == scope.ref and run.is_of(scope, names)), None)

    def is_taken_down(self, directory: str) -> bool:
        """Whether services of the project in `directory` are being removed."""
        return directory in self._downs

    @asynccontextmanager
    async def taking_down(self, directory: str, *, whole: bool) -> AsyncGenerator[None]:
        """Let each `up` of the project in `directory` wait meanwhile; if it goes `whole`, earlier ones end first.

        Raises:
            StoreError: that they ended could not be recorded.
        """
        ended = anyio.Event()
        self._downs.setdefault(directory, []).append(ended)
        try:
            if whole:
                self._taken_down[directory] += 1
                await self._cancel(directory)
            yield
        finally:
            self._downs[directory].remove(ended)
            if not self._downs[directory]:
                del self._downs[directory]
            ended.set()

    async def _await_downs(self, scope: ProjectScope, progress: Progress) -> None:
        """Wait for the end of each `down` of the project, and of those whose services it shares.

        Raises:
            SupersededError: the whole project is to be taken down again meanwhile.
        """
        own = scope.ref.directory
        folders = {own, *(scope.owner_of(name).directory for name in scope.services)}
        begun = self._taken_down[own]
        while ended := next((ended for folder in folders for ended in self._downs.get(folder, ())), None):
            await progress(0.0, None, "waits for the end of a project_down under way")
            await ended.wait()
            if self._taken_down[own] != begun:
                raise _taken_down(scope)

    async def _cancel(self, directory: str) -> None:
        """End the runs of the project in `directory`, which is to be taken down, and forget one that was cut off."""
        for run in [run for run in (*self._runs.values(), *self._later) if run.scope.ref.directory == directory]:
            run.cancelling.cancel()
            await run.done.wait()
        self._later = [run for run in self._later if run.scope.ref.directory != directory]
        try:
            await self._journal.end(directory)
        except StoreError as error:
            raise _not_recorded(f"the project in {directory} is not taken down", error) from error

    def _begin(self, scope: ProjectScope, names: tuple[str, ...], *, foresees: bool = True) -> _Run:
        assert self._group is not None, "run_in comes first"
        # What those that have ended say is no longer so.
        self._later = [run for run in self._later if run.scope.ref.id != scope.ref.id or not run.done.is_set()]
        run = self._runs[scope.ref.id] = _Run(names, ProjectReport(), scope)
        self._group.start_soon(self._carry_out, run, foresees, name=f"ostler-up-{scope.ref.id}")
        return run

    async def _carry_out(self, run: _Run, foresees: bool) -> None:
        ref = run.scope.ref
        opened: list[str] | None = None
        try:
            with run.cancelling:
                if foresees:
                    await refuse_foreseen(run.scope, named_services(run.scope, run.names), self._manager)
                opened = await self._record(ref, run.names)
                async with self._around(run.scope):
                    await self._runner.up(run.scope, run.names, report=run.report, progress=run.show_progress)
                jobs, unchecked = sorted(run.report.working), sorted(run.report.unchecked)
                if jobs or unchecked:
                    self._leave(run)
                    await self._forget(ref.directory, opened)
                    what = (
                        f"waiting for the end of {', '.join(jobs)}"
                        if jobs
                        else (f"waiting for health checks of {', '.join(unchecked)}")
                    )
                    await run.show_progress(float(len(run.names)), None, what)
                    await self._runner.await_ends(run.scope, run.report)
            if run.cancelling.cancelled_caught:
                run.error = _taken_down(run.scope)
        except OstlerError as error:
            run.error = error
        except Exception as bug:  # boundary: a bug in one project must not end the server
            logger.exception("bringing project %s up failed unexpectedly", ref.id)
            run.error = OstlerError(
                f"internal error while bringing project {ref.id} up: {type(bug).__name__}: {bug}",
                next_actions=("check the server's log",),
            )
        finally:
            was_brought = run.brought.is_set()
            self._leave(run)
            run.ended_at = anyio.current_time()
            run.done.set()
        if opened is not None and run.error is None and not was_brought:  # no one waits for that
            await self._forget(ref.directory, opened)

    def _leave(self, run: _Run) -> None:
        """Let the project have its next run: this one has brought up what it can."""
        if not run.brought.is_set():
            del self._runs[run.scope.ref.id]
            self._later.append(run)
            run.brought.set()

    async def _record(self, ref: ProjectRef, names: Sequence[str]) -> list[str]:
        try:
            return await self._journal.begin(ref.directory, names)
        except StoreError as error:
            raised = _not_recorded(f"project {ref.id} is not brought up", error)
            raised.add(UNTOUCHED)
            raise raised from error

    async def _forget(self, directory: str, opened: list[str]) -> None:
        try:
            await self._journal.end(directory, opened)
        except OstlerError as error:
            logger.warning("%s", error)


def _not_recorded(what: str, error: StoreError) -> StoreError:
    """Return the error for what is not done because the journal could not be written."""
    return StoreError(f"{what}, as that could not be recorded: {error.summary}", next_actions=error.next_actions)


def _taken_down(scope: ProjectScope) -> SupersededError:
    return SupersededError(
        f"project {scope.ref.id} is not brought up any more: it is taken down",
        next_actions=("project_up again, if it is wanted all the same",),
    )
