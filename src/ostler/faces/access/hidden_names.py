"""Texts about a service without the names of services that their reader does not see."""

import re
from collections.abc import Iterable
from typing import Final, cast

from msgspec.structs import replace

from ostler.engine.services.views import ServiceView
from ostler.model.errors import OstlerError
from ostler.model.events import Event
from ostler.model.json import JsonObject, JsonValue
from ostler.model.records import OperationRecord

HIDDEN: Final = "(hidden)"
"""Stands where a service is named that the reader does not see."""


class HiddenNames:
    """Names that texts about one service must not show: of hidden dependencies and dependents."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        longest_first = sorted(self.names, key=lambda name: (-len(name), name))
        self._pattern = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-]|\.\w)")

    def __bool__(self) -> bool:
        return bool(self.names)

    def __repr__(self) -> str:
        return f"HiddenNames({len(self.names)})"

    def without(self, name: str) -> "HiddenNames":
        """Return the names but for `name`, which the reader said."""
        return HiddenNames(self.names - {name}) if name in self.names else self

    def text(self, text: str) -> str:
        """Return `text` without the names."""
        return self._pattern.sub(HIDDEN, text) if self.names and text else text

    def value(self, value: JsonValue) -> JsonValue:
        """Return a JSON value without the names, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in cast("list[JsonValue]", value)]
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in cast("JsonObject", value).items()}
        return value

    def view(self, view: ServiceView) -> ServiceView:
        """Return a snapshot without the names."""
        if not self.names:
            return view
        operation = view.operation
        if operation is not None:
            said = {key: self.text(getattr(operation, key)) for key in ("step", "reason", "progress")}
            operation = replace(operation, **said)
        return replace(
            view,
            error=self.text(view.error) if view.error else view.error,
            reason=self.text(view.reason),
            evidence=self.text(view.evidence),
            dependencies=tuple(name for name in view.dependencies if name not in self.names),
            dependency_problems=tuple(map(self.text, view.dependency_problems)),
            operation=operation,
            purpose=self.text(view.purpose),
            args=cast("JsonObject", self.value(view.args)),
            outputs=cast("JsonObject", self.value(view.outputs)),
            service_data=cast("JsonObject", self.value(view.service_data)),
            labels=cast("JsonObject", self.value(dict(view.labels))),
        )

    def event(self, event: Event) -> Event:
        """Return an event without the names."""
        if not self.names:
            return event
        return replace(event, message=self.text(event.message), data=cast("JsonObject", self.value(dict(event.data))))

    def record(self, record: OperationRecord) -> OperationRecord:
        """Return an operation of the past without the names."""
        if not self.names:
            return record
        return replace(record, error=self.text(record.error or "") or record.error, reason=self.text(record.reason))

    def error(self, error: OstlerError) -> OstlerError:
        """Return an error without the names."""
        if not self.names or self.text(str(error)) == str(error):
            return error
        clean = error.fresh()
        clean.__cause__ = None
        clean.summary = self.text(error.summary)
        clean.args = tuple(self.text(arg) if isinstance(arg, str) else arg for arg in error.args)
        clean.next_actions = tuple(map(self.text, error.next_actions))
        for key, value in list(vars(clean).items()):
            if isinstance(value, (list, tuple)):
                kept = [self.text(item) if isinstance(item, str) else item for item in cast("list[object]", value)]
                setattr(clean, key, type(cast("list[object]", value))(kept))
        return clean


NO_NAMES: Final = HiddenNames(())
"""Nothing is hidden."""
