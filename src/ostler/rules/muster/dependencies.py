"""The dependencies of a muster manifest: the classes it names, and the form its documentation shows."""

import json
import re
from collections.abc import Iterator

from ostler.model.json import JsonMapping, JsonObject, JsonValue, KeyPath
from ostler.rules.checking.names import CONFIG
from ostler.rules.muster.sheet import Sheet, has_template, is_list, is_mapping

_WAITS = {
    "started": "started", "running": "started", "ready": "started", "healthy": "healthy",
    "completed": "completed", "succeeded": "completed", "stopped": "completed",
}  # fmt: skip


def dependency_names(dependencies: JsonValue) -> dict[str, str]:
    """Return how templates may call each dependency → its alias in Ostler."""
    aliases: dict[str, str] = {}
    for _, names in _named(dependencies):
        for name in names:
            aliases.setdefault(name, names[0])
    return aliases


def _named(dependencies: JsonValue) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield (index, names) of each dependency that has a name known before it runs, the alias first."""
    for index, entry in enumerate(dependencies if is_list(dependencies) else ()):
        parts: list[JsonValue] = [entry]
        if is_mapping(entry):
            name = entry.get("name")
            suffix = name.rpartition("}}")[2].strip("-_ ") if isinstance(name, str) else ""
            parts = [entry.get("alias"), suffix, entry.get("serviceClassName"), name]
        texts = [part for part in parts if isinstance(part, str) and part]
        if names := tuple(part.replace("-", "_") for part in texts if not has_template(part)):
            yield index, names


def translate_dependencies(sheet: Sheet, dependencies: JsonValue) -> JsonValue:
    """Return `serviceConfig.dependencies`: a text names a class, an object the service to make of one."""
    if not is_list(dependencies):
        return dependencies
    aliases = {index: names[0] for index, names in _named(dependencies)}
    made: list[JsonValue] = []
    for index, entry in enumerate(dependencies):
        path = (*CONFIG, "dependencies", index)
        if isinstance(entry, str):
            key = "name" if has_template(entry) else "serviceClassName"
            made.append({key: sheet.template(path, entry), **({} if key == "name" else _need(sheet, entry))})
            sheet.moved((*path, key), path)
        elif is_mapping(entry):
            made.append(_dependency(sheet, path, entry, aliases.get(index, "")))
        else:
            made.append(entry)
    return made


def _need(sheet: Sheet, class_name: str) -> JsonObject:
    """Return whether a service of a named class must exist: muster started without it, so only where one is used."""
    used = re.escape(class_name).replace("\\-", "[-_]")
    text = json.dumps(sheet.document.value, default=str)
    return {} if re.search(rf"\bdependencies\.{used}\b", text) else {"required": False}


def _dependency(sheet: Sheet, path: KeyPath, entry: JsonMapping, alias: str) -> JsonObject:
    made: JsonObject = dict(entry)
    _condition(sheet, path, made)
    for key in ("name", "args"):
        if key in made:
            made[key] = sheet.templates((*path, key), made[key])
    if isinstance(when := made.get("when"), str):
        made["when"] = sheet.template((*path, "when"), when, is_condition=True)
    if "serviceClassName" in made:
        made.setdefault("create", True)
        sheet.moved((*path, "create"), (*path, "serviceClassName"))
    own_alias = str(made.get("serviceClassName") or made.get("name") or "").replace("-", "_")
    if alias not in ("", own_alias):
        made.setdefault("alias", alias)
        sheet.moved((*path, "alias"), (*path, "name"))
    return made


def _condition(sheet: Sheet, path: KeyPath, made: JsonObject) -> None:
    """`condition` is when the dependency is wanted, `waitFor` how far it must be."""
    condition = made.get("condition")
    if isinstance(condition, bool) or has_template(condition):
        del made["condition"]
        if condition is not True:
            made.setdefault("when", "false" if condition is False else condition)
            sheet.moved((*path, "when"), (*path, "condition"))
    if "waitFor" not in made:
        return
    wait = made.pop("waitFor")
    if not isinstance(wait, str) or wait not in _WAITS:
        fix = f"write one of {', '.join(sorted(_WAITS))}"
        sheet.find((*path, "waitFor"), "bad-value", f"'waitFor: {wait}' is not known", fix)
    elif "condition" in made:
        message = "'waitFor' and 'condition' say the same"
        sheet.find((*path, "waitFor"), "bad-value", message, "keep one of them", at_key=True)
    else:
        made["condition"] = _WAITS[wait]
        sheet.origins[*path, "condition"] = (*path, "waitFor")
