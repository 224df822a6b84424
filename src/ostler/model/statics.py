"""Static services as `services/*.yaml` describes them: port forwards and Kubernetes connections.

Text becomes these models in `ostler.rules.loading.static_services`,
which turns every problem into a finding with its line.
"""

import ipaddress
import re
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from ostler.model.durations import Duration
from ostler.model.manifest import Metadata
from ostler.model.strict import StrictModel

STATIC_KINDS: Final = ("PortForward", "KubeConnection")
"""The kinds that `services/*.yaml` may hold."""

TARGET_KINDS: Final = {
    "pod": ("pods", "po"),
    "service": ("services", "svc"),
    "deployment": ("deployments", "deploy"),
    "statefulset": ("statefulsets", "sts"),
    "daemonset": ("daemonsets", "ds"),
    "replicaset": ("replicasets", "rs"),
}
"""What a tunnel can lead to, with kubectl's other names for it."""

_TARGET_NAMES: Final = {name: kind for kind, others in TARGET_KINDS.items() for name in (kind, *others)}
_OBJECT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
_ONLY_WHEN_CHECKED: Final = frozenset({"timeout", "initial_delay", "failure_threshold", "success_threshold"})


class ClusterSpec(StrictModel):
    """What every Kubernetes service has: which cluster, and whether to start automatically.

    Attributes:
        description: for people.
        context: the kubeconfig's context; None means its current one.
        kubeconfig: the file; None means `KUBECONFIG`, else `~/.kube/config`, else the pod's own service account.
        auto_start: begin when Ostler starts.
        timeout: seconds that one request to the API server may take.
    """

    description: str = ""
    context: Annotated[str, Field(min_length=1)] | None = None
    kubeconfig: Annotated[str, Field(min_length=1)] | None = None
    auto_start: bool = True
    timeout: Annotated[Duration, Field(gt=0)] = 10.0


class KubeConnectionSpec(ClusterSpec):
    """A context to watch: whether its API server is reached, and as which user.

    Attributes:
        interval: seconds between two looks.
    """

    interval: Annotated[Duration, Field(gt=0)] = 30.0


class TunnelCheckSpec(StrictModel):
    """How a tunnel is checked: by opening it to the pod's port, as a client would, and closing it again.

    Attributes:
        enabled: open the tunnel for a check; without it only the pod is looked at.
        interval: seconds between two looks at the pod and the tunnel.
        timeout: seconds that a check may take.
        initial_delay: seconds from the start to the first check.
        failure_threshold: failed checks in a row until it is unhealthy.
        success_threshold: good checks in a row until it is healthy.
    """

    enabled: bool = True
    interval: Annotated[Duration, Field(gt=0)] = 10.0
    timeout: Annotated[Duration, Field(gt=0)] = 5.0
    initial_delay: Duration = 0.0
    failure_threshold: Annotated[int, Field(ge=1)] = 1
    success_threshold: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _effective(self) -> "TunnelCheckSpec":
        if not self.enabled and (idle := sorted(self.model_fields_set & _ONLY_WHEN_CHECKED)):
            raise ValueError(f"{to_camel(idle[0])!r} has no effect with 'enabled: false'")
        return self


class PortForwardSpec(ClusterSpec):
    """A tunnel from a local port to a port of a pod.

    Attributes:
        namespace: None means the context's own.
        target: `pod/NAME`, `service/NAME`, `deployment/NAME` …; this or `selector`.
        selector: labels of the pods that will do.
        port: a number or a port's name; of the service where the target is one, else of the pod.
        local_port: where to listen; None takes a free port, which is kept until the tunnel is stopped.
        address: on which address of this machine to listen.
        health_check: how the tunnel is checked.
    """

    namespace: str | None = None
    target: str | None = None
    selector: Annotated[dict[str, str], Field(min_length=1)] | None = None
    port: int | str
    local_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    address: str = "127.0.0.1"
    health_check: TunnelCheckSpec = Field(default_factory=TunnelCheckSpec)

    _kinds: ClassVar[str] = ", ".join(TARGET_KINDS)

    @field_validator("namespace")
    @classmethod
    def _is_name(cls, value: str | None) -> str | None:
        if value is not None and not _OBJECT_NAME.fullmatch(value):
            raise ValueError(f"{value!r} is not a valid name of a namespace")
        return value

    @field_validator("target")
    @classmethod
    def _is_target(cls, value: str | None) -> str | None:
        if value is None:
            return None
        kind, slash, name = value.partition("/")
        if not slash:
            raise ValueError(f"{value!r} is not a target; write it as 'KIND/NAME', such as 'service/{value}'")
        if kind not in _TARGET_NAMES:
            close = get_close_matches(kind, list(_TARGET_NAMES), n=1)
            hint = f"did you mean '{close[0]}/{name}'?" if close else f"the kinds are {', '.join(TARGET_KINDS)}"
            raise ValueError(f"{kind!r} is not a kind of target; {hint}")
        if not _OBJECT_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid name of a {_TARGET_NAMES[kind]}")
        return f"{_TARGET_NAMES[kind]}/{name}"

    @field_validator("port", mode="before")
    @classmethod
    def _is_port(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            if not 1 <= value <= 65535:
                raise ValueError(f"{value} is not a port; ports are 1 to 65535")
        elif not isinstance(value, str) or not _PORT_NAME.fullmatch(value):
            raise ValueError(f"{value!r} is neither a port's number nor a valid name of one")
        return value

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value != "localhost":
            try:
                ipaddress.ip_address(value)
            except ValueError:
                raise ValueError(f"{value!r} is not an IP address, nor 'localhost'") from None
        return value

    @model_validator(mode="after")
    def _one_target(self) -> "PortForwardSpec":
        if (self.target is None) == (self.selector is None):
            raise ValueError("a port forward takes exactly one of 'target' and 'selector'")
        return self

    @property
    def wanted(self) -> str:
        """The target in words: `service/web`, or the selector as kubectl writes it."""
        return self.target or ",".join(f"{key}={value}" for key, value in (self.selector or {}).items())


class _Manifest(StrictModel):
    api_version: Literal["ostler/v1"]
    metadata: Metadata

    @property
    def name(self) -> str:
        """The service's name."""
        return self.metadata.name


class PortForward(_Manifest):
    """A manifest of `kind: PortForward`."""

    kind: Literal["PortForward"]
    spec: PortForwardSpec


class KubeConnection(_Manifest):
    """A manifest of `kind: KubeConnection`."""

    kind: Literal["KubeConnection"]
    spec: KubeConnectionSpec = Field(default_factory=KubeConnectionSpec)


StaticService: TypeAlias = PortForward | KubeConnection
"""What `services/*.yaml` can describe."""

STATIC_MODELS: Final[dict[str, type[Any]]] = {"PortForward": PortForward, "KubeConnection": KubeConnection}
"""The model of each kind."""
