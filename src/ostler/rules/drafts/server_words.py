"""What each tool of a server does and is about, in its own words: without what all its tools are called."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ostler.rules.drafts.lifecycle_words import ACTS, ALSO_NOUNS, ATTRIBUTES, ENDS, FILLERS, LOOKS, STARTS, words_of
from ostler.rules.drafts.tool_traits import Step, Tool

_PREFIX_SHARE = 0.6
_VERB_SHARE = 0.85
_FEWEST_WITH_PREFIX = 4
_FEWEST_OF_FAMILY = 3


class Use(Struct, frozen=True):
    """A step with its verb and its nouns."""

    step: Step
    verb: str
    things: tuple[str, ...]


class ServerWords:
    """The words that the tools of one server share, and the rest of each name.

    Attributes:
        prefix: the words that nearly all tools begin with (`tmux_…`).
        families: first words that several tools share and that are not verbs (`gdb_…` and `lsp_…`).
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        names = [words_of(tool.name) for tool in tools]
        called = [words for words in names if words[-1:] == ("tool",)]
        self._are_called_tools = len(called) >= max(_FEWEST_WITH_PREFIX, _PREFIX_SHARE * len(names))
        self.prefix = _common_prefix(names)
        first = Counter(words[len(self.prefix)] for words in names if len(words) > len(self.prefix) + 1)
        self.families = {word for word, count in first.items() if count >= _FEWEST_OF_FAMILY and not _is_verb(word)}

    def __repr__(self) -> str:
        return f"ServerWords({' '.join(self.prefix)!r}, families {sorted(self.families)})"

    def content(self, step: Step) -> tuple[str, ...]:
        """Return the words of a step without what all tools of the server are called."""
        words = step.words
        if words[: len(self.prefix)] == self.prefix:
            words = words[len(self.prefix) :]
        return tuple(word for word in words if word != "tool") if self._are_called_tools else words

    def verb(self, step: Step, table: Mapping[str, int]) -> str:
        """Return the word of `table` that says what a step does; '' when another word says it."""
        words = step.saying if step.fixed else self.content(step)
        if len(words) > 1 and words[-1] in ATTRIBUTES:
            return ""  # stop_reason, start_time
        if not step.fixed and len(words) > 1 and words[0] in self.families:
            words = words[1:]
        if not words or (words[0] in LOOKS | ACTS and words[0] not in table):
            return ""
        last = len(words) - 1
        places = [0, last, *range(1, last)]
        # a word that may be a noun says what a step does only where no other verb does, and not inside of the name
        for place in sorted(places, key=lambda place: words[place] in ALSO_NOUNS):
            word = words[place]
            if (word in STARTS or word in ENDS) and (word not in ALSO_NOUNS or place in (0, last)):
                return word if word in table else ""
        return ""

    def use(self, step: Step, table: Mapping[str, int]) -> Use:
        """Return a step with its verb in `table`, or else its first word, and its nouns."""
        verb = self.verb(step, table) or (step.saying or ("",))[0]
        things = tuple(word for word in self.content(step) if word != verb and word not in FILLERS)
        return Use(step, verb, things)


def _is_verb(word: str) -> bool:
    return word in STARTS or word in ENDS or word in LOOKS or word in ACTS


def _common_prefix(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the first words that nearly all tools have."""
    prefix: tuple[str, ...] = ()
    while len(names) >= _FEWEST_WITH_PREFIX:
        at = len(prefix)
        counted = Counter(words[at] for words in names if len(words) > at + 1 and words[:at] == prefix)
        word, count = counted.most_common(1)[0] if counted else ("", 0)
        share = _VERB_SHARE if _is_verb(word) else _PREFIX_SHARE
        if count < max(_FEWEST_WITH_PREFIX, share * len(names)):
            break
        prefix = (*prefix, word)
    return prefix
