"""A home and a project with files of clients, and what Ostler finds in one of them."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from ostler.adapters.config.client_files import Machine
from ostler.adapters.config.imports import Candidate, candidates_in


class ClientHome:
    """A home and a project with files of clients, and what Ostler finds in one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"HOME": str(folder), "TOKEN": "s3cret-token"}

    def write(self, path: str, content: Any) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    def found(self, path: str, project: str = "") -> dict[str, Candidate]:
        machine = Machine(self.environment, "linux", self.folder / "root", self.folder / "here")
        files = machine.files(self.folder / project if project else None)
        file = next(one for one in files if one.path == self.folder / path)
        found, problems = candidates_in(
            file.path,
            self.environment,
            client=file.location.writer,
            workspace=file.workspace,
            limiting=partial(machine.limiting, file),
            layers=partial(machine.layers, file),
            variables=partial(machine.variables, file),
        )
        assert problems == []
        return {one.name: one for one in found}
