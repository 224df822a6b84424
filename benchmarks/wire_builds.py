"""The servers that the wire benchmark compares: checkouts that it starts, and addresses of servers that run."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import psutil

from benchmarks.bench_class import bench_class
from benchmarks.wire_clients import RawHttp

CLASS = bench_class("echo")


@dataclass
class Build:
    """A server under measurement; `pid` is None where its process cannot be looked at."""

    label: str
    url: str
    pid: int | None
    command: list[str] = field(default_factory=list[str])
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def cpu(self) -> float:
        """Seconds of CPU that the server has used, its children left out."""
        return float("nan") if self.pid is None else cpu_of(self.pid)

    def memory(self) -> float:
        """Bytes that the server holds."""
        return float("nan") if self.pid is None else psutil.Process(self.pid).memory_info().rss


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has used; on Linux to the nanosecond, elsewhere in ticks of 10 ms."""
    if sys.platform == "linux":
        return time.clock_gettime(~pid << 3 | 2)  # the number of the clock of all its threads, as the kernel makes it
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def command_of(folder: Path) -> list[str]:
    """Return how the checkout `folder` is run: by the Python of its own `.venv`."""
    return [str(folder / ".venv" / "bin" / "python"), "-m", "ostler.faces.entry"]


@contextmanager
def running(label: str, place: str) -> Generator[Build]:
    """Yield the server of `place`: the address of one, or a checkout that is started with folders of its own."""
    if place.startswith("http"):
        port = urlsplit(place).port
        owners = [one.pid for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port and one.pid]
        yield Build(label, place, owners[0] if owners else None)
        return
    with tempfile.TemporaryDirectory(prefix="ostler-wire-") as text:
        command, environment = command_of(Path(place).resolve()), configured(Path(text))
        process, url = serve(command, environment)
        try:
            yield Build(label, url, process.pid, command, environment)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def configured(folder: Path) -> dict[str, str]:
    """Write a configuration with the class and its downstream server; return the environment that leads there."""
    config = folder / "config"
    (config / "serviceclasses").mkdir(parents=True)
    (config / "serviceclasses" / "bench.yaml").write_text(CLASS, encoding="utf-8")
    script = str(Path(__file__).with_name("echo_server.py"))
    entry = {"command": sys.executable, "args": ["-I", script]}
    (config / "mcp.json").write_text(json.dumps({"mcpServers": {"echo": entry}}), encoding="utf-8")
    return {**os.environ, "OSTLER_STATE": str(folder / "state"), "OSTLER_CONFIG": str(config)}


def serve(command: list[str], environment: dict[str, str], *options: str) -> tuple["subprocess.Popen[str]", str]:
    """Start a server; return it when it has said its address."""
    process = subprocess.Popen(
        [*command, "serve", "--http", ":0", *options],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr
    for line in process.stderr:
        if "serves MCP at " in line:
            return process, line.split("serves MCP at ")[1].strip()
    raise RuntimeError(f"{command} did not start")


def first_answer(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Return the seconds, and the seconds of CPU, from the start of a process to the first answer."""
    began = time.perf_counter()
    process, url = serve(command, environment)

    async def ask() -> None:
        async with RawHttp.open(url) as client:
            await client.call("service_list", {})

    anyio.run(ask)
    seconds = time.perf_counter() - began
    used = cpu_of(process.pid)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    return seconds, used
