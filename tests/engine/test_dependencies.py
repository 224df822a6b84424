"""Dependencies: conditions, on-demand instances, circles, who waits, who runs without, stops along the graph."""

from typing import Any

import anyio
import pytest
from tests.support.world import Answer, Fail, Servers, World, manifest, named, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.insight.explanation import explain
from ostler.engine.manager import ServiceManager
from ostler.engine.services.service import BaseService
from ostler.engine.services.views import CreateRequest, ProjectRef
from ostler.model.errors import ArgumentError, DependencyError, OperationTimeoutError, OstlerError
from ostler.model.events import EventKind
from ostler.model.states import HealthStatus, ServiceState, Transition
from ostler.rules.templates.dependency_use import uses_output

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


def notes(manager: ServiceManager, name: str) -> str:
    page = manager.events.read(service=name, kinds=[EventKind.WARNING], limit=1000)
    return "\n".join(item.message for item in page.events)


async def test_a_healthy_dependency_is_waited_for_and_the_wait_is_seen() -> None:
    world = World(healthy=False)
    app = named("app", dependencies=[{"name": "db", "condition": "healthy"}])
    async with running(world, manifest(), app) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.create(CreateRequest("app", "web"), wait=False)
        await until(lambda: manager.view("web").state is ServiceState.WAITING)
        assert manager.view("web").reason == "dependency"
        world.healthy = True
        await until(lambda: manager.view("web").state is ServiceState.RUNNING, within=15)
        assert manager.view("db").health is HealthStatus.HEALTHY


async def test_a_wait_for_health_ends_and_the_start_comes_on_its_own_later() -> None:
    world = World(healthy=False)
    app = named("app", dependencies=[{"name": "db", "condition": "healthy", "timeout": "20s"}])
    async with running(world, manifest(), app) as manager:
        await manager.create(CreateRequest("basic", "db"))
        began = anyio.current_time()
        with pytest.raises(DependencyError, match="'web' waits for 'db' .condition healthy.*not healthy, after 20s"):
            await manager.create(CreateRequest("app", "web"))
        assert anyio.current_time() - began == pytest.approx(20, abs=1)
        assert manager.view("web").state is ServiceState.WAITING
        world.healthy = True
        await until(lambda: manager.view("web").state is ServiceState.RUNNING, within=30)


async def test_a_condition_that_no_tool_can_show_is_refused_at_once() -> None:
    blind = named("blind", lifecycleTools__healthCheck=None, lifecycleTools__status=None, healthCheck=None)
    app = named("app", dependencies=[{"name": "db", "condition": "healthy"}])
    job = named("job", dependencies=[{"name": "db", "condition": "completed"}])
    world = World()
    async with running(world, blind, app, job) as manager:
        await manager.create(CreateRequest("blind", "db"))
        await manager.stop_service("db")
        began = anyio.current_time()
        with pytest.raises(DependencyError, match="nothing can ever show that service 'db' is healthy") as caught:
            await manager.create(CreateRequest("app", "web"))
        assert (caught.value.service, caught.value.step) == ("web", "dependencies")
        with pytest.raises(DependencyError, match="nothing can ever show that service 'db' has completed"):
            await manager.create(CreateRequest("job", "later"))
        assert anyio.current_time() - began < 1
        assert world.tools_called("w/start") == ["w/start"], "nothing is started for that"
        assert [service.name for service in manager.registry.get_all()] == ["db"], "nor made"


async def test_a_completed_dependency_is_waited_for_and_not_run_again() -> None:
    world = World()
    migration = named("migration", completed={"jsonPath": {"state": "done"}}, lifecycleTools__healthCheck=None)
    app = named("app", dependencies=[{"name": "migrate", "condition": "completed"}])
    store = MemoryStore()
    async with running(world, migration, app, store=store) as manager:
        await manager.create(CreateRequest("migration", "migrate", start=False))
        await manager.create(CreateRequest("app", "web"), wait=False)
        await until(lambda: manager.view("migrate").state is ServiceState.RUNNING)
        await anyio.sleep(25)
        assert manager.view("web").state is ServiceState.WAITING
        world.always["w/status"] = Answer({"state": "done"})
        await until(lambda: manager.view("migrate").state is ServiceState.STOPPED, within=15)
        assert manager.view("migrate").reason == "completed"
        del world.always["w/status"]
        await until(lambda: manager.view("web").state is ServiceState.RUNNING)
        await manager.restart_service("web")
        assert [args["name"] for tool, args in world.calls if tool == "w/start"].count("migrate") == 1
    async with running(world, migration, app, store=store) as manager:
        await manager.recovered.wait()
        await manager.restart_service("web")
        assert [args["name"] for tool, args in world.calls if tool == "w/start"].count("migrate") == 1, "durable"


async def test_a_job_that_was_stopped_or_removed_is_waited_for_no_longer() -> None:
    job = named("job", completed={"jsonPath": {"state": "done"}}, lifecycleTools__healthCheck=None)
    app = named("app", dependencies=[{"name": "migrate", "condition": "completed"}])
    async with running(World(), job, app) as manager:
        for end in ("stop", "abandon"):
            await manager.create(CreateRequest("job", "migrate"))
            began = anyio.current_time()
            async with anyio.create_task_group() as group:

                async def start() -> None:
                    with pytest.raises(DependencyError, match=r"has not completed \(step"):
                        await manager.create(CreateRequest("app", "web"))

                group.start_soon(start)
                await anyio.sleep(3)
                if end == "stop":
                    await manager.stop_service("migrate")
                else:
                    await manager.delete("migrate", abandon=True)
            assert anyio.current_time() - began < 60, "not until the timeout of the dependency"
            await manager.delete("web")
            if end == "stop":
                await manager.delete("migrate")


async def test_a_job_that_failed_is_not_explained_as_what_should_run_on() -> None:
    world = World()
    job = named("job", completed={"jsonPath": {"state": "done"}})
    async with running(world, job) as manager:
        await manager.create(CreateRequest("job", "once"))
        world.resources.clear()
        await until(lambda: manager.view("once").reason == "gone")
        said = explain(manager.registry.get("once"), manager.registry, None, ())
        assert said.causes[0] == "once is failed: its work ended without success"


async def test_a_completed_service_is_not_restarted_by_its_policy() -> None:
    world = World()
    job = named("job", completed={"jsonPath": {"state": "done"}}, restartPolicy="always")
    world.always["w/health"] = Answer({"ok": True, "state": "done"})
    async with running(world, job) as manager:
        await manager.create(CreateRequest("job", "once"))
        await until(lambda: manager.view("once").state is ServiceState.STOPPED)
        await anyio.sleep(600)
        assert manager.view("once").starts == 1


async def test_an_optional_dependency_may_be_missing_or_fail() -> None:
    world = World()
    app = named(
        "app",
        dependencies=[{"name": "cache", "required": False}, {"name": "db", "required": False}],
        outputs={"cache": "{{ dependencies.cache.state }}", "db": "{{ dependencies.db.state }}"},
    )
    async with running(world, manifest(), app) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        world.faults["w/start"].append(Fail("no space"))
        result = await manager.create(CreateRequest("app", "web"))
        assert result.service.outputs == {"cache": "missing", "db": "missing"}
        assert "optional dependency 'cache' is missing" in notes(manager, "web")
        assert "no space" in notes(manager, "web")


async def test_when_decides_by_the_args() -> None:
    world = World()
    app = named("app", dependencies=[{"name": "db", "when": "{{ size > 1 }}"}])
    async with running(world, manifest(), app) as manager:
        assert (await manager.create(CreateRequest("app", "small", {"size": 1}))).service.dependencies == ()
        with pytest.raises(DependencyError, match="'big' depends on 'db', which does not exist"):
            await manager.create(CreateRequest("app", "big", {"size": 2}))


async def test_two_services_that_need_the_same_instance_get_the_same_one() -> None:
    world = World()
    shared = {"name": "db", "serviceClassName": "basic", "create": True}
    async with running(world, manifest(), named("app", dependencies=[shared])) as manager:
        async with anyio.create_task_group() as group:
            for name in ("one", "two", "three"):
                group.start_soon(manager.create, CreateRequest("app", name))
        assert [args["name"] for tool, args in world.calls if tool == "w/start"].count("db") == 1
        await manager.delete("one")
        await manager.delete("two")
        assert manager.view("db").state is ServiceState.RUNNING
        await manager.delete("three")
        await until(lambda: not manager.views())
        assert world.resources == {}


async def test_an_instance_that_is_made_on_demand_by_a_name_is_in_the_namespace_of_its_user() -> None:
    cache = {"name": "cache", "serviceClassName": "basic", "create": True}
    async with running(World(), manifest(), named("app", dependencies=[cache])) as manager:
        made = await manager.create(CreateRequest("app", "web", owner="ann", namespace="ann"))
        assert made.service.dependencies == ("cache.ann",)
        await manager.create(CreateRequest("app", "web"))
        assert {view.name for view in manager.views()} == {"web.ann", "cache.ann", "web", "cache"}
        await manager.restart_service("web.ann")
        assert manager.view("web.ann").dependencies == ("cache.ann",)


async def test_names_of_instances_made_on_demand_are_valid_and_distinct() -> None:
    long = "a-class-with-a-name-that-is-nearly-as-long-as-names-may-be"
    pair = [{"serviceClassName": "basic", "alias": f"{alias}_{'x' * 60}", "create": True} for alias in ("a", "b")]
    async with running(World(), manifest(), named("app", dependencies=pair)) as manager:
        await manager.create(CreateRequest("app", long))
        names = [view.name for view in manager.views() if view.name != long]
        assert len(set(names)) == 2
        assert all(len(name) <= 63 for name in names)


async def test_an_orphan_that_a_crash_left_is_removed_at_the_next_start() -> None:
    world, store = World(), MemoryStore()
    app = named("app", dependencies=[{"serviceClassName": "basic", "alias": "db", "create": True}])
    async with running(world, manifest(), app, store=store) as manager:
        await manager.create(CreateRequest("app", "web"))
        web = manager.registry.get("web")
        await manager.registry.get("web").stop()
        await store.commit([drop(web)])  # the crash comes before its dependency is told
    async with running(world, manifest(), app, store=store) as manager:
        await until(lambda: not manager.views())
    assert world.resources == {}


def drop(service: Any) -> Any:
    from ostler.engine.protocols import DropService

    return DropService(service.id)


async def test_labels_of_ostlers_own_cannot_be_given() -> None:
    async with running(World()) as manager:
        with pytest.raises(ArgumentError, match="ostler/created-for"):
            await manager.create(CreateRequest("basic", "db", labels={"ostler/created-for": "me"}))


async def test_a_dependency_on_a_class_takes_its_running_instance_and_stays_with_it() -> None:
    app = named("app", dependencies=[{"serviceClassName": "basic", "alias": "db"}])
    async with running(World(), manifest(), app) as manager:
        with pytest.raises(DependencyError, match="an instance of class 'basic', and there is none"):
            await manager.create(CreateRequest("app", "web"))
        await manager.create(CreateRequest("basic", "a", start=False))
        await manager.create(CreateRequest("basic", "b"))
        assert (await manager.create(CreateRequest("app", "web"))).service.dependencies == ("b",)
        await manager.start_service("a")
        await manager.stop_service("b")
        await manager.restart_service("web")
        assert manager.view("web").dependencies == ("b",)


async def test_what_is_made_on_demand_in_a_namespace_is_checked_with_what_it_sees_there() -> None:
    middle = named("middle", dependencies=[{"serviceClassName": "basic"}])
    app = named("app", dependencies=[{"serviceClassName": "middle", "alias": "api", "create": True}])
    async with running(World(), manifest(), middle, app) as manager:
        for class_name, name in (("basic", "data"), ("app", "web")):
            asked = CreateRequest(class_name, name, owner="ann", namespace="ann")
            assert not manager.plans.create(asked).problems
            await manager.create(asked)
        assert manager.view("web-api.ann").dependencies == ("data.ann",)


async def test_classes_that_would_make_each_other_without_end_are_refused_with_the_path() -> None:
    a = named("a", dependencies=[{"serviceClassName": "b", "create": True}])
    b = named("b", dependencies=[{"serviceClassName": "a", "create": True}])
    async with running(World(), a, b) as manager:
        (finding,) = manager.classes.findings
        assert (finding.rule, finding.severity) == ("class-cycle", "error")
        assert "cycle: a -> b -> a" in finding.message
        assert finding.line > 0
        with pytest.raises(DependencyError, match="form a cycle: one -> one-b -> one-b-a; 'a' would be made"):
            await manager.create(CreateRequest("a", "one"))
        assert manager.views() == []


async def test_what_cannot_be_made_is_found_before_anything_is_made() -> None:
    middle = named("middle", dependencies=[{"serviceClassName": "basic", "create": True, "args": {"size": 0}}])
    app = named("app", dependencies=[{"serviceClassName": "middle", "create": True}])
    lost = named("lost", dependencies=[{"serviceClassName": "basik", "create": True}])
    async with running(World(), manifest(), middle, app, lost) as manager:
        with pytest.raises(DependencyError, match="'web' needs web-middle -> web-middle-basic .*size"):
            await manager.create(CreateRequest("app", "web"))
        assert [(f.rule, f.fix) for f in manager.classes.findings] == [("unknown-class", "did you mean 'basic'?")]
        with pytest.raises(DependencyError, match="'basik' not found"):
            await manager.create(CreateRequest("lost", "x"))
        assert manager.views() == []


async def test_a_circle_that_comes_about_later_is_refused_and_no_one_hangs() -> None:
    first = named("first", dependencies=[{"serviceClassName": "other", "alias": "o", "required": False}])
    other = named("other", dependencies=["one"])
    async with running(World(), first, other) as manager:
        await manager.create(CreateRequest("first", "one"))
        await manager.stop_service("one")
        await manager.create(CreateRequest("other", "two", start=False))
        with anyio.fail_after(100), pytest.raises(DependencyError, match="cycle: one -> two -> one"):
            await manager.start_service("one")


async def test_a_lost_dependency_is_told_while_the_dependent_runs_on() -> None:
    world = World()
    app = named("app", dependencies=["db"], outputs={"db": "{{ dependencies.db.outputs.url }}"})
    async with running(world, manifest(), app) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.create(CreateRequest("app", "web"))
        for key in [key for key, made in world.resources.items() if made["name"] == "db"]:
            del world.resources[key]
        await until(lambda: manager.view("db").state is ServiceState.FAILED)
        view = manager.view("web")
        assert view.state is ServiceState.RUNNING
        assert len(view.dependency_problems) == 1
        assert view.dependency_problems[0].startswith("db is failed: ")
        await manager.start_service("db")
        (problem,) = manager.view("web").dependency_problems
        assert "db was started again with other outputs (url)" in problem
        await manager.restart_service("web")
        assert manager.view("web").dependency_problems == ()


async def test_a_dependency_that_fails_meanwhile_is_not_said_to_have_taken_its_whole_time() -> None:
    world = World(healthy=False)
    app = named("app", dependencies=[{"name": "db", "condition": "healthy", "timeout": "20s"}])
    async with running(world, manifest(), app) as manager, anyio.create_task_group() as tasks:
        await manager.create(CreateRequest("basic", "db"))

        async def create() -> None:
            with pytest.raises(DependencyError, match="not healthy: ") as caught:
                await manager.create(CreateRequest("app", "web"))
            assert "after 20s" not in str(caught.value)

        tasks.start_soon(create)
        await anyio.sleep(2)
        world.resources.clear()


async def test_outputs_of_a_dependency_that_are_not_used_may_change() -> None:
    app = named("app", dependencies=["db"], outputs={"db": "{{ dependencies.db.name }}"})
    async with running(World(), manifest(), app) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.create(CreateRequest("app", "web"))
        before = manager.view("db").outputs["url"]
        await manager.restart_service("db")
        assert manager.view("db").outputs["url"] != before
        assert manager.view("web").dependency_problems == ()


@pytest.mark.parametrize(
    ("used", "is_used"),
    [
        ("{{ dependencies.db.outputs.url }}", True),
        ("{{ dependencies['db']['outputs']['url'] }}", True),
        ("{{ dependencies.db.outputs | tojson }}", True),
        ("{% for one in dependencies.values() %}{{ one.outputs }}{% endfor %}", True),
        ("{{ dependencies.db.outputs.url | default('none') }}", True),
        ({"path": "dependencies.db.outputs.url"}, True),
        ("{{ dependencies.db.outputs.pid }}", False),
        ({"path": "start.url"}, False),
    ],
)
def test_what_a_class_uses_of_a_dependency_is_known(used: Any, is_used: bool) -> None:
    entry = named("app", dependencies=[{"name": "db", "alias": "db"}], outputs={"o": used})
    assert uses_output(entry.service_class, "db", "url") is is_used


@pytest.mark.parametrize(("project", "step"), [(None, "service_create"), (ProjectRef("shop", "/shop"), "project_up")])
async def test_a_start_without_its_dependency_names_what_makes_it(project: ProjectRef | None, step: str) -> None:
    async with running(World(), manifest(), named("app", dependencies=["db"])) as manager:
        await manager.create(CreateRequest("basic", "db"))
        view = (await manager.create(CreateRequest("app", "web", start=False, project=project))).service
        await manager.delete("db")
        with pytest.raises(DependencyError, match=f"service 'db' not found .*Next: {step} makes it; it starts autom"):
            await manager.start_service(view.name)


async def test_a_waiting_service_is_not_woken_by_a_dependency_that_is_not_the_cause() -> None:
    world = World()
    app = named("app", dependencies=["cache", "db"])
    async with running(world, manifest(), app) as manager:
        await manager.create(CreateRequest("basic", "cache"))
        await manager.create(CreateRequest("basic", "db", start=False))
        world.faults["w/start"].append(Fail("no space"))
        with pytest.raises(DependencyError):
            await manager.create(CreateRequest("app", "web"))
        await manager.restart_service("cache")
        await anyio.sleep(60)
        assert manager.view("web").state is ServiceState.WAITING
        assert manager.view("db").starts == 0
        await manager.start_service("db")
        await until(lambda: manager.view("web").state is ServiceState.RUNNING)


async def test_templates_see_dependencies_after_a_restart_of_the_server() -> None:
    world, store = World(), MemoryStore()
    check = {"tool": "w/health", "args": {"name": "{{ name }}", "dsn": "{{ dependencies.store.outputs.url }}"}}
    app = named("app", dependencies=[{"name": "db", "alias": "store"}], lifecycleTools__healthCheck=check)
    async with running(world, manifest(), app, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.create(CreateRequest("app", "web"))
    async with running(world, manifest(), app, store=store) as manager:
        await manager.recovered.wait()
        world.calls.clear()
        await until(lambda: manager.view("web").health is HealthStatus.HEALTHY, within=60)
        assert ("w/health", {"name": "web", "dsn": "ledger://r1/1"}) in world.calls


def shown_of(manager: ServiceManager, name: str, *also: object) -> str:
    """Return everything that events, the view and the plan of a stop show of a service, in one text."""
    page = manager.events.read(service=name, limit=1000)
    facts = [(event.message, event.data) for event in page.events]
    return repr([facts, manager.view(name), manager.plans.operate(name, "stop"), also])


async def test_secrets_of_a_dependency_are_masked_in_what_its_dependents_show() -> None:
    world, store = World(), MemoryStore()
    keeper = named("keeper", outputs={"password": {"template": "pw-{{ start.id }}-x@y", "secret": True}})
    relay = named(
        "relay",
        dependencies=[{"name": "db"}],
        outputs={"dsn": "ledger://u:{{ dependencies.db.outputs.password | urlencode }}@h"},
    )
    plan = {"id": "{{ start.id }}", "login": "{{ dependencies.relay.outputs.dsn }}"}
    app = named(
        "app",
        dependencies=[{"name": "relay"}, {"name": "db"}],
        lifecycleTools__start__args={"name": "{{ name }}", "password": "{{ dependencies.db.outputs.password }}"},
        lifecycleTools__stop__args=plan,
    )
    secrets = ("pw-r1-x@y", "pw-r1-x%40y")
    async with running(world, keeper, relay, app, store=store) as manager:
        for class_name, name in (("keeper", "db"), ("relay", "relay"), ("app", "web")):
            await manager.create(CreateRequest(class_name, name))
        assert world.resources["r3"]["password"] == secrets[0]
        history = await manager.history("web")
        plans = [manager.plans.operate("web", "restart"), manager.plans.create(CreateRequest("app", "other"))]
        shown = shown_of(manager, "web", history, manager.view("relay"), plans)
        assert "'password': '***'" in shown
        assert "ledger://u:***@h" in shown
        assert not [secret for secret in secrets if secret in shown]
        await manager.stop_service("relay")
        await manager.delete("db")
    async with running(world, keeper, relay, app, store=store) as manager:
        await manager.recovered.wait()
        world.faults["w/stop"].append(Fail(f"{secrets[0]} is not allowed to, nor {secrets[1]}"))
        with pytest.raises(OstlerError, match=r"stop tool failed: \*\*\* is not allowed to, nor \*\*\*"):
            await manager.stop_service("web")
        assert ("w/stop", {"id": "r3", "login": f"ledger://u:{secrets[1]}@h"}) in world.calls
        service, history = manager.registry.get("web"), await manager.history("web")
        shown = shown_of(manager, "web", history, explain(service, manager.registry, None, history))
        assert not [secret for secret in secrets if secret in shown]


async def test_what_is_wrong_with_a_dependency_that_runs_explains_what_fails_for_it() -> None:
    world = World()
    async with running(world, manifest(), named("app", dependencies=[{"name": "db"}])) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.create(CreateRequest("app", "web"))
        world.healthy = False
        await manager.check_health("db")
        web = manager.registry.get("web")
        assert "db" not in " ".join(explain(web, manager.registry, None, ()).causes), "it is well itself"
        await manager.check_health("web")
        found = explain(web, manager.registry, None, ())
        assert any(cause.startswith("db: 1 health checks failed in a row") for cause in found.causes)
        assert ("service_explain", {"name": "db"}) in [(step.tool, step.args) for step in found.next_calls]
        world.faults["w/start"].append(Fail("no connection"))
        with pytest.raises(OstlerError):
            await manager.restart_service("web")
        assert any(cause.startswith("db: ") for cause in explain(web, manager.registry, None, ()).causes)


async def test_secrets_of_a_dependency_are_masked_when_the_dependent_was_adopted() -> None:
    world, store = World(), MemoryStore()
    app = named(
        "app",
        dependencies=[{"name": "db"}],
        lifecycleTools__stop__args={"id": "{{ start.id }}", "login": "{{ dependencies.db.outputs.url }}"},
    )
    async with running(world, manifest(outputs={"url": "ledger://{{ password }}@h"}), app, store=store) as manager:
        await manager.create(CreateRequest("basic", "db", {"password": "hunter2-hunter2"}))
        await manager.create(CreateRequest("app", "web", start=False))
        await manager.start_service("web", adopt={"id": "r9"})
    async with running(world, app, store=store) as manager:
        await manager.recovered.wait()
        before = manager.plans.operate("web", "stop")
        await manager.stop_service("web")
        assert ("w/stop", {"id": "r9", "login": "ledger://hunter2-hunter2@h"}) in world.calls
        shown = shown_of(manager, "web", before, await manager.history("web"))
        assert "ledger://***@h" in shown
        assert "hunter2" not in shown


async def test_a_service_waits_for_the_server_that_drives_it() -> None:
    world, servers = World(), Servers()
    async with running(world, tools=servers) as manager:
        servers.set("w", connected=False)
        await manager.create(CreateRequest("basic", "db", start=False))
        with pytest.raises(DependencyError, match="waits for downstream server 'w': server 'w' is away"):
            await manager.start_service("db")
        assert manager.view("db").state is ServiceState.WAITING
        assert world.calls == []
        servers.set("w", connected=True)
        await until(lambda: manager.view("db").state is ServiceState.RUNNING)


async def test_without_a_tool_that_looks_health_is_what_is_known_of_the_server() -> None:
    world, servers = World(), Servers()
    blind = named("blind", lifecycleTools__healthCheck=None, lifecycleTools__status=None, healthCheck=None)
    async with running(world, blind, tools=servers) as manager:
        await manager.create(CreateRequest("blind", "x"))
        assert manager.view("x").health is HealthStatus.HEALTHY
        assert "no tool that checks" in manager.view("x").evidence
        servers.set("w", connected=False)
        servers.set("w", connected=True)
        assert manager.view("x").health is HealthStatus.UNKNOWN
        assert manager.view("x").state is ServiceState.RUNNING


# -- all at once, and configured services -----------------------------------------------------------------


class Static(BaseService):
    """A configured service of one's own."""

    def __init__(self, name: str, *needs: str, seconds: float = 1.0) -> None:
        super().__init__(name, "demo", dependencies=needs, state=ServiceState.STOPPED)
        self.seconds = seconds
        self.fault: OstlerError | None = None
        self.log: list[str] = []

    async def start(self) -> None:
        self.report(Transition.START_REQUESTED)
        await anyio.sleep(self.seconds)
        if self.fault is not None:
            self.report(Transition.START_FAILED, error=self.fault)
            raise self.fault
        self.log.append(f"start {self.name}")
        self.report(Transition.STARTED)

    async def stop(self) -> None:
        self.report(Transition.STOP_REQUESTED)
        await anyio.sleep(self.seconds)
        self.log.append(f"stop {self.name}")
        self.report(Transition.STOPPED)


async def test_configured_services_and_instances_start_and_stop_along_one_graph() -> None:
    world = World()
    tunnel, context = Static("tunnel", "context"), Static("context")
    tunnel.log = context.log = log = []
    async with running(world, named("app", dependencies=["tunnel"])) as manager:
        manager.registry.register(tunnel)
        manager.registry.register(context)
        await manager.create(CreateRequest("app", "web", start=False))
        assert await manager.start_all() == {}
        assert log == ["start context", "start tunnel"]
        assert {view.state for view in manager.views()} == {ServiceState.RUNNING}
        assert await manager.stop_all() == {}
        assert log[2:] == ["stop tunnel", "stop context"]
        assert world.resources == {}
        kinds = {item.message for item in manager.events.read(service="tunnel", limit=99).events}
        assert "starting -> running" in kinds


async def test_a_configured_service_waits_for_what_it_needs_and_circles_are_refused() -> None:
    async with running(World()) as manager:
        tunnel, context = Static("tunnel", "context"), Static("context")
        context.fault = OstlerError("no such context")
        for service in (tunnel, context, Static("a", "b"), Static("b", "a")):
            manager.registry.register(service)
        failures = await manager.start_all()
        assert sorted(failures) == ["a", "b", "context", "tunnel"]
        assert "cycle" in str(failures["a"])
        assert tunnel.state is ServiceState.WAITING
        assert "no such context" in str(tunnel.last_error)
        context.fault = None
        await manager.start_service("context")
        await until(lambda: tunnel.state is ServiceState.RUNNING)


async def test_start_all_ends_in_time_and_names_what_is_late() -> None:
    async with running(World()) as manager:
        manager.registry.register(Static("slow", seconds=100.0))
        manager.registry.register(Static("quick"))
        began = anyio.current_time()
        failures = await manager.start_all(timeout=10)
        assert anyio.current_time() - began == pytest.approx(10)
        assert list(failures) == ["slow"]
        assert isinstance(failures["slow"], OperationTimeoutError)


async def test_a_stop_may_take_the_dependents_with_it() -> None:
    world = World()
    chain = [named("app", dependencies=["db"]), named("site", dependencies=["web"])]
    async with running(world, manifest(), *chain) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.create(CreateRequest("app", "web"))
        await manager.create(CreateRequest("site", "page"))
        world.calls.clear()
        await manager.stop_service("db", dependents=True)
        assert [args["id"] for tool, args in world.calls if tool == "w/stop"] == ["r3", "r2", "r1"]
        assert {view.state for view in manager.views()} == {ServiceState.STOPPED}


async def test_a_stop_with_dependents_that_cannot_stop_leaves_the_service_alone() -> None:
    world = World()
    async with running(world, manifest(), named("app", dependencies=["db"])) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.create(CreateRequest("app", "web"))
        world.always["w/stop"] = Fail("busy")
        with pytest.raises(OstlerError, match="'db' was not stopped, because .*web: .*busy"):
            await manager.stop_service("db", dependents=True)
        assert manager.view("db").state is ServiceState.RUNNING
