"""Records and their JSON form."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ostler.adapters.stores.records_json import EVENT, OPERATION, SERVICE, RecordForm, decode
from ostler.model.errors import StoreCorruptError, StoreError
from ostler.model.events import Event, EventKind
from ostler.model.json import JsonObject
from ostler.model.moments import format_time, parse_time
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
    held=st.booleans(), completed=st.booleans(), missed_stop=st.booleans(),
    missed_delete=st.booleans(), outputs_at=st.none() | times,
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
    pytest.param(services, SERVICE, id="service"),
    pytest.param(operations, OPERATION, id="operation"),
    pytest.param(events, EVENT, id="event"),
]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SERVICE_RECORD = ServiceRecord(
    "i", "web", "c", "d", {}, {}, NOW, NOW, DesiredState.RUNNING, ServiceState.RUNNING,
    stop_plan=(PlannedCall("stop", "process/stop", {}, 3.0),),
)  # fmt: skip


def service_to_json(record: ServiceRecord) -> JsonObject:
    return decode(SERVICE.write(record), "service")


def service_from_json(data: JsonObject) -> ServiceRecord:
    return SERVICE.read(json.dumps(data))


@pytest.mark.parametrize(("records", "form"), ROUND_TRIPS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_what_is_written_is_read_back(data: st.DataObject, records: Any, form: RecordForm[Any]) -> None:
    record = data.draw(records)
    assert form.read(form.write(record)) == record


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


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"])
def test_a_time_that_is_no_date_in_utc_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no date in UTC"):
        parse_time(text)


def test_keys_are_camel_case() -> None:
    data = service_to_json(SERVICE_RECORD)
    assert data["className"] == "c"
    assert data["createdAt"] == "2026-01-02T03:04:05Z"
    assert data["stopPlan"][0]["expectNot"] is None
    assert data["leaseExpiresAt"] is None
    assert not [key for key in data if "_" in key]


def test_absent_keys_with_a_default_are_tolerated_and_unknown_keys_ignored() -> None:
    data = service_to_json(SERVICE_RECORD)
    for key in ("revision", "stopPlan", "lease", "labels"):
        del data[key]
    assert service_from_json({**data, "keyOfTheFuture": 1}) == replace(SERVICE_RECORD, stop_plan=())


WRONG = [
    ("name", 3, "'name': expected str, got int"),
    ("args", [], "'args': expected object, got array"),
    ("revision", True, "'revision': expected int, got bool"),
    ("revision", 1.5, "'revision': expected int, got float"),
    ("revision", 1.0, "'revision': expected int, got float"),
    ("persist", 1, "'persist': expected bool, got int"),
    ("lease", "1h", "'lease': expected float | null, got str"),
    ("lease", "1", "'lease': expected float | null, got str"),
    ("lease", True, "'lease': expected float | null, got bool"),
    ("state", "flying", "'state': invalid enum value"),
    ("createdAt", "yesterday", "'createdAt': invalid RFC3339 encoded datetime"),
    ("createdAt", "2026-01-02", "'createdAt': invalid RFC3339 encoded datetime"),
    ("createdAt", "2026-01-02T03:04:05", "'createdAt': expected datetime with a timezone component"),
    ("createdAt", None, "'createdAt': expected datetime, got null"),
    ("createdAt", 1767323045, "'createdAt': expected datetime, got int"),
    ("outputsAt", 1767323045, "'outputsAt': expected datetime | null, got int"),
    ("stopPlan", {}, "'stopPlan': expected array, got object"),
    ("stopPlan", [3], "'stopPlan[0]': expected object, got int"),
]


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_a_value_of_the_wrong_type_names_record_and_key(key: str, value: object, message: str) -> None:
    with pytest.raises(StoreCorruptError) as caught:
        service_from_json({**service_to_json(SERVICE_RECORD), key: value})
    assert message in str(caught.value)
    assert "service" in str(caught.value)


def test_a_nested_value_is_named_by_its_path() -> None:
    data = service_to_json(SERVICE_RECORD)
    del data["stopPlan"][0]["tool"]
    with pytest.raises(
        StoreCorruptError, match=r"service 'web' does not fit at 'stopPlan\[0\]': object missing required field tool"
    ):
        service_from_json(data)


@pytest.mark.parametrize("form", [SERVICE, OPERATION, EVENT])
@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{", '"x"'])
def test_text_that_is_not_an_object_is_refused(text: str, form: RecordForm[Any]) -> None:
    with pytest.raises(StoreCorruptError, match=r"^stored (service|operation|event) is not"):
        form.read(text)


def test_a_value_that_is_not_json_is_refused() -> None:
    with pytest.raises(StoreError, match="not JSON"):
        SERVICE.write(replace(SERVICE_RECORD, args={"x": object()}))


def test_half_a_surrogate_pair_survives_storage() -> None:
    record = replace(SERVICE_RECORD, args={"file": "caf\udce9"}, lease_expires_at=NOW, outputs={"n": True})
    assert SERVICE.read(SERVICE.write(record)) == record


def test_numbers_that_json_lacks_survive_storage() -> None:
    record = replace(SERVICE_RECORD, outputs={"load": float("inf")})
    assert SERVICE.read(SERVICE.write(record)) == record


@pytest.mark.parametrize("manifest", [{}, {"a": ["é", 1.5, None]}, {"odd": "\ud800"}, {"large": float("inf")}])
def test_services_that_share_a_manifest_each_have_it(manifest: JsonObject) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    kept = {"created_at": now, "updated_at": now, "desired": DesiredState.RUNNING, "state": ServiceState.RUNNING}
    for name in ("one", "two"):
        record = ServiceRecord(name, name, "c", "d", manifest, args={"n": name}, **kept)  # pyright: ignore[reportArgumentType]
        assert SERVICE.read(SERVICE.write(record)) == record
