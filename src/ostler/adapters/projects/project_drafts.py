"""A first `ostler.yaml` of a folder, from what its files say for other tools."""

from collections.abc import Sequence
from pathlib import Path

from ostler.adapters.projects.folders import label_of, project_at
from ostler.adapters.projects.import_sources import read_named, read_sources
from ostler.model.projects import PROJECT_FILE
from ostler.rules.imports.project_text import project_text
from ostler.rules.loading.projects import load_project


def drafted(folder: Path, only: Sequence[Path] = ()) -> tuple[str, int]:
    """Return the text of an `ostler.yaml` for `folder`, and how many services were found. Blocks.

    Args:
        folder: the project's folder.
        only: the files to read; without any, all that are known.

    Raises:
        UnreadableSourceError: a file of `only` is none of those that are read, or cannot be read.
    """
    found = read_named(only) if only else read_sources(folder)
    text = project_text(label_of(project_at(folder).main.name), found)
    load_project(text, PROJECT_FILE)
    return text, sum(len(each.services) for each in found)
