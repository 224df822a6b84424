"""`process-compose.yaml`: processes with dependencies, probes and restart policies."""

import re

from ostler.model.json import JsonObject
from ostler.rules.imports.found import (
    Found,
    FoundService,
    as_object,
    folder_arg,
    key_lines,
    label,
    missing_needs,
    objects,
    port_notes,
    port_of,
    read_yaml,
    template_free,
    variables,
)

_CONDITIONS = {
    "process_started": "started",
    "process_healthy": "healthy",
    "process_log_ready": "healthy",
    "process_completed": "completed",
    "process_completed_successfully": "completed",
}
_RESTARTS = {"always": "always", "on_failure": "on-failure", "no": "never", "exit_on_failure": "never"}
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 9: "SIGKILL", 10: "SIGUSR1", 12: "SIGUSR2", 15: "SIGTERM"}
_LEFT_OUT = ("namespace", "replicas", "is_tty", "is_elevated", "log_location", "schedule", "entrypoint")
_WHOLE_FILE = ("extends", "env_cmds")
_VAR = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")


def read_process_compose(text: str, file: str) -> Found:
    """Return the processes of the file.

    Raises:
        UnreadableSourceError: it is not YAML.
    """
    content = read_yaml(text)
    lines = key_lines(text, "processes")
    shared = variables(content.get("environment"))
    processes = objects(content.get("processes"))
    waited_for = {
        name
        for process in processes.values()
        for name, need in objects(process.get("depends_on")).items()
        if str(need.get("condition", "")).startswith("process_completed")
    }
    services: list[FoundService] = []
    for name, process in processes.items():
        origin = f"{file}, line {lines.get(name, 1)}"
        values = as_object(content.get("vars")) | as_object(process.get("vars"))
        services.append(_service(name, process, origin, shared, values, is_job=name in waited_for))
    notes = [f"{file}: {key!r} is not followed: {content[key]}" for key in _WHOLE_FILE if content.get(key)]
    known = {service.name for service in services}
    for service in services:
        notes += missing_needs(service.name, service.depends_on, known)
    return Found(tuple(services), tuple(notes))


def _service(
    name: str, process: JsonObject, origin: str, shared: dict[str, str], values: JsonObject, *, is_job: bool
) -> FoundService:
    line = _VAR.sub(lambda found: str(values.get(found[1], found[0])), str(process.get("command") or "")).strip()
    args: JsonObject = {
        "command": template_free(line),
        "shell": True,
        "directory": folder_arg(str(process.get("working_dir") or "")),
    }
    notes = [f"{key!r} is not converted" for key in _LEFT_OUT if process.get(key)]
    notes += port_notes(line, port_of(line))
    _take_probe(args, as_object(process.get("readiness_probe") or process.get("liveness_probe")))
    if process.get("ready_log_line"):
        args["readyLog"] = str(process["ready_log_line"])
    shutdown = as_object(process.get("shutdown"))
    if shutdown.get("signal") in _SIGNALS:
        args["stopSignal"] = _SIGNALS[shutdown["signal"]]
    if shutdown.get("timeout_seconds"):
        args["stopTimeout"] = f"{min(int(shutdown['timeout_seconds']), 90)}s"
    if shutdown.get("command"):
        notes.append(f"its shutdown command is not converted: {shutdown['command']}")
    if process.get("is_daemon"):
        notes.append("it puts itself into the background: run it in the foreground instead, so that it is watched")
    availability = as_object(process.get("availability"))
    needs = {
        label(other): _CONDITIONS.get(str(need.get("condition")), "started")
        for other, need in objects(process.get("depends_on")).items()
    }
    policy = _RESTARTS.get(str(availability.get("restart", "")), "")
    return FoundService(
        label(name),
        "job" if is_job else "command",
        {key: value for key, value in args.items() if not is_job or key in ("command", "shell", "directory")},
        origin,
        env={**shared, **variables(process.get("environment"))},
        depends_on=needs,
        restart_policy="" if policy == "never" else policy,
        notes=tuple(notes),
        enabled=not process.get("disabled"),
    )


def _take_probe(args: JsonObject, probe: JsonObject) -> None:
    web = as_object(probe.get("http_get"))
    if web:
        host = web.get("host") or "127.0.0.1"
        scheme = str(web.get("scheme") or "http").lower()
        path = str(web.get("path") or "/")
        args["readyHttp"] = f"{scheme}://{host}:{web.get('port', 80)}/{path.lstrip('/')}"
    elif command := as_object(probe.get("exec")).get("command"):
        args["readyCommand"] = ["/bin/sh", "-c", template_free(str(command))]
