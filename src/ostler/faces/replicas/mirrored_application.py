"""The application of a standby server: a mirror of the holder's, which reads and changes nothing.

What it cannot answer as the holder would, it leaves to the holder: `leave_to_holder` ends the request here, and it is
passed on. That goes for everything that is not defined here, too (`leaves_the_rest`).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from ostler.adapters.process.meter import Measured
from ostler.adapters.replicas.mirror import Mirror
from ostler.engine.classes.catalogue import ClassDirectory
from ostler.engine.events.log import EventReader
from ostler.engine.events.notices import NoticeBoard
from ostler.engine.insight.preview import Plans
from ostler.engine.management import Manager
from ostler.engine.projects.directory import ProjectDirectory
from ostler.engine.protocols import ToolProvider
from ostler.engine.services.registry import RegistryAdapter
from ostler.faces.mcp.surface import ApplicationLike, UsagesLike
from ostler.faces.projects import ClientFolders, Projects
from ostler.faces.replicas.handover import leave_to_holder, leaves_the_rest
from ostler.model.errors import OstlerError
from ostler.model.records import OperationRecord
from ostler.model.settings import PolicySettings, Settings


@leaves_the_rest(Manager)
class MirroredManager(Manager):
    """The engine's interface over a mirror, without an engine."""

    def __init__(self, mirror: Mirror, history: Callable[[str, int], Awaitable[Sequence[OperationRecord]]]) -> None:
        self._mirror = mirror
        self._history = history
        self._plans = _NoPlans()

    def __repr__(self) -> str:
        return f"MirroredManager({len(self.registry)} services)"

    @property
    def registry(self) -> RegistryAdapter:
        """The holder's services."""
        return self._mirror.registry

    @property
    def events(self) -> EventReader:
        """What happened there."""
        return self._mirror.events

    @property
    def classes(self) -> ClassDirectory:
        """The holder's classes."""
        return self._mirror.classes

    @property
    def plans(self) -> Plans:
        """None: the holder makes plans."""
        return self._plans

    def instances_of(self, class_name: str) -> list[str]:
        """Return the names of the instances of a class."""
        return [each.name for each in self.registry.get_all() if each.view().class_name == class_name]

    async def history(self, name: str, limit: int = 20) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first; NotFoundError when there is no such service."""
        view = self.registry.get(name).view()
        if not view.class_name:
            return []
        try:
            return await self._history(view.id, limit)
        except OstlerError:
            leave_to_holder("read the history")


@leaves_the_rest(Plans)
class _NoPlans(Plans):
    """Plans, which only the holder makes."""


@leaves_the_rest(Projects)
class MirroredProjects(Projects):
    """The projects, for clients that name no folder: the others' folders are on their machine, or the holder's."""

    def __init__(self, mirror: Mirror) -> None:
        self._directory = ProjectDirectory(mirror.registry)
        self._clients = ClientFolders()

    def __repr__(self) -> str:
        return f"MirroredProjects({self._directory!r})"

    @property
    def directory(self) -> ProjectDirectory:
        """Which projects have services."""
        return self._directory

    @property
    def clients(self) -> ClientFolders:
        """The folders that clients of this server work in: its calls are passed on."""
        return self._clients

    def full_name(self, name: str, folder: str) -> str:
        """Return what the short `name` means to a client that works in `folder`."""
        return self._directory.full_name(name, folder)

    def is_project(self, directory: str) -> bool:
        """Whether `directory` lies in a project: no folder does."""
        if directory:
            leave_to_holder(f"look for a project in {directory}")
        return False


class MirroredUsages:
    """CPU and memory, which only the holder can measure: the services run on its machine."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    def __repr__(self) -> str:
        return f"MirroredUsages({len(self._mirror.measured)} are measured)"

    async def of(self, names: Iterable[str]) -> Mapping[str, Measured]:
        """Return nothing, if none of the services is measured."""
        if not self._mirror.measured.isdisjoint(names):
            leave_to_holder("measure processes")
        return {}


@leaves_the_rest(ToolProvider)
class _NoTools(ToolProvider):
    """The tools of downstream servers, which only the holder is connected to."""


@leaves_the_rest(ApplicationLike)
class MirroredApplication(ApplicationLike):
    """The application that reads what a mirror has.

    Args:
        mirror: what the holder has sent.
        settings: returns the settings in force here, which are the holder's where it matters.
        history: reads the newest operations of a service, by its id and how many.
    """

    def __init__(
        self,
        mirror: Mirror,
        settings: Callable[[], Settings],
        history: Callable[[str, int], Awaitable[Sequence[OperationRecord]]],
    ) -> None:
        self._mirror = mirror
        self._settings = settings
        self._manager = MirroredManager(mirror, history)
        self._usages = MirroredUsages(mirror)
        self._pool = _NoTools()
        self._notices = NoticeBoard(mirror.events)
        self._projects = MirroredProjects(mirror)

    def __repr__(self) -> str:
        return f"MirroredApplication({self._mirror!r})"

    @property
    def manager(self) -> Manager:
        """What can be read of the engine."""
        return self._manager

    @property
    def classes(self) -> ClassDirectory:
        """The holder's classes."""
        return self._mirror.classes

    @property
    def projects(self) -> Projects:
        """The projects, for clients that name no folder."""
        return self._projects

    @property
    def usages(self) -> UsagesLike:
        """What is known of CPU and memory."""
        return self._usages

    @property
    def pool(self) -> ToolProvider:
        """No tools."""
        return self._pool

    @property
    def notices(self) -> NoticeBoard:
        """What is worth interrupting someone for."""
        return self._notices

    @property
    def policy(self) -> PolicySettings:
        """The policy in force."""
        return self._settings().policy

    def denies(self, tool: str) -> bool:
        """Whether the policy forbids clients Ostler's own tool `tool`."""
        return self.policy.denies_own(tool)
