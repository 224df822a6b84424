"""Loads the tests in a `*.test.yaml` file, and reports every problem of the file at once."""

from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from ostler.model.class_tests import TEST_KIND, ClassTestFile
from ostler.model.errors import ManifestError
from ostler.model.json import JsonObject
from ostler.model.manifest import API_VERSION
from ostler.rules.loading.documents import SingleDocument, only_document, read_model
from ostler.rules.loading.manifest_schema import DIALECT
from ostler.rules.text.findings import Findings, Violation
from ostler.rules.text.schema_shape import SchemaShape
from ostler.rules.text.yaml_source import Document

_SINGLE = SingleDocument(
    TEST_KIND, "a file of class tests", "class tests", f"begin with 'apiVersion: {API_VERSION}' and 'kind: {TEST_KIND}'"
)


class LoadedTests(Struct, frozen=True):
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
    document = only_document(text, file, _SINGLE)
    value = read_model(document, ClassTestFile, _shape)
    findings = Findings(document)
    findings.add(_violations(value, document))
    if findings.errors:
        raise ManifestError(findings.errors, what=file)
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


def _violations(value: ClassTestFile, document: Document) -> Iterator[Violation]:
    lines: dict[str, int] = {}
    for index, test in enumerate(value.tests):
        path = ("tests", index, "name")
        if test.name in lines:
            message = f"a test {test.name!r} appears a second time (first in line {lines[test.name]})"
            yield Violation(path, "duplicate-name", message, "rename one of them")
        lines.setdefault(test.name, document.locate(path)[0])
        if test.steps[0].do != "create":
            place = ("tests", index, "steps", 0, "do")
            message = f"there is no service yet that 'do: {test.steps[0].do}' could be about"
            yield Violation(place, "bad-value", message, "begin the steps with 'do: create'")
