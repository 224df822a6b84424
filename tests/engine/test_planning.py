"""Plans equal what is really called, name what is not known yet, and stop being good when their facts change."""

import random
from typing import Any

import pytest
import yaml
from tests.support.plan_comparison import Recorder, Watch, differences_from_plan
from tests.support.world import BASIC, Down, Fail, Lost, World, manifest, running, until

from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import AlreadyExistsError, ArgumentError, ConflictError, NotFoundError, OstlerError
from ostler.model.plans import Plan
from ostler.model.states import ServiceState
from ostler.rules.reading import load_manifests

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

DEPENDENT = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: app}
spec:
  args: {token: {type: string, secret: true, default: hunter22}}
  serviceConfig:
    dependencies:
      - {serviceClassName: basic, create: true, alias: db, condition: healthy, args: {size: 3}}
      - {name: cache, required: false}
    lifecycleTools:
      start:
        tool: w/start
        args: {name: "{{ name }}", db: "{{ dependencies.db.outputs.url }}", token: "{{ token }}",
               id: "{{ service.id }}"}
        outputs: {id: id}
      postStart:
        - {tool: w/status, args: {name: "{{ name }}", note: "id {{ start.id }} of {{ name }}"}}
      preStop:
        - {tool: w/status, args: {name: "{{ name }}", leaving: true}}
      stop: {tool: w/stop, args: {id: "{{ start.id }}"}}
    outputs: {address: "app://{{ start.id }}/{{ dependencies.db.outputs.url }}"}
"""


def app_class() -> ClassEntry:
    [loaded] = load_manifests(DEPENDENT, "app.yaml")
    return ClassEntry.of(loaded)


def by_step(plan: Plan) -> list[tuple[str, str, dict[str, Any]]]:
    return [(step.service, step.step, step.args) for step in plan.steps]


async def test_a_plan_names_every_call_and_what_is_not_known_yet() -> None:
    world = World()
    async with running(world, manifest(), app_class()) as manager:
        plan = manager.plans.create(CreateRequest("app", "web"))
        assert world.calls == []
        assert len(manager.registry) == 0
    basic = {"name": "web-db", "size": 3, "password": ""}
    assert by_step(plan) == [
        ("web-db", "start", basic),
        ("web-db", "ready", {"name": "web-db"}),
        ("web-db", "healthCheck", {"name": "web-db"}),
        (
            "web",
            "start",
            {
                "name": "web",
                "db": "ledger://<known after start of web-db>/3",
                "token": "***",
                "id": "<known after creation>",
            },
        ),
        ("web", "postStart[0]", {"name": "web", "note": "id <known after start> of web"}),
    ]
    assert [(step.step, step.args) for step in plan.stop_steps] == [
        ("preStop[0]", {"name": "web", "leaving": True}),
        ("stop", {"id": "<known after start>"}),
    ]
    assert [(s.name, s.class_name, s.effect) for s in plan.services] == [
        ("web-db", "basic", "create"),
        ("web", "app", "create"),
    ]
    assert [step.every for step in plan.steps] == [None, 1.0, 10.0, None, None]
    assert [step.known for step in plan.steps] == [True, True, True, False, False]


async def test_a_plan_is_what_is_really_called() -> None:
    recorder = Recorder(world := World())
    async with running(recorder, manifest(), app_class()) as manager:  # pyright: ignore[reportArgumentType]
        plan = manager.plans.create(CreateRequest("app", "web"))
        watch = Watch(manager, recorder, "web")
        await manager.create(CreateRequest("app", "web", plan_id=plan.id))
        made = [(tool, {**args, "token": "***"} if "token" in args else args) for tool, args in watch.calls()]
        assert differences_from_plan(plan.steps, made, {"web": ["web-db"]}) == []
        for action in ("stop", "start", "restart", "delete"):
            plan = manager.plans.operate("web", action)
            watch = Watch(manager, recorder, "web")
            operate = {
                "stop": manager.stop_service,
                "start": manager.start_service,
                "restart": manager.restart_service,
                "delete": manager.delete,
            }[action]
            await operate("web")
            if action == "delete":
                await until(lambda: "web-db" not in manager.registry)
            made = [(tool, {**args, "token": "***"} if "token" in args else args) for tool, args in watch.calls()]
            made = [
                call for call in made if call != ("w/health", {"name": "web-db"})
            ]  # its health goes on to be checked
            steps = [step for step in plan.steps if step.service == "web" or action != "delete"]
            assert differences_from_plan(steps, made) == [], action
        assert [(s.name, s.effect) for s in plan.services] == [("web", "delete"), ("web-db", "delete")]
        assert world.resources == {}


async def test_a_restart_tool_is_planned_as_such() -> None:
    restart = {"tool": "w/restart", "args": {"id": "{{ start.id }}"}, "outputs": {"id": "id"}}
    recorder = Recorder(World())
    entry = manifest(lifecycleTools__restart=restart)
    async with running(recorder, entry) as manager:  # pyright: ignore[reportArgumentType]
        await manager.create(CreateRequest("basic", "one"))
        plan = manager.plans.operate("one", "restart")
        assert by_step(plan) == [("one", "restart", {"id": "r1"}), ("one", "ready", {"name": "one"})]
        assert plan.stop_steps[0].args == {"id": "<known after restart>"}
        watch = Watch(manager, recorder, "one")
        await manager.restart_service("one")
        assert differences_from_plan(plan.steps, watch.calls()) == []


async def test_leftovers_are_planned_before_a_new_start() -> None:
    recorder = Recorder(world := World())
    async with running(recorder) as manager:  # pyright: ignore[reportArgumentType]
        await manager.create(CreateRequest("basic", "one"))
        world.faults["w/stop"].append(Fail("busy"))
        with pytest.raises(OstlerError):
            await manager.stop_service("one")
        plan = manager.plans.operate("one", "start")
        assert (plan.steps[0].step, plan.steps[0].args) == ("stop", {"id": "r1"})
        assert "left behind" in plan.steps[0].note
        watch = Watch(manager, recorder, "one")
        await manager.start_service("one")
        assert differences_from_plan(plan.steps, watch.calls()) == []


async def test_what_may_be_there_is_looked_for_before_it_is_stopped() -> None:
    world = World()
    async with running(world) as manager:
        world.faults["w/start"].append(Lost(acts=True))
        world.always["w/find"] = Down()
        world.always["w/stop"] = Down()
        with pytest.raises(OstlerError):
            await manager.create(CreateRequest("basic", "one"))
        assert manager.registry.find("one") is not None
        plan = manager.plans.operate("one", "stop")
        assert by_step(plan) == [
            ("one", "find", {"name": "one"}),
            ("one", "stop", {"id": "<known after find>"}),
        ]
        assert "if it does not, nothing is stopped" in plan.steps[0].note
        world.always.clear()
        before = len(world.calls)
        await manager.stop_service("one")
        assert differences_from_plan(plan.steps, world.calls[before:]) == []
        assert world.resources == {}


async def test_what_needs_no_call_says_so() -> None:
    async with running(World()) as manager:
        await manager.create(CreateRequest("basic", "one"))
        plan = manager.plans.operate("one", "start")
        assert (plan.steps, plan.services[0].effect) == ((), "none")
        plan = manager.plans.create(CreateRequest("basic", "one"))
        assert (plan.steps, plan.services[0].effect) == ((), "reuse")
        plan = manager.plans.create(CreateRequest("basic", "two", start=False))
        assert (plan.steps, plan.services[0].effect) == ((), "create")
        plan = manager.plans.operate("one", "delete", abandon=True)
        assert (plan.steps, plan.services[0].effect) == ((), "forget")
        assert "may still be running" in plan.services[0].note
        await manager.stop_service("one")
        plan = manager.plans.operate("one", "stop")
        assert (plan.steps, plan.services[0].effect) == ((), "none")


async def test_a_plan_tells_what_would_fail() -> None:
    async with running(World(), manifest(), app_class()) as manager:
        with pytest.raises(NotFoundError):
            manager.plans.create(CreateRequest("nothing"))
        with pytest.raises(ArgumentError):
            manager.plans.create(CreateRequest("basic", "one", {"size": "large"}))
        with pytest.raises(NotFoundError):
            manager.plans.operate("nobody", "stop")
        await manager.create(CreateRequest("basic", "one"))
        with pytest.raises(AlreadyExistsError):
            manager.plans.create(CreateRequest("basic", "one", {"size": 2}))


async def test_a_plan_that_is_out_of_date_is_refused_with_what_changed() -> None:
    world = World()
    async with running(world, manifest(), app_class()) as manager:
        request = CreateRequest("app", "web")
        plan = manager.plans.create(request)
        assert manager.plans.create(request).id == plan.id

        async def refused(changed: CreateRequest, what: str) -> None:
            with pytest.raises(ConflictError, match="out of date") as caught:
                await manager.create(changed)
            assert what in caught.value.summary
            assert "w/start" not in world.tools_called()

        accepted = CreateRequest("app", "web", plan_id=plan.id)
        await refused(CreateRequest("app", "web", {"token": "another1"}, plan_id=plan.id), "what is asked for")
        manager.classes.add(manifest(BASIC.replace("interval: 1s", "interval: 2s")))
        await refused(accepted, "the class")
        manager.classes.add(manifest())
        await manager.create(CreateRequest("basic", "web-db", {"size": 3}, start=False))
        await refused(accepted, "the state of the services")
        await manager.delete("web-db")
        await manager.create(accepted)
        with pytest.raises(ArgumentError, match="is not the id of a plan"):
            await manager.create(CreateRequest("app", "web2", plan_id="nonsense"))
        with pytest.raises(ArgumentError, match="is not the id of a plan"):
            await manager.create(CreateRequest("app", "web2", plan_id=manager.plans.operate("web", "stop").id))


async def test_a_generated_name_is_the_planned_one() -> None:
    async with running(World()) as manager:
        plan = manager.plans.create(CreateRequest("basic"))
        assert manager.plans.create(CreateRequest("basic")).service == plan.service
        result = await manager.create(CreateRequest("basic", plan_id=plan.id))
        assert result.service.name == plan.service
        assert manager.plans.create(CreateRequest("basic")).service != plan.service


# -- generated classes -----------------------------------------------------------------------------------


def generated(seed: int) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Return random classes that depend on each other, and who needs whom; the last one needs all others."""
    rng = random.Random(seed)
    manifests: list[dict[str, Any]] = []
    needs: dict[str, list[str]] = {}
    count = rng.randint(1, 4)
    for index in range(count):
        name = f"c{index}"
        others = [f"c{other}" for other in range(index) if rng.random() < 0.6 or index == count - 1]
        needs[f"s-{name}"] = [f"s-{other}" for other in others]
        pieces = [
            "{{ name }}",
            "x{{ size }}",
            "{{ size + 1 }}",
            "{{ ['a', size] }}",
            "{{ 'big' if size > 1 else 'no' }}",
        ]
        later = [
            "{{ start.id }}", "id-{{ start.id }}-{{ name }}", "{{ start.id ~ '/' ~ size }}", "{{ start.id | upper }}",
            "{% if size > 1 %}{{ start.id }}{% else %}none{% endif %}", "{{ {'i': start.id} }}", "{{ args.size }}",
        ]  # fmt: skip
        args: dict[str, Any] = {"name": "{{ name }}", "size": rng.choice(pieces), "list": [rng.choice(pieces)]}
        for other in others:
            args[other] = (
                rng.choice(["{{ dependencies.%s.outputs.url }}", "at {{ dependencies.%s.outputs.plain }}"]) % other
            )
        tools: dict[str, Any] = {
            "start": {"tool": "w/start", "args": args, "outputs": {"id": "id"}},
            "stop": {"tool": "w/stop", "args": {"id": "{{ start.id }}"}},
        }
        if rng.random() < 0.6:
            ready = {"name": "{{ name }}", "x": rng.choice(later)}
            tools["ready"] = {"tool": "w/status", "args": ready, "expect": {"jsonPath": {"state": "running"}}}
        for hook in ("postStart", "preStop"):
            if rng.random() < 0.5:
                calls = [
                    {"tool": "w/find", "args": {"name": "{{ name }}", "n": n, "x": rng.choice(later)}} for n in (1, 2)
                ]
                tools[hook] = calls
        manifests.append(
            {
                "apiVersion": "ostler/v1",
                "kind": "ServiceClass",
                "metadata": {"name": name},
                "spec": {
                    "args": {"size": {"type": "integer", "default": rng.randint(1, 2)}},
                    "serviceConfig": {
                        "dependencies": [{"name": f"s-{other}", "alias": other} for other in others],
                        "lifecycleTools": tools,
                        "outputs": {"url": "w://{{ start.id }}/{{ size }}", "plain": "p{{ size }}"},
                    },
                },
            }
        )
    return manifests, needs


@pytest.mark.parametrize("seed", range(25))
async def test_the_plans_of_generated_classes_are_what_is_called(seed: int) -> None:
    manifests, needs = generated(seed)
    entries: list[ClassEntry] = []
    for value in manifests:
        [loaded] = load_manifests(yaml.safe_dump(value), "generated.yaml")
        entries.append(ClassEntry.of(loaded))
    world = World(ready_after=2.0)
    recorder = Recorder(world)
    async with running(recorder, *entries) as manager:  # pyright: ignore[reportArgumentType]
        for entry in entries[:-1]:
            await manager.create(CreateRequest(entry.name, f"s-{entry.name}", start=False))
        last = f"s-{entries[-1].name}"
        request = CreateRequest(entries[-1].name, last)
        plan = manager.plans.create(request)
        watch = Watch(manager, recorder, last)
        await manager.create(request)
        assert differences_from_plan(plan.steps, watch.calls(), needs) == []
        order = [service.name for service in plan.services]
        for service, others in needs.items():
            assert all(order.index(other) < order.index(service) for other in others if service in order)
        for action, operate in (("stop", manager.stop_service), ("start", manager.start_service)):
            plan = manager.plans.operate(last, action)  # pyright: ignore[reportArgumentType]
            watch = Watch(manager, recorder, last)
            await operate(last)
            assert differences_from_plan(plan.steps, watch.calls()) == []
        assert manager.get_service_state(last) is ServiceState.RUNNING
