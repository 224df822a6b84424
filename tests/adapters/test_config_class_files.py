"""ServiceClass files: loading two folders into one snapshot, and writing the user's."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from ostler.adapters.config.class_files import ClassFiles, ClassSnapshot
from ostler.adapters.config.class_packs import ClassPack, install_pack
from ostler.adapters.config.manifest_files import read_manifest_file
from ostler.adapters.config.paths import class_files_in, shipped_classes_dir
from ostler.model.errors import (
    AlreadyExistsError,
    ConflictError,
    DefinitionError,
    ManifestError,
    NotFoundError,
    StoreError,
)
from ostler.rules.reading import load_manifests


def manifest(name: str, description: str = "d") -> str:
    return f"""\
apiVersion: ostler/v1
kind: ServiceClass
metadata:
  name: {name}
spec:
  description: {description}
  serviceConfig:
    lifecycleTools:
      start: {{tool: web/start}}
      stop: {{tool: web/stop}}
"""


@pytest.fixture
def files(tmp_path: Path) -> ClassFiles:
    (tmp_path / "shipped").mkdir()
    return ClassFiles(tmp_path / "shipped", tmp_path / "user")


def shipped(files: ClassFiles, name: str, text: str) -> Path:
    assert files.shipped is not None
    path = files.shipped / name
    path.write_text(text)
    return path


def mine(files: ClassFiles, name: str, text: str) -> Path:
    files.user_dir.mkdir(exist_ok=True)
    path = files.user_dir / name
    path.write_text(text)
    return path


def described(snapshot: ClassSnapshot) -> dict[str, str]:
    return {name: source.loaded.service_class.spec.description for name, source in snapshot.entries.items()}


# -- loading -----------------------------------------------------------------------------------------------


def test_all_kinds_of_files_of_both_folders_are_loaded(files: ClassFiles) -> None:
    path = shipped(files, "static.yaml", manifest("static"))
    mine(files, "two.yml", manifest("b") + "---\n" + manifest("a"))
    mine(
        files,
        "c.json",
        '{"apiVersion": "ostler/v1", "kind": "ServiceClass", "metadata": {"name": "c"}, "spec": {"serviceConfig": '
        '{"lifecycleTools": {"start": {"tool": "w/a"}, "stop": {"tool": "w/b"}}}}}',
    )
    mine(files, "README.md", "not a class")
    snapshot = files.reload()
    assert list(snapshot.entries) == ["a", "b", "c", "static"]
    assert list(snapshot.findings) == []
    static, a = snapshot.entries["static"], snapshot.entries["a"]
    assert (static.origin, static.path, static.shadows) == ("shipped", path, False)
    assert (a.origin, a.path, a.shadows) == ("user", files.user_dir / "two.yml", False)
    assert a.loaded.line > 10
    assert a.loaded.file == str(files.user_dir / "two.yml")


def test_absent_folders_are_empty(tmp_path: Path) -> None:
    assert ClassFiles(None, tmp_path / "absent").reload() == ClassSnapshot({}, ())
    assert ClassFiles(tmp_path / "no", tmp_path / "absent").reload() == ClassSnapshot({}, ())


def test_a_users_class_takes_the_place_of_a_shipped_one_with_a_note(files: ClassFiles) -> None:
    there = shipped(files, "web.yaml", manifest("web", "shipped"))
    here = mine(files, "own.yaml", manifest("web", "mine"))
    snapshot = files.reload()
    assert described(snapshot) == {"web": "mine"}
    assert snapshot.entries["web"].shadows
    (note,) = snapshot.findings
    assert (note.severity, note.file, note.rule) == ("warning", str(here), "shadowed-class")
    assert str(there) in note.message
    here.unlink()
    assert described(files.reload()) == {"web": "shipped"}


def test_a_duplicate_is_a_finding_that_names_both_places(files: ClassFiles) -> None:
    first = mine(files, "a.yaml", manifest("web", "first"))
    second = mine(files, "b.yaml", manifest("other") + "---\n" + manifest("web", "second"))
    snapshot = files.reload()
    assert described(snapshot) == {"other": "d", "web": "first"}
    (finding,) = snapshot.findings
    assert (finding.severity, finding.file, finding.rule) == ("error", str(second), "duplicate-class")
    assert finding.line > 10
    assert f"{first}:1" in finding.message


def test_a_broken_edit_keeps_the_last_good_version_and_says_where(files: ClassFiles) -> None:
    path = mine(files, "web.yaml", manifest("web", "good"))
    mine(files, "other.yaml", manifest("other"))
    assert described(files.reload()) == {"web": "good", "other": "d"}
    path.write_text(manifest("web", "bad").replace("start:", "strat:"))
    for _ in range(2):
        snapshot = files.reload()
        assert described(snapshot) == {"web": "good", "other": "d"}
        assert {finding.file for finding in snapshot.findings} == {str(path)}
        assert any("strat" in finding.message and finding.line == 9 for finding in snapshot.findings)
    path.write_text(manifest("web", "fixed"))
    snapshot = files.reload()
    assert described(snapshot) == {"web": "fixed", "other": "d"}
    assert list(snapshot.findings) == []
    path.unlink()
    assert described(files.reload()) == {"other": "d"}


def test_a_file_that_was_never_good_gives_findings_alone(files: ClassFiles) -> None:
    shipped(files, "web.yaml", manifest("web", "shipped"))
    path = mine(files, "web.yaml", "kind: [")
    snapshot = files.reload()
    assert described(snapshot) == {"web": "shipped"}
    assert {finding.file for finding in snapshot.findings} == {str(path)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"kind: \xff\xfe", "is not UTF-8 text"),
        (b"# " + b"x" * (1024 * 1024), "is larger than 1048576 bytes"),
    ],
)
def test_a_file_that_is_no_text_or_too_large_is_a_finding(files: ClassFiles, content: bytes, message: str) -> None:
    path = mine(files, "web.yaml", manifest("web"))
    assert list(files.reload().entries) == ["web"]
    path.write_bytes(content)
    snapshot = files.reload()
    assert list(snapshot.entries) == ["web"]
    assert message in str(snapshot.findings[0])


def test_a_folder_with_the_name_of_a_class_file_is_a_finding(files: ClassFiles) -> None:
    mine(files, "web.yaml", manifest("web"))
    (files.user_dir / "odd.yaml").mkdir()
    snapshot = files.reload()
    assert list(snapshot.entries) == ["web"]
    assert "cannot be read" in snapshot.findings[0].message


# -- create ------------------------------------------------------------------------------------------------


def test_create_writes_a_private_file_and_returns_the_class(files: ClassFiles) -> None:
    source = files.create(manifest("web").rstrip("\n"))
    path = files.user_dir / "web.yaml"
    assert (source.origin, source.path, source.shadows) == ("user", path, False)
    assert path.read_text() == manifest("web")
    assert [file.name for file in files.user_dir.iterdir()] == ["web.yaml"]
    assert list(files.reload().entries) == ["web"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_create_refuses_a_name_that_is_taken(files: ClassFiles) -> None:
    path = mine(files, "classes.yml", manifest("web"))
    with pytest.raises(AlreadyExistsError, match="already exists") as caught:
        files.create(manifest("web", "other"))
    assert str(path) in str(caught.value)
    assert not (files.user_dir / "web.yaml").exists()


def test_create_never_overwrites_a_file(files: ClassFiles) -> None:
    for text in ("# work in progress\n", "kind: ["):
        path = mine(files, "web.yaml", text)
        with pytest.raises(AlreadyExistsError, match="does not hold a valid ServiceClass 'web'"):
            files.create(manifest("web"))
        assert path.read_text() == text
    assert [file.name for file in files.user_dir.iterdir()] == ["web.yaml"]


def test_create_may_take_the_place_of_a_shipped_class(files: ClassFiles) -> None:
    shipped(files, "web.yaml", manifest("web", "shipped"))
    source = files.create(manifest("web", "mine"))
    assert source.shadows
    assert described(files.reload()) == {"web": "mine"}


@pytest.mark.parametrize("name", ["../evil", "a/b", "UPPER", "..", "con.yaml", "''", "x" * 64, '"a\\0b"'])
def test_a_name_can_not_lead_out_of_the_folder(files: ClassFiles, tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError):
        files.create(manifest(name))
    assert not files.user_dir.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["shipped"]


def of_muster(name: str, description: str = "d") -> str:
    return manifest(name, description).replace("ostler/v1", "muster.giantswarm.io/v1alpha1")


def test_names_of_muster_have_files_of_their_own(files: ClassFiles) -> None:
    names = ["My_Class.v1", "my_class.v1", "My-Class-v1", "my-class-v1", "x.test", "a..b", "CON"]
    for name in names:
        assert files.create(of_muster(name)).loaded.service_class.name == name
    written = [path.name for path in files.user_dir.iterdir()]
    assert sorted(described(files.reload())) == sorted(names)
    assert len({name.lower() for name in written}) == len(names), "also where cases are not told apart"
    assert not any(name.endswith(".test.yaml") for name in written)
    files.update("My_Class.v1", of_muster("My_Class.v1", "new"))
    assert described(files.reload())["My_Class.v1"] == "new"
    for name in names:
        files.delete(name)
    assert list(files.user_dir.iterdir()) == []


def test_the_file_that_a_person_gave_a_class_of_muster_is_updated(files: ClassFiles) -> None:
    path = mine(files, "My_Class.v1.yaml", of_muster("My_Class.v1"))
    files.update("My_Class.v1", of_muster("My_Class.v1", "new"))
    assert described(files.reload()) == {"My_Class.v1": "new"}
    assert list(files.user_dir.iterdir()) == [path]


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", ".a", "a.", "_a", "'a b'", "x" * 101, '"a\\0b"', '"a\\n"'])
def test_a_name_of_muster_cannot_lead_out_of_the_folder_either(files: ClassFiles, tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError):
        files.create(of_muster(name))
    assert [path.name for path in tmp_path.iterdir()] == ["shipped"]


def test_create_wants_exactly_one_valid_class(files: ClassFiles) -> None:
    with pytest.raises(DefinitionError, match="holds 2 ServiceClasses"):
        files.create(manifest("a") + "---\n" + manifest("b"))
    with pytest.raises(ManifestError, match="strat"):
        files.create(manifest("a").replace("start", "strat"))
    assert not files.user_dir.exists()


def test_create_says_why_the_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="could not be written") as caught:
        ClassFiles(None, tmp_path / "file" / "classes").create(manifest("web"))
    assert "web.yaml" in str(caught.value)


# -- update ------------------------------------------------------------------------------------------------


def test_update_replaces_the_class_and_keeps_the_files_mode(files: ClassFiles) -> None:
    files.create(manifest("web", "old"))
    path = files.user_dir / "web.yaml"
    path.chmod(0o640)
    source = files.update("web", manifest("web", "new"))
    assert source.loaded.service_class.spec.description == "new"
    assert path.read_text() == manifest("web", "new")
    assert [file.name for file in files.user_dir.iterdir()] == ["web.yaml"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_update_refuses_what_ostler_did_not_write_for_the_class_alone(files: ClassFiles) -> None:
    for name, text in (("mine.yaml", manifest("web")), ("two.yaml", manifest("two") + "---\n" + manifest("three"))):
        mine(files, name, text)
    for name, file in (("web", "mine.yaml"), ("two", "two.yaml"), ("three", "two.yaml")):
        before = (files.user_dir / file).read_text()
        with pytest.raises(ConflictError) as caught:
            files.update(name, manifest(name, "new"))
        assert str(files.user_dir / file) in str(caught.value)
        assert "edit that file by hand" in str(caught.value)
        with pytest.raises(ConflictError):
            files.delete(name)
        assert (files.user_dir / file).read_text() == before


def test_update_fixes_a_file_whose_last_good_version_is_known(files: ClassFiles) -> None:
    files.create(manifest("web", "old"))
    mine(files, "web.yaml", "kind: [")
    assert files.update("web", manifest("web", "fixed")).loaded.service_class.spec.description == "fixed"
    assert list(files.reload().findings) == []


def test_update_does_not_rename_and_wants_a_valid_class(files: ClassFiles) -> None:
    files.create(manifest("web", "old"))
    with pytest.raises(DefinitionError, match="of ServiceClass 'other', not 'web'"):
        files.update("web", manifest("other"))
    with pytest.raises(ManifestError):
        files.update("web", manifest("web").replace("tool:", "tol:"))
    with pytest.raises(NotFoundError, match="'wob' not found; did you mean 'web'"):
        files.update("wob", manifest("wob"))
    assert described(files.reload()) == {"web": "old"}


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_a_linked_file_is_not_replaced(files: ClassFiles) -> None:
    target = mine(files, ".elsewhere.yaml", manifest("web", "old"))
    (files.user_dir / "web.yaml").symlink_to(target)
    with pytest.raises(ConflictError):
        files.update("web", manifest("web", "new"))
    assert target.read_text() == manifest("web", "old")


def test_a_shipped_class_is_not_changed_and_the_answer_says_how_to_override_it(files: ClassFiles) -> None:
    path = shipped(files, "web.yaml", manifest("web", "shipped"))
    with pytest.raises(ConflictError, match=r"cannot be rewritten.*create a class of the same name"):
        files.update("web", manifest("web", "new"))
    with pytest.raises(ConflictError, match=r"cannot be deleted.*class of the same name"):
        files.delete("web")
    assert path.read_text() == manifest("web", "shipped")


# -- delete ------------------------------------------------------------------------------------------------


def test_delete_removes_the_file_and_uncovers_the_shipped_class(files: ClassFiles) -> None:
    shipped(files, "web.yaml", manifest("web", "shipped"))
    files.create(manifest("web", "mine"))
    removed = files.delete("web")
    assert removed.loaded.service_class.spec.description == "mine"
    assert list(files.user_dir.iterdir()) == []
    assert described(files.reload()) == {"web": "shipped"}


def test_deleting_what_is_not_there_says_so(files: ClassFiles) -> None:
    with pytest.raises(NotFoundError, match="ServiceClass 'web' not found"):
        files.delete("web")
    with pytest.raises(NotFoundError):
        files.delete("../../etc/passwd")


def test_of_a_packs_file_what_was_checked_is_loaded_and_no_other_version(tmp_path: Path) -> None:
    packs = tmp_path / "packs"
    install_pack(packs, ClassPack("acme", "1", "here", {"dozer.yaml": manifest("dozer").encode()}))
    files = ClassFiles(None, tmp_path / "mine", packs=packs)
    assert described(files.reload()) == {"dozer": "d"}
    [path] = packs.rglob("dozer.yaml")
    path.write_text(manifest("dozer", "changed"))
    for _ in range(2):
        snapshot = files.reload()
        assert described(snapshot) == {}
        assert "has another digest" in snapshot.findings[0].message
    install_pack(packs, ClassPack("acme", "2", "here", {"dozer.yaml": manifest("dozer", "changed").encode()}))
    assert described(files.reload()) == {"dozer": "changed"}
    [path] = packs.rglob("dozer.yaml")
    path.unlink()
    snapshot = files.reload()
    assert described(snapshot) == {}
    assert "cannot be read" in snapshot.findings[0].message


def test_a_pinned_file_that_changes_while_it_is_checked_is_loaded_as_it_was_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("checked")

    def pin(content: bytes) -> None:
        assert content == b"checked"
        path.write_text("changed meanwhile")

    assert read_manifest_file(path, None, lambda text, _: [text], pin=pin).loaded == ("checked",)


def test_the_shipped_classes_are_prepared_as_their_yaml_says(tmp_path: Path) -> None:
    folder = shipped_classes_dir()
    assert folder is not None
    found = ClassFiles(folder, tmp_path / "user").reload().entries
    read = [load_manifests(path.read_text(), str(path), checked=True)[0] for path in class_files_in(folder)]
    assert [found[each.service_class.name].loaded for each in read] == read
    for each in read:
        place = ("spec", "serviceConfig", "lifecycleTools")
        prepared = found[each.service_class.name].loaded.document
        assert prepared.locate_key(place) == each.document.locate_key(place)


def test_a_shipped_class_is_read_from_its_yaml_if_that_was_changed(tmp_path: Path) -> None:
    folder = shipped_classes_dir()
    assert folder is not None
    shutil.copytree(folder, tmp_path / "shipped")
    prepared = tmp_path / "shipped" / "prepared" / "classes.json"
    prepared.write_text(prepared.read_text().replace('"digest":"', '"digest":"prepared:'))
    with (tmp_path / "shipped" / "command.yaml").open("a") as changed:
        changed.write("# changed\n")
    assert read_from_yaml(tmp_path) == ["command"]
    whole = prepared.read_text()
    prepared.write_text(whole.replace('"manifest":{"apiVersion":"ostler/v1"', '"manifest":{"apiVersion":1', 1))
    assert read_from_yaml(tmp_path) == ["browser", "command"]
    for damaged in (whole.replace('"digest":', '"digst":', 1), "[]"):
        prepared.write_text(damaged)
        assert len(read_from_yaml(tmp_path)) > 20
    prepared.unlink()
    assert len(read_from_yaml(tmp_path)) > 20


def read_from_yaml(folder: Path) -> list[str]:
    found = ClassFiles(folder / "shipped", folder / "user").reload().entries
    return [name for name, source in found.items() if not source.loaded.digest.startswith("prepared:")]
