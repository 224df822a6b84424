"""`ostler class add` of packs: a folder, a wheel; checked, pinned, listed, refused when changed, and removed."""

import json
import zipfile
from pathlib import Path

import pytest

from ostler.adapters.config.class_files import ClassFiles
from ostler.adapters.config.paths import Paths
from ostler.faces.cli.app import run_command
from ostler.faces.cli.session import ExitStatus

CLASS = """\
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: NAME}
spec:
  description: sleeps
  serviceConfig:
    lifecycleTools:
      start: {tool: process/start, args: {key: "{{ name }}", command: sleep 60}}
      stop: {tool: process/stop, args: {key: "{{ name }}"}}
      status: {tool: process/status, args: {key: "{{ name }}"}, expect: {jsonPath: {state: running}}}
"""
TEST = """\
apiVersion: ostler/v1
kind: ServiceClassTest
serviceClass: NAME
tests:
- name: sleeps
  steps:
  - {do: create, start: false, calls: [], expect: {state: STATE}}
"""


class Command:
    """`ostler class` over folders of its own; no server runs."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.paths = Paths(folder / "config", folder / "state")
        self._options = ["--config", str(self.paths.config_dir), "--state", str(self.paths.state_dir)]
        self._capsys = capsys
        self.out = self.err = ""

    def run(self, *arguments: str) -> int:
        status = run_command([*self._options, "class", *arguments])
        self.out, self.err = self._capsys.readouterr()
        return status

    def classes(self) -> set[str]:
        return set(ClassFiles(None, self.paths.serviceclasses_dir, packs=self.paths.packs_dir).reload().entries)


@pytest.fixture
def ostler(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def folder_of(parent: Path, *names: str, state: str = "stopped") -> Path:
    folder = parent / "acme"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.yaml").write_text(CLASS.replace("NAME", name))
        (folder / f"{name}.test.yaml").write_text(TEST.replace("NAME", name).replace("STATE", state))
    return folder


def wheel_of(folder: Path, manifest: str, version: str = "1.2", group: str = "ostler.serviceclasses") -> Path:
    """Write a wheel whose code must not run."""
    wheel = folder / f"acme_classes-{version}-py3-none-any.whl"
    about = f"acme_classes-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("acme_classes/__init__.py", "raise SystemExit('its code was run')\n")
        archive.writestr("acme_classes/manifests/sleeper.yaml", manifest)
        archive.writestr("acme_classes/other.yaml", "not: one of them\n")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.4\nName: Acme_Classes\nVersion: {version}\n")
        archive.writestr(f"{about}/entry_points.txt", f"[{group}]\nsleepers = acme_classes.manifests\n")
    return wheel


def test_a_folder_is_checked_tested_and_pinned(ostler: Command, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "sleeper", "dozer")
    assert ostler.run("add", str(folder)) == ExitStatus.USAGE
    assert "a class can start any program" in ostler.err
    assert ostler.run("add", str(folder), "--yes") == ExitStatus.OK, ostler.err
    assert "pack acme: dozer, sleeper (calls tools of process)" in ostler.out
    assert ostler.classes() == {"dozer", "sleeper"}
    assert ostler.run("list") == ExitStatus.OK
    assert ostler.out.splitlines()[1].split()[:3] == ["acme", "dozer,", "sleeper"]

    # a file that has changed since is not loaded, and the list says so
    [pinned] = ostler.paths.packs_dir.glob("acme/*/dozer.yaml")
    pinned.write_text(pinned.read_text().replace("sleep 60", "sleep 61"))
    assert ostler.classes() == {"sleeper"}
    assert ostler.run("list") == ExitStatus.OK
    assert "dozer.yaml: has another digest than when pack 'acme' was added, so it is not loaded" in ostler.err

    assert ostler.run("remove", "acme") == ExitStatus.OK
    assert ostler.classes() == set()
    assert ostler.run("remove", "acme") == ExitStatus.NOT_FOUND


def test_a_pack_is_replaced_completely_or_not_at_all(
    ostler: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, "sleeper", "dozer")
    assert ostler.run("add", str(folder), "--yes") == ExitStatus.OK, ostler.err
    for name in ("sleeper", "dozer"):
        (folder / f"{name}.yaml").write_text(CLASS.replace("NAME", name).replace("sleep 60", "sleep 61"))
    left, rename = [1], Path.replace

    def full_disk(self: Path, target: Path) -> Path:
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", full_disk)
    assert ostler.run("add", str(folder), "--yes") == ExitStatus.FAILED
    assert "No space left on device" in ostler.err
    monkeypatch.undo()
    assert ostler.classes() == {"dozer", "sleeper"}
    assert ostler.run("add", str(folder), "--yes") == ExitStatus.OK
    assert ostler.classes() == {"dozer", "sleeper"}
    assert len(list(ostler.paths.packs_dir.glob("acme/*"))) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"packs": {"acme": {"version": "", "source": "", "files": {"a": ""}}}}'])
def test_a_broken_list_of_packs_is_a_finding_and_the_classes_stay(ostler: Command, tmp_path: Path, text: str) -> None:
    assert ostler.run("add", str(folder_of(tmp_path, "sleeper")), "--yes") == ExitStatus.OK, ostler.err
    files = ClassFiles(None, ostler.paths.serviceclasses_dir, packs=ostler.paths.packs_dir)
    assert not files.reload().findings
    lock = ostler.paths.packs_dir / "packs.json"
    good = lock.read_text()
    lock.write_text(text)
    broken = files.reload()
    assert list(broken.entries) == ["sleeper"]
    [finding] = broken.findings
    assert (Path(finding.file), finding.severity) == (lock, "error")
    assert "cannot be read" in finding.message
    assert not ClassFiles(None, ostler.paths.serviceclasses_dir, packs=ostler.paths.packs_dir).reload().entries
    lock.write_text(good)
    assert not files.reload().findings


def test_nothing_of_a_wheel_is_run_and_a_version_has_one_digest(ostler: Command, tmp_path: Path) -> None:
    manifest = CLASS.replace("NAME", "sleeper")
    assert ostler.run("add", str(wheel_of(tmp_path, manifest)), "--yes", "--json") == ExitStatus.OK, ostler.err
    added = json.loads(ostler.out)
    assert (added["pack"], added["version"], added["classes"]) == ("acme-classes", "1.2", ["sleeper"])
    assert list(added["files"]) == ["sleeper.yaml"]
    changed = manifest.replace("sleep 60", "sleep 61")
    assert ostler.run("add", str(wheel_of(tmp_path, changed)), "--yes") == ExitStatus.FAILED
    assert "its digest has changed" in ostler.err
    assert ostler.run("add", str(wheel_of(tmp_path, changed, "1.3")), "--yes") == ExitStatus.OK
    assert ostler.run("add", str(wheel_of(tmp_path, manifest, "1.4", "console_scripts")), "--yes") == ExitStatus.FAILED
    assert "no entry points of the group 'ostler.serviceclasses'" in ostler.err
    assert ostler.run("list", "--json") == ExitStatus.OK
    [pack] = json.loads(ostler.out)["packs"]
    assert (pack["name"], pack["version"], pack["classes"]) == ("acme-classes", "1.3", ["sleeper"])


def test_a_pack_that_is_wrong_or_replaces_a_class_is_not_added(ostler: Command, tmp_path: Path) -> None:
    mine = ostler.paths.serviceclasses_dir
    mine.mkdir(parents=True)
    (mine / "sleeper.yaml").write_text(CLASS.replace("NAME", "sleeper"))
    assert ostler.run("add", str(folder_of(tmp_path, "sleeper", "redis")), "--yes") == ExitStatus.FAILED
    assert "ServiceClass 'sleeper' exists already (user, " in ostler.err
    assert "ServiceClass 'redis' exists already (shipped, " in ostler.err
    (tmp_path / "two").mkdir()
    assert ostler.run("add", str(folder_of(tmp_path / "two", "dozer", state="running")), "--yes") == ExitStatus.FAILED
    assert "expected state running, got stopped" in ostler.err
    broken = folder_of(tmp_path / "two", "dozer")
    (broken / "dozer.yaml").write_text(CLASS.replace("NAME", "dozer").replace("process/stop", "process/stopp"))
    assert ostler.run("add", str(broken), "--yes") == ExitStatus.FAILED
    assert "has no tool 'stopp'" in ostler.err
    assert not ostler.paths.packs_dir.exists()
    assert ostler.run("add", str(tmp_path / "none.whl"), "--yes") == ExitStatus.NOT_FOUND

    # a class that its user writes later takes the place of the pack's, and says so
    (mine / "sleeper.yaml").unlink()
    (tmp_path / "acme" / "redis.yaml").unlink()
    (tmp_path / "acme" / "redis.test.yaml").unlink()
    assert ostler.run("add", str(tmp_path / "acme"), "--yes") == ExitStatus.OK, ostler.err
    (mine / "sleeper.yaml").write_text(CLASS.replace("NAME", "sleeper").replace("sleep 60", "sleep 9"))
    files = ClassFiles(None, mine, packs=ostler.paths.packs_dir)
    snapshot = files.reload()
    assert snapshot.entries["sleeper"].origin == "user"
    assert "takes the place of the one of a pack" in snapshot.findings[0].message
