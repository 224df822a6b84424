"""Saved tools lists of downstream servers: those that are shipped, and the user's, read for checks and written."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from ostler.adapters.config.paths import Paths, class_test_files_in, shipped_classes_dir
from ostler.adapters.regular_files import read_regular_text
from ostler.model.errors import DefinitionError
from ostler.model.json import JsonMapping, parse_json
from ostler.model.responses import ToolResponse
from ostler.rules.checking.scripted_answers import scripted_answers
from ostler.rules.checking.tool_lists import (
    KnownTools,
    ListsOnDemand,
    ToolList,
    samples_by_tool,
    saved_text,
    tool_list_from_json,
    with_samples,
)

FOLDER = "tools"
SAMPLES = "samples"
_MAX_BYTES = 8 * 1024 * 1024


def saved_tools(paths: Paths) -> KnownTools:
    """Return the saved lists: the user's (`tools/` in the config folder) before the shipped ones.

    Raises:
        DefinitionError: a file is not a tools list.
    """
    return _users_over_shipped(paths, lambda folder: KnownTools(_in_folder(folder)))


def saved_tools_on_demand(paths: Paths, report: Callable[[DefinitionError], None]) -> KnownTools:
    """Return what `saved_tools` does, each list read when it is asked for; one that is broken is reported instead."""

    def read(file: Path) -> ToolList | None:
        try:
            return _read(file)
        except DefinitionError as error:
            report(error)
            return None

    def in_folder(folder: Path) -> KnownTools:
        return KnownTools(ListsOnDemand({file.stem: partial(read, file) for file in sorted(folder.glob("*.json"))}))

    return _users_over_shipped(paths, in_folder)


def _users_over_shipped(paths: Paths, in_folder: Callable[[Path], KnownTools]) -> KnownTools:
    shipped = shipped_classes_dir()
    users = in_folder(paths.config_dir / FOLDER)
    return users if shipped is None else users.over(in_folder(shipped / FOLDER))


def shipped_tools() -> KnownTools:
    """Return the lists that come with Ostler."""
    shipped = shipped_classes_dir()
    return KnownTools({} if shipped is None else _in_folder(shipped / FOLDER))


def tools_from(places: Iterable[Path]) -> KnownTools:
    """Return the lists in files (each named like its server) and folders of such files.

    Raises:
        DefinitionError: a place cannot be read, or is not a tools list.
    """
    lists: dict[str, ToolList] = {}
    for place in places:
        if place.is_dir():
            lists |= _in_folder(place)
        else:
            listed = _read(place)
            lists[listed.server] = listed
    return KnownTools(lists)


def answers_of_tests(folder: Path) -> dict[str, list[ToolResponse]]:
    """Return the answers, by `server/tool`, that the tests of the classes in `folder` script.

    They say what a tool without an output schema gives. A file that cannot be read is reported where the tests are run.
    """
    found: dict[str, list[ToolResponse]] = {}
    for file in class_test_files_in(folder):
        try:
            text = read_regular_text(file, _MAX_BYTES)
        except (OSError, UnicodeDecodeError):
            continue
        for tool, answers in scripted_answers(text, str(file)).items():
            found.setdefault(tool, []).extend(answers)
    return found


def save_tools(paths: Paths, server: str, about: JsonMapping, tools: Sequence[JsonMapping]) -> Path:
    """Write the tools list of `server` into the config folder and return the file.

    Raises:
        DefinitionError: it cannot be written.
    """
    file = paths.config_dir / FOLDER / f"{server}.json"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(saved_text(about, tools), encoding="utf-8")
    except OSError as error:
        raise DefinitionError(
            f"the tools list of {server!r} cannot be written to {str(file)!r}: {error.strerror}",
            next_actions=("make the folder writable", "or choose another config folder"),
        ) from error
    return file


def _in_folder(folder: Path) -> dict[str, ToolList]:
    return {file.stem: _read(file) for file in sorted(folder.glob("*.json"))}


def _read(file: Path) -> ToolList:
    listed = tool_list_from_json(_text(file), file.stem, str(file))
    samples = file.parent / SAMPLES / file.name
    if not samples.is_file():
        return listed
    try:
        return with_samples(listed, samples_by_tool(parse_json(_text(samples))))
    except ValueError as error:
        raise DefinitionError(f"the recorded answers in {str(samples)!r} are not JSON: {error}") from None


def _text(file: Path) -> str:
    try:
        return read_regular_text(file, _MAX_BYTES)
    except OSError as error:
        raise DefinitionError(f"{str(file)!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{str(file)!r} is not UTF-8 text ({error.reason})") from error
