"""Packs of classes as their authors publish them: read from a folder or a wheel, without running any code.

A wheel says by the entry point group `ostler.serviceclasses` in which of its packages the manifests are. Only its files
are read; nothing of it is imported or installed.
"""

import re
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from email.parser import Parser
from pathlib import Path, PurePosixPath

from ostler.adapters.config.class_packs import MAX_BYTES, PACK_NAME, ClassPack
from ostler.adapters.config.paths import class_files_in, class_test_files_in
from ostler.adapters.regular_files import read_regular
from ostler.model.errors import DefinitionError

ENTRY_POINTS = "ostler.serviceclasses"

_SUFFIXES = (".yaml", ".yml", ".json")
_MOST_FILES = 200


def pack_of_folder(folder: Path) -> ClassPack:
    """Return the manifests and tests in `folder`, or in `serviceclasses` below it, as a pack of its name.

    Raises:
        DefinitionError: there are none, or they cannot be read.
    """
    inner = folder / "serviceclasses"
    place = inner if inner.is_dir() else folder
    try:
        found = {
            file.name: read_regular(file, MAX_BYTES, within=(place,))
            for file in (*class_files_in(place), *class_test_files_in(place))
        }
    except OSError as error:
        raise DefinitionError(f"{error.filename} cannot be read: {error.strerror}") from error
    name = re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("-._")
    return _checked(ClassPack(name, "", str(folder.resolve()), found))


def pack_of_wheel(wheel: Path, source: str = "") -> ClassPack:
    """Return the manifests and tests that a wheel's entry points name; none of its code is run.

    Args:
        wheel: the file.
        source: where it came from; its path when that is empty.

    Raises:
        DefinitionError: it is not a wheel, or has no such entry points or files.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            about = _metadata_of(archive, wheel)
            folders = list(_entry_points(archive, wheel))
            files = dict(_files_in(archive, folders))
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError, ConfigError) as error:
        raise DefinitionError(f"{str(wheel)!r} cannot be read as a wheel: {error}") from error
    name = re.sub(r"[-_.]+", "-", about["name"]).lower()
    return _checked(ClassPack(name, about["version"], source or str(wheel), files))


def _metadata_of(archive: zipfile.ZipFile, wheel: Path) -> dict[str, str]:
    text = _member(archive, ".dist-info/METADATA")
    if text is None:
        raise DefinitionError(f"{str(wheel)!r} is not a wheel: it has no METADATA")
    parsed = Parser().parsestr(text)
    return {"name": str(parsed["Name"]), "version": str(parsed["Version"])}


def _entry_points(archive: zipfile.ZipFile, wheel: Path) -> Iterator[str]:
    """Yield the folders of the packages that the wheel names."""
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.read_string(_member(archive, ".dist-info/entry_points.txt") or "")
    if not parser.has_section(ENTRY_POINTS):
        raise DefinitionError(
            f"{str(wheel)!r} is not a pack of classes: it has no entry points of the group {ENTRY_POINTS!r}",
            next_actions=("its author can add one (docs/packs.md)",),
        )
    for _, value in parser.items(ENTRY_POINTS):
        yield value.partition(":")[0].strip().replace(".", "/")


def _member(archive: zipfile.ZipFile, ending: str) -> str | None:
    found = [name for name in archive.namelist() if name.endswith(ending) and name.count("/") == 1]
    return _read(archive, found[0]).decode() if found else None


def _files_in(archive: zipfile.ZipFile, folders: list[str]) -> Iterator[tuple[str, bytes]]:
    for name in archive.namelist():
        path = PurePosixPath(name)
        if path.suffix in _SUFFIXES and str(path.parent) in folders and not path.name.startswith("."):
            yield path.name, _read(archive, name)


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        content = member.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DefinitionError(f"{name} in the wheel is larger than {MAX_BYTES} bytes")
    return content


def _checked(pack: ClassPack) -> ClassPack:
    if not PACK_NAME.fullmatch(pack.name):
        raise DefinitionError(f"{pack.name!r} cannot be the name of a pack", next_actions=("rename the folder",))
    if not any(not Path(name).stem.endswith(".test") for name in pack.files):
        raise DefinitionError(f"there are no manifests (*.yaml) in {pack.source!r}")
    if len(pack.files) > _MOST_FILES:
        raise DefinitionError(f"{pack.source!r} has {len(pack.files)} files; a pack has at most {_MOST_FILES}")
    return pack
