"""One stack brought up from nothing, broken, tried in two worktrees, and taken down; what is wrong is in words."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil

from benchmarks.stacks.catalogue import Stack, copy_stack, remove_databases, tools_environment

Found = TypeVar("Found")
_CALL_SECONDS = 400.0
_ANSWER_SECONDS = 20.0
_NOTICED_SECONDS = 1.0
"""Within this time a killed service must be shown as such."""


class StackError(Exception):
    """A step could not be done; what follows it is left out."""


@dataclass(slots=True)
class StackTrial:
    """What became of a stack: figures of its steps, and faults in words."""

    figures: dict[str, str] = field(default_factory=dict[str, str])
    faults: list[str] = field(default_factory=list[str])


class StackLife:
    """Takes one stack through its life, by the command line, in folders below `root`."""

    def __init__(self, stack: Stack, root: Path, tools: Path) -> None:
        self._stack = stack
        self._root = root
        self._main = root / stack.name
        self._worktree = root / "fix"
        self._tools = tools
        self._trial = StackTrial()
        self._pause = threading.Event()
        self._environment = {
            **os.environ,
            **tools_environment(tools),
            "HOME": str(root / "home"),
            "OSTLER_CONFIG": str(root / "config"),
            "OSTLER_STATE": str(root / "state"),
            "POSTGRES_RUN_AS": "postgres",
        }

    def run(self) -> StackTrial:
        """Live it, whatever goes wrong."""
        try:
            self._prepare()
            self._up_from_nothing()
            self._kill()
            self._second_worktree()
            self._down()
        except (StackError, subprocess.SubprocessError, OSError) as error:
            self._fault(f"{type(error).__name__}: {str(error)[-500:]}")
        finally:
            self._end()
        return self._trial

    def _fault(self, text: str) -> None:
        self._trial.faults.append(text)

    # -- steps ---------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        copy_stack(self._stack, self._main)
        for folder in ("home", "config", "state"):
            (self._root / folder).mkdir(mode=0o755)
        if os.getuid() == 0:
            (self._root / "config" / "ostler.toml").write_text('[env]\nallow = ["POSTGRES_RUN_AS"]\n')
        identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"], ["worktree", "add", "-q", "../fix"]):
            subprocess.run(["git", *identity, *words], cwd=self._main, check=True, capture_output=True)
        for folder in (self._main, self._worktree):
            link_packages(self._tools, folder)
            exclude = subprocess.run(
                ["git", "rev-parse", "--git-path", "info/exclude"],
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
            )
            (folder / exclude.stdout.strip()).write_text("node_modules\n")

    def _up_from_nothing(self) -> None:
        self._ostler(self._main, "ps")  # the server is there, so that its own start is not in the figure
        began = time.monotonic()
        self._up(self._main)
        self._trial.figures["up"] = f"{time.monotonic() - began:.1f} s"
        self._expect_answers(self._main, "up")
        self._trial.figures["processes"] = str(len(self._own()))
        again = self._up(self._main)
        changed = [row["name"] for row in again["services"] if row["change"] != "unchanged"]
        if changed:
            self._fault(f"up again changed {', '.join(changed)}")

    def _kill(self) -> None:
        name = self._stack.killed
        pid = self._outputs(self._main, name)["pid"]
        killed = datetime.now(UTC)
        psutil.Process(pid).kill()
        noticed = self._eventually(lambda: self._first_event(name, killed), "the kill is an event")
        if noticed is not None:
            seconds = (noticed - killed).total_seconds()
            self._trial.figures["kill noticed"] = f"{seconds:.2f} s"
            if seconds > _NOTICED_SECONDS:
                self._fault(f"the kill was noticed after {seconds:.2f} s")
        began = time.monotonic()
        self._up(self._main)
        self._trial.figures["up again"] = f"{time.monotonic() - began:.1f} s"
        self._expect_answers(self._main, "killed and up again")

    def _first_event(self, name: str, since: datetime) -> datetime | None:
        """Return when the service first was said to be something else, after `since`."""
        events: list[dict[str, Any]] = json.loads(self._ostler(self._main, "events", name, "--json"))["events"]
        times = [datetime.fromisoformat(event["at"]) for event in events if event["kind"] == "state_changed"]
        return next((at for at in sorted(times) if at >= since), None)

    def _second_worktree(self) -> None:
        path, text = self._stack.broken
        file = self._worktree / path
        earlier = file.read_text() if file.exists() else None
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        facts = self._json(self._worktree, "up", may_fail=True)
        said = {row["name"].partition(".")[0]: row["change"] for row in facts["services"]}
        if said.get(self._stack.job) != "failed":
            self._fault(f"with a broken migration, {self._stack.job} is {said.get(self._stack.job)}")
        self._trial.figures["cause"] = str(facts.get("error", {}).get("message", ""))[-400:]
        if earlier is None:
            file.unlink()
            if not any(file.parent.iterdir()):
                file.parent.rmdir()
        else:
            file.write_text(earlier)
        began = time.monotonic()
        self._up(self._worktree)
        self._trial.figures["second worktree"] = f"{time.monotonic() - began:.1f} s"
        for folder in (self._main, self._worktree):
            self._expect_answers(folder, "two worktrees")
        if self._stack.shared:
            one, other = (self._outputs(folder, self._stack.shared)["pid"] for folder in (self._main, self._worktree))
            if one != other:
                self._fault(f"{self._stack.shared} is not shared")

    def _down(self) -> None:
        began = time.monotonic()
        self._json(self._worktree, "down")
        self._expect_answers(self._main, "the second worktree is down")
        self._json(self._main, "down")
        self._trial.figures["down"] = f"{time.monotonic() - began:.1f} s"
        if left := self._own():
            self._fault("left after down: " + "; ".join(" ".join(process.cmdline())[:80] for process in left))
        self._trial.figures["left"] = str(len(left))

    def _end(self) -> None:
        """Take away whatever a fault has left."""
        for folder in (self._worktree, self._main):
            if folder.exists():
                self._run(folder, "down")
        self._run(self._root, "stop-server")
        for process in self._own():
            process.kill()
        if self._main.exists():
            remove_databases(self._main)

    # -- looking -------------------------------------------------------------------------------------------

    def _expect_answers(self, folder: Path, when: str) -> None:
        for name, (path, wanted) in self._stack.asked.items():
            answer = self._eventually(lambda n=name, p=path, w=wanted: self._asked(folder, n, p, w), "an answer")
            if answer is None:
                self._fault(f"{when}: {name} in {folder.name} does not answer {wanted!r}")

    def _asked(self, folder: Path, name: str, path: str, wanted: str) -> str | None:
        try:
            url = str(self._outputs(folder, name)["url"])
            with urllib.request.urlopen(url + path, timeout=30) as answer:
                text: str = answer.read().decode()
        except (OSError, StackError, KeyError):
            return None
        return text if wanted in text else None

    def _outputs(self, folder: Path, name: str) -> dict[str, Any]:
        return json.loads(self._ostler(folder, "status", name, "--json")).get("outputs", {})

    def _own(self) -> list[psutil.Process]:
        """Return the processes that work in its folders or were started for them, Ostler's own left out."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                shown = [process.cwd(), *words]
                is_ours = any("ostler" in word for word in words[:5]) and any("python" in word for word in words[:1])
                mine = any(str(self._root) in word for word in shown) or "OSTLER_PROCESS_KEY" in process.environ()
                inside = str(self._root) in process.environ().get("OSTLER_STATE", "")
                if mine and (inside or str(self._root) in " ".join(shown)) and not is_ours:
                    found.append(process)
            except psutil.Error:
                continue
        return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]

    def _eventually(self, look: Callable[[], Found | None], what: str) -> Found | None:
        end = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < end:
            if (found := look()) is not None:
                return found
            self._pause.wait(0.2)
        self._fault(f"not within {_ANSWER_SECONDS:g} s: {what}")
        return None

    # -- the command line ----------------------------------------------------------------------------------

    def _up(self, folder: Path) -> Mapping[str, Any]:
        facts = self._json(folder, "up", may_fail=True)
        bad = [f"{row['name']} {row['change']}" for row in facts["services"] if row["change"] in ("failed", "skipped")]
        if bad:
            raise StackError(f"up in {folder.name}: {', '.join(bad)}: {facts.get('error', {}).get('message', '')}")
        return facts

    def _json(self, folder: Path, verb: str, *, may_fail: bool = False) -> dict[str, Any]:
        done = self._run(folder, verb, "--json")
        if done.returncode and not may_fail:
            raise StackError(f"{verb} in {folder.name}: {done.stderr or done.stdout}")
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise StackError(f"{verb} in {folder.name}: {done.stderr or done.stdout}") from None

    def _ostler(self, folder: Path, *words: str) -> str:
        done = self._run(folder, *words)
        if done.returncode:
            raise StackError(f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    def _run(self, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).parent / "ostler"
        return subprocess.run(
            [program, *words], cwd=folder, env=self._environment, capture_output=True, text=True, check=False,
            timeout=_CALL_SECONDS,
        )  # fmt: skip


def link_packages(tools: Path, folder: Path) -> None:
    """Give a stack's folder the npm packages of `tools`; not as a symbolic link, which Next.js does not follow."""
    shutil.copytree(tools / "npm/node_modules", folder / "node_modules", symlinks=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
