"""Exact, pinned calls."""

import json
from typing import Any

import pytest
from tests.support.answers import DATA

from ostler.model.errors import TemplateError
from ostler.model.manifest import OutputSpec, ServiceClass, ToolCallSpec
from ostler.rules.calls.rendering import expectation_of, outputs_of, plan_call, stop_plan
from ostler.rules.reading import load_manifests


def call(**keys: Any) -> ToolCallSpec:
    return ToolCallSpec.model_validate({"tool": "process/start", **keys})


def test_args_and_expectations_are_rendered_and_outputs_are_not() -> None:
    spec = call(
        args={"port": "{{ port }}", "cmd": ["serve", "--port={{ port }}"]},
        expect={"jsonPath": {"port": "{{ port }}"}, "contains": "{{ port }}", "matches": ["^{{ port }}$"]},
        expectNot={"jmespath": "port == `{{ port + 1 }}`"},
        outputs={"url": "http://{{ response.value.host }}/", "pid": {"path": "pid", "type": "integer"}},
    )
    planned = plan_call("start", spec, {"port": 80}, timeout=7)
    assert planned.args == {"port": 80, "cmd": ["serve", "--port=80"]}
    assert planned.expect == {"jsonPath": {"port": 80}, "contains": "80", "matches": ["^80$"]}
    assert planned.expect_not == {"jmespath": "port == `81`"}
    assert planned.timeout == 7
    assert (planned.retry_attempts, planned.retry_delay) == (1, 1.0)
    expect, expect_not = expectation_of(planned)
    assert expect is not None
    assert expect.json_path == {"port": 80}
    assert expect_not is not None
    assert outputs_of(planned) == {
        "url": "http://{{ response.value.host }}/",
        "pid": OutputSpec(path="pid", type="integer"),
    }


def test_what_has_no_template_is_the_same_object_for_all_services() -> None:
    """Of 10,000 services that are running each pins such calls: half a KiB of each."""
    spec = call(args={"a": {"b": [1]}, "c": "{{ c }}"}, expect={"jsonPath": {"a": "b"}}, outputs={"a": {"path": "b"}})
    one, two = (plan_call("start", spec, {"c": c}, timeout=7) for c in (1, 2))
    assert (one.args, two.args) == ({"a": {"b": [1]}, "c": 1}, {"a": {"b": [1]}, "c": 2})
    assert one.args["a"] is two.args["a"]
    assert one.expect is two.expect
    assert one.outputs is two.outputs


def test_a_plan_survives_json() -> None:
    spec = call(expect={"success": False}, outputs={"a": "b"}, timeout="1m", retry={"attempts": 4, "delay": "2s"})
    planned = plan_call("start", spec, {}, timeout=7)
    assert json.loads(json.dumps(planned.expect)) == {"success": False}
    assert (planned.timeout, planned.retry_attempts, planned.retry_delay) == (60, 4, 2.0)
    assert expectation_of(planned)[1] is None


def test_missing_names_of_a_call_are_listed_with_step_and_tool() -> None:
    spec = call(args={"a": "{{ x }}", "b": "{{ y }}"}, expect={"contains": "{{ z }}"})
    with pytest.raises(TemplateError) as caught:
        plan_call("start", spec, {}, timeout=1)
    assert (caught.value.step, caught.value.tool) == ("start", "process/start")
    assert set(caught.value.missing) == {"x", "y", "z"}


@pytest.fixture(scope="module")
def site() -> ServiceClass:
    return load_manifests((DATA / "static-site.yaml").read_text(encoding="utf-8"))[0].service_class


def test_the_stop_plan_is_pre_stop_then_stop(site: ServiceClass) -> None:
    steps = stop_plan(site, {"start": {"id": "p1"}})
    assert [(step.step, step.tool, step.args) for step in steps] == [
        ("preStop[0]", "process/logs", {"id": "p1"}),
        ("stop", "process/stop", {"id": "p1"}),
    ]
    assert {step.timeout for step in steps} == {30.0}
    replaced = stop_plan(site, {"start": {"id": "p1"}, "restart": {"id": "p2"}})
    assert replaced[0].args == {"id": "p2"}


def test_everything_that_the_stop_plan_misses_is_told(site: ServiceClass) -> None:
    with pytest.raises(TemplateError, match=r"preStop\[0\]: .*stop: ") as caught:
        stop_plan(site, {"name": "web"})
    assert set(caught.value.missing) == {"start.id"}
