"""A server with many services is killed: how soon it answers again, and how soon every service is verified."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import title
from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.dialer import Dialer
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli.rpc import ServerClient

SCRIPT = Path(__file__).resolve().parent.parent / "tests" / "support" / "scripted_server.py"
CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: entry}
spec:
  args: {size: {type: integer, default: 3}}
  serviceConfig:
    lifecycleTools:
      start: {tool: ledger/start, args: {name: "{{ name }}"}, outputs: {id: id}}
      stop: {tool: ledger/stop, args: {name: "{{ name }}"}}
      status: {tool: ledger/status, args: {name: "{{ name }}"}, expect: {jsonPath: {state: running}}}
      find: {tool: ledger/find, args: {name: "{{ name }}"}, expect: {jsonPath: {state: running}}, outputs: {id: id}}
      healthCheck: {tool: ledger/status, args: {name: "{{ name }}"}, expect: {jsonPath: {state: running}}}
    healthCheck: {interval: 30s}
    outputs: {url: "ledger://{{ start.id }}/{{ size }}"}
"""
TARGETS = "(targets: answers in 2 s, all verified in 15 s)"


def _configure(folder: Path) -> ServerPlace:
    config = folder / "config"
    (config / "serviceclasses").mkdir(parents=True)
    (config / "serviceclasses" / "entry.yaml").write_text(CLASS)
    server = {"command": sys.executable, "args": ["-S", str(SCRIPT)]}
    (config / "mcp.json").write_text(json.dumps({"mcpServers": {"ledger": server}}))
    return ServerPlace(Paths.resolve(config, folder / "state"))


def _count(client: ServerClient, **where: Any) -> int:
    """Return how many services there are as asked for."""
    answer = client.call_tool("service_list", {"limit": 1, "serviceClassName": "entry", **where})
    total: int = answer.structured["total"]
    return total


def _create(place: ServerPlace, names: list[str]) -> None:
    def work(mine: list[str]) -> None:
        with ServerClient(Dialer(place, kind="cli", note=print)) as client:
            for name in mine:
                answer = client.call_tool("service_create", {"serviceClassName": "entry", "name": name})
                assert not answer.is_error, answer.text

    with ServerClient(Dialer(place, kind="cli", note=print)):  # the one that starts the server
        threads = [threading.Thread(target=work, args=(names[index::8],)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@dataclass
class Times:
    """Seconds from the kill to the first answer and to the last verification; and what the new server had computed."""

    first: list[float] = field(default_factory=list[float])
    first_cpu: list[float] = field(default_factory=list[float])
    whole: list[float] = field(default_factory=list[float])
    whole_cpu: list[float] = field(default_factory=list[float])


def _computed(dialer: Dialer) -> float:
    used = psutil.Process(int(dialer.request("status")["pid"])).cpu_times()
    return used.user + used.system


def measure(services: int, rounds: int) -> Times:
    """Kill the server `rounds` times."""
    times = Times()
    with tempfile.TemporaryDirectory(prefix="ostler-bench-") as text:
        place = _configure(Path(text))
        dialer = Dialer(place, kind="cli", note=lambda _: None)
        began = time.perf_counter()
        _create(place, [f"s{number}" for number in range(services)])
        print(f"{f'created and started {services} services':<52} {time.perf_counter() - began:8.2f} s")
        try:
            for _ in range(rounds):
                _kill_once(place, dialer, services, times)
        finally:
            dialer.request("stop")
    return times


def _kill_once(place: ServerPlace, dialer: Dialer, services: int, times: Times) -> None:
    """Kill the server, and add to `times` when the next one answers and has verified all."""
    pause = threading.Event()
    pid = int(dialer.request("status")["pid"])
    os.kill(pid, signal.SIGKILL)
    began = time.perf_counter()
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        pause.wait(0.001)
    with ServerClient(Dialer(place, kind="cli", note=lambda _: None)) as client:
        client.call_tool("service_list", {})
        times.first.append(time.perf_counter() - began)
        times.first_cpu.append(_computed(dialer))
        # The ledger is in the memory of the downstream server, which died too: all are found stopped.
        while _count(client, state=["unknown", "unreachable", "starting"]):
            pause.wait(0.05)
        times.whole.append(time.perf_counter() - began)
        times.whole_cpu.append(_computed(dialer))
        assert _count(client) == services


def main(services: int = 1000, rounds: int = 3) -> None:
    """Run and print."""
    title(f"kill -9 of a server with {services} services {TARGETS}")
    python = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import mcp, mcp.server"], check=True)
        python.append(time.perf_counter() - began)
    print(f"{'python -c import mcp.server (baseline)':<52} {statistics.median(python):8.2f} s")
    times = measure(services, rounds)
    for label, took, computed in (
        ("kill -9 to the first service_list answer", times.first, times.first_cpu),
        ("kill -9 until every service is verified", times.whole, times.whole_cpu),
    ):
        spread = f"max {max(took):.2f} s, of which the server computed {statistics.median(computed):.2f} s"
        print(f"{label:<52} {statistics.median(took):8.2f} s   {spread}")
