"""What is committed works anywhere: it names no package registry's host, no machine's folders, and holds no secret."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FORBIDDEN = {
    "a package registry's host (resolve by name, and let each machine's settings say from where)": re.compile(
        r"\b(?:(?:test\.|files\.)?py(?:pi|thonhosted)|registry\.(?:npmjs|yarnpkg)|(?:static\.|index\.)?crates"
        r"|proxy\.golang|repo\d?\.maven|registry-1\.docker)\.(?:org|io|com)\b"
    ),
    "a folder of one machine": re.compile(
        r"(?<![\w.~-])/(?:root|home/(?!(?:you|user|ada|ann)\b)\w+|Users/(?!(?:you|ada)\b)\w+|work)/\w"
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an access token": re.compile(
        r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,}|glpat-[\w-]{20}|xox[abpr]-[\w-]{10,}"
        r"|sk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,})"
    ),
}


def committed_files() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_committed_files_do_not_hold(what: str) -> None:
    found: list[str] = []
    for path in committed_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        for match in FORBIDDEN[what].finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path.relative_to(ROOT)}:{line}: {match.group()[:12]}…")
    assert not found, what


def test_locks_are_those_that_name_no_registry() -> None:
    names = {path.name for path in committed_files()}
    assert "requirements.lock" in names
    assert "uv.lock" not in names, "uv.lock names its registry; requirements.lock is the lock"
