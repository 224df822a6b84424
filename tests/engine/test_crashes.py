"""The engine dies before and after commits and tool calls, and what it says afterwards is what the ledger holds.

`python -m benchmarks simulate` plays every case there is; here are those that differ most.
"""

from collections.abc import Iterable
from itertools import islice

import pytest
from tests.support.crashes import CLASSES, OUTCOMES, Case, cases, run_case


def play(chosen: Iterable[Case]) -> None:
    wrong: list[str] = []
    count = 0
    for case in chosen:
        played = run_case(case)
        count += 1
        wrong += [f"{case} died {played.where}: {fault}" for fault in played.faults]
    assert count > 5
    assert not wrong, "\n".join(wrong[:20])


def test_every_operation_survives_a_crash_at_every_point() -> None:
    play(cases(["full"], outcomes=["answered"]))


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind != "full"])
def test_every_kind_of_class_survives_a_crash_at_every_point(kind: str) -> None:
    play(cases([kind], ["create", "restart"], ["answered"]))


@pytest.mark.parametrize("outcome", [outcome for outcome in OUTCOMES if outcome != "answered"])
def test_a_call_that_went_wrong_survives_a_crash_at_every_point(outcome: str) -> None:
    play(cases(["full"], ["create", "stop"], [outcome]))


def test_a_second_crash_during_recovery_changes_nothing() -> None:
    play(islice(cases(["full with restart"], ["restart"], ["answered"], twice=True), 0, None, 5))
