"""The folder that the user of a client works in: which it is, by the client's roots; and what its project declares."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from ostler.adapters.serving.asking import Person, folder_of_uri
from ostler.faces.client_facts import current_client, working_in
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError, NotFoundError, OstlerError
from ostler.model.projects import PROJECT_FILE

_SHOWN = 12
"""Projects that an error names."""

_AS_IT_IS: AbstractContextManager[None] = nullcontext()


async def clients_folder(
    app: ApplicationLike, person: Person, tool: str, arguments: Mapping[str, Any] | None
) -> AbstractContextManager[None]:
    """Return the block in which a call of `tool` sees the folder that the client works in, if it depends on that.

    The folder that its environment names counts first, then the one that its process runs in, if that is in a
    project: a client that starts its servers in the home folder says nothing by that. Then its roots do, the first
    one that lies in a project before the others.

    Raises:
        InputNeededError: the roots come with the repeated call.
    """
    facts = current_client()
    # Looking for a project's file in all the folders above takes longer than a whole status, so it comes last.
    is_known = facts.is_named or not person.has_roots or not is_placed(tool, arguments or {})
    if is_known or app.projects.is_project(facts.directory):
        return _AS_IT_IS
    roots = await person.roots()
    best = next((root for root in roots if app.projects.is_project(root)), roots[0] if roots else facts.directory)
    return working_in(best)


def is_placed(tool: str, arguments: Mapping[str, Any]) -> bool:
    """Whether the client's folder decides what a call means: from 2026-07-28 on, its roots cost a second request."""
    given = arguments.get("directory")
    is_given = isinstance(given, str) and _written_out(given).is_absolute()
    return tool.removeprefix("core_").startswith(("service_", "project_")) and not is_given


def folder_meant(given: str) -> str:
    """Return the folder that a call names: a path, also a relative one of the client's folder, or a `file:` URI.

    Raises:
        ArgumentError: it is relative, and the client's folder is not known.
    """
    path, home = _written_out(given), current_client().directory
    if not path.is_absolute() and not home:
        raise ArgumentError(
            [f"directory {given!r} is relative, and the folder of this client is not known"],
            next_actions=("give the whole path",),
        )
    return os.path.normpath(Path(home) / path)


def folder_of_call(arguments: Mapping[str, Any] | None) -> str:
    """Return the folder that a call is about, the client's if it names none; empty if that is not known."""
    given = (arguments or {}).get("directory")
    if not given or not isinstance(given, str):
        return current_client().directory
    with suppress(ArgumentError):  # the tool says so
        return folder_meant(given)
    return ""


def why_in_none(folder: str) -> str:
    """Return in words why a folder lies in no project; an empty one is that of a client which names none."""
    if not folder:
        return "the folder of this client is unknown"
    return f"{folder} lies in none" if os.path.exists(folder) else f"{folder} does not exist"  # noqa: PTH110 (never fails)


def project_meant(app: ApplicationLike, given: str) -> str:
    """Return the id of the project that a call names by its id or by a folder in it; else what was given.

    Raises:
        ArgumentError: it is a relative folder, and the client's is not known.
    """
    if not given.startswith((".", "/", "~", "file:")):
        return given
    return app.projects.directory.project_of(folder_meant(given)) or given


def why_empty(app: ApplicationLike, project: str) -> str:
    """Return in words that a project has no services, and which ones have; nothing if it has some."""
    known = app.projects.directory.folders()
    if project in known:
        return ""
    shown = ", ".join([*islice(known, _SHOWN), *(["…"] if len(known) > _SHOWN else [])])
    return f"project {project!r} has no services (projects that have: {shown or 'none'})"


def _written_out(given: str) -> Path:
    path = Path(folder_of_uri(given) or given)
    try:
        return path.expanduser()
    except RuntimeError:  # of a user that does not exist
        return path


async def said_if_declared(app: ApplicationLike, error: NotFoundError) -> NotFoundError:
    """Return `error`, or one that says that the missing service is declared, and how it is brought up."""
    folder = current_client().directory
    if error.kind != "service" or not folder:
        return error
    try:
        scope = await app.projects.scope_of(folder)
    except OstlerError:  # no project, or a file with findings, which says nothing of the service
        return error
    for name in scope.services:
        if error.name in (name, scope.full_name(name), f"{name}.{scope.ref.id}"):
            why = f"it is declared in {PROJECT_FILE}, and not up" + (f"; {error.why}" if error.why else "")
            steps = (f"project_up {name} brings it up", *(error.next_actions if error.why else ()))
            return NotFoundError("service", error.name, why=why, next_actions=steps)
    return error
