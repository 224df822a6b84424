"""`service_explain` over MCP: causes, the question, calls that can be sent as they are, in at most 800 tokens."""

import json
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.engine.test_recovery import crashed_start
from tests.support.ledger_app import LedgerApplication, LedgerTools, call, ledger, quiet, refusal, server_over
from tests.support.world import EPOCH, Answer, Fail, Hang, Slow, World, manifest, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.clock import LoopClock
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.model.records import CallOutcome

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


async def explained(client: Client, name: str) -> dict[str, Any]:
    """Ask for an explanation, and check its size against the limit."""
    result = await client.call_tool("service_explain", {"name": name})
    assert not result.is_error, result.content
    text = "".join(block.text for block in result.content if block.type == "text")
    size = len(json.dumps(result.structured_content, ensure_ascii=False).encode()) + len(text.encode())
    assert size / 4 <= 800
    return result.structured_content or {}


async def send(client: Client, step: dict[str, Any], **filled: Any) -> dict[str, Any]:
    """Send a call as the explanation has it, with the blanks in `outputs` filled in."""
    args = dict(step["args"])
    if filled:
        assert set(args["outputs"]) == set(filled)
        args["outputs"] = filled
    return await call(client, step["tool"], **args)


async def test_a_held_service_is_settled_by_the_calls_that_its_explanation_has() -> None:
    for runs in (True, False):
        world, store = World(), MemoryStore()
        entry = await crashed_start(world, store, CallOutcome.INTENDED, find=False)
        if runs:
            await world.call_tool("w/start", {"name": "db"})
        tools = LedgerTools(world)
        manager = ServiceManager(tools, store, tools=tools, clock=LoopClock(EPOCH))
        manager.classes.add(entry)
        async with manager, Client(server_over(LedgerApplication(manager, tools))) as client:
            await manager.recovered.wait()
            found = await explained(client, "db")
            assert found["state"] == "unknown"
            assert found["question"].endswith("Does it run?")
            assert found["lastCalls"][0]["outcome"] == "intended"
            if runs:
                answer = await send(client, found["nextCalls"][0], id="r1")
                assert answer["service"]["state"] == "running"
                await call(client, "service_delete", name="db")
                assert world.resources == {}
            else:
                await send(client, found["nextCalls"][-1])
            assert manager.views() == []


async def test_a_failure_is_followed_to_the_dependency_behind_it() -> None:
    web = quiet(dependencies=["db"])
    world = World()
    async with ledger(world, quiet()) as app, Client(server_over(app)) as client:
        app.classes.add(_named(web, "web"))
        await call(client, "service_create", serviceClassName="basic", name="db", start=False)
        world.always["w/start"] = Fail("the disk quota is used up")
        text, _ = await refusal(client, "service_create", serviceClassName="web", name="site")
        assert "waits for 'db'" in text
        found = await explained(client, "site")
        assert found["state"] == "waiting"
        assert any("db: start tool failed: the disk quota is used up" in cause for cause in found["causes"])
        assert {"tool": "service_explain", "args": {"name": "db"}} in [
            {key: step[key] for key in ("tool", "args")} for step in found["nextCalls"]
        ]
        assert (await explained(client, "db"))["lastCalls"][0]["error"] == (
            "start tool failed: the disk quota is used up"
        )


async def test_what_has_done_its_work_is_no_cause_and_what_one_runs_without_is() -> None:
    world = World()
    job = quiet(
        completed={"jsonPath": {"state": "done"}}, lifecycleTools__healthCheck=None, healthCheck__initialDelay="1s"
    )
    needs = [{"name": "migrate", "condition": "completed"}]
    classes = (_named(job, "job"), _named(quiet(dependencies=needs), "api"), _named(quiet(dependencies=["api"]), "web"))
    async with ledger(world, *classes) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="job", name="migrate")
        world.always["w/status"] = Answer({"state": "done"})
        await until(lambda: app.manager.view("migrate").reason == "completed", within=15)
        del world.always["w/status"]
        found = await explained(client, "migrate")
        assert found["causes"] == ["migrate is stopped: it has done its work"]
        for name in ("api", "web"):
            await call(client, "service_create", serviceClassName=name, name=name)
        world.always["w/start"] = Fail("the disk quota is used up")
        await refusal(client, "service_restart", name="api")
        found = await explained(client, "api")
        assert "the disk quota is used up" in found["causes"][1]
        assert not [cause for cause in found["causes"] if "migrate" in cause]
        assert [step["tool"] for step in found["nextCalls"]] == ["service_start"]
        found = await explained(client, "web")
        assert found["causes"][0] == "web is running"
        assert found["causes"][1].startswith(
            "web runs on, but its dependency api is failed: start tool failed: the disk"
        )
        assert found["nextCalls"] == [
            {"tool": "service_explain", "args": {"name": "api"}, "when": "to see what is wrong with its dependency"}
        ]


def _named(entry: Any, name: str) -> Any:
    import yaml

    value = yaml.safe_load(entry.text)
    value["metadata"]["name"] = name
    return manifest(yaml.safe_dump(value))


async def test_secrets_are_not_in_it_and_long_texts_are_cut() -> None:
    world = World()
    async with ledger(world) as app, Client(server_over(app)) as client:
        world.always["w/start"] = Fail("no entry for hunter2-hunter2: " + "x" * 5000)
        await call(
            client, "service_create", serviceClassName="basic", name="db", args={"password": "hunter2-hunter2"},
            wait=False,
        )  # fmt: skip
        await until(lambda: app.manager.view("db").state.value == "failed")
        found = await explained(client, "db")
        assert "hunter2" not in json.dumps(found)
        assert "no entry for ***" in json.dumps(found)


async def test_what_is_well_is_explained_too_and_what_is_not_there_is_not() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="db")
        found = await explained(client, "db")
        assert found["causes"] == ["db is running"]
        assert "nextCalls" not in found
        text, facts = await refusal(client, "service_explain", name="dbs")
        assert facts["code"] == "not_found"
        assert "did you mean 'db'" in text


async def test_a_service_that_is_gone_is_explained_by_what_failed_last() -> None:
    world = World()
    async with ledger(world) as app, Client(server_over(app)) as client:
        world.faults["w/start"].append(Fail("no room"))
        await refusal(client, "service_create", serviceClassName="basic", name="db")
        found = await explained(client, "db")
        assert found["state"] == "deleted"
        assert found["causes"][0].endswith("ago: its start failed on create")
        assert found["causes"][1].startswith("start failed: start tool failed: no room")
        assert [(past["tool"], past["outcome"]) for past in found["lastCalls"]] == [("w/start", "failed")]
        for step in found["nextCalls"]:
            assert (await send(client, step))["events"]
        await call(client, "service_create", serviceClassName="basic", name="db")
        assert (await explained(client, "db"))["causes"] == ["db is running"]
        await call(client, "service_delete", name="db")
        [cause] = (await explained(client, "db"))["causes"]
        assert cause.endswith("ago: requested"), "what failed in an earlier life is not said of this one"


@pytest.mark.virtual
async def test_a_create_that_ran_out_of_time_says_whose_limit_it_was_and_what_is_possible_now() -> None:
    world = World()
    async with ledger(world, quiet(timeout__create="20s")) as app, Client(server_over(app)) as client:
        world.faults["w/start"].append(Hang(acts=True))
        text, _ = await refusal(client, "service_create", serviceClassName="basic", name="db")
        assert "if it needs longer, raise the timeout of 'start' in class 'basic' (20 s)" in text
        cause = (await explained(client, "db"))["causes"][1]
        assert cause.endswith("; correct the cause, then create it again"), "no one can start what is gone"


@pytest.mark.virtual
async def test_a_stop_that_ran_out_of_time_names_its_tool_and_what_is_asked_is_a_question() -> None:
    world = World(always={"w/stop": Slow(100)})
    async with ledger(world, quiet(timeout__delete="5s")) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="db")
        text, _ = await refusal(client, "service_stop", name="db")
        assert "stop took longer than 5s (timeout.delete) (service 'db', step 'stop', tool 'w/stop')" in text
        found = await explained(client, "db")
        assert found["question"] == "does db run?"
        assert any("stop took longer than 5s" in cause for cause in found["causes"])
        await until(lambda: any("verify began" in event.message for event in app.manager.events.read().events))
        verified = [event.message for event in app.manager.events.read().events if "verify began" in event.message]
        assert "restored" not in verified[0], "it was not restored from the store"


async def test_lists_and_status_never_wait_for_the_disk() -> None:
    class Stuck(MemoryStore):
        is_stuck = False

        async def commit(self, changes: Any) -> None:
            if self.is_stuck:
                await anyio.sleep_forever()
            await super().commit(changes)

    store, tools = Stuck(), LedgerTools(World())
    manager = ServiceManager(tools, store, tools=tools, clock=LoopClock(EPOCH), shutdown_timeout=1.0)
    manager.classes.add(quiet())
    async with manager, Client(server_over(LedgerApplication(manager, tools))) as client:
        await manager.create(CreateRequest("basic", "db"))
        store.is_stuck = True
        with anyio.move_on_after(5):
            await manager.stop_service("db")
        began = anyio.current_time()
        assert (await call(client, "service_status", name="db"))["operation"]["kind"] == "stop"
        assert (await call(client, "service_list"))["total"] == 1
        assert anyio.current_time() - began < 0.1
        store.is_stuck = False


async def test_half_a_surrogate_pair_in_what_is_kept_breaks_no_answer() -> None:
    world = World()
    async with ledger(world, quiet()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="db", start=False)
        world.always["w/start"] = Fail("no file caf\udce9")
        for _ in range(4):  # so many that the first events are packed
            assert "no file caf\ufffd" in (await refusal(client, "service_start", name="db"))[0]
        assert "no file caf\ufffd" in str(await explained(client, "db"))
        for tool in ("service_get", "service_status", "service_events"):
            answer = await call(client, tool, name="db")
            assert "caf\ufffd" in json.dumps(answer, ensure_ascii=False).encode().decode()
        world.always.clear()
        await call(client, "service_delete", name="db")
