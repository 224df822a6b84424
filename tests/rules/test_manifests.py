"""Manifests: loaded whole, or refused with every problem, its place and a fix."""

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.support.answers import DATA

from ostler.model.errors import Finding, ManifestError
from ostler.rules.loading import manifests
from ostler.rules.loading.manifest_schema import manifest_shape
from ostler.rules.loading.manifests import (
    class_digest,
    manifest_json_schema,
    service_class_from_json,
    service_class_to_json,
)
from ostler.rules.reading import load_manifests

SITE = (DATA / "static-site.yaml").read_text(encoding="utf-8")
SITE_VALUE = load_manifests(SITE)[0].document.value


def manifest(**config: Any) -> str:
    """A small valid manifest with `config` in its serviceConfig; `args` and lifecycle steps are put in place."""
    args = config.pop("args", {})
    steps = (
        "start",
        "stop",
        "ready",
        "stopped",
        "restart",
        "status",
        "healthCheck_",
        "find",
        "logs",
        "preStop",
        "postStart",
    )
    tools: dict[str, Any] = {"start": {"tool": "a/start"}, "stop": {"tool": "a/stop"}}
    tools |= {step.rstrip("_"): config.pop(step) for step in steps if step in config}
    return json.dumps(
        {
            "apiVersion": "ostler/v1",
            "kind": "ServiceClass",
            "metadata": {"name": "web"},
            "spec": {"args": args, "serviceConfig": {"lifecycleTools": tools, **config}},
        },
        indent=1,
    )


def findings_of(text: str) -> list[Finding]:
    with pytest.raises(ManifestError) as caught:
        load_manifests(text, "web.yaml")
    return list(caught.value.findings)


def test_a_file_without_mistakes_makes_no_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for saying what else could have been written: 14 ms of a start, and 2 MiB."""
    made: list[str] = []
    monkeypatch.setattr(manifests, "manifest_shape", lambda: made.append("schema") or manifest_shape())
    load_manifests(SITE)
    assert not made
    findings_of(manifest(maxInstance=1))
    assert made == ["schema"]


def test_a_manifest_becomes_a_class_with_its_text_and_place() -> None:
    (loaded,) = load_manifests(SITE, "static-site.yaml")
    assert loaded.service_class.name == "static-site"
    assert loaded.service_class.required_tools() == [
        "process/logs",
        "process/restart",
        "process/start",
        "process/status",
        "process/stop",
    ]
    assert (loaded.file, loaded.line, loaded.text, loaded.warnings) == ("static-site.yaml", 2, SITE, ())
    assert loaded.service_class.config.restart.policy == "on-failure"
    assert loaded.service_class.tools.start.timeout == 10.0


def test_the_digest_is_of_the_meaning_not_of_the_formatting() -> None:
    (loaded,) = load_manifests(SITE)
    (again,) = load_manifests(json.dumps(loaded.document.value), "x.json")
    (changed,) = load_manifests(SITE.replace("default: 8080", "default: 8081"))
    assert loaded.digest == again.digest == class_digest(loaded.service_class)
    assert changed.digest != loaded.digest


def test_a_class_survives_its_json_form() -> None:
    (loaded,) = load_manifests(SITE)
    stored = json.loads(json.dumps(service_class_to_json(loaded.service_class)))
    back = service_class_from_json(stored)
    assert back == loaded.service_class
    assert class_digest(back) == loaded.digest
    assert back.spec.args["token"].has_default is False


def test_a_copy_of_a_class_has_nothing_cached_of_what_it_replaces() -> None:
    (loaded,) = load_manifests(manifest())
    bare = loaded.service_class
    assert not bare.looks_after_start
    assert bare.tools.called == ("a/start", "a/stop")
    status = bare.tools.stop.model_copy(update={"tool": "a/status"})
    config = bare.config.model_copy(update={"lifecycle_tools": bare.tools.model_copy(update={"status": status})})
    made = bare.model_copy(update={"spec": bare.spec.model_copy(update={"service_config": config})})
    assert made.looks_after_start
    assert made.tools.called == ("a/start", "a/status", "a/stop")


def test_a_stored_class_that_no_longer_fits_is_a_manifest_error() -> None:
    with pytest.raises(ManifestError, match="stored manifest"):
        service_class_from_json({"kind": "ServiceClass"})


def test_several_documents_are_several_classes() -> None:
    both = f"{SITE}---\n{SITE.replace('name: static-site', 'name: other')}"
    assert [(loaded.service_class.name, loaded.line) for loaded in load_manifests(both)] == [
        ("static-site", 2),
        ("other", SITE.count("\n") + 3),
    ]


def test_problems_of_all_documents_are_told_together() -> None:
    text = f"{manifest(onUnknown='adapt')}\n---\n{manifest(timeout={'create': 'soon'})}\n---\n{{kind: [}}\n"
    assert {finding.rule for finding in findings_of(text)} == {"bad-value", "bad-duration", "yaml-syntax"}


def test_a_name_twice_in_a_file() -> None:
    (finding,) = findings_of(f"{manifest()}\n---\n{manifest()}")
    assert finding.rule == "duplicate-name"
    assert "first in line 1" in finding.message


POLICY = "spec.serviceConfig.restartPolicy"
STEPS = "spec.serviceConfig.lifecycleTools"
LIST = {"tool": "w/list", "mark": "mark", "serviceClass": "class", "service": "service"}
"""`leftovers` of a class."""

BY_ID = {"tool": "a/stop", "args": {"id": "{{ service.id }}"}}
BY_DEFAULT = {"tool": "a/stop", "args": {"box": "{{ p }}"}}


@pytest.mark.parametrize(
    ("config", "path", "expected"),
    [
        ({"dependencies": [[]]}, "dependencies[0]", "expected text or a mapping"),
        ({"dependencies": [{"name": "a", "args": []}]}, "dependencies[0].args", "expected a mapping"),
        ({"outputs": {"a": 3}}, "outputs.a", "expected text or a mapping"),
        ({"status": {"tool": "a/b", "expect": {"contains": {}}}}, "contains", "expected text or a list of texts"),
        ({"status": {"tool": "a/b", "expect": {"contains": ["a", 3]}}}, "contains[1]", "expected text, got 3"),
        ({"status": {"tool": "a/b", "expect": {"jsonPath": []}}}, "jsonPath", "expected a mapping"),
        ({"restartPolicy": 3}, "restartPolicy", "expected a mapping"),
    ],
)
def test_a_wrong_form_is_told_once_in_the_manifests_words(config: Any, path: str, expected: str) -> None:
    (finding,) = findings_of(manifest(**config))
    assert finding.path.endswith(path)
    assert finding.message.startswith(expected)
    assert finding.rule == "bad-type"


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n"])
def test_an_empty_file_says_what_to_begin_with(text: str) -> None:
    (finding,) = findings_of(text)
    assert "apiVersion: ostler/v1" in finding.fix


def test_every_problem_of_a_broken_manifest_has_its_line_rule_and_fix() -> None:
    text = """\
apiVersion: ostler/v1
kind: ServiceClass
metadata:
  name: Bad_Name
spec:
  args:
    port: {type: integr, secrt: true}
    debug: {type: boolean, required: yes}
  serviceConfig:
    restart_policy: never
    lifecycleTools:
      start: {tool: foo, outputs: {a: 3, b: {}}, timeout: 5parsec}
      healthcheck: {tool: a/b}
    dependencies: [3, {args: {}}]
    labels: {}
timeout: 3
"""
    found = {(finding.line, finding.rule): finding.fix for finding in findings_of(text)}
    assert found == {
        (4, "bad-name"): "",
        (7, "bad-value"): "write 'integer'",
        (7, "unknown-key"): "did you mean 'secret'?",
        (8, "bad-type"): "write true",
        (10, "unknown-key"): "write 'restartPolicy'",
        (12, "missing-key"): "add 'stop'",
        (12, "bad-tool"): "",
        (12, "bad-type"): "",
        (12, "bad-value"): "",
        (12, "bad-duration"): "",
        (13, "unknown-key"): "did you mean 'healthCheck'?",
        (14, "bad-type"): "",
        (14, "bad-value"): "",
        (15, "unknown-key"): "'labels' belongs under 'metadata'",
        (16, "unknown-key"): "'timeout' belongs under 'spec.serviceConfig'",
    }


@pytest.mark.parametrize(
    ("head", "rule", "phrase"),
    [
        ("apiVersion: muster.giantswarm.io/v1beta1\nkind: ServiceClass", "unknown-version", "muster's"),
        ("apiVersion: ostler/v2\nkind: ServiceClass", "unknown-version", "'ostler/v2' is not known"),
        ("apiVersion: ostler/v1\nkind: ServiceClas", "unknown-kind", "did you mean 'ServiceClass'?"),
        ("apiVersion: ostler/v1\nkind: Pod", "unknown-kind", "write 'kind: ServiceClass'"),
        ("- a\n- b", "bad-type", "a manifest is a mapping"),
        ("just text", "bad-type", "a manifest is a mapping"),
    ],
)
def test_what_is_not_a_service_class_is_reported_once(head: str, rule: str, phrase: str) -> None:
    (finding,) = findings_of(head)
    assert finding.rule == rule
    assert phrase in str(finding)


@pytest.mark.parametrize(
    ("config", "rule", "path"),
    [
        ({"args": {"p": {"type": "integer", "pattern": "a"}}}, "no-effect", "spec.args.p.pattern"),
        ({"args": {"p": {"minimum": 1}}}, "no-effect", "spec.args.p.minimum"),
        ({"args": {"p": {"items": {}}}}, "no-effect", "spec.args.p.items"),
        ({"args": {"p": {"type": "integer", "path": True}}}, "no-effect", "spec.args.p.path"),
        ({"args": {"p": {"pattern": "("}}}, "bad-regex", "spec.args.p.pattern"),
        ({"args": {"p": {"enum": []}}}, "bad-value", "spec.args.p.enum"),
        ({"args": {"p": {"enum": ["a", 1]}}}, "bad-value", "spec.args.p.enum[1]"),
        ({"args": {"p": {"enum": ["a"], "default": "b"}}}, "bad-value", "spec.args.p.default"),
        ({"args": {"p": {"type": "integer", "default": "x"}}}, "bad-value", "spec.args.p.default"),
        ({"args": {"p": {"type": "integer", "minimum": 2, "maximum": 1}}}, "bad-value", "spec.args.p.minimum"),
        ({"args": {"p": {"type": "array", "items": {"type": "x"}}}}, "bad-value", "spec.args.p.items.type"),
        ({"args": {"p": {"type": "array", "items": {"$ref": "#/a"}}}}, "bad-value", "spec.args.p.items"),
        ({"args": {"p": {"default": "{{ name }}"}}}, "no-effect", "spec.args.p.default"),
        ({"healthCheck": {"interval": "5s"}}, "no-effect", "spec.serviceConfig.healthCheck"),
        ({"stop": BY_ID, "leftovers": {**LIST, "mark": "["}}, "bad-jmespath", "spec.serviceConfig.leftovers.mark"),
        (
            {
                "stop": BY_ID,
                "leftovers": {**LIST, "itemPattern": "(", "inspectTool": "m/a", "inspectArgs": {"a": "{{ item }}"}},
            },
            "bad-regex",
            "spec.serviceConfig.leftovers.itemPattern",
        ),
        (
            {"stop": BY_ID, "leftovers": {**LIST, "itemPattern": "r[0-9]+"}},
            "no-effect",
            "spec.serviceConfig.leftovers.itemPattern",
        ),
        (
            {"stop": BY_ID, "leftovers": {**LIST, "inspectTool": "m/inspect"}},
            "bad-value",
            "spec.serviceConfig.leftovers.inspectTool",
        ),
        (
            {
                "stop": BY_ID,
                "leftovers": {**LIST, "inspectTool": "m/inspect", "inspectArgs": {"a": "{{ item.id ~ name }}"}},
            },
            "unknown-name",
            "spec.serviceConfig.leftovers.inspectArgs.a",
        ),
        ({"stop": BY_ID, "leftovers": {**LIST, "tool": "list"}}, "bad-tool", "spec.serviceConfig.leftovers.tool"),
        (
            {"stop": BY_ID, "leftovers": {**LIST, "args": {"a": "{{ name }}"}}},
            "unknown-name",
            "spec.serviceConfig.leftovers.args.a",
        ),
        ({"leftovers": LIST}, "bad-value", "spec.serviceConfig.leftovers"),
        (
            {"stop": BY_DEFAULT, "args": {"p": {"default": "web"}}, "leftovers": LIST},
            "bad-value",
            "spec.serviceConfig.leftovers",
        ),
        (
            {"preStop": [BY_DEFAULT], "stop": BY_ID, "args": {"p": {"default": "web"}}, "leftovers": LIST},
            "bad-value",
            "spec.serviceConfig.leftovers",
        ),
        (
            {"restartPolicy": {"policy": "always", "backoff": {"multiplier": 1e10}}},
            "bad-value",
            f"{POLICY}.backoff.multiplier",
        ),
        ({"healthCheck": {"interval": 1e-300}}, "bad-value", "spec.serviceConfig.healthCheck.interval"),
        ({"ready": {"tool": "m/x", "interval": "0s"}}, "bad-value", f"{STEPS}.ready.interval"),
        ({"stopped": {"tool": "m/x", "interval": 0}}, "bad-value", f"{STEPS}.stopped.interval"),
        ({"timeout": {"create": "36501d"}}, "bad-duration", "spec.serviceConfig.timeout.create"),
        (
            {"ready": {"tool": "m/x", "outputs": {"a": {"path": "a", "kept": True}}}},
            "no-effect",
            f"{STEPS}.ready.outputs.a.kept",
        ),
        ({"timeout": {"healthCheck": "5s"}}, "no-effect", "spec.serviceConfig.timeout.healthCheck"),
        ({"restartPolicy": {"maxRestarts": 3}}, "no-effect", f"{POLICY}.maxRestarts"),
        ({"dependencies": ["db", {"name": "db"}]}, "bad-value", "spec.serviceConfig.dependencies[1]"),
        ({"dependencies": [{"name": "a", "when": "cache"}]}, "no-effect", "spec.serviceConfig.dependencies[0].when"),
        ({"outputs": {"u": {"regex": "x"}}}, "no-effect", "spec.serviceConfig.outputs.u.regex"),
    ],
)
def test_settings_that_are_wrong_or_without_effect(config: dict[str, Any], rule: str, path: str) -> None:
    assert [(finding.rule, finding.path) for finding in findings_of(manifest(**config))] == [(rule, path)]


@pytest.mark.parametrize(
    ("keys", "rule", "path"),
    [
        ({"outputs": {"a": "$.pid"}}, "bad-jmespath", "outputs.a"),
        ({"outputs": {"a": {"path": "a["}}}, "bad-jmespath", "outputs.a.path"),
        ({"outputs": {"a": {"regex": "("}}}, "bad-regex", "outputs.a.regex"),
        ({"outputs": {"a": {"regex": "(x)(y)"}}}, "bad-regex", "outputs.a.regex"),
        ({"outputs": {"a": {"path": "b", "default": 1, "required": True}}}, "no-effect", "outputs.a.required"),
        ({"outputs": {"a": "{{ response.pid }}"}}, "unknown-name", "outputs.a"),
        ({"expect": {}}, "no-effect", "expect"),
        ({"expect": {"contains": []}}, "no-effect", "expect.contains"),
        ({"expect": {"contains": ""}}, "no-effect", "expect.contains"),
        ({"expect": {"jsonPath": {"a..b": 1}}}, "bad-jmespath", "expect.jsonPath.a..b"),
        ({"expect": {"jmespath": ["a", "b =="]}}, "bad-jmespath", "expect.jmespath[1]"),
        ({"expectNot": {"matches": "["}}, "bad-regex", "expectNot.matches"),
        ({"expect": {"success": True}, "expectNot": {"success": True}}, "bad-value", "expectNot.success"),
        ({"retry": {"attempts": 1, "delay": "1s"}}, "no-effect", "retry.delay"),
        ({"args": {"a": "{{ .port }}"}}, "template-syntax", "args.a"),
        ({"args": {"a": "{{ prot }}"}}, "unknown-name", "args.a"),
        ({"args": {"a": ["{{ args.prot }}"]}}, "unknown-name", "args.a[0]"),
        ({"args": {"a": "{{ start.pid }}"}}, "unknown-name", "args.a"),
        ({"args": {"a": "{{ service.foo }}"}}, "unknown-name", "args.a"),
        ({"args": {"a": "{{ outputs.url }}"}}, "unknown-name", "args.a"),
        ({"args": {"a": "{{ dependencies.db.outputs.url }}"}}, "unknown-name", "args.a"),
        ({"expect": {"contains": "{{ prot }}"}}, "unknown-name", "expect.contains"),
    ],
)
def test_what_is_wrong_with_a_tool_call(keys: dict[str, Any], rule: str, path: str) -> None:
    text = manifest(args={"port": {"required": True}}, start={"tool": "a/start", **keys})
    prefix = "spec.serviceConfig.lifecycleTools.start."
    assert [(finding.rule, finding.path) for finding in findings_of(text)] == [(rule, prefix + path)]


STEP_NAMES = "{{ start.id }} {{ port }} {{ args.port }} {{ name }} {{ service.id }} {{ env.HOME }}"


@pytest.mark.parametrize("step", ["stop", "ready", "restart", "status", "healthCheck_", "logs"])
def test_steps_after_start_may_use_what_start_gave(step: str) -> None:
    start = {"tool": "a/start", "outputs": {"id": "id"}}
    call = {"tool": "a/x", "args": {"a": STEP_NAMES}}
    load_manifests(manifest(args={"port": {"default": "1"}}, start=start, **{step: call}))
    call["args"] = {"a": "{{ start.nope }}"}
    (finding,) = findings_of(manifest(args={"port": {"default": "1"}}, start=start, **{step: call}))
    assert finding.rule == "unknown-name"
    assert "declare it under start.outputs, which has: id" in finding.fix


@pytest.mark.parametrize("step", ["start", "find"])
def test_start_and_find_may_not_use_what_start_gives(step: str) -> None:
    steps = {"start": {"tool": "a/start", "outputs": {"id": "id"}}}
    steps[step] = {"tool": "a/x", "outputs": {"id": "id"}, "args": {"a": "{{ start.id }}"}}
    (finding,) = findings_of(manifest(**steps))
    assert (finding.rule, "'start' is not known here" in finding.message) == ("unknown-name", True)


def test_what_a_later_step_gives_needs_a_default() -> None:
    steps: dict[str, Any] = {"restart": {"tool": "a/restart", "outputs": {"id": "id"}}}
    (finding,) = findings_of(manifest(**steps, stop={"tool": "a/stop", "args": {"id": "{{ restart.id }}"}}))
    assert "only there after restart has run" in finding.message
    load_manifests(manifest(**steps, stop={"tool": "a/stop", "args": {"id": "{{ restart.id | default(1) }}"}}))


def test_outputs_are_there_for_checks_but_not_for_stopping() -> None:
    use = {"tool": "a/x", "args": {"u": "{{ outputs.url }}"}}
    load_manifests(manifest(outputs={"url": "http://x"}, status=use))
    assert findings_of(manifest(outputs={"url": "http://x"}, stop=use))[0].rule == "unknown-name"


def test_all_missing_names_come_at_once_with_the_lines_of_block_text() -> None:
    text = SITE.replace(
        'args: {id: "{{ start.id }}"}\n        expect:',
        "args:\n"
        "          script: |\n            first\n            {{ start.nope }}\n            {{ prot }}\n"
        "        expect:",
        1,
    )
    first = text.splitlines().index("            {{ start.nope }}") + 1
    assert [(finding.line, finding.rule) for finding in findings_of(text)] == [
        (first, "unknown-name"),
        (first + 1, "unknown-name"),
    ]


def test_an_arg_that_may_be_left_out_and_one_that_is_hidden_are_warnings() -> None:
    text = manifest(args={"opt": {}, "name": {}}, start={"tool": "a/b", "args": {"a": "{{ opt }}", "n": "{{ name }}"}})
    (loaded,) = load_manifests(text)
    assert [(finding.rule, finding.severity) for finding in loaded.warnings] == [
        ("shadowed-name", "warning"),
        ("maybe-undefined", "warning"),
    ]
    ok = manifest(args={"opt": {}}, start={"tool": "a/b", "args": {"a": "{{ opt | default(none) }}"}})
    assert load_manifests(ok)[0].warnings == ()


def test_the_schema_accepts_what_loads_and_refuses_unknown_keys() -> None:
    schema = manifest_json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    validator = Draft202012Validator(schema)
    value = load_manifests(SITE)[0].document.value
    assert not list(validator.iter_errors(value))
    assert list(validator.iter_errors({**value, "extra": 1}))
    assert list(validator.iter_errors({**value, "apiVersion": "v0"}))


def test_errors_show_file_line_and_column() -> None:
    (finding,) = findings_of(SITE.replace("timeout: 10s", "timeout: soon"))
    assert str(finding).startswith("web.yaml:33:18: 'soon' is not a duration")


@given(st.sampled_from(SITE.splitlines()), st.text(alphabet="abc:{}[]-\"' \n&*#!{%}", max_size=15), st.integers(0, 2))
def test_a_damaged_manifest_loads_or_is_a_manifest_error(line: str, noise: str, mode: int) -> None:
    damaged = {0: noise, 1: line + noise, 2: line[: len(line) // 2] + noise}[mode]
    with contextlib.suppress(ManifestError):
        load_manifests(SITE.replace(line, damaged, 1))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(
        [
            ("metadata",), ("spec",), ("spec", "args"), ("spec", "args", "port"), ("spec", "serviceConfig"),
            ("spec", "serviceConfig", "lifecycleTools"), ("spec", "serviceConfig", "lifecycleTools", "start"),
            ("spec", "serviceConfig", "lifecycleTools", "ready", "expect"), ("spec", "serviceConfig", "dependencies"),
            ("spec", "serviceConfig", "outputs"), ("spec", "serviceConfig", "restartPolicy"),
            ("spec", "serviceConfig", "lifecycleTools", "preStop"), ("metadata", "labels"),
        ]
    ),
)  # fmt: skip
def test_any_value_anywhere_loads_or_is_a_manifest_error(value: Any, path: tuple[str, ...]) -> None:
    whole = copy.deepcopy(SITE_VALUE)
    parent = whole
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    loaded, findings = [], ()
    try:
        loaded = load_manifests(json.dumps(whole), "x.json")
    except ManifestError as error:
        findings = error.findings
    assert bool(loaded) is not bool(findings)
    assert all(finding.message and finding.line for finding in findings)
    for one in loaded:
        assert service_class_from_json(service_class_to_json(one.service_class)) == one.service_class


@pytest.mark.parametrize(
    ("text", "subscripted"),
    [
        ("{{ cluster-name }}", "args['cluster-name']"),
        ("{{ args.cluster-name }}", "args['cluster-name']"),
        ("{{ my-port | int }}", "args['my-port']"),
    ],
)
def test_a_name_with_a_dash_is_told_how_it_is_written(text: str, subscripted: str) -> None:
    args = {"cluster-name": {"type": "string", "required": True}, "my-port": {"type": "string", "required": True}}
    findings = findings_of(manifest(args=args, start={"tool": "a/start", "args": {"a": text}}))
    assert {finding.rule for finding in findings} == {"unknown-name"}
    assert all(f"{{{{ {subscripted} }}}}" in finding.fix for finding in findings)
