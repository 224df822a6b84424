"""Several servers over one database behind HAProxy, of which the working one is killed, paused and cut off, often."""

import tempfile
from collections import defaultdict
from pathlib import Path

from anyio.from_thread import start_blocking_portal
from tests.support.forked_server import Forker
from tests.support.postgresql import running
from tests.support.replicas import REPLICAS, Replicas

from benchmarks.crash import print_counts
from benchmarks.figures import percentile, title


def main(rounds: int = 100, seed: int = 1) -> int:
    """Play `rounds` rounds, print what they met, and return the number of violations."""
    title(f"{rounds} rounds of faults of {REPLICAS} servers over one database, seed {seed}")
    with (
        tempfile.TemporaryDirectory(prefix="ostler-failover-") as folder,
        running() as database,
        start_blocking_portal() as portal,
        Forker() as forker,
    ):
        replicas = Replicas(Path(folder), seed, forker, portal, database)
        with replicas.running():
            chronicle = replicas.play_rounds(rounds)
    for violation in chronicle.violations:
        print(violation)
    print(f"{rounds} rounds, {len(chronicle.violations)} violations")
    print_counts([chronicle])
    reader = replicas.events
    print(f"events: {reader.answers} answers read, {reader.started_over} of which said that some were gone")
    by_fault: dict[str, list[float]] = defaultdict(list)
    for what, seconds in replicas.failed_over:
        by_fault[what].append(seconds)
    for what, times in sorted(by_fault.items()):
        p50, most = percentile(times, 0.5), max(times)
        print(f"another works after {what}: {p50:.1f} s (p50), {most:.1f} s (max), {len(times)} times")
    return len(chronicle.violations)
