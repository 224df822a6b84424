"""Lines for the shell, as other tools' files have them: the port they ask for, the variables they name."""

import re
from collections.abc import Mapping

_PORT_OPTIONS = {
    "vite": "--port {port} --strictPort", "astro": "--port {port}", "next": "-p {port}", "storybook": "-p {port}",
    "ng serve": "--port {port}", "webpack serve": "--port {port}", "webpack-dev-server": "--port {port}",
    "remix": "--port {port}", "nuxt": "--port {port}", "http-server": "-p {port}",
    "uvicorn": "--port {port}", "fastapi dev": "--port {port}", "flask run": "--port {port}",
    "streamlit run": "--server.port {port}", "http.server": "{port}", "mkdocs serve": "--dev-addr 127.0.0.1:{port}",
    "hypercorn": "--bind 127.0.0.1:{port}", "daphne": "-p {port}", "hugo server": "--port {port}",
    "jekyll serve": "--port {port}", "artisan serve": "--port={port}",
}  # fmt: skip
"""How tools take a port; others get it as the variable PORT."""

_LOCAL_PORT = re.compile(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):(\d{2,5})\b")
_JOINED = re.compile(r"[|&;<>\n]")
_REFERENCE = re.compile(r"\$(?:\$|\{\w+[^}]*\}|\w+)")


def port_of(line: str) -> int | None:
    """Return the port that a command line asks for by the options people use; 0 if it takes the variable PORT."""
    if re.search(r"\$\{?PORT\b", line):
        return 0
    found = re.search(r"(?:--port[= ]|--http-port[= ]|-p[= ]|--bind[= ]\S*:|--listen[= ]\S*:|[\s=]:)(\d{2,5})\b", line)
    found = found or re.search(r"\brunserver (?:\S+:)?(\d{2,5})\b", line)
    return int(found[1]) if found else None


def port_option(line: str) -> str:
    """Return how the server that `line` starts is given its port; empty where PORT does, or nothing is known."""
    if re.search(r"\bbuild\b", line):
        return ""
    if re.search(r"\bmanage\.py runserver\s*$", line):
        return "{port}"
    return next((option for tool, option in _PORT_OPTIONS.items() if _starts(line, tool)), "")


def with_port_option(line: str) -> str:
    """Return `line` with the option for its port where that can be put at its end."""
    option = "" if _JOINED.search(line) or "{port}" in line or "PORT" in line else port_option(line)
    return f"{line} {option}" if option else line


def port_notes(line: str, port: int | None) -> tuple[str, ...]:
    """Return a note if a service that runs `line` has a fixed port, which only one worktree can use."""
    if not port or "{port}" in line or "PORT" in line:
        return ()
    if re.search(rf"\b{port}\b", line):
        return (f"only one worktree can have port {port}: write {{port}} for it and 'port: 0', and each gets its own",)
    return (f"only one worktree can have port {port}: with 'port: 0' each gets its own, as the variable PORT",)


def script_port_note(line: str, port: int, runs: str) -> str:
    """Return what to know of a script that fixes its port: what `runs` programs of the package can do so with another.

    Args:
        line: the script's line.
        port: the port in it.
        runs: what a line for the shell begins with to find those programs, as `npx `.
    """
    said = f"only one worktree can have port {port}, which its script has"
    if _JOINED.search(line) or re.match(r"\w+=", line):
        return f"{said}: if that takes the variable PORT, each gets its own with 'port: 0'"
    free = re.sub(rf"\b{port}\b", "{port}", line)
    return f"{said}: with 'command: {runs}{free}' and 'port: 0' each gets its own"


def address_notes(line: str) -> tuple[str, ...]:
    """Return what to know of a command that names ports of this machine: where it listens, one worktree alone can."""
    ports = dict.fromkeys(_LOCAL_PORT.findall(line))
    if not ports:
        return ()
    return (f"only one worktree can have the ports at which it listens, of those in its command: {', '.join(ports)}",)


def exported(env: Mapping[str, str], line: str) -> tuple[dict[str, str], str]:
    """Return the variables that stand for themselves, and `line` with those before it that name others.

    A file of Ostler does not expand `${NAME}`; the shell does. One that only hands a variable on is left out: it is
    inherited.
    """
    plain: dict[str, str] = {}
    exports: list[str] = []
    for name, value in env.items():
        if value in (f"${{{name}}}", f"${name}"):
            continue
        if _REFERENCE.search(value) and "{{" not in value:  # what a template makes is not for the shell
            exports.append(f"export {name}={double_quoted(value)}")
        else:
            plain[name] = value
    return plain, "\n".join([*exports, line]) if exports else line


def in_named_folder(folder: str, line: str) -> tuple[str, str]:
    """Return the folder to run in, and the line: a folder that names a variable is changed to by the shell."""
    if not _REFERENCE.search(folder):
        return folder, line
    return "", f"cd {double_quoted(folder)} || exit\n{line}"


def names_variables(text: str) -> bool:
    """Return whether `text` has `$NAME`, `${NAME}` or `$$`."""
    return _REFERENCE.search(text) is not None


def double_quoted(text: str) -> str:
    """Return `text` as a word for the shell in which variables, and nothing else, are expanded."""
    parts: list[str] = []
    begin = 0
    for found in _REFERENCE.finditer(text):
        parts += [_escaped(text[begin : found.start()]), "\\$" if found[0] == "$$" else found[0]]
        begin = found.end()
    return '"' + "".join([*parts, _escaped(text[begin:])]) + '"'


def _escaped(text: str) -> str:
    return re.sub(r'([\\"`$])', r"\\\1", text)


def _starts(line: str, tool: str) -> bool:
    found = re.search(rf"(^|[\s/&;]){re.escape(tool)}(\s|$)", line)
    return found is not None and re.search(r"(?:^|\s)bin/$", line[: found.start() + 1]) is None  # a wrapper of its own
