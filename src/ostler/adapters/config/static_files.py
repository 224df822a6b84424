"""The files of static services: `services/*.yaml`, loaded into one snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

from ostler.adapters.config.manifest_files import ManifestFile, read_manifest_file
from ostler.adapters.config.paths import class_files_in
from ostler.model.errors import Finding
from ostler.rules.loading.static_services import LoadedStatic, load_static_services


class StaticSnapshot(Struct, frozen=True):
    """All static services in force, by name, and what is wrong with the files."""

    entries: Mapping[str, LoadedStatic]
    findings: Sequence[Finding]


@dataclass(eq=False, slots=True)
class StaticFiles:
    """Loads `*.yaml`, `*.yml` and `*.json` of a folder, which need not exist. `reload` blocks on the disk."""

    folder: Path
    _files: dict[Path, ManifestFile[LoadedStatic]] = field(
        default_factory=dict[Path, ManifestFile[LoadedStatic]], init=False, repr=False
    )

    def reload(self) -> StaticSnapshot:
        """Read what changed on the disk. A broken file keeps its last good version; problems are findings."""
        self._files = {
            path: read_manifest_file(path, self._files.get(path), load_static_services, within=(self.folder,))
            for path in class_files_in(self.folder)
        }
        entries: dict[str, LoadedStatic] = {}
        findings: list[Finding] = []
        for file in self._files.values():
            findings.extend(file.findings)
            for loaded in file.loaded:
                other = entries.setdefault(loaded.service.name, loaded)
                if other is not loaded:
                    findings.append(
                        Finding(
                            f"service {loaded.service.name!r} is already defined in {other.file}:{other.line}, "
                            "which is in force",
                            loaded.file,
                            loaded.line,
                            rule="duplicate-service",
                            path="metadata.name",
                            fix="rename or remove one of them",
                        )
                    )
        return StaticSnapshot(dict(sorted(entries.items())), tuple(findings))
