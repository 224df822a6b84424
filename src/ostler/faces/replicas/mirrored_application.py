"""The application of a server that stands by: a mirror of the holder's, which reads and changes nothing.

What it cannot answer as the holder would, it leaves to the holder: `leave_to_holder` ends the request here, and it is
passed on.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Never, Self

from ostler.adapters.process.meter import Measured
from ostler.adapters.replicas.mirror import Mirror
from ostler.engine.classes.catalogue import ClassCatalogue, ClassEntry
from ostler.engine.classes.tool_fit import ClassReview
from ostler.engine.clock import SystemClock
from ostler.engine.events.notices import NoticeBoard
from ostler.engine.insight.preview import Planner
from ostler.engine.instances.departed import Departed
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Progress, ServerStatus, ToolInfo, ToolProvider
from ostler.faces.mcp.surface import ServerChangesLike
from ostler.faces.projects import Projects
from ostler.faces.service_usage import ServiceUsages
from ostler.model.errors import OstlerError
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.records import OperationRecord
from ostler.model.responses import ToolResponse
from ostler.model.settings import PolicySettings, Settings
from ostler.rules.text.log_pages import LogPage, LogRange

if TYPE_CHECKING:
    from ostler.rules.drafts.tool_traits import Answered


class Handover:
    """Whether a request that is being answered here has to be answered by the holder after all."""

    __slots__ = ("is_due",)

    def __init__(self) -> None:
        self.is_due = False


handover: ContextVar[Handover | None] = ContextVar("handover", default=None)
"""That of the request under way."""


class NotHereError(OstlerError):
    """Only the holder of the database can answer this. No client sees it: the request is passed on."""

    code = "not_here"


def leave_to_holder(what: str) -> Never:
    """Have the request under way passed on.

    Raises:
        NotHereError: always.
    """
    if (due := handover.get()) is not None:
        due.is_due = True
    raise NotHereError(f"this server stands by, and cannot {what}")


class MirroredManager(ServiceManager):
    """The engine's face over a mirror. It has no engine: what is not written here is left to the holder."""

    def __init__(self, mirror: Mirror, history: Callable[[str, int], Awaitable[Sequence[OperationRecord]]]) -> None:
        # ServiceManager's own __init__ would make an engine.
        self.stop_on_exit = False
        self.registry = mirror.registry
        self.events = mirror.events
        self.classes = mirror.classes
        self.departed = Departed(SystemClock())
        self.plans = _NoPlans()
        self._history = history

    def __repr__(self) -> str:
        return f"MirroredManager({len(self.registry)} services)"

    def __getattr__(self, name: str) -> Any:
        """Leave to the holder what needs a part of the engine."""
        if name in ("_parts", "health", "_stack", "_shutdown_timeout"):
            leave_to_holder("reach the engine")
        raise AttributeError(name)

    async def __aenter__(self) -> Self:
        leave_to_holder("run an engine")

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        leave_to_holder("run an engine")

    def reveal(self, name: str) -> tuple[JsonObject, JsonObject]:
        """Leave secrets to the holder."""
        leave_to_holder(f"show secrets of {name!r}")

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


class _NoPlans(Planner):
    """Plans, which only the holder makes."""

    def __init__(self) -> None:
        # Planner's own __init__ takes the parts of an engine.
        pass

    def __getattr__(self, name: str) -> Any:
        """Leave it to the holder."""
        leave_to_holder(f"make plans ({name})")

    def __repr__(self) -> str:
        return "_NoPlans()"


class MirroredUsages(ServiceUsages):
    """CPU and memory: of what runs on the holder's machine only the holder knows them."""

    def __init__(self, mirror: Mirror) -> None:
        # ServiceUsages' own __init__ takes the meter of the processes.
        self._mirror = mirror

    def __repr__(self) -> str:
        return f"MirroredUsages({len(self._mirror.measured)} are measured)"

    async def of(self, names: Iterable[str]) -> Mapping[str, Measured]:
        """Return nothing, if none of the services is measured; as `ServiceUsages.of`."""
        if not self._mirror.measured.isdisjoint(names):
            leave_to_holder("measure processes")
        return {}


class _NoTools:
    """The tools of downstream servers, which only the holder is connected to."""

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        """Leave it to the holder."""
        del args, timeout, progress
        leave_to_holder(f"call {tool}")

    def list_tools(self, server: str | None = None) -> Sequence[ToolInfo]:
        """Leave it to the holder."""
        del server
        leave_to_holder("list tools")

    def find_tool(self, tool: str) -> ToolInfo | None:
        """Leave it to the holder."""
        leave_to_holder(f"find {tool}")

    def server_status(self, server: str) -> ServerStatus:
        """Leave it to the holder."""
        leave_to_holder(f"see server {server}")

    def on_change(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Leave it to the holder."""
        del callback
        leave_to_holder("follow servers")

    def __repr__(self) -> str:
        return "_NoTools()"


class MirroredApplication:
    """An ApplicationLike that reads what a mirror has.

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
        self._projects = Projects(self._manager, dict)

    def __repr__(self) -> str:
        return f"MirroredApplication({self._mirror!r})"

    @property
    def manager(self) -> ServiceManager:
        """What can be read of the engine."""
        return self._manager

    @property
    def classes(self) -> ClassCatalogue:
        """The holder's classes."""
        return self._mirror.classes

    @property
    def review(self) -> ClassReview:
        """Leave it to the holder."""
        leave_to_holder("check classes")

    @property
    def projects(self) -> Projects:
        """The projects, for clients that name no folder."""
        return self._projects

    @property
    def usages(self) -> ServiceUsages:
        """What is known of CPU and memory."""
        return self._usages

    @property
    def pool(self) -> ToolProvider:
        """No tools."""
        return self._pool

    @property
    def server_changes(self) -> ServerChangesLike:
        """Leave it to the holder."""
        leave_to_holder("change MCP servers")

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

    async def note_denied(self, tool: str, refusal: OstlerError) -> None:
        """Leave it to the holder, which records it."""
        del refusal
        leave_to_holder(f"record that {tool} was denied")

    async def hide_secrets(self, response: ToolResponse) -> ToolResponse:
        """Leave it to the holder, which makes the calls."""
        del response
        leave_to_holder("hide secrets")

    async def create_class(self, text: str) -> ClassEntry:
        """Leave it to the holder."""
        del text
        leave_to_holder("create classes")

    async def update_class(self, name: str, text: str) -> ClassEntry:
        """Leave it to the holder."""
        del text
        leave_to_holder(f"change class {name}")

    async def delete_class(self, name: str, *, force: bool = False) -> None:
        """Leave it to the holder."""
        del force
        leave_to_holder(f"delete class {name}")

    def server_entries(self) -> list[JsonObject]:
        """Leave it to the holder."""
        leave_to_holder("list MCP servers")

    def server_file_findings(self) -> list[str]:
        """Leave it to the holder."""
        leave_to_holder("list MCP servers")

    def server_entry(self, name: str) -> JsonObject:
        """Leave it to the holder."""
        leave_to_holder(f"show MCP server {name}")

    def recorded_answers(self, server: str) -> "Mapping[str, Sequence[Answered]]":
        """Leave it to the holder."""
        leave_to_holder(f"read answers of {server}")

    def effective_config(self) -> JsonObject:
        """Leave it to the holder."""
        leave_to_holder("show the configuration")

    async def reload_configuration(self) -> None:
        """Leave it to the holder."""
        leave_to_holder("read the configuration again")

    async def service_logs(self, name: str, wanted: LogRange) -> LogPage:
        """Leave it to the holder."""
        del wanted
        leave_to_holder(f"read logs of {name}")
