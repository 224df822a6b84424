"""A PortForward: a local port that leads to a pod, kept alive across the pods' and the API server's restarts."""

from typing import Final

import anyio
import anyio.abc
from msgspec.structs import replace

from ostler.adapters.kubernetes.api_client import KubeClient, open_client
from ostler.adapters.kubernetes.local_end import Route, TunnelListener, bind
from ostler.adapters.kubernetes.pod_streams import PortRefusedError
from ostler.adapters.kubernetes.reconnecting import SupervisedService, World
from ostler.adapters.kubernetes.targets import PodPort, find_pod_port
from ostler.adapters.kubernetes.trouble import KubeTroubleError
from ostler.engine.services.views import ServiceView
from ostler.model.errors import OperationError
from ostler.model.json import JsonObject, present
from ostler.model.states import HealthStatus, ServiceState
from ostler.model.statics import PortForward

ROUTE_WAIT: Final = 15.0
"""Seconds that a new connection waits for a pod while there is none; then it is closed."""

CHECK_GAP: Final = 0.25
"""Seconds, at least, between two checks, however many connections fail meanwhile."""

PROBE_PATIENCE: Final = 0.5
"""Seconds that an opened tunnel is watched for a refusal: the pod's node reports one right after it tried."""


class PortForwardService(SupervisedService):
    """One tunnel. The local port stays open from the start to the stop, whatever happens behind it."""

    def __init__(self, definition: PortForward, world: World, *, wanted: bool | None = None) -> None:
        self._spec = definition.spec
        self._tunnel: TunnelListener | None = None
        self._serving: anyio.abc.TaskGroup | None = None
        self._route: Route | None = None
        self._route_changed = anyio.Event()
        self._last: PodPort | None = None
        self._port = definition.spec.local_port
        self._check_now = anyio.Event()
        self._failures = self._successes = 0
        self._evidence = ""
        super().__init__(definition, world, wanted=wanted)

    # -- the owner ---------------------------------------------------------------------------------------------

    async def _stay_up(self) -> None:
        try:
            async with anyio.create_task_group() as self._serving:
                await super()._stay_up()
        finally:
            self._serving = self._tunnel = None
            self._failures = self._successes = 0

    async def _attempt(self) -> None:
        assert self._serving is not None
        over = anyio.Event()
        client = await self._serving.start(self._hold_client, over, name=f"client of {self.name}")
        try:
            await self._follow(client)
        finally:
            self._set_route(None)
            over.set()

    async def _hold_client(self, over: anyio.Event, *, task_status: anyio.abc.TaskStatus[KubeClient]) -> None:
        """Hold a client open until the attempt is over, and then for as long as connections go through it."""
        async with open_client(self._spec, self._world.environment) as client:
            task_status.started(client)
            await over.wait()
            await client.until_idle()

    async def _follow(self, client: KubeClient) -> None:
        """Follow the target from pod to pod until it is gone, or the API server is."""
        checks = self._spec.health_check
        first_check = anyio.current_time() + checks.initial_delay
        refused: PodPort | None = None
        while True:
            target = await find_pod_port(client, self._spec, self._last)
            if target == refused:
                raise KubeTroubleError(f"pod {target.namespace}/{target.pod} is listed, but cannot be reached")
            refused = None
            await self._listen()
            self._check_now = anyio.Event()
            if self._route is None or target != self._last:
                self._set_route(Route(client, target))
                self._failures = self._successes = 0
            if not self.state.is_up:
                self._connected()
            assert self._route is not None
            is_due = checks.enabled and anyio.current_time() >= first_check
            if is_due and not await self._probe(self._route):
                refused = target  # look for its successor
                continue
            self._note_check()  # also if it is too early for one
            if self.health is HealthStatus.HEALTHY or not checks.enabled:
                self._backoff.reset()
            wait = checks.interval
            if anyio.current_time() < first_check:
                wait = min(wait, first_check - anyio.current_time())
            with anyio.move_on_after(wait):
                await self._check_now.wait()
                await anyio.sleep(CHECK_GAP)

    async def _listen(self) -> None:
        if self._tunnel is not None:
            return
        assert self._serving is not None
        wanted = f"PortForward {self.name!r}"
        try:
            listener, self._port = await bind(self._spec.address, self._port, wanted=wanted)
        except KubeTroubleError:
            if self._spec.local_port is not None:
                raise
            listener, self._port = await bind(self._spec.address, None, wanted=wanted)  # its old port was taken
        self._tunnel = TunnelListener(listener, self._port, route=self._await_route, failed=self._connection_failed)
        self._serving.start_soon(self._tunnel.serve, name=f"tunnel {self.name}")

    def _set_route(self, route: Route | None) -> None:
        self._route = route
        if route is not None:
            self._last = route.target
        self._route_changed.set()
        self._route_changed = anyio.Event()

    async def _await_route(self) -> Route | None:
        with anyio.move_on_after(ROUTE_WAIT):
            while self._route is None:
                await self._route_changed.wait()
        return self._route

    def _connection_failed(self, error: Exception) -> None:
        """A client met what the next check would find: check now."""
        del error
        self._check_now.set()

    def _look_now(self) -> None:
        self._check_now.set()
        super()._look_now()

    @property
    def _checks(self) -> bool:
        return self._spec.health_check.enabled

    # -- health ------------------------------------------------------------------------------------------------

    async def _probe(self, route: Route) -> bool:
        """Open the tunnel to the pod's port and see whether it holds; False if the pod went since it was looked up.

        Raises:
            KubeTroubleError: the API server refused, or cannot be reached.
        """
        target = route.target
        try:
            with anyio.fail_after(self._spec.health_check.timeout):
                async with route.client.forward(target.namespace, target.pod, target.port) as stream:
                    with anyio.move_on_after(PROBE_PATIENCE):
                        await stream.receive()
        except PortRefusedError as error:
            self._judge(str(error))
        except TimeoutError:
            self._judge(f"the tunnel was not open within {self._spec.health_check.timeout:g} s")
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            self._judge("")  # the pod took the connection and ended it: someone is there
        except KubeTroubleError as trouble:
            if trouble.state is not ServiceState.DISCONNECTED:
                raise
            return False
        else:
            self._judge("")
        return True

    def _judge(self, failure: str) -> None:
        checks = self._spec.health_check
        self._evidence = failure or "the tunnel is open"
        if not failure:
            self._successes, self._failures = self._successes + 1, 0
            if self._successes >= checks.success_threshold:
                self.set_health(HealthStatus.HEALTHY)
            return
        self._failures, self._successes = self._failures + 1, 0
        if self._failures >= checks.failure_threshold:
            error = OperationError(
                f"the tunnel of PortForward {self.name!r} leads nowhere: {failure}",
                service=self.name,
                step="healthCheck",
                next_actions=(
                    f"see whether something listens on port {self._last.port if self._last else ''} in the pod",
                ),
            )
            self.set_health(HealthStatus.UNHEALTHY, error=error)

    def _lost(self, trouble: KubeTroubleError, error: OperationError) -> None:
        # An API server that does not answer says nothing about the pod: reachability shows it, health stays.
        if trouble.state not in (ServiceState.UNREACHABLE, ServiceState.AUTH_REQUIRED):
            super()._lost(trouble, error)

    # -- showing -----------------------------------------------------------------------------------------------

    def outputs(self) -> JsonObject:
        """Return where to connect: `host`, `port` and both as `address`; nothing while no one listens."""
        if self._tunnel is None:
            return {}
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._spec.address, self._spec.address)  # noqa: S104
        shown = f"[{host}]" if ":" in host else host
        return {"host": host, "port": self._tunnel.port, "address": f"{shown}:{self._tunnel.port}"}

    def service_data(self) -> JsonObject:
        """Return the tunnel's two ends and what went through it."""
        spec, route, tunnel = self._spec, self._route, self._tunnel
        target = route.target if route else None
        access = route.client.access if route else None
        traffic = tunnel.traffic if tunnel else None
        return present(
            {
                "target": spec.wanted,
                "targetPort": spec.port,
                "context": access.context if access else spec.context,
                "kubeconfig": spec.kubeconfig,
                "server": access.server if access else None,
                "namespace": target.namespace if target else spec.namespace,
                "pod": target.pod if target else None,
                "podPort": target.port if target else None,
                "node": target.node if target else None,
                "localAddress": spec.address,
                "localPort": tunnel.port if tunnel else spec.local_port,
                "connections": traffic.open if traffic else None,
                "connectionsTotal": traffic.total if traffic else None,
                "connectionsFailed": traffic.failed if traffic else None,
                "bytesSent": traffic.sent if traffic else None,
                "bytesReceived": traffic.received if traffic else None,
            }
        )

    @property
    def health_failures(self) -> int:
        """Health checks that have failed in a row."""
        return self._failures

    @property
    def failure_threshold(self) -> int:
        """Health checks that have to fail in a row until it is unhealthy."""
        return self._spec.health_check.failure_threshold

    def view(self) -> ServiceView:
        """Return a snapshot, with what the last check saw."""
        seen = super().view()
        return replace(
            seen,
            passed_at=seen.checked_at,  # the verdict's time; a failure below the threshold leaves it
            failure_threshold=self.failure_threshold,
            evidence=self._evidence,
            health_failures=self._failures,
            health_successes=self._successes,
            health_checks=self._spec.health_check.enabled,
        )
