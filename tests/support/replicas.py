"""Several servers over one PostgreSQL and its standby behind HAProxy, one of which works: rounds of faults.

Clients ask through HAProxy, or any server that runs, also while something happens. Half of their requests carry an
idempotency key; these are repeated until they are answered, as a client would. In a quarter of the rounds two things
happen, one soon after the other.

The downstream server is one for all, over HTTP. It notes which server asked it for each change, and when. Health checks
ask it under another name, whose entry is the same at every server, so they are shared. So more is
compared than in `chaos`: no two changes of one service are ever under way at once, a server that was replaced asks for
nothing any more, and a client that follows the events meets each that is durable, once, in order, and as it is stored.
Each server has its own state folder and its own ways to the database, which can be cut or held up; one that ends is
started again under another name, as a service manager would.
"""

import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from anyio.from_thread import BlockingPortal
from tests.support.chaos import Chaos
from tests.support.chaos_classes import NAMES, SHARED
from tests.support.chaos_clients import over_http
from tests.support.event_reader import EventReader
from tests.support.forked_server import HERE, Forked
from tests.support.forker import MARK, PATIENCE, Forker
from tests.support.haproxy import balancing
from tests.support.ports import free_port
from tests.support.postgresql_pair import PostgresqlPair
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

from ostler.faces.cli.rpc import ToolAnswer

REPLICAS = 3
SURELY_TAKEN_AFTER = 10.0
"""Seconds of silence after which another server has taken over, also on a busy machine; it may from 7 on."""

OUTAGES = (0.5, 3.0, 6.0, 8.0, 12.0, 13.0)
"""Seconds for which something is away: shorter and longer than what a server waits before it takes over."""

TIMEOUT = 2.0
"""Seconds of a tool call: the downstream server answers late after less, on a busy machine, too."""

ASKED_AGAIN_FOR = 40.0
"""Seconds for which a client with an idempotency key repeats a call that was not answered."""


_SHARED = re.compile(r'^ostler_health_check_shared\w*\{[^}]*outcome="(\w+)"[^}]*\} (\S+)', re.MULTILINE)
"""Lines of `/metrics`."""


class Replica:
    """One of the servers.

    Attributes:
        number: which one it is.
        port: where it listens when it works.
        life: how often it was started.
        ways: its ways to the two servers of the database.
        is_paused: whether it was stopped by a signal, and goes on later.
    """

    def __init__(self, number: int, folder: Path, ways: Sequence[TcpProxy], forker: Forker) -> None:
        self.number = number
        self.port = free_port()
        self.life = 0
        self.ways = ways
        self.is_paused = False
        self._folder = folder
        self._forker = forker
        self._process: Forked | None = None

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
        args = ["serve", "--http", f"127.0.0.1:{self.port}", "--standby", *folders]
        environment = {"OSTLER_STORE": store, "REPLICA": self.name}
        self._process = Forked(self._forker.start_command(args, environment, self._folder / f"log{self.number}"))

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.runs

    def signal(self, what: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        self.is_paused = what is signal.SIGSTOP
        if self._process is not None:
            self._process.signal(what)

    def wait(self) -> None:
        """Wait until it has ended."""
        if self._process is not None and not self._process.ends_within(PATIENCE):
            raise AssertionError(f"server {self.name} has not ended after {PATIENCE:.0f} s")


class Replicas(Chaos):
    """The servers, of which rounds are played.

    Attributes:
        failed_over: seconds from what happened to the working server until one answered, by what happened.
        shared: health checks that the working server left to others, by what became of them, as far as it lived to
            say so.
    """

    looks: ClassVar[str] = "looks"
    names: ClassVar = {name: NAMES[name] for name in SHARED}
    ends: ClassVar[tuple[str, ...]] = ("kill", "kill", "pause", "pause", "pause", "SIGTERM", "kill two")
    others: ClassVar[tuple[str, ...]] = (
        "partition", "requests lost", "answers lost", "late", "late", "cut", "refuse", "database", "database restart",
        "database fail-over", "standby", "standby pause", "downstream", "HAProxy",
    )  # fmt: skip
    ways: ClassVar[tuple[str, ...]] = ("HAProxy", "HAProxy", "any server")

    def __init__(
        self, folder: Path, seed: int, forker: Forker, portal: BlockingPortal, database: PostgresqlPair
    ) -> None:
        self._ledger_port = free_port()
        super().__init__(folder, seed, forker)
        self._folder = folder
        self._portal = portal
        self._database = database
        self._store = database.primary.new_database().rpartition("/")[2]
        self._replicas: list[Replica] = []
        self.failed_over: list[tuple[str, float]] = []
        self.shared: Counter[str] = Counter()
        self._shared_by: dict[str, Counter[str]] = {}
        self._timers: list[threading.Timer] = []
        self._looked_at = 0
        self._last_sender = ""
        self._replaced: set[str] = set()
        self._has_failed_over = False
        self._held_until: dict[tuple[int, str], float] = {}
        self._downstream: subprocess.Popen[bytes] | None = None
        self.events = EventReader(self._ask_any)

    def _write_configuration(self, folder: Path) -> None:
        super()._write_configuration(folder)
        looks = {"url": f"http://127.0.0.1:{self._ledger_port}/mcp"}  # the same for all, so that they share checks
        entries = {"faulty": {**looks, "headers": {"X-Replica": "${REPLICA}"}}, self.looks: looks}
        config = Path(self.place.config_dir)
        (config / "mcp.json").write_text(json.dumps({"mcpServers": entries}))
        with (config / "ostler.toml").open("a") as settings:
            settings.write("[telemetry]\nprometheus = true\n")
        classes = config / "serviceclasses" / "classes.yaml"
        classes.write_text(classes.read_text().replace("timeout: 1s", f"timeout: {TIMEOUT:g}s"))

    @contextlib.contextmanager
    def running(self, clocks: Sequence[str] = ()) -> Generator["Replicas"]:
        """Run the downstream server, and servers that are started inside, the first ones with these `clocks`.

        Args:
            clocks: by how much the wall clock of a server is off, as `faketime` has it: `+1h`.
        """
        with contextlib.ExitStack() as ending:
            self._start_downstream()
            ending.callback(self._kill_downstream_server)
            right = ending.enter_context(Forker())
            for number in range(REPLICAS):
                forker = right
                if number < len(clocks):
                    forker = ending.enter_context(Forker("faketime", "-f", clocks[number]))
                ways = [
                    ending.enter_context(self._portal.wrap_async_context_manager(tcp_proxy(port)))
                    for port in self._database.ports
                ]
                replica = Replica(number, self._folder, ways, forker)
                self._replicas.append(replica)
                ending.callback(replica.wait)
                ending.callback(replica.signal, signal.SIGKILL)
            ports = [replica.port for replica in self._replicas]
            self._balancer = ending.enter_context(balancing(self._folder, ports))
            ending.enter_context(self.events.reading())
            yield self

    def _start_downstream(self) -> None:
        if self._downstream is not None and self._downstream.poll() is None:  # it was killed twice
            return
        server = [str(HERE / "fault_server.py"), str(self.ledger), str(self.faults_file), str(self._ledger_port)]
        first = ["nice", "-n", "-15"] if os.geteuid() == 0 else []  # a busy machine is not to be its fault
        command = [*first, sys.executable, "-S", *server]
        self._downstream = subprocess.Popen(command, env={**os.environ, MARK: self.mark})

    def _kill_downstream_server(self) -> None:
        if self._downstream is not None:
            self._downstream.kill()
            self._downstream.wait()

    def start(self) -> None:
        """Start every server that does not run."""
        for replica in self._replicas:
            first, second = replica.ways
            url = self._database.primary.url(self._store, port=first.port)
            both = url.replace(f":{first.port}", f":{first.port},127.0.0.1:{second.port}")
            replica.start(f"{both}?target_session_attrs=read-write")

    # -- clients -----------------------------------------------------------------------------------------------

    def call_over(self, client: str, tool: str, args: dict[str, Any]) -> bool:
        """Call `tool` through HAProxy or at any server that runs; return whether it failed.

        A client with an idempotency key asks again until it is answered.
        """
        is_keyed = (self.chronicle.rounds + len(args["name"])) % 2
        if is_keyed:
            args = {**args, "idempotencyKey": f"{self.chronicle.rounds} {args['name']}"}
        deadline = time.monotonic() + ASKED_AGAIN_FOR
        while True:
            try:
                answer = self._ask_any(tool, args) if client != "HAProxy" else self._ask_balancer(tool, args)
            except (OSError, http.client.HTTPException, LookupError, ValueError):  # a server was just lost
                if not is_keyed or time.monotonic() > deadline:
                    raise
                self.chronicle.answers["asked again"] += 1
                threading.Event().wait(0.2)
            else:
                self.chronicle.answers["unclear"] += "not known whether this was carried out" in answer.text
                return answer.is_error

    def _ask_balancer(self, tool: str, args: dict[str, Any]) -> ToolAnswer:
        return over_http(self._balancer.port, tool, args)

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
                answer = self._ask_balancer(tool, args)
            except (OSError, http.client.HTTPException, LookupError, ValueError):  # a server was just lost
                if tool not in ("service_list", "service_get", "service_explain") or time.monotonic() > deadline:
                    raise
            else:
                is_refused = answer.is_error and "nothing was sent" in answer.text
                is_old = "asOf" in answer.structured  # what was known last, while no server works
                if not (is_refused or is_old) or time.monotonic() > deadline:
                    return answer
            threading.Event().wait(0.1)

    def _working(self) -> Replica | None:
        """Return the server that says it is ready and holds the database."""
        for replica in self._replicas:
            if replica.is_paused:
                continue
            probe = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=1)
            with contextlib.closing(probe), contextlib.suppress(OSError, http.client.HTTPException):
                probe.request("GET", "/readyz")
                answer = probe.getresponse()
                if answer.status == 200 and json.loads(answer.read()).get("role") == "holder":
                    return replica
        return None

    def note_shared(self) -> None:
        """Ask the working server how many health checks others made for it."""
        if (replica := self._working()) is None:
            return
        probe = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=5)
        with contextlib.closing(probe), contextlib.suppress(OSError, http.client.HTTPException):
            probe.request("GET", "/metrics")
            found = Counter(
                {
                    outcome: int(float(number))
                    for outcome, number in _SHARED.findall(probe.getresponse().read().decode())
                }
            )
            self.shared += found - self._shared_by.get(replica.name, Counter())
            self._shared_by[replica.name] = found

    # -- what happens ------------------------------------------------------------------------------------------

    def _happen(self, what: str) -> None:
        kinds = [what]
        if self.random.random() < 0.25:
            kinds.append(self.random.choice(self.ends + self.others))
        self.eventually(lambda: self._working() is not None, "a server works")
        self.note_shared()
        holder = self._working()
        if holder is None:  # it was cut off by chance, between the two looks
            return
        before, began, is_lost, will_be = holder.name, time.monotonic(), False, 0.0
        asking: list[threading.Thread] = []
        for number, kind in enumerate(kinds):
            if number:
                threading.Event().wait(self.random.choice((0.0, 0.3, 3.0)) * self.random.random())
            self.chronicle.happened[kind] += 1
            self._events.append(kind)
            is_lost |= self._inflict(kind, holder)
            asking += self._ask_meanwhile()
        self._later(self.random.uniform(0.0, 3.0), self.start)
        if is_lost:
            self.eventually(lambda: self._another_works(before), f"another server works after {what}")
            will_be = time.monotonic() - began
        for timer in self._timers:
            timer.join()
        self._timers.clear()
        if self._has_failed_over:
            self._database.join()
            self._has_failed_over = False
        self.start()
        for thread in asking:
            thread.join(PATIENCE)
        self.note_shared()
        if will_be:
            shown = " and another one" if len(kinds) > 1 else ", downstream faulty" if self._noisy else ""
            self.failed_over.append((f"{what}{shown}", will_be))

    def _ask_meanwhile(self) -> list[threading.Thread]:
        """Let up to three more clients ask, for services that no one asked for, within a few seconds."""
        rest = sorted(set(self.names) - set(self._asked))
        asking: list[threading.Thread] = []
        for name in self.random.sample(rest, min(len(rest), self.random.randint(0, 3))):
            operation, client = self.random.choice(self._possible(name)), self.random.choice(self.ways)
            self.chronicle.operations[operation] += 1
            self.chronicle.clients[client] += 1
            self._asked[name] = (operation, "lost")
            thread = threading.Timer(self.random.uniform(0.0, 6.0), self._request, (name, operation, client))
            thread.start()
            asking.append(thread)
        return asking

    def _inflict(self, kind: str, holder: Replica) -> bool:
        """Do something to the working server or to what it needs; return whether another server takes over."""
        others = [each for each in self._replicas if each is not holder]
        seconds = self.random.choice(OUTAGES) * self.random.uniform(0.7, 1.0)
        match kind:
            case "kill" | "kill two":
                holder.signal(signal.SIGKILL)
                if kind == "kill two":
                    self.random.choice(others).signal(signal.SIGKILL)
            case "pause":
                holder.signal(signal.SIGSTOP)
                self._release_later(seconds, holder, self._wake_up)
            case "SIGTERM":
                holder.signal(signal.SIGTERM)
            case "partition" | "requests lost" | "answers lost":
                for way in holder.ways:
                    way.swallows_requests = kind != "answers lost"
                    way.swallows_answers = kind != "requests lost"
                self._release_later(seconds, holder, self._join)
            case "late":
                for way in holder.ways:
                    self._portal.call(way.hold_back)
                self._release_later(seconds, holder, self._join)
            case "cut" | "refuse":
                for way in holder.ways:
                    way.refuses = kind == "refuse"
                    self._portal.call(way.cut)
                self._release_later(seconds, holder, self._join)
            case "database" | "database restart":
                self._database.primary.stop("fast" if "restart" in kind else "immediate")
                self._database.primary.start()
            case "database fail-over" if not self._has_failed_over:
                self._has_failed_over = True
                self._database.fail_over()
            case "standby pause":
                paused = self.random.choice(others)
                paused.signal(signal.SIGSTOP)
                self._release_later(seconds, paused, self._wake_up)
            case "standby":
                self.random.choice(others).signal(signal.SIGKILL)
            case "downstream":
                self._kill_downstream_server()
                self._later(min(seconds, 3.0), self._start_downstream)
            case "HAProxy":
                self._balancer.kill()
                self._later(min(seconds, 3.0), self._balancer.start)
            case _:
                pass
        is_cut_off = kind in ("pause", "partition", "requests lost", "answers lost", "late", "refuse")
        return kind in ("kill", "kill two", "SIGTERM") or (is_cut_off and seconds > SURELY_TAKEN_AFTER)

    def _another_works(self, before: str) -> bool:
        working = self._working()
        return working is not None and working.name != before

    def _later(self, seconds: float, act: Callable[..., object], *args: object) -> None:
        """Do something some seconds from now; the round waits for it."""
        timer = threading.Timer(seconds, act, args)
        timer.start()
        self._timers.append(timer)

    def _release_later(self, seconds: float, replica: Replica, release: Callable[[Replica], None]) -> None:
        """Release a server some seconds from now, unless it is to be held for longer by then."""
        key = replica.number, release.__name__
        self._held_until[key] = max(self._held_until.get(key, 0.0), time.monotonic() + seconds)

        def act() -> None:
            if time.monotonic() > self._held_until[key] - 0.01:
                release(replica)

        self._later(seconds, act)

    def _wake_up(self, replica: Replica) -> None:
        replica.signal(signal.SIGCONT)

    def _join(self, replica: Replica) -> None:
        for way in replica.ways:
            way.swallows_requests = way.swallows_answers = way.refuses = False
            self._portal.call(way.let_go)

    # -- what must be ------------------------------------------------------------------------------------------

    def settle_round(self) -> None:
        """Compare as ever; then look at who asked for changes, and when."""
        super().settle_round()
        lines = self._lines()
        names = {line["id"]: line["name"] for line in lines if line["did"] == "start"}
        for text in self._overlaps(lines[self._looked_at :], names):
            self._violation(text)
        self._looked_at = len(lines)
        rows = self._database.primary.execute("SELECT cursor, kind, service FROM ostler.events", self._store)
        for text in self.events.compare({int(str(row[0])): (str(row[1]), str(row[2])) for row in rows}):
            self._violation(text)

    def _overlaps(self, lines: list[dict[str, Any]], names: dict[str, str]) -> Iterator[str]:
        """Yield what should not be: two changes of one service at once, and changes by a server that was replaced.

        `names` are those of the services, by the ids of what was started.
        """
        under_way: dict[str, tuple[str, float]] = {}
        for line in lines:
            if line["did"] == "boot":  # what was under way ended with the downstream server
                under_way.clear()
            if line["did"] not in ("begin", "end"):
                continue
            name = line["args"].get("name") or names.get(line["args"].get("id"), "?")
            if line["did"] == "end":
                under_way.pop(name, None)
                continue
            sender = line["sender"]
            earlier, at = under_way.get(name, (sender, 0.0))
            if earlier != sender or line["at"] - at < TIMEOUT:  # it does not wait longer for its own earlier call
                yield f"{name} was changed by {earlier} and {sender} at once"
            under_way[name] = sender, line["at"]
            if sender in self._replaced:
                yield f"{sender} was replaced, and changed {name}"
            if sender != self._last_sender:
                self._replaced.add(self._last_sender)
                self._last_sender = sender

    def _open_operations(self) -> dict[str, str]:
        with contextlib.suppress(psycopg.Error):
            rows = self._database.primary.execute(
                "SELECT service_name, kind FROM ostler.operations WHERE outcome IS NULL", self._store
            )
            return {str(name): str(kind) for name, kind in rows}
        return {"?": "the database does not answer"}

    def processes(self) -> dict[str, int]:
        """Return nothing: no service of these classes has a process."""
        return {}
