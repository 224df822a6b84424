"""The tool calls of a muster manifest: tool names, args, expectations and outputs."""

import re

from ostler.model.json import JsonMapping, JsonObject, JsonValue, KeyPath
from ostler.rules.answers.queries import key_expression
from ostler.rules.muster.joined_names import ToolNameError, missing_tool, resolve_tool
from ostler.rules.muster.sheet import Sheet, has_template, is_mapping

_COMPARED = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?)\s*")
_PLAIN_PATH = re.compile(r"[\w.\-\[\]/]+")
_OLD_KEYS = {"expect_not": "expectNot"}


def translate_call(sheet: Sheet, path: KeyPath, call: JsonMapping) -> JsonObject:
    """Return a call with its tool named as `server/tool` and its templates translated; outputs stay as they are."""
    made: JsonObject = {}
    for key, value in call.items():
        if key in _OLD_KEYS and _OLD_KEYS[key] not in call:
            sheet.moved((*path, _OLD_KEYS[key]), (*path, key))
            made[_OLD_KEYS[key]] = value
        else:
            made[key] = value
    if isinstance(tool := made.get("tool"), str):
        made["tool"] = _tool(sheet, (*path, "tool"), tool)
    if is_mapping(args := made.get("args")):
        made["args"] = {key: _value(sheet, (*path, "args", key), value) for key, value in args.items()}
    for key in ("expect", "expectNot"):
        if is_mapping(expectation := made.get(key)):
            made[key] = _expectation(sheet, (*path, key), expectation)
    return made


def translate_outputs(sheet: Sheet, path: KeyPath, step: str, outputs: JsonMapping) -> JsonObject:
    """Return a call's outputs, taken as muster did: one that is not in the answer fails only what needs it."""
    made: JsonObject = {}
    for name, source in outputs.items():
        place = (*path, "outputs", name)
        if has_template(source):
            made[name] = sheet.template(place, source)
        elif not isinstance(source, str):
            made[name] = source
        elif step in ("start", "restart") and ("start", name) in sheet.names.used:
            made[name] = jmespath_of(source)
        else:
            sheet.moved((*place, "path"), place)
            made[name] = {"path": jmespath_of(source), "required": False}
    return made


def jmespath_of(path: str) -> str:
    """Return one of muster's dotted paths as JMESPath: names with a dash in quotes, no leading `$.`."""
    path = path.removeprefix("$.")
    if not _PLAIN_PATH.fullmatch(path):
        return path
    parts: list[str] = []
    for part in path.split("."):
        name, bracket, rest = part.partition("[")
        parts.append((key_expression(name) if name else "") + bracket + rest)
    return ".".join(parts)


def _value(sheet: Sheet, path: KeyPath, value: JsonValue) -> JsonValue:
    return sheet.templates(path, sheet.raw(path, value))


def _tool(sheet: Sheet, path: KeyPath, tool: str) -> str:
    try:
        resolved = resolve_tool(tool, sheet.known)
    except ToolNameError as error:
        sheet.find(path, "muster-tool", error.summary, error.fix)
        return missing_tool(tool)
    if resolved.is_guess and sheet.known.servers:
        server = resolved.tool.partition("/")[0]
        message = f"no downstream server is known that {tool!r} could be of; it is taken as {resolved.tool!r}"
        fix = f"call the server {server!r} in mcp.json, or write 'server/tool' here"
        sheet.find(path, "muster-tool", message, fix)
    return resolved.tool


def _expectation(sheet: Sheet, path: KeyPath, expectation: JsonMapping) -> JsonObject:
    made: JsonObject = dict(expectation)
    if "json_path" in made and "jsonPath" not in made:
        sheet.moved((*path, "jsonPath"), (*path, "json_path"))
        made["jsonPath"] = made.pop("json_path")
    if not is_mapping(conditions := made.get("jsonPath")):
        return made
    equal: JsonObject = {}
    compared: list[JsonValue] = []
    for key, value in conditions.items():
        place, jmespath = (*path, "jsonPath", key), jmespath_of(key)
        wanted = sheet.raw(place, value)
        if isinstance(wanted, str) and (match := _COMPARED.fullmatch(wanted)):
            compared.append(f"{jmespath} {match[1]} `{match[2]}`")
            continue
        sheet.moved((*path, "jsonPath", jmespath), place)
        equal[jmespath] = sheet.templates((*path, "jsonPath", jmespath), wanted)
    if compared:
        sheet.moved((*path, "jmespath"), (*path, "jsonPath"))
        made["jmespath"] = compared if len(compared) > 1 else compared[0]
    if equal or not compared:
        made["jsonPath"] = equal
    else:
        del made["jsonPath"]
    return made
