"""Limits the work on input from outside: one budget for a whole rendering, answer, check or plan.

Templates, expressions and schemas may come from an agent, and the rules run in the event loop that serves everyone.
Each step of theirs is bounded in size; a budget bounds all of them together, in processor time of this thread and in
what they make on the way. It is asked between steps, so a step that has begun is finished.
"""

import time
from contextvars import ContextVar
from typing import Final, Self

WORK_SECONDS: Final = 0.25
"""Processor time that one rendering, answer or check may take; an ordinary one takes a thousandth of it."""

PLAN_SECONDS: Final = 0.5
"""Processor time that all renderings of one plan may take together."""

MAX_MADE: Final = 16_777_216
"""Characters and items that one rendering may create, including intermediate results."""


class WorkSpentError(Exception):
    """A budget was used up. The text continues a sentence about what was worked on."""


class WorkBudget:
    """The work that may still be done inside a `with`, within any budget around it.

    Attributes:
        ends: when processor time of this thread is used up.
        seconds: how much of it there was.
    """

    __slots__ = ("_made", "_token", "ends", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> Self:
        outer = _CURRENT.get()
        self.ends: float = time.thread_time() + self.seconds
        if outer is not None and outer.ends < self.ends:
            self.ends, self.seconds = outer.ends, outer.seconds
        self._made = 0
        self._token = _CURRENT.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)

    def spend(self, made: int = 0) -> None:
        """Count `made` characters or items that a step created.

        Raises:
            WorkSpentError: the budget is used up.
        """
        self._made += made
        if self._made > MAX_MADE:
            raise WorkSpentError(f"makes more than {MAX_MADE} characters and items on the way to its result")
        if time.thread_time() > self.ends:
            raise WorkSpentError(f"takes more than {self.seconds:g} s of processor time")

    @property
    def seconds_left(self) -> float:
        """Processor time that is left, in seconds; 0 when it is used up."""
        return max(0.0, self.ends - time.thread_time())


_CURRENT: ContextVar[WorkBudget | None] = ContextVar("work_budget", default=None)


def bounded_work(seconds: float = WORK_SECONDS) -> WorkBudget:
    """Bound all work inside by one budget, and by that of any `bounded_work` around it. Nothing may be awaited inside.

    Args:
        seconds: processor time of this thread.
    """
    return WorkBudget(seconds)


def spend(made: int = 0) -> None:
    """Count `made` characters or items that a step created; without effect outside any budget.

    Raises:
        WorkSpentError: the budget is used up.
    """
    budget = _CURRENT.get()
    if budget is not None:
        budget.spend(made)


def seconds_left(most: float) -> float:
    """Return how many seconds of processor time the work under way may still take, `most` at most."""
    budget = _CURRENT.get()
    return most if budget is None else min(most, budget.seconds_left)
