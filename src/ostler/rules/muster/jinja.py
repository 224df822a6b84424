"""Go templates rewritten as Jinja2 with the same meaning.

A text that is one `{{ expression }}` stays one, so that it keeps its type; one that is a single if/else becomes one
(`{{ 'a' if x else 'b' }}`), so that `true`, `5` or `{…}` in every branch are values and not texts. Everything else
is a text, written branch by branch where it stood.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.json import JsonValue
from ostler.rules.muster.branches import is_test, stripped, typed_texts
from ostler.rules.muster.go_template import (
    Branch,
    Call,
    Comment,
    Expression,
    Field,
    If,
    Literal,
    Member,
    Node,
    Output,
    Range,
    Set,
    Tag,
    Text,
    With,
    parse,
)
from ostler.rules.muster.go_tokens import GoTemplateError
from ostler.rules.muster.jinja_functions import (
    CONDITIONAL,
    CONDITIONS,
    FILTERED,
    OR,
    Argument,
    Code,
    call,
    concatenated,
    is_function,
    literal,
)
from ostler.rules.templates.sandbox import MAX_LOOPS
from ostler.rules.templates.template import is_template

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_MARKS = re.compile(r"\{(?=[{%#])")
_KEYWORDS = frozenset({
    "and", "or", "not", "in", "is", "if", "else", "elif", "for", "set", "true", "false", "none", "True", "False",
    "None", "loop", "self", "import", "include", "extends", "block", "macro", "call", "filter", "with", "recursive",
})  # fmt: skip


class Name(Struct, frozen=True):
    """What a dotted name of the Go template is called in Jinja2.

    Attributes:
        path: the name, part by part.
        is_optional: it may not be there, and then counts as nothing in conditions.
        is_late: it is only there after a step that may not have run; nothing is written for it before.
        kind: `array` or `object` if that is known.
    """

    path: tuple[str, ...]
    is_optional: bool = False
    is_late: bool = False
    kind: str = ""


class Scope(Protocol):
    """What names mean at one place of a manifest."""

    def resolve(self, path: tuple[str, ...]) -> Name | str:
        """Return what `.path` is, or what to say when there is no such thing: `message; fix`."""
        ...

    @property
    def names(self) -> Collection[str]:
        """The names in use, which the template's own variables must not hide."""
        ...


def translate_template(text: str, scope: Scope, *, is_condition: bool = False) -> str:
    """Return the Go template `text` as Jinja2; a text without actions is returned so that Jinja2 leaves it alone.

    Args:
        text: the template.
        scope: what its names mean.
        is_condition: the text is asked whether it is true; an undefined name counts as nothing.

    Raises:
        GoTemplateError: it does not parse, names something undefined, or cannot be translated.
    """
    if not is_template(text):
        return text
    nodes = parse(text)
    writer = _Writer(scope)
    choice = writer.choice(nodes, maybe=is_condition)
    if choice is not None:
        return "{{ " + choice.text + " }}"
    return writer.statements(nodes)


def dotted(path: Sequence[str]) -> str:
    """Return the Jinja2 expression of a name."""
    root, *rest = path
    if root in _KEYWORDS or not _IDENTIFIER.fullmatch(root):
        return "args" + _below([root, *rest])
    return root + _below(rest)


def _below(path: Sequence[str]) -> str:
    return "".join(f".{part}" if _IDENTIFIER.fullmatch(part) else f"[{literal(part).text}]" for part in path)


class _Place(Struct, frozen=True):
    """The dot and the variables at one place: Jinja2 expressions by Go name."""

    dot: Code | None = None
    variables: Mapping[str, Code] = {}
    loops: int = 0


class _Writer(Struct):
    scope: Scope

    # -- whole values --------------------------------------------------------------------------------------

    def choice(self, nodes: Sequence[Node], *, maybe: bool = False) -> Code | None:
        """Return the one expression that the template is, or None when it is a text with parts."""
        inner = [node for node in nodes if not (isinstance(node, Text) and not node.trimmed.strip("\r\n"))]
        inner = [node for node in inner if not isinstance(node, Comment)]
        if len(inner) != 1:
            return None
        match inner[0]:
            case Output(value=value):
                return self.expression(value, _Place(), maybe=maybe)
            case If() as chain:
                return self._chain(chain)
            case _:
                return None

    def _chain(self, chain: If) -> Code | None:
        typed = typed_texts(chain)
        parts: list[tuple[Code | None, Code]] = []
        for branch in chain.branches:
            body = self._body(branch, typed)
            if body is None:
                return None
            condition = None if branch.condition is None else self._condition(branch.condition, _Place())
            parts.append((condition, body))
        first = chain.branches[0].condition
        if first is not None and is_test(first) and [body.text for _, body in parts] == ["true", "false"]:
            return parts[0][0]
        if parts[-1][0] is not None:
            parts.append((None, literal("")))
        made = parts.pop()[1]
        for condition, body in reversed(parts):
            assert condition is not None
            made = Code(f"{body.at(OR)} if {condition.at(OR)} else {made.at(CONDITIONAL)}", CONDITIONAL)
        return made

    def _body(self, branch: Branch, typed: Mapping[str, JsonValue] | None) -> Code | None:
        """Return the branch as one expression; None when it has lines, blocks or variables in it."""
        nodes = [node for node in branch.body if not isinstance(node, Comment)]
        texts = [node.trimmed for node in nodes if isinstance(node, Text)]
        if "\n" in "".join(texts).strip() and not (typed is not None and len(nodes) == 1):
            return None
        kept = stripped(nodes)
        if typed is not None and len(kept) == 1 and isinstance(kept[0], Text):
            return literal(typed[kept[0].trimmed])
        if len(kept) == 1 and isinstance(kept[0], Output):
            return self.expression(kept[0].value, _Place())
        if len(kept) == 1 and isinstance(kept[0], If):
            return self._chain(kept[0])
        parts: list[Code] = []
        for node in kept:
            match node:
                case Text(trimmed=text):
                    parts.append(literal(text))
                case Output(value=value):
                    parts.append(self.expression(value, _Place()))
                case _:
                    return None
        return concatenated(parts)

    # -- texts ---------------------------------------------------------------------------------------------

    def statements(self, nodes: Sequence[Node], place: _Place | None = None) -> str:
        """Return the nodes as the text of a Jinja2 template."""
        place = place or _Place()
        made: list[str] = []
        for node in nodes:
            match node:
                case Text(text=text):
                    made.append(_MARKS.sub("{{ '{' }}", text))
                case Comment(text=text, tag=tag):
                    made.append(_tag(tag, "{#", text.replace("#}", "# }"), "#}"))
                case Output(value=value, tag=tag):
                    made.append(_tag(tag, "{{", self.expression(value, place).text, "}}"))
                case Set() as setting:
                    text, place = self._set(setting, place)
                    made.append(text)
                case If(branches=branches, end=end):
                    made.append(self._if(branches, end, [place] * len(branches), place))
                case With(branches=branches, end=end):
                    assert branches[0].condition is not None
                    inside = replace(place, dot=self.expression(branches[0].condition, place))
                    made.append(self._if(branches, end, [inside, place], place))
                case Range() as loop:
                    made.append(self._range(loop, place))
        return "".join(made)

    def _set(self, setting: Set, place: _Place) -> tuple[str, _Place]:
        known = place.variables.get(setting.name)
        if setting.is_new:
            known = Code(self._variable(setting.name, place))
        elif known is None:
            raise GoTemplateError(f"the variable ${setting.name} is not set before", setting.tag.line)
        elif place.loops:
            message = f"setting ${setting.name} from inside a loop cannot be translated"
            raise GoTemplateError(message, setting.tag.line, "write the value where it is used")
        value = self.expression(setting.value, place, maybe=True).text
        text = _tag(setting.tag, "{%", f"set {known.text} = {value}", "%}")
        return text, replace(place, variables={**place.variables, setting.name: known})

    def _if(self, branches: Sequence[Branch], end: Tag, places: Sequence[_Place], outer: _Place) -> str:
        made: list[str] = []
        for index, (branch, place) in enumerate(zip(branches, places, strict=False)):
            if branch.condition is None:
                made.append(_tag(branch.tag, "{%", "else", "%}"))
            else:
                condition = self._condition(branch.condition, outer).text
                made.append(_tag(branch.tag, "{%", f"{'elif' if index else 'if'} {condition}", "%}"))
            made.append(self.statements(branch.body, place))
        return "".join([*made, _tag(end, "{%", "endif", "%}")])

    def _range(self, loop: Range, place: _Place) -> str:
        body, *others = loop.branches
        assert body.condition is not None
        if place.loops == MAX_LOOPS:
            message = f"loops are nested deeper than {MAX_LOOPS}"
            raise GoTemplateError(message, body.tag.line, "take the inner list from an output of the tool")
        iterated, kind = self._iterated(body.condition, place)
        value = self._variable(loop.value or "item", place)
        variables = dict(place.variables)
        if kind == "object":
            key = self._variable(loop.key or "key", place)
            head = f"for {key}, {value} in {iterated.at(FILTERED)} | dictsort(true)"
            variables[loop.key] = Code(key)
        elif loop.key and kind != "array":
            message = "'range' with two variables over what may be a list or an object cannot be translated"
            raise GoTemplateError(message, body.tag.line, "give the arg 'type: array' or 'type: object'")
        else:
            source = iterated.text
            if kind != "array":  # of an object Go takes the values, by their keys; nothing has no parts
                subject = iterated.at(FILTERED)
                values = f"{subject} | dictsort(true) | map(attribute=1)"
                source = f"({values} if {subject} is mapping else {iterated.at(OR)} or [])"
            head = f"for {value} in {source}"
            variables[loop.key] = Code("loop.index0")
        variables[loop.value] = Code(value)
        variables.pop("", None)
        inside = _Place(Code(value), variables, place.loops + 1)
        outside = replace(place, loops=place.loops + 1)
        made = [_tag(body.tag, "{%", head, "%}"), self.statements(body.body, inside)]
        for branch in others:
            made += [_tag(branch.tag, "{%", "else", "%}"), self.statements(branch.body, outside)]
        return "".join([*made, _tag(loop.end, "{%", "endfor", "%}")])

    def _iterated(self, value: Expression, place: _Place) -> tuple[Code, str]:
        if isinstance(value, Field) and (name := self._named(value, place)) is not None:
            code = Code(dotted(name.path))
            if name.is_optional:
                code = Code(f"{code.at(FILTERED)} | default({'{}' if name.kind == 'object' else '[]'}, true)", FILTERED)
            return code, name.kind
        return self.expression(value, place), "array" if isinstance(value, Call) and value.function == "list" else ""

    def _variable(self, name: str, place: _Place) -> str:
        taken = {*self.scope.names, *(code.text for code in place.variables.values()), *_KEYWORDS}
        if place.dot is not None:
            taken.add(place.dot.text)
        while name in taken:
            name += "_"
        return name

    # -- expressions ---------------------------------------------------------------------------------------

    def _condition(self, value: Expression, place: _Place) -> Code:
        return self.expression(value, place, maybe=True)

    def expression(self, value: Expression, place: _Place, *, maybe: bool = False) -> Code:
        """Return the Jinja2 expression; with `maybe`, an undefined name counts as nothing."""
        match value:
            case Literal(value=plain):
                return literal(plain)
            case Member(of=of, path=path):
                return Code(self.expression(of, place).at(FILTERED + 1) + _below(path))
            case Call(function=function, args=args, line=line):
                optional = maybe or function in CONDITIONS
                made = [
                    Argument(
                        self.expression(arg, place, maybe=optional and not (function == "default" and index == 1)),
                        arg.value if isinstance(arg, Literal) else None,
                        isinstance(arg, Literal),
                    )
                    for index, arg in enumerate(args)
                ]
                return call(function, made, line)
            case Field():
                return self._field(value, place, maybe=maybe)

    def _field(self, value: Field, place: _Place, *, maybe: bool) -> Code:
        name = self._named(value, place)
        if name is not None:
            code = Code(dotted(name.path))
            if (maybe and name.is_optional) or name.is_late:
                return Code(f"{code.at(FILTERED)} | default(none)", FILTERED)
            return code
        if value.root not in ("", "$"):
            variable = place.variables.get(value.root[1:])
            if variable is None:
                raise GoTemplateError(f"the variable {value.root} is not set here", value.line)
            return Code(variable.at(FILTERED + 1) + _below(value.path)) if value.path else variable
        assert place.dot is not None
        return Code(place.dot.at(FILTERED + 1) + _below(value.path)) if value.path else place.dot

    def _named(self, value: Field, place: _Place) -> Name | None:
        """Return the manifest's name that the field is; None when it is below the dot or a variable."""
        if value.root not in ("", "$") or (value.root == "" and place.dot is not None and not value.is_bare):
            return None
        if not value.path:
            message = f"{value.root or '.'!r} alone, all names at once, cannot be translated"
            raise GoTemplateError(message, value.line, "write the names that are needed")
        found = self.scope.resolve(value.path)
        if isinstance(found, str):
            if value.is_bare and len(value.path) == 1 and is_function(value.path[0]):
                call(value.path[0], (), value.line)  # says what is wrong with it
            message, _, fix = found.partition("; ")
            raise GoTemplateError(message, value.line, fix)
        return found


def _tag(tag: Tag, opening: str, inner: str, closing: str) -> str:
    return f"{opening}{'-' if tag.before else ''} {inner} {'-' if tag.after else ''}{closing}"
