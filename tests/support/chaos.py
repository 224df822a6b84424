"""Everything goes wrong at once: clients, the server, its downstream server, the disk and the clock; then what is left?

Kinds of class over one downstream server that fails in every way (`fault_server.py`), some over real processes, and a
project that is brought up and taken down. In each round clients ask for something, something is killed, stopped or
filled, and the faults end. Then what Ostler says of each service is compared with the ledger, and whatever it asks a
person is answered by its advice.

What a round does, faults included, follows from the seed, its number and the states that it begins with; what the
system schedules first does not. So a violation has all three, and `play_again` begins there as often as is wanted.
"""

import contextlib
import json
import random
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import psutil
from tests.support.chaos_classes import (
    ARGS,
    BASE,
    CAN_LOOK,
    ENDING,
    NAMES,
    PROCESSES,
    PROJECT,
    PROJECTS,
    WATCHED,
    classes_text,
)  # fmt: skip
from tests.support.chaos_clients import over_bridge, over_http
from tests.support.fault_server import kept, lines_of, present, written
from tests.support.forked_server import HERE
from tests.support.forker import Forker
from tests.support.kills import GOALS, Killer
from tests.support.ports import free_port

QUIET = {"running", "stopped", "failed", "unknown"}
SETTLES_WITHIN = 60.0
_GOING = 60.0
_GOALS = {**GOALS, "up": "running", "down": "absent"}
SEEN_WITHIN = 2.5
"""Seconds within which a check sees what vanished: a call that hangs and times out, the interval, and the next call."""


@dataclass
class Chronicle:
    """What the rounds met."""

    rounds: int = 0
    operations: Counter[str] = field(default_factory=Counter[str])
    answers: Counter[str] = field(default_factory=Counter[str])
    clients: Counter[str] = field(default_factory=Counter[str])
    happened: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    asked_people: Counter[str] = field(default_factory=Counter[str])
    settled_after: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


class Chaos(Killer):
    """One state folder with one server, of which rounds are played.

    Attributes:
        names: the class of each service, by name.
        ends: how a server ends, as often as it does.
        others: what else happens.
        ways: how clients ask, as often as they do.
        looks: the server that health checks ask, if not that of all tools.
    """

    looks: ClassVar[str] = ""
    names: ClassVar = NAMES
    ends: ClassVar[tuple[str, ...]] = ("SIGKILL", "SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "stop", "handover")
    others: ClassVar[tuple[str, ...]] = (
        "nothing", "SIGSTOP", "bridges", "downstream", "disk", "clock", "vanish", "classes", "tools", "files",
    )  # fmt: skip
    ways: ClassVar[tuple[str, ...]] = ("socket", "socket", "bridge", "HTTP")

    def __init__(self, folder: Path, seed: int, forker: Forker) -> None:
        self.faults_file = folder / "faults.json"
        self.clock_file = Path(folder / "clock")
        super().__init__(folder, seed, forker)
        self.chronicle = Chronicle()
        self.port = free_port()
        self.states = dict.fromkeys(self.names, "absent")
        self.seed = seed
        self._began_with = dict(self.states)
        self._events: list[str] = []
        self._vanished: set[str] = set()
        self._asked: dict[str, tuple[str, str]] = {}
        self._clients: list[Any] = []
        self._noisy = False

    def _write_configuration(self, folder: Path) -> None:
        config = Path(self.place.config_dir)
        (config / "serviceclasses").mkdir(parents=True)
        self._classes_file = config / "serviceclasses" / "classes.yaml"
        self._classes_file.write_text(classes_text(looks=self.looks))
        (config / "ostler.toml").write_text('shutdownTimeout = "1s"\n')
        arguments = ["-S", str(HERE / "fault_server.py"), str(self.ledger), str(self.faults_file)]
        entry = {"command": sys.executable, "args": arguments}
        (config / "mcp.json").write_text(json.dumps({"mcpServers": {"faulty": entry}}))
        self._folders = {"project": folder / "shop", "worktree": folder / "fix"}
        git = folder / "shop" / ".git" / "worktrees" / "fix"  # a worktree as git makes it
        git.mkdir(parents=True)
        (git / "commondir").write_text("../..\n")
        (folder / "fix").mkdir()
        (folder / "fix" / ".git").write_text(f"gitdir: {git}\n")
        for each in self._folders.values():
            (each / "ostler.yaml").write_text(PROJECT)

    def allow(self, call: str, operation: str) -> None:
        """Let a tool call and an operation take so long, such as `20s`, so that a busy machine ends none of them."""
        text = self._classes_file.read_text().replace("timeout: 1s", f"timeout: {call}")
        self._classes_file.write_text(text.replace(": 4s", f": {operation}"))

    def set_faults(self, **plan: Any) -> None:
        """Let the downstream server fail by `plan` from here on."""
        new = self.faults_file.with_suffix(".new")
        new.write_text(json.dumps(plan))
        new.replace(self.faults_file)

    def _set_faults_of_round(self) -> None:
        self.set_faults(**self._rates, hidden=self._hidden)

    # -- rounds ------------------------------------------------------------------------------------------------

    def play_rounds(self, rounds: int) -> Chronicle:
        """Play `rounds` rounds."""
        self.start()
        self.settle_round()
        for _ in range(rounds):
            self.chronicle.rounds += 1
            try:
                self._play(self.chronicle.rounds)
            except AssertionError as error:  # something took too long: the round is over, and the next one begins
                self._violation(f"given up: {error}\n{self._why()}")
                self.set_faults()
                self.kill()
                self.start()
        self._count_faults()
        return self.chronicle

    def play_again(self, number: int, states: dict[str, str], times: int) -> Chronicle:
        """Play the round `number` so many `times`, each time from `states`, by name; other names are absent."""
        self.start()
        for _ in range(times):
            self.chronicle.rounds += 1
            with self.client() as client:
                for name in PROJECTS:
                    client.call_tool("project_up" if name in states else "project_down", self._project_args(name))
                rows = self._rows(client)
                for name in self.names:
                    if name in PROJECTS:
                        continue
                    self._put_right(client, name, rows)
                    if (state := states.get(name, "absent")) != "absent":
                        args = {"name": name, "serviceClassName": self.names[name], "start": state == "running"}
                        args |= ARGS.get(self.names[name], {})
                        client.call_tool("service_create", args)
            self._asked = {}
            self.settle_round()
            self._play(number)
        self._count_faults()
        return self.chronicle

    def _play(self, number: int) -> None:
        """Play one round, whose choices follow from the seed, its number and the states of the services."""
        self.random = random.Random(f"{self.seed}/{number}")
        self._began_with, self._events, self._vanished = dict(self.states), [], set()
        began = len(self._lines())
        self._noisy = self.random.random() < 0.6
        self._hidden: list[str] = []
        self._rates: dict[str, Any] = {}
        if self._noisy:
            acting, looking = self.random.choice((0.1, 0.4)), self.random.choice((0.0, 0.1, 0.4))
            self._rates = {"acting": acting, "looking": looking, "seed": f"{self.seed}/{number}"}
        self._set_faults_of_round()
        threads = self._ask()
        threading.Event().wait(self.random.choice((0.0, 0.02, 0.1, 0.3, 0.8)) * self.random.random())
        self._happen(self.random.choice(self.ends if self.random.random() < 0.55 else self.others))
        for thread in threads:
            thread.join(SETTLES_WITHIN)
        if stuck := [thread.name for thread in threads if thread.is_alive()]:
            self._violation(f"no answer after {SETTLES_WITHIN:.0f} s: {', '.join(stuck)}\n{self._why()}")
        self.set_faults()
        if self._noisy and self._vanished:
            threading.Event().wait(SEEN_WITHIN)  # only from here on can its checks see it
        self._events += [
            f"{line['tool']} {line['args'].get('name') or line['args'].get('id')}: {line['fault']}"
            for line in self._lines()[began:] if line["did"] == "fault"
        ]  # fmt: skip
        self.settle_round()

    def _ask(self) -> list[threading.Thread]:
        self._asked, self._clients = {}, []
        threads: list[threading.Thread] = []
        for name in self.random.sample(sorted(self.names), self.random.randint(1, 4)):
            operation = self.random.choice(self._possible(name))
            client = self.random.choice(self.ways)
            self.chronicle.operations[operation] += 1
            self.chronicle.clients[client] += 1
            self._asked[name] = (operation, "lost")
            what = f"{operation} {name} over {client}"
            args = (name, operation, client)
            threads.append(threading.Thread(target=self._request, args=args, name=what, daemon=True))
        for thread in threads:
            thread.start()
        return threads

    def _request(self, name: str, operation: str, client: str, kind: str = "") -> None:
        asked, is_error = self._asked, None
        args: dict[str, Any] = {"name": name}
        if operation == "create":
            kind = kind or self.names[name]
            args |= {"serviceClassName": kind, **ARGS.get(kind, {})}
        tool = f"service_{operation}"
        if name in PROJECTS:
            tool, args = f"project_{operation}", self._project_args(name)
        with contextlib.suppress(Exception):  # whatever a client meets when its server is killed: it has no answer
            is_error = self.call_over(client, tool, args)
        answer = "lost" if is_error is None else "failed" if is_error else "done"
        self.chronicle.answers[answer] += 1
        asked[name] = (operation, answer)

    def _project_args(self, name: str) -> dict[str, Any]:
        return {"directory": str(self._folders[name])}

    def _possible(self, name: str) -> tuple[str, ...]:
        if name not in PROJECTS:
            return super()._possible(name)
        return ("up",) if self.states[name] == "absent" else ("up", "down", "down")

    def call_over(self, client: str, tool: str, args: dict[str, Any]) -> bool:
        """Call `tool` in one of the `ways`; return whether it failed."""
        match client:
            case "bridge":
                return over_bridge(self.place, tool, args, self._clients)
            case "HTTP":
                return over_http(self.port, tool, args).is_error
            case _:
                with self.direct_client() as direct:
                    return direct.call_tool(tool, args).is_error

    def ask_all(self, asked: dict[str, tuple[str, str]]) -> None:
        """Ask for (operation, class) of each name at once; no one waits for the answers."""
        for name, (operation, kind) in asked.items():
            args = (name, operation, "socket", kind)
            threading.Thread(target=self._request, args=args, daemon=True).start()

    def _happen(self, what: str) -> None:
        self.chronicle.happened[what] += 1
        self._events.append(what)
        if what in self.ends:
            if what == "SIGKILL":
                self.kill()
            else:
                with contextlib.suppress(Exception):  # it may be just about to listen: then it is asked too early
                    self.end(what)
                self.kill()
            self.start()
            while self.random.random() < 0.35:  # again while it recovers, and perhaps once more
                threading.Event().wait(self.random.uniform(0.0, 0.6))
                self.kill()
                self.chronicle.happened["SIGKILL in a recovery"] += 1
                self._events.append("SIGKILL in the recovery")
                self.start()
            return
        match what:
            case "SIGSTOP":
                self._signal(signal.SIGSTOP)
                threading.Event().wait(self.random.uniform(0.1, 1.0))
                self._signal(signal.SIGCONT)
            case "bridges":
                for client in list(self._clients):
                    client.kill()
            case "downstream":
                self._kill_downstream(0.0)
            case "disk":
                self._limit_files(4096)
                threading.Event().wait(self.random.uniform(0.1, 1.0))
                self._limit_files(psutil.RLIM_INFINITY)
            case "clock":
                self.clock_file.write_text(str(self.random.choice((-86400, -60, 0, 60, 86400))))
            case "vanish":
                there = [name for name, ids in self.there().items() if ids and self.names.get(name) in WATCHED]
                if there:
                    self._remove(gone := self.random.choice(sorted(there)))
                    self._events.append(f"{gone} vanished")
                    self._vanished.add(gone)
                    threading.Event().wait(1.5)  # the interval of its checks
            case "classes":
                self._classes_file.write_text(classes_text(self.random.randint(1, 1000), self.looks))
            case "tools":
                self._hidden = self.random.choice((["find"], ["status", "find"], ["stop"], ["start", "drop"]))
                self._set_faults_of_round()
                threading.Event().wait(self.random.uniform(0.2, 1.0))
            case "files":
                for folder in self._folders.values():
                    (folder / "page.txt").write_text(str(self.random.random()))
                threading.Event().wait(SEEN_WITHIN)
            case _:
                pass

    def _signal(self, what: signal.Signals) -> None:
        if self.process is not None:
            self.process.signal(what)

    def _limit_files(self, size: int) -> None:
        """Let no file of the server grow beyond `size`, as on a full disk."""
        if self.process is None or not self.process.runs:
            return
        with contextlib.suppress(psutil.Error):
            server = psutil.Process(self.process.pid)
            for process in [server, *server.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    process.rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))

    # -- what is there -----------------------------------------------------------------------------------------

    def _lines(self) -> list[dict[str, Any]]:
        return lines_of(self.ledger.read_text()) if self.ledger.exists() else []

    def there(self) -> dict[str, list[str]]:
        """Return the ids of what the ledger has of each name."""
        found: dict[str, list[str]] = defaultdict(list)
        for key, entry in present(self._lines()).items():
            found[entry["name"]].append(key)
        return found

    def _remove(self, name: str) -> None:
        """Take away by hand what the ledger has of `name`."""
        with self.ledger.open("a") as file:
            for key in self.there()[name]:
                file.write(written(did="stop", id=key, name=name, at=time.time()))

    def _count_faults(self) -> None:
        for line in self._lines():
            if line["did"] == "fault":
                self.chronicle.faults[line["fault"]] += 1

    def faults_played(self) -> int:
        """Return how many faults the downstream server has played."""
        return sum(line["did"] == "fault" for line in self._lines())

    def most_at_once(self) -> int:
        """Return the most of one name that were ever there at once."""
        now: Counter[str] = Counter()
        most = 0
        for line in self._lines():
            if line["did"] in ("start", "stop"):
                now[line["name"]] += 1 if line["did"] == "start" else -1
                most = max(most, now[line["name"]])
        return most

    # -- what must be ------------------------------------------------------------------------------------------

    def settle_round(self) -> None:
        """Wait until nothing is under way, and compare; then do what a person is asked for."""
        began = time.monotonic()
        seen: dict[str, dict[str, Any]] = {}
        with self.client() as client:
            try:
                self.eventually(lambda: self._is_quiet(client, seen), "nothing is under way")
            except AssertionError:
                shown = {name: (row["state"], row.get("error")) for name, row in seen.items()}
                self._violation(f"not quiet: {shown}, open {self._open_operations()}")
            self.chronicle.settled_after.append(time.monotonic() - began)
            self._compare(client, seen)
        self.states = {name: str(seen[name]["state"]) if name in seen else "absent" for name in self.names}
        for name in PROJECTS:
            self.states[name] = "running" if self._of_project(name, seen) else "absent"

    @staticmethod
    def _of_project(name: str, seen: dict[str, dict[str, Any]]) -> dict[str, str]:
        """Return the states of what a project has of its own; what it shares is of the main checkout."""
        own = (f"web.{PROJECTS[name]}", *(["db.shop"] if name == "project" else []))
        return {each: str(seen[each]["state"]) for each in own if each in seen}

    def _kind(self, name: str) -> str:
        return self.names.get(name) or ("both" if name.startswith("web") else "kept")

    def _why(self) -> str:
        """Return what the server does that does not come to an end: its threads' stacks, and its last words."""
        state = "gone"
        pid = self.process.pid if self.process is not None else 0
        with contextlib.suppress(psutil.Error):
            self._signal(signal.SIGUSR1)
            state = psutil.Process(pid).status()
            threading.Event().wait(1.0)
        log = Path(self.place.log_file)
        lines = log.read_text(errors="replace").splitlines()[-60:] if log.exists() else []
        opened = self._open_operations() if self.place.paths.database.exists() else {}
        return "\n".join([f"      server {pid} is {state}; open operations: {opened}", *lines])

    def becomes_quiet(self, client: Any) -> dict[str, str]:
        """Wait until nothing is under way; return the states by name."""
        seen: dict[str, dict[str, Any]] = {}
        self.eventually(lambda: self._is_quiet(client, seen), "nothing is under way")
        return {name: str(row["state"]) for name, row in seen.items()}

    def _is_quiet(self, client: Any, seen: dict[str, dict[str, Any]]) -> bool:
        for _ in range(4):  # the end of an operation is on the disk a moment before the server has taken note of it
            opened = self._open_operations()
            before = {name: row["state"] for name, row in seen.items()}
            rows = self._rows(client)
            seen.clear()
            seen.update(rows)
            states = {name: str(row["state"]) for name, row in seen.items()}
            quiet = {state for name, state in states.items() if not self._waits_for_good(name, states)}
            is_still = not opened and before == states and quiet <= QUIET
            is_asking = all(row["state"] != "unknown" or row.get("error") for row in seen.values())
            if not is_still or not is_asking or any(row.get("operation") for row in seen.values()):
                return False
            if self._is_unseen(states):
                return False
            threading.Event().wait(0.05)
        return True

    def _is_unseen(self, states: dict[str, str]) -> bool:
        """Whether a check has still to see that something vanished, or that nothing needs it any more."""
        there = self.there() if self._vanished else {}
        is_gone = any(states.get(name) == "running" and not there[name] for name in self._vanished)
        return is_gone or (states.get(BASE) == "running" and "needs-1" not in states)

    @staticmethod
    def _waits_for_good(name: str, states: dict[str, str]) -> bool:
        """Whether what a service waits for does not come automatically: it has failed, or a person is asked."""
        needed = BASE if name == "needs-1" else "db.shop"
        return states[name] == "waiting" and states.get(needed) in (None, "stopped", "failed", "unknown")

    def _compare(self, client: Any, seen: dict[str, dict[str, Any]]) -> None:
        self._compare_made(seen)
        there, processes = self.there(), self.processes()
        names = [*(name for name in self.names if name not in PROJECTS), *sorted({*seen, *there} - self.names.keys())]
        for name in names:
            if name == BASE and name in seen and "needs-1" not in seen and self._goes(client, name):
                seen.pop(name)  # with what it was made for, which a person has just deleted
                there = self.there()
            kind, count = self._kind(name), self._count(name, there, processes)
            if processes.get(name, 0) % PROCESSES.get(kind, 1):
                self._violation(f"{name} has {processes[name]} processes, and not {PROCESSES[kind]} or none")
            if count > 1:
                self._violation(f"{name} is there {count} times")
            state = str(seen[name]["state"]) if name in seen else "absent"
            if kind in ENDING and state == "running" and not count:  # it may have been stopped since it was listed
                state = str(self._rows(client).get(name, {}).get("state", "absent"))
            operation, answer = self._asked.get(name, ("", ""))
            is_elsewhere = answer == "done" and state not in (_GOALS[operation], "unknown", "waiting")
            if is_elsewhere and kind != "policy":
                is_vanished = state in ("stopped", "failed") and count == 0 and operation != "delete"
                if not is_vanished:
                    self._violation(f"{name}: {operation} was acknowledged, and it is {state}")
            if (operation, answer, state) == ("delete", "done", "absent") and kind == "kept" and self._is_kept(name):
                self._violation(f"{name} was deleted, and what it keeps is left")
            if state in ("running", "stopped", "absent"):
                if count != int(state == "running") and not self._was_misled(name):
                    self._violation(f"{name} is {state} after {operation} ({answer}), and {count} of it are there")
                    self._put_right(client, name, seen)
                continue
            if state != "stopping":
                self._ask_person(client, name, seen, count)

    def _count(self, name: str, there: Mapping[str, Sized], processes: Mapping[str, int]) -> int:
        """Return how many services of a name are there, whole or in part."""
        whole = PROCESSES.get(self._kind(name))
        return -(-processes.get(name, 0) // whole) if whole else len(there[name])

    def _compare_made(self, seen: dict[str, dict[str, Any]]) -> None:
        """Compare what was made for a service, and the services of the project."""
        if BASE in seen and "needs-1" not in seen and seen[BASE]["state"] == "running":
            self._violation(f"{BASE} is left, and nothing needs it")
        if {"project", "worktree"} <= self._asked.keys():  # what one does with what is shared concerns the other
            return
        for name in PROJECTS:
            operation, answer = self._asked.get(name, ("", ""))
            has = self._of_project(name, seen)
            if answer == "done" and operation == "down" and has:
                self._violation(f"the {name} is down, and has {has}")
            states = {*has.values(), self._of_project("project", seen).get("db.shop")}
            if answer == "done" and operation == "up" and states != {"running"}:
                self._violation(f"the {name} is up, and has {has}")

    def _is_kept(self, name: str) -> bool:
        return name in kept(self._lines())

    @staticmethod
    def _rows(client: Any) -> dict[str, dict[str, Any]]:
        """Return what is listed of each service that was made from a class."""
        listed = client.call_tool("service_list", {"limit": 200}).structured["services"]
        return {row["name"]: row for row in listed if row.get("serviceClassName")}

    def _was_misled(self, name: str) -> bool:
        """Whether a start said that it had failed, and had not, of what no tool can look at."""
        lies = [line for line in self._lines() if line["did"] == "fault" and line["fault"] == "error after"]
        is_lied_to = any(line["args"].get("name") == name for line in lies if line["tool"] == "start")
        if is_lied_to and self._kind(name) not in CAN_LOOK:
            self._remove(name)
            return True
        return False

    def _ask_person(self, client: Any, name: str, seen: dict[str, dict[str, Any]], count: int) -> None:
        """What is not settled says why, asks what only a person can know, and is settled by the call that it names."""
        state, kind = str(seen[name]["state"]), self._kind(name)
        error = str(seen[name].get("error") or "")
        why = client.call_tool("service_explain", {"name": name}).structured
        self.chronicle.asked_people[state] += 1
        if not error:
            self._violation(f"{name} is {state} without an error")
        if state == "unknown" and not why.get("question"):
            self._violation(f"{name} is unknown without a question: {error}")
        if state == "unknown" and kind in CAN_LOOK:
            self._violation(f"{name} is unknown, and looking once would tell: {error}")
        advised = json.dumps(why)
        is_advised = any(way in advised for way in ("service_stop", "adopt", "abandon", "stop what is left"))
        is_left = count and self._count(name, self.there(), self.processes())  # a later look may have stopped it
        if state == "failed" and is_left and not is_advised and not self._was_misled(name):
            self._violation(f"{name} is failed, it is there, and nothing is advised: {error}")
        self._put_right(client, name, seen)

    def _put_right(self, client: Any, name: str, seen: dict[str, dict[str, Any]]) -> None:
        """Answer what a person is asked for, and go on from a service that is not there."""
        is_here = name in seen and self._is_known(client, name)  # what was made for another one goes with it
        answer = client.call_tool("service_delete", {"name": name}) if is_here else None
        if answer is not None and answer.is_error and "automatically when the server is back" in answer.text:
            self.eventually(lambda: not self._is_known(client, name), f"the delete of {name} is made up for")
        elif answer is not None and answer.is_error:
            if self._kind(name) in CAN_LOOK:
                self._violation(f"{name} was {seen[name]['state']} and cannot be deleted: {answer.text}")
            self._remove(name)
            answer = client.call_tool("service_delete", {"name": name, "abandon": True})
            if answer.is_error:
                self._violation(f"{name} cannot be abandoned: {answer.text}")
        if self.there()[name]:
            if answer is not None and self._kind(name) in CAN_LOOK:
                self._violation(f"{name} was deleted, and is there")
            self._remove(name)
        seen.pop(name, None)

    def _goes(self, client: Any, name: str) -> bool:
        """Whether a service is gone before long."""
        deadline = time.monotonic() + _GOING
        while self._is_known(client, name):
            if time.monotonic() > deadline:
                return False
            threading.Event().wait(0.02)
        return True

    @staticmethod
    def _is_known(client: Any, name: str) -> bool:
        return not client.call_tool("service_get", {"name": name}).is_error

    def _violation(self, text: str) -> None:
        asked = ", ".join(f"{operation} {name} ({answer})" for name, (operation, answer) in self._asked.items())
        began = ",".join(f"{name}={state}" for name, state in self._began_with.items() if state != "absent")
        self.chronicle.violations.append(
            f"round {self.chronicle.rounds}: {text}\n      asked: {asked or 'nothing'}\n"
            f"      happened: {', '.join(self._events) or 'nothing'}\n      began with: --states {began or 'none'}"
        )
