"""How one instance is started, restarted, stopped and deleted: the steps, their deadlines, their cleanup."""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from ostler.engine.instances.operations import Operation
from ostler.engine.instances.steps import remaining
from ostler.engine.instances.teardown import Teardown
from ostler.engine.instances.vitals import UNKNOWN_OUTCOME
from ostler.model.errors import (
    ClassUnavailableError,
    DependencyError,
    DownstreamError,
    ExtractionError,
    OperationError,
    OstlerError,
    ToolFailedError,
)
from ostler.model.events import EventKind
from ostler.model.manifest import ToolCallSpec
from ostler.model.states import DesiredState, ServiceState, Transition
from ostler.rules.answers.extraction import render_outputs


class Lifecycle(Teardown):
    """The operations of one instance. Only its controller task calls these."""

    async def start(self, operation: Operation) -> None:
        """Bring the service up: pre-checks, dependencies, start tool, ready, postStart, outputs."""
        instance = self._instance
        if instance.state.is_up:
            if not instance.is_wanted:
                instance.set_record(desired=DesiredState.RUNNING)
                await instance.commit()
            operation.changed = False
            operation.message = f"service {instance.name} is already running"
            return
        self._refuse_unreadable()
        if instance.state in (ServiceState.UNKNOWN, ServiceState.UNREACHABLE):
            await self.verify(operation)  # it may be running: what is not verified yet is not stopped first
            if instance.state.is_up:
                instance.set_record(desired=DesiredState.RUNNING)
                return
            operation.message = ""
            instance.set_record(desired=DesiredState.RUNNING)  # also when nobody can be asked now
        if instance.record.has_leftover:
            self._check_tools()  # nothing is stopped for a start that cannot be
            await self._clear_leftover(operation)
        instance.set_record(desired=DesiredState.RUNNING, start_key=operation.id)
        instance.report(Transition.START_REQUESTED)
        await self._bring_up(operation)

    async def _bring_up(self, operation: Operation, *, restart_ends: float = math.inf) -> None:
        """Start under the create timeout, or what is left of the restart's, and clean up when that fails."""
        instance = self._instance
        instance.begin_anew()
        operation.set_key(instance.record.start_key)
        limit, key = instance.service_class.config.timeout.create, "create"
        if (left := restart_ends - anyio.current_time()) < limit:  # waiting for dependencies is not counted
            limit, key = max(left, 0.001), "restart"
        async with self._cleaning_up(operation, "start"):
            self._check_tools()
            operation.step = "dependencies"
            if instance.service_class.config.dependencies and not operation.committed:
                await instance.commit(operation)  # waiting may take long: what was accepted outlives a crash
            facts = await self._runtime.await_dependencies(instance, operation)
            instance.set_record(dependency_facts=facts.names, dependency_secrets=tuple(sorted(facts.secrets)))
            with self._deadline(operation, limit, key) as scope:
                await self._start_steps(operation, scope)

    @asynccontextmanager
    async def _cleaning_up(self, operation: Operation, what: str) -> AsyncGenerator[None]:
        """Clean up when the steps in the block fail or are cancelled by a later request."""
        try:
            yield
        except DependencyError:
            raise  # it waits, and starts by itself when the dependency is there
        except OstlerError as error:
            await self._clean_up(operation, error)
            raise
        except anyio.get_cancelled_exc_class():
            if operation.is_cancelled:
                with anyio.CancelScope(shield=True):
                    await self._clean_up(operation, OperationError(f"{what} cancelled: {operation.cancel_reason}"))
            raise

    async def _start_steps(self, operation: Operation, scope: anyio.CancelScope) -> None:
        instance = self._instance
        tools = instance.service_class.tools
        call = self._plan("start", tools.start, remaining(scope))
        await operation.report_progress(0, None, f"calling {call.tool}")
        answer = await self._caller.run(operation, call, critical=True)
        instance.set_record(step_outputs={"start": answer.outputs}, outputs={})
        self._pin_stop_plan()
        instance.count("starts")
        if tools.ready is not None or tools.post_start:
            await instance.commit(operation)
        await self._come_up(operation, scope)

    async def _come_up(self, operation: Operation, scope: anyio.CancelScope) -> None:
        """From an answered start or restart tool to running."""
        instance = self._instance
        tools = instance.service_class.tools
        if tools.ready is not None:
            await self._await_ready(operation, scope)
        for index, spec in enumerate(tools.post_start):
            step = f"postStart[{index}]"
            if step not in operation.done_steps:
                await self._caller.run(operation, self._plan(step, spec, remaining(scope)))
        operation.step = "outputs"
        outputs = render_outputs(instance.service_class.config.outputs, instance.template_names())
        now = self._runtime.clock.now().isoformat()
        instance.set_record(outputs=outputs, counters={**instance.record.counters, "outputsAt": now})
        instance.set_held(held=False)
        self._reset_health()
        instance.report(Transition.STARTED)
        if outputs:
            self._runtime.events.append(
                EventKind.OUTPUTS_CHANGED, instance.name, f"outputs: {', '.join(sorted(outputs))}"
            )
        operation.message = operation.message or f"service {instance.name} is running"
        await operation.report_progress(1, 1, operation.message)
        self._runtime.watch_health(instance)

    async def _await_ready(self, operation: Operation, scope: anyio.CancelScope) -> None:
        spec = self._instance.service_class.tools.ready
        assert spec is not None
        operation.step = "ready"
        attempts = 0
        operation.last_miss = ""
        while True:
            attempts += 1
            call = self._plan("ready", spec, min(remaining(scope), spec.timeout or 10.0))
            try:
                answer = await self._caller.probe(call)
            except (ToolFailedError, ExtractionError) as miss:
                operation.last_miss = miss.summary
            except DownstreamError as miss:
                if not miss.retryable:
                    raise
                operation.last_miss = miss.summary
            else:
                held = self._instance.record.step_outputs
                self._instance.set_record(step_outputs={**held, "ready": answer.outputs})
                return
            await operation.report_progress(attempts, None, f"waiting until ready: {operation.last_miss}"[:300])
            await anyio.sleep(spec.interval)

    def _refuse_unreadable(self) -> None:
        """Refuse to start, or to stop for a restart, what nothing is known of but its stop plan."""
        error = self._instance.unreadable
        if error is not None:
            raise OperationError(error.summary, service=self._instance.name, next_actions=error.next_actions)

    def _check_tools(self) -> None:
        """Refuse before anything is sent when a tool is known to be missing."""
        self._refuse_unreadable()
        instance, tools = self._instance, self._runtime.tools
        if tools is None:
            return
        missing: list[str] = []
        for tool in instance.service_class.required_tools():
            status = tools.server_status(tool.partition("/")[0])
            if not status.known or (status.tools_known and tools.find_tool(tool) is None):
                missing.append(tool)
        if missing:
            raise ClassUnavailableError(instance.service_class.name, missing, service=instance.name)

    async def _clean_up(self, operation: Operation, error: OstlerError) -> None:
        """Run the stop plan after a failed start, and say in `error` what came of it."""
        instance = self._instance
        with anyio.CancelScope(shield=True):
            if not operation.may_have_started():
                instance.forget_start()
                instance.report(Transition.START_FAILED, reason="start-failed", error=error)
                return
            clean, what = await self._compensate(operation)
            error.summary += f"; {what}"
            if clean:
                instance.forget_start()
                instance.report(Transition.START_FAILED, reason="start-failed", error=error)
            else:
                error.next_actions = (
                    *error.next_actions,
                    f"service_stop {instance.name} tries the cleanup again",
                    f"service_delete {instance.name} with abandon=true forgets it, once you have looked",
                )
                instance.set_held(held=True)
                instance.report(Transition.START_FAILED, reason=UNKNOWN_OUTCOME, error=error)
            operation.message = what

    def _may_be_there(self) -> bool:
        """Whether there may be something to stop."""
        state = self._instance.state
        return self._instance.record.has_leftover or state.is_up or state is ServiceState.UNKNOWN

    async def stop(self, operation: Operation) -> None:
        """Take the service down by its pinned plan."""
        instance = self._instance
        if not self._may_be_there():
            operation.changed = instance.is_wanted or instance.state is not ServiceState.STOPPED
            operation.message = (
                f"service {instance.name} is stopped" if operation.changed
                else f"service {instance.name} is already stopped"
            )  # fmt: skip
            instance.set_record(desired=DesiredState.STOPPED)
            if instance.state is not ServiceState.STOPPED:
                instance.report(Transition.STOP_REQUESTED)
                instance.report(Transition.STOPPED)
            return
        instance.set_record(desired=DesiredState.STOPPED)
        await self._take_down(operation)
        operation.message = operation.message or f"service {instance.name} is stopped"

    async def restart(self, operation: Operation) -> None:
        """Restart with the class's restart tool when the service is up, else stop what is there and start."""
        self._refuse_unreadable()
        instance = self._instance
        spec = instance.service_class.tools.restart
        instance.set_record(desired=DesiredState.RUNNING)
        if spec is None or not instance.state.is_up:
            ends = anyio.current_time() + instance.service_class.config.timeout.restart_in_all
            if instance.record.has_leftover or instance.state.is_up:
                await self._take_down(operation)
            instance.set_record(start_key=operation.id)
            instance.report(Transition.START_REQUESTED)
            await self._bring_up(operation, restart_ends=ends)
        else:
            await self._restart_with_tool(operation, spec)
        instance.count("restarts")
        operation.message = f"service {instance.name} was restarted and is running"

    async def _restart_with_tool(self, operation: Operation, spec: ToolCallSpec) -> None:
        instance = self._instance
        tools = instance.service_class.tools
        instance.set_record(start_key=operation.id)
        limit = instance.service_class.config.timeout.restart_in_all
        instance.report(Transition.RESTART_REQUESTED)
        try:
            self._check_tools()
            with self._deadline(operation, limit, "restart") as scope:
                answer = await self._caller.run(operation, self._plan("restart", spec, remaining(scope)), critical=True)
                held = instance.record.step_outputs
                replaced = {k: v for k, v in answer.outputs.items() if k in tools.start.outputs}
                instance.set_record(
                    step_outputs={**held, "start": {**held.get("start", {}), **replaced}, "restart": answer.outputs}
                )
                self._pin_stop_plan()
                if tools.ready is not None or tools.post_start:
                    await instance.commit(operation)
                await self._come_up(operation, scope)
        except OstlerError as error:
            if operation.may_have_started():
                await self._clean_up(operation, error)
            else:  # the restart tool was never reached: the service runs on as it was
                instance.report(Transition.STARTED)
                instance.set_health(instance.health, error=error)
            raise
        except anyio.get_cancelled_exc_class():
            if operation.is_cancelled:
                with anyio.CancelScope(shield=True):
                    await self._clean_up(operation, OperationError(f"restart cancelled: {operation.cancel_reason}"))
            raise

    async def delete(self, operation: Operation) -> None:
        """Stop the service and forget it; a failed stop keeps it unless forced."""
        instance = self._instance
        instance.set_record(desired=DesiredState.STOPPED)
        leftover = instance.record.has_leftover
        note = ""
        if operation.abandon:
            if leftover:
                tool = instance.record.stop_plan[-1].tool if instance.record.stop_plan else "its stop tool"
                note = f" without stopping it: what it started may still be there ({tool} was not called)"
                instance.note(f"abandoned{note}")
        elif self._may_be_there():
            try:
                await self._take_down(operation)
            except OstlerError as error:
                if not operation.force:
                    raise
                note = f" although stopping it failed: {error.summary}"
                instance.note(f"deleted by force{note}")
        instance.removed = True
        operation.message = f"service {instance.name} was deleted{note}"
