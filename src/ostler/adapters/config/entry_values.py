"""The values of an entry in Ostler's own keys: types checked, variables expanded, paths completed."""

import io
import json
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from pydantic import ValidationError

from ostler.adapters.config.dialects.client_texts import SourceError, read_text
from ostler.adapters.config.dialects.draft import Report
from ostler.adapters.config.dialects.variables import LONE_SHELL_VARIABLE, Resolved, Surroundings, expand
from ostler.adapters.config.dialects.windows import path_below
from ostler.model.credentials import is_secret_name
from ostler.model.json import JsonObject, JsonValue, KeyPath, as_list, as_object
from ostler.model.servers import OAuthClient, ServerEntry, ServerOptions, ServerTransport
from ostler.model.web_addresses import is_web_address

_SHELL: Final = re.compile(r"(?:.*/)?(?:ba|da|z|k|a)?sh")

_MAY_REFER: Final = ("env", "headers", "args", "url")
"""The keys in which a reference to a secret is looked up."""


class EntryValues:
    """Reads one entry's values."""

    def __init__(self, entry: JsonObject, around: Surroundings, clients: frozenset[str], report: Report) -> None:
        self._entry = entry
        self._around = around
        self._clients = clients
        self._report = report
        self._secret_parts: set[str] = set()
        self._references: set[str] = set()
        self._quiet = entry.get("disabled") is True
        self._own_variables = frozenset(as_object(entry.get("env")))
        self._script: int | None = None
        """Which of the arguments is a script of a shell."""

        self._lacking: set[str | int] = set()
        """Keys with missing variables: nothing else that seems wrong with them is reported."""

    def server(self, name: str, transport: ServerTransport, *, disabled: bool, options: ServerOptions) -> ServerEntry:
        """Return the server that the entry describes; what is wrong with it is reported."""
        local = transport in ("stdio", "builtin")
        cwd = self._folder()
        command = self._program(cwd)
        args = self._texts("args")
        if local and cwd is None and any(arg.startswith(("./", "../")) for arg in args):
            cwd = self._own_folder(args)
        file_variables = self._env_file(cwd) if local else {}
        unset = {variable for variable, value in as_object(self._entry.get("env")).items() if value is None}
        return ServerEntry(
            name=name,
            transport=transport,
            command=command,
            args=args,
            env={one: text for one, text in file_variables.items() if one not in unset} | self._mapping("env"),
            unset=tuple(sorted(unset)) if local else (),
            cwd=cwd,
            url=self._url(),
            headers=self._mapping("headers"),
            headers_helper="" if local else self._helper(),
            oauth=None if local else self._sign_in(),
            disabled=disabled,
            options=options,
            secret_parts=tuple(sorted(self._secret_parts)),
            references=tuple(sorted(self._references)),
        )

    def _helper(self) -> str:
        """Return the command line, with the full path of its program if that is written relative to the file."""
        return with_whole_path(self._home(self._text("headersHelper")), self._around.workspace or self._around.folder)

    def _sign_in(self) -> OAuthClient | None:
        """Return how to sign in; None if the entry does not say, or says it wrongly, which is reported."""
        raw = self._entry.get("oauth")
        if not isinstance(raw, dict) or not raw:
            return None  # whether to sign in (true, false) is the server's affair
        fields: JsonObject = {
            name: self._field(value, ("oauth", name)) for name, value in cast("JsonObject", raw).items()
        }
        try:
            return OAuthClient.model_validate({name: value for name, value in fields.items() if value is not None},
                                              by_alias=True, by_name=False)  # fmt: skip
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_input=False):
                message = f"{problem['loc'][0]!r} is wrong: {problem['msg']}"
                self._report(("oauth", *problem["loc"][:1]), message, "bad-value", severity="warning")
            return None

    def _field(self, value: JsonValue, at: KeyPath) -> JsonValue:
        """Return a number as it is, and a text, or the texts of a list, with variables replaced."""
        if isinstance(value, list):
            items = [self._field(item, (*at, index)) for index, item in enumerate(as_list(value))]
            return [item for item in items if item is not None]
        return value if isinstance(value, int) else self._scalar(value, at)

    def _folder(self) -> str | None:
        cwd = self._home(self._text("cwd"))
        base = self._around.base(self._clients)
        if not cwd or base is None or "cwd" in self._lacking:
            return cwd or None
        whole = path_below(base, cwd)
        if whole != str(Path(cwd)) and not Path(whole).is_dir():
            message = f"there is no folder {cwd!r} in {base}, where a relative 'cwd' is looked for"
            self._report(("cwd",), message, "no-file", fix="write the whole path", severity="warning")
        return whole

    def _own_folder(self, args: tuple[str, ...]) -> str | None:
        """Return the file's folder when a path among `args` is found from there."""
        base = self._around.workspace or self._around.folder
        if base is None:
            return None
        if "args" in self._lacking:
            return str(base)
        for index, arg in enumerate(args):
            if arg.startswith(("./", "../")) and not (base / arg).exists():
                message = f"there is no {arg!r} in {base}, the folder of the file"
                self._report(("args", index), message, "no-file", fix="write the whole path", severity="warning")
        return str(base)

    def _program(self, cwd: str | None) -> str:
        command = self._home(self._text("command"))
        base = Path(cwd) if cwd else self._around.workspace or self._around.folder
        relative = command.startswith(("./", "../")) or ("/" in command and not command.startswith("/"))
        return str(base / command) if base is not None and relative and (base / command).exists() else command

    def _url(self) -> str:
        url = self._text("url")
        if not url or "url" in self._lacking:
            return url
        if not is_web_address(url):  # the url itself may hold a secret, so it is not quoted
            self._report(("url",), "'url' must be an http:// or https:// address", "bad-url")
        return url

    def _env_file(self, cwd: str | None) -> dict[str, str]:
        written = self._home(self._text("envFile"))
        if not written or self._lacking & {"envFile", "cwd"}:
            return {}
        base = self._around.workspace or (Path(cwd) if cwd else self._around.folder)
        path = base / written if base is not None else Path(written)
        try:
            return variables_in(read_text(path, str(path)))
        except SourceError as error:
            message = f"the variables of 'envFile' are missing: {error.finding.message} ({path})"
            self._report(("envFile",), message, "no-file", fix="write the whole path", severity="warning")
            return {}

    def _text(self, key: str) -> str:
        value = self._entry.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or not value.strip():
            self._report((key,), f"{key!r} must be a text that is not empty", "bad-value")
            return ""
        return self._expand(value, (key,))

    def _texts(self, key: str) -> tuple[str, ...]:
        value: JsonValue = self._entry.get(key) or []
        if not isinstance(value, list):
            fix = f"write {json.dumps(_words(value))}"
            self._report((key,), f"{key!r} must be a list of texts", "bad-value", fix=fix)
            return ()
        items = cast("list[JsonValue]", value)
        self._script = _script_of([self._entry.get("command"), *items]) if key == "args" else None
        return tuple(self._scalar(item, (key, index)) or "" for index, item in enumerate(items))

    def _mapping(self, key: str) -> dict[str, str]:
        value: JsonValue = self._entry.get(key) or {}
        if not isinstance(value, dict):
            self._report((key,), f"{key!r} must be an object of texts by name", "bad-value", fix=_object_form(value))
            return {}
        fields = cast("JsonObject", value)
        items = ((name, self._scalar(item, (key, name))) for name, item in fields.items() if item is not None)
        return {name: text for name, text in items if text is not None}

    def _home(self, path: str) -> str:
        home = self._around.home
        return home + path[1:] if home and (path == "~" or path.startswith("~/")) else path

    def _scalar(self, value: JsonValue, at: KeyPath) -> str | None:
        match value:
            case str():
                return self._expanded(value, at)
            case bool():
                return "true" if value else "false"
            case int() | float():  # people write ports and levels without quotes
                return str(value)
            case _:
                fix = "write it in double quotes"
                self._report(at, f"{at[0]!r} holds a value that is not a text", "bad-value", fix=fix)
                return ""

    def _expand(self, text: str, at: KeyPath) -> str:
        return self._expanded(text, at) or ""

    def _expanded(self, text: str, at: KeyPath) -> str | None:
        """Return `text` with its variables replaced; None where an optional one is missing, so that it is left out."""
        missing: list[Resolved] = []
        own = self._own_variables if at[0] == "args" else ()
        is_script = at == ("args", self._script)
        expanded, found = expand(
            text, self._around, self._clients, lambda one, _: missing.append(one), own, is_script=is_script
        )
        optional = at[0] in ("env", "headers", "oauth")
        if missing:
            self._lacking.add(at[0])
        for one in missing:
            left_out = one.optional and optional
            said = f"{one.problem}, so {at[-1]!r} is left out" if left_out else one.problem
            severity = "warning" if left_out or self._quiet else "error"
            self._report(at, said, "missing-variable", fix=one.fix, severity=severity)
        references = [one.text for one in found if one.is_reference]
        if references and at[0] not in _MAY_REFER:
            message = f"{references[0]} is not looked up in {at[0]!r}"
            self._report(at, message, "bad-value", fix=f"refer to secrets in {', '.join(_MAY_REFER)}")
        self._references.update(references)
        self._secret_parts.update(one.text for one in found if one.text and (one.is_secret or is_secret_name(one.name)))
        if optional and (lone := LONE_SHELL_VARIABLE.fullmatch(text)) and expanded == text:
            fix = f"write ${{{lone['shell'] or lone['copilot']}}} if the variable is meant"
            self._report(at, f"{text!r} is passed on unchanged", "shell-variable", fix=fix, severity="warning")
        return None if missing and optional and all(one.optional for one in missing) else expanded


def _script_of(words: list[JsonValue]) -> int | None:
    """Return which argument is a script: the one after `-c` of a shell, whatever starts that shell."""
    shell = False
    for index, word in enumerate(words[:-1]):
        if isinstance(word, str) and _SHELL.fullmatch(word):
            shell = True
        elif shell and isinstance(word, str) and re.fullmatch(r"-[a-z]*c", word):
            return index
        elif shell and not (str(word).startswith("-") or re.fullmatch(r"-[a-z]*o", str(words[index - 1]))):
            shell = False
    return None


def _words(value: JsonValue) -> list[JsonValue]:
    with suppress(ValueError):
        return list(shlex.split(value)) if isinstance(value, str) else [value]
    return [value]


def _object_form(value: JsonValue) -> str:
    """Return how a list of `NAME=value`, or of objects with a name and a value, is written; "" for anything else."""
    found: JsonObject = {}
    for item in cast("list[JsonValue]", value) if isinstance(value, list) else []:
        fields = as_object(item)
        name, content = fields.get("name") or fields.get("key"), fields.get("value")
        if isinstance(item, str):
            name, _, content = item.partition("=")
        if not isinstance(name, str) or not name:
            return ""
        found[name] = "…" if content else ""  # it may be a secret
    return f"write {json.dumps(found, ensure_ascii=False)}" if found else ""


def variables_in(text: str) -> dict[str, str]:
    """Return the variables of an env file; lines that set none are ignored, as clients do."""
    from dotenv.parser import parse_stream  # noqa: PLC0415 (few entries have such a file)

    lines = parse_stream(io.StringIO(text))
    return {line.key: line.value for line in lines if line.key is not None and line.value is not None}


def with_whole_path(line: str, base: Path | None) -> str:
    """Return a command line with the full path of its program, if that is relative to `base`."""
    program = line.partition(" ")[0]
    if base is None or not program.startswith(("./", "../")):
        return line
    return shlex.quote(str(base / program)) + line[len(program) :]
