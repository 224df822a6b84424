"""Every crash there is, simulated: each operation of each kind of class, ended at each commit and each tool call."""

import logging
import time
from collections import Counter

from tests.support.crashes import CLASSES, OPERATIONS, OUTCOMES, Case, cases, run_case
from tests.support.siege import KINDS, run_siege, shortened

from benchmarks.figures import title

_SHOWN = 20


def main(*, twice: bool = False) -> int:
    """Play every case, print what is wrong, and return how many cases are."""
    logging.disable(logging.CRITICAL)
    again = ", and once more at each point of its recovery" if twice else ""
    counts = f"{len(CLASSES)} classes, {len(OPERATIONS)} operations, {len(OUTCOMES)} outcomes"
    title(f"{counts}, a crash at each point{again}")
    began = time.perf_counter()
    count = 0
    wrong: Counter[Case] = Counter()
    for kind in CLASSES:
        for case in cases([kind], twice=twice):
            played = run_case(case)
            count += 1
            for fault in played.faults:
                wrong[case] += 1
                if len(wrong) <= _SHOWN:
                    print(f"{case} died {played.where}: {fault}")
        took = time.perf_counter() - began
        print(f"{kind:<28} {count:>8} cases so far, {len(wrong)} wrong, {took:.0f} s", flush=True)
    return len(wrong)


def besiege(rounds: int, seed: int, only: str) -> int:
    """Play `rounds` random runs of each class whose name has `only`; return how many have faults."""
    logging.disable(logging.CRITICAL)
    kinds = [kind for kind in KINDS if only in kind]
    title(f"{rounds} runs of {len(kinds)} classes: clients, faults and kills of the engine at random, seed {seed}")
    began = time.perf_counter()
    kills, wrong = 0, 0
    seen: Counter[str] = Counter()
    for number in range(seed, seed + rounds):
        for kind in kinds:
            siege = run_siege(number, kind)
            kills += siege.kills
            wrong += bool(siege.faults)
            for fault in siege.faults:
                seen[shortened(fault)] += 1
                if seen[shortened(fault)] <= 2:
                    print(
                        f"again with PYTHONHASHSEED=0, --seed {number} --rounds 1 --only {kind!r}: {fault}", flush=True
                    )
            if siege.faults and rounds == 1:
                print(*siege.story, sep="\n")
    took = time.perf_counter() - began
    print(f"{rounds * len(kinds)} runs, {kills} kills, {wrong} runs with faults, {took:.0f} s")
    return wrong
