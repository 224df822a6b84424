"""What an operation would do: the calls, services and servers of it, found out without calling or changing anything."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from msgspec.structs import replace

from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.dependencies.graph import DependencyGraph, ResolvedDependency
from ostler.engine.insight.plan_builder import PARTS, PlanDraft
from ostler.engine.instances.instance import ControllerRuntime, ServiceInstance
from ostler.engine.requests.instance_factory import InstanceFactory, runs_again
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.service import Service, not_deletable
from ostler.engine.services.views import CREATED_FOR, CreateRequest
from ostler.model.errors import ArgumentError, ConflictError, OstlerError, TemplateError
from ostler.model.json import JsonObject
from ostler.model.plans import Plan, PlanAction, PlanEffect, PlannedStep
from ostler.model.states import HealthStatus, ServiceState
from ostler.rules.calls import forecast
from ostler.rules.calls.forecast import Knowledge
from ostler.rules.secrets.record_secrets import output_secrets
from ostler.rules.templates.unknowns import AFTER_START
from ostler.rules.text.work_budget import PLAN_SECONDS, bounded_work

_AFTER_CREATION = "<known after creation>"
_LEFTOVER = "what an earlier start left behind"
_WORDS: Mapping[str, str] = {
    "class": "the class",
    "tools": "the tools' schemas",
    "state": "the state of the services concerned",
    "args": "what is asked for (name, args or start)",
}


class Plans(ABC):
    """Plans of what may be asked of a Manager. Making one changes nothing."""

    @abstractmethod
    def create(self, request: CreateRequest) -> Plan:
        """Return what `Manager.create` would do with `request`.

        Raises:
            NotFoundError, ArgumentError: there is no such class, or the args do not fit.
            AlreadyExistsError, ConflictError: the name or the idempotency key is taken with other args.
            TemplateError: a call names something that will not exist, or the templates take too much work.
        """

    @abstractmethod
    def operate(self, name: str, action: PlanAction, *, abandon: bool = False) -> Plan:
        """Return what starting, stopping, restarting or deleting the service `name` would do.

        Args:
            name: an existing service.
            action: `start`, `stop`, `restart` or `delete`.
            abandon: with `delete`: forget it without stopping it.

        Raises:
            NotFoundError: there is no such service.
            OperationError: a configured service cannot be deleted.
            TemplateError: a call names something that will not exist, or the templates take too much work.
        """


class Planner(Plans):
    """Makes plans. It reads the registry, and the class catalogue through its factory, and changes neither."""

    def __init__(
        self,
        runtime: ControllerRuntime,
        registry: ServiceRegistry,
        graph: DependencyGraph,
        factory: InstanceFactory,
    ) -> None:
        self._runtime = runtime
        self._registry = registry
        self._graph = graph
        self._factory = factory

    def __repr__(self) -> str:
        return f"Planner({len(self._registry)} services)"

    # -- plans ---------------------------------------------------------------------------------------------

    def create(self, request: CreateRequest) -> Plan:
        """Return what a create would do; as `Plans.create`."""
        with bounded_work(PLAN_SECONDS):
            return self._create(request)

    def _create(self, request: CreateRequest) -> Plan:
        new = self._factory.prepare(request, self._chosen_name)
        existing = self._factory.replayed(new)
        draft = PlanDraft()
        if existing is None:
            instance = self._factory.make(new)
            draft.depend_on_absence(new.name)
            if request.start:
                self._start(draft, instance, "create")
            else:
                draft.depend_on_class(instance)
                draft.concern(instance, "create", "it is not started")
        elif request.start and not existing.state.is_up and runs_again(existing, request):
            self._start(draft, existing, "start", "it exists with the same arguments")
        else:
            draft.depend_on_state(existing)
            ended = "; it has completed" if existing.has_completed else ""
            draft.concern(existing, "reuse", f"it exists with the same arguments{ended}")
        asked = [request.class_name, new.name, new.args, request.start]
        return draft.plan("create", new.name, asked, self._runtime.tools)

    def accept(self, request: CreateRequest) -> CreateRequest:
        """Return `request` with the name that its plan has.

        Raises:
            ArgumentError: `plan_id` is not the id of a plan of a create.
            ConflictError: what the plan depends on has changed since; the text says what.
        """
        given = request.plan_id.split("-")
        if len(given) != len(PARTS) + 1 or given[0] != "create":
            raise ArgumentError(
                [f"planId {request.plan_id!r} is not the id of a plan of a create"],
                next_actions=(f"service_plan serviceClassName={request.class_name} gives one",),
            )
        plan = self.create(replace(request, plan_id=""))
        changed = [
            part for part, then, now in zip(PARTS, given[1:], plan.id.split("-")[1:], strict=True) if then != now
        ]
        if changed:
            listed = " and ".join(_WORDS[part] for part in changed)
            raise ConflictError(
                f"the plan is out of date, so nothing was done: {listed} changed since it was made",
                service=plan.service,
                next_actions=("service_plan makes a new plan", "or leave planId out"),
            )
        return replace(request, name=plan.service)

    def operate(self, name: str, action: PlanAction, *, abandon: bool = False) -> Plan:
        """Return what an operation of the service `name` would do; as `Plans.operate`."""
        with bounded_work(PLAN_SECONDS):
            return self._operate(name, action, abandon=abandon)

    def _operate(self, name: str, action: PlanAction, *, abandon: bool) -> Plan:
        service = self._registry.get(name)
        draft = PlanDraft()
        if not isinstance(service, ServiceInstance):
            self._configured(draft, service, action)
            return draft.plan(action, name, [name], self._runtime.tools)
        if service.operation is not None:
            kind = service.operation.kind.value
            draft.problems.append(
                f"a {kind} of {name} is under way: it ends or is cancelled first, and may change this"
            )
        match action:
            case "start":
                if service.state.is_up:
                    self._none(draft, service, "it is already running")
                else:
                    self._start(draft, service, "start")
            case "restart":
                self._restart(draft, service)
            case "stop":
                self._stop(draft, service, "stop")
            case "delete":
                self._delete(draft, service, abandon=abandon)
            case "create":
                raise ArgumentError(["action 'create' takes a serviceClassName, not an existing service"])
        return draft.plan(action, name, [name, abandon], self._runtime.tools)

    # -- parts of plans ------------------------------------------------------------------------------------

    def _start(self, draft: PlanDraft, instance: ServiceInstance, effect: PlanEffect, note: str = "") -> None:
        """Add what brings `instance` up: leftovers, dependencies, its own calls."""
        if instance.name in draft.started:
            return
        draft.started[instance.name] = instance
        draft.depend_on_class(instance)
        if effect != "create":
            draft.depend_on_state(instance)
        if instance.record.has_leftover:
            draft.steps += self._taking_down(instance, "" if instance.state.is_up else _LEFTOVER)
        knowledge = self._with_dependencies(draft, instance, new=effect == "create")
        service_class = instance.service_class
        draft.steps += forecast.start_steps(instance.name, service_class, knowledge)
        draft.secrets[instance.name] = frozenset(knowledge.secrets)
        after = knowledge.after("start")
        draft.outputs[instance.name] = forecast.planned_outputs(service_class, after)
        draft.note_stop(instance, after)
        draft.concern(instance, effect, note)

    def _restart(self, draft: PlanDraft, instance: ServiceInstance) -> None:
        spec = instance.service_class.tools.restart
        if spec is not None and instance.state.is_up:
            draft.depend_on_class(instance)
            draft.depend_on_state(instance)
            knowledge = Knowledge(instance.template_names(), {}, instance.secrets)
            draft.steps += forecast.restart_steps(instance.name, instance.service_class, knowledge)
            draft.note_stop(instance, forecast.after_restart(instance.service_class, knowledge))
            draft.concern(instance, "restart", f"with {spec.tool}")
            return
        self._start(draft, instance, "restart")

    def _stop(self, draft: PlanDraft, instance: ServiceInstance, effect: PlanEffect) -> None:
        draft.depend_on_state(instance)
        users = [user.name for user in self._graph.dependents(instance.name) if user.state.is_up]
        left = f"running and depending on it, and staying so: {', '.join(users)}" if users else ""
        if instance.record.has_leftover or instance.state is ServiceState.UNKNOWN:
            draft.steps += self._taking_down(instance)
            draft.concern(instance, effect, left)
        elif effect == "stop":
            self._none(draft, instance, "it is already stopped")
        else:
            draft.concern(instance, effect, "there is nothing to stop")

    def _delete(self, draft: PlanDraft, instance: ServiceInstance, *, abandon: bool) -> None:
        if abandon:
            draft.depend_on_state(instance)
            left = "what it started may still be running afterwards" if instance.record.has_leftover else ""
            draft.concern(instance, "forget", left)
        else:
            self._stop(draft, instance, "delete")
            draft.steps += forecast.pinned_steps(instance.name, instance.record.delete_plan, instance.secrets)
        for name in instance.dependencies:
            made = self._registry.find(name)
            if not isinstance(made, ServiceInstance) or CREATED_FOR not in made.record.labels:
                continue
            others = {user.name for user in self._graph.dependents(name)} - draft.services.keys()
            if not others:
                self._delete(draft, made, abandon=False)

    def _configured(self, draft: PlanDraft, service: Service, action: PlanAction) -> None:
        """A configured service is started and stopped without tool calls."""
        if action == "delete":
            raise not_deletable(service)
        draft.depend_on_state(service)
        done = service.state.is_up if action == "start" else service.state is ServiceState.STOPPED
        effect: PlanEffect = "start" if action == "create" else action
        if done and action != "restart":
            self._none(draft, service, f"it is {service.state.value}")
        else:
            draft.concern(service, effect, f"a configured {service.service_type}; no tool is called")

    def _none(self, draft: PlanDraft, service: Service, why: str) -> None:
        draft.depend_on_state(service)
        draft.concern(service, "none", why)

    def _taking_down(self, instance: ServiceInstance, note: str = "") -> list[PlannedStep]:
        """Return the pinned stop plan, or how one is found when there is none."""
        name, tools = instance.name, instance.service_class.tools
        if instance.record.stop_plan:
            steps = forecast.pinned_steps(name, instance.record.stop_plan, instance.secrets)
            return [replace(step, note=note) for step in steps]
        knowledge = Knowledge(instance.template_names(), {}, instance.secrets)
        found: list[PlannedStep] = []
        if tools.find is not None:
            found.append(forecast.find_step(name, tools.find, knowledge))
            after = {("start", key): forecast.AFTER_FIND for key in tools.find.outputs}
            knowledge = replace(knowledge, unknown=after)
        try:
            stops = list(forecast.stop_steps(name, instance.service_class, knowledge))
        except TemplateError:  # it cannot be known how: the stop will say so
            return found
        return [*found, *(replace(step, note=note) for step in stops)]

    # -- dependencies --------------------------------------------------------------------------------------

    def _with_dependencies(self, draft: PlanDraft, instance: ServiceInstance, *, new: bool) -> Knowledge:
        """Add what brings the dependencies up, and return what templates of `instance` see when it is started."""
        blank = ServiceInstance(
            self._runtime,
            replace(instance.record, step_outputs={}, outputs={}),
            instance.service_class,
            state=ServiceState.STOPPED,
        )
        facts: JsonObject = {}
        secrets = blank.secrets
        unknown: dict[tuple[str, ...], str] = {}
        if new:
            unknown = {("service", key): _AFTER_CREATION for key in ("id", "metadata")}
        for dependency in self._graph.resolve(instance):
            facts[dependency.alias] = self._dependency(draft, instance, dependency, unknown)
            secrets |= self._secrets_of(draft, dependency.name)
        return Knowledge({**blank.template_names(), "dependencies": facts}, unknown, secrets)

    def _secrets_of(self, draft: PlanDraft, name: str) -> frozenset[str]:
        """Return the secrets of a dependency, as it is or as it is going to be, which its dependents keep too."""
        service = draft.started.get(name) or self._registry.find(name)
        if not isinstance(service, ServiceInstance):
            return frozenset()
        planned, _ = draft.outputs.get(name, (JsonObject(), {}))
        held = draft.secrets.get(name, service.secrets)
        return held | output_secrets(service.service_class, replace(service.record, outputs=planned))

    def _dependency(
        self,
        draft: PlanDraft,
        user: ServiceInstance,
        dependency: ResolvedDependency,
        unknown: dict[tuple[str, ...], str],
    ) -> JsonObject:
        """Add what brings one dependency up; return what templates see of it."""
        name, spec = dependency.name, dependency.spec
        service = draft.started.get(name) or self._registry.find(name)
        try:
            if service is None:
                if not spec.create or spec.service_class_name is None:
                    if spec.required:
                        draft.problems.append(f"{user.name} depends on {name!r}, which does not exist")
                    return {"name": name, "state": "missing", "outputs": {}}
                service = self._factory.virtual(spec.service_class_name, name, dependency.args, user)
                draft.depend_on_absence(name)
                self._start(draft, service, "create", f"made for {user.name}")
            elif name not in draft.started:
                self._bring(draft, user, service, spec.condition)
            if spec.condition == "healthy" and isinstance(service, ServiceInstance):
                self._until_healthy(draft, service)
        except OstlerError as error:
            if spec.required:
                raise
            draft.problems.append(f"optional dependency {name!r} of {user.name} would not be there: {error.summary}")
            return {"name": name, "state": "missing", "outputs": {}}
        state = "stopped" if spec.condition == "completed" else service.state.value
        if name not in draft.outputs:
            outputs = service.record.outputs if isinstance(service, ServiceInstance) else dict(service.view().outputs)
            return {"name": name, "state": state, "outputs": outputs}
        outputs, missing = draft.outputs[name]
        for key, shown in missing.items():
            text = shown.replace(AFTER_START, f"<known after start of {name}>")
            unknown["dependencies", dependency.alias, "outputs", key] = text
        return {"name": name, "state": "running" if spec.condition != "completed" else state, "outputs": outputs}

    def _bring(self, draft: PlanDraft, user: ServiceInstance, service: Service, condition: str) -> None:
        """Add what an existing dependency needs to be as far as `condition` says."""
        if not isinstance(service, ServiceInstance):
            draft.depend_on_state(service)
            up = service.state.is_up
            draft.concern(service, "reuse" if up else "start", "" if up else f"a configured {service.service_type}")
            return
        done = condition == "completed" and (service.has_completed or service.state.is_up)
        if done or service.state.is_up:
            draft.depend_on_state(service)
            draft.concern(service, "reuse", f"{user.name} waits until it has ended" if done else "")
        else:
            self._start(draft, service, "start", f"{user.name} depends on it")

    @staticmethod
    def _until_healthy(draft: PlanDraft, service: ServiceInstance) -> None:
        """Add the health checks that a dependent waits for."""
        tools, every = service.service_class.tools, service.service_class.config.health.interval
        step, spec = ("healthCheck", tools.health_check) if tools.health_check else ("status", tools.status)
        waits = service.name in draft.started or service.health is not HealthStatus.HEALTHY
        if spec is None or not waits or any(s.service == service.name and s.step == step for s in draft.steps):
            return
        outputs, missing = draft.outputs.get(service.name, (service.record.outputs, {}))
        names: JsonObject = {**service.template_names(), "outputs": outputs}
        unknown = {("outputs", key): shown for key, shown in missing.items()}
        if service.name in draft.started:
            names, unknown = {**names, "start": JsonObject()}, {**unknown, ("start",): AFTER_START}
        looking = forecast.looking_step(
            service.name, step, spec, Knowledge(names, unknown, service.secrets), every=every
        )
        draft.steps.append(replace(looking, note="until it is healthy"))

    def _chosen_name(self, entry: ClassEntry, args: JsonObject, digest: str) -> str:
        """Return the class's default name, or one that two plans of the same request share."""
        if entry.service_class.config.default_name is not None:
            return self._factory.default_name(entry, args)
        for length in range(4, 24):
            name = f"{entry.name[:38].rstrip('-')}-{digest[:length]}"
            if name not in self._registry:
                return name
        return self._factory.default_name(entry, args)
