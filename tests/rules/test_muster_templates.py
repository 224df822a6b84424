"""Go templates as Jinja2: tables of translations, and random templates against an evaluator of Go's rules."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ostler.rules.muster.go_template import parse
from ostler.rules.muster.go_tokens import GoTemplateError
from ostler.rules.muster.jinja import translate_template
from ostler.rules.muster.template_names import ManifestNames
from ostler.rules.templates.template import render, template_syntax_errors

ARGS: Mapping[str, Mapping[str, Any]] = {
    "app": {"type": "string", "required": True},
    "environment": {"type": "string", "default": "development"},
    "port": {"type": "integer", "default": 8080},
    "ssl": {"type": "boolean", "default": False},
    "region": {"type": "string"},
    "hosts": {"type": "array", "default": []},
    "limits": {"type": "object", "default": {}},
    "any": {"required": True},
    "status": {"type": "string", "default": "x"},
    "args": {"type": "array"},
    "in": {"type": "string", "default": "y"},
    "my-arg": {"type": "string", "default": "z"},
}
OUTPUTS = {
    "start": frozenset({"sessionId", "serviceId", "url", "service", "stop"}),
    "stop": frozenset({"gone"}),
    "status": frozenset({"readyReplicas"}),
    "restart": frozenset({"url"}),
}
SCOPE = ManifestNames(ARGS, OUTPUTS, {"db": "db", "postgresql_database": "db"})


def translated(text: str) -> str:
    made = translate_template(text, SCOPE)
    assert template_syntax_errors(made) == []
    return made


@pytest.mark.parametrize(
    ("go", "jinja"),
    [
        ("no template", "no template"),
        ("{{.port}}", "{{ port }}"),
        ("{{ .port }}\n", "{{ port }}"),
        ("{{ port }}", "{{ port }}"),
        ("http://{{.app}}:{{.port}}/", "http://{{ app }}:{{ port }}/"),
        ("{{ .args.port }}", "{{ args.port }}"),
        ("{{ .args }}", "{{ args.args }}"),
        ("{{ $.port }}", "{{ port }}"),
        ("{{ .limits.cpu.max }}", "{{ limits.cpu.max }}"),
        ("{{ .my-arg }}", "{{ args['my-arg'] }}"),
        ("{{ .in }}", "{{ args.in }}"),
        ("{{ .status }}", "{{ args.status }}"),
        ("{{ .name }} {{ .service.id }}", "{{ name }} {{ service.id }}"),
        ("{{ .serviceClassName }}", "{{ service.class }}"),
        ("{{ .start.sessionId }}", "{{ start.sessionId }}"),
        ("{{ start.sessionId }}", "{{ start.sessionId }}"),
        ("{{ .sessionId }}", "{{ start.sessionId }}"),
        ("{{ .service.metadata.sessionId }}", "{{ start.sessionId }}"),
        ("{{ .service }} {{ .service.name }}", "{{ start.service }} {{ service.name }}"),
        ("{{ .stop }}", "{{ start.stop }}"),
        ("{{ .service_id }}", "{{ start.serviceId }}"),
        ("{{ .service_session_id }}", "{{ start.sessionId }}"),
        ("{{ .url }}", "{{ start.url }}"),
        ("{{ .readyReplicas }}", "{{ status.readyReplicas | default(none) }}"),
        ("{{ .start.readyReplicas }}", "{{ status.readyReplicas | default(none) }}"),
        ("{{ .dependencies.db.url }}", "{{ dependencies.db.outputs.url }}"),
        ("{{ .dependencies.postgresql-database.outputs.url }}", "{{ dependencies.db.outputs.url }}"),
        ("{{ .dependencies.db.name }}", "{{ dependencies.db.name }}"),
        # defaults and conditions: a name that may be missing counts as nothing
        ('{{ .region | default "eu" }}', "{{ region | default('eu', true) }}"),
        ('{{ default "eu" .region }}', "{{ region | default('eu', true) }}"),
        ("{{ .region | default .app }}", "{{ region | default(app, true) }}"),
        ("a{{ if .region }}-{{ .region }}{{ end }}", "a{% if region | default(none) %}-{{ region }}{% endif %}"),
        ('{{ eq .region "eu" }}', "{{ region | default(none) == 'eu' }}"),
        ("{{ ne .port 80 }}", "{{ port != 80 }}"),
        ('{{ eq .app "a" "b" }}', "{{ app in ['a', 'b'] }}"),
        ("{{ and .ssl (or .region .app) }}", "{{ ssl and (region | default(none) or app) }}"),
        ("{{ not (and .ssl .app) }}", "{{ not (ssl and app) }}"),
        ("{{ gt .port 1024 }}", "{{ port > 1024 }}"),
        ("{{ lt (len .hosts) 3 }}", "{{ hosts | length < 3 }}"),
        # a whole value that is one if/else is an expression, with JSON in its branches as values
        ("{{ if .ssl }}https{{ else }}http{{ end }}", "{{ 'https' if ssl else 'http' }}"),
        ("{{ if .ssl }}443{{ else }}80{{ end }}", "{{ 443 if ssl else 80 }}"),
        ('{{ if eq .app "a" }}true{{ else }}false{{ end }}', "{{ app == 'a' }}"),
        ("{{ if .ssl }}true{{ else }}false{{ end }}", "{{ true if ssl else false }}"),
        ('{{ if .ssl }}{"a": [1]}{{ else }}{}{{ end }}', "{{ {'a': [1]} if ssl else {} }}"),
        ("{{ if .ssl }}{{ .port }}{{ else }}80{{ end }}", "{{ port if ssl else 80 }}"),
        ("{{ if .ssl }}a{{ end }}", "{{ 'a' if ssl else '' }}"),
        ("{{ if .ssl }}a{{ .app }}{{ else }}b{{ end }}", "{{ 'a' ~ app if ssl else 'b' }}"),
        (
            '{{ if eq .app "a" }}5\n{{ else if eq .app "b" }}2\n{{ else }}1{{ end }}\n',
            "{{ 5 if app == 'a' else 2 if app == 'b' else 1 }}",
        ),
        (
            "{{ if .ssl }}{{ if .region }}x{{ else }}y{{ end }}{{ else }}z{{ end }}",
            "{{ ('x' if region | default(none) else 'y') if ssl else 'z' }}",
        ),
        ("{{ if .ssl }}a\nb{{ else }}c{{ end }}", "{% if ssl %}a\nb{% else %}c{% endif %}"),
        # functions
        ("{{ .app | upper | trim }}", "{{ app | upper | trim }}"),
        ("{{.app | replace '/' '-' | replace ':' '-'}}", "{{ app | replace('/', '-') | replace(':', '-') }}"),
        ('{{ printf "%s-%d" .app .port }}', "{{ app ~ '-' ~ port }}"),
        ('{{ printf "%05d%%" .port }}', "{{ '%05d' % port ~ '%' }}"),
        ('{{ printf "%q" .app }}', "{{ app | tojson | string }}"),
        ("{{ index .hosts 0 }}", "{{ hosts[0] }}"),
        ('{{ (index .limits "cpu").max }}', "{{ limits['cpu'].max }}"),
        ('{{ .hosts | join "," }}', "{{ hosts | join(',') }}"),
        ('{{ ternary "a" "b" .ssl }}', "{{ 'a' if ssl else 'b' }}"),
        ('{{ hasPrefix "a" .app }}', "{{ app.startswith('a') }}"),
        # blocks, trimming, comments, variables
        ("x {{- .app -}} y", "x {{- app -}} y"),
        ("a {{/* why */}}b", "a {# why #}b"),
        (
            "-{{ with .region }}{{ . }}{{ else }}none{{ end }}",
            "-{% if region | default(none) %}{{ region }}{% else %}none{% endif %}",
        ),
        ("-{{ range .hosts }}{{ . }},{{ end }}", "-{% for item in hosts %}{{ item }},{% endfor %}"),
        (
            "-{{ range $i, $h := .hosts }}{{ $i }}{{ $h }}{{ $.app }}{{ end }}",
            "-{% for h in hosts %}{{ loop.index0 }}{{ h }}{{ app }}{% endfor %}",
        ),
        (
            "-{{ range $k, $v := .limits }}{{ $k }}={{ $v }}{{ else }}none{{ end }}",
            "-{% for k, v in limits | dictsort(true) %}{{ k }}={{ v }}{% else %}none{% endfor %}",
        ),
        ("-{{ range .hosts }}{{ .port }}{{ end }}", "-{% for item in hosts %}{{ item.port }}{% endfor %}"),
        ("{{ $x := .app }}{{ $x }}!", "{% set x = app %}{{ x }}!"),
        ("{{ $app := 1 }}{{ $app }}!", "{% set app_ = 1 %}{{ app_ }}!"),
        # what Jinja2 would take for its own
        ("{% raw", "{{ '{' }}% raw"),
        ("{# {{.app}}", "{{ '{' }}# {{ app }}"),
        ('{{ "a}}b" }}-', "{{ 'a}}b' }}-"),
        ('{{ `a"b` }}', "{{ 'a\"b' }}"),
        ('{{ "it\'s" }}', '{{ "it\'s" }}'),
    ],
)
def test_translations(go: str, jinja: str) -> None:
    assert translated(go) == jinja


NAMES: Mapping[str, Any] = {
    "app": "My App",
    "port": 8080,
    "ssl": True,
    "hosts": ["a", "b"],
    "limits": {"cpu": 2, "B": 1},
    "any": None,
    "args": {},
}


@pytest.mark.parametrize(
    ("go", "value"),
    [
        ("{{ add .port 1 2 }}", 8083),
        ("{{ sub .port 80 }}", 8000),
        ("{{ mul .port 2 }}", 16160),
        ("{{ le .port 8080 }}", True),
        ("{{ ge .port 8081 }}", False),
        ("{{ len .hosts }}", 2),
        ("{{ .app | lower | title }}", "My App"),
        ('{{ contains "App" .app }}', True),
        ('{{ hasSuffix "pp" .app }}', True),
        ('{{ hasPrefix "App" .app }}', False),
        ('{{ .app | trimPrefix "My " }}', "App"),
        ('{{ .app | trimSuffix " App" }}', "My"),
        ('{{ .app | replace " " "-" | lower }}', "my-app"),
        ('{{ printf "%s:%d/%t" .app .port .ssl }}', "My App:8080/true"),
        ('{{ printf "%.2f|%x|%6d" 1.5 255 42 }}', "1.50|ff|    42"),
        ('{{ printf "%v" .port }}', "8080"),
        ("{{ print .app .port }}", "My App8080"),
        ("{{ quote .app }}", '"My App"'),
        ("{{ toJson .limits }}", '{"cpu": 2, "B": 1}'),
        ("{{ toString .port }}", "8080"),
        ('{{ int "12" }}', 12),
        ("{{ list .app 1 }}", ["My App", 1]),
        ('{{ dict "a" .port }}', {"a": 8080}),
        ('{{ coalesce .any "" .app }}', "My App"),
        ("{{ empty .any }}", True),
        ("{{ ternary 1 2 (empty .hosts) }}", 2),
        ('{{ index .limits "cpu" }}', 2),
        ('{{ join "+" .hosts }}', "a+b"),
        ("{{ -3 }}", -3),
        ("{{ 0x10 }}", 16),
        ("{{ 1.5e3 }}", 1500.0),
        ("{{ nil }}", None),
        ("{{ '/' }}", "/"),
        ('{{ "\\x41\\u0042\\n" }}', "AB\n"),
        ("x{{ range .any }}{{ . }}{{ else }}none{{ end }}", "xnone"),
        ("x{{ range .limits }}{{ . }}{{ end }}", "x12"),
        ("x{{ range $i, $v := .hosts }}{{ $i }}{{ $v }}{{ end }}", "x0a1b"),
        ("x{{ with $y := .app }}{{ $y }}{{ end }}", "xMy App"),
        ("x{{ $n := 1 }}{{ if .ssl }}{{ $n = 2 }}{{ end }}{{ $n }}", "x2"),
        ("{{ .hosts }} and {{ .any }}", '["a", "b"] and '),
    ],
)
def test_functions_and_blocks_give_what_go_gives(go: str, value: Any) -> None:
    assert render(translated(go), NAMES) == value


@pytest.mark.parametrize(
    ("go", "line", "phrase", "fix"),
    [
        ("{{ .prot }}", 1, "'.prot' is neither an arg nor an output", "did you mean '.port'?"),
        ("a\n{{ .timestamp }}", 2, "'.timestamp' is not known here", "there is no time"),
        ("{{ .input.port }}", 1, "'.input' is not known here", "write the arg's name alone"),
        ("{{ .args.prot }}", 1, "'.prot' is neither", "'.port'"),
        ("{{ .service.metadata.pid }}", 1, "'.service.metadata.pid' is not an output", "declare it"),
        ("{{ .dependencies.cache.url }}", 1, "'.dependencies.cache' is not one of the dependencies", "known: db"),
        ("{{ . }}", 1, "all names at once", "write the names"),
        ("{{ now }}", 1, "'now' cannot be translated", "no clock"),
        ('{{ .app | date "2006" }}', 1, "'date' cannot be translated", "no clock"),
        ("{{ randAlphaNum 8 }}", 1, "cannot be translated", "service.id"),
        ('{{ env "HOME" }}', 1, "cannot be translated", "env.NAME"),
        ("{{ .app | shout }}", 1, "'shout' is not known", "known functions: add"),
        ("{{ eq .app }}", 1, "'eq' takes at least 2 arguments, not 1", ""),
        ("x\n{{ if .app }}\ny", 2, "is not closed by {{ end }}", ""),
        ("{{ end }}", 1, "is here without", ""),
        ("{{ else }}x", 1, "is here without", ""),
        ("{{ if .app }}{{ else }}{{ else }}{{ end }}", 1, "a second {{ else }}", ""),
        ("{{ if }}x{{ end }}", 1, "a value is missing", ""),
        ("{{ }}", 1, "an action is empty", ""),
        ("{{ .app", 1, "is not closed by '}}'", ""),
        ('{{ "app }}', 1, "is not closed", ""),
        ("{{/* x }}", 1, "the comment", ""),
        ("{{ .hosts[0] }}", 1, "'[' is not allowed in", "index .list 0"),
        ("{{ (.app }}", 1, "parenthesis", ""),
        ("{{ .app | }}", 1, "a value is missing", ""),
        ("{{ .app .port }}", 1, "is not a function", ""),
        ('{{ template "x" . }}', 1, "cannot be translated", "write the text out"),
        ("{{ range .hosts }}{{ break }}{{ end }}", 1, "leaving a loop early", ""),
        ("{{ $x }}", 1, "the variable $x is not set here", ""),
        ("{{ $x = 1 }}", 1, "the variable $x is not set before", ""),
        ("{{ $x := 1 }}{{ range .hosts }}{{ $x = 2 }}{{ end }}", 1, "from inside a loop", "where it is used"),
        ("{{ range .hosts }}" * 3 + "{{ end }}" * 3, 1, "loops are nested deeper than 2", "inner list"),
        ("{{ range $k, $v := .any }}{{ $k }}{{ end }}", 1, "two variables", "type: array"),
        ('{{ printf "%s" }}', 1, "more verbs than arguments", ""),
        ('{{ printf "a" .app }}', 1, "more arguments than verbs", ""),
        ("{{ printf .app }}", 1, "needs its format written out", ""),
        ('{{ printf "%w" .app }}', 1, "verb %w", ""),
        ('{{ "\\q" }}', 1, "escape that is not known", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_translated_says_where_and_what_to_write(go: str, line: int, phrase: str, fix: str) -> None:
    with pytest.raises(GoTemplateError) as caught:
        translate_template(go, SCOPE)
    assert phrase in caught.value.summary
    assert caught.value.line == line
    assert fix in caught.value.fix


@given(st.text(alphabet="{}-.$|()=:,\"'`/* abif\n%#end", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    made, line = "", 1
    try:
        parse(text)
        made = translate_template(text, SCOPE)
    except GoTemplateError as error:
        line = error.line
    assert 1 <= line <= text.count("\n") + 1
    assert template_syntax_errors(made) == []


@given(st.text(max_size=40).filter(lambda text: "{{" not in text))
def test_a_text_without_actions_stays_as_it_is(text: str) -> None:
    assert render(translated(text), {}) == text


def test_blocks_and_parentheses_may_not_be_nested_forever() -> None:
    for text in ("{{ if .app }}" * 40 + "{{ end }}" * 40, "{{ " + "(" * 40 + ".app" + ")" * 40 + " }}"):
        with pytest.raises(GoTemplateError, match="deeper"):
            translate_template(text, SCOPE)


# -- random templates against Go's rules ---------------------------------------------------------------------

Values = Mapping[str, Any]
Maker = tuple[str, Callable[[Values], Any]]
"""A Go expression or template, and what it is over some values: an evaluator small enough to be checked by eye."""

VALUES = st.fixed_dictionaries(
    {
        "app": st.sampled_from(["", "a", "b c", "{{x}}", "{%", 'q"q', "ü"]),
        "environment": st.sampled_from(["production", "staging", ""]),
        "port": st.sampled_from([0, 1, 8080, -3]),
        "ssl": st.booleans(),
        "hosts": st.lists(st.sampled_from(["h1", "", "{#"]), max_size=3),
        "limits": st.dictionaries(st.sampled_from(["B", "a", "c"]), st.sampled_from(["1", ""]), max_size=3),
    },
    optional={"region": st.sampled_from(["", "eu"])},
)
TEXTS = st.sampled_from(["production", "a", "eu", "", "it's", 'say "x"', "a\nb", "\\", "}}", "{%"])


def _go_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _field(name: str) -> Maker:
    return f".{name}", lambda values: values.get(name)


def _text_literal(text: str) -> Maker:
    return _go_text(text), lambda _: text


TEXT_EXPRESSIONS: st.SearchStrategy[Maker] = st.one_of(
    st.sampled_from(["app", "environment"]).map(_field), TEXTS.map(_text_literal)
)


def _compared(makers: tuple[str, Maker, Maker]) -> Maker:
    name, (left, of_left), (right, of_right) = makers
    tests: Mapping[str, Callable[[Any, Any], bool]] = {
        "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b, "ge": lambda a, b: a >= b,
    }  # fmt: skip
    return f"{name} {left} {right}", lambda values: tests[name](of_left(values), of_right(values))


def _logic(makers: tuple[str, list[Maker]]) -> Maker:
    name, parts = makers

    def value(values: Values) -> Any:
        found: Any = None
        for _, of in parts:
            found = of(values)
            if bool(found) == (name == "or"):
                return found
        return found

    return f"{name} " + " ".join(f"({part})" for part, _ in parts), value


def _negated(maker: Maker) -> Maker:
    return f"not ({maker[0]})", lambda values: not maker[1](values)


CONDITIONS: st.SearchStrategy[Maker] = st.recursive(
    st.one_of(
        st.sampled_from(["app", "port", "ssl", "region", "hosts", "limits"]).map(_field),
        st.tuples(st.sampled_from(["eq", "ne", "lt", "ge"]), TEXT_EXPRESSIONS, TEXT_EXPRESSIONS).map(_compared),
        st.tuples(st.sampled_from(["eq", "ne"]), st.just(_field("region")), TEXT_EXPRESSIONS).map(_compared),
    ),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)).map(_logic),
        inner.map(_negated),
    ),
    max_leaves=6,
)


def _printed(maker: Maker) -> Maker:
    def text(values: Values) -> str:
        value = maker[1](values)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return "{{ " + maker[0] + " }}", text


def _defaulted(makers: tuple[str, Maker]) -> Maker:
    name, (fallback, of_fallback) = makers
    return f".{name} | default {fallback}", lambda values: values.get(name) or of_fallback(values)


def _formatted(makers: tuple[Maker, Maker]) -> Maker:
    (first, of_first), (second, of_second) = makers
    return f'printf "<%s|%v%%>" ({first}) ({second})', lambda v: f"<{of_first(v)}|{of_second(v)}%>"


def _plain(text: str) -> Maker:
    return text + ".", lambda _: text + "."


def _upper(maker: Maker) -> Maker:
    return f"{maker[0]} | upper", lambda values: maker[1](values).upper()


PIECES: st.SearchStrategy[Maker] = st.one_of(
    st.sampled_from(["x", " ", "\n", "{", "{% x", "#}", "5"]).map(_plain),
    TEXT_EXPRESSIONS.map(_printed),
    st.sampled_from(["port", "ssl"]).map(_field).map(_printed),
    st.tuples(st.sampled_from(["region", "app", "port"]), TEXT_EXPRESSIONS).map(_defaulted).map(_printed),
    st.tuples(TEXT_EXPRESSIONS, TEXT_EXPRESSIONS).map(_formatted).map(_printed),
    TEXT_EXPRESSIONS.map(_upper).map(_printed),
)


def _sequence(parts: list[Maker]) -> Maker:
    return "".join(text for text, _ in parts), lambda values: "".join(of(values) for _, of in parts)


def _chain(makers: tuple[list[tuple[Maker, Maker]], Maker | None]) -> Maker:
    branches, other = makers
    text = ""
    for index, ((condition, _), (body, _)) in enumerate(branches):
        text += "{{ " + ("else if " if index else "if ") + condition + " }}" + body
    text += ("{{ else }}" + other[0] if other else "") + "{{ end }}"

    def value(values: Values) -> str:
        for (_, of_condition), (_, of_body) in branches:
            if of_condition(values):
                return of_body(values)
        return other[1](values) if other else ""

    return text, value


def _loop(body: Maker) -> Maker:
    text = "{{ range $h := .hosts }}[{{ $h }}{{ $.app }}]{{ else }}" + body[0] + "{{ end }}"
    return text, lambda v: "".join(f"[{host}{v['app']}]" for host in v["hosts"]) or body[1](v)


def _pairs(body: Maker) -> Maker:
    text = "{{ range $k, $v := .limits }}{{ $k }}={{ $v }};{{ end }}{{ with .region }}{{ . }}{{ else }}" + body[0]
    return (
        text + "{{ end }}",
        lambda v: "".join(f"{k}={v['limits'][k]};" for k in sorted(v["limits"])) + (v.get("region") or body[1](v)),
    )


TEMPLATES: st.SearchStrategy[Maker] = st.recursive(
    st.lists(PIECES, min_size=1, max_size=4).map(_sequence),
    lambda inner: st.one_of(
        st.tuples(st.lists(st.tuples(CONDITIONS, inner), min_size=1, max_size=3), st.none() | inner).map(_chain),
        st.lists(inner, min_size=1, max_size=3).map(_sequence),
        inner.map(_loop),
        inner.map(_pairs),
    ),
    max_leaves=6,
)


@given(TEMPLATES, VALUES)
def test_a_translated_template_gives_what_go_gives(template: Maker, values: Values) -> None:
    text, evaluate = template
    try:
        made = translated("~" + text)
    except GoTemplateError as error:
        assume("loops are nested" not in error.summary)
        raise
    assert render(made, {**values, "args": values}) == "~" + evaluate(values)


@given(CONDITIONS, VALUES)
def test_a_translated_condition_is_as_true_as_in_go(condition: Maker, values: Values) -> None:
    text, evaluate = condition
    made = translated("{{ if " + text + " }}yes{{ else }}no{{ end }}")
    assert render(made, {**values, "args": values}) == ("yes" if evaluate(values) else "no")
