"""Writes ends of operations that the store refused, as soon as it accepts them."""

import logging
from typing import Final

import anyio

from ostler.engine.instances.instance import ControllerRuntime, ServiceInstance
from ostler.engine.instances.reasons import HAS_FAILED
from ostler.model.errors import StoreError
from ostler.model.states import ServiceState

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0


class Bookkeeper:
    """Tries the store again, so that no ended operation stays open in the journal until another follows."""

    def __init__(self, runtime: ControllerRuntime) -> None:
        self._runtime = runtime
        self._busy: set[str] = set()

    def operation_ended(self, instance: ServiceInstance) -> None:
        """No operation of `instance` is under way any more: write what its journal still lacks."""
        group = self._runtime.task_group
        if group is not None and instance.journal.unrecorded and instance.id not in self._busy:
            self._busy.add(instance.id)
            group.start_soon(self._record, instance)

    def instance_changed(self, instance: ServiceInstance) -> None:
        """Write that `instance` has failed: it stays so over a restart of Ostler."""
        group = self._runtime.task_group
        if group is not None and _is_to_be_kept(instance):
            group.start_soon(self._keep, instance)

    @staticmethod
    async def _keep(instance: ServiceInstance) -> None:
        if not _is_to_be_kept(instance):
            return
        try:
            await instance.commit()
        except StoreError as error:
            instance.note(f"the failure could not be recorded: {error.summary}")

    async def _record(self, instance: ServiceInstance) -> None:
        pause = _FIRST_PAUSE
        try:
            while True:
                await anyio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                if not instance.journal.unrecorded or instance.vitals.removed:
                    return
                if instance.operation is not None:  # it writes them with its own
                    continue
                try:
                    await instance.commit(ends=True)
                except StoreError as error:
                    logger.debug("%s", error)
                else:
                    instance.note("what could not be recorded before is recorded now")
                    return
        finally:
            self._busy.discard(instance.id)


def _is_to_be_kept(instance: ServiceInstance) -> bool:
    """Whether it has failed on its own, and its record does not say so; an operation under way writes its own end."""
    has_failed = instance.state is ServiceState.FAILED and instance.status.reason in HAS_FAILED
    is_written = instance.record.state is ServiceState.FAILED
    return has_failed and not is_written and instance.operation is None and not instance.vitals.removed
