"""The command: installs the libraries, drives each over stdio and HTTP, and writes the tables of docs/clients.md."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.clients import conformance
from benchmarks.figures import title, write_measured

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "clients.md"
STEPS = ("list", "create", "status", "wait", "stop", "delete", "failure")
SECONDS = 120
AT_ONCE = 2
"""Libraries that are installed, and transports that are tried, at the same time."""
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
GO = Library("Go SDK", "github.com/modelcontextprotocol/go-sdk", "go")
JAVA = Library("Java SDK", "mcp", "java")
RUST = Library("Rust SDK (rmcp)", "rmcp", "rust")
COMPILED = {
    GO: ("go", "go.mod", r"go-sdk v(\S+)"),
    JAVA: ("mvn", "pom.xml", r"<artifactId>mcp</artifactId>\s*<version>(.*?)<"),
    RUST: ("cargo", "Cargo.toml", r'rmcp = .*"=(.*?)"'),
}
"""Each with the program that builds it, the file of its driver that pins it, and where in there."""


class Row(NamedTuple):
    """How a library did over one transport."""

    client: str
    version: str
    transport: str
    works: str
    note: str

    def __str__(self) -> str:
        return f"| {' | '.join(self)} |"


def main(tools: Path, *, only: str = "", install_first: bool = False, verify: bool = False) -> int:
    """Run all libraries whose name contains `only`, then the conformance suite; print and write the tables.

    Args:
        tools: the folder that the libraries are in.
        only: part of a library's name; others are left out, and nothing is written.
        install_first: fill `tools` from the registries.
        verify: run the libraries alone and write nothing.

    Returns:
        1 if a library does not work, else 0.
    """
    tools = tools.resolve()
    chosen = [library for library in (*PYTHON, *JAVASCRIPT, *COMPILED) if only in library.name]
    if verify:
        chosen = [library for library in chosen if library is not RUST]  # it takes minutes to build
    if install_first:
        began = time.monotonic()
        _install(tools, chosen)
        print(f"installed in {time.monotonic() - began:.0f} s", flush=True)
    title("Client libraries over a real server, and the conformance suite")
    with tempfile.TemporaryDirectory() as place, serving(Path(place)) as (url, stdio):
        rows = [row for library in chosen for row in _rows(tools, library, url, stdio)]
        table = "\n".join(["| client | version | transport | works | note |", "| --- " * 5 + "|", *map(str, rows)])
        print(table)
        excused = [library.name for library, (builder, *_) in COMPILED.items() if not shutil.which(builder)]
        failed = [row for row in rows if row.works != "yes" and row.client not in excused]
        for row in failed:
            print(f"FAILED: {row.client} {row.version} over {row.transport}: {row.note}", file=sys.stderr)
        if only or verify:
            return int(bool(failed))
        write_measured(PAGE, "client-libraries", table)
        costs = _costs(tools, url)
        print(costs)
        write_measured(PAGE, "tokens", costs)
        report = conformance.run(node_of(tools), tools / "npm", url)
        print(report)
        write_measured(PAGE, "conformance", report)
    return int(bool(failed))


def _install(tools: Path, chosen: Sequence[Library]) -> None:
    tools.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = [pool.submit(install_python, tools, library) for library in PYTHON if library in chosen]
        for library, (builder, *_) in COMPILED.items():
            if library in chosen and shutil.which(builder):
                done.append(pool.submit(_build, tools / library.driver, library))
        done.append(
            pool.submit(install_packages, tools / "npm", HERE / "npm" / "package.json")
        )  # also brings the Node.js that the others run in
    for each in done:
        each.result()


def _build(folder: Path, library: Library) -> None:
    driver = HERE / "drivers" / library.driver
    folder.mkdir(exist_ok=True)
    if library is GO:
        _run_installer(["go", "build", "-o", str(folder / "client"), "."], driver)
    elif library is RUST:
        shutil.copytree(driver, folder / "source", dirs_exist_ok=True)
        _run_installer(["cargo", "build", "--quiet", "--target-dir", str(folder)], folder / "source")
    else:
        path = folder / "class-path"
        words = ["mvn", "--quiet", "--batch-mode", "--file", str(driver / "pom.xml"), "dependency:build-classpath"]
        _run_installer([*words, f"-Dmdep.outputFile={path}"], folder)
        _run_installer(["javac", "-cp", path.read_text(), "-d", str(folder), str(driver / "JavaClient.java")], folder)


def _compiled(folder: Path, library: Library) -> list[str]:
    """Return the command of a driver that was built into `folder`; empty if it was not."""
    if library is JAVA:
        path = folder / "class-path"
        return ["java", "-cp", f"{folder}{os.pathsep}{path.read_text()}", "JavaClient"] if path.is_file() else []
    program = folder / ("client" if library is GO else "debug/rust-client")
    return [str(program)] if program.is_file() else []


def install_python(tools: Path, library: Library) -> None:
    """Install a library of Python into a virtual environment of its own."""
    environment = tools / library.driver
    packages = [library.package, *library.more]
    if uv := shutil.which("uv"):
        _run_installer([uv, "venv", "-q", "--clear", "--python", sys.executable, str(environment)], tools)
        _run_installer([uv, "pip", "install", "-q", "--python", str(environment), *packages], tools)
    else:
        _run_installer([sys.executable, "-m", "venv", str(environment)], tools)
        _run_installer([str(environment / "bin/pip"), "install", "-q", *packages], tools)


def install_packages(npm: Path, package: Path, *options: str) -> None:
    """Install what a `package.json` names into the folder `npm`."""
    npm.mkdir(exist_ok=True)
    shutil.copy(package, npm)
    _run_installer(["npm", "install", "--no-fund", "--no-audit", "--loglevel=error", *options], npm)


def _run_installer(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True)


def node_of(tools: Path) -> Path:
    """Return Node.js as npm's package `node` brings it: the Inspector and the suite need 22.19 or newer."""
    return tools / "npm" / "node_modules" / ".bin" / "node"


@contextmanager
def serving(place: Path) -> Generator[tuple[str, list[str]]]:
    """Serve Ostler over HTTP; yield its URL, and the command of another one over stdio."""
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


def _rows(tools: Path, library: Library, url: str, stdio: list[str]) -> list[Row]:
    version = _version(tools, library)

    def row(transport: str, target: str) -> Row:
        if not version:
            return Row(library.name, "", transport, "not tried", "it is not installed")
        done = _inspect(tools, target) if library.driver == "inspector" else _drive(tools, library, target)
        works = "yes" if tuple(done["steps"]) == STEPS and not done.get("fault") else "no"
        notes = (done.get("note"), *_handed(done.get("handed") or []))
        note = (done.get("fault") or "; ".join(filter(None, notes))).replace("|", "/").replace("\n", " ")
        if works == "yes" and not is_free(done.get("args")):
            works, note = "no", f"args of service_create is handed to models as {json.dumps(done.get('args'))}"
        return Row(library.name, version, transport, works, note)

    with ThreadPoolExecutor(AT_ONCE) as pool:  # each transport has a server of its own
        return list(pool.map(row, ("stdio", "HTTP"), (json.dumps(stdio), json.dumps(url))))


def _handed(bodies: list[Any]) -> Iterator[str]:
    """Yield in words what all tools cost where a library hands them to models, in each form that it has for them."""
    texts = [json.dumps(body, separators=(",", ":"), ensure_ascii=False) for body in bodies]
    if texts:
        sizes = ", ".join(str(len(text.encode()) // 4) for text in texts)
        outputs = " with output schemas" if any("outputsAge" in text for text in texts) else ""  # of service_status
        yield f"tokens of all tools{outputs}: {sizes}"


def is_free(args: Any) -> bool:
    """Whether a model that is shown this schema of an object can pass any key in it."""
    return isinstance(args, dict) and args.get("type") == "object" and args.get("additionalProperties") is not False


def _version(tools: Path, library: Library) -> str:
    if library in PYTHON:
        return library.package.partition("==")[2] if (tools / library.driver).is_dir() else ""
    if library in COMPILED:
        _, file, place = COMPILED[library]
        pinned = re.search(place, (HERE / "drivers" / library.driver / file).read_text())
        return pinned[1] if pinned and _compiled(tools / library.driver, library) else ""
    package = tools / "npm" / "node_modules" / library.package / "package.json"
    return str(json.loads(package.read_text())["version"]) if package.is_file() else ""


def _drive(tools: Path, library: Library, target: str) -> dict[str, Any]:
    if library in PYTHON:
        words = [str(tools / library.driver / "bin/python"), str(HERE / "drivers" / "python_client.py"), library.driver]
    elif library in COMPILED:
        words = _compiled(tools / library.driver, library)
    else:
        words = [str(node_of(tools)), str(HERE / "drivers" / "javascript_client.mjs"), library.driver]
    answer = _run([*words, target, os.environ["OSTLER_TRIAL_SITE"]], tools if library in COMPILED else tools / "npm")
    for line in reversed(answer.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return {"steps": [], "fault": answer.strip().splitlines()[-1][:300] if answer.strip() else "it said nothing"}


def _costs(tools: Path, url: str) -> str:
    """Return the table of what the usual way costs in tokens, and what strict Ajv says of the schemas."""
    words = [
        str(node_of(tools)),
        str(HERE / "drivers" / "schemas.mjs"),
        json.dumps(url),
        os.environ["OSTLER_TRIAL_SITE"],
    ]
    answer = _run(words, tools / "npm")
    if not answer.startswith("{"):
        raise SystemExit(answer)
    found = json.loads(answer)
    way = found["costs"][4:]
    total = ["the whole way", sum(cost[1] for cost in way), sum(cost[2] for cost in way)]
    lines = ["| what | text | structured content |", "| --- | --- | --- |"]
    lines += [f"| {what} | {text} | {structured} |" for what, text, structured in (*found["costs"], total)]
    said = "; ".join(found["faults"]) or "nothing to fault"
    return "\n".join([*lines, "", f"Ajv, strict, finds in the schemas of {found['schemas']} tools: {said}."])


def _inspect(tools: Path, target: str) -> dict[str, Any]:
    """Take the Inspector's command line through the same steps, one process each."""
    where = json.loads(target)
    inspector = [str(node_of(tools)), str(tools / "npm/node_modules/.bin/mcp-inspector"), "--cli"]
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

        listed = _run([*words, "--method", "tools/list", "--strict", "--format", "json"], folder=tools / "npm")
        if '"service_create"' not in listed or '"schemaFindings"' in listed:
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
    return {"steps": [*steps, "failure"], "args": {"type": "object"}, "note": "`--strict` warns of nothing"}


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
