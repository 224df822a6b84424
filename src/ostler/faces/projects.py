"""Projects as clients see and change them, as an interface: of everybody, of one principal, or over a copy."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
from msgspec import Struct

from ostler.adapters.process.strays import Stray
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.projects.changes import Change
from ostler.engine.projects.directory import ProjectDirectory
from ostler.engine.projects.runner import ProjectReport
from ostler.engine.projects.scope import ProjectScope
from ostler.engine.protocols import Progress
from ostler.engine.services.views import ProjectRef
from ostler.model.errors import Finding

if TYPE_CHECKING:
    from ostler.engine.keepers.leftovers import LeftoversSurvey

CALL_SECONDS = 60.0
"""Seconds for which a client counts as present after a call."""


class ClientFolders:
    """The folders that clients work in now: of those that are connected, and of calls over HTTP a moment ago."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        """Begin without clients; `on_change` is called when one has connected or left."""
        self._on_change = on_change
        self._connected: Counter[str] = Counter()
        self._called: dict[tuple[str, object], float] = {}
        """When each folder was called from last, over which connection; the earliest first."""

    def __repr__(self) -> str:
        return f"ClientFolders({sorted(self.present())})"

    @contextmanager
    def connected(self, directory: str, connection: object = None) -> Generator[None]:
        """Count a client for as long as it is connected; its calls name the same `connection`."""
        self._connected[directory] += 1
        self._on_change()
        try:
            yield
        finally:
            self._connected[directory] -= 1
            if not self._connected[directory]:
                del self._connected[directory]
            if connection is not None:  # it has left, however lately it called
                self._called = {call: at for call, at in self._called.items() if call[1] is not connection}
            self._on_change()

    def note_call(self, directory: str, connection: object = None) -> None:
        """Note that a client that works in `directory` called something just now; None: over HTTP."""
        self._forget_old()
        if directory:
            self._called.pop((directory, connection), None)
            self._called[directory, connection] = anyio.current_time()

    def present(self) -> set[str]:
        """Return the folders."""
        self._forget_old()
        return (self._connected.keys() | {directory for directory, _ in self._called}) - {""}

    def _forget_old(self) -> None:
        if not self._called:
            return
        oldest = anyio.current_time() - CALL_SECONDS
        while self._called and self._called[folder := next(iter(self._called))] < oldest:
            del self._called[folder]


class ProjectStatus(Struct, frozen=True):
    """A project at one moment.

    Attributes:
        ref: the project.
        changes: what `up` would do, if there is a file.
        members: its services, shared ones of the main checkout that its file names included.
        file: its file; empty when it is gone.
        findings: what is wrong with the file; nothing was changed because of it.
        is_bare: it has no file, but what the worktrees of a bare repository share.
    """

    ref: ProjectRef
    members: Sequence[ServiceInstance]
    changes: Sequence[Change] = ()
    file: str = ""
    findings: Sequence[Finding] = ()
    is_bare: bool = False


class Projects(ABC):
    """The projects of checkouts and worktrees, as clients see and change them."""

    @property
    @abstractmethod
    def directory(self) -> ProjectDirectory:
        """Which projects have services."""

    @property
    @abstractmethod
    def clients(self) -> ClientFolders:
        """The folders that clients work in now."""

    @abstractmethod
    async def scope_of(self, directory: str) -> ProjectScope:
        """Return the project that `directory` lies in.

        Raises:
            ArgumentError: no folder is known.
            NotFoundError: no folder above has an `ostler.yaml`.
            ManifestError: the file has findings.
        """

    @abstractmethod
    async def status(self, directory: str) -> ProjectStatus:
        """Return how the project of `directory` is; one whose file is gone is known by its services.

        Raises:
            ArgumentError, NotFoundError, ManifestError: as for `scope_of`; a file with findings of a project that has
                services is none, they are in the answer.
        """

    @abstractmethod
    def is_project(self, directory: str) -> bool:
        """Whether `directory` lies in a project, or in the folder of one that is gone."""

    @abstractmethod
    async def plan(self, directory: str, names: Sequence[str]) -> tuple[ProjectScope, list[Change]]:
        """Return what `up` would do now, without doing it."""

    @abstractmethod
    def full_name(self, name: str, folder: str) -> str:
        """Return what the short `name` means to a client that works in `folder`."""

    @abstractmethod
    async def owner_of_new(self, folder: str) -> ProjectRef | None:
        """Return the project that a service belongs to that a client in `folder` creates; None outside of projects."""

    @abstractmethod
    async def read_variables(self, directory: str, files: Sequence[str]) -> dict[str, str]:
        """Return the variables of `files`, relative to `directory`. Raises ArgumentError, ManifestError."""

    @abstractmethod
    async def up(
        self, directory: str, names: Sequence[str], *, timeout: float | None, progress: Progress
    ) -> tuple[ProjectScope, ProjectReport]:
        """Bring the project of `directory` up and wait at most `timeout` seconds; an equal one under way is joined.

        Raises:
            ArgumentError, NotFoundError, ManifestError: as for `scope_of`; nothing was done.
        """

    @abstractmethod
    async def down(
        self, directory: str, names: Sequence[str], *, timeout: float | None
    ) -> tuple[ProjectRef, ProjectReport]:
        """Stop and remove services of the project of `directory`, also where the folder itself is gone.

        Raises:
            ArgumentError: no folder is known.
            NotFoundError: it is in no project, or the project has no such service.
        """

    @abstractmethod
    def left_over(self) -> list[ProjectRef]:
        """Return the projects whose folder, or whose file in it, is gone, or is that of another project now."""

    @abstractmethod
    async def strays(self) -> list[Stray]:
        """Return the processes that an earlier life of Ostler left and that belong to no service."""

    @abstractmethod
    async def end_strays(self) -> list[Stray]:
        """End the processes that an earlier life of Ostler left.

        Raises:
            OperationError: something survived SIGKILL.
        """

    @abstractmethod
    async def leftovers(self) -> "LeftoversSurvey":
        """Return what was made for services that are not known any more, and carries this Ostler's mark."""

    @abstractmethod
    async def remove_leftovers(self, *, timeout: float | None = None) -> "LeftoversSurvey":
        """Stop that; return what was stopped, what could not be looked for, and what failed.

        Args:
            timeout: seconds to wait for the stops; one that is under way then goes on.
        """

    @abstractmethod
    async def prune(self, *, timeout: float | None) -> list[tuple[ProjectRef, ProjectReport]]:
        """Stop and remove the services of projects whose folder is gone."""
