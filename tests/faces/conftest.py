"""Fixtures of the tests that run the server as a process, or `ostler` as a person does."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from processes.command_line import CommandLine

    from ostler.faces.bridge.place import ServerPlace


@pytest.fixture
def place(state_dir: Path) -> "Generator[ServerPlace]":
    """A place for one test, whose server is ended after it."""
    from processes.bridge_client import clean_place  # most tests of faces need no process

    with clean_place(state_dir) as place:
        yield place


@pytest.fixture
def alone(place: "ServerPlace", capsys: pytest.CaptureFixture[str]) -> "CommandLine":
    """`ostler` for a place that no other test uses."""
    from processes.command_line import CommandLine

    return CommandLine(place, capsys)
