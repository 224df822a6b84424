"""The port at which a program's own source says that it listens."""

import re
from typing import NamedTuple

_ENTRY = re.compile(r"(?:^|\s)(?:\./)?([\w.-][\w./-]*\.(?:[cm]?[jt]sx?|py|go))(?=\s|$)")
_GO_RUN = re.compile(r"\bgo run (\S+)")
_READS = re.compile(r"(?<!\w)PORT\b")
_COMMENT = re.compile(r"(?m)^[ \t]*(?://|#).*$")
_DEFAULT = re.compile(r"(?<!\w)PORT\b['\"`\])]*\s*(?:\?\?|\|\||,|\bor\b)\s*['\"`]?(\d{2,5})\b")
_GO_DEFAULT = re.compile(r"(?i)Getenv\(\"PORT\"\)(?s:.{0,80}?)\bport\s*:?=\s*\":?(\d{2,5})\"")
_FIXED = re.compile(
    r"""
    \.listen\(\s*(?P<listen>\d{2,5})\b
    | \b(?:serve|listen)\(\s*(?:[\w.]+\s*,\s*)?\{[^{}]*?\bport:\s*(?P<option>\d{2,5})\b
    | \bexport\s+default\s*\{[^{}]*?\bport:\s*(?P<exported>\d{2,5})\b
    | \b(?:const|let|var)\s+(?P<name>\w*port)\b[^=\n]*=\s*(?P<named>\d{2,5})\b
    | (?:\.run(?:_app)?|\bserve)\((?:[^()]|\([^()]*\))*?\bport\s*=\s*(?P<run>\d{2,5})\b
    | (?:\bmake_server\(\s*|(?:HTTP|TCP)Server\(\s*\(\s*)['"][^'"]*['"]\s*,\s*(?P<bound>\d{2,5})\b
    | \bListenAndServe(?:TLS)?\(\s*\"[\w.]*:(?P<go>\d{2,5})\"
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TAKES = r"(?i)\.listen\(\s*{0}\b|\b(?:serve|listen)\((?s:[^;]*?)(?:\bport:\s*{0}\b|[{{,]\s*{0}\s*[,}}])"
"""How a named number is listened at."""


class SourcePort(NamedTuple):
    """Where a program listens, by its source.

    Attributes:
        port: the port.
        line: the line that says so.
        is_fixed: it takes no other one; else the variable PORT overrides it.
    """

    port: int
    line: int
    is_fixed: bool


def entry_of(line: str) -> str:
    """Return the file with which the program that a command line runs begins; empty if the line names none or several.

    Args:
        line: the command.
    """
    if run := _GO_RUN.search(line):
        package = run[1].removeprefix("./").strip("/")
        return package if package.endswith(".go") else "/".join(filter(None, (package.strip("."), "main.go")))
    files = _ENTRY.findall(line)
    return files[0] if len(files) == 1 else ""


def source_port(text: str) -> SourcePort | None:
    """Return where a program listens, if its source shows that in one of the usual ways.

    Args:
        text: the file with which it begins.
    """
    text = _COMMENT.sub("", text)
    if _READS.search(text):
        found = _DEFAULT.search(text) or _GO_DEFAULT.search(text)
        return SourcePort(int(found[1]), _line(text, found.start(1)), is_fixed=False) if found else None
    for found in _FIXED.finditer(text):
        said = next(key for key, value in found.groupdict().items() if value and key != "name")
        if said != "named" or re.search(_TAKES.format(re.escape(found["name"])), text):
            return SourcePort(int(found[said]), _line(text, found.start(said)), is_fixed=True)
    return None


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
