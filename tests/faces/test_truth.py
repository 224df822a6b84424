"""What is said of services that end comes to be so, and nothing is left: a part of `python -m benchmarks truth`."""

import pytest
from tests.support.truth.cells import Cell, cells, play_all
from tests.support.truth.drivers import BatchDriver, HttpDriver, ProcessDriver, StdioDriver

pytestmark = pytest.mark.realtime

CHOSEN = [
    Cell("kill -9", ProcessDriver, "running"),
    Cell("Ostler killed", StdioDriver, "running"),
    Cell("id given to another", HttpDriver, "running"),
    Cell("stop lost", BatchDriver, "running"),
]
FINAL = ["failed", "stopped", "failed", "stopped"]


def test_claims_come_to_be_so_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    # How soon is for the bench: a busy machine is slow.
    monkeypatch.setattr("tests.support.truth.cells.GRACE", 15.0)
    monkeypatch.setattr("tests.support.truth.cells._SETTLES", 60.0)
    assert set(CHOSEN) <= set(cells())
    played = {one.cell: one for one in play_all(CHOSEN, lanes=3)}
    assert {one.cell: one.faults for one in played.values()} == {cell: [] for cell in CHOSEN}
    assert [played[cell].final for cell in CHOSEN] == FINAL
