"""From the text of a `*.test.yaml` file to its tests, with every problem of the file reported at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from pydantic import ValidationError

from ostler.model.class_tests import TEST_KIND, ClassTestFile
from ostler.model.errors import Finding, ManifestError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.manifest import API_VERSION
from ostler.rules.loading.manifest_schema import DIALECT
from ostler.rules.text.model_findings import finding_at, model_findings
from ostler.rules.text.schema_shape import SchemaShape
from ostler.rules.text.yaml_source import Document, read_documents

_HEAD = f"'apiVersion: {API_VERSION}' and 'kind: {TEST_KIND}'"


@dataclass(frozen=True, slots=True)
class LoadedTests:
    """One file of tests as loaded.

    Attributes:
        value: what is in it.
        file: its path as the user knows it.
        document: the values with their places, for what is found when the tests run.
    """

    value: ClassTestFile
    file: str
    document: Document


def load_class_tests(text: str, file: str = "<text>") -> LoadedTests:
    """Return the tests in `text`, one YAML document or JSON object.

    Raises:
        ManifestError: with all findings, each with file, line, column, a rule id and, where known, a fix.
    """
    documents, findings = read_documents(text, file)
    if findings:
        raise ManifestError(findings, what=file)
    if len(documents) != 1:
        message = f"a file of class tests is one document, this has {len(documents)}"
        raise ManifestError([Finding(message, file, 1, 1, "bad-value", fix=f"begin with {_HEAD}")], what=file)
    [document] = documents
    content: JsonValue = document.value
    if not isinstance(content, Mapping):
        findings = [finding_at(document, (), "bad-type", "a file of class tests is a mapping", f"begin with {_HEAD}")]
        raise ManifestError(findings, what=file)
    findings = _identity_findings(document, cast("JsonMapping", content))
    if findings:
        raise ManifestError(findings, what=file)
    try:
        value = ClassTestFile.model_validate(document.value, strict=True)
    except ValidationError as error:
        findings = list(model_findings(document, error.errors(include_url=False), _shape()))
        findings.sort(key=lambda finding: (finding.line, finding.column))
        raise ManifestError(findings, what=file) from None
    findings = _check(document, value)
    if findings:
        raise ManifestError(findings, what=file)
    return LoadedTests(value, file, document)


def class_test_json_schema() -> JsonObject:
    """Return the JSON Schema (draft 2020-12) of a file of class tests, made from the models."""
    schema: JsonObject = ClassTestFile.model_json_schema(by_alias=True, mode="validation")
    answers: JsonObject = {"$ref": "#/$defs/ScriptedAnswer"}
    listed: JsonObject = {"type": "array", "items": answers, "minItems": 1}
    for part in (schema, schema["$defs"]["ClassTest"]):
        part["properties"]["answers"]["additionalProperties"] = {"anyOf": [answers, listed]}
    return {"$schema": DIALECT, **schema, "title": "Ostler ServiceClassTest"}


@lru_cache(maxsize=1)
def _shape() -> SchemaShape:
    return SchemaShape(class_test_json_schema(), "the file of class tests")


def _identity_findings(document: Document, value: JsonMapping) -> list[Finding]:
    """Return what keeps `document` from being a file of class tests at all."""
    findings: list[Finding] = []
    for key, wanted in (("apiVersion", API_VERSION), ("kind", TEST_KIND)):
        if key in value and value[key] != wanted:
            message = f"{key} {value[key]!r} is not that of class tests"
            findings.append(
                finding_at(document, (key,), f"unknown-{key[-4:].lower()}", message, f"write '{key}: {wanted}'")
            )
    return findings


def _check(document: Document, value: ClassTestFile) -> list[Finding]:
    findings: list[Finding] = []
    lines: dict[str, int] = {}
    for index, test in enumerate(value.tests):
        path = ("tests", index, "name")
        if test.name in lines:
            message = f"a test {test.name!r} stands here a second time (first in line {lines[test.name]})"
            findings.append(finding_at(document, path, "duplicate-name", message, "rename one of them"))
        lines.setdefault(test.name, document.locate(path)[0])
        if test.steps[0].do != "create":
            place = ("tests", index, "steps", 0, "do")
            message = f"there is no service yet that 'do: {test.steps[0].do}' could be about"
            findings.append(finding_at(document, place, "bad-value", message, "begin the steps with 'do: create'"))
    return findings
