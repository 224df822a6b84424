"""Templates: typed, strict, sandboxed, bounded."""

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostler.model.errors import TemplateError
from ostler.rules.templates.template import (
    certain_failure,
    is_template,
    optional_names,
    referenced_names,
    render,
    template_syntax_errors,
)
from ostler.rules.templates.unknowns import render_partly

NAMES: dict[str, Any] = {
    "port": 8080,
    "host": "localhost",
    "flag": True,
    "nothing": None,
    "tags": ["a", "b"],
    "env": {"HOME": "/root"},
    "args": {"items": [1, 2], "keys": "k", "port": 8080},
    "start": {"pid": 4711, "info": {"urls": ["http://a"]}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ port }}", 8080),
        ("{{ port }}\n", 8080),
        ("{{ port + 1 }}", 8081),
        ("{{ tags }}", ["a", "b"]),
        ("{{ start.info }}", {"urls": ["http://a"]}),
        ("{{ start['info'].urls[0] }}", "http://a"),
        ("{{ nothing }}", None),
        ("{{ '8080' }}", "8080"),
        ("{{ port > 80 and flag }}", True),
        ("{{ tags | map('upper') }}", ["A", "B"]),
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ (1, 2) }}", [1, 2]),
        ("{{ {'a': port} }}", {"a": 8080}),
        ("{{ port in [80, 8080] and host in ('localhost',) }}", True),
        ("{% for k, v in env | items %}{{ k }}={{ v }}{% endfor %}", "HOME=/root"),
        ("{% set a, b = tags %}{{ b }}", "b"),
        (" {{ port }}", " 8080"),
        ("http://{{ host }}:{{ port }}/", "http://localhost:8080/"),
        ("{{ port }}{{ port }}", "80808080"),
        ("--debug={{ flag }}", "--debug=true"),
        ("<{{ nothing }}>", "<>"),
        ("x={{ tags }}", 'x=["a", "b"]'),
        ("{{ tags | join(',') }}", "a,b"),
        ("{{ host ~ ':' ~ port ~ flag }}", "localhost:8080true"),
        ("{% for tag in tags %}{{ tag }};{% endfor %}", "a;b;"),
        ("{% if flag %}yes{% else %}no{% endif %}", "yes"),
        ("{% set p = port * 2 %}{{ p }}", "16160"),
        ("{% raw %}{{ port }}{% endraw %}", "{{ port }}"),
        ("line\n", "line\n"),
        ("a {{ port }}\n", "a 8080\n"),
        ("{{ {'<': 1} | tojson }}", '{"<": 1}'),
        ("{{ absent | default('x') }}", "x"),
        ("{{ absent.a.b | default(port) }}", 8080),
        ("{{ absent is defined }}", False),
        ("{{ host if flag else absent }}", "localhost"),
        ("{{ 'p{:05d}'.format(port) }}", "p08080"),
        ("{{ '%s:%d' % (host, port) }}", "localhost:8080"),
        ("{{ 2.5 | round }}", 2),
        ("{{ 2.25 | round(1, 'ceil') }}", 2.3),
    ],
)
def test_a_lone_expression_keeps_its_type_and_text_around_makes_text(template: str, value: object) -> None:
    rendered = render(template, NAMES)
    assert rendered == value
    assert type(rendered) is type(value) or template.startswith("{{ 2.5")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"id": ["{{ fail('not known') }}"]}, "not known"),
        ("\n{{ fail(5) }}\n", "5"),
        ("{{ fail(reason) }}", ""),
        ("{% if port %}{{ fail('both') }}{% endif %}", ""),
        ("a {{ fail('here') }}", ""),
        ("{{ fail('not known' }}", ""),
        ({"fail('x')": "{{ port }}", "text": "fail('x')"}, ""),
    ],
)
def test_what_is_sure_to_fail_says_why(value: Any, why: str) -> None:
    assert certain_failure(value) == why


def test_an_arg_named_like_a_method_is_the_arg() -> None:
    assert render(["{{ args.items }}", "{{ args.keys }}"], NAMES) == [[1, 2], "k"]


def test_lists_and_values_are_rendered_and_keys_are_not() -> None:
    value = {"{{ host }}": ["{{ port }}", {"deep": "{{ host }}"}], "n": 3, "none": None}
    assert render(value, NAMES) == {"{{ host }}": [8080, {"deep": "localhost"}], "n": 3, "none": None}


def test_omit_leaves_out_the_entry_that_it_is() -> None:
    value = {
        "a": "{{ x | default(omit) }}",
        "b": "{{ y | default(omit) }}",
        "c": ["{{ x | default(omit) }}", 1],
        "d": {"e": "{{ omit if y else 1 }}"},
    }
    assert render(value, {"y": 2}) == {"b": 2, "c": [1], "d": {}}
    assert render_partly(value, {"y": 2}, {}).value == {"b": 2, "c": [1], "d": {}}


@pytest.mark.parametrize(
    ("template", "said"),
    [("{{ omit }}", "no entry"), ("a {{ omit }}", "whole of an entry"), ("{{ [omit] }}", "whole of an entry")],
)
def test_omit_is_no_value(template: str, said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        render(template, {})


def test_a_value_is_never_expanded_again() -> None:
    assert render(["{{ x }}", "<{{ x }}>"], {"x": "{{ secret }}", "secret": 1}) == ["{{ secret }}", "<{{ secret }}>"]


def test_rendering_changes_no_name_and_shares_nothing_with_them() -> None:
    names = copy.deepcopy(NAMES)
    rendered = render("{{ tags }}", names)
    rendered.append("c")
    assert names == NAMES


def test_all_missing_names_are_reported_at_once_with_what_is_there() -> None:
    value = {"a": "{{ prot }} {{ start.pod }}", "b": ["{{ nope.x.y }}"], "c": "{{ port }}"}
    with pytest.raises(TemplateError) as caught:
        render(value, NAMES)
    assert set(caught.value.missing) == {"prot", "start.pod", "nope.x.y"}
    for phrase in ("'prot'", "undefined", "available:", "start.pid", "port"):
        assert phrase in str(caught.value)


@pytest.mark.parametrize("template", ["{{ [absent] }}", "{{ {'a': absent} }}", "{{ absent }}", "{{ absent ~ 'x' }}"])
def test_a_missing_name_never_gets_into_a_value(template: str) -> None:
    with pytest.raises(TemplateError, match="'absent' is undefined"):
        render(template, NAMES)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ host.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ args.update({'a': 1}) }}",
        "{{ tags.append('c') }}",
        "{{ '{0.__class__}'.format(host) }}",
        "{{ args | attr('__class__') }}",
        "{{ absent.__class__ }}",
        "{{ lipsum() }}",
        "{{ cycler('a') }}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set ns.x = 1 %}",
        "{{ host.upper }}",
        "{{ port / 0 }}",
        "{{ 'x' | int('y') + none }}",
        "{{",
        "{% if %}",
    ],
)
def test_what_a_template_may_not_do_is_an_error_of_the_template(template: str) -> None:
    with pytest.raises(TemplateError):
        render(template, copy.deepcopy(NAMES))


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 10**9 * 'a' }}",
        "{{ [1] * 10**9 }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ range(10**9) }}",
        "{{ range(10**9) | list }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (10**9, 1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '{:{w}}'.format(1, w=10**9) }}",
        "{{ 'a'.ljust(10**9) }}",
        "{{ 'a'.center(10**9) }}",
        "{{ '\\t'.expandtabs(10**9) }}",
        "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
        "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
        "{{ ('a' * 100000).join('b' * 100000) }}",
        "{{ ('b' * 100000) | list | join('a' * 100000) }}",
        "{{ 1.5 | round(10**9, 'ceil') }}",
        "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
        "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a + a %}" * 40 + "{{ a }}",
        "{% set a = [1] %}" + "{% set a = a + a %}" * 40 + "{{ a }}",
        "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
        "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ '%s' % a }}",
        "{% set a = [1] %}{% set b = [1] %}" + "{% set a = [a, a] %}{% set b = [b, b] %}" * 30 + "{{ a == b }}",
        "{% set a = 1 %}" + "{% set a = {'x': a, 'y': a} %}" * 40 + "{{ a == 1 }}",
        "{% set a = 1 %}" + "{% set a = (a, a) %}" * 40 + "{{ a == 1 }}",
        "{{ {}.fromkeys(range(9999), 1) }}",
        "{% for a in range(9000) %}{% for b in range(9000) %}{{ 'x' * 1000 }}{% endfor %}{% endfor %}",
        "{% for a in 'x' * 100000 %}{% endfor %}",
        "{% for a in [1] %}{% for b in [1] %}{% for c in [1] %}{% endfor %}{% endfor %}{% endfor %}",
        "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
        "{{ 1" + " + 1" * 20000 + " }}",
        "x" * 100_000 + "{{ port }}",
    ],
)
def test_nothing_huge_can_be_made(template: str) -> None:
    with pytest.raises(TemplateError):
        render(template, NAMES)


def test_referenced_names_are_dotted_and_leave_out_what_the_template_makes() -> None:
    value = [
        "{{ start.pid }} {{ host.upper() }} {{ args['a'][port].c }}",
        "{% for tag in l.tags %}{{ tag.x }}{{ loop.index }}{% endfor %}{% set k = 1 %}{{ k }}{{ range(3) }}",
    ]
    assert referenced_names(value) == {("start", "pid"), ("host",), ("args", "a"), ("port",), ("l", "tags")}


def test_names_with_a_default_or_tested_are_optional() -> None:
    value = ["{{ a | default(b) }}", "{% if c is defined %}{{ c.x }}{% endif %}", "{{ d }} {{ d | default(1) }}"]
    assert referenced_names(value) == {("b",), ("d",)}
    assert optional_names(value) == {("a",), ("c",), ("c", "x")}


def test_syntax_errors_have_their_path_and_line() -> None:
    (error,) = template_syntax_errors({"a": ["fine {{ port }}", "one\n{{ two"]})
    assert error[0] == ("a", 1)
    assert error[2] == 2


@pytest.mark.parametrize(("text", "expected"), [("a", False), ("{ a }", False), ("{{ a }}", True), ("{# a #}", True)])
def test_is_template(text: str, expected: bool) -> None:
    assert is_template(text) is expected


SPECIAL = ["absent", "omit", "range", "fail", "none", "true", "None", "self", "loop", "not", "if", "is", "caller"]
ROOTS = [*NAMES, *SPECIAL]
PARTS = ["pid", "info", "items", "keys", "port", "upper", "fromkeys", "if", "absent"]
DOTTED = st.tuples(st.sampled_from(ROOTS), st.lists(st.sampled_from(PARTS), max_size=3)).map(
    lambda given: ".".join([given[0], *given[1]])
)


def rendered(template: str) -> tuple[object, ...]:
    """Return what becomes of a template and what it needs, or how it fails."""
    needs = (referenced_names(template), optional_names(template), template_syntax_errors(template))
    try:
        return (render([template], NAMES), *needs)
    except TemplateError as error:
        return (str(error), error.missing, *needs)


@given(DOTTED, st.none() | DOTTED)
def test_a_name_means_the_same_in_brackets(name: str, default: str | None) -> None:
    """Names alone are read without Jinja2, which reads what is in brackets."""
    rest = "" if default is None else f" | default({default})"
    inside = f"{{{{ ({name}{rest}) }}}}"
    plain = inside.replace("(", "", 1)[: -len(") }}")] + " }}"
    end = ("unexpected ')'", "unexpected 'end of print statement'")  # what `not` alone is followed by
    assert repr(rendered(plain)).replace(*end) == repr(rendered(inside)).replace(inside, plain).replace(*end)


@given(JSON)
def test_a_lone_expression_gives_any_value_back_unchanged(value: object) -> None:
    assert render({"x": ["{{ value }}"]}, {"value": value}) == {"x": [value]}


@given(JSON)
def test_a_value_without_templates_is_rendered_to_itself(value: object) -> None:
    if not any(mark in repr(value) for mark in ("{{", "{%", "{#")):
        assert render(value, {}) == value


@given(st.text(alphabet="{}%#ab.|'\"()[]0 ~+*-", max_size=40))
def test_any_text_renders_or_is_a_template_error(text: str) -> None:
    with contextlib.suppress(TemplateError):
        render(text, {"a": 1, "b": {"a": "x"}})


def test_a_template_may_refuse_to_go_on() -> None:
    text = "{{ port or fail('give a port: there is no default') }}"
    assert render(text, {"port": 80}) == 80
    with pytest.raises(TemplateError, match=r"^give a port: there is no default$"):
        render(text, {"port": None})
