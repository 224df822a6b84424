"""Cold start, a joined server, `--help`, and memory: empty and with services."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio
import psutil
from mcp import Client, StdioServerParameters

from benchmarks.figures import title

OSTLER = [sys.executable, "-m", "ostler.faces.entry"]


def _seconds(command: list[str], environment: dict[str, str], rounds: int) -> list[float]:
    times: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return times


async def _first_answer(environment: dict[str, str]) -> float:
    began = time.perf_counter()
    server = StdioServerParameters(command=OSTLER[0], args=[*OSTLER[1:], "serve"], env=environment)
    async with Client(server) as client:
        await client.call_tool("service_list", {})
        return time.perf_counter() - began


async def _bridge(environment: dict[str, str]) -> float:
    """Seconds from launching `ostler serve` to the answer of `server/discover`, without the SDK's own imports."""
    began = time.perf_counter()
    process = await anyio.open_process([*OSTLER, "serve"], env=environment, stderr=subprocess.DEVNULL)
    assert process.stdin
    assert process.stdout
    meta = (
        '{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":'
        '{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}'
    )
    await process.stdin.send(
        b'{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":' + meta.encode() + b"}}\n"
    )
    with anyio.fail_after(30):
        await process.stdout.receive()
    seconds = time.perf_counter() - began
    await process.stdin.aclose()
    await process.wait()
    return seconds


async def _create(environment: dict[str, str], count: int) -> None:
    server = StdioServerParameters(command=OSTLER[0], args=[*OSTLER[1:], "serve"], env=environment)
    async with Client(server) as client:
        for index in range(count):
            args = {"serviceClassName": "command", "name": f"s{index}", "args": {"command": "true"}, "start": False}
            result = await client.call_tool("service_create", args)
            assert not result.is_error, result.content


def _server_pid(environment: dict[str, str]) -> int:
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if (
                "ostler.faces.daemon" in command
                and process.environ().get("OSTLER_STATE") == environment["OSTLER_STATE"]
            ):
                return process.pid
        except psutil.Error:
            continue
    raise RuntimeError("no server process found")


def main(services: int = 1000) -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory(prefix="ostler-bench-") as text:
        folder = Path(text)
        environment = {
            **os.environ,
            "OSTLER_STATE": str(folder / "state"),
            "OSTLER_CONFIG": str(folder / "config"),
        }
        stop = [*OSTLER, "stop-server"]
        title("Starting up")
        python = _seconds([sys.executable, "-c", "pass"], environment, 5)
        print(f"{'python -c pass (baseline)':<52} {statistics.median(python) * 1000:8.0f} ms")
        help_ = _seconds([*OSTLER, "--help"], environment, 5)
        print(f"{'ostler --help':<52} {statistics.median(help_) * 1000:8.0f} ms")
        try:
            cold = anyio.run(_first_answer, environment)
            print(f"{'cold start to the first service_list answer':<52} {cold * 1000:8.0f} ms")
            joined = [anyio.run(_bridge, environment) for _ in range(5)]
            print(f"{'ostler serve joining, to the first answer':<52} {statistics.median(joined) * 1000:8.0f} ms")
            title("Memory of the server process")
            pid = _server_pid(environment)
            empty = psutil.Process(pid).memory_info().rss
            print(f"{'no service':<52} {empty / 2**20:8.1f} MiB")
            anyio.run(_create, environment, services)
            full = psutil.Process(pid).memory_info().rss
            print(f"{f'{services} services':<52} {full / 2**20:8.1f} MiB")
            print(f"{'a service':<52} {(full - empty) / services / 1024:8.1f} KiB")
            subprocess.run(stop, env=environment, check=True, stdout=subprocess.DEVNULL)
            title(f"Starting again over {services} persisted services")
            cold = anyio.run(_first_answer, environment)
            print(f"{'cold start to the first service_list answer':<52} {cold * 1000:8.0f} ms")
        finally:
            subprocess.run(stop, env=environment, check=False, stdout=subprocess.DEVNULL)
