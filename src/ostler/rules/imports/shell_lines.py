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
    **dict.fromkeys(
        ("react-router dev", "wrangler dev", "wrangler pages dev", "nuxi dev", "vitepress dev", "rsbuild dev",
         "docusaurus start", "vinxi dev", "chainlit run", "panel serve", "bokeh serve", "marimo edit", "marimo run"),
        "--port {port}",
    ),
}  # fmt: skip
"""How tools take a port; others get it as the variable PORT."""

_LAST = frozenset(
    {"vite", "next", "storybook", "ng serve", "webpack serve", "webpack-dev-server", "uvicorn", "fastapi dev"}
    | {"flask run", "streamlit run", "mkdocs serve", "daphne", "hugo server", "jekyll serve", "artisan serve"}
)
"""Tools that take the last of two ports; the others take theirs once."""

_LOCAL_PORT = re.compile(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):(\d{2,5})\b")
_JOINED = re.compile(r"[|&;<>\n]")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_PARTS = re.compile(
    r"""
    (?P<sign>[;&|<>]) | (?P<break>\n) | \\(?s:.)? | '[^']*'? | "(?:\\(?s:.)|[^"\\])*"? | `[^`]*`? | [^;&|<>\n\\'"`]+
    """,
    re.VERBOSE,
)
_REFERENCE = re.compile(r"\$(?:\$|\{\w+[^}]*\}|\w+)")
_ASSIGNMENTS = re.compile(r"(?:\w+=\S*\s+)*")
_FIXED_PORT = re.compile(
    r"(?:--port[= ]|--http-port[= ]|--server\.port[= ]|--dev-addr[= ]\S*:|-p[= ]|-S[= ]\S*:|(?:-b|--bind)[= ]\S*:"
    r"|--listen[= ]\S*:|[\s=]:|\brunserver (?:\S+:)?|\bhttp\.server |(?<![\w$])PORT=)(\d{2,5})\b"
)


def port_of(line: str) -> int | None:
    """Return the port that a command line asks for by the options people use; 0 if it takes the variable PORT."""
    if re.search(r"\$\{?PORT\b", line):
        return 0
    found = _FIXED_PORT.search(line)
    return int(found[1]) if found else None


def port_option(line: str) -> str:
    """Return how the server that `line` starts is given its port; empty where PORT does, or nothing is known."""
    if re.search(r"\bbuild\b", line):
        return ""
    if re.search(r"\bmanage\.py runserver\s*$", line):
        return "{port}"
    return _PORT_OPTIONS.get(_tool_of(line), "")


def with_port_option(line: str) -> str:
    """Return `line` with the option for its port where that can be put at its end."""
    option = "" if _JOINED.search(line) or "{port}" in line or "PORT" in line else port_option(line)
    return f"{line} {option}" if option else line


def with_own_port(line: str, port: int) -> str:
    """Return `line` with `{port}` wherever it has `port`; empty if it has none, or fixes other ports, too."""
    fixed = set(_FIXED_PORT.findall(line))
    free = re.sub(rf"(?<![\d.]){port}(?!\d)", "{port}", line)
    return free if fixed == {str(port)} or (not fixed and free != line) else ""


def run_with_own_port(run: str, line: str, *, separator: str = "") -> str:
    """Return the command that runs a script and gives the server in it its port; empty where no option at its end can.

    Args:
        run: the command that runs the script, as `npm run dev`.
        line: the script's line.
        separator: what stands before options that are the script's own.
    """
    last = _QUOTED.sub("", re.split(r"[|&;\n]", line)[-1])
    tool = _tool_of(last)
    option = port_option(last)
    if not option or port_of(line) == 0 or (port_of(last) and tool not in _LAST):
        return ""
    if len(set(_FIXED_PORT.findall(line))) > 1 or (port_of(line) and not port_of(last)):
        return ""
    return " ".join(filter(None, (run, separator, option)))


def found_by(finder: str, line: str) -> str:
    """Return `line`, one command, with what finds its program put before that: after the variables that it sets."""
    begin = _ASSIGNMENTS.match(line)
    assert begin is not None
    return f"{begin[0]}{finder}{line[begin.end() :]}"


def is_joined(line: str) -> bool:
    """Return whether `line` is more than one command."""
    return _JOINED.search(_QUOTED.sub("", line)) is not None


def own_port_note(port: int) -> str:
    """Return what to know of a service that does not keep the port which its file fixes."""
    return f"it had port {port}; each worktree gets its own, so that they do not collide ('port: {port}' keeps it)"


def port_notes(line: str, port: int | None) -> tuple[str, ...]:
    """Return a note if a service that runs `line` has a fixed port, which only one worktree can use."""
    if not port or "{port}" in line:
        return ()
    if re.search(rf"\b{port}\b", line):
        return (f"only one worktree can have port {port}: write {{port}} for it and 'port: 0', and each gets its own",)
    return (f"only one worktree can have port {port}: with 'port: 0' each gets its own, as the variable PORT",)


def script_port_note(port: int) -> str:
    """Return what to know of a script that fixes its port in a way that no option at its end changes."""
    said = f"only one worktree can have port {port}, which its script has"
    return f"{said}: if that takes the variable PORT, each gets its own with 'port: 0'"


def address_notes(line: str) -> tuple[str, ...]:
    """Return what to know of a command that names ports of this machine: where it listens, one worktree alone can."""
    ports = dict.fromkeys(_LOCAL_PORT.findall(line))
    if not ports:
        return ()
    return (f"only one worktree can have the ports at which it listens, of those in its command: {', '.join(ports)}",)


def as_compose_runs(text: str) -> tuple[str, str]:
    """Return a command of Compose as one line for the shell, and the rest that Compose never runs.

    Compose has no shell: it splits the text at blanks and line breaks, and silently stops at the first `;`, `&`, `|`,
    `<` or `>` that is not quoted.
    """
    line = text.strip()
    kept: list[str] = []
    for part in _PARTS.finditer(line):
        if part.lastgroup == "sign":
            words = "".join(kept)
            if part[0] == ">":
                words = re.sub(r"(?<!\S)\d\S*$", "", words)  # 2> is one sign
            return words.rstrip(), line[len(words) :].lstrip()
        kept.append(" " if part.lastgroup == "break" else part[0])
    return "".join(kept), ""


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


def _tool_of(line: str) -> str:
    return next((tool for tool in _PORT_OPTIONS if _starts(line, tool)), "")


def _starts(line: str, tool: str) -> bool:
    found = re.search(rf"(^|[\s/&;]){re.escape(tool)}(\s|$)", line)
    return found is not None and re.search(r"(?:^|\s)bin/$", line[: found.start() + 1]) is None  # a wrapper of its own
