"""What Ostler says of services that end is so within its bounds: a part of what `python -m benchmarks truth` plays."""

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


def test_claims_are_so_within_their_bounds() -> None:
    assert set(CHOSEN) <= set(cells())
    played = {one.cell: one for one in play_all(CHOSEN, lanes=3)}
    assert {one.cell: one.faults for one in played.values()} == {cell: [] for cell in CHOSEN}
    assert [played[cell].final for cell in CHOSEN] == FINAL
