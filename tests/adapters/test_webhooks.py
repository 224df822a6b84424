"""Webhooks against real web servers: signed, repeated, bounded, and sent to no other address."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.support.web import serving
from tests.support.world import EPOCH, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.adapters.webhooks import MAX_WAITING, TIMEOUT, Webhooks
from ostler.engine.clock import LoopClock
from ostler.engine.events.log import EventLog
from ostler.engine.events.notices import NoticeBoard
from ostler.model.events import EventKind
from ostler.model.moments import parse_time
from ostler.model.settings import WebhookSettings

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

SECRET = "whsec_" + base64.b64encode(b"a secret of many bytes").decode()
UP_DOWN = ({"from": "running", "to": "failed", "reason": "gone"}, {"from": "starting", "to": "running"})


class Receiver:
    """Takes deliveries; `answers` are given in turn, then 204."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.taken: list[tuple[Any, bytes]] = []
        self.elsewhere = 0
        self.gate: anyio.Event | None = None

    async def hook(self, request: Request) -> Response:
        self.taken.append((request.headers, await request.body()))
        if self.gate is not None:
            await self.gate.wait()
        return self.answers.pop(0) if self.answers else Response(status_code=204)

    async def other(self, request: Request) -> Response:
        del request
        self.elsewhere += 1
        return Response()

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.taken]


@asynccontextmanager
async def delivering(
    receiver: Receiver, environment: dict[str, str] | None = None, **settings: Any
) -> AsyncGenerator[tuple[EventLog, list[str]]]:
    routes = [
        Route("/hook", receiver.hook, methods=["POST"]),
        Route("/other", receiver.other, methods=["GET", "POST"]),
    ]
    async with (
        serving(Starlette(routes=routes)) as port,
        delivering_to(port, environment, **settings) as (events, reports),
    ):
        yield events, reports


@asynccontextmanager
async def delivering_to(
    port: int, environment: dict[str, str] | None = None, *, timeout: float = TIMEOUT, **settings: Any
) -> AsyncGenerator[tuple[EventLog, list[str]]]:
    clock = LoopClock(EPOCH)
    events, reports = EventLog(clock, MemoryStore()), []
    async with anyio.create_task_group() as tasks:
        hook = WebhookSettings.model_validate({"url": f"http://127.0.0.1:{port}/hook", **settings})
        hooks = Webhooks(
            (hook,),
            environment or {},
            clock,
            describe=lambda name: {"project": f"of {name}"},
            report=reports.append,
            pauses=(0.01, 0.01),
            timeout=timeout,
        )
        board = NoticeBoard(events)
        tasks.start_soon(hooks.run, board)
        await anyio.wait_all_tasks_blocked()
        yield events, reports
        tasks.cancel_scope.cancel()


async def test_a_crash_and_its_recovery_are_delivered_signed() -> None:
    receiver = Receiver()
    async with delivering(receiver, secret=SECRET) as (events, reports):
        for data in UP_DOWN:
            events.append(EventKind.STATE_CHANGED, "web", f"{data['from']} -> {data['to']}", data)
        await until(lambda: len(receiver.taken) == 2)
    headers, body = receiver.taken[0]
    sent = json.loads(body)
    assert sent["type"] == "service.crashed"
    assert parse_time(sent["timestamp"]) >= EPOCH
    assert sent["data"] == {
        "service": "web",
        "text": "service web crashed (running -> failed)",
        "message": "running -> failed",
        "cursor": 1,
        "from": "running",
        "to": "failed",
        "reason": "gone",
        "project": "of web",
    }
    signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
    mac = hmac.new(b"a secret of many bytes", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    assert receiver.types == ["service.crashed", "service.recovered"]
    assert receiver.taken[0][0]["webhook-id"] != receiver.taken[1][0]["webhook-id"]
    assert reports == []


async def test_only_wanted_events_are_sent() -> None:
    receiver = Receiver()
    async with delivering(receiver, events=["leaseExpired"]) as (events, _):
        events.append(EventKind.STATE_CHANGED, "web", "", UP_DOWN[0])
        events.append(EventKind.LEASE_EXPIRED, "web", "lease ended; stopping")
        await until(lambda: receiver.taken)
    assert receiver.types == ["service.leaseExpired"]
    assert "webhook-signature" not in receiver.taken[0][0]


async def test_a_delivery_is_tried_again_and_then_given_up() -> None:
    receiver = Receiver(Response(status_code=503), *[Response(status_code=500)] * 3)
    async with delivering(receiver) as (events, reports):
        events.append(EventKind.LEASE_EXPIRED, "web", "")
        await until(lambda: reports)
        events.append(EventKind.LEASE_EXPIRED, "two", "")
        await until(lambda: len(receiver.taken) >= 5)
    assert len({headers["webhook-id"] for headers, _ in receiver.taken[:3]}) == 1
    assert "which is given up: it answered 500" in reports[0]
    assert "Next: check that what receives it runs, and its url and secret under [[webhooks]]" in reports[0]
    assert "/hook" not in reports[0]


async def test_a_retry_waits_for_the_date_that_the_receiver_names() -> None:
    named = (LoopClock(EPOCH).now() + timedelta(seconds=2)).replace(microsecond=0)
    busy = Response(status_code=503, headers={"Retry-After": format_datetime(named, usegmt=True)})
    unreadable = Response(status_code=503, headers={"Retry-After": "soon"})
    receiver = Receiver(busy, unreadable)
    async with delivering(receiver) as (events, reports):
        events.append(EventKind.STATE_CHANGED, "web", "running -> failed", UP_DOWN[0])
        await until(lambda: len(receiver.taken) == 3)
    again = receiver.taken[1][0]["webhook-timestamp"]
    assert int(again) >= named.timestamp()
    assert reports == []


async def test_an_answer_that_trickles_in_takes_no_longer_than_an_attempt_may() -> None:
    attempts = 0

    async def trickle(stream: SocketStream) -> None:
        nonlocal attempts
        attempts += 1
        async with stream:
            with suppress(anyio.BrokenResourceError):
                await stream.send(b"HTTP/1.1 200 OK\r\nx-slow: ")
                while True:
                    await stream.send(b"x")
                    await anyio.sleep(0.01)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, trickle)
        port = listener.extra(SocketAttribute.local_port)
        async with delivering_to(port, timeout=0.1) as (events, reports):
            events.append(EventKind.LEASE_EXPIRED, "web", "")
            await until(lambda: reports)
            assert attempts == 3
            assert "which is given up: it did not answer within 0.1 s. Next: " in reports[0]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    receiver = Receiver(Response(status_code=status, headers={"location": "/other"}))
    async with delivering(receiver) as (events, reports):
        events.append(EventKind.LEASE_EXPIRED, "web", "")
        await until(lambda: reports)
    assert receiver.elsewhere == 0
    assert len(receiver.taken) == 1
    assert "a redirect, and none is followed" in reports[0]


async def test_a_slow_receiver_loses_the_oldest_notices_and_holds_up_nothing() -> None:
    receiver = Receiver()
    receiver.gate = anyio.Event()
    async with delivering(receiver) as (events, reports):
        for number in range(MAX_WAITING + 5):
            events.append(EventKind.LEASE_EXPIRED, f"s{number}", "")
            if number == 0:
                await until(lambda: receiver.taken)
        receiver.gate.set()
        await until(lambda: len(receiver.taken) == MAX_WAITING + 1)
    names = [json.loads(body)["data"]["service"] for _, body in receiver.taken]
    assert names == ["s0", *(f"s{number}" for number in range(5, MAX_WAITING + 5))]
    assert reports == [f"webhook {shown(receiver)} was too slow: 4 notices were dropped"]


def shown(receiver: Receiver) -> str:
    return f"http://{receiver.taken[0][0]['host']}/…"


async def test_an_address_whose_secret_is_missing_is_not_used() -> None:
    receiver = Receiver()
    async with delivering(receiver, secretEnv="HOOK_SECRET") as (events, reports):
        events.append(EventKind.LEASE_EXPIRED, "web", "")
        await until(lambda: reports)
    assert receiver.taken == []
    assert "secretEnv names 'HOOK_SECRET', which is not set" in reports[0]
    async with delivering(receiver, {"HOOK_SECRET": "text"}, secretEnv="HOOK_SECRET") as (events, _):
        events.append(EventKind.LEASE_EXPIRED, "web", "")
        await until(lambda: receiver.taken)
    assert receiver.taken[0][0]["webhook-signature"].startswith("v1,")
