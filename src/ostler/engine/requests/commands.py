"""Requests to services: start, stop, restart, delete of one, with what they mean for its dependents and its lease."""

import anyio
from msgspec.structs import replace

from ostler.engine.dependencies.graph import DependencyGraph
from ostler.engine.dependencies.jobs import await_end, is_job
from ostler.engine.dependencies.ordering import stop_in_order
from ostler.engine.dependencies.prerequisites import Prerequisites
from ostler.engine.instances.display import kept_text
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.operations import Operation, follow
from ostler.engine.instances.runtime import Runtime
from ostler.engine.keepers.leases import LeaseKeeper
from ostler.engine.keepers.restarts import RestartKeeper
from ostler.engine.protocols import PutOperation
from ostler.engine.requests.creator import Creator
from ostler.engine.requests.idempotency import Replays
from ostler.engine.requests.instance_factory import runs_again
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.service import Service, not_deletable
from ostler.engine.services.views import CreateRequest, OperationRequest, OperationResult, Waiting
from ostler.model.errors import OperationError, OstlerError
from ostler.model.records import OperationKind, OperationRecord
from ostler.model.states import ServiceState

_IN_WORDS = {
    OperationKind.START: ("started", "starting"),
    OperationKind.STOP: ("stopped", "stopping"),
    OperationKind.RESTART: ("restarted", "restarting"),
}


class Requests:
    """Hands requests to services and says how they went."""

    def __init__(
        self,
        runtime: Runtime,
        registry: ServiceRegistry,
        graph: DependencyGraph,
        prerequisites: Prerequisites,
        *,
        creator: Creator,
        restarts: RestartKeeper,
        leases: LeaseKeeper,
    ) -> None:
        self._runtime = runtime
        self._registry = registry
        self._replays = Replays(runtime, registry)
        self._graph = graph
        self._needs = prerequisites
        self._creator = creator
        self._restarts = restarts
        self._leases = leases

    async def create(self, request: CreateRequest, waiting: Waiting) -> OperationResult:
        """Carry out `request`; see `Manager.create`."""
        creator = self._creator
        placed = await (creator.replace(request, self._give_up) if request.replaces else creator.place(request))
        instance = placed.instance
        if not placed.is_new:
            return await self._reuse(instance, request, waiting)
        inherits = creator.inherits(instance)
        if placed.start is None:
            message = "; ".join((f"service {instance.name} was created (not started)", *placed.warnings))
            return OperationResult(instance.view(), message, warnings=placed.warnings)
        try:
            result = await self._follow(instance, placed.start, waiting)
        except OstlerError as error:
            await creator.remove_failed(instance, placed.start, error, keep=inherits)
            for warning in placed.warnings:
                error.add(f"the stop of what it replaces warned: {warning}")
            raise
        except anyio.get_cancelled_exc_class():
            if waiting.when_cancelled is not None and (wanted := waiting.when_cancelled()) is not None:
                creator.left(instance, placed.start, wanted, keep=inherits)
            raise
        if result.job is not None and not result.finished:
            done = "is running; it has not ended yet"
        elif result.finished:
            done = "is running" if instance.state.is_up else f"started{self._since(instance, OperationKind.START)}"
        else:
            done = "is still starting" if waiting.wait else "is starting"
        warnings = (*placed.warnings, *result.warnings)
        message = "; ".join((f"service {instance.name} was created and {done}", *warnings))
        return replace(result, message=message, warnings=warnings)

    async def _reuse(self, instance: ServiceInstance, request: CreateRequest, waiting: Waiting) -> OperationResult:
        message = f"service {instance.name} already exists with the same arguments"
        if not request.start or (instance.state.is_up and not (waiting.to_end and is_job(instance))):
            return OperationResult(instance.view(), message, changed=False)
        if not runs_again(instance, request):
            message += self._since(instance, OperationKind.START)
            if instance.has_completed:
                message += f"; service_restart {instance.name} runs it again"
            job = instance.has_completed if waiting.wait and waiting.to_end else None
            return OperationResult(instance.view(), message, changed=False, job=job)
        if is_job(instance) and instance.state is ServiceState.FAILED:
            message += " and has failed, so it runs again"
        result = await self.carry_out(instance, OperationRequest(OperationKind.START), waiting)
        return replace(result, message=f"{message}; {result.message}")

    async def operate(self, name: str, asked: OperationRequest, waiting: Waiting) -> OperationResult:
        """Carry out what is asked of the service `name`, whatever sort of service it is.

        An idempotency key that was used before gives the earlier answer, and nothing is done.
        """
        if asked.idempotency_key:
            return await self._operate_once(name, asked, waiting)
        service = self._registry.get(name)
        if not isinstance(service, ServiceInstance):
            return await self._operate_static(service, asked, waiting.timeout)
        if asked.dependents:
            await self.stop_dependents(name, waiting.timeout)
        return await self.carry_out(service, asked, waiting)

    async def _operate_once(self, name: str, asked: OperationRequest, waiting: Waiting) -> OperationResult:
        async with self._replays.turn(name, asked.idempotency_key):
            found = await self._replays.find(name, asked)
            if isinstance(found, OperationRecord):
                result, job = self._replays.answer(found), self._registry.find(name)
                if not (found.kind.brings_up and is_job(job) and job.id == found.service_id):
                    return result
                return await self._with_end(job, result, waiting)
            instance = self._registry.get(name)
            if not isinstance(instance, ServiceInstance):
                raise OperationError(
                    f"service {name!r} is a configured {instance.service_type}, whose requests are not recorded: an "
                    "idempotency key has no effect on it",
                    service=name,
                    next_actions=("ask without idempotencyKey",),
                )
            if found is None:
                if asked.dependents:
                    await self.stop_dependents(name, waiting.timeout)
                found = await self._accept(instance, asked, is_durable=True)
        return await self._follow(instance, found, waiting)

    async def _operate_static(
        self, service: Service, asked: OperationRequest, timeout: float | None
    ) -> OperationResult:
        kind, name = asked.kind, service.name
        if asked.adopt is not None:
            raise OperationError(
                f"service {name!r} cannot be adopted: it is a configured {service.service_type}",
                service=name,
                next_actions=("make the call without 'adopt'",),
            )
        if kind is OperationKind.DELETE:
            raise not_deletable(service)
        if asked.dependents:
            await self.stop_dependents(name, timeout)
        was_up, was_stopped = service.state.is_up, service.state is ServiceState.STOPPED
        if kind is OperationKind.START and was_up:
            return OperationResult(service.view(), f"service {service.name} is already running", changed=False)
        if kind is OperationKind.STOP and was_stopped:
            return OperationResult(service.view(), f"service {service.name} is already stopped", changed=False)
        with anyio.move_on_after(timeout) as scope:
            match kind:
                case OperationKind.START:
                    await self._needs.start(service)
                case OperationKind.STOP:
                    await service.stop()
                case _:
                    await service.restart()
        is_done = not scope.cancelled_caught
        done, doing = _IN_WORDS[kind]
        message = f"service {service.name} was {done}" if is_done else f"service {service.name} is still {doing}"
        return OperationResult(service.view(), message, finished=is_done)

    async def carry_out(
        self,
        instance: ServiceInstance,
        asked: OperationRequest,
        waiting: Waiting,
    ) -> OperationResult:
        """Carry out what a person asked of an instance."""
        operation = await self._accept(instance, asked, is_durable=not waiting.wait)
        return await self._follow(instance, operation, waiting)

    async def _give_up(self, old: ServiceInstance) -> Operation:
        return await self._accept(old, OperationRequest(OperationKind.DELETE, keep=True), is_durable=False)

    async def _accept(self, instance: ServiceInstance, asked: OperationRequest, *, is_durable: bool) -> Operation:
        """Hand the request to the instance; what `is_durable` outlives a crash from here on."""
        self._restarts.forget(instance)
        if asked.kind.brings_up:
            self._leases.begin_again(instance)
        operation = instance.submit(asked, reason="requested")
        if asked.idempotency_key:
            operation.add_requests({asked.idempotency_key: asked.digest})
        if operation.record.finished_at is not None:  # it joined one whose end is just being recorded
            if asked.idempotency_key:
                await self._runtime.store.commit([PutOperation(operation.record)])
        elif is_durable and (asked.idempotency_key or not operation.committed):
            await instance.commit(operation)
        return operation

    async def _follow(
        self,
        instance: ServiceInstance,
        operation: Operation,
        waiting: Waiting,
    ) -> OperationResult:
        kind = operation.kind
        kept = kept_text(instance) if kind is OperationKind.DELETE else ""
        job: bool | None = None
        if waiting.wait:
            with anyio.move_on_after(waiting.timeout):
                await follow(operation, waiting.progress)
                if waiting.to_end and kind.brings_up and is_job(instance):
                    job = False
                    await await_end(self._registry, instance)
                    job = instance.has_completed
                message = operation.message
                if job is not None and operation.changed:
                    message = f"service {instance.name} was {'re' if kind is OperationKind.RESTART else ''}started"
                    message = "; ".join((message, *operation.warnings))
                message += self._since(instance, kind) + self._still_using(instance, kind) + (kept and f"; {kept}")
                return OperationResult(
                    instance.view(),
                    message,
                    changed=operation.changed,
                    operation_id=operation.id,
                    job=job,
                    warnings=tuple(operation.warnings),
                )
        if job is not None:
            message = f"{operation.message}; it has not ended yet"
            return OperationResult(
                instance.view(), message, operation.changed, finished=False, operation_id=operation.id, job=job
            )
        return OperationResult(
            instance.view(),
            f"{kind.value} of service {instance.name} is under way"
            + (f": {operation.progress}" if operation.progress else ""),
            finished=False,
            operation_id=operation.id,
        )

    async def _with_end(self, job: ServiceInstance, earlier: OperationResult, waiting: Waiting) -> OperationResult:
        """Return the `earlier` answer of a start that is not repeated, and how the job ended if that is waited for."""
        if not (waiting.wait and waiting.to_end):
            return earlier
        with anyio.move_on_after(waiting.timeout):
            await await_end(self._registry, job)
            message = earlier.message + self._since(job, OperationKind.START)
            return replace(earlier, service=job.view(), message=message, job=job.has_completed)
        return replace(earlier, message=f"{earlier.message}; it has not ended yet", finished=False, job=False)

    @staticmethod
    def _since(instance: ServiceInstance, kind: OperationKind) -> str:
        """Return what became of a service that was started or stopped, if it is not up, or stopped, any more."""
        is_so = instance.state.is_up if kind.brings_up else instance.state is ServiceState.STOPPED
        if is_so or kind is OperationKind.DELETE:
            return ""
        if kind.brings_up and instance.has_completed:
            return "; it has completed"
        view = instance.view()
        return f"; by now it is {view.state.value}" + (f": {view.error}" if view.error else "")

    def _still_using(self, instance: ServiceInstance, kind: OperationKind) -> str:
        """Say which running services depend on one that was just taken away."""
        if not kind.takes_down:
            return ""
        users = [dependent.name for dependent in self._graph.dependents(instance.name) if dependent.state.is_up]
        return f"; still running and depending on it: {', '.join(users)}" if users else ""

    async def stop_dependents(self, name: str, timeout: float | None) -> None:
        """Stop what depends on the service `name`, directly or not.

        Raises:
            NotFoundError: there is no such service.
            OperationError: one of them could not be stopped.
        """
        service = self._registry.get(name)
        running = [user for user in self._graph.all_dependents(service.name) if user.state is not ServiceState.STOPPED]
        failures = await stop_in_order(running, self._graph, self.stop, timeout=timeout)
        if failures:
            raise OperationError(
                f"service {service.name!r} was not stopped, because stopping what depends on it failed: "
                + "; ".join(f"{name}: {error.summary}" for name, error in sorted(failures.items())),
                service=service.name,
                next_actions=(f"service_status {min(failures)} shows it", "or stop it without its dependents"),
            )

    async def stop(self, service: Service) -> None:
        """Stop `service`, because a person asked for it; raises OstlerError when it cannot be."""
        if not isinstance(service, ServiceInstance):
            if service.state is not ServiceState.STOPPED:
                await service.stop()
            return
        self._restarts.forget(service)
        await service.request(OperationKind.STOP, reason="requested").wait()
