"""What servers say in words: that a tool failed, that nothing is there, that a thing has ended."""

PROSE_ERROR = (
    r"""(?i)\A\W*(?:error|failed|failure|exception|could not|cannot|unable to)\b"""
    r"""|["'](?:status|state)["']\s*:\s*["'](?:error|failed)|["'](?:success|ok)["']\s*:\s*false"""
    r"""|["']error["']\s*:\s*["'{]"""
)
"""Finds an answer that says in words or in a field that it failed, though it is not marked as an error."""

ENDED_WORDS = (
    "stopped|exited|closed|failed|dead|killed|completed|finished|terminated|errored|error|crashed|inactive|cancell?ed"
    "|aborted|offline|disconnected|not[_ -]?found|destroyed|deleted|removed|gone|shut ?down|fatal"
)
"""Words for the state of something that has ended."""

FALSE_LIFE = r"""["'](?:is_?)?(?:running|alive)["']\s*:\s*false\b"""
"""Finds a flag that says that a thing does not live."""

_NOT_CONNECTED = r"\A\W*(?:result\W+)?not connected\b"
NOT_CONNECTED = rf"(?i){_NOT_CONNECTED}"
"""Finds an answer that begins with the words that there is no connection (`Not connected to any kernel`)."""

NOTHING_THERE = (
    r"""(?i)\b(?:not found|no such|does(?: not|n't) exist|not running|not open|no active|not active)\b"""
    r"|\balready (?:stopped|closed|ended)\b"
    rf"|{_NOT_CONNECTED}"
)
"""Finds an answer that says in words that there is nothing to act on."""

PROSE_GONE = (
    rf"""{NOTHING_THERE}"""
    r"""|\bhas (?:exited|ended|stopped)\b"""
    rf"""|\b(?:state|status)["']?\s*[:=]\s*["']?(?:{ENDED_WORDS})\b"""
    rf"""|{FALSE_LIFE}"""
)
"""Finds an answer that says in words that the thing does not exist."""
