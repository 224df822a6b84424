"""What loading shares for every kind of file: its one document, the check of its kind, and its model."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar, cast

from msgspec import Struct
from pydantic import BaseModel, ValidationError

from ostler.model.errors import Finding, ManifestError
from ostler.model.json import JsonMapping, JsonValue
from ostler.model.manifest import API_VERSION
from ostler.rules.text.findings import Violation, by_place, finding_of
from ostler.rules.text.model_violations import model_violations
from ostler.rules.text.schema_shape import SchemaShape
from ostler.rules.text.yaml_source import Document, read_documents

ModelT = TypeVar("ModelT", bound=BaseModel)


class SingleDocument(Struct, frozen=True):
    """A kind of file that holds one document.

    Attributes:
        kind: the document's kind.
        file_noun: what messages call the file, as in "a file of class tests is one document".
        noun: what messages call its content, as in "that of class tests".
        head: how such a file begins, for what to write instead.
    """

    kind: str
    file_noun: str
    noun: str
    head: str


def only_document(text: str, file: str, single: SingleDocument) -> Document:
    """Return the one document in `text`, a mapping that has no other apiVersion and kind than its own.

    Args:
        text: one YAML document or JSON object.
        file: the path that findings carry.
        single: the kind of file that it must be.

    Raises:
        ManifestError: it cannot be read, or is not such a document at all.
    """
    documents, findings = read_documents(text, file)
    if not findings and len(documents) != 1:
        message = f"{single.file_noun} is one document, this has {len(documents)}"
        findings = [Finding(message, file, 1, 1, "bad-value", fix=single.head)]
    if not findings:
        findings = [finding_of(each, documents[0]) for each in _identity_violations(documents[0].value, single)]
    if findings:
        raise ManifestError(findings, what=file)
    return documents[0]


def read_model(
    document: Document, model: type[ModelT], shape: Callable[[], SchemaShape], *, context: str = ""
) -> ModelT:
    """Return `document` as its model.

    Args:
        document: what was read.
        model: the model.
        shape: returns its schema; called only where something does not fit, for it takes 14 ms to make.
        context: what its validators get.

    Raises:
        ManifestError: with every key, type and value that does not fit, by place.
    """
    try:
        return model.model_validate(document.value, strict=True, context=context)
    except ValidationError as error:
        violations = model_violations(document.value, error.errors(include_url=False), shape())
        findings = by_place(finding_of(violation, document) for violation in violations)
        raise ManifestError(findings, what=document.file) from None


def _identity_violations(value: JsonValue, single: SingleDocument) -> Iterator[Violation]:
    if not isinstance(value, Mapping):
        yield Violation((), "bad-type", f"{single.file_noun} is a mapping", single.head)
        return
    keys = cast("JsonMapping", value)
    for key, wanted, rule in (("apiVersion", API_VERSION, "unknown-version"), ("kind", single.kind, "unknown-kind")):
        if key in keys and keys[key] != wanted:
            message = f"{key} {keys[key]!r} is not that of {single.noun}"
            yield Violation((key,), rule, message, f"write '{key}: {wanted}'")
