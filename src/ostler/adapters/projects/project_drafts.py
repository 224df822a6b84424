"""A first `ostler.yaml` of a folder, from what its files say for other tools."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ostler.adapters.projects.folders import project_at, project_label
from ostler.adapters.projects.import_sources import read_named, read_sources
from ostler.model.errors import ManifestError
from ostler.model.projects import PROJECT_FILE
from ostler.rules.imports.project_text import project_text
from ostler.rules.loading.projects import load_project


class Draft(NamedTuple):
    """The text of an `ostler.yaml`, how many services it has, and how many notes about what is not converted."""

    text: str
    services: int
    notes: int


def possible_draft(folder: Path) -> Draft:
    """Return an `ostler.yaml` for `folder`, an empty one where the folder or its files allow none. Blocks."""
    with suppress(OSError, ManifestError):
        return drafted(folder) if folder.is_dir() else Draft("", 0, 0)
    return Draft("", 0, 0)


def drafted(folder: Path, only: Sequence[Path] = ()) -> Draft:
    """Return an `ostler.yaml` for `folder`. Blocks.

    Args:
        folder: the project's folder.
        only: the files to read; without any, all that are known.

    Raises:
        UnreadableSourceError: a file of `only` is none of those that are read, or cannot be read.
    """
    found = read_named(only, folder) if only else read_sources(folder)
    text = project_text(project_label(project_at(folder).main.name), found)
    load_project(text, PROJECT_FILE)
    return Draft(text, sum(len(each.services) for each in found), sum(len(each.notes) for each in found))
