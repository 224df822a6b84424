"""The application of a standby server: a mirror of the holder's, which reads and changes nothing.

What it cannot answer as the holder would, it leaves to the holder: `leave_to_holder` ends the request here, and it is
passed on.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ostler.adapters.process.meter import Measured
from ostler.adapters.replicas.mirror import Mirror
from ostler.engine.classes.catalogue import ClassDirectory, ClassEntry
from ostler.engine.classes.tool_fit import ClassReview
from ostler.engine.events.notices import NoticeBoard
from ostler.engine.management import Manager
from ostler.engine.protocols import Progress, ServerStatus, ToolInfo, ToolProvider
from ostler.faces.mcp.surface import ServerChangesLike, UsagesLike
from ostler.faces.projects import Projects
from ostler.faces.replicas.handover import leave_to_holder
from ostler.faces.replicas.mirrored_manager import MirroredManager, MirroredProjects
from ostler.model.errors import OstlerError
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.records import OperationRecord
from ostler.model.responses import ToolResponse
from ostler.model.settings import PolicySettings, Settings
from ostler.rules.text.log_pages import LogPage, LogRange

if TYPE_CHECKING:
    from ostler.rules.drafts.tool_traits import Answered


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
    def review(self) -> ClassReview:
        """Leave it to the holder."""
        leave_to_holder("check classes")

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
