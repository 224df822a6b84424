"""ServiceClasses as the JSON of tools."""

import json
import re
import textwrap

from ostler.engine.classes.catalogue import ClassDirectory, ClassEntry
from ostler.model.durations import format_duration
from ostler.model.json import JsonObject, JsonValue, present
from ostler.model.manifest import ArgSpec, DependencySpec

_MAX_CHOICES = 5
"""Choices of an argument that a list of classes names next to a default; serviceclass_get has all."""

_PLAIN_CHOICE = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
"""Texts that need no quotes to be told from numbers."""

_SENTENCE = re.compile(r".{20,}?(?:[.:;](?= )|$)")


def _arg_summary(spec: ArgSpec) -> str:
    """Return an argument in a few words, such as `integer, default 8080` or `lab|server, default "lab"`.

    A default that says nothing is left out: false, zero, what is empty, and `.`. So are many choices, if there is a
    default.
    """
    is_long = spec.has_default and len(spec.enum or ()) > _MAX_CHOICES
    words = ["|".join(map(_choice, spec.enum)) if spec.enum and not is_long else spec.type]
    if spec.has_default and spec.default and spec.default != ".":
        words.append("default ***" if spec.secret else f"default {json.dumps(spec.default)}")
    elif spec.required and not spec.has_default:
        words.append("required")
    if spec.secret:
        words.append("secret")
    return ", ".join(words)


def _choice(value: JsonValue) -> str:
    return value if isinstance(value, str) and _PLAIN_CHOICE.fullmatch(value) else json.dumps(value)


def listed_class(entry: ClassEntry, catalogue: ClassDirectory, limit: int | None = None) -> JsonObject:
    """Return a class as serviceclass_list shows one that can be created.

    Args:
        entry: the class.
        catalogue: knows whether its tools are available.
        limit: characters of its description; a longer one is cut after its first sentence, or there.
    """
    spec = entry.service_class.spec
    description = " ".join(spec.description.split())
    if limit is not None and len(description) > limit:
        description = textwrap.shorten(_first_sentence(description), limit, placeholder=" …")
    availability = catalogue.availability(entry.name)
    return {
        "name": entry.name,
        "description": description,
        "available": availability.available,
        "args": {name: _arg_summary(arg) for name, arg in spec.args.items()},
        **present({"problems": len(availability.findings) or None}),
    }


def _first_sentence(text: str) -> str:
    """Return `text` up to the first mark that ends or turns a sentence."""
    found = _SENTENCE.match(text)
    return found[0].rstrip(":,; ") + "." * (found[0][-1] != ".") if found else text


def unavailable_class(entry: ClassEntry, catalogue: ClassDirectory, *, is_found: bool) -> JsonObject:
    """Return a class as serviceclass_list shows one that cannot be created yet; one that was searched for in full."""
    availability = catalogue.availability(entry.name)
    shown: JsonObject = {
        "name": entry.name,
        "available": False,
        "reason": availability.reason or "its tools are missing",
    }
    if is_found:
        shown["description"] = entry.service_class.spec.description.partition(". ")[0]
        shown |= present({"missingServers": list(availability.missing_servers)})
    return shown


def class_details(entry: ClassEntry, catalogue: ClassDirectory) -> JsonObject:
    """Return everything about a class that is not in its manifest's text."""
    service_class_ = entry.service_class
    config = service_class_.config
    args: JsonObject = {
        name: {
            **arg.json_schema(),
            **({"required": True} if arg.required and not arg.has_default else {}),
            **{key: True for key in ("secret", "path") if getattr(arg, key)},
        }
        for name, arg in service_class_.spec.args.items()
    }
    dependencies = [_dependency(item) for item in config.dependencies]
    availability = catalogue.availability(entry.name)
    return {
        "name": entry.name,
        "description": service_class_.spec.description,
        "serviceType": service_class_.service_type,
        "available": availability.available,
        "args": args,
        "outputs": list(config.outputs),
        "lifecycleTools": {step: call.tool for step, call in service_class_.tools.calls},
        "timeouts": {
            "create": format_duration(config.timeout.create),
            "delete": format_duration(config.timeout.delete),
            "restart": format_duration(config.timeout.restart_in_all),
        },
        "restartPolicy": config.restart.policy,
        "healthChecks": config.health.enabled and service_class_.tools.health_check is not None,
        "origin": entry.origin,
        "digest": entry.digest,
        **present(
            {
                "missingTools": list(availability.missing_tools),
                "missingServers": list(availability.missing_servers),
                "reason": availability.reason,
                "problems": len(availability.findings) or None,
                "labels": dict(service_class_.metadata.labels),
                "dependencies": dependencies,
                "path": entry.path,
                "shadows": entry.shadows or None,
            }
        ),
    }


def _dependency(item: str | DependencySpec) -> str:
    return item if isinstance(item, str) else item.name or item.service_class_name or ""
