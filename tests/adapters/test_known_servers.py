"""The servers that shipped classes need: each can be added by an entry that loads, and has a saved tools list."""

import json
import re
from pathlib import Path

import pytest

from ostler.adapters.config.known_servers import entries_for, how_to_add, known_servers
from ostler.adapters.config.mcp_json import load_mcp_json
from ostler.adapters.config.paths import class_files_in
from ostler.rules.reading import load_manifests

CLASSES = Path(__file__).parents[2] / "serviceclasses"


def test_every_server_of_a_shipped_class_is_known_and_its_tools_are_saved() -> None:
    shipped = [
        loaded.service_class
        for path in class_files_in(CLASSES)
        for loaded in load_manifests(path.read_text(encoding="utf-8"), path.name)
    ]
    for service_class in shipped:
        for server in set(service_class.servers()) - {"process"}:
            assert server in known_servers(), f"{service_class.name} needs {server}"
            listed = json.loads((CLASSES / "tools" / f"{server}.json").read_text(encoding="utf-8"))["tools"]
            names = {f"{server}/{tool['name']}" for tool in listed}
            used = {tool for tool in service_class.tools.called if tool.startswith(f"{server}/")}
            assert used <= names, f"{service_class.name} calls tools that {server} does not have"


@pytest.mark.parametrize("name", known_servers())
def test_an_entry_loads_as_it_is_and_needs_a_saved_list(name: str) -> None:
    known = known_servers()[name]
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", json.dumps(known.entry)), "x")
    loaded = load_mcp_json(json.dumps({"mcpServers": {name: known.entry}}), variables)
    assert loaded.findings == ()
    assert list(loaded.entries) == [name]
    assert known.needs
    assert (CLASSES / "tools" / f"{name}.json").is_file()


def test_what_is_not_known_is_said_so() -> None:
    assert list(entries_for(["docker", "nobody-knows"])) == ["docker"]
    text = how_to_add(["docker", "nobody-knows"])
    assert '"docker": {"command": "uvx", "args": ["mcp-server-docker"]}' in text
    assert "(docker needs uv and a Docker daemon" in text
    assert "Add an entry for nobody-knows to mcp.json" in text
    assert how_to_add([]) == ""


def test_an_installation_without_the_table_knows_none(tmp_path: Path) -> None:
    assert known_servers(tmp_path) == {}
