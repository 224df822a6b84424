"""docs/rules.md: every rule is explained, and its examples do what the page says."""

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ostler.adapters.config.class_files import ClassFiles
from ostler.adapters.config.paths import class_files_in
from ostler.adapters.config.tool_files import shipped_tools
from ostler.model.manifest import ServiceClass
from ostler.rules.reading import check_text, load_manifests
from ostler.rules.text.rule_table import RULES
from ostler.rules.text.yaml_source import MAX_TEXT, read_documents

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
TOOLS = shipped_tools()
OF_FILES = ("too-large", "unreadable", "encoding", "duplicate-class", "shadowed-class")
"""Rules about whole files, which an example in a page cannot show; the last test breaks each."""


@cache
def shipped_classes() -> dict[str, ServiceClass]:
    return {
        loaded.service_class.name: loaded.service_class
        for file in class_files_in(ROOT / "serviceclasses")
        for loaded in load_manifests(file.read_text(encoding="utf-8"))
    }


def explained() -> list[str]:
    return re.findall(r"^### ([\w-]+)$", PAGE, re.MULTILINE)


def example(rule: str, which: str) -> str:
    section = re.search(rf"^### {rule}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert section
    found = re.search(rf"^{which}:\n\n```yaml\n(.*?)```", section[1], re.DOTALL | re.MULTILINE)
    assert found, f"{rule} has no example that is {which.lower()}"
    return found[1]


def put_in(text: str) -> str:
    """Return the whole class: `text` itself, or the page's class with `text` put in."""
    documents, broken = read_documents(text)
    if broken or len(documents) != 1 or {"apiVersion", "kind", "spec"} <= set(documents[0].value):
        return text
    base = re.search(r"<!-- base -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert base
    return json.dumps(merged(read_documents(base[1])[0][0].value, documents[0].value), indent=1)


def merged(base: Any, part: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(part, dict):
        return part
    return {**base, **{key: merged(base.get(key), item) for key, item in part.items()}}


def findings(text: str) -> list[str]:
    return [finding.rule for finding in check_text(text, "example.yaml", TOOLS, shipped_classes()).findings]


def test_every_rule_is_explained_and_every_explanation_is_of_a_rule() -> None:
    assert explained() == list(RULES)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in OF_FILES])
def test_the_wrong_example_breaks_the_rule_and_the_right_one_breaks_none(rule: str) -> None:
    assert rule in findings(put_in(example(rule, "Wrong")))
    assert findings(put_in(example(rule, "Right"))) == []


def test_a_finding_has_the_severity_of_its_rule_or_less() -> None:
    for rule in RULES.values():
        if rule.id in OF_FILES:
            continue
        found = check_text(put_in(example(rule.id, "Wrong")), "example.yaml", TOOLS, shipped_classes()).findings
        severities = {finding.severity for finding in found if finding.rule == rule.id}
        assert rule.severity in severities


def test_rules_about_files(tmp_path: Path) -> None:
    site = (ROOT / "serviceclasses" / "static-web-server.yaml").read_text(encoding="utf-8")
    shipped, mine = tmp_path / "shipped", tmp_path / "mine"
    for folder in (shipped, mine):
        folder.mkdir()
    (shipped / "site.yaml").write_text(site)
    for name in ("a.yaml", "b.yaml"):
        (mine / name).write_text(site)
    (mine / "latin.yaml").write_bytes(b"# \xe9\n")
    (mine / "folder.yaml").mkdir()
    found = {finding.rule for finding in ClassFiles(shipped, mine).reload().findings}
    found |= {finding.rule for finding in check_text("a" * (MAX_TEXT + 1), "big.yaml", TOOLS).findings}
    assert found == set(OF_FILES)


def named_rules(tree: ast.AST) -> set[str]:
    """Return the rules that a module names: as a default, by keyword, or as the rule of a violation."""
    found: set[str] = set()
    for node in ast.walk(tree):
        values: list[ast.expr | None] = []
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "rule":
            values.append(node.value)
        elif isinstance(node, ast.Call):
            values += [keyword.value for keyword in node.keywords if keyword.arg == "rule"]
            if getattr(node.func, "id", getattr(node.func, "attr", "")) in ("Violation", "find"):
                values += node.args[1:2]
        found |= {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}
    return found


def test_no_rule_is_used_that_the_table_does_not_have() -> None:
    source = ROOT / "src" / "ostler"
    files = [*(source / "rules").rglob("*.py"), source / "adapters" / "config" / "class_files.py"]
    used = {rule for file in files for rule in named_rules(ast.parse(file.read_text(encoding="utf-8")))}
    assert len(used) > 40
    assert used <= set(RULES)


def test_the_severity_of_a_violation_comes_from_the_table() -> None:
    for file in (ROOT / "src" / "ostler" / "rules").rglob("*.py"):
        assert "severity=" not in file.read_text(encoding="utf-8"), file.name
