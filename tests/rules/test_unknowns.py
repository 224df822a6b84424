"""Rendering with unknowns: as much as is known is exact, and what is not is shown as such."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostler.model.errors import TemplateError
from ostler.rules.templates.template import render
from ostler.rules.templates.unknowns import AFTER_START, render_partly

NAMES: dict[str, Any] = {
    "name": "web",
    "port": 80,
    "on": True,
    "outputs": {"plain": 1},
    "dependencies": {"db": {"name": "db"}},
}
UNKNOWN = {
    ("start",): AFTER_START,
    ("outputs", "url"): f"http://{AFTER_START}/",
    ("dependencies", "db", "outputs"): "<known after start of db>",
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ start.pid }}", AFTER_START),
        ("{{ start['pid'] }}", AFTER_START),
        ("{{ start }}", AFTER_START),
        ("\n{{ start.pid }}\n", AFTER_START),
        ("pid {{ start.pid }} of {{ name }}", f"pid {AFTER_START} of web"),
        ("{{ 'http://' ~ start.host ~ ':' ~ port }}", f"http://{AFTER_START}:80"),
        ("{{ start.port + 1 }}", AFTER_START),
        ("{{ start.pid | string }}", AFTER_START),
        ("{{ start.pid | default(3) }}", AFTER_START),
        ("{{ start.host | upper }}", AFTER_START),
        ("{{ outputs.url }}", f"http://{AFTER_START}/"),
        ("{{ outputs.url ~ 'x' }}", f"http://{AFTER_START}/x"),
        ("{{ outputs.url | length }}", AFTER_START),
        ("{{ outputs }}", AFTER_START),
        ("{{ dependencies.db.outputs.url }}", "<known after start of db>"),
        ("{{ dependencies.db.outputs.port * 2 }}", "<known after start of db>"),
        ("{{ ['-p', start.port] }}", ["-p", AFTER_START]),
        ("{{ {'a': start.port, 'b': port} }}", {"a": AFTER_START, "b": 80}),
        ("{{ start.a if on else 'b' }}", AFTER_START),
        ("{{ 'x' if start.a else 'b' }}", AFTER_START),
        ("{% if on %}{{ start.a }}!{% endif %}", f"{AFTER_START}!"),
        ("{% if start.a %}x{% endif %}!", AFTER_START),
        ("{% for x in start.list %}{{ x }}{% endfor %}", AFTER_START),
        ("{% set x = start.a %}{{ x }}", AFTER_START),
    ],
)
def test_what_is_not_known_is_shown_as_such(template: str, value: Any) -> None:
    partly = render_partly({"arg": [template]}, NAMES, UNKNOWN)
    assert partly.value == {"arg": [value]}
    assert not partly.known


@pytest.mark.parametrize(
    "template",
    [
        "{{ port }}",
        "{{ outputs.plain + 1 }}",
        "{{ dependencies.db.name }}",
        "{{ 'a' if on else start.b }}",
        "{% if not on %}{{ start.a }}{% endif %}x",
        "{{ nothing | default(5) }}",
        "no template",
        5,
        None,
    ],
)
def test_what_is_known_is_exact(template: Any) -> None:
    partly = render_partly(template, NAMES, UNKNOWN)
    assert partly.value == render(template, {**NAMES, "start": {}})


def test_names_that_will_never_be_there_are_told_all_at_once() -> None:
    with pytest.raises(TemplateError) as caught:
        render_partly(["{{ nope }}", "{{ start.x ~ other }}"], NAMES, UNKNOWN)
    assert set(caught.value.missing) == {"nope", "other"}
    with pytest.raises(TemplateError, match="does not parse"):
        render_partly("{{ start.", NAMES, UNKNOWN)


TEXTS = st.lists(
    st.sampled_from(["{{ port }}", "{{ name }}", " and ", "{{ start.a }}", "{{ port + 1 }}", "{{ start.a ~ name }}"]),
    min_size=1,
    max_size=5,
).map("".join)


@given(TEXTS, st.text("xyz", min_size=1, max_size=3))
def test_a_known_part_is_what_it_will_be(template: str, value: str) -> None:
    """Putting the value instead of what stands for it gives what the engine will render."""
    partly = render_partly(template, NAMES, UNKNOWN)
    real = render(template, {**NAMES, "start": {"a": value}})
    assert partly.known is ("start" not in template)
    expected = partly.value.replace(AFTER_START, value) if isinstance(partly.value, str) else partly.value
    assert expected == real
