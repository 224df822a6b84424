"""Batch probes: one call of a list-style tool serves all instances with the same rendered args."""

from typing import Any

import anyio
import pytest
from tests.support.world import Answer, Down, Fail, Lost, Slow, World, manifest, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import ManifestError
from ostler.model.states import HealthStatus, ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

LIST = {
    "tool": "w/list",
    "args": {"label": "{{ args.size }}"},
    "batch": {"items": "items", "match": {"name": "{{ name }}"}},
    "expect": {"jsonPath": {"state": "running"}},
}


def batched(**changes: Any) -> ClassEntry:
    keys: dict[str, Any] = {
        "lifecycleTools__healthCheck": LIST,
        "lifecycleTools__status": None,
        "lifecycleTools__ready": None,
        "lifecycleTools__find": {**LIST, "outputs": {"id": "id"}},
        "restartPolicy": "never",
        **changes,
    }
    return manifest(**keys)


async def test_one_call_serves_all_instances_with_the_same_args() -> None:
    world = World()
    async with running(world, batched()) as manager:
        async with anyio.create_task_group() as group:
            for index in range(50):
                group.start_soon(manager.create, CreateRequest("basic", f"s{index}", {"size": 1 + index % 2}))
        await until(lambda: all(view.health is HealthStatus.HEALTHY for view in manager.views()))
        await anyio.sleep(30)  # by now all are due together
        world.calls.clear()
        before = {view.name: view.checked_at for view in manager.views()}
        await anyio.sleep(100)
        assert len(world.tools_called("w/list")) == pytest.approx(20, abs=2), "two sets of args, every 10 s"
        assert all(view.checked_at != before[view.name] for view in manager.views())


async def test_each_instance_is_judged_by_its_own_item() -> None:
    world = World()
    async with running(world, batched()) as manager:
        for name in ("a", "b", "c"):
            await manager.create(CreateRequest("basic", name))
        world.resources = {key: made for key, made in world.resources.items() if made["name"] != "b"}
        await until(lambda: manager.view("b").health is HealthStatus.UNHEALTHY)
        assert "none of the 2 items of the answer has name='b'" in manager.view("b").evidence
        assert manager.view("a").health is HealthStatus.HEALTHY
        assert manager.view("c").health is HealthStatus.HEALTHY


async def test_a_list_in_words_without_the_service_is_a_fact() -> None:
    world = World()
    look = {"tool": "w/list", "expect": {"contains": "PID {{ start.id }}:"}}
    entry = batched(lifecycleTools__healthCheck=look, lifecycleTools__status=None, lifecycleTools__find=None)
    async with running(world, entry) as manager:
        world.always["w/list"] = Answer("PID id-0: other")
        await manager.create(CreateRequest("basic", "a"))
        await until(lambda: manager.view("a").state is ServiceState.FAILED)
        assert (manager.view("a").reason, manager.view("a").health_failures) == ("gone", 1)


async def test_a_failing_list_makes_no_one_gone() -> None:
    world = World()
    entry = batched(lifecycleTools__healthCheck=None, lifecycleTools__status=LIST)
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "a"))
        world.always["w/list"] = Fail("out of order")
        await until(lambda: manager.view("a").health is HealthStatus.UNHEALTHY)
        assert manager.view("a").state is ServiceState.RUNNING
        world.always["w/list"] = Answer({"items": [], "nextCursor": "b"})
        await anyio.sleep(60)
        assert "proves nothing" in manager.view("a").evidence
        assert manager.view("a").state is ServiceState.RUNNING
        world.always["w/list"] = Down()
        await until(lambda: manager.view("a").reachability.value == "unreachable")
        world.always["w/list"] = Answer({"items": []})
        await until(lambda: manager.view("a").state is ServiceState.FAILED)
        assert manager.view("a").reason == "gone"


async def test_a_check_now_asks_again() -> None:
    world = World()
    async with running(world, batched()) as manager:
        await manager.create(CreateRequest("basic", "a"))
        await until(lambda: manager.view("a").health is HealthStatus.HEALTHY)
        world.calls.clear()
        await manager.check_health("a")
        await anyio.sleep(0.1)
        await manager.check_health("a")
        assert world.tools_called("w/list") == ["w/list", "w/list"]


async def test_services_are_verified_together_after_a_restart() -> None:
    world, store = World(), MemoryStore()
    entry = batched()
    async with running(world, entry, store=store) as manager:
        for index in range(20):
            await manager.create(CreateRequest("basic", f"s{index}"))
    world.calls.clear()
    async with running(world, entry, store=store) as manager:
        await manager.recovered.wait()
        assert {view.state for view in manager.views()} == {ServiceState.RUNNING}
        assert len(world.tools_called("w/list")) <= 2


@pytest.mark.parametrize(
    ("changes", "rule", "path"),
    [
        ({"batch": {"items": "a..b", "match": {"name": "{{ name }}"}}}, "bad-jmespath", "batch.items"),
        ({"batch": {"match": {"a..b": "{{ name }}"}}}, "bad-jmespath", "batch.match.a..b"),
        ({"batch": {"match": {"name": "{{ nmae }}"}}}, "unknown-name", "batch.match.name"),
        ({"batch": {"match": {"name": "web"}}}, "bad-value", "batch.match"),
        ({"args": {"name": "{{ name }}"}}, "no-effect", "batch"),
        ({"args": {"id": "{{ start.id }}"}}, "no-effect", "batch"),
        ({"batch": {"match": {}}}, "bad-value", "batch.match"),
        ({"batch": {"item": "x", "match": {"name": "{{ name }}"}}}, "unknown-key", "batch.item"),
    ],
)
def test_what_is_wrong_with_a_batch_is_found_at_load(changes: dict[str, Any], rule: str, path: str) -> None:
    with pytest.raises(ManifestError) as caught:
        batched(lifecycleTools__healthCheck={**LIST, **changes})
    prefix = "spec.serviceConfig.lifecycleTools.healthCheck."
    assert (rule, prefix + path) in [(finding.rule, finding.path) for finding in caught.value.findings]
    assert all(finding.line for finding in caught.value.findings)


@pytest.mark.parametrize("step", ["start", "stop", "ready", "logs"])
def test_a_batch_is_for_steps_that_look(step: str) -> None:
    with pytest.raises(ManifestError, match=f"'batch' has no effect on '{step}'"):
        batched(**{f"lifecycleTools__{step}": {"tool": "w/list", "batch": LIST["batch"]}})


async def test_services_that_start_together_share_their_first_check_too() -> None:
    world = World()
    world.always["w/list"] = Slow(2.0)
    async with running(world, batched()) as manager:
        async with anyio.create_task_group() as group:
            for index in range(40):
                group.start_soon(manager.create, CreateRequest("basic", f"s{index}"))
        await anyio.sleep(5)
        assert {view.health for view in manager.views()} == {HealthStatus.HEALTHY}
        assert len(world.tools_called("w/list")) <= 3


async def test_a_lost_stop_is_looked_into_with_an_answer_of_after_it() -> None:
    world = World()
    async with running(world, batched()) as manager:
        await manager.create(CreateRequest("basic", "a"))
        assert (await manager.check_health("a")).health is HealthStatus.HEALTHY  # an answer that says that it is there
        await anyio.sleep(1)
        world.faults["w/stop"].append(Lost(acts=True))
        await manager.stop_service("a")
        assert manager.view("a").state is ServiceState.STOPPED
        assert len(world.tools_called("w/stop")) == 1


async def test_a_stop_that_is_done_again_after_a_loss_waits_for_its_server() -> None:
    world = World()
    async with running(world, batched()) as manager:
        await manager.create(CreateRequest("basic", "a"))
        world.faults["w/stop"].extend([Lost(), Down(), Down()])
        await manager.stop_service("a")
        assert (manager.view("a").state, world.resources) == (ServiceState.STOPPED, {})
