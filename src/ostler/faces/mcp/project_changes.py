"""What an `up` of a project would change, and what is left over of projects, as facts and in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ostler.adapters.projects.folders import how_gone
from ostler.engine.projects.changes import Change, ChangeKind
from ostler.engine.services.views import ProjectRef
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.json import JsonObject, JsonValue, present

_NAMED = 3
"""Services that a heading names."""


def change_facts(change: Change) -> JsonObject:
    """Return what would be done to one service."""
    return {"name": change.full_name, "change": change.kind.value, **present({"reason": change.reason})}


def change_line(change: Change) -> str:
    """Return that in words."""
    words: dict[Any, str] = {
        ChangeKind.UNKNOWN: "seen when what it needs is up",
        ChangeKind.IMPOSSIBLE: "cannot be brought up",
    }
    return f"{change.full_name}: {words.get(change.kind, change.kind.value)}" + (
        f" ({change.reason})" if change.reason else ""
    )


def counted(changes: Sequence[Change]) -> str:
    """Return in words how many services would change, and whether an `up` would be refused."""
    kinds = [change.kind for change in changes if change.kind is not ChangeKind.KEEP]
    if not kinds:
        return "everything is as ostler.yaml says"
    return f"{len(kinds)} of {len(changes)} services would change{while_refused(changes)}"


def while_refused(changes: Sequence[Change]) -> str:
    """Return what has to be possible before an `up` changes anything; empty if it is."""
    names = [change.full_name for change in changes if change.kind is ChangeKind.IMPOSSIBLE]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f", once {', '.join(names[:_NAMED])}{more} can be brought up (until then, up is refused)" if names else ""


def left_facts(app: ApplicationLike, ref: ProjectRef) -> JsonObject:
    """Return what is left over of a project, and why it is."""
    services: list[JsonValue] = [member.name for member in app.projects.directory.members(ref.id)]
    now = f"is that of project {ref.replaced_by} now" if ref.replaced_by else how_gone(Path(ref.directory))
    about: JsonObject = {"project": ref.id, "directory": ref.directory, "services": services, "reason": now}
    return about | present({"replacedBy": ref.replaced_by})


def left_line(left: JsonObject) -> str:
    """Return that in words, with what comes next."""
    return f"left over: project {left['project']}, {why_left(left)}. Next: ostler prune"


def why_left(left: JsonObject) -> str:
    """Return in words why a project is left over."""
    return f"whose folder {left['directory']} {left['reason']}"
