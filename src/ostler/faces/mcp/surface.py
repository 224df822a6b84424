"""What the MCP face needs of the application: the narrow seam between protocol and engine."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ostler.adapters.process.meter import Measured
from ostler.engine.classes.catalogue import ClassDirectory, ClassEntry
from ostler.engine.classes.tool_fit import ClassReview
from ostler.engine.events.notices import NoticeBoard
from ostler.engine.management import Manager
from ostler.engine.protocols import ToolProvider
from ostler.faces.projects import Projects
from ostler.model.errors import Finding, OstlerError
from ostler.model.json import JsonObject
from ostler.model.responses import ToolResponse
from ostler.model.settings import PolicySettings
from ostler.rules.text.log_pages import LogPage, LogRange

if TYPE_CHECKING:
    from ostler.rules.drafts.tool_traits import Answered


class ServerChangesLike(Protocol):
    """Downstream servers that clients add, change and remove."""

    async def check(self, name: str, entry: JsonObject) -> Sequence[Finding]:
        """Return what is wrong with an entry, and what is worth knowing about it."""
        ...

    async def add(self, name: str, entry: JsonObject) -> JsonObject:
        """Write a new entry and connect its server. Raises AlreadyExistsError, ManifestError, StoreError."""
        ...

    async def change(self, name: str, changes: JsonObject) -> JsonObject:
        """Replace some keys of an entry. Raises NotFoundError, ConflictError, ManifestError, StoreError."""
        ...

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove an entry. Raises NotFoundError, ConflictError, StoreError."""
        ...


class UsagesLike(Protocol):
    """What services use of the machine."""

    async def of(self, names: Iterable[str]) -> Mapping[str, Measured]:
        """Return the CPU and memory of the services `names`, by name; what runs elsewhere is not in it."""
        ...


class ApplicationLike(Protocol):
    """The running application, as far as tools, resources and prompts use it.

    Everything returned here is masked; `manager.reveal_secrets` is the one way to secrets.
    """

    @property
    def manager(self) -> Manager:
        """The engine."""
        ...

    @property
    def classes(self) -> ClassDirectory:
        """The loaded ServiceClasses."""
        ...

    @property
    def review(self) -> ClassReview:
        """What checks classes against the listed tools."""
        ...

    @property
    def projects(self) -> Projects:
        """The projects of checkouts and worktrees."""
        ...

    @property
    def usages(self) -> UsagesLike:
        """What measures CPU and memory of services."""
        ...

    @property
    def pool(self) -> ToolProvider:
        """The tools that may be called; it enforces the policy."""
        ...

    @property
    def server_changes(self) -> ServerChangesLike:
        """What adds, changes and removes downstream servers."""
        ...

    async def create_class(self, text: str) -> ClassEntry:
        """Write a new class file and load it. Raises ManifestError, AlreadyExistsError."""
        ...

    async def update_class(self, name: str, text: str) -> ClassEntry:
        """Replace the file of the class `name` and load it. Raises ManifestError, NotFoundError."""
        ...

    async def delete_class(self, name: str, *, force: bool = False) -> None:
        """Remove the file of the class `name`. Raises NotFoundError; ConflictError while instances exist."""
        ...

    @property
    def notices(self) -> NoticeBoard:
        """What is worth pushing to people and models."""
        ...

    @property
    def policy(self) -> PolicySettings:
        """What may be called, and what a person must confirm, as it is in force for the call under way."""
        ...

    def denies(self, tool: str) -> bool:
        """Whether the policy forbids clients Ostler's own tool `tool`."""
        ...

    async def note_denied(self, tool: str, refusal: OstlerError) -> None:
        """Have it recorded that a call of `tool` was refused, as the policy forbids it or no one confirmed it."""
        ...

    async def hide_secrets(self, server: str, response: ToolResponse) -> ToolResponse:
        """Return a server's answer with the secrets masked that args of services, and its own entry, refer to."""
        ...

    def server_entries(self) -> list[JsonObject]:
        """Return every downstream server's entry with its state, masked."""
        ...

    def server_file_findings(self) -> list[str]:
        """Return the faults of mcp.json that belong to no entry, such as a syntax error."""
        ...

    def server_entry(self, name: str) -> JsonObject:
        """Return one downstream server's entry with its state, masked. Raises NotFoundError."""
        ...

    def recorded_answers(self, server: str) -> "Mapping[str, Sequence[Answered]]":
        """Return the answers that were recorded of a server's tools, by the tool's name. Raises DefinitionError."""
        ...

    def effective_config(self) -> JsonObject:
        """Return the configuration in force, masked."""
        ...

    async def reload_configuration(self) -> None:
        """Read every file of the configuration again."""
        ...

    async def service_logs(self, name: str, wanted: LogRange) -> LogPage:
        """Return the log lines of a service that are wanted. Raises NotFoundError, ArgumentError, OperationError."""
        ...
