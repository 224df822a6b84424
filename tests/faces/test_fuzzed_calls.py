"""Arguments that Hypothesis made for every tool of a whole Ostler; `python -m benchmarks fuzz` makes many more."""

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.support.fuzz import UNCHECKED, Hostile, calls, hostile

pytestmark = pytest.mark.realtime

few = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=UNCHECKED,
    phases=(Phase.explicit, Phase.generate),
)


@pytest.fixture(scope="module")
def ostler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BlockingPortal, Hostile]]:
    with start_blocking_portal() as portal:
        folder = tmp_path_factory.mktemp("fuzz")
        with portal.wrap_async_context_manager(hostile(folder)) as made:
            yield portal, made


@few
@given(data=st.data())
def test_every_call_is_answered(ostler: tuple[BlockingPortal, Hostile], data: st.DataObject) -> None:
    portal, made = ostler
    for tool, args in data.draw(calls(made.schemas)):
        portal.call(made.call, tool, args)
