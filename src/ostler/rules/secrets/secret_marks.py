"""References to secrets that are kept elsewhere, `${secret:keyring:shop/db}`, and the marks that stand for them.

A mark takes the place of a reference as soon as the file that has it was read, before any template is rendered.
Records, plans and answers hold marks alone; what a mark stands for is put in where a call leaves, and taken out of its
answer. Marks are signed: a text that a tool or a client made up is none, whatever it looks like.
"""

import base64
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from ostler.model.json import JsonMapping, JsonObject, JsonValue, as_list
from ostler.rules.secrets.masking import SHORT_SECRET, spellings

SECRET_KINDS: Final = ("env", "file", "keyring", "command")
"""Where a secret may be."""

SECRET_FORMS: Final = (
    "${secret:env:VAR}, ${secret:file:/whole/path}, ${secret:keyring:SERVICE/ACCOUNT} or ${secret:command:LINE}"  # noqa: S105
)

LIKE_REFERENCE: Final = re.compile(r"\$\{secret:(?P<kind>\w*):?(?P<what>[^}]*)\}")
"""What is meant as a reference, well-formed or not."""

_REFERENCE: Final = re.compile(rf"\$\{{secret:(?:{'|'.join(SECRET_KINDS)}):[^}}]+\}}")
_PREFIX: Final = "ostler-secret."
_MARK: Final = re.compile(r"ostler-secret\.(?P<what>[A-Za-z0-9_-]+)\.(?P<signature>[0-9a-f]{32})")
"""Only characters that need no quoting in a URL, in JSON or in a shell."""


def is_reference(kind: str, what: str) -> bool:
    """Whether `${secret:kind:what}` says where a secret is."""
    match kind:
        case "keyring":
            service, slash, account = what.partition("/")
            return bool(service and slash and account)
        case "file":
            return what.startswith("~/") or Path(what).is_absolute()
        case _:
            return kind in SECRET_KINDS and bool(what.strip())


def reference_problems(value: JsonValue) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield each text in `value` that is meant as a reference and is none: its path, and what it is."""
    if isinstance(value, str):
        for match in LIKE_REFERENCE.finditer(value):
            if not is_reference(match["kind"], match["what"]) or "{{" in match["what"]:
                yield (), match[0]
        return
    for key, part in _parts(value):
        for path, text in reference_problems(part):
            yield (key, *path), text


def references_in(value: JsonValue) -> list[str]:
    """Return the references that are written in `value`."""
    return [match[0] for text in _texts(value) if "${" in text for match in _REFERENCE.finditer(text)]


def marks_in(value: JsonValue) -> frozenset[str]:
    """Return the texts in `value` that look like marks."""
    marked = [text for text in _texts(value) if _PREFIX in text]
    return frozenset(match[0] for text in marked for match in _MARK.finditer(text))


def with_references(value: JsonValue) -> JsonValue:
    """Return `value` with its references where marks are, for someone who may see all that is known here."""
    return _each_text(value, lambda text: _MARK.sub(lambda match: _meant(match) or match[0], text))


class SecretMarks:
    """Makes marks, and knows those that it has made.

    Args:
        key: signs them.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "SecretMarks()"

    def marked(self, value: JsonObject) -> JsonObject:
        """Return `value` with a mark where a reference is."""
        found = _each_text(value, lambda text: _REFERENCE.sub(lambda match: self._mark(match[0]), text))
        return cast("JsonObject", found)

    def reference_of(self, mark: str) -> str | None:
        """Return what a mark stands for; None for a text that was not made here."""
        match = _MARK.fullmatch(mark)
        reference = _meant(match) if match else None
        return reference if reference and hmac.compare_digest(self._mark(reference), mark) else None

    def _mark(self, reference: str) -> str:
        what = base64.urlsafe_b64encode(reference.encode()).decode().rstrip("=")
        return f"ostler-secret.{what}.{hmac.digest(self._key, reference.encode(), 'sha256').hex()[:32]}"


def filled(value: JsonValue, secrets: Mapping[str, str]) -> JsonValue:
    """Return `value` with the secrets where their marks are."""
    return _each_text(value, lambda text: _MARK.sub(lambda match: secrets.get(match[0], match[0]), text))


class Seal:
    """Puts marks where secrets are, as each looks in a text, in JSON and in a URL.

    One that is too short to be found in a text is replaced where it is the whole value.

    Args:
        secrets: the secrets by their marks.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._whole = {secret: mark for mark, secret in secrets.items()}
        found = ((part, mark) for secret, mark in self._whole.items() for part in spellings(secret))
        self._parts = {part: mark for part, mark in found if len(part) >= SHORT_SECRET}
        longest_first = sorted(self._parts, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def __call__(self, value: JsonValue) -> JsonValue:
        """Return `value` without the secrets."""
        return _each_text(value, self._without) if self._whole else value

    def _without(self, text: str) -> str:
        return self._whole.get(text) or self._pattern.sub(lambda match: self._parts[match[0]], text)


def _meant(match: re.Match[str]) -> str | None:
    what = match["what"]
    try:
        return base64.urlsafe_b64decode(what + "=" * (-len(what) % 4)).decode()
    except ValueError:
        return None


def _parts(value: JsonValue) -> list[tuple[str | int, JsonValue]]:
    if isinstance(value, Mapping):
        return list(cast("JsonMapping", value).items())
    return list(enumerate(as_list(value)))


def _texts(value: JsonValue) -> list[str]:
    """Return the texts in `value`, the outer ones first; each call of a tool is looked through."""
    texts: list[str] = []
    parts = [value]
    for part in parts:  # it grows
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, list):
            parts += cast("list[JsonValue]", part)
        elif isinstance(part, dict) or (part is not None and isinstance(part, Mapping)):
            parts += cast("JsonMapping", part).values()
    return texts


def _each_text(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _each_text(part, change) for key, part in cast("JsonMapping", value).items()}
    return [_each_text(part, change) for _, part in _parts(value)] if isinstance(value, list) else value
