"""The command: each framework lets an agent take a service through its whole life, and make a mistake."""

import json
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.agents.model import Call, Model, Step, endpoint
from benchmarks.clients.command import PAGE, Library, install_packages, install_python, is_free, node_of, serving
from benchmarks.figures import title, write_measured

HERE: Final = Path(__file__).parent
SECONDS: Final = 180
PYTHON: Final = (
    Library("Agno", "agno[mcp]==3.1.10", "agno", ("openai==3.57.0",)),
    Library("Strands Agents (Python)", "strands-agents==1.62.0", "strands", ("openai==3.57.0",)),
    Library("Microsoft Agent Framework", "agent-framework==1.23.0", "agent_framework"),
    # pip chooses MCP SDK 2, which its adapter cannot import
    Library("smolagents", "smolagents[mcp]==1.26.0", "smolagents", ("mcp[ws]==1.30.0", "openai==3.57.0")),
    Library("mcp-use (Python)", "mcp-use==1.7.1", "mcp_use", ("langchain-openai==1.7.4",)),
)
JAVASCRIPT: Final = (
    Library("Mastra", "@mastra/core", "mastra"),
    Library("LangGraph.js", "@langchain/langgraph", "langgraph"),
    Library("Genkit", "genkit", "genkit"),
    Library("Strands Agents (TypeScript)", "@strands-agents/sdk", "strands"),
)


def steps(site: str) -> tuple[Step, ...]:
    """Return the conversation: the whole way of a service, and a create that fails."""
    named = {"name": "shop"}
    made = {"serviceClassName": "static-web-server", **named, "args": {"directory": site}}
    wrong = {"serviceClassName": "command", "name": "wrong", "args": {"comand": "true"}}
    return (
        Step(Call("serviceclass_list", {}), ("static-web-server",)),
        Step(Call("service_create", made), ("is running", "http://127.0.0.1")),
        Step(Call("service_status", named), ("running", "static-web-server")),
        Step(Call("service_wait", {**named, "state": ["running"]}), ("running",)),
        Step(Call("service_create", wrong), ("did you mean", "serviceclass_get")),
        Step(Call("service_stop", named), ("is stopped",)),
        Step(Call("service_delete", named), ("was deleted",)),
    )


def main(tools: Path, *, only: str = "", install_first: bool = False) -> int:
    """Run all frameworks whose name contains `only`; print the table, and write it into docs/clients.md if all ran."""
    tools = tools.resolve()
    chosen = [framework for framework in (*PYTHON, *JAVASCRIPT) if only in framework.name]
    if install_first:
        tools.mkdir(parents=True, exist_ok=True)
        for framework in PYTHON:
            if framework in chosen:
                install_python(tools, framework)
        install_packages(tools / "npm", HERE / "npm" / "package.json", "--force")
    title("Agent frameworks over a real server, with a model endpoint of our own")
    rows = ["| framework | version | transport | works | tokens of all tools | note |", "| --- " * 6 + "|"]
    with tempfile.TemporaryDirectory() as place, serving(Path(place)) as (url, stdio):
        for framework in chosen:
            with ThreadPoolExecutor(2) as pool:  # each transport has a server of its own
                targets = (("stdio", json.dumps(stdio)), ("HTTP", json.dumps(url)))
                rows += pool.map(partial(_row, tools, framework), *zip(*targets, strict=True))
            print("\n".join(rows[-2:]), flush=True)
    if not only:
        write_measured(PAGE, "frameworks", "\n".join(rows))
    return int(any("| no |" in row for row in rows))


def _row(tools: Path, framework: Library, transport: str, target: str) -> str:
    version = _version(tools, framework)
    if not version:
        return f"| {framework.name} | | {transport} | not tried | | it is not installed |"
    model = Model(steps(os.environ["OSTLER_TRIAL_SITE"]))
    with endpoint(model) as url:
        fault = _run(tools, framework, target, f"{url}/v1")
    faults = [fault] if fault else list(model.faults())
    works = "no" if faults else "yes"
    tokens = len(json.dumps(model.bodies[-1]["tools"], separators=(",", ":")).encode()) // 4 if model.bodies else 0
    notes = "; ".join(faults or _notes(model)).replace("|", "/").replace("\n", " ")
    return f"| {framework.name} | {version} | {transport} | {works} | {tokens} | {notes} |"


def _version(tools: Path, framework: Library) -> str:
    if framework in PYTHON:
        return framework.package.partition("==")[2] if (tools / framework.driver).is_dir() else ""
    package = tools / "npm" / "node_modules" / framework.package / "package.json"
    return str(json.loads(package.read_text())["version"]) if package.is_file() else ""


def _run(tools: Path, framework: Library, target: str, url: str) -> str:
    """Let the framework's agent run to its end; return what went wrong, or nothing."""
    if framework in PYTHON:
        words = [str(tools / framework.driver / "bin/python"), str(HERE / "drivers" / "python_framework.py")]
    else:
        words = [str(node_of(tools)), str(HERE / "drivers" / "javascript_framework.mjs")]
    words += [framework.driver, target, url]
    environment = {**os.environ, "OPENAI_API_KEY": "none", "OPENAI_BASE_URL": url, "DO_NOT_TRACK": "1"}
    environment |= {"MCP_USE_ANONYMIZED_TELEMETRY": "false", "MASTRA_TELEMETRY_DISABLED": "1"}
    try:
        done = subprocess.run(
            words, cwd=tools / "npm", env=environment, timeout=SECONDS, check=False, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return f"it was not done after {SECONDS} s"
    return "" if done.returncode == 0 else (done.stderr.strip() or "it said nothing").splitlines()[-1][:300]


def _notes(model: Model) -> list[str]:
    found: list[str] = []
    offered: dict[str, Any] = model.offered()
    schema = next(schema for name, schema in offered.items() if name.endswith("service_create"))
    args = schema["properties"]["args"]
    if not any(map(is_free, args.get("anyOf", [args]))):
        found.append("`args` is closed in what a model of OpenAI is shown")
    if len(schema["required"]) > 1:
        found.append("every argument is required")
    if not any("description" in tool.get("function", {}) for tool in model.bodies[-1]["tools"]):
        found.append("models are not shown what tools are for: their descriptions are left out")
    if "outputsAge" in json.dumps(model.bodies[0]["tools"]):  # of service_status
        found.append("output schemas are shown")
    if len(offered) > 50:
        found.append(f"{len(offered)} tools: resources and prompts are tools, too")
    if "structuredContent" in model.results()[0]:
        found.append("models are shown both halves of an answer")
    return found
