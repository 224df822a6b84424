"""Several servers over one PostgreSQL database behind HAProxy, one of which works: rounds of faults.

Clients ask through HAProxy, or any server that runs, whichever works; half of their requests carry an idempotency key.

The downstream server is one for all, over HTTP. It notes which server asked it for each change, and when. So two more
things are compared than in `chaos`: no two changes of one service are ever under way at once, and a server that was
replaced asks for nothing any more; and a client that follows the events meets each that is durable, once and in order.
Each server has its own state folder and its own way to the database, which can be
cut; one that ends is started again under another name, as a service manager would.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from anyio.from_thread import BlockingPortal
from tests.support.chaos import Chaos
from tests.support.chaos_classes import NAMES, SHARED
from tests.support.chaos_clients import over_http
from tests.support.event_reader import EventReader
from tests.support.forked_server import HERE, MARK, PATIENCE, Forker
from tests.support.haproxy import balancing
from tests.support.ports import free_port
from tests.support.postgresql import Postgresql
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

from ostler.faces.cli.rpc import ToolAnswer

REPLICAS = 3
TAKEN_AFTER = 7.5
"""Seconds of silence after which another server works, a moment aside."""

OUTAGES = (0.5, 3.0, 6.0, 12.0)
"""Seconds for which something is away: shorter and longer than what a server waits before it takes over."""


class Replica:
    """One of the servers.

    Attributes:
        number: which one it is.
        port: where it listens when it works.
        life: how often it was started.
        proxy: its way to the database.
    """

    def __init__(self, number: int, folder: Path, proxy: TcpProxy) -> None:
        self.number = number
        self.port = free_port()
        self.life = 0
        self.proxy = proxy
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """What it is called in this life."""
        return f"{self.number}.{self.life}"

    def start(self, store: str) -> None:
        """Start it, unless it runs."""
        if self.runs:
            return
        self.life += 1
        folders = ["--config", str(self._folder / "config"), "--state", str(self._folder / f"state{self.number}")]
        ostler = str(Path(sys.executable).with_name("ostler"))
        command = [ostler, "serve", "--http", f"127.0.0.1:{self.port}", "--standby", *folders]
        with (self._folder / f"log{self.number}").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "OSTLER_STORE": store, "REPLICA": self.name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def signal(self, what: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self.runs:
            self._process.send_signal(what)

    def wait(self) -> None:
        """Wait until it has ended."""
        if self._process is not None:
            self._process.wait(60)


class Replicas(Chaos):
    """The servers, of which rounds are played.

    Attributes:
        failed_over: seconds from what happened to the working server until one answered, by what happened.
    """

    names: ClassVar = {name: NAMES[name] for name in SHARED}
    ends: ClassVar[tuple[str, ...]] = ("kill", "kill", "pause", "pause", "SIGTERM", "kill two")
    others: ClassVar[tuple[str, ...]] = (
        "partition", "partition", "cut", "refuse", "database", "database restart", "standby", "standby pause",
        "nothing",
    )  # fmt: skip
    ways: ClassVar[tuple[str, ...]] = ("HAProxy", "any server")

    def __init__(self, folder: Path, seed: int, forker: Forker, portal: BlockingPortal, database: Postgresql) -> None:
        self._ledger_port = free_port()
        super().__init__(folder, seed, forker)
        self._folder = folder
        self._portal = portal
        self._database = database
        self._url = database.new_database()
        self._store = self._url.rpartition("/")[2]
        self._replicas: list[Replica] = []
        self.failed_over: list[tuple[str, float]] = []
        self._timers: list[threading.Timer] = []
        self._looked_at = 0
        self._last_sender = ""
        self._replaced: set[str] = set()
        self._balancer = 0
        self.events = EventReader(self._ask_any)

    def _write_configuration(self, folder: Path) -> None:
        super()._write_configuration(folder)
        entry = {"url": f"http://127.0.0.1:{self._ledger_port}/mcp", "headers": {"X-Replica": "${REPLICA}"}}
        (Path(self.place.config_dir) / "mcp.json").write_text(json.dumps({"mcpServers": {"faulty": entry}}))

    @contextlib.contextmanager
    def running(self) -> Generator["Replicas"]:
        """Run the downstream server, and servers that are started inside."""
        server = [str(HERE / "fault_server.py"), str(self.ledger), str(self.faults_file), str(self._ledger_port)]
        environment = {**os.environ, MARK: self.mark}
        with contextlib.ExitStack() as ending:
            downstream = ending.enter_context(subprocess.Popen([sys.executable, "-S", *server], env=environment))
            ending.callback(downstream.kill)
            for number in range(REPLICAS):
                way = ending.enter_context(self._portal.wrap_async_context_manager(tcp_proxy(self._database.port)))
                replica = Replica(number, self._folder, way)
                self._replicas.append(replica)
                ending.callback(replica.wait)
                ending.callback(replica.signal, signal.SIGKILL)
            ports = [replica.port for replica in self._replicas]
            self._balancer = ending.enter_context(balancing(self._folder, ports))
            ending.enter_context(self.events.reading())
            yield self

    def start(self) -> None:
        """Start every server that does not run."""
        for replica in self._replicas:
            replica.start(self._database.url(self._store, port=replica.proxy.port))

    # -- clients -----------------------------------------------------------------------------------------------

    def call_over(self, client: str, tool: str, args: dict[str, Any]) -> bool:
        """Call `tool` through HAProxy or at any server that runs; return whether it failed."""
        if (self.chronicle.rounds + len(args["name"])) % 2:
            args = {**args, "idempotencyKey": f"{self.chronicle.rounds} {args['name']}"}
        answer = over_http(self._balancer, tool, args) if client == "HAProxy" else self._ask_any(tool, args)
        self.chronicle.answers["unclear"] += "not known whether this was carried out" in answer.text
        return answer.is_error

    def _ask_any(self, tool: str, args: dict[str, Any]) -> ToolAnswer:
        """Call `tool` at any server that runs."""
        running = [replica.port for replica in self._replicas if replica.runs]
        return over_http(random.choice(running), tool, args)

    def client(self) -> Any:
        """Return a client, once a server answers."""
        self.eventually(lambda: self._working() is not None, "a server answers")
        return contextlib.nullcontext(self)

    def call_tool(self, tool: str, args: dict[str, Any]) -> ToolAnswer:
        """Call `tool` through HAProxy, again where nothing was done."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = over_http(self._balancer, tool, args)
            except (OSError, http.client.HTTPException, LookupError, ValueError):  # a server was just lost
                if tool not in ("service_list", "service_get", "service_explain") or time.monotonic() > deadline:
                    raise
            else:
                if not answer.is_error or "nothing was sent" not in answer.text or time.monotonic() > deadline:
                    return answer
            threading.Event().wait(0.1)

    def _working(self) -> Replica | None:
        """Return the server that says it is ready and holds the database."""
        for replica in self._replicas:
            probe = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=1)
            with contextlib.closing(probe), contextlib.suppress(OSError, http.client.HTTPException):
                probe.request("GET", "/readyz")
                answer = probe.getresponse()
                if answer.status == 200 and json.loads(answer.read()).get("role") == "holder":
                    return replica
        return None

    # -- what happens ------------------------------------------------------------------------------------------

    def _happen(self, what: str) -> None:
        self.chronicle.happened[what] += 1
        self._events.append(what)
        self.eventually(lambda: self._working() is not None, "a server works")
        holder = self._working()
        if holder is None:  # it was cut off by chance, between the two looks
            return
        others = [each for each in self._replicas if each is not holder]
        before = holder.name
        began, seconds = time.monotonic(), self.random.choice(OUTAGES) * self.random.uniform(0.5, 1.0)
        match what:
            case "kill" | "kill two":
                holder.signal(signal.SIGKILL)
                if what == "kill two":
                    self.random.choice(others).signal(signal.SIGKILL)
            case "pause":
                holder.signal(signal.SIGSTOP)
                self._later(seconds, holder.signal, signal.SIGCONT)
            case "SIGTERM":
                holder.signal(signal.SIGTERM)
            case "partition":
                holder.proxy.swallows_requests = holder.proxy.swallows_answers = True
                self._later(seconds, self._join, holder.proxy)
            case "cut":
                self._portal.call(holder.proxy.cut)
            case "refuse":
                holder.proxy.refuses = True
                self._portal.call(holder.proxy.cut)
                self._later(seconds, self._join, holder.proxy)
            case "database":
                self._database.stop()
                self._database.start()
            case "database restart":
                self._database.stop("fast")
                self._database.start()
            case "standby pause":
                paused = self.random.choice(others)
                paused.signal(signal.SIGSTOP)
                self._later(seconds, paused.signal, signal.SIGCONT)
            case "standby":
                self.random.choice(others).signal(signal.SIGKILL)
            case _:
                return
        self._later(self.random.uniform(0.0, 3.0), self.start)
        if what in ("kill", "kill two", "SIGTERM") or (
            what in ("pause", "partition", "refuse") and seconds > TAKEN_AFTER
        ):
            self.eventually(lambda: self._another_works(before), f"another server works after {what}")
            shown = f"{what}, downstream faulty" if self._noisy else what
            self.failed_over.append((shown, time.monotonic() - began))
        for timer in self._timers:
            timer.join()
        self._timers.clear()
        self.start()

    def _another_works(self, before: str) -> bool:
        working = self._working()
        return working is not None and working.name != before

    def _later(self, seconds: float, act: Callable[..., object], *args: object) -> None:
        """Do something some seconds from now; the round waits for it."""
        timer = threading.Timer(seconds, act, args)
        timer.start()
        self._timers.append(timer)

    @staticmethod
    def _join(proxy: TcpProxy) -> None:
        proxy.swallows_requests = proxy.swallows_answers = proxy.refuses = False

    # -- what must be ------------------------------------------------------------------------------------------

    def settle_round(self) -> None:
        """Compare as ever; then look at who asked for changes, and when."""
        super().settle_round()
        lines = self._lines()
        names = {line["id"]: line["name"] for line in lines if line["did"] == "start"}
        for text in self._overlaps(lines[self._looked_at :], names):
            self._violation(text)
        self._looked_at = len(lines)
        rows = self._database.execute("SELECT cursor FROM ostler.events", self._store)
        for text in self.events.compare(int(str(row[0])) for row in rows):
            self._violation(text)

    def _overlaps(self, lines: list[dict[str, Any]], names: dict[str, str]) -> Iterator[str]:
        """Yield what should not be: two changes of one service at once, and changes by a server that was replaced.

        `names` are those of the services, by the ids of what was started.
        """
        under_way: dict[str, str] = {}
        for line in lines:
            if line["did"] not in ("begin", "end"):
                continue
            name = line["args"].get("name") or names.get(line["args"].get("id"), "?")
            if line["did"] == "end":
                under_way.pop(name, None)
                continue
            if name in under_way:
                yield f"{name} was changed by {under_way[name]} and {line['sender']} at once"
            under_way[name] = sender = line["sender"]
            if sender in self._replaced:
                yield f"{sender} was replaced, and changed {name}"
            if sender != self._last_sender:
                self._replaced.add(self._last_sender)
                self._last_sender = sender

    def _open_operations(self) -> dict[str, str]:
        with contextlib.suppress(psycopg.Error):
            rows = self._database.execute(
                "SELECT service_name, kind FROM ostler.operations WHERE outcome IS NULL", self._store
            )
            return {str(name): str(kind) for name, kind in rows}
        return {"?": "the database does not answer"}

    def processes(self) -> dict[str, int]:
        """Return nothing: no service of these classes has a process."""
        return {}
