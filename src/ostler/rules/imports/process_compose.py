"""`process-compose.yaml`: processes with dependencies, probes and restart policies."""

import re
from collections.abc import Collection

from ostler.model.json import JsonObject, JsonValue, as_list, as_object
from ostler.rules.imports.found import (
    Found,
    FoundService,
    folder_arg,
    key_lines,
    label,
    missing_needs,
    objects,
    read_yaml,
    template_free,
    variables,
    without_circle,
)
from ostler.rules.imports.shell_lines import (
    double_quoted,
    exported,
    in_named_folder,
    names_variables,
    own_port_note,
    port_notes,
    port_of,
    with_own_port,
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
_LEFT_OUT = ("namespace", "replicas", "is_elevated", "log_location", "schedule", "entrypoint", "success_exit_codes")
_WHOLE_FILE = ("extends", "env_cmds")
_JOB_ARGS = ("command", "shell", "directory", "terminal", "stopTimeout")
_VAR = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
_DETACHED = re.compile(r"\bcompose\b.*\bup\b.*\s(-d|--detach)\b")
"""What starts something in the background, and ends."""

_LEAST_TIMEOUT, _LONGEST_TIMEOUT = 30, 240
"""Seconds of the class's readyTimeout: its default, and the most that it takes."""


def read_process_compose(text: str, file: str, beside: Collection[str] = ()) -> Found:
    """Return the processes of the file.

    Args:
        text: the file.
        file: its name.
        beside: the names of the files next to it: `.env` is read without being named.

    Raises:
        UnreadableSourceError: it is not YAML, or its processes need each other in a circle.
    """
    content = read_yaml(text)
    lines = key_lines(text, "processes")
    shared = FoundService(
        "", "", {}, "", env=variables(content.get("environment")), env_files=_env_files(content, beside)
    )
    processes = objects(content.get("processes"))
    waited_for = {
        name
        for process in processes.values()
        for name, need in objects(process.get("depends_on")).items()
        if str(need.get("condition", "")).startswith("process_completed")
    }
    jobs = {label(name) for name, process in processes.items() if name in waited_for or _is_detached(process)}
    services: list[FoundService] = []
    for name, process in processes.items():
        origin = f"{file}, line {lines.get(name, 1)}"
        values: JsonObject = {"PC_REPLICA_NUM": 0, **as_object(content.get("vars")), **as_object(process.get("vars"))}
        services.append(_service(name, as_object(_filled(process, values)), origin, shared, jobs=jobs))
    notes = [f"{file}: {key!r} is not followed: {content[key]}" for key in _WHOLE_FILE if content.get(key)]
    known = {service.name for service in services}
    for service in services:
        notes += missing_needs(service.name, service.depends_on, known)
    return Found(without_circle(services), tuple(notes))


def _env_files(content: JsonObject, beside: Collection[str]) -> tuple[str, ...]:
    named = [str(path) for path in as_list(content.get("env_file"))]
    return tuple(dict.fromkeys([*([".env"] if ".env" in beside else []), *named]))


def _is_detached(process: JsonObject) -> bool:
    policy = as_object(process.get("availability")).get("restart", "no")
    return _DETACHED.search(str(process.get("command") or "")) is not None and policy in ("no", False)


def _filled(value: JsonValue, values: JsonObject) -> JsonValue:
    """Return `value` with the file's variables, `{{.NAME}}`, filled in wherever it has text."""
    if isinstance(value, str):
        return _VAR.sub(lambda found: str(values.get(found[1], found[0])), value)
    if isinstance(value, list):
        return [_filled(item, values) for item in as_list(value)]
    return {key: _filled(item, values) for key, item in as_object(value).items()} if isinstance(value, dict) else value


def _service(
    name: str, process: JsonObject, origin: str, shared: FoundService, *, jobs: Collection[str]
) -> FoundService:
    line = str(process.get("command") or "").strip()
    notes = [f"{key!r} is not converted" for key in _LEFT_OUT if process.get(key)]
    is_job, port = label(name) in jobs, 0 if label(name) in jobs else port_of(line) or 0
    free = with_own_port(line, port) if port else ""
    set_here = {**shared.env, **variables(process.get("environment"))}
    if not is_job and not (port and not free) and set_here.get("PORT", "").isdecimal():
        port, free = port or int(set_here["PORT"]), free or line
        set_here["PORT"] = "{port}"
    notes += [own_port_note(port)] if free else port_notes(line, port)
    env, line = exported(set_here, (free or line).replace("$$", "$"))
    folder, line = in_named_folder(str(process.get("working_dir") or ""), line)
    args: JsonObject = {"command": template_free(line), "shell": True, **folder_arg(folder)}
    if free:
        args["port"] = 0
    probe = as_object(process.get("readiness_probe") or process.get("liveness_probe"))
    notes += _take_probe(args, probe, port if free else 0)
    if process.get("is_tty") or process.get("is_foreground"):
        args["terminal"] = True
    if process.get("ready_log_line"):
        args["readyLog"] = template_free(str(process["ready_log_line"]))
    notes += _take_shutdown(args, as_object(process.get("shutdown")))
    if process.get("is_daemon"):
        notes.append("it puts itself into the background: run it in the foreground instead, so that it is watched")
    return FoundService(
        label(name),
        "job" if is_job else "command",
        {key: value for key, value in args.items() if not is_job or key in _JOB_ARGS},
        origin,
        env=env,
        env_files=tuple(file for file in shared.env_files if file != ".env" or not process.get("is_dotenv_disabled")),
        depends_on=_needs(name, process, jobs),
        served_at=port if free else 0,
        restart_policy=_restart_policy(as_object(process.get("availability"))),
        notes=tuple(notes),
        enabled=not (process.get("disabled") or process.get("is_foreground")),
    )


def _take_shutdown(args: JsonObject, shutdown: JsonObject) -> list[str]:
    """Add how the process is stopped to `args`; return the notes."""
    if signal := _SIGNALS.get(_number(shutdown.get("signal"))):
        args["stopSignal"] = signal
    if seconds := _number(shutdown.get("timeout_seconds")):
        args["stopTimeout"] = f"{min(seconds, 90)}s"
    return [f"its shutdown command is not converted: {command}"] if (command := shutdown.get("command")) else []


def _needs(name: str, process: JsonObject, jobs: Collection[str]) -> dict[str, str]:
    """Return what the process waits for: the other process and its condition. A job has to be completed."""
    return {
        label(other): "completed" if label(other) in jobs else _CONDITIONS.get(str(need.get("condition")), "started")
        for other, need in objects(process.get("depends_on")).items()
        if label(other) != label(name)
    }


def _restart_policy(availability: JsonObject) -> JsonValue:
    policy = _RESTARTS.get(str(availability.get("restart", "")), "")
    if policy in ("", "never"):
        return ""
    most, pause = _number(availability.get("max_restarts")), _number(availability.get("backoff_seconds"))
    more: JsonObject = {}
    if most:
        more["maxRestarts"] = most
    if pause:
        more["backoff"] = {"initial": f"{pause}s"}
    return {"policy": policy, **more} if more else policy


def _take_probe(args: JsonObject, probe: JsonObject, had_port: int) -> list[str]:
    """Take over when a process is ready; return what to know of that. `had_port` is the port that it does not keep."""
    notes: list[str] = []
    web = as_object(probe.get("http_get"))
    if web:
        host, port = web.get("host") or "127.0.0.1", web.get("port")
        is_own = had_port != 0 and str(port) == str(had_port)
        scheme = str(web.get("scheme") or "http").lower()
        path = str(web.get("path") or "/")
        shown = "{port}" if is_own else port
        address = template_free(f"{scheme}://{host}{f':{shown}' if port else ''}/{path.lstrip('/')}")
        if names_variables(address):
            args["readyCommand"] = ["/bin/sh", "-c", f"curl -fsS -o /dev/null {double_quoted(address)}"]
        else:
            args["readyHttp"] = address
        if _number(web.get("port")) and not is_own and str(web["port"]) not in str(args["command"]):
            notes.append(f"only one worktree can have port {web['port']}, which its readiness names")
    elif command := as_object(probe.get("exec")).get("command"):
        asked = (with_own_port(str(command), had_port) if had_port else "") or str(command)
        args["readyCommand"] = ["/bin/sh", "-c", template_free(asked)]
    if args.keys() & {"readyHttp", "readyCommand"}:
        tries = _number(probe.get("failure_threshold")) or 3
        seconds = _number(probe.get("initial_delay_seconds")) + (_number(probe.get("period_seconds")) or 10) * tries
        if seconds > _LEAST_TIMEOUT:
            args["readyTimeout"] = f"{min(seconds, _LONGEST_TIMEOUT)}s"
    return notes


def _number(value: JsonValue) -> int:
    """Return a whole number above 0, else 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**6 else 0
