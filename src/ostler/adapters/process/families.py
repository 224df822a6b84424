"""Who descends from a keeper, remembered by pid and birth: the one mark that nothing can wipe off.

A program may overwrite its environment, and change its session; while its keeper is there it is found below that. When
the keeper is killed together with the program, what is left belongs to no one, and is known only by having been seen.
"""

from collections.abc import Iterable, Mapping

import psutil

from ostler.adapters.process.process_table import Row, trees_below
from ostler.adapters.process.records import Relative
from ostler.adapters.process.trees import Birth

MAX_FAMILY = 128
"""Descendants of one run that are remembered, the newest."""


def families_of(keepers: Iterable[int], table: Mapping[int, Row]) -> dict[int, list[Relative]]:
    """Return what is below each of `keepers` in `table`, oldest first. Blocks."""
    found: dict[int, list[Relative]] = {}
    for keeper, pids in trees_below(keepers, table).items():
        relatives = [one for pid in pids if (one := _relative(pid, table[pid].parent)) is not None]
        found[keeper] = sorted(relatives, key=lambda one: one.created)[-MAX_FAMILY:]
    return found


def with_family(known: tuple[Relative, ...], family: Iterable[Relative]) -> tuple[Relative, ...]:
    """Return `known` with those of `family` that are not in it, the newest at the end."""
    births = {relative.pid: Birth(relative.created, relative.since_boot) for relative in known}
    new = [one for one in family if one.pid not in births or not births[one.pid].is_same(Birth(*one[1:]))]
    return (*known, *new)[-MAX_FAMILY:]


def _relative(pid: int, parent: int) -> Relative | None:
    """Return `pid` with its birth; None when another process has the number by now."""
    try:
        process = psutil.Process(pid)
        birth = Birth.of(process)
        is_same = process.ppid() == parent
    except psutil.Error:
        return None
    return Relative(pid, birth.created, birth.since_boot) if is_same else None
