"""The cases of muster_cases.yaml: what clients that were written against muster send, and what they expect."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from mcp.client import Client
from tests.support.ledger_app import ledger, server_over, text_of
from tests.support.world import Fail, World

from ostler.engine.classes.catalogue import ClassEntry
from ostler.rules.reading import load_manifests

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

FILE = yaml.load(Path(__file__).with_name("muster_cases.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
RESOURCE = load_manifests(json.dumps(FILE["resource"]), "resource.json")[0]


def at(value: Any, path: str) -> Any:
    """Return the part of `value` at a dotted path; a number is a place in a list."""
    for key in path.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


@pytest.mark.parametrize("name", FILE["cases"])
async def test_what_was_written_against_muster_goes_on(name: str) -> None:
    world = World()
    async with ledger(world, ClassEntry.of(RESOURCE)) as app, Client(server_over(app, "muster")) as client:
        for number, step in enumerate(FILE["cases"][name], 1):
            for tool, text in step.get("faults", {}).items():
                world.faults[tool].append(Fail(text))
            await anyio.sleep(step.get("waits", 0))
            result = await client.call_tool("call_tool", {"name": step["call"], "arguments": step.get("with", {})})
            text = text_of(result)
            if text.startswith("{"):
                text = "\n".join(block["text"] for block in json.loads(text)["content"])
            about = f"step {number}, {step['call']}: {text}"
            assert result.is_error == step.get("fails", False), about
            assert all(str(part) in text for part in step.get("has", ())), about
            assert not any(part in text for part in step.get("lacks", ())), about
            for path, wanted in step.get("json", {}).items():
                assert at(json.loads(text), path) == wanted, f"{path}; {about}"
