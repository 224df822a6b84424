"""The error tree: each error has a code of its own, and something raises it."""

import ast
import inspect
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import pytest

from ostler.model import downstream_errors, errors, near_names

SOURCE = Path(errors.__file__).parents[1]
CLASSES = {
    name: item
    for name, item in {**vars(errors), **vars(downstream_errors)}.items()
    if inspect.isclass(item) and issubclass(item, errors.OstlerError) and item is not errors.OstlerError
}


def made() -> set[str]:
    """Return the names of the classes that some module makes an object of."""
    calls = (
        node.func
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    )
    return {function.id for function in calls if isinstance(function, ast.Name)}


def test_every_error_code_is_raised_by_something() -> None:
    used = made()
    never = {item.code for name, item in CLASSES.items() if name not in used}
    assert not never, "documented, but nothing raises them"


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [item.code for item in CLASSES.values()]
    assert len(set(codes)) == len(codes)


def test_a_short_name_is_compared_with_the_short_names_of_projects_too() -> None:
    known = ["api.shop", "web.shop", "api.fix.shop", "db"]
    for name, hint in (("apii", "'api.shop' or 'api.fix.shop'"), ("dbs", "'db'"), ("web.shp", "'web.shop'")):
        assert (
            str(errors.NotFoundError("service", name, known=known))
            == f"service {name!r} not found; did you mean {hint}?"
        )
    assert str(errors.NotFoundError("service", "mail", known=known)) == "service 'mail' not found"


def test_near_names_are_found_among_very_many_without_a_look_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def counting(name: str, known: Sequence[str], *, n: int) -> list[str]:
        compared.append(len(known))
        return get_close_matches(name, known, n=n)

    monkeypatch.setattr(near_names, "get_close_matches", counting)
    known = [f"service-{number}.shop{number % 7}" for number in range(5_000)]
    assert "'service-770.shop0'" in near_names.hint_at("servise-770.shop0", known)
    assert "'web.shop'" in near_names.hint_at("wen", [*known, "web.shop"])
    assert near_names.hint_at("entirely-different", known) == ""
    assert max(compared) <= near_names.MOST


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cache.shop", ""),  # that all of a project's names end alike means nothing
        ("wbe.shop", "; did you mean 'web.shop'?"),
        ("db.fix.shop", "; did you mean 'db.shop'?"),
        ("web.fxi.shop", "; did you mean 'web.fix.shop' or 'web.shop' or 'api.fix.shop'?"),
    ],
)
def test_names_of_a_project_are_compared_by_what_differs(name: str, hint: str) -> None:
    assert near_names.hint_at(name, ["api.shop", "db.shop", "web.shop", "api.fix.shop", "web.fix.shop"]) == hint
