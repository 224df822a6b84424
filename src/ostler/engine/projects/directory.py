"""Which projects have services, and the full name that a short one means to a client in a folder."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath

from msgspec import Struct

from ostler.engine.dependencies.graph import reached
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.services.registry import RegistryAdapter
from ostler.engine.services.service import Service
from ostler.engine.services.views import DIRECTORY_LABEL, PROJECT_LABEL


def _no_worktree(_folder: str) -> None:
    """Know no worktrees."""


def _nowhere(_folder: str) -> bool:
    """Know no folders of projects."""
    return False


def _unnamed(_folder: str, _known: Mapping[str, str]) -> str:
    """Read no files of projects."""
    return ""


class Outlook(Struct, frozen=True):
    """Which services concern the clients in one folder: all of them outside of projects, where `projects` is empty.

    Attributes:
        projects: those of these projects do; an empty text stands for no project.
        used: the services that they need, of whatever project.
    """

    projects: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()

    def has(self, name: str, project: str) -> bool:
        """Whether the service `name` of `project` concerns them."""
        return not self.projects or project in self.projects or name in self.used


class ProjectDirectory:
    """Follows the registry: project id → folder, for as long as a project has services.

    Args:
        registry: has the services.
        worktree_of: returns the git worktree next to the main one that a folder lies in, or None.
        is_project: whether a folder lies in a project, also in one without services.
        named: returns the project that a folder is by its file now, given those that have services; empty if unknown.
    """

    def __init__(
        self,
        registry: RegistryAdapter,
        worktree_of: Callable[[str], PurePath | None] = _no_worktree,
        is_project: Callable[[str], bool] = _nowhere,
        named: Callable[[str, Mapping[str, str]], str] = _unnamed,
    ) -> None:
        self._registry = registry
        self._worktree_of = worktree_of
        self._is_project = is_project
        self._named = named
        self._members: dict[str, set[str]] = {}
        self._folders: dict[str, str] = {}
        for service in registry.get_all():
            self._changed(service, True)
        registry.subscribe(self._changed)

    def __repr__(self) -> str:
        return f"ProjectDirectory({len(self._folders)} projects)"

    def _changed(self, service: Service, is_registered: bool) -> None:
        if not isinstance(service, ServiceInstance):
            return
        project = service.record.labels.get(PROJECT_LABEL)
        if not project:
            return
        members = self._members.setdefault(project, set())
        if is_registered:
            members.add(service.name)
            self._folders[project] = str(service.record.labels.get(DIRECTORY_LABEL, ""))
            return
        members.discard(service.name)
        if not members:
            self._members.pop(project, None)
            self._folders.pop(project, None)

    def folders(self) -> dict[str, str]:
        """Return the projects that have services: id → folder."""
        return dict(self._folders)

    def members(self, project: str) -> list[ServiceInstance]:
        """Return the services of a project, by name."""
        found = [self._registry.find(name) for name in sorted(self._members.get(project, ()))]
        return [service for service in found if isinstance(service, ServiceInstance)]

    def logged(self, project: str) -> dict[str, str]:
        """Return the services that `project` sees, with their short names: its own, and what they use of others."""
        members = self.members(project)
        needed = {name for member in members for name in member.dependencies}
        shared = [found for name in sorted(needed) if (found := self._registry.find(name)) not in (None, *members)]
        services = [*members, *(one for one in shared if isinstance(one, ServiceInstance))]
        return {one.name: one.name.removesuffix(f".{one.record.labels.get(PROJECT_LABEL)}") for one in services}

    def project_at(self, folder: str) -> str:
        """Return the id of the project that has services and whose folder is `folder`, or an empty text.

        Of several, as after a worktree was replaced by a clone, it is the one that its file names now.
        """
        found = [project for project, place in self._folders.items() if place == folder]
        if len(found) > 1 and (now := self._named(folder, self._folders)) in found:
            return now
        return max(found, default="")

    def project_of(self, folder: str) -> str:
        """Return the id of the innermost project that has services and that `folder` lies in, or an empty text.

        A worktree that lies in the folder of another project, such as its main checkout, is not of that project.
        """
        if not folder or not self._folders:
            return ""
        inside = PurePath(folder)
        place = max((place for place in self._folders.values() if inside.is_relative_to(place)), key=len, default="")
        if not place:
            return ""
        worktree = self._worktree_of(folder)
        return self.project_at(place) if worktree is None or PurePath(place).is_relative_to(worktree) else ""

    def seen_from(self, folder: str) -> "Outlook":
        """Return which services concern a client in `folder`: of its project, of none, and what its project uses."""
        own = self.project_of(folder)
        if not own and not (folder and self._is_project(folder)):
            return Outlook()
        return Outlook(frozenset({own, ""}), frozenset(self._used_by(own)))

    def _used_by(self, project: str) -> set[str]:
        """Return the services that `project` needs, directly or through others."""

        def needed_by(name: str) -> Iterable[str]:
            found = self._registry.find(name)
            return () if found is None else found.dependencies

        return set(reached((name for member in self.members(project) for name in member.dependencies), needed_by))

    def full_name(self, name: str, folder: str) -> str:
        """Return what `name` means to a client that works in `folder`: the service of its project, else `name`.

        Of a worktree, it may also be a service of the main checkout that the worktree's own services use, such as a
        shared one. Any other one there is not meant: its short name is that of a service which is missing here.
        """
        own = project = self.project_of(folder)
        while project:
            scoped = f"{name}.{project}"
            if self._registry.find(scoped) is not None and (project == own or scoped in self._used_by(own)):
                return scoped
            _, _, project = project.partition(".")
        return name
