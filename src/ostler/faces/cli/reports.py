"""What a check found, for people, for programs, and as SARIF for code review tools."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ostler.model.errors import Finding
from ostler.model.json import JsonObject, JsonValue
from ostler.rules.text.rule_table import RULES

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_KEYS = ("message", "file", "line", "column", "rule", "path", "fix", "severity")


def finding_facts(finding: Finding) -> JsonObject:
    """Return a finding's facts that say something."""
    return {name: getattr(finding, name) for name in _KEYS if getattr(finding, name)}


def human_report(findings: Sequence[Finding], summary: str) -> str:
    """Return one or two lines a finding, and the summary."""
    lines: list[str] = []
    for found in findings:
        where = ":".join(str(part) for part in (found.file, found.line, found.column) if part)
        lines.append(f"{where}: {found.severity}: {found.message} [{found.rule}]")
        if found.fix:
            lines.append(f"    {found.fix}")
    return "\n".join([*lines, summary])


def summary_of(findings: Iterable[Finding], classes: Sequence[str], tools: str, projects: int = 0) -> str:
    """Return the last line of the report for people."""
    severities = [finding.severity for finding in findings]
    counts = [(severities.count("error"), "error"), (severities.count("warning"), "warning")]
    counted = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count)
    if counted and not classes and not projects:
        return f"{counted}; nothing could be loaded"
    checked = [f"{len(classes)} class{'' if len(classes) == 1 else 'es'}"] if classes or not projects else []
    if projects:
        checked.append(f"{projects} project{'' if projects == 1 else 's'}")
    return f"{counted or 'no problems'} in {' and '.join(checked)}" + (f" (tools: {tools})" if tools else "")


def sarif_report(findings: Sequence[Finding], version: str) -> JsonObject:
    """Return the findings as a SARIF 2.1.0 log."""
    ids = list(RULES)
    rules: list[JsonValue] = [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.summary},
            "helpUri": f"docs/rules.md#{rule.id}",
            "defaultConfiguration": {"level": rule.severity},
        }
        for rule in RULES.values()
    ]
    driver: JsonObject = {"name": "ostler check", "version": version, "rules": rules}
    results: list[JsonValue] = [_sarif_result(found, ids) for found in findings]
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def _sarif_result(found: Finding, ids: Sequence[str]) -> JsonObject:
    text = f"{found.message}; {found.fix}" if found.fix else found.message
    result: JsonObject = {"ruleId": found.rule, "level": found.severity, "message": {"text": text}}
    if found.rule in ids:
        result["ruleIndex"] = ids.index(found.rule)
    if found.file:
        place: JsonObject = {"artifactLocation": {"uri": _uri(found.file)}}
        if found.line:
            place["region"] = {"startLine": found.line, "startColumn": max(found.column, 1)}
        result["locations"] = [{"physicalLocation": place}]
    return result


def _uri(file: str) -> str:
    """Return the file as code review tools want it: relative to the working folder where it is below it."""
    path = Path(file)
    if not path.is_absolute():
        return path.as_posix()
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_uri()
