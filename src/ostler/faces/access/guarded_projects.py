"""Projects are folders of the machine: for admins. What others have of them is an empty list."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ostler.adapters.process.strays import Stray
from ostler.engine.management import Manager
from ostler.engine.projects.changes import Change
from ostler.engine.projects.directory import ProjectDirectory
from ostler.engine.projects.runner import ProjectReport
from ostler.engine.projects.scope import ProjectScope
from ostler.engine.protocols import Progress
from ostler.engine.services.views import ProjectRef
from ostler.faces.access.acting import Acting
from ostler.faces.access.rights import Rights
from ostler.faces.projects import ClientFolders, Projects, ProjectStatus
from ostler.model.errors import AccessDeniedError

if TYPE_CHECKING:
    from ostler.engine.keepers.leftovers import LeftoversSurvey


class GuardedProjects(Projects):
    """The projects for one principal: those that there are, audited, for an admin; else none."""

    def __init__(self, projects: Projects, manager: Manager, rights: Rights, acting: Acting) -> None:
        self._projects = projects
        self._seen = ProjectDirectory(manager.registry)
        self._rights = rights
        self._acting = acting
        self._clients = ClientFolders()

    @property
    def directory(self) -> ProjectDirectory:
        """Which projects have services that the principal sees."""
        return self._projects.directory if self._rights.policy().admin else self._seen

    @property
    def clients(self) -> ClientFolders:
        """The folders that clients work in now; those that others than admins name hold no one's lease."""
        return self._projects.clients if self._rights.policy().admin else self._clients

    def __repr__(self) -> str:
        return f"GuardedProjects({self._rights!r})"

    def _all(self) -> Projects:
        if self._rights.policy().admin:
            return self._projects
        raise AccessDeniedError(
            f"projects are folders of the machine that Ostler runs on, and {self._rights.name!r} has none there",
            next_actions=("service_create makes services without a project",),
        )

    async def scope_of(self, directory: str) -> ProjectScope:
        """Return the project that `directory` lies in; AccessDeniedError for all but admins."""
        return await self._all().scope_of(directory)

    async def status(self, directory: str) -> ProjectStatus:
        """Return how the project of `directory` is; AccessDeniedError for all but admins."""
        return await self._all().status(directory)

    async def read_variables(self, directory: str, files: Sequence[str]) -> dict[str, str]:
        """Return the variables of files; AccessDeniedError for all but admins."""
        if not self._rights.policy().admin:
            raise AccessDeniedError(
                f"{self._rights.name!r} may not have files of the machine read (overrides.envFile)",
                next_actions=("use the arguments of the class; serviceclass_get shows them",),
            )
        return await self._projects.read_variables(directory, files)

    def is_project(self, directory: str) -> bool:
        """Whether `directory` lies in a project."""
        return self._rights.policy().admin and self._projects.is_project(directory)

    async def plan(self, directory: str, names: Sequence[str]) -> tuple[ProjectScope, list[Change]]:
        """Return what `up` would do now; AccessDeniedError for all but admins."""
        return await self._all().plan(directory, names)

    def full_name(self, name: str, folder: str) -> str:
        """Return what the short `name` means to a client that works in `folder`."""
        return self._projects.full_name(name, folder) if self._rights.policy().admin else name

    async def owner_of_new(self, folder: str) -> ProjectRef | None:
        """Return the project that a service belongs to that a client in `folder` creates."""
        return await self._projects.owner_of_new(folder) if self._rights.policy().admin else None

    async def up(
        self, directory: str, names: Sequence[str], *, timeout: float | None, progress: Progress
    ) -> tuple[ProjectScope, ProjectReport]:
        """Bring the project of `directory` up; AccessDeniedError for all but admins."""
        projects = self._all()
        async with self._acting.act("project", f"up {directory}"):
            return await projects.up(directory, names, timeout=timeout, progress=progress)

    async def down(
        self, directory: str, names: Sequence[str], *, timeout: float | None
    ) -> tuple[ProjectRef, ProjectReport]:
        """Stop and remove services of the project of `directory`; AccessDeniedError for all but admins."""
        projects = self._all()
        async with self._acting.act("project", f"down {directory}"):
            return await projects.down(directory, names, timeout=timeout)

    def left_over(self) -> list[ProjectRef]:
        """Return the projects whose folder is gone."""
        return self._projects.left_over() if self._rights.policy().admin else []

    async def strays(self) -> list[Stray]:
        """Return the processes that an earlier life of Ostler left; none for all but admins."""
        return await self._projects.strays() if self._rights.policy().admin else []

    async def end_strays(self) -> list[Stray]:
        """End the processes that an earlier life of Ostler left; AccessDeniedError for all but admins."""
        projects = self._all()
        async with self._acting.act("project", "end strays"):
            return await projects.end_strays()

    async def leftovers(self) -> "LeftoversSurvey":
        """Return what was made for services that are not known any more; nothing for all but admins."""
        from ostler.engine.keepers.leftovers import LeftoversSurvey

        return await self._projects.leftovers() if self._rights.policy().admin else LeftoversSurvey()

    async def remove_leftovers(self, *, timeout: float | None = None) -> "LeftoversSurvey":
        """Stop that; AccessDeniedError for all but admins."""
        projects = self._all()
        async with self._acting.act("project", "remove leftovers"):
            return await projects.remove_leftovers(timeout=timeout)

    async def prune(self, *, timeout: float | None) -> list[tuple[ProjectRef, ProjectReport]]:
        """Stop and remove the services of projects whose folder is gone; AccessDeniedError for all but admins."""
        projects = self._all()
        async with self._acting.act("project", "prune"):
            return await projects.prune(timeout=timeout)
