"""From a target (`service/web`, `deployment/api`, labels) to the pod and port that a tunnel leads to now."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from ostler.adapters.kubernetes.api_client import KubeClient
from ostler.adapters.kubernetes.trouble import KubeTroubleError, misconfigured
from ostler.model.json import JsonObject, as_list, as_object, as_objects
from ostler.model.statics import PortForwardSpec

_APPS: Final = ("deployment", "statefulset", "daemonset", "replicaset")
_OPERATORS: Final = {"In": "in", "NotIn": "notin"}


class PodPort(Struct, frozen=True):
    """Where a tunnel leads: one port of one pod. `uid` tells a pod from its successor of the same name."""

    namespace: str
    pod: str
    uid: str
    port: int
    node: str = ""


async def find_pod_port(client: KubeClient, spec: PortForwardSpec, current: PodPort | None) -> PodPort:
    """Return the pod and port for `spec`; `current` again for as long as it will do.

    Raises:
        KubeTroubleError: there is no pod that will do now, no such target or port, or the API server did not answer.
    """
    namespace = spec.namespace or client.access.namespace
    kind, _, name = (spec.target or "").partition("/")
    core = f"/api/v1/namespaces/{namespace}"
    if kind == "pod":
        pod = await client.get(f"{core}/pods/{name}")
        _demand_running(pod, f"{namespace}/{name}")
        return _pod_port(pod, _container_port(pod, spec.port))
    wanted: int | str = spec.port
    if kind == "service":
        service = await client.get(f"{core}/services/{name}")
        labels = as_object(as_object(service.get("spec")).get("selector"))
        if not labels:
            raise misconfigured(
                f"service {namespace}/{name} selects no pods (it has no selector)",
                "write a pod or a selector as the target",
            )
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        wanted = _target_port(service, spec.port, f"{namespace}/{name}")
    elif kind in _APPS:
        owner = await client.get(f"/apis/apps/v1/namespaces/{namespace}/{kind}s/{name}")
        selector = _selector_text(as_object(as_object(owner.get("spec")).get("selector")))
    else:
        selector = spec.wanted
    listed = await client.get(f"{core}/pods", labelSelector=selector)
    pods = as_objects(listed.get("items"))
    pod = _choose(pods, current, f"{spec.wanted} in namespace {namespace}")
    return _pod_port(pod, _container_port(pod, wanted))


def _choose(pods: Sequence[JsonObject], current: PodPort | None, wanted: str) -> JsonObject:
    """Return the pod that is used already, if it is still ready, else the oldest that is."""
    ready = [pod for pod in pods if _is_ready(pod)]
    if not ready:
        described = ", ".join(f"{_name(pod)} is {_phase(pod)}" for pod in pods[:5])
        raise KubeTroubleError(f"{wanted} has no ready pod" + (f" ({described})" if described else ""))
    for pod in ready:
        if current is not None and _metadata(pod).get("uid") == current.uid:
            return pod
    return min(ready, key=lambda pod: (str(_metadata(pod).get("creationTimestamp")), _name(pod)))


def _is_ready(pod: JsonObject) -> bool:
    if _phase(pod) != "Running":
        return False
    conditions = as_objects(as_object(pod.get("status")).get("conditions"))
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _phase(pod: JsonObject) -> str:
    if _metadata(pod).get("deletionTimestamp"):
        return "being deleted"
    return str(as_object(pod.get("status")).get("phase") or "of unknown phase")


def _demand_running(pod: JsonObject, name: str) -> None:
    if _phase(pod) != "Running":
        raise KubeTroubleError(f"pod {name} is {_phase(pod)}")


def _pod_port(pod: JsonObject, port: int) -> PodPort:
    metadata = _metadata(pod)
    node = str(as_object(pod.get("spec")).get("nodeName") or "")
    return PodPort(str(metadata.get("namespace")), _name(pod), str(metadata.get("uid")), port, node)


def _container_port(pod: JsonObject, wanted: int | str) -> int:
    if isinstance(wanted, int):
        return wanted
    spec = as_object(pod.get("spec"))
    containers = [*as_objects(spec.get("containers")), *as_objects(spec.get("initContainers"))]
    ports = [port for container in containers for port in as_objects(container.get("ports"))]
    for port in ports:
        if port.get("name") == wanted:
            return int(port["containerPort"])
    names = ", ".join(str(port.get("name") or port.get("containerPort")) for port in ports)
    raise misconfigured(
        f"pod {_name(pod)} has no port named {wanted!r}; its ports are {names or 'not declared'}",
        "write the port's number, or one of these names",
    )


def _target_port(service: JsonObject, wanted: int | str, name: str) -> int | str:
    """Return the pods' port behind the service's port `wanted`, as kubectl finds it."""
    ports = as_objects(as_object(service.get("spec")).get("ports"))
    for port in ports:
        if wanted in (port.get("port"), port.get("name")):
            target: int | str = port.get("targetPort") or port["port"]
            return int(target) if str(target).isdigit() else target
    shown = ", ".join(f"{port.get('port')}" + (f" ({port['name']})" if port.get("name") else "") for port in ports)
    behind = next((port for port in ports if port.get("targetPort") == wanted), None)
    hint = f"; did you mean {behind['port']}, which leads to {wanted}?" if behind else ""
    raise misconfigured(f"service {name} has no port {wanted!r}; its ports are {shown}{hint}", "write one of its ports")


def _selector_text(selector: JsonObject) -> str:
    terms = [f"{key}={value}" for key, value in as_object(selector.get("matchLabels")).items()]
    for term in as_objects(selector.get("matchExpressions")):
        key, operator = str(term.get("key")), str(term.get("operator"))
        values = ",".join(map(str, as_list(term.get("values"))))
        if operator in _OPERATORS:
            terms.append(f"{key} {_OPERATORS[operator]} ({values})")
        else:
            terms.append(key if operator == "Exists" else f"!{key}")
    return ",".join(terms)


def _metadata(pod: JsonObject) -> JsonObject:
    return as_object(pod.get("metadata"))


def _name(pod: JsonObject) -> str:
    return str(_metadata(pod).get("name"))
