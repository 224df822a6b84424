"""Static services from text: values when it is right, findings with places and fixes when it is not."""

from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from ostler.model.errors import ManifestError
from ostler.model.statics import STATIC_KINDS, STATIC_MODELS, KubeConnection, PortForward
from ostler.rules.loading.static_services import holds_static_services, load_static_services, static_json_schema
from ostler.rules.reading import load_manifests
from ostler.rules.text.yaml_source import load_documents

GOOD = """\
# two of them in one file
apiVersion: ostler/v1
kind: KubeConnection
metadata: {name: prod, labels: {team: web}}
---
apiVersion: ostler/v1
kind: PortForward
metadata:
  name: shop-db
spec:
  description: The shop's database
  context: prod
  namespace: shop
  target: sts/postgres
  port: 5432
  localPort: 15432
  healthCheck:
    interval: 1m
    failureThreshold: 2
"""


def findings(text: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load_static_services(text, "f.yaml")
    return [str(finding) for finding in caught.value.findings]


def forward(spec: str) -> str:
    return f"apiVersion: ostler/v1\nkind: PortForward\nmetadata: {{name: t}}\nspec:\n  {spec}\n"


def test_several_services_in_one_file() -> None:
    connection, tunnel = load_static_services(GOOD, "f.yaml")
    assert isinstance(connection.service, KubeConnection)
    assert (connection.service.spec.interval, connection.service.spec.auto_start, connection.line) == (30.0, True, 2)
    assert isinstance(tunnel.service, PortForward)
    spec = tunnel.service.spec
    assert (spec.target, spec.port, spec.local_port, spec.address) == ("statefulset/postgres", 5432, 15432, "127.0.0.1")
    assert (spec.health_check.interval, spec.health_check.failure_threshold) == (60.0, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("",
         "f.yaml:1:1: there is no service in it [missing-key]; begin with 'apiVersion: ostler/v1' and 'kind: Port"),
        ("[]", "f.yaml:1:1: a service is a mapping [bad-type]"),
        ("metadata: {name: t}",
         "f.yaml:1:1: the service needs 'kind' [missing-key]; write one of PortForward, KubeConnection"),
        ("kind: PortForwad",
         "f.yaml:1:7: kind 'PortForwad' is not known here [unknown-kind]; did you mean 'PortForward'?"),
        ("kind: ServiceClass", "[unknown-kind]; classes belong in serviceclasses/"),
        ("kind: MCPServer", "[unknown-kind]; downstream servers belong in mcp.json"),
        ("{apiVersion: v2, kind: PortForward}",
         "apiVersion 'v2' is not known [unknown-version]; write 'apiVersion: ostler/v1'"),
        (forward("{target: pod/a, port: 1, prot: 2}"),
         "f.yaml:5:28: unknown key 'prot' in spec [unknown-key]; did you mean 'port'?"),
        (forward("{target: pod/a, port: 1, interval: 2s}"),
         "unknown key 'interval' in spec [unknown-key]; 'interval' belongs under 'spec.healthCheck'"),
        (forward("{target: pod/a}"), "spec needs 'port' [missing-key]; add 'port'"),
        (forward("{port: 1}"), "a port forward takes exactly one of 'target' and 'selector'"),
        (forward("{target: pod/a, selector: {a: b}, port: 1}"),
         "a port forward takes exactly one of 'target' and 'selector'"),
        (forward("{target: web, port: 1}"),
         "f.yaml:5:12: 'web' is not a target; write it as 'KIND/NAME', such as 'service/web'"),
        (forward("{target: servce/web, port: 1}"), "'servce' is not a kind of target; did you mean 'service/web'?"),
        (forward("{target: node/web, port: 1}"), "'node' is not a kind of target; "),
        (forward("{target: pod/Web, port: 1}"), "'Web' is not a valid name of a pod"),
        (forward("{target: pod/a, port: 0}"), "0 is not a port; ports are 1 to 65535"),
        (forward("{target: pod/a, port: '80'}"), "'80' is neither a port's number nor a valid name of one"),
        (forward("{target: pod/a, port: [1]}"), "f.yaml:5:25: [1] is neither a port's number nor a valid name of one"),
        (forward("{target: pod/a, port: 1, localPort: 70000}"),
         "f.yaml:5:39: 70000: Input should be less than or equal to 65535"),
        (forward("{target: pod/a, port: 1, address: here}"), "'here' is not an IP address, nor 'localhost'"),
        (forward("{target: pod/a, port: 1, namespace: A}"), "'A' is not a valid name of a namespace"),
        (forward("{selector: {}, port: 1}"), "at least 1 item"),
        (forward("{target: pod/a, port: 1, timeout: soon}"), "'soon' is not a duration"),
        (forward("{target: pod/a, port: 1, autoStart: yes}"), "write true"),
        (forward("{target: pod/a, port: 1, healthCheck: {enabled: false, timeout: 2s}}"),
         "'timeout' has no effect with 'enabled: false' [no-effect]"),
        ("{apiVersion: ostler/v1, kind: KubeConnection, metadata: {name: T}}", "'T' is not a valid name"),
        ("{apiVersion: ostler/v1, kind: KubeConnection, metadata: {name: t}, spec: {context: ''}}",
         "at least 1 character"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, expected: str) -> None:
    found = findings(text)
    assert any(expected in line for line in found), found


def test_all_problems_are_reported_at_once() -> None:
    found = findings(forward("{target: a, port: 0}") + "---\n" + forward("{target: pod/a, port: 1, x: 1}"))
    assert [line.split(": ")[0] for line in found] == ["f.yaml:5:12", "f.yaml:5:21", "f.yaml:11:28"]


def test_a_name_may_stand_once() -> None:
    text = forward("{target: pod/a, port: 1}")
    assert findings(text + "---\n" + text) == [
        "f.yaml:9:18: service 't' appears a second time (first in line 1) [duplicate-name]; rename one of them"
    ]


def test_a_port_forward_among_the_classes_is_sent_to_its_folder() -> None:
    with pytest.raises(ManifestError, match="a PortForward belongs in services/"):
        load_manifests(forward("{target: pod/a, port: 1}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [(GOOD, True), ("kind: PortForwad", True), ("kind: ServiceClass", False), ("a: b", False), ("{", False)],
)
def test_whether_a_text_is_meant_for_the_folder(text: str, expected: bool) -> None:
    assert holds_static_services(text) is expected


@pytest.mark.parametrize("kind", STATIC_KINDS)
def test_the_schema_is_that_of_the_models(kind: str) -> None:
    schema = static_json_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    documents = {document.value["kind"]: document.value for document in load_documents(GOOD)}  # pyright: ignore[reportIndexIssue, reportCallIssue, reportArgumentType, reportOptionalSubscript]
    jsonschema.validate(documents[kind], schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**documents[kind], "extra": 1}, schema)  # pyright: ignore[reportGeneralTypeIssues]
    assert set(schema["properties"]) == {field.alias for field in _fields(STATIC_MODELS[kind])}


def _fields(model: type[BaseModel]) -> list[Any]:
    return list(model.model_fields.values())
