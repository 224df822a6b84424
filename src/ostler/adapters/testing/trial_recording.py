"""The life of a service under trial as a class test: its actions, their calls, and what was true after each."""

import secrets
from collections.abc import Awaitable, Callable, Sequence

from ostler.adapters.testing.live_recording import RecordingCaller, file_head, recorded_step, recorded_text
from ostler.adapters.testing.runner import settle
from ostler.engine.manager import ServiceManager
from ostler.model.class_tests import StandIn
from ostler.model.errors import OstlerError
from ostler.model.json import JsonMapping, JsonObject


class TrialRecording:
    """Records what is done to one service through `caller`."""

    def __init__(self, class_name: str, service: str, args: JsonMapping, caller: RecordingCaller) -> None:
        self._service = service
        self._head = file_head(class_name, service, args)
        self._caller = caller
        self._steps: list[JsonObject] = []
        self._ids: list[str] = []
        self._secrets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"TrialRecording({self._service!r}, {len(self._steps)} steps)"

    def new_id(self) -> str:
        """Return an id that no server has seen; the text has instead what a test's own run makes."""
        self._ids.append(secrets.token_hex(8))
        return self._ids[-1]

    def mask(self, values: frozenset[str]) -> None:
        """Mask `values` in the text."""
        self._secrets |= values

    async def record(self, manager: ServiceManager, action: str, act: Callable[[], Awaitable[object]]) -> None:
        """Carry out an action of a class test, and record its calls and what is true afterwards.

        Raises:
            OstlerError: the action failed; that is recorded, too.
        """
        self._caller.begin_step(None)
        error: OstlerError | None = None
        try:
            await act()
        except OstlerError as failure:
            error = failure
        await settle(manager, self._caller)
        self._steps.append(recorded_step(action, self._caller, manager, self._service, error))
        if error is not None:
            raise error

    def text(self, services: Sequence[StandIn]) -> str:
        """Return the life as a file of class tests, in which `services` stand in for existing ones."""
        head = dict(self._head)
        if services:
            head["services"] = [
                service.model_dump(mode="json", by_alias=True, exclude_unset=True) for service in services
            ]
        text = recorded_text(head, self._steps, self._secrets, "lives as it was tried")
        for number, made in enumerate(self._ids, 1):
            text = text.replace(made, f"{number:016x}")
        return text
