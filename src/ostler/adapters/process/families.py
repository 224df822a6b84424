"""Who descends from a keeper, remembered by pid and birth: the one mark that nothing can wipe off.

A program may overwrite its environment, and change its session; while its keeper is there it is found below that. When
the keeper is killed together with the program, what is left belongs to no one, and is known only by having been seen.
"""

from collections.abc import Iterable

import psutil

from ostler.adapters.process.records import Relative
from ostler.adapters.process.trees import Birth

MAX_FAMILY = 128
"""Descendants of one run that are remembered, the newest."""


def families_of(keepers: Iterable[int]) -> dict[int, list[Relative]]:
    """Return what is below each of `keepers` now, oldest first; one look at all processes of the machine. Blocks."""
    wanted = frozenset(keepers)
    parents: dict[int, int] = {}
    for pid in psutil.pids() if wanted else ():
        try:
            parents[pid] = psutil.Process(pid).ppid()
        except psutil.Error:
            continue
    found: dict[int, list[Relative]] = {}
    for pid, parent in parents.items():
        keeper = _above(pid, parents, wanted)
        if keeper is not None and (relative := _relative(pid, parent)) is not None:
            found.setdefault(keeper, []).append(relative)
    return {keeper: sorted(below, key=lambda one: one.created)[-MAX_FAMILY:] for keeper, below in found.items()}


def with_family(known: tuple[Relative, ...], family: Iterable[Relative]) -> tuple[Relative, ...]:
    """Return `known` with those of `family` that are not in it, the newest at the end."""
    births = {relative.pid: Birth(relative.created, relative.since_boot) for relative in known}
    new = [one for one in family if one.pid not in births or not births[one.pid].is_same(Birth(*one[1:]))]
    return (*known, *new)[-MAX_FAMILY:]


def _above(pid: int, parents: dict[int, int], wanted: frozenset[int]) -> int | None:
    seen: set[int] = set()
    while (parent := parents.get(pid)) is not None and pid not in seen:
        if parent in wanted:
            return parent
        seen.add(pid)
        pid = parent
    return None


def _relative(pid: int, parent: int) -> Relative | None:
    """Return `pid` with its birth; None when another process has the number by now."""
    try:
        process = psutil.Process(pid)
        birth = Birth.of(process)
        is_same = process.ppid() == parent
    except psutil.Error:
        return None
    return Relative(pid, birth.created, birth.since_boot) if is_same else None
