"""What a name that does not exist may have been meant to be."""

import difflib
from collections.abc import Sequence


def hint_at(name: str, known: Sequence[str]) -> str:
    """Return `; did you mean 'x' or 'y'?` with the names of `known` that are like `name`, or nothing."""
    close = difflib.get_close_matches(name, known, n=3)
    if not close and "." not in name:  # a short name of a project's service
        first = {each: each.partition(".")[0] for each in known}
        labels = difflib.get_close_matches(name, list(dict.fromkeys(first.values())), n=3)
        close = [each for each, label in first.items() if label in labels][:3]
    return f"; did you mean {' or '.join(repr(each) for each in close)}?" if close else ""
