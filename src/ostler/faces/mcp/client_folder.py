"""Which folder the user of a client works in, where the client alone knows it: by the roots that it names."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ostler.adapters.serving.asking import Person
from ostler.faces.client_facts import current_client, working_in
from ostler.faces.mcp.surface import ApplicationLike

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
    return tool.removeprefix("core_").startswith(("service_", "project_")) and not arguments.get("directory")
