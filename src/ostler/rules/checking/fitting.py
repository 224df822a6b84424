"""Whether values of a shape fit a JSON Schema: what surely does not, and what may not."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.json import JsonMapping, JsonObject, JsonValue, KeyPath, as_list
from ostler.model.near_names import did_you_mean
from ostler.rules.checking.schemas import kinds_of, resolved
from ostler.rules.checking.shapes import NUMERIC, OBJECT, Shape, bounds, constant, described, kind_of
from ostler.rules.checking.string_formats import fits_format
from ostler.rules.text.patterns import PatternError, compile_pattern, search

_MAX_DEPTH = 16
_WORDS = {
    "string": "text", "integer": "an integer", "number": "a number", "boolean": "a boolean",
    "object": "an object", "array": "a list", "null": "null",
}  # fmt: skip


class Mismatch(Struct, frozen=True):
    """One way in which a value does not fit.

    Attributes:
        message: what does not fit.
        place: where inside the value.
        rule: the rule's id.
        fix: what to write instead, if known.
        is_certain: it never fits, not only for some values.
        at_key: the key at `place` is what is wrong, not its value.
    """

    message: str
    place: KeyPath = ()
    rule: str = "arg-type"
    fix: str = ""
    is_certain: bool = True
    at_key: bool = False


def mismatches(shape: Shape, schema: JsonValue, *, what: str = "it") -> list[Mismatch]:
    """Return why a value of `shape` does not fit `schema`; nothing when it may always fit.

    Args:
        shape: what is known about the value.
        schema: the JSON Schema that it must fit.
        what: how messages call the whole value, such as `the arguments of 'process/start'`.
    """
    root: JsonMapping = cast("JsonMapping", schema) if isinstance(schema, Mapping) else {}
    return _Fitter(root, what).fit(shape, schema, (), 0)


class _Fitter(Struct, frozen=True):
    root: JsonMapping
    what: str

    def fit(self, shape: Shape, schema: JsonValue, place: KeyPath, depth: int) -> list[Mismatch]:
        """Split `shape` by what it may be, and combine: what fails in every way is certain, else it is possible."""
        if schema is False:
            return [Mismatch("no value is allowed here", place)]
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH or (shape.is_any and shape.properties is None):
            return []
        plain = resolved(cast("JsonMapping", schema), self.root)
        shape = shape.there()
        if shape.values is not None and len(shape.values) > 1:
            ways = [constant(value) for value in shape.values]
        else:
            ways = [shape.only(kind) for kind in sorted(shape.kinds, key=_PREFERENCE.index)]
        results = [self._fit_one(way, plain, place, depth) for way in ways]
        failed = [result for result in results if any(found.is_certain for found in result)]
        if not failed:
            return [found for result in results for found in result][:3]
        if len(failed) == len(results):
            return failed[0]
        doubtful: list[Mismatch] = []
        for way, result in zip(ways, results, strict=True):
            if any(found.is_certain for found in result):
                doubtful += [replace(found, message=_may(way, found.message), is_certain=False) for found in result[:1]]
        return doubtful[:3]

    def _fit_one(self, shape: Shape, schema: JsonMapping, place: KeyPath, depth: int) -> list[Mismatch]:
        """Fit a shape of one kind."""
        for key in ("anyOf", "oneOf"):
            options = schema.get(key)
            if isinstance(options, list) and options:
                rest = {name: item for name, item in schema.items() if name not in ("anyOf", "oneOf")}
                found = self._fit_any(shape, cast("list[JsonValue]", options), place, depth)
                return found or self._fit_one(shape, rest, place, depth)
        if isinstance(schema.get("allOf"), list):
            rest = {name: item for name, item in schema.items() if name != "allOf"}
            parts = [rest, *cast("list[JsonValue]", schema["allOf"])]
            return [found for part in parts for found in self.fit(shape, part, place, depth + 1)]
        return self._fit_plain(shape, schema, place, depth)

    def _fit_any(self, shape: Shape, options: Sequence[JsonValue], place: KeyPath, depth: int) -> list[Mismatch]:
        results: list[tuple[bool, int, list[Mismatch]]] = []
        for option in options:
            found = self.fit(shape, option, place, depth + 1)
            if not found:
                return []
            wrong_kind = any(mismatch.rule == "arg-type" and mismatch.place == place for mismatch in found)
            results.append((wrong_kind, sum(mismatch.is_certain for mismatch in found), found))
        wrong_kind, _, best = min(results, key=lambda result: result[:2])
        if wrong_kind and len(options) > 1:
            words = _words_for(kind for option in options for kind in self._kinds(option))
            return [self._kind_mismatch(shape, words, place)] if words else best
        return best

    def _kinds(self, schema: JsonValue) -> frozenset[str]:
        if not isinstance(schema, Mapping):
            return frozenset()
        plain = resolved(cast("JsonMapping", schema), self.root)
        return kinds_of(plain) or frozenset()

    def _fit_plain(self, shape: Shape, schema: JsonMapping, place: KeyPath, depth: int) -> list[Mismatch]:  # noqa: PLR0911
        kind = next(iter(shape.kinds), "null")
        allowed = kinds_of(schema)
        if schema.get("nullable") is True and kind == "null":
            return []
        if allowed is not None and kind not in allowed and ("type" in schema):
            if kind == "number" and "integer" in allowed and shape.values is None:
                message = f"{self._named(place)} must be an integer, and a number may have a fraction"
                return [Mismatch(message, place, fix="use an arg of type integer, or '| int'", is_certain=False)]
            words = _words_for(allowed)
            return [self._kind_mismatch(shape, words, place)]
        values = self._wanted(schema)
        if values is not None:
            found = self._enum(shape, values, place)
            if found:
                return found
        match kind:
            case "string":
                return list(self._text(shape, schema, place))
            case "integer" | "number":
                return list(self._number(shape, schema, place))
            case "object":
                return list(self._object(shape, schema, place, depth))
            case "array":
                return list(self._list(shape, schema, place, depth))
            case _:
                return []

    def _kind_mismatch(self, shape: Shape, wanted: str, place: KeyPath) -> Mismatch:
        fix = ""
        if shape.values is not None and len(shape.values) == 1:
            value = shape.values[0]
            if isinstance(value, str) and "string" not in wanted and wanted != "text":
                fix = _unquoted(value, wanted)
            elif isinstance(value, bool | int | float) and "text" in wanted:
                fix = f'write it in quotes: "{str(value).lower()}"'
        return Mismatch(f"{self._named(place)} must be {wanted}, not {described(shape)}", place, fix=fix)

    def _named(self, place: KeyPath) -> str:
        if not place:
            return self.what
        names = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
        return f"{names!r} of {self.what}"

    @staticmethod
    def _wanted(schema: JsonMapping) -> list[JsonValue] | None:
        if "const" in schema:
            return [schema["const"]]
        values = schema.get("enum")
        return cast("list[JsonValue]", values) if isinstance(values, list) else None

    def _enum(self, shape: Shape, wanted: Sequence[JsonValue], place: KeyPath) -> list[Mismatch]:
        if shape.values is None:
            kinds = {kind_of(value) for value in wanted}
            if shape.kinds & kinds or (shape.kinds <= NUMERIC and kinds & NUMERIC):
                return []
            listed = ", ".join(map(_shown, wanted[:8]))
            return [Mismatch(f"{self._named(place)} must be one of {listed}, not {described(shape)}", place)]
        for value in shape.values:
            if not any(_same(value, item) for item in wanted):
                listed = ", ".join(map(_shown, wanted[:8])) + (", …" if len(wanted) > 8 else "")
                fix = did_you_mean(str(value), [str(item) for item in wanted])
                message = f"{self._named(place)} must be one of {listed}, not {_shown(value)}"
                return [Mismatch(message, place, "arg-value", fix)]
        return []

    def _text(self, shape: Shape, schema: JsonMapping, place: KeyPath) -> Iterator[Mismatch]:
        value = shape.values[0] if shape.values else None
        pattern = schema.get("pattern")
        if isinstance(pattern, str) and not _may_match(pattern, value, shape.prefix):
            shown = _shown(value) if value is not None else f"{shape.prefix!r}…"
            yield Mismatch(f"{self._named(place)} must match {pattern!r}, which {shown} does not", place, "arg-value")
        name = schema.get("format")
        if isinstance(name, str) and isinstance(value, str) and not fits_format(name, value):
            yield Mismatch(f"{self._named(place)} must be a {name}, not {_shown(value)}", place, "arg-value")
        if isinstance(value, str):
            shortest, longest = schema.get("minLength"), schema.get("maxLength")
            if isinstance(shortest, int) and len(value) < shortest:
                message = f"{self._named(place)} must have {shortest} characters or more"
                yield Mismatch(message, place, "arg-value")
            if isinstance(longest, int) and len(value) > longest:
                yield Mismatch(f"{self._named(place)} must have {longest} characters at most", place, "arg-value")

    def _number(self, shape: Shape, schema: JsonMapping, place: KeyPath) -> Iterator[Mismatch]:
        low, high = bounds(shape)
        name = self._named(place)
        checks: tuple[tuple[str, Callable[[float, float], bool], bool, str], ...] = (
            ("minimum", lambda number, limit: number < limit, True, "at least"),
            ("exclusiveMinimum", lambda number, limit: number <= limit, True, "more than"),
            ("maximum", lambda number, limit: number > limit, False, "at most"),
            ("exclusiveMaximum", lambda number, limit: number >= limit, False, "less than"),
        )
        for key, is_outside, is_lower, words in checks:
            limit = schema.get(key)
            if not isinstance(limit, int | float) or isinstance(limit, bool):
                continue
            worst, best = (low, high) if is_lower else (high, low)
            if best is not None and is_outside(best, limit):
                yield Mismatch(f"{name} must be {words} {limit:g}, not {best:g}", place, "arg-value")
            elif worst is not None and is_outside(worst, limit):
                message = f"{name} must be {words} {limit:g}, and may be {worst:g}"
                fix = f"give the arg '{'minimum' if is_lower else 'maximum'}: {limit:g}'"
                yield Mismatch(message, place, "arg-value", fix, is_certain=False)
        step = schema.get("multipleOf")
        if isinstance(step, int) and step and shape.values and all(value % step for value in shape.values):
            yield Mismatch(f"{name} must be a multiple of {step}", place, "arg-value")

    def _object(self, shape: Shape, schema: JsonMapping, place: KeyPath, depth: int) -> Iterator[Mismatch]:
        listed, patterns = _mapping(schema, "properties"), _mapping(schema, "patternProperties")
        more = schema.get("additionalProperties")
        if shape.properties is None:
            return
        for name, item in shape.properties.items():
            if name in listed:
                yield from self.fit(item, listed[name], (*place, name), depth + 1)
            elif any(_may_match(pattern, name, "") for pattern in patterns):
                continue
            elif isinstance(more, Mapping):
                yield from self.fit(item, cast("JsonMapping", more), (*place, name), depth + 1)
            elif more is False or (more is None and "properties" in schema):
                yield self._unknown(name, [*listed], place, [*shape.properties])
        required = schema.get("required")
        if isinstance(required, list) and shape.closed:
            for name in cast("list[JsonValue]", required):
                if isinstance(name, str) and name not in shape.properties:
                    fix = f"add {name!r}" + (f" ({hint})" if (hint := _hint(listed.get(name))) else "")
                    message = f"{self._named(place)} lack{'s' if place else ''} {name!r}, which is required"
                    yield Mismatch(message, place, "missing-arg", fix)

    def _unknown(self, name: str, known: Sequence[str], place: KeyPath, given: Sequence[str]) -> Mismatch:
        close = near(name, [key for key in known if key not in given]) or near(name, known)
        whole = self._named(place)
        fix = f"did you mean {close!r}?" if close else f"known: {', '.join(known[:12]) or 'none'}"
        return Mismatch(f"there is no {name!r} in {whole}", (*place, name), "unknown-arg", fix, at_key=True)

    def _list(self, shape: Shape, schema: JsonMapping, place: KeyPath, depth: int) -> Iterator[Mismatch]:
        items = schema.get("items")
        leading = as_list(schema.get("prefixItems"))
        if shape.elements is not None:
            for index, element in enumerate(shape.elements):
                wanted = leading[index] if index < len(leading) else items
                yield from self.fit(element, wanted, (*place, index), depth + 1)
            least, most = schema.get("minItems"), schema.get("maxItems")
            if isinstance(least, int) and len(shape.elements) < least:
                yield Mismatch(f"{self._named(place)} must have {least} items or more", place, "arg-value")
            if isinstance(most, int) and len(shape.elements) > most:
                yield Mismatch(f"{self._named(place)} must have {most} items at most", place, "arg-value")
        elif shape.items is not None and not leading:
            for found in self.fit(shape.items, items, place, depth + 1):
                yield replace(found, message=f"an item: {found.message}", place=place)


_PREFERENCE = ["object", "array", "string", "integer", "number", "boolean", "null"]


def _mapping(schema: JsonMapping, key: str) -> JsonMapping:
    value = schema.get(key)
    return cast("JsonMapping", value) if isinstance(value, Mapping) else {}


def _words_for(kinds: Iterable[str]) -> str:
    """Return the kinds in words; a number covers an integer."""
    wanted = set(kinds)
    return " or ".join(
        _WORDS[kind] for kind in _PREFERENCE if kind in wanted and not (kind == "integer" and "number" in wanted)
    )


def _may(way: Shape, message: str) -> str:
    if way.is_only("null"):
        return f"{message.removesuffix(', not null')}, and it may be null"
    return f"it may be {described(way)}: {message}"


def _same(one: JsonValue, other: JsonValue) -> bool:
    return (isinstance(one, bool) is isinstance(other, bool)) and one == other


def near(name: str, known: Sequence[str]) -> str | None:
    """Return the name among `known` that was probably meant by `name`, whatever its writing style."""
    flat = {re.sub(r"[^a-z0-9]", "", key.lower()): key for key in known}
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if plain in flat:
        return flat[plain]
    close = difflib.get_close_matches(plain, list(flat), n=1, cutoff=0.6)
    return flat[close[0]] if close else None


def _unquoted(value: str, wanted: str) -> str:
    spelt = value.strip().lower()
    if "boolean" in wanted and spelt in ("true", "false", "yes", "no", "on", "off"):
        return f"write {'true' if spelt in ('true', 'yes', 'on') else 'false'} without quotes"
    if ("integer" in wanted or "number" in wanted) and re.fullmatch(r"-?\d+(\.\d+)?", spelt):
        return "write the number without quotes"
    return ""


def _hint(schema: JsonValue) -> str:
    if not isinstance(schema, Mapping):
        return ""
    plain = cast("JsonObject", schema)
    words = " or ".join(_WORDS[kind] for kind in _PREFERENCE if kind in (kinds_of(plain) or ()))
    description = str(plain.get("description", "")).split("\n")[0][:80]
    return ": ".join(part for part in (words, description) if part)


def _shown(value: JsonValue) -> str:
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


@lru_cache(maxsize=1024)
def _may_match(pattern: str, value: JsonValue, prefix: str) -> bool:
    """Whether a known text matches, or one that begins with `prefix` may; what cannot be judged may."""
    try:
        if isinstance(value, str):
            return search(pattern, value) is not None
        return compile_pattern(pattern).search(prefix, partial=True, timeout=0.2) is not None
    except (PatternError, TimeoutError):
        return True


def object_mismatches(shape: Shape, schema: JsonMapping, what: str) -> list[Mismatch]:
    """Return why the arguments of `shape` do not fit the `schema` of a tool or class."""
    return mismatches(shape if shape.is_only("object") else OBJECT, {"type": "object", **schema}, what=what)
