"""What one run of the server owns: the task group in which sessions' notifications are sent."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct


class Lifespan(Struct, frozen=True):
    """The state of one run of the server (a stdio connection, or all sessions of an HTTP server)."""

    task_group: TaskGroup


@asynccontextmanager
async def lifespan(server: object) -> AsyncGenerator[Lifespan]:
    """Run with a task group; what still runs in it at the end is cancelled."""
    del server
    async with anyio.create_task_group() as group:
        yield Lifespan(group)
        group.cancel_scope.cancel()
