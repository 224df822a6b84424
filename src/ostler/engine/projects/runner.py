"""Bringing a project up and taking it down: level-triggered, along the graph, safe to repeat and to call at once."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import anyio
from msgspec import Struct
from msgspec.structs import replace

from ostler.engine.dependencies.jobs import await_completion, is_job
from ostler.engine.dependencies.prerequisites import undeleted
from ostler.engine.instances.display import kept_text
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.manager import ServiceManager
from ostler.engine.projects.changes import (
    Change,
    ChangeKind,
    change_of,
    is_at_work,
    members_of,
    named_services,
    removals_of,
    runs_cut_off,
    until_ended,
)
from ostler.engine.projects.scope import ProjectScope
from ostler.engine.protocols import Progress
from ostler.engine.services.service import Service
from ostler.engine.services.views import DIRECTORY_LABEL
from ostler.model.errors import DependencyError, NotFoundError, OperationError, OstlerError
from ostler.model.states import HealthStatus

CHECKS_SECONDS = 90.0
"""How long `up` waits at most for health checks to decide; for one that is first made later it does not begin to."""

COMPLETED_BEFORE = "it has completed before"
"""Why a job that was named is not run: `up` is safe to repeat."""


class ProjectReport(Struct):
    """How an `up` or `down` went.

    Attributes:
        changes: what was done, by short name, in the order in which it ended.
        failures: what went wrong, by short name; what needed it is in `skipped`.
        skipped: short name → the service that it needs and that failed.
        unfinished: what still went on when the wait was over.
        working: jobs that were named, and have not ended yet.
        waiting: what is waited for, by short name: a job at work, which a change would cut off, or others need.
        jobs: jobs that were named, and have ended.
        unchecked: what is up, and whose health checks have not shown yet whether it is healthy.
        undecided: what these had not shown either when the wait for them was over.
    """

    changes: dict[str, Change] = {}
    failures: dict[str, OstlerError] = {}
    skipped: dict[str, str] = {}
    unfinished: list[str] = []
    working: set[str] = set()
    jobs: list[str] = []
    unchecked: set[str] = set()
    undecided: set[str] = set()
    waiting: dict[str, str] = {}

    def has_ended(self, name: str) -> bool:
        """Whether the service called `name` is done with, well or not."""
        is_open = name in self.working or name in self.unchecked
        return not is_open and (name in self.changes or name in self.failures or name in self.skipped)

    @property
    def ended(self) -> int:
        """How many services are finished."""
        return len(self.changes) + len(self.failures) + len(self.skipped)

    @property
    def is_good(self) -> bool:
        """Whether everything is as the file says."""
        return not (self.failures or self.skipped or self.unfinished)


class ProjectRunner:
    """Carries out `up` and `down` of projects. The caller ensures that one project has one `up` at a time."""

    def __init__(self, manager: ServiceManager) -> None:
        self._manager = manager

    async def up(
        self,
        scope: ProjectScope,
        names: Sequence[str] = (),
        *,
        report: ProjectReport | None = None,
        progress: Progress | None = None,
    ) -> ProjectReport:
        """Bring services of the project up, with what they need; what is right stays untouched.

        Args:
            scope: the project.
            names: short names; none means all that are enabled, and what left the file is removed.
            report: filled as services end, for those who look at it meanwhile.
            progress: called with how far it is, by the number of services done.

        Raises:
            NotFoundError: the file has no such service.
        """
        wanted = named_services(scope, names)
        report = report or ProjectReport()
        if names:
            await self._raise_all(scope, wanted, names, report, progress)
            report.unchecked = set(self._undecided(report))
            return report
        gone = {change.full_name: change for change in removals_of(scope, self._manager)}

        async def await_run(service: Service) -> None:
            await self._await_runs(gone[service.name], report, progress)

        # What no one uses goes first: a service that was renamed may need its port.
        await self._remove(self._free_of(gone), scope.ref.id, report)
        await self._raise_all(scope, wanted, names, report, progress)
        await self._remove(
            [name for name in gone if not report.has_ended(gone[name].name)], scope.ref.id, report, await_run
        )
        report.unchecked = set(self._undecided(report))
        return report

    def _free_of(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` that can go at once: no job at work is cut off, and nothing that stays uses them."""
        free = [name for name in names if not runs_cut_off(name, self._manager)]
        services = self._manager.registry.get_all()
        users = {name: {user.name for user in services if name in user.dependencies} for name in free}
        while held := [name for name in free if not users[name].issubset(free)]:
            free = [name for name in free if name not in held]
        return free

    async def _raise_all(
        self,
        scope: ProjectScope,
        wanted: Sequence[str],
        named: Sequence[str],
        report: ProjectReport,
        progress: Progress | None,
    ) -> None:
        done = {name: anyio.Event() for name in wanted}

        async def bring(name: str) -> None:
            try:
                for needed in scope.needs(name):
                    await done[needed].wait()
                failed = next((n for n in scope.needs(name) if n in report.failures or n in report.skipped), None)
                if failed is not None and scope.is_required(name, failed):
                    report.skipped[name] = report.skipped.get(failed, failed)
                    return
                change = await self._bring(scope, name, report, progress)
                if name in named:
                    change = self._seen_as_job(change, report)
                if users := scope.users_of_end(name):
                    await self._await_work(change, users, report, progress)
                report.changes[name] = change
            except OstlerError as error:
                report.failures[name] = error
                report.working.discard(name)
            finally:
                done[name].set()
            if progress is not None:
                await progress(float(report.ended), float(len(wanted)), _progress_text(name, report))

        async with anyio.create_task_group() as group:
            for name in wanted:
                group.start_soon(bring, name)

    async def _bring(self, scope: ProjectScope, name: str, report: ProjectReport, progress: Progress | None) -> Change:
        """Do what `change_of` says of one service whose needs are up."""
        await undeleted(self._manager.registry, scope.full_name(name))
        while (change := change_of(scope, name, self._manager)).kind is ChangeKind.REPLACE:
            if not await self._await_runs(change, report, progress):
                break
        if change.kind in (ChangeKind.KEEP, ChangeKind.START) and scope.owner_of(name) == scope.ref:
            self._manager.renew_class(scope.request(name, self._manager))
        match change.kind:
            case ChangeKind.KEEP:
                return change
            case ChangeKind.START:
                done = await self._manager.start_service(change.full_name)
            case ChangeKind.REPLACE:
                done = await self._manager.create(replace(scope.request(name, self._manager), replaces=True))
            case _:  # a template that still names something undefined raises here, with the name
                done = await self._manager.create(scope.request(name, self._manager))
        return replace(change, reason="; ".join(filter(None, (change.reason, *done.warnings))))

    async def _await_runs(self, change: Change, report: ProjectReport, progress: Progress | None) -> bool:
        """Wait for the end of jobs that `change` would cut off, such as a migration; return whether there was one."""
        jobs = runs_cut_off(change.full_name, self._manager)
        if change.kind is ChangeKind.REMOVE:  # it is kept while others use it
            jobs = [job for job in jobs if job.name == change.full_name]
        if not jobs:
            return False
        report.waiting[change.name] = f"{until_ended(jobs)}; service_stop {jobs[0].name} ends it now"
        if progress is not None:
            await progress(float(report.ended), None, f"{change.name} {report.waiting[change.name]}")
        for job in jobs:
            await job.wait_until(lambda status: not is_at_work(status.state))
        del report.waiting[change.name]
        return True

    def _seen_as_job(self, change: Change, report: ProjectReport) -> Change:
        """Return the change of a service that was named; if it is a job that works, `await_ends` waits for it."""
        service = self._manager.registry.find(change.full_name)
        if not is_job(service):
            return change
        if change.kind is ChangeKind.KEEP and service.has_completed:
            return replace(change, reason=change.reason or COMPLETED_BEFORE)
        report.working.add(change.name)
        return change

    def _undecided(self, report: ProjectReport) -> Iterator[str]:
        """Yield what was brought up, and whose health checks have not shown yet whether it is healthy."""
        for name, change in report.changes.items():
            service = self._manager.registry.find(change.full_name)
            if change.kind is not ChangeKind.REMOVE and isinstance(service, ServiceInstance) and _is_undecided(service):
                yield name

    async def await_ends(self, scope: ProjectScope, report: ProjectReport) -> None:
        """Wait until the jobs that `report` has as working have ended, and what it has as unchecked has been checked.

        Jobs that failed are noted as failures. Health is waited for as long as the checks may take that decide it, at
        most for `CHECKS_SECONDS`.
        """

        async def wait(name: str) -> None:
            try:
                await self._await_completion(scope.full_name(name))
            except OstlerError as error:
                report.failures[name] = error
                del report.changes[name]
            report.working.discard(name)
            report.jobs.append(name)

        async def check(name: str) -> None:
            report.waiting[name] = "waits until its health checks show whether it is healthy"
            if not await self._await_health(report.changes[name]):
                report.undecided.add(name)
            report.unchecked.discard(name)
            report.waiting.pop(name, None)

        async with anyio.create_task_group() as group:
            for name in sorted(report.working):
                group.start_soon(wait, name)
            for name in sorted(report.unchecked):
                group.start_soon(check, name)

    async def _await_health(self, change: Change) -> bool:
        """Wait until a service is healthy, unhealthy or not up any more; False when its checks take too long."""
        service = self._manager.registry.find(change.full_name)
        if not isinstance(service, ServiceInstance):
            return True
        settings = service.service_class.config.health
        now, since, first = service.runtime.clock.now(), service.record.outputs_at, service.vitals.next_check_at
        is_unknown = service.health is HealthStatus.UNKNOWN
        is_due = since is None or (now - since).total_seconds() >= settings.initial_delay
        if is_unknown and not is_due and first is not None and (first - now).total_seconds() > CHECKS_SECONDS:
            return False
        rounds = max(settings.failure_threshold, settings.success_threshold) * (settings.interval + settings.timeout)
        with anyio.move_on_after(min(settings.initial_delay + rounds, CHECKS_SECONDS)):
            if change.kind is ChangeKind.KEEP and is_unknown and is_due:
                await self._manager.check_health(service.name)  # after a restart of Ostler, its turn may be far off
            await service.wait_until(lambda _: not _is_undecided(service))
        return not _is_undecided(service)

    async def _await_work(
        self, change: Change, users: Sequence[str], report: ProjectReport, progress: Progress | None
    ) -> None:
        """Wait until a job has ended whose end `users` need, and say so meanwhile.

        Raises:
            OperationError: as `_await_completion`.
        """
        job = self._manager.registry.get(change.full_name)
        if is_job(job) and not job.has_completed:
            verb = "wait" if len(users) > 1 else "waits"
            report.waiting[change.name] = f"is at work; {', '.join(users)} {verb} until it has ended"
            if progress is not None:
                await progress(float(report.ended), None, f"{change.name} {report.waiting[change.name]}")
        try:
            await self._await_completion(change.full_name)
        finally:
            report.waiting.pop(change.name, None)

    async def _await_completion(self, full_name: str) -> None:
        """Wait until a job has ended.

        Raises:
            OperationError: it failed, was stopped or was removed.
        """
        job = self._manager.registry.get(full_name)
        if not is_job(job):
            return
        try:
            await await_completion(self._manager.registry, job)
        except OperationError as error:
            error.next_actions = (*error.next_actions, "project_up again when it is fixed")
            raise

    async def down(
        self,
        project_id: str,
        names: Sequence[str] = (),
        *,
        declared: Mapping[str, str] = MappingProxyType({}),
        timeout: float | None = None,
    ) -> ProjectReport:
        """Stop and remove services of a project, dependents first; what other projects use is kept and named.

        Args:
            project_id: which project, `shop` or `fix-ui.shop`.
            names: short names; none means all of the project, those that were created by hand included.
            declared: the full names of the services of its file, by short name: one that is gone already is no mistake.
            timeout: seconds to wait.

        Raises:
            NotFoundError: the project has no such service.
        """
        report = ProjectReport()
        members = [service.name for service in members_of(project_id, self._manager)]
        wanted = [f"{name}.{project_id}" for name in names] or members
        for full in [full for full in wanted if full not in members]:
            short = _short(full, project_id)
            if short not in declared:
                known = [*declared, *(_short(member, project_id) for member in members)]
                raise NotFoundError("service", short, known=known, next_actions=("project_status lists them",))
            report.changes[short] = self._absent(short, full, declared[short])
        wanted = [full for full in wanted if full in members]
        used = {name for full in wanted for name in self._manager.registry.get(full).dependencies} - set(members)
        with anyio.move_on_after(timeout):
            await self._remove(wanted, project_id, report)
        used -= {change.full_name for change in report.changes.values()}
        report.changes |= {change.full_name: change for change in map(self._left_of_another, sorted(used)) if change}
        report.unfinished = [name for full in wanted if not report.has_ended(name := _short(full, project_id))]
        return report

    async def _remove(
        self,
        full_names: Sequence[str],
        project_id: str,
        report: ProjectReport,
        before: Callable[[Service], Awaitable[None]] | None = None,
    ) -> None:
        """Delete services, dependents before what they need, each after `before`."""
        services = [service for name in full_names if (service := self._manager.registry.find(name)) is not None]
        gone = {service.name: anyio.Event() for service in services}

        async def remove(service: Service) -> None:
            short = _short(service.name, project_id)
            try:
                for other in services:
                    if service.name in other.dependencies:
                        await gone[other.name].wait()
                if users := self._users_left(service, gone):
                    raise self._kept(service.name, users, project_id)
                if before is not None:
                    await before(service)
                kept = kept_text(service) if isinstance(service, ServiceInstance) else ""
                said = "; ".join([*await self._delete(service), *([kept] if kept else [])])
                report.changes[short] = Change(short, service.name, ChangeKind.REMOVE, said)
            except OstlerError as error:
                report.failures[short] = error
            finally:
                gone[service.name].set()

        async with anyio.create_task_group() as group:
            for service in services:
                group.start_soon(remove, service)

    async def _delete(self, service: Service) -> Sequence[str]:
        """Delete `service`, unless another call has done so; one that was made since under its name stays.

        Returns what the tools that stopped it warn of.
        """
        if self._manager.registry.find(service.name) is not service:
            return ()
        try:
            return (await self._manager.delete(service.name)).warnings
        except NotFoundError:
            if self._manager.registry.find(service.name) is service:
                raise
            return ()

    def _absent(self, name: str, full_name: str, declared: str) -> Change:
        """Return that a service of the file is not there to be removed: it is gone, or belongs to another project."""
        if declared == full_name:
            return Change(name, full_name, ChangeKind.REMOVE, "it was gone already")
        service = self._manager.registry.find(declared)
        where = service.record.labels.get(DIRECTORY_LABEL) if isinstance(service, ServiceInstance) else None
        reason = f"it is shared: project_down in {where or 'the main checkout'} removes it"
        return Change(name, declared, ChangeKind.KEEP, reason)

    def _left_of_another(self, full_name: str) -> Change | None:
        """Return that a service of another project, which a removed one used, runs on without a user; else None."""
        service = self._manager.registry.find(full_name)
        if not isinstance(service, ServiceInstance) or not service.state.is_up or self._users_left(service, {}):
            return None
        if not (directory := service.record.labels.get(DIRECTORY_LABEL)):
            return None
        reason = f"it is shared, and belongs to {directory}: project_down there removes it"
        return Change(full_name, full_name, ChangeKind.KEEP, reason)

    def _users_left(self, service: Service, going: dict[str, anyio.Event]) -> list[str]:
        return [
            other.name
            for other in self._manager.registry.get_all()
            if service.name in other.dependencies and other.name not in going and other.state.is_up
        ]

    def _kept(self, full_name: str, users: Sequence[str], project_id: str) -> DependencyError:
        """Return the error of a service that is not removed because of its `users`."""
        members = {member.name for member in members_of(project_id, self._manager)}
        step = "take their projects down first"
        if members.issuperset(users):
            names = [_short(name, project_id) for name in (*users, full_name)]
            step = f"project_down {' '.join(names)} takes them down together"
        return DependencyError(
            f"service {full_name!r} is kept: {', '.join(users)} {'use' if len(users) > 1 else 'uses'} it",
            service=full_name,
            next_actions=(step, f"or service_stop {full_name}"),
        )


def _is_undecided(service: ServiceInstance) -> bool:
    """Whether a service is up and health checks are to show whether it is healthy."""
    if service.health not in (HealthStatus.UNKNOWN, HealthStatus.CHECKING) or not service.state.is_up:
        return False
    return service.checks_health and not is_job(service) and not service.vitals.removed


def _short(full_name: str, project_id: str) -> str:
    return full_name.removesuffix(f".{project_id}")


def _progress_text(name: str, report: ProjectReport) -> str:
    if name in report.failures:
        return f"{name} failed"
    return f"{name} skipped" if name in report.skipped else f"{name} is up"
