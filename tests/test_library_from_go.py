"""The table of Go's names in docs/library.md: every name is there, and behaves as the table says."""

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import ostler
from ostler import BaseService, HealthStatus, ServiceState, StatusUpdate, Transition
from ostler.model.errors import AlreadyExistsError, ExtractionError, NotFoundError
from ostler.model.manifest import Expectation, OutputSpec
from ostler.model.states import IllegalTransitionError

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \| (.+?) \|(.*?)\| `(tests/.+?)` \|$", PAGE.partition("## From Go")[2], re.MULTILINE)


@pytest.mark.parametrize(("go", "here", "test"), [(go, here, test) for go, here, _, test in ROWS], ids=lambda row: row)
def test_every_name_and_test_of_the_table_is_there(go: str, here: str, test: str) -> None:
    assert go
    for name in re.findall(r"`([\w.]+)`", here):
        found: Any = ostler
        for part in name.split("."):
            found = getattr(found, part, None) or getattr(found, "__annotations__", {}).get(part)
            assert found is not None, name
    path, _, function = test.partition("::")
    assert re.search(rf"^(async )?def {function}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_the_table_has_the_names_that_users_of_the_package_need() -> None:
    named = set(re.findall(r"`([\w.]+)`", " ".join(go for go, *_ in ROWS)))
    assert len(ROWS) == 30
    assert {"BaseService.UpdateState", "StateChangeCallback", "RegistryAdapter", "ProcessToolOutputs"} <= named


def test_states_and_health_have_the_values_of_go() -> None:
    there = "unknown waiting starting running stopping stopped failed retrying unreachable auth_required connected"
    assert {state.value for state in ServiceState} == {*there.split(), "disconnected"}
    assert {health.value for health in HealthStatus} == {"unknown", "healthy", "unhealthy", "checking"}


def test_status_words_are_those_of_go() -> None:
    words = "Initializing Starting Running Active Waiting Stopping Stopped Failed Unhealthy"
    assert [word.value for word in ostler.StatusWord] == words.split()


class Database(BaseService):
    """A service as the page's first example has it."""

    def __init__(self, name: str, *needs: str) -> None:
        super().__init__(name, "database", dependencies=needs, state=ServiceState.STOPPED)

    async def start(self) -> None:
        self.report(Transition.START_REQUESTED)
        self.report(Transition.STARTED)

    async def stop(self) -> None:
        self.report(Transition.STOP_REQUESTED)
        self.report(Transition.STOPPED)

    async def check_health(self) -> HealthStatus:
        self.set_health(HealthStatus.HEALTHY)
        return self.health

    def service_data(self) -> dict[str, Any]:
        return {"port": 5432}


class Tools:
    """A ToolCaller with one tool, `d/run`, which gives an id."""

    async def call_tool(self, tool: str, args: Mapping[str, Any], **options: Any) -> ostler.ToolResponse:
        return ostler.normalise([], {"id": f"{tool}:{args['name']}"})


async def test_a_service_of_ones_own_implements_the_protocols() -> None:
    service = Database("db", "disk")
    for protocol in (ostler.HealthChecker, ostler.ServiceDataProvider, ostler.StateUpdater):
        assert isinstance(service, protocol)
    assert (service.name, service.service_type, service.dependencies) == ("db", "database", ("disk",))
    assert service.view().service_data == {"port": 5432}
    async with ostler.ServiceManager(Tools(), ostler.MemoryStore()) as manager:
        manager.registry.register(service)
        assert (await manager.check_health("db")).health is HealthStatus.HEALTHY


def test_updates_of_a_base_service() -> None:
    service = Database("db")
    service.report(Transition.START_REQUESTED)
    service.report(Transition.STARTED)
    service.set_health(HealthStatus.UNHEALTHY, error=OSError("no answer"))
    assert (service.state, service.health, str(service.last_error)) == (
        ServiceState.RUNNING,
        HealthStatus.UNHEALTHY,
        "no answer",
    )
    service.set_error(OSError("worse"))
    assert (service.health, service.view().error) == (HealthStatus.UNHEALTHY, "worse")
    service.set_error(None)
    assert service.last_error is None
    with pytest.raises(IllegalTransitionError):
        service.report(Transition.CONNECTED)


async def test_callbacks_get_every_change() -> None:
    seen: list[tuple[str, str, str, str]] = []
    called = threading.Event()

    def changed(name: str, old: str, new: str, health: str, error: BaseException | None) -> None:
        assert error is None
        seen.append((name, old, new, health))
        if health == "healthy":
            called.set()

    async with ostler.ServiceManager(Tools(), ostler.MemoryStore()) as manager:
        service = Database("db")
        manager.registry.register(service)
        service.on_state_change(changed)
        await manager.start_service("db")
        await manager.check_health("db")
        assert await anyio.to_thread.run_sync(called.wait, 10)
    assert seen[:3] == [
        ("db", "stopped", "starting", "unknown"),
        ("db", "starting", "running", "unknown"),
        ("db", "running", "running", "healthy"),
    ]


async def test_a_reporter_gets_status_words() -> None:
    words: list[str] = []
    reported = threading.Event()

    class Display:
        def report_status(self, update: StatusUpdate) -> None:
            words.append(f"{update.name} {update.status}")
            if update.status is ostler.StatusWord.RUNNING:
                reported.set()

    async with ostler.ServiceManager(Tools(), ostler.MemoryStore(), reporter=Display()) as manager:
        manager.registry.register(Database("db"))
        await manager.start_service("db")
        assert await anyio.to_thread.run_sync(reported.wait, 10)
    assert words[:3] == ["db Stopped", "db Starting", "db Running"]


def test_a_registry_and_its_adapter() -> None:
    registry = ostler.ServiceRegistry()
    service = Database("db")
    registry.register(service)
    adapter: ostler.RegistryAdapter = registry
    assert (adapter.get("db"), adapter.get_all(), adapter.get_by_type("database")) == (service, [service], [service])
    assert (registry.find("nope"), adapter.get_by_type("web")) == (None, [])
    with pytest.raises(AlreadyExistsError):
        registry.register(Database("db"))
    with pytest.raises(NotFoundError):
        adapter.get("nope")
    registry.register(Database("cache"))
    assert [service.name for service in adapter.get_all()] == ["cache", "db"]
    registry.unregister("db")
    assert [service.name for service in adapter.get_all()] == ["cache"]
    with pytest.raises(NotFoundError):
        registry.unregister("db")


async def test_a_manager_starts_stops_and_restarts_by_name() -> None:
    async with ostler.ServiceManager(Tools(), ostler.MemoryStore()) as manager:
        manager.registry.register(Database("replica", "primary"))
        manager.registry.register(Database("primary"))
        assert await manager.start_all() == {}
        assert manager.get_service_state("replica") is ServiceState.RUNNING
        await manager.restart_service("primary")
        await manager.stop_service("replica")
        assert manager.view("replica").state is ServiceState.STOPPED
        await manager.start_service("replica")
        assert await manager.stop_all() == {}
        assert manager.get_service_state("primary") is ServiceState.STOPPED


CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: db}
spec:
  args: {size: {type: integer, default: 1}}
  serviceConfig:
    lifecycleTools:
      start: {tool: d/run, args: {name: "{{ name }}"}, outputs: {id: id}}
      stop: {tool: d/end, args: {name: "{{ name }}"}}
    outputs: {url: "db://{{ start.id }}"}
"""


async def test_an_instance_is_made_from_a_class() -> None:
    async with ostler.ServiceManager(Tools(), ostler.MemoryStore()) as manager:
        manager.classes.add(ostler.ClassEntry.of(ostler.load_manifests(CLASS)[0]))
        view = (await manager.create(ostler.CreateRequest("db", "one"))).service
        assert isinstance(manager.registry.get("one"), ostler.ServiceInstance)
    assert (view.class_name, view.args, view.outputs) == ("db", {"size": 1}, {"url": "db://d/run:one"})
    assert view.created_at <= view.updated_at


STARTED = {"sessionID": "s-1", "status": "started"}
NESTED = {"result": {"connectionId": "c-1", "status": "connected"}}


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        (STARTED, "sessionID", "s-1"),
        (NESTED, "result.connectionId", "c-1"),
        (STARTED, "missing", None),
        (STARTED, "", None),
        (STARTED, "status.deeper", None),
    ],
)
def test_extract_gives_the_results_of_go(value: Any, path: str, found: Any) -> None:
    response = ostler.normalise([], value)
    if found is not None:
        assert ostler.extract_from_response(response, path) == found
        return
    with pytest.raises(ExtractionError):  # nil there
        ostler.extract_from_response(response, path)


@pytest.mark.parametrize(
    ("value", "outputs", "taken"),
    [
        (STARTED, {"sessionID": "sessionID", "status": "status"}, STARTED),
        (NESTED, {"id": "result.connectionId", "status": "result.status"}, {"id": "c-1", "status": "connected"}),
        (STARTED, {}, {}),
        ('{"sessionID": "s-1"}', {"id": "sessionID"}, {"id": "s-1"}),
    ],
)
def test_outputs_are_those_of_go(value: Any, outputs: dict[str, str | OutputSpec], taken: Any) -> None:
    content = [{"type": "text", "text": value}] if isinstance(value, str) else []
    response = ostler.normalise(content, None if content else value)
    assert ostler.process_tool_outputs(outputs, response, {}) == taken
    missing = {**outputs, "other": OutputSpec(path="nowhere", required=False)}
    assert ostler.process_tool_outputs(missing, response, {}) == {**taken, "other": None}
    with pytest.raises(ExtractionError, match="nowhere"):
        ostler.process_tool_outputs({**outputs, "other": "nowhere"}, response, {})


@pytest.mark.parametrize(
    ("value", "is_error", "expect", "passed"),
    [
        ({"ok": True}, False, None, True),
        ({"status": "running"}, False, {"jsonPath": {"status": "running"}}, True),
        ({"status": "stopped"}, False, {"jsonPath": {"status": "running"}}, False),
        ({"port": 8080}, False, {"jsonPath": {"port": "8080"}}, True),
        ({"ok": True}, False, {"jsonPath": {"ok": "true"}}, True),
        ({"a": {"b": 1}}, False, {"jsonPath": {"a.b": 1}}, True),
        ({}, False, {"jsonPath": {"status": "running"}}, False),
        ({"ok": True}, False, {"success": True}, True),
        ({"ok": True}, False, {"success": False}, False),
        ({"ok": True}, True, {"success": False}, True),  # never passed in Go
    ],
)
def test_expectations_are_those_of_go(value: Any, is_error: bool, expect: Any, passed: bool) -> None:
    wanted = None if expect is None else Expectation.model_validate(expect)
    response = ostler.normalise([], value, is_error=is_error)
    assert ostler.evaluate_health_check_expectation(response, wanted, None).passed is passed
