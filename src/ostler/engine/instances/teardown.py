"""How a service is taken down: the pinned plan, compensation after a failed start, what is left behind."""

from collections.abc import Sequence

import anyio

from ostler.engine.instances.operations import Operation
from ostler.engine.instances.vitals import STOP_NOT_SENT, Vitals
from ostler.model.durations import format_duration
from ostler.model.errors import (
    OperationError,
    OperationTimeoutError,
    OstlerError,
    ServerUnavailableError,
    StoreError,
    TemplateError,
    ToolFailedError,
)
from ostler.model.records import CallOutcome, OperationKind, PlannedCall
from ostler.model.states import Reachability, ServiceState, Transition

MISSED_STOP = "missedStop"
"""Counter of a record: 1 when a stop was asked for that could not be sent."""

_SERVER_AWAY_PAUSE = 0.5
"""Seconds between two tries to clean up through a server that is not connected."""


class Teardown(Vitals):
    """Stops what was started, and says what could not be stopped."""

    async def _take_down(self, operation: Operation) -> None:
        instance = self._instance
        if instance.state is not ServiceState.STOPPED:
            instance.report(Transition.STOP_REQUESTED)
        self._note_missed(missed=False)
        try:
            with self._deadline(operation, instance.service_class.config.timeout.delete, "delete"):
                plan = await self._known_stop_plan(
                    "what was started is not known, so it cannot be stopped",
                    f"service_delete {instance.name} with abandon=true forgets it",
                )
                try:
                    await self._run_stop_plan(operation, plan)
                except ToolFailedError:
                    if not await self._has_moved():
                        raise
                    await self._run_stop_plan(operation, instance.record.stop_plan)
        except OstlerError as error:
            if await self._is_gone():
                instance.note(f"the stop tool failed, but the service is gone: {error.summary}")
                operation.message = f"service {instance.name} is stopped (it was already gone: {error.summary})"
            else:
                self._say_stop_failed(operation, error)
                raise
        except anyio.get_cancelled_exc_class():
            if instance.state is ServiceState.STOPPING:
                instance.report(Transition.STOP_FAILED, reason="stop-interrupted")
            raise
        instance.forget_start()
        self._reset_health()
        if instance.state is ServiceState.STOPPING:
            instance.report(Transition.STOPPED)

    def _note_missed(self, *, missed: bool) -> None:
        """Note whether a stop was asked for that never left, and is to be made up for."""
        counters = self._instance.record.counters
        if bool(counters.get(MISSED_STOP)) is not missed:
            self._instance.set_record(counters={**counters, MISSED_STOP: int(missed)})

    def _say_stop_failed(self, operation: Operation, error: OstlerError) -> None:
        instance = self._instance
        never_left = all(call.outcome is CallOutcome.NOT_SENT for call in operation.calls("stop"))
        is_missed = isinstance(error, ServerUnavailableError) and never_left and not instance.is_wanted
        if is_missed and instance.state is ServiceState.STOPPING:  # the stop of a restart fails with it, to be retried
            error.summary += (
                f"; the stop was not sent, so service {instance.name!r} may still run, and is stopped by itself when "
                "the server is back"
            )
            self._note_missed(missed=True)
            error.next_actions = (
                *error.next_actions,
                f"service_{operation.kind.value} {instance.name} tries again",
                f"service_delete {instance.name} with force=true forgets it, whether it is stopped or not"
                if operation.kind is OperationKind.DELETE
                else f"service_start {instance.name} keeps it running after all",
            )
            instance.set_reachability(Reachability.UNREACHABLE)
            instance.report(Transition.STOP_NOT_SENT, reason=STOP_NOT_SENT, error=error)
            return
        if not error.next_actions:
            error.next_actions = (
                f"service_stop {instance.name} tries again",
                f"service_delete {instance.name} with force=true removes it even if stopping fails",
            )
        if instance.state is ServiceState.STOPPING:
            instance.report(Transition.STOP_FAILED, reason="stop-failed", error=error)

    async def _run_stop_plan(
        self, operation: Operation, plan: Sequence[PlannedCall], *, must_journal: bool = True
    ) -> None:
        instance = self._instance
        for call in plan:
            await operation.report_progress(0, None, f"calling {call.tool}")
            try:
                await self._caller.run(operation, call, must_journal=must_journal)
            except StoreError:
                raise
            except OstlerError as error:
                if call.step == "stop":
                    raise
                instance.note(f"{call.step} failed; stopping all the same: {error.summary}")

    async def _run_patiently(self, operation: Operation, plan: Sequence[PlannedCall]) -> None:
        """Run the stop plan of a failed start, waiting for a driving server that is just away (it may have died)."""
        while True:
            try:
                await self._run_stop_plan(operation, plan, must_journal=False)
            except ServerUnavailableError:
                await anyio.sleep(_SERVER_AWAY_PAUSE)
            else:
                return

    async def _has_moved(self) -> bool:
        """Whether `find` knows the service under another id than the pinned plan, which is pinned anew then."""
        instance = self._instance
        before = instance.record.stop_plan
        try:
            if not await self.find():
                return False
            self._pin_stop_plan()
        except OstlerError:
            return False
        if instance.record.stop_plan == before:
            return False
        instance.note("the stop tool failed on what was pinned, and find knows it by another id: stopping that")
        return True

    async def _is_gone(self) -> bool:
        """Whether a looking tool with an expectation of its own says, after a failed stop, that nothing is there."""
        tools = self._instance.service_class.tools
        looks = [("status", tools.status), ("find", tools.find), ("healthCheck", tools.health_check)]
        for step, spec in looks:
            if spec is None or (spec.expect is None and spec.expect_not is None):
                continue
            with anyio.CancelScope(shield=True), anyio.move_on_after(5.0):
                try:
                    await self._caller.probe(self._plan(step, spec, 5.0))
                except ToolFailedError as miss:
                    if miss.is_refusal:
                        continue
                    return True
                except OstlerError:
                    continue
                return False
        return False

    async def _compensate(self, operation: Operation) -> tuple[bool, str]:
        """Stop what a start may have begun; return (clean, in words)."""
        instance = self._instance
        starts = [*operation.calls("start"), *operation.calls("restart")]
        refused = bool(starts) and all(call.outcome is CallOutcome.FAILED for call in starts)
        limit = instance.service_class.config.timeout.delete
        plan: Sequence[PlannedCall] | None = None
        try:
            with anyio.fail_after(limit):
                plan = instance.record.stop_plan or await self._derive_patiently(once=refused)
                if plan is None:
                    return refused, "nothing was left to clean up" if refused else (
                        "what it may have started could not be found, so it could not be stopped"
                    )
                if not plan:
                    return True, "nothing was left to clean up"
                instance.set_record(stop_plan=tuple(plan))
                await self._run_patiently(operation, plan)
        except TimeoutError:
            return False, f"its cleanup did not end within {format_duration(limit)}: it may still be there"
        except OstlerError as failure:
            if refused or await self._is_gone():
                return True, f"nothing was left to clean up ({failure.summary})"
            return False, f"its cleanup failed too, so it may still be there: {failure.summary}"
        return True, f"cleaned up with {plan[-1].tool}"

    async def _known_stop_plan(self, problem: str, way_out: str) -> Sequence[PlannedCall]:
        """Return the pinned stop plan, or one derived now.

        Raises:
            OperationError: it cannot be known; `problem` says so and `way_out` what to do after looking.
        """
        instance = self._instance
        plan = instance.record.stop_plan or await self._derive_stop_plan()
        if plan is None:
            raise OperationError(
                problem, service=instance.name, step="stop", next_actions=("look for it by hand", way_out)
            )
        return plan

    async def _derive_patiently(self, *, once: bool) -> Sequence[PlannedCall] | None:
        """Derive the stop plan, waiting (unless `once`) for a driving server that is just away (it may have died)."""
        while True:
            try:
                return await self._derive_stop_plan()
            except ServerUnavailableError:
                if once:
                    raise
                await anyio.sleep(_SERVER_AWAY_PAUSE)

    async def _derive_stop_plan(self) -> Sequence[PlannedCall] | None:
        """Find out how to stop what was started when no plan could be pinned.

        Returns the plan, empty when there is nothing to stop, None when it cannot be known.
        """
        if self._instance.unreadable is not None:
            return None
        found = await self.find()
        if found is False:
            return ()
        try:
            return self._stop_plan()
        except TemplateError:
            return None

    async def _clear_leftover(self, operation: Operation) -> None:
        """Stop what an earlier failed start or stop left behind, before starting anew."""
        instance = self._instance
        if instance.state in (ServiceState.RETRYING, ServiceState.FAILED):
            instance.note("stopping what was left behind before starting again")
        try:
            with anyio.fail_after(instance.service_class.config.timeout.delete):
                plan = await self._known_stop_plan(
                    f"service {instance.name!r} cannot be started: an earlier start may have left something that "
                    "could not be found",
                    f"then service_delete {instance.name} with abandon=true and create it again",
                )
                await self._run_stop_plan(operation, plan)
        except OstlerError as error:
            if not await self._is_gone():
                error.summary = f"what an earlier start of {instance.name!r} left could not be stopped: {error.summary}"
                error.next_actions = error.next_actions or (
                    f"service_stop {instance.name} tries again",
                    f"service_delete {instance.name} with force=true forgets it even if stopping fails",
                )
                raise
            instance.note(f"the stop tool failed, but what was left is gone: {error.summary}")
        except TimeoutError:
            raise OperationTimeoutError(
                "stopping what an earlier start left behind took too long", service=instance.name, step="stop"
            ) from None
        instance.forget_start()
