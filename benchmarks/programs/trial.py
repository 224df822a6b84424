"""One program's life as a service, and what is wrong with it."""

import shlex
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
from tests.support.ports import free_port

from benchmarks.programs.catalogue import Program
from ostler.adapters.testing.outside import accepts
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import OstlerError
from ostler.model.states import ServiceState

STEP_SECONDS = 90.0
NOTICED_SECONDS = 1.0
"""Within this time a killed program must be shown as such."""


@dataclass(slots=True)
class Trial:
    """What became of it: seconds of each step, and faults in words."""

    program: str
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    processes: int = 0
    orphans: int = 0
    faults: list[str] = field(default_factory=list[str])


class Life:
    """Takes one program through its life as a service of `manager`."""

    def __init__(
        self, manager: ServiceManager, program: Program, folder: Path, tools: Path, environment: Mapping[str, str]
    ) -> None:
        self._manager = manager
        self._program = program
        self._folder = folder
        self._environment = dict(environment)
        self._port = free_port()
        self._words = {"{here}": str(folder), "{tools}": str(tools), "{port}": str(self._port)}
        self._tools = tools
        self._trial = Trial(program.name)
        self._name = "p-" + "".join(letter if letter.isalnum() else "-" for letter in program.name)

    async def run(self) -> Trial:
        """Live it, whatever goes wrong."""
        try:
            await anyio.to_thread.run_sync(self._prepare)
            await self._timed("ready", self._create)
            self._trial.processes = len(self._own())
            if self._program.listens:
                await self._refuse_a_second()
            await self._timed("kill noticed", self._kill)
            await self._timed("again", lambda: self._manager.start_service(self._name))
            await self._expect_up("started after the kill")
            await self._timed("restart", lambda: self._manager.restart_service(self._name))
            await self._expect_up("restarted")
            await self._timed("stop", lambda: self._manager.stop_service(self._name))
            self._expect_nothing_left("stopped")
        except (OstlerError, TimeoutError, subprocess.SubprocessError, psutil.Error) as error:
            self._trial.faults.append(f"{type(error).__name__}: {str(error)[:400]}")
        with suppress(OstlerError):
            await self._manager.delete(self._name, force=True)
        for process in self._own():
            process.kill()
        return self._trial

    def _said(self, text: str) -> str:
        for word, meaning in self._words.items():
            text = text.replace(word, meaning)
        return text

    def _prepare(self) -> None:
        for name, text in self._program.files.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._said(text))
        if self._program.packages:
            (self._folder / "node_modules").symlink_to(self._tools / self._program.packages / "node_modules")
        for command in self._program.prepare:
            done = subprocess.run(
                shlex.split(self._said(command)),
                cwd=self._folder,
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise subprocess.SubprocessError(f"{command}: {done.stderr[-300:]}")

    async def _create(self) -> None:
        port = {"port": self._port} if self._program.listens else {}
        args = {
            "command": self._said(self._program.command),
            "directory": str(self._folder),
            "environment": self._environment,
            "readyTimeout": "80s",
            **port,
            **self._program.ready,
        }
        await self._manager.create(CreateRequest(self._program.class_name, self._name, args))
        await self._expect_up("created")

    async def _timed(self, step: str, act: Callable[[], Awaitable[object]]) -> None:
        began = time.monotonic()
        with anyio.fail_after(STEP_SECONDS):
            await act()
        self._trial.seconds[step] = time.monotonic() - began

    async def _expect_up(self, when: str) -> None:
        view = self._manager.view(self._name)
        if view.state is not ServiceState.RUNNING:
            self._trial.faults.append(f"{when}: {view.state.value}")
        if self._program.listens and view.outputs.get("port") != self._port:
            self._trial.faults.append(f"{when}: port {view.outputs.get('port')}, not {self._port}")
        if self._program.listens and not await anyio.to_thread.run_sync(accepts, self._port):
            self._trial.faults.append(f"{when}: nothing accepts at its port")

    async def _refuse_a_second(self) -> None:
        """Another service on the same port is refused, and told who holds it."""
        args = {"command": "sleep 60", "directory": str(self._folder), "port": self._port, "readyTcp": "{port}"}
        try:
            await self._manager.create(CreateRequest("command", "second", args))
        except OstlerError as error:
            if f"service '{self._name}'" not in str(error):
                self._trial.faults.append(f"a taken port does not name the service: {str(error)[:200]}")
            return
        self._trial.faults.append("a second service got its port")
        await self._manager.delete("second", force=True)

    async def _kill(self) -> None:
        pid = self._manager.view(self._name).outputs["pid"]
        psutil.Process(pid).kill()
        with anyio.move_on_after(NOTICED_SECONDS):
            while self._manager.view(self._name).state is ServiceState.RUNNING:
                await anyio.sleep(0.005)
        if self._manager.view(self._name).state is ServiceState.RUNNING:
            self._trial.faults.append(f"killed: still said to run after {NOTICED_SECONDS:g} s")
        self._trial.orphans = len(self._own())

    def _own(self) -> list[psutil.Process]:
        """Return its processes, however it was left: those with its folder, port or key in what the system shows."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                shown = [process.cwd(), *process.cmdline()]
                key = process.environ().get("OSTLER_PROCESS_KEY")
                is_keeper = any("keeper.py" in word for word in shown)
                mine = key == self._name or any(str(self._folder) in word for word in shown)
                if mine and not is_keeper and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def _expect_nothing_left(self, when: str) -> None:
        left = [" ".join(process.cmdline())[:60] for process in self._own()]
        if left:
            self._trial.faults.append(f"{when}, and left: {'; '.join(left)}")
        if self._program.listens and accepts(self._port):
            self._trial.faults.append(f"{when}, and its port is open")


def is_here(program: Program, environment: Mapping[str, str]) -> bool:
    """Whether the program is found in this environment."""
    if program.needs.startswith("/"):
        return Path(program.needs).exists()
    return shutil.which(program.needs, path=environment["PATH"]) is not None
