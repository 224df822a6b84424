"""What telemetry costs: a service's start and stop over a stdio server, without it, with it, and of other checkouts.

Each variant runs in a process of its own, in turn and several times, so that what else the machine does hits all alike.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from benchmarks.bench_class import bench_class
from benchmarks.figures import percentile, title
from benchmarks.latency import scripted_pool
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.rules.reading import load_manifests

ROOT = Path(__file__).resolve().parent.parent
OFF = "off"
VARIANTS = {
    OFF: "nothing configured",
    "again": "nothing configured, once more (what differs is noise)",
    "logs": "JSON logs alone: operations are followed, nothing is exported",
    "metrics": "metrics for Prometheus",
    "traces": "metrics, and every operation traced and exported (to nowhere)",
}
ROUNDS = 400
REPEATS = 5
_WARM_UP = 50


@asynccontextmanager
async def followed(variant: str, pool: DownstreamPool) -> AsyncGenerator[dict[str, Any]]:
    """Give what the manager of a variant is made from; other checkouts may know nothing of telemetry."""
    if variant in (OFF, "again"):
        yield {"caller": pool, "store": MemoryStore()}
        return
    from ostler.adapters.telemetry.live import open_live
    from ostler.adapters.telemetry.wanted import Wanted

    if variant == "traces":
        from opentelemetry import trace
        from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

        class Nowhere(SpanExporter):
            def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
                del spans
                return SpanExportResult.SUCCESS

        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(Nowhere()))
        trace.set_tracer_provider(provider)
    wanted = Wanted(metrics=() if variant == "logs" else ("prometheus",))
    async with open_live(wanted, version="0", tools=frozenset()) as telemetry:
        store = telemetry.store(MemoryStore())
        yield {"caller": telemetry.tools(pool), "store": store, "observer": telemetry.observer}


async def measure(variant: str, rounds: int, folder: Path) -> dict[str, Any]:
    """Return the seconds of each start with its stop, and this process's CPU seconds for one."""
    times: list[float] = []
    cpu = 0.0
    async with (
        scripted_pool(folder) as pool,
        followed(variant, pool) as parts,
        ServiceManager(tools=pool, **parts) as manager,
    ):
        manager.classes.add(ClassEntry.of(load_manifests(bench_class("s"), "bench.yaml")[0]))
        await manager.create(CreateRequest("bench", "b", start=False))
        for number in range(rounds + _WARM_UP):
            if number == _WARM_UP:
                cpu = time.process_time()
            began = time.perf_counter()
            await manager.start_service("b")
            await manager.stop_service("b")
            times.append(time.perf_counter() - began)
        cpu = time.process_time() - cpu
    return {"times": times[_WARM_UP:], "cpu": cpu / rounds}


def main(servers: Sequence[str], rounds: int = ROUNDS, repeats: int = REPEATS) -> None:
    """Run and print.

    Args:
        servers: `label=CHECKOUT` of other builds to measure next to this one, with nothing configured.
        rounds: starts and stops a run.
        repeats: runs of each variant.
    """
    title(f"One start and one stop, {rounds} times in each of {repeats} runs: what telemetry costs")
    others = dict(server.split("=", 1) for server in servers)
    runs: dict[str, list[dict[str, Any]]] = {label: [] for label in (*others, *VARIANTS)}
    for _ in range(repeats):
        for label, found in runs.items():
            found.append(_in_process(label, others.get(label), rounds))
    base = min(run["cpu"] for run in runs[OFF])  # the least: what else the machine does only adds to it
    print(f"{'variant':<70} {'p50':>8} {'CPU':>8} {'CPU, of off':>12}")
    for label, found in runs.items():
        p50 = min(percentile(run["times"], 0.5) for run in found)
        cpu = min(run["cpu"] for run in found)
        name = f"{label}: {VARIANTS.get(label, others.get(label, ''))}"
        print(f"{name[:70]:<70} {p50 * 1000:5.2f} ms {cpu * 1000:5.2f} ms {cpu / base - 1:+11.1%}")


def _in_process(label: str, checkout: str | None, rounds: int) -> dict[str, Any]:
    source = Path(checkout).resolve() / "src" if checkout else ROOT / "src"
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "benchmarks.telemetry", OFF if checkout else label, str(rounds)]
    done = subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ostler-bench-") as text:
        print(json.dumps(anyio.run(measure, sys.argv[1], int(sys.argv[2]), Path(text))))
