"""The classes postgresql and redis, run for real through the process server: data, passwords, clean stops."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil
import pytest
from tests.support.shipped import create, open_ostler, program, until_gone, until_health, until_restarted

from ostler.engine.services.views import CreateRequest
from ostler.faces.application import Application
from ostler.model.errors import OstlerError

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

PASSWORD = 'it\'s "50 %" /?@:#\\é'


def postgres_programs() -> Path:
    """Return the folder of PostgreSQL's programs."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else Path(program("postgres")).parent


@pytest.fixture
def account() -> dict[str, str]:
    """Return the arg that keeps PostgreSQL from being run as root, which it refuses."""
    return {"runAs": "nobody"} if os.geteuid() == 0 else {}


@pytest.fixture
def data(tmp_path: Path, account: dict[str, str]) -> Iterator[Path]:
    """A folder that the account may write to, below folders that it may enter."""
    if not account:
        yield tmp_path
        return
    entry = pwd.getpwnam(account["runAs"])
    folder = Path("/tmp") / f"ostler-test-{os.getpid()}-{tmp_path.name}"
    folder.mkdir(mode=0o700)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    yield folder
    shutil.rmtree(folder)


async def sql(connection: str, statement: str, *, fails: bool = False) -> str:
    command = [program("psql"), "--no-psqlrc", "-At", "-c", statement, connection]
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    )
    assert (done.returncode != 0) is fails, done.stderr
    return done.stderr if fails else done.stdout.strip()


async def logged(app: Application, name: str) -> str:
    return "\n".join((await app.service_logs(name)).lines)


async def test_postgresql_from_nothing_to_a_clean_stop_and_back(
    tmp_path: Path, data: Path, account: dict[str, str]
) -> None:
    postgres_programs()
    args = {
        "database": "shop",
        "user": "keeper",
        "password": PASSWORD,
        "dataDirectory": f"{data}/it's data",
        "settings": {"max_connections": 11, "log_checkpoints": False},
        **account,
    }
    async with open_ostler(tmp_path, within=240) as app:
        manager = app.manager
        outputs = await create(manager, "postgresql", "db", **args)
        connection = outputs["connectionString"]
        assert await sql(connection, "SELECT current_user, current_database()") == "keeper|shop"
        assert await sql(connection, "SHOW max_connections") == "11"
        assert await sql(connection, "SHOW server_encoding") == "UTF8"
        assert PASSWORD not in str(manager.view("db").outputs)
        wrong = connection.replace("keeper:", "keeper:x")
        assert "password authentication failed" in await sql(wrong, "SELECT 1", fails=True)
        assert "no password supplied" in await sql(f"{outputs['url']}?connect_timeout=20", "SELECT 1", fails=True)
        await until_health(manager, "db", "healthy")
        await sql(connection, "CREATE TABLE things (name text); INSERT INTO things VALUES ('kept')")
        argv = " ".join(psutil.Process(outputs["pid"]).cmdline())
        assert "it's \"50" not in argv

        # a client that stays connected does not hold up the stop, and the data is left clean
        with socket.create_connection(("127.0.0.1", outputs["port"]), timeout=60):
            await manager.stop_service("db")
        await until_gone([outputs["pid"]], within=0)
        assert "database system is shut down" in await logged(app, "db")
        await manager.start_service("db")
        assert "was not properly shut down" not in await logged(app, "db")
        assert manager.reveal("db")[1]["port"] == outputs["port"]
        assert await sql(connection, "SELECT name FROM things") == "kept"

        # killed, it comes back on its own, and recovers
        victim = manager.reveal("db")[1]["pid"]
        psutil.Process(victim).kill()
        await until_restarted(manager, "db")
        assert await sql(connection, "SELECT name FROM things") == "kept"
        await manager.delete("db")

        # the data stays; another password and another database hold from the next start
        changed: dict[str, Any] = {**args, "password": "other", "database": "second"}
        outputs = await create(manager, "postgresql", "again", **changed)
        assert await sql(outputs["connectionString"], "SELECT current_database()") == "second"
        assert await sql(outputs["connectionString"].replace("/second", "/shop"), "TABLE things") == "kept"
        await manager.delete("again")

        # the database postgres and the user that made the data are there: no program looks for them before the server
        plain: dict[str, Any] = {"dataDirectory": args["dataDirectory"], "user": "keeper", **account}
        connection = (await create(manager, "postgresql", "plain", **plain))["connectionString"]
        assert await sql(connection, "SELECT current_user, current_database()") == "keeper|postgres"
        looked_first = "checkpoint starting: shutdown"
        assert looked_first not in await logged(app, "plain")
        await sql(connection.replace("/postgres?", "/second?"), "DROP DATABASE postgres")
        await manager.restart_service("plain")
        assert await sql(connection, "SELECT current_database()") == "postgres"
        assert looked_first in await logged(app, "plain")
        await manager.delete("plain")
        connection = (await create(manager, "postgresql", "other", **{**plain, "user": "guest"}))["connectionString"]
        assert await sql(connection, "SELECT current_user, current_database()") == "guest|postgres"
        await manager.delete("other")


async def test_what_keeps_postgresql_from_starting_is_said(tmp_path: Path, data: Path, account: dict[str, str]) -> None:
    postgres_programs()
    (data / "mine").mkdir()
    (data / "mine" / "file").write_text("of another program")
    refused: dict[str, dict[str, Any]] = {
        "is neither empty nor a data folder of PostgreSQL": {"dataDirectory": f"{data}/mine", **account},
        "a server that listens on 0.0.0.0 needs the arg password": {"host": "0.0.0.0", **account},
        "this machine has no user 'no-such-user-x'": {"runAs": "no-such-user-x"},
    }
    if account:
        refused["Next: give the arg runAs a user of this machine other"] = {"dataDirectory": f"{data}/new"}
    async with open_ostler(tmp_path, within=120) as app:
        for text, args in refused.items():
            with pytest.raises(OstlerError) as caught:
                await app.manager.create(CreateRequest("postgresql", "db", args))
            assert text in str(caught.value)
            assert "runAs" not in text or "fix the command" not in str(caught.value)
            assert "db" not in app.manager.registry
    assert [path.name for path in data.iterdir()] == ["mine"]


async def test_redis_keeps_its_data_and_its_password(tmp_path: Path) -> None:
    cli, _ = program("redis-cli", "valkey-cli"), program("redis-server", "valkey-server")

    async def redis(port: int, *words: str, password: str = "") -> str:
        variables = {**os.environ, **({"REDISCLI_AUTH": password} if password else {})}
        command = [cli, "--no-auth-warning", "-p", str(port), *words]
        done = await anyio.to_thread.run_sync(
            lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=variables)
        )
        return done.stdout.strip()

    password = 'a"b\\c$HOME`x`é'
    data = str(tmp_path / "the data")
    async with open_ostler(tmp_path, within=120) as app:
        manager = app.manager
        outputs = await create(
            manager, "redis", "cache", password=password, dataDirectory=data, settings={"maxmemory": "50mb"}
        )
        port = outputs["port"]
        assert "NOAUTH" in await redis(port, "GET", "x")
        assert await redis(port, "SET", "x", "kept", password=password) == "OK"
        assert (await redis(port, "CONFIG", "GET", "maxmemory", password=password)).endswith(str(50 * 1024 * 1024))
        await until_health(manager, "cache", "healthy")
        assert 'a"b' not in " ".join(psutil.Process(outputs["pid"]).cmdline())
        assert password not in str(manager.view("cache").outputs)

        with pytest.raises(OstlerError, match="another server keeps its data in .*the data; stop it"):
            # Redis 7.0 would start, and the one that stops last would overwrite the other's keys
            await create(manager, "redis", "second", dataDirectory=data)

        await manager.restart_service("cache")
        assert await redis(port, "GET", "x", password=password) == "kept"
        assert "User requested shutdown" in "\n".join(
            (await app.downstream.call_tool("process/logs", {"key": "cache", "previous": True})).text.splitlines()
        )
        await manager.delete("cache")

        open_one = await create(manager, "redis", "open", persist=False, dataDirectory=f"{data}2")
        assert open_one["connectionString"] == f"{open_one['url']}/0" == f"redis://127.0.0.1:{open_one['port']}/0"
        assert manager.view("open").outputs["url"] == open_one["url"], "hiding the one hides the other"
        assert manager.view("open").outputs["connectionString"] == "***"
        assert await redis(open_one["port"], "CONFIG", "GET", "appendonly") == "appendonly\nno"
        server = {"server": open_one["connectionString"]}
        await redis(open_one["port"], "-n", "1", "SET", "x", "of someone else")
        first = await create(manager, "redis-database", "data.shop", whenStopped="drop", **server)
        other = await create(manager, "redis-database", "data.fix.shop", whenDeleted="drop", **server)
        assert (first["number"], other["number"]) == (2, 3), "an empty one each"
        assert first["connectionString"] == f"{open_one['url']}/2"
        await redis(open_one["port"], "-n", "2", "SET", "x", "mine")
        await manager.restart_service("data.shop")
        assert await redis(open_one["port"], "-n", "2", "GET", "x") == "mine"
        await until_health(manager, "data.shop", "healthy")
        await redis(open_one["port"], "FLUSHDB")
        await manager.check_health("data.shop")
        assert "database 2 is not that of data.shop any more" in manager.view("data.shop").evidence
        for name in ("data.shop", "data.fix.shop"):
            await manager.restart_service(name)
        assert await redis(open_one["port"], "GET", "ostler:database:2") == "data.shop", "it is taken again"
        await manager.delete("data.shop")
        assert await redis(open_one["port"], "-n", "2", "DBSIZE") == "0"
        await redis(open_one["port"], "-n", "3", "SET", "x", "mine")
        await manager.stop_service("data.fix.shop")
        assert await redis(open_one["port"], "-n", "3", "GET", "x") == "mine", "a stop keeps it"
        await manager.delete("data.fix.shop")
        assert await redis(open_one["port"], "-n", "3", "DBSIZE") == "0"
        assert (await create(manager, "redis-database", "data.two.shop", **server))["number"] == 2, "both are free"
        with pytest.raises(OstlerError, match=r"a server that listens on 0\.0\.0\.0 needs the arg password"):
            await manager.create(CreateRequest("redis", "public", {"host": "0.0.0.0", "dataDirectory": data}))


async def test_each_worktree_has_a_database_on_one_server(tmp_path: Path, data: Path, account: dict[str, str]) -> None:
    postgres_programs()
    async with open_ostler(tmp_path, within=240) as app:
        manager = app.manager
        server = await create(
            manager, "postgresql", "db.shop", dataDirectory=f"{data}/data", database="seed", **account
        )
        seed = server["connectionString"]
        await sql(seed, "CREATE TABLE things (name text); INSERT INTO things VALUES ('from the template')")
        names = ("data.shop", "data.fix-ui.shop")
        made: dict[str, str] = {}
        # a session that stays on the template is in no one's way
        asks_on = [program("psql"), "--no-psqlrc", "-c", "SELECT pg_sleep(30)", seed]
        with subprocess.Popen(asks_on, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as session:
            await until_answer(seed, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)'", "1")

            async def make(name: str) -> None:
                args = {"server": seed.replace("/seed", "/postgres"), "template": "seed", "whenStopped": "drop"}
                made[name] = (await create(manager, "postgresql-database", name, **args))["connectionString"]

            async with anyio.create_task_group() as group:
                for name in names:
                    group.start_soon(make, name)
            session.kill()
        assert "/db_data_fix_ui_shop?" in made["data.fix-ui.shop"]
        await sql(made["data.fix-ui.shop"], "INSERT INTO things VALUES ('mine')")
        assert await sql(made["data.shop"], "SELECT name FROM things") == "from the template"
        await manager.restart_service("data.fix-ui.shop")
        assert await sql(made["data.fix-ui.shop"], "SELECT count(*) FROM things") == "2"
        await until_health(manager, "data.fix-ui.shop", "healthy")
        await sql(seed, "DROP DATABASE db_data_fix_ui_shop WITH (FORCE)")
        await manager.restart_service("data.fix-ui.shop")
        assert await sql(made["data.fix-ui.shop"], "SELECT name FROM things") == "from the template", "made again"
        await manager.delete("data.fix-ui.shop")
        databases = "SELECT datname FROM pg_database WHERE datname LIKE 'db_%' ORDER BY 1"
        assert await sql(seed, databases) == "db_data_shop"
        kept = "SELECT datname FROM pg_database WHERE datname = 'kept'"
        await create(manager, "postgresql-database", "kept", server=seed, database="kept")
        await manager.delete("kept")
        assert await sql(seed, kept) == "kept"
        await create(manager, "postgresql-database", "kept", server=seed, database="kept", whenDeleted="drop")
        await manager.stop_service("kept")
        assert await sql(seed, kept) == "kept"
        await manager.delete("kept")
        assert await sql(seed, kept) == ""
        with pytest.raises(OstlerError, match="does not exist"):
            await create(manager, "postgresql-database", "none", server=seed, template="nowhere")


async def until_answer(connection: str, statement: str, answer: str) -> None:
    with anyio.fail_after(30):
        while await sql(connection, statement) != answer:
            await anyio.sleep(0.05)
