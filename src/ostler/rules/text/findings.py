"""What is wrong with one document: the rules that it violates, and the findings that people see."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.errors import Finding
from ostler.model.json import KeyPath
from ostler.rules.text.rule_table import RULES
from ostler.rules.text.yaml_source import Document


class Violation(Struct, frozen=True):
    """A rule that a part of a document violates.

    Attributes:
        path: where the part is.
        rule: the rule's id.
        message: what is wrong, in one sentence.
        fix: what to write instead, if known.
        at_key: it is about the key that ends `path`, not about its value.
        line: the 1-based line of the text at `path` that it is about; 0 for the whole value.
        is_certain: it can never work, not only in some cases.
    """

    path: KeyPath
    rule: str
    message: str
    fix: str = ""
    at_key: bool = False
    line: int = 0
    is_certain: bool = True

    def below(self, path: KeyPath) -> "Violation":
        """Return the violation of a part as that of the whole which has the part at `path`."""
        return replace(self, path=(*path, *self.path))


class Findings:
    """Collects what is found in one document. How serious a finding is, the rule table says."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: dict[Finding, Finding] = {}

    def __repr__(self) -> str:
        return f"Findings({self._document.file!r}, {len(self._found)} found)"

    def add(self, violations: Iterable[Violation]) -> None:
        """Note each violation, those that are the same once."""
        for violation in violations:
            found = finding_of(violation, self._document)
            self._found.setdefault(_as_shown(found), found)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found.values())

    @property
    def errors(self) -> list[Finding]:
        """What keeps the document, or a part of it, from ever working."""
        return [finding for finding in self if finding.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """What need not fail."""
        return [finding for finding in self if finding.severity != "error"]


def finding_of(violation: Violation, document: Document) -> Finding:
    """Return the violation with its place in `document` and the severity of its rule."""
    path = violation.path
    if violation.line:
        line, column = document.locate_line(path, violation.line)
    else:
        line, column = document.locate_key(path) if violation.at_key else document.locate(path)
    severity = RULES[violation.rule].severity_of(is_certain=violation.is_certain)
    return Finding(
        violation.message, document.file, line, column, violation.rule, dotted(path), violation.fix, severity
    )


def by_place(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings in the order of the text, those that look the same once."""
    once = {_as_shown(finding): finding for finding in findings}
    return sorted(once.values(), key=lambda finding: (finding.line, finding.column, finding.rule))


def _as_shown(finding: Finding) -> Finding:
    """Return the finding without its path: a value that an alias repeats has several, and is written once."""
    return finding._replace(path="") if finding.line else finding


def dotted(path: Sequence[str | int]) -> str:
    """Return `path` as people write it: `spec.dependencies[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
