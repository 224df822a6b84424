"""Port forwards against a scripted API server that speaks the real wire protocol, to real TCP servers."""

import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest
from tests.support.kube_server import Cluster, kube_server, speaker, tcp_server, write_kubeconfig

from ostler.adapters.kubernetes.local_end import TunnelListener, bind
from ostler.adapters.kubernetes.port_forward import PortForwardService
from ostler.adapters.kubernetes.reconnecting import World
from ostler.engine.clock import SystemClock
from ostler.model.errors import OperationError
from ostler.model.statics import PortForward

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

WITHIN = 60.0


def tunnel(config: Path, **spec: Any) -> PortForwardService:
    """A tunnel to `service/web`, checked every tenth of a second; it is not started on its own."""
    given = {
        "target": "service/web", "port": 80, "kubeconfig": str(config), "autoStart": False, "timeout": 30,
        "healthCheck": {"interval": 0.1}, **spec,
    }  # fmt: skip
    definition = PortForward.model_validate(
        {
            "apiVersion": "ostler/v1",
            "kind": "PortForward",
            "metadata": {"name": "tunnel"},
            "spec": {k: v for k, v in given.items() if v is not None},
        }
    )
    return PortForwardService(definition, World(os.environ, SystemClock()))


@asynccontextmanager
async def running(service: PortForwardService) -> AsyncGenerator[PortForwardService]:
    with anyio.fail_after(WITHIN):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.run)
            yield service
            service.close()
            await service.ended.wait()


@asynccontextmanager
async def cluster_with_web(*names: str) -> AsyncGenerator[tuple[Cluster, dict[str, int]]]:
    """A cluster with the service `web` on port 80, and a TCP server for each of `names` to put behind pods."""
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(kube_server(Cluster()))
        cluster.put("services", "web", {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]})
        yield cluster, {name: await stack.enter_async_context(tcp_server(speaker(name))) for name in names}


def config_of(tmp_path: Path, cluster: Cluster, **user: Any) -> Path:
    return write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{cluster.port}", user=user)


async def serve_until_told(cluster: Cluster, *, task_status: anyio.abc.TaskStatus[anyio.Event]) -> None:
    """Serve `cluster` in a task of its own until the event that it gives is set."""
    end = anyio.Event()
    async with kube_server(cluster):
        task_status.started(end)
        await end.wait()


async def greeting(service: PortForwardService) -> str:
    """Connect to the tunnel and return who answers; the empty text when it is closed."""
    async with await anyio.connect_tcp("127.0.0.1", service.outputs()["port"]) as stream:
        try:
            return (await stream.receive()).decode().strip()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return ""


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.sleep(0.01)


async def test_a_tunnel_to_a_service(tmp_path: Path) -> None:
    async with cluster_with_web("one") as (cluster, ports):
        cluster.put_pod("web-0", {8080: ports["one"]}, ready=False)
        cluster.put_pod("web-1", {8080: ports["one"]})
        async with running(tunnel(config_of(tmp_path, cluster))) as service:
            assert service.state == "stopped"
            await service.start()
            assert service.state == "connected"
            assert await greeting(service) == "one"
            await service.wait_until(lambda status: status.health == "healthy")
            assert service.reachability == "reachable"
            data = service.service_data()
            assert (data["pod"], data["podPort"], data["namespace"], data["context"]) == (
                "web-1",
                8080,
                "default",
                "dev",
            )
            assert (data["server"], data["node"]) == (f"http://127.0.0.1:{cluster.port}", "node-1")
            port = service.outputs()["port"]
            assert service.outputs() == {"host": "127.0.0.1", "port": port, "address": f"127.0.0.1:{port}"}
            await service.stop()
            assert service.state == "stopped"
            with pytest.raises(OSError):
                await anyio.connect_tcp("127.0.0.1", port)
            await until(lambda: cluster.forwards == 0)
            await service.start()
            assert service.outputs()["port"] == port  # the chosen port stays the tunnel's
            await service.restart()
            assert await greeting(service) == "one"


async def test_many_connections_at_once_carry_every_byte(tmp_path: Path) -> None:
    async with cluster_with_web("one") as (cluster, ports):
        cluster.put_pod("web-1", {8080: ports["one"]})
        async with running(tunnel(config_of(tmp_path, cluster))) as service:
            await service.start()
            came: dict[int, bytes] = {}

            async def talk(number: int) -> None:
                sent, received = bytes((number,)) + os.urandom(100_000), b""
                async with (
                    await anyio.connect_tcp("127.0.0.1", service.outputs()["port"]) as stream,
                    anyio.create_task_group() as tasks,
                ):
                    tasks.start_soon(stream.send, sent)
                    while len(received) < len(sent) + len(b"one\n"):
                        received += await stream.receive()
                came[number] = received
                assert received == b"one\n" + sent

            async with anyio.create_task_group() as tasks:
                for number in range(6):
                    tasks.start_soon(talk, number)
            assert len(came) == 6
            await until(lambda: service.service_data()["connections"] == 0)
            assert service.service_data()["connectionsTotal"] == 6
            assert service.service_data()["bytesSent"] == 6 * 100_001


async def test_a_client_that_has_said_everything_still_hears_the_answer(tmp_path: Path) -> None:
    async def slow(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            for part in (b"a", b"b", b"c"):
                await anyio.sleep(0.05)
                await stream.send(part)

    async with cluster_with_web() as (cluster, _), tcp_server(slow) as port:
        cluster.put_pod("web-1", {8080: port})
        async with running(tunnel(config_of(tmp_path, cluster), healthCheck={"enabled": False})) as service:
            await service.start()
            async with await anyio.connect_tcp("127.0.0.1", service.outputs()["port"]) as stream:
                await stream.send(b"question")
                await stream.send_eof()
                answer = b""
                with pytest.raises(anyio.EndOfStream):
                    while True:
                        answer += await stream.receive()
                assert answer == b"abc"
            assert service.health == "unknown"  # no one was asked to check it


async def test_it_follows_the_pods(tmp_path: Path) -> None:
    async with cluster_with_web("one", "two") as (cluster, ports):
        cluster.put_pod("web-1", {8080: ports["one"]})
        async with running(tunnel(config_of(tmp_path, cluster))) as service:
            await service.start()
            async with await anyio.connect_tcp("127.0.0.1", service.outputs()["port"]) as stream:
                assert await stream.receive() == b"one\n"
                cluster.put_pod("web-2", {8080: ports["two"]})
                assert await greeting(service) == "one"  # no reason to leave a pod that works
                cluster.delete_pod("web-1")
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
            await until(lambda: service.service_data().get("pod") == "web-2")
            assert await greeting(service) == "two"
            assert service.state == "connected"


async def test_a_pod_of_the_same_name_is_another_pod(tmp_path: Path) -> None:
    async with cluster_with_web("one", "two") as (cluster, ports):
        cluster.put_pod("web-0", {8080: ports["one"]})
        async with running(tunnel(config_of(tmp_path, cluster), target="pod/web-0", port=8080)) as service:
            await service.start()
            assert await greeting(service) == "one"
            cluster.delete_pod("web-0")
            await service.wait_until(lambda status: status.state == "disconnected")
            assert 'pods "web-0" not found' in str(service.last_error)
            cluster.put_pod("web-0", {8080: ports["two"]})
            await service.wait_until(lambda status: status.state == "connected")
            assert await greeting(service) == "two"


async def test_connections_wait_while_there_is_no_pod(tmp_path: Path) -> None:
    async with cluster_with_web("one", "two") as (cluster, ports):
        cluster.put_pod("web-1", {8080: ports["one"]})
        async with running(tunnel(config_of(tmp_path, cluster))) as service:
            await service.start()
            cluster.delete_pod("web-1")
            await service.wait_until(lambda status: status.state == "disconnected")
            assert service.health == "unhealthy"
            assert service.reachability == "reachable"
            assert "service/web in namespace default has no ready pod" in str(service.last_error)
            await until(lambda: service.view().next_retry_at is not None)
            answers: list[str] = []

            async def ask() -> None:
                answers.append(await greeting(service))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await until(lambda: service.service_data()["connections"] == 1)
                cluster.put_pod("web-2", {8080: ports["two"]})
            assert answers == ["two"]
            await service.wait_until(lambda status: status.health == "healthy")
            assert service.last_error is None


async def test_a_start_without_a_pod_fails_and_comes_about_automatically(tmp_path: Path) -> None:
    async with cluster_with_web("one") as (cluster, ports):
        cluster.put_pod("web-1", {8080: ports["one"]}, phase="Pending", ready=False)
        async with running(tunnel(config_of(tmp_path, cluster))) as service:
            with pytest.raises(OperationError) as caught:
                await service.start()
            assert "has no ready pod (web-1 is Pending)" in str(caught.value)
            assert "service_start tunnel tries at once" in str(caught.value)
            assert caught.value.retryable
            cluster.put_pod("web-1", {8080: ports["one"]})
            await service.wait_until(lambda status: status.state == "connected")


async def test_the_health_is_that_of_the_tunnel(tmp_path: Path) -> None:
    async with cluster_with_web("one") as (cluster, ports):
        uid = cluster.put_pod("web-1", {})
        checks = {"interval": 0.05, "failureThreshold": 3, "successThreshold": 2}
        async with running(tunnel(config_of(tmp_path, cluster), healthCheck=checks)) as service:
            await service.start()
            assert service.state == "connected"  # the pod is there; what is in it does not listen
            status = await service.wait_until(lambda status: status.health == "unhealthy")
            assert "dial tcp4 127.0.0.1:8080: connect: connection refused" in str(status.error)
            assert "see whether something listens on port 8080" in str(status.error)
            assert service.view().health_failures >= 3
            assert await greeting(service) == ""
            cluster.backends[uid, 8080] = ports["one"]
            await service.wait_until(lambda status: status.health == "healthy")
            assert service.view().health_successes >= 2
            assert service.view().evidence == "the tunnel is open"
            assert service.last_error is None


async def test_a_check_is_answered_when_it_was_made_also_if_it_changes_nothing(tmp_path: Path) -> None:
    async with cluster_with_web("one") as (cluster, _):
        cluster.put_pod("web-1", {})
        checks = {"interval": 600, "failureThreshold": 3}
        async with running(tunnel(config_of(tmp_path, cluster), healthCheck=checks)) as service:
            await service.start()
            await until(lambda: service.view().health_failures == 1)
            with anyio.fail_after(service.definition.spec.timeout):
                assert [await service.check_health() for _ in range(3)] == ["unknown", "unhealthy", "unhealthy"]
                cluster.broken = 503
                assert await service.check_health() == "unhealthy"
                assert service.state == "unreachable"
                assert await service.check_health() == "unhealthy"
        cluster.broken = 0
        checks = {"interval": 600, "initialDelay": 600}
        async with running(tunnel(config_of(tmp_path, cluster), healthCheck=checks)) as service:
            await service.start()
            with anyio.fail_after(service.definition.spec.timeout):
                assert await service.check_health() == "unknown", "it is too early, which is not waited for"


async def test_clients_that_hammer_a_dead_port_do_not_make_it_hammer_the_api_server(tmp_path: Path) -> None:
    async with cluster_with_web() as (cluster, _):
        cluster.put_pod("web-1", {})
        async with running(tunnel(config_of(tmp_path, cluster), healthCheck={"interval": 60})) as service:
            await service.start()
            await service.wait_until(lambda status: status.health == "unhealthy")
            cluster.requests.clear()
            for _ in range(40):
                assert await greeting(service) == ""

            def asked(end: str) -> int:
                return sum(request.endswith(end) for request in cluster.requests)

            # what failed made it look, however quick the clients were, but far less often than they came
            with anyio.fail_after(60):
                while asked("/portforward") <= 40:
                    await anyio.sleep(0.01)
            assert 1 <= asked("/services/web") <= asked("/portforward") - 40 + 1 < 20


async def test_an_api_server_that_goes_away_is_not_an_unhealthy_pod(tmp_path: Path) -> None:
    async with tcp_server(speaker("one")) as port:
        cluster = Cluster()
        cluster.put("services", "web", {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]})
        cluster.put_pod("web-1", {8080: port})
        async with anyio.create_task_group() as tasks:
            end = await tasks.start(serve_until_told, cluster)
            async with running(tunnel(config_of(tmp_path, cluster))) as service:
                await service.start()
                await service.wait_until(lambda status: status.health == "healthy")
                end.set()
                await service.wait_until(lambda status: status.state == "unreachable")
                assert service.health == "healthy"
                assert service.reachability == "unreachable"
                assert "cannot be used: connection refused" in str(service.last_error)
                async with kube_server(cluster, port=cluster.port):
                    await service.wait_until(lambda status: status.state == "connected")
                    assert service.reachability == "reachable"
                    assert await greeting(service) == "one"


async def test_credentials_that_expire_and_are_renewed(tmp_path: Path) -> None:
    async with cluster_with_web("one") as (cluster, ports):
        cluster.put_pod("web-1", {8080: ports["one"]})
        cluster.tokens = {"morning": ("dev", [])}
        async with running(tunnel(config_of(tmp_path, cluster, token="morning"))) as service:
            await service.start()
            assert await greeting(service) == "one"
            cluster.tokens = {"evening": ("dev", [])}
            status = await service.wait_until(lambda status: status.state == "auth_required")
            assert "does not accept the credentials of context 'dev' (HTTP 401" in str(status.error)
            assert "log in again" in str(status.error)
            assert "morning" not in str(status.error)
            with pytest.raises(OperationError, match="HTTP 401"):
                await service.start()
            config_of(tmp_path, cluster, token="evening")
            await service.wait_until(lambda status: status.state == "connected")
            assert await greeting(service) == "one"


async def test_what_may_not_be_done_is_named(tmp_path: Path) -> None:
    async with cluster_with_web() as (cluster, _):
        cluster.forbidden = ("/api/v1/namespaces/default/services",)
        async with running(tunnel(config_of(tmp_path, cluster))) as service:
            with pytest.raises(OperationError, match=r"may not do this \(HTTP 403\): .*is forbidden"):
                await service.start()
            assert service.state == "auth_required"


async def test_a_stalled_api_server_holds_no_one_up(tmp_path: Path) -> None:
    async with cluster_with_web("one") as (cluster, ports):
        cluster.put_pod("web-1", {8080: ports["one"]})
        cluster.stalled = True
        async with running(tunnel(config_of(tmp_path, cluster), timeout=0.2)) as service:
            with pytest.raises(OperationError, match="no answer within 0.2 s"):
                await service.start()
            assert service.state == "unreachable"
        async with running(tunnel(config_of(tmp_path, cluster), timeout=60)) as service:
            async with anyio.create_task_group() as tasks:

                async def start() -> None:
                    with pytest.raises(OperationError, match="is stopp"):
                        await service.start()

                tasks.start_soon(start)
                await service.wait_until(lambda status: status.state == "starting")
                await until(lambda: len(cluster.requests) > 0)
                with anyio.fail_after(30):
                    await service.stop()
            assert service.state == "stopped"


async def test_a_server_that_offers_no_port_forward(tmp_path: Path) -> None:
    async with cluster_with_web("one") as (cluster, ports):
        cluster.put_pod("web-1", {8080: ports["one"]})
        cluster.forbidden = ("/api/v1/namespaces/default/pods/web-1/portforward",)
        async with running(tunnel(config_of(tmp_path, cluster))) as service:
            await service.start()
            status = await service.wait_until(lambda status: status.state == "auth_required")
            assert "may not do this (HTTP 403)" in str(status.error)


async def test_the_local_port_is_the_one_asked_for(tmp_path: Path) -> None:
    async with cluster_with_web("one") as (cluster, ports):
        cluster.put_pod("web-1", {8080: ports["one"]})
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            service = tunnel(config_of(tmp_path, cluster), localPort=port)
            async with running(service):
                with pytest.raises(OperationError, match=f"cannot listen on 127.0.0.1:{port} .*in use by another"):
                    await service.start()
                assert service.state == "failed"
                taken.close()
                await service.wait_until(lambda status: status.state == "connected")
                assert service.outputs()["port"] == port
                assert await greeting(service) == "one"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"target": "svc/web", "port": 80}, 8080),
        ({"target": "service/web", "port": "http"}, 8080),
        ({"target": "service/web", "port": "admin"}, 9090),
        ({"target": "deploy/web", "port": 8080}, 8080),
        ({"target": "deployment/web", "port": "web-admin"}, 9090),
        ({"target": "pod/web-1", "port": "web-admin"}, 9090),
        ({"selector": {"app": "web"}, "port": 9090}, 9090),
        ({"selector": {"app": "shop"}, "namespace": "shop", "port": 1}, 1),
        ({"selector": {"app": "shop"}, "context": "prod", "port": 1}, 1),
        ({"target": "service/web", "port": 81},
         "service default/web has no port 81; its ports are 80 (http), 90 (admin)"),
        ({"target": "service/web", "port": 8080}, "did you mean 80, which leads to 8080?"),
        ({"target": "pod/web-1", "port": "htp"}, "pod web-1 has no port named 'htp'; its ports are web-admin"),
        ({"target": "service/bare", "port": 80}, "service default/bare selects no pods (it has no selector)"),
        ({"target": "service/wbe", "port": 80}, '"wbe" not found'),
        ({"target": "deployment/web", "port": 80, "context": "stage"}, "has no context 'stage'"),
        ({"target": "pod/web-1", "port": 80, "kubeconfig": "/nowhere/config"},
         "there is no kubeconfig '/nowhere/config'"),
    ],
)  # fmt: skip
async def test_targets(tmp_path: Path, spec: dict[str, Any], expected: int | str) -> None:
    async with kube_server(Cluster()) as cluster:
        http, admin = (
            {"port": 80, "name": "http", "targetPort": 8080},
            {"port": 90, "name": "admin", "targetPort": "web-admin"},
        )
        cluster.put("services", "web", {"selector": {"app": "web"}, "ports": [http, admin]})
        cluster.put("services", "bare", {"ports": [http]})
        cluster.put("deployments", "web", {"selector": {"matchLabels": {"app": "web"}}})
        cluster.put_pod("web-1", {}, ports={"web-admin": 9090})
        cluster.put_pod("shop-1", {}, labels={"app": "shop"}, namespace="shop")
        more = {"target": None, "healthCheck": {"enabled": False}, **spec}
        async with running(tunnel(config_of(tmp_path, cluster), **{**more, "localPort": None})) as service:
            if isinstance(expected, int):
                await service.start()
                assert service.service_data()["podPort"] == expected
            else:
                with pytest.raises(OperationError) as caught:
                    await service.start()
                assert expected in str(caught.value)


async def test_a_connection_that_comes_as_its_tunnel_is_closed_is_closed_too() -> None:
    async def nowhere() -> None:
        return None

    listener, port = await bind("127.0.0.1", None, wanted="tunnel")
    local_end = TunnelListener(listener, port, route=nowhere, failed=lambda error: pytest.fail(str(error)))
    with socket.socket() as client:
        client.settimeout(WITHIN)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(local_end.serve)
            await anyio.wait_all_tasks_blocked()
            client.connect(("127.0.0.1", port))
            await anyio.lowlevel.checkpoint()  # the loop sees the connection after this task has gone on
            tasks.cancel_scope.cancel()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
