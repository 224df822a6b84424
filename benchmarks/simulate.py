"""Every crash there is, simulated: each operation of each kind of class, ended at each commit and each tool call."""

import logging
import time
from collections import Counter

from tests.support.crashes import CLASSES, OPERATIONS, OUTCOMES, Case, cases, run_case

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
