"""Manifests of muster, unchanged, through the whole life of a service: what its documentation promised works."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.world import EPOCH, Fail, World, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.clock import LoopClock
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import DependencyError, OstlerError, ToolFailedError
from ostler.model.responses import ToolResponse
from ostler.model.states import HealthStatus, ServiceState
from ostler.model.tool_names import ToolNames
from ostler.rules.answers.responses import normalise
from ostler.rules.reading import load_manifests

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

DATABASE = """
apiVersion: muster.giantswarm.io/v1alpha1
kind: ServiceClass
metadata: {name: database, namespace: default}
spec:
  args:
    database_name: {type: string, required: true}
    environment: {type: string, default: development}
  serviceConfig:
    defaultName: "{{.database_name}}-db"
    lifecycleTools:
      start:
        tool: x_w_start
        args:
          name: "{{.name}}"
          size: |
            {{ if eq .environment "production" }}5
            {{ else }}1{{ end }}
        outputs: {databaseId: result.id, region: result.region}
      stop:
        tool: x_w_stop
        args: {id: "{{.databaseId}}"}
        outputs: {status: result.status}
      restart:
        tool: x_w_restart
        args: {id: "{{.start.databaseId}}"}
        outputs: {databaseId: id}
      healthCheck:
        tool: x_w_health
        args: {name: "{{.name}}"}
        expect: {success: true, jsonPath: {ok: true}}
        expectNot: {jsonPath: {ok: false}}
    healthCheck: {enabled: true, interval: "5s", failureThreshold: 2}
    outputs:
      connection_string: "ledger://{{.databaseId}}"
"""

APPLICATION = """
apiVersion: muster.giantswarm.io/v1alpha1
kind: ServiceClass
metadata: {name: application}
spec:
  args:
    service_name: {type: string, required: true}
    cache_required: {type: boolean, default: false}
    environment: {type: string, default: development}
  serviceConfig:
    dependencies:
      - name: "{{.service_name}}-db"
        serviceClassName: database
        condition: true
        args: {database_name: "{{.service_name}}", environment: "{{.environment}}"}
        waitFor: healthy
      - name: "{{.service_name}}-cache"
        serviceClassName: database
        condition: "{{.cache_required}}"
        args: {database_name: "{{.service_name}}-c"}
        waitFor: running
    lifecycleTools:
      start:
        tool: x_w_start
        args:
          name: "{{.name}}"
          database_url: "{{.dependencies.db.connection_string}}"
          cache_url: "{{ if .cache_required }}{{.dependencies.cache.connection_string}}{{ else }}{{ end }}"
        outputs: {id: id}
      stop: {tool: x_w_stop, args: {id: "{{.id}}"}}
    lifecycleHooks:
      postStart: [{tool: x_w_find, args: {name: "{{.name}}"}}]
      preStop: [{tool: x_w_status, args: {name: "{{.name}}"}}]
    outputs: {url: "http://{{.id}}"}
"""


def entry(text: str) -> ClassEntry:
    [loaded] = load_manifests(text, "muster.yaml", known=ToolNames.of(["w"]))
    assert loaded.warnings == ()
    return ClassEntry.of(loaded)


async def test_a_class_of_muster_from_create_to_delete() -> None:
    world = World()
    async with running(world, entry(DATABASE)) as manager:
        created = await manager.create(CreateRequest("database", "", {"database_name": "shop"}))
        assert created.service.name == "shop-db", "defaultName is a template"
        assert created.service.outputs == {"connection_string": "ledger://r1"}
        assert world.resources["r1"]["size"] == 1, "a number from an if/else is a number"
        service = manager.registry.get("shop-db")
        await until(lambda: service.health is HealthStatus.HEALTHY)
        world.healthy = False
        await until(lambda: service.health is HealthStatus.UNHEALTHY)
        await manager.restart_service("shop-db")
        assert list(world.resources) == ["r2"]
        await manager.stop_service("shop-db")
        assert world.resources == {}, "the stop tool was given the id that the restart gave"
        assert manager.get_service_state("shop-db") is ServiceState.STOPPED
        await manager.delete("shop-db")


async def test_dependencies_conditions_outputs_and_hooks_work() -> None:
    world = World()
    async with running(world, entry(DATABASE), entry(APPLICATION)) as manager:
        args = {"service_name": "shop", "environment": "production"}
        await manager.create(CreateRequest("application", "front", args))
        names = {made["name"]: made for made in world.resources.values()}
        assert set(names) == {"shop-db", "front"}, "the cache's condition is false"
        assert names["shop-db"]["size"] == 5
        assert names["front"]["database_url"] == "ledger://r1"
        assert names["front"]["cache_url"] == ""
        called = world.tools_called()
        assert called.index("w/health") < len(called) - 1 - called[::-1].index("w/start"), "healthy before the start"
        assert called.index("w/find") > len(called) - 1 - called[::-1].index("w/start")
        await manager.stop_service("front")
        called = world.tools_called()
        assert called.index("w/status") < called.index("w/stop")

        args = {"service_name": "big", "cache_required": True}
        await manager.create(CreateRequest("application", "back", args))
        names = {made["name"]: made for made in world.resources.values()}
        assert names["back"]["cache_url"] == f"ledger://{names['big-cache']['id']}"


async def test_a_dependency_on_a_class_is_one_on_its_service() -> None:
    world = World()
    web = APPLICATION.replace("name: application", "name: web")
    web = (
        web[: web.index("    dependencies:")]
        + "    dependencies: [database]\n"
        + web[web.index("    lifecycleTools:") :]
    )
    web = web.replace(
        '          database_url: "{{.dependencies.db.connection_string}}"\n',
        "          url: '{{ .dependencies.database.connection_string }}'\n",
    )
    web = web.replace(next(line for line in web.splitlines() if "cache_url" in line) + "\n", "")
    async with running(world, entry(DATABASE), entry(web)) as manager:
        with pytest.raises(DependencyError, match="an instance of class 'database', and there is none"):
            await manager.create(CreateRequest("web", "front", {"service_name": "shop"}))
        await manager.create(CreateRequest("database", "store", {"database_name": "shop"}, start=False))
        await manager.create(CreateRequest("web", "front", {"service_name": "shop"}))
        assert manager.get_service_state("store") is ServiceState.RUNNING, "it was started first"
        assert {made["name"]: made.get("url") for made in world.resources.values()}["front"] == "ledger://r1"


async def test_a_failed_start_tool_fails_the_start_and_leaves_nothing() -> None:
    world = World()
    world.faults["w/start"].append(Fail("no space left"))
    async with running(world, entry(DATABASE)) as manager:
        with pytest.raises(ToolFailedError, match="start tool failed: no space left"):
            await manager.create(CreateRequest("database", "", {"database_name": "shop"}))
        assert world.resources == {}


FILE = yaml.safe_load((Path(__file__).parents[1] / "data" / "muster_documents.yaml").read_text(encoding="utf-8"))
DOCUMENTS = FILE["documents"]


class AnsweringAll:
    """Tools of any name, which answer what the documents take from answers; what was stopped is not running."""

    def __init__(self, stop_tool: str) -> None:
        self.stop_tool = stop_tool
        self.calls: list[tuple[str, Mapping[str, Any]]] = []

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        del timeout, progress
        self.calls.append((tool, args))
        is_over = self.stop_tool in {called for called, _ in self.calls}
        if is_over:
            return normalise([], {"state": "stopped", "status": "stopped", "phase": "over", "ready": False})
        return normalise([], {**FILE["answer"], "state": "running", "status": "healthy", "ready": True})


@pytest.mark.parametrize("name", [name for name, document in DOCUMENTS.items() if "args" in document])
async def test_a_service_of_each_document_lives(name: str) -> None:
    document = DOCUMENTS[name]
    entries = [
        ClassEntry.of(loaded)
        for each in ("books-db", "cache", name)
        if each in DOCUMENTS
        for loaded in load_manifests(DOCUMENTS[each]["text"], f"{each}.yaml", known=ToolNames.of(["w"]))
    ]
    tools = entries[-1].service_class.tools
    caller = AnsweringAll(tools.stop.tool)
    async with ServiceManager(caller, MemoryStore(), clock=LoopClock(EPOCH)) as manager:
        for each in entries:
            manager.classes.add(each)
        wanted = CreateRequest(entries[-1].name, "a", document["args"])
        if "refused" in document:
            with pytest.raises(OstlerError, match=document["refused"]):
                await manager.create(wanted)
            assert caller.calls == []
            return
        made = await manager.create(wanted)
        assert caller.calls[0] == (tools.start.tool, document["starts"])
        assert made.service.outputs == document["outputs"]
        await manager.delete("a")
        assert tools.stop.tool in {tool for tool, _ in caller.calls}
