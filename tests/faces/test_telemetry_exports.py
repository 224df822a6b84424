"""What leaves a server that is told where to: OTLP to a real receiver, metrics for Prometheus, and logs as JSON."""

import json
import logging
import re
import socket
import sys
import urllib.error
import urllib.request
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from processes.bridge_client import MODERN_META, BridgeClient
from starlette.requests import Request
from tests.support.downstream import PROGRAM
from tests.support.otlp_receiver import facts_of, otlp_receiver
from tests.support.ports import dead_proxy
from tests.support.world import World, running

from ostler.adapters.config.paths import Paths
from ostler.adapters.config.settings_file import parse_settings
from ostler.adapters.stores.memory import MemoryStore
from ostler.adapters.telemetry.exporting import exporting
from ostler.adapters.telemetry.instruments import SERVERS, SERVICES
from ostler.adapters.telemetry.json_logs import JsonFormatter
from ostler.adapters.telemetry.scopes import Origin, Scope, entered
from ostler.adapters.telemetry.silent import Telemetry
from ostler.adapters.telemetry.wanted import Wanted
from ostler.engine.manager import ServiceManager
from ostler.faces.assembly import open_application
from ostler.faces.daemon.http_pages import WatchPages
from ostler.model.errors import ManifestError, StoreError
from ostler.model.settings import TelemetrySettings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
TOKEN = "a-secret-of-some-length"
CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: web}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: s/start, args: {name: "{{ name }}"}}
      stop: {tool: s/stop, args: {name: "{{ name }}"}}
"""


def fetch(url: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


@pytest.mark.realtime
def test_a_server_sends_traces_and_metrics_and_logs_with_their_ids(state_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    (config / "serviceclasses").mkdir(parents=True)
    (config / "serviceclasses" / "web.yaml").write_text(CLASS)
    server = {"command": sys.executable, "args": ["-S", str(PROGRAM), "--ledger", str(tmp_path / "ledger.json")]}
    (config / "mcp.json").write_text(json.dumps({"mcpServers": {"s": server}}))
    with otlp_receiver() as (address, received):
        (config / "ostler.toml").write_text(
            f'[telemetry]\notlpEndpoint = "{address}"\nprometheus = true\n\n[log]\nformat = "json"\n'
        )
        environment = {
            "OTEL_SERVICE_NAME": "my-ostler",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=k",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_METRIC_EXPORT_INTERVAL": "100",
            "OSTLER_HTTP_TOKEN": TOKEN,
            **dead_proxy(),
        }
        options = ["--foreground", "--http", "127.0.0.1:0", "--config", str(config), "--state", str(state_dir)]
        command = [sys.executable, "-m", "ostler.faces.entry", "serve", *options]
        with BridgeClient(command, env=environment) as client:
            said = ""
            while (found := re.search(r"(http://[^\s]+)/mcp", said)) is None:
                said += client.wait_for_note()
            url = found[1]
            meta = {**MODERN_META, "traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=x"}
            arguments = {"serviceClassName": "web", "name": "shop"}
            params = {"name": "service_create", "arguments": arguments, "_meta": meta}
            assert not client.ask("tools/call", params)["result"].get("isError")
            received.until(lambda: received.named("start web") and received.named("tools/call service_create"))
            [served], [operation] = received.named("tools/call service_create"), received.named("start web")
            assert (served.trace_id.hex(), served.parent_span_id.hex()) == (TRACE, CALLER)
            assert (operation.trace_id, operation.parent_span_id) == (served.trace_id, served.span_id)
            assert {span.trace_state for _, span in received.spans if span.trace_id.hex() == TRACE} == {"vendor=x"}
            resource = received.spans[0][0]
            assert resource["service.name"] == "my-ostler"
            assert resource["service.version"]
            assert received.headers["api-key"] == "k"
            received.until(lambda: {SERVICES.name, SERVERS.name, "ostler.operation.duration"} <= set(received.metrics))
            states = [facts_of(point) for point in received.metrics[SERVERS.name].gauge.data_points]
            assert {"ostler.server.name": "s", "ostler.server.state": "connected"} in states
            assert set(states[0]) == set(SERVERS.attributes)
            assert set(facts_of(received.metrics[SERVICES.name].gauge.data_points[0])) == set(SERVICES.attributes)

            assert fetch(f"{url}/healthz")[0] == 200
            status, ready = fetch(f"{url}/readyz")
            assert (status, json.loads(ready)["status"]) == (200, "ready")
            assert fetch(f"{url}/metrics")[0] == 401
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            assert fetch(f"{url}/metrics", **bearer, Host="evil.example.com")[0] == 421
            status, text = fetch(f"{url}/metrics", **bearer)
            assert status == 200
            assert re.search(r'^ostler_operation_duration_seconds_count\{.*"start".*\} 1\.0$', text, re.MULTILINE)
            assert "ostler_server_status_ratio{" in text or "ostler_server_status{" in text
            assert "process_resident_memory_bytes" in text

            lines = [json.loads(line) for line in (said + client.notes()).splitlines() if line.startswith("{")]
            [ended] = [line for line in lines if line["logger"] == "ostler.operations"]
            assert ended["message"] == "start of shop succeeded"
            assert ended["ostler.service.name"] == "shop"
            assert ended["ostler.operation.id"] == facts_of(operation)["ostler.operation.id"]
            assert (ended["trace_id"], ended["span_id"]) == (TRACE, operation.span_id.hex())


def test_a_receiver_of_this_machine_is_reached_past_a_proxy_over_grpc_too(state_dir: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        receiver.settimeout(30)
        environment = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            **dead_proxy(),
        }
        options = ["--foreground", "--config", str(tmp_path), "--state", str(state_dir)]
        command = [sys.executable, "-m", "ostler.faces.entry", "serve", *options]
        with BridgeClient(command, env=environment) as client:
            params = {"name": "service_list", "arguments": {}, "_meta": MODERN_META}
            assert not client.ask("tools/call", params)["result"].get("isError")
            connection, _ = receiver.accept()
            with connection:
                assert connection.recv(3) == b"PRI", "the beginning of HTTP/2"


@pytest.mark.anyio
@pytest.mark.realtime
async def test_what_is_missing_or_unknown_is_reported_and_the_server_serves_all_the_same(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics", None)  # as if it were not installed
    config = tmp_path / "config"
    config.mkdir()
    (config / "ostler.toml").write_text("[telemetry]\nprometheus = true\n")
    environment = {"OTEL_TRACES_EXPORTER": "zipkin"}
    async with open_application(Paths(config, state_dir), environment=environment) as app:
        reported = [event.message for event in app.manager.events.read().events]
        assert any("pip install '.[telemetry]'" in text for text in reported)
        assert any("'zipkin'; known are otlp, console, none" in text for text in reported)
        assert app.telemetry.scrape is None


@pytest.mark.anyio
@pytest.mark.realtime
async def test_a_protocol_of_otlp_that_there_is_no_exporter_for_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")
    async with exporting(Wanted(metrics=("otlp",)), version="1") as exports:
        [finding] = exports.findings
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is 'carrier-pigeon'; known are 'http/protobuf' and 'grpc'" in finding


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "odd"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-5"),
    ],
)
async def test_a_wrong_variable_of_opentelemetry_is_reported_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    is_of_metrics = name.startswith("OTEL_METRIC")
    wanted = Wanted(metrics=("console",)) if is_of_metrics else Wanted(traces=("console",))
    async with exporting(wanted, version="1") as exports:
        [finding] = exports.findings
    assert finding.startswith("telemetry cannot be set up: ")
    assert "  " not in finding


def test_what_outlives_its_request_links_to_it_instead_of_going_on_with_its_trace() -> None:
    """A restart that is planned during an operation comes hours later, in a task that has the operation's context."""
    request = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    token = attach(set_span_in_context(NonRecordingSpan(request)))
    try:
        with entered(Scope()):
            task = copy_context()
            during = task.run(Origin.here)
        after = task.run(Origin.here)
    finally:
        detach(token)
    assert during.context is not None
    assert (during.linked, after.linked, after.context) == (None, request, None)


class LostStore:
    """A store whose database is away for as long as a test wants."""

    trouble: StoreError | None = None


@pytest.mark.anyio
async def test_ready_means_that_operations_can_be_done() -> None:
    store: Any = LostStore()
    request = Request({"type": "http"})

    async def said(manager: ServiceManager) -> tuple[int, str]:
        answer = await WatchPages(manager, Telemetry(), "1", store).ready(request)
        return answer.status_code, json.loads(bytes(answer.body))["status"]

    assert await said(ServiceManager(World(), MemoryStore())) == (503, "starting")
    async with running(World()) as manager:
        await manager.recovered.wait()
        assert await said(manager) == (200, "ready")
        store.trouble = StoreError("no connection to db.internal:5432")
        assert await said(manager) == (503, "unavailable")
        answer = await WatchPages(manager, Telemetry(), "1", store).ready(request)
        assert b"db.internal" not in bytes(answer.body), "anyone may ask"
        store.trouble = None
        assert await said(manager) == (200, "ready")


@pytest.mark.parametrize(
    ("settings", "variables", "wanted"),
    [
        pytest.param({}, {}, Wanted(), id="nothing"),
        pytest.param({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, Wanted(("otlp",), ("otlp",)), id="endpoint"),
        pytest.param({}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t"}, Wanted(("otlp",)), id="traces-endpoint"),
        pytest.param({}, {"OTEL_TRACES_EXPORTER": "console"}, Wanted(("console",)), id="console"),
        pytest.param({}, {"OTEL_METRICS_EXPORTER": "otlp, prometheus"}, Wanted((), ("otlp", "prometheus")), id="two"),
        pytest.param(
            {"otlpEndpoint": "http://c:4318"},
            {"OTEL_METRICS_EXPORTER": "none"},
            Wanted(("otlp",), (), "http://c:4318"),
            id="no-metrics",
        ),
        pytest.param({"prometheus": True, "healthChecks": True}, {}, Wanted((), ("prometheus",), "", True), id="toml"),
        pytest.param({"prometheus": True}, {"OTEL_SDK_DISABLED": "true"}, Wanted(), id="disabled"),
    ],
)
def test_settings_and_variables_together_say_what_is_exported(
    settings: dict[str, Any], variables: dict[str, str], wanted: Wanted
) -> None:
    assert Wanted.read(TelemetrySettings.model_validate(settings), variables) == wanted


def test_an_endpoint_that_is_not_an_address_is_refused_at_its_line() -> None:
    with pytest.raises(ManifestError, match=r"ostler.toml:2:.*telemetry.otlpEndpoint: must be an address such as"):
        parse_settings('[telemetry]\notlpEndpoint = "localhost"\n', "ostler.toml")


def test_a_log_line_outside_of_any_operation_has_no_ids_and_keeps_its_exception() -> None:
    try:
        raise ValueError("broken\nin two lines")
    except ValueError:
        record = logging.LogRecord("ostler.x", logging.ERROR, "x.py", 1, "it %s", ("failed",), sys.exc_info())
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == "it failed"
    assert line["exception.type"] == "ValueError"
    assert "in two lines" in line["exception.stacktrace"]
    assert not {"trace_id", "ostler.operation.id"} & set(line)
    scope = Scope("op1", "db")
    with entered(scope):
        assert json.loads(JsonFormatter().format(record))["ostler.operation.id"] == "op1"
    assert not scope.is_open
