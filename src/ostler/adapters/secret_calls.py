"""The engine's way to tools: what marks of secrets stand for is put into each call, and taken out of its answer."""

import logging
import time
from collections.abc import Iterable
from typing import Final, cast

import anyio
from anyio.abc import TaskGroup

from ostler.adapters.caller_environment import environment_of_caller, without_own
from ostler.adapters.downstream.secret_references import MissingSecretError, look_up
from ostler.adapters.environments import Environments
from ostler.engine.protocols import Progress, ToolCaller
from ostler.model.downstream_errors import SecretMissingError
from ostler.model.errors import OstlerError
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.responses import ToolResponse
from ostler.model.tool_names import OWN_SERVER
from ostler.rules.secrets.masking import changed_response, masked_response
from ostler.rules.secrets.secret_marks import Seal, SecretMarks, filled, marks_in

FRESH: Final = 60.0
"""Seconds that what a keyring or a command gave is used again: health checks may need it every few seconds."""

RECALL_SECONDS: Final = 10.0
"""For so long answers wait, after a start, for the secrets of what runs already; a keyring may wait for a person."""

_VARIABLE: Final = "${secret:env:"
_CHEAP: Final = (_VARIABLE, "${secret:file:")

logger = logging.getLogger(__name__)


class SecretCalls:
    """Calls tools with secrets where the arguments have marks; whoever uses it never holds a secret.

    Tools of Ostler itself get the marks: what they make looks the secrets up in its own calls.

    Args:
        tools: makes the calls.
        marks: knows what was marked.
        environments: say which variables there are without a caller.
    """

    def __init__(self, tools: ToolCaller, marks: SecretMarks, environments: Environments) -> None:
        self.marks = marks
        self._tools = tools
        self._environments = environments
        self._found: dict[str, tuple[str, float]] = {}
        self._seal = Seal({})
        self._recalled: anyio.Event | None = None

    def __repr__(self) -> str:
        return f"SecretCalls({self._tools!r})"

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        """Call `server/tool` and return its answer, in which secrets are marks again.

        Raises:
            SecretMissingError: a secret cannot be looked up; nothing was sent.
            DownstreamError: there was no answer; see its `delivery`.
        """
        server = tool.partition("/")[0]
        values = cast("JsonObject", args)
        if server != OWN_SERVER and (marks := marks_in(values)):
            values = cast("JsonObject", filled(values, {mark: await self._secret(mark, server) for mark in marks}))
        try:
            response = await self._tools.call_tool(tool, values, timeout=timeout, progress=progress)
        except OstlerError as error:
            await self._wait_for_recall()
            error.summary = str(self._seal(error.summary))
            raise
        await self._wait_for_recall()
        return self._sealed(response) if self._found else response

    async def hide(self, response: ToolResponse) -> ToolResponse:
        """Return the answer to a client's own call, with what was looked up for any service masked."""
        await self._wait_for_recall()
        return masked_response(self._sealed(response), self._found) if self._found else response

    def recall_in(self, group: TaskGroup, texts: Iterable[str]) -> None:
        """Let a task look up the secrets whose marks are in `texts`, before answers about what runs are shown."""
        if marks := marks_in(list(texts)):
            self._recalled = anyio.Event()
            group.start_soon(self._recall, marks, self._recalled, name="ostler-recall-secrets")

    async def _recall(self, marks: Iterable[str], recalled: anyio.Event) -> None:
        try:
            for mark in marks:
                try:
                    await self._secret(mark, "")
                except SecretMissingError as error:
                    logger.warning("it may be in logs that are shown: %s", error)
        finally:
            recalled.set()

    async def _wait_for_recall(self) -> None:
        if self._recalled is not None and not self._recalled.is_set():
            with anyio.move_on_after(RECALL_SECONDS):
                await self._recalled.wait()

    async def _secret(self, mark: str, server: str) -> str:
        reference = self.marks.reference_of(mark)
        if reference is None:
            raise SecretMissingError(
                "the call refers to a secret that this server did not read from a file",
                next_actions=("run 'ostler up' in the folder of its ostler.yaml",),
            )
        known, at = self._found.get(mark, ("", -FRESH))
        if time.monotonic() - at < FRESH and not reference.startswith(_CHEAP):
            return known
        environment = environment_of_caller() or await self._environments.of(server)
        try:
            value = await look_up(reference, without_own(environment))
        except MissingSecretError as error:
            if known and reference.startswith(_VARIABLE):  # an earlier caller had it, and a restart has none
                return known
            raise SecretMissingError(f"the secret {reference} is missing: {error}") from None
        self._found[mark] = value, time.monotonic()
        if value != known:
            self._seal = Seal({mark: found for mark, (found, _) in self._found.items()})
        return value

    def _sealed(self, response: ToolResponse) -> ToolResponse:
        return changed_response(response, self._seal)
