"""One manifest as it was loaded: the class, and where everything in it stands."""

from collections.abc import Mapping

from msgspec import Struct

from ostler.model.errors import Finding
from ostler.model.json import KeyPath
from ostler.model.manifest import ServiceClass
from ostler.rules.text.yaml_source import Document


class LoadedClass(Struct, frozen=True):
    """One manifest as loaded.

    Attributes:
        service_class: its value.
        text: the document's own YAML text.
        file: the file it came from, as the user knows it.
        line: the 1-based line of the file at which the manifest's first key stands.
        digest: changes with the meaning of the manifest, not with its formatting.
        document: the values with their places, for later checks; of a manifest that was translated, the translated
            values at the places of the original.
        warnings: findings that do not keep the class from working.
        origins: where the parts of a translated manifest stood, for those that moved; None for others.
        form: the apiVersion that it was translated from; empty for ostler/v1.
    """

    service_class: ServiceClass
    text: str
    file: str
    line: int
    digest: str
    document: Document
    warnings: tuple[Finding, ...] = ()
    origins: Mapping[KeyPath, KeyPath] | None = None
    form: str = ""

    @property
    def is_translated(self) -> bool:
        """Whether the manifest was written in another form than ostler/v1."""
        return self.origins is not None
