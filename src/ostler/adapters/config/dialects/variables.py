"""The table of variables: what `${…}` and its relatives mean in each client, and what Ostler does with them."""

import os
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ostler.adapters.config.dialects.clients import ANY
from ostler.adapters.config.dialects.questions import Question
from ostler.model.credentials import is_secret_name
from ostler.rules.secrets.secret_marks import LIKE_REFERENCE, SECRET_FORMS, is_reference

_VSCODE: Final = frozenset({"vscode"})


class Surroundings(Struct, frozen=True):
    """Where an entry stands.

    Attributes:
        environment: the variables that entries may name.
        folder: the folder of the file; None when the text came from nowhere.
        workspace: the project that the file belongs to; None when it belongs to none.
        plugin: the folder of the plugin of Claude Code that the file is part of; None when it is part of none.
        questions: the questions that the file asks, by id.
        answer: returns what a person answered to the question of an id; None when no one has.
        clients_own: variables of the environment that only the client sets.
        keeps_empty: a variable that is set and empty has no use for its default.
    """

    environment: Mapping[str, str]
    folder: Path | None = None
    workspace: Path | None = None
    plugin: Path | None = None
    questions: Mapping[str, Question] = {}
    answer: Callable[[str], str | None] | None = None
    clients_own: Mapping[str, str] = {}
    keeps_empty: bool = False

    @property
    def home(self) -> str | None:
        """The user's home."""
        return self.environment.get("HOME") or self.environment.get("USERPROFILE") or None

    def base(self, clients: frozenset[str]) -> Path | None:
        """Return what a relative folder begins at: the project, or the file's folder; for VS Code then the home."""
        if self.workspace is None and clients <= _VSCODE and self.home is not None:
            return Path(self.home)
        return self.workspace or self.folder


class Resolved(Struct, frozen=True):
    """What one occurrence comes to.

    Attributes:
        text: the text that takes its place.
        name: the variable of the environment that it names, if it names one.
        problem: why there is no value, in one sentence; empty when there is one.
        fix: what to write.
        optional: the client uses nothing in its place, so what contains it may be left out.
        is_secret: no one must see it.
        is_reference: the text stands for a secret that is looked up when the server is connected.
    """

    text: str = ""
    name: str = ""
    problem: str = ""
    fix: str = ""
    optional: bool = False
    is_secret: bool = False
    is_reference: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """One form.

    Attributes:
        form: as people write it.
        pattern: matches it, as a whole.
        clients: whose form it is.
        meaning: what it stands for there.
        does: what Ostler does.
        resolve: returns what an occurrence comes to.
        optional_in: the clients that use nothing where there is no value.
        keeps_empty_in: the clients that use a default only for a variable that is not set, whatever a shell does.
    """

    form: str
    pattern: re.Pattern[str]
    clients: frozenset[str]
    meaning: str
    does: str
    resolve: Callable[[re.Match[str], Surroundings], Resolved] = field(repr=False)
    optional_in: frozenset[str] = frozenset()
    keeps_empty_in: frozenset[str] = frozenset()


_VAR: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_INNER: Final = re.compile(rf"\$\{{(?P<name>{_VAR})(?:(?P<sign>:?-)(?P<default>[^{{}}]*))?\}}")
"""A variable in the default of another."""


def _escaped(match: re.Match[str], around: Surroundings) -> Resolved:
    del match, around
    return Resolved("${")


def _environment(match: re.Match[str], around: Surroundings, *, optional: bool) -> Resolved:
    name, default = match["name"], match.groupdict().get("default")
    value = around.environment.get(name)
    if value is not None and (value or default is None or _keeps_empty(match, around)):
        return Resolved(value, name)
    if default is not None:
        return _default(default, name, around)
    fix = f"set {name}, or write ${{{name}:-default}}"
    return Resolved("", name, f"the environment variable {name!r} is not set", fix, optional)


def _keeps_empty(match: re.Match[str], around: Surroundings) -> bool:
    """Whether a variable that is set and empty stays so although it has a default: `${VAR-default}`, as in a shell."""
    return around.keeps_empty or match["sign"] == "-"


def _default(text: str, name: str, around: Surroundings) -> Resolved:
    """Return the default of the variable `name`, in which others may stand: `${A:-${B}}`."""
    lacking, used = list[str](), [name]

    def inner(match: re.Match[str]) -> str:
        used.append(match["name"])
        value = around.environment.get(match["name"])
        if value is None and match["default"] is None:
            lacking.append(match["name"])
        if value is None or not (value or _keeps_empty(match, around)):
            value = match["default"]
        return value or ""

    filled, unknown = _INNER.sub(inner, text), "${" in _INNER.sub("", text)
    if not (lacking or unknown):
        return Resolved(filled, name, is_secret=any(map(is_secret_name, used)))
    other = (
        f"{lacking[0]!r}, in its default, is not set either" if lacking else "its default has a form that is not read"
    )
    problem = f"the environment variable {name!r} is not set, and {other}"
    return Resolved("", [*lacking, name][0], problem, f"set {name}")


def _required(match: re.Match[str], around: Surroundings) -> Resolved:
    return _environment(match, around, optional=False)


def _optional(match: re.Match[str], around: Surroundings) -> Resolved:
    return _environment(match, around, optional=True)


def _demanded(match: re.Match[str], around: Surroundings) -> Resolved:
    """As in a shell; the text behind the sign is what that would print."""
    if match["sign"] and around.environment.get(match["name"]) == "":
        problem = f"the environment variable {match['name']!r} is empty, and must not be"
        return Resolved("", match["name"], problem, f"set {match['name']}")
    return _environment(match, around, optional=False)


def _workspace(match: re.Match[str], around: Surroundings) -> Resolved:
    if around.environment.get("CLAUDE_PROJECT_DIR") and "CLAUDE" in match[0]:
        return Resolved(around.environment["CLAUDE_PROJECT_DIR"])
    if around.workspace is None:
        whose = "Claude Code's name for its project" if "CLAUDE" in match[0] else "an editor's name for its open folder"
        return Resolved(
            problem=f"{match[0]} is {whose}, which Ostler does not have", fix="write the whole path in its place"
        )
    name = match[0].lower()
    return Resolved(around.workspace.name if "basename" in name else str(around.workspace))


def _plugin(match: re.Match[str], around: Surroundings) -> Resolved:
    if around.plugin is None or match[1] != "ROOT":
        return _not_here("a folder of a plugin of Claude Code", "write the whole path")(match, around)
    return Resolved(str(around.plugin))


def _home(match: re.Match[str], around: Surroundings) -> Resolved:
    del match
    if around.home is None:
        return Resolved(problem="the home folder is not known", fix="write the whole path")
    return Resolved(around.home)


def _user_folder(match: re.Match[str], around: Surroundings) -> Resolved:
    home = _home(match, around)
    return home if home.problem or match[1] == "HOME" else Resolved(str(Path(home.text) / match[1].capitalize()))


def _separator(match: re.Match[str], around: Surroundings) -> Resolved:
    del match, around
    return Resolved(os.sep)


def _working_folder(match: re.Match[str], around: Surroundings) -> Resolved:
    if around.folder is None:
        return _not_here("the client's working folder", "write the whole path in its place")(match, around)
    return Resolved(str(around.workspace or around.folder))


def _shell(match: re.Match[str], around: Surroundings) -> Resolved:
    value = around.environment.get(match["name"])
    return Resolved(match[0] if value is None else value, match["name"])


def _answered(match: re.Match[str], around: Surroundings) -> Resolved:
    question = around.questions.get(match["id"]) or Question(match["id"])
    given = around.environment.get(question.variable)
    if given is None and around.answer is not None:
        given = around.answer(question.id)
    if given is not None:
        return Resolved(given, question.variable, is_secret=True)
    if question.default is not None:
        return Resolved(question.default, question.variable)
    asked = f": {question.text}" if question.text else ""
    return Resolved(
        problem=f"{match[0]} is a question to you that has no answer yet{asked}",
        name=question.variable,
        fix=f"ostler servers answer {shlex.quote(question.id)} takes it, or set {question.variable}",
        optional=question.is_optional,
    )


def _secret(match: re.Match[str], around: Surroundings) -> Resolved:
    del around
    if is_reference(match["kind"], match["what"]):
        return Resolved(match[0], is_reference=True)
    return Resolved(problem=f"{match[0]} does not say where a secret is", fix=f"write {SECRET_FORMS}")


def _file(match: re.Match[str], around: Surroundings) -> Resolved:
    path = match["what"]
    if "$" not in match[0] and around.folder is not None and not path.startswith("~/"):  # of opencode
        path = str(around.folder / path)
    if is_reference("file", path):
        return Resolved(f"${{secret:file:{path}}}", is_reference=True)
    return Resolved(problem=f"{match[0]} has a path that is not whole", fix="write the whole path in it")


def _not_here(what: str, fix: str) -> Callable[[re.Match[str], Surroundings], Resolved]:
    def resolve(match: re.Match[str], around: Surroundings) -> Resolved:
        del around
        return Resolved(problem=f"{match[0]} is {what}, which Ostler does not have", fix=fix)

    return resolve


def _row(  # noqa: PLR0917 (a row of the table)
    form: str, pattern: str, clients: str, meaning: str, does: str,
    resolve: Callable[[re.Match[str], Surroundings], Resolved], optional_in: str = "", keeps_empty_in: str = "",
) -> Variable:  # fmt: skip
    ids = ANY if clients == "*" else frozenset(clients.split())
    optional, keeping = frozenset(optional_in.split()), frozenset(keeps_empty_in.split())
    return Variable(form, re.compile(pattern), ids, meaning, does, resolve, optional, keeping)


_PROMPT: Final = "use ${VAR} and set the variable in the environment"

VARIABLES: Final[tuple[Variable, ...]] = (
    _row("$${…}", r"\$\$\{", "*", "the text `${…}` itself", "writes `${…}`", _escaped),
    _row("${input:id}", r"\$\{input:(?P<id>[^}]*)\}", "vscode", "a question to the person",
         "the variable `INPUT_ID`, else the answer to `ostler servers answer ID`, else the default; without any the "
         "entry is refused", _answered),
    _row("${secret:kind:what}", LIKE_REFERENCE.pattern, "*", "a secret that is elsewhere",
         "looks it up when the server is connected: `env:VAR`, `file:PATH`, `keyring:SERVICE/ACCOUNT`, `command:LINE`",
         _secret),
    _row("${command:id}", r"\$\{command:[^}]*\}", "vscode", "the answer of an editor's command", "refuses the entry",
         _not_here("a command of VS Code", _PROMPT)),
    _row("${config:id}", r"\$\{config:[^}]*\}", "vscode", "a setting of the editor", "refuses the entry",
         _not_here("a setting of VS Code", _PROMPT)),
    _row("${env:VAR}", rf"\$\{{env:(?P<name>{_VAR})(?::?-(?P<default>[^}}]*))?\}}", "vscode cursor windsurf roo",
         "a variable; nothing when it is not set",
         "the variable; where it is not set, the variable or header that uses it is left out, and any other entry "
         "refused", _optional),
    _row("{env:VAR}", rf"\{{env:(?P<name>{_VAR})\}}", "opencode", "a variable; nothing when it is not set",
         "as `${env:VAR}`", _optional),
    _row("${cmd: line}", r"\$\{cmd:[^}]*\}", "mcp-hub eca", "what a command prints", "refuses the entry",
         _not_here("what a command prints", "write ${secret:command:LINE}, or ${VAR}")),
    _row("${file:path}", r"\$\{file:(?P<what>[^}]*)\}", "windsurf eca", "what a file holds",
         "as `${secret:file:PATH}`; the entry is refused if the path is relative", _file),
    _row("os.environ/VAR", rf"os\.environ/(?P<name>{_VAR})", "litellm", "a variable",
         "the variable; the entry is refused when it is not set", _required),
    _row("{file:path}", r"\{file:(?P<what>[^}]*)\}", "opencode", "what a file holds",
         "as `${secret:file:PATH}`; a relative path begins at the file's own folder", _file),
    _row("${workspaceFolder}", r"\$\{workspace(Folder|Root|Path)(Basename)?(:[^}]*)?\}", "vscode cursor zed gemini",
         "the open folder, or its name", "the project that the file belongs to; elsewhere the entry is refused",
         _workspace),
    _row("${CLAUDE_PROJECT_DIR}", r"\$\{CLAUDE_PROJECT_DIR(:-[^}]*)?\}", "claude-code", "the project's folder",
         "the project that the file belongs to; elsewhere the entry is refused", _workspace),
    _row("${CLAUDE_PLUGIN_ROOT}", r"\$\{CLAUDE_PLUGIN_(ROOT|DATA)\}", "claude-code", "the folder of a plugin",
         "the folder of the plugin that the file is part of; elsewhere the entry is refused", _plugin),
    _row("${userHome}", r"\$\{userHome\}", "vscode cursor", "the home folder", "the home folder", _home),
    _row("${/}", r"\$\{(/|pathSeparator)\}", "vscode cursor", "the separator of paths", "the separator", _separator),
    _row("${cwd}", r"\$\{cwd\}", "vscode", "the folder that the editor was started in", "the file's own folder",
         _working_folder),
    _row("${__dirname}", r"\$\{__dirname\}", "mcpb", "the folder of the unpacked bundle", "the folder of the manifest",
         _working_folder),
    _row("${extensionPath}", r"\$\{extensionPath\}", "gemini", "the folder of an extension", "the file's own folder",
         _working_folder),
    _row("${HOME}", r"\$\{(HOME|DESKTOP|DOCUMENTS|DOWNLOADS)\}", "mcpb", "a folder of the user", "the same",
         _user_folder),
    _row("${user_config.X}", r"\$\{user_config\.(?P<id>[^}]*)\}", "mcpb claude-code", "what the person configured",
         "as `${input:X}`; one that is not required and has no answer is left out", _answered),
    _row("${{ secrets.X }}", rf"\$\{{\{{\s*(?:secrets|inputs)\.(?P<name>{_VAR})\s*\}}\}}", "continue",
         "a secret: a variable, or one that the client keeps", "the variable; the entry is refused when it is not set",
         _required),
    _row("${{ x.y }}", r"\$\{\{[^}]*\}\}", "continue", "what only the client knows", "refuses the entry",
         _not_here("a form of Continue", _PROMPT)),
    _row("{{VAR}}", r"\{\{\s*[A-Za-z_][A-Za-z0-9_.]*\s*\}\}", "librechat", "what a user of the client gave",
         "refuses the entry", _not_here("a value that each user of LibreChat gives", _PROMPT)),
    _row("${VAR:-default}", rf"\$\{{(?P<name>{_VAR})(?P<sign>:?-)(?P<default>(?:\$\{{[^{{}}]*\}}|[^}}])*)\}}",
         "*", "a variable, or the default when it is not set or empty",
         "the same; in a file of Claude Code or Gemini CLI, as there, and in `${VAR-default}`, a variable that is set "
         "and empty stays empty", _required, keeps_empty_in="claude-code gemini"),
    _row("${VAR:?why}", rf"\$\{{(?P<name>{_VAR})(?P<sign>:?)\?[^}}]*\}}", "crush",
         "a variable that must be set, and not empty", "the same, in every file", _demanded),
    _row("${VAR}", r"\$\{(?P<name>[^}:]*)\}", "*", "a variable",
         "the variable; where it is not set, a shell's script keeps the text, and any other entry is refused, unless "
         "it is of Gemini CLI", _required, "gemini"),
    _row("${other:…}", r"\$\{[^}]*\}", "*", "what only the client knows",
         "refuses the entry, except in a shell's script",
         _not_here("a form of some client", "write ${VAR}, ${VAR:-default} or the value in its place")),
    _row("$VAR", rf"\$(?P<name>{_VAR})", "gemini crush copilot", "a variable",
         "the variable in an entry that shows whose it is; elsewhere the text unchanged, with a finding", _shell),
    _row("$(command)", r"\$\([^)]*\)", "crush", "what a command prints", "refuses the entry of a file of Crush",
         _not_here("what a command prints, in a file of Crush", "write ${secret:command:LINE}, or ${VAR}")),
)  # fmt: skip
"""Every form, in the order in which they are looked for."""

_ONLY_WHERE: Final = frozenset({"${HOME}", "$VAR", "$(command)", "{{VAR}}", "{file:path}", "os.environ/VAR"})
"""Forms that are ordinary text in every client but those that have them."""

_SHELL_FORMS: Final = frozenset({"${VAR}", "${VAR:-default}", "${VAR:?why}", "${other:…}"})
"""Forms that a shell has, too, for its own variables."""


def expand(
    text: str,
    around: Surroundings,
    clients: frozenset[str],
    report: Callable[[Resolved, str], None],
    own: Collection[str] = (),
    *,
    is_script: bool = False,
) -> tuple[str, tuple[Resolved, ...]]:
    """Return `text` with every variable replaced, and what each one came to.

    Args:
        text: the text.
        around: what the variables mean.
        clients: whose text it may be.
        report: takes each occurrence that came to nothing, with its text.
        own: variables that the program itself gets and may look up; one that is not set elsewhere stays as written.
        is_script: the text is a script of a shell, which has its own variables and forms.
    """
    found: list[Resolved] = []

    def replaced(match: re.Match[str], row: Variable) -> str:
        keeps_empty = clients <= row.keeps_empty_in
        resolved = row.resolve(match, replace(around, keeps_empty=True) if keeps_empty else around)
        if resolved.problem and (resolved.name in own or (is_script and row.form in _SHELL_FORMS)):
            return match[0]
        if clients <= row.optional_in:
            resolved = replace(resolved, optional=True)
        found.append(resolved)
        if resolved.problem:
            report(resolved, match[0])
        return resolved.text

    return _each_replaced(text, clients, replaced), tuple(found)


def _each_replaced(text: str, clients: frozenset[str], replaced: Callable[[re.Match[str], Variable], str]) -> str:
    """Return `text` with what `replaced` returns for each occurrence of a form, as it may be in texts of `clients`."""
    forms = [row for row in VARIABLES if row.form not in _ONLY_WHERE or clients <= row.clients]
    every = re.compile("|".join(f"(?:{_unnamed(row.pattern.pattern)})" for row in forms))

    def one(match: re.Match[str]) -> str:
        return next(replaced(inner, row) for row in forms if (inner := row.pattern.fullmatch(match[0])))

    return every.sub(one, text)


_PLACES: Final = frozenset({
    "${workspaceFolder}", "${CLAUDE_PROJECT_DIR}", "${CLAUDE_PLUGIN_ROOT}", "${cwd}", "${/}", "${__dirname}",
    "${extensionPath}", "${user_config.X}", "{file:path}",
})  # fmt: skip
"""Forms whose value depends on where the file stands, or on the rest of it."""

_NAMED: Final = frozenset({"${VAR}", "$VAR"})
"""Forms of a variable that other clients take for one that must be set, or for plain text."""


def portable(text: str, around: Surroundings, clients: frozenset[str], used: Callable[[str], None]) -> str:
    """Return `text`, of a file of `clients`, as Ostler's own file says the same.

    A variable that only the client sets becomes its value, and `used` takes its name.

    The folders that depend on the file's place, and those of the user that a bundle names, are written out. What is a
    variable in these clients alone, or need not be set in them, becomes `${env:VAR}`, and what a bundle asks
    `${input:X}`. A default that counts there only for a variable that is not set is written `${VAR-default}`. Every
    other one stays as it is.
    """

    def replaced(match: re.Match[str], row: Variable) -> str:
        name = str(match.groupdict().get("name"))
        if name in around.clients_own:
            used(name)
            return around.clients_own[name].replace("${", "$${")
        if clients <= row.keeps_empty_in:
            return f"${{{name}-{_INNER.sub(lambda inner: inner[0].replace(':-', '-', 1), match['default'])}}}"
        is_theirs = row.form in ("${HOME}", "$VAR") and clients <= row.clients
        if not (row.form in _PLACES or is_theirs or clients <= row.optional_in):
            return match[0]
        if row.form == "${user_config.X}":
            asked = around.questions.get(match["id"])
            is_left_out = asked is None or (asked.is_optional and asked.default is None)
            return match[0] if is_left_out else f"${{input:{match['id']}}}"
        if row.form in _NAMED:
            is_text = row.form == "$VAR" and match["name"] not in around.environment
            return match[0] if is_text else f"${{env:{match['name']}}}"
        resolved = row.resolve(match, around)
        return match[0] if resolved.problem else resolved.text

    return _each_replaced(text, clients, replaced)


def _unnamed(pattern: str) -> str:
    return re.sub(r"\(\?P<\w+>", "(?:", pattern)


LONE_SHELL_VARIABLE: Final = re.compile(
    r"(?:[A-Za-z]+ )?(?:\$(?:env:)?|os\.environ/)(?P<shell>[A-Z_][A-Z0-9_]*)|(?P<copilot>COPILOT_MCP_[A-Z0-9_]+)"
)
"""A value that is `$VAR`, `$env:VAR` or `os.environ/VAR` as a whole, or behind a word such as Bearer: plain text in
most clients.

So is the name of a secret of Copilot's coding agent."""
