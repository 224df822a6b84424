"""The lines of a log that fit some words best, as a search engine ranks them (BM25 of SQLite's FTS5)."""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from ostler.model.errors import ArgumentError

_WORD = re.compile(r"\w+")


def best_lines(lines: Sequence[str], words: str, most: int) -> list[str]:
    """Return the `most` lines that fit `words` best, the best first, of equal ones the newest. Blocks.

    A line needs one of the words, or one that begins so; rare words count more than frequent ones.

    Raises:
        ArgumentError: there is no word.
    """
    found = _WORD.findall(words)
    if not found:
        raise ArgumentError(
            ["search needs a word to rank by"], next_actions=("or leave ranked out: then it is a regex",)
        )
    query = " OR ".join(f'"{word}"*' for word in found)
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE VIRTUAL TABLE log USING fts5(line, tokenize = \"unicode61 tokenchars '_'\")")
        database.executemany("INSERT INTO log (line) VALUES (?)", ((line,) for line in lines))
        rows = database.execute(
            "SELECT line FROM log WHERE log MATCH ? ORDER BY round(bm25(log), 6), rowid DESC LIMIT ?", (query, most)
        )
        return [line for (line,) in rows]
