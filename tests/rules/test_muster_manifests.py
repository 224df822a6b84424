"""Manifests of muster load as ServiceClasses, and what is wrong with one is told at its own places."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ostler.adapters.config.mcp_json import load_mcp_json
from ostler.model.errors import Finding, ManifestError
from ostler.model.tool_names import ToolNames
from ostler.rules.checking.loaded_class import LoadedClass
from ostler.rules.loading.manifests import service_class_to_json
from ostler.rules.loading.translated_text import manifest_text
from ostler.rules.reading import load_manifests
from ostler.rules.text.yaml_source import read_documents

FOLDER = Path(__file__).parent / "data" / "muster"
KNOWN = ToolNames.of(["k8s", "docker", "postgres", "kubernetes", "http", "tunnel-box"])
HEAD = "apiVersion: muster.giantswarm.io/v1alpha1\nkind: ServiceClass\nmetadata: {name: web, namespace: default}\n"
MINIMAL: dict[str, Any] = {
    "lifecycleTools": {
        "start": {"tool": "x_k8s_run", "args": {"name": "{{.name}}"}, "outputs": {"id": "result.id"}},
        "stop": {"tool": "x_k8s_stop", "args": {"id": "{{.id}}"}},
    }
}


def load(name: str) -> LoadedClass:
    [loaded] = load_manifests((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml", known=KNOWN)
    return loaded


def config_of(name: str) -> dict[str, Any]:
    return service_class_to_json(load(name).service_class)["spec"]["serviceConfig"]


def minimal(args: dict[str, Any] | None = None, **config: Any) -> str:
    """Return a small manifest with `args`, and with `config` merged into its serviceConfig; `None` takes a key out."""
    tools = {**MINIMAL["lifecycleTools"], **config.pop("lifecycleTools", {})}
    spec = {"args": args or {}, "serviceConfig": {"lifecycleTools": tools, **config}}
    return HEAD + yaml.safe_dump({"spec": spec}, sort_keys=False)


def loaded_config(text: str) -> dict[str, Any]:
    [loaded] = load_manifests(text, "web.yaml", known=KNOWN)
    return service_class_to_json(loaded.service_class)["spec"]["serviceConfig"]


def findings_of(text: str) -> tuple[Finding, ...]:
    """Return what keeps a manifest from loading; where nothing does, what its author is warned of."""
    try:
        [loaded] = load_manifests(text, "web.yaml", known=KNOWN)
    except ManifestError as error:
        return error.findings
    return tuple(sorted(loaded.warnings, key=lambda finding: (finding.line, finding.column)))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_documented_shapes_load_silently(path: Path) -> None:
    loaded = load(path.stem)
    assert loaded.is_translated
    assert loaded.warnings == ()
    assert loaded.text == path.read_text(encoding="utf-8"), "the source is what was written"
    assert loaded.service_class.name == path.stem
    assert "namespace" not in loaded.document.value["metadata"]


def test_what_a_manifest_becomes() -> None:
    tools = config_of("ledger-database")["lifecycleTools"]
    assert tools["start"] == {
        "tool": "docker/run",
        "args": {"image": "postgres:17", "env": {"DB": "{{ database_name }}", "PORT": "{{ port }}"}},
        "outputs": {"containerId": "result.container_id"},
    }
    assert tools["stop"]["args"] == {"container_id": "{{ start.containerId }}"}
    assert tools["healthCheck"]["expect"] == {"success": True, "jsonPath": {"status": "healthy"}}
    config = config_of("ledger-database")
    assert config["timeout"] == {"create": "5m", "delete": "2m", "healthCheck": "10s"}
    assert "dependencies" not in config


def test_raw_values_are_the_json_in_them() -> None:
    loaded = load("cluster-connection")
    assert loaded.service_class.spec.args["auth_provider"].default == "teleport"
    tools = config_of("cluster-connection")["lifecycleTools"]
    assert tools["start"]["args"] == {
        "clusterName": "{{ cluster_name }}",
        "authProvider": "{{ auth_provider | default('teleport', true) }}",
        "region": "{{ region | default('', true) }}",
        "ports": ["{{ cluster_name }}:8080", 6443],
    }
    assert tools["healthCheck"]["expect"]["jsonPath"] == {"health": True}
    assert loaded_config(minimal(lifecycleTools={"stop": {"tool": "x_k8s_stop", "args": {"a": {"raw": "no json"}}}}))[
        "lifecycleTools"
    ]["stop"]["args"] == {"a": {"raw": "no json"}}


def test_hooks_and_a_health_check_with_its_tool_find_their_place() -> None:
    config = config_of("web-application")
    tools = config["lifecycleTools"]
    assert [call["tool"] for call in tools["postStart"]] == ["k8s/create_monitoring"]
    assert tools["postStart"][0]["args"]["url"] == "{{ start.serviceUrl }}"
    assert [call["tool"] for call in tools["preStop"]] == ["k8s/final_backup"]
    assert tools["healthCheck"]["tool"] == "http/health_check"
    assert config["healthCheck"] == {"enabled": True, "interval": "30s", "failureThreshold": 2}
    assert tools["status"]["expect"] == {"jsonPath": {"status": "running"}, "jmespath": "connections >= `0`"}


def test_only_outputs_that_something_needs_must_be_in_the_answer() -> None:
    outputs = config_of("web-application")["lifecycleTools"]["start"]["outputs"]
    assert outputs["serviceUrl"] == "result.service_url"
    assert outputs["monitoringUrl"] == {"path": "result.monitoring_url", "required": False}
    forward = config_of("port-forward")["lifecycleTools"]
    assert forward["stop"]["outputs"] == {"status": {"path": "status", "required": False}}
    assert forward["restart"]["outputs"] == {"linkId": "link.id"}


def test_dependencies_with_conditions_and_waits() -> None:
    database, cache = config_of("microservice")["dependencies"]
    assert database == {
        "name": "{{ service_name }}-db",
        "serviceClassName": "ledger-database",
        "alias": "db",
        "args": {"database_name": "{{ service_name }}"},
        "condition": "healthy",
        "create": True,
    }
    assert (cache["when"], cache["condition"], cache["alias"]) == ("{{ cache_required }}", "started", "cache")
    assert loaded_config(minimal(dependencies=["database"]))["dependencies"] == [
        {"serviceClassName": "database", "required": False}
    ]


@pytest.mark.parametrize(
    ("path", "jmespath"),
    [
        ("id", "id"),
        ("result.service-url", 'result."service-url"'),
        ("$.items[0].id", "items[0].id"),
        ("metadata.name", "metadata.name"),
        ("a.b-c[1].0", 'a."b-c"[1]."0"'),
        ("größe.wert", '"größe".wert'),
        ("items[?a=='b'].c", "items[?a=='b'].c"),
    ],
)
def test_dotted_paths_become_jmespath(path: str, jmespath: str) -> None:
    start = {**MINIMAL["lifecycleTools"]["start"], "outputs": {"id": path}}
    assert loaded_config(minimal(lifecycleTools={"start": start}))["lifecycleTools"]["start"]["outputs"] == {
        "id": jmespath
    }


@pytest.mark.parametrize(
    ("config", "health"),
    [
        ({}, None),
        ({"healthCheck": {"interval": "5s"}, "timeout": {"healthCheck": "3s"}}, {"interval": "5s"}),
        ({"healthCheck": {"enabled": True, "interval": "5s"}}, {"enabled": True, "interval": "5s"}),
        ({"healthCheck": {"enabled": False, "interval": "5s"}}, {"enabled": False}),
    ],
)
def test_health_is_checked_where_there_is_a_tool_for_it(config: dict[str, Any], health: dict[str, Any] | None) -> None:
    checked = {"healthCheck": {"tool": "x_k8s_check"}}
    assert loaded_config(minimal(lifecycleTools=checked, **config)).get("healthCheck") == health


def test_a_status_tool_alone_is_not_asked_for_health() -> None:
    config = loaded_config(minimal(lifecycleTools={"status": {"tool": "x_k8s_check"}}))
    assert config["healthCheck"] == {"enabled": False}


def test_a_health_check_without_a_tool_is_left_out_with_a_warning() -> None:
    timeouts = {"healthCheck": "3s", "create": "1600us", "delete": "5ns"}
    text = minimal(healthCheck={"enabled": True, "interval": "5s"}, timeout=timeouts)
    [loaded] = load_manifests(text, "web.yaml", known=KNOWN)
    assert [(warning.line, warning.rule) for warning in loaded.warnings] == [
        (text.splitlines().index("    healthCheck:") + 1, "no-effect")
    ]
    assert loaded.service_class.config.health_check is None
    timeout = loaded.service_class.config.timeout
    assert (timeout.create, timeout.delete) == (0.002, 0.001)


def test_ostlers_own_keys_may_be_added() -> None:
    ready = {"tool": "x_k8s_ready", "args": {"id": "{{ .id }}"}, "interval": "1s"}
    config = loaded_config(minimal(lifecycleTools={"ready": ready}, restartPolicy="on-failure"))
    assert config["restartPolicy"] == {"policy": "on-failure"}
    assert config["lifecycleTools"]["ready"] == {
        "tool": "k8s/ready",
        "args": {"id": "{{ start.id }}"},
        "interval": "1s",
    }


def test_a_server_that_no_one_knows_is_a_warning_at_the_tool() -> None:
    text = minimal(lifecycleTools={"restart": {"tool": "x_mimir_execute_query"}})
    [loaded] = load_manifests(text, "web.yaml", known=KNOWN)
    [warning] = loaded.warnings
    assert (warning.rule, warning.path) == ("muster-tool", "spec.serviceConfig.lifecycleTools.restart.tool")
    assert "'mimir/execute_query'" in warning.message
    assert "call the server 'mimir' in mcp.json" in warning.fix
    assert load_manifests(text, "web.yaml")[0].warnings == (), "nothing is known, so nothing is missing"


_START = "{tool: x_k8s_run, args: {name: '{{.name}}'}, outputs: {id: id}}"
_STOP = "{tool: x_k8s_stop, args: {id: '{{.id}}'}}"


def written(extra: str = "", *, start: str = _START, stop: str = _STOP, more: str = "") -> str:
    """Return a manifest as text, so that lines and columns can be counted: serviceConfig begins in line 6."""
    return (
        HEAD
        + "spec:\n  args: {size: {type: integer}}\n  serviceConfig:\n"
        + extra
        + f"    lifecycleTools:\n      start: {start}\n      stop: {stop}\n"
        + more
    )


@pytest.mark.parametrize(
    ("text", "place", "rule", "phrase", "fix"),
    [
        (written("    defaultName: '{{.timestamp}}'\n"), "7:18", "muster-template", "'.timestamp'", "no time"),
        (written("    scaling: {enabled: true}\n"), "7:5", "unknown-key", "nothing was ever done with it", "remove it"),
        (
            written("    outputs: {u: '{{.sise}}'}\n"),
            "7:18",
            "muster-template",
            "'.sise' is neither",
            "did you mean '.size'?",
        ),
        (written("    outputs:\n      u: |\n        a\n        {{.sise}}\n"), "10:1", "muster-template", "'.sise'", ""),
        (
            written("    outputs: {u: '{{.start.pid}}'}\n"),
            "7:18",
            "muster-template",
            "'.start.pid' is not an output",
            "'.start.id'",
        ),
        (
            written("    timeout: {create: '{{.size}}m'}\n"),
            "7:23",
            "muster-template",
            "a template is not allowed here",
            "one class for each",
        ),
        (written("    timeout: {create: soon}\n"), "7:23", "bad-duration", "'soon' is not a duration", ""),
        (
            written("    healthCheck: {enabled: true, tool: x_k8s_c, failureThreshold: '{{.size}}'}\n"),
            "7:67",
            "muster-template",
            "a threshold is one number",
            "",
        ),
        (
            written("    lifecycleHooks: {postStop: []}\n"),
            "7:22",
            "unknown-key",
            "no hook 'postStop'",
            "'postStart' and 'preStop'",
        ),
        (
            written("    lifecycleHooks: {preStop: [{tool: run}]}\n"),
            "7:39",
            "muster-tool",
            "does not say which server",
            "server/run",
        ),
        (
            written("    dependencies: [{name: db, waitFor: soon}]\n"),
            "7:40",
            "bad-value",
            "'waitFor: soon'",
            "write one of",
        ),
        (
            written("    dependencies: [{name: db, waitFor: healthy, condition: started}]\n"),
            "7:31",
            "bad-value",
            "say the same",
            "",
        ),
        (written(start="{tool: docker_run}"), "8:21", "muster-tool", "", ""),
        (
            written(start="{tool: x_k8s_run, args: {a: '{{ shout .size }}'}}"),
            "8:42",
            "muster-template",
            "'shout' is not known",
            "known functions",
        ),
        (
            written(more="      health: {tool: x_k8s_check}\n"),
            "10:7",
            "unknown-key",
            "unknown key 'health'",
            "healthCheck",
        ),
        (written(stop="{tool: x_k8s_stop, argument: {}}"), "9:32", "unknown-key", "unknown key 'argument'", "args"),
        (HEAD.replace("v1alpha1", "v1beta1"), "1:13", "unknown-version", "not a version of muster's", "v1alpha1"),
        (HEAD.replace("ServiceClass", "Workflow"), "2:7", "unknown-kind", "'Workflow'", "no workflows"),
        (HEAD.replace("ServiceClass", "MCPServer"), "2:7", "unknown-kind", "'MCPServer'", "mcp.json"),
        (HEAD.replace("ServiceClass", "ServiceInstance"), "2:7", "unknown-kind", "'ServiceInstance'", "service_create"),
        (
            "name: pf\ntype: pf\nserviceConfig: {}\n",
            "1:1",
            "unknown-version",
            "before it had an apiVersion",
            "apiVersion",
        ),
    ],
)
def test_what_is_wrong_is_told_at_its_place(text: str, place: str, rule: str, phrase: str, fix: str) -> None:
    findings = findings_of(text.replace("tool: docker_run", "tool: launch_it"))
    found = [finding for finding in findings if (f"{finding.line}:{finding.column}", finding.rule) == (place, rule)]
    assert found, "\n".join(map(str, findings))
    assert phrase in found[0].message
    assert fix in found[0].fix
    is_leniently_read = rule.startswith("muster-") or rule == "unknown-key"
    assert found[0].severity == ("warning" if is_leniently_read else "error")
    assert all(finding.line for finding in findings)


@pytest.mark.parametrize(
    ("spec", "entry"),
    [
        ({"type": "stdio", "command": "npx", "args": ["-y", "git"], "env": {"A": "b"}},
         '"web": {"command": "npx", "args": ["-y", "git"], "env": {"A": "b"}}'),
        ({"command": ["mcp-git", "--config", "x"]}, '"web": {"command": "mcp-git", "args": ["--config", "x"]}'),
        ({"type": "streamable-http", "url": "https://a/mcp", "toolPrefix": "k8s", "headers": {"X": "y"}},
         '"web": {"type": "http", "url": "https://a/mcp", "headers": {"X": "y"}, "ostler": {"toolPrefix": "k8s"}}'),
        ({"command": "a", "autoStart": False, "timeout": 30, "description": "d"},
         '"web": {"command": "a", "ostler": {"description": "d", "timeout": 30, "autoStart": false}}'),
        ({"type": "sse", "url": "https://a/sse"}, '"web": {"type": "sse", "url": "https://a/sse"}'),
    ],
)  # fmt: skip
def test_a_server_is_told_as_the_entry_of_mcp_json(spec: dict[str, Any], entry: str) -> None:
    text = HEAD.replace("ServiceClass", "MCPServer") + yaml.safe_dump({"spec": spec})
    [finding] = findings_of(text)
    assert finding.fix == f"write it in mcp.json, under 'mcpServers': {entry}"
    loaded = load_mcp_json('{"mcpServers": {' + entry + "}}", {})
    assert not loaded.findings
    assert len(loaded.entries) == 1


def test_what_a_hook_answers_is_kept_nowhere() -> None:
    text = written(
        "    lifecycleHooks: {postStart: [{tool: x_k8s_t, outputs: {token: t}}]}\n    outputs: {u: '{{.token}}'}\n"
    )
    [finding] = findings_of(text)
    assert (finding.line, finding.rule) == (8, "muster-template")


def test_every_problem_of_a_manifest_is_told_at_once() -> None:
    text = written(
        "    scaling: {}\n    outputs: {u: '{{.a}}'}\n",
        start="{tool: launch, args: {a: '{{.b}}'}}",
        stop="{tool: x_k8s_stop, args: {id: '{{ .size'}}",
    )
    assert [(finding.line, finding.rule) for finding in findings_of(text)] == [
        (7, "unknown-key"),
        (8, "muster-template"),
        (10, "muster-tool"),
        (10, "muster-template"),
        (11, "muster-template"),
    ]


@pytest.mark.parametrize(
    "broken",
    [
        "spec: 5",
        "spec: {serviceConfig: 5}",
        "spec: {args: [1], serviceConfig: {lifecycleTools: {start: 5, stop: [1]}}}",
        "spec: {serviceConfig: {healthCheck: 5, timeout: 5, dependencies: 5, outputs: 5, defaultName: 5}}",
        "spec: {serviceConfig: {dependencies: [5, {args: 5, waitFor: [x]}], lifecycleHooks: 5}}",
        "spec: {serviceConfig: {lifecycleTools: {start: {tool: 5, args: 5, outputs: 5, expect: 5}}}}",
    ],
)
def test_shapes_that_make_no_sense_are_findings(broken: str) -> None:
    for finding in findings_of(HEAD + broken + "\n"):
        assert finding.line == 4


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything below `value`."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*path, key)
        yield from places(part, (*path, key))


DOCUMENTS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.yaml")}
PLACES = [(name, path) for name, document in DOCUMENTS.items() for path in places(document)]
ODD: list[Any] = [
    None, True, 5, 1.5, "", "x", "{{ .a }}", "{{", [], [1], [[]], {}, {"a": 1}, {"raw": "{"}, {"raw": "[1]"},
    [{"tool": 5}], "{{ if .name }}a{{ end }}", ">= 3", {"tool": "x_a_b"},
]  # fmt: skip


@given(st.sampled_from(PLACES), st.sampled_from(ODD))
def test_anything_anywhere_loads_and_is_written_or_has_a_place(place: tuple[str, tuple[Any, ...]], odd: Any) -> None:
    name, path = place
    document = copy.deepcopy(DOCUMENTS[name])
    target = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = odd
    try:
        [loaded] = load_manifests(json.dumps(document, indent=1), "x.json", known=KNOWN)
    except ManifestError as error:
        assert [finding for finding in error.findings if not finding.line] == []  # noqa: PT017 (some of them load)
    else:
        if loaded.origins is not None:
            [again] = load_manifests(manifest_text(loaded.document, loaded.origins))
            assert again.digest == loaded.digest


TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "1e3",
        "0o17",
        "012",
        "yes",
        "~",
        "# no",
        "a: b",
        "- a",
        " a",
        "a\nb",
        "a \n b\n",
        "{{ x }}",
        "2026-01-01",
        ".5",
        "",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_whatever_is_written_is_read_again(value: Any) -> None:
    [document], findings = read_documents(json.dumps({"value": value}), "x.json")
    assert not findings
    [again], findings = read_documents(manifest_text(document, {}, heading="from a test"), "x.yaml")
    assert not findings
    assert again.value == document.value


def test_keys_without_a_value_are_as_good_as_missing() -> None:
    text = HEAD + (
        "spec:\n  description:\n  args: {size: {type: integer, default: null, description: }}\n  serviceConfig:\n"
        "    dependencies:\n    lifecycleTools:\n      start: {tool: docker/run, args: , outputs: }\n"
        "      stop: {tool: docker/stop, args: {name: null}}\n      healthCheck:\n"
        "    healthCheck:\n    outputs: {a: }\n"
    )
    assert not findings_of(text)
    [loaded] = load_manifests(text, known=KNOWN)
    spec = service_class_to_json(loaded.service_class)["spec"]
    assert spec["args"] == {"size": {"type": "integer"}}
    assert spec["serviceConfig"]["lifecycleTools"]["stop"]["args"] == {"name": None}, "a tool may be given nothing"


@pytest.mark.parametrize(
    ("text", "warned", "kept"),
    [
        (minimal({"when": {"type": "duration"}}), "'duration' is not a type of an arg", ("args", "when", "type")),
        (minimal(outputs={"a": "1", "b": {"c": "2"}}), "'b' has outputs inside", ("serviceConfig", "outputs", "a")),
    ],
)
def test_what_has_no_counterpart_is_a_warning(text: str, warned: str, kept: tuple[str, ...]) -> None:
    [loaded] = load_manifests(text, known=KNOWN)
    assert [finding.severity for finding in loaded.warnings if warned in finding.message] == ["warning"]
    value: Any = service_class_to_json(loaded.service_class)["spec"]
    for key in kept:
        value = value[key]
    assert value in ("string", "1")
