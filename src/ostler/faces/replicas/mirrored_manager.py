"""The engine's face and the projects of a server that stands by, over its mirror."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Unpack

from ostler.adapters.process.strays import Stray
from ostler.adapters.replicas.mirror import Mirror
from ostler.engine.classes.catalogue import ClassDirectory
from ostler.engine.events.log import EventReader
from ostler.engine.insight.preview import Plans
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.management import Manager
from ostler.engine.projects.changes import Change
from ostler.engine.projects.directory import ProjectDirectory
from ostler.engine.projects.runner import ProjectReport
from ostler.engine.projects.scope import ProjectScope
from ostler.engine.protocols import Progress
from ostler.engine.services.registry import RegistryAdapter
from ostler.engine.services.views import (
    CreateRequest,
    OperationRequest,
    OperationResult,
    ProjectRef,
    ServiceView,
    WaitingOptions,
)
from ostler.faces.projects import ClientFolders, Projects, ProjectStatus
from ostler.faces.replicas.handover import leave_to_holder
from ostler.model.errors import OstlerError
from ostler.model.json import JsonObject
from ostler.model.plans import Plan, PlanAction
from ostler.model.records import OperationRecord

if TYPE_CHECKING:
    from ostler.engine.keepers.leftovers import LeftoversSurvey


class MirroredManager(Manager):
    """The engine's face over a mirror. It has no engine: what the mirror does not show is left to the holder."""

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

    def find_removed(self, name: str) -> ServiceInstance | None:
        """Leave it to the holder."""
        leave_to_holder(f"read logs of {name}")

    async def reveal_secrets(self, name: str) -> tuple[JsonObject, JsonObject]:
        """Leave it to the holder."""
        leave_to_holder(f"show secrets of {name!r}")

    def secrets(self) -> frozenset[str]:
        """Leave it to the holder."""
        leave_to_holder("list secrets")

    def validate(
        self, class_name: str, args: JsonObject, name: str = "", *, numbers_as_text: bool = False, folder: str = ""
    ) -> JsonObject:
        """Leave it to the holder."""
        del args, name, numbers_as_text, folder
        leave_to_holder(f"validate args of {class_name}")

    def chosen_dependencies(self, request: CreateRequest) -> list[str]:
        """Leave it to the holder."""
        del request
        leave_to_holder("prepare services")

    def name_of(self, request: CreateRequest) -> str:
        """Leave it to the holder."""
        del request
        leave_to_holder("prepare services")

    def difference(self, request: CreateRequest) -> str:
        """Leave it to the holder."""
        del request
        leave_to_holder("prepare services")

    async def create(self, request: CreateRequest, **waiting: Unpack[WaitingOptions]) -> OperationResult:
        """Leave it to the holder."""
        del request, waiting
        leave_to_holder("create services")

    async def operate(self, name: str, asked: OperationRequest, **waiting: Unpack[WaitingOptions]) -> OperationResult:
        """Leave it to the holder."""
        del asked, waiting
        leave_to_holder(f"change {name}")

    async def send_input(self, name: str, text: str, *, enter: bool = True) -> str:
        """Leave it to the holder."""
        del text, enter
        leave_to_holder(f"send input to {name}")

    async def check_health(self, name: str) -> ServiceView:
        """Leave it to the holder."""
        leave_to_holder(f"check {name}")

    async def renew(self, name: str, lease: float | None = None) -> ServiceView:
        """Leave it to the holder."""
        del lease
        leave_to_holder(f"renew the lease of {name}")


class _NoPlans(Plans):
    """Plans, which only the holder makes."""

    def __repr__(self) -> str:
        return "_NoPlans()"

    def create(self, request: CreateRequest) -> Plan:
        """Leave it to the holder."""
        del request
        leave_to_holder("make plans")

    def operate(self, name: str, action: PlanAction, *, abandon: bool = False) -> Plan:
        """Leave it to the holder."""
        del action, abandon
        leave_to_holder(f"make plans of {name}")


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

    async def scope_of(self, directory: str) -> ProjectScope:
        """Leave it to the holder."""
        leave_to_holder(f"read a project in {directory}")

    async def status(self, directory: str) -> ProjectStatus:
        """Leave it to the holder."""
        leave_to_holder(f"read a project in {directory}")

    async def plan(self, directory: str, names: Sequence[str]) -> tuple[ProjectScope, list[Change]]:
        """Leave it to the holder."""
        del names
        leave_to_holder(f"read a project in {directory}")

    async def owner_of_new(self, folder: str) -> ProjectRef | None:
        """Leave it to the holder."""
        del folder
        leave_to_holder("create services")

    async def read_variables(self, directory: str, files: Sequence[str]) -> dict[str, str]:
        """Leave it to the holder."""
        del directory, files
        leave_to_holder("read files")

    async def up(
        self, directory: str, names: Sequence[str], *, timeout: float | None, progress: Progress
    ) -> tuple[ProjectScope, ProjectReport]:
        """Leave it to the holder."""
        del directory, names, timeout, progress
        leave_to_holder("bring up projects")

    async def down(
        self, directory: str, names: Sequence[str], *, timeout: float | None
    ) -> tuple[ProjectRef, ProjectReport]:
        """Leave it to the holder."""
        del directory, names, timeout
        leave_to_holder("take down projects")

    def left_over(self) -> list[ProjectRef]:
        """Leave it to the holder."""
        leave_to_holder("look for projects whose folder is gone")

    async def strays(self) -> list[Stray]:
        """Leave it to the holder."""
        leave_to_holder("look for processes")

    async def end_strays(self) -> list[Stray]:
        """Leave it to the holder."""
        leave_to_holder("end processes")

    async def leftovers(self) -> "LeftoversSurvey":
        """Leave it to the holder."""
        leave_to_holder("look for leftovers")

    async def remove_leftovers(self, *, timeout: float | None = None) -> "LeftoversSurvey":
        """Leave it to the holder."""
        del timeout
        leave_to_holder("remove leftovers")

    async def prune(self, *, timeout: float | None) -> list[tuple[ProjectRef, ProjectReport]]:
        """Leave it to the holder."""
        del timeout
        leave_to_holder("remove projects")
