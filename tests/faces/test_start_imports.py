"""What each entry loads before it answers: clients wait for a bridge at their every start, and people for a verb."""

import subprocess
import sys

import pytest

MODULES = """
import sys
sys.argv = ["ostler"]
{load}
print("\\n".join(sys.modules))
"""

BRIDGE = """
from ostler.faces.entry import bridge_options
from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.program import run_bridge
"""
COMMAND_LINE = "from ostler.faces.cli.app import build_app; build_app()"
SERVER = """
import ostler.faces.daemon.__main__
from ostler.faces.daemon.hosted_application import application_source
from ostler.faces.daemon.process import run_server
from ostler.faces.daemon.http import serving_http
"""


@pytest.mark.parametrize(
    ("load", "most", "unwanted"),
    [
        pytest.param(BRIDGE, 140, "anyio asyncio jinja2 jsonschema mcp mcp_types pydantic typer yaml", id="bridge"),
        pytest.param(
            COMMAND_LINE, 230, "anyio asyncio jinja2 jsonschema mcp mcp_types pydantic rich yaml", id="command-line"
        ),
        pytest.param(
            SERVER,
            1010,
            "jsonschema lightkube referencing rich typer wsproto "
            "ostler.rules.checking.class_check ostler.rules.checking.class_settings ostler.rules.drafts.drafting "
            "ostler.rules.muster.translation",
            id="server",
        ),
    ],
)
def test_nothing_is_loaded_that_the_first_answer_does_not_need(load: str, most: int, unwanted: str) -> None:
    script = MODULES.format(load=load)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded.isdisjoint(unwanted.split()), sorted(loaded & set(unwanted.split()))
    assert len(loaded) <= most
