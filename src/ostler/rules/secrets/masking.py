"""Keeping secrets out of everything that is shown, and keeping what is shown short.

Mask first, then shorten: a secret that was cut in half is no longer recognised.
"""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import cast
from urllib.parse import quote, quote_plus

from msgspec.structs import replace

from ostler.model.credentials import credential_places, is_secret_name, secrets_in_arguments, secrets_in_environment
from ostler.model.json import JsonMapping, JsonObject, JsonValue, as_texts, encoded
from ostler.model.late_patterns import late_pattern
from ostler.model.manifest import ArgSpec
from ostler.model.responses import ToolResponse
from ostler.model.servers import MASK, MIN_SECRET_LENGTH

SHORT_SECRET = 4
"""A secret with fewer characters is only masked if it is a whole value: it would be found in any text."""

_LINE_SECRET = 8

_MOST_CREDENTIALS = 200
"""Credentials in args that are masked though no one declared them: each is looked for in every text."""

_MOST_WORDS = 1000
_PASSWORD_OPTIONS = frozenset({"-a", "-p", "-P", "-w"})
_LETTER_OPTION = len("-p")

_SECRET_KEY = late_pattern(
    r"pass(word|wd|phrase)?$|token$|secret|api_?key|authorization|credential|private_?key", re.IGNORECASE
)


_SIGNED_IN_URL = late_pattern(r"[a-z][a-z0-9+.-]*://([^\s/:@]*:[^\s/@]+)@", re.IGNORECASE)

_LIKELY_SECRET = late_pattern(
    r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)"
    r"|(?P<key>\b[\w-]*(?:pass(?:word|wd|phrase)?|token|secret|api_?key|credential|private_?key)[\"']?\s*[=:]\s*)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&]+)",
    re.IGNORECASE,
)


def without_likely_secrets(text: str) -> str:
    """Return a line without what looks like a secret.

    That is a password in a URL, a value whose key says that it is one, and what has the form of a known kind of key.
    For texts whose secrets are not known any more, such as the log of a service that was removed.
    """
    text = _LIKELY_SECRET.sub(lambda found: f"{found['before'] or found['key']}{MASK}", text)
    shown, end = "", 0
    for begin, upto in sorted(credential_places(text)):
        if MASK in text[begin:upto]:
            continue  # what is left of it, such as its quotes, stays
        if begin >= end:  # else it begins inside of the one before
            shown += text[end:begin] + MASK
        end = max(end, upto)
    return shown + text[end:]


def secret_strings(specs: Mapping[str, ArgSpec], args: JsonMapping) -> frozenset[str]:
    """Return every text that must not be shown: what the secret args hold, nested, and numbers as text.

    Of a URL with a password, who signs in is one of them, too: other URLs are made from it. Of the other args it is
    what is a credential by the name that it goes by in a command line or an environment.
    """
    secret = {name for name in args if name in specs and specs[name].secret}
    held = strings_in([args[name] for name in secret])
    signed_in = {found[1] for text in held for found in _SIGNED_IN_URL.finditer(text)}
    return held | signed_in | _credentials([value for name, value in args.items() if name not in secret])


def _credentials(values: list[JsonValue]) -> frozenset[str]:
    """Return the credentials in command lines and environments, without those that are also words in plain sight."""
    words = as_texts(values)
    for value in values:
        words += as_texts(value)
    found = Counter(secrets_in_arguments(words, by_looks=False))
    for value in values:
        if isinstance(value, Mapping):
            named = {name: item for name, item in cast("JsonMapping", value).items() if isinstance(item, str)}
            found.update(secrets_in_environment(named, by_looks=False))
    credentials = list(found)[:_MOST_CREDENTIALS]
    seen = "\n".join(strings_in(values)) if credentials else ""
    telling = {one for one in credentials if len(one) >= MIN_SECRET_LENGTH and seen.count(one) <= found[one]}
    common = set(credentials) - telling
    return frozenset(telling.union(_in_place(values, common)) if common else telling)


def _in_place(values: list[JsonValue], credentials: set[str]) -> Iterator[str]:
    """Yield `credentials` that would be found in any text with what they stand in: `--pin 1234`, `-p1234`, `PIN=1234`.

    An option and its value, or a variable and its value, are also found as neighbours in a list and in an object.
    """
    for value in values:
        if isinstance(value, Mapping):
            for name, item in cast("JsonMapping", value).items():
                if isinstance(item, str) and is_secret_name(name) and item in credentials:
                    yield f"{name}={item}"
                elif isinstance(item, str):
                    yield from _words_in_place(item.split(maxsplit=_MOST_WORDS), credentials)
        elif isinstance(value, list):
            texts = as_texts(cast("list[JsonValue]", value)[:_MOST_WORDS])
            yield from _words_in_place(texts, credentials)
            for text in texts:
                yield from _words_in_place(text.split(maxsplit=_MOST_WORDS), credentials)
        elif isinstance(value, str):
            yield from _words_in_place(value.split(maxsplit=_MOST_WORDS), credentials)


def _words_in_place(words: list[str], credentials: set[str]) -> Iterator[str]:
    previous = ""
    for word in words:
        bare = word.strip("\"'")
        if bare in credentials:
            if previous.startswith("-") and (is_secret_name(previous) or previous in _PASSWORD_OPTIONS):
                yield f"{previous} {word}"
        elif len(word.split(maxsplit=1)) == 1 and (
            not credentials.isdisjoint(secrets_in_arguments([word], by_looks=False))
            or (word.startswith("-") and bare[_LETTER_OPTION:] in credentials)
        ):
            yield word
        previous = word


def secrets_by_key(value: JsonValue) -> frozenset[str]:
    """Return the texts under keys that sound like secrets, wherever they are in `value`."""
    found: set[str] = set()
    if isinstance(value, Mapping):
        for key, item in cast("JsonMapping", value).items():
            found |= strings_in(item) if _SECRET_KEY.search(key) else secrets_by_key(item)
    elif isinstance(value, list):
        for item in cast("list[JsonValue]", value):
            found |= secrets_by_key(item)
    return frozenset(found - {MASK})


def credentials_in(value: JsonValue) -> frozenset[str]:
    """Return the credentials anywhere in a configuration: in each object as variables, in each list as arguments."""
    parts: list[JsonValue] = []
    found: list[str] = []
    if isinstance(value, Mapping):
        fields = cast("JsonMapping", value)
        parts = list(fields.values())
        found += secrets_in_environment({name: item for name, item in fields.items() if isinstance(item, str)})
    elif isinstance(value, list):
        parts = cast("list[JsonValue]", value)
        found += secrets_in_arguments(as_texts(parts))
    return frozenset(found).union(*(credentials_in(part) for part in parts))


def strings_in(value: JsonValue) -> frozenset[str]:
    """Return every non-empty text in `value`, nested, and every number as text; keys, booleans and nulls not."""
    if isinstance(value, Mapping):
        return frozenset[str]().union(*(strings_in(item) for item in cast("JsonMapping", value).values()))
    if isinstance(value, list | tuple):
        return frozenset[str]().union(*(strings_in(item) for item in cast("list[JsonValue]", value)))
    text = _scalar_text(value)
    return frozenset({text}) if text else frozenset()


def mask(value: JsonValue, secrets: Collection[str], *, known: Collection[str] = ()) -> JsonValue:
    """Return `value` with every secret replaced by `***`, in texts, numbers and keys, at any depth.

    A secret is also recognised as it looks inside JSON text or a URL, and a long one of several lines by each line.
    One shorter than `SHORT_SECRET` is replaced if it is a whole value, and so is one of the texts `known`: words
    that everyone sees anyway, such as a password that is the name of its project. Names and paths stay readable so.
    """
    if not secrets:
        return value
    return _Masker(secrets, known).mask(value)


def shorten(value: JsonValue, limit: int) -> JsonValue:
    """Return `value` itself when it takes at most `limit` characters, else the beginning of its text and its size.

    Args:
        value: what is to be shown, already masked.
        limit: the most characters of the result (of its JSON, when it is not a text).
    """
    if not isinstance(value, str) and 2 * len(encoded(value)) <= limit:
        return value  # a space behind each comma and colon makes it no more than twice as long
    text = value if isinstance(value, str) else _AS_TEXT(value)
    if len(text) <= limit:
        return value
    tail = f"… ({len(text)} characters)"
    return text[: max(0, limit - len(tail))] + tail[:limit]


def short_json(value: JsonValue, limit: int) -> str:
    """Return `value` as JSON of about `limit` characters, shortened as `shorten` does."""
    shown = shorten(value, limit)
    if isinstance(shown, str) and not isinstance(value, str):
        return shown
    return json.dumps(shown, ensure_ascii=False)


_AS_TEXT = json.JSONEncoder(ensure_ascii=False, default=str).encode


class _Masker:
    def __init__(self, secrets: Collection[str], known: Collection[str]) -> None:
        self._whole = frozenset(secret for secret in secrets if secret)
        parts = (part for secret in self._whole for part in spellings(secret))
        parts = {part for part in parts if len(part) >= SHORT_SECRET and part not in known}
        self._parts = sorted(parts, key=len, reverse=True)

    def mask(self, value: JsonValue) -> JsonValue:
        if isinstance(value, Mapping):
            return self._object(cast("JsonMapping", value))
        if isinstance(value, list | tuple):
            return self._list(cast("list[JsonValue]", value))
        if value is None or isinstance(value, bool):
            return value
        text = _scalar_text(value)
        masked = self._text(text)
        return value if masked == text else masked

    def _object(self, value: JsonMapping) -> JsonObject:
        masked: JsonObject = {}
        for key, item in value.items():
            shown = self._text(key)
            while shown in masked:
                shown += "'"
            masked[shown] = MASK if isinstance(item, str) and f"{key}={item}" in self._whole else self.mask(item)
        return masked

    def _list(self, value: Sequence[JsonValue]) -> list[JsonValue]:
        masked: list[JsonValue] = []
        previous: JsonValue = None
        for item in value:
            is_pair = isinstance(previous, str) and isinstance(item, str) and f"{previous} {item}" in self._whole
            masked.append(MASK if is_pair else self.mask(item))
            previous = item
        return masked

    def _text(self, text: str) -> str:
        if text in self._whole:
            return MASK
        spans: list[tuple[int, int]] = []
        for part in self._parts:
            begin = text.find(part)
            while begin >= 0:
                spans.append((begin, begin + len(part)))
                begin = text.find(part, begin + 1)
        if not spans:
            return text
        masked = _cut(text, sorted(spans))
        # Only a secret with asterisks in it can still be there, put together by the masks themselves.
        return MASK if any(part in masked and part not in MASK for part in self._parts) else masked


def _cut(text: str, spans: list[tuple[int, int]]) -> str:
    """Replace each run of overlapping `spans` by one mask, so that no rest of a secret stays between two."""
    pieces: list[str] = []
    done = 0
    covered = -1
    for begin, end in spans:
        if begin > covered:
            pieces += [text[done:begin], MASK]
        covered = max(covered, end)
        done = covered
    return "".join(pieces) + text[done:]


def spellings(secret: str) -> set[str]:
    """Return how `secret` looks in a text, inside JSON, in source and in a URL, and a long one's lines."""
    found = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }
    with contextlib.suppress(UnicodeEncodeError):  # a lone surrogate has no URL form
        found |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    if len(secret) >= _LINE_SECRET:
        found |= {line.strip() for line in secret.splitlines() if len(line.strip()) >= _LINE_SECRET}
    return found


def _scalar_text(value: JsonValue) -> str:
    if value is None or isinstance(value, bool):
        return ""
    return value if isinstance(value, str) else str(value)


def masked_response(response: ToolResponse, secrets: Collection[str]) -> ToolResponse:
    """Return an answer of a tool with `secrets` masked in all its parts."""
    return changed_response(response, lambda part: mask(part, secrets)) if secrets else response


def changed_response(response: ToolResponse, change: Callable[[JsonValue], JsonValue]) -> ToolResponse:
    """Return an answer with `change` applied to all its parts."""
    return replace(
        response,
        value=change(response.value),
        text=str(change(response.text)),
        content=tuple(cast("JsonObject", change(block)) for block in response.content),
        structured=change(response.structured),
    )
