"""Records and their JSON form."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostler.adapters.stores.records_json import (
    call_from_json,
    call_to_json,
    decode,
    encode,
    event_from_json,
    event_to_json,
    format_time,
    operation_from_json,
    operation_to_json,
    parse_time,
    planned_call_from_json,
    planned_call_to_json,
    service_from_json,
    service_to_json,
)
from ostler.model.errors import StoreCorruptError
from ostler.model.events import Event, EventKind
from ostler.model.records import (
    CallOutcome,
    CallRecord,
    OperationKind,
    OperationOutcome,
    OperationRecord,
    PlannedCall,
    ServiceRecord,
)
from ostler.model.states import DesiredState, ServiceState

texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, max_size=3)
times = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 (the strategy adds the zone)
    max_value=datetime(2900, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))]),
)
seconds = st.floats(min_value=0, max_value=1e9)
planned_calls = st.builds(
    PlannedCall,
    step=texts, tool=texts, args=objects, timeout=seconds, expect=st.none() | objects, expect_not=st.none() | objects,
    outputs=objects, retry_attempts=st.integers(1, 9), retry_delay=seconds,
)  # fmt: skip
services = st.builds(
    ServiceRecord,
    id=texts, name=texts, class_name=texts, class_digest=texts, class_manifest=objects, args=objects,
    created_at=times, updated_at=times, desired=st.sampled_from(DesiredState), state=st.sampled_from(ServiceState),
    revision=st.integers(0), persist=st.booleans(), auto_start=st.booleans(), labels=objects, step_outputs=objects,
    stop_plan=st.lists(planned_calls, max_size=2).map(tuple), error=st.none() | objects,
    lease_expires_at=st.none() | times, lease=st.none() | seconds, starts=st.integers(0), restarts=st.integers(0),
    held=st.booleans(), completed=st.booleans(), missed_stop=st.booleans(), outputs_at=st.none() | times,
)  # fmt: skip
calls = st.builds(
    CallRecord,
    seq=st.integers(0), step=texts, tool=texts, args=objects, outcome=st.sampled_from(CallOutcome), sent_at=times,
    answered_at=st.none() | times, error=texts, answer=values,
)  # fmt: skip
operations = st.builds(
    OperationRecord,
    id=texts, service_id=texts, service_name=texts, kind=st.sampled_from(OperationKind), started_at=times,
    reason=texts, finished_at=st.none() | times, outcome=st.none() | st.sampled_from(OperationOutcome), error=texts,
    calls=st.lists(calls, max_size=2).map(tuple),
)  # fmt: skip
events = st.builds(
    Event, cursor=st.integers(0), at=times, kind=st.sampled_from(EventKind), service=texts, message=texts, data=objects
)

ROUND_TRIPS = [
    pytest.param(services, service_to_json, service_from_json, id="service"),
    pytest.param(operations, operation_to_json, operation_from_json, id="operation"),
    pytest.param(calls, call_to_json, call_from_json, id="call"),
    pytest.param(planned_calls, planned_call_to_json, planned_call_from_json, id="planned call"),
    pytest.param(events, event_to_json, event_from_json, id="event"),
]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SERVICE = ServiceRecord(
    "i", "web", "c", "d", {}, {}, NOW, NOW, DesiredState.RUNNING, ServiceState.RUNNING,
    stop_plan=(PlannedCall("stop", "process/stop", {}, 3.0),),
)  # fmt: skip


@pytest.mark.parametrize(("records", "to_json", "from_json"), ROUND_TRIPS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_what_is_written_is_read_back(data: st.DataObject, records: Any, to_json: Any, from_json: Any) -> None:
    record = data.draw(records)
    assert from_json(decode(encode(to_json(record)), "record")) == record


@given(moment=times)
def test_times_are_rfc_3339_in_utc(moment: datetime) -> None:
    text = format_time(moment)
    assert text.endswith("Z")
    assert parse_time(text) == moment
    assert len(text) == len("2026-01-02T03:04:05.000000Z")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        format_time(datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="no time zone"):
        parse_time("2026-01-01T00:00:00")


def test_keys_are_camel_case() -> None:
    data = service_to_json(SERVICE)
    assert data["className"] == "c"
    assert data["createdAt"] == "2026-01-02T03:04:05.000000Z"
    assert data["stopPlan"][0]["expectNot"] is None
    assert data["leaseExpiresAt"] is None
    assert not [key for key in data if "_" in key]


def test_absent_keys_with_a_default_are_tolerated_and_unknown_keys_ignored() -> None:
    data = service_to_json(SERVICE)
    for key in ("revision", "stopPlan", "lease", "labels"):
        del data[key]
    assert service_from_json({**data, "keyOfTheFuture": 1}) == replace(SERVICE, stop_plan=())


WRONG = [
    ("name", 3, "'name' a value of type int where a string belongs"),
    ("args", [], "'args' a value of type list where an object belongs"),
    ("revision", True, "'revision' a value of type bool where an integer belongs"),
    ("revision", 1.5, "'revision' a value of type float where an integer belongs"),
    ("persist", 1, "'persist' a value of type int where a boolean belongs"),
    ("lease", "1h", "'lease' a value of type str where a number belongs"),
    ("state", "flying", "'state' a value of type str where one of unknown, waiting"),
    ("createdAt", "yesterday", "'createdAt' a value of type str where an RFC 3339 time belongs"),
    ("createdAt", None, "'createdAt' a value of type NoneType"),
    ("stopPlan", {}, "'stopPlan' a value of type dict where an array belongs"),
    ("stopPlan", [3], "'stopPlan' a value of type int where an object belongs"),
]


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_a_value_of_the_wrong_type_names_record_and_key(key: str, value: object, message: str) -> None:
    with pytest.raises(StoreCorruptError) as caught:
        service_from_json({**service_to_json(SERVICE), key: value})
    assert message in str(caught.value)
    assert "service" in str(caught.value)


def test_a_nested_value_is_named_by_its_path() -> None:
    data = service_to_json(SERVICE)
    del data["stopPlan"][0]["tool"]
    with pytest.raises(StoreCorruptError, match=r"service 'web' has at 'stopPlan\.tool' no value"):
        service_from_json(data)


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '"x"'])
def test_text_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(StoreCorruptError, match="stored event"):
        decode(text, "event")


def test_numbers_that_json_lacks_survive_storage() -> None:
    record = replace(SERVICE, outputs={"load": float("inf")})
    assert service_from_json(json.loads(encode(service_to_json(record)))) == record


def test_a_record_that_kept_counters_is_read_into_fields() -> None:
    counters = {"starts": 3, "restarts": 1, "held": 1, "completed": 0, "outputsAt": "2026-01-01T00:00:00+00:00"}
    older = {**service_to_json(SERVICE), "counters": counters}
    for key in ("starts", "restarts", "held", "completed", "missedStop", "outputsAt"):
        del older[key]
    read = service_from_json(older)
    assert (read.starts, read.restarts, read.held, read.completed, read.missed_stop) == (3, 1, True, False, False)
    assert read.outputs_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert "counters" not in service_to_json(read)
