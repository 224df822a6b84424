"""One answer for many services: a list, in which each service finds its own item."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from ostler.model.errors import ExtractionError, ToolFailedError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.responses import ToolResponse
from ostler.rules.answers.absence import is_empty, is_out_of_reach
from ostler.rules.answers.extraction import find_in_response
from ostler.rules.answers.pages import more_pages
from ostler.rules.answers.queries import search_value
from ostler.rules.secrets.masking import shorten
from ostler.rules.text.equality import loosely_equal

_SHOWN = 120


class BatchAnswer:
    """A list-style tool's answer, indexed once for each set of paths that services match by."""

    def __init__(self, response: ToolResponse) -> None:
        self.response = response
        self._items: dict[str, list[JsonValue]] = {}
        self._indexes: dict[tuple[str, tuple[str, ...]], dict[tuple[str, ...], list[JsonValue]]] = {}

    def find(self, batch: JsonMapping, fits: Callable[[ToolResponse], bool] | None = None) -> ToolResponse:
        """Return the item that `batch` (`{"items", "match"}`, rendered) looks for, as an answer of its own.

        An answer that is a failure, or says that the tool could not ask, is returned as it is.

        Args:
            batch: where the list is, and what the item has.
            fits: of several items, the first that fits is returned, else the first: some lists keep what has ended.

        Raises:
            ExtractionError: there is no list at `items`, or only a page of it; an answer without any content is none.
            ToolFailedError: no item matches: the service does not exist.
        """
        if self.response.is_error or is_out_of_reach(self.response):
            return self.response
        path = str(batch.get("items", "@"))
        match = cast("Mapping[str, JsonValue]", batch["match"])
        items = self._items_at(path)
        found = [
            ToolResponse(item, duration=self.response.duration)
            for item in self._candidates(path, items, match)
            if all(loosely_equal(_value(item, key), wanted) for key, wanted in match.items())
        ]
        if found:
            return next((item for item in found if len(found) > 1 and fits is not None and fits(item)), found[0])
        looked_for = ", ".join(f"{key}={wanted!r}" for key, wanted in match.items())
        if more := more_pages(self.response):
            raise ExtractionError(
                f"none of the {len(items)} items of the answer has {looked_for}, but there are more ({more}), so that "
                "proves nothing",
                next_actions=("let the args of status or find ask for more on a page, or for this service alone",),
            )
        failure = ToolFailedError(f"none of the {len(items)} items of the answer has {looked_for}")
        failure.is_absence = True
        raise failure

    def _items_at(self, path: str) -> list[JsonValue]:
        if path not in self._items:
            found = find_in_response(self.response, path)
            if is_empty(self.response):
                raise ExtractionError(
                    "the answer was empty, which may be an empty list or a tool that did nothing, so it proves nothing",
                    next_actions=("use a tool that says more in status or find: one that answers for this service",),
                )
            if not isinstance(found, list):
                raise ExtractionError(
                    f"batch.items {path!r} is not a list; the answer was {shorten(self.response.value, _SHOWN)}"
                )
            self._items[path] = cast("list[JsonValue]", found)
        return self._items[path]

    def _candidates(self, path: str, items: Sequence[JsonValue], match: Mapping[str, JsonValue]) -> Iterable[JsonValue]:
        paths = tuple(match)
        index = self._indexes.get((path, paths))
        if index is None:
            index = self._indexes[path, paths] = {}
            for item in items:
                index.setdefault(tuple(_key(_value(item, key)) for key in paths), []).append(item)
        return index.get(tuple(_key(wanted) for wanted in match.values()), ())


def _value(item: JsonValue, path: str) -> JsonValue:
    if isinstance(item, Mapping) and path.isidentifier():  # the usual case, a hundred times faster
        return cast("JsonMapping", item).get(path)
    try:
        return search_value(path, item)
    except ExtractionError:
        return None


def _key(value: JsonValue) -> str:
    """Return the same text for all values that are loosely equal; others may share it too."""
    if isinstance(value, str):
        text = value.strip().lower()
        try:
            return repr(float(text) + 0.0)
        except ValueError:
            return text
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return repr(float(value) + 0.0)  # minus zero is zero
    return "a list" if isinstance(value, list) else "an object"


def batch_key(tool: str, args: JsonObject) -> str:
    """Return the key that calls share if one answer can serve them."""
    import json  # noqa: PLC0415 (the module's one use)

    return f"{tool} {json.dumps(args, sort_keys=True, default=str)}"
