"""Secrets that an entry of mcp.json only refers to: looked up when the server is connected, and shown nowhere."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from tests.support.downstream import PROGRAM, open_pool

from ostler.adapters.config.mcp_json import load_mcp_json
from ostler.model.downstream_errors import ServerUnavailableError

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

NAMES = ("FROM_ENV", "FROM_FILE", "FROM_KEYRING", "FROM_COMMAND")


class Desktop(KeyringBackend):
    """A keyring that holds one secret."""

    priority = 1  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def get_password(self, service: str, username: str) -> str | None:
        return "from-the-keyring" if (service, username) == ("github", "ci") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _desktop(monkeypatch: pytest.MonkeyPatch) -> Any:
    before = keyring.get_keyring()
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND", raising=False)
    keyring.set_keyring(Desktop())
    yield
    keyring.set_keyring(before)


def loaded(env: dict[str, str], **more: Any) -> Any:
    entry = {"command": sys.executable, "args": ["-S", str(PROGRAM)], "env": env, **more}
    return load_mcp_json(json.dumps({"mcpServers": {"s": entry}}), os.environ)


async def test_secrets_reach_the_server_and_are_masked_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "from-the-environment")
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    references = ("env:MY_TOKEN", f"file:{file}", "keyring:github/ci", "command:printf from-the-%s command")
    found = loaded({name: f"${{secret:{what}}}" for name, what in zip(NAMES, references, strict=True)})
    assert found.findings == ()
    secrets = ("from-the-environment", "from-the-file", "from-the-keyring", "from-the-command")
    async with open_pool(tmp_path, found.entries["s"]) as pool:
        answer = await pool.call_tool("s/environment", {"names": list(NAMES)})
        assert list(json.loads(answer.text).values()) == list(secrets)
        shown = json.dumps(pool.entry("s").masked()) + repr(pool.entry("s"))
        assert not [secret for secret in secrets if secret in shown]
        assert pool.mask_text("s", " ".join(secrets)) == "*** *** *** ***"
        assert sorted(pool.secrets_in_answers("s")) == sorted(secrets)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("env:NO_SUCH_VARIABLE", "the variable 'NO_SUCH_VARIABLE' is not set; set it"),
        ("file:/no/such/file", "the file '/no/such/file' cannot be read (No such file or directory); write it"),
        ("keyring:github/other", "the keyring has no 'other' of 'github'; store it with 'keyring set github other'"),
        ("command:echo no >&2; exit 3", "the command ended with 3: no; run it yourself"),
        ("command:true", "the command printed nothing"),
    ],
)
async def test_a_secret_that_is_missing_says_which_and_what_to_do(reference: str, said: str, tmp_path: Path) -> None:
    found = loaded({"TOKEN": f"Bearer ${{secret:{reference}}}"})
    async with open_pool(tmp_path, found.entries["s"]) as pool:
        with pytest.raises(ServerUnavailableError) as caught:
            await pool.call_tool("s/environment", {"names": []})
    assert said in str(caught.value)
    assert f"the secret '{reference}' of its entry" in str(caught.value)


@pytest.mark.parametrize("reference", ["", "env", "env:", "vault:x", "keyring:github", "file:relative", "keyring:/x"])
def test_what_is_not_a_reference_is_refused_when_it_is_read(reference: str) -> None:
    found = loaded({"TOKEN": f"${{secret:{reference}}}"})
    assert "s" not in found.entries
    assert "${secret:keyring:SERVICE/ACCOUNT}" in str(found.findings[0])


def test_a_reference_in_another_place_and_one_that_a_variable_holds_are_not_looked_up() -> None:
    assert "s" not in loaded({}, cwd="/tmp/${secret:env:HOME}").entries
    environment = {"SLY": "${secret:command:touch /tmp/evil}"}
    entry = {"command": "x", "env": {"TOKEN": "${SLY}"}}
    found = load_mcp_json(json.dumps({"mcpServers": {"s": entry}}), environment)
    assert found.entries["s"].references == ()
