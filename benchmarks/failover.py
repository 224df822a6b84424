"""Several servers over one database behind HAProxy, of which the working one is killed, paused and cut off, often."""

import os
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from anyio.from_thread import start_blocking_portal
from tests.support.chaos import Chronicle
from tests.support.forker import Forker
from tests.support.postgresql_pair import running_pair
from tests.support.replicas import REPLICAS, Replicas

from benchmarks.crash import print_counts
from benchmarks.figures import percentile, title

_CHUNK: Final = 20
_SKEWED: Final = ("+2h", "-15m")
"""The clocks of the first servers, where they are off."""


@dataclass
class Played:
    """What some rounds met."""

    chronicle: Chronicle
    failed_over: list[tuple[str, float]]
    answers: int
    started_over: int
    shared: Counter[str]


def main(rounds: int = 100, seed: int = 1, jobs: int = 1, *, skewed: bool = False) -> int:
    """Play `rounds` rounds, `jobs` stacks at a time; print what they met, and return the number of violations.

    Args:
        rounds: how many.
        seed: what happens follows from it.
        jobs: stacks of servers, databases and HAProxy at once.
        skewed: the servers' clocks differ by hours (needs faketime).
    """
    clocks = f", clocks off by {' and '.join(_SKEWED)}" if skewed else ""
    title(f"{rounds} rounds of faults of {REPLICAS} servers over one database, seed {seed}, {jobs} at once{clocks}")
    began, played, loads = time.perf_counter(), list[Played](), list[float]()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        starts = range(0, rounds, _CHUNK)
        chunks = {
            pool.submit(_play_chunk, seed * 1_000_003 + number, min(_CHUNK, rounds - start), skewed): number
            for number, start in enumerate(starts)
        }
        for chunk in as_completed(chunks):
            played.append(chunk.result())
            loads.append(os.getloadavg()[1])
            for violation in played[-1].chronicle.violations:
                print(f"chunk {chunks[chunk]}: {violation}")
            done, wrong = sum(each.chronicle.rounds for each in played), _violations(played)
            passed = time.perf_counter() - began
            print(f"{done:>6} rounds, {wrong} violations, {passed:.0f} s, load {loads[-1]:.0f}", flush=True)
    print_counts([each.chronicle for each in played])
    answers, started_over = sum(each.answers for each in played), sum(each.started_over for each in played)
    print(f"events: {answers} answers read, {started_over} of which said that some were gone")
    shared = sum((each.shared for each in played), Counter[str]())
    print(
        f"health checks at others, as far as it was seen: {', '.join(f'{n} {what}' for what, n in shared.items()) or 0}"
    )
    by_fault: dict[str, list[float]] = defaultdict(list)
    for what, seconds in (pair for each in played for pair in each.failed_over):
        by_fault[what].append(seconds)
    for what, times in sorted(by_fault.items()):
        p50, p99, most = percentile(times, 0.5), percentile(times, 0.99), max(times)
        print(
            f"another works after {what}: {p50:.1f} s (p50), {p99:.1f} s (p99), {most:.1f} s (max), {len(times)} times"
        )
    return _violations(played)


def _violations(played: list[Played]) -> int:
    return sum(len(each.chronicle.violations) for each in played)


def _play_chunk(seed: int, rounds: int, skewed: bool) -> Played:
    with (
        tempfile.TemporaryDirectory(prefix="ostler-failover-") as folder,
        running_pair() as database,
        start_blocking_portal() as portal,
        Forker() as forker,
    ):
        replicas = Replicas(Path(folder), seed, forker, portal, database)
        try:
            with replicas.running(_SKEWED if skewed else ()):
                replicas.play_rounds(rounds)
        except Exception:  # noqa: BLE001 (the other chunks go on)
            replicas.chronicle.violations.append(traceback.format_exc())
        return Played(
            replicas.chronicle,
            replicas.failed_over,
            replicas.events.answers,
            replicas.events.started_over,
            replicas.shared,
        )
