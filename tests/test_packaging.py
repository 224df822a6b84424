"""What other programs are handed of Ostler: the bundle, the plugin and its skill are true to the code."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from ostler.adapters.config.dialects.variables import Resolved, Surroundings, expand
from ostler.adapters.config.mcp_json import load_mcp_json
from ostler.faces.bridge.version import VERSION
from ostler.faces.mcp.toolbox import TOOLS

ROOT = Path(__file__).parent.parent


def read(path: str) -> Any:
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


def test_every_version_is_the_project_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    plugin, bundle = read(".claude-plugin/plugin.json"), read("packaging/mcpb/manifest.json")
    assert {project["version"], plugin["version"], bundle["version"]} == {VERSION}
    assert project["license"] == plugin["license"] == bundle["license"]


def test_the_bundle_and_the_plugin_start_the_bridge() -> None:
    bundle = load_mcp_json(
        (ROOT / "packaging/mcpb/manifest.json").read_text(), {}, file="manifest.json", workspace=ROOT
    )
    assert [finding.rule for finding in bundle.errors] == ["reserved-name"]  # it describes Ostler itself
    plugin = read(".claude-plugin/plugin.json")["mcpServers"]["ostler"]
    assert [plugin["command"], *plugin["args"]][-2:] == ["ostler", "serve"]
    text, problems = expand("${__dirname}/x", Surroundings({}, ROOT), frozenset({"mcpb"}), unexpected)
    assert (text, [one.problem for one in problems]) == (f"{ROOT}/x", [""])
    assert (ROOT / read("packaging/mcpb/manifest.json")["server"]["entry_point"]).is_file()


REGISTRY_SCHEMA = "tests/data/mcp_registry/server.schema.json"
"""The registry's own schema; README.md in the same folder says where it is from."""


def test_the_registry_is_told_what_starts_the_bridge() -> None:
    def printed(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", str(ROOT / "packaging/server_json.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    done = printed("io.github.someone/other")
    said = json.loads(done.stdout)
    assert (said["version"], said["packages"][0]["version"]) == (VERSION, VERSION)
    schema = read(REGISTRY_SCHEMA)
    assert said["$schema"] == schema["$id"]
    jsonschema.validate(said, schema, jsonschema.Draft7Validator)
    described = {key for of in find(schema, "properties") for key in of}
    assert keys_of(said) <= described  # the schema permits other keys, and the registry drops them
    wrong = {**said, "packages": [{**said["packages"][0], "transport": {"type": "pipe"}}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema, jsonschema.Draft7Validator)
    loaded = load_mcp_json(done.stdout, {}, file="server.json")
    assert loaded.findings[1:] == ()  # the name it goes by
    (entry,) = loaded.entries.values()
    assert (entry.command, entry.args) == ("uvx", (f"ostler=={VERSION}", "serve"))
    assert printed("someone").returncode == 1


def find(value: Any, name: str) -> list[Any]:
    if isinstance(value, list):
        return [found for item in value for found in find(item, name)]
    if not isinstance(value, dict):
        return []
    return [item for key, item in value.items() if key == name] + find(list(value.values()), name)


def keys_of(value: Any) -> set[str]:
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item)}
    return {*value, *(key for item in value.values() for key in keys_of(item))} if isinstance(value, dict) else set()


def test_the_image_has_every_file_that_its_build_copies() -> None:
    text = (ROOT / "packaging/Containerfile").read_text(encoding="utf-8")
    copied = {word for line in re.findall(r"(?m)^COPY (.*) \S+$", text) for word in line.split()}
    ignored = (ROOT / "packaging/Containerfile.dockerignore").read_text(encoding="utf-8")
    assert {f"!{word}" for word in copied} == {line for line in ignored.split() if line != "*"}
    assert all((ROOT / word).exists() for word in copied)
    assert json.loads(re.findall(r"(?m)^CMD (.*)$", text)[0])[:3] == ["ostler", "serve", "--http"]


def test_wheel_and_sdist_have_every_part_of_the_dashboard() -> None:
    static = ROOT / "src/ostler/faces/dashboard/static"
    parts = {str(path.relative_to(ROOT / "src")) for path in static.rglob("*") if path.is_file()}
    assert "ostler/faces/dashboard/static/page.html" in parts
    for builder in (WheelBuilder(str(ROOT)), SdistBuilder(str(ROOT))):
        packed = {file.distribution_path.removeprefix("src/") for file in builder.recurse_included_files()}
        assert parts <= packed


def unexpected(resolved: Resolved, text: str) -> None:
    raise AssertionError(text, resolved)


def test_the_skill_names_tools_and_classes_that_exist() -> None:
    text = (ROOT / "skills" / "ostler" / "SKILL.md").read_text(encoding="utf-8")
    _, front, body = text.split("---", 2)
    assert set(yaml.safe_load(front)) == {"name", "description"}
    named = set(re.findall(r"`([a-z-]+(?:_[a-z]+)*)`", body))
    tools = {tool.name: tool for tool in TOOLS}
    arguments = {name for tool in tools.values() for name in tool.tool().input_schema.get("properties", {})}
    classes = {path.stem for path in (ROOT / "serviceclasses").glob("*.yaml")}
    assert named - tools.keys() - classes - arguments == set()
    assert {"serviceclass_list", "service_create", "service_delete"} <= named
