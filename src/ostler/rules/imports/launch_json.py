"""`.claude/launch.json`: development servers that an agent may start."""

from ostler.model.json import JsonObject, as_list, as_object
from ostler.rules.imports.found import Found, FoundService, command_line, label, shell_service, variables


def read_launch_json(content: JsonObject, file: str) -> Found:
    """Return the configurations of the file; editors' debug configurations are named, not taken.

    Args:
        content: the file, read as JSON with comments.
        file: its name.
    """
    services: list[FoundService] = []
    notes: list[str] = []
    for index, entry in enumerate(as_list(content.get("configurations"))):
        config = as_object(entry)
        shown = str(config.get("name") or f"configuration {index + 1}")
        program = config.get("runtimeExecutable")
        if not program or config.get("request") == "attach":
            notes.append(f"{file}: {shown!r} names no program to run (runtimeExecutable)")
            continue
        line = command_line([program, *as_list(config.get("runtimeArgs")), *as_list(config.get("args"))])
        port = config.get("port")
        fixed = port if isinstance(port, int) and config.get("autoPort") is not True else 0
        services.append(
            shell_service(
                label(shown), line, f"{file}, {shown}", directory=str(config.get("cwd") or ""), port=fixed,
                env=variables(config.get("env")),
            )
        )  # fmt: skip
    return Found(tuple(services), tuple(notes))
