"""Bad input through a real MCP client: each a clear error, nothing left behind, and the server keeps serving."""

import sys
from pathlib import Path

import pytest
from mcp.client import Client
from tests.support.downstream import PROGRAM
from tests.support.ledger_app import call, refusal
from tests.support.shipped import open_ostler

from ostler.faces.mcp.server import build_server

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {{name: {name}}}
spec:
  args:
    size: {{type: integer, default: 1}}
  serviceConfig:
    lifecycleTools:
      start: {{tool: {tool}, args: {args}}}
      stop: {{tool: s/stop, args: {{name: "{{{{ name }}}}"}}}}
      find: {{tool: s/find, args: {{name: "{{{{ name }}}}"}}, expect: {{jsonPath: {{state: running}}}}}}
    timeout: {{create: 2s, delete: 5s}}
"""

FAULTS = {
    "fails": ("s/fail", '{message: "disk full"}', "start tool failed: disk full"),
    "hangs": ("s/hang", "{}", "no answer from 's/hang' within "),
    "babbles": ("s/garbage", "{lines: 3}", "the server wrote 3 lines to stdout that are not MCP messages"),
    "strays": ("s/malformed", "{}", "server 's' answered with something that is not a tool result"),
    "floods": ("s/big", "{bytes: 10000000}", "the answer of 's/big' was dropped"),
    "dies": ("s/die", "{code: 4}", "the server's process exited with code 4"),
    "errs": ("s/strat", "{}", "not available (missing required tools: s/strat)"),
    "strands": ("nowhere/start", "{}", "not available (missing required tools: nowhere/start)"),
}
"""By class: its start tool, the tool's arguments, and what the error of a create says."""


async def test_every_fault_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    entry = {"command": sys.executable, "args": ["-S", str(PROGRAM), "--ledger", str(tmp_path / "ledger")]}
    async with open_ostler(tmp_path, servers={"s": entry}) as app, Client(build_server(app)) as client:
        for name, (tool, args, _) in FAULTS.items():
            await call(client, "serviceclass_create", manifest=CLASS.format(name=name, tool=tool, args=args))
        for name, (tool, _, words) in FAULTS.items():
            await app.downstream.wait_until_connected("s", 60)
            said, facts = await refusal(client, "service_create", serviceClassName=name, name="job")
            assert words in said
            assert "service 'job'" in said
            assert tool in said
            assert facts["service"] == "job"
            if name not in ("errs", "strands"):
                assert facts["step"] == "start"
            assert facts["nextActions"]
            if "may still act" in said:  # it is looked for until a person knows better
                assert name in ("hangs", "babbles", "strays", "floods")
                await call(client, "service_delete", name="job", abandon=True)
            services = (await call(client, "service_list"))["services"]
            assert [service["name"] for service in services if service["serviceClassName"]] == []
        await app.downstream.wait_until_connected("s", 60)
        assert (await call(client, "tool_call", name="s/list"))["isError"] is False
        for tool, given in (("service_start", {"adopt": True}), ("service_input", {"text": "x"})):
            said, facts = await refusal(client, tool, name="s", **given)
            assert "is a configured MCPServer" in said
            assert facts["nextActions"]

        said, _ = await refusal(client, "service_create", serviceClassName="fails", args={"size": "big", "sise": 1})
        assert "invalid type for argument 'size'" in said
        assert "unknown argument 'sise'" in said
        said, _ = await refusal(client, "service_create", serviceClassName="fials")
        assert "'fials' not found; did you mean 'fails'" in said
        broken = CLASS.format(name="broken", tool="s/start", args="{}").replace("serviceConfig", "serviceConfg")
        said, _ = await refusal(client, "serviceclass_create", manifest=broken)
        assert "manifest:8:3: unknown key 'serviceConfg'" in said
