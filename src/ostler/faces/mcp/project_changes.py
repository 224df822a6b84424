"""What an `up` of a project would change, as facts and in words."""

from collections.abc import Sequence
from typing import Any

from ostler.engine.projects.changes import Change, ChangeKind
from ostler.model.json import JsonObject, present

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
