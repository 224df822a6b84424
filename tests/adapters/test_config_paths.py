"""Where the files are."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import ostler
from ostler.adapters.config.paths import Paths, class_files_in, shipped_classes_dir
from ostler.model.errors import DefinitionError, StoreError

posix = pytest.mark.skipif(os.name != "posix", reason="file modes and unix sockets")


def test_an_option_wins_over_the_variable_and_the_variable_over_the_platform(tmp_path: Path) -> None:
    environ = {"OSTLER_CONFIG": str(tmp_path / "c"), "OSTLER_STATE": str(tmp_path / "s")}
    assert Paths.resolve(environ=environ) == Paths(tmp_path / "c", tmp_path / "s")
    chosen = Paths.resolve(tmp_path / "mine", str(tmp_path / "state"), environ=environ)
    assert chosen == Paths(tmp_path / "mine", tmp_path / "state")
    platform = Paths.resolve(environ={"OSTLER_CONFIG": "", "OSTLER_STATE": ""})
    assert platform.config_dir.name == platform.state_dir.name == "ostler"
    assert platform.config_dir != platform.state_dir


def test_folders_are_absolute_and_normal_so_that_one_folder_is_one_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Paths.resolve("a/../c", "./s/", environ={}) == Paths(tmp_path / "c", tmp_path / "s")
    assert Paths.resolve("~/c", "s", environ={}).config_dir == tmp_path / "home" / "c"


@posix
@pytest.mark.parametrize("command", [["ps"], ["serve"], ["up"], ["server-status"]])
def test_a_folder_whose_name_is_not_text_is_refused_before_anything_is_made(tmp_path: Path, command: list[str]) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff"
    with pytest.raises(DefinitionError, match="not UTF-8 text"):
        Paths.resolve(state=os.fsdecode(folder))
    run = [sys.executable, "-m", "ostler.faces.entry", *command]
    for variable in ("OSTLER_STATE", "OSTLER_CONFIG"):
        own = {**os.environ, "OSTLER_STATE": str(tmp_path / "s"), variable: os.fsdecode(folder)}
        done = subprocess.run(run, env=own, cwd=tmp_path, input="", capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "not UTF-8 text" in done.stderr
        assert "Next: name another one by --config or --state" in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_where(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "c", tmp_path / "s")
    assert paths.mcp_json == tmp_path / "c" / "mcp.json"
    assert paths.serviceclasses_dir == tmp_path / "c" / "serviceclasses"
    assert paths.settings_file == tmp_path / "c" / "ostler.toml"
    state = {paths.database, paths.lock, paths.logs_dir, paths.process_dir, paths.children_dir}
    assert {path.parent for path in state} == {tmp_path / "s"}
    assert len(state) == 5


@posix
def test_a_socket_is_in_the_state_folder_while_its_path_is_short() -> None:
    assert Paths(Path("/c"), Path("/s")).socket == Path("/s/ostler.sock")
    edge = Path("/" + "x" * (100 - len("//ostler.sock")))
    assert len(os.fsencode(Paths(edge, edge).socket)) == 100
    assert Paths(edge, edge).socket.parent == edge


@posix
def test_a_long_state_folder_gets_a_short_socket_of_its_own(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    paths = Paths(deep, deep)
    assert len(os.fsencode(paths.socket)) < 100
    assert paths.socket == Paths(tmp_path, deep).socket
    assert paths.socket != Paths(deep, deep / "z").socket
    paths.create_state()
    assert stat.S_IMODE(paths.socket.parent.stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(paths.socket))
    paths.socket.unlink()


@posix
def test_the_state_folders_are_private(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "c", tmp_path / "deep" / "s")
    before = os.umask(0)
    try:
        paths.create_state()
        paths.create_state()
    finally:
        os.umask(before)
    for folder in (paths.state_dir, paths.logs_dir, paths.process_dir, paths.children_dir):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not paths.config_dir.exists()


@posix
def test_an_empty_or_own_folder_is_narrowed(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "c", tmp_path / "s")
    paths.state_dir.mkdir()
    paths.state_dir.chmod(0o755)
    paths.create_state()
    assert stat.S_IMODE(paths.state_dir.stat().st_mode) == 0o700
    paths.database.touch()
    paths.state_dir.chmod(0o755)
    paths.create_state()
    assert stat.S_IMODE(paths.state_dir.stat().st_mode) == 0o700


@posix
def test_an_open_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "c", tmp_path / "shared")
    paths.state_dir.mkdir()
    (paths.state_dir / "thesis.txt").touch()
    paths.state_dir.chmod(0o755)
    with pytest.raises(StoreError, match="holds other things") as caught:
        paths.create_state()
    assert "chmod 700" in str(caught.value)
    assert stat.S_IMODE(paths.state_dir.stat().st_mode) == 0o755
    assert [path.name for path in paths.state_dir.iterdir()] == ["thesis.txt"]


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    paths = Paths(tmp_path, tmp_path / "file" / "state")
    with pytest.raises(StoreError, match=r"cannot be used.*Next: .*--state"):
        paths.create_state()


def test_class_files_are_the_visible_manifests_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", ".#b.yaml", "b.yaml~", "README.md", ".b.yaml.swp"):
        (tmp_path / name).touch()
    assert [path.name for path in class_files_in(tmp_path)] == ["a.yml", "b.yaml", "c.json"]
    assert class_files_in(tmp_path / "absent") == []
    assert class_files_in(tmp_path / "b.yaml") == []


def test_shipped_classes_are_found_in_the_checkout() -> None:
    checkout = Path(ostler.__file__).parents[2]
    if not (checkout / "pyproject.toml").is_file():
        pytest.skip("not a checkout")
    assert shipped_classes_dir() == checkout / "serviceclasses"


@pytest.mark.parametrize("layout", ["wheel", "checkout", "bare"])
def test_shipped_classes_are_found_wherever_the_package_is(tmp_path: Path, layout: str) -> None:
    package = tmp_path / ("site-packages" if layout != "checkout" else "src") / "ostler"
    source = Path(ostler.__file__).parent
    for module in ("__init__.py", "adapters/__init__.py", "adapters/config/__init__.py", "adapters/config/paths.py",
                   "model/__init__.py", "model/errors.py"):  # fmt: skip
        copy = package / module
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((source / module).read_text() if copy.parent.name != "ostler" else "")
    expected = {"wheel": package / "_serviceclasses", "checkout": tmp_path / "serviceclasses", "bare": None}[layout]
    (tmp_path / "serviceclasses").mkdir()
    (tmp_path / "pyproject.toml").touch()
    if expected is not None:
        expected.mkdir(exist_ok=True)
    script = "from ostler.adapters.config.paths import shipped_classes_dir; print(shipped_classes_dir())"
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(package.parent)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == str(expected)


def test_importing_it_is_cheap() -> None:
    script = "import sys, ostler.adapters.config.paths; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert not {"pydantic", "mcp", "anyio", "asyncio", "platformdirs", "watchfiles", "yaml"} & set(loaded)
