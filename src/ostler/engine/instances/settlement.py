"""What a crash left open is settled: a start that was cut off is finished, done again, or held until a person says."""

import json
from datetime import datetime, timedelta
from typing import NoReturn

import anyio

from ostler.engine.instances.lifecycle import Lifecycle
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.vitals import UNKNOWN_OUTCOME
from ostler.model.errors import (
    ArgumentError,
    OperationError,
    OstlerError,
    ServerUnavailableError,
    TemplateError,
    ToolFailedError,
)
from ostler.model.json import JsonObject
from ostler.model.manifest import OutputSpec
from ostler.model.records import START_STEPS, CallRecord, OperationKind, OperationRecord
from ostler.model.states import DesiredState, Reachability, ServiceState, Transition
from ostler.rules.answers.extraction import render_outputs

LOOK_ATTEMPTS = 3
"""Times that a tool which could tell is asked before it counts as unknown."""

_LOOK_PAUSE = 2.0
"""Seconds between two looks, while a call that was cut off may still be under way."""


class Settlement(Lifecycle):
    """Finishes what an earlier run began. Only the instance's controller task calls these."""

    async def resume(self, operation: Operation, old: OperationRecord) -> None:
        """Finish the start or restart `old`, or whatever `operation` asks for in its place.

        Nothing is sent before it is known what `old` did, or the class's `onUnknown` has decided; until then `old`
        stays open in the journal, so that another crash changes nothing.

        Raises:
            OperationError: it cannot be known, and the class says `hold`; the text is the question.
        """
        instance = self._instance
        if instance.unreadable is not None:
            operation.changed = False
            self._refuse_unreadable()
        if not old.may_have_started and not instance.record.has_leftover:
            await self._begin_again(operation, old)
            return
        if operation.kind is OperationKind.RESTART and (old.kind is not operation.kind or not old.may_have_started):
            instance.set_held(held=not instance.record.stop_plan)  # whatever it is, it is stopped first
            await self._wait_for_cut_off(operation, old)
            await self.restart(operation)
            return
        operation.changed = False  # an end before the decision leaves the old operation open
        operation.step = "verify"
        try:
            there, evidence = await self._look(old)
        except ServerUnavailableError as error:
            self._lose_sight(operation, error)
            return
        if _was_cleaning_up(old):
            await self._finish_cleanup(operation, old)
        operation.changed = True
        try:
            if there:
                await self._finish_start(operation, old)
            elif there is None and old.may_have_started:
                await self._follow_policy(operation, old, evidence)
            else:
                await self._begin_again(operation, old)
        except OstlerError as error:
            if instance.state in (ServiceState.UNKNOWN, ServiceState.UNREACHABLE):
                self._hold(error)
            raise

    def _lose_sight(self, operation: Operation, error: ServerUnavailableError) -> None:
        instance = self._instance
        instance.set_reachability(Reachability.UNREACHABLE)
        if instance.state in (ServiceState.UNKNOWN, ServiceState.UNREACHABLE):
            instance.report(Transition.VERIFICATION_LOST, reason="driver-unreachable", error=error)
        operation.message = f"service {instance.name} cannot be verified now: {error.summary}"

    async def _begin_again(self, operation: Operation, old: OperationRecord) -> None:
        """Start anew, under the old key: nothing is there, or the same key makes it the same thing."""
        instance = self._instance
        if instance.record.has_leftover:
            await self._clear_leftover(operation)
        key = instance.record.start_key or old.idempotency_key or operation.id
        instance.set_record(desired=DesiredState.RUNNING, start_key=key)
        instance.report(Transition.START_REQUESTED)
        await self._bring_up(operation)
        operation.message = f"service {instance.name} is running (its {old.kind.value} was resumed after a crash)"

    async def _finish_cleanup(self, operation: Operation, old: OperationRecord) -> NoReturn:
        """The start had failed, and its cleanup was cut off: end it, and fail as it would have."""
        await self._wait_for_cut_off(operation, old)
        operation.took_over_start = operation.changed = True
        failed = [call for call in old.calls if call.step in START_STEPS and call.error]
        why = failed[-1].error if failed else "it was cancelled"
        error = OperationError(
            f"the {old.kind.value} of service {self._instance.name!r} failed ({why}), and a crash cut off its cleanup",
            service=self._instance.name,
            step="stop",
        )
        self._instance.report(Transition.START_REQUESTED)
        await self._clean_up(operation, error)
        raise error

    async def _finish_start(self, operation: Operation, old: OperationRecord) -> None:
        """It is there: go on from the answered start tool."""
        instance = self._instance
        try:
            self._pin_stop_plan()
        except TemplateError as error:
            missing = ", ".join(error.missing) or error.summary
            raise self._question(
                f"service {instance.name!r} runs, but its {old.kind.value} was cut off before the answer was kept, so "
                f"its stop tool cannot be called: {missing} is not known",
                "What is it?",
                old,
            ) from error
        done, unclear = _post_starts(old)
        policy = instance.service_class.config.on_unknown
        if unclear and policy == "hold":
            raise self._question(
                f"service {instance.name!r} runs, but its {unclear[0].step} ({unclear[0].tool}) was cut off, and "
                "nothing can tell whether it acted",
                "Is the service complete?",
                old,
            )
        if policy == "adopt":
            done |= {call.step for call in unclear}
        operation.done_steps = frozenset(done)
        operation.took_over_start = True
        instance.set_record(desired=DesiredState.RUNNING)
        instance.report(Transition.START_REQUESTED)
        async with self._cleaning_up(operation, "start"):
            if unclear and policy == "compensate":
                raise OperationError(f"{unclear[0].step} was cut off by a crash (onUnknown: compensate)")
            with self._deadline(operation, instance.service_class.config.timeout.create, "create") as scope:
                await self._come_up(operation, scope)
        operation.message = f"service {instance.name} is running and was adopted"

    async def _follow_policy(self, operation: Operation, old: OperationRecord, evidence: str) -> None:
        """Nothing can tell what the start did: do as the class's `onUnknown` says."""
        instance = self._instance
        match instance.service_class.config.on_unknown:
            case "retry":
                instance.note("nothing can tell what came of its start: doing it again (onUnknown: retry)")
                if not instance.record.stop_plan:
                    instance.set_held(held=False)
                await self._begin_again(operation, old)
            case "compensate":
                instance.note("nothing can tell what came of its start: stopping it (onUnknown: compensate)")
                instance.set_held(held=True)
                instance.set_record(desired=DesiredState.STOPPED)
                await self._take_down(operation)
                operation.message = f"service {instance.name} is stopped: its start was cut off (onUnknown: compensate)"
            case "adopt":
                self.adopt_unverified()
                operation.message = f"service {instance.name} is taken for running (onUnknown: adopt)"
            case "hold":
                raise self._question(
                    f"the {old.kind.value} of service {instance.name!r} was cut off, and nothing can tell what came of "
                    f"it ({evidence})",
                    "Does it run?",
                    old,
                )

    def _question(self, facts: str, question: str, old: OperationRecord) -> OperationError:
        instance = self._instance
        sent = [call for call in old.calls if call.outcome.may_have_acted]
        last = sent[-1] if sent else None
        when = f"; {last.tool} was called at {last.sent_at.isoformat(timespec='seconds')}" if last is not None else ""
        return OperationError(
            f"{facts}{when}. {question}",
            service=instance.name,
            step=last.step if last is not None else old.kind.value,
            tool=last.tool if last is not None else None,
            next_actions=(
                f"look by hand; service_explain {instance.name} has the calls that settle it",
                "if it runs: service_start with adopt",
                "if it does not: service_delete with abandon=true",
            ),
        )

    def _hold(self, error: OstlerError) -> None:
        instance = self._instance
        instance.set_held(held=True)
        instance.report(Transition.HELD, reason=UNKNOWN_OUTCOME, error=error)

    # -- looking -------------------------------------------------------------------------------------------

    async def _look(self, old: OperationRecord) -> tuple[bool | None, str]:
        """Return (whether it is there, how that is known); None when nothing can tell.

        What is not there is looked for again as long as a call that was cut off may still be under way elsewhere.

        Raises:
            ServerUnavailableError: the driving server cannot be asked now.
        """
        until = self._under_way_until(old)
        while True:
            there, evidence = await self._look_patiently()
            if there is not False or until is None or self._runtime.clock.now() >= until:
                return there, evidence
            left = (until - self._runtime.clock.now()).total_seconds()
            await anyio.sleep(min(_LOOK_PAUSE, max(left, 0.0)))

    async def _wait_for_cut_off(self, operation: Operation, old: OperationRecord) -> None:
        """Wait until no call that was cut off can still act: a late stop would end what is started next."""
        until = self._under_way_until(old)
        if until is not None:
            operation.changed = False
            await anyio.sleep(max((until - self._runtime.clock.now()).total_seconds(), 0.0))
            operation.changed = True

    def _under_way_until(self, old: OperationRecord) -> datetime | None:
        """Return until when a call that was cut off may still act elsewhere; None when none can."""
        instance, tools = self._instance, self._runtime.tools
        unclear = [call for call in old.calls if call.outcome.is_unclear]
        if not unclear:
            return None
        call = unclear[-1]
        if tools is not None and not tools.server_status(call.tool.partition("/")[0]).outlives:
            return None
        limits = instance.service_class.config.timeout
        seconds = {"stop": limits.delete, "restart": limits.restart_in_all}.get(call.step, limits.create)
        return call.sent_at + timedelta(seconds=seconds)

    async def _look_patiently(self) -> tuple[bool | None, str]:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._look_once()
            except ServerUnavailableError:
                raise
            except OstlerError as error:
                if attempt >= LOOK_ATTEMPTS or not (error.retryable or isinstance(error, ToolFailedError)):
                    return None, f"{error.tool or error.step} cannot tell: {error.summary}"
            await anyio.sleep(_LOOK_PAUSE)

    async def _look_once(self) -> tuple[bool | None, str]:
        """Ask `find`, which knows what exists, else `status`; a `healthCheck` only proves that something is there."""
        tools = self._instance.service_class.tools
        found = await self.find()
        if found is not None:
            return found, "find"
        asked = "its class has no find or status tool"
        for step, spec in (("status", tools.status), ("healthCheck", tools.health_check)):
            if spec is None:
                continue
            try:
                call = self._plan(step, spec, 10.0)
            except TemplateError as error:
                asked = f"its {step} tool cannot be asked: {error.summary}"
                continue
            try:
                await self._caller.probe(call)
            except ToolFailedError as miss:
                if miss.is_refusal:
                    raise
                if step == "status":
                    return False, "status"
                asked = f"its {step} tool fails, which is no proof"
                continue
            return True, step
        return None, asked

    # -- adopting ------------------------------------------------------------------------------------------

    async def adopt(self, operation: Operation, outputs: JsonObject) -> None:
        """Take the service for running because the caller says so, with `outputs` of its start tool.

        Raises:
            ArgumentError: the start tool has no such output.
            OperationError: what its stop tool needs is still not known.
        """
        instance = self._instance
        if instance.state.is_up and instance.record.stop_plan:
            operation.changed = False
            operation.message = f"service {instance.name} is already running"
            return
        known = instance.service_class.tools.start.outputs
        unknown = [name for name in outputs if name not in known]
        if unknown:
            raise ArgumentError(
                [
                    f"unknown output {name!r} in adopt; the start tool has {', '.join(known) or 'none'}"
                    for name in unknown
                ]
            )
        held = instance.record.step_outputs
        instance.set_record(step_outputs={**held, "start": {**held.get("start", {}), **outputs}})
        if missing_outputs(instance.service_class.tools.start.outputs, instance.record.step_outputs.get("start", {})):
            try:
                await self.find()
            except OstlerError as error:
                instance.note(f"find failed while adopting: {error.summary}")
        try:
            self._pin_stop_plan()
        except TemplateError as error:
            needed = {name.removeprefix("start."): "…" for name in error.missing if name.startswith("start.")}
            blank = json.dumps(needed, ensure_ascii=False)
            raise OperationError(
                f"service {instance.name!r} cannot be adopted yet: its stop tool needs what is not known: "
                f"{', '.join(error.missing) or error.summary}",
                service=instance.name,
                step="adopt",
                next_actions=(f"service_start {instance.name} with adopt={blank}, the values filled in",),
            ) from error
        try:
            rendered = render_outputs(instance.service_class.config.outputs, instance.template_names())
        except OstlerError as error:
            instance.note(f"adopted without its outputs: {error.summary}")
        else:
            now = self._runtime.clock.now().isoformat()
            instance.set_record(outputs=rendered, counters={**instance.record.counters, "outputsAt": now})
        instance.set_record(desired=DesiredState.RUNNING)
        instance.set_held(held=False)
        self._reset_health()
        instance.report(Transition.ADOPTED, reason="adopted")
        self._runtime.watch_health(instance)
        operation.message = f"service {instance.name} was adopted as running"


def missing_outputs(specs: dict[str, str | OutputSpec], held: JsonObject) -> list[str]:
    """Return the names of the start tool's outputs that are required and not held."""
    return [
        name
        for name, spec in specs.items()
        if held.get(name) is None and not (isinstance(spec, OutputSpec) and (not spec.required or spec.has_default))
    ]


def _was_cleaning_up(old: OperationRecord) -> bool:
    """Whether a stop was sent after the start: the operation had failed, or was cancelled."""
    steps = [call.step.partition("[")[0] for call in old.calls if call.outcome.may_have_acted]
    return any(step in START_STEPS for step in steps) and steps[-1] in ("preStop", "stop")


def _post_starts(old: OperationRecord) -> tuple[set[str], list[CallRecord]]:
    """Return (postStart steps that are done, those that nobody can tell of)."""
    calls = {call.step: call for call in old.calls if call.step.startswith("postStart")}
    return (
        {step for step, call in calls.items() if not call.outcome.is_unclear and call.outcome.may_have_acted},
        [call for call in calls.values() if call.outcome.is_unclear],
    )
