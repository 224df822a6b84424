"""Processes that an earlier life of this Ostler left, and that no record knows: found by their mark alone."""

import contextlib
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import psutil
from msgspec import Struct

from ostler.adapters.process.marks import known_life, known_owner
from ostler.adapters.process.records import ProcessRecord, RecordFolder
from ostler.adapters.process.trees import is_gone
from ostler.model.errors import OperationError
from ostler.model.marks import KEEPER_VARIABLE, KEY_VARIABLE, LIFE_VARIABLE, OWNER_VARIABLE, TOKEN_VARIABLE

TERM_SECONDS: Final = 5.0
KILL_SECONDS: Final = 3.0
_POLL: Final = 0.05


class Stray(Struct, frozen=True):
    """A process that was left.

    Attributes:
        process: the process.
        key: under which the process server started it; empty for what a downstream server left.
        program: the name of its program; its arguments may hold secrets.
    """

    process: psutil.Process
    key: str
    program: str

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def __str__(self) -> str:
        """Return it in words: `pid 4711 (node), of service 'web'`."""
        of = f"of service {self.key!r}" if self.key else "of an MCP server"
        return f"pid {self.pid} ({self.program}), {of}"


def find_strays(
    root: Path, *, is_served: bool = True, services: Callable[[], Container[str]] | None = None
) -> list[Stray]:
    """Return what carries the mark of the folder `root` and no record of it knows, oldest first. Blocks.

    That of a service which is not known any more, as its database was deleted, counts as well.

    Args:
        root: the folder of a process server. One without an id has no processes.
        is_served: an Ostler runs over the folder, whose downstream servers are not left over.
        services: gives the ids of all services, asked once the processes are listed; None: they are not known here.
    """
    owner = known_owner(root)
    if not owner:
        return []
    marked = list(_marked(owner))  # before the records are read: a record is written before its process is made
    life = known_life(root) if is_served else ""
    ids = None if services is None else services()
    known = _known_tokens(root, ids)
    found: dict[int, Stray] = {}
    for process, environment in marked:
        token = environment.get(TOKEN_VARIABLE)
        keeper_of = environment.get(KEEPER_VARIABLE)
        if keeper_of is not None:
            # what overwrote its environment is still below its keeper, which ends on its own
            below = _children(process, owner) if keeper_of not in known else []
            if below and keeper_of in _known_tokens(root, ids):
                continue  # the keeper booted before its record was written, and only then ran anything
            found = {child.pid: _stray(child, _key_of(process)) for child in below} | found
        elif (token not in known) if token is not None else environment.get(LIFE_VARIABLE, life) != life:
            found[process.pid] = _stray(process, environment.get(KEY_VARIABLE, ""))
    found.pop(os.getpid(), None)
    return sorted(found.values(), key=_age)


def _known_tokens(root: Path, services: Container[str] | None) -> set[str]:
    """Return the tokens of the runs that what carries their marks belongs to."""
    return {record.token for record in RecordFolder(root).load() if _is_known(record, services)}


def _is_known(record: ProcessRecord, services: Container[str] | None) -> bool:
    """Whether what carries the mark of this run belongs to it: it has not ended with all that it left."""
    if services is not None and record.service and record.service not in services:
        return False
    return record.exited_at is None or not record.swept


async def end_strays(root: Path, *, services: Callable[[], Container[str]] | None = None) -> list[Stray]:
    """End what was left, and return it.

    Args:
        root: the folder of a process server, over which an Ostler runs.
        services: as for `find_strays`.

    Raises:
        OperationError: something survived SIGKILL.
    """

    def look() -> list[Stray]:
        return find_strays(root, services=services)

    ended: dict[int, Stray] = {}
    for send, seconds in (("terminate", TERM_SECONDS), ("kill", KILL_SECONDS), ("kill", KILL_SECONDS)):
        left = await anyio.to_thread.run_sync(look)
        if not left:
            return list(ended.values())
        ended |= {stray.process.pid: stray for stray in left}
        for stray in left:
            with contextlib.suppress(psutil.Error):
                getattr(stray.process, send)()
        with anyio.move_on_after(seconds):
            while not await anyio.to_thread.run_sync(_all_gone, left):  # noqa: ASYNC110 (others than children end)
                await anyio.sleep(_POLL)
    left = await anyio.to_thread.run_sync(look)
    if left:
        raise OperationError(
            f"processes survived SIGKILL: {'; '.join(map(str, left))}",
            next_actions=("check whether they hang in the kernel (state D), or belong to another user",),
        )
    return list(ended.values())


def _marked(owner: str) -> Iterator[tuple[psutil.Process, Mapping[str, str]]]:
    """Yield the processes with the mark of `owner`, and their environments."""
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            process = psutil.Process(pid)
            environment = process.environ()
            if environment.get(OWNER_VARIABLE) == owner and not is_gone(process):
                yield process, environment


def _children(keeper: psutil.Process, owner: str) -> list[psutil.Process]:
    """Return what is below a keeper and is of `owner`: by its mark, or because it has wiped its environment.

    What has another environment, and no mark or another one, is another Ostler with its processes.
    """
    found: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        for child in keeper.children(recursive=True):
            with contextlib.suppress(psutil.Error, OSError, ValueError):
                environment = child.environ()
                if environment.get(OWNER_VARIABLE) == owner or "PATH" not in environment:
                    found.append(child)
    return [child for child in found if not is_gone(child)]


def _key_of(keeper: psutil.Process) -> str:
    """Return the key of a keeper's process, its last argument."""
    try:
        return keeper.cmdline()[-1]
    except (psutil.Error, IndexError):
        return ""


def _stray(process: psutil.Process, key: str) -> Stray:
    try:
        return Stray(process, key, process.name())
    except psutil.Error:
        return Stray(process, key, "")


def _age(stray: Stray) -> float:
    try:
        return stray.process.create_time()
    except psutil.Error:
        return 0.0


def _all_gone(strays: Iterable[Stray]) -> bool:
    return all(is_gone(stray.process) for stray in strays)
