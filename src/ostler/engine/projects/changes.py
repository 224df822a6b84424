"""What differs between a project's file and what runs: one change for each service, found out without doing any."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

from ostler.engine.clock import in_turns
from ostler.engine.dependencies.graph import reached
from ostler.engine.dependencies.jobs import is_job
from ostler.engine.instances.instance import ServiceInstance, instances_in
from ostler.engine.manager import ServiceManager
from ostler.engine.projects.scope import ProjectScope
from ostler.engine.services.service import Service
from ostler.engine.services.views import INPUTS_LABEL, MANAGED_LABEL, PROJECT_LABEL
from ostler.model.errors import ArgumentError, ManifestError, NotFoundError, TemplateError
from ostler.model.states import ServiceState


class ChangeKind(StrEnum):
    """What `up` does to a service."""

    CREATE = "create"
    START = "start"
    REPLACE = "replace"
    """It is stopped and made again: its args, class, overrides or, of a job, the files that it watches changed."""
    KEEP = "keep"
    REMOVE = "remove"
    """It left the file."""
    UNKNOWN = "unknown"
    """It is seen once what it needs is up: its args take outputs of that."""
    IMPOSSIBLE = "impossible"
    """Its class is not there, or its args do not fit, or name something undefined although what it needs is up."""


class Change(Struct, frozen=True):
    """What `up` does to one service, and why."""

    name: str
    full_name: str
    kind: ChangeKind
    reason: str = ""


def change_of(
    scope: ProjectScope, name: str, manager: ServiceManager, known: dict[str, Change] | None = None
) -> Change:
    """Return what has to be done for service `name` of the file now.

    Args:
        scope: the project.
        name: the service's short name.
        manager: what runs.
        known: what was found of other services of the file already.
    """
    full = scope.full_name(name)
    service = manager.registry.find(full)
    try:
        request = scope.request(name, manager)
        full = manager.name_of(request)  # of what can be made
        difference = "" if service is None else manager.difference(request)
    except (TemplateError, NotFoundError, ArgumentError, ManifestError) as error:
        needs = scope.needs(name) if isinstance(error, TemplateError) else []
        is_final = _are_kept(scope, needs, manager, {} if known is None else known)
        if is_final:
            return Change(name, full, ChangeKind.IMPOSSIBLE, error.summary)
        if service is not None:
            down = [need for need in needs if not _is_there(manager.registry.find(scope.full_name(need)))]
            why = f"{' and '.join(down)} {'is' if len(down) == 1 else 'are'} not up" if down else error.summary
            return Change(name, full, ChangeKind.UNKNOWN, why)
        difference = ""
    if service is None:
        return Change(name, full, ChangeKind.CREATE)
    changed = difference if scope.owner_of(name) == scope.ref else ""
    if not changed and has_other_inputs(scope, name, service):
        changed = f"files of {', '.join(scope.services[name].watch)}"
    if changed:
        until = until_ended(runs_cut_off(full, manager))
        return Change(name, full, ChangeKind.REPLACE, f"changed: {changed}{until and f'; {until}'}")
    reason = f"kept as {_decides(scope)}; here it differs: {difference}" if difference else ""
    if _is_there(service):
        return Change(name, full, ChangeKind.KEEP, reason)
    return Change(name, full, ChangeKind.START, reason or f"was {service.state.value}")


def _is_there(service: Service | None) -> bool:
    """Whether a service is up, or a job that has completed."""
    return service is not None and (
        service.state.is_up or (isinstance(service, ServiceInstance) and service.has_completed)
    )


def _decides(scope: ProjectScope) -> str:
    """Return who says what a shared service is."""
    if not scope.is_bare:
        return f"{scope.main.id} has it, which decides"
    return f"the worktree had it that made it (project_down in {scope.main.directory} lets this one make it)"


def runs_cut_off(full_name: str, manager: ServiceManager) -> list[ServiceInstance]:
    """Return the jobs at work that the replacement of a service would cut off: its own run, and those that need it."""

    def needs(name: str) -> Iterable[str]:
        found = manager.registry.find(name)
        return () if found is None else found.dependencies

    def is_cut_off(job: ServiceInstance) -> bool:
        if job.name == full_name:
            return is_at_work(job.state)
        return job.state.is_up and full_name in reached(job.dependencies, needs)

    return [job for job in instances_in(manager.registry) if is_job(job) and is_cut_off(job)]


def is_at_work(state: ServiceState) -> bool:
    """Whether a job in `state` runs, is being started or stopped; one that waits for something is not."""
    return state.is_up or state in (ServiceState.STARTING, ServiceState.STOPPING)


def until_ended(jobs: Sequence[ServiceInstance]) -> str:
    """Return in words that `jobs` are waited for; empty without any."""
    names = " and ".join(job.name for job in jobs)
    are, have = ("are", "have") if len(jobs) > 1 else ("is", "has")
    return f"waits until {names}, which {are} at work, {have} ended" if jobs else ""


def _are_kept(scope: ProjectScope, needs: list[str], manager: ServiceManager, known: dict[str, Change]) -> bool:
    """Whether nothing has to be done for `needs`, each found after what it needs itself, and once."""
    if any(need not in known for need in needs):
        for need in scope.closure(needs):
            known[need] = known.get(need) or change_of(scope, need, manager, known)
    return all(known[need].kind is ChangeKind.KEEP for need in needs)


def has_other_inputs(scope: ProjectScope, name: str, service: Service) -> bool:
    """Whether `service`, called `name` in the project, is a job of its own whose watched files changed since."""
    if name not in scope.inputs or scope.owner_of(name) != scope.ref or not isinstance(service, ServiceInstance):
        return False
    return service.record.labels.get(INPUTS_LABEL) != scope.inputs[name]


async def changes_of(scope: ProjectScope, names: Sequence[str], manager: ServiceManager) -> list[Change]:
    """Return what `up` of `names` would do, in order; what left the file comes last."""
    known: dict[str, Change] = {}

    def found(name: str) -> Change:
        known[name] = change_of(scope, name, manager, known)
        return known[name]

    return [*await in_turns(map(found, names)), *removals_of(scope, manager)]


def removals_of(scope: ProjectScope, manager: ServiceManager) -> list[Change]:
    """Return the services that `up` made earlier and that the file has no more."""
    kept = {scope.full_name(name) for name in scope.services}

    def removal(service: ServiceInstance) -> Change:
        until = until_ended([job for job in runs_cut_off(service.name, manager) if job is service])
        reason = f"it left ostler.yaml{until and f'; {until}'}"
        return Change(service.name.removesuffix(f".{scope.ref.id}"), service.name, ChangeKind.REMOVE, reason)

    return [
        removal(service)
        for service in members_of(scope.ref.id, manager)
        if service.name not in kept and MANAGED_LABEL in service.record.labels
    ]


def members_of(project_id: str, manager: ServiceManager) -> list[ServiceInstance]:
    """Return the services of a project, by name."""
    return [one for one in instances_in(manager.registry) if one.record.labels.get(PROJECT_LABEL) == project_id]


def named_services(scope: ProjectScope, names: Sequence[str]) -> list[str]:
    """Return the services that `up` is about: `names` with what they need, or all that are enabled.

    Raises:
        NotFoundError: the file has no such service.
    """
    for name in names:
        if name not in scope.services:
            raise NotFoundError(
                "service", name, known=list(scope.services), next_actions=(f"{scope.loaded.file} lists the services",)
            )
    wanted = list(names) or [name for name, spec in scope.services.items() if spec.enabled]
    return scope.closure(wanted)
