"""Finding the class tests that a user names, and the classes that they need."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from ostler.adapters.config.class_files import ClassFiles, ClassSource
from ostler.adapters.config.paths import class_test_files_in, is_test_file, shipped_classes_dir
from ostler.adapters.regular_files import expanded, read_regular_text
from ostler.adapters.testing.runner import TestResult, run_class_tests
from ostler.engine.classes.catalogue import ClassEntry
from ostler.model.errors import Finding, ManifestError, NotFoundError
from ostler.model.tool_names import ToolNames
from ostler.rules.loading.class_tests import LoadedTests, load_class_tests
from ostler.rules.text.findings import Violation, finding_of

_MAX_BYTES = 1024 * 1024

_SUFFIXES = (".yaml", ".yml", ".json")


class TestedFile(Struct, frozen=True):
    """One file of class tests.

    Attributes:
        path: the file.
        results: how its tests went.
        findings: why they could not be run; then there are no results.
    """

    __test__ = False

    path: Path
    results: tuple[TestResult, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether it could be run and everything was as expected."""
        return not self.findings and all(result.passed for result in self.results)


def find_test_files(wanted: Sequence[str], user_classes: Path) -> list[Path]:
    """Return the files of class tests that are meant, each once, in the order given.

    Args:
        wanted: files of tests, files of classes, folders, or names of classes (the user's or shipped); none means
            all in `user_classes`.
        user_classes: the folder of the user's classes.

    Raises:
        NotFoundError: one of `wanted` has no tests; the text says where they were looked for.
    """
    if not wanted:
        return class_test_files_in(user_classes)
    found: dict[Path, None] = {}
    for each in wanted:
        found |= dict.fromkeys(_files_of(each, user_classes))
    return list(found)


def run_test_file(path: Path, only: str = "", known: ToolNames | None = None) -> TestedFile:
    """Run the tests in `path`; the class is looked up in the same folder, then among the shipped ones.

    Args:
        path: the file.
        only: run only the tests whose name has this text.
        known: the downstream servers, by which classes of muster are read.
    """
    try:
        loaded = load_class_tests(read_regular_text(path, _MAX_BYTES), str(path))
    except ManifestError as error:
        return TestedFile(path, findings=error.findings)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return TestedFile(path, findings=(Finding(f"cannot be read: {reason}", str(path), rule="unreadable"),))
    snapshot = ClassFiles(shipped_classes_dir(), path.parent, known or ToolNames()).reload()
    name = loaded.value.service_class
    entries = [_entry(source) for source in snapshot.entries.values()]
    if name not in snapshot.entries:
        return TestedFile(path, findings=tuple(_missing_class(loaded, path, snapshot.entries, snapshot.findings)))
    return TestedFile(path, tuple(run_class_tests(loaded, entries, only)))


def find_class(
    wanted: str, user_classes: Path, known: ToolNames | None = None, *, packs: Path | None = None
) -> tuple[ClassEntry, list[ClassEntry]]:
    """Return (the class that is meant, it and all others that it can depend on).

    Args:
        wanted: the file of a class, or the name of one of the user's, of a pack or of a shipped one.
        user_classes: the folder of the user's classes.
        known: the downstream servers, by which classes of muster are read.
        packs: the folder of packs of classes, which do not count for a file.

    Raises:
        NotFoundError: there is no such class.
        ManifestError: its file is broken.
    """
    path = expanded(wanted)
    is_file = path.suffix in _SUFFIXES
    folder = path.parent if is_file else user_classes
    files = ClassFiles(shipped_classes_dir(), folder, known or ToolNames(), packs=None if is_file else packs)
    snapshot = files.reload()
    entries = [_entry(source) for source in snapshot.entries.values()]
    for entry in entries:
        if Path(entry.path) == path if is_file else entry.name == wanted:
            return entry, entries
    broken = [finding for finding in snapshot.findings if is_file and Path(finding.file) == path]
    if broken:
        raise ManifestError(broken, what=wanted)
    raise NotFoundError(
        "ServiceClass", wanted, known=list(snapshot.entries), next_actions=("ostler classes shows the classes",)
    )


def _entry(source: ClassSource) -> ClassEntry:
    return ClassEntry.of(source.loaded, origin=source.origin)


def _missing_class(
    loaded: LoadedTests, path: Path, known: Iterable[str], findings: Sequence[Finding]
) -> Iterable[Finding]:
    name = loaded.value.service_class
    broken = [f for f in findings if f.severity == "error" and Path(f.file).stem == name]
    if broken:
        return broken
    error = NotFoundError("ServiceClass", name, known=list(known))
    where = f"{error.summary} in {str(path.parent)!r} and among the shipped classes"
    return [finding_of(Violation(("serviceClass",), "unknown-class", where), loaded.document)]


def _files_of(wanted: str, user_classes: Path) -> list[Path]:
    path = expanded(wanted)
    if path.is_dir() and (found := class_test_files_in(path)):
        return found
    if path.is_file():
        if is_test_file(path):
            return [path]
        beside = _tests_beside(path.parent, path.stem)
        if beside is None:
            raise NotFoundError(
                "file of class tests",
                str(path.with_suffix(f".test{path.suffix}")),
                next_actions=("write it (docs/class-tests.md)", "or let 'ostler test --record' write it"),
            )
        return [beside]
    folders = [folder for folder in (user_classes, shipped_classes_dir()) if folder is not None]
    if "/" not in wanted and "." not in wanted:
        for folder in folders:
            beside = _tests_beside(folder, wanted)
            if beside is not None:
                return [beside]
    if path.is_dir():
        raise NotFoundError("file of class tests in", wanted)
    known = [file.name.partition(".")[0] for folder in folders for file in class_test_files_in(folder)]
    raise NotFoundError(
        "file or class with tests",
        wanted,
        known=known,
        next_actions=(f"write {wanted.partition('.')[0]}.test.yaml next to the class (docs/class-tests.md)",),
    )


def _tests_beside(folder: Path, class_name: str) -> Path | None:
    files = (folder / f"{class_name}.test{suffix}" for suffix in _SUFFIXES)
    return next((file for file in files if file.is_file()), None)
