"""A standby server follows the holder: it keeps a mirror of what that shows, and a lease to answer reads."""

import json
import logging
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Final
from urllib.parse import urlencode
from uuid import uuid4

import anyio
import httpx2

from ostler.adapters.replicas.mirror import Mirror
from ostler.adapters.replicas.publisher import BEAT, RETURNED
from ostler.adapters.replicas.publisher import LEASE as LEASE_SECONDS
from ostler.adapters.stores.standing_by import SeenHolder
from ostler.faces.replicas.delegated_checks import DelegatedChecks
from ostler.faces.replicas.feed_server import FEED, LEASE, follower_token

_PAUSES: Final = (0.1, 0.5, 2.0)
"""Seconds from one attempt to the next."""

_SILENCE: Final = 4 * BEAT
"""Seconds without a sign of life after which the connection counts as lost."""

_LAST_WORDS: Final = 1.0
"""Seconds to give the lease back."""

_LEASE_AFTER: Final = BEAT
"""Seconds after which the lease is requested again."""

logger = logging.getLogger(__name__)


class RefusedError(Exception):
    """The holder does not serve followers, or not this one."""


class Following:
    """Follows one holder after the other.

    Args:
        version: of this program.
        access: returns the digest of this server's access rules, given the key of the database.
        checking: makes health checks for the holder.

    Attributes:
        mirror: the copy.
    """

    def __init__(self, version: str, access: Callable[[bytes], str], checking: DelegatedChecks | None = None) -> None:
        self.mirror = Mirror()
        self._version = version
        self._access = access
        self._checking = checking
        self._id = uuid4().hex
        self._holder: SeenHolder | None = None
        self._changed = anyio.Event()
        self._lease_until = 0.0
        self._asked_at = 0.0
        self._wants_lease = anyio.Event()
        self._may_read = False
        self._key = b""
        self._heard_at = 0.0
        self._said = ""

    def __repr__(self) -> str:
        return f"<Following {self._holder}, {self.mirror!r}>"

    @property
    def is_current(self) -> bool:
        """Whether the mirror shows everything that the holder has answered to anyone."""
        return self.state(anyio.current_time())[1]

    @property
    def age(self) -> float | None:
        """Seconds since the mirror was as the holder is; None: it never was, or others may read there."""
        if not (self.mirror.is_whole and self._may_read and self.mirror.access == self._access(self._key)):
            return None
        return anyio.current_time() - self._heard_at

    def state(self, now: float) -> tuple[float | None, bool]:
        """Return the seconds since the mirror was renewed, None without one, and whether it is current; at `now`."""
        age = now - self._heard_at if self.mirror.is_whole else None
        return age, now < self._lease_until and self._may_read and not self.mirror.is_last

    def saw(self, holder: SeenHolder | None) -> None:
        """Note who holds the database."""
        if holder != self._holder:
            self._holder = holder
            self._lease_until = 0.0
            self._changed.set()
            self._changed = anyio.Event()

    async def run(self, client: httpx2.AsyncClient, name: str) -> None:
        """Follow whoever holds the database, until cancelled; then no one waits for a lease of this server.

        Args:
            client: reaches the other servers.
            name: the name in their certificate; empty over plain http.
        """
        try:
            await self._follow_all(client, name)
        finally:
            with anyio.move_on_after(_LAST_WORDS, shield=True):
                await self._return_lease(client, name)
            self.mirror = Mirror()  # the old copy is not needed any more

    async def _return_lease(self, client: httpx2.AsyncClient, name: str) -> None:
        """Notify the holder that this server answers no reads any more."""
        holder, self._lease_until, had_until = self._holder, 0.0, self._lease_until
        if holder is None or anyio.current_time() >= had_until:
            return
        with suppress(httpx2.HTTPError, OSError):
            link = _Link(client, holder, name, self._version, self._id)
            address = link.url(LEASE, {"run": self.mirror.run, "number": str(RETURNED)})
            await client.post(address, headers=link.headers, extensions=link.extensions)

    async def _follow_all(self, client: httpx2.AsyncClient, name: str) -> None:
        failed = 0
        while True:
            holder, changed = self._holder, self._changed
            if holder is None or not holder.url:
                await changed.wait()
                failed = 0
                continue
            heard_at = self._heard_at
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_at, changed, tasks.cancel_scope)
                await self._follow(_Link(client, holder, name, self._version, self._id))
                tasks.cancel_scope.cancel()
            self._lease_until = 0.0
            if changed is self._changed:
                failed = 0 if self._heard_at > heard_at else min(failed + 1, len(_PAUSES) - 1)
                with anyio.move_on_after(_PAUSES[failed]):
                    await changed.wait()

    async def _follow(self, link: "_Link") -> None:
        """Follow one holder until that is not possible any more."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep_lease, link)
                if self._checking is not None:
                    tasks.start_soon(self._checking.serve, link)
                await self._read(link)
                tasks.cancel_scope.cancel()
            self._say(f"{link.holder.url} ended the connection")
        except* (httpx2.HTTPError, OSError, TimeoutError, RefusedError) as group:
            self._say(f"{link.holder.url} cannot be followed: {group.exceptions[0]!r}")
        except* Exception as group:  # boundary: without a mirror, everything is passed on
            self.mirror.run = ""  # it is not known what was taken in: everything from the beginning
            logger.warning("%s sent what cannot be taken in: %r", link.holder.url, group.exceptions[0], exc_info=True)

    def _say(self, what: str) -> None:
        if what != self._said:
            logger.info("%s; reads are passed on", what)
            self._said = what

    async def _read(self, link: "_Link") -> None:
        mirror = self.mirror
        mirror.connected()
        asked = {"run": mirror.run, "number": str(mirror.number)} if mirror.is_whole else {}
        timeout = httpx2.Timeout(_SILENCE)
        address = link.url(FEED, asked)
        async with link.client.stream(
            "GET", address, headers=link.headers, timeout=timeout, extensions=link.extensions
        ) as answer:
            if answer.status_code != 200:
                raise RefusedError(f"{answer.status_code} {(await answer.aread())[:200]!r}")
            async with aclosing(answer.aiter_raw()) as parts:
                async for part in parts:
                    mirror.read(part)
                    self._took(link.holder.key)

    def _took(self, key: bytes) -> None:
        """React to changes of the mirror."""
        if not self.mirror.is_whole:
            return
        now = anyio.current_time()
        self._heard_at, self._key = now, key
        if not (may_read := self.mirror.access == self._access(key)) and self._may_read:
            logger.warning("reads are passed on: settings or tokens of this server differ from the holder's")
        self._may_read = may_read
        if self.mirror.wanted or now - self._asked_at >= _LEASE_AFTER:
            self._wants_lease.set()

    async def _keep_lease(self, link: "_Link") -> None:
        """Acknowledge received changes, when an answer waits for that or the lease gets old."""
        while True:
            await self._wants_lease.wait()
            self._wants_lease = anyio.Event()
            self._asked_at = asked_at = anyio.current_time()
            number, self.mirror.wanted = self.mirror.number, 0
            address = link.url(LEASE, {"run": self.mirror.run, "number": str(number)})
            answer = await link.client.post(
                address, headers=link.headers, timeout=httpx2.Timeout(_SILENCE), extensions=link.extensions
            )
            has_lease = answer.status_code == 200 and json.loads(answer.content).get("lease") is True
            if has_lease and link.holder == self._holder:
                self._lease_until = asked_at + LEASE_SECONDS
                self._said = ""


async def _cancel_at(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


class _Link:
    """The connection to one holder."""

    def __init__(self, client: httpx2.AsyncClient, holder: SeenHolder, name: str, version: str, follower: str) -> None:
        self.client = client
        self.holder = holder
        self.key = holder.key
        self.headers = {"authorization": f"Bearer {follower_token(holder.key)}"}
        self._facts = {"follower": follower, "version": version}
        self.extensions = {"sni_hostname": name} if name else {}

    def url(self, path: str, more: dict[str, str]) -> str:
        """Return the URL of `path` with this follower's parameters and `more`."""
        return f"{self.holder.url}{path}?{urlencode(self._facts | more)}"
