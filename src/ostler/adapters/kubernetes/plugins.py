"""Credentials that a kubeconfig's `exec` plugin gives (EKS, GKE, AKS, Teleport …): run when needed, renewed in time."""

import json
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from subprocess import DEVNULL
from typing import Final, cast

import anyio
import httpx2
from msgspec import Struct

from ostler.adapters.kubernetes.kubeconfig import ClusterAccess
from ostler.adapters.kubernetes.trouble import KubeTroubleError, misconfigured
from ostler.model.json import JsonObject, JsonValue, as_list, as_object, parse_json
from ostler.model.states import ServiceState
from ostler.rules.text.terminal_text import without_control

PLUGIN_TIMEOUT: Final = 30.0
"""Seconds that a plugin may take; no one is there to answer a question of its."""

_RENEW_BEFORE: Final = timedelta(seconds=30)
_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_SHOWN_CHARS: Final = 300
_SHOWN_OF_CLUSTER: Final = (
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "proxy-url",
)


class Credential(Struct, frozen=True):
    """What a plugin gave: a token, or a certificate with its key, and until when it is good."""

    token: str = ""
    certificate: str = ""
    key: str = ""
    expires: datetime | None = None

    def is_fresh(self, now: datetime) -> bool:
        """Whether it can be used for a request now."""
        return self.expires is None or now + _RENEW_BEFORE < self.expires

    def __repr__(self) -> str:
        return f"Credential(expires={self.expires})"


class PluginAuth(httpx2.Auth):
    """Bearer tokens of a plugin for each request; one that is refused is renewed once."""

    def __init__(self, access: ClusterAccess, environment: Mapping[str, str]) -> None:
        self._access = access
        self._environment = environment
        self._credential: Credential | None = None
        self._lock = anyio.Lock()

    async def credential(self, *, other_than: Credential | None = None) -> Credential:
        """Return credentials that are good now, and are not `other_than`.

        Raises:
            KubeTroubleError: the plugin gave none.
        """
        async with self._lock:
            known = self._credential
            if known is None or known is other_than or not known.is_fresh(datetime.now(UTC)):
                known = self._credential = await run_plugin(self._access, self._environment)
            return known

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send `request` with a token, and once more with a new one when it is refused."""
        used = await self.credential()
        if not used.token:  # a certificate does it
            yield request
            return
        request.headers["Authorization"] = f"Bearer {used.token}"
        response = yield request
        if response.status_code == 401:
            renewed = await self.credential(other_than=used)
            request.headers["Authorization"] = f"Bearer {renewed.token}"
            yield request


async def run_plugin(access: ClusterAccess, environment: Mapping[str, str]) -> Credential:
    """Run the `exec` plugin of the user in `access` and return what it gives.

    Raises:
        KubeTroubleError: it is not there, fails, takes too long or gives something else.
    """
    spec = cast("JsonObject", access.user["exec"])
    version, command = str(spec.get("apiVersion")), str(spec.get("command") or "")
    if version not in _VERSIONS:
        raise misconfigured(f"the kubeconfig's exec plugin has apiVersion {version!r}", f"use {_VERSIONS[0]!r}")
    words = [command, *(_text(each, "args") for each in _items(spec, "args"))]
    given = {_text(name, "env"): _text(value, "env") for name, value in map(_variable, _items(spec, "env"))}
    given["KUBERNETES_EXEC_INFO"] = json.dumps(
        _exec_info(access, version, provide=bool(spec.get("provideClusterInfo")))
    )
    try:
        with anyio.fail_after(PLUGIN_TIMEOUT):
            done = await anyio.run_process(words, stdin=DEVNULL, check=False, env={**environment, **given})
    except TimeoutError:
        raise no_credentials(access, f"{command!r} gave none within {PLUGIN_TIMEOUT:g} s") from None
    except OSError as error:
        hint = str(spec.get("installHint") or f"install {command!r}, which the kubeconfig uses to get credentials")
        raise misconfigured(f"the exec plugin {command!r} cannot be run: {error.strerror}", hint) from error
    if done.returncode:
        said = " ".join(without_control(done.stderr.decode(errors="replace")).split())[-_SHOWN_CHARS:]
        raise no_credentials(access, f"{command!r} exited with code {done.returncode}: {said}")
    return _credential(done.stdout, command, access)


def _items(spec: JsonObject, key: str) -> list[JsonValue]:
    found = spec.get(key)
    if found is not None and not isinstance(found, list):
        raise _misspelt(key)
    return as_list(found)


def _variable(item: JsonValue) -> tuple[JsonValue, JsonValue]:
    variable = as_object(item)
    name = variable.get("name")
    if not isinstance(name, str) or not name or "=" in name:
        raise _misspelt("env")
    return name, variable.get("value", "")


def _text(value: JsonValue, key: str) -> str:
    """Return a text; a number or a boolean stands for one, as kubectl reads it."""
    if not isinstance(value, str | int | float):
        raise _misspelt(key)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _misspelt(key: str) -> KubeTroubleError:
    wanted = "a list of texts" if key == "args" else "a list of objects with a name and a value"
    return misconfigured(f"{key!r} of the kubeconfig's exec plugin is not {wanted}", "fix the kubeconfig")


def _exec_info(access: ClusterAccess, version: str, *, provide: bool) -> JsonObject:
    info: JsonObject = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    if provide:
        info["spec"]["cluster"] = {key: access.cluster[key] for key in _SHOWN_OF_CLUSTER if key in access.cluster}
    return info


def _credential(output: bytes, command: str, access: ClusterAccess) -> Credential:
    try:
        status = cast("JsonObject", parse_json(output)["status"])
        expiry = status.get("expirationTimestamp")
        expires = datetime.fromisoformat(str(expiry)) if expiry else None
        credential = Credential(
            str(status.get("token") or ""),
            str(status.get("clientCertificateData") or ""),
            str(status.get("clientKeyData") or ""),
            expires.replace(tzinfo=expires.tzinfo or UTC) if expires else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise no_credentials(access, f"{command!r} wrote no ExecCredential") from None
    if not credential.token and not (credential.certificate and credential.key):
        raise no_credentials(access, f"{command!r} gave neither a token nor a certificate")
    return credential


def no_credentials(access: ClusterAccess, reason: str) -> KubeTroubleError:
    """Return the trouble of a user without credentials."""
    return KubeTroubleError(
        f"there are no credentials for context {access.context!r}: {reason}",
        ServiceState.AUTH_REQUIRED,
        next_actions=(f"log in again; kubectl --context {access.context} auth whoami shows whether it worked",),
    )
