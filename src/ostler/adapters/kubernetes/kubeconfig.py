"""Which cluster, and as which user: the kubeconfig as kubectl reads it, or the service account of Ostler's pod."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import yaml
from msgspec import Struct

from ostler.adapters.kubernetes.trouble import misconfigured
from ostler.adapters.regular_files import expanded, read_regular_text
from ostler.model.json import JsonObject, as_objects
from ostler.model.near_names import did_you_mean
from ostler.model.web_addresses import without_user

_MAX_BYTES = 8 * 1024 * 1024

_FILE_KEYS: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_LISTS: Final = {"clusters": "cluster", "contexts": "context", "users": "user"}
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ClusterAccess(Struct, frozen=True):
    """One context, complete.

    Attributes:
        context: its name; `in-cluster` for a pod's own service account.
        namespace: the one it names, else `default`.
        cluster: the cluster's entry, file names absolute.
        user: the user's entry, file names absolute; empty when there is none.
        source: the files it was read from, for people.
    """

    context: str
    namespace: str
    cluster: JsonObject
    user: JsonObject
    source: str

    @property
    def server(self) -> str:
        """The API server's URL, as it may be shown."""
        return without_user(str(self.cluster["server"]))


def read_access(kubeconfig: str | None, context: str | None, environment: Mapping[str, str]) -> ClusterAccess:
    """Return the access that `kubeconfig` and `context` choose. Blocks on the disk.

    Several files in `KUBECONFIG` are merged as kubectl does: the first to name a thing wins.

    Args:
        kubeconfig: a file; None means `KUBECONFIG`, `~/.kube/config` or the pod's service account, in this order.
        context: a context's name; None means the current one.
        environment: variables.

    Raises:
        KubeTroubleError: there is no such file, context, cluster or user, or a file is broken.
    """
    paths = _paths(kubeconfig, environment)
    present = [path for path in paths if path.is_file()]
    source = os.pathsep.join(map(str, present or paths))
    if not present:
        if kubeconfig is None and context is None and (access := _service_account(environment)) is not None:
            return access
        raise misconfigured(
            f"there is no kubeconfig {source!r}",
            "log in to the cluster so that the file is written, or name another with 'kubeconfig' (or KUBECONFIG)",
        )
    merged = _merged([(path, _load(path)) for path in present])
    name = context or merged["current-context"]
    if not name:
        raise misconfigured(f"{source} has no current context", "write 'context', or kubectl config use-context NAME")
    chosen = _named(merged, "contexts", name, source)
    cluster_name, user_name = str(chosen.get("cluster") or ""), str(chosen.get("user") or "")
    cluster = _named(merged, "clusters", cluster_name, source)
    if not isinstance(cluster.get("server"), str):
        raise misconfigured(f"cluster {cluster_name!r} in {source} names no server", "fix the kubeconfig")
    return ClusterAccess(
        name,
        str(chosen.get("namespace") or "default"),
        cluster,
        _named(merged, "users", user_name, source) if user_name else {},
        source,
    )


def _paths(kubeconfig: str | None, environment: Mapping[str, str]) -> list[Path]:
    if kubeconfig is not None:
        return [expanded(kubeconfig)]
    listed = [expanded(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    if listed:
        return listed
    home = environment.get("HOME") or environment.get("USERPROFILE") or "~"
    return [expanded(home) / ".kube" / "config"]


def _load(path: Path) -> JsonObject:
    try:
        value: Any = yaml.safe_load(read_regular_text(path, _MAX_BYTES))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise misconfigured(f"kubeconfig {str(path)!r} cannot be read: {first}", "fix the file") from error
    if not isinstance(value, dict):
        raise misconfigured(f"kubeconfig {str(path)!r} is not a kubeconfig", "fix the file")
    return cast("JsonObject", value)


def _merged(files: Sequence[tuple[Path, JsonObject]]) -> JsonObject:
    merged: JsonObject = {"current-context": "", **{key: {} for key in _LISTS}}
    for path, config in files:
        merged["current-context"] = merged["current-context"] or str(config.get("current-context") or "")
        for plural, singular in _LISTS.items():
            for entry in as_objects(config.get(plural)):
                for found in as_objects([entry.get(singular)]):
                    merged[plural].setdefault(str(entry.get("name")), _absolute(found, path.parent))
    return merged


def _absolute(entry: JsonObject, folder: Path) -> JsonObject:
    found: JsonObject = {key: str(folder / str(entry[key])) for key in _FILE_KEYS if entry.get(key)}
    for plugin in as_objects([entry.get("exec")]):
        if os.sep in str(plugin.get("command")):  # else it is looked up in PATH
            found["exec"] = {**plugin, "command": str(folder / str(plugin["command"]))}
    return {**entry, **found}


def _named(merged: JsonObject, plural: str, name: str, source: str) -> JsonObject:
    entries: dict[str, JsonObject] = merged[plural]
    if name in entries:
        return entries[name]
    singular = _LISTS[plural]
    hint = did_you_mean(name, list(entries), f"it has {', '.join(sorted(entries)[:10]) or 'none'}")
    raise misconfigured(
        f"{source} has no {singular} {name!r}; {hint}",
        "write one of its contexts as 'context'" if plural == "contexts" else "fix the kubeconfig",
    )


def _service_account(environment: Mapping[str, str]) -> ClusterAccess | None:
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    token = _SERVICE_ACCOUNT / "token"
    if not host or not token.is_file():
        return None
    namespace = _SERVICE_ACCOUNT / "namespace"
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return ClusterAccess(
        "in-cluster",
        namespace.read_text(encoding="utf-8").strip() if namespace.is_file() else "default",
        {"server": server, "certificate-authority": str(_SERVICE_ACCOUNT / "ca.crt")},
        {"tokenFile": str(token)},
        "the pod's service account",
    )
