"""Health checks with one, two and three servers over one PostgreSQL: whose CPU they take, and what happens to them
while a server that stands by is paused or killed.

The services run on downstream servers over HTTP, which note each look. The database is filled before the first server
starts. On one machine more servers check no more a second; what counts is the CPU of a check at the holder.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Final

import anyio
import psutil
import psycopg
from msgspec.structs import replace
from tests.support.ports import free_port
from tests.support.postgresql import Postgresql, running

from benchmarks.figures import percentile, title
from benchmarks.store import records
from benchmarks.wire_builds import command_of, serve
from ostler.adapters.stores.postgresql_copies import migrate_database
from ostler.adapters.stores.records_json import SERVICE
from ostler.model.states import ServiceState
from ostler.rules.loading.manifests import class_digest, service_class_to_json
from ostler.rules.reading import load_manifests

SERVERS: Final = (1, 2, 3)
DOWNSTREAM: Final = 8
PAUSE: Final = 6.0
"""Seconds for which a server that stands by is paused."""

MOST: Final = 10.0
"""Seconds beyond its interval that a check may be late, and two servers may look at a service."""

CLASS: Final = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {{name: {server}}}
spec:
  serviceConfig:
    lifecycleTools:
      start: {{tool: {server}/start, args: {{name: "{{{{ name }}}}"}}}}
      stop: {{tool: {server}/stop, args: {{name: "{{{{ name }}}}"}}}}
      healthCheck: {{tool: {server}/check, args: {{name: "{{{{ name }}}}"}}, expect: {{jsonPath: {{state: running}}}}}}
    healthCheck: {{interval: {interval}s, timeout: 5s}}
"""
_FILL: Final = """
INSERT INTO ostler.services (id, name, class_name, state, desired, updated_at, record, drivers)
SELECT key, %s || key, %s, 'running', 'running', '', replace(%s::text, '@@key@@@', key), %s
FROM (SELECT lpad(number::text, 8, '0') AS key FROM generate_series(%s::int, %s::int) AS number) AS keys
"""


def _fill(url: str, services: int, interval: float) -> None:
    each = services // DOWNSTREAM
    with psycopg.connect(url, autocommit=True) as connection:
        for number in range(DOWNSTREAM):
            server = f"w{number}"
            (loaded,) = load_manifests(CLASS.format(server=server, interval=interval), "checks.yaml")
            record = replace(
                records(0)[0],
                id="@@key@@@",
                name=f"{server}-@@key@@@",
                class_name=server,
                class_digest=class_digest(loaded.service_class),
                class_manifest=service_class_to_json(loaded.service_class),
                args={},
                state=ServiceState.RUNNING,
                stop_plan=(),
            )
            facts = (f"{server}-", server, SERVICE.write(record), server, number * each + 1, (number + 1) * each)
            connection.execute(_FILL, facts)


class Fleet:
    """The servers; the first one holds the database."""

    def __init__(self, downstream: int, processes: list[psutil.Process], services: int) -> None:
        self._downstream = downstream
        self._services = services
        self.processes = processes

    def cpu(self) -> list[float]:
        """Return the seconds of CPU that each has used."""
        return [sum(process.cpu_times()[:2]) if process.is_running() else 0.0 for process in self.processes]

    def wait_until_steady(self, interval: float) -> None:
        """Wait until almost every service was looked at in an interval, and in the one before."""
        before = 0
        for _ in range(20):
            self.looks()
            _wait(interval)
            now = len({name for _, name, _ in self.looks()})
            if now > 0.9 * self._services and before > 0.9 * self._services:
                return
            before = now

    def looks(self) -> list[tuple[float, str, str]]:
        """Return (time, service, session) of each look since the last call."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._downstream}/looks") as answer:
            return [(at, name, session) for at, name, session in json.load(answer)]


def _wait(seconds: float) -> None:
    time.sleep(seconds)  # noqa: TID251 (other processes are measured meanwhile)


@contextmanager
def _fleet(servers: int, url: str, services: int, interval: float) -> Generator[Fleet]:
    with tempfile.TemporaryDirectory(prefix="ostler-checks-") as text, ExitStack() as ending:
        folder, port = Path(text), free_port()
        config = folder / "config"
        (config / "serviceclasses").mkdir(parents=True)
        entries = {f"w{number}": {"url": f"http://127.0.0.1:{port}/w{number}"} for number in range(DOWNSTREAM)}
        (config / "mcp.json").write_text(json.dumps({"mcpServers": entries}))
        for name in entries:
            (config / "serviceclasses" / f"{name}.yaml").write_text(CLASS.format(server=name, interval=interval))
        script = Path(__file__).with_name("check_server.py")
        downstream = subprocess.Popen([sys.executable, "-I", str(script), str(port)])
        ending.callback(downstream.wait)
        ending.callback(downstream.kill)
        processes: list[psutil.Process] = []
        for number in range(servers):
            own = {"OSTLER_STORE": url, "OSTLER_CONFIG": str(config), "OSTLER_STATE": f"{text}/state{number}"}
            environment = {**os.environ, **own}
            process, _ = serve(command_of(Path.cwd()), environment, "--standby")
            ending.callback(process.wait, 60)
            ending.callback(process.kill)
            Thread(target=process.communicate, daemon=True).start()  # what it logs is read, or it waits for that
            processes.append(psutil.Process(process.pid))
        yield Fleet(port, processes, services)


def _measure(fleet: Fleet, label: str, interval: float) -> None:
    """Print what three intervals take, once every service has been verified and is checked at its interval."""
    fleet.wait_until_steady(interval)
    before, began = fleet.cpu(), time.perf_counter()
    _wait(3 * interval)
    seconds = time.perf_counter() - began
    looks, used = fleet.looks(), [now - then for now, then in zip(fleet.cpu(), before, strict=True)]
    shares = sorted(Counter(session.partition("-")[2] for _, _, session in looks).values(), reverse=True)
    print(
        f"{label:<12}{len(looks) / seconds:>7.0f} checks/s   holder {used[0] / seconds:>5.2f} cores, "
        f"{used[0] / len(looks) * 1000:>5.2f} ms a check   others {sum(used[1:]) / seconds:>5.2f} cores   "
        f"load {os.getloadavg()[0]:.0f}   sessions {len(shares)}"
    )


def _disturb(fleet: Fleet, interval: float) -> int:
    """Pause one of the others for a while, and kill the next; print how late checks were, and return what was wrong."""
    print(f"\none that stands by is paused for {PAUSE:g} s, and another one killed:")
    wrong = 0
    for what, process in (("paused", fleet.processes[1]), ("killed", fleet.processes[2])):
        fleet.looks()
        _wait(interval)
        process.send_signal(signal.SIGSTOP if what == "paused" else signal.SIGKILL)
        _wait(PAUSE)
        if what == "paused":
            process.send_signal(signal.SIGCONT)
        _wait(3 * interval)
        times: dict[str, list[float]] = defaultdict(list)
        for at, name, _ in fleet.looks():
            times[name].append(at)
        gaps = [after - at for seen in times.values() for at, after in pairwise(seen)]
        late = max(gaps) - interval
        close = sum(gap < interval / 4 for gap in gaps)
        wrong += late > MOST
        print(
            f"  {what}: between two checks of a service p50 {percentile(gaps, 0.5):.1f} s, "
            f"p99 {percentile(gaps, 0.99):.1f} s, longest {max(gaps):.1f} s; "
            f"{close} of {len(gaps)} came again within {interval / 4:g} s"
        )
    return wrong


def main(services: int, interval: float) -> int:
    """Print the table; return how often checks were later than they may be."""
    title(f"{services:,} services on {DOWNSTREAM} servers over HTTP, a check each every {interval:g} s")
    wrong = 0
    with running() as database:
        for servers in SERVERS:
            url = _filled(database, services, interval)
            with _fleet(servers, url, services, interval) as fleet:
                _measure(fleet, f"{servers} server{'s' if servers > 1 else ''}", interval)
                if servers == max(SERVERS):
                    wrong = _disturb(fleet, interval)
    return wrong


def _filled(database: Postgresql, services: int, interval: float) -> str:
    url = database.new_database()
    anyio.run(migrate_database, url)
    _fill(url, services, interval)
    return url
