"""Quotas and the audit log, which every change by a principal goes through."""

import logging
import secrets
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import anyio

from ostler.adapters.access.audit_log import STARTS, AuditTrail
from ostler.faces.access.call_facts import current_call
from ostler.faces.access.rate import Rate
from ostler.faces.access.rights import Rights
from ostler.model.durations import format_duration
from ostler.model.errors import AccessDeniedError, OstlerError, QuotaError, StoreError
from ostler.model.json import JsonObject

logger = logging.getLogger(__name__)

HOUR: Final = 3600.0

_LAST_WORDS: Final = 5.0
"""Seconds to record the end of a change whose caller has gone."""


class Account:
    """What a principal has done lately, over all its connections.

    Attributes:
        creating: owner and name of each service that is being created; no name where the engine chooses it.
    """

    def __init__(self, earlier: Iterable[float] = ()) -> None:
        """Start counting.

        Args:
            earlier: how many seconds ago it started something, before this server did.
        """
        self.creating: list[tuple[str, str]] = []
        self._starts = Rate(HOUR)
        self._starts.restore(earlier)

    def __repr__(self) -> str:
        return f"Account({len(self._starts)} starts)"

    def take_start(self, limit: int, who: str) -> None:
        """Count one start.

        Raises:
            QuotaError: there were `limit` within the last hour.
        """
        if wait := self._starts.take(limit):
            raise QuotaError(
                f"{who!r} started {len(self._starts)} services within the last hour, and may not start more "
                f"(startsPerHour = {limit})",
                next_actions=(
                    f"try again in {format_duration(wait)}",
                    "or ask the person who runs this Ostler for more",
                ),
            )


class Acting:
    """Lets one principal change things, one audited step at a time."""

    def __init__(self, rights: Rights, account: Account, trail: AuditTrail | None) -> None:
        self._rights = rights
        self.account = account
        self._trail = trail

    def __repr__(self) -> str:
        return f"Acting({self._rights!r})"

    @asynccontextmanager
    async def act(
        self, action: str, target: str, *, starts: bool = False, refusal: OstlerError | None = None
    ) -> AsyncGenerator[None]:
        """Record the change that is made inside: its beginning before it, and its end.

        Args:
            action: one word, such as `create`.
            target: the service, class, server or tool that is concerned.
            starts: it starts something; this counts for the quota, also after a restart of the server.
            refusal: why it is not allowed, if it is not.

        Raises:
            OstlerError: the refusal.
            StoreError: it cannot be recorded; nothing was done.
        """
        facts = self._facts(action, target)
        if starts:
            facts[STARTS] = True
        if refusal is not None:
            await self._record_end(facts, "refused", refusal)
            raise refusal
        await self._record(facts, "begun")
        try:
            yield
        except OstlerError as error:
            is_refusal = isinstance(error, (QuotaError, AccessDeniedError))
            await self._record_end(facts, "refused" if is_refusal else "failed", error)
            raise
        except BaseException:
            with anyio.move_on_after(_LAST_WORDS, shield=True):
                await self._record_end(facts, "left")  # the caller went away, or a bug; the engine may go on
            raise
        await self._record_end(facts, "done")

    def _facts(self, action: str, target: str) -> JsonObject:
        call, who = current_call(), self._rights.principal
        return {
            "id": secrets.token_hex(6),
            "who": who.name,
            "credential": who.credential,
            "from": call.address or "local",
            "client": call.client,
            "tool": call.tool,
            "action": action,
            "target": target,
        }

    async def _record_end(self, facts: JsonObject, outcome: str, error: OstlerError | None = None) -> None:
        """Record how a change ended; if that fails, the server's log has it, and the caller still gets the result."""
        try:
            await self._record(facts, outcome, error)
        except StoreError as trouble:
            done = f"{facts['action']} of {facts['target']!r} by {facts['who']} ({facts['id']}): {outcome}"
            logger.error("the audit log lacks how this ended: %s: %s", done, trouble)  # noqa: TRY400 (no bug)

    async def _record(self, facts: JsonObject, outcome: str, error: OstlerError | None = None) -> None:
        if self._trail is not None:
            why: JsonObject = {} if error is None else {"error": str(error)}
            await self._trail.record({**facts, "outcome": outcome, **why})
