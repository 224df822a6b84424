"""How one key of an entry is read: the functions that the table of keys names."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Final, cast

from ostler.adapters.config.dialects.draft import Draft, Reading, exactly
from ostler.adapters.config.dialects.times import milliseconds, seconds_if_likely
from ostler.adapters.config.dialects.windows import WINDOWS_PATH
from ostler.model.json import JsonObject, JsonValue, as_list, as_object, as_texts
from ostler.model.near_names import did_you_mean
from ostler.model.web_addresses import is_web_address

TYPES: Final[Mapping[str, str]] = {
    "stdio": "stdio", "local": "stdio", "command": "stdio",
    "http": "http", "streamable-http": "http", "streamablehttp": "http", "streamable_http": "http", "remote": "http",
    "http-streamable": "http", "streamable http": "http", "streamable": "http", "streaming-http": "http",
    "sse": "sse",
}  # fmt: skip
"""What clients call the transports, in lower case, and what Ostler calls them."""

_FOREIGN_TYPES: Final[Mapping[str, str]] = {
    "ws": "a WebSocket, which MCP does not define; ask the server's authors for its HTTP address",
    "websocket": "a WebSocket, which MCP does not define; ask the server's authors for its HTTP address",
    "sse-ide": "a part of the editor that the client runs in, which nothing else can reach",
    "ws-ide": "a part of the editor that the client runs in, which nothing else can reach",
    "claudeai-proxy": "a connector of the client's own account, which nothing else can reach",
    "sdk": "a server inside the client's own process, which nothing else can reach",
    "builtin": "a part of the client itself, which nothing else can reach",
    "platform": "a part of the client itself, which nothing else can reach",
    "frontend": "tools of the client's own window, which nothing else can reach",
    "openapi": "a REST interface, which the client makes tools of; use an MCP server that does so",
    "inline_python": "a program inside the entry; save it as a file and write 'command' and 'args'",
}

_TOKENS: Final[Mapping[str, tuple[str, str]]] = {
    "bearer_token": ("Authorization", "Bearer "), "token": ("Authorization", "token "),
    "basic": ("Authorization", "Basic "), "authorization": ("Authorization", ""), "api_key": ("X-API-Key", ""),
}  # fmt: skip
"""LiteLLM's `auth_type`: the header, and what is before the token in it."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BEARER: Final = re.compile(r"^bearer\s+", re.IGNORECASE)
_SHELL: Final = re.compile(r"&&|\|\||[|;<>`]|\$\(")


def same(target: str) -> Reading:
    """The value is Ostler's key `target`."""

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        if value not in (None, ""):  # strict clients write every key
            draft.take(target, value, (key,))

    return read


def nested(draft: Draft, key: str, value: JsonValue) -> None:
    """What clients call the transport, or (Cline) an object with the server itself, which has been read by then."""
    if not isinstance(value, dict):
        transport(draft, key, value)


def merged(target: str) -> Reading:
    """The mapping is added to Ostler's key `target`."""

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        lines = cast("list[JsonValue]", value) if isinstance(value, list) and target == "headers" else []
        if isinstance(value, dict):
            draft.merge(target, cast("JsonObject", value), (key,))
        elif lines and all(isinstance(line, str) and ":" in line for line in lines):  # mcphost: "Name: value"
            for name, _, text in (cast("str", line).partition(":") for line in lines):
                draft.put(target, name.strip(), text.strip(), (key,))
        else:
            draft.take(target, value, (key,))  # the reader of Ostler's own keys says what is wrong with it

    return read


def looked_up(target: str) -> Reading:
    """A mapping of oh-my-pi: the name of a variable stands for its value if it is set, `!line` for what it prints."""

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        fields = dict(as_object(value))
        for name, text in fields.items():
            if isinstance(text, str) and text.startswith("!"):
                fields[name] = f"${{secret:command:{text[1:].strip()}}}"
                if "}" in text:
                    message = f"the command of {name!r} has a '}}', which a reference to a secret cannot have"
                    draft.report((key, name), message, "bad-value", fix="save the line as a script, and write its path")
            elif isinstance(text, str) and _NAME.fullmatch(text):
                fields[name] = f"${{{text}:-{text}}}"
        merged(target)(draft, key, fields if isinstance(value, dict) else value)

    return read


def passed(draft: Draft, key: str, value: JsonValue) -> None:
    """The key describes the entry to people or to its client, and changes nothing that Ostler does."""
    del draft, key, value


def noted(message: str, fix: str = "", *, severity: str = "warning", unless: Sequence[JsonValue] = ()) -> Reading:
    """The key has no effect here, which a finding says; `{key!r}` in its texts stands for the key."""

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        if not any(_same(value, silent) for silent in (None, *unless)):
            draft.report((key,), _with_key(message, key), "no-effect", fix=_with_key(fix, key), severity=severity)

    return read


def refused(message: str, fix: str, *, unless: Sequence[JsonValue] = ()) -> Reading:
    """The key limits the server in a way that Ostler cannot obey, so the entry is refused."""

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        if not any(_same(value, harmless) for harmless in (None, *unless)):
            draft.report((key,), _with_key(message, key), "limit", fix=_with_key(fix, key))

    return read


def switch(*, off: bool) -> Reading:
    """The value `off` switches the server off."""

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        if value is not None and not isinstance(value, bool):
            draft.report((key,), f"{key!r} must be true or false", "limit")
        elif value is off:
            draft.disable()

    return read


def allowed(*, globs: bool = False, empty_means_all: bool = False, exact: bool = False) -> Reading:
    """The list names the only tools that may be called; `*` means all, unless the client takes names exactly."""

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        names = _names(draft, key, value)
        if names is None or ("*" in names and not exact) or (empty_means_all and not names):
            return
        patterns = [name for name in names if "*" in name and not globs]
        if patterns:
            draft.report(
                (key,),
                f"{patterns[0]!r} in {key!r} is read as the name of one tool, and not as a pattern",
                "limit",
                fix="write patterns in 'allowTools' under 'ostler', or name the tools",
                severity="warning",
            )
            names = [name for name in names if name != "*"]
        draft.allow_only([name if globs else exactly(_tool(name)) for name in names], (key,))

    return read


def denied(*, globs: bool = False) -> Reading:
    """The list names tools that may not be called; a star in a name is a pattern, even if its client reads none."""

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        names = _names(draft, key, value) or ()
        every = [own for name in names for own in draft.own_names(name, "___", "__", "/", ":")]
        draft.deny([name if globs else exactly(_tool(name)).replace("[*]", "*") for name in every])

    return read


def allowed_by_full_name(draft: Draft, key: str, value: JsonValue) -> None:
    """The list names the only tools that may be called, alone or (nanobot) as `mcp_SERVER_TOOL`; `*` means all."""
    names = _names(draft, key, value)
    if names is not None:
        own = f"mcp_{draft.server}_"
        allowed()(draft, key, [part for name in names for part in dict.fromkeys((name, name.removeprefix(own)))])


def allowed_by_droid(draft: Draft, key: str, value: JsonValue) -> None:
    """The list names the only tools that may be called, alone or as `SERVER___TOOL`; an empty list means all."""
    names = [part for name in _names(draft, key, value) or () for part in draft.own_names(name, "___")]
    allowed(empty_means_all=True, exact=True)(draft, key, names)


def target(draft: Draft, key: str, value: JsonValue) -> None:
    """An address, or a command with its arguments."""
    if isinstance(value, str) and is_web_address(value):
        draft.take("url", value, (key,))
    else:
        command(draft, key, value)


def typed_token(draft: Draft, key: str, value: JsonValue) -> None:
    """LiteLLM's token: `auth_type` says in which header, and how, it is sent."""
    kind = str(draft.raw.get("auth_type") or "none").lower()
    header, scheme = _TOKENS.get(kind, ("", ""))
    if isinstance(value, str) and value and header:
        draft.put("headers", header, f"{scheme}{value}", (key,))
    elif value not in (None, ""):
        draft.report((key,), f"how {key!r} is sent is not known", "no-effect", fix="put it under 'headers'",
                     severity="warning")  # fmt: skip


def auto_start(draft: Draft, key: str, value: JsonValue) -> None:
    """Whether the server is connected when the client starts."""
    if isinstance(value, bool):
        draft.set_option("autoStart", value, (key,))
    elif value is not None:
        draft.report((key,), f"{key!r} must be true or false", "bad-value")


def transport(draft: Draft, key: str, value: JsonValue) -> None:
    """What the client calls the transport."""
    if value in (None, ""):  # strict clients write every key
        return
    kind = TYPES.get(value.strip().lower()) if isinstance(value, str) else None
    if kind is not None:
        draft.take("type", kind, (key,))
        return
    known = "'stdio', 'http' (streamable HTTP) or 'sse'"
    what = _FOREIGN_TYPES.get(value.lower()) if isinstance(value, str) else None
    if what is not None:
        draft.report((key,), f"{key} {value!r} is {what}", "unknown-type")
        return
    fix = did_you_mean(value, list(TYPES)) if isinstance(value, str) else ""
    draft.report((key,), f"unknown {key} {value!r}; it can be {known}", "unknown-type", fix=fix)


def address(kind: str = "") -> Reading:
    """The address of a server; `kind` is the transport that the key stands for, if any."""

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        if value in (None, ""):  # strict clients write every key
            return
        if key == "url" and draft.raw.get("httpUrl"):  # Gemini CLI then uses that one
            draft.report((key,), f"'httpUrl' counts, and {key!r} does not", "no-effect", severity="warning")
            return
        draft.take("url", value, (key,))
        if kind and "type" not in draft.raw:
            draft.entry.setdefault("type", kind)

    return read


def command(draft: Draft, key: str, value: JsonValue) -> None:
    """A program: a text, a text with its arguments in it, a list, or an object with `path`, `args` and `env`."""
    if value in (None, ""):  # strict clients write every key
        return
    if isinstance(value, list):
        _command_list(draft, key, cast("list[JsonValue]", value))
    elif isinstance(value, dict):
        _command_object(draft, key, cast("JsonObject", value))
    elif isinstance(value, str) and _is_line(value):
        _split(draft, key, value)
    else:
        draft.take("command", value, (key,))


def _command_list(draft: Draft, key: str, words: Sequence[JsonValue]) -> None:
    if not words:
        draft.report((key,), f"{key!r} must name a program", "bad-value")
        return
    draft.take("command", words[0], (key, 0))
    _prepend(draft, words[1:], [(key, index) for index in range(1, len(words))])


def _command_object(draft: Draft, key: str, fields: JsonObject) -> None:
    for field, part in fields.items():
        match field:
            case "path" | "command":
                draft.take("command", part, (key, field))
            case "args" if isinstance(part, list):
                inner = cast("list[JsonValue]", part)
                _prepend(draft, inner, [(key, field, index) for index in range(len(inner))])
            case "env" if isinstance(part, dict):
                draft.merge("env", cast("JsonObject", part), (key, field))
            case "timeout":  # Zed
                with draft.below(key) as inner:
                    seconds_if_likely(inner, field, part)
            case _ if part is not None:
                draft.report((key, field), f"{field!r} under {key!r} is not read", "unknown-key", severity="warning")
            case _:
                pass


def _is_line(text: str) -> bool:
    """Whether `text` is a command with its arguments, rather than the path of a program with a space in it."""
    words = text.split()
    if len(words) < 2:
        return False
    first = text.strip().partition(" ")[0]
    if first[0] in "\"'":
        return True
    if "/" not in first and "\\" not in first:
        return True
    if WINDOWS_PATH.match(first):  # "C:\Program Files\node.exe" is one path, "C:\node.exe -y x" a line
        return " -" in text
    # A path: "/opt/My App/run" has its last separator behind the space, "/usr/bin/npx -y x" before it.
    rest = text.strip()[len(first) :]
    return not PurePath(first).is_absolute() or rest.lstrip().startswith("-")


def _split(draft: Draft, key: str, text: str) -> None:
    if _SHELL.search(text):
        fix = 'write "command": "sh", "args": ["-c", …], with the line as it is instead of …'
        draft.report((key,), f"{key!r} is a line for a shell, and no shell reads it", "shell-line", fix=fix)
        return
    try:
        if WINDOWS_PATH.match(text.strip()):  # its backslashes and spaces are its own, up to the first option
            program, _, options = text.strip().partition(" -")
            words = [program.strip(), *shlex.split(f"-{options}", posix=False)]
        else:
            words = shlex.split(text)
    except ValueError:
        fix = "write the program under 'command' and each argument separately under 'args'"
        draft.report((key,), f"{key!r} has a quote that is not closed", "bad-value", fix=fix)
        return
    draft.take("command", words[0], (key,))
    _prepend(draft, list(words[1:]), [(key,)] * (len(words) - 1))


def arguments(draft: Draft, key: str, value: JsonValue) -> None:
    """The arguments; they follow those that the command has."""
    if value is None:
        return
    if isinstance(value, list) and isinstance(draft.entry.get("args"), list):
        before = cast("list[JsonValue]", draft.entry["args"])
        for index in range(len(cast("list[JsonValue]", value))):
            draft.origins["args", len(before) + index] = (key, index)
        draft.entry["args"] = [*before, *cast("list[JsonValue]", value)]
    else:
        draft.take("args", value, (key,))


def _prepend(draft: Draft, words: Sequence[JsonValue], places: Sequence[tuple[str | int, ...]]) -> None:
    later = draft.entry.get("args")
    rest = cast("list[JsonValue]", later) if isinstance(later, list) else []
    draft.entry["args"] = [*words, *rest]
    for index in range(len(rest)):
        draft.origins["args", len(words) + index] = ("args", index)
    for index, place in enumerate(places):
        draft.origins["args", index] = place


def environment_names(draft: Draft, key: str, value: JsonValue) -> None:
    """Names of variables that the server inherits; one that is not set is left out."""
    if value is None:
        return
    for index, item in enumerate(as_list(value) if isinstance(value, list) else [None]):
        fields = as_object(item) or {"name": item}
        name = fields.get("name")
        if not isinstance(name, str) or not name:
            draft.report((key,), f"{key!r} must be a list of variables' names", "bad-value")
            return
        if fields.get("source") not in (None, "local"):
            draft.report(
                (key, index),
                f"the variable {name!r} is to come from another machine, which Ostler cannot do",
                "no-effect",
                severity="warning",
            )
            continue
        draft.put("env", name, f"${{env:{name}}}", (key, index))


def bearer_variable(draft: Draft, key: str, value: JsonValue) -> None:
    """The variable whose value is sent as a bearer token."""
    if isinstance(value, str) and value:
        draft.put("headers", "Authorization", f"Bearer ${{{value}}}", (key,))
    elif value is not None:
        draft.report((key,), f"{key!r} must be the name of a variable", "bad-value")


def theia_token(draft: Draft, key: str, value: JsonValue) -> None:
    """Theia's token: sent as it is in the header that another key of the entry names, else as a bearer token."""
    header = draft.raw.get("serverAuthTokenHeader")
    if isinstance(value, str) and value and isinstance(header, str) and header:
        draft.put("headers", header, value, (key,))
    else:
        bearer_token(draft, key, value)


def token_variable(draft: Draft, key: str, value: JsonValue) -> None:
    """The variable whose value is sent in the header, and in the form, that other keys of the entry name."""
    if isinstance(value, str) and value:
        header = str(draft.raw.get("api_key_header") or "Authorization")
        form = str(draft.raw.get("api_key_format") or "Bearer {token}")
        draft.put("headers", header, form.replace("{token}", f"${{env:{value}}}"), (key,))
    elif value not in (None, ""):
        draft.report((key,), f"{key!r} must be the name of a variable", "bad-value")


def bearer_token(draft: Draft, key: str, value: JsonValue) -> None:
    """A bearer token, also with that word before it."""
    if isinstance(value, str) and value:
        draft.put("headers", "Authorization", f"Bearer {_BEARER.sub('', value.strip())}", (key,))


def header_variables(draft: Draft, key: str, value: JsonValue) -> None:
    """Headers whose values are in variables; one that is not set is left out."""
    if not isinstance(value, dict):
        if value is not None:
            draft.report((key,), f"{key!r} must be an object of variables' names by header", "bad-value")
        return
    headers = {name: f"${{env:{variable}}}" for name, variable in cast("JsonObject", value).items()}
    draft.merge("headers", headers, (key,))


def request_options(draft: Draft, key: str, value: JsonValue) -> None:
    """Continue's `requestOptions`: its headers and its timeout are used, the rest is reported."""
    for field, part in as_object(value).items():
        if field == "headers" and isinstance(part, dict):
            draft.merge("headers", cast("JsonObject", part), (key, field))
        elif field == "timeout":
            with draft.below(key) as inner:
                milliseconds("timeout")(inner, field, part)
        elif part not in (None, {}, True):
            draft.report(
                (key, field), f"{key}.{field} has no effect in Ostler", "no-effect",
                fix="Ostler takes proxies and certificates from the environment: HTTPS_PROXY, SSL_CERT_FILE",
                severity="warning",
            )  # fmt: skip


def _names(draft: Draft, key: str, value: JsonValue) -> Sequence[str] | None:
    if value is None:
        return None
    names = as_texts(value)
    if names != value:
        draft.report((key,), f"{key!r} must be a list of tool names", "limit")
    return names


def _tool(name: str) -> str:
    """Return the tool's name alone: Gemini CLI writes `tool(arguments)` too."""
    return name.partition("(")[0].strip() if name.endswith(")") else name


def _with_key(text: str, key: str) -> str:
    return text.replace("{key!r}", repr(key))


def _same(value: JsonValue, other: JsonValue) -> bool:
    return type(value) is type(other) and value == other
