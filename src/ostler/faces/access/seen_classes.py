"""The classes and the plans that one principal sees."""

from collections.abc import Callable

from msgspec.structs import replace

from ostler.engine.classes.catalogue import ClassDirectory, ClassEntry
from ostler.engine.insight.preview import Plans
from ostler.engine.services.views import Availability, CreateRequest
from ostler.faces.access.rights import Rights
from ostler.faces.access.seen_services import SeenRegistry
from ostler.model.errors import Finding, NotFoundError
from ostler.model.manifest import ServiceClass
from ostler.model.plans import Plan, PlanAction


class SeenClasses(ClassDirectory):
    """The classes that a principal may create services of; their files' faults are for admins."""

    def __init__(self, classes: ClassDirectory, rights: Rights) -> None:
        self._classes = classes
        self._rights = rights

    def __repr__(self) -> str:
        return f"SeenClasses({self._rights!r})"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Problems of the class files."""
        return self._classes.findings if self._rights.policy().admin else ()

    def standing_of(self, name: str) -> tuple[Finding, ...]:
        """Return what the last check of the class `name` against the listed tools found."""
        return self._classes.standing_of(name) if self._rights.policy().admin else ()

    def get(self, name: str) -> ClassEntry:
        """Return the class `name`.

        Raises:
            NotFoundError: there is none that the principal sees.
        """
        policy = self._rights.policy()
        if policy.admin or (policy.allows_class(name) and self._classes.availability(name).known):
            return self._classes.get(name)
        known = [entry.name for entry in self.get_all()]
        raise NotFoundError("ServiceClass", name, known=known, next_actions=("serviceclass_list shows the classes",))

    def get_all(self) -> list[ClassEntry]:
        """Return every class, by name."""
        policy = self._rights.policy()
        return [entry for entry in self._classes.get_all() if policy.allows_class(entry.name)]

    def on_change(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call `callback(names)` after classes changed that the principal sees."""

        def changed(names: frozenset[str]) -> None:
            policy = self._rights.policy()
            if seen := frozenset(name for name in names if policy.allows_class(name)):
                callback(seen)

        return self._classes.on_change(changed)

    def availability(self, name: str) -> Availability:
        """Return whether the tools of class `name` are available, without asking any server."""
        policy = self._rights.policy()
        if not policy.allows_class(name):
            return Availability(name, available=False, known=False, reason=f"ServiceClass {name!r} not found")
        found = self._classes.availability(name)
        return found if policy.admin else replace(found, findings=())

    def availability_of(self, service_class: ServiceClass) -> Availability:
        """Return whether the tools of `service_class` are available."""
        found = self._classes.availability_of(service_class)
        return found if self._rights.policy().admin else replace(found, findings=())


class SeenPlans(Plans):
    """Plans of operations that a principal may carry out, without the services that it does not see."""

    def __init__(self, plans: Plans, registry: SeenRegistry, asked: Callable[[CreateRequest], CreateRequest]) -> None:
        self._plans = plans
        self._seen = registry
        self._asked = asked

    def __repr__(self) -> str:
        return f"SeenPlans({self._seen!r})"

    def create(self, request: CreateRequest) -> Plan:
        """Return what a create would do; as `Plans.create`."""
        return self._shown(self._plans.create(self._asked(request)))

    def operate(self, name: str, action: PlanAction, *, abandon: bool = False) -> Plan:
        """Return what starting, stopping, restarting or deleting the service `name` would do; as `Plans.operate`."""
        return self._shown(self._plans.operate(self._seen.get(name).name, action, abandon=abandon))

    def _shown(self, plan: Plan) -> Plan:
        hidden = self._seen.hidden_around((plan.service, *(one.name for one in plan.services)))
        if not hidden:
            return plan
        names = hidden.names
        return replace(
            plan,
            steps=tuple(step for step in plan.steps if step.service not in names),
            stop_steps=tuple(step for step in plan.stop_steps if step.service not in names),
            services=tuple(replace(one, note=hidden.text(one.note)) for one in plan.services if one.name not in names),
            problems=tuple(map(hidden.text, plan.problems)),
        )
