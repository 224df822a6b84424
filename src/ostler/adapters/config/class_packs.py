"""Packs of classes in the config folder, pinned: `packs.json` has the SHA-256 of each file, and no other is loaded.

The files of each state of a pack are in a folder of their own, so that `packs.json` alone decides which are in force: a
pack that was written halfway changes nothing.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from msgspec import Struct

from ostler.adapters.atomic_files import replace, write_new, write_private
from ostler.adapters.regular_files import read_regular
from ostler.model.errors import ConflictError, DefinitionError, NotFoundError
from ostler.model.json import parse_json

if TYPE_CHECKING:
    from ostler.model.json import JsonObject, JsonValue

LOCK = "packs.json"

PACK_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
MAX_BYTES = 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ClassPack(Struct, frozen=True):
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


class PinnedPack(Struct, frozen=True):
    """A pack as it was added: see `ClassPack`; `digests` are those of that moment."""

    name: str
    version: str
    source: str
    digests: Mapping[str, str] = {}

    def folder(self, packs: Path) -> Path:
        """Return where the files are, in the folder of all packs."""
        state = hashlib.sha256(json.dumps(self.digests, sort_keys=True).encode()).hexdigest()[:12]
        return packs / self.name / state


def pack_name_of(file: Path) -> str:
    """Return the name of the pack that an installed file is of."""
    return file.parent.parent.name


def pinned_packs(folder: Path) -> dict[str, PinnedPack]:
    """Return the packs that were added, by name. Blocks on the disk.

    Args:
        folder: of the packs, in the config folder; it need not exist.

    Raises:
        DefinitionError: `packs.json` is broken.
    """
    path = folder / LOCK
    try:
        value: JsonValue = parse_json(read_regular(path, MAX_BYTES))
        listed = cast("dict[str, JsonObject]", cast("JsonObject", value)["packs"])
        return {
            name: PinnedPack(name, str(facts["version"]), str(facts["source"]), _digests(facts["files"]))
            for name, facts in listed.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DefinitionError(
            f"{str(path)!r} cannot be read: {error}",
            next_actions=("restore it, or remove it and add the packs again (ostler class add)",),
        ) from error


def pinned_manifests(folder: Path) -> dict[Path, str]:
    """Return the manifests of all packs with their digests.

    Raises:
        DefinitionError: `packs.json` is broken.
    """
    return {
        pack.folder(folder) / name: digest
        for pack in pinned_packs(folder).values()
        for name, digest in sorted(pack.digests.items())
        if PACK_NAME.fullmatch(pack.name) and Path(name).name == name and not Path(name).stem.endswith(".test")
    }


def install_pack(folder: Path, pack: ClassPack) -> None:
    """Put a pack into the config folder and pin it, completely or not at all; an earlier version of it is replaced.

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
    pinned = PinnedPack(pack.name, pack.version, pack.source, pack.digests)
    place = pinned.folder(folder)
    for name, content in pack.files.items():
        write_private(place / name, content)
    _write(folder, {**packs, pack.name: pinned})
    for other in place.parent.iterdir():
        if other != place:
            shutil.rmtree(other, ignore_errors=True)


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


def _digests(value: object) -> dict[str, str]:
    """Return the digests of files by name; ValueError where one is none: a file without one would not be pinned."""
    found = dict(cast("Mapping[str, str]", value))
    if wrong := [name for name, digest in found.items() if not _DIGEST.fullmatch(digest)]:
        raise ValueError(f"{wrong[0]!r} has no SHA-256")
    return found


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
