"""Regular expressions that are compiled when they are first used."""

import re

import pytest

from ostler.model.late_patterns import late_pattern


def test_a_late_pattern_does_what_a_compiled_one_does_and_shows_its_faults_at_its_first_use() -> None:
    late = late_pattern(r"(?P<name>\w+)=", re.IGNORECASE)
    assert (late.findall("A=1 b=2"), late.flags) == (["A", "b"], re.compile(r"(?i)x").flags)
    broken = late_pattern("(")
    with pytest.raises(re.error):
        broken.search("")


def test_a_late_pattern_is_usable_while_it_stands_in_for_compiled_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(re, "compile", late_pattern)
    assert re.compile("b+").search("abb") is not None
