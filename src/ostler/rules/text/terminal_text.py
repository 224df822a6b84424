"""Foreign text for a terminal, without control sequences that a terminal would obey."""

from typing import Final

from ostler.model.late_patterns import late_pattern

_SEQUENCE: Final = late_pattern(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, modes
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\x9d]*(?:\x07|\x1b\\|\x9c)"  # OSC: title, clipboard, links
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
"""What a terminal acts on, in the 7-bit and the 8-bit form; tabs and line ends are text."""

_MISLEADING: Final = late_pattern(r"[\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What shows text in another order than it has, and halves of characters, which no encoding can write."""

_NOT_IN_JSON: Final = late_pattern(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON may hold as it is, though a terminal acts on it."""


def without_control(text: str) -> str:
    """Return `text` without ANSI sequences and control characters, tabs and line ends excepted."""
    return _SEQUENCE.sub("", text)


def shown_text(text: str) -> str:
    """Return `text` as a terminal may get it: without control, and with a mark for what misleads the eye."""
    return _MISLEADING.sub("\ufffd", without_control(text))


def shown_json(text: str) -> str:
    """Return the JSON text `text` with escapes for what a terminal would obey; it means the same."""
    return _NOT_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
