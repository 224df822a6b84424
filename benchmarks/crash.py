"""Everything goes wrong in real servers, again and again; what is left is compared with what really is there."""

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.support.chaos import Chaos, Chronicle
from tests.support.forker import Forker

from benchmarks.figures import percentile, title

_CHUNK = 25


def play_again(which: str, states: str, times: int, seed: int = 1) -> int:
    """Play the round `CHUNK.ROUND` of `seed` so many `times`, from `states`; return the number of violations."""
    chunk, _, number = which.partition(".")
    title(f"round {number} of chunk {chunk}, seed {seed}, {times} times")
    begin = dict(each.split("=", 1) for each in states.split(",") if "=" in each)
    with Forker() as forker, tempfile.TemporaryDirectory(prefix="ostler-chaos-") as folder:
        chaos = Chaos(Path(folder), _chunk_seed(seed, int(chunk)), forker)
        with chaos.running():
            chronicle = chaos.play_again(int(number), begin, times)
    for violation in chronicle.violations:
        print(violation)
    print(f"{times} times, {len(chronicle.violations)} violations")
    return len(chronicle.violations)


def _chunk_seed(seed: int, chunk: int) -> int:
    return seed * 1_000_003 + chunk


def main(rounds: int = 2000, seed: int = 1, jobs: int = 1) -> int:
    """Play `rounds` rounds, `jobs` chunks at a time; print what they met, and return the number of violations."""
    title(f"{rounds} rounds of kills, signals, bad answers, full disks and clock steps, seed {seed}")
    began = time.perf_counter()
    chronicles: list[Chronicle] = []
    chunks = [(seed, number, min(_CHUNK, rounds - start)) for number, start in enumerate(range(0, rounds, _CHUNK))]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for number, chronicle in enumerate(pool.map(_play_chunk, chunks)):
            chronicles.append(chronicle)
            for violation in chronicle.violations:
                print(f"chunk {number}: {violation}\n      again with: --seed {seed} --again {number}.ROUND --states …")
            played = sum(each.rounds for each in chronicles)
            violations = sum(len(each.violations) for each in chronicles)
            print(f"{played:>6} rounds, {violations} violations, {time.perf_counter() - began:.0f} s", flush=True)
    print_counts(chronicles)
    times = [seconds for each in chronicles for seconds in each.settled_after]
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    print(f"quiet after {p50:.2f} s (p50), {p99:.2f} s (p99), {max(times):.2f} s (max)")
    return sum(len(each.violations) for each in chronicles)


def _play_chunk(chunk: tuple[int, int, int]) -> Chronicle:
    seed, number, rounds = chunk
    with Forker() as forker, tempfile.TemporaryDirectory(prefix="ostler-chaos-") as folder:
        chaos = Chaos(Path(folder), _chunk_seed(seed, number), forker)
        with chaos.running():
            return chaos.play_rounds(rounds)


def print_counts(chronicles: Sequence[Chronicle]) -> None:
    """Print how often everything was that the rounds met, the most frequent first."""
    for name, counters in (
        ("asked for", [each.operations for each in chronicles]),
        ("through", [each.clients for each in chronicles]),
        ("answers", [each.answers for each in chronicles]),
        ("what happened", [each.happened for each in chronicles]),
        ("faults of the downstream server", [each.faults for each in chronicles]),
        ("asked of a person", [each.asked_people for each in chronicles]),
    ):
        whole = sum(counters, Counter[str]())
        print(f"{name}: " + ", ".join(f"{count} {what}" for what, count in whole.most_common()))
