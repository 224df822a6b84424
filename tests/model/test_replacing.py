"""Replacing fields of frozen values: the same as `dataclasses.replace`, for every value that is replaced so."""

from dataclasses import dataclass, fields, replace

import pytest

from ostler.model.records import ServiceRecord
from ostler.model.replacing import replaced


@dataclass(frozen=True, slots=True)
class One:
    """A value of one field."""

    alone: int


@dataclass(frozen=True, slots=True)
class Many(One):
    """A value of several, one of them inherited."""

    seen: str = ""
    later: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("value", "changes"),
    [(One(1), {"alone": 2}), (Many(1), {"alone": 3, "seen": "it"}), (Many(1, "it", ("a",)), {})],
)
def test_it_is_what_dataclasses_replace_returns(value: One, changes: dict[str, object]) -> None:
    before = repr(value)
    made = replaced(value, **changes)
    assert made == replace(value, **changes)  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert type(made) is type(value)
    assert repr(value) == before
    with pytest.raises(AttributeError):
        made.alone = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_what_changes_nothing_is_the_value_itself() -> None:
    value = Many(1, "it", ("a",))
    assert replaced(value, alone=1, seen="it", later=value.later) is value
    assert replaced(value, later=("b",)) is not value


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="Many has no field 'nmae'"):
        replaced(Many(1), nmae=1)


def test_a_stored_record_keeps_every_other_field() -> None:
    record = object.__new__(ServiceRecord)
    for number, field in enumerate(fields(ServiceRecord)):
        object.__setattr__(record, field.name, number)
    made = replaced(record, name="one")
    assert made == replace(record, name="one")
    assert [getattr(made, field.name) for field in fields(ServiceRecord) if field.name != "name"] == [
        number for number, field in enumerate(fields(ServiceRecord)) if field.name != "name"
    ]
