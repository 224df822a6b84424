"""`ostler class add PACK`, `list` and `remove`: packs of classes from PyPI, a wheel or a folder."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ostler.faces.cli.importing import configured_names
from ostler.faces.cli.services import AsJson
from ostler.faces.cli.session import ExitStatus, Session, confirm, fail, session_of, usage_error
from ostler.faces.cli.tables import print_table
from ostler.faces.output import complain, say, say_json

if TYPE_CHECKING:
    from ostler.adapters.config.class_files import ClassSnapshot, ClassSource
    from ostler.adapters.config.class_packs import ClassPack
    from ostler.rules.checking.loaded_class import LoadedClass

FROM_PYPI: Final = "pypi:"
_DOWNLOAD_SECONDS: Final = 300.0
_UNKNOWN_HERE: Final = ("unknown-server", "unknown-tool", "unchecked-tool")
"""Rules about servers that this machine has in another version, or not: no reason not to add a class."""

_PACK_COLUMNS = {"PACK": "name", "VERSION": "version", "CLASSES": "classes", "FROM": "source"}
_DOWNLOADERS = (
    (sys.executable, "-m", "pip"),
    ("pip",),
    ("uv", "tool", "run", "--quiet", "pip"),
)


def is_pack(what: str) -> bool:
    """Whether an argument of `class add` means a pack: a folder, a wheel, or `pypi:NAME`."""
    return what.startswith(FROM_PYPI) or what.endswith(".whl") or Path(what).is_dir()


def add_pack(session: Session, what: str, *, yes: bool, as_json: bool) -> None:
    """Check the classes of a pack, and put them into the config folder; nothing of the pack is run."""
    from ostler.adapters.config.class_packs import install_pack

    pack = _read(what)
    with tempfile.TemporaryDirectory(prefix="ostler-pack-") as name:
        folder = Path(name)
        for file, content in pack.files.items():
            (folder / file).write_bytes(content)
        loaded = _checked(session, pack, folder)
    servers = sorted({server for item in loaded for server in item.service_class.servers()})
    names = [item.service_class.name for item in loaded]
    if not as_json:
        say(f"pack {pack.name} {pack.version}".rstrip() + f": {', '.join(names)} (calls tools of {', '.join(servers)})")
    why = "a class can start any program. Next: --yes adds the pack without asking"
    confirm("Add them?", yes=yes, why=why, declined="nothing was added")
    install_pack(session.paths.packs_dir, pack)
    if as_json:
        say_json({"pack": pack.name, "version": pack.version, "classes": names, "files": dict(pack.digests)})
    else:
        say(f"{len(names)} class{'es' if len(names) > 1 else ''} added, pinned by digest in {session.paths.packs_dir}")


def class_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the packs of classes that were added."""
    from ostler.adapters.config.class_packs import pack_name_of, pinned_packs

    session = session_of(context)
    packs = pinned_packs(session.paths.packs_dir)
    snapshot = _snapshot(session)
    rows = [
        {
            "name": pack.name,
            "version": pack.version,
            "source": pack.source,
            "classes": [
                name
                for name, source in snapshot.entries.items()
                if source.origin == "pack" and pack_name_of(source.path) == pack.name
            ],
        }
        for pack in packs.values()
    ]
    faults = [found for found in snapshot.findings if session.paths.packs_dir in Path(found.file).parents]
    if as_json:
        say_json({"packs": rows, "findings": [str(found) for found in faults]})
        return
    shown = [{**row, "classes": ", ".join(row["classes"])} for row in rows]
    print_table(shown, _PACK_COLUMNS, empty="There are no packs: ostler class add FOLDER, WHEEL or pypi:NAME adds one.")
    for found in faults:
        complain(found)


def class_remove(
    context: typer.Context, name: Annotated[str, typer.Argument(metavar="PACK", help="The pack's name.")]
) -> None:
    """Remove a pack of classes. Running services keep the plan that they were started with."""
    from ostler.adapters.config.class_packs import remove_pack
    from ostler.model.errors import NotFoundError

    try:
        pack = remove_pack(session_of(context).paths.packs_dir, name)
    except NotFoundError as error:
        fail(str(error), ExitStatus.NOT_FOUND)
    say(f"pack {pack.name} was removed")


def _read(what: str) -> "ClassPack":
    from ostler.adapters.config.pack_files import pack_of_folder, pack_of_wheel

    if what.startswith(FROM_PYPI):
        with tempfile.TemporaryDirectory(prefix="ostler-pack-") as name:
            wheel = _download(what.removeprefix(FROM_PYPI), Path(name))
            return pack_of_wheel(wheel, f"PyPI, {wheel.name}")
    path = Path(what)
    if path.is_dir():
        return pack_of_folder(path)
    if not path.is_file():
        fail(f"there is no file {what}", ExitStatus.NOT_FOUND)
    return pack_of_wheel(path)


def _download(requirement: str, folder: Path) -> Path:  # noqa: RET503 (fail does not return)
    """Download a wheel with pip, which asks the index that it is configured for; it runs nothing of the wheel."""
    if requirement.startswith("-") or not requirement:
        usage_error(f"{requirement!r} is not the name of a package")
    options = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder), requirement]
    said = "neither pip nor uv was found"
    for command in _DOWNLOADERS:
        if shutil.which(command[0]) is None:
            continue
        try:
            done = subprocess.run(  # noqa: S603 (pip, with the name of a package)
                [*command, *options], capture_output=True, text=True, check=False, timeout=_DOWNLOAD_SECONDS
            )
        except subprocess.TimeoutExpired:
            fail(f"the download of {requirement} took longer than {_DOWNLOAD_SECONDS:.0f}s", ExitStatus.FAILED)
        if found := sorted(folder.glob("*.whl")):
            return found[0]
        said = done.stderr.strip() or done.stdout.strip() or f"{command[0]} ended with {done.returncode}"
        if "No module named pip" not in said:
            break
    fail(f"{requirement} could not be downloaded: {said.splitlines()[-1]}", ExitStatus.FAILED)


def _checked(session: Session, pack: "ClassPack", folder: Path) -> "list[LoadedClass]":
    """Return the classes of a pack, after a check and their own tests; anything wrong ends the command."""
    from ostler.adapters.config.paths import class_files_in
    from ostler.model.errors import ManifestError
    from ostler.rules.reading import load_manifests

    loaded: list[LoadedClass] = []
    for file in class_files_in(folder):
        try:
            loaded += load_manifests(file.read_text(encoding="utf-8"), file.name, known=configured_names(session))
        except (ManifestError, UnicodeDecodeError) as error:
            fail(f"nothing was added: {error}", ExitStatus.FAILED)
    entries = _snapshot(session).entries
    problems = [*_taken(entries, pack, loaded), *_wrong(session, entries, loaded), *_failing(folder)]
    if problems:
        for problem in problems:
            complain(problem)
        fail(f"nothing of pack {pack.name!r} was added", ExitStatus.FAILED)
    return loaded


def _taken(entries: "Mapping[str, ClassSource]", pack: "ClassPack", loaded: "list[LoadedClass]") -> Iterator[str]:
    """Yield the classes whose names others have: a pack takes the place of none."""
    from ostler.adapters.config.class_packs import pack_name_of

    seen: set[str] = set()
    for item in loaded:
        name = item.service_class.name
        other = entries.get(name)
        if name in seen:
            yield f"ServiceClass {name!r} is in the pack twice"
        elif other is not None and not (other.origin == "pack" and pack_name_of(other.path) == pack.name):
            yield f"ServiceClass {name!r} exists already ({other.origin}, {other.path}), and a pack replaces none"
        seen.add(name)


def _wrong(session: Session, entries: "Mapping[str, ClassSource]", loaded: "list[LoadedClass]") -> Iterator[str]:
    """Yield the errors that the check finds, but for tools that this machine does not have."""
    from ostler.adapters.config.tool_files import saved_tools
    from ostler.rules.checking.class_check import check_loaded

    known = saved_tools(session.paths)
    classes = {item.service_class.name: item.service_class for item in loaded}
    classes |= {name: source.loaded.service_class for name, source in entries.items()}
    for item in loaded:
        for found in check_loaded(item, known, classes):
            is_ours = "server 'process'" in found.message
            if found.severity == "error" and (is_ours or found.rule not in _UNKNOWN_HERE):
                yield str(found)


def _failing(folder: Path) -> Iterator[str]:
    """Yield what fails of the pack's own tests."""
    from ostler.adapters.config.paths import class_test_files_in
    from ostler.adapters.testing.discovery import run_test_file

    for file in class_test_files_in(folder):
        tested = run_test_file(file)
        yield from map(str, tested.findings)
        yield from (str(failure) for result in tested.results for failure in result.failures)


def _snapshot(session: Session) -> "ClassSnapshot":
    from ostler.adapters.config.class_files import ClassFiles

    files = ClassFiles.of(session.paths)
    files.checked = None  # only the server writes what it has checked
    return files.reload()


def add_to(group: typer.Typer) -> None:
    """Add the verbs to the group `class`."""
    group.command("list")(class_list)
    group.command("remove")(class_remove)
