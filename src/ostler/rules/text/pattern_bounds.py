"""How large a regular expression becomes when it is compiled, known before it is.

`regex` writes out what must repeat (`(?:ab){1000}` takes a thousand copies), and it does so before any limit of time
or memory could stop it. Its parser writes out nothing, so the size is counted in the parser's tree. The parser is no
public part of `regex`; this is the only module that knows it.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

import regex
from regex import _regex_core as core  # pyright: ignore[reportMissingTypeStubs, reportPrivateUsage]

MAX_REPEAT: Final = 10_000
"""The largest count that a repetition may name."""

MAX_SIZE: Final = 20_000
"""The largest size of an expression once its repetitions are written out, in elements; each takes some 270 bytes."""

_core = cast("Any", core)
_REPEATS: Final = (_core.GreedyRepeat, _core.LazyRepeat, _core.PossessiveRepeat)
_CALLS: Final = (_core.CallGroup, _core.CallRef)


def compiled_size(pattern: str) -> int:
    """Return how many elements `pattern` has once its repetitions are written out; 0 when it does not parse.

    A repetition counts with its larger count, and with its smaller one when it has no end. Repetitions inside
    repetitions multiply.

    Raises:
        ValueError: it is not bounded: a count above `MAX_REPEAT`, a size above `MAX_SIZE`, or an expression that calls
            itself. The text says which.
    """
    flags = 0
    while True:
        source, info = _core.Source(pattern), _core.Info(flags, str)
        source.ignore_space = bool(info.flags & regex.VERBOSE)
        try:
            tree = _core._parse_pattern(source, info)  # noqa: SLF001 (said above)
        except _core._UnscopedFlagSet:  # noqa: SLF001 (flags that count from the beginning; regex parses again, too)
            flags = info.global_flags
        except (regex.error, ValueError):
            return 0  # compiling it says what is wrong
        else:
            return _size(tree)


def _size(node: Any) -> int:
    if isinstance(node, _CALLS):
        raise ValueError("it calls itself or one of its groups ((?R), (?1), (?&name)); write the repetition out")  # noqa: TRY004 (no wrong type)
    size = len(node.characters) if isinstance(node, _core.String) else sum(map(_size, _parts(node))) or 1
    if isinstance(node, _REPEATS):
        count = _count(node)
        if count > MAX_REPEAT:
            raise ValueError(f"it repeats {count} times, more than {MAX_REPEAT}")
        size *= max(count, 1)
    if size > MAX_SIZE:
        raise ValueError(
            f"its repetitions make {size} elements of it, more than {MAX_SIZE}; "
            "counts inside counts multiply, as in (a{1000}){1000}"
        )
    return size


def _count(repeat: Any) -> int:
    return int(repeat.min_count if repeat.max_count is None else repeat.max_count)


def _parts(node: Any) -> Iterator[Any]:
    """Yield what `node` is made of, also the items of a set of characters: each copy of a set has them all."""
    for value in cast("dict[str, Any]", vars(node)).values():
        values = cast("Iterable[Any]", value) if isinstance(value, list | tuple) else (value,)
        yield from (part for part in values if isinstance(part, _core.RegexBase))
