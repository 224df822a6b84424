"""The kinds of class that the harness plays with: what can be looked up, and what is done when nothing can."""

from typing import Any

import yaml

_KINDS = (
    "both", "find", "keyed", "compensate", "blind", "post", "policy", "sleeper", "kept", "needs", "family", "idle",
    "leased",
)  # fmt: skip
PROJECTS = {"project": "shop", "worktree": "fix.shop"}
"""What is brought up and taken down: a main checkout and a worktree of it, with the ids of their projects."""

NAMES = {f"{kind}-1": kind for kind in _KINDS} | dict.fromkeys(PROJECTS, "project")
"""Kinds by the names of what clients ask for."""

SHARED = tuple(f"{kind}-1" for kind in ("both", "find", "keyed", "compensate", "blind", "post", "policy"))
"""Names whose services run on no machine in particular, and for themselves."""

CAN_LOOK = ("both", "find", "post", "policy", "sleeper", "kept", "needs", "family", "idle", "leased")
"""Kinds of which nothing has to stay unknown, because a tool can tell."""

PROCESSES = {"sleeper": 1, "family": 2, "idle": 1}
"""How many processes one service of a kind has."""

BASE = "needs-1-base"
"""What is made for `needs-1`, and deleted with it."""

PROJECT = """
services:
  db: {class: kept, shared: true}
  web: {class: both, dependsOn: db, watch: "*.txt"}
"""

ENDING = ("idle", "leased")
"""Kinds that are stopped after a while."""

ARGS: dict[str, dict[str, Any]] = {"leased": {"lease": "2s"}, "sleeper": {"autoStart": True}}
"""What else a create of a kind has."""

WATCHED = ("both", "post", "policy")
"""Kinds whose health is checked: that they vanish is seen."""

_BY_ID = {"id": "{{ start.id }}"}
_BY_NAME = {"name": "{{ name }}"}


def _tool(name: str, args: dict[str, str], **rest: Any) -> dict[str, Any]:
    return {"tool": f"faulty/{name}", "args": args, "timeout": "1s", **rest}


def _start(**args: str) -> dict[str, Any]:
    return _tool("start", {**_BY_NAME, **args}, outputs={"id": "id"})


_STATUS = _tool("status", _BY_ID, expect={"jsonPath": {"state": "running"}})
_FIND = _tool("find", _BY_NAME, expect={"jsonPath": {"found": True}}, outputs={"id": "id"})
_BOTH = {"start": _start(), "stop": _tool("stop", _BY_ID), "status": _STATUS, "find": _FIND}
_SLEEPER: dict[str, Any] = {
    "start": {
        "tool": "process/start",
        "args": {"key": "{{ name }}", "command": "sleep 86400"},
        "outputs": {"pid": "pid"},
    },
    "stop": {"tool": "process/stop", "args": {"key": "{{ name }}"}},
    "status": {
        "tool": "process/status",
        "args": {"key": "{{ name }}"},
        "expect": {"jsonPath": {"state": "running"}},
        "outputs": {"pid": "pid"},
    },
}

_CHILDREN = {"key": "{{ name }}", "command": "sleep 86400 & exec sleep 86400", "shell": True}

KINDS: dict[str, dict[str, Any]] = {
    "both": {"lifecycleTools": _BOTH},
    "find": {"lifecycleTools": {"start": _start(), "stop": _tool("stop", _BY_ID), "find": _FIND}},
    "keyed": {
        "lifecycleTools": {"start": _start(key="{{ service.startKey }}"), "stop": _tool("stop", _BY_ID)},
        "onUnknown": "retry",
    },
    "compensate": {
        "lifecycleTools": {"start": _start(), "stop": _tool("stop", _BY_NAME)},
        "onUnknown": "compensate",
    },
    "blind": {"lifecycleTools": {"start": _start(), "stop": _tool("stop", _BY_ID)}},
    "post": {
        "lifecycleTools": {
            **_BOTH,
            "restart": _tool("restart", _BY_ID, outputs={"id": "id"}),
            "postStart": [_tool("note", _BY_NAME)],
        },
        "onUnknown": "retry",
    },
    "policy": {
        "lifecycleTools": _BOTH,
        "restartPolicy": {"policy": "always", "backoff": {"initial": "200ms", "max": "1s"}, "maxRestarts": 50},
    },
    "sleeper": {"lifecycleTools": _SLEEPER},
    "kept": {
        "lifecycleTools": {**_BOTH, "delete": _tool("drop", _BY_NAME, goneWhen={"contains": "nothing is kept"})},
    },
    "needs": {
        "lifecycleTools": _BOTH,
        "dependencies": [{"name": "{{ name }}-base", "serviceClassName": "kept", "create": True}],
    },
    "family": {"lifecycleTools": {**_SLEEPER, "start": {**_SLEEPER["start"], "args": _CHILDREN}}},
    "idle": {"lifecycleTools": _SLEEPER, "idleStop": "1s"},
    "leased": {"lifecycleTools": _BOTH},
}


def classes_text(edition: int = 0, looks: str = "") -> str:
    """Return the manifests; another edition says the same in other words.

    Args:
        edition: which one.
        looks: the server that health checks ask, if not that of all tools.
    """
    classes: list[dict[str, Any]] = []
    for kind, config in KINDS.items():
        config = {"timeout": {"create": "4s", "delete": "4s"}, **config}
        if "status" in config["lifecycleTools"]:
            config["healthCheck"] = {"interval": "1s"}
            tools: dict[str, Any] = config["lifecycleTools"]
            if looks and tools["status"] == _STATUS:
                config["lifecycleTools"] = {**tools, "healthCheck": {**_STATUS, "tool": f"{looks}/status"}}
        metadata = {"name": kind}
        spec = {"description": f"edition {edition}", "serviceConfig": config}
        classes.append({"apiVersion": "ostler/v1", "kind": "ServiceClass", "metadata": metadata, "spec": spec})
    return yaml.safe_dump_all(classes)
