"""Configuration that is no regular file, or a link to elsewhere: refused with a finding, never read or waited for."""

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ostler.adapters.config.class_files import ClassFiles
from ostler.adapters.config.mcp_json import load_mcp_json
from ostler.adapters.config.paths import Paths
from ostler.adapters.config.server_files import ServerFiles
from ostler.adapters.config.settings_file import load_settings
from ostler.adapters.config.static_files import StaticFiles
from ostler.adapters.config.tool_files import tools_from
from ostler.adapters.projects.folders import project_at
from ostler.adapters.projects.import_sources import read_source
from ostler.adapters.projects.project_files import read_scope
from ostler.adapters.regular_files import expanded
from ostler.adapters.testing.discovery import run_test_file
from ostler.model.errors import OstlerError
from ostler.rules.imports.found import UnreadableSourceError

SECRET = "correct-horse-battery-staple"


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(path))  # the whole path may be too long for the name of a socket


def folder(path: Path) -> None:
    path.mkdir()


def endless(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def nowhere(path: Path) -> None:
    path.symlink_to("of-another-disk")


ODD: dict[Callable[[Path], None], str] = {
    fifo: "named pipe",
    device: "device",
    listening_socket: "socket",
    folder: "folder",
    endless: "larger than",
    nowhere: "a link to 'of-another-disk', which does not exist",
}


def classes(place: Path) -> str:
    return str([*map(str, ClassFiles(None, place.parent).reload().findings)])


def statics(place: Path) -> str:
    return str([*map(str, StaticFiles(place.parent).reload().findings)])


def settings(place: Path) -> str:
    return str(load_settings(place))


def servers(place: Path) -> str:
    return str([*map(str, load_mcp_json(place, {}).findings)])


def tools(place: Path) -> str:
    return str(tools_from([place.parent]))


def class_tests(place: Path) -> str:
    return str([*map(str, run_test_file(place).findings)])


def found_of_others(place: Path) -> str:
    return str(read_source(place))


READERS: dict[Callable[[Path], str], str] = {
    classes: "odd.yaml",
    statics: "odd.yaml",
    settings: "ostler.toml",
    servers: "mcp.json",
    tools: "odd.json",
    class_tests: "odd.test.yaml",
    found_of_others: "package.json",
}


@pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)
@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_what_is_not_a_regular_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], str], make: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / READERS[read]
    make(place)
    try:
        said = read(place)
    except (OstlerError, UnreadableSourceError) as error:
        said = str(error)
    assert ODD[make] in said, said


@pytest.mark.anyio
@pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)
async def test_a_project_and_its_env_files_are_regular_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p").mkdir()
    make(tmp_path / "p" / "ostler.yaml")
    with pytest.raises(OstlerError, match=ODD[make]):
        await read_scope(project_at(tmp_path / "p"), {}, {})
    (tmp_path / "q").mkdir()
    make(tmp_path / "q" / "odd.env")
    text = "services: {one: {class: command, args: {command: x}, envFile: odd.env}}"
    (tmp_path / "q" / "ostler.yaml").write_text(text)
    [fault] = (await read_scope(project_at(tmp_path / "q"), {}, {})).faults["one"]
    assert re.search(ODD[make], str(fault))


@pytest.mark.parametrize("read", [classes, statics])
def test_links_that_lead_outside_are_refused_unread(tmp_path: Path, read: Callable[[Path], str]) -> None:
    (tmp_path / "private").write_text(f"password: {SECRET}\n")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "link.yaml").symlink_to(tmp_path / "private")
    (tmp_path / "config" / "step.yaml").symlink_to("link.yaml")
    said = read(tmp_path / "config" / "link.yaml")
    assert said.count("outside of its folder") == 2
    assert SECRET not in said


@pytest.mark.anyio
async def test_the_file_of_a_project_is_no_link_to_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "private").write_text(f"password: {SECRET}\n")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "ostler.yaml").symlink_to(tmp_path / "private")
    with pytest.raises(OstlerError, match="outside of its folder") as caught:
        await read_scope(project_at(tmp_path / "p"), {}, {})
    assert SECRET not in str(caught.value)


def test_links_within_a_folder_and_a_folder_that_is_a_link_are_read(tmp_path: Path) -> None:
    manifest = (
        "apiVersion: ostler/v1\nkind: ServiceClass\nmetadata: {name: one}\nspec:\n  serviceConfig:\n"
        "    lifecycleTools: {start: {tool: w/a}, stop: {tool: w/b}}\n"
    )
    (tmp_path / "mounted" / "..data").mkdir(parents=True)  # as Kubernetes mounts a ConfigMap
    (tmp_path / "mounted" / "..data" / "one.yaml").write_text(manifest)
    (tmp_path / "mounted" / "one.yaml").symlink_to("..data/one.yaml")
    (tmp_path / "config").symlink_to(tmp_path / "mounted")
    assert list(ClassFiles(None, tmp_path / "config").reload().entries) == ["one"]


def test_an_installer_may_link_the_shipped_classes(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text(
        "apiVersion: ostler/v1\nkind: ServiceClass\nmetadata: {name: one}\nspec:\n  serviceConfig:\n"
        "    lifecycleTools: {start: {tool: w/a}, stop: {tool: w/b}}\n"
    )
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "one.yaml").symlink_to(tmp_path / "cache")
    assert list(ClassFiles(tmp_path / "shipped", tmp_path / "user").reload().entries) == ["one"]


def test_servers_of_a_file_or_folder_that_is_away_are_not_taken_for_removed(tmp_path: Path) -> None:
    paths = Paths.resolve(tmp_path / "config", tmp_path / "state")
    place, kept = paths.mcp_json, tmp_path / "kept"
    files = ServerFiles(paths, {})
    assert files.load().findings == (), "no folder yet"
    place.parent.mkdir()
    kept.write_text('{"mcpServers": {"one": {"command": "x"}}}')
    place.symlink_to(kept)
    assert list(files.load().entries) == ["one"]
    kept.rename(tmp_path / "away")
    assert [finding.severity for finding in files.load().findings] == ["error"]
    place.unlink()
    place.symlink_to(place)
    assert [finding.severity for finding in files.load().findings] == ["error"]
    place.unlink()
    assert files.load().findings == (), "it was removed"
    place.parent.rename(tmp_path / "moved")
    assert "the folder is gone" in str(files.load().findings[0])


def test_a_home_is_that_of_whom_a_path_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert [expanded(path) for path in ("~", "~/x", "/x", "x~", "~no-such-user/x")] == [
        Path("/home/ada"), Path("/home/ada/x"), Path("/x"), Path("x~"), Path("~no-such-user/x"),
    ]  # fmt: skip
    assert [expanded(path, "/srv") for path in ("~", Path("~/x"), "/x")] == [Path("/srv"), Path("/srv/x"), Path("/x")]
