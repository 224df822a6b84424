"""The static check: types through templates, paths through schemas, values against schemas, and whole classes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ostler.adapters.config.paths import class_files_in
from ostler.adapters.config.tool_files import shipped_tools
from ostler.model.errors import DefinitionError, Finding
from ostler.rules.checking.expressions import shape_of_template
from ostler.rules.checking.fitting import mismatches
from ostler.rules.checking.paths import find_in_shape
from ostler.rules.checking.schemas import shape_of_sample, shape_of_schema
from ostler.rules.checking.scripted_answers import scripted_answers
from ostler.rules.checking.shapes import (
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    OBJECT,
    TEXT,
    constant,
    described,
    list_of,
    one_of,
    union,
    written_object,
)
from ostler.rules.checking.tool_lists import KnownTools, ToolList, saved_text, tool_list_from_json, tool_schema
from ostler.rules.reading import check_text, load_manifests

FOLDER = Path(__file__).parents[2] / "serviceclasses"
SHIPPED = class_files_in(FOLDER)
NAMES = {
    "port": INTEGER,
    "host": TEXT,
    "share": NUMBER,
    "debug": BOOLEAN,
    "mode": one_of(["fast", "slow"]),
    "maybe": TEXT.or_missing(),
    "nullable": union([TEXT, NULL]),
    "words": list_of(TEXT),
    "start": written_object({"id": TEXT, "port": INTEGER, "inner": OBJECT}),
}


# -- types of templates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "kinds"),
    [
        ("{{ port }}", "integer"),
        ("{{ port }}/", "string"),
        ("{{ port + 1 }}", "integer"),
        ("{{ port / 2 }}", "integer number"),
        ("{{ port * share }}", "integer number"),
        ("{{ -port }}", "integer"),
        ("{{ port ~ host }}", "string"),
        ("{{ host + '/x' }}", "string"),
        ("{{ words + ['a'] }}", "array"),
        ("{{ port | string }}", "string"),
        ("{{ host | int }}", "integer"),
        ("{{ words | length }}", "integer"),
        ("{{ words | first }}", "string"),
        ("{{ words | join(',') }}", "string"),
        ("{{ maybe | default(none) }}", "null string"),
        ("{{ maybe | default(3) }}", "integer string"),
        ("{{ host | default(3) }}", "string"),
        ("{{ nullable | default('x', true) }}", "string"),
        ("{{ nullable | default('x') }}", "null string"),
        ("{{ nullable or 'x' }}", "string"),
        ("{{ port if debug else host }}", "integer string"),
        ("{{ nullable if nullable is not none else 'x' }}", "string"),
        ("{{ nullable if nullable else 0 }}", "integer string"),
        ("{{ 'none' if nullable == none else nullable }}", "string"),
        ("{{ maybe if maybe is defined else 1 }}", "integer string"),
        ("{{ not debug }}", "boolean"),
        ("{{ port > 3 and debug }}", "boolean"),
        ("{{ 'a' in words }}", "boolean"),
        ("{{ [port, host] }}", "array"),
        ("{{ {'a': port} }}", "object"),
        ("{{ {'a': port}.a }}", "integer"),
        ("{{ [port, host][1] }}", "string"),
        ("{{ start.port }}", "integer"),
        ("{{ start['id'] }}", "string"),
        ("{{ host.upper() }}", "string"),
        ("{{ host.split('/') }}", "array"),
        ("{{ host.startswith('/') }}", "boolean"),
        ("{{ range(3) }}", "array"),
        ("{% set a = port %}{{ a }}", "string"),
        ("{% for word in words %}{{ word }} {% endfor %}", "string"),
        ("{% if debug %}a{% else %}b{% endif %}", "string"),
    ],
)
def test_the_type_of_a_template(template: str, kinds: str) -> None:
    shape, problems = shape_of_template(template, NAMES)
    assert problems == []
    assert sorted(shape.kinds) == kinds.split()


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("{{ mode }}", ["fast", "slow"]),
        ("{{ mode }}-mode", ["fast-mode", "slow-mode"]),
        ("{{ mode | upper }}", ["FAST", "SLOW"]),
        ("{{ 'a' if debug else 'b' }}", ["a", "b"]),
        ("{% if debug %}a{% else %}b{% endif %}", ["a", "b"]),
        ("{{ 'quick' if mode == 'fast' else mode }}", ["quick", "fast", "slow"]),
    ],
)
def test_few_possible_values_are_known(template: str, values: list[Any]) -> None:
    assert list(shape_of_template(template, NAMES)[0].values or ()) == values


def test_the_beginning_of_a_text_is_known() -> None:
    assert shape_of_template("http://{{ host }}:{{ port }}/", NAMES)[0].prefix == "http://"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ host + port }}", "join texts with '~'"),
        ("{{ host - 1 }}", "does not work"),
        ("{{ port.name }}", "looked up in an integer"),
        ("{{ start.prot }}", "did you mean 'port'?"),
        ("{{ port | items }}", "the filter 'items' does not work on an integer"),
        ("{{ 'many' | int }}", "cannot read 'many'"),
        ("{{ mode == 'fats' }}", "always false"),
        ("{{ port == '8080' }}", "always false"),
        ("{{ host > 3 }}", "no order"),
        ("{{ host.uper() }}", "no method 'uper'"),
        ("{% for x in port %}{% endfor %}", "which has no items"),
    ],
)
def test_what_cannot_work_in_a_template(template: str, said: str) -> None:
    _, problems = shape_of_template(template, NAMES)
    assert len(problems) == 1
    assert said in f"{problems[0].message} {problems[0].fix}"


# -- paths -------------------------------------------------------------------------------------------------

ANSWER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "state"],
    "properties": {
        "id": {"type": "string"},
        "state": {"enum": ["running", "exited"]},
        "port": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    },
    "$defs": {"item": {"type": "object", "additionalProperties": False, "properties": {"name": {"type": "string"}}}},
}


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("id", "string"),
        ("port", "integer null"),
        ("items[0].name", "null string"),
        ("items[*].name", "array"),
        ("items[?name=='a'] | [0].name", "null string"),
        ("length(items)", "integer"),
        ("port || `80`", "integer"),
        ("state == 'running'", "boolean"),
        ("{a: id, b: port}", "object"),
        ("[id, state]", "array"),
        ("keys(@)", "array"),
        ("result.id", "string"),
        ("@", "object"),
    ],
)
def test_what_a_path_finds(path: str, kinds: str) -> None:
    found = find_in_shape(path, shape_of_schema(ANSWER))
    assert found.missed == ()
    assert sorted(found.shape.kinds) == kinds.split()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("idd", "did you mean 'id'?"),
        ("items[0].nam", "did you mean 'name'?"),
        ("items[*].title", "'title' is not in the tool's answer"),
        ("id.name", "looked up where that is text"),
        ("id[0]", "not in a list"),
        ("id[*].a", "not over a list"),
        ("state == 'runing'", "did you mean 'running'?"),
        ("keys(id)", "keys() does not work on text"),
    ],
)
def test_what_a_path_can_never_find(path: str, said: str) -> None:
    missed = find_in_shape(path, shape_of_schema(ANSWER)).missed
    assert len(missed) == 1
    assert missed[0].is_certain
    assert said in f"{missed[0].message}; {missed[0].fix}"


def test_recorded_answers_and_open_schemas_only_make_doubt() -> None:
    seen = shape_of_sample({"id": "a", "list": [{"x": 1}], "none": None})
    open_schema = shape_of_schema({**ANSWER, "additionalProperties": None})
    for shape in (seen, open_schema):
        (missed,) = find_in_shape("idd", shape).missed
        assert not missed.is_certain
        assert missed.fix == "did you mean 'id'?"
    assert find_in_shape("none.below", seen).missed == ()
    lists = union([shape_of_sample([]), shape_of_sample([{"id": 1}])])
    assert [missed.fix for missed in find_in_shape("[0].idd", lists).missed] == ["did you mean 'id'?"]
    assert find_in_shape("list[0].x", seen).shape.kinds >= {"integer"}


# -- fitting -----------------------------------------------------------------------------------------------

PORT = {"type": "integer", "minimum": 1, "maximum": 65535}


@pytest.mark.parametrize(
    ("schema", "shape"),
    [
        (PORT, INTEGER),
        (PORT, constant(80)),
        ({"type": "number"}, INTEGER),
        ({"type": ["string", "null"]}, union([TEXT, NULL])),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, union([TEXT, NULL])),
        ({"type": "string", "nullable": True}, NULL),
        ({"enum": ["fast", "slow", "other"]}, NAMES["mode"]),
        ({"enum": ["fast"]}, TEXT),
        ({"const": 1}, INTEGER),
        ({"type": "string", "pattern": "^https?://"}, shape_of_template("https://{{ host }}", NAMES)[0]),
        ({"type": "string", "format": "uri"}, constant("http://a/b")),
        ({"type": "array", "items": {"type": "string"}}, NAMES["words"]),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}, constant(["a", 1])),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "integer"}}, constant({"b": 1})),
        ({"type": "object", "patternProperties": {"^x-": {}}, "additionalProperties": False}, constant({"x-a": 1})),
        ({"allOf": [{"type": "integer"}, {"minimum": 0}]}, constant(3)),
        ({"$ref": "#/$defs/port", "$defs": {"port": PORT}}, constant(80)),
        ({}, OBJECT),
        ({"$ref": "https://elsewhere.example/schema"}, TEXT),
    ],
)
def test_what_fits(schema: Any, shape: Any) -> None:
    assert mismatches(shape, schema) == []


@pytest.mark.parametrize(
    ("schema", "shape", "said"),
    [
        (PORT, TEXT, "must be an integer, not text"),
        (PORT, constant("80"), "write the number without quotes"),
        (PORT, constant(0), "at least 1, not 0"),
        (PORT, constant(70000), "at most 65535"),
        ({"type": "boolean"}, constant("yes"), "write true without quotes"),
        ({"type": "string"}, constant(8080), 'write it in quotes: "8080"'),
        ({"enum": ["running", "exited"]}, constant("runing"), "did you mean 'running'?"),
        ({"enum": [1, 2]}, TEXT, "must be one of 1, 2"),
        ({"type": "string", "pattern": "^https?://"}, shape_of_template("ftp://{{ host }}", NAMES)[0], "must match"),
        ({"type": "string", "format": "uri"}, constant("no scheme"), "must be a uri"),
        ({"type": "string", "format": "date-time"}, constant("yesterday"), "must be a date-time"),
        ({"type": "string", "minLength": 3}, constant("ab"), "3 characters or more"),
        ({"type": "array", "items": {"type": "integer"}}, NAMES["words"], "an item: "),
        ({"type": "array", "items": {"type": "integer"}}, constant([1, "a"]), "'[1]' of it must be an integer"),
        ({"type": "array", "minItems": 1}, constant([]), "1 items or more"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, INTEGER, "must be text or null, not an integer"),
        ({"$ref": "#/$defs/port", "$defs": {"port": PORT}}, TEXT, "must be an integer"),
        ({"type": "object", "properties": {"cwd": {}}}, constant({"cdw": 1}), "did you mean 'cwd'?"),
        ({"type": "object", "properties": {"dryRun": {}}}, constant({"dry_run": 1}), "did you mean 'dryRun'?"),
        ({"type": "object", "required": ["a"]}, constant({}), "lack 'a', which is required"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, constant({"a": 1}), "'a' of it must be text"),
        ({"multipleOf": 5, "type": "integer"}, constant(3), "a multiple of 5"),
        (False, TEXT, "no value is allowed here"),
    ],
)
def test_what_surely_does_not_fit(schema: Any, shape: Any, said: str) -> None:
    found = mismatches(shape, schema)
    assert len(found) == 1
    assert found[0].is_certain
    assert said in f"{found[0].message}; {found[0].fix}"


@pytest.mark.parametrize(
    ("schema", "shape", "said"),
    [
        ({"type": "string"}, union([TEXT, NULL]), "it may be null"),
        ({"type": "integer"}, NUMBER, "a number may have a fraction"),
        ({"enum": ["fast"]}, NAMES["mode"], "it may be 'slow'"),
        (PORT, shape_of_schema({"type": "integer", "maximum": 70000}), "may be 70000"),
    ],
)
def test_what_may_not_fit(schema: Any, shape: Any, said: str) -> None:
    found = mismatches(shape, schema)
    assert [mismatch.is_certain for mismatch in found] == [False]
    assert said in found[0].message


def test_shapes_are_told_in_words() -> None:
    assert described(union([TEXT, NULL, NUMBER])) == "text or a number or null"
    assert described(one_of([True, "a"])) == "true or 'a'"


# -- classes -----------------------------------------------------------------------------------------------

TOOLS = shipped_tools()


def found_in(text: str, tools: KnownTools = TOOLS) -> list[Finding]:
    classes = {
        loaded.service_class.name: loaded.service_class
        for file in SHIPPED
        for loaded in load_manifests(file.read_text(encoding="utf-8"))
    }
    return list(check_text(text, "web.yaml", tools, classes).findings)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_nothing_is_found_in_shipped_classes(file: Path) -> None:
    assert [str(finding) for finding in found_in(file.read_text(encoding="utf-8"))] == []


CLASS = """\
apiVersion: ostler/v1
kind: ServiceClass
metadata:
  name: web
spec:
  args:
    port: {type: string, default: "80"}
  serviceConfig:
    lifecycleTools:
      start:
        tool: process/strat
        args:
          key: "{{ name }}"
      stop:
        tool: process/stop
        args:
          kye: "{{ name }}"
      find:
        tool: process/status
        args: {key: "{{ name }}", ready: {tcp: "{{ port }}", timeout: 5s}}
        expect:
          jsonPath: {state: runing}
"""


def test_findings_have_their_place_rule_and_fix() -> None:
    found = {finding.rule: finding for finding in found_in(CLASS)}
    assert {rule: (finding.line, finding.column) for rule, finding in found.items()} == {
        "unknown-tool": (11, 15),
        "unknown-arg": (17, 11),
        "missing-arg": (17, 11),
        "never-true": (22, 29),
    }
    assert found["unknown-tool"].fix == "did you mean 'process/start'?"
    assert found["unknown-arg"].fix == "did you mean 'key'?"
    assert found["never-true"].fix == "did you mean 'running'?"
    assert found["unknown-arg"].path == "spec.serviceConfig.lifecycleTools.stop.args.kye"
    assert {finding.severity for finding in found.values()} == {"error"}


def test_everything_that_is_known_of_the_service_can_be_named() -> None:
    values = {key: f"{{{{ service.{key} }}}}" for key in ("id", "name", "class", "startKey", "metadata")}
    config = {"lifecycleTools": {"start": {"tool": "x/start", "args": values}, "stop": {"tool": "x/stop"}}}
    about = {"apiVersion": "ostler/v1", "kind": "ServiceClass", "metadata": {"name": "web"}}
    found = found_in(json.dumps({**about, "spec": {"serviceConfig": config}}))
    assert [finding.message for finding in found if finding.severity == "error"] == []


def test_types_are_followed_through_outputs_of_tools_and_of_dependencies() -> None:
    text = json.dumps(
        {
            "apiVersion": "ostler/v1",
            "kind": "ServiceClass",
            "metadata": {"name": "web"},
            "spec": {
                "serviceConfig": {
                    "dependencies": [
                        {
                            "serviceClassName": "static-web-server",
                            "alias": "site",
                            "create": True,
                            "args": {"directory": 3, "prot": 80},
                        }
                    ],
                    "lifecycleTools": {
                        "start": {
                            "tool": "process/start",
                            "args": {
                                "key": "{{ dependencies.site.outputs.url }}",
                                "command": "x",
                                "port": "{{ dependencies.site.outputs.url }}",
                                "cwd": "{{ dependencies.site.outputs.folder }}",
                            },
                            "outputs": {"pid": "pid"},
                        },
                        "stop": {"tool": "process/stop", "args": {"key": "{{ start.pid }}"}},
                    },
                }
            },
        }
    )
    said = [f"{finding.rule} {finding.path.rpartition('.')[2]} {finding.message}" for finding in found_in(text)]
    assert sorted(re.split(", not|, which", text)[0] for text in said) == [
        "arg-type directory 'directory' of the args of class 'static-web-server' must be text",
        "arg-type key 'key' of the arguments of 'process/stop' must be text",
        "arg-type port 'port' of the arguments of 'process/start' must be an integer or null",
        "arg-value key 'key' of the arguments of 'process/start' must match '^[A-Za-z0-9._-]{1,128}$'",
        "unknown-arg prot there is no 'prot' in the args of class 'static-web-server'",
        "unknown-name cwd there is no 'folder' in it",
    ]


def test_a_start_may_take_its_key_and_leave_out_what_is_not_given() -> None:
    text = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: keyed}
spec:
  args: {port: {type: PORT}}
  serviceConfig:
    lifecycleTools:
      start: {tool: s/start, args: {key: "{{ service.startKey }}", port: "{{ port | default(omit) }}"}}
      stop: {tool: s/stop, args: {key: "{{ service.startKey }}"}}
"""
    key: dict[str, Any] = {"type": "string"}
    start = tool_schema("start", {"properties": {"key": key, "port": {"type": "integer"}}, "required": ["key"]})
    tools = ToolList("s", {"start": start, "stop": tool_schema("stop", {"properties": {"key": key}})})
    known = KnownTools({"s": tools})
    assert [finding.rule for finding in found_in(text.replace("PORT", "integer"), known)] == ["unjudged-start"]
    assert "arg-type" in {finding.rule for finding in found_in(text.replace("PORT", "string"), known)}


@pytest.mark.parametrize(
    ("kind", "is_found"), [({"type": "string"}, True), ({"type": "boolean"}, False), ({"enum": ["ssh", "tty"]}, False)]
)
def test_a_stop_that_leaves_out_what_is_named_after_a_thing_names_none(kind: dict[str, Any], is_found: bool) -> None:
    text = json.dumps(
        {
            "apiVersion": "ostler/v1",
            "kind": "ServiceClass",
            "metadata": {"name": "port"},
            "spec": {
                "serviceConfig": {"lifecycleTools": {"start": {"tool": "s/connect"}, "stop": {"tool": "s/close"}}}
            },
        }
    )
    close = tool_schema("close", {"properties": {"connection": kind}})
    known = KnownTools({"s": ToolList("s", {"connect": tool_schema("connect", {}), "close": close})})
    assert ("names-none" in {finding.rule for finding in found_in(text, known)}) is is_found


def test_a_server_that_is_configured_but_silent_is_told_as_unchecked() -> None:
    text = CLASS.replace("process/", "mine/")
    configured = KnownTools({}, frozenset({"mine"}))
    assert {finding.rule for finding in found_in(text, configured)} >= {"unchecked-tool"}
    assert "unknown-server" not in {finding.rule for finding in found_in(text, configured)}
    near = KnownTools({}, frozenset({"mines"}))
    found = [finding for finding in found_in(text, near) if finding.rule == "unknown-server"]
    assert found[0].fix == "did you mean 'mines/strat'?"


def with_config(**config: Any) -> str:
    tools = {
        "start": {"tool": "process/start", "args": {"key": "{{ name }}", "command": "x"}, "outputs": {"port": "port"}},
        "stop": {"tool": "process/stop", "args": {"key": "{{ name }}"}},
    }
    args = config.pop("args", {})
    return json.dumps(
        {
            "apiVersion": "ostler/v1",
            "kind": "ServiceClass",
            "metadata": {"name": "web"},
            "spec": {"args": args, "serviceConfig": {"lifecycleTools": tools, **config}},
        }
    )


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"outputs": {"url": "htpt://127.0.0.1:{{ start.port }}/"}}, "did you mean 'http://'?"),
        ({"outputs": {"prot": "{{ start.port }}"}}, "did you mean 'port'?"),
        ({"args": {"a": {"type": "array", "items": {"tye": "string"}, "default": []}}}, "did you mean 'type'?"),
    ],
)
def test_words_that_are_nearly_right(config: Any, said: str) -> None:
    found = [finding for finding in found_in(with_config(**config)) if finding.rule == "near-miss"]
    assert [finding.fix for finding in found] == [said]


@pytest.mark.parametrize(
    "outputs",
    [
        {"ports": "{{ start.port }}"},
        {"address": "{{ start.port }}"},
        {"url": "s3://bucket", "other": "https://{{ start.port }}"},
    ],
)
def test_words_that_are_right(outputs: Any) -> None:
    assert found_in(with_config(outputs=outputs)) == []


@pytest.mark.parametrize("condition", ["healthy", "completed"])
def test_a_condition_of_a_dependency_that_is_never_met(condition: str) -> None:
    text = with_config(dependencies=[{"serviceClassName": "lame", "condition": condition}])
    for health in ({"enabled": False}, None):
        config = {} if health is None else {"healthCheck": health}
        lame = load_manifests(with_config(**config).replace('"web"', '"lame"'))[0].service_class
        found = check_text(text, "web.yaml", TOOLS, {"lame": lame}).findings
        is_met = condition == "healthy" and health is None  # without tools, its server's state counts
        expected = [] if is_met else [("never-true", "condition")]
        assert [(each.rule, each.path.rpartition(".")[2]) for each in found] == expected
        becomes = {"healthy": "never becomes healthy: ", "completed": "never completes: "}[condition]
        assert all(f"a service of class 'lame' {becomes}" in each.message for each in found)


# -- saved lists -------------------------------------------------------------------------------------------


def test_a_saved_list_is_read_back_as_it_was_written() -> None:
    tools = [{"name": "a", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]
    listed = tool_list_from_json(saved_text({"server": {"name": "x", "version": "1.2"}}, tools), "mine")
    assert (listed.server, listed.version, listed.source) == ("mine", "1.2", "saved")
    assert listed.tools["a"].says("readOnlyHint")
    rpc = {"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}
    assert list(tool_list_from_json(json.dumps(rpc), "x").tools) == ["a"]


@pytest.mark.parametrize("text", ["", "[]", '{"tools": 3}', '{"tools": [{"name": "a"}]}'])
def test_what_is_not_a_tools_list_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError, match="is not a saved tools list"):
        tool_list_from_json(text, "x", "x.json")


def test_recorded_answers_say_what_a_tool_without_an_output_schema_gives() -> None:
    answer = {"content": [{"type": "text", "text": '{"id": "a"}'}]}
    failed = {"content": [{"type": "text", "text": "no"}], "isError": True}
    saved = {
        "tools": [{"name": "go", "inputSchema": {"type": "object"}}],
        "samples": [{"tool": "go", "result": answer}, {"tool": "go", "result": failed}],
    }
    tool = tool_list_from_json(json.dumps(saved), "x").tools["go"]
    assert len(tool.samples) == 1
    assert list(tool.answer.properties or ()) == ["id"]


def test_answers_that_tests_script_count_as_recorded() -> None:
    text = """
apiVersion: ostler/v1
kind: ServiceClassTest
serviceClass: web
tests:
  - name: a
    steps:
      - do: create
        calls:
          - {tool: x/go, answer: {id: a}}
          - {tool: x/go, fails: no such image}
          - {tool: x/look, content: [{type: text, text: "[{\\"name\\": 1}]"}]}
"""
    tools = {name: tool_schema(name, {}) for name in ("go", "look")}
    known = KnownTools({"x": ToolList("x", tools)}).with_answers(scripted_answers(text, "web.test.yaml"))
    go, look = known.lists["x"].tools.values()
    assert [sample.value for sample in (*go.samples, *look.samples)] == [{"id": "a"}, [{"name": 1}]]
    assert find_in_shape("[0].nam", look.answer).missed[0].fix == "did you mean 'name'?"


def test_live_lists_go_before_saved_ones() -> None:
    live = KnownTools({"a": ToolList("a", {"new": tool_schema("new", {})}, source="live")}, frozenset({"a", "b"}))
    saved = KnownTools({"a": ToolList("a", {}), "c": ToolList("c", {})})
    both = live.over(saved)
    assert list(both.lists["a"].tools) == ["new"]
    assert both.server_names == ["a", "b", "c"]
