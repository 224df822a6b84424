"""What many services cost the server that works and those that follow it: memory, CPU, and a copy of everything."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

import anyio
import httpx2
import psutil
import psycopg
from msgspec.structs import replace
from tests.support.postgresql import Postgresql, running

from benchmarks.figures import title
from benchmarks.store import records
from benchmarks.wire_builds import command_of, serve
from benchmarks.wire_clients import RawHttp
from ostler.adapters.replicas.wire_form import Kind
from ostler.adapters.stores.postgresql_copies import migrate_database
from ostler.adapters.stores.records_json import SERVICE
from ostler.faces.bridge.version import VERSION
from ostler.faces.replicas.feed_server import FEED, follower_token
from ostler.model.records import PlannedCall, ServiceRecord
from ostler.model.states import ServiceState
from ostler.rules.loading.manifests import service_class_to_json
from ostler.rules.reading import load_manifests

if TYPE_CHECKING:
    import subprocess

FOLLOWERS: Final = 2
LIST_SERVER: Final = Path(__file__).resolve().parents[1] / "tests" / "support" / "list_server.py"
CLASS: Final = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: listed}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: list/check, args: {name: "{{ name }}"}, outputs: {id: name}}
      stop: {tool: list/check, args: {name: "{{ start.id }}"}}
      healthCheck:
        tool: list/list
        args: {count: COUNT}
        expect: {jsonPath: {state: running}}
        batch: {items: items, match: {name: "{{ name }}"}}
    healthCheck: {interval: 10s}
    outputs: {url: "http://127.0.0.1/{{ start.id }}"}
"""
_INTERVAL: Final = 10.0


def main(services: int, seconds: float) -> None:
    """Print what `services` services cost, in `seconds` without and with followers."""
    seconds = max(seconds, 2 * _INTERVAL)
    title(f"{services:,} services, checked every {_INTERVAL:g} s (a call for all), over PostgreSQL; {seconds:g} s each")
    with running(durable=True) as database, ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="ostler-followers-")))
        url = database.new_database()
        _fill(url, services)
        holder = ending.enter_context(_server(folder, url, 0, services))
        began = time.perf_counter()
        while not anyio.run(_all_are_healthy, holder.url, services):
            pass
        took = time.perf_counter() - began
        print(f"{'all are verified and checked after':<44}{took:>9.1f} s   {holder.cpu():.1f} s of its CPU")
        _watch("alone", seconds, [holder])
        _copy(database, url, holder)
        followers = [ending.enter_context(_server(folder, url, 1 + each, services)) for each in range(FOLLOWERS)]
        for follower in followers:
            anyio.run(_all_are_healthy, follower.url, services)
        _watch(f"with {FOLLOWERS} that follow", seconds, [holder, *followers])


class Server:
    """One of the servers."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.url = url
        self._process = psutil.Process(process.pid)

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used."""
        times = self._process.cpu_times()
        return times.user + times.system

    def memory(self) -> float:
        """Return the MiB that it holds."""
        return self._process.memory_info().rss / 2**20


@contextmanager
def _server(folder: Path, store: str, number: int, services: int) -> Generator[Server]:
    config = folder / f"config{number}"
    (config / "serviceclasses").mkdir(parents=True)
    (config / "serviceclasses" / "listed.yaml").write_text(CLASS.replace("COUNT", str(services)))
    entry = {"command": sys.executable, "args": ["-I", str(LIST_SERVER)]}
    (config / "mcp.json").write_text(json.dumps({"mcpServers": {"list": entry}}))
    environment = {**os.environ, "OSTLER_STORE": store, "OSTLER_CONFIG": str(config)}
    environment["OSTLER_STATE"] = str(folder / f"state{number}")
    process, url = serve(command_of(Path.cwd()), environment, "--standby")
    try:
        yield Server(process, url)
    finally:
        process.terminate()
        process.wait(60)


def _fill(url: str, services: int) -> None:
    """Store so many services that run."""
    anyio.run(migrate_database, url)
    (loaded,) = load_manifests(CLASS.replace("COUNT", str(services)), file="listed.yaml")
    manifest = service_class_to_json(loaded.service_class)
    row = "INSERT INTO ostler.services (id, name, class_name, state, desired, updated_at, record) VALUES "
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        made = [_record(number, manifest) for number in range(services)]
        cursor.executemany(
            row + "(%s, %s, %s, 'running', 'running', '', %s)",
            [(record.id, record.name, record.class_name, SERVICE.write(record)) for record in made],
        )


def _record(number: int, manifest: dict[str, object]) -> ServiceRecord:
    name = f"s{number}"
    return replace(
        records(number)[0],
        name=name,
        class_name="listed",
        class_manifest=manifest,  # pyright: ignore[reportArgumentType]
        args={},
        state=ServiceState.RUNNING,
        step_outputs={"start": {"id": name}},
        outputs={"url": f"http://127.0.0.1/{name}"},
        stop_plan=(PlannedCall("stop", "list/check", {"name": name}, 30.0),),
    )


async def _all_are_healthy(url: str, services: int) -> bool:
    async with RawHttp.open(url) as client:
        answer = await client.call("service_list", {"limit": 1, "health": ["healthy"]})
    await anyio.sleep(0.2)
    return int(answer["total"]) >= services


def _watch(label: str, seconds: float, servers: list[Server]) -> None:
    """Print what each server uses while nothing is asked of it but to check health."""
    before = [server.cpu() for server in servers]
    began = time.perf_counter()
    anyio.run(anyio.sleep, seconds)
    passed = time.perf_counter() - began
    for number, (server, used) in enumerate(zip(servers, before, strict=True)):
        what = "holder" if not number else f"follower {number}"
        share = (server.cpu() - used) / passed
        print(f"{f'{what}, {label}':<44}{share:>9.1%} of a processor   {server.memory():>7.0f} MiB")


def _copy(database: Postgresql, url: str, holder: Server) -> None:
    """Print what a copy of everything takes, for a follower that does nothing with it."""
    (row,) = database.execute("SELECT value FROM ostler.secrets WHERE name = 'http-sessions'", url.rpartition("/")[2])
    token = follower_token(bytes.fromhex(str(row[0])))
    before, began = holder.cpu(), time.perf_counter()
    size = anyio.run(_read_copy, holder.url, token)
    print(
        f"{'a copy of everything':<44}{time.perf_counter() - began:>9.2f} s   {size / 2**20:.1f} MiB, "
        f"{holder.cpu() - before:.2f} s of the holder's CPU"
    )


async def _read_copy(url: str, token: str) -> int:
    parts = urlsplit(url)
    address = f"{parts.scheme}://{parts.netloc}{FEED}?{urlencode({'follower': 'benchmark', 'version': VERSION})}"
    size, last = 0, b""
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient() as client, client.stream("GET", address, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for part in answer.aiter_raw():
            size += len(part)
            last = last[-200:] + part
            if b"\n" + Kind.WHOLE.value.encode() in last:
                return size
    raise RuntimeError("the copy ended before it was whole")
