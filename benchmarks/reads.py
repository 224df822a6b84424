"""Reads at every server of one database after each answered change, while servers are killed, paused and cut off.

Each client has a service of its own, which it stops and starts at any server that runs. What was answered must be what
every server answers next. Other clients read all the time, and count how long that takes.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from anyio.from_thread import BlockingPortal, start_blocking_portal
from tests.support.chaos_classes import classes_text
from tests.support.chaos_clients import over_http
from tests.support.forked_server import HERE
from tests.support.forker import Forker
from tests.support.ports import free_port
from tests.support.postgresql import Postgresql, running
from tests.support.replicas import OUTAGES, REPLICAS, Replica
from tests.support.tcp_proxy import tcp_proxy

from benchmarks.figures import percentile, title
from ostler.faces.cli.rpc import ToolAnswer

WRITERS: Final = 4
READERS: Final = 2
FAULTS: Final = ("kill", "SIGTERM", "pause", "pause", "partition", "standby kill", "standby pause", "standby pause")
LOST: Final = (OSError, http.client.HTTPException, LookupError, ValueError)


class Rounds:
    """The servers, their clients, and what they met.

    Attributes:
        counts: what happened, and how often.
        stale: answers that were not so any more.
        times: seconds of each read at a server that was neither killed nor paused.
    """

    def __init__(self, folder: Path, seed: int, database: Postgresql) -> None:
        self.counts: Counter[str] = Counter()
        self.stale: list[str] = []
        self.times: list[float] = []
        self._folder = folder
        self._random = random.Random(seed)
        self._database = database
        self._store = database.new_database().rpartition("/")[2]
        self._replicas: list[Replica] = []
        self._disturbed: set[Replica] = set()
        self._ends = threading.Event()

    # -- servers ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def running(self, portal: BlockingPortal) -> Generator[None]:
        """Run the servers, and the downstream server of all of them."""
        port = free_port()
        config = self._folder / "config"
        (config / "serviceclasses").mkdir(parents=True)
        (config / "serviceclasses" / "classes.yaml").write_text(classes_text())
        (config / "ostler.toml").write_text('shutdownTimeout = "1s"\n')
        entry = {"url": f"http://127.0.0.1:{port}/mcp"}
        (config / "mcp.json").write_text(json.dumps({"mcpServers": {"faulty": entry}}))
        ledger, faults = self._folder / "ledger", self._folder / "faults"
        ledger.write_text("")
        faults.write_text("{}")
        command = [sys.executable, "-S", str(HERE / "fault_server.py"), str(ledger), str(faults), str(port)]
        with contextlib.ExitStack() as ending:
            downstream = ending.enter_context(subprocess.Popen(command, env=dict(os.environ)))
            ending.callback(downstream.kill)
            forker = ending.enter_context(Forker())
            for number in range(REPLICAS):
                way = ending.enter_context(portal.wrap_async_context_manager(tcp_proxy(self._database.port)))
                replica = Replica(number, self._folder, [way], forker)
                self._replicas.append(replica)
                ending.callback(replica.wait)
                ending.callback(replica.signal, signal.SIGKILL)
            self._start()
            yield

    def _start(self) -> None:
        for replica in self._replicas:
            replica.start(self._database.url(self._store, port=replica.ways[0].port))

    def _calm(self) -> list[Replica]:
        return [replica for replica in self._replicas if replica.runs and replica not in self._disturbed]

    def _holder(self) -> Replica:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            for replica in self._calm():
                if _role(replica) == "holder":
                    return replica
            threading.Event().wait(0.1)
        raise RuntimeError("no server works")

    # -- clients ---------------------------------------------------------------------------------------------

    def _ask(self, replica: Replica, tool: str, name: str) -> ToolAnswer | None:
        """Return an answer; None where there was none, or an error."""
        began, life, sort = time.monotonic(), replica.name, "read" if tool == "service_status" else "change"
        try:
            answer = over_http(replica.port, tool, {"name": name})
        except LOST:
            self.counts[f"{sort} lost"] += 1
            return None
        if sort == "read" and replica not in self._disturbed and replica.name == life:
            self.times.append(time.monotonic() - began)
        how = " failed" if answer.is_error else " with its age" if "asOf" in answer.structured else ""
        self.counts[sort + how] += 1
        return None if how else answer

    def _write(self, name: str, chance: random.Random) -> None:
        state = "running"
        while not self._ends.is_set():
            tool, wanted = ("service_stop", "stopped") if state == "running" else ("service_start", "running")
            calm = self._calm()
            if not calm or self._ask(chance.choice(calm), tool, name) is None:
                state = self._settled(name)
                continue
            state = wanted
            for replica in chance.sample(calm, len(calm)):
                seen = self._ask(replica, "service_status", name)
                if seen is not None and seen.structured["state"] != wanted:
                    self.stale.append(f"{replica.name} says {seen.structured['state']} of {name} after {tool}")

    def _settled(self, name: str) -> str:
        """Return the state of a service once nothing is under way."""
        while not self._ends.wait(0.2):
            with contextlib.suppress(*LOST, RuntimeError):
                facts = over_http(self._holder().port, "service_status", {"name": name}).structured
                if "operation" not in facts and facts.get("state") in ("running", "stopped"):
                    return facts["state"]
        return ""

    def _read(self, names: list[str], chance: random.Random) -> None:
        while not self._ends.wait(0.02):
            if calm := self._calm():
                self._ask(chance.choice(calm), "service_status", chance.choice(names))

    # -- faults ----------------------------------------------------------------------------------------------

    def play(self, seconds: float) -> None:
        """Let clients ask for so many seconds, while servers fail."""
        names = [f"s{number}" for number in range(WRITERS)]
        holder = self._holder()
        for name in names:
            answer = over_http(holder.port, "service_create", {"serviceClassName": "find", "name": name})
            assert not answer.is_error, answer.text
        threads = [threading.Thread(target=self._write, args=(name, random.Random(name))) for name in names]
        threads += [threading.Thread(target=self._read, args=(names, random.Random(n))) for n in range(READERS)]
        for thread in threads:
            thread.start()
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                threading.Event().wait(self._random.uniform(1, 4))
                self._disturb(self._random.choice(FAULTS))
        finally:
            self._ends.set()
            for thread in threads:
                thread.join()

    def _disturb(self, what: str) -> None:
        holder = self._holder()
        others = [replica for replica in self._calm() if replica is not holder]
        if what.startswith("standby") and not others:
            return
        one = self._random.choice(others) if what.startswith("standby") else holder
        self.counts[what] += 1
        outage = self._random.choice(OUTAGES)
        match what.removeprefix("standby "):
            case "pause":
                self._while(one, outage, lambda: one.signal(signal.SIGSTOP), lambda: one.signal(signal.SIGCONT))
            case "partition":
                way = one.ways[0]
                way.swallows_requests = way.swallows_answers = True
                threading.Event().wait(outage)
                way.swallows_requests = way.swallows_answers = False
            case "SIGTERM":
                self._while(one, 1.0, lambda: one.signal(signal.SIGTERM), one.wait)
            case _:
                self._while(one, 1.0, lambda: one.signal(signal.SIGKILL), one.wait)
        self._start()

    def _while(self, one: Replica, seconds: float, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self._disturbed.add(one)
        begin()
        threading.Event().wait(seconds)
        end()
        self._disturbed.discard(one)


def _role(replica: Replica) -> str:
    probe = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=1)
    with contextlib.closing(probe), contextlib.suppress(*LOST):
        probe.request("GET", "/readyz")
        answer = probe.getresponse()
        return str(json.loads(answer.read()).get("role")) if answer.status == 200 else ""
    return ""


def main(seconds: float = 120, seed: int = 1) -> int:
    """Play for so many seconds, print what was met, and return how many answers were not so any more."""
    title(f"{seconds:g} s of faults of {REPLICAS} servers over one database, seed {seed}")
    with (
        tempfile.TemporaryDirectory(prefix="ostler-reads-") as folder,
        running() as database,
        start_blocking_portal() as portal,
    ):
        rounds = Rounds(Path(folder), seed, database)
        with rounds.running(portal):
            rounds.play(seconds)
    for line in rounds.stale:
        print(line)
    print(", ".join(f"{count} {what}" for what, count in sorted(rounds.counts.items())))
    print(
        f"{len(rounds.stale)} answers that were not so any more; seconds of a read: "
        f"{percentile(rounds.times, 0.5):.3f} (p50), {percentile(rounds.times, 0.99):.1f} (p99), "
        f"{max(rounds.times):.1f} (max)"
    )
    return len(rounds.stale)
