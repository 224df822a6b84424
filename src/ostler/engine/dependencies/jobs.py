"""Services that do their work and end: which are, and how one waits for the end."""

from typing import TypeGuard

import anyio

from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.reasons import CRASH_LOOP
from ostler.engine.services.registry import RegistryAdapter
from ostler.engine.services.service import Service, ServiceStatus
from ostler.model.errors import DependencyError, OperationError
from ostler.model.states import ServiceState
from ostler.rules.checking.class_graph import Unmeetable, unmeetable


def is_job(service: Service | None) -> TypeGuard[ServiceInstance]:
    """Whether `service` can complete: its class says how that is seen."""
    return isinstance(service, ServiceInstance) and service.service_class.config.completed is not None


def hopelessness(service: Service, condition: str) -> DependencyError | None:
    """Return why nothing can ever show that `service` is as `condition` says; None if something can."""
    if (never := _never(service, condition)) is None:
        return None
    state = "has completed" if condition == "completed" else f"is {condition}"
    return DependencyError(
        f"nothing can ever show that service {service.name!r} {state}: {never.why}", next_actions=(never.fix,)
    )


def _never(service: Service, condition: str) -> Unmeetable | None:
    if not isinstance(service, ServiceInstance):
        fix = "write 'started' or 'healthy'"
        return Unmeetable(condition, "it has no class", fix) if condition == "completed" else None
    if never := unmeetable(condition, service.service_class):
        return never
    if condition == "healthy" and not service.can_be_healthy:
        why = "its class has no healthCheck and no status tool"
        return Unmeetable(condition, why, "write 'started', or give its class a healthCheck tool")
    return None


async def await_end(registry: RegistryAdapter, job: ServiceInstance) -> None:
    """Return once `job` has ended, or is no longer there; one that its restart policy runs again has not ended."""
    with anyio.CancelScope() as is_there:

        def changed(service: Service, is_registered: bool) -> None:
            if service is job and not is_registered:
                is_there.cancel()

        unsubscribe = registry.subscribe(changed)
        try:
            await job.wait_until(lambda status: _has_ended(job, status))
        finally:
            unsubscribe()


async def await_completion(registry: RegistryAdapter, job: ServiceInstance) -> None:
    """Wait until `job` has ended.

    Raises:
        OperationError: it failed, was stopped or was removed.
    """
    await await_end(registry, job)
    if not job.has_completed:
        why = job.view().error or f"it was {'stopped' if registry.find(job.name) is job else 'removed'}"
        raise OperationError(
            f"service {job.name!r} ended without success: {why}",
            service=job.name,
            next_actions=(f"service_logs {job.name} shows what it wrote",),
        )


def has_ended(job: ServiceInstance) -> bool:
    """Whether `job` has ended, and no crash of Ostler left its start to be finished."""
    return job.interrupted_start is None and _has_ended(job, job.status)


def _has_ended(job: ServiceInstance, status: ServiceStatus) -> bool:
    if status.state is ServiceState.FAILED:
        policy = job.service_class.config.restart.policy
        return policy == "never" or status.reason == CRASH_LOOP or not job.is_wanted
    return job.has_completed or status.state is ServiceState.STOPPED
