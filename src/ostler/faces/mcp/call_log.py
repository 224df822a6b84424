"""The newest tool calls that each client made through tool_call, masked and bounded, for drafting classes."""

from collections import OrderedDict, deque
from collections.abc import Collection
from typing import cast

from ostler.engine.protocols import ToolDirectory
from ostler.model.json import JsonObject, is_longer
from ostler.model.responses import MadeCall, ToolResponse
from ostler.rules.secrets.masking import mask, secret_strings, secrets_by_key

MAX_CALLS = 50
"""Calls kept of one client."""

MAX_CLIENTS = 32
"""How many clients' calls are kept; the one that was silent longest is forgotten first."""

MAX_CALL = 16_384
"""Characters of one call's args and answer; a larger one is not kept."""


class CallLog:
    """Remembers calls in memory only.

    Values under keys that sound like secrets, and credentials in command lines, are masked, here and wherever else.
    """

    def __init__(self) -> None:
        self._calls: OrderedDict[str, deque[MadeCall]] = OrderedDict()

    def __repr__(self) -> str:
        return f"CallLog({sum(map(len, self._calls.values()))} calls of {len(self._calls)} clients)"

    def note(
        self, client: str, tool: str, args: JsonObject, response: ToolResponse, secrets: Collection[str] = ()
    ) -> None:
        """Remember a call and its answer.

        Args:
            client: who made it.
            tool: `server/tool`.
            args: its arguments.
            response: its answer.
            secrets: texts that must not be kept.
        """
        if is_longer([args, response.value, response.text], MAX_CALL):
            return
        hidden = frozenset(secrets) | secrets_by_key(args) | secrets_by_key(response.value) | secret_strings({}, args)
        call = MadeCall(
            tool,
            cast("JsonObject", mask(args, hidden)),
            mask(response.value, hidden),
            str(mask(response.text, hidden)),
            response.is_error,
        )
        calls = self._calls.setdefault(client, deque(maxlen=MAX_CALLS))
        self._calls.move_to_end(client)
        calls.append(call)
        while len(self._calls) > MAX_CLIENTS:
            self._calls.popitem(last=False)

    def recent(self, client: str, last: int = MAX_CALLS) -> list[MadeCall]:
        """Return the newest `last` calls of `client`, oldest first."""
        return list(self._calls.get(client, ()))[-last:]


def reading_tools(tools: ToolDirectory) -> frozenset[str]:
    """Return the listed tools whose annotations say that they change nothing."""
    return frozenset(
        info.qualified for info in tools.list_tools() if info.annotations and info.annotations.get("readOnlyHint")
    )
