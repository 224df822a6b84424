"""What the README shows, run as it stands: the demo, the dialogue, the Inspector's lines, and the class of your own."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import anyio
import psutil
import pytest
from mcp import Client, StdioServerParameters
from tests.support.ports import dead_proxy, free_port

from ostler.model.json import JsonObject

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NPM_PROGRAMS = ROOT / ".npm-tools" / "node_modules" / ".bin"
PAGE = "<h1>hello</h1>\n"
LIMIT = 90

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]


class Ostler:
    """The `ostler` command with folders of its own."""

    def __init__(self, state: Path, config: Path) -> None:
        self.config = config
        self.variables = {"OSTLER_STATE": str(state), "OSTLER_CONFIG": str(config)}
        self.command = [sys.executable, "-m", "ostler.faces.entry"]

    def __call__(self, *arguments: str) -> str:
        return output_of([*self.command, *arguments], self.variables)


@pytest.fixture
def ostler(state_dir: Path, tmp_path: Path) -> Iterator[Ostler]:
    command = Ostler(state_dir / "state", tmp_path / "config")
    command.config.mkdir()
    yield command
    subprocess.run(
        [*command.command, "stop-server"], env={**os.environ, **command.variables}, timeout=LIMIT, check=False
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE, encoding="utf-8")
    return folder


def output_of(command: list[str], variables: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def npm_program(name: str) -> str:
    """Return the path of a program that tests/run.py installed; skip without it, fail in CI."""
    program = NPM_PROGRAMS / name
    if not program.exists():
        reason = f"{name} is not there; `python3 tests/run.py` installs it"
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(reason)
        pytest.fail(reason)
    return str(program)


def fetched(url: str) -> str:
    with urlopen(url, timeout=60) as response:
        return response.read().decode()


def test_the_demonstration_prints_what_the_readme_shows_and_leaves_nothing(tmp_path: Path) -> None:
    output = output_of([sys.executable, "-m", "ostler.faces.entry", "demo"], {"TMPDIR": str(tmp_path), **dead_proxy()})
    (shown,) = re.findall(r"^\$ uvx --from \. ostler demo\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert steps_of(output) == steps_of(shown)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_demonstration_leaves_nothing(tmp_path: Path) -> None:
    command, environment = [sys.executable, "-m", "ostler.faces.entry", "demo"], {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as demo:
        assert demo.stdout is not None
        next(line for line in demo.stdout if "is running" in line)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=LIMIT)
    assert list(tmp_path.iterdir()) == []
    assert [process for process in psutil.process_iter() if str(tmp_path) in str(words_of(process))] == []


def words_of(process: psutil.Process) -> list[str]:
    """Return the command and the environment of a process, nothing where it has ended or is another user's."""
    try:
        return [*process.cmdline(), *process.environ().values()]
    except psutil.Error:
        return []


def steps_of(output: str) -> list[str]:
    """Return the demonstration's lines without its progress, with `0` for every number that differs from run to run."""
    lines = [line for line in output.splitlines() if not line.startswith("     …")]
    return [re.sub(r"(pid |process |127\.0\.0\.1:|Done in )[\d.]+", r"\g<1>0", line) for line in lines]


NODE_PROJECT = {
    "package.json": '{"name": "shop", "private": true, "scripts": {"dev": "node server.js"}}',
    "server.js": """
const port = Number(process.argv[process.argv.indexOf("--port") + 1]);
require("http").createServer((_, answer) => answer.end("<h1>Shop</h1>")).listen(port, "127.0.0.1");
""",
}


@pytest.mark.npm
async def test_ostler_answers_in_the_dialogue_as_the_readme_shows(ostler: Ostler, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("the dialogue calls npm")
    for name, text in NODE_PROJECT.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (dialogue,) = re.findall(r"^```text\n(You .*?)^```", README, re.DOTALL | re.MULTILINE)
    asked = re.findall(r"→ (\w+) (\{.*?\})\n *← (.*?)(?=\nAgent|\Z)", dialogue, re.DOTALL)
    assert [tool for tool, _, _ in asked] == ["service_create", "service_list", "service_delete"]

    serve = StdioServerParameters(
        command=ostler.command[0], args=[*ostler.command[1:], "serve"], env={**os.environ, **ostler.variables}
    )
    for tool, args, answer in asked:  # a new client for each, as in the dialogue
        async with Client(serve) as client:
            if tool == "service_list":  # the first health check has passed since, and its use was measured
                with anyio.fail_after(LIMIT):
                    while not re.search("shop running/healthy.* MB", await said(client, tool, args)):
                        await anyio.sleep(0.1)
            shown = [re.escape(line.strip()) for line in answer.strip().splitlines()]
            # The first health check may have passed by the time a create is answered.
            changing = r"\\?/home/.*|(?<==)\d+|(?<=1:)\d+|[\d\\.]+(?=%|\\ MB)|(?<=health\\ )\w+"
            pattern = "\n".join(re.sub(changing, ".*", line) for line in shown)
            assert re.fullmatch(pattern, await said(client, tool, args.replace("/home/ann/shop", str(tmp_path))))


async def said(client: Client, tool: str, args: str) -> str:
    result = await client.call_tool(tool, json.loads(args))
    return "\n".join(getattr(block, "text", "") for block in result.content)


@pytest.mark.npm
def test_the_inspector_drives_a_service_from_create_to_delete(ostler: Ostler, site: Path) -> None:
    inspector = npm_program("mcp-inspector")
    lines = re.findall(r"^npx -y @modelcontextprotocol/inspector (--cli (?:\\\n|.)+)$", README, re.MULTILINE)
    assert len(lines) == 5
    answers = [inspected(inspector, line, ostler, site) for line in lines]
    tools, created, status, stopped, deleted = answers
    assert "service_create" in [tool["name"] for tool in tools["tools"]]
    assert created["structuredContent"]["service"]["state"] == "running"
    assert status["structuredContent"]["outputs"]["url"].startswith("http://127.0.0.1:")
    assert status["structuredContent"]["state"] == "running"
    assert stopped["structuredContent"]["service"]["state"] == "stopped"
    assert deleted["isError"] is False
    with pytest.raises(URLError):
        fetched(status["structuredContent"]["outputs"]["url"])


def inspected(inspector: str, line: str, ostler: Ostler, site: Path) -> JsonObject:
    """Run a line of the README with this Ostler instead of uvx, its own folders, and `site` instead of /tmp."""
    words = shlex.split(line.replace("\\\n", " ").replace('"/tmp"', json.dumps(str(site))))
    place = words.index("uvx")
    assert words[place : place + 4] == ["uvx", "--from", ".", "ostler"]
    given = [word for name, value in ostler.variables.items() for word in ("-e", f"{name}={value}")]
    words[place : place + 4] = [*given, *ostler.command]
    return json.loads(output_of([inspector, *words], {"MCP_INSPECTOR_SECRET_STORE": "memory"}))


@pytest.mark.npm
def test_the_class_of_ones_own_runs_a_web_server_through_desktop_commander(ostler: Ostler, site: Path) -> None:
    program = npm_program("desktop-commander")
    if shutil.which("python3") is None:
        pytest.skip("the class calls python3")
    (text,) = re.findall(r"<!-- class -->\n```yaml\n(.*?)```", README, re.DOTALL)
    (ostler.config / "serviceclasses").mkdir()
    (ostler.config / "serviceclasses" / "python-web.yaml").write_text(text, encoding="utf-8")
    home = ostler.config.parent / "home"  # desktop-commander keeps its settings and logs there
    home.mkdir()
    entry = {"command": program, "args": [], "env": {"HOME": str(home)}}
    (ostler.config / "mcp.json").write_text(json.dumps({"mcpServers": {"desktop-commander": entry}}), encoding="utf-8")

    port = free_port()
    ostler("create", "python-web", "trial", "--arg", f"folder={site}", "--arg", f"port={port}")
    status = json.loads(ostler("status", "trial", "--json"))
    assert (status["state"], status["outputs"]["url"]) == ("running", f"http://127.0.0.1:{port}/")
    assert fetched(status["outputs"]["url"]) == PAGE

    ostler("stop", "trial")
    assert json.loads(ostler("status", "trial", "--json"))["state"] == "stopped"
    with pytest.raises(URLError):
        fetched(status["outputs"]["url"])
    ostler("delete", "trial")


def test_the_readme_counts_the_shipped_classes() -> None:
    shipped = [file for file in (ROOT / "serviceclasses").glob("*.yaml") if not file.name.endswith(".test.yaml")]
    assert f"[{len(shipped)} classes]" in README
