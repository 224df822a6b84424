"""What every lifecycle step needs: rendered calls, deadlines, the pinned stop plan."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from ostler.engine.instances.calls import Caller
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.runtime import Runtime
from ostler.model.durations import format_duration
from ostler.model.errors import OperationTimeoutError, TemplateError
from ostler.model.manifest import ToolCallSpec
from ostler.model.records import PlannedCall
from ostler.rules.calls.rendering import plan_call, stop_plan

if TYPE_CHECKING:
    from ostler.engine.instances.instance import ServiceInstance


class Steps:
    """The ground that vitals, teardown and lifecycle stand on. Only the instance's controller task calls these."""

    def __init__(self, instance: "ServiceInstance", runtime: Runtime) -> None:
        self._instance = instance
        self._runtime = runtime
        self._caller = Caller(instance, runtime)

    def _plan(self, step: str, spec: ToolCallSpec, timeout: float) -> PlannedCall:
        try:
            return plan_call(step, spec, self._instance.template_names(), timeout=timeout)
        except TemplateError as error:
            raise error.located(service=self._instance.name, step=step, tool=spec.tool) from error.__cause__

    def _stop_plan(self) -> tuple[PlannedCall, ...]:
        return stop_plan(self._instance.service_class, self._instance.template_names())

    def _pin_stop_plan(self) -> None:
        self._instance.set_record(stop_plan=self._stop_plan())

    def _reset_health(self) -> None:
        instance = self._instance
        instance.failures = instance.successes = 0
        instance.evidence = ""
        instance.checked_at = instance.next_check_at = None

    @contextmanager
    def _deadline(self, operation: Operation, seconds: float, key: str) -> Generator[anyio.CancelScope]:
        with anyio.move_on_after(seconds) as scope:
            yield scope
        if scope.cancelled_caught:
            what = f"{operation.kind.value} took longer than {format_duration(seconds)} (timeout.{key})"
            if operation.step == "ready" and operation.last_miss:
                what += f"; the last ready check said: {operation.last_miss}"
            raise OperationTimeoutError(
                what,
                service=self._instance.name,
                step=operation.step,
                next_actions=("service_logs shows what it printed", f"raise timeout.{key} in the class if it is slow"),
            )


def remaining(scope: anyio.CancelScope) -> float:
    """Return the seconds left in `scope`."""
    return max(scope.deadline - anyio.current_time(), 0.001)
