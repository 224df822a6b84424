"""Lines from a server's stdout: whole, split anywhere, or larger than may be kept."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostler.adapters.backoff import Backoff
from ostler.adapters.downstream.framing import (
    LineSplitter,
    OversizedLine,
    StdoutNoise,
    top_level_scalars,
    unreadable_answer,
)
from ostler.adapters.downstream.stderr_log import StderrLog


@given(
    lines=st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")), max_size=8),
    size=st.integers(min_value=1, max_value=20),
)
def test_lines_come_whole_however_the_bytes_are_cut(lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter(limit=1000)
    found = [item for at in range(0, len(data), size) for item in splitter.feed(data[at : at + size])]
    assert found == [line for line in lines if line]


@given(size=st.integers(min_value=1, max_value=5000), id_first=st.booleans())
def test_an_oversized_line_is_dropped_but_tells_whose_answer_it_was(size: int, id_first: bool) -> None:
    answer = {"result": {"id": 1, "content": [{"id": 2, "text": "x" * 4000}]}}
    message = {"id": 77, **answer} if id_first else {**answer, "id": 77}
    data = json.dumps({"jsonrpc": "2.0", **message}).encode() + b'\n{"id": 78}\n'
    splitter = LineSplitter(limit=500)
    found = [item for at in range(0, len(data), size) for item in splitter.feed(data[at : at + size])]
    assert found[-1] == b'{"id": 78}'
    oversized = [item for item in found if isinstance(item, OversizedLine)]
    assert len(oversized) == len(found) - 1
    assert 77 in [item.fields.get("id") for item in oversized]
    assert not {1, 2} & {item.fields.get("id") for item in oversized}


@pytest.mark.parametrize("key", [b'"\\q"', b'"\xff"', b'"\\ud8"'])
def test_an_id_that_cannot_be_read_is_none(key: bytes) -> None:
    line = b'{"x": "' + b"y" * 600 + b'", "id": ' + key + b"}\n"
    fields = [found.fields for found in LineSplitter(limit=500).feed(line) if isinstance(found, OversizedLine)]
    assert [each.get("id") for each in fields] == [None, None]


def test_an_answer_that_is_too_deep_to_be_read_at_all_is_told_apart_from_noise() -> None:
    deep = b'{"jsonrpc": "2.0", "id": 7, "result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert unreadable_answer(deep) == (7, "it is nested too deeply")
    assert unreadable_answer(deep.replace(b'"result"', b'"method": "x", "params"')) is None


def test_only_top_level_scalars_count() -> None:
    head = b'{"a": {"id": 1}, "b": ["id", {"id": 2}], "c\\"": "}", "id" : "x\\u0041", "method": "ping", "d": {"e'
    assert top_level_scalars(head) == {'c"': "}", "id": "xA", "method": "ping"}


def test_noise_is_counted_and_a_sample_kept() -> None:
    noise = StdoutNoise()
    assert noise.describe() == ""
    noise.add(b"starting \xff up")
    assert "1 line to stdout that is not an MCP message" in noise.describe()
    noise.add(b"y" * 1000)
    assert "2 lines to stdout that are not MCP messages, e.g. 'starting" in noise.describe()


def test_a_backoff_grows_to_its_cap_and_begins_again() -> None:
    backoff = Backoff(rng=random.Random(1))
    delays = [backoff.next_delay() for _ in range(12)]
    assert 0.16 <= delays[0] <= 0.24
    assert all(delay <= 30 for delay in delays)
    assert delays[-1] >= 16
    at_the_cap = [backoff.next_delay(at_most=4) for _ in range(50)]
    assert all(2 < delay <= 4 for delay in at_the_cap)
    assert len({round(delay, 2) for delay in at_the_cap}) > 20, "servers that died together come back apart"
    backoff.reset()
    assert backoff.next_delay() <= 0.24


def test_the_stderr_log_is_bounded_and_knows_its_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "s.stderr.log"
    with StderrLog(path, max_bytes=1000) as log:
        for number in range(100):
            log.write(f"line {number} {'.' * 20}\n".encode())
        log.write(b"unfinished")
        assert log.last_words().endswith("| unfinished")
        assert "line 99" in log.last_words()
        assert "line 90" not in log.last_words()
    older = path.with_name("s.stderr.log.1")
    assert path.stat().st_size <= 1000
    assert older.stat().st_size <= 1000
    assert path.stat().st_mode & 0o077 == 0
