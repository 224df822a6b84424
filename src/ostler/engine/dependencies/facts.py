"""What templates see of dependencies, and which of it has changed since."""

from collections.abc import Mapping
from typing import cast

from ostler.engine.dependencies.graph import ResolvedDependency
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.runtime import DependencyFacts
from ostler.engine.instances.state import InstanceState
from ostler.engine.services.service import Service
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.states import HealthStatus, ServiceState
from ostler.rules.secrets.record_secrets import secrets_within


def facts_of(service: Service) -> DependencyFacts:
    """Return what templates see of `service`."""
    is_instance = isinstance(service, ServiceInstance)
    outputs = service.record.outputs if is_instance else dict(service.view().outputs)
    secrets = secrets_within(outputs, service.secrets) if is_instance else frozenset[str]()
    return DependencyFacts({"name": service.name, "state": service.state.value, "outputs": outputs}, secrets)


def missing_facts(dependency: ResolvedDependency) -> DependencyFacts:
    """Return what templates see of a dependency that does not exist."""
    return DependencyFacts({"name": dependency.name, "state": "missing", "outputs": {}})


def together(facts: Mapping[str, DependencyFacts]) -> DependencyFacts:
    """Return the facts of every dependency, by alias, as one."""
    names: JsonObject = {alias: fact.names for alias, fact in facts.items()}
    return DependencyFacts(names, frozenset[str]().union(*(fact.secrets for fact in facts.values())))


def problem_of(user: InstanceState, dependency: ResolvedDependency, service: Service) -> str | None:
    """Return what is wrong with `service` for `user`, which runs and depends on it; None if nothing is."""
    name, state = service.name, service.state
    if state.is_up:
        if dependency.spec.condition == "healthy" and service.health is HealthStatus.UNHEALTHY:
            return f"{name} is unhealthy"
        seen = user.dependency_facts.get(dependency.alias)
        if isinstance(service, ServiceInstance) and isinstance(seen, Mapping):
            changed = changed_outputs(user, dependency.alias, cast("JsonMapping", seen), service.record.outputs)
            if changed:
                return f"{name} was started again with other outputs ({', '.join(changed)}): restart to take them"
        return None
    if not state.is_settled and state is not ServiceState.RETRYING:
        return user.vitals.dependency_problems.get(name)  # on its way: nothing new is known yet
    error = service.view().error
    return f"{name} is {state.value}" + (f": {error}" if error else "")


def changed_outputs(user: InstanceState, alias: str, seen: JsonMapping, outputs: JsonObject) -> list[str]:
    """Return the outputs of the dependency `alias` that `user` uses and that have changed since its start.

    Args:
        user: the dependent.
        alias: what its templates call the dependency.
        seen: what they saw of it.
        outputs: its outputs now.
    """
    before = cast("JsonObject", seen.get("outputs") or {})
    changed = sorted(key for key in {*before, *outputs} if before.get(key) != outputs.get(key))
    if not changed:
        return []
    from ostler.rules.templates.dependency_use import uses_output  # noqa: PLC0415 (few services have dependencies)

    return [key for key in changed if uses_output(user.service_class, alias, key)]
