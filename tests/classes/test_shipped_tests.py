"""Every shipped class has tests next to it, and they pass."""

from pathlib import Path

import pytest
from tests.support.shipped import FOLDER

from ostler.adapters.config.class_files import ClassFiles
from ostler.adapters.config.paths import class_files_in, class_test_files_in
from ostler.adapters.testing.discovery import run_test_file
from ostler.engine.classes.catalogue import ClassCatalogue
from ostler.faces.configuration import class_entry
from ostler.faces.mcp.class_shapes import listed_class
from ostler.faces.mcp.class_tools import MAX_DESCRIPTION
from ostler.rules.loading.class_tests import load_class_tests

TESTS = class_test_files_in(FOLDER)
PACKS = sorted(path for path in (FOLDER.parent / "packs").iterdir() if path.is_dir())


@pytest.mark.parametrize("pack", PACKS, ids=lambda path: path.name)
def test_the_classes_of_a_pack_have_the_life_that_they_were_tried_with_as_tests(pack: Path) -> None:
    tests = class_test_files_in(pack)
    assert {path.name.removesuffix(".test.yaml") for path in tests} == {path.stem for path in class_files_in(pack)}
    for path in tests:
        tested = run_test_file(path)
        assert tested.findings == ()
        assert tested.results
        assert not [str(failure) for result in tested.results for failure in result.failures]


def test_every_shipped_class_has_tests() -> None:
    assert {path.name.removesuffix(".test.yaml") for path in TESTS} == {path.stem for path in class_files_in(FOLDER)}


def test_lists_show_what_each_shipped_class_does_in_a_whole_sentence() -> None:
    catalogue = ClassCatalogue()
    catalogue.replace(map(class_entry, ClassFiles(FOLDER, FOLDER / "absent").reload().entries.values()))
    shown = [str(listed_class(entry, catalogue, MAX_DESCRIPTION)["description"]) for entry in catalogue.get_all()]
    assert [text for text in shown if text.endswith("…")] == []


def test_files_of_tests_are_no_classes() -> None:
    snapshot = ClassFiles(FOLDER, FOLDER / "absent").reload()
    assert not snapshot.findings
    assert sorted(snapshot.entries) == sorted(path.stem for path in class_files_in(FOLDER))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_tests_of_a_shipped_class_pass(path: Path) -> None:
    tested = run_test_file(path)
    assert tested.findings == ()
    assert tested.results
    failures = [str(failure) for result in tested.results for failure in result.failures]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_its_tests_show_it_starting_and_stopping(path: Path) -> None:
    steps = [step for test in load_class_tests(path.read_text(encoding="utf-8")).value.tests for step in test.steps]
    assert {"create"} < {step.do for step in steps}
    assert any(step.do in ("stop", "delete") and step.calls for step in steps)
    assert any(step.expect is not None and (step.expect.outputs or step.expect.outputs_include) for step in steps)
