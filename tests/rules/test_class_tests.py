"""Files of class tests: every mistake has its place and, where known, what to write instead."""

import jsonschema
import pytest
import yaml

from ostler.model.class_tests import HealthName, ReachabilityName, StateName
from ostler.model.errors import ManifestError
from ostler.model.states import HealthStatus, Reachability, ServiceState
from ostler.rules.loading.class_tests import class_test_json_schema, load_class_tests

GOOD = """\
apiVersion: ostler/v1
kind: ServiceClassTest
serviceClass: web
args: {size: 1}
answers:
  w/status: {answer: {ok: true}}
  w/list: [{answer: [1]}, {fails: gone}]
tests:
- name: first
  services: [{name: db, outputs: {url: x}}]
  steps:
  - do: create
    calls:
    - {tool: w/start, args: {a: 1}, answer: {id: 1}}
    expect: {state: running, error: broke}
  - {do: wait, for: 1m30s}
- name: second
  steps: [{do: create}]
"""


def findings(text: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load_class_tests(text, "web.test.yaml")
    return [str(finding) for finding in caught.value.findings]


def test_a_good_file_loads_and_satisfies_the_schema() -> None:
    loaded = load_class_tests(GOOD, "web.test.yaml")
    assert [test.name for test in loaded.value.tests] == ["first", "second"]
    assert loaded.value.tests[0].steps[1].lasting == 90
    assert len(loaded.value.answers["w/list"]) == 2
    jsonschema.Draft202012Validator.check_schema(class_test_json_schema())
    jsonschema.validate(yaml.safe_load(GOOD), class_test_json_schema())


def test_the_names_of_states_are_those_of_the_enumerations() -> None:
    for names, values in ((StateName, ServiceState), (HealthName, HealthStatus), (ReachabilityName, Reachability)):
        assert set(names.__args__) == {value.value for value in values}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("do: create\n    calls", "do: crate\n    calls", "12:9: 'crate' is not possible here"),
        ("do: create\n    calls", "do: create\n    cals", "13:5: unknown key 'cals' in tests[0].steps[0]"),
        ("expect: {state", "expect: {status", "did you mean 'state'?"),
        ("state: running", "state: runing", "write 'running'"),
        ("tool: w/start", "tool: start", "'start' is not a tool name"),
        (
            "args: {a: 1}, answer",
            "args: {a: 1}, argsInclude: {a: 1}, answer",
            "'argsInclude' has no effect together with 'args'",
        ),
        ("answer: {id: 1}", "answer: {id: 1}, fails: no", "not both 'answer' and 'fails'"),
        ("answer: {id: 1}", "isError: true", "'isError' has no effect without 'content'"),
        ("answer: {id: 1}", "repeated: true, times: 2", "'times' has no effect together with 'repeated: true'"),
        ("answer: {id: 1}", "times: 0", "greater than or equal to 1"),
        ("{do: wait, for: 1m30s}", "{do: wait}", "16:5: 'do: wait' needs"),
        ("for: 1m30s", "for: soon", "'soon' is not a duration"),
        ("do: wait", "do: check", "'for' has no effect on 'do: check'"),
        ("{do: wait, for: 1m30s}", "{do: stop, force: true}", "'force' has no effect on 'do: stop'"),
        ("error: broke", "exists: false", "'state' has no effect together with 'exists: false'"),
        ("error: broke", "error: broke, message: good", "'message' has no effect together with 'error'"),
        ("expect: {state: running, error: broke}", "expect: {}", "'expect' needs at least one of its keys"),
        ("- name: second", "- name: first", "17:9: a test 'first' appears a second time (first in line 9)"),
        ("steps: [{do: create}]", "steps: [{do: stop}]", "begin the steps with 'do: create'"),
        ("steps: [{do: create}]", "steps: []", "18:10: "),
        ("kind: ServiceClassTest", "kind: ServiceClass", "2:7: kind 'ServiceClass' is not that of class tests"),
        ("ostler/v1", "v1", "1:13: apiVersion 'v1' is not that of class tests"),
        ("w/status: {answer", "status: {answer", "'status' is not a tool name"),
        ("{name: db", "{name: DB", "'DB' is not a valid name"),
        ("serviceClass: web", "serviceclass: web", "did you mean 'serviceClass'?"),
    ],
)
def test_mistakes_are_told_with_their_place(old: str, new: str, said: str) -> None:
    assert old in GOOD
    found = findings(GOOD.replace(old, new, 1))
    assert any(said in each for each in found), found
    assert all(each.startswith("web.test.yaml:") for each in found)


@pytest.mark.parametrize("text", ["", "- 1\n", GOOD + "---\n" + GOOD, "a: [\n"])
def test_what_is_not_a_file_of_tests_is_refused(text: str) -> None:
    assert findings(text)
