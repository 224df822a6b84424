"""The manifest under translation: where things stood, what was found, and its templates."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from msgspec import Struct, field

from ostler.model.errors import Finding
from ostler.model.json import JsonMapping, JsonObject, JsonValue, KeyPath, parse_json
from ostler.model.tool_names import ToolNames
from ostler.rules.checking.names import TOOLS
from ostler.rules.loading.manifest_formats import origin_of
from ostler.rules.muster.go_tokens import GoTemplateError
from ostler.rules.muster.jinja import translate_template
from ostler.rules.muster.template_names import ManifestNames
from ostler.rules.templates.template import is_template
from ostler.rules.text.findings import Violation, dotted, finding_of
from ostler.rules.text.yaml_source import Document


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Return whether `value` is an object."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[Sequence[JsonValue]]:
    """Return whether `value` is a list."""
    return isinstance(value, list)


def mapping(value: object) -> JsonMapping:
    """Return `value` when it is an object, else an empty one."""
    return value if is_mapping(value) else {}


def has_template(value: JsonValue) -> TypeGuard[str]:
    """Return whether `value` is a text with a template in it."""
    return isinstance(value, str) and is_template(value)


def calls_of(tools: JsonMapping) -> Iterator[tuple[str, KeyPath, JsonMapping]]:
    """Yield (step, path, call) of every call under lifecycleTools; the steps of lists are `postStart[0]`."""
    for step, found in tools.items():
        if is_mapping(found):
            yield step, (*TOOLS, step), found
        elif is_list(found):
            for index, call in enumerate(found):
                if is_mapping(call):
                    yield f"{step}[{index}]", (*TOOLS, step, index), call


class Sheet(Struct):
    """One manifest under translation.

    Attributes:
        document: muster's manifest.
        known: the downstream servers and tools.
        findings: what was found so far.
        origins: where a part of the new manifest stood, for those that moved.
        names: what the templates may name; set once the manifest was looked through.
    """

    document: Document
    known: ToolNames
    findings: list[Finding] = []
    origins: dict[KeyPath, KeyPath] = {}
    names: ManifestNames = field(default_factory=lambda: ManifestNames({}, {}))

    def find(
        self, path: KeyPath, rule: str, message: str, fix: str = "", *, at_key: bool = False, is_certain: bool = True
    ) -> None:
        """Note a violation of `rule` by what stands at `path` of the new manifest."""
        violation = Violation(self.origin(path), rule, message, fix, at_key, is_certain=is_certain)
        self.findings.append(finding_of(violation, self.document))

    def origin(self, path: KeyPath) -> KeyPath:
        """Return where what is at `path` of the new manifest stood."""
        return origin_of(path, self.origins)

    def moved(self, path: KeyPath, origin: KeyPath) -> None:
        """Note that what is at `path` stood at `origin` (a path of the new manifest, as far as it is known)."""
        self.origins.setdefault(path, self.origin(origin))

    def raw(self, path: KeyPath, value: JsonValue) -> JsonValue:
        """Return the value of `{raw: '<JSON>'}`, which Kubernetes' RawExtension becomes in a file."""
        if not (is_mapping(value) and set(value) == {"raw"} and isinstance(value["raw"], str)):
            return value
        try:
            made: JsonValue = parse_json(value["raw"])
        except ValueError:
            return dict(value)
        self.origins[path] = (*self.origin(path), "raw")
        return made

    def no_template(self, path: KeyPath, why: str) -> None:
        """Note that a template stands where only one value can."""
        message = f"a template is not allowed here: {why}"
        message += "; the default counts"
        self.find(path, "muster-template", message, "write one value, or make one class for each")

    def templates(self, path: KeyPath, value: JsonValue) -> JsonValue:
        """Return `value` with every template in it translated."""
        if isinstance(value, str):
            return self.template(path, value)
        if is_mapping(value):
            made: JsonObject = {key: self.templates((*path, key), item) for key, item in value.items()}
            return made
        if is_list(value):
            return [self.templates((*path, index), item) for index, item in enumerate(value)]
        return value

    def template(self, path: KeyPath, text: str, *, is_condition: bool = False) -> str:
        """Return the template `text` translated; what is wrong with it is noted."""
        try:
            return translate_template(text, self.names, is_condition=is_condition)
        except GoTemplateError as error:
            origin = self.origin(path)
            message = f"the template cannot be translated: {error.summary}"
            violation = Violation(origin, "muster-template", message, error.fix, line=error.line)
            self.findings.append(finding_of(violation, self.document))
            reason = json.dumps(f"{dotted(origin)}: {error.summary}", ensure_ascii=False)
            return f"{{{{ fail({reason}) }}}}"  # only who uses it fails
