"""`ostler import`: manifests of muster written out as ostler/v1 files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from msgspec import Struct

from ostler.faces.cli.session import ExitStatus, Session, session_of
from ostler.faces.output import complain, say
from ostler.model.errors import Finding, ManifestError

if TYPE_CHECKING:
    from ostler.model.json import JsonObject
    from ostler.model.tool_names import ToolNames


class _Imported(Struct, frozen=True):
    """One class of a file: its name, its ostler/v1 text, and what is worth knowing about it."""

    name: str
    text: str
    source: Path
    warnings: tuple[Finding, ...]


def import_(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Manifests of muster: YAML or JSON.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="The folder to write to; default: the configuration's serviceclasses."
        ),
    ] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print them instead of writing files.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    server: Annotated[
        list[str] | None,
        typer.Option(
            "--server", metavar="NAME", help="Another server that has tools, besides those in mcp.json; repeatable."
        ),
    ] = None,
) -> None:
    """Translate manifests of muster to ostler/v1. Translates all of them (muster.giantswarm.io/v1alpha1), or none."""
    if stdout and output is not None:
        raise typer.BadParameter("--stdout and --output exclude each other", param_hint="--stdout")
    session = session_of(context)
    known = configured_names(session, server or ())
    imported: list[_Imported] = []
    findings: list[Finding] = []
    for file in files:
        try:
            imported += _translated(file, known)
        except ManifestError as error:
            findings += error.findings
    folder = session.paths.serviceclasses_dir if output is None else output
    if not stdout:
        findings += _in_the_way(imported, folder, force=force)
    for found in [*findings, *(warning for item in imported for warning in item.warnings)]:
        complain(str(found))
    if findings:
        raise typer.Exit(int(ExitStatus.FAILED))
    if stdout:
        say("---\n".join(item.text for item in imported), end="")
        return
    _write(imported, folder)


def configured_names(session: Session, servers: Sequence[str] = ()) -> "ToolNames":
    """Return the configured servers, those inside Ostler, and `servers`; a broken entry counts as none."""
    import os

    from ostler.adapters.config.mcp_content import BUILTIN_NAMES
    from ostler.adapters.config.server_files import ServerFiles
    from ostler.rules.muster.joined_names import ToolNames

    configured = ServerFiles(session.paths, os.environ).load().entries
    return ToolNames.of([*configured, *BUILTIN_NAMES, *servers])


def _translated(file: Path, known: "ToolNames") -> list[_Imported]:
    """Return the classes in `file`, translated.

    Raises:
        ManifestError: the file cannot be read or translated, or is not of muster.
    """
    from ostler.adapters.projects.import_sources import is_source
    from ostler.model.label_names import is_label, label_of
    from ostler.rules.loading.translated_text import manifest_text
    from ostler.rules.reading import load_manifests
    from ostler.rules.text.findings import Violation, finding_of
    from ostler.rules.text.yaml_source import with_value

    if is_source(file):
        fix = f"ostler project init --from {file} writes an ostler.yaml from it"
        said = "this is a file of a project, not a manifest of muster"
        raise ManifestError([Finding(said, str(file), rule="wrong-file", fix=fix)], what=str(file))
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ManifestError(
            [Finding(f"cannot be read: {reason}", str(file), rule="unreadable")], what=str(file)
        ) from None
    found: list[_Imported] = []
    for loaded in load_manifests(text, str(file), known=known):
        name = loaded.service_class.name
        if loaded.origins is None:
            message = f"ServiceClass {name!r} is not of muster, so there is nothing to translate"
            fix = "copy the file into the configuration's serviceclasses folder"
            finding = finding_of(Violation(("apiVersion",), "unknown-version", message, fix), loaded.document)
            raise ManifestError([finding], what=str(file))
        heading = f"Translated from {loaded.form} ({file.name}) by ostler import."
        document, warnings = loaded.document, loaded.warnings
        if not is_label(name):
            value = cast("JsonObject", document.value)
            renamed = {**value, "metadata": {**value["metadata"], "name": label_of(name)}}
            document = with_value(document, renamed, loaded.origins)
            message = f"ServiceClass {name!r} is called {label_of(name)!r} in ostler/v1, and so it must be named"
            warnings = (*warnings, Finding(message, str(file), loaded.line, rule="name", severity="warning"))
        made = manifest_text(document, loaded.origins, heading=heading)
        found.append(_Imported(label_of(name), made, file, warnings))
    return found


def _in_the_way(imported: list[_Imported], folder: Path, *, force: bool) -> list[Finding]:
    """Return what keeps the classes from being written: files that are there, classes of the same name."""
    findings: list[Finding] = []
    seen: dict[str, Path] = {}
    for item in imported:
        path = folder / f"{item.name}.yaml"
        if item.name in seen:
            message = f"ServiceClass {item.name!r} is in {str(seen[item.name])!r} too"
            findings.append(Finding(message, str(item.source), rule="duplicate-name", fix="rename one of them"))
        elif path.exists() and not force:
            findings.append(Finding("the file already exists", str(path), rule="exists", fix="--force replaces it"))
        seen.setdefault(item.name, item.source)
    return findings


def _write(imported: list[_Imported], folder: Path) -> None:
    from ostler.adapters.atomic_files import replace, write_new

    for item in imported:
        path = folder / f"{item.name}.yaml"
        write = replace if path.exists() else write_new
        write(path, item.text)
        say(f"{item.name}: {path}")
        if item.source.resolve().parent == path.resolve().parent and item.source.resolve() != path.resolve():
            complain(f"{item.source} defines the class too, and may go now")


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("import")(import_)
