"""Manifests that Hypothesis changed, and those that once were too much; `python -m benchmarks fuzz` tries many more."""

import pytest
from hypothesis import Phase, given, settings
from tests.support.fuzz import (
    CLASS_SEEDS,
    MUSTER_SEEDS,
    PROJECT_SEEDS,
    UNCHECKED,
    check_class_text,
    check_project_text,
    texts,
)

from ostler.model.errors import ManifestError
from ostler.rules.loading.projects import load_project

few = settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    suppress_health_check=UNCHECKED,
    phases=(Phase.explicit, Phase.generate),
)


@few
@given(texts(CLASS_SEEDS))
def test_any_class_gives_classes_or_findings(text: str) -> None:
    check_class_text(text)


@few
@given(texts(MUSTER_SEEDS))
def test_any_manifest_of_muster_gives_classes_or_findings(text: str) -> None:
    check_class_text(text)


@few
@given(texts(PROJECT_SEEDS))
def test_any_project_file_gives_a_project_or_findings(text: str) -> None:
    check_project_text(text)


FOUND = {
    "objects in a list of needs": "name: a\nservices:\n  a: {class: x, dependsOn: [{b: completed}]}\n  b: {class: x}\n",
    "a character that YAML has not": "name: a\nservices:\n  a: {class: \x00}\n",
}
"""Project files that once ended in a traceback, or in a finding without its place."""


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_is_reported_with_its_line(name: str) -> None:
    check_project_text(FOUND[name])
    with pytest.raises(ManifestError) as refused:
        load_project(FOUND[name])
    assert refused.value.findings[0].line == 3
