"""Sentences that say that something does not exist: `Session s6 not found`, `No process with PID 4711`."""

import re
from typing import Final

from ostler.model.late_patterns import late_pattern
from ostler.rules.text.statements import is_sentence

_HEAD: Final = r"\W*(?:(?:error|warning|info)\b\W*)?"
_ABOUT: Final = r"for|from|in|of|on|by|to|new|more|outputs?|data|logs?|changes?|errors?|problems?|updates?|results?"
_KIND: Final = rf"(?:[ :#=]+(?!(?:{_ABOUT})\b)[\w-]+){{0,4}}?[ :#='\"`(]+"
_TAIL: Final = r"(?:[ ,]+(?:any ?more|currently|yet|with|by|at|after|on|since)\b.*|\s*\(.*|\W*[.!] .*)?\W*"
_THERE: Final = r"(?:found|exists?|existing|known|running|active|open|alive|available)"
_ENDED: Final = (
    r"(?:exited|ended|terminated|stopped|finished|closed|killed|crashed|died|gone|dead|deleted|removed|destroyed)"
)
_NO: Final = (
    r"(?:there (?:is|was) )?(?:no|unknown|not found|(?:could not|couldn.t|cannot|can.t|did not|unable to) find)"
)
_NOT: Final = r"(?:(?:was|is|does|could|can|has) )?(?:not|no longer) (?:be )?"
_OF_KIND: Final = r"(?:the )?(?:[\w-]+[ :#=]+){0,4}?\W?"
_FORMS: Final = tuple(
    late_pattern(_HEAD + form + _TAIL, re.IGNORECASE)
    for form in (
        rf"{_NO}{_KIND}IT\W*{_THERE}?",
        rf"{_OF_KIND}IT\W*{_NOT}{_THERE}",
        rf"{_OF_KIND}IT\W*(?:(?:was|is|has|been|already) )*{_ENDED}",
    )
)
"""Sentences about `IT`, which stands for what the thing is called."""

_SHORTEST: Final = 2
"""Characters of a name that stands for itself in a sentence."""


def says_missing(text: str, name: str) -> bool:
    """Return whether `text` is one sentence, and says that `name` does not exist, or has ended."""
    said = text.strip()
    if not is_sentence(said) or len(name) < _SHORTEST:
        return False
    said, count = re.subn(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "IT", said)
    return count == 1 and any(form.fullmatch(said) for form in _FORMS)
