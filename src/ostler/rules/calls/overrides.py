"""An instance's overrides: the class with those changes, as if it had been written with them."""

import json
from typing import Any

from ostler.model.errors import ArgumentError
from ostler.model.json import JsonObject
from ostler.model.manifest import ServiceClass
from ostler.model.projects import Overrides
from ostler.model.tool_names import PROCESS_SERVER
from ostler.rules.templates.template import is_template

START_TOOL = f"{PROCESS_SERVER}/start"
"""The start tool whose `env` is known to be environment variables."""

ENVIRONMENT_ARG = "environment"
"""The arg that classes of programs take variables by."""


def overridden_args(service_class: ServiceClass, overrides: Overrides, args: JsonObject) -> JsonObject:
    """Return `args` with the variables of `overrides`, if the class takes variables by its arg `environment`.

    Raises:
        ArgumentError: there are variables, and the class has no place for them.
    """
    if not overrides.env or not _takes_environment(service_class):
        return args
    given: Any = args.get(ENVIRONMENT_ARG) or {}
    if not isinstance(given, dict):
        raise ArgumentError([f"{ENVIRONMENT_ARG} must be an object, got {given!r}"])
    return {**args, ENVIRONMENT_ARG: _merged(given, overrides)}  # pyright: ignore[reportUnknownArgumentType]


def overridden(service_class: ServiceClass, overrides: Overrides) -> ServiceClass:
    """Return `service_class` with the changes of `overrides` in it.

    Raises:
        ArgumentError: the class has no place for one of them.
    """
    if overrides.is_empty:
        return service_class
    manifest = service_class.model_dump(mode="json", by_alias=True, exclude_unset=True)  # all new: it may be changed
    config: JsonObject = manifest["spec"]["serviceConfig"]
    if overrides.depends_on:
        config["dependencies"] = [*config.get("dependencies", []), *_dependencies(overrides)]
    for key, value in (("restartPolicy", overrides.restart_policy), ("healthCheck", overrides.health_check)):
        if value is not None:
            config[key] = value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if overrides.idle_stop is not None:
        if service_class.tools.start.server != PROCESS_SERVER:
            problem = f"idleStop: class {service_class.name!r} starts by {service_class.tools.start.tool!r}"
            fix = "leave idleStop out: the use of local processes alone can be seen, which process/start starts"
            raise ArgumentError([problem], next_actions=(fix,))
        config["idleStop"] = overrides.idle_stop.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if overrides.env and not _takes_environment(service_class):
        _set_environment(service_class.name, config["lifecycleTools"], overrides)
    return ServiceClass.model_validate(manifest)


def _dependencies(overrides: Overrides) -> list[JsonObject]:
    return [
        {"name": name, "alias": name.partition(".")[0].replace("-", "_"), "condition": need.condition}
        | ({} if need.required else {"required": False})
        for name, need in overrides.depends_on.items()
    ]


def _takes_environment(service_class: ServiceClass) -> bool:
    arg = service_class.spec.args.get(ENVIRONMENT_ARG)
    return arg is not None and arg.type == "object"


def _set_environment(class_name: str, tools: JsonObject, overrides: Overrides) -> None:
    """Put the variables into the start call, and into the restart call if that has the same tool."""
    calls = [call for call in (tools["start"], tools.get("restart")) if call and call["tool"] == START_TOOL]
    if tools["start"]["tool"] != START_TOOL:
        problem = (
            f"env: class {class_name!r} starts by {tools['start']['tool']!r}, which is not known to take variables"
        )
        fix = f"give the class an arg {ENVIRONMENT_ARG!r} of type object, and use it in its start tool"
        raise ArgumentError([problem], next_actions=(fix,))
    for call in calls:
        present: Any = call.setdefault("args", {}).get("env") or {}
        if not isinstance(present, dict):
            problem = f"env: class {class_name!r} makes the variables of its start tool by a template"
            fix = f"give the class an arg {ENVIRONMENT_ARG!r} of type object, and use it there"
            raise ArgumentError([problem], next_actions=(fix,))
        call["args"]["env"] = {**present, **{k: _literal(v) for k, v in _merged({}, overrides).items()}}


def _merged(given: JsonObject, overrides: Overrides) -> JsonObject:
    return {name: text for name, text in {**given, **overrides.env}.items() if text is not None}


def _literal(text: str) -> str:
    """Return what a template engine renders as exactly `text`."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if is_template(text) else text
