"""`.claude/launch.json`: development servers that an agent may start."""

from ostler.model.json import JsonObject, JsonValue, as_list, as_object
from ostler.rules.imports.found import Found, FoundService, command_line, folder_arg, label, shell_service, variables
from ostler.rules.imports.shell_lines import with_own_port


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
        words = _words(config)
        if not words or config.get("request") == "attach":
            notes.append(f"{file}: {shown!r} names no program to run (runtimeExecutable or program)")
            continue
        line = command_line(words)
        port = config.get("port")
        fixed = port if isinstance(port, int) and not isinstance(port, bool) else 0
        is_kept = config.get("autoPort") is False and fixed != 0
        is_named = fixed != 0 and with_own_port(line, fixed) != ""
        services.append(
            shell_service(
                label(shown), line, f"{file}, {shown}", directory=str(config.get("cwd") or ""),
                port=fixed if is_kept or is_named else 0, had_port=0 if is_kept else fixed,
                kept=f"only one worktree can have port {fixed}, as autoPort is false there" if is_kept else "",
                env=variables(config.get("env")),
            )
        )  # fmt: skip
    return Found(tuple(services), tuple(notes))


def _words(config: JsonObject) -> list[JsonValue]:
    """Return the program and its arguments, none if there is no program: `program` is a script for Node."""
    script, program = config.get("program"), config.get("runtimeExecutable")
    if not program and not (script and "node" in str(config.get("type") or "node")):
        return []
    words = [program or "node", *as_list(config.get("runtimeArgs")), *([script] if script else [])]
    folder = str(folder_arg(str(config.get("cwd") or "")).get("directory", ""))
    if folder.startswith("/"):
        return [*words, *as_list(config.get("args"))]
    top = "/".join(".." for part in folder.split("/") if part) or "."
    return [str(word).replace("${workspaceFolder}", top) for word in [*words, *as_list(config.get("args"))]]
