"""A scripted Kubernetes API server that speaks the real wire protocol: REST over HTTP(S), and port forwards.

Port forwards are websockets of `v4.channel.k8s.io`, framed as the kubelet frames them, to real TCP servers of the
test. A test changes pods, tokens and moods while it runs.
"""

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from tests.support.web import serving

PROTOCOL = "v4.channel.k8s.io"


@dataclass
class Cluster:
    """What the server answers from.

    Attributes:
        tokens: user and groups by bearer token; without any, everybody is `system:anonymous` and may do everything.
        forbidden: paths (their beginnings) that are answered with 403.
        objects: by their path, such as `/api/v1/namespaces/default/pods/web-1`.
        backends: the local port behind (pod's uid, port in the pod); nothing listens on others.
        stalled: requests are taken and never answered.
        broken: every request is answered with this status.
        protocols: what port forwards offer; without PROTOCOL they are refused.
        requests: method and path of each request.
    """

    tokens: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    forbidden: tuple[str, ...] = ()
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    backends: dict[tuple[str, int], int] = field(default_factory=dict)
    stalled: bool = False
    broken: int = 0
    fragment: int = 0
    review_versions: tuple[str, ...] = ("v1",)
    requests: list[str] = field(default_factory=list)
    port: int = 0
    forwards: int = 0
    """Port-forward streams that are open."""
    _ends: dict[str, list[anyio.CancelScope]] = field(default_factory=dict)
    _count: int = 0

    def put(self, kind: str, name: str, spec: dict[str, Any], *, namespace: str = "default", **more: Any) -> None:
        group = "/api/v1" if kind in ("pods", "services") else "/apis/apps/v1"
        path = f"{group}/namespaces/{namespace}/{kind}/{name}"
        self.objects[path] = {"metadata": {"name": name, "namespace": namespace}, "spec": spec, **more}

    def put_pod(
        self,
        name: str,
        backends: dict[int, int],
        *,
        labels: dict[str, str] | None = None,
        ports: dict[str, int] | None = None,
        ready: bool = True,
        phase: str = "Running",
        namespace: str = "default",
    ) -> str:
        """Put a pod whose ports lead to local ports; gives its uid."""
        self._count += 1
        uid = f"uid-{self._count}"
        self.backends |= {(uid, port): local for port, local in backends.items()}
        containers = [{"name": "c", "ports": [{"name": n, "containerPort": p} for n, p in (ports or {}).items()]}]
        self.put("pods", name, {"containers": containers, "nodeName": "node-1"}, namespace=namespace)
        pod = self.pod(name, namespace)
        pod["metadata"] |= {
            "uid": uid, "labels": labels or {"app": "web"},
            "creationTimestamp": f"2026-01-01T00:00:{self._count:02}Z",
        }  # fmt: skip
        pod["status"] = {"phase": phase, "conditions": [{"type": "Ready", "status": str(ready)}]}
        return uid

    def pod(self, name: str, namespace: str = "default") -> dict[str, Any]:
        return self.objects[f"/api/v1/namespaces/{namespace}/pods/{name}"]

    def delete_pod(self, name: str, namespace: str = "default") -> None:
        """Remove a pod; its streams end."""
        pod = self.objects.pop(f"/api/v1/namespaces/{namespace}/pods/{name}")
        for scope in self._ends.pop(pod["metadata"]["uid"], []):
            scope.cancel()

    # -- answering ---------------------------------------------------------------------------------------------

    async def refusal(self, request: HTTPConnection) -> Response | None:
        """Return why `request` is not served, if it is not."""
        path = request.url.path
        self.requests.append(f"{request.scope.get('method', 'GET')} {path}")
        if self.stalled:
            await anyio.sleep_forever()
        if self.broken:
            return status(self.broken, "the server is currently unable to handle the request")
        if self.tokens and self.user(request) is None:
            return status(401, "Unauthorized")
        if any(path.startswith(one) for one in self.forbidden):
            return status(403, f'pods is forbidden: User "dev" cannot get resource at {path}')
        return None

    def user(self, request: HTTPConnection) -> tuple[str, list[str]] | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not self.tokens:
            return "system:anonymous", ["system:unauthenticated"]
        return self.tokens.get(token)

    async def version(self, request: Request) -> Response:
        return await self.refusal(request) or JSONResponse({"major": "1", "minor": "34", "gitVersion": "v1.34.3"})

    async def review(self, request: Request) -> Response:
        refused = await self.refusal(request)
        if refused is not None:
            return refused
        version = request.path_params["version"]
        if version not in self.review_versions:
            return status(404, "the server could not find the requested resource")
        body = await request.json()
        assert body["kind"] == "SelfSubjectReview"
        user = self.user(request)
        assert user is not None
        return JSONResponse({**body, "status": {"userInfo": {"username": user[0], "groups": user[1]}}}, 201)

    async def get(self, request: Request) -> Response:
        refused = await self.refusal(request)
        if refused is not None:
            return refused
        path = request.url.path
        found = self.objects.get(path)
        if found is not None:
            return JSONResponse(found)
        kind = path.rpartition("/")[2]
        if kind in ("pods", "services", "deployments"):
            selector = request.query_params.get("labelSelector", "")
            items = [
                one for place, one in self.objects.items()
                if place.startswith(path + "/") and matches(one["metadata"].get("labels", {}), selector)
            ]  # fmt: skip
            return JSONResponse({"kind": "List", "items": items})
        kind, _, name = path.removeprefix("/").rpartition("/")
        return status(404, f'{kind.rpartition("/")[2]} "{name}" not found')

    async def portforward(self, websocket: WebSocket) -> None:
        refused = await self.refusal(websocket)
        path = websocket.url.path.removesuffix("/portforward")
        pod = self.objects.get(path)
        if refused is None and pod is None:
            refused = status(404, f'pods "{path.rpartition("/")[2]}" not found')
        if refused is None and PROTOCOL not in websocket.scope["subprotocols"]:
            refused = status(400, "unable to upgrade: unknown protocols")
        if refused is not None:
            await websocket.send_denial_response(refused)
            return
        assert pod is not None
        await websocket.accept(PROTOCOL)
        uid, port = pod["metadata"]["uid"], int(websocket.query_params["ports"])
        for channel in (b"\0", b"\1"):
            await websocket.send_bytes(channel + port.to_bytes(2, "little"))
        self.forwards += 1
        try:
            with anyio.CancelScope() as scope:
                self._ends.setdefault(uid, []).append(scope)
                await self._forward(websocket, pod, port)
            with suppress(RuntimeError, WebSocketDisconnect):
                await websocket.close()
        finally:
            self.forwards -= 1

    async def _forward(self, websocket: WebSocket, pod: dict[str, Any], port: int) -> None:
        uid = pod["metadata"]["uid"]
        where = f"error forwarding port {port} to pod {pod['metadata']['name']}, uid {uid}"
        local = self.backends.get((uid, port))
        try:
            if local is None:
                raise ConnectionRefusedError
            remote = await anyio.connect_tcp("127.0.0.1", local)
        except OSError:
            text = f"{where}: dial tcp4 127.0.0.1:{port}: connect: connection refused"
            await websocket.send_bytes(b"\1" + text.encode())
            return
        async with remote, anyio.create_task_group() as tasks:

            async def upwards() -> None:
                with suppress(WebSocketDisconnect, anyio.BrokenResourceError):
                    while True:
                        message = await websocket.receive_bytes()
                        assert message[0] == 0, "clients write to the data channel only"
                        await remote.send(message[1:])
                tasks.cancel_scope.cancel()

            async def downwards() -> None:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError, WebSocketDisconnect, RuntimeError):
                    while True:
                        await websocket.send_bytes(b"\0" + await remote.receive(32 * 1024))
                tasks.cancel_scope.cancel()

            tasks.start_soon(upwards)
            tasks.start_soon(downwards)


def matches(labels: dict[str, str], selector: str) -> bool:
    return all(labels.get(term.partition("=")[0]) == term.partition("=")[2] for term in selector.split(",") if term)


def status(code: int, message: str) -> JSONResponse:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return JSONResponse(body, code)


@asynccontextmanager
async def kube_server(cluster: Cluster, *, port: int = 0, **options: Any) -> AsyncGenerator[Cluster]:
    """Serve `cluster`; `options` are uvicorn's (`ssl_certfile` …)."""
    app = Starlette(
        routes=[
            Route("/version", cluster.version),
            Route("/apis/authentication.k8s.io/{version}/selfsubjectreviews", cluster.review, methods=["POST"]),
            WebSocketRoute("/api/v1/namespaces/{namespace}/pods/{name}/portforward", cluster.portforward),
            Route("/{path:path}", cluster.get),
        ]
    )
    async with serving(app, port=port, lifespan="off", ws="wsproto", **options) as cluster.port:
        yield cluster


@asynccontextmanager
async def tcp_server(handler: Any) -> AsyncGenerator[int]:
    """Serve TCP connections with `handler(stream)`; gives the port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handler)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


def speaker(name: str) -> Any:
    """A TCP server's handler that says its name and then echoes until the client has said everything."""

    async def handle(stream: anyio.abc.SocketStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with stream:
                await stream.send(f"{name}\n".encode())
                while True:
                    await stream.send(await stream.receive())

    return handle


def write_kubeconfig(path: Path, server: str, *, user: dict[str, Any] | None = None, **cluster: Any) -> Path:
    """Write a kubeconfig with the contexts `dev` (namespace default) and `prod` (namespace shop)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dev",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [
            {"name": "dev", "context": {"cluster": "c", "user": "u"}},
            {"name": "prod", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
        ],
    }
    path.write_text(json.dumps(config))
    return path


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
