"""A KubeConnection: is the API server of a context reached, which version is it, and who are we to it."""

from typing import Final

import anyio
from msgspec import Struct

from ostler.adapters.kubernetes.api_client import KubeClient, open_client
from ostler.adapters.kubernetes.reconnecting import SupervisedService, World
from ostler.adapters.kubernetes.trouble import KubeTroubleError
from ostler.model.errors import OperationError
from ostler.model.json import JsonObject, as_list, as_object, present
from ostler.model.states import HealthStatus, ServiceState
from ostler.model.statics import KubeConnection

_REVIEW: Final = "/apis/authentication.k8s.io/{version}/selfsubjectreviews"
_VERSIONS: Final = ("v1", "v1beta1")


class _Facts(Struct, frozen=True):
    context: str
    server: str
    namespace: str
    version: str
    user: str
    groups: tuple[str, ...]
    latency: float


class KubeConnectionService(SupervisedService):
    """Looks at one context again and again."""

    def __init__(self, definition: KubeConnection, world: World, *, wanted: bool | None = None) -> None:
        self._spec = definition.spec
        self._facts: _Facts | None = None
        super().__init__(definition, world, wanted=wanted)

    async def _attempt(self) -> None:
        async with open_client(self._spec, self._world.environment) as client:
            while True:
                self._facts = await _look(client)
                if not self.state.is_up:
                    self._connected()
                self.set_health(HealthStatus.HEALTHY)
                self._note_check()
                self._backoff.reset()
                with anyio.move_on_after(self._spec.interval):
                    await self._nudge.wait()

    def _lost(self, trouble: KubeTroubleError, error: OperationError) -> None:
        if trouble.state is not ServiceState.UNREACHABLE:
            self._facts = None  # what was known of it need not be true any more
        super()._lost(trouble, error)

    def outputs(self) -> JsonObject:
        """Return the context, the API server's URL, the namespace and the version."""
        facts = self._facts
        if facts is None:
            return {}
        return {
            "context": facts.context, "server": facts.server, "namespace": facts.namespace, "version": facts.version,
        }  # fmt: skip

    def service_data(self) -> JsonObject:
        """Return what the last look showed."""
        facts = self._facts
        spec = self._spec
        return present(
            {
                "context": facts.context if facts else spec.context,
                "kubeconfig": spec.kubeconfig,
                "server": facts.server if facts else None,
                "namespace": facts.namespace if facts else None,
                "serverVersion": facts.version if facts else None,
                "user": facts.user if facts else None,
                "groups": list(facts.groups) if facts else None,
                "latencyMs": round(facts.latency * 1000, 1) if facts else None,
                "connections": self._connects,
            }
        )


async def _look(client: KubeClient) -> _Facts:
    began = anyio.current_time()
    version = await client.get("/version")
    latency = anyio.current_time() - began
    user, groups = await _identity(client)
    access = client.access
    return _Facts(
        access.context, access.server, access.namespace, str(version.get("gitVersion") or ""), user, groups, latency
    )


async def _identity(client: KubeClient) -> tuple[str, tuple[str, ...]]:
    """Return the user and groups that the API server takes us for; nothing if it cannot say (before 1.27)."""
    for version in _VERSIONS:
        try:
            review = await client.request(
                "POST",
                _REVIEW.format(version=version),
                body={"apiVersion": f"authentication.k8s.io/{version}", "kind": "SelfSubjectReview"},
            )
        except KubeTroubleError as trouble:
            if trouble.state is ServiceState.DISCONNECTED:  # it has no such API
                continue
            raise
        info = as_object(as_object(review.get("status")).get("userInfo"))
        return str(info.get("username") or ""), tuple(map(str, as_list(info.get("groups"))))
    return "", ()
