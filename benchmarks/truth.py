"""What Ostler says of services while they end, compared with what is so, for each way, moment and kind of driver."""

import time

from tests.support.truth.cells import GRACE, MOMENTS, WAYS, Played, cells, play_all
from tests.support.truth.drivers import DRIVERS

from benchmarks.figures import title

LANES = 3
"""Cells that are played at the same time; each has an Ostler and servers of its own."""

_SHORTEST = 0.05
"""Seconds below which a claim was not seen to be wrong: two looks."""


def main(only: str = "") -> int:
    """Play the cells whose name has `only`, print the table, and return the number of faults."""
    chosen = [cell for cell in cells() if only in str(cell)]
    title(f"{len(chosen)} ways to be gone: how long a claim was wrong")
    began = time.perf_counter()
    played = play_all(chosen, LANES)
    for row in table(played):
        print(row)
    faults = [(one, fault) for one in played for fault in one.faults]
    print()
    for driver in DRIVERS:
        worst = max((one.wrong for one in played if one.cell.driver is driver), default=0.0)
        print(
            f"{driver.name}: wrong for {worst:.2f} s at most, bound {driver.bound:g} s (+ {GRACE:g} s for the machine)"
        )
    print(f"{len(played)} cells, {len(faults)} faults, {time.perf_counter() - began:.0f} s")
    for one, fault in faults:
        print(f"FAULT {one.cell}: {fault}")
    return len(faults)


def table(played: list[Played]) -> list[str]:
    """Return the rows of a Markdown table: how long a claim was wrong, and the state at the end."""
    found = {(one.cell.way, one.cell.moment, one.cell.driver): one for one in played}
    rows = [
        "| it ends by | while | " + " | ".join(driver.name for driver in DRIVERS) + " |",
        "| --- | --- |" + " --- |" * len(DRIVERS),
    ]
    for way in WAYS:
        for moment in MOMENTS:
            ones = [found.get((way, moment, driver)) for driver in DRIVERS]
            if any(ones):
                rows.append(f"| {way} | {moment} | " + " | ".join(map(_cell, ones)) + " |")
    return rows


def _cell(one: Played | None) -> str:
    if one is None:
        return ""
    wrong = f"{one.wrong:.1f} s" if one.wrong >= _SHORTEST else "0"
    held = ", held" if one.held else ""
    return f"{wrong}, {one.final}{held}" + (" FAULT" if one.faults else "")
