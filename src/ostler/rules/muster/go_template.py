"""Go templates as trees: the part of text/template that muster's manifests use."""

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.json import JsonValue
from ostler.rules.muster.go_tokens import GoTemplateError, Piece, Token, pieces, tokens

MAX_DEPTH = 30
"""How deep blocks and parentheses may be nested."""

_ENDS = ("end", "else")
_REFUSED = {
    "define": "templates inside templates", "template": "templates inside templates",
    "block": "templates inside templates", "break": "leaving a loop early", "continue": "leaving a loop early",
}  # fmt: skip
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "nil": None}


class Field(Struct, frozen=True):
    """`.a.b` (root empty), `$.a.b` (root `$`), `$x.a` (root `$x`), or `a.b` as muster allowed (`is_bare`)."""

    root: str
    path: tuple[str, ...]
    line: int
    is_bare: bool = False


class Literal(Struct, frozen=True):
    """A text, number, truth value or nil."""

    value: JsonValue
    line: int


class Member(Struct, frozen=True):
    """`(expression).a.b`."""

    of: "Expression"
    path: tuple[str, ...]
    line: int


class Call(Struct, frozen=True):
    """A function with its arguments; `a | f b` is `f b a`."""

    function: str
    args: tuple["Expression", ...]
    line: int


Expression: TypeAlias = Field | Literal | Member | Call


class Tag(Struct, frozen=True):
    """The braces of one action: which sides trim, and its line."""

    line: int
    before: bool = False
    after: bool = False


class Text(Struct, frozen=True):
    """Text as written; `trimmed` is what is left of it next to `{{-` and `-}}`."""

    text: str
    trimmed: str


class Comment(Struct, frozen=True):
    """`{{/* text */}}`."""

    text: str
    tag: Tag


class Output(Struct, frozen=True):
    """`{{ expression }}`."""

    value: Expression
    tag: Tag


class Set(Struct, frozen=True):
    """`{{ $x := expression }}`, or `=` for a variable that exists already."""

    name: str
    value: Expression
    tag: Tag
    is_new: bool


class Branch(Struct, frozen=True):
    """The part of a block that begins with `tag`; its condition, None for the last `else`."""

    condition: Expression | None
    body: tuple["Node", ...]
    tag: Tag


class If(Struct, frozen=True):
    """`if … else if … else … end`."""

    branches: tuple[Branch, ...]
    end: Tag


class With(Struct, frozen=True):
    """`with … else … end`: the dot is the value where it is true."""

    branches: tuple[Branch, ...]
    end: Tag


class Range(Struct, frozen=True):
    """`range … else … end`, with the names of its variables if it has them."""

    key: str
    value: str
    branches: tuple[Branch, ...]
    end: Tag


Node: TypeAlias = Text | Comment | Output | Set | If | With | Range


def parse(text: str) -> tuple[Node, ...]:
    """Return the tree of a Go template.

    Raises:
        GoTemplateError: it does not parse, or uses what is not understood here.
    """
    return _Parser(list(pieces(text))).parse()


class _Parser:
    def __init__(self, found: list[Piece]) -> None:
        self._pieces = found
        self._position = 0

    def parse(self) -> tuple[Node, ...]:
        nodes, closing = self._nodes(0)
        if closing is not None:
            raise GoTemplateError(f"{{{{ {closing[0].text} }}}} is here without an if, range or with", closing[1])
        return nodes

    def _nodes(self, depth: int) -> tuple[tuple[Node, ...], tuple[Token, int, list[Token], Tag] | None]:
        """Return the nodes up to an `else` or `end`, and that one: its token, line, the tokens after it, its tag."""
        if depth > MAX_DEPTH:
            raise GoTemplateError(f"blocks are nested deeper than {MAX_DEPTH}", self._pieces[self._position - 1].line)
        nodes: list[Node] = []
        while self._position < len(self._pieces):
            index, piece = self._position, self._pieces[self._position]
            self._position += 1
            if not piece.is_action:
                nodes.append(self._text(index, piece))
                continue
            tag = Tag(piece.line, piece.trims_before, piece.trims_after)
            if piece.is_comment:
                nodes.append(Comment(piece.text[2:].rpartition("*/")[0].strip(), tag))
                continue
            found = tokens(piece)
            if not found:
                raise GoTemplateError("an action is empty", piece.line)
            first = found[0]
            if first.kind == "word" and first.text in _ENDS:
                return tuple(nodes), (first, piece.line, found[1:], tag)
            if (
                len(found) > 2
                and first.text in ("if", "with")
                and found[1].kind == "variable"
                and found[2].text == ":="
            ):
                # `with $x := .a` is a variable set before the block
                nodes.append(self._action(found[1:], replace(tag, after=False), depth))
                found, tag = found[:2], replace(tag, before=False)
            nodes.append(self._action(found, tag, depth))
        return tuple(nodes), None

    def _text(self, index: int, piece: Piece) -> Text:
        trimmed = piece.text
        if index > 0 and self._pieces[index - 1].trims_after:
            trimmed = trimmed.lstrip()
        if index + 1 < len(self._pieces) and self._pieces[index + 1].trims_before:
            trimmed = trimmed.rstrip()
        return Text(piece.text, trimmed)

    def _action(self, found: list[Token], tag: Tag, depth: int) -> Node:
        first = found[0]
        if first.kind == "word":
            if first.text in _REFUSED:
                what = _REFUSED[first.text]
                raise GoTemplateError(
                    f"{{{{ {first.text} }}}} ({what}) cannot be translated", first.line, "write the text out"
                )
            if first.text in ("if", "with"):
                branches, end = self._branches(found[1:], tag, depth, first.text)
                return If(branches, end) if first.text == "if" else With(branches, end)
            if first.text == "range":
                names, rest = _loop_variables(found[1:])
                branches, end = self._branches(rest, tag, depth, "range")
                return Range(*names, branches, end)
        if len(found) > 1 and found[1].text in (":=", "=") and found[1].kind == "punctuation":
            if first.kind != "variable" or "." in first.text or first.text == "$":
                raise GoTemplateError(f"{first.text!r} cannot be set", first.line, "write {{ $name := … }}")
            return Set(first.text[1:], _expression(found[2:], tag), tag, is_new=found[1].text == ":=")
        return Output(_expression(found, tag), tag)

    def _branches(self, found: list[Token], tag: Tag, depth: int, kind: str) -> tuple[tuple[Branch, ...], Tag]:
        branches: list[Branch] = []
        opened = tag
        condition: Expression | None = _expression(found, tag)
        while True:
            body, closing = self._nodes(depth + 1)
            branches.append(Branch(condition, body, tag))
            if closing is None:
                raise GoTemplateError(f"{{{{ {kind} }}}} is not closed by {{{{ end }}}}", opened.line)
            token, _, rest, closing_tag = closing
            if token.text == "end":
                if rest:
                    raise GoTemplateError(f"{rest[0].text!r} is not allowed after 'end'", token.line)
                return tuple(branches), closing_tag
            if condition is None:
                raise GoTemplateError("a second {{ else }} after the last one", token.line)
            condition = self._else_condition(rest, closing_tag, kind)
            tag = closing_tag

    @staticmethod
    def _else_condition(rest: list[Token], tag: Tag, kind: str) -> Expression | None:
        if not rest:
            return None
        if kind == "if" and rest[0].kind == "word" and rest[0].text == "if":
            return _expression(rest[1:], tag)
        raise GoTemplateError(f"{rest[0].text!r} is not allowed after 'else' of {kind}", rest[0].line)


def _loop_variables(found: list[Token]) -> tuple[tuple[str, str], list[Token]]:
    """Return the key and value names of `range $k, $v := …`, and the tokens after it."""
    texts = [token.text for token in found]
    if ":=" not in texts:
        return ("", ""), found
    cut = texts.index(":=")
    names = [token.text[1:] for token in found[:cut] if token.kind == "variable"]
    if not 1 <= len(names) <= 2 or any("." in name or not name for name in names):
        raise GoTemplateError("range takes one or two variables", found[0].line, "write {{ range $i, $v := .list }}")
    return (names[0] if len(names) == 2 else "", names[-1]), found[cut + 1 :]


def _expression(found: Sequence[Token], tag: Tag) -> Expression:
    """Return the pipeline that all of `found` is."""
    reader = _Reader(found, tag.line)
    value = reader.pipeline(0)
    if (rest := reader.peek()) is not None:
        raise GoTemplateError(f"{rest.text!r} is not expected here", rest.line)
    return value


class _Reader:
    """Reads expressions from the tokens of one action."""

    def __init__(self, found: Sequence[Token], line: int) -> None:
        self._tokens = found
        self._position = 0
        self._line = line

    def peek(self) -> Token | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def pipeline(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise GoTemplateError(f"parentheses are nested deeper than {MAX_DEPTH}", self._line)
        value = self._command(depth, None)
        while (token := self.peek()) is not None and token.text == "|" and token.kind == "punctuation":
            self._position += 1
            value = self._command(depth, value)
        return value

    def _command(self, depth: int, piped: Expression | None) -> Expression:
        """Read one command; the value piped into it is its last argument."""
        token = self.peek()
        if token is None or (token.kind == "punctuation" and token.text != "("):
            shown = f" before {token.text!r}" if token else ""
            raise GoTemplateError(f"a value is missing{shown}", token.line if token else self._line)
        if token.kind != "word" or token.text in _WORDS:
            value = self._operand(depth)
            following = self.peek()
            if piped is not None or (following is not None and following.text not in ("|", ")")):
                raise GoTemplateError(f"{token.text!r} is not a function", token.line)
            return value
        self._position += 1
        args: list[Expression] = []
        while (following := self.peek()) is not None and not (
            following.kind == "punctuation" and following.text in ("|", ")")
        ):
            args.append(self._operand(depth))
        if piped is not None:
            args.append(piped)
        if "." in token.text or (not args and piped is None):
            if args:
                raise GoTemplateError(f"{token.text!r} is not a function", token.line)
            return Field("", tuple(token.text.split(".")), token.line, is_bare=True)
        return Call(token.text, tuple(args), token.line)

    def _operand(self, depth: int) -> Expression:
        token = self._tokens[self._position]
        self._position += 1
        value: Expression
        match token.kind:
            case "field" | "dot":
                value = Field("", tuple(token.text.split(".")[1:]) if token.kind == "field" else (), token.line)
            case "variable":
                root, *path = token.text.split(".")
                value = Field(root, tuple(path), token.line)
            case "text":
                value = Literal(token.text, token.line)
            case "number":
                value = Literal(_number(token), token.line)
            case "word" if token.text in _WORDS:
                value = Literal(_WORDS[token.text], token.line)
            case "word":
                value = Field("", tuple(token.text.split(".")), token.line, is_bare=True)
            case "punctuation":
                if token.text != "(":
                    raise GoTemplateError(f"{token.text!r} is not expected here", token.line)
                value = self._parenthesised(token, depth)
        return value

    def _parenthesised(self, token: Token, depth: int) -> Expression:
        value = self.pipeline(depth + 1)
        closing = self.peek()
        if closing is None or closing.text != ")":
            raise GoTemplateError("a parenthesis is not closed", token.line)
        self._position += 1
        after = self.peek()
        if after is not None and after.kind == "field":
            self._position += 1
            return Member(value, tuple(after.text[1:].split(".")), token.line)
        return value


def _number(token: Token) -> int | float:
    text = token.text.replace("_", "")
    try:
        return int(text, 0) if text.lstrip("+-").lower().startswith("0x") else int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise GoTemplateError(f"{token.text!r} is not a number", token.line) from None
