"""The application over a store on PostgreSQL, which goes away and comes back."""

import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from tests.support.postgresql import Postgresql
from tests.support.tcp_proxy import tcp_proxy

from ostler.adapters.config.paths import Paths
from ostler.engine.services.views import CreateRequest
from ostler.faces.application import Application
from ostler.faces.assembly import open_application
from ostler.model.errors import StoreError, StoreHeldError

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]


async def until_said(app: Application, text: str) -> None:
    with anyio.fail_after(60):
        since = 0
        while True:
            page = await app.manager.events.wait(since=since, timeout=20)
            if any(text in event.message for event in page.events):
                return
            since = page.next_cursor


def tools_called(app: Application) -> int:
    return sum("start" in event.data.get("step", "") for event in app.manager.events.read(limit=1000).events)


async def test_operations_are_refused_before_any_call_while_the_database_is_away(
    state_dir: Path, postgresql: Postgresql
) -> None:
    paths = Paths.resolve(state_dir / "config", state_dir / "state", environ={})
    url = postgresql.new_database()
    async with tcp_proxy(postgresql.port) as proxy:
        environment = {"OSTLER_STORE": url.replace(f":{postgresql.port}/", f":{proxy.port}/")}
        async with open_application(paths, environment=environment) as app:
            shown = environment["OSTLER_STORE"].replace(":let%20me%20in", "")
            assert app.effective_config()["settings"]["store"] == shown
            await app.downstream.wait_until_connected("process", 60)
            await app.manager.create(CreateRequest("command", "first", {"command": "sleep 600"}))
            proxy.refuses = True
            await proxy.cut()
            await until_said(app, "operations are refused")
            for name, asked in {
                "second": app.manager.create(CreateRequest("command", "second", {"command": "sleep 600"})),
                "first": app.manager.restart_service("first"),
            }.items():
                with pytest.raises(StoreError, match="nothing was written"):
                    await asked
                assert ("second" in app.manager.registry) is False, name
            assert tools_called(app) == 1
            assert app.manager.view("first").state.is_up
            proxy.refuses = False
            await until_said(app, "the database is back")
            await app.manager.create(CreateRequest("command", "second", {"command": "sleep 600"}))
    async with open_application(paths, environment={"OSTLER_STORE": url}, stop_on_exit=True) as app:
        with anyio.fail_after(60):
            await app.manager.recovered.wait()
        assert [app.manager.view(name).state.is_up for name in ("first", "second")] == [True, True]
        other = Paths.resolve(state_dir / "config", state_dir / "other", environ={})
        with pytest.raises(StoreHeldError, match="is held by another Ostler"):
            async with open_application(other, environment={"OSTLER_STORE": url}):
                pass


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OSTLER_STORE": "mysql://x/y"}, "the variable OSTLER_STORE must be 'sqlite', or the URL of a PostgreSQL"),
        ({"OSTLER_STORE": "postgresql://nobody@127.0.0.1:1/x"}, "could not be reached"),
    ],
)
async def test_a_wrong_store_ends_the_start(state_dir: Path, environment: Mapping[str, str], said: str) -> None:
    paths = Paths.resolve(state_dir / "config", state_dir / "state", environ={})
    with pytest.raises(StoreError) as caught:
        async with open_application(paths, environment=environment):
            pass
    assert said in str(caught.value)
    assert caught.value.next_actions


async def test_without_the_library_the_error_says_what_to_install(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ostler.adapters.stores.postgresql", None)  # as if it could not be imported
    paths = Paths.resolve(state_dir / "config", state_dir / "state", environ={})
    with pytest.raises(StoreError, match=r"pip install '\.\[postgresql\]'"):
        async with open_application(paths, environment={"OSTLER_STORE": "postgresql://x/y"}):
            pass
