"""Go template text cut into texts and actions, and actions into tokens."""

import json
import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from msgspec import Struct

from ostler.model.errors import TemplateError

Kind: TypeAlias = Literal["field", "dot", "variable", "word", "text", "number", "punctuation"]

_NAME = r"[A-Za-z_]\w*(?:-\w+)*"
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<field>(?:\.{_NAME})+)
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|(?:\d[\d_]*)?\.?\d[\d_]*(?:[eE][+-]?\d+)?))
    |(?P<variable>\$(?:[A-Za-z_]\w*)?(?:\.{_NAME})*)
    |(?P<word>{_NAME}(?:\.{_NAME})*)
    |(?P<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`|'(?:[^'\\\n]|\\.)*')
    |(?P<dot>\.)
    |(?P<punctuation>:=|[|(),=])""",
    re.VERBOSE,
)
_SPACE = " \t\r\n"


class GoTemplateError(TemplateError):
    """A Go template that cannot be read or translated.

    Attributes:
        line: the 1-based line inside the template's text.
        fix: what to write instead, if known.
    """

    def __init__(self, message: str, line: int, fix: str = "") -> None:
        self.line = line
        self.fix = fix
        super().__init__(message)


class Token(Struct, frozen=True):
    """One token of an action: its kind, its text as written (texts unquoted), and its line."""

    kind: Kind
    text: str
    line: int


class Piece(Struct, frozen=True):
    """Text between actions, or one action.

    Attributes:
        text: the text, or what stands between the braces.
        line: where it begins.
        is_action: whether it stood in braces.
        trims_before: `{{-`: white space before it goes.
        trims_after: `-}}`: white space after it goes.
    """

    text: str
    line: int
    is_action: bool = False
    trims_before: bool = False
    trims_after: bool = False

    @property
    def is_comment(self) -> bool:
        """Whether it is `{{/* … */}}`."""
        return self.is_action and self.text.startswith("/*")


def pieces(text: str) -> Iterator[Piece]:
    """Yield the texts and actions of a template in their order; no text is empty.

    Raises:
        GoTemplateError: an action or a comment is not closed.
    """
    position = 0
    while position < len(text):
        start = text.find("{{", position)
        if start < 0:
            start = len(text)
        if start > position:
            yield Piece(text[position:start], _line(text, position))
        if start == len(text):
            return
        end = _end_of_action(text, start + 2)
        inner = text[start + 2 : end]
        before = inner.startswith("-") and inner[1:2] in (*_SPACE, "")
        after = inner.endswith("-") and inner[-2:-1] in (*_SPACE, "")
        inner = inner[1 if before else 0 : len(inner) - (1 if after and len(inner) > 1 else 0)].strip(_SPACE)
        yield Piece(inner, _line(text, start), is_action=True, trims_before=before, trims_after=after)
        position = end + 2


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _end_of_action(text: str, position: int) -> int:
    """Return where the `}}` of the action stands that begins at `position`; texts and comments may hold `}}`."""
    start = position
    body = text[position:].lstrip("-" + _SPACE)
    if body.startswith("/*"):
        end = text.find("*/", position)
        close = text.find("}}", end) if end >= 0 else -1
        if close < 0 or text[end + 2 : close].strip("-" + _SPACE):
            raise GoTemplateError("the comment '{{/*' is not closed by '*/}}'", _line(text, start))
        return close
    while position < len(text):
        if text.startswith("}}", position):
            return position
        if text[position] in "\"`'":
            match = _TOKEN.match(text, position)
            if match is None or match["text"] is None:
                raise GoTemplateError(f"the quoted text {_shown(text[position:])} is not closed", _line(text, position))
            position = match.end()
            continue
        position += 1
    raise GoTemplateError(f"the action {_shown(text[start - 2 :])} is not closed by '}}}}'", _line(text, start))


def tokens(piece: Piece) -> list[Token]:
    """Return the tokens of an action.

    Raises:
        GoTemplateError: there is something that Go templates do not have.
    """
    found: list[Token] = []
    position = 0
    while position < len(piece.text):
        match = _TOKEN.match(piece.text, position)
        line = piece.line + piece.text.count("\n", 0, position)
        if match is None:
            rest = piece.text[position:]
            fix = "write {{ index .list 0 }}" if rest.startswith("[") else ""
            raise GoTemplateError(f"{rest[0]!r} is not allowed in {{{{ {_shown(piece.text)} }}}}", line, fix)
        position = match.end()
        kind: Kind | Literal["space"] = match.lastgroup  # type: ignore[assignment]
        if kind == "space":
            continue
        text = match[0]
        if kind == "text":
            found.append(Token("text", _unquoted(text, line), line))
        else:
            found.append(Token(kind, text, line))
    return found


def _unquoted(text: str, line: int) -> str:
    if text.startswith("`"):
        return text[1:-1]
    body = text[1:-1]
    if text.startswith("'"):
        body = body.replace("\\'", "'").replace('"', '\\"')
    body = re.sub(r"\\x([0-9a-fA-F]{2})", r"\\u00\1", body).replace("\\a", "\\u0007").replace("\\v", "\\u000b")
    try:
        return str(json.loads(f'"{body}"', strict=False))
    except ValueError:
        raise GoTemplateError(f"the quoted text {text} has an escape that is not known", line) from None


def _shown(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return repr(line if len(line) <= 40 else line[:40] + "…")
