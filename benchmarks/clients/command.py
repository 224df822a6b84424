"""The command: installs the libraries, drives each over stdio and HTTP, and writes the tables of docs/clients.md."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clients import conformance
from benchmarks.figures import title, write_measured

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "clients.md"
STEPS = ("list", "create", "status", "wait", "stop", "delete", "failure")
SECONDS = 120
CORE = ("service_create", "service_status")


@dataclass(frozen=True)
class Library:
    """A client library: the package that is pinned, what else it needs, and its name in a driver."""

    name: str
    package: str
    driver: str
    more: tuple[str, ...] = ()


PYTHON = (
    Library("Python SDK 1", "mcp==1.30.0", "mcp"),
    Library("FastMCP", "fastmcp==4.2.3", "fastmcp"),
    Library("LangChain MCP adapters", "langchain-mcp-adapters==0.3.2", "langchain", ("langchain-core",)),
    Library("OpenAI Agents SDK", "openai-agents==0.24.0", "openai_agents"),
    Library("Pydantic AI", "pydantic-ai-slim[mcp,openai]==2.68.0", "pydantic_ai"),
    Library("Google ADK", "google-adk[mcp]==2.13.0", "google_adk"),
)
JAVASCRIPT = (
    Library("TypeScript SDK 1", "@modelcontextprotocol/sdk", "sdk1"),
    Library("TypeScript SDK 2", "@modelcontextprotocol/client", "sdk2"),
    Library("AI SDK", "@ai-sdk/mcp", "ai"),
    Library("MCP Inspector (CLI)", "@modelcontextprotocol/inspector", "inspector"),
)
GO = (Library("Go SDK", "github.com/modelcontextprotocol/go-sdk", "go"),)
GO_DRIVER = HERE / "drivers" / "go"


def main(tools: Path, *, only: str = "", install_first: bool = False) -> None:
    """Run all libraries whose name contains `only`, then the conformance suite, and print and write the tables."""
    tools = tools.resolve()
    if install_first:
        _install(tools, only)
    title("Client libraries over a real server, and the conformance suite")
    with tempfile.TemporaryDirectory() as place, _serving(Path(place)) as (url, stdio):
        rows = [
            row
            for library in (*PYTHON, *JAVASCRIPT, *GO)
            if only in library.name
            for row in _rows(tools, library, url, stdio)
        ]
        print(rows_text := "\n".join(["| client | version | transport | works | note |", "| --- " * 5 + "|", *rows]))
        if only:
            return
        write_measured(PAGE, "client-libraries", rows_text)
        costs = _costs(tools, url)
        print(costs)
        write_measured(PAGE, "tokens", costs)
        report = conformance.run(_node(tools), tools / "npm", url)
        print(report)
        write_measured(PAGE, "conformance", report)


def _install(tools: Path, only: str) -> None:
    tools.mkdir(parents=True, exist_ok=True)
    for library in PYTHON:
        if only in library.name:
            environment = tools / library.driver
            subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
            subprocess.run([str(environment / "bin/pip"), "install", "-q", library.package, *library.more], check=True)
    if only in GO[0].name and shutil.which("go"):
        subprocess.run(["go", "build", "-o", str(tools / "go" / "client"), "."], cwd=GO_DRIVER, check=True)
    npm = tools / "npm"
    npm.mkdir(exist_ok=True)
    (npm / "package.json").write_text((HERE / "npm" / "package.json").read_text())
    subprocess.run(["npm", "install", "--no-fund", "--no-audit"], cwd=npm, check=True)


def _node(tools: Path) -> Path:
    """Return Node.js as npm's package `node` brings it: the Inspector and the suite need 22.19 or newer."""
    return tools / "npm" / "node_modules" / ".bin" / "node"


@contextmanager
def _serving(place: Path) -> Generator[tuple[str, list[str]]]:
    (place / "site").mkdir()
    (place / "site" / "index.html").write_text("hello")
    ostler = str(Path(sys.executable).parent / "ostler")

    def folders(name: str) -> list[str]:
        return [ostler, "--config", str(place / name / "config"), "--state", str(place / name / "state")]

    log = place / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen([*folders("http"), "serve", "--http", "127.0.0.1:0"], stdout=out, stderr=out) as server,
    ):
        try:
            while not (found := re.search(r"http://\S+/mcp", log.read_text())):
                if server.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(0.1)  # noqa: TID251 (a command, not the engine)
            os.environ["OSTLER_TRIAL_SITE"] = str(place / "site")
            yield found[0], [*folders("stdio"), "serve"]
        finally:
            server.terminate()
            subprocess.run([*folders("stdio"), "stop-server"], check=False, capture_output=True)


def _rows(tools: Path, library: Library, url: str, stdio: list[str]) -> Generator[str]:
    version = _version(tools, library)
    for transport, target in (("stdio", json.dumps(stdio)), ("HTTP", json.dumps(url))):
        if not version:
            yield f"| {library.name} |  | {transport} | not tried | it is not installed |"
            continue
        done = _inspect(tools, target) if library.driver == "inspector" else _drive(tools, library, target)
        works = "yes" if tuple(done["steps"]) == STEPS and not done.get("fault") else "no"
        note = (done.get("fault") or done.get("note") or "").replace("|", "/").replace("\n", " ")
        if works == "yes" and not _is_free(done.get("args")):
            works, note = "no", f"args of service_create is handed to models as {json.dumps(done.get('args'))}"
        yield f"| {library.name} | {version} | {transport} | {works} | {note} |"


def _is_free(args: Any) -> bool:
    """Whether a model that is shown this schema of an object can pass any key in it."""
    return isinstance(args, dict) and args.get("type") == "object" and args.get("additionalProperties") is not False


def _version(tools: Path, library: Library) -> str:
    if library in PYTHON:
        return library.package.partition("==")[2] if (tools / library.driver).is_dir() else ""
    if library in GO:
        pinned = re.search(rf"{library.package} v(\S+)", (GO_DRIVER / "go.mod").read_text())
        return pinned[1] if pinned and (tools / "go" / "client").is_file() else ""
    package = tools / "npm" / "node_modules" / library.package / "package.json"
    return str(json.loads(package.read_text())["version"]) if package.is_file() else ""


def _drive(tools: Path, library: Library, target: str) -> dict[str, Any]:
    if library in PYTHON:
        words = [str(tools / library.driver / "bin/python"), str(HERE / "drivers" / "python_client.py"), library.driver]
    elif library in GO:
        words = [str(tools / "go" / "client")]
    else:
        words = [str(_node(tools)), str(HERE / "drivers" / "javascript_client.mjs"), library.driver]
    answer = _run([*words, target, os.environ["OSTLER_TRIAL_SITE"]], tools if library in GO else tools / "npm")
    for line in reversed(answer.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return {"steps": [], "fault": answer.strip().splitlines()[-1][:300] if answer.strip() else "it said nothing"}


def _costs(tools: Path, url: str) -> str:
    """Return the table of what the usual way costs in tokens, and what strict Ajv says of the schemas."""
    words = [str(_node(tools)), str(HERE / "drivers" / "schemas.mjs"), json.dumps(url), os.environ["OSTLER_TRIAL_SITE"]]
    answer = _run(words, tools / "npm")
    if not answer.startswith("{"):
        raise SystemExit(answer)
    found = json.loads(answer)
    way = found["costs"][2:]
    total = ["the whole way", sum(cost[1] for cost in way), sum(cost[2] for cost in way)]
    lines = ["| what | text | structured content |", "| --- | --- | --- |"]
    lines += [f"| {what} | {text} | {structured} |" for what, text, structured in (*found["costs"], total)]
    said = "; ".join(found["faults"]) or "nothing to fault"
    return "\n".join([*lines, "", f"Ajv, strict, finds in the schemas of {found['schemas']} tools: {said}."])


def _inspect(tools: Path, target: str) -> dict[str, Any]:
    """Take the Inspector's command line through the same steps, one process each."""
    where = json.loads(target)
    inspector = [str(_node(tools)), str(tools / "npm/node_modules/.bin/mcp-inspector"), "--cli"]
    # The server's own options would be read as the Inspector's: an entry of a file has them.
    entry = {"type": "http", "url": where} if isinstance(where, str) else {"command": where[0], "args": where[1:]}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {"ostler": entry}}))
        words = [*inspector, "--config", str(config), "--server", "ostler"]

        def call(tool: str, **args: Any) -> str:
            given = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in args.items()]
            tool_args = [word for pair in given for word in ("--tool-arg", pair)]
            return _run([*words, "--method", "tools/call", "--tool-name", tool, *tool_args], folder=tools / "npm")

        listed = _run([*words, "--method", "tools/list"], folder=tools / "npm")
        if '"service_create"' not in listed:
            return {"steps": [], "fault": listed[-300:]}
        site = {"directory": os.environ["OSTLER_TRIAL_SITE"]}
        steps = ["list"]
        for step, said in (
            ("create", lambda: call("service_create", serviceClassName="static-web-server", name="shop", args=site)),
            ("status", lambda: call("service_status", name="shop")),
            ("wait", lambda: call("service_wait", name="shop", state=["running"])),
            ("stop", lambda: call("service_stop", name="shop")),
            ("delete", lambda: call("service_delete", name="shop")),
        ):
            if '"isError": true' in (text := said()) or "shop" not in text:
                return {"steps": steps, "fault": f"{step}: {text[-300:]}"}
            steps.append(step)
        failed = call("service_create", serviceClassName="nothing")
        if "Next:" not in failed:
            return {"steps": steps, "fault": f"the failure is not seen: {failed[-300:]}"}
    return {"steps": [*steps, "failure"], "args": {"type": "object"}, "note": "shows the server's own schemas"}


def _run(words: list[str], folder: Path) -> str:
    # npm's `node` comes first, so that what a script starts with `#!/usr/bin/env node` is the same one.
    environment = {**os.environ, "PATH": os.pathsep.join([str(folder / "node_modules/.bin"), os.environ["PATH"]])}
    try:
        done = subprocess.run(
            words, cwd=folder, env=environment, timeout=SECONDS, check=False, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return f"it was not done after {SECONDS} s"
    return done.stdout if done.stdout.strip() else done.stderr
