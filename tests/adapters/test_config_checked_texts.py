"""What was loaded without a finding is not checked again, over starts, until it or a rule changes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ostler.adapters.config.checked_texts import CheckedTexts
from ostler.adapters.config.class_files import ClassFiles, ClassSnapshot
from ostler.adapters.config.paths import shipped_classes_dir

GOOD = """\
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: web}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: process/process_start, args: {key: "{{ name }}", command: [sleep, "60"]}}
      stop: {tool: process/process_stop, args: {key: "{{ name }}"}}
"""
BROKEN = GOOD.replace("{{ name }}", "{{ nobody }}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "classes").mkdir()
    return tmp_path / "classes"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "state" / "checked-classes.json"


def load(folder: Path, cache: Path) -> ClassSnapshot:
    """Load as a new process does."""
    cache.parent.mkdir(exist_ok=True)
    return ClassFiles(None, folder, checked=CheckedTexts(cache)).reload()


def texts_in(cache: Path) -> list[str]:
    return json.loads(cache.read_text(encoding="utf-8"))["texts"]


def test_the_classes_are_the_same_from_the_second_start_on(folder: Path, cache: Path) -> None:
    (folder / "web.yaml").write_text(GOOD, encoding="utf-8")
    first = load(folder, cache)
    assert len(texts_in(cache)) == 1
    assert load(folder, cache) == first == ClassFiles(None, folder).reload()


def test_what_has_a_finding_is_checked_at_every_start(folder: Path, cache: Path) -> None:
    (folder / "web.yaml").write_text(GOOD, encoding="utf-8")
    load(folder, cache)
    (folder / "web.yaml").write_text(BROKEN, encoding="utf-8")
    found = [load(folder, cache).findings for _ in range(2)]
    assert found[0] == found[1] != ()
    assert texts_in(cache) == []


def test_other_rules_believe_nothing(folder: Path, cache: Path) -> None:
    (folder / "web.yaml").write_text(BROKEN, encoding="utf-8")
    cache.parent.mkdir()
    checked = CheckedTexts(cache)
    checked.note(BROKEN.encode())
    checked.save()
    assert CheckedTexts(cache).has(BROKEN.encode())
    written = json.loads(cache.read_text(encoding="utf-8"))
    cache.write_text(json.dumps({**written, "rules": "others"}), encoding="utf-8")
    assert not CheckedTexts(cache).has(BROKEN.encode())
    assert load(folder, cache).findings


@pytest.mark.parametrize("content", ["", "[]", "{", '{"rules": 1, "texts": {}}', "\x00"])
def test_a_spoilt_file_costs_time_alone(folder: Path, cache: Path, content: str) -> None:
    (folder / "web.yaml").write_text(GOOD, encoding="utf-8")
    cache.parent.mkdir()
    cache.write_text(content, encoding="utf-8")
    assert load(folder, cache) == ClassFiles(None, folder).reload()
    assert len(texts_in(cache)) == 1


def test_a_start_compiles_no_template_of_the_shipped_classes(cache: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from ostler.adapters.config.checked_texts import CheckedTexts\n"
        "from ostler.adapters.config.class_files import ClassFiles\n"
        "ClassFiles(pathlib.Path(sys.argv[1]), pathlib.Path('absent'),"
        " checked=CheckedTexts(pathlib.Path(sys.argv[2]))).reload()\n"
        "print('ostler.rules.checking.class_settings' in sys.modules, 'jsonschema' in sys.modules)"
    )
    cache.parent.mkdir()
    command = [sys.executable, "-c", script, str(shipped_classes_dir()), str(cache)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["False", "False"]
