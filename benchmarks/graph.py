"""Starting a layered graph of services at once, next to its critical path: the least time that there is."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from benchmarks.figures import title
from ostler.adapters.stores.memory import MemoryStore
from ostler.adapters.stores.sqlite import SqliteStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Store
from ostler.engine.services.views import CreateRequest
from ostler.model.responses import ToolResponse
from ostler.rules.answers.responses import normalise
from ostler.rules.reading import load_manifests

LAYERS, WIDTH, NEEDS = 10, 10, (0, 3, 7)
CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {{name: k{name}}}
spec:
  serviceConfig:
    dependencies: {needs}
    lifecycleTools:
      start: {{tool: w/start, args: {{name: "{{{{ name }}}}"}}, outputs: {{id: id}}}}
      stop: {{tool: w/stop, args: {{name: "{{{{ name }}}}"}}}}
    outputs: {{id: "{{{{ start.id }}}}"}}
"""


class Sleeper:
    """A ToolCaller whose starts take the time that the graph says."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.seconds = seconds

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: object = None
    ) -> ToolResponse:
        """Sleep, then answer."""
        del timeout, progress
        if tool == "w/start":
            await anyio.sleep(self.seconds[args["name"]])
        return normalise([], {"id": args["name"]})


def graph() -> tuple[dict[str, float], dict[str, list[str]]]:
    """Return the start time of each service and what it needs."""
    places = [(layer, index) for layer in range(LAYERS) for index in range(WIDTH)]
    seconds = {f"s{layer}-{index}": 0.1 + 0.05 * ((layer * 7 + index * 3) % 5) for layer, index in places}
    needs = {
        f"s{layer}-{index}": [f"s{layer - 1}-{(index + step) % WIDTH}" for step in NEEDS] if layer else []
        for layer, index in places
    }
    return seconds, needs


def critical_path(seconds: Mapping[str, float], needs: Mapping[str, list[str]]) -> float:
    """Return the least time in which everything can be up."""
    done: dict[str, float] = {}
    for name in seconds:
        done[name] = seconds[name] + max((done[need] for need in needs[name]), default=0.0)
    return max(done.values())


async def _measure(store: Store) -> tuple[float, float]:
    seconds, needs = graph()
    async with ServiceManager(Sleeper(seconds), store) as manager:
        for name in seconds:
            loaded = load_manifests(CLASS.format(name=name, needs=needs[name]), "bench.yaml")[0]
            manager.classes.add(ClassEntry.of(loaded))
            await manager.create(CreateRequest(f"k{name}", name, start=False))
        began = time.perf_counter()
        assert await manager.start_all() == {}
        up = time.perf_counter()
        assert await manager.stop_all() == {}
        return up - began, time.perf_counter() - up


async def _main() -> None:
    title(f"start_all of {LAYERS * WIDTH} services in {LAYERS} layers, {len(NEEDS)} dependencies each")
    least = critical_path(*graph())
    print(f"{'critical path (the tools alone)':<44} {least * 1000:8.0f} ms")
    with tempfile.TemporaryDirectory(prefix="ostler-bench-") as text:
        memory = await _measure(MemoryStore())
        async with SqliteStore.open(Path(text) / "ostler.db") as store:
            journaled = await _measure(store)
    for label, (start, stop) in (("in memory", memory), ("journaled (SQLite FULL)", journaled)):
        over = (start / least - 1) * 100
        print(f"{f'start_all, {label}':<44} {start * 1000:8.0f} ms   critical path + {over:.1f} %")
        print(f"{f'stop_all, {label} (stops take no time)':<44} {stop * 1000:8.0f} ms")


def main() -> None:
    """Run and print."""
    anyio.run(_main)
