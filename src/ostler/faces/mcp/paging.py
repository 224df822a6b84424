"""Pages of a sorted list: a cursor is the key of the last item shown, so that changes in between lose nothing."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from ostler.model.errors import ArgumentError

ItemT = TypeVar("ItemT")

_PREFIX = "after:"


def page(
    items: Sequence[ItemT], key: Callable[[ItemT], str], *, cursor: str | None, limit: int
) -> tuple[list[ItemT], str | None]:
    """Return at most `limit` of `items` (sorted by `key`) after `cursor`, and the cursor of the next page.

    Raises:
        ArgumentError: the cursor is not one of ours.
    """
    after = ""
    if cursor:
        if not cursor.startswith(_PREFIX):
            raise ArgumentError(
                [f"invalid value for argument 'cursor': {cursor[:80]!r} is not a nextCursor of this list"],
                next_actions=("leave cursor out to start from the beginning",),
            )
        after = cursor.removeprefix(_PREFIX)
    rest = [item for item in items if not after or key(item) > after]
    shown = rest[:limit]
    return shown, f"{_PREFIX}{key(shown[-1])}" if len(rest) > limit else None
