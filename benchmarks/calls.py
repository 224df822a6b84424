"""A downstream tool called directly through the SDK's client, and through Ostler's pool: one at a time, and 32."""

import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from benchmarks.figures import percentile, row, title
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.engine.clock import SystemClock
from ostler.model.servers import ServerEntry

SCRIPT = str(Path(__file__).with_name("echo_server.py"))
COMMAND = ["-I", SCRIPT]
AT_ONCE = (1, 32)
BURST = 10
"""In how many bursts the calls are made, in turn, so that a machine whose speed drifts treats both ways alike."""

Send = Callable[[dict[str, Any]], Awaitable[object]]


async def _burst(send: Send, calls: int, at_once: int, times: list[float]) -> float:
    """Make some calls, note the seconds of each, and return the seconds of processor time that they took here."""
    waiting = iter(range(calls))

    async def work() -> None:
        for number in waiting:
            began = time.perf_counter()
            await send({"name": f"s{number}"})
            times.append(time.perf_counter() - began)

    used = time.process_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(work)
    return time.process_time() - used


async def _compare(ways: Mapping[str, Send], rounds: int, at_once: int) -> None:
    times: dict[str, list[float]] = {way: [] for way in ways}
    used = dict.fromkeys(ways, 0.0)
    for send in ways.values():
        await _burst(send, rounds // BURST, at_once, [])  # caches are filled
    for _ in range(BURST):
        for way, send in ways.items():
            used[way] += await _burst(send, rounds // BURST, at_once, times[way])
    for way, found in times.items():
        print(f"{row(way, found)}   CPU of this process {used[way] / len(found) * 1000:.2f} ms")
    direct, pooled = (percentile(found, 0.5) * 1000 for found in times.values())
    print(f"{'overhead of the pool, p50':<44} {pooled - direct:8.2f} ms")


async def _main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ostler-bench-") as folder:
        entry = ServerEntry(name="echo", transport="stdio", command=sys.executable, args=tuple(COMMAND))
        pool = DownstreamPool({"echo": entry}, log_dir=Path(folder), environment={}, clock=SystemClock())
        async with pool, Client(StdioServerParameters(command=sys.executable, args=COMMAND)) as client:
            await pool.wait_until_connected("echo", 20)
            ways: dict[str, Send] = {
                "directly": lambda args: client.call_tool("start", args),
                "through the pool": lambda args: pool.call_tool("echo/start", args),
            }
            for at_once in AT_ONCE:
                title(f"A downstream tool over stdio, {at_once} at once")
                await _compare(ways, rounds, at_once)


def main(rounds: int = 3000) -> None:
    """Print the figures."""
    anyio.run(_main, rounds)
