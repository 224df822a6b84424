"""The end of the server, in bounded time: operations stay open for the next run, and what must not stay is stopped."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

import anyio

from ostler.engine.dependencies.graph import DependencyGraph
from ostler.engine.dependencies.ordering import stop_in_order
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.operations import ANSWER_GRACE, LEAVING
from ostler.engine.services.service import Service
from ostler.model.records import OperationKind
from ostler.model.states import DesiredState

logger = logging.getLogger(__name__)

SHUTDOWN_TIMEOUT: Final = 20.0
"""Seconds that the whole shutdown may take."""

_FOR_CALLS: Final = 0.9
"""The part of the time for which answers of calls under way are awaited; the rest is for writing down what came."""

_LAST_WORDS: Final = 1.0
"""Seconds, after the time is over, for writing down what is left open."""


async def depart(
    instances: Callable[[], Sequence[ServiceInstance]], graph: DependencyGraph, *, stop_all: bool, timeout: float
) -> None:
    """Leave operations open, as a crash does, but with the answers of their calls; stop what is not persisted.

    Args:
        instances: returns the instances that there are.
        graph: whose dependents are stopped first.
        stop_all: stop what is persisted, too.
        timeout: seconds that all of it may take.
    """

    def must_leave(instance: ServiceInstance) -> bool:
        return stop_all or not instance.record.persist

    with anyio.move_on_after(timeout) as scope:
        patience = timeout * _FOR_CALLS
        present = instances()
        for instance in present:
            if must_leave(instance):
                instance.cancel_operation(grace=min(ANSWER_GRACE, patience))
            else:
                instance.interrupt_operation(grace=patience)
        for instance in present:
            await instance.wait_idle()
        leaving = [instance for instance in instances() if must_leave(instance)]
        wanted = [instance for instance in leaving if instance.record.persist and instance.is_wanted]
        failures = await stop_in_order(leaving, graph, _stop)
        for error in failures.values():
            logger.warning("%s", error)
        for instance in wanted:  # stopped for the exit, not by a person's wish: it comes back
            instance.set_record(desired=DesiredState.RUNNING)
            await instance.commit()
    if scope.cancelled_caught:
        busy = [instance for instance in instances() if instance.operation is not None]
        names = ", ".join(f"{each.name} ({each.operation.step})" for each in busy if each.operation is not None)
        logger.warning("shutdown did not end in %ss; left to the next server: %s", timeout, names)
        with anyio.move_on_after(_LAST_WORDS):
            for instance in busy:
                instance.interrupt_operation(grace=0.0, stops=True)
            for instance in busy:
                await instance.wait_idle()


async def _stop(service: Service) -> None:
    assert isinstance(service, ServiceInstance)
    kind = OperationKind.STOP if service.record.persist else OperationKind.DELETE
    await service.request(kind, reason=LEAVING).wait()
