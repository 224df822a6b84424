"""Bytes written as text, with escapes for those that text has no characters for."""

import re

_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.?))", re.DOTALL)


def bytes_of(text: str) -> bytes:
    """Return the bytes that `text` stands for: UTF-8, with the escapes that `Probe.send` has.

    Raises:
        ValueError: it holds another escape.
    """
    sent, begin = b"", 0
    for found in _ESCAPE.finditer(text):
        sent += text[begin : found.start()].encode()
        begin = found.end()
        if found[1] is not None:
            sent += bytes.fromhex(found[1])
        elif found[2] in _ESCAPES:
            sent += _ESCAPES[found[2]]
        else:
            raise ValueError(f"{found[0]!r} stands for nothing; write \\r, \\n, \\t, \\\\ or \\xHH")
    return sent + text[begin:].encode()
