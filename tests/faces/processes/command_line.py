"""`ostler` as a person runs it, for the tests of its verbs."""

import json
from typing import Any

import pytest

from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli.app import run_command
from ostler.faces.cli.session import ExitStatus


class CommandLine:
    """`ostler` for one place, in this process; the server is one of its own."""

    def __init__(self, place: ServerPlace, capsys: pytest.CaptureFixture[str]) -> None:
        self.place = place
        self._capsys = capsys
        self.out = ""
        self.err = ""

    @property
    def folders(self) -> list[str]:
        return ["--config", self.place.config_dir, "--state", self.place.state_dir]

    def run(self, *arguments: str) -> int:
        status = run_command([*self.folders, *arguments])
        captured = self._capsys.readouterr()
        self.out, self.err = captured.out, captured.err
        return status

    def json(self, *arguments: str) -> Any:
        assert self.run(*arguments) == ExitStatus.OK, self.err
        return json.loads(self.out)
