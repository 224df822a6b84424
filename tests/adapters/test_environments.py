"""Whose environment programs get: never Ostler's own, that of the one who asks, else that of a login shell."""

import os
import sys
from pathlib import Path

import pytest

from ostler.adapters.caller_environment import called_with, environment_of_caller, sendable, without_own
from ostler.adapters.environments import (
    AllowedVariables,
    Environments,
    LiveEnvironment,
    find_program,
    login_environment,
    searched,
)

pytestmark = pytest.mark.anyio


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_what_is_ostlers_own_is_left_out() -> None:
    environment = {
        "PATH": os.pathsep.join(["/x/ostler/bin", "/project/bin", "/usr/bin"]),
        "VIRTUAL_ENV": "/x/ostler",
        "VIRTUAL_ENV_PROMPT": "ostler",
        "PYTHONHOME": "/x",
        "OSTLER_STATE": "/s",
        "LANG": "C",
    }
    found = without_own(environment, "/x/ostler")
    assert found == {"PATH": os.pathsep.join(["/project/bin", "/usr/bin"]), "LANG": "C"}


def test_what_systemd_gave_the_unit_that_started_ostler_is_left_out() -> None:
    """caddy 2.6.2, unbound 1.17.1, BIND 9.18.49, tor 0.4.9 and gunicorn 27.0.1 report to an inherited NOTIFY_SOCKET."""
    environment = {"NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": "30000000", "LISTEN_FDS": "1", "LANG": "C"}
    assert without_own(environment, "/x/ostler") == {"LANG": "C"}


def test_the_environment_of_a_project_stays() -> None:
    environment = {"PATH": "/project/bin:/usr/bin", "VIRTUAL_ENV": "/project", "VIRTUAL_ENV_PROMPT": "p"}
    assert without_own(environment, "/x/ostler") == environment


def test_an_ordinary_python_of_the_system_is_no_environment_of_ostlers() -> None:
    path = os.pathsep.join([f"{sys.base_prefix}/bin", "/usr/bin"])
    assert without_own({"PATH": path}, sys.base_prefix) == {"PATH": path}


def test_an_environment_that_is_too_large_is_cut_at_its_longest_values() -> None:
    sent = sendable({"SMALL": "1", "LARGE": "x" * 300_000, "BROKEN": "\udcff"})
    assert sent == {"SMALL": "1"}


def test_calls_know_who_asks() -> None:
    assert environment_of_caller() is None
    with called_with({"A": "1"}):
        assert environment_of_caller() == {"A": "1"}
        with called_with(None):
            assert environment_of_caller() is None
    assert environment_of_caller() is None


def test_a_login_shell_is_asked_without_the_variables_of_whoever_started_the_server(tmp_path: Path) -> None:
    (tmp_path / ".profile").write_text("export FROM_PROFILE=yes\necho noise\n")
    inherited = {"HOME": str(tmp_path), "SHELL": "/bin/sh", "PATH": "/poor", "LEAK": "1", "OSTLER_STATE": "/s"}
    found = login_environment(inherited)
    assert found is not None
    assert found["FROM_PROFILE"] == "yes"
    assert "LEAK" not in found
    assert "/poor" not in found["PATH"]
    assert not [name for name in found if name.startswith("OSTLER_")]


def test_a_shell_that_does_not_answer_is_no_environment(tmp_path: Path) -> None:
    broken = script(tmp_path / "bash", "exit 3")
    assert login_environment({"HOME": str(tmp_path), "SHELL": str(broken)}) is None


def test_a_program_of_the_login_shell_is_found_behind_the_path_of_the_one_who_asks(tmp_path: Path) -> None:
    tool = script(tmp_path / "login" / "tool", "exit 0")
    login = {"PATH": f"{tmp_path}/login:/usr/bin"}
    found, environment = find_program("tool", {"PATH": "/usr/bin", "A": "1"}, login)
    assert found == str(tool)
    assert environment == {"PATH": f"/usr/bin:{tmp_path}/login", "A": "1"}
    assert find_program("tool", {"PATH": "/usr/bin"}) == (None, {"PATH": "/usr/bin"})
    assert "/usr/bin" in searched({"PATH": "/usr/bin"})


async def test_a_server_is_started_as_the_last_one_asked() -> None:
    environments = Environments({"A": "base"})
    assert await environments.of("s") == {"A": "base"}
    with called_with({"A": "asked"}):
        environments.remember("s")
    environments.remember("s")  # no one in particular asks: what is kept stays
    assert await environments.of("s") == {"A": "asked"}
    environments.forget("s")
    assert await environments.of("s") == {"A": "base"}


def test_variables_of_the_file_are_taken_from_those_who_ask() -> None:
    live = LiveEnvironment({"A": "1"})
    assert (live.get("A"), live.get("B")) == ("1", None)
    assert not live.take_missing({"A": "2", "C": "3"})
    assert live.take_missing({"A": "2", "B": "2"})
    assert (live.get("A"), live.get("B")) == ("1", "2")
    assert live.take_changed({"A": "2", "B": "2", "C": "3"})
    assert dict(live) == {"A": "2", "B": "2"}


def test_templates_see_what_the_one_who_asks_has() -> None:
    seen = AllowedVariables(LiveEnvironment({"A": "base", "SECRET": "s"}), ["A", "B"])
    assert dict(seen) == {"A": "base"}
    with called_with({"A": "asked", "B": "b", "SECRET": "t"}):
        assert dict(seen) == {"A": "asked", "B": "b"}
    assert dict(seen) == {"A": "asked", "B": "b"}  # for the checks that follow
    assert "SECRET" not in seen
    assert AllowedVariables(LiveEnvironment({}), [])
