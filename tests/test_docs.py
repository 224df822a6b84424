"""The pages say what the code does: examples load, names exist, and whatever exists is described."""

import json
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
import typer.main
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticUndefined

from ostler.adapters.config.mcp_json import load_mcp_json
from ostler.adapters.config.paths import class_files_in
from ostler.adapters.config.settings_file import parse_settings
from ostler.adapters.testing.discovery import run_test_file
from ostler.faces.cli.app import build_app
from ostler.faces.mcp.toolbox import TOOLS
from ostler.model import access, class_tests, manifest, policies, settings, statics
from ostler.model.durations import parse_duration
from ostler.model.errors import ManifestError
from ostler.model.servers import ServerOptions
from ostler.rules.loading.projects import load_project
from ostler.rules.loading.static_services import load_static_services
from ostler.rules.reading import load_manifests

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
USER_PAGES = [page for page in PAGES if page.name not in ("CHANGELOG.md", "CONTRIBUTING.md")]

SECTIONS = {
    "The manifest": manifest.ServiceClass,
    "metadata": manifest.Metadata,
    "spec": manifest.ServiceClassSpec,
    "spec.args.NAME": manifest.ArgSpec,
    "spec.serviceConfig": manifest.ServiceConfig,
    "lifecycleTools": manifest.LifecycleTools,
    "A tool call": manifest.ToolCallSpec,
    "The ready check": manifest.ReadySpec,
    "The stop call": manifest.StopSpec,
    "The stopped check": manifest.StoppedSpec,
    "retry": manifest.RetrySpec,
    "batch": manifest.BatchSpec,
    "healthCheck": manifest.HealthCheckSpec,
    "timeout": manifest.TimeoutSpec,
    "idleStop": policies.IdleStopSpec,
    "leftovers": manifest.LeftoversSpec,
    "restartPolicy": policies.RestartPolicySpec,
    "restartPolicy.backoff": policies.BackoffSpec,
    "dependencies": manifest.DependencySpec,
    "An output": manifest.OutputSpec,
    "An expectation": manifest.Expectation,
}
"""The sections of docs/serviceclass.md and the models that they describe."""

TEST_SECTIONS = {
    "The file": class_tests.ClassTestFile,
    "A test": class_tests.ClassTest,
    "A step": class_tests.TestStep,
    "A call": class_tests.ExpectedCall,
    "An answer": class_tests.ScriptedAnswer,
    "What is expected": class_tests.StepExpectation,
    "An existing service": class_tests.StandIn,
}
"""The sections of docs/class-tests.md and the models that they describe."""


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)
    return [str(block) for block in found]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def section_of(page: str, heading: str) -> str:
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text_of(ROOT / "docs" / page), re.DOTALL | re.MULTILINE
    )
    assert found, f"docs/{page} has no section {heading!r}"
    return found[1]


def rows_of(text: str) -> dict[str, list[str]]:
    """Return the rows of the tables in `text` by each `key` in their first cell."""
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            rows |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[0]), cells)
    return rows


def models_below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for module, inner in re.findall(r"(ostler\.model\.\w+)\.(\w+)", str(field.annotation)):
            if issubclass(found := getattr(sys.modules[module], inner), BaseModel):
                yield from models_below(found)


# -- examples ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_classes_load_without_a_warning(page: Path) -> None:
    for text in re.findall(r"<!-- class -->\n```yaml\n(.*?)```", text_of(page), re.DOTALL):
        for loaded in load_manifests(text, page.name):
            assert loaded.warnings == ()


@pytest.mark.parametrize("page", ["projects.md", "first-project.md"])
def test_projects_load(page: str) -> None:
    texts = re.findall(r"<!-- project -->\n```yaml\n(.*?)```", text_of(ROOT / "docs" / page), re.DOTALL)
    assert texts
    for text in texts:
        assert load_project(text, page).order


def test_the_class_of_the_tutorial_has_the_one_mistake_that_a_check_finds() -> None:
    (text,) = blocks(ROOT / "docs" / "first-class.md", "yaml")
    with pytest.raises(ManifestError, match=r"greeter.yaml:38:21: 'naem' is not known here"):
        load_manifests(text, "greeter.yaml")
    (loaded,) = load_manifests(text.replace("naem", "name"), "greeter.yaml")
    assert loaded.warnings == ()


def test_static_services_load() -> None:
    found = [text for text in blocks(ROOT / "docs" / "static-services.md", "yaml") if "kind:" in text]
    assert found
    for text in found:
        assert load_static_services(text, "static-services.md")


STATIC_SECTIONS = {
    "Files": [statics.ClusterSpec],
    "PortForward": [statics.PortForwardSpec, statics.TunnelCheckSpec],
    "KubeConnection": [statics.KubeConnectionSpec],
}
"""The sections of docs/static-services.md and the models that they describe."""


@pytest.mark.parametrize("heading", STATIC_SECTIONS)
def test_every_key_of_a_static_service_is_documented(heading: str) -> None:
    common = set() if heading == "Files" else {to_camel(name) for name in statics.ClusterSpec.model_fields}
    keys = {to_camel(name) for model in STATIC_SECTIONS[heading] for name in model.model_fields}
    rows = rows_of(section_of("static-services.md", heading))
    assert set(rows) - {"timeout"} == keys - common - {"timeout"}


def test_there_are_classes_to_load() -> None:
    for page in (ROOT / "README.md", ROOT / "docs" / "serviceclass.md"):
        assert "<!-- class -->" in text_of(page)


def test_class_tests_pass(tmp_path: Path) -> None:
    texts = re.findall(r"<!-- class tests -->\n```yaml\n(.*?)```", text_of(ROOT / "docs" / "class-tests.md"), re.DOTALL)
    assert texts
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.test.yaml"
        path.write_text(text, encoding="utf-8")
        tested = run_test_file(path)
        assert tested.passed, (tested.findings, [str(failure) for r in tested.results for failure in r.failures])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_json_and_toml_parse(page: Path) -> None:
    for text in blocks(page, "json"):
        value = json.loads(text)
        if "mcpServers" in value or "servers" in value:
            loaded = load_mcp_json(without_ostler(value), {"TICKETS_TOKEN": "t"})
            assert loaded.findings == ()
    for text in blocks(page, "toml"):
        tomllib.loads(text)
        parse_settings(text, page.name)


def without_ostler(value: dict[str, Any]) -> str:
    """Return the text with Ostler's own entry renamed: to Ostler itself it cannot be a downstream server."""
    return (
        json.dumps(value)
        .replace('"ostler": {"command"', '"x": {"command"')
        .replace('"ostler": {"type"', '"x": {"type"')
    )


def test_the_example_for_clients_is_what_the_readme_shows() -> None:
    example = json.loads((ROOT / "mcp.json.example").read_text(encoding="utf-8"))
    shown = [json.loads(text) for text in blocks(ROOT / "README.md", "json")]
    assert shown[0] == example
    (vs_code,) = (value["servers"]["ostler"] for value in shown if "servers" in value)
    assert vs_code == {"type": "stdio", **example["mcpServers"]["ostler"]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors_of(linked), f"{page.name} links to {target}"


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# -- names that pages use ----------------------------------------------------------------------------------


@cache
def verbs() -> set[str]:
    command = typer.main.get_command(build_app())
    return set(getattr(command, "commands", {}))


@pytest.mark.parametrize("page", USER_PAGES, ids=lambda page: page.name)
def test_verbs_exist(page: Path) -> None:
    shell = "\n".join(blocks(page, "sh")).replace("claude mcp add ostler", "").replace("/ostler ostler", "ostler")
    code = shell + "\n" + "\n".join(re.findall(r"`(ostler [^`\n]+)`", text_of(page)))
    used = set(re.findall(r"(?:^|[\s/])ostler ([a-z][a-z-]+)", code, re.MULTILINE))
    assert used <= verbs()


def test_tools_in_the_readme_are_those_that_exist() -> None:
    text = text_of(ROOT / "README.md")
    listed, _, planned = text.partition("## Not yet")
    pattern = r"`((?:service|serviceclass|mcpserver|tool|config|project)_[a-z]+)`"
    assert set(re.findall(pattern, listed)) == {tool.name for tool in TOOLS}
    assert not {tool.name for tool in TOOLS} & set(re.findall(pattern, planned)), "it is there now"


def test_shipped_classes_are_listed_with_their_arguments() -> None:
    listed = {
        cells[0].strip("`"): set(re.findall(r"`(\w+)`", cells[-1]))
        for cells in rows_of(text_of(ROOT / "docs" / "classes.md")).values()
        if (ROOT / "serviceclasses" / (cells[0].strip("`") + ".yaml")).exists()
    }
    shipped = {
        loaded.service_class.name: set(loaded.service_class.spec.args)
        for path in class_files_in(ROOT / "serviceclasses")
        for loaded in load_manifests(path.read_text(encoding="utf-8"), path.name)
    }
    assert listed == shipped


# -- messages that are quoted -------------------------------------------------------------------------------


def texts_of_the_source() -> str:
    """Return all texts in the source but docstrings, a line each; those of f-strings are cut where a value goes."""
    paths = (ROOT / "src").rglob("*.py")
    modules = (compile(path.read_text(encoding="utf-8"), path, "exec", optimize=2) for path in paths)  # no docstrings
    return "\n".join(text for module in modules for text in constant_texts(module))


def constant_texts(constant: object) -> Iterator[str]:
    """Give the texts among the constants of compiled code, but for the names of what it defines."""
    match constant:
        case str() if not constant.replace(".<locals>.", ".").replace(".", "").isidentifier():
            yield constant
        case CodeType():
            yield from constant_texts(constant.co_consts)
        case tuple() | frozenset():
            for each in constant:
                yield from constant_texts(each)
        case _:
            pass


def test_every_message_that_troubleshooting_explains_still_stands_in_the_source() -> None:
    headings = re.findall(r"^### `(.+)`$", text_of(ROOT / "docs" / "troubleshooting.md"), re.MULTILINE)
    source = texts_of_the_source()
    parts = [part.strip() for heading in headings for part in heading.split("…") if part.strip()]
    assert len(headings) > 20
    assert [part for part in parts if part not in source] == []


# -- words ---------------------------------------------------------------------------------------------------


def words_to_avoid() -> list[str]:
    """Return the phrases that CONTRIBUTING.md's word list marks as checked."""
    rows = re.findall(r"^\| (`.*) \|[^|]+\| yes \|$", text_of(ROOT / "CONTRIBUTING.md"), re.MULTILINE)
    return [phrase for row in rows for phrase in re.findall(r"`([^`]+)`", row)]


def test_words_to_avoid_are_found() -> None:
    assert len(words_to_avoid()) > 20
    assert avoided("Nobody\n# can tell; MEND it. A mendicant may.") == {"nobody can tell", "mend"}
    assert avoided("def test_a_key_that_is_read_anew() -> None:") == {"anew"}
    assert avoided("# It holds the size\n# against a limit.") == {"holds the size against"}
    assert avoided("# Is the server not there, it is started.") == {"Is the server not there, it"}
    assert avoided('"""Do nothing, for now."""') == set()


TEXTS = ["src/ostler/model", "src/ostler/rules", "src/ostler/engine", "src/ostler/adapters", "src/ostler/faces",
         "serviceclasses", "skills", "docs", "tests", "benchmarks", "."]  # fmt: skip


@pytest.mark.parametrize("folder", TEXTS)
def test_texts_use_plain_words(folder: str) -> None:
    pattern = "*.md" if folder == "." else "**/*"
    found: dict[str, set[str]] = {}
    for path in (ROOT / folder).glob(pattern):
        if path.suffix in (".py", ".md", ".yaml") and path != Path(__file__) and not SKIPPED & set(path.parts):
            text = text_of(path)
            if path.name == "CONTRIBUTING.md":
                text = text.replace(section_text(text, "Words"), "")
            if hits := avoided(text):
                found[str(path.relative_to(ROOT))] = hits
    assert found == {}, "write what the table Words of CONTRIBUTING.md says"


SKIPPED = {"node_modules", "data"}
"""Folders with texts of others."""


def avoided(text: str) -> set[str]:
    """Return the phrases to avoid that `text` has, also across the lines of a comment or a text, and in names."""
    running = re.sub(r"\s+(?:# |f?\"|f?')?", " ", re.sub(r"['\"]\n\s+f?['\"]", "", text)).replace("_", " ")
    return {match.lower() for match in pattern_to_avoid().findall(running)} | set(INVERSION.findall(running))


INVERSION = re.compile(
    r"(?:[.;:#] |\"\"\")((?:Is|Are|Was|Were|Has|Had|Does) (?:the|a|an|one|it|there|this) [\w ]+, \w+)(?=[^.?!]*\.)"
)
"""A condition without an if: `Is it not there, it is made.`"""


@cache
def pattern_to_avoid() -> re.Pattern[str]:
    phrases = (re.escape(phrase).replace("…", r"[\w' ]{2,60}") for phrase in words_to_avoid())
    return re.compile(rf"(?<!there )\b(?:{'|'.join(phrases)})\b", re.IGNORECASE)


def section_text(text: str, heading: str) -> str:
    return text.partition(f"## {heading}\n")[2].partition("\n## ")[0]


# -- maps ----------------------------------------------------------------------------------------------------


def test_every_folder_of_the_source_is_on_the_map() -> None:
    on_the_map = set(re.findall(r"^\| `(src/[\w/]+)/` \|", text_of(ROOT / "CONTRIBUTING.md"), re.MULTILINE))
    layers = [path for path in (ROOT / "src" / "ostler").iterdir() if (path / "__init__.py").exists()]
    folders = [path for layer in layers for path in layer.iterdir() if (path / "__init__.py").exists()]
    assert {str(folder.relative_to(ROOT)) for folder in folders} <= on_the_map
    assert [place for place in on_the_map if not (ROOT / place).is_dir()] == []


def test_what_the_maps_name_is_there() -> None:
    contributing, architecture = text_of(ROOT / "CONTRIBUTING.md"), text_of(ROOT / "docs" / "architecture.md")
    places = re.findall(r"^\| `([\w/.]+)` \|", section_text(contributing, "Map of the source"), re.MULTILINE)
    assert len(places) > 30
    assert [place for place in places if not (ROOT / place).exists()] == []
    dotted = re.findall(r"`(ostler\.(?:model|rules|engine|adapters|faces)[\w.]*)`", contributing + architecture)
    assert [name for name in dotted if not is_name_of_the_source(name)] == []


def is_name_of_the_source(dotted: str) -> bool:
    """Whether `dotted` is a module, or a name that one has."""
    place = ROOT / "src" / dotted.replace(".", "/")
    if place.is_dir() or place.with_suffix(".py").exists():
        return True
    module, _, name = dotted.rpartition(".")
    file = (ROOT / "src" / module.replace(".", "/")).with_suffix(".py")
    return file.exists() and re.search(rf"\b{name}\b", text_of(file)) is not None


@pytest.mark.parametrize("layer", ["rules", "engine"])
def test_architecture_lists_a_layer_in_the_order_that_ci_checks(layer: str) -> None:
    contracts = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (order,) = (each["layers"] for each in contracts if each.get("containers") == [f"ostler.{layer}"])
    listed = re.findall(
        r"^(\w+) ", section_text(text_of(ROOT / "docs" / "architecture.md"), f"Inside the {layer}"), re.MULTILINE
    )
    assert [name for name in listed if name in order] == order


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", text_of(ROOT / "docs" / "README.md")))
    assert linked == {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}


# -- what exists is described ------------------------------------------------------------------------------


def test_generated_parts_are_fresh() -> None:
    rendered = runpy.run_path(str(ROOT / "docs" / "generate.py"))["rendered"]
    for page in PAGES:
        assert rendered(text_of(page)) == text_of(page), f"{page.name} is stale: run python docs/generate.py"


def test_generated_files_are_fresh() -> None:
    for path, make in runpy.run_path(str(ROOT / "docs" / "generate.py"))["FILES"].items():
        assert path.read_text(encoding="utf-8") == make(), f"{path.name} is stale: run python docs/generate.py"


def test_shipped_classes_name_the_schema_and_fit_it() -> None:
    folder = ROOT / "serviceclasses"
    schema = json.loads((folder / "schema" / "serviceclass.json").read_text(encoding="utf-8"))
    validator = Draft202012Validator(schema)
    for file in class_files_in(folder):
        text = file.read_text(encoding="utf-8")
        assert text.startswith("# yaml-language-server: $schema=schema/serviceclass.json\n"), file.name
        assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == [], file.name
    assert not validator.is_valid({"apiVersion": "ostler/v1", "kind": "ServiceClass", "metadata": {}, "spec": {}})


def test_the_schema_explains_every_key() -> None:
    schema = json.loads((ROOT / "serviceclasses" / "schema" / "serviceclass.json").read_text(encoding="utf-8"))
    for name, model in [("ServiceClass", schema), *schema["$defs"].items()]:
        for key, field in model["properties"].items():
            assert field.get("description"), f"{name}.{key}"


def test_every_model_of_the_manifest_has_a_section() -> None:
    assert set(models_below(manifest.ServiceClass)) == set(SECTIONS.values())


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_of_the_manifest_is_described(heading: str) -> None:
    model = SECTIONS[heading]
    fields = {to_camel(name): field for name, field in model.model_fields.items()}
    if model in (manifest.ReadySpec, manifest.StopSpec, manifest.StoppedSpec):
        fields = {key: field for key, field in fields.items() if key not in SECTION_KEYS_OF_CALLS}
    rows = rows_of(section_of("serviceclass.md", heading))
    assert set(rows) == set(fields)
    for key, field in fields.items():
        assert described_default(rows[key][2], field.get_default(call_default_factory=True)), key


@pytest.mark.parametrize("heading", TEST_SECTIONS)
def test_every_key_of_class_tests_is_described(heading: str) -> None:
    model = TEST_SECTIONS[heading]
    fields = {field.alias or to_camel(name): field for name, field in model.model_fields.items()}
    if model is class_tests.ExpectedCall:
        answer = class_tests.ScriptedAnswer.model_fields
        fields = {key: field for key, field in fields.items() if key not in {to_camel(name) for name in answer}}
    rows = rows_of(section_of("class-tests.md", heading))
    assert set(rows) == set(fields)
    for key, field in fields.items():
        assert described_default(rows[key][2], field.get_default(call_default_factory=True)), key


SECTION_KEYS_OF_CALLS = {to_camel(name) for name in manifest.ToolCallSpec.model_fields}


def described_default(cell: str, default: Any) -> bool:
    """Whether the default column says what the model has; what is worked out at run time is put in words."""
    shown = cell.strip("`")
    match default:
        case _ if default is PydanticUndefined:
            expected = cell == "required"
        case None:
            expected = cell == "none" or "`" not in cell or shown == "never"
        case BaseModel():
            expected = cell == "its defaults"
        case bool() | dict() | list():
            expected = shown == json.dumps(default)
        case int() | float():
            expected = parse_duration(shown) == default
        case _:
            expected = shown == (default or '""')
    return expected


def test_every_setting_is_described() -> None:
    described = set(rows_of(section_of("configuration.md", "ostler.toml")))
    assert described == set(setting_keys(settings.Settings))


def test_every_key_of_a_policy_is_described() -> None:
    rows = rows_of(section_of("teams.md", "Policies"))
    assert set(rows) == {to_camel(name) for name in access.PrincipalSettings.model_fields}
    for name, field in access.PrincipalSettings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        cell = rows[to_camel(name)][1]
        if isinstance(default, int) and default >= 1024:
            assert cell == f"{default // 1024 // 1024} MiB", name
        else:
            assert cell.strip("`") == json.dumps(list(default) if isinstance(default, tuple) else default), name


def test_every_key_of_an_authorization_server_is_described() -> None:
    rows = rows_of(section_of("teams.md", "An authorization server"))
    assert set(rows) == {to_camel(name) for name in access.OAuthSettings.model_fields}
    for name, field in access.OAuthSettings.model_fields.items():
        default = field.get_default()
        assert described_default(rows[to_camel(name)][1], list(default) if isinstance(default, tuple) else default), (
            name
        )


def setting_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from setting_keys(inner, f"{prefix}{to_camel(name)}.")
        else:
            yield prefix + to_camel(name)


def test_every_option_of_a_server_is_described() -> None:
    described = set(rows_of(section_of("configuration.md", "mcp.json")))
    assert {to_camel(name) for name in ServerOptions.model_fields} <= described
