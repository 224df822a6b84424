"""Every key of a manifest has its effect: one proof a key, and none may be without."""

import dataclasses
import re
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import pytest
import yaml
from mcp.client import Client
from msgspec.structs import replace
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from tests.support.ledger_app import call, ledger, server_over
from tests.support.world import (
    BASIC,
    EPOCH,
    Answer,
    Down,
    Fail,
    Fault,
    Lost,
    Slow,
    World,
    manifest,
    named,
    running,
    until,
)

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.keepers.leftovers import LeftoversSurvey
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Activity, PutOperation, PutService
from ostler.engine.services.views import CreateRequest, ServiceFilter
from ostler.model import manifest as model
from ostler.model.downstream_errors import ToolTimeoutError
from ostler.model.errors import (
    ArgumentError,
    ConflictError,
    DependencyError,
    ExtractionError,
    ManifestError,
    OperationError,
    OperationTimeoutError,
    OstlerError,
    ToolFailedError,
)
from ostler.model.events import EventKind
from ostler.model.policies import IdleStopSpec
from ostler.model.records import CallOutcome, CallRecord, OperationKind, OperationRecord
from ostler.model.responses import ToolResponse
from ostler.model.servers import MASK
from ostler.model.states import DesiredState, HealthStatus, ServiceState
from ostler.rules.reading import load_manifests
from ostler.rules.text.log_pages import LogRange

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

PROVEN: dict[str, str] = {}
"""Key → the test that proves its effect."""

TestT = TypeVar("TestT", bound=Callable[..., Any])


def proves(*keys: str) -> Callable[[TestT], TestT]:
    def note(test: TestT) -> TestT:
        for key in keys:
            assert key not in PROVEN, f"{key} is proven twice"
            PROVEN[key] = test.__name__
        return test

    return note


def keys_of(cls: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    seen.add(cls)
    for name, field in cls.model_fields.items():
        inherited = any(name in base.model_fields for base in cls.__bases__ if issubclass(base, BaseModel))
        if not inherited:
            yield f"{cls.__name__}.{to_camel(name)}"
        for module, inner in re.findall(r"(ostler\.model\.\w+)\.(\w+)", str(field.annotation)):
            found = getattr(sys.modules[module], inner)
            if isinstance(found, type) and issubclass(found, BaseModel) and found not in seen:
                yield from keys_of(found, seen)


def test_every_key_is_proven() -> None:
    assert set(PROVEN) == set(keys_of(model.ServiceClass, set()))


# -- scenes ------------------------------------------------------------------------------------------------


def with_args(**args: Any) -> ClassEntry:
    """The basic class with these args more, each passed to start."""
    value = yaml.safe_load(BASIC)
    value["spec"]["args"] |= args
    passed = {name: f"{{{{ args.{name} | default(none) }}}}" for name in args}
    value["spec"]["serviceConfig"]["lifecycleTools"]["start"]["args"] |= passed
    return manifest(yaml.safe_dump(value))


@asynccontextmanager
async def back_again(world: World, entry: ClassEntry) -> AsyncGenerator[ServiceManager]:
    """Create `db`, end Ostler, and run it again over the same store; `world.calls` are those since then."""
    store = MemoryStore()
    async with running(world, entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
    world.calls.clear()
    async with running(world, entry, store=store) as manager:
        await manager.recovered.wait()
        await until(lambda: manager.view("db").operation is None)
        yield manager


async def started(world: World, manager: ServiceManager, **args: Any) -> dict[str, Any]:
    """Create `db` and return what the start tool was given."""
    await manager.create(CreateRequest("basic", "db", args))
    return next(given for tool, given in world.calls if tool == "w/start")


async def created(manager: ServiceManager) -> bool:
    """Create `db` and return whether that went well."""
    try:
        await manager.create(CreateRequest("basic", "db"))
    except OstlerError:
        return False
    return True


async def refused(entry: ClassEntry, **args: Any) -> str:
    async with running(World(), entry) as manager:
        with pytest.raises(ArgumentError) as caught:
            await manager.create(CreateRequest("basic", "db", args))
        return str(caught.value)


def not_loaded(text: str) -> set[str]:
    with pytest.raises(ManifestError) as caught:
        load_manifests(text)
    return {finding.rule for finding in caught.value.findings}


async def outputs_of(start_outputs: dict[str, Any], answer: Any) -> dict[str, Any]:
    """Start a service whose start tool answers `answer`, and return what its outputs were."""
    world = World()
    world.faults["w/start"].append(Answer(answer))
    entry = manifest(
        lifecycleTools__start__outputs=start_outputs,
        lifecycleTools__stop__args={"id": "r1"},
        lifecycleTools__ready=None,
        lifecycleTools__find=None,
        outputs={name: f"{{{{ start.{name} }}}}" for name in start_outputs},
    )
    async with running(world, entry) as manager:
        try:
            await manager.create(CreateRequest("basic", "db"))
        except ExtractionError as error:
            return {"error": str(error)}
        return dict(manager.reveal("db")[1])


async def passes(answer: Any, *, failed: bool = False, **expectation: Any) -> bool:
    """Return whether a start whose tool answers `answer` passes with these expectations."""
    world = World()
    world.faults["w/start"].append(Fail(answer) if failed else Answer(answer))
    entry = manifest(
        lifecycleTools__start={"tool": "w/start", "args": {"name": "{{ name }}"}, **expectation},
        lifecycleTools__stop__args={"id": "r1"},
        lifecycleTools__ready=None,
        lifecycleTools__find=None,
        outputs={},
    )
    async with running(world, entry) as manager:
        try:
            await manager.create(CreateRequest("basic", "db"))
        except OstlerError:
            return False
        return True


async def seconds_until(condition: Callable[[], object], within: float = 7200) -> float:
    began = anyio.current_time()
    await until(condition, within=within)
    return anyio.current_time() - began


def count(world: World, tool: str) -> int:
    return len(world.tools_called(tool))


# -- the manifest ------------------------------------------------------------------------------------------


@proves("ServiceClass.apiVersion", "ServiceClass.kind", "ServiceClass.metadata", "ServiceClass.spec")
def test_what_a_document_is() -> None:
    assert not_loaded(BASIC.replace("ostler/v1", "ostler/v9")) == {"unknown-version"}
    assert not_loaded(BASIC.replace("kind: ServiceClass", "kind: Pod")) == {"unknown-kind"}
    assert not_loaded(BASIC.replace("metadata: {name: basic}\n", "")) == {"missing-key"}
    assert not_loaded(BASIC.partition("spec:")[0]) == {"missing-key"}


@proves("Metadata.name", "ServiceConfig.serviceType")
async def test_a_service_has_its_class_and_its_type() -> None:
    async with running(World(), named("one", serviceType="lake"), named("two")) as manager:
        await manager.create(CreateRequest("one", "a"))
        await manager.create(CreateRequest("two", "b"))
        assert [view.name for view in manager.views(ServiceFilter(class_name="two"))] == ["b"]
        assert [view.name for view in manager.views(ServiceFilter(service_type="lake"))] == ["a"]
        assert manager.view("b").service_type == "two"


@proves("ServiceClassSpec.args", "ServiceClassSpec.serviceConfig", "ServiceConfig.lifecycleTools", "ToolCallSpec.tool")
async def test_a_class_is_its_args_and_its_tools() -> None:
    world = World()
    async with running(world) as manager:
        assert (await started(world, manager, size=7))["size"] == 7
        assert world.tools_called()[0] == "w/start"
        with pytest.raises(ArgumentError, match="unknown argument 'sise'"):
            await manager.create(CreateRequest("basic", "other", {"sise": 7}))


# -- args --------------------------------------------------------------------------------------------------


@proves("ArgSpec.type")
async def test_arg_type() -> None:
    assert "invalid type for argument 'a'" in await refused(with_args(a={"type": "boolean"}), a="yes")


@proves("ArgSpec.path")
async def test_arg_path() -> None:
    world = World()
    async with running(world, with_args(a={"path": True}, b={})) as manager:
        await manager.create(CreateRequest("basic", "db", {"a": "x", "b": "x"}, folder="/srv"))
        given = next(given for tool, given in world.calls if tool == "w/start")
        assert (given["a"], given["b"]) == ("/srv/x", "x")
        with pytest.raises(ArgumentError, match="give the whole path"):
            await manager.create(CreateRequest("basic", "other", {"a": "x"}))


@proves("ArgSpec.required")
async def test_arg_required() -> None:
    assert "missing required argument 'a'" in await refused(with_args(a={"type": "string", "required": True}))


@proves("ArgSpec.default")
async def test_arg_default() -> None:
    world = World()
    async with running(world, with_args(a={"type": "string", "default": "x"})) as manager:
        assert (await started(world, manager))["a"] == "x"


@proves("ServiceClassSpec.additionalArgs")
async def test_additional_args() -> None:
    value = yaml.safe_load(BASIC)
    value["spec"]["serviceConfig"]["lifecycleTools"]["start"]["args"]["a"] = "{{ args.a | default(none) }}"
    assert "unknown argument 'a'" in await refused(with_args(), a="x")
    value["spec"]["additionalArgs"] = True
    world = World()
    async with running(world, manifest(yaml.safe_dump(value))) as manager:
        assert (await started(world, manager, a="x"))["a"] == "x"


@proves("ArgSpec.enum", "ArgSpec.pattern", "ArgSpec.minimum", "ArgSpec.maximum", "ArgSpec.items")
@pytest.mark.parametrize(
    ("spec", "bad", "said"),
    [
        ({"type": "string", "enum": ["x", "y"]}, "z", "is not one of"),
        ({"type": "string", "pattern": "^x"}, "y", "does not match the pattern"),
        ({"type": "integer", "minimum": 3}, 2, "less than the minimum"),
        ({"type": "integer", "maximum": 3}, 4, "greater than the maximum"),
        ({"type": "array", "items": {"type": "string"}}, [1], "invalid type for argument 'a[0]'"),
    ],
)
async def test_arg_limits(spec: Any, bad: Any, said: str) -> None:
    assert said in await refused(with_args(a=spec), a=bad)


@proves("ArgSpec.secret")
async def test_arg_secret() -> None:
    world = World()
    async with running(world, with_args(a={"type": "string", "secret": True})) as manager:
        assert (await started(world, manager, a="hush-hush"))["a"] == "hush-hush"
        assert "hush-hush" not in str(manager.view("db"))


@proves(
    "ServiceConfig.leftovers",
    *(f"LeftoversSpec.{key}" for key in ("tool", "args", "items", "mark", "serviceClass", "service", "outputs")),
)
async def test_leftovers() -> None:
    world = World()
    look = {"tool": "w/list", "args": {"label": "{{ service.mark }} {{ service.class }}"}}
    look |= {"items": "items", "mark": "mark", "serviceClass": "class", "service": "service", "outputs": {"id": "id"}}
    marked = {name: f"{{{{ service.{name} }}}}" for name in ("name", "mark", "class")} | {"service": "{{ service.id }}"}
    entry = manifest(leftovers=look, lifecycleTools__start__args=marked, lifecycleTools__status=None)
    async with running(world, entry, mark="me") as manager:
        await manager.create(CreateRequest("basic", "db"))
        others = {
            "lost": ("me", "basic", "lost"), "stuck": ("me", "basic", "stuck"), "theirs": ("other", "basic", "x"),
            "of-another-class": ("me", "big", "y"), "unknown": ("me", "basic", None),
        }  # fmt: skip
        for name, (mark, of_class, service) in others.items():
            await world.call_tool("w/start", {"name": name, "mark": mark, "class": of_class, "service": service})
        world.faults["w/stop"].extend([Slow(0), Answer("did nothing")])
        removal = await manager.leftovers().remove_all()
        assert ("w/list", {"label": "me basic"}) in world.calls
        [gone], [stuck] = (
            removal.found,
            {"r2": "lost", "r3": "stuck"}.items() - {(left.outputs["id"], left.service_id) for left in removal.found},
        )
        assert str(gone) == f"id={gone.outputs['id']}, of a service of class 'basic'"
        [error] = removal.errors
        assert f"id={stuck[0]}, of a service of class 'basic', is listed on" in str(error)
        world.faults["w/stop"].extend([Fail("in use")] * 3)
        world.always["w/find"] = Answer({"found": True, "id": stuck[0]})
        removal = await manager.leftovers().remove_all()
        assert (removal.found, ["in use" in str(error) for error in removal.errors]) == ([], [True])
        assert [view.name for view in manager.views()] == ["db", f"left-{stuck[1]}"], "what could not be stopped"
        world.faults["w/stop"].clear()
        del world.always["w/find"]
        await manager.delete(f"left-{stuck[1]}")
        assert {made["name"] for made in world.resources.values()} == {"db", "theirs", "of-another-class", "unknown"}
        for name in ("late", "later"):
            lost = {"name": name, "mark": "me", "class": "basic", "service": name}
            await world.call_tool("w/start", lost)
        stops, surveys = len(world.tools_called("w/stop")), list[LeftoversSurvey]()
        world.always["w/stop"] = Slow(2)

        async def prune(after: float) -> None:
            await anyio.sleep(after)
            surveys.append(await manager.leftovers().remove_all())

        async with anyio.create_task_group() as group:
            for after in (0, 0, 3):
                group.start_soon(prune, after)
        assert sorted(left.service_id for survey in surveys for left in survey.found) == ["late", "later"]
        assert not [error for survey in surveys for error in survey.errors]
        assert [left.service_id for survey in surveys for left in survey.elsewhere]
        assert len(world.tools_called("w/stop")) == stops + 2, "each is stopped by one of them"
        for name in (names := [f"slow-{number}" for number in range(9)]):
            lost = {"name": name, "mark": "me", "class": "basic", "service": name}
            await world.call_tool("w/start", lost)
        survey = await manager.leftovers().remove_all(timeout=1)
        assert (survey.found, sorted(left.service_id for left in survey.late)) == ([], names)
        survey = await manager.leftovers().remove_all()
        assert [left.service_id in names for left in survey.found] == [True], "the stops of the others go on"
        await until(lambda: [view.name for view in manager.views()] == ["db"])


class Containers(World):
    """A server whose list is a table for people, and which says what a thing carries only of one at a time."""

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        if tool == "w/ps":
            text = "ID  NAME\n" + "".join(f"{each['id']}  {each['name']}\n" for each in self.resources.values())
            return ToolResponse(text, text)
        if tool != "w/inspect":
            return await super().call_tool(tool, args, timeout=timeout, progress=progress)
        self.calls.append((tool, dict(args)))
        found = next(each for each in self.resources.values() if each["id"] == args["id"])
        if found["name"] == "hung":
            raise ToolTimeoutError("it did not answer")
        if found["name"] == "going":
            del self.resources[found["id"]]
        env = [f"{key.upper()}={found[key]}" for key in ("mark", "class", "service") if key in found]
        return ToolResponse([{"Id": found["id"], "Env": env or None}], is_error=found["name"] in ("going", "broken"))


@proves(*(f"LeftoversSpec.{key}" for key in ("itemPattern", "inspectTool", "inspectArgs")))
async def test_leftovers_that_are_inspected_one_by_one() -> None:
    world = Containers()
    look: dict[str, Any] = {"tool": "w/ps", "itemPattern": r"(?m)^r\d+(?=\s)", "outputs": {"id": "[0].Id"}}
    look |= {"inspectTool": "w/inspect", "inspectArgs": {"id": "{{ item }}"}}
    for key in ("mark", "class", "service"):
        name = "serviceClass" if key == "class" else key
        look[name] = f"[0].Env[?starts_with(@, '{key.upper()}=')] | [0]"
    marked = {name: f"{{{{ service.{name} }}}}" for name in ("name", "mark", "class")} | {"service": "{{ service.id }}"}
    entry = manifest(leftovers=look, lifecycleTools__start__args=marked, lifecycleTools__status=None)
    async with running(world, entry, mark="me") as manager:
        await manager.create(CreateRequest("basic", "db"))
        for name in ("lost", "theirs", "plain", "going"):
            mark = {"lost": "me", "theirs": "other"}.get(name)
            carried = {"mark": mark, "class": "basic", "service": name} if mark else {}
            await world.call_tool("w/start", {"name": name, **carried})

        def inspected() -> list[str]:
            return sorted(args["id"] for tool, args in world.calls if tool == "w/inspect")

        assert [left.outputs for left in (await manager.leftovers().find()).found] == [{"id": "r2"}]
        assert inspected() == ["r1", "r2", "r3", "r4", "r5"]
        world.calls.clear()
        removal = await manager.leftovers().remove_all()
        assert ([left.service_id for left in removal.found], removal.errors) == (["lost"], [])
        assert set(inspected()) == {"r1", "r2"}, "what has no such mark never gets one"
        assert {made["name"] for made in world.resources.values()} == {"db", "theirs", "plain"}
        for name, why in (("hung", "it did not answer"), ("broken", "w/inspect: it gave no reason")):
            lost = {"mark": "me", "class": "basic", "service": f"next-to-{name}"}
            await world.call_tool("w/start", {"name": name})
            await world.call_tool("w/start", {"name": f"next-to-{name}", **lost})
            survey = await manager.leftovers().find()
            assert [left.service_id for left in survey.found] == [f"next-to-{name}"], "it is found all the same"
            [error] = survey.errors
            assert re.search(f"{why}.*what else the class 'basic' may have left was not looked for", str(error))
            assert [left.service_id for left in (await manager.leftovers().remove_all()).found] == [f"next-to-{name}"]
            del world.resources[next(made["id"] for made in world.resources.values() if made["name"] == name)]


# -- a tool call -------------------------------------------------------------------------------------------


@proves("ToolCallSpec.args")
async def test_call_args() -> None:
    world = World()
    async with running(world, manifest(lifecycleTools__start__args={"name": "x-{{ name }}", "n": [1]})) as manager:
        manager.classes.add(manifest(lifecycleTools__start__args={"name": "{{ name }}", "n": [1, "{{ size }}"]}))
        assert (await started(world, manager))["n"] == [1, 1]


@proves("ToolCallSpec.outputs", "OutputSpec.path")
async def test_call_outputs() -> None:
    assert await outputs_of({"a": "deep.id", "b": {"path": "deep.id"}}, {"deep": {"id": 7}}) == {"a": 7, "b": 7}


@proves("OutputSpec.regex")
async def test_output_regex() -> None:
    assert await outputs_of({"pid": {"regex": r"PID (\d+)"}}, "started with PID 41") == {"pid": "41"}


@proves("OutputSpec.template")
async def test_output_template() -> None:
    made = await outputs_of({"a": {"template": "{{ response.value.id }}-{{ name }}"}}, {"id": 3})
    assert made == {"a": "3-db"}


@proves("OutputSpec.type")
async def test_output_type() -> None:
    assert await outputs_of({"pid": {"regex": r"(\d+)", "type": "integer"}}, "pid 41") == {"pid": 41}


@proves("OutputSpec.default", "OutputSpec.required")
async def test_output_that_is_not_there() -> None:
    sources = {"a": {"path": "no", "default": 5}, "b": {"path": "no", "required": False}}
    assert await outputs_of(sources, {}) == {"a": 5, "b": None}
    assert "output 'a': path 'no' finds nothing" in (await outputs_of({"a": {"path": "no"}}, {}))["error"]


@proves("OutputSpec.kept")
async def test_what_a_delete_keeps_is_named_also_of_a_service_that_is_stopped() -> None:
    kept: dict[str, Any] = {"disk": {"template": "/srv/{{ name }}/{{ size }}", "kept": True}}
    kept["key"] = {"template": "key-{{ size }}", "kept": True, "secret": True}
    async with running(World(), manifest(outputs=kept)) as manager:
        for name in ("db", "other"):
            await manager.create(CreateRequest("basic", name))
        await manager.stop_service("db")  # which forgets its outputs
        for name in ("db", "other"):
            said = (await manager.delete(name)).message
            assert said.endswith(f"; kept, and yours to remove: disk /srv/{name}/1, key {MASK}")


@proves("OutputSpec.secret")
async def test_output_secret() -> None:
    entry = manifest(outputs={"url": {"template": "ledger://{{ start.id }}/token", "secret": True}})
    async with running(World(), entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        assert "token" not in str(manager.view("db").outputs)
        assert manager.reveal("db")[1] == {"url": "ledger://r1/token"}


@proves("ToolCallSpec.expect", "Expectation.jsonPath")
async def test_expect_json_path() -> None:
    assert await passes({"ok": True}, expect={"jsonPath": {"ok": True}})
    assert not await passes({"ok": False}, expect={"jsonPath": {"ok": True}})


@proves("ToolCallSpec.expectNot", "Expectation.contains")
async def test_expect_not() -> None:
    assert await passes("fine", expectNot={"contains": "error"})
    assert not await passes("an error", expectNot={"contains": "error"})


@proves("Expectation.success")
async def test_expect_success() -> None:
    assert await passes("gone", failed=True, expect={"success": False})
    assert not await passes("here", expect={"success": False})


@proves("Expectation.jmespath", "Expectation.matches")
async def test_expect_expressions() -> None:
    assert await passes({"n": 3}, expect={"jmespath": "n > `2`"})
    assert not await passes({"n": 1}, expect={"jmespath": "n > `2`"})
    assert await passes("port 80", expect={"matches": r"port \d+"})
    assert not await passes("port x", expect={"matches": r"port \d+"})


@proves("ToolCallSpec.timeout")
async def test_call_timeout() -> None:
    world = World()
    world.faults["w/start"].append(Slow(20))
    async with running(world, manifest(lifecycleTools__start__timeout="5s")) as manager:
        began = anyio.current_time()
        with pytest.raises(OstlerError, match="did not answer within 5s"):
            await manager.create(CreateRequest("basic", "db"))
        assert anyio.current_time() - began < 15


@proves("ToolCallSpec.retry", "RetrySpec.attempts")
async def test_retry() -> None:
    for attempts, comes_up in ((3, True), (2, False)):
        world = World()
        world.faults["w/start"].extend([Down(), Down()])
        retry = {"attempts": attempts, "delay": "1s"}
        async with running(world, manifest(lifecycleTools__start__retry=retry)) as manager:
            assert await created(manager) is comes_up
        assert count(world, "w/start") == attempts


async def test_a_start_that_may_have_acted_is_not_tried_again() -> None:
    retry = {"attempts": 3, "delay": "1s"}
    expect = {"jsonPath": {"state": "new"}}
    cases: list[tuple[Fault, int]] = [(Answer({"id": "r1", "state": "old"}), 1), (Lost(), 1), (Fail("busy"), 3)]
    for fault, sent in cases:
        world = World()
        world.always["w/start"] = fault
        entry = manifest(lifecycleTools__start__retry=retry, lifecycleTools__start__expect=expect)
        async with running(world, entry) as manager:
            with pytest.raises(OstlerError):
                await manager.create(CreateRequest("basic", "db"))
        assert count(world, "w/start") == sent, fault


@proves("RetrySpec.delay")
async def test_retry_delay() -> None:
    world = World()
    world.faults["w/start"].append(Down())
    async with running(world, manifest(lifecycleTools__start__retry={"attempts": 2, "delay": "20s"})) as manager:
        began = anyio.current_time()
        await manager.create(CreateRequest("basic", "db"))
        assert 20 <= anyio.current_time() - began < 25


async def test_steps_that_look_are_retried_too() -> None:
    retry = {"attempts": 3, "delay": "1s"}
    world = World()
    changes: dict[str, Any] = {f"lifecycleTools__{step}__retry": retry for step in ("status", "healthCheck")}
    async with running(world, manifest(**changes, healthCheck__initialDelay="1h")) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/health"].extend([Down(), Down()])
        assert (await manager.check_health("db")).health is HealthStatus.HEALTHY
        assert count(world, "w/health") == 3
    world = World()
    changes = dict.fromkeys(("lifecycleTools__status", "lifecycleTools__healthCheck", "healthCheck"))
    world.always["w/find"] = Down()
    async with back_again(world, manifest(**changes, lifecycleTools__find__retry=retry)) as manager:
        assert count(world, "w/find") == 3
        assert manager.view("db").state is ServiceState.UNREACHABLE


# -- lifecycle tools ---------------------------------------------------------------------------------------


@proves("LifecycleTools.start", "LifecycleTools.stop", "LifecycleTools.ready", "LifecycleTools.postStart")
async def test_the_order_of_the_tools() -> None:
    world = World(ready_after=2)
    post = [{"tool": "w/health", "args": {"name": "{{ name }}"}}]
    async with running(world, manifest(lifecycleTools__postStart=post, healthCheck__initialDelay="1h")) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.stop_service("db")
    called = world.tools_called()
    assert called[0] == "w/start"
    assert called[1:-3] == ["w/status"] * 3
    assert called[-3:] == ["w/health", "w/stop", "w/status"]


@proves("LifecycleTools.preStop")
async def test_pre_stop() -> None:
    world = World()
    pre = [{"tool": "w/health", "args": {"name": "{{ name }}"}}]
    async with running(world, manifest(lifecycleTools__preStop=pre, healthCheck__initialDelay="1h")) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.stop_service("db")
    assert world.tools_called("w/health", "w/stop") == ["w/health", "w/stop"]


@proves("LifecycleTools.preStart")
async def test_pre_start() -> None:
    world = World()
    pre = [{"tool": "w/health", "args": {"name": "{{ name }}"}, "expect": {"jsonPath": {"ok": False}}}]
    entry = manifest(lifecycleTools__preStart=pre, healthCheck__initialDelay="1h")
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        assert world.tools_called("w/health", "w/start") == ["w/health", "w/start"]
        await manager.stop_service("db")
        world.faults["w/health"].append(Fail("no room"))
        with pytest.raises(ToolFailedError, match=r"preStart\[0\] tool failed: no room"):
            await manager.start_service("db")
        assert count(world, "w/start") == 1
        assert manager.view("db").state is ServiceState.FAILED
        await manager.start_service("db")
        assert manager.view("db").state is ServiceState.RUNNING


@proves("LifecycleTools.stopped", "StoppedSpec.interval")
async def test_stopped() -> None:
    world = World(lingers=20)
    stopped = {"tool": "w/find", "args": {"name": "{{ name }}"}, "expect": {"jsonPath": {"found": False}}}
    stopped["interval"] = "5s"
    async with running(world, manifest(lifecycleTools__stopped=stopped)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        began = anyio.current_time()
        await manager.stop_service("db")
        assert 20 <= anyio.current_time() - began < 25
        assert count(world, "w/find") == 5
        assert world.resources == {}
        world.lingers = 100
        await manager.start_service("db")
        with pytest.raises(OperationTimeoutError, match="stop took longer than 30s.*answered, but it is still there: "):
            await manager.stop_service("db")
        assert manager.view("db").state is not ServiceState.STOPPED


@pytest.mark.parametrize(
    ("tool", "said"), [("status", "running"), ("status", "stopping"), ("status", "Shutting down…"), ("find", "")]
)
async def test_a_stop_that_answers_early_is_awaited(tool: str, said: str) -> None:
    """Whatever can tell is asked until the thing is gone; a restart starts nothing before."""
    world = World(lingers=9, lingers_as=said)
    without: dict[str, Any] = {f"lifecycleTools__{'find' if tool == 'status' else 'status'}": None}
    async with running(world, manifest(**without, healthCheck__initialDelay="1h")) as manager:
        await manager.create(CreateRequest("basic", "db"))
        began = anyio.current_time()
        await manager.restart_service("db")
        assert 9 <= anyio.current_time() - began < 12
        assert list(world.resources) == ["r2"]


async def test_a_stop_that_nothing_can_confirm_is_taken_at_its_word() -> None:
    world = World(lingers=20)
    without = dict.fromkeys(("lifecycleTools__status", "lifecycleTools__find"))
    async with running(world, manifest(**without, healthCheck__initialDelay="1h")) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.stop_service("db")
        assert manager.view("db").state is ServiceState.STOPPED
        await manager.start_service("db")
    world = World()
    async with running(world, manifest(healthCheck__initialDelay="1h")) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.always["w/status"] = Down()
        await manager.stop_service("db")
        assert manager.view("db").state is ServiceState.STOPPED


@proves("StopSpec.goneWhen")
async def test_gone_when() -> None:
    for gone_when, fails in ((None, True), ({"contains": "no resource"}, False), ({"contains": "busy"}, True)):
        world = World()
        changes: dict[str, Any] = dict.fromkeys(("lifecycleTools__status", "lifecycleTools__find", "healthCheck"))
        changes |= dict.fromkeys(("lifecycleTools__healthCheck",))
        if gone_when is not None:
            changes["lifecycleTools__stop__goneWhen"] = gone_when
        async with running(world, manifest(**changes)) as manager:
            await manager.create(CreateRequest("basic", "db"))
            world.resources.clear()
            if fails:
                with pytest.raises(ToolFailedError) as caught:
                    await manager.stop_service("db")
                assert "stop: {goneWhen: {contains: …}}" in " ".join(caught.value.next_actions)
            else:
                await manager.stop_service("db")
                assert manager.view("db").state is ServiceState.STOPPED


@proves("ReadySpec.failWhen")
async def test_fail_when() -> None:
    world = World(ready_after=1000)
    fail_when = {"jsonPath": {"state": "booting"}}
    async with running(world, manifest(lifecycleTools__ready__failWhen=fail_when)) as manager:
        began = anyio.current_time()
        with pytest.raises(ToolFailedError, match="ready tool failed"):
            await manager.create(CreateRequest("basic", "db"))
        assert anyio.current_time() - began < 2
        assert world.resources == {}


@proves("RetrySpec.when")
async def test_retry_when() -> None:
    retry = {"attempts": 5, "delay": "1s", "when": {"contains": "busy"}}
    expect = {"jmespath": "id"}
    cases: list[tuple[list[Fault], int, bool]] = [
        ([Fail("busy, try later"), Fail("busy")], 3, True),
        ([Answer("busy")], 2, True),
        ([Fail("no such image")], 1, False),
        ([Answer("started nothing")], 1, False),
    ]
    for faults, sent, comes_up in cases:
        world = World()
        world.faults["w/start"].extend(faults)
        entry = manifest(lifecycleTools__start__retry=retry, lifecycleTools__start__expect=expect)
        async with running(world, entry) as manager:
            assert await created(manager) is comes_up
        assert count(world, "w/start") == sent


@proves("ServiceConfig.maxInstances")
async def test_max_instances() -> None:
    async with running(World(), manifest(maxInstances=2), named("other")) as manager:
        await manager.create(CreateRequest("basic", "one"))
        refused: list[str] = []

        async def create(name: str) -> None:
            try:
                await manager.create(CreateRequest("basic", name))
            except ConflictError as error:
                refused.append(str(error))

        async with anyio.create_task_group() as tasks:
            for name in ("two", "three"):
                tasks.start_soon(create, name)
        assert len(refused) == 1
        assert "class 'basic' has 2 instances already, and allows 2 (maxInstances)" in refused[0]
        await manager.create(CreateRequest("other", "another"))
        await manager.delete("one")
        await manager.create(CreateRequest("basic", "four"))


@proves("ReadySpec.interval")
async def test_ready_interval() -> None:
    world = World(ready_after=10)
    async with running(world, manifest(lifecycleTools__ready__interval="5s")) as manager:
        await manager.create(CreateRequest("basic", "db"))
        assert count(world, "w/status") == 3


@proves("LifecycleTools.restart")
async def test_restart_tool() -> None:
    world = World()
    restart = {"tool": "w/restart", "args": {"id": "{{ start.id }}"}, "outputs": {"id": "id"}}
    async with running(world, manifest(lifecycleTools__restart=restart)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.restart_service("db")
        assert world.tools_called("w/start", "w/stop", "w/restart") == ["w/start", "w/restart"]
        assert manager.view("db").outputs == {"url": "ledger://r2/1"}


@proves("LifecycleTools.status", "LifecycleTools.find")
async def test_how_a_service_is_verified() -> None:
    without = dict.fromkeys(("lifecycleTools__status", "lifecycleTools__healthCheck", "healthCheck"))
    for entry, tool in ((manifest(healthCheck__initialDelay="1h"), "w/status"), (manifest(**without), "w/find")):
        world = World()
        async with back_again(world, entry) as manager:
            assert manager.view("db").state is ServiceState.RUNNING
            assert world.tools_called() == [tool]


@proves("LifecycleTools.healthCheck", "ServiceConfig.healthCheck", "HealthCheckSpec.interval")
async def test_health_is_checked_at_the_interval() -> None:
    world = World()
    async with running(world, manifest(healthCheck__interval="20s")) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await anyio.sleep(65)
        assert count(world, "w/health") in (4, 5)


@proves("LifecycleTools.logs")
async def test_logs_tool() -> None:
    world = World()
    world.faults["w/logs"].append(Answer("one\ntwo"))
    logs = {"tool": "w/logs", "args": {"name": "{{ name }}"}}
    async with running(world, manifest(lifecycleTools__logs=logs)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        service: Any = manager.registry.get("db")
        page = await service.read_logs()
        assert (page.lines, page.source) == (("one", "two"), "w/logs")
        world.always["w/logs"] = Fail("no container")
        await manager.create(CreateRequest("basic", "next", start=False))
        new: Any = manager.registry.get("next")
        assert (await new.read_logs()).lines == (), "what has not started yet has no log"
        await manager.start_service("next", adopt={"id": "r1"})
        for one in (service, new):
            with pytest.raises(ToolFailedError, match="no container"):
                await one.read_logs()


@proves("LifecycleTools.delete")
async def test_delete_tool() -> None:
    world = World()
    world.faults["w/drop"].append(Answer("dropped"))
    async with running(world, manifest(lifecycleTools__delete={"tool": "w/drop"})) as manager:
        await manager.create(CreateRequest("basic", "one"))
        await manager.stop_service("one")
        assert world.tools_called("w/drop") == []
        await manager.delete("one")
        assert world.tools_called("w/stop", "w/drop") == ["w/stop", "w/drop"]


@proves("LifecycleTools.sendInput")
async def test_send_input_tool() -> None:
    world = World()
    world.faults["w/type"].extend([Answer("typed"), Lost()])
    typing = {"tool": "w/type", "args": {"text": "{{ service.input.text }}", "enter": "{{ service.input.enter }}"}}
    async with running(world, manifest(lifecycleTools__sendInput=typing)) as manager:
        await manager.create(CreateRequest("basic", "one"))
        assert await manager.send_input("one", "secret", enter=False) == "typed"
        assert [args for tool, args in world.calls if tool == "w/type"] == [{"text": "secret", "enter": False}]
        last = manager.events.read(service="one", kinds=[EventKind.TOOL_CALLED], limit=500).events[-1]
        assert last.message == "sendInput: w/type took 6 characters"
        assert "secret" not in str(last.data)
        with pytest.raises(OstlerError):  # it may have been typed: never twice
            await manager.send_input("one", "y")
        assert len([tool for tool, _ in world.calls if tool == "w/type"]) == 2
        await manager.stop_service("one")
        with pytest.raises(OperationError, match="service 'one' is stopped: nothing reads its input"):
            await manager.send_input("one", "y")
    async with running(World(), manifest()) as manager:
        await manager.create(CreateRequest("basic", "one"))
        with pytest.raises(OperationError, match="class 'basic' has no 'sendInput' tool"):
            await manager.send_input("one", "y")


async def test_the_logs_tool_is_asked_for_the_part_that_is_wanted() -> None:
    world = World()
    logs = {
        "tool": "w/logs",
        "args": {
            "lines": "{{ service.logs.lines }}",
            "since": "{{ service.logs.since | default(omit) }}",
            "grep": "{{ service.logs.search | default(omit) }}",
        },
        "outputs": {"cursor": "next", "truncated": "more"},
    }
    world.faults["w/logs"].extend(
        [Answer({"lines": ["one"], "next": 3, "more": True}), Answer({"lines": ["two"], "next": 6, "more": False})]
    )
    async with running(world, manifest(lifecycleTools__logs=logs)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        service: Any = manager.registry.get("db")
        before = service.record
        first = await service.read_logs()
        second = await service.read_logs(LogRange(lines=7, cursor=first.cursor, search="t"))
        assert service.record is before
    assert (first.lines, first.truncated, second.lines, second.truncated) == (("one",), True, ("two",), False)
    asked = [args for tool, args in world.calls if tool == "w/logs"]
    assert asked == [{"lines": 100}, {"lines": 7, "since": 3, "grep": "t"}]


async def test_the_last_outputs_of_every_step_are_there_for_the_next() -> None:
    world = World()
    changes: dict[str, Any] = {
        "lifecycleTools__ready__outputs": {"was": "state"},
        "lifecycleTools__status__outputs": {"was": "state"},
        "lifecycleTools__healthCheck__outputs": {"ok": "ok"},
        "lifecycleTools__logs": {
            "tool": "w/logs",
            "args": {
                "text": "{{ ready.was | default('-') }} {{ status.was | default('-') }} "
                "{{ healthCheck.ok | default('-') }} {{ stop.stopped | default('-') }}"
            },
        },
        "lifecycleTools__stop__outputs": {"stopped": "stopped"},
    }
    async with running(world, manifest(**changes)) as manager:
        service: Any = (await manager.create(CreateRequest("basic", "db"))) and manager.registry.get("db")
        await manager.check_health("db")
        await service.is_alive()
        world.faults["w/logs"].extend([Answer("x"), Answer("x")])
        await service.read_logs()
        await manager.stop_service("db")
        await service.read_logs()
    said = [args["text"] for tool, args in world.calls if tool == "w/logs"]
    assert said == ["running running true -", "- - - true"]


@proves("ToolCallSpec.batch", "BatchSpec.items", "BatchSpec.match")
async def test_batch() -> None:
    world = World()
    check = {
        "tool": "w/list",
        "batch": {"items": "items", "match": {"name": "{{ name }}"}},
        "expect": {"jsonPath": {"state": "running"}},
    }
    changes: dict[str, Any] = {"lifecycleTools__healthCheck": check, "healthCheck__initialDelay": "1h"}
    async with running(world, manifest(**changes)) as manager:
        for name in ("a", "b"):
            await manager.create(CreateRequest("basic", name))
        assert (await manager.check_health("b")).health is HealthStatus.HEALTHY
        world.resources.pop("r2")
        await anyio.sleep(1)
        await manager.check_health("b")
        assert manager.view("b").health_failures == 1
        await manager.check_health("a")
        assert manager.view("a").health_failures == 0


class Meter:
    """Says what the services of a world do."""

    def __init__(self) -> None:
        self.seen = {"db": Activity(1.0, 0), "web": Activity(1.0, 0)}

    async def activity(self, names: Sequence[str]) -> dict[str, Activity]:
        await anyio.sleep(0)
        return {name: self.seen[name] for name in names if name in self.seen}


def with_idle_stop(entry: ClassEntry, **idle: Any) -> ClassEntry:
    """Return a class as if the world's server were that of local processes, whose classes alone may have the key."""
    of_class, spec = entry.service_class, entry.service_class.spec
    config = of_class.config.model_copy(update={"idle_stop": IdleStopSpec.model_validate(idle)})
    changed = of_class.model_copy(update={"spec": spec.model_copy(update={"service_config": config})})
    return dataclasses.replace(entry, service_class=changed)  # noqa: TID251 (a dataclass)


@proves("ServiceConfig.idleStop")
async def test_idle_stop() -> None:
    meter = Meter()
    idle = with_idle_stop(manifest(), after=60.0)
    async with running(World(), idle, named("web", dependencies=["db"])) as manager, anyio.create_task_group() as group:
        group.start_soon(manager.stop_idle, meter)
        await manager.create(CreateRequest("basic", "db"))

        async def after(seconds: float) -> ServiceState:
            await anyio.sleep(seconds)
            return manager.view("db").state

        assert await after(50) is ServiceState.RUNNING
        meter.seen["db"] = Activity(1.0, 1)
        assert await after(100) is ServiceState.RUNNING, "it has a connection"
        meter.seen["db"] = Activity(1.2, 0)
        assert await after(50) is ServiceState.RUNNING, "it was used 50 s ago"
        assert await after(20) is ServiceState.STOPPED
        assert (manager.view("db").reason, manager.view("db").desired.value) == ("idle", "stopped")
        assert [one.reason for one in manager.listed()] == ["idle"]

        await manager.create(CreateRequest("web", "web"))
        assert manager.view("db").state is ServiceState.RUNNING, "what needs it starts it"
        assert await after(200) is ServiceState.RUNNING, "and keeps it running"
        await manager.stop_service("web")
        assert await after(70) is ServiceState.STOPPED
        await manager.start_service("db")
        del meter.seen["db"]
        assert await after(200) is ServiceState.RUNNING, "what cannot be seen is not known to be idle"
        await manager.stop_service("db")
        assert manager.view("db").reason == "", "this stop was asked for"
        group.cancel_scope.cancel()


@proves("IdleStopSpec.after", "IdleStopSpec.cpuPercent", "IdleStopSpec.connections")
async def test_what_a_service_does_without_being_used() -> None:
    meter = Meter()
    pooled = with_idle_stop(manifest(), after="60s", cpuPercent=5, connections=False)
    async with running(World(), pooled) as manager, anyio.create_task_group() as group:
        group.start_soon(manager.stop_idle, meter)
        await manager.create(CreateRequest("basic", "db"))

        async def spend(seconds: float, each: float) -> None:
            for _ in range(int(seconds / 2)):
                await anyio.sleep(2)
                meter.seen["db"] = Activity(meter.seen["db"].cpu_seconds + each, 1)

        await spend(100, 0.2)
        assert manager.view("db").state is ServiceState.RUNNING, "10 % of a core is use"
        await spend(50, 0.06)
        meter.seen["db"] = Activity(meter.seen["db"].cpu_seconds + 0.15, 1)  # such as the answer to a health check
        await spend(40, 0.06)
        assert manager.view("db").reason == "idle", "3 % and the connection of a pool are not"
        group.cancel_scope.cancel()


@proves("ServiceConfig.completed")
async def test_completed() -> None:
    world = World()
    entry = manifest(completed={"jsonPath": {"state": "done"}}, lifecycleTools__healthCheck=None)
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.always["w/status"] = Answer({"state": "done"})
        await until(lambda: manager.view("db").reason == "completed")
        assert manager.view("db").state is ServiceState.STOPPED


# -- health ------------------------------------------------------------------------------------------------


@proves("HealthCheckSpec.enabled")
async def test_health_enabled() -> None:
    world = World()
    async with running(world, manifest(healthCheck={"enabled": False})) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await anyio.sleep(300)
        assert count(world, "w/health") == 0


@proves("HealthCheckSpec.timeout")
async def test_health_timeout() -> None:
    world = World()
    async with running(world, manifest(healthCheck={"timeout": "2s", "interval": "1h"})) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/health"].append(Slow(30))
        assert await seconds_for(manager.check_health("db")) < 5


async def seconds_for(work: Any) -> float:
    began = anyio.current_time()
    await work
    return anyio.current_time() - began


@proves("TimeoutSpec.healthCheck")
async def test_timeout_health_check() -> None:
    world = World()
    async with running(world, manifest(healthCheck={"interval": "1h"}, timeout={"healthCheck": "2s"})) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/health"].append(Slow(30))
        assert await seconds_for(manager.check_health("db")) < 5


@proves("HealthCheckSpec.initialDelay")
async def test_health_initial_delay() -> None:
    world = World()
    async with running(world, manifest(healthCheck__initialDelay="100s")) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await anyio.sleep(95)
        assert count(world, "w/health") == 0
        await anyio.sleep(10)
        assert count(world, "w/health") == 1


@proves("HealthCheckSpec.failureThreshold", "HealthCheckSpec.successThreshold")
async def test_health_thresholds() -> None:
    world = World()
    settings = {"interval": "1h", "initialDelay": "1h", "failureThreshold": 2, "successThreshold": 3}
    async with running(world, manifest(healthCheck=settings)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        seen: list[str] = []
        for healthy in (True, True, True, False, False, True, True, True):
            world.healthy = healthy
            seen.append((await manager.check_health("db")).health.value)
    assert seen[2] == seen[3] == "healthy"
    assert seen[1] != "healthy"
    assert seen[4] == "unhealthy"
    assert seen[6] != "healthy"
    assert seen[7] == "healthy"


# -- timeouts ----------------------------------------------------------------------------------------------


@proves("ServiceConfig.timeout", "TimeoutSpec.create")
async def test_timeout_create() -> None:
    async with running(World(ready_after=1000), manifest(timeout={"create": "7s"})) as manager:
        with pytest.raises(OperationTimeoutError, match=r"longer than 7s \(timeout.create\)"):
            await manager.create(CreateRequest("basic", "db"))


@proves("TimeoutSpec.delete")
async def test_timeout_delete() -> None:
    world = World()
    async with running(world, manifest(timeout={"delete": "7s"})) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Slow(60))
        began = anyio.current_time()
        with pytest.raises(OstlerError, match="7s"):
            await manager.stop_service("db")
        assert anyio.current_time() - began < 15


@proves("TimeoutSpec.restart")
@pytest.mark.parametrize("with_tool", [True, False])
async def test_timeout_restart(with_tool: bool) -> None:
    world = World()
    restart = {"tool": "w/restart", "args": {"id": "{{ start.id }}"}} if with_tool else None
    changes: dict[str, Any] = {"lifecycleTools__restart": restart} if restart else {}
    async with running(world, manifest(timeout={"restart": "7s"}, **changes)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.ready_after = 1000
        if with_tool:
            world.faults["w/restart"].append(Slow(60))
        began = anyio.current_time()
        with pytest.raises(OstlerError, match=r"7s( \(timeout.restart\))?"):
            await manager.restart_service("db")
        assert anyio.current_time() - began < 15


# -- restarts ----------------------------------------------------------------------------------------------


@proves("ServiceConfig.restartPolicy", "RestartPolicySpec.policy")
async def test_restart_policy() -> None:
    for policy, state in (("never", ServiceState.FAILED), ("on-failure", ServiceState.RUNNING)):
        world = World()
        async with running(world, manifest(restartPolicy=policy)) as manager:
            await manager.create(CreateRequest("basic", "db"))
            world.resources.clear()
            await anyio.sleep(600)
            assert manager.view("db").state is state


async def delays(count_: int, backoff: dict[str, Any], **policy: Any) -> list[float]:
    """Return how long the first `count_` restarts of a service whose start keeps failing were waited for."""
    world = World()
    full = {"policy": "on-failure", "maxRestarts": 9, "window": "10h", "backoff": backoff, **policy}
    async with running(world, manifest(restartPolicy=full)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        world.always["w/start"] = Fail("no")
        waited: list[float] = []
        while len(waited) < count_:
            await until(lambda: manager.view("db").state is ServiceState.RETRYING, within=7200)
            began = anyio.current_time()
            called = count(world, "w/start")
            await until(lambda called=called: count(world, "w/start") > called, within=7200)
            waited.append(round(anyio.current_time() - began, 1))
        return waited


@proves("RestartPolicySpec.backoff", "BackoffSpec.initial", "BackoffSpec.max", "BackoffSpec.multiplier")
async def test_backoff() -> None:
    backoff = {"initial": "10s", "max": "80s", "multiplier": 3, "jitter": 0}
    assert [round(seconds) for seconds in await delays(4, backoff)] == [10, 30, 80, 80]


@proves("BackoffSpec.jitter")
async def test_backoff_jitter() -> None:
    backoff = {"initial": "20s", "max": "20s", "jitter": 0.5}
    waited = await delays(4, backoff)
    assert len(set(waited)) > 1
    assert all(9 <= seconds <= 31 for seconds in waited)


@proves("RestartPolicySpec.maxRestarts", "RestartPolicySpec.window")
async def test_restarts_within_the_window() -> None:
    for window, ends in (("10h", True), ("60s", False)):
        world = World()
        backoff = {"initial": "1s", "multiplier": 1, "jitter": 0}
        policy = {"policy": "on-failure", "maxRestarts": 2, "window": window, "backoff": backoff}
        async with running(world, manifest(restartPolicy=policy)) as manager:
            await manager.create(CreateRequest("basic", "db"))
            for _ in range(4):
                world.resources.clear()
                await anyio.sleep(100)
            assert (manager.view("db").reason == "crash-loop") is ends


@proves("RestartPolicySpec.resetAfter")
async def test_restarts_are_forgotten_after_a_while() -> None:
    for reset_after, ends in (("5h", True), ("80s", False)):
        world = World()
        backoff = {"initial": "1s", "multiplier": 1, "jitter": 0}
        policy = {"maxRestarts": 2, "window": "10h", "resetAfter": reset_after, "backoff": backoff}
        async with running(world, manifest(restartPolicy={"policy": "on-failure", **policy})) as manager:
            await manager.create(CreateRequest("basic", "db"))
            for _ in range(4):
                world.resources.clear()
                await anyio.sleep(200)
            assert (manager.view("db").reason == "crash-loop") is ends


# -- dependencies ------------------------------------------------------------------------------------------


@proves("ServiceConfig.dependencies", "DependencySpec.name", "DependencySpec.alias")
async def test_dependency_by_name() -> None:
    world = World()
    app = named(
        "app",
        dependencies=[{"name": "d{{ 'b' }}", "alias": "store"}],
        outputs={"dsn": "{{ dependencies.store.outputs.url }}"},
    )
    async with running(world, manifest(), app) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        await manager.create(CreateRequest("app", "web"))
        assert manager.view("web").outputs == {"dsn": "ledger://r1/1"}
        assert [args["name"] for tool, args in world.calls if tool == "w/start"] == ["db", "web"]


@proves("DependencySpec.serviceClassName", "DependencySpec.create", "DependencySpec.args")
async def test_dependency_on_demand() -> None:
    wanted = {"serviceClassName": "basic", "alias": "db", "create": True, "args": {"size": "{{ size + 6 }}"}}
    async with running(World(), manifest(), named("app", dependencies=[wanted])) as manager:
        await manager.create(CreateRequest("app", "web"))
        assert manager.view("web-db").args["size"] == 7
    async with running(World(), manifest(), named("app", dependencies=[{"serviceClassName": "basic"}])) as manager:
        with pytest.raises(DependencyError):
            await manager.create(CreateRequest("app", "web"))


@proves("DependencySpec.condition")
async def test_dependency_condition() -> None:
    for condition, waited in (("started", False), ("healthy", True)):
        world = World()
        app = named("app", dependencies=[{"name": "db", "condition": condition}])
        slow = manifest(healthCheck__initialDelay="30s")
        async with running(world, slow, app) as manager:
            await manager.create(CreateRequest("basic", "db", start=False))
            assert (await seconds_for(manager.create(CreateRequest("app", "web"))) >= 30) is waited


@proves("DependencySpec.required")
async def test_dependency_required() -> None:
    optional = named("app", dependencies=[{"name": "nowhere", "required": False}])
    async with running(World(), optional) as manager:
        await manager.create(CreateRequest("app", "web"))
        assert manager.view("web").state is ServiceState.RUNNING
    async with running(World(), named("app", dependencies=[{"name": "nowhere"}])) as manager:
        with pytest.raises(DependencyError, match="does not exist"):
            await manager.create(CreateRequest("app", "web"))


@proves("DependencySpec.when")
async def test_dependency_when() -> None:
    app = named("app", dependencies=[{"name": "nowhere", "when": "{{ size > 3 }}"}])
    async with running(World(), app) as manager:
        await manager.create(CreateRequest("app", "small", {"size": 1}))
        with pytest.raises(DependencyError):
            await manager.create(CreateRequest("app", "big", {"size": 4}))


@proves("DependencySpec.timeout")
async def test_dependency_timeout() -> None:
    app = named("app", dependencies=[{"name": "db", "condition": "healthy", "timeout": "20s"}])
    async with running(World(healthy=False), manifest(), app) as manager:
        await manager.create(CreateRequest("basic", "db"))
        began = anyio.current_time()
        with pytest.raises(DependencyError):
            await manager.create(CreateRequest("app", "web"))
        assert 20 <= anyio.current_time() - began < 40


# -- the rest ----------------------------------------------------------------------------------------------


@proves("ServiceConfig.defaultName")
async def test_default_name() -> None:
    async with running(World(), manifest(defaultName="store-{{ size }}")) as manager:
        result = await manager.create(CreateRequest("basic", "", {"size": 4}))
        assert result.service.name == "store-4"


@proves("ServiceConfig.outputs")
async def test_service_outputs_are_made_after_every_start() -> None:
    async with running(World()) as manager:
        await manager.create(CreateRequest("basic", "db"))
        assert manager.view("db").outputs == {"url": "ledger://r1/1"}
        await manager.restart_service("db")
        assert manager.view("db").outputs == {"url": "ledger://r2/1"}


@proves("ServiceConfig.onUnknown")
async def test_on_unknown() -> None:
    """A start that was cut off, whose outcome no tool can show."""
    seen: dict[str, tuple[ServiceState, list[str]]] = {}
    for choice in ("adopt", "retry", "compensate", "hold"):
        world, store = World(), MemoryStore()
        without = ("find", "status", "healthCheck", "ready")
        changes: dict[str, Any] = {f"lifecycleTools__{step}": None for step in without}
        entry = manifest(
            **changes, healthCheck=None, onUnknown=choice, lifecycleTools__stop__args={"id": "{{ name }}"}, outputs={}
        )
        async with running(World(), entry, store=store) as manager:
            await manager.create(CreateRequest("basic", "db", start=False))
        record = (await store.load()).services[0]
        cut_off = CallRecord(0, "start", "w/start", {}, CallOutcome.AMBIGUOUS, EPOCH)
        operation = OperationRecord("op1", record.id, "db", OperationKind.START, EPOCH, calls=(cut_off,))
        wanted = replace(record, desired=DesiredState.RUNNING, state=ServiceState.STARTING)
        await store.commit([PutService(wanted), PutOperation(operation)])
        world.resources["db"] = {"id": "db", "name": "db", "since": 0}
        async with running(world, entry, store=store) as manager:
            await manager.recovered.wait()
            await until(lambda manager=manager: manager.view("db").operation is None)
            seen[choice] = (manager.view("db").state, world.tools_called())
    assert seen["adopt"] == (ServiceState.RUNNING, [])
    assert seen["retry"][1] == ["w/start"]
    assert seen["compensate"][1][0] == "w/stop"
    assert seen["hold"] == (ServiceState.UNKNOWN, [])


@proves("ServiceClassSpec.description", "Metadata.labels", "ArgSpec.description")
async def test_what_a_class_says_of_itself() -> None:
    text = BASIC.replace("{name: basic}", "{name: basic, labels: {team: lakes}}")
    entry = manifest(text.replace("default: 1,", "default: 1, description: how deep,"))
    async with ledger(World(), entry) as app, Client(server_over(app)) as client:
        for words in ("a resource in the ledger", "lakes"):
            found = await call(client, "serviceclass_list", search=words)
            assert [item["name"] for item in found["serviceClasses"]] == ["basic"]
        assert (await call(client, "serviceclass_list", search="rivers"))["serviceClasses"] == []
        assert (await call(client, "serviceclass_get", name="basic"))["args"]["size"]["description"] == "how deep"
