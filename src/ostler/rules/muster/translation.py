"""A manifest of muster turned into one of Ostler, every value with the place where it stood."""

from pathlib import PurePath
from typing import get_args

from ostler.model.json import JsonMapping, JsonObject, JsonValue, KeyPath
from ostler.model.manifest import API_VERSION, ArgSpec, OutputSpec
from ostler.model.tool_names import ToolNames
from ostler.rules.checking.names import CONFIG, TOOLS
from ostler.rules.loading.manifest_formats import Translation
from ostler.rules.muster.calls import translate_call, translate_outputs
from ostler.rules.muster.dependencies import dependency_names, translate_dependencies
from ostler.rules.muster.health import translate_health, translate_timeouts
from ostler.rules.muster.leftovers import without_nothing, without_unknown_keys
from ostler.rules.muster.sheet import Sheet, calls_of, is_list, is_mapping, mapping
from ostler.rules.muster.template_names import ManifestNames
from ostler.rules.text.yaml_source import Document, with_value

_OBJECT_KEYS = frozenset({
    "namespace", "annotations", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields",
    "ownerReferences", "finalizers", "generateName", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds",
})  # fmt: skip
"""Keys of `metadata` that are Kubernetes' business."""

_NEVER_HAD = frozenset({
    "scaling", "monitoring", "statusMonitoring", "failoverConfig", "multiRegionConfig", "persistence", "operations",
})  # fmt: skip
"""Keys of `serviceConfig` that muster's documentation shows, and that neither it nor Ostler acts on."""

_TYPES: tuple[str, ...] = get_args(ArgSpec.model_fields["type"].annotation)

_FILES = (".yaml", ".yml", ".json")

_HOOKS = ("postStart", "preStop")


def translate_manifest(document: Document, known: ToolNames, version: str) -> Translation:
    """Return the ostler/v1 manifest of a ServiceClass of muster.

    What is not understood is passed on unchanged, so that the checks of ostler/v1 report it.

    Args:
        document: muster's manifest.
        known: the downstream servers and tools, to tell apart what muster's tool names run together.
        version: the apiVersion of the form.
    """
    sheet = Sheet(document, known)
    manifest: JsonObject = {key: value for key, value in mapping(document.value).items() if key != "status"}
    if "apiVersion" not in manifest:
        message = "there is no apiVersion; it is read as muster's, as its tools have names of muster"
        sheet.find((), "missing-key", message, f"write 'apiVersion: {version}'", is_certain=False)
    manifest = {"apiVersion": "", "kind": "ServiceClass", **manifest}
    manifest["apiVersion"] = API_VERSION
    if is_mapping(metadata := manifest.get("metadata", {})):
        manifest["metadata"] = _metadata(sheet, metadata)
    if is_mapping(spec := without_nothing(manifest.get("spec"))):
        name = mapping(manifest.get("metadata")).get("name")
        manifest["spec"] = _spec(sheet, {key: value for key, value in spec.items() if (key, value) != ("name", name)})
    made = without_unknown_keys(sheet, with_value(document, manifest, sheet.origins))
    return Translation(made, tuple(sheet.findings), dict(sheet.origins))


def _metadata(sheet: Sheet, found: JsonMapping) -> JsonObject:
    """Return `metadata` without the keys of Kubernetes; a class without a name is named after its file."""
    metadata: JsonObject = {key: value for key, value in found.items() if key not in _OBJECT_KEYS}
    file = PurePath(sheet.document.file)
    if metadata.get("name") is None and file.suffix in _FILES:
        message = f"the class has no name; it is called {file.stem!r}, as its file is"
        sheet.find((), "missing-key", message, "write 'metadata.name'", is_certain=False)
        metadata["name"] = file.stem
    return metadata


def _spec(sheet: Sheet, spec: JsonObject) -> JsonObject:
    if is_mapping(args := spec.get("args")):
        spec["args"] = {name: _arg(sheet, name, arg) for name, arg in args.items()}
    if not spec.get("args"):
        spec["additionalArgs"] = True  # muster took any args where a class declares none
    if is_mapping(config := spec.get("serviceConfig")):
        spec["serviceConfig"] = _config(sheet, config, mapping(spec.get("args")))
    return spec


def _arg(sheet: Sheet, name: str, arg: JsonValue) -> JsonValue:
    if not is_mapping(arg):
        return arg
    path, found = ("spec", "args", name), dict(arg)
    kind = found.get("type", "string")
    if isinstance(kind, str) and kind not in _TYPES:
        message = f"{kind!r} is not a type of an arg; muster took every value there, here it is a text"
        sheet.find((*path, "type"), "bad-value", message, f"write one of {', '.join(_TYPES)}", is_certain=False)
        found["type"] = "string"
    if "default" in found:
        found["default"] = sheet.raw((*path, "default"), found["default"])
    return found


def _config(sheet: Sheet, found: JsonMapping, args: JsonMapping) -> JsonObject:
    config: JsonObject = {}
    for key, value in found.items():
        if key not in _NEVER_HAD:
            config[key] = value
            continue
        message = f"muster's documentation shows {key!r}, but nothing was ever done with it, nor is here"
        sheet.find((*CONFIG, key), "unknown-key", message, "remove it", at_key=True, is_certain=False)
    tools: JsonObject = dict(mapping(config.get("lifecycleTools")))
    _hooks(sheet, config, tools)
    translate_health(sheet, config, tools)
    sheet.names = _names(args, config, tools)
    _templates(sheet, config, tools)
    if tools:
        config["lifecycleTools"] = tools
    return {key: value for key, value in config.items() if value or key not in ("dependencies", "timeout", "outputs")}


def _templates(sheet: Sheet, config: JsonObject, tools: JsonObject) -> None:
    """Translate what has templates, the calls' outputs last: how they are taken depends on who uses them."""
    if is_mapping(timeout := config.get("timeout")):
        config["timeout"] = translate_timeouts(sheet, timeout)
    if "dependencies" in config:
        config["dependencies"] = translate_dependencies(sheet, config["dependencies"])
    for step, found_calls in tools.items():
        tools[step] = _calls(sheet, (*TOOLS, step), found_calls)
    if is_mapping(outputs := config.get("outputs")):
        config["outputs"] = {name: value for name, value in outputs.items() if not _is_nested(sheet, name, value)}
    for key in ("defaultName", "outputs"):
        if key in config:
            config[key] = sheet.templates((*CONFIG, key), config[key])
    for step, path, call in calls_of(tools):
        if isinstance(call, dict) and is_mapping(outputs := call.get("outputs")):
            call["outputs"] = translate_outputs(sheet, path, step, outputs)


def _is_nested(sheet: Sheet, name: str, value: JsonValue) -> bool:
    """Whether an output of the service has outputs inside, which are left out with a warning."""
    if not is_mapping(value) or value.keys() & OutputSpec.model_fields.keys():
        return False
    message = f"the output {name!r} has outputs inside, which is not possible here: it is left out"
    sheet.find((*CONFIG, "outputs", name), "bad-value", message, "write each as an output of its own", is_certain=False)
    return True


def _hooks(sheet: Sheet, config: JsonObject, tools: JsonObject) -> None:
    """Move `lifecycleHooks`, which muster's documentation shows, to the other tools."""
    path = (*CONFIG, "lifecycleHooks")
    if not is_mapping(hooks := config.get("lifecycleHooks")):
        return
    del config["lifecycleHooks"]
    for hook, calls in hooks.items():
        if hook not in _HOOKS:
            fix = "there are 'postStart' and 'preStop'"
            sheet.find((*path, hook), "unknown-key", f"there is no hook {hook!r}", fix, at_key=True, is_certain=False)
        elif hook in tools:
            message = f"{hook!r} is under lifecycleTools, too"
            sheet.find((*path, hook), "bad-value", message, "keep one of them", at_key=True)
        else:
            sheet.origins[*TOOLS, hook] = (*path, hook)
            tools[hook] = calls


def _names(args: JsonMapping, config: JsonMapping, tools: JsonMapping) -> ManifestNames:
    outputs: dict[str, frozenset[str]] = {}
    for step, _, call in calls_of(tools):
        if "[" not in step:  # what a hook answers is kept nowhere
            outputs[step] = frozenset(mapping(call.get("outputs")))
    specs = {name: mapping(arg) for name, arg in args.items()}
    return ManifestNames(specs, outputs, dependency_names(config.get("dependencies")), is_open=not args)


def _calls(sheet: Sheet, path: KeyPath, found: JsonValue) -> JsonValue:
    if is_mapping(found):
        return translate_call(sheet, path, found)
    if is_list(found):
        return [
            translate_call(sheet, (*path, index), call) if is_mapping(call) else call
            for index, call in enumerate(found)
        ]
    return found
