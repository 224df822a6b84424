"""The official conformance suite, and which of its scenarios apply to a server that has its own tools."""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REVISIONS = ("2025-11-25", "2026-07-28")

_OF_THE_SUITE = re.compile(r"test_|test://|Not testable|json_schema_2020_12_tool", re.IGNORECASE)
"""In the message of a check that needs a tool, prompt or resource of the suite's own test server."""

NOT_OFFERED = {  # whatever fails there is excused, so only what is never offered may stand here
    "logging-set-level": "logging is deprecated; Ostler does not offer it",
    "tools-call-with-logging": "logging is deprecated; Ostler does not offer it",
    "tasks-": "the extension Tasks is not offered",
    # Both call a tool of the suite's own, and say only that the answer is not what that tool gives.
    "input-required-result-multi-round": "needs the suite's own test tools, prompts or resources",
    "input-required-result-tampered-state": "needs the suite's own test tools, prompts or resources",
}


def run(node: Path, npm: Path, url: str) -> str:
    """Run the scenarios that each revision requires, and return the table."""
    suite = npm / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    lines = ["| scenario | " + " | ".join(REVISIONS) + " |", "| --- " * (len(REVISIONS) + 1) + "|"]
    results = {revision: dict(_scenarios(node, suite, url, revision)) for revision in REVISIONS}
    for scenario in dict.fromkeys(name for found in results.values() for name in found):
        cells = [results[revision].get(scenario, "not of this revision") for revision in REVISIONS]
        lines.append(f"| `{scenario}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _scenarios(node: Path, suite: Path, url: str, revision: str) -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        words = [str(node), str(suite), "server", "--url", url, "--requirements", revision, "-o", folder]
        subprocess.run(words, check=False, capture_output=True, timeout=600)
        for result in sorted(Path(folder).glob("server-*/checks.json")):
            name = re.sub(r"^server-(.*)-\d{4}-\d\d-\d\dT.*$", r"\1", result.parent.name)
            yield name, _verdict(name, json.loads(result.read_text()))


def _verdict(scenario: str, checks: list[dict[str, Any]]) -> str:
    failed = [str(check.get("errorMessage") or check["id"]) for check in checks if check["status"] == "FAILURE"]
    passed = sum(check["status"] == "SUCCESS" for check in checks)
    if not failed:
        return f"passes ({passed})" if passed else "nothing that applies"
    for prefix, reason in NOT_OFFERED.items():
        if scenario.startswith(prefix):
            return f"not applicable: {reason}"
    ours = [message for message in failed if not _OF_THE_SUITE.search(message)]
    if ours:
        return f"**fails**: {ours[0][:200]}".replace("|", "/").replace("\n", " ")
    needs = "needs the suite's own test tools, prompts or resources"
    return f"passes ({passed}), the rest {needs}" if passed > 1 else f"not applicable: {needs}"
