"""`ostler install`, `uninstall` and `servers import`: the files of other clients, on a machine made for the test."""

import hashlib
import json
import re
import stat
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.small_disk import fill, small_disk

from ostler.adapters.config.client_edit import addition, own_command
from ostler.adapters.config.client_files import Machine
from ostler.adapters.config.dialects.locations import LOCATIONS
from ostler.adapters.config.imports import candidates_in
from ostler.adapters.config.mcp_json import load_mcp_json
from ostler.faces.cli.app import run_command
from ostler.faces.cli.session import ExitStatus
from ostler.model.errors import ConflictError

CURSOR = """{
  // mine
  "mcpServers": {
    "gh": {"command": "npx -y gh", "env": {"TOKEN": "abcdefgh12345"}}, // first
    "shut": {"command": "x", "sandboxEnabled": true},
  }
}
"""
CODEX = 'model = "x" # keep\n\n[mcp_servers.a]\ncommand = "npx"\nenabled_tools = ["get"]\n\n[tui]\ntheme = "dark"\n'


class Home:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.out = self.err = ""

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run(self, *arguments: str) -> int:
        status = run_command(list(arguments))
        captured = self._capsys.readouterr()
        self.out, self.err = captured.out, captured.err
        return status

    @property
    def servers(self) -> Any:
        path = self.folder / ".config" / "ostler" / "mcp.json"
        return json.loads(path.read_text())["mcpServers"] if path.exists() else {}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    for name in (
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "OSTLER_CONFIG",
        "OSTLER_STATE",
        "CODEX_HOME",
        "CLAUDE_CONFIG_DIR",
        "GOOSE_PATH_ROOT",
        "KIRO_HOME",
        "VIBE_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Home(tmp_path, capsys)


def test_ostler_is_added_and_removed_with_everything_else_kept(home: Home) -> None:
    cursor, codex = home.write(".cursor/mcp.json", CURSOR), home.write(".codex/config.toml", CODEX)
    cursor.chmod(0o640)
    assert home.run("install", "--dry-run") == ExitStatus.OK
    assert '+    "ostler": {' in home.out
    assert (cursor.read_text(), codex.read_text()) == (CURSOR, CODEX)
    assert home.run("install") == ExitStatus.FAILED  # no one is there to be asked
    assert cursor.read_text() == CURSOR
    assert home.run("install", "--yes") == ExitStatus.OK
    assert "// mine" in cursor.read_text()
    assert "// first" in cursor.read_text()
    assert stat.S_IMODE(cursor.stat().st_mode) == 0o640
    assert cursor.with_name("mcp.json.ostler-backup").read_text() == CURSOR
    added = tomllib.loads(codex.read_text())
    assert added["mcp_servers"]["ostler"]["args"] == ["serve"]
    assert added["tui"] == {"theme": "dark"}
    assert home.run("install", "--yes") == ExitStatus.OK
    assert "nothing to change" in home.out
    assert home.run("uninstall", "--yes", "cursor", "codex") == ExitStatus.OK
    assert cursor.read_text() == CURSOR
    assert tomllib.loads(codex.read_text()) == tomllib.loads(CODEX)
    assert "# keep" in codex.read_text()


def test_secrets_next_to_ostlers_entry_are_not_shown(home: Home) -> None:
    home.write(
        ".cursor/mcp.json",
        '{"mcpServers":{"a":{"command":"x","args":["--api-key","k3y-one"]}},"token":"t0k-two","url":"http://ada:pw@h"}',
    )
    home.write(
        ".codex/config.toml", '[mcp_servers.a]\nurl = "https://x/"\nhttp_headers = { Authorization = "Bearer b-th3" }\n'
    )
    for command in (["install", "--dry-run"], ["install", "--yes"], ["uninstall", "--yes"]):
        assert home.run(*command, "cursor", "codex") == ExitStatus.OK
        assert '"a":{"command":"x","args":["--api-key","***"]' in home.out
        assert 'http_headers = { Authorization = "***" }' in home.out
        assert not any(secret in home.out for secret in ("k3y-one", "t0k-two", "b-th3", "ada:pw"))


@pytest.mark.parametrize("client", [location.client for location in LOCATIONS if location.paths])
def test_what_is_written_for_a_client_is_what_it_reads(home: Home, client: str) -> None:
    file = Machine({"HOME": str(home.folder)}).file_of(client)
    assert file is not None
    assert home.run("install", "--yes", client) == ExitStatus.OK, home.err
    # Under its own name Ostler does not take itself for a server.
    text = re.sub(r"\bostler(?=[\]:\"]|$)", "other", file.path.read_text(), flags=re.MULTILINE)
    loaded = load_mcp_json(text, {}, file=file.path.name, clients=frozenset({file.location.writer}))
    assert loaded.findings == ()
    (entry,) = loaded.entries.values()
    assert entry.args == ("serve",)
    assert home.run("install", "--yes", client) == ExitStatus.OK
    assert "nothing to change" in home.out
    assert home.run("uninstall", "--yes", client) == ExitStatus.OK
    if file.path.suffix == ".json":
        assert json.loads(file.path.read_text()) == {}, "nothing that was made for Ostler is left"


@pytest.mark.parametrize(
    ("path", "client", "text", "added"),
    [
        (".codex/config.toml", "codex", "# about a\n[mcp_servers.a]\nx = 1\n\n# about b\n[b]\ny = 1\n",
         "[mcp_servers.ostler]"),
        (".codex/config.toml", "codex", 'a = 1\r\n[mcp_servers.a]\r\ncommand = "x"\r\n', "[mcp_servers.ostler]"),
        (".openclaw/openclaw.json", "openclaw", "{\n  mcp: {\n    servers: {\n      a: 'x', // mine\n    },\n  },\n}\n",
         '      "ostler": {'),
        (".config/goose/config.yaml", "goose", "# mine\nextensions:\n    dev: # built in\n        enabled: true\n",
         "    ostler:"),
        (".continue/config.yaml", "continue", "name: x\nmcpServers:\n- name: a # first\n  command: npx\n",
         "- name: ostler"),
        (".vibe/config.toml", "vibe",
         'a = 1\n\n[[mcp_servers]] # first\nname = "b"\ncommand = "x"\n\n# about c\n[tools.c]\ny = 1\n',
         "[[mcp_servers]]"),
        ("work/librechat.yaml", "librechat", "version: 1.2.1\nmcpServers:\n  a:\n    command: npx # first\n",
         "  ostler:"),
    ],
)  # fmt: skip
def test_comments_and_order_stay(home: Home, path: str, client: str, text: str, added: str) -> None:
    file = home.write(path, "")
    file.write_bytes(text.encode())
    assert home.run("install", "--yes", client) == ExitStatus.OK, home.err
    lines = file.read_bytes().decode().split("\n")
    assert added in [line.rstrip("\r") for line in lines]
    assert ("\r" in text) == all(line.endswith("\r") for line in lines[:-1])
    assert home.run("uninstall", "--yes", client) == ExitStatus.OK, home.err
    assert file.read_bytes().decode() == text


def test_an_entry_of_ours_is_replaced_where_it_is(home: Home) -> None:
    before = "[mcp_servers.ostler]\ncommand = 'old'\n\n[mcp_servers.ostler.env]\nA = '1'\n\n# about b\n[b]\ny = 1\n"
    file = home.write(".codex/config.toml", before)
    assert home.run("install", "--yes", "codex") == ExitStatus.OK
    assert tomllib.loads(file.read_text())["mcp_servers"]["ostler"].keys() == {"command", "args"}
    assert file.read_text().startswith("[mcp_servers.ostler]\n")
    assert file.read_text().endswith("\n\n# about b\n[b]\ny = 1\n")


def test_a_list_that_is_written_out_empty_is_added_to(home: Home) -> None:
    file = home.write(".vibe/config.toml", 'model = "x"\nmcp_servers = []\n\n[tools]\ny = 1\n')
    assert home.run("install", "--yes", "vibe") == ExitStatus.OK, home.err
    (server,) = tomllib.loads(file.read_text())["mcp_servers"]
    assert (server["name"], server["transport"], server["args"]) == ("ostler", "stdio", ["serve"])
    assert home.run("uninstall", "--yes", "vibe") == ExitStatus.OK, home.err
    assert tomllib.loads(file.read_text()) == {"model": "x", "tools": {"y": 1}}


@pytest.mark.parametrize(
    ("client", "platform", "environment", "path"),
    [
        ("claude-desktop", "darwin", {}, "/h/Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", {"APPDATA": "/a"}, "/a/Claude/claude_desktop_config.json"),
        ("claude-code", "linux", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/.claude.json"),
        ("zed", "darwin", {"XDG_CONFIG_HOME": "/x"}, "/h/.config/zed/settings.json"),
        ("zed", "linux", {"XDG_CONFIG_HOME": "/x"}, "/x/zed/settings.json"),
        ("zed", "win32", {"APPDATA": "/a"}, "/a/Zed/settings.json"),
        ("goose", "linux", {}, "/h/.config/goose/config.yaml"),
        ("goose", "win32", {"APPDATA": "/a"}, "/a/Block/goose/config/config.yaml"),
        ("goose", "linux", {"GOOSE_PATH_ROOT": "/g"}, "/g/config/config.yaml"),
        ("copilot-jetbrains", "win32", {"LOCALAPPDATA": "/l"}, "/l/github-copilot/intellij/mcp.json"),
        ("copilot-jetbrains", "darwin", {}, "/h/.config/github-copilot/intellij/mcp.json"),
        ("kilo", "linux", {}, "/h/.config/kilo/kilo.json"),
        ("qwen", "linux", {}, "/h/.qwen/settings.json"),
        ("antigravity", "darwin", {}, "/h/.gemini/config/mcp_config.json"),
        ("vscode-remote", "linux", {"XDG_CONFIG_HOME": "/x"}, "/h/.vscode-server/data/User/mcp.json"),
        ("devin", "win32", {"APPDATA": "/a"}, "/a/devin/mcp_config.json"),
        ("cline", "linux", {}, "/h/.cline/data/settings/cline_mcp_settings.json"),
        ("cline", "linux", {"CLINE_DIR": "/c"}, "/c/data/settings/cline_mcp_settings.json"),
        ("cline", "linux", {"CLINE_DIR": "/c", "CLINE_DATA_DIR": "/d"}, "/d/settings/cline_mcp_settings.json"),
        ("cline", "win32", {"CLINE_DATA_DIR": "/d", "CLINE_MCP_SETTINGS_PATH": "~/m.json"}, "/h/m.json"),
        ("amp", "linux", {"AMP_SETTINGS_FILE": "/a.json"}, "/a.json"),
        ("qwen", "linux", {"QWEN_HOME": "~/q"}, "/h/q/settings.json"),
        ("crush", "linux", {"CRUSH_GLOBAL_CONFIG": "/c"}, "/c/crush.json"),
        ("continue", "linux", {"CONTINUE_GLOBAL_DIR": "/c"}, "/c/config.yaml"),
        ("droid", "linux", {"FACTORY_HOME_OVERRIDE": "/f"}, "/f/.factory/mcp.json"),
        ("qoder", "darwin", {}, "/h/.qoder/mcp.json"),
        ("codebuddy", "linux", {}, "/h/.codebuddy/mcp.json"),
        ("openhands", "linux", {}, "/h/.openhands/mcp.json"),
        ("rovo-dev", "linux", {}, "/h/.rovodev/mcp.json"),
        ("jan", "linux", {}, "/h/.local/share/Jan/data/mcp_config.json"),
        ("jan", "darwin", {}, "/h/Library/Application Support/Jan/data/mcp_config.json"),
        ("vibe", "win32", {}, "/h/.vibe/config.toml"),
        ("kimi-cli", "linux", {}, "/h/.kimi/mcp.json"),
        ("kimi-cli", "linux", {"KIMI_SHARE_DIR": "/k"}, "/k/mcp.json"),
    ],
)  # fmt: skip
def test_files_are_where_each_system_has_them(
    client: str, platform: str, environment: dict[str, str], path: str
) -> None:
    file = Machine({"HOME": "/h", **environment}, platform).file_of(client)
    assert file is not None
    assert file.path == Path("/") / path


def test_vs_code_has_files_for_each_profile_and_on_other_machines(home: Home) -> None:
    body = json.dumps({"servers": {"a": {"command": "x"}}})
    work, play = (home.write(f".config/Code/User/profiles/{one}/mcp.json", body) for one in ("-1f", "2a"))
    remote = home.write(".vscode-server/data/User/mcp.json", "{}")
    roo = home.write(
        ".vscode-server/data/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json", "{}"
    )
    machine = Machine({"HOME": str(home.folder)}, "linux")
    assert [file.path for file in machine.files()] == [work, play, remote, roo]
    settings = home.write(".config/Code/User/profiles/2a/settings.json", '{"chat.mcp.access": "none"}')
    limiting = {file.path: list(machine.limiting(file)) for file in machine.files()}
    assert settings in limiting[play]
    assert settings not in limiting[work]
    assert home.run("install", "--yes", "vscode-remote", "roo") == ExitStatus.OK, home.err
    assert json.loads(remote.read_text())["servers"]["ostler"]["type"] == "stdio"
    assert "ostler" in json.loads(roo.read_text())["mcpServers"]


def test_servers_that_rovo_dev_and_devin_keep_beside_others(home: Home) -> None:
    servers = {"a": {"command": "x", "transport": "stdio", "enable_instructions": False}, "b": {"command": "y"}}
    rovo = home.write(".rovodev/mcp.json", json.dumps({"mcpServers": servers}))
    home.write(".rovodev/config.yml", "mcp:\n  mcpConfigPath: ~/.rovodev/mcp.json\n  disabledMcpServers: [b]\n")
    project = home.folder / "work"
    (project / ".devin").mkdir()
    (project / ".devin" / "config.local.json").write_text(json.dumps({"mcpServers": {"d": {"command": "z"}}}))
    machine = Machine({"HOME": str(home.folder)}, "linux", home.folder / "root")
    found = {
        one.name: one.entry
        for file in machine.files(project)
        for one in candidates_in(
            file.path,
            {},
            client=file.location.writer,
            limiting=partial(machine.limiting, file),
            workspace=file.workspace,
        )[0]
    }
    assert found == {
        "d": {"command": "z", "cwd": str(project)},
        "a": {"type": "stdio", "command": "x"},
        "b": {"command": "y", "disabled": True},
    }
    assert rovo in [file.path for file in machine.files()]


def test_files_that_variables_name_are_read_with_the_usual_ones_or_instead_of_them(tmp_path: Path) -> None:
    def made(path: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"mcpServers": {}}')
        return file

    usual, more, folder = made(".config/opencode/opencode.json"), made("more.json"), made("dir/opencode.jsonc")
    named, old = made("cline.json"), made(".cline/data/settings/cline_mcp_settings.json")
    settings, system = made(".gemini/settings.json"), made("system.json")
    environment = {
        "HOME": str(tmp_path), "OPENCODE_CONFIG": str(more), "OPENCODE_CONFIG_DIR": str(folder.parent),
        "CLINE_MCP_SETTINGS_PATH": str(named), "GEMINI_CLI_SYSTEM_SETTINGS_PATH": str(system),
    }  # fmt: skip
    machine = Machine(environment, "linux", tmp_path / "root")
    found = {file.path: file for file in machine.files()}
    assert list(found) == [named, settings, usual, more, folder]
    assert list(machine.limiting(found[settings])) == [system]
    assert old in [file.path for file in Machine({"HOME": str(tmp_path)}, "linux").files()]


def test_what_an_administrator_sets_limits_the_users_servers(home: Home, tmp_path: Path) -> None:
    root = tmp_path / "root"
    etc = root / "etc" / "claude-code"
    (etc / "managed-settings.d").mkdir(parents=True)
    home.write(".claude.json", json.dumps({"mcpServers": {"a": {"command": "x"}, "b": {"command": "x"}}}))
    (etc / "managed-settings.json").write_text('{"permissions": {"deny": ["mcp__a__drop"]}}')
    (etc / "managed-settings.d" / "10-more.json").write_text('{"deniedMcpServers": [{"serverName": "b"}]}')
    machine = Machine({"HOME": str(home.folder)}, "linux", root)

    def found() -> dict[str, Any]:
        return {
            one.name: one.entry
            for file in machine.files()
            for one in candidates_in(file.path, {}, client="claude-code", limiting=partial(machine.limiting, file))[0]
        }

    assert found() == {
        "a": {"command": "x", "ostler": {"denyTools": ["drop"]}},
        "b": {"command": "x", "disabled": True},
    }
    (etc / "managed-mcp.json").write_text('{"mcpServers": {"company": {"command": "y"}}}')
    assert {name: entry.get("disabled", False) for name, entry in found().items()} == {
        "a": True, "b": True, "company": False,
    }  # fmt: skip
    assert machine.files_at(etc / "managed-mcp.json")


@pytest.mark.parametrize(
    ("name", "client", "text"),
    [
        *((".cursor/mcp.json", "cursor", text) for text in ("{", "[]", '{"mcpServers": []}', "{'a': 1}")),
        (".codex/config.toml", "codex", "a = "),
        (".codex/config.toml", "codex", f"a = {'[' * 2000}{']' * 2000}"),
    ],
)
def test_a_broken_file_is_left_as_it_is(home: Home, name: str, client: str, text: str) -> None:
    file = home.write(name, text)
    assert home.run("install", "--yes", client) == ExitStatus.FAILED
    assert str(file) in home.err
    assert file.read_text() == text
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_file_that_changed_meanwhile_is_not_written(home: Home) -> None:
    path = home.write(".cursor/mcp.json", CURSOR)
    file = Machine({"HOME": str(home.folder)}).file_of("cursor")
    assert file is not None
    edit = addition(file, ["ostler", "serve"])
    path.write_text("{}")
    with pytest.raises(ConflictError, match="has just changed"):
        edit.apply()
    assert path.read_text() == "{}"


def test_a_full_disk_leaves_everything_as_it_is(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(home.folder, "64k") as disk:
        monkeypatch.setenv("HOME", str(disk))
        file = disk / ".cursor" / "mcp.json"
        file.parent.mkdir()
        file.write_text(CURSOR)
        fill(disk)
        assert home.run("install", "--yes", "cursor") == ExitStatus.FAILED
        assert "No space left on device. Next: make the folder writable and free space there" in home.err
        assert home.run("servers", "import", "gh") == ExitStatus.FAILED
        assert "free space there" in home.err
        assert file.read_text() == CURSOR
        assert [path.name for path in file.parent.iterdir()] == ["mcp.json"]


def test_an_entry_that_is_written_twice_is_removed_twice(home: Home) -> None:
    text = '{"mcpServers": {"ostler": {"command": "old"}, "a": {"command": "x"}, "ostler": {"command": "older"}}}\n'
    file = home.write(".cursor/mcp.json", text)
    assert home.run("uninstall", "--yes", "cursor") == ExitStatus.OK
    assert file.read_text() == '{"mcpServers": { "a": {"command": "x"}}}\n'


def test_a_link_to_the_file_stays_a_link(home: Home) -> None:
    real = home.write("dotfiles/mcp.json", CURSOR)
    (home.folder / ".cursor").mkdir()
    (home.folder / ".cursor" / "mcp.json").symlink_to(real)
    assert home.run("install", "--yes", "cursor") == ExitStatus.OK
    assert (home.folder / ".cursor" / "mcp.json").is_symlink()
    assert '"ostler"' in real.read_text()


def test_a_client_that_is_not_known_is_wrong_usage(home: Home) -> None:
    assert home.run("install", "emacs") == ExitStatus.USAGE
    assert "known clients: claude-desktop" in home.err
    assert home.run("install", "claude") == ExitStatus.USAGE
    assert "did you mean claude-desktop or claude-code?" in home.err
    assert home.run("install", "--dry-run", "Claude Code", "claude-code", "CURSOR") == ExitStatus.OK
    assert [line for line in home.out.splitlines() if line.endswith(":")] == ["Claude Code:", "Cursor:"]
    assert home.run("servers", "import", "--from", "VS Code") == ExitStatus.OK
    assert home.run("install", "--yes") == ExitStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("shell", "text"), [("bash", "complete -o"), ("zsh", "#compdef ostler"), ("fish", "complete --command ostler")]
)
def test_a_shell_is_given_its_completion(home: Home, monkeypatch: pytest.MonkeyPatch, shell: str, text: str) -> None:
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    assert home.run("completion") == ExitStatus.OK
    assert text in home.out
    assert "_OSTLER_COMPLETE" in home.out


def test_a_shell_that_cannot_be_completed_is_wrong_usage(home: Home) -> None:
    assert home.run("completion", "tcsh") == ExitStatus.USAGE
    assert "bash, zsh, fish" in home.err


def test_unusual_folders_are_named_in_the_entry(home: Home) -> None:
    home.write(".cursor/mcp.json", "{}")
    assert home.run("--config", str(home.folder / "c"), "install", "--yes") == ExitStatus.OK
    entry = json.loads((home.folder / ".cursor" / "mcp.json").read_text())["mcpServers"]["ostler"]
    assert entry["args"] == ["--config", str(home.folder / "c"), "serve"]
    assert own_command({"PATH": ""})[-1] == "serve"


def test_a_client_is_given_the_whole_path_of_uvx(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(home.folder / "archive-v0" / "x"))  # as uvx makes it
    uvx = home.write("bin/uvx", "#!/bin/sh\n")
    uvx.chmod(0o755)
    assert own_command({"PATH": f"/nowhere:{uvx.parent}"})[0] == str(uvx)
    assert own_command({"PATH": "/nowhere"})[0] == "uvx"


def test_servers_of_clients_are_shown_and_taken_over(home: Home) -> None:
    home.write(".cursor/mcp.json", CURSOR)
    home.write(".codex/config.toml", CODEX)
    project = home.folder / "work"
    home.write("work/.vscode/mcp.json", '{"servers": {"ws": {"command": "x", "args": ["${workspaceFolder}/s.py"]}}}')
    home.write(".claude.json", json.dumps({"projects": {str(project): {"mcpServers": {"pr": {"command": "./run"}}}}}))
    assert home.run("servers", "import") == ExitStatus.OK
    assert "abcdefgh12345" not in home.out
    assert "shut  (Cursor" in home.out
    assert "is refused" in home.out
    assert home.out.count(f'"cwd": "{project}"') == 2, "what is shown is what is written"
    assert home.servers == {}
    assert home.run("servers", "import", "gh", "a", "ws", "pr") == ExitStatus.OK, home.err
    assert home.servers == {
        "gh": {"command": "npx", "args": ["-y", "gh"], "env": {"TOKEN": "abcdefgh12345"}},
        "a": {"command": "npx", "ostler": {"allowTools": ["get"]}},
        "ws": {"command": "x", "args": [f"{project}/s.py"], "cwd": str(project)},
        "pr": {"command": "./run", "cwd": str(project)},
    }
    assert home.run("servers", "import", "shut") == ExitStatus.FAILED
    assert "sandbox" in home.err
    assert home.run("servers", "import", "gh") == ExitStatus.OK
    assert "already" in home.err


def test_a_file_may_be_named_and_what_is_there_stays(home: Home) -> None:
    home.write(".config/ostler/mcp.json", '{\n  // mine\n  "mcpServers": {\n    "own": {"command": "y"}\n  }\n}\n')
    one = {"url": "https://h/mcp", "tools": {"drop": {"approval_mode": "prompt"}}}
    file = home.write("some.json", json.dumps({"mcpServers": {"b": one, "bad": {"command": "x", "sandbox": True}}}))
    assert home.run("servers", "import", "--from", str(file), "--all", "--json") == ExitStatus.OK, home.err
    assert [server["name"] for server in json.loads(home.out)["servers"]] == ["b", "bad"]
    assert "b: imported into" in home.err
    assert "warning: " in home.err, "what an entry may not do here is said of those that are taken, too"
    assert "server 'bad' was not imported: " in home.err
    assert set(load_mcp_json(home.folder / ".config/ostler/mcp.json", {}).entries) == {"own", "b"}
    assert "// mine" in (home.folder / ".config/ostler/mcp.json").read_text()
    assert home.run("servers", "import", "--from", "nowhere.json") == ExitStatus.NOT_FOUND


@pytest.mark.parametrize(
    "place", [".mcp.json", ".trae/mcp.json", ".some-client/mcp.json", ".claude-plugin/plugin.json"]
)
def test_a_server_runs_in_the_folder_of_its_project_or_plugin(home: Home, place: str) -> None:
    args = ["${CLAUDE_PLUGIN_ROOT}/a.js"] if "claude" in place else ["${workspaceFolder}/a.js", "./b.js"]
    home.write("shop/.claude-plugin/plugin.json", "{}")
    home.write("shop/b.js", "")
    file = home.write(f"shop/{place}", json.dumps({"mcpServers": {"a": {"command": "node", "args": args}}}))
    assert home.run("servers", "import", "a", "--from", str(file)) == ExitStatus.OK, home.err
    shop = str(home.folder / "shop")
    assert home.servers["a"]["args"] == [f"{shop}/a.js", *args[1:]]
    assert "claude" in place or home.servers["a"]["cwd"] == shop
    assert home.err == ""


def test_settings_call_a_plugins_server_by_the_plugin_too(home: Home) -> None:
    file = home.write("shop/.mcp.json", json.dumps({"mcpServers": {"db": {"command": "x"}, "web": {"command": "x"}}}))
    home.write("shop/.claude-plugin/plugin.json", '{"name": "acme"}')
    home.write(".claude/settings.json", '{"permissions": {"deny": ["mcp__plugin_acme_db__drop"]}}')
    home.write(".claude.json", '{"disabledMcpServers": ["plugin:acme:web", "plugin:other:db"]}')
    assert home.run("servers", "import", "db", "web", "--from", str(file)) == ExitStatus.OK, home.err
    assert home.servers["db"]["ostler"] == {"denyTools": ["drop"]}
    assert "disabled" not in home.servers["db"]
    assert home.servers["web"]["disabled"] is True
    home.write(".claude/settings.json", '{"enabledPlugins": {"acme@market": false, "web@market": true}}')
    assert home.run("servers", "import", "--json", "--from", str(file)) == ExitStatus.OK, home.err
    assert [server["entry"]["disabled"] for server in json.loads(home.out)["servers"]] == [True, True]
    home.write(".claude.json", '{"allowedMcpServers": [{"serverName": "plugin:acme:db"}, {"serverName": "other"}]}')
    allow = ["mcp__plugin_acme_db__get", "mcp__db__list"]
    home.write(".claude/settings.json", json.dumps({"permissions": {"defaultMode": "dontAsk", "allow": allow}}))
    assert home.run("servers", "import", "--json", "--from", str(file)) == ExitStatus.OK, home.err
    db, web = (server["entry"] for server in json.loads(home.out)["servers"])
    assert (db.get("disabled"), db["ostler"]) == (None, {"allowTools": ["get", "list"]})
    assert web["disabled"] is True


@pytest.mark.parametrize("place", ["plugin.json", "marketplace.json"])
def test_the_manifests_of_plugins_have_servers_that_settings_limit(home: Home, place: str) -> None:
    args = ["${CLAUDE_PLUGIN_ROOT}/a.js", "${user_config.key}"]
    config = {"key": {"type": "string", "default": "k"}}
    plugin = {"name": "acme", "mcpServers": {"db": {"command": "node", "args": args}}, "userConfig": config}
    content = plugin if place == "plugin.json" else {"name": "m", "plugins": [plugin], "userConfig": config}
    home.write("m/.claude-plugin/plugin.json", '{"name": "other"}')
    file = home.write(f"m/.claude-plugin/{place}", json.dumps(content))
    home.write(".claude/settings.json", '{"permissions": {"deny": ["mcp__plugin_acme_db__drop"]}}')
    assert home.run("servers", "import", "db", "--from", str(file)) == ExitStatus.OK, home.err
    assert home.servers["db"]["ostler"] == {"denyTools": ["drop"]}
    assert home.servers["db"]["args"][0] == f"{home.folder}/m/a.js"
    home.write(".claude/settings.json", '{"enabledPlugins": {"acme@m": false}}')
    assert home.run("servers", "import", "--json", "--from", str(file)) == ExitStatus.OK, home.err
    assert [server["entry"]["disabled"] for server in json.loads(home.out)["servers"]] == [True]


@pytest.mark.parametrize("place", [".devcontainer.json", ".devcontainer/api/devcontainer.json"])
def test_the_settings_of_the_folder_of_a_dev_container_limit_its_servers(home: Home, place: str) -> None:
    servers = {"a": {"url": "https://h.example/"}}
    file = home.write(f"shop/{place}", json.dumps({"customizations": {"vscode": {"mcp": {"servers": servers}}}}))
    home.write(f"shop/{Path(place).parent}/settings.json", "of another program")
    settings = home.write("shop/.vscode/settings.json", '{"chat.mcp.access": "none"}')
    assert home.run("servers", "import", "a", "--from", str(file)) == ExitStatus.FAILED
    assert "'chat.mcp.access' limits the servers" in home.err
    settings.unlink()
    assert home.run("servers", "import", "a", "--from", str(file)) == ExitStatus.OK, home.err


def test_of_a_name_in_several_files_each_is_said_once(home: Home) -> None:
    refused = {"command": "x", "autoApprove": ["get"], "sandbox": True}
    for file, entries in {
        ".cursor/mcp.json": {"both": refused, "two": {"command": "x"}, "bad": refused},
        ".gemini/settings.json": {"both": {"command": "x"}, "two": {"command": "y"}},
    }.items():
        home.write(file, json.dumps({"mcpServers": entries}))
    assert home.run("servers", "import", "--all") == ExitStatus.OK, home.err
    assert home.servers == {"both": {"command": "x"}}
    assert "server 'both' was not imported" not in home.err
    assert home.err.count("server 'two' is not the same everywhere") == 1
    assert home.run("servers", "import", "bad") == ExitStatus.FAILED
    assert "server 'bad' is refused: " in home.err
    assert "sandbox" in home.err


def test_a_server_that_one_reader_of_a_shared_file_switched_off_is_asked_about(home: Home) -> None:
    home.write("shop/.mcp.json", json.dumps({"mcpServers": {"a": {"command": "x"}, "b": {"command": "x"}}}))
    home.write(".claude/settings.json", json.dumps({"enableAllProjectMcpServers": True}))
    home.write(".claude.json", "{}")
    home.write(".copilot/config.json", json.dumps({"trustedFolders": [str(home.folder)]}))
    home.write(".copilot/settings.json", json.dumps({"disabledMcpServers": ["a"]}))
    assert home.run("servers", "import", "--all", "--from", str(home.folder / "shop/.mcp.json")) == ExitStatus.OK
    assert list(home.servers) == ["b"]
    assert "server 'a' is not the same everywhere (Claude Code: " in home.err
    assert "Copilot CLI: " in home.err


@pytest.mark.parametrize("data", [b'{"mcpServers": {', b"\xff\xfe\x00", b" " * (5 * 1024 * 1024)])
def test_a_broken_file_of_one_client_hides_no_other(home: Home, data: bytes) -> None:
    home.write(".cursor/mcp.json", "").write_bytes(data)
    home.write(".codex/config.toml", CODEX)
    assert home.run("servers", "import") == ExitStatus.OK
    assert home.err.count("mcp.json") == 1
    assert "a  (Codex" in home.out


def test_files_of_every_form_keep_it(home: Home) -> None:
    bare = home.write(".warp/.mcp.json", '{"My Server": {"command": "x"}}\n')
    marked = home.write(".lmstudio/mcp.json", '\ufeff{"mcpServers": {"a": {"command": "x"}}}\n')
    nothing = home.write(".gemini/settings.json", '{"mcpServers": null, "ui": {}}\n')
    before = {path: path.read_bytes() for path in (bare, marked, nothing)}
    shut = home.write(".config/amp/settings.json", "{}\n")
    shut.chmod(0o444)
    wide = home.write(".cursor/mcp.json", "")
    wide.write_bytes('{"mcpServers": {}}'.encode("utf-16"))
    assert home.run("install", "--yes") == ExitStatus.FAILED
    assert json.loads(bare.read_text()).keys() == {"My Server", "ostler"}
    assert marked.read_bytes().startswith(b"\xef\xbb\xbf{")
    assert "ostler" in json.loads(nothing.read_text())["mcpServers"]
    assert (shut.read_text(), wide.read_bytes()[:2]) == ("{}\n", b"\xff\xfe")
    assert "is read-only, so it stays as it is" in home.err
    assert "save it as UTF-8" in home.err
    assert home.run("servers", "import") == ExitStatus.OK
    assert "ostler" not in home.err  # what has just been added is no finding
    assert home.run("uninstall", "--yes", "warp", "lm-studio") == ExitStatus.OK
    assert (bare.read_bytes(), marked.read_bytes()) == (before[bare], before[marked])


def test_the_doctor_says_what_to_do_and_changes_nothing(home: Home) -> None:
    home.write(".cursor/mcp.json", CURSOR)
    home.write(".codex/config.toml", "[mcp_servers.a\n")
    servers = {"lost": {"command": "surely-not-installed"}, "shut": {"command": "x", "sandboxEnabled": True}}
    home.write(".config/ostler/mcp.json", json.dumps({"mcpServers": servers}))
    home.write(".config/ostler/ostler.toml", "a = [\n")
    home.write(".config/ostler/serviceclasses/mine.yaml", "kind: ServiceClass\nname: [\n")
    before = {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()}
    assert home.run("doctor", "--json") == ExitStatus.FAILED
    checks = {(check["area"], check["verdict"]): check for check in json.loads(home.out)["checks"]}
    assert checks["Cursor", "note"]["fix"] == "ostler install cursor"
    assert "config.toml:1" in checks["Codex", "problem"]["text"]
    assert ("server", "ok") in checks
    assert "ostler.toml:2" in checks["settings", "problem"]["text"]
    assert "mine.yaml:" in checks["classes", "problem"]["text"]
    assert home.run("doctor") == ExitStatus.FAILED
    assert "'surely-not-installed' was not found → install it" in home.out
    assert "confines the server's program" in home.out
    assert {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()} == before


def test_a_machine_without_problems_is_fine(home: Home) -> None:
    assert home.run("install", "--yes", "cursor") == ExitStatus.OK
    assert home.run("doctor") == ExitStatus.OK, home.out
    assert "has Ostler, in" in home.out
    assert "problem " not in home.out


def test_a_server_is_taken_over_with_what_the_clients_other_files_limit(home: Home) -> None:
    shop = home.folder / "shop"
    servers = {name: {"command": "x"} for name in ("gh", "db", "web")}
    state = {
        "mcpServers": {"gh": {"command": "x"}},
        "projects": {
            str(home.folder / "work"): {"disabledMcpjsonServers": ["db"]},
            str(shop): {
                "mcpServers": {"shop": {"command": "x"}, "old": {"command": "x"}},
                "disabledMcpServers": ["old"],
            },
        },
    }
    home.write(".claude.json", json.dumps(state))
    home.write(".claude/settings.json", json.dumps({"permissions": {"deny": ["mcp__gh__drop"]}}))
    home.write("work/.mcp.json", json.dumps({"mcpServers": servers}))
    home.write("work/.claude/settings.local.json", json.dumps({"permissions": {"deny": ["mcp__web"]},
                                                                "enableAllProjectMcpServers": True}))  # fmt: skip
    home.write("shop/.claude/settings.json", json.dumps({"permissions": {"deny": ["mcp__shop__*"]}}))
    home.write(".gemini/settings.json", json.dumps({"mcpServers": {"Jam": {"command": "x"}}}))
    home.write(".gemini/mcp-server-enablement.json", json.dumps({"jam": {"enabled": False}}))
    home.write(".config/Code/User/mcp.json", json.dumps({"servers": {"code": {"command": "x"}}}))
    home.write(".config/Code/User/settings.json", '{"chat.mcp.access": "none" /* mine */}')
    home.write(".kiro/settings/mcp.json", json.dumps({"mcpServers": {"kiro": {"command": "x"}}}))
    home.write(".kiro/settings/permissions.yaml", "rules:\n- {capability: mcp, effect: deny, match: [kiro/drop]}\n")
    digest = hashlib.sha256(str(home.folder / "work").encode()).hexdigest()[:16]
    home.write("work/.kiro/settings/mcp.json", json.dumps({"mcpServers": {"kiro-work": {"command": "x"}}}))
    home.write(f".kiro/workspace-roots/{digest}/permissions.yaml", "rules: [{capability: mcp, effect: ask}]\n")
    for name in ("on", "off"):
        extension = {"name": name, "mcpServers": {f"ext-{name}": {"command": "x"}}}
        home.write(f".gemini/extensions/{name}/gemini-extension.json", json.dumps(extension))
    rules = {"off": {"overrides": [f"!{home.folder}/*"]}, "on": {"overrides": [f"!{home.folder}/old/*"]}}
    home.write(".gemini/extensions/extension-enablement.json", json.dumps(rules))
    home.run("servers", "import", "--json")
    found = json.loads(home.out)["servers"]
    limits = {(one["name"], one["client"]): (one["refused"], one["entry"]) for one in found}
    by_name = {name: entry for (name, _), (_, entry) in limits.items()}
    work = [one for one in found if one["file"].endswith("work/.mcp.json")]
    assert {one["name"] for one in work if one["entry"].get("disabled")} == {"db"}
    assert all(one["entry"]["ostler"]["denyTools"] == ["drop"] for one in found if one["name"] == "gh")
    assert by_name["web"]["ostler"]["denyTools"] == ["*"]
    assert by_name["shop"]["ostler"]["denyTools"] == ["*"]
    assert by_name["old"]["disabled"]
    assert by_name["Jam"]["disabled"]
    assert by_name["kiro"]["ostler"]["denyTools"] == ["drop"]
    assert by_name["kiro-work"]["ostler"]["denyTools"] == ["*"]
    assert by_name["ext-off"]["disabled"]
    assert "disabled" not in by_name["ext-on"]
    assert limits["code", "VS Code"][0]


def test_servers_stay_where_they_are_while_a_file_that_limits_them_cannot_be_read(home: Home) -> None:
    home.write(".gemini/settings.json", json.dumps({"mcpServers": {"a": {"command": "x"}}}))
    home.write(".gemini/mcp-server-enablement.json", '{"a": {"enabled": fal')
    home.run("servers", "import", "--all")
    assert "mcp-server-enablement.json" in home.err
    assert "limits the servers in" in home.err
    assert home.servers == {}


def test_what_the_system_does_not_let_be_looked_at_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = home.folder / ("x" * 300)  # a longer name than any file system takes
    monkeypatch.setenv("PATH", f"{closed}:/usr/bin:/bin")
    monkeypatch.setenv("OSTLER_CONFIG", str(closed))
    assert home.run("doctor", "--json") == ExitStatus.FAILED
    checks = json.loads(home.out)["checks"]
    assert any(check["area"] == "mcp.json" and str(closed) in check["text"] for check in checks)
    assert {"ostler", "server", "PATH", "clients"} <= {check["area"] for check in checks}
    home.write(".cursor/mcp.json", CURSOR)
    assert home.run("servers", "import", "gh") == ExitStatus.FAILED
    assert str(closed) in home.err
    assert "Next: " in home.err
