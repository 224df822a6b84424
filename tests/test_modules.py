"""The tree of modules: no circles, no near-twins, none too large, and every folder says what belongs in it."""

import ast
import re
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}


def imported(path: Path) -> set[str]:
    """Return the modules of the project that `path` imports at its top level or for the type checker."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys() or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & MODULES.keys()


def test_no_module_is_in_a_circle() -> None:
    # The package's own names are imported late, when they are asked for.
    graph = {name: imported(path) - {name} for name, path in MODULES.items() if name != "ostler"}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"modules in a circle: {' -> '.join(error.args[1])}") from None


def stem_of(name: str) -> str:
    """Return the words of a module's name without their endings: `watcher`, `watching` and `watched` are near-twins."""
    return "_".join(
        re.sub(r"(?<=..)(?:ations?|ations|ions?|ings?|ers?|ors?|ures?|als?|eds?|es|e|s)$", "", word)
        for word in name.split("_")
    )


def test_near_twins_are_found() -> None:
    assert stem_of("watcher") == stem_of("watching") == stem_of("watches")
    assert stem_of("refusals") == stem_of("refused")
    assert stem_of("plans") != stem_of("planes_of")


@pytest.mark.parametrize("layer", ["model", "rules", "engine", "adapters", "faces"])
def test_no_two_modules_of_a_layer_have_names_that_are_nearly_the_same(layer: str) -> None:
    twins: dict[str, list[str]] = defaultdict(list)
    for path in (SOURCE / "ostler" / layer).rglob("*.py"):
        if not path.stem.startswith("__"):
            twins[stem_of(path.stem)].append(str(path.relative_to(SOURCE)))
    assert [sorted(paths) for paths in twins.values() if len(paths) > 1] == []


def test_no_module_is_larger_than_450_lines() -> None:
    assert [name for name, path in MODULES.items() if len(path.read_text().splitlines()) > 450] == []


def test_every_folder_says_what_belongs_in_it() -> None:
    unsaid = [
        path.parent.name
        for path in SOURCE.rglob("__init__.py")
        if not (ast.get_docstring(ast.parse(path.read_text())) or "").strip()
    ]
    assert unsaid == []


def test_no_two_files_of_tests_have_the_same_name() -> None:
    # pytest imports a file of tests by its name alone: in a run of all tests the second of two is an error.
    files: dict[str, list[str]] = defaultdict(list)
    for path in Path(__file__).parent.rglob("test_*.py"):
        files[path.name].append(str(path.relative_to(Path(__file__).parent)))
    assert [sorted(paths) for paths in files.values() if len(paths) > 1] == []
