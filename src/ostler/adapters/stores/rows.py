"""Changes and events as rows. Each store has its own statement for each sort of row."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, NamedTuple, assert_never

from msgspec import Struct

from ostler.adapters.stores.records_json import EVENT, OPERATION, SERVICE
from ostler.engine.protocols import Change, DropService, PutOperation, PutService
from ostler.model.events import Event
from ostler.model.moments import format_time
from ostler.model.records import ServiceRecord

CURSOR_RESERVE = 4096
"""Event cursors reserved ahead in a database, so that none is given out twice after a crash lost queued events."""


class RowSort(Enum):
    """What is done with the values of a row."""

    PUT_SERVICE = auto()
    """id, name, class name, state, desired state, time of the change, record"""
    DROP_SERVICE = auto()
    """id"""
    PUT_OPERATION = auto()
    """id, service's id, service's name, kind, time of the start, of the end, outcome, record"""
    PUT_REQUEST = auto()
    """idempotency key, operation's id"""


class Row(NamedTuple):
    """One row to write.

    Attributes:
        sort: what is done.
        values: the values of its columns.
        name: that of its service, if the row gives it one.
        record: the service that is put, for a store that keeps more of it than the values.
    """

    sort: RowSort
    values: tuple[Any, ...]
    name: str = ""
    record: ServiceRecord | None = None


class CommitWrite(Struct, frozen=True):
    """One commit, encoded when it was asked for, so that later changes to its values do not reach the disk.

    Attributes:
        rows: what to write, in order.
        operations_of: the services whose history of operations, which has those that have ended, grew.
        may_use_reserve: it records a stop, a delete or the end of an operation, for which room is kept on the disk.
    """

    rows: tuple[Row, ...]
    operations_of: frozenset[str]
    may_use_reserve: bool = False


class EventWrite(Struct, frozen=True):
    """One event, encoded when it was appended: cursor, time, kind, service, record."""

    cursor: int
    service: str
    values: tuple[Any, ...]


def encode_commit(changes: Sequence[Change]) -> CommitWrite:
    """Return `changes` as rows.

    Raises:
        StoreError: a value is not JSON.
    """
    rows: list[Row] = []
    operations_of: set[str] = set()
    may_use_reserve = False
    for change in changes:
        match change:
            case PutService(record):
                key = (column(record.id), column(record.name), column(record.class_name))
                facts = (record.state.value, record.desired.value, format_time(record.updated_at))
                values = (*key, *facts, SERVICE.write(record))
                rows.append(Row(RowSort.PUT_SERVICE, values, record.name, record))
            case DropService(service_id):
                may_use_reserve = True
                rows.append(Row(RowSort.DROP_SERVICE, (column(service_id),)))
            case PutOperation(operation):
                if is_end := operation.outcome is not None:
                    operations_of.add(column(operation.service_id))
                may_use_reserve = may_use_reserve or is_end or operation.kind.takes_down
                key = (column(operation.id), column(operation.service_id), column(operation.service_name))
                facts = (
                    operation.kind.value,
                    format_time(operation.started_at),
                    operation.finished_at and format_time(operation.finished_at),
                    operation.outcome and operation.outcome.value,
                )
                rows.append(Row(RowSort.PUT_OPERATION, (*key, *facts, OPERATION.write(operation))))
                rows += [
                    Row(RowSort.PUT_REQUEST, (column(asked), column(operation.id))) for asked in operation.requests
                ]
            case _:
                assert_never(change)
    return CommitWrite(tuple(rows), frozenset(operations_of), may_use_reserve)


def encode_event(event: Event) -> EventWrite:
    """Return `event` as a row.

    Raises:
        StoreError: its data is not JSON.
    """
    service = column(event.service)
    row = (event.cursor, format_time(event.at), event.kind.value, service, EVENT.write(event))
    return EventWrite(event.cursor, service, row)


def column(text: str) -> str:
    """Return `text` as databases can store it: a lone surrogate is written out. The record keeps the original."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
