"""Packs of classes in the config folder, pinned: `packs.json` has the SHA-256 of each file, and no other is loaded."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ostler.adapters.config.atomic_files import not_written, replace, write_new
from ostler.adapters.regular_files import read_regular
from ostler.model.errors import ConflictError, DefinitionError, NotFoundError

if TYPE_CHECKING:
    from ostler.model.json import JsonObject, JsonValue

LOCK = "packs.json"

PACK_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ClassPack:
    """A pack as it was read.

    Attributes:
        name: of the distribution, normalised, or of the folder.
        version: of the distribution; empty for a folder.
        source: where it came from, for people.
        files: manifests and their tests, by name.
    """

    name: str
    version: str
    source: str
    files: Mapping[str, bytes]

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.files.items())}


@dataclass(frozen=True, slots=True)
class PinnedPack:
    """A pack as it was added: see `ClassPack`; `digests` are those of that moment."""

    name: str
    version: str
    source: str
    digests: Mapping[str, str] = field(default_factory=dict[str, str])


def pinned_packs(folder: Path) -> dict[str, PinnedPack]:
    """Return the packs that were added, by name. Blocks on the disk.

    Args:
        folder: of the packs, in the config folder; it need not exist.

    Raises:
        DefinitionError: `packs.json` is broken.
    """
    path = folder / LOCK
    try:
        value: JsonValue = json.loads(read_regular(path, MAX_BYTES))
        listed = cast("dict[str, JsonObject]", cast("JsonObject", value)["packs"])
        return {
            name: PinnedPack(name, str(facts["version"]), str(facts["source"]), dict(facts["files"]))
            for name, facts in listed.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DefinitionError(
            f"{str(path)!r} cannot be read: {error}", next_actions=("remove it, and add the packs again",)
        ) from error


def pinned_manifests(folder: Path) -> dict[Path, str]:
    """Return the manifests of all packs with their digests; none when `packs.json` is broken."""
    try:
        packs = pinned_packs(folder)
    except DefinitionError:
        return {}
    return {
        folder / pack.name / name: digest
        for pack in packs.values()
        for name, digest in sorted(pack.digests.items())
        if PACK_NAME.fullmatch(pack.name) and Path(name).name == name and not Path(name).stem.endswith(".test")
    }


def install_pack(folder: Path, pack: ClassPack) -> None:
    """Put a pack into the config folder and pin it; an earlier version of it is replaced.

    Raises:
        ConflictError: the same version was added with other files.
        StoreError: it cannot be written.
    """
    packs = pinned_packs(folder)
    before = packs.get(pack.name)
    if before is not None and before.version == pack.version != "" and dict(before.digests) != pack.digests:
        raise ConflictError(
            f"pack {pack.name!r} {pack.version} was added before with other files: its digest has changed",
            next_actions=(f"find out why; 'ostler class remove {pack.name}' forgets the earlier one",),
        )
    place = folder / pack.name
    try:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for name, content in pack.files.items():
            (place / name).write_bytes(content)
    except OSError as error:
        raise not_written(place, error) from error
    _write(folder, {**packs, pack.name: PinnedPack(pack.name, pack.version, pack.source, pack.digests)})


def remove_pack(folder: Path, name: str) -> PinnedPack:
    """Remove a pack and return what it was.

    Raises:
        NotFoundError: there is none of that name.
        StoreError: it cannot be removed.
    """
    packs = pinned_packs(folder)
    pack = packs.pop(name, None)
    if pack is None:
        raise NotFoundError("pack of classes", name, known=list(packs), next_actions=("ostler class list shows them",))
    _write(folder, packs)
    shutil.rmtree(folder / name, ignore_errors=True)
    return pack


def _write(folder: Path, packs: Mapping[str, PinnedPack]) -> None:
    value: JsonObject = {
        "packs": {
            pack.name: {"version": pack.version, "source": pack.source, "files": dict(pack.digests)}
            for _, pack in sorted(packs.items())
        }
    }
    path = folder / LOCK
    write = replace if path.exists() else write_new
    write(path, json.dumps(value, indent=2) + "\n")
