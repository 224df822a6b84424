"""How keys that limit a server are read: rules for single tools, and keys that no client is known to write.

An unknown key that speaks of a limit refuses its entry; any other is reported.
"""

import re
from collections.abc import Mapping
from typing import Final, cast

from ostler.adapters.config.dialects.draft import Draft, Reading, exactly
from ostler.adapters.config.dialects.readings import allowed, auto_start, denied, passed, refused, switch
from ostler.adapters.config.dialects.times import milliseconds
from ostler.model.json import JsonObject, JsonValue, as_object, as_texts

LIMITING: Final = re.compile(
    r"allow|den[yi]|disabl|enabl|block|exclu|includ|restrict|sandbox|permission|read_?only|approv|polic|list$"
    r"|forbid|isolat|confine|scope|filter|guard|safe|trust|limit|secur|profile|capabilit"
    r"|hid(e|den)|ignor|omit|skip|suppress|select|^only|only$|confirm|consent|quota|throttl|privileg|jail|chroot"
    r"|network|container|docker|^run_?as|^(user|uid|gid|os|when|platforms?)$|expir"
    r"|tool(?!_?(prefix|count|description|s?_?count))|max_?(calls|requests|concurren|response|output|tokens|memory)"
    r"|always_?ask|^ask|^roots?$|per_?(second|minute|hour|day)|access_?(group|level|mode|rule|control|right)",
    re.IGNORECASE,
)
"""Words that speak of a limit."""

_OFF: Final = frozenset({
    "disabled", "off", "inactive", "blocked", "denied", "paused", "deactivated", "suspended", "deleted",
})  # fmt: skip
_DEPTH: Final = 3

_MODES: Final = frozenset({"approval_mode", "permission_policy", "permission", "policy"})
_SWITCHES: Final = frozenset({"enabled", "disabled"})
_DESCRIBING: Final = frozenset({"name", "title", "description"})
_PERMITTED: Final = frozenset({"auto", "approve", "allow", "allowed", "always_allow"})
_FORBIDDEN: Final = frozenset({"deny", "denied", "block", "blocked", "reject", "always_deny", "never"})
_ASKED: Final = frozenset({"prompt", "writes", "ask", "always_ask", "confirm"})
_LISTS: Final[Mapping[str, Reading]] = {
    **dict.fromkeys(("include", "included", "allow", "allowed", "only", "enabled"), allowed()),
    **dict.fromkeys(("exclude", "excluded", "deny", "denied", "block", "blocked", "disabled"), denied()),
}
_ALL_MODES: Final = _PERMITTED | _FORBIDDEN | _ASKED
_OFFERED: Final = frozenset({"resources", "prompts"})
"""What Hermes also switches under `tools`; Ostler passes neither on."""
_SURFACES: Final = frozenset({"direct", "deferred", "code_mode"})


def approvals(draft: Draft, key: str, value: JsonValue) -> None:
    """Modes by tool: a tool that a person must approve is denied, since Ostler cannot ask.

    They are an object by tool (Codex, MCPHub) or a list of objects with names (Claude Code); a list of names has the
    only tools that may be called.
    """
    if isinstance(value, list):
        items = cast("list[JsonValue]", value)
        if not any(isinstance(item, dict) for item in items):
            allowed()(draft, key, value)
            return
        for index, item in enumerate(items):
            fields = as_object(item)
            name = fields.get("name")
            if isinstance(name, str):
                _tool(draft, (key, index), name, fields)
            else:
                draft.report((key, index), f"{key!r} does not say which tool it limits", "limit", fix="remove it")
    elif isinstance(value, dict):
        fields = cast("JsonObject", value)
        lists = {name for name, one in fields.items() if name.lower() in _LISTS and _is_names(one)}
        for name, settings in fields.items():
            if name in lists:  # of names, and no tool
                _LISTS[name.lower()](draft, key, [settings] if isinstance(settings, str) else settings)
            elif not (lists and name in _OFFERED and isinstance(settings, bool)):
                _tool(draft, (key, name), name, settings)
    elif value is not None:
        draft.report((key,), f"{key!r} must be an object of modes by tool", "limit")


def _is_names(value: JsonValue) -> bool:
    """Whether the value is a list of names, or one name and not how its calls are approved."""
    return isinstance(value, list) or (isinstance(value, str) and value not in _ALL_MODES)


def _tool(draft: Draft, at: tuple[str | int, ...], name: str, settings: JsonValue) -> None:
    names = [exactly(name)]
    own = re.fullmatch(rf"{re.escape(draft.server)}[^A-Za-z0-9]+(?P<tool>.+)", name) if draft.server else None
    if own is not None and "mcphub" in draft.clients:  # which writes the server's name before the tool's
        names.append(exactly(own["tool"]))
    if isinstance(settings, bool):
        draft.deny([] if settings else names)
        return
    if not isinstance(settings, str | dict):
        draft.report(at, f"what {name!r} limits is not known", "limit", fix="remove it, or write true or false")
        return
    if isinstance(settings, str) and settings not in _ALL_MODES:
        draft.report(at, f"what {settings!r} says of the tool {name!r} is not known", "limit", fix="remove it")
        return
    fields = cast("JsonObject", settings) if isinstance(settings, dict) else {"approval_mode": settings}
    for field, setting in fields.items():
        mode = setting if field in _MODES and isinstance(setting, str) else ""
        if field in _DESCRIBING or setting is None or mode in _PERMITTED:
            continue
        if mode in _ASKED:
            draft.deny(names)
            draft.report(
                (*at, field) if isinstance(settings, dict) else at,
                f"tool {name!r} is to be approved by a person each time, which Ostler cannot ask for; it is denied",
                "approval",
                fix="remove it if the tool may be called without approval",
                severity="warning",
            )
        elif mode in _FORBIDDEN or (field in _SWITCHES and setting is (field == "disabled")):
            draft.deny(names)
        elif not (field in _SWITCHES and isinstance(setting, bool)):
            draft.report((*at, field), f"what {field!r} limits is not known", "limit", fix="remove it")


def tool_filter(draft: Draft, key: str, value: JsonValue) -> None:
    """Globs under `include` and `exclude` (OpenClaw), or a `mode` and a `list` of names (mcp-proxy)."""
    fields = as_object(value)
    mode = fields.get("mode")
    if value in (None, {}):
        return
    if fields.keys() == {"mode", "list"} and mode in ("allow", "block"):
        reading = allowed(empty_means_all=True) if mode == "allow" else denied()
        reading(draft, key, fields["list"])
    elif fields and fields.keys() <= {"include", "exclude"}:
        allowed(globs=True)(draft, key, fields.get("include"))
        denied(globs=True)(draft, key, fields.get("exclude"))
    else:
        draft.report((key,), f"what {key!r} limits is not known", "limit", fix="write 'include' or 'exclude' in it")


_REMARKS: Final = ("_", "//", "#")
"""How the names of keys begin that people write as comments, and clients for themselves."""

_OPTIONS: Final[Mapping[str, Reading]] = {
    "autoStart": auto_start,
    "suppressedTools": denied(),
    "toolFilter": tool_filter,
    "disabled": switch(off=True),
    "timeout": milliseconds("timeout"),
    "authTokens": refused(
        "{key!r} says who may call the server through the proxy, which Ostler does not decide by server",
        "remove it if everyone who may use Ostler may call the server",
        unless=([],),
    ),
    **dict.fromkeys(
        ("resetTimeoutOnProgress", "maxTotalTimeout", "panicIfInvalid", "logEnabled", "pingInterval"), passed
    ),
}
"""What MCPHub and mcp-proxy write under `options`, and AnythingLLM under `anythingllm`."""


def options(draft: Draft, key: str, value: JsonValue) -> None:
    """Settings of one server in an object of their own."""
    if not isinstance(value, dict):
        unknown(draft, key, value)
        return
    with draft.below(key) as inner:
        for field, part in cast("JsonObject", value).items():
            _OPTIONS.get(field, unknown)(inner, field, part)


def development(draft: Draft, key: str, value: JsonValue) -> None:
    """How VS Code and MCP Hub restart a server that is worked on, and debug it."""
    if value in (None, False, {}):
        return
    if as_object(value).keys() <= {"watch", "debug", "enabled", "cwd"}:
        draft.report((key,), f"{key!r} has no effect in Ostler", "no-effect", severity="note")
    else:
        unknown(draft, key, value)


def offers(draft: Draft, key: str, value: JsonValue) -> None:
    """The prompts or resources of a server that MCPHub shows or hides; Ostler passes none on."""
    parts = [as_object(part) for part in as_object(value).values()]
    if value and not (parts and all(part and part.keys() <= {"enabled", "description"} for part in parts)):
        unknown(draft, key, value)


def unknown(draft: Draft, name: str, value: JsonValue, fix: str = "") -> None:
    """Report a key that is not known, unless it is a comment; one that speaks of a limit refuses the entry."""
    if limiting := speaks_of_limit(name, value):
        message = f"{limiting!r} may limit the server in a way that Ostler does not know, so the entry is not used"
        fix = fix or "remove it, or limit with 'allowTools' and 'denyTools' under 'ostler'"
        draft.report((name,), message, "limit", fix=fix)
    elif not name.startswith(_REMARKS):
        draft.report((name,), f"unknown key {name!r} is ignored", "unknown-key", fix=fix, severity="warning")


def default_approval(draft: Draft, key: str, value: JsonValue) -> None:
    """Codex's `default_tools_approval_mode`: a person must approve every call, or those that write."""
    if value in (None, "auto", "approve"):
        return
    draft.report(
        (key,),
        f"{key!r} wants a person to approve calls, which Ostler cannot ask for, so the entry is not used",
        "limit",
        fix='set it to "auto" if the tools may be called without approval, or name them in enabled_tools',
    )


def projected(draft: Draft, key: str, value: JsonValue) -> None:
    """OpenClaw's `codex`: which of its agents have the server, and how calls are approved where it runs Codex."""
    if value is not None and not isinstance(value, dict):
        unknown(draft, key, {"agents": value, "approval": value})
        return
    with draft.below(key) as inner:
        for field, part in as_object(value).items():
            match field:
                case "defaultToolsApprovalMode":
                    default_approval(inner, field, part)
                case "agents":
                    what = f"{field!r} gives the server to some agents alone, which Ostler does not know"
                    inner.report((field,), what, "limit", fix="remove it if every agent may use the server")
                case _:
                    unknown(inner, field, part)


def surfaces(draft: Draft, key: str, value: JsonValue) -> None:
    """Codex's `omit_tools_from`: the ways in which its model does not get the tools; all of them switch them off."""
    names = as_texts(value)
    if value is not None and (names != value or not set(names) <= _SURFACES):
        draft.report((key,), f"what {key!r} limits is not known", "limit", fix="remove it")
    elif set(names) >= _SURFACES:
        draft.disable()
    elif names:
        draft.report((key,), f"{key!r} has no effect in Ostler", "no-effect", severity="note")


def speaks_of_limit(name: str, value: JsonValue) -> str:
    """Return the part of a key or its value that may limit the server, "" where none does; objects are searched."""
    return _limit_in(name, value, _DEPTH)


def _limit_in(name: str, value: JsonValue, depth: int) -> str:
    if value in (None, [], {}):
        return ""
    if LIMITING.search(name) or (isinstance(value, str) and value.lower() in _OFF):
        return name
    if not isinstance(value, dict) or depth == 0:
        return ""
    found = (_limit_in(key, item, depth - 1) for key, item in cast("JsonObject", value).items())
    inner = next((part for part in found if part), "")
    return f"{name}.{inner}" if inner else ""
