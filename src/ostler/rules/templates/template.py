"""Templates in manifests: Jinja2 in a sandbox, strict about undefined names, keeping the type of a lone expression.

`"{{ port }}"` stays an integer, `"http://{{ host }}:{{ port }}"` is a text. A value that came out of a template is
never looked at again. In the middle of a text, booleans are `true` and `false`, null is nothing, and lists and
objects are JSON. `omit` leaves out the entry of a mapping or list that it is. Surrounding line breaks (of YAML block
text) do not make a lone expression a text.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateSyntaxError, UndefinedError
from msgspec import Struct

from ostler.model.errors import TemplateError
from ostler.model.json import JsonMapping, JsonValue, KeyPath
from ostler.rules.templates.dotted_names import DottedName, dotted_name
from ostler.rules.templates.plain_values import MAX_OUTPUT, OMIT, TooLargeError, encodable, to_json
from ostler.rules.templates.references import References, references_of
from ostler.rules.templates.sandbox import MAX_SOURCE, MAX_TOKENS, GivenUpError, bound, check_statements, environment
from ostler.rules.text.work_budget import WorkSpentError, bounded_work

_SHOWN = 100


class CompiledTemplate(Struct, frozen=True):
    """A template that can be rendered."""

    template: Template | DottedName
    is_expression: bool
    references: References


class ParsedTemplate(Struct, frozen=True):
    """The syntax tree of a template, and its expression when it is nothing but `{{ expression }}`."""

    tree: nodes.Template
    expression: nodes.Expr | None


class BrokenTemplate(Struct, frozen=True):
    """A template that does not parse: why, and in which of its lines."""

    message: str
    line: int


def is_template(text: str) -> bool:
    """Return whether `text` has anything for the template engine to do."""
    return "{{" in text or "{%" in text or "{#" in text


@lru_cache(maxsize=4096)
def parsed(text: str) -> ParsedTemplate | None:
    """Return the template `text` as a syntax tree (to look at, not to change), or None when it does not parse."""
    if isinstance(_compile(text), BrokenTemplate):
        return None
    env = environment()
    return ParsedTemplate(env.parse(text), _lone_expression(env.parse(text.strip("\r\n"))))


def render(value: JsonValue, names: Mapping[str, Any]) -> JsonValue:
    """Return `value` with every template in it rendered: in lists and in the values (not keys) of objects.

    Args:
        value: any JSON value; text without template marks is returned as it is.
        names: what the templates may name.

    Raises:
        TemplateError: a template cannot be parsed, fails, takes too much work, or names something undefined; all
            missing names of all templates in `value` are in `missing`.
    """
    missing: dict[str, None] = {}
    with bounded_work():
        rendered = render_texts(value, lambda text, path: render_compiled(text, _compile(text), names, missing, path))
    if missing:
        raise undefined_names(list(missing), names)
    if rendered is OMIT:
        raise TemplateError(f"template {_short(str(value))} gives 'omit', but it is no entry that could be left out")
    return rendered


def render_texts(value: JsonValue, rendered: Callable[[str, KeyPath], JsonValue], path: KeyPath = ()) -> JsonValue:
    """Return `value` with `rendered(text, path)` for each template in it, which may be `OMIT` to leave an entry out.

    What has no template in it is the same object for every service, which no one changes.

    Args:
        value: any JSON value.
        rendered: renders a template that is at a path inside `value`.
        path: where `value` itself is.
    """
    if isinstance(value, str):
        return rendered(value, path) if is_template(value) else value
    if isinstance(value, Mapping):
        given = cast("JsonMapping", value)
        made = {key: render_texts(item, rendered, (*path, key)) for key, item in given.items()}
        if isinstance(given, dict) and all(made[key] is item for key, item in given.items()):
            return given
        return {key: item for key, item in made.items() if item is not OMIT}
    if isinstance(value, list):
        listed = cast("list[JsonValue]", value)
        parts = [render_texts(item, rendered, (*path, index)) for index, item in enumerate(listed)]
        if all(part is item for part, item in zip(parts, listed, strict=True)):
            return listed
        return [part for part in parts if part is not OMIT]
    return value


def undefined_names(missing: Sequence[str], names: Mapping[str, Any]) -> TemplateError:
    """Return the error that reports the names in `missing`, and which `names` exist."""
    listed = ", ".join(repr(name) for name in missing)
    verb = "is" if len(missing) == 1 else "are"
    return TemplateError(
        f"{listed} {verb} undefined here; available: {_available(names, missing)}",
        missing=missing,
        next_actions=("give the missing value, or write `| default(…)` in the template",),
    )


def referenced_names(value: JsonValue) -> set[tuple[str, ...]]:
    """Return every dotted name that templates in `value` need, such as `("start", "pid")`.

    Names that are only used with `default` or tested with `is defined` are in `optional_names` instead.
    """
    return {name for compiled in _templates(value) for name in compiled.references.required}


def optional_names(value: JsonValue) -> set[tuple[str, ...]]:
    """Return every dotted name that templates in `value` use but can do without."""
    required = referenced_names(value)
    return {name for compiled in _templates(value) for name in compiled.references.optional} - required


def template_syntax_errors(value: JsonValue) -> list[tuple[KeyPath, str, int]]:
    """Return (path inside `value`, message, 1-based line inside the text) for every template that does not parse."""
    return [
        (path, compiled.message, compiled.line)
        for path, text in template_texts(value)
        if isinstance(compiled := _compile(text), BrokenTemplate)
    ]


def template_texts(value: JsonValue, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield (path, text) of every template in `value`."""
    if isinstance(value, str):
        if is_template(value):
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in cast("JsonMapping", value).items():
            yield from template_texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[JsonValue]", value)):
            yield from template_texts(item, (*path, index))


def certain_failure(value: JsonValue) -> str:
    """Return why `value` can never be rendered: a template in it is nothing but `{{ fail('why') }}`; else nothing."""
    for _, text in template_texts(value):
        found = parsed(text) if "fail(" in text else None
        match found and found.expression:
            case nodes.Call(node=nodes.Name(name="fail"), args=[nodes.Const(value=why)]):
                return str(why)
            case _:
                pass
    return ""


def _templates(value: JsonValue) -> Iterator[CompiledTemplate]:
    for _, text in template_texts(value):
        if isinstance(compiled := _compile(text), CompiledTemplate):
            yield compiled


def render_compiled(
    text: str,
    compiled: CompiledTemplate | BrokenTemplate,
    names: Mapping[str, Any],
    missing: dict[str, None],
    path: KeyPath,
) -> JsonValue:
    """Render the template `text`, compiled, which is at `path`; undefined names go into `missing`.

    Raises:
        TemplateError: it does not parse, fails, or takes too much work.
    """
    if isinstance(compiled, BrokenTemplate):
        raise TemplateError(f"template {_short(text)} does not parse: {compiled.message}")
    try:
        return _run(compiled, names)
    except UndefinedError as error:
        absent = [".".join(name) for name in sorted(compiled.references.required) if not _is_there(name, names)]
        missing.update(dict.fromkeys(absent or [_undefined_name(error)]))
        return None
    except (TooLargeError, WorkSpentError) as error:
        raise TemplateError(f"template {_short(text)}{_place(path)} {error}") from None
    except TemplateError:
        raise
    except GivenUpError as error:
        raise TemplateError(str(error)) from None
    except Exception as error:  # noqa: BLE001 (the template author's mistake: any operation on any value may fail)
        raise TemplateError(f"template {_short(text)} failed: {type(error).__name__}: {_short(str(error))}") from None


def _run(compiled: CompiledTemplate, names: Mapping[str, Any]) -> JsonValue:
    template = compiled.template
    if isinstance(template, DottedName):
        return _result(template.value(names))
    context = template.new_context(dict(names))
    chunks: list[str] = []
    size = 0
    for chunk in template.root_render_func(context):
        size += len(chunk)
        if size > MAX_OUTPUT:
            raise TooLargeError(f"makes more than {MAX_OUTPUT} characters")
        chunks.append(chunk)
    if compiled.is_expression:
        return _result(context.vars["result"])
    return encodable("".join(chunks))


def _result(made: Any) -> JsonValue:
    return made if made is OMIT else to_json(made)


@lru_cache(maxsize=4096)
def _compile(text: str) -> CompiledTemplate | BrokenTemplate:
    if len(text) <= MAX_SOURCE and (name := dotted_name(text)) is not None:
        return CompiledTemplate(name, is_expression=True, references=name.references)
    return compile_rewritten(text, lambda tree: tree)


def compile_rewritten(
    text: str, rewrite: Callable[[nodes.Template], nodes.Template]
) -> CompiledTemplate | BrokenTemplate:
    """Compile the template `text`, whose parsed form goes through `rewrite` first."""
    if len(text) > MAX_SOURCE:
        return BrokenTemplate(f"it has {len(text)} characters, more than {MAX_SOURCE}", 1)
    with bounded_work():  # what is constant in a template is worked out when it is compiled
        return _compile_short(text, rewrite)


def _compile_short(text: str, rewrite: Callable[[nodes.Template], nodes.Template]) -> CompiledTemplate | BrokenTemplate:
    env = environment()
    try:
        for count, (line, _, _) in enumerate(env.lex(text) if len(text) > MAX_TOKENS else ()):
            if count > MAX_TOKENS:
                return BrokenTemplate(f"it has more than {MAX_TOKENS} words and signs", line)
        tree = env.parse(text)
        refused = check_statements(tree)
        if refused:
            return BrokenTemplate(*refused)
        tree = rewrite(tree)
        references = references_of(tree, env.globals)
        inner = text.strip("\r\n")
        lone = _lone_expression(tree if inner == text else rewrite(env.parse(inner)))
        if lone is not None:
            result = nodes.Assign(nodes.Name("result", "store", lineno=1), lone, lineno=1)
            tree = nodes.Template([result], lineno=1)
        template = env.from_string(bound(tree, env))
    except TemplateSyntaxError as error:
        return BrokenTemplate(error.message or "syntax error", error.lineno)
    except (RecursionError, MemoryError, SyntaxError, OverflowError, ValueError) as error:
        return BrokenTemplate(f"it is too complicated ({type(error).__name__})", 1)
    return CompiledTemplate(template, lone is not None, references)


def _lone_expression(tree: nodes.Template) -> nodes.Expr | None:
    """Return the expression of a template that is nothing but `{{ expression }}`."""
    if len(tree.body) != 1 or not isinstance(output := tree.body[0], nodes.Output) or len(output.nodes) != 1:
        return None
    expression = output.nodes[0]
    return None if isinstance(expression, nodes.TemplateData) else expression


def _is_there(name: tuple[str, ...], names: Mapping[str, Any]) -> bool:
    value: Any = names
    for key in name:
        if isinstance(value, Mapping) and key in value:
            value = cast("JsonMapping", value)[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(cast("list[Any]", value)):
            value = cast("list[Any]", value)[int(key)]
        else:
            return False
    return True


def _available(names: Mapping[str, Any], missing: Iterable[str]) -> str:
    listed = sorted(names)
    for parent in sorted({name.rpartition(".")[0] for name in missing} - {""}):
        value: Any = names
        for key in parent.split("."):
            value = cast("JsonMapping", value).get(key) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):
            listed += [f"{parent}.{key}" for key in sorted(cast("JsonMapping", value))]
    return ", ".join(listed) if listed else "nothing"


def _undefined_name(error: UndefinedError) -> str:
    text = str(error)
    parts = text.split("'")
    return parts[-2] if len(parts) > 2 else text


def _place(path: KeyPath) -> str:
    """Return a path as part of a sentence: ` in args.hosts[2]`."""
    place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")
    return f" in {place if len(place) <= _SHOWN else place[:_SHOWN] + '…'}" if place else ""


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
