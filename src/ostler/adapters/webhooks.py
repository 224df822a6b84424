"""Sends notices to the addresses of `ostler.toml`, signed, with retries, and never to any other address.

Deliveries follow Standard Webhooks (https://www.standardwebhooks.com): `webhook-id`, `webhook-timestamp`, and
`webhook-signature`, an HMAC-SHA256 of id, timestamp and body.
"""

import base64
import binascii
import hashlib
import hmac
import json
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Final

import anyio
import httpx2
from msgspec import Struct

from ostler.adapters.backoff import Nudge
from ostler.engine.events.notices import Notice, NoticeBoard
from ostler.engine.protocols import Clock
from ostler.model.json import JsonObject
from ostler.model.moments import format_time
from ostler.model.settings import WebhookSettings
from ostler.model.web_addresses import DIRECT

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 100
"""Notices that wait for one address; the oldest go first."""

TIMEOUT: Final = 10.0
"""Seconds that one attempt may take, from the connection to the head of the answer."""

PAUSES: Final = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds between the attempts; after the last one a notice is given up."""

_RETRY_AFTER_MAX: Final = 600.0
_AGAIN: Final = frozenset({408, 425, 429})


class _Delivery(Struct, frozen=True):
    id: str
    body: bytes


class Webhooks:
    """One queue and one task for each address, so that a slow one holds up no other.

    Args:
        settings: the addresses.
        environment: where `secretEnv` is looked up.
        clock: dates deliveries.
        describe: returns what a delivery says of a service besides the event.
        report: called with what a person should know, such as an address that does not answer.
        pauses: seconds between attempts.
        timeout: seconds that one attempt may take.
    """

    def __init__(
        self,
        settings: tuple[WebhookSettings, ...],
        environment: Mapping[str, str],
        clock: Clock,
        *,
        describe: Callable[[str], JsonObject],
        report: Callable[[str], None],
        pauses: tuple[float, ...] = PAUSES,
        timeout: float = TIMEOUT,
    ) -> None:
        self._hooks: list[_Hook] = []
        self._describe = describe
        for each in settings:
            key = _key(each, environment)
            if key is None and each.secret_env is not None:
                report(
                    f"webhook {each.shown} is not used: secretEnv names {each.secret_env!r}, which is not set in the "
                    "environment of the server; set it and restart the server"
                )
                continue
            self._hooks.append(_Hook(each, key, clock, report=report, pauses=pauses, timeout=timeout))

    def __repr__(self) -> str:
        return f"Webhooks({len(self._hooks)} addresses)"

    async def run(self, board: NoticeBoard) -> None:
        """Deliver what `board` has from now on, until cancelled; what waits then is dropped."""
        if not self._hooks:
            return
        leave = board.subscribe(self._take)
        try:
            async with anyio.create_task_group() as tasks:
                for hook in self._hooks:
                    tasks.start_soon(hook.run)
        finally:
            leave()

    def _take(self, notice: Notice) -> None:
        wanted = [hook for hook in self._hooks if notice.kind in hook.settings.events]
        if not wanted:
            return
        event = notice.event
        body = {
            "type": f"service.{notice.kind.value}",
            "timestamp": format_time(event.at),
            "data": {
                "service": event.service,
                "text": notice.text,
                "message": event.message,
                "cursor": event.cursor,
                **event.data,
                **self._describe(event.service),
            },
        }
        digest = hashlib.sha256(f"{event.service} {event.cursor} {event.at}".encode()).hexdigest()[:24]
        delivery = _Delivery(f"msg_{digest}", json.dumps(body, ensure_ascii=False).encode())
        for hook in wanted:
            hook.put(delivery)


class _Hook:
    """What waits for one address."""

    def __init__(
        self,
        settings: WebhookSettings,
        key: bytes | None,
        clock: Clock,
        *,
        report: Callable[[str], None],
        pauses: tuple[float, ...],
        timeout: float,
    ) -> None:
        self.settings = settings
        self._key = key
        self._clock = clock
        self._report = report
        self._pauses = pauses
        self._timeout = timeout
        self._waiting: deque[_Delivery] = deque()
        self._nudge = Nudge()
        self._dropped = 0

    def put(self, delivery: _Delivery) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(delivery)
        self._nudge.give()

    async def run(self) -> None:
        address = self.settings.url.get_secret_value()
        async with httpx2.AsyncClient(
            follow_redirects=False, timeout=None, mounts=DIRECT, headers={"user-agent": "ostler"}
        ) as client:
            while True:
                while not self._waiting:
                    await self._nudge.wait()
                await self._deliver(client, address, self._waiting.popleft())

    async def _deliver(self, client: httpx2.AsyncClient, address: str, delivery: _Delivery) -> None:
        why = ""
        for pause in (*self._pauses, None):
            why, wait = await self._attempt(client, address, delivery)
            if not why:
                break
            if wait is None or pause is None:
                self._report(
                    f"webhook {self.settings.shown} did not take a notice, which is given up: {why}. Next: check that "
                    "what receives it runs, and its url and secret under [[webhooks]] in ostler.toml"
                )
                return
            logger.info("webhook %s: %s; again later", self.settings.shown, why)
            await anyio.sleep(max(wait, pause * random.uniform(0.8, 1.2)))  # noqa: S311 (it spreads times)
        if self._dropped:
            lost, self._dropped = self._dropped, 0
            self._report(f"webhook {self.settings.shown} was too slow: {lost} notices were dropped")

    async def _attempt(self, client: httpx2.AsyncClient, address: str, delivery: _Delivery) -> tuple[str, float | None]:
        """Return why the notice was not taken ("" if it was), and seconds to wait at least; None: do not try again."""
        try:
            with anyio.fail_after(self._timeout):
                async with client.stream(
                    "POST", address, content=delivery.body, headers=self._headers(delivery)
                ) as response:
                    status, after = response.status_code, response.headers.get("retry-after", "")
        except TimeoutError:
            return f"it did not answer within {self._timeout:g} s", 0.0
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return f"{type(error).__name__}: {error}".replace(address, self.settings.shown), 0.0
        if 200 <= status < 300:
            return "", None
        if 300 <= status < 400:
            return f"it answered {status}, a redirect, and none is followed: write the address that it leads to", None
        if status in _AGAIN or status >= 500:
            return f"it answered {status}", self._asked_wait(after)
        return f"it answered {status}", None

    def _asked_wait(self, retry_after: str) -> float:
        """Return the seconds to wait that a `Retry-After` of seconds or with a date asks for, within bounds; else 0."""
        if retry_after.isdecimal():
            return min(float(retry_after), _RETRY_AFTER_MAX)
        try:
            wait = parsedate_to_datetime(retry_after).timestamp() - self._clock.now().timestamp()
        except (ValueError, OverflowError):
            return 0.0
        return min(max(wait, 0.0), _RETRY_AFTER_MAX)

    def _headers(self, delivery: _Delivery) -> dict[str, str]:
        sent_at = str(int(self._clock.now().timestamp()))
        headers = {"content-type": "application/json", "webhook-id": delivery.id, "webhook-timestamp": sent_at}
        if self._key is not None:
            signed = b".".join((delivery.id.encode(), sent_at.encode(), delivery.body))
            mac = hmac.new(self._key, signed, hashlib.sha256).digest()
            headers["webhook-signature"] = f"v1,{base64.b64encode(mac).decode()}"
        return headers


def _key(settings: WebhookSettings, environment: Mapping[str, str]) -> bytes | None:
    secret = settings.secret.get_secret_value() if settings.secret is not None else ""
    secret = secret or environment.get(settings.secret_env or "", "")
    if not secret:
        return None
    if secret.startswith("whsec_"):
        with suppress(binascii.Error, ValueError):
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    return secret.encode()
