"""Real servers are killed at random instants, with real processes and a real downstream server as resources."""

import tempfile
import time
from pathlib import Path

from tests.support.kills import Forker, Killer, Report

from benchmarks.figures import percentile, title

_CHUNK = 50


def main(rounds: int = 1000, seed: int = 1) -> int:
    """Play `rounds` rounds, print what they met, and return the number of faults."""
    title(f"{rounds} rounds of kill -9 at random instants, seed {seed}")
    began = time.perf_counter()
    whole = Report()
    for number, start in enumerate(range(0, rounds, _CHUNK)):
        with Forker() as forker, tempfile.TemporaryDirectory(prefix="ostler-kill-") as folder:
            killer = Killer(Path(folder), seed * 1_000_003 + number, forker)
            with killer.running():
                whole += killer.play(min(_CHUNK, rounds - start))
        for fault in killer.report.faults:
            print(f"chunk {number}: {fault}")
        print(f"{whole.rounds:>6} rounds, {len(whole.faults)} faults, {time.perf_counter() - began:.0f} s", flush=True)
    print(f"kills: {whole.kills} of the server, {whole.downstream_kills} of its downstream server")
    print("asked for:  " + ", ".join(f"{count} {name}" for name, count in whole.operations.most_common()))
    print("cut off:    " + ", ".join(f"{count} {name}" for name, count in whole.cut_off.most_common()))
    print("answers:    " + ", ".join(f"{count} {name}" for name, count in whole.answers.most_common()))
    times = whole.recoveries
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    print(f"recovered after {p50:.2f} s (p50), {p99:.2f} s (p99), {max(times):.2f} s (max)")
    return len(whole.faults)
