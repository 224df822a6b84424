"""What an `up` of a project would change, and what is left over of projects, as facts and in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostler.adapters.projects.folders import how_gone
from ostler.engine.projects.changes import Change, ChangeKind
from ostler.engine.services.views import ProjectRef
from ostler.faces.mcp.shapes import timestamp
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import OstlerError
from ostler.model.json import JsonObject, JsonValue, present

if TYPE_CHECKING:
    from ostler.adapters.process.strays import Stray
    from ostler.engine.keepers.leftovers import Leftover, Unseen

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


def stray_facts(stray: "Stray") -> JsonObject:
    """Return a process of an earlier run of Ostler."""
    return {"pid": stray.pid, "program": stray.program, **present({"service": stray.key})}


def leftover_facts(left: "Leftover") -> JsonObject:
    """Return a thing that carries this Ostler's mark, and that no service has."""
    return {"class": left.entry.name, "serviceId": left.service_id, "found": left.outputs}


def elsewhere_facts(left: "Leftover") -> JsonObject:
    """Return one that another prune stops."""
    return {**leftover_facts(left), "by": "another prune"}


def unseen_facts(unseen: "Unseen | OstlerError") -> JsonObject:
    """Return a list that was not read, or failed, as `notLookedAt` has it."""
    if isinstance(unseen, OstlerError):
        fix = "; ".join(unseen.next_actions) or "ostler prune tries again"
        return {"server": (unseen.tool or "").partition("/")[0], "reason": unseen.summary, "next": fix}
    since = "" if unseen.since is None else timestamp(unseen.since)
    facts: JsonObject = {"server": unseen.server, "classes": list(unseen.classes), "since": since}
    facts["services"] = list(unseen.services)
    return present({**facts, "reason": str(unseen), "next": unseen.fix})


def unseen_lines(unseen: Sequence[JsonObject]) -> list[str]:
    """Return these in words, each with what to do."""
    return [f"{each['reason']}. Next: {each['next']}" for each in unseen]
