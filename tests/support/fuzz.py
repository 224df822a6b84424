"""Hostile input from Hypothesis: manifests and ostler.yaml changed here and there, and arguments for every tool.

Whatever comes in, what goes out is an answer: classes or findings with their places, a result or an error in words,
in bounded time and memory, and no traceback.
"""

import copy
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
import yaml
from hypothesis import HealthCheck
from hypothesis import strategies as st
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from tests.support.downstream import PROGRAM
from tests.support.peak import MANY, Peak
from tests.support.shipped import FOLDER, open_ostler
from tests.support.world import BASIC

from ostler.faces.application import Application
from ostler.faces.mcp.server import build_server
from ostler.model.errors import ManifestError, OstlerError
from ostler.rules.calls.forecast import Knowledge, planned_outputs, start_steps, stop_steps
from ostler.rules.checking.tool_lists import KnownTools
from ostler.rules.loading.project_check import check_project
from ostler.rules.loading.projects import load_project
from ostler.rules.reading import check_text, load_manifests
from ostler.rules.templates.unknowns import AFTER_START

ROOT = Path(__file__).parents[2]

UNCHECKED = cast("list[HealthCheck]", list(HealthCheck))
"""Hypothesis' own checks, which do not fit inputs that are slow to make."""

MOST_SECONDS = 3.0
"""Processor time that one manifest may take to be loaded, checked and planned with."""

MOST_LAG = 1.5
"""Seconds of processor time for which one call may keep the event loop from others."""

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, -(10**400), 0.1, -0.0, 1e308,
    "", " ", "\n", "0", "-1", "1e999", "NaN", "null", "true", "a", "é💥", "\x00", "a\x1b[31m", "\ud800", "\u202e",
    "x" * 5000, "../../etc/passwd", "/", "~", "-", "--help", "a/b", "s/list", "s/", "/s", "process/nope", "a b", "[1",
    '{"a": 1}', "{{", "{{ }}", "{{ name }}", "{{ start.id }}", "{{ a.b.c }}", "{{ 2 ** 9999 }}", "{% for", "{{ omit }}",
    "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}", "{{ ''.__class__ }}",
    "{{ ['" + "x" * 1000 + "'] * 9999 }}", "{{ fail('no') }}", "(a+)+$", "((", "(?P<a", "a{99999}", "[@,@] | [@,@]",
    "a[?b == `1`]", "&a", "*.*.*", "0s", "-1s", "1h", "99999999999h", "1e99s", "2026-13-45", "@every",
    [], [None], [[]], [1, "a", {}], {}, {"": None}, {"a": {"b": {"c": []}}}, {"__proto__": 1}, {"name": "x"},
)  # fmt: skip
"""Values that something somewhere takes badly."""

DEEP: Any = yaml.safe_load("[" * 80 + "x" + "]" * 80)


# -- manifests -----------------------------------------------------------------------------------------------


def _seeds(paths: list[Path]) -> list[Any]:
    return [document for path in paths for document in yaml.load_all(path.read_text(), yaml.CSafeLoader) if document]


CLASS_SEEDS = [yaml.safe_load(BASIC), *_seeds(sorted(p for p in FOLDER.glob("*.yaml") if ".test." not in p.name))]
MUSTER_SEEDS = _seeds(sorted((ROOT / "tests/rules/data/muster").glob("*.yaml")))
PROJECT_SEEDS = _seeds(sorted((ROOT / "tests/projects").glob("*/ostler.yaml")))


@dataclass(frozen=True)
class Edit:
    """One change of a document: `at` picks a place, whatever the document has by then."""

    at: int
    what: str
    value: Any

    def apply(self, document: Any) -> Any:
        """Return `document` changed."""
        places, new = list(_places(document)), copy.deepcopy(self.value)
        path = places[self.at % len(places)]
        if not path:
            return new if self.what == "replace" else document
        target = document
        for key in path[:-1]:
            target = target[key]
        match self.what:
            case "replace":
                target[path[-1]] = new
            case "delete":
                del target[path[-1]]
            case "rename" if isinstance(target, dict):
                target[f"{path[-1]}{self.value}"[:60]] = target.pop(path[-1])
            case "wrap":
                target[path[-1]] = [target[path[-1]]]
            case _ if isinstance(value := target[path[-1]], str) and isinstance(self.value, str):
                target[path[-1]] = value + self.value
            case _:
                target[path[-1]] = {"a": target[path[-1]]}
        return document


def _places(value: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def edits() -> st.SearchStrategy[list[Edit]]:
    """Some changes of a document."""
    what = st.sampled_from(("replace", "replace", "append", "delete", "rename", "wrap"))
    return st.lists(st.builds(Edit, st.integers(0, 400), what, values()), min_size=1, max_size=4)


def values() -> st.SearchStrategy[Any]:
    """A value of any kind."""
    return st.sampled_from((*NASTY, DEEP)) | st.text(max_size=8) | st.integers() | st.floats()


def texts(documents: list[Any]) -> st.SearchStrategy[str]:
    """One of `documents`, changed, as a text; now and then one that is cut off or has odd characters in it."""
    changed = st.builds(_written, st.sampled_from(documents), edits())
    odd = st.sampled_from(("\t", "&a ", "*a", "!!python/object:os ", "\x00", "'", "<<: "))
    return changed | changed | st.builds(_broken, changed, st.integers(0, 10_000), odd)


def _broken(text: str, at: int, odd: str) -> str:
    return text[: at % len(text)] + odd + text[at % len(text) :]


def _written(document: Any, changes: list[Edit]) -> str:
    copied = yaml.safe_load(yaml.safe_dump(document))
    for change in changes:
        copied = change.apply(copied)
    return yaml.safe_dump(copied, allow_unicode=True, sort_keys=False)


def check_class_text(text: str) -> None:
    """Load, check and plan with what `text` has."""
    with _bounded():
        try:
            loaded = load_manifests(text, "fuzz.yaml")
        except ManifestError as error:
            _check_findings(error)
            return
        known = KnownTools()
        check_text(text, "fuzz.yaml", known, {each.service_class.name: each.service_class for each in loaded})
        for each in loaded:
            names = {"name": "n", "args": {}, "service": {"name": "n"}, "env": {}, "dependencies": {}}
            knowledge = Knowledge(names, {("start",): AFTER_START})
            for steps in (start_steps, stop_steps):
                try:
                    list(steps("n", each.service_class, knowledge))
                except OstlerError as error:
                    _check_words(str(error))
            planned_outputs(each.service_class, knowledge)


def check_project_text(text: str) -> None:
    """Load and check an ostler.yaml."""
    with _bounded():
        try:
            loaded = load_project(text, "ostler.yaml")
        except ManifestError as error:
            _check_findings(error)
            return
        check_project(loaded, KnownTools(), {})


class _bounded:  # noqa: N801 (it reads as a block)
    """Less time and memory than is bearable within its block."""

    def __enter__(self) -> None:
        self._began = time.thread_time()
        self._peak = Peak()
        self._peak.__enter__()

    def __exit__(self, *ending: object) -> None:
        self._peak.__exit__()
        assert time.thread_time() - self._began < MOST_SECONDS, "it took too long"
        assert self._peak.bytes < MANY, f"it took {self._peak.bytes} bytes"


def _check_findings(error: ManifestError) -> None:
    assert error.findings
    assert len(str(error)) < 200_000
    for finding in error.findings:
        assert finding.line >= 1
        assert finding.rule
        _check_words(str(finding))


def _check_words(text: str) -> None:
    assert len(text) < 100_000
    for sign in ("Traceback", "internal error", "Internal error", "pydantic", "<class '", " object at 0x"):
        assert sign not in text, text[:2000]


# -- tools ---------------------------------------------------------------------------------------------------

WAITING = ("service_wait", "tool_call", "service_logs")
"""Tools that may wait as long as they are asked to."""

READING_TOOLS = ("process/status", "process/list", "process/logs", "s/list", "s/find", "s/status", "s/echo")


@dataclass
class Hostile:
    """A whole Ostler with a client in it, of which calls are made."""

    app: Application
    client: Client
    schemas: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    async def call(self, tool: str, args: dict[str, Any]) -> None:
        """Call `tool`; fail when the answer is none that a client can use, or others had to wait for it."""
        began = time.thread_time()
        with anyio.move_on_after(1.0 if tool in WAITING else 20.0) as scope:
            try:
                result = await self.client.call_tool(tool, args)
            except MCPError as error:
                assert error.error.code == -32602, error  # noqa: PT017 (anything else fails as well)
                return
            text = "\n".join(block.text for block in result.content if block.type == "text")
            assert text
            assert len(text) < 400_000
            if result.is_error:
                _check_words(text)
        assert not scope.cancelled_caught or tool in WAITING, "it did not answer"
        assert time.thread_time() - began < MOST_LAG, "others had to wait for it"


@asynccontextmanager
async def hostile(folder: Path) -> AsyncGenerator[Hostile]:
    """Run an Ostler with a few services, to be called badly."""
    entry = {"command": sys.executable, "args": ["-S", str(PROGRAM), "--ledger", str(folder / "ledger")]}
    async with open_ostler(folder, servers={"s": entry}, within=3600) as app, Client(build_server(app)) as client:
        listed = await client.list_tools()
        made = Hostile(app, client, {tool.name: tool.input_schema for tool in listed.tools})
        yield made


def calls(schemas: Mapping[str, Mapping[str, Any]]) -> st.SearchStrategy[list[tuple[str, dict[str, Any]]]]:
    """A few calls with arguments that a tool has, of kinds that it may not have."""
    one = st.sampled_from(sorted(schemas)).flatmap(lambda tool: _call(tool, schemas[tool].get("properties", {})))
    return st.lists(one, min_size=1, max_size=4)


def _call(tool: str, properties: Mapping[str, Any]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    fields = {name: _argument(tool, name, schema) for name, schema in properties.items()}
    args = st.fixed_dictionaries({}, optional=fields)
    odd = st.dictionaries(st.sampled_from((*properties, "nope", "")), values(), max_size=3)
    return st.tuples(st.just(tool), args | args | args | odd.filter(_is_harmless))


def _is_harmless(args: dict[str, Any]) -> bool:
    return not (_HARMLESS.keys() | {"name"}) & args.keys()


def _argument(tool: str, name: str, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if name == "name" and tool.startswith("tool_"):
        return st.sampled_from((*READING_TOOLS, "s/nope"))
    if name in _HARMLESS:
        return st.sampled_from(_HARMLESS[name])
    if name == "manifest":
        return texts([_FUZZED]) | values()
    fitting = ["a", "b", "s", "process", "fuzzed"] if name == "name" else list(schema.get("enum", ()))
    return st.sampled_from(fitting) | values() if fitting else values()


_HARMLESS: Mapping[str, list[str]] = {
    "serviceClassName": ["fuzzed", "nope", "", "basic"],
    "directory": ["/nonexistent", "", "\x00", "relative", "x" * 5000],
    "cwd": ["/nonexistent", "", "\x00"],
    "command": ["/nonexistent/program", "", "\x00"],
    "url": ["http://127.0.0.1:1/mcp", "", "ftp://x", "http://[", "\x00"],
}
"""Arguments that act on the machine, with values that do no harm to it."""

_FUZZED: Any = {
    "apiVersion": "ostler/v1",
    "kind": "ServiceClass",
    "metadata": {"name": "fuzzed"},
    "spec": {
        "args": {"size": {"type": "integer", "default": 1}, "tags": {"type": "array", "items": {"type": "string"}}},
        "serviceConfig": {
            "lifecycleTools": {
                "start": {"tool": "s/start", "args": {"name": "{{ name }}"}, "outputs": {"id": "id"}},
                "stop": {"tool": "s/stop", "args": {"name": "{{ name }}"}},
                "find": {
                    "tool": "s/find",
                    "args": {"name": "{{ name }}"},
                    "expect": {"jsonPath": {"state": "running"}},
                },
            },
            "timeout": {"create": "2s", "delete": "2s"},
        },
    },
}
