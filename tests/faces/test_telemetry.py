"""Traces and metrics as OpenTelemetry's own SDK gets them, over the full application and a real downstream server."""

import itertools
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from tests.support.downstream import PROGRAM
from tests.support.ledger_app import call, ledger, refusal
from tests.support.standbys import META, headers_of, holding, leases_of, paths_in, standing_by
from tests.support.telemetry import Recorder, record_telemetry
from tests.support.world import World

from ostler.adapters.config.paths import Paths
from ostler.adapters.stores.memory import MemoryStore
from ostler.adapters.telemetry.call_spans import way_to
from ostler.adapters.telemetry.instruments import (
    CALLED,
    COMMITS,
    METRICS,
    SERVED,
    SESSIONS,
    SHARED_CHECKS,
    STANDBY_AGE,
    STANDBY_CHECKS,
    STANDBY_LEASE,
    STANDBY_REQUESTS,
    Metric,
)
from ostler.adapters.telemetry.operation_spans import CHECK_SPAN
from ostler.adapters.telemetry.silent import Scrape
from ostler.adapters.telemetry.span_table import OSTLER, SDK, SPANS
from ostler.faces.application import Application
from ostler.faces.assembly import open_application
from ostler.faces.mcp.server import build_server
from ostler.model.errors import StoreError
from ostler.model.records import OperationKind, PlannedCall
from ostler.model.servers import ServerEntry

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

MEASURED = [metric for metric in METRICS if metric.kind != "gauge"]

CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: web}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: s/start, args: {name: "{{ name }}"}, outputs: {id: id}}
      stop: {tool: s/stop, args: {name: "{{ name }}"}}
      healthCheck: {tool: s/meta, args: {}, expect: {success: true}}
    healthCheck: {interval: 100ms}
    restartPolicy: never
---
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: slow}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: s/start, args: {name: "{{ name }}", ready_after: 1000000}}
      ready: {tool: s/status, args: {name: "{{ name }}"}, expect: {jsonPath: {state: running}}, interval: 20ms}
      stop: {tool: s/stop, args: {name: "{{ name }}"}}
---
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: bad}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: s/fail, args: {message: no space}}
      stop: {tool: s/stop, args: {name: "{{ name }}"}}
---
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: refused}
spec:
  args: {password: {type: string, secret: true}}
  serviceConfig:
    lifecycleTools:
      start: {tool: s/reject, args: {message: "not {{ args.password }}"}}
      stop: {tool: s/stop, args: {name: "{{ name }}"}}
"""


@pytest.fixture(scope="session")
def process_recorder() -> Recorder:
    return record_telemetry()


@pytest.fixture
def recorder(process_recorder: Recorder) -> Recorder:
    process_recorder.exporter.spans.clear()
    return process_recorder


@asynccontextmanager
async def application(state: Path, tmp_path: Path, settings: str = "") -> AsyncGenerator[tuple[Application, Client]]:
    config = tmp_path / "config"
    (config / "serviceclasses").mkdir(parents=True)
    (config / "serviceclasses" / "web.yaml").write_text(CLASS)
    server = {"command": sys.executable, "args": ["-S", str(PROGRAM), "--ledger", str(tmp_path / "ledger.json")]}
    (config / "mcp.json").write_text(json.dumps({"mcpServers": {"s": server}}))
    (config / "ostler.toml").write_text(settings)
    async with open_application(Paths(config, state), stop_on_exit=True) as app:
        await until(lambda: app.pool.server_status("s").connected)
        async with Client(build_server(app, middleware=app.telemetry.middleware)) as client:
            yield app, client


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def scope_of(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name if span.instrumentation_scope is not None else ""


async def until(condition: Any) -> None:
    with anyio.fail_after(30):
        while not condition():
            await anyio.sleep(0.01)


async def test_a_trace_goes_from_the_client_through_the_operation_to_the_downstream_call(
    recorder: Recorder, state_dir: Path, tmp_path: Path
) -> None:
    async with application(state_dir, tmp_path) as (_, client):
        with trace.get_tracer("agent").start_as_current_span("agent") as agent:
            await call(client, "service_create", serviceClassName="web", name="shop")
            seen = await call(client, "tool_call", name="s/meta", args={})
    served = recorder.span("tools/call service_create")
    operation = recorder.span("start web", ostler__service__name="shop")
    executed = recorder.span("execute_tool start")
    sent = recorder.span("MCP send tools/call start")
    path = [recorder.span("agent"), served, operation, executed, sent]
    for parent, child in itertools.pairwise(path):
        assert parent_of(child) == id_of(parent), (parent.name, child.name)
    assert [span.kind for span in path[1:]] == [SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.INTERNAL, SpanKind.CLIENT]
    facts = dict(operation.attributes or {})
    assert len(str(facts.pop("ostler.operation.id"))) == 16
    assert facts == {
        "ostler.operation.kind": "start",
        "ostler.operation.reason": "created",
        "ostler.operation.outcome": "succeeded",
        "ostler.service.name": "shop",
        "ostler.service.class": "web",
    }
    assert dict(executed.attributes or {}) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "start",
        "mcp.protocol.version": "2025-11-25",
        "network.transport": "pipe",
        "ostler.server.name": "s",
    }
    passed_on = seen["result"]["meta"]
    assert passed_on["traceparent"].split("-")[1] == f"{agent.get_span_context().trace_id:032x}"


async def test_each_span_of_the_table_is_emitted_with_its_attributes_and_no_others(
    recorder: Recorder, state_dir: Path, tmp_path: Path
) -> None:
    async with application(state_dir, tmp_path, "[telemetry]\nhealthChecks = true") as (_, client):
        await call(client, "service_create", serviceClassName="web", name="shop")
        await refusal(client, "service_create", serviceClassName="bad", name="bad")
        await refusal(client, "tool_call", name="s/reject", args={"code": -32000})
        with pytest.raises(MCPError):
            await client.call_tool("made_up", {})
        await until(lambda: recorder.spans(CHECK_SPAN))
    emitted = [span for span in recorder.spans() if scope_of(span) in (SDK, OSTLER)]
    for form in SPANS:
        first = form.name.split(" ")[0]
        kinds = {kind.value for kind in OperationKind} if first == "KIND" else {first}
        like = [
            span
            for span in emitted
            if span.name.split(" ")[0] in kinds and (first != "MCP" or span.name.startswith("MCP send tools/call "))
        ]
        assert {(span.kind.name.lower(), scope_of(span)) for span in like} == {(form.kind, form.scope)}
        over_http = {"server.address", "server.port"} & set(form.attributes)
        assert {key for span in like for key in span.attributes or {}} | over_http == set(form.attributes), form.name
        emitted = [span for span in emitted if span not in like]
    assert not [span.name for span in emitted if scope_of(span) == OSTLER]


async def test_each_metric_of_the_table_is_emitted_with_its_attributes_and_no_others(
    recorder: Recorder, state_dir: Path, tmp_path: Path
) -> None:
    """Gauges belong to the first application of a process; `test_telemetry_exports.py` has a process for them."""
    async with application(state_dir, tmp_path) as (app, client):
        await call(client, "service_create", serviceClassName="web", name="shop")
        await call(client, "service_restart", name="shop")
        await refusal(client, "service_create", serviceClassName="bad", name="bad")
        await refusal(client, "tool_call", name="nowhere/anything")
        await refusal(client, "tool_call", name="s/made_up")
        with pytest.raises(MCPError):
            await client.call_tool("made_up", {})
        await until(lambda: app.manager.view("shop").health.value == "healthy")
        seen = {metric.name: recorder.points(metric.name) for metric in MEASURED}
        assert [name for name in seen if not seen[name]] in ([], [SESSIONS.name])
        await call(client, "service_stop", name="s")  # a downstream server is a service, too
        seen[SESSIONS.name] = recorder.points(SESSIONS.name)
        with suppress(StoreError):
            await app.telemetry.store(FullStore()).commit([])
        seen[COMMITS.name] = recorder.points(COMMITS.name)
    for metric in MEASURED:
        used = {key for facts, _ in seen[metric.name] for key in facts}
        over_http = {"server.address", "server.port"} if metric is CALLED else set[str]()
        of_losses = {"error.type"} if metric is SESSIONS else set[str]()
        assert used | over_http | of_losses == set(metric.attributes), metric.name
    names = {facts.get("gen_ai.tool.name") for facts, _ in seen[SERVED.name] + seen[CALLED.name]}
    assert "made_up" not in names, "any number of them may be made up"


class FullStore(MemoryStore):
    async def commit(self, changes: Any) -> None:
        raise StoreError("the disk is full")


@pytest.mark.parametrize(
    ("entry", "facts"),
    [
        pytest.param({"transport": "stdio", "command": "x"}, {"network.transport": "pipe"}, id="stdio"),
        pytest.param(
            {"transport": "http", "url": "https://mcp.example.com/mcp"},
            {"network.transport": "tcp", "server.address": "mcp.example.com", "server.port": 443},
            id="https",
        ),
        pytest.param(
            {"transport": "sse", "url": "http://[::1]:8080/sse"},
            {"network.transport": "tcp", "server.address": "::1", "server.port": 8080},
            id="sse",
        ),
        pytest.param({"transport": "builtin"}, {}, id="builtin"),
    ],
)
async def test_the_way_to_a_server_is_named_by_the_conventions(entry: Any, facts: Any) -> None:
    assert way_to(ServerEntry.model_validate({"name": "s", **entry})) == facts


async def test_a_failure_is_marked_at_each_of_its_spans_and_an_operation_outlives_its_request(
    recorder: Recorder, state_dir: Path, tmp_path: Path
) -> None:
    async with application(state_dir, tmp_path) as (_, client):
        await refusal(client, "service_create", serviceClassName="bad", name="bad")
        failed = recorder.span("start bad")
        assert (failed.status.status_code, failed.status.description is not None) == (StatusCode.ERROR, True)
        assert "no space" in str(failed.status.description)
        assert dict(failed.attributes or {})["error.type"] == "tool_failed"
        assert dict(recorder.span("execute_tool fail").attributes or {})["error.type"] == "tool_error"
        assert dict(recorder.span("tools/call service_create").attributes or {})["error.type"] == "tool_error"
        await refusal(client, "service_create", serviceClassName="refused", name="r", args={"password": "hunter22"})
        assert "not ***" in str(recorder.span("start refused").status.description)
        called = recorder.span("execute_tool reject")
        assert dict(called.attributes or {})["error.type"] == "tool_rejected"
        assert "hunter22" not in str(called.status.description)
        recorder.exporter.spans.clear()

        await call(client, "service_create", serviceClassName="web", name="shop", wait=False)
        await until(lambda: recorder.spans("start web"))
        request = recorder.span("tools/call service_create")
        operation = recorder.span("start web")
        assert parent_of(operation) == id_of(request)


async def test_a_request_that_joins_an_operation_links_to_its_span(
    recorder: Recorder, state_dir: Path, tmp_path: Path
) -> None:
    async with application(state_dir, tmp_path) as (_, client):
        await call(client, "service_create", serviceClassName="slow", name="shop", start=False)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(call, client, "service_start", name="shop"))
            resources = tmp_path / "ledger.json"
            await until(lambda: resources.exists() and '"shop"' in resources.read_text())
            group.start_soon(partial(call, client, "service_start", name="shop"))
            await anyio.wait_all_tasks_blocked()
            await call(client, "tool_call", name="s/start", args={"name": "shop", "ready_after": 0})
        [operation] = recorder.spans("start slow")
        requests = recorder.spans("tools/call service_start")
        links = {id_of(span): [link.context.span_id for link in span.links] for span in requests}
        [joined] = [request for request, found in links.items() if found]
        assert links[joined] == [id_of(operation)]
        assert parent_of(operation) in set(links) - {joined}


async def test_health_checks_are_measured_and_traced_only_when_that_is_asked_for(
    recorder: Recorder, state_dir: Path, tmp_path: Path
) -> None:
    late = next(metric.name for metric in METRICS if "lateness" in metric.name)
    async with application(state_dir, tmp_path) as (app, client):
        await call(client, "service_create", serviceClassName="web", name="shop")
        await until(lambda: app.manager.view("shop").health.value == "healthy")
        assert recorder.points(late)[0][1] >= 1
        assert recorder.spans("execute_tool meta") == recorder.spans(CHECK_SPAN) == []
        await call(client, "service_delete", name="shop")
    async with application(state_dir / "other", tmp_path / "other", "[telemetry]\nhealthChecks = true") as (
        app,
        client,
    ):
        await call(client, "service_create", serviceClassName="web", name="shop")
        await until(lambda: recorder.spans(CHECK_SPAN))
        checked, called = recorder.spans(CHECK_SPAN)[0], recorder.spans("execute_tool meta")[0]
        assert checked.parent is None
        assert parent_of(called) == id_of(checked)


async def test_a_server_that_stands_by_shows_what_it_answers_and_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()  # its own: gauges of one name that an earlier test made would be kept, with that test's state
    provider = MeterProvider([recorder.reader], shutdown_on_exit=False)
    monkeypatch.setattr("ostler.adapters.telemetry.standby_metrics.metrics", provider)
    leases_of(monkeypatch, 30)
    token = "a token for everyone"
    monkeypatch.setenv("OSTLER_HTTP_TOKEN", token)
    paths, bearer = paths_in(tmp_path), {"authorization": f"Bearer {token}"}

    def counted(metric: Metric) -> dict[tuple[Any, ...], float]:
        return {
            tuple(facts.get(name) for name in metric.attributes): value for facts, value in recorder.points(metric.name)
        }

    async with ledger(World()) as app, holding(app, paths, lambda _: "digest") as here, standing_by(paths) as other:
        http = other.client.http
        assert (await http.get("/metrics", headers=bearer)).status_code == 503
        other.forwarder.saw(here.seen())
        await other.until_current()
        for tool, session in (
            ("service_list", {}),
            ("mcpserver_list", {}),
            ("service_list", {"mcp-session-id": "unknown"}),
        ):
            version = {"mcp-protocol-version": "2025-11-25"} if session else {}
            call = {"name": tool, "arguments": {}, "_meta": META}
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
            await http.post("/mcp", json=body, headers=headers_of("tools/call", call) | bearer | session | version)
        asked = counted(STANDBY_REQUESTS)
        assert asked.keys() == {("answered", None), ("passed_on", "tool"), ("passed_on", "session")}
        check = PlannedCall("healthCheck", "w/health", {}, 5.0)
        with anyio.fail_after(60):
            while "refused" not in here.desk.counts:
                await here.desk.ask(str(anyio.current_time()), check)
        assert (counted(SHARED_CHECKS), counted(STANDBY_CHECKS)) == ({("refused",): 1}, {("refused",): 1})
        assert counted(STANDBY_LEASE) == {(): 1}
        assert 0 <= counted(STANDBY_AGE)[()] < 30

        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/metrics", headers=bearer)).status_code == 404  # none are kept
        other.forwarder.measured_by(lambda: Scrape("text/plain", b"x 1"))
        assert (await http.get("/metrics", headers=bearer)).text == "x 1"
        other.replica.end()
        with anyio.fail_after(60):
            while counted(STANDBY_LEASE):
                await anyio.sleep(0.01)
