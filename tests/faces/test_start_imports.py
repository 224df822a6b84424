"""What each entry loads before it answers: clients wait for a bridge at their every start, and people for a verb."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ostler

NEWER = 5 if sys.version_info >= (3, 12) else 0
"""What the standard library of newer versions is split into more than in Python 3.11."""

MODULES = """
import sys
sys.argv = ["ostler"]
{load}
print("\\n".join(sys.modules))
{then}
"""

BRIDGE = """
from ostler.faces.entry import bridge_options
from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.program import run_bridge
"""
COMMAND_LINE = "from ostler.faces.cli.app import build_app; build_app()"
VERB = """
from ostler.faces.cli.app import run_command
assert run_command(["server-status"]) == 4
"""
LOCK = "import ostler.faces.daemon.__main__"
SERVER = """
import ostler.faces.daemon.__main__
from ostler.faces.daemon.lean_imports import import_lean
import_lean()
from ostler.faces.daemon.foreground_options import foreground_run
from ostler.faces.daemon.hosted_application import application_source
from ostler.faces.daemon.process import run_server
import gc
from pydantic import BaseModel, TypeAdapter

def models(base):
    return {model for child in base.__subclasses__() for model in {child} | models(child)}

defined = models(BaseModel)
assert len(defined) <= 106, f"{len(defined)} models are defined, each 0.2 ms of CPU"
built = [model.__name__ for model in defined if model.__pydantic_complete__]
assert len(built) <= 16, f"models are built when they are first used, but for {built}"
adapters = [each for each in gc.get_objects() if isinstance(each, TypeAdapter)]
assert not any(each.pydantic_complete for each in adapters), "adapters are built when they are first used"
"""
FIRST_CLIENT = SERVER + "import ostler.faces.mcp.server"
STARTED = '''
import re

patterns = []
compiled_now = re._compiler.compile
re._compiler.compile = lambda *given: patterns.append(given) or compiled_now(*given)

import ostler.faces.daemon.__main__
from ostler.faces.daemon.lean_imports import import_lean
import_lean()
import tempfile
from pathlib import Path
import anyio
from ostler.adapters.config.paths import Paths
from ostler.faces.daemon.hosted_application import application_source

SERVICES = """
name: shop
services:
  a: {class: command, args: {command: sleep 60}}
  b:
    class: job
    args: {command: "true"}
    dependsOn: {a: started}
    env: {PID: "{{ services.a.outputs.pid }}"}
"""

async def started(folder):
    (folder / "ostler.yaml").write_text(SERVICES)
    async with application_source(Paths(folder, folder), background=True, stop_on_exit=True)() as hosted:
        answer = await hosted.calls.change("project_up", {"directory": str(folder)}, "ostler-cli", "")
        assert not answer.is_error, answer
        refused = await hosted.calls.change("service_start", {"name": "unknown"}, "ostler-cli", "")
        assert refused.is_error and "'unknown'" in refused.text, refused

with tempfile.TemporaryDirectory() as folder:
    anyio.run(started, Path(folder))

from pydantic import BaseModel

def models(base):
    return {model for child in base.__subclasses__() for model in {child} | models(child)}

built = [model.__name__ for model in models(BaseModel) if model.__pydantic_complete__]
assert len(built) <= 18, f"models are built when they are first used, but for {built}"
most = 147 if sys.version_info >= (3, 12) else 142
assert len(patterns) <= most, f"{len(patterns)} patterns are compiled, each 0.1 ms of CPU"

import gc
from jinja2 import Template

compiled = sum(isinstance(each, Template) for each in gc.get_objects())
assert compiled <= 4, f"{compiled} templates are compiled, each 0.4 ms of CPU: those that are more than a name"
'''
HIGH_LEVEL_SERVER = """
from ostler.rules.reading import load_manifests

load_manifests("{apiVersion: ostler/v1, kind: ServiceClass, metadata: {name: a}, spec: {serviceConfig: "
               "{lifecycleTools: {start: {tool: a/start}, stop: {tool: a/stop}}}}}")
from ostler.model.manifest import ArgSpec
from ostler.rules.calls.arguments import validate_args

plain = {"command": ArgSpec(required=True, pattern="^x"), "port": ArgSpec(type="integer", minimum=1)}
plain |= {"words": ArgSpec(type="array", items={"type": "string"}), "env": ArgSpec(type="object")}
given = {"command": "x", "port": 80, "words": ["a"], "env": {"B": "c"}}
assert validate_args(plain, given) == given
assert "jsonschema" not in sys.modules

import io
from contextlib import redirect_stdout

import uvicorn
import uvicorn.server

assert uvicorn.Server is uvicorn.server.Server
for _ in range(2):
    with redirect_stdout(io.StringIO()) as said:
        uvicorn.main(["--version"], standalone_mode=False)
    assert uvicorn.__version__ in said.getvalue() and "click" in sys.modules

from ostler.adapters.downstream.failure_texts import failure_of
from ostler.adapters.downstream.loss import LossSignal

assert failure_of(OSError("no such program"), LossSignal()).reason == "OSError: no such program"

import anyio
from ostler.adapters.process.web_probe import look_http, valid_url

passed, said, _ = anyio.run(look_http, valid_url("http://127.0.0.1:1/"), None, 60.0)
assert not passed and "Connection refused" in said
assert "httpx2._client" not in sys.modules, "neither the failure of a local server nor a probe needs an HTTP client"

import importlib.metadata
from configparser import ConfigParser, RawConfigParser

assert issubclass(ConfigParser, RawConfigParser)
assert importlib.metadata.version("pydantic") and importlib.metadata.entry_points(group="opentelemetry_context")

from difflib import get_close_matches
from urllib.request import url2pathname

import html
import httpx2
from mcp import ClientSessionGroup

assert get_close_matches("sto", ["stop"]) == ["stop"] and url2pathname("/a%20b").endswith("a b")
assert html.escape("<") == "&lt;" and httpx2.URL("http://a/b").path == "/b"
assert type(ClientSessionGroup()).__module__ == "mcp.client.session_group"

from mcp_types import GetPromptRequestParams

assert not GetPromptRequestParams.__pydantic_complete__
given = {"name": "a", "inputResponses": {"b": {"action": "decline"}}}
assert GetPromptRequestParams.model_validate(given).input_responses["b"].action == "decline"

import anyio
from mcp import Client
from mcp.client.client import MCPServer as compared
from mcp.server.lowlevel import Server

assert "mcp.server.mcpserver.server" not in sys.modules
assert not isinstance(Server("a"), compared)

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

def used_first(_):
    return import_module("mcp.server.mcpserver").Context

with ThreadPoolExecutor(4) as threads:
    assert len(set(threads.map(used_first, range(4)))) == 1

from mcp.server.mcpserver import Context, MCPServer
assert isinstance(MCPServer("b"), compared) and not isinstance(Server("a"), compared)

async def connected():
    async with Client(MCPServer("b")) as client:
        return client.server_info.name

assert anyio.run(connected) == "b"
"""


@pytest.mark.parametrize(
    ("load", "most", "unwanted", "then"),
    [
        pytest.param(
            BRIDGE,
            115,
            "anyio asyncio dataclasses hashlib inspect jinja2 jsonschema mcp mcp_types pydantic typer yaml",
            "",
            id="bridge",
        ),
        pytest.param(
            COMMAND_LINE, 237, "anyio asyncio jinja2 jsonschema mcp mcp_types pydantic rich yaml", "", id="command-line"
        ),
        pytest.param(VERB, 246, "anyio asyncio jinja2 jsonschema mcp mcp_types pydantic rich ssl yaml", "", id="verb"),
        pytest.param(
            LOCK, 130, "anyio argparse asyncio jinja2 jsonschema mcp mcp_types pydantic typer yaml", "", id="lock"
        ),
        pytest.param(
            SERVER,
            721,
            "csv jsonschema mcp.client.session mcp.server.lowlevel mcp_types._types rich "
            "regex._regex_core starlette typer uvicorn ostler.faces.daemon.http ostler.faces.mcp.server",
            "",
            id="server",
        ),
        pytest.param(
            STARTED,
            750,
            "jsonschema mcp.client.session mcp.server.lowlevel mcp_types._types starlette "
            "ostler.rules.checking.call_check ostler.rules.checking.expressions",
            "",
            id="first-program",
        ),
        pytest.param(
            FIRST_CLIENT,
            882,
            "click cryptography csv html.entities httpx2._client jsonschema lightkube logging.handlers mcp.client.auth "
            "mcp.server.auth.handlers.token mcp.server.mcpserver.server multiprocessing opentelemetry.metrics "
            "opentelemetry.sdk prometheus_client psycopg referencing regex._regex_core rich typer wsproto "
            "ostler.adapters.downstream.http ostler.adapters.telemetry.live ostler.faces.daemon.forwarding "
            "ostler.faces.daemon.http ostler.rules.checking.class_check ostler.rules.checking.class_settings "
            "ostler.rules.drafts.drafting ostler.rules.muster.translation",
            HIGH_LEVEL_SERVER,
            id="first-client",
        ),
    ],
)
def test_nothing_is_loaded_that_the_first_answer_does_not_need(
    load: str, most: int, unwanted: str, then: str, tmp_path: Path
) -> None:
    script = MODULES.format(load=load, then=then)
    own = {**os.environ, "OSTLER_STATE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, env=own, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded.isdisjoint(unwanted.split()), sorted(loaded & set(unwanted.split()))
    assert len(loaded) <= most + NEWER


def test_a_start_keeps_its_bytecode_where_the_environment_forbids_to_write_any(tmp_path: Path) -> None:
    """Compiling is a third of a start, and images set the variable for the sake of the programs in them."""
    package = tmp_path / "ostler"
    shutil.copytree(Path(ostler.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tmp_path)}
    environment.pop("PYTHONPYCACHEPREFIX", None)
    command = [sys.executable, "-m", "ostler.faces.entry", "--version"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, cwd=tmp_path)
    assert list((package / "faces" / "cli").glob("__pycache__/app.*.pyc"))
