"""A client of one API server: REST and port-forward streams over the HTTP stack that Ostler has anyway.

lightkube reads the kubeconfig's entries and makes TLS and credentials of them; it is an extra and imported late.
"""

import base64
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, Final, cast

import anyio
import anyio.to_thread
import httpx2
from msgspec import Struct

from ostler.adapters.extras import how_to_install
from ostler.adapters.kubernetes.kubeconfig import ClusterAccess, read_access
from ostler.adapters.kubernetes.plugins import Credential, PluginAuth, no_credentials
from ostler.adapters.kubernetes.pod_streams import PortStream, Refusals, open_port_stream
from ostler.adapters.kubernetes.trouble import KubeTroubleError, misconfigured
from ostler.model.json import JsonMapping, JsonObject, parse_json
from ostler.model.states import ServiceState
from ostler.model.statics import ClusterSpec
from ostler.model.web_addresses import DIRECT, without_user

_SHOWN_CHARS: Final = 300


class KubeClient:
    """Asks one API server as one user. Made by `open_client`; every request has the same time limit."""

    def __init__(
        self,
        access: ClusterAccess,
        http: httpx2.AsyncClient,
        *,
        timeout: float,
        unreadable: tuple[type[Exception], ...],
    ) -> None:
        """Make it; `unreadable` is raised by `http` if a file with credentials, read for each request, cannot be."""
        self.access = access
        self._unreadable = unreadable
        self._http = http
        self._timeout = timeout
        name = access.cluster.get("tls-server-name")
        self._extensions: dict[str, Any] = {"sni_hostname": str(name)} if name else {}
        self._streams = 0
        self._idle = anyio.Event()

    def __repr__(self) -> str:
        return f"KubeClient({self.access.context!r})"

    async def get(self, path: str, **params: str) -> JsonObject:
        """Return the object at `path`. Raises as `request` does."""
        return await self.request("GET", path, params=params)

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: JsonMapping | None = None
    ) -> JsonObject:
        """Return the answer to one request.

        Raises:
            KubeTroubleError: it was not answered, or not as wanted; its state says what that means.
        """
        try:
            with anyio.fail_after(self._timeout):
                response = await self._http.request(
                    method, path, params=params or {}, json=body, extensions=self._extensions
                )
        except TimeoutError:
            raise self._unreachable(f"no answer within {self._timeout:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unreachable(_words(error)) from error
        except self._unreadable as error:
            raise no_credentials(self.access, _words(error)) from error
        if not response.is_success:
            raise self._refused(response.status_code, response.content)
        try:
            return _object(parse_json(response.content))
        except ValueError:
            raise self._unreachable("it answers with something that is not JSON") from None

    @asynccontextmanager
    async def forward(self, namespace: str, pod: str, port: int) -> AsyncGenerator[PortStream]:
        """Open a stream to `port` of a pod.

        Raises:
            KubeTroubleError: the API server or the pod's node refused.
        """
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
        refusals = Refusals(self._refused, self._unreachable)
        self._streams += 1
        try:
            async with open_port_stream(
                self._http, path, port, timeout=self._timeout, refusals=refusals, extensions=self._extensions
            ) as stream:
                yield stream
        finally:
            self._streams -= 1
            if not self._streams:
                self._idle.set()
                self._idle = anyio.Event()

    async def until_idle(self) -> None:
        """Return when no stream is open."""
        while self._streams:
            await self._idle.wait()

    def _refused(self, status: int, content: bytes) -> KubeTroubleError:
        """Return the failure that an answer stands for."""
        text = _status_text(content)
        context = self.access.context
        if status == 401:
            return KubeTroubleError(
                f"the API server {self.access.server} does not accept the credentials of context {context!r} "
                f"(HTTP 401{f', {text}' if text else ''})",
                ServiceState.AUTH_REQUIRED,
                next_actions=(
                    f"log in again; kubectl --context {context} auth whoami shows whether it worked",
                    "new credentials in the kubeconfig are used automatically",
                ),
            )
        if status == 403:
            return KubeTroubleError(
                f"context {context!r} may not do this (HTTP 403): {text}",
                ServiceState.AUTH_REQUIRED,
                next_actions=("ask for the permission, or choose another context",),
            )
        if status == 404:
            return KubeTroubleError(text or "not found (HTTP 404)")
        if 400 <= status < 500 and status != 429:
            return KubeTroubleError(f"the API server refused (HTTP {status}): {text}")
        return self._unreachable(f"HTTP {status}{f', {text}' if text else ''}")

    def _unreachable(self, reason: str) -> KubeTroubleError:
        return KubeTroubleError(
            f"the API server {self.access.server} of context {self.access.context!r} cannot be used: {reason}",
            ServiceState.UNREACHABLE,
        )


@asynccontextmanager
async def open_client(spec: ClusterSpec, environment: Mapping[str, str]) -> AsyncGenerator[KubeClient]:
    """Yield a client of the cluster that `spec` names, with the credentials of this moment.

    Raises:
        KubeTroubleError: the extra is not installed, the configuration is wrong, or there are no credentials.
    """
    library = await anyio.to_thread.run_sync(_library)
    access = await anyio.to_thread.run_sync(read_access, spec.kubeconfig, spec.context, environment)
    auth = PluginAuth(access, environment) if isinstance(access.user.get("exec"), dict) else None
    credential = await auth.credential() if auth is not None else Credential()
    options = await anyio.to_thread.run_sync(_http_options, library, access, credential)
    try:
        client = httpx2.AsyncClient(
            **({"auth": auth} if auth is not None else {}),
            **options,
            headers={"accept": "application/json", "user-agent": "ostler"},
            timeout=httpx2.Timeout(spec.timeout, read=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=4),
        )
    except (ValueError, TypeError, AttributeError, ImportError) as error:  # no URL, or SOCKS without its package
        raise misconfigured(
            f"proxy-url of context {access.context!r} in {access.source} cannot be used: {without_user(_words(error))}",
            "write it as http://HOST:PORT",
        ) from error
    async with client as http:
        yield KubeClient(access, http, timeout=spec.timeout, unreadable=library.errors)


class _Library(Struct, frozen=True):
    """What is used of lightkube, without its types: they are known only partly."""

    config: Any
    adapter: Any
    errors: tuple[type[Exception], ...]


def _library() -> _Library:
    """Return the extra's library; blocks on its first import."""
    try:
        kubeconfig = import_module("lightkube.config.kubeconfig")
        adapter = import_module("lightkube.config.client_adapter")
        exceptions = import_module("lightkube.core.exceptions")
        values = import_module("msgspec")
        import_module("wsproto")
    except ImportError as error:
        raise misconfigured(
            f"the package {error.name!r} is not installed, which Kubernetes services need",
            how_to_install("kubernetes"),
        ) from error
    errors = (exceptions.ConfigError, values.ValidationError, OSError, ValueError, ssl.SSLError)
    return _Library(kubeconfig.KubeConfig, adapter, errors)


def _http_options(library: _Library, access: ClusterAccess, credential: Credential) -> dict[str, Any]:
    """Return the HTTP client's settings for `access`. Blocks on the disk."""
    user = {key: value for key, value in access.user.items() if key != "exec"}
    if credential.certificate:
        user["client-certificate-data"] = base64.b64encode(credential.certificate.encode()).decode()
        user["client-key-data"] = base64.b64encode(credential.key.encode()).decode()
    for part, other in (("certificate", "key"), ("key", "certificate")):
        if _has(user, part) and not _has(user, other):
            raise misconfigured(
                f"the user of context {access.context!r} in {access.source} has client-{part} without client-{other}",
                "fix the kubeconfig",
            )
    try:
        config = library.config.from_dict(
            {
                "current-context": access.context,
                "clusters": [{"name": "c", "cluster": access.cluster}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": access.context, "context": {"cluster": "c", "user": "u"}}],
            }
        ).get()
        return {
            "base_url": config.cluster.server,
            "verify": library.adapter.verify_cluster(config.cluster, config.user, config.abs_file),
            **({"proxy": proxy} if (proxy := access.cluster.get("proxy-url")) else {"mounts": DIRECT}),
        } | ({} if "exec" in access.user else {"auth": library.adapter.user_auth(config.user)})
    except library.errors as error:
        raise misconfigured(
            f"context {access.context!r} of {access.source} cannot be used: {_words(error)}",
            "fix the kubeconfig; replace an 'auth-provider' with an exec plugin such as kubelogin",
        ) from error


def _has(user: JsonObject, part: str) -> bool:
    return bool(user.get(f"client-{part}") or user.get(f"client-{part}-data"))


def _words(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if "All connection attempts failed" in text or "Errno 111" in text:
        return "connection refused"
    return text[:_SHOWN_CHARS]


def _object(value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 (bad JSON is a ValueError too)
    return cast("JsonObject", value)


def _status_text(content: bytes) -> str:
    """Return the message of a Kubernetes Status, else the beginning of the text."""
    try:
        text = str(_object(parse_json(content)).get("message") or "")
    except ValueError:
        text = content.decode(errors="replace")
    return " ".join(text.split())[:_SHOWN_CHARS]
