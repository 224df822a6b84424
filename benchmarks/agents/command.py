"""The command: each agent creates a service, reads it, makes a mistake, and ends; then the service must still run."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.agents.model import Call, Model, Step, endpoint
from benchmarks.figures import title, write_measured

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "clients.md"
SECONDS: Final = 180
NODE: Final = "node@24.20.0"
OF_INSTRUCTIONS: Final = ("every client sees the same ones", "Secrets are shown as ***")
"""Words from the beginning and the end of Ostler's instructions that no tool's description has."""

SCRIPT: Final = (
    Step(Call("serviceclass_list", {}), ("static-web-server",)),
    Step(
        Call("service_create", {"serviceClassName": "command", "name": "kept", "args": {"command": "sleep 86400"}}),
        ("is running", "pid"),
    ),
    Step(Call("service_status", {"name": "kept"}), ("running", "healthy")),
    Step(
        Call("service_create", {"serviceClassName": "command", "name": "wrong", "args": {"comand": "true"}}),
        ("did you mean", "serviceclass_get"),
    ),
    Step(Call("service_logs", {"name": "kept"}), ("kept",)),
)


@dataclass(frozen=True)
class Agent:
    """A coding agent: its package, how it learns of Ostler and of the model, and how it is run for one turn.

    Attributes:
        name: its name, for people.
        package: of npm, pinned.
        files: relative path in its home → contents, of the command of the MCP server and the model's URL.
        command: what is run.
        environment: further variables, by the model's URL.
    """

    name: str
    package: str
    files: Callable[[list[str], str], dict[str, str]]
    command: tuple[str, ...]
    environment: Callable[[str], dict[str, str]] = lambda _url: {}


def _entries(server: list[str], **more: object) -> dict[str, object]:
    return {"mcpServers": {"ostler": {"command": server[0], "args": server[1:], **more}}}


def _codex(server: list[str], url: str) -> dict[str, str]:
    lines = ['model = "m"', 'model_provider = "here"', "[model_providers.here]", 'name = "here"']
    lines += [f'base_url = "{url}/v1"', 'wire_api = "responses"', "[mcp_servers.ostler]"]
    lines += [f"command = {json.dumps(server[0])}", f"args = {json.dumps(server[1:])}", "startup_timeout_sec = 60"]
    return {".codex/config.toml": "\n".join(lines)}


def _gemini(kind: str, folder: str) -> Callable[[list[str], str], dict[str, str]]:
    auth = {"security": {"auth": {"selectedType": kind}}}
    return lambda server, _url: {f"{folder}/settings.json": json.dumps({**_entries(server, trust=True), **auth})}


def _opencode(server: list[str], url: str) -> dict[str, str]:
    model = {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": f"{url}/v1", "apiKey": "k"}}
    provider = {"here": {**model, "models": {"m": {"tool_call": True}}}}
    mcp = {"ostler": {"type": "local", "command": server}}
    return {"work/opencode.json": json.dumps({"provider": provider, "model": "here/m", "mcp": mcp})}


def _openai(url: str) -> dict[str, str]:
    return {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_MODEL": "m"}


AGENTS: Final = (
    Agent(
        "Claude Code",
        "@anthropic-ai/claude-code@2.1.332",
        lambda server, _url: {"mcp.json": json.dumps(_entries(server))},
        ("claude", "-p", "go", "--mcp-config", "../mcp.json", "--strict-mcp-config", "--allowedTools", "mcp__ostler"),
        # its search for tools needs a model that knows it
        lambda url: {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "k", "ENABLE_TOOL_SEARCH": "false"},
    ),
    Agent(
        "Codex",
        "@openai/codex@0.171.0",
        _codex,
        ("codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "go"),
    ),
    Agent(
        "Gemini CLI",
        "@google/gemini-cli@0.61.0",
        _gemini("gemini-api-key", ".gemini"),
        ("gemini", "--yolo", "-m", "gemini-2.5-pro", "-p", "go"),
        lambda url: {
            "GEMINI_API_KEY": "k",
            "GOOGLE_GEMINI_BASE_URL": url,
            "GEMINI_CLI_TRUST_WORKSPACE": "true",
        },
    ),
    Agent(
        "Qwen Code", "@qwen-code/qwen-code@0.24.4", _gemini("openai", ".qwen"), ("qwen", "--yolo", "-p", "go"), _openai
    ),
    Agent("opencode", "opencode-ai@1.18.33", _opencode, ("opencode", "run", "go")),
    Agent(
        "Copilot CLI",
        "@github/copilot@1.0.102",
        lambda server, _url: {".copilot/mcp-config.json": json.dumps(_entries(server, type="local", tools=["*"]))},
        ("copilot", "-p", "go", "--allow-all-tools"),
        lambda url: {"COPILOT_PROVIDER_BASE_URL": f"{url}/v1", "COPILOT_PROVIDER_API_KEY": "k", "COPILOT_MODEL": "m"},
    ),
)


def main(tools: Path, *, only: str = "", install_first: bool = False) -> None:
    """Run each agent whose name contains `only`, and print and write the table of docs/clients.md."""
    npm = tools.resolve() / "agents"
    chosen = [agent for agent in AGENTS if only in agent.name]
    if install_first:
        npm.mkdir(parents=True, exist_ok=True)
        (npm / "package.json").write_text('{"private": true}')
        packages = [NODE, *(agent.package for agent in chosen)]
        subprocess.run(["npm", "install", "--no-fund", "--no-audit", *packages], cwd=npm, check=True)
        subprocess.run(["npm", "rebuild"], cwd=npm, check=False)
    title("Coding agents over a real server, each with a model endpoint of our own")
    rows = ["| agent | version | works | tools shown, its own included | instructions | note |", "| --- " * 6 + "|"]
    rows += [_row(agent, npm) for agent in chosen]
    print("\n".join(rows))
    if not only:
        write_measured(PAGE, "agents", "\n".join(rows))


def _row(agent: Agent, npm: Path) -> str:
    version = agent.package.rpartition("@")[2]
    if not (npm / "node_modules" / ".bin" / agent.command[0]).exists():
        return f"| {agent.name} | {version} | not tried | | | it is not installed |"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as text:
        home = Path(text)
        ostler = [str(Path(sys.executable).parent / "ostler"), "--config", text + "/config", "--state", text + "/state"]
        model = Model(SCRIPT)
        try:
            status = _turn(agent, npm, home, [*ostler, "serve"], model)
            problems = _problems(model, status)
            state = subprocess.run([*ostler, "status", "kept", "--json"], capture_output=True, text=True, check=False)
            if json.loads(state.stdout or "{}").get("state") != "running":
                problems.append("the service does not run any more after the agent's exit")
        finally:
            for verb in (["delete", "kept"], ["stop-server"]):
                subprocess.run([*ostler, *verb], check=False, capture_output=True)
    listed = sum(name.endswith(("service_create", "service_status", "service_logs")) for name in model.offered())
    shown = str(len(model.offered())) if listed else "after a search"
    shows = [model.instructions_shown(words) for words in OF_INSTRUCTIONS]
    instructions = "yes" if all(shows) else "in part" if any(shows) else "no"
    works = "no" if problems else "yes"
    notes = problems
    if "outputsAge" in json.dumps([body.get("tools") for body in model.bodies]):  # of service_status
        notes = [*problems, "output schemas are shown"]
    return f"| {agent.name} | {version} | {works} | {shown} | {instructions} | {'; '.join(notes)} |"


def _turn(agent: Agent, npm: Path, home: Path, server: list[str], model: Model) -> int | None:
    work = home / "work"
    work.mkdir()
    subprocess.run(["git", "init", "-q", str(work)], check=True)
    with endpoint(model) as url:
        for name, contents in agent.files(server, url).items():
            file = home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(contents)
        path = f"{npm / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "HOME": str(home), "PWD": str(work), "PATH": path, **agent.environment(url)}
        try:
            done = subprocess.run(
                agent.command,
                cwd=work,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
    return done.returncode


def _problems(model: Model, status: int | None) -> list[str]:
    ended = [] if status == 0 else ["it did not end" if status is None else f"it ended with status {status}"]
    return [*ended, *model.faults()]
