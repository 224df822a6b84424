"""A project checked against the classes that its services are made from."""

from pathlib import Path

import pytest

from ostler.adapters.config.class_files import ClassFiles
from ostler.adapters.config.paths import shipped_classes_dir
from ostler.model.manifest import ServiceClass
from ostler.rules.checking.tool_lists import KnownTools
from ostler.rules.loading.project_check import check_project
from ostler.rules.loading.projects import load_project

HEAD = "services:\n  db: {class: postgresql}\n  once: {class: job, args: {command: make}}\n  web:\n"
WRONG = {
    "unknown-class": "    class: comand\n    args: {command: serve}\n",
    "missing-arg": "    class: command\n",
    "unknown-arg": "    class: command\n    args: {comand: serve, command: serve}\n",
    "arg-value": "    class: command\n    args: {command: serve, stopSignal: SIGSTOP}\n",
    "unknown-name": "    class: command\n    args: {command: 'serve {{ services.db.outputs.urll }}'}\n",
    "never-true": "    class: command\n    args: {command: serve}\n    dependsOn: {db: completed}\n",
}


@pytest.fixture(scope="module")
def classes() -> dict[str, ServiceClass]:
    entries = ClassFiles(shipped_classes_dir(), Path("none")).reload().entries
    return {name: entry.loaded.service_class for name, entry in entries.items()}


@pytest.mark.parametrize("rule", WRONG)
def test_what_does_not_fit_its_class_is_found_at_its_line(rule: str, classes: dict[str, ServiceClass]) -> None:
    found = check_project(load_project(HEAD + WRONG[rule], "ostler.yaml"), KnownTools(), classes)
    assert [item.rule for item in found] == [rule], found
    assert found[0].line >= HEAD.count("\n")
    assert found[0].fix


def test_outputs_of_another_service_are_known(classes: dict[str, ServiceClass]) -> None:
    good = (
        "    class: command\n"
        "    args: {command: serve, port: '{{ services.db.outputs.port }}'}\n"
        "    dependsOn: {once: completed, db: healthy}\n"
    )
    assert check_project(load_project(HEAD + good, "ostler.yaml"), KnownTools(), classes) == []


def test_what_an_alias_repeats_is_found_once(classes: dict[str, ServiceClass]) -> None:
    text = (
        "services:\n  a: {class: job, args: &x {command: '{{ services.c.outputs.no }}'}}\n  b: {class: job, args: *x}\n"
    )
    text += "  c: {class: job, args: {command: x}}\n"
    [found] = check_project(load_project(text, "ostler.yaml"), KnownTools(), classes)
    assert (found.line, found.path) == (2, "services.a.args.command")


PROJECTS = sorted((Path(__file__).parents[1] / "projects").glob("*/ostler.yaml"))


@pytest.mark.parametrize("file", PROJECTS, ids=lambda file: file.parent.name)
def test_the_stacks_that_are_tried_outside_ci_fit_the_shipped_classes(
    file: Path, classes: dict[str, ServiceClass]
) -> None:
    assert check_project(load_project(file.read_text(), str(file)), KnownTools(), classes) == []


def test_there_are_stacks() -> None:
    assert len(PROJECTS) >= 5
