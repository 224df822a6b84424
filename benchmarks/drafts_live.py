"""Drafts at work: real MCP servers from PyPI and npm, a class drafted from each one's tools, and one life of it.

The class is tried as it was drafted, by `ostler class try`'s own trial: nothing is edited, and only the args are given
that a caller has to know.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from tests.support.ports import free_port

from benchmarks.figures import title
from benchmarks.programs.install import from_npm, from_pypi
from ostler.adapters.config.paths import Paths
from ostler.adapters.testing.trial import TrialOptions, trial_name, try_class
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.protocols import ToolInfo
from ostler.faces.application import Application
from ostler.faces.assembly import open_application
from ostler.model.errors import DefinitionError, OstlerError
from ostler.rules.drafts.drafting import draft_class
from ostler.rules.drafts.tool_traits import Tool
from ostler.rules.reading import load_manifests

if TYPE_CHECKING:
    from ostler.adapters.testing.trial_report import TrialReport
    from ostler.rules.drafts.class_writer import Draft

HTTP = "python3 -u -m http.server {port} --bind 127.0.0.1"
SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class LiveServer:
    """An MCP server that starts and stops things on this machine.

    Attributes:
        name: as in mcp.json.
        package: what PyPI or npm calls it; with what it needs.
        program: the program that serves.
        options: its arguments; `{here}` is its folder.
        args: what a caller gives, for the args that the draft has.
        before: what must run first, as `supervisord` must.
        pairs: the start and stop tools, each pair right, as a person chose them.
        npm: it is from npm.
    """

    name: str
    package: str
    program: str
    options: tuple[str, ...] = ()
    args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    before: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    npm: bool = False
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


_COMMAND = {
    "command": HTTP, "cmd": HTTP, "cwd": "{here}", "directory": "{here}", "workingDir": "{here}", "project": "trial",
    "workingDirectory": "{here}",
}  # fmt: skip
_TMUX = {"TMUX_TMPDIR": "{here}"}
_PTY = (sys.executable, "pty.py")
_SLEEPER = "import time\n\nfor _ in range(600):\n    time.sleep(1)\n"

SERVERS = (
    LiveServer(
        "circus-mcp", "circus-mcp circus mcp<2", "circus-mcp", ("mcp",), _COMMAND, ("circusd", "circus.ini"),
        (("start_process", "stop_process"), ("add_process", "stop_process")),
    ),
    LiveServer(
        "supervisord-mcp", "supervisord-mcp supervisor mcp<2", "supervisord-mcp", ("mcp",), _COMMAND,
        ("supervisord", "-c", "supervisord.conf"), (("start_process", "stop_process"), ("add_process", "stop_process")),
    ),
    LiveServer(
        "mcp-tmux", "mcp-tmux", "mcp-tmux", (), _COMMAND, (), (("tmux_new_session", "tmux_kill"),), environment=_TMUX
    ),
    LiveServer("ipinb", "ipinb uv", "ipinb", (), _COMMAND, (), (("create_kernel", "close_kernel"),)),
    LiveServer("expty-mcp", "expty-mcp", "expty-mcp", (), _COMMAND, (), (("spawn", "close_session"),)),
    LiveServer(
        "terminalcp", "terminalcp mcp<2", "terminalcp", ("--mcp",), _COMMAND, (), (("terminalcp", "terminalcp"),)
    ),
    LiveServer(
        "i4z-terminal-mcp", "i4z-terminal-mcp mcp<2", "i4z-terminal-mcp", (), _COMMAND, (),
        (("create_terminal", "kill_terminal"),),
    ),
    LiveServer(
        "gdb-mcp", "gdb-mcp mcp<2", "gdb-mcp", (), {"binaryPath": sys.executable}, (),
        (("start_binary", "stop_session"),)
    ),
    LiveServer(
        "mcp-pdb", "mcp-pdb mcp<2", "mcp-pdb", (), {"filePath": "{here}/sleeper.py"}, (),
        (("start_debug", "end_debug"),)
    ),
    LiveServer(
        "jupyter-kernel-mcp", "jupyter-kernel-mcp ipykernel mcp<2", "jupyter-kernel-mcp", (),
        {"envPath": "{tools}/bin/python"}, (),
        (("start_kernel", "stop_kernel"),),
    ),
    LiveServer(
        "mcp-tmux-server", "mcp-tmux-server", "mcp-tmux", (), _COMMAND, (),
        (("run_in_terminal", "kill_task"), ("run_in_terminal", "kill_session")),
        environment=_TMUX,
    ),
    LiveServer("libtmux-mcp", "libtmux-mcp", "libtmux-mcp", (), _COMMAND, environment=_TMUX),
    LiveServer("tmux-mcp-server", "tmux-mcp-server", "tmux-mcp-server", (), _COMMAND, environment=_TMUX),
    LiveServer("pty-mcp", "pty-mcp", "pty-mcp", (), {**_COMMAND, "owner": "trial"}, (), (("pty_spawn", "pty_close"),)),
    LiveServer(
        "mcserial", "mcserial", "mcserial", (), {"port": "loop://"}, (),
        (("open_serial_port", "close_serial_port"),),
    ),
    LiveServer("mcp-shell-server", "mcp-shell-server", "mcp-shell-server", (), _COMMAND),
    LiveServer(
        "backburner-mcp", "backburner-mcp mcp<2", "backburner", ("mcp",), _COMMAND, (), (("start_task", "cancel_task"),)
    ),
    LiveServer("kyoo", "kyoo mcp<2", "kyoo", ("mcp",), _COMMAND, (), (("enqueue", "cancel_job"),)),
    LiveServer(
        "lmstudio-terminal-mcp", "lmstudio-terminal-mcp mcp<2", "lmstudio-terminal-mcp", (), _COMMAND, (),
        (("start_background_process", "stop_process"),),
    ),
    LiveServer(
        "terminal-mcp", "terminal-mcp mcp<2", "terminal-mcp", (), _COMMAND, (), (("session_create", "session_close"),)
    ),
    LiveServer(
        "vitjas-interactive-terminal", "vitjas-interactive-terminal mcp<2", "vitjas-interactive-terminal", (), _COMMAND,
        (), (("create_terminal", "delete_terminal"),),
    ),
    LiveServer(
        "tmux-agents", "tmux-agents mcp<2", "tmux-agents", ("mcp",),
        {"cwd": "{here}", "session": "trial", "agents": [{"title": "web", "command": HTTP}]}, (),
        (("agents_launch", "session_kill"),),
        environment=_TMUX,
    ),
    LiveServer(
        "mcp-rs232", "mcp-rs232 mcp<2", "mcp-rs232", (), {"port": "{here}/tty"}, _PTY, (("open_port", "close_port"),)
    ),
    LiveServer(
        "serial-mcp-server", "serial-mcp-server mcp<2", "serial_mcp", (), {"port": "{here}/tty"}, _PTY,
        (("serial.open", "serial.close"),),
    ),
    LiveServer(
        "modbus-connector-mcp", "modbus-connector-mcp mcp<2", "modbus-connector-mcp", (),
        {"kind": "simulate", "params": {"listen": "tcp:127.0.0.1:{port}", "unit": 1, "map": {"registers": []}}}, (),
        (("job_start", "job_stop"),),
    ),
    LiveServer(
        "pomodoro-ai-mcp", "pomodoro-ai-mcp mcp<2", "pomodoro_ai_mcp", (), {}, (), (("start_session", "stop_session"),)
    ),
    LiveServer(
        "terminal-mcp-server", "terminal-mcp-server mcp<2", "terminal-mcp-server", (), _COMMAND, (),
        (("create_session", "kill_session"),),
    ),
    LiveServer(
        "smartcli-toolkit", "smartcli-toolkit mcp<2", "smartcli-mcp", (), {"cmd": HTTP}, (), (("start", "close"),)
    ),
    LiveServer(
        "serial-mcp-new", "serial-mcp-new mcp<2", "serial-mcp", (), {"port": "{here}/tty"}, _PTY,
        (("serial_open", "serial_close"),),
    ),
    LiveServer(
        "carrot-mcp-io", "carrot-mcp-io mcp<2", "carrot-mcp-io", (), {"port": "{here}/tty"}, _PTY, (("open", "close"),)
    ),
    LiveServer(
        "piloty", "iflow-mcp-yiwenlu66-piloty mcp<2", "iflow-mcp_yiwenlu66-piloty", (), _COMMAND, (),
        (("create_session", "terminate"),),
    ),
    LiveServer(
        "mcp-yieldshell", "mcp-yieldshell mcp<2", "mcp-yieldshell", (), {**_COMMAND, "sideEffects": ["NONE"]}, (),
        (("execute", "stop"),),
    ),
    LiveServer(
        "time-tracker-ai-mcp", "time-tracker-ai-mcp mcp<2", "time_tracker_ai_mcp", (), {"project": "trial"}, (),
        (("start_timer", "stop_timer"),),
    ),
    LiveServer(
        "interactive-terminal-mcp", "iflow-mcp-wangyihang-interactive-terminal-mcp mcp<2", "interactive-terminal-mcp",
        (), {"command": ["python3", "-u", "-m", "http.server", "{port}"]}, (), (("spawn_process", "kill_session"),),
    ),
    LiveServer(
        "terminal-control-mcp", "iflow-mcp-wehnsdaefflae-terminal-control-mcp mcp<2",
        "iflow-mcp_wehnsdaefflae-terminal-control-mcp", (), _COMMAND, (), (("open_terminal", "exit_terminal"),),
        environment=_TMUX,
    ),
    LiveServer(
        "tab-shell-mcp", "tab-shell-mcp mcp<2", "tab-shell-mcp", (), _COMMAND, (),
        (("execute_shell_command", "stop_background_task"),),
    ),
    LiveServer(
        "tmux-mcp", "tmux-mcp mcp<2", "tmux-mcp", (), _COMMAND, (), (("tmux_create_session", "tmux_kill"),),
        environment=_TMUX,
    ),
    LiveServer(
        "sideshell-mcp", "sideshell-mcp mcp<2", "sideshell-mcp", (), _COMMAND, (), (("new-session", "close-session"),),
        environment=_TMUX,
    ),
    LiveServer(
        "mcp-emulate", "mcp-emulate mcp<2", "mcp-emulate", (), {"arch": "x86_64"}, (),
        (("create_emulator", "destroy_emulator"),),
    ),
    LiveServer(
        "cpp-debug-mcp", "cpp-debug-mcp mcp<2", "cpp-debug-mcp", (),
        {"executable": "/bin/sleep", "argsArg": ["600"], "workingDir": "{here}"}, (),
        (("gdb_start_session", "gdb_end_session"), ("lsp_start_session", "lsp_end_session")),
    ),
    LiveServer(
        "smadi-gdb-mcp", "iflow-mcp-smadi0x86-gdb-mcp mcp<2", "gdb-mcp", (), {}, (),
        (("debugger_start", "debugger_terminate"), ("gdb_start", "gdb_terminate"), ("lldb_start", "lldb_terminate")),
    ),
    LiveServer("mcp-timer", "mcp-timer mcp<2", "mcp-timer"),
    LiveServer("universal-notebook-mcp", "universal-notebook-mcp mcp<2", "nb-mcp"),
    LiveServer(
        "npm-terminalcp", "@mariozechner/terminalcp", "terminalcp", ("--mcp",), _COMMAND, (),
        (("terminalcp", "terminalcp"),), npm=True,
    ),
    LiveServer(
        "npm-manage-bg-mcp", "@mizunashi_mana/manage-bg-mcp", "manage-bg-mcp", (),
        {"command": "python3", "argsArg": ["-u", "-m", "http.server", "{port}"], "cwd": "{here}"}, (),
        (("start", "stop"),),
        npm=True,
    ),
    LiveServer(
        "npm-mcp-debugger", "@debugmcp/mcp-debugger", "mcp-debugger", ("stdio",),
        {"language": "python", "executablePath": sys.executable}, (),
        (("create_debug_session", "close_debug_session"),),
        npm=True,
    ),
    LiveServer(
        "npm-mcp-shell-server", "@mako10k/mcp-shell-server", "mcp-shell-server", (), _COMMAND, (),
        (("terminal_operate", "terminal_close"),), npm=True,
    ),
    LiveServer(
        "desktop-commander", "@wonderwhy-er/desktop-commander", "desktop-commander", (),
        {"command": HTTP, "timeoutMs": 2000}, (),
        (("start_process", "kill_process"), ("start_process", "force_terminate")), npm=True,
    ),
)  # fmt: skip
"""With the pairs of tools that a person chose from each list; none: there is nothing to draft."""


def main(tools: Path, *, only: str = "", install_first: bool = False) -> None:
    """Run and print.

    Args:
        tools: the folder that the servers are installed in, one each.
        only: a part of the names of the servers to try.
        install_first: install them.
    """
    title("Drafts from real servers, tried as they are")
    print("| server | drafted | steps that passed | questions | what the trial says |")
    print("| --- | --- | --- | --- | --- |")
    ran = right = drafts = tried = 0
    for server in SERVERS:
        if only not in server.name:
            continue
        folder = tools / "servers" / server.name
        if install_first:
            (from_npm if server.npm else from_pypi)(folder, server.package.split())
        if not _program(server, folder).exists():
            print(f"| {server.name} | not installed | | | |", flush=True)
            continue
        tried += 1
        row = anyio.run(_row, server, folder)
        right += row.is_right
        drafts += row.is_right and row.draft is not None
        ran += row.is_right and row.ran
        print(row, flush=True)
    print(f"\nright, or rightly refused: {right} of {tried}; of the {drafts} right drafts, ran unedited: {ran}")


@dataclass(slots=True)
class _Row:
    server: LiveServer
    draft: "Draft | None" = None
    report: "TrialReport | None" = None
    problem: str = ""

    @property
    def is_right(self) -> bool:
        if self.draft is None:
            return not self.server.pairs and not self.report and "no two tools" in self.problem
        pair = (self.draft.start.partition("/")[2], self.draft.stop.partition("/")[2])
        return pair in self.server.pairs

    @property
    def ran(self) -> bool:
        return self.report is not None and self.report.passed

    def __str__(self) -> str:
        if self.draft is None:
            return f"| {self.server.name} | refused | | | {self.problem} |"
        pair = f"{self.draft.start.partition('/')[2]} / {self.draft.stop.partition('/')[2]}"
        steps = self.report.steps if self.report else ()
        good = ", ".join(step.name for step in steps if step.verdict == "ok")
        said = [f"{step.name}: {step.text}" for step in steps if step.verdict == "failed"]
        said += [each.problem for each in (self.report.advice if self.report else ())]
        text = (self.problem or "; ".join(said) or "nothing").replace("|", "/").replace("\n", " ")
        return f"| {self.server.name} | {pair} | {good} | {len(self.draft.questions)} | {text[:600]} |"


def _program(server: LiveServer, folder: Path) -> Path:
    return folder / ("node_modules/.bin" if server.npm else "bin") / server.program


async def _fill(row: _Row, app: Application, work: Path, folder: Path) -> None:
    try:
        await app.downstream.wait_until_connected(row.server.name, 60)
        await _try(app, row, work, folder)
    except OstlerError as error:
        row.problem = f"{type(error).__name__}: {error}"


async def _row(server: LiveServer, folder: Path) -> _Row:
    row = _Row(server)
    with tempfile.TemporaryDirectory(prefix="ostler-draft-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        (root / "work").mkdir()
        (root / "config").mkdir()
        programs = str(_program(server, folder).parent)
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([programs, os.environ["PATH"]]),
            "HOME": str(root),
            **{key: value.replace("{here}", str(root / "work")) for key, value in server.environment.items()},
        }
        before = _start_before(server, root, environment)
        entry = {
            "command": str(_program(server, folder)),
            "args": [option.replace("{here}", str(root / "work")) for option in server.options],
            "cwd": str(root / "work"),
            "env": {key: environment[key] for key in ("PATH", "HOME", *server.environment)},
        }
        (root / "config/mcp.json").write_text(json.dumps({"mcpServers": {server.name: entry}}))
        paths = Paths.resolve(root / "config", root / "state", environ={})
        try:
            with anyio.fail_after(SECONDS):
                async with open_application(paths, stop_on_exit=True, environment=environment) as app:
                    await _fill(row, app, root / "work", folder)
        except TimeoutError:
            row.problem = f"it took longer than {SECONDS:g} s"
        finally:
            if before is not None:
                before.terminate()
                before.wait()
            if "TMUX_TMPDIR" in server.environment:  # its own tmux, in its folder
                subprocess.run(["tmux", "kill-server"], env=environment, check=False, capture_output=True)
    return row


def _start_before(server: LiveServer, root: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes] | None":
    for name, text in FILES.items():
        (root / "work" / name).write_text(text.replace("{here}", str(root / "work")))
    if not server.before:
        return None
    program = shutil.which(server.before[0], path=environment["PATH"]) or server.before[0]
    return subprocess.Popen(
        [program, *(word.replace("{here}", str(root / "work")) for word in server.before[1:])],
        cwd=root / "work",
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


FILES: Mapping[str, str] = {
    "sleeper.py": _SLEEPER,
    "pty.py": (
        "import os, time\n\n_, device = os.openpty()\nos.symlink(os.ttyname(device), 'tty')\n"
        "for _ in range(600):\n    time.sleep(1)\n"
    ),
    "circus.ini": "[circus]\nendpoint = tcp://127.0.0.1:5555\npubsub_endpoint = tcp://127.0.0.1:5556\n",
    "supervisord.conf": (
        "[supervisord]\nnodaemon=true\nlogfile={here}/s.log\npidfile={here}/s.pid\n"
        "[inet_http_server]\nport=127.0.0.1:9001\n[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
    ),
}


async def _try(app: Application, row: _Row, folder: Path, tools_folder: Path) -> None:
    server = row.server
    tools = [Tool.of(_listed(info)) for info in app.pool.list_tools(server.name)]
    try:
        row.draft = draft_class(server.name, tools)
    except DefinitionError as error:
        row.problem = str(error)
        return
    [loaded] = load_manifests(row.draft.manifest, f"{server.name}.yaml")
    entry = ClassEntry.of(loaded)
    port = free_port()
    words = {"{port}": str(port), "{here}": str(folder), "{tools}": str(tools_folder)}
    given = {
        name: _filled(value, words) for name, value in server.args.items() if name in entry.service_class.spec.args
    }
    (folder / "draft.yaml").write_text(row.draft.manifest)
    if os.environ.get("SHOW_DRAFTS"):
        print(row.draft.manifest, given)
    options = TrialOptions(trial_name(entry.name), tools=tools)
    row.report = await try_class(entry, [entry], given, app.pool, options)
    if os.environ.get("SHOW_DRAFTS"):
        for step in row.report.steps:
            print("   ", step)
        for each in row.report.advice:
            print("   ", each)


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_filled(each, words) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, words) for key, each in value.items()}
    if isinstance(value, str):
        for word, meaning in words.items():
            value = value.replace(word, meaning)
    return value


def _listed(info: ToolInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "description": info.description,
        "inputSchema": dict(info.input_schema),
        "outputSchema": info.output_schema,
        "annotations": info.annotations,
    }
