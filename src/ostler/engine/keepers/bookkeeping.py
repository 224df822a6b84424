"""Ends of operations that the store did not take are written as soon as it takes them."""

import logging
from typing import Final

import anyio

from ostler.engine.instances.instance import ControllerRuntime, ServiceInstance
from ostler.model.errors import StoreError

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0


class Bookkeeper:
    """Asks the store again, so that no operation that has ended stays open in the journal until another follows."""

    def __init__(self, runtime: ControllerRuntime) -> None:
        self._runtime = runtime
        self._busy: set[str] = set()

    def operation_ended(self, instance: ServiceInstance) -> None:
        """No operation of `instance` is under way any more: write what its journal still lacks."""
        group = self._runtime.task_group
        if group is not None and instance.journal.unrecorded and instance.id not in self._busy:
            self._busy.add(instance.id)
            group.start_soon(self._record, instance)

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
