"""Starts and stops of many services along the dependency graph, each as early as its neighbours allow."""

from collections.abc import Awaitable, Callable, Sequence

import anyio

from ostler.engine.dependencies.graph import DependencyGraph
from ostler.engine.dependencies.prerequisites import Prerequisites
from ostler.engine.services.service import Service
from ostler.model.durations import format_duration
from ostler.model.errors import OperationTimeoutError, OstlerError

Failures = dict[str, OstlerError]
"""What went wrong, by service."""


async def start_in_order(
    services: Sequence[Service], prerequisites: Prerequisites, *, timeout: float | None = None
) -> Failures:
    """Start `services` side by side; each start waits for the dependencies of its own service alone.

    Args:
        services: which; those that are up are left as they are.
        prerequisites: starts a service after what it needs.
        timeout: seconds after which what is not up yet counts as a failure (it continues on its own).
    """
    failures: Failures = {}
    missing = {service.name for service in services}

    async def start(service: Service) -> None:
        try:
            await prerequisites.start(service)
        except OstlerError as error:
            failures[service.name] = error
        missing.discard(service.name)

    with anyio.move_on_after(timeout) as scope:
        async with anyio.create_task_group() as group:
            for service in services:
                group.start_soon(start, service)
    if scope.cancelled_caught:
        _name_missing(failures, missing, "start", timeout)
    return failures


async def stop_in_order(
    services: Sequence[Service],
    graph: DependencyGraph,
    stop: Callable[[Service], Awaitable[object]],
    *,
    timeout: float | None = None,
) -> Failures:
    """Stop `services`, dependents before what they depend on, independent ones side by side.

    What could not be stopped does not keep what it depends on running.

    Args:
        services: which.
        graph: which service depends on which.
        stop: stops one service; raises OstlerError when it cannot.
        timeout: seconds after which what is not down yet counts as a failure.
    """
    done = {service.name: anyio.Event() for service in services}
    failures: Failures = {}

    async def take_down(service: Service) -> None:
        try:
            for dependent in graph.dependents(service.name):
                if dependent.name in done and dependent.name != service.name:
                    await done[dependent.name].wait()
            await stop(service)
        except OstlerError as error:
            failures[service.name] = error
        finally:
            done[service.name].set()

    with anyio.move_on_after(timeout) as scope:
        async with anyio.create_task_group() as group:
            for service in services:
                group.start_soon(take_down, service)
    if scope.cancelled_caught:
        missing = {service.name for service in services if service.state.is_up or not service.state.is_settled}
        _name_missing(failures, missing, "stop", timeout)
    return failures


def _name_missing(failures: Failures, missing: set[str], verb: str, timeout: float | None) -> None:
    for name in missing - failures.keys():
        failures[name] = OperationTimeoutError(
            f"{verb} of service {name!r} did not end within {format_duration(timeout or 0.0)}; it goes on",
            service=name,
            next_actions=(f"service_status {name} shows how far it is",),
        )
