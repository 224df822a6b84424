"""Forms of manifests besides ostler/v1: each recognises its documents, and translates them before they are checked."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from ostler.model.errors import Finding
from ostler.model.json import JsonMapping, KeyPath
from ostler.model.tool_names import ToolNames
from ostler.rules.text.yaml_source import Document


class Translation(Struct, frozen=True):
    """An ostler/v1 manifest made from one of another form.

    Attributes:
        document: the manifest, with the places of the original.
        findings: what could not be translated (errors), and what is worth knowing (warnings).
        origins: where a part of the new manifest stood in the original, for those that moved.
    """

    document: Document
    findings: tuple[Finding, ...]
    origins: Mapping[KeyPath, KeyPath]


def origin_of(path: KeyPath, origins: Mapping[KeyPath, KeyPath]) -> KeyPath:
    """Return where what is at `path` of a translated manifest stood in the original; see `Translation.origins`."""
    for depth in range(len(path), 0, -1):
        if (origin := origins.get(path[:depth])) is not None:
            return (*origin, *path[depth:])
    return path


class ManifestFormat(Protocol):
    """A form of manifests that is read by being translated."""

    @property
    def name(self) -> str:
        """The name of the form, as in 'a manifest of NAME'."""
        ...

    @property
    def version(self) -> str:
        """The apiVersion that is read."""
        ...

    @property
    def group(self) -> str:
        """The prefix of every apiVersion of the form."""
        ...

    def translate(self, document: Document, known: ToolNames) -> Translation:
        """Return the ostler/v1 manifest of a ServiceClass of this version.

        Args:
            document: the manifest.
            known: the downstream servers and tools, if the form's tool names depend on them.
        """
        ...

    def fix_of_kind(self, manifest: JsonMapping) -> str:
        """Return what to do with a manifest of this version and of another kind; empty when the form has none such."""
        ...

    def recognises(self, manifest: JsonMapping) -> bool:
        """Whether a manifest without apiVersion can only be of this form."""
        ...

    def older_form(self, manifest: JsonMapping) -> str:
        """Return what is wrong with a manifest without apiVersion that looks like an older one of the form, or ''."""
        ...


class Formats:
    """The forms that are read besides ostler/v1."""

    def __init__(self, *formats: ManifestFormat) -> None:
        self._formats = formats

    def __repr__(self) -> str:
        return f"Formats({', '.join(each.version for each in self._formats)})"

    def of_manifest(self, manifest: JsonMapping) -> ManifestFormat | None:
        """Return the form of a manifest: by its apiVersion, or else by keys that only that form has."""
        if "apiVersion" in manifest:
            return next((each for each in self._formats if each.version == manifest["apiVersion"]), None)
        return next((each for each in self._formats if each.recognises(manifest)), None)

    def of_group(self, version: object) -> ManifestFormat | None:
        """Return the form that has a version like `version`, read or not."""
        return next((each for each in self._formats if str(version).startswith(each.group)), None)

    def may_be_in(self, text: str) -> bool:
        """Whether some document in `text` may be of one of the forms, and so depend on the servers and tools."""
        return "apiVersion" not in text or any(each.group in text for each in self._formats)

    def older_form(self, manifest: JsonMapping) -> tuple[ManifestFormat, str] | None:
        """Return the form of which `manifest` is an older version, and what is wrong with it."""
        found = ((each, each.older_form(manifest)) for each in self._formats)
        return next(((each, message) for each, message in found if message), None)
