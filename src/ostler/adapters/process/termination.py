"""Ending a tree of processes: a signal, a wait, then force, and proof that nothing is left."""

import signal
from collections.abc import Callable

import anyio
import anyio.to_thread

from ostler.adapters.process.trees import ProcessTree
from ostler.model.durations import format_duration
from ostler.model.errors import OperationError

KILL_SECONDS = 5.0
"""How long a process may take to vanish after SIGKILL; only one stuck in the kernel takes longer."""

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 0.1


async def end_tree(tree: ProcessTree, number: int, timeout: float, *, poll: Callable[[], object]) -> bool:
    """End every process of `tree` and return whether force was needed.

    Args:
        tree: what to end; it gains the processes that are found on the way.
        number: the signal to ask with.
        timeout: seconds that the processes have to follow it.
        poll: called between looks; reaps the main process when it is our child.

    Raises:
        OperationError: processes are left after SIGKILL; it names their pids.
    """
    await anyio.to_thread.run_sync(tree.send, number)
    if await _vanished(tree, timeout, poll=poll, again=lambda: tree.send(number)):
        return False

    def kill() -> list[int]:
        tree.grow()
        return tree.kill()

    await anyio.to_thread.run_sync(kill)
    if await _vanished(tree, KILL_SECONDS, poll=poll, again=kill):
        return True
    left = ", ".join(str(process.pid) for process in await anyio.to_thread.run_sync(tree.survivors))
    raise OperationError(
        f"processes survived SIGKILL: pid {left}",
        next_actions=("check whether they hang in the kernel (state D), or belong to another user",),
    )


def killed_text(number: int, timeout: float, *, was_main: bool) -> str:
    """Return in words that force was needed, what that may mean, and what to do about it.

    Args:
        number: the signal that was not followed.
        timeout: the seconds that there were for that.
        was_main: it was the main process that did not exit; else only processes that it started.
    """
    who = "it" if was_main else "a process that it started"
    return (
        f"{who} did not exit within {format_duration(timeout)} of {signal.Signals(number).name} and was killed, so "
        "what it had not saved may be lost; a longer stopTimeout gives it more time"
    )


async def _vanished(
    tree: ProcessTree, timeout: float, *, poll: Callable[[], object], again: Callable[[], object]
) -> bool:
    """Wait until all are gone; False when the time is over.

    One that was being forked while the others got their signal is found at the end, and `again` is called for it.
    """
    pause = FIRST_PAUSE
    with anyio.move_on_after(timeout):
        while True:
            poll()
            if not await anyio.to_thread.run_sync(tree.survivors):
                await anyio.to_thread.run_sync(tree.grow)
                if not await anyio.to_thread.run_sync(tree.survivors):
                    return True
                await anyio.to_thread.run_sync(again)
            await anyio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
    return False
