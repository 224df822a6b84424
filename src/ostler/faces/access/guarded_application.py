"""The application for one principal, which its tools, resources, prompts and subscriptions use."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ostler.adapters.access.audit_log import AuditTrail
from ostler.adapters.process.meter import Measured
from ostler.engine.classes.catalogue import ClassDirectory, ClassEntry
from ostler.engine.classes.tool_fit import ClassReview
from ostler.engine.events.notices import NoticeBoard
from ostler.engine.management import Manager
from ostler.engine.protocols import ToolProvider
from ostler.engine.services.views import in_namespace
from ostler.faces.access.acting import Account, Acting
from ostler.faces.access.guarded_manager import GuardedManager
from ostler.faces.access.guarded_projects import GuardedProjects
from ostler.faces.access.guarded_tools import GuardedTools
from ostler.faces.access.rights import Rights
from ostler.faces.access.seen_services import Owners
from ostler.faces.mcp.surface import ApplicationLike, ServerChangesLike, UsagesLike
from ostler.faces.projects import Projects
from ostler.model.errors import AccessDeniedError, Finding, NotFoundError, OstlerError
from ostler.model.json import JsonObject
from ostler.model.responses import ToolResponse
from ostler.model.settings import PolicySettings
from ostler.rules.text.log_pages import LogPage, LogRange

if TYPE_CHECKING:
    from ostler.rules.drafts.tool_traits import Answered

_LISTED: Final = ("name", "state", "transport", "tools", "since")
"""Facts about a server that others than admins see."""


class GuardedApplication:
    """An ApplicationLike over another, for one principal.

    Args:
        app: the application itself.
        rights: the principal and what it may do.
        account: what it has done lately.
        owners: the owner of each service.
        trail: records its changes; None records nothing.
    """

    def __init__(
        self, app: ApplicationLike, rights: Rights, account: Account, owners: Owners, trail: AuditTrail | None
    ) -> None:
        self._app = app
        self._rights = rights
        self._acting = Acting(rights, account, trail)
        self._manager = GuardedManager(app.manager, rights, self._acting, owners)
        self._tools = GuardedTools(app.pool, self._manager.classes, rights, self._acting)
        self._projects = GuardedProjects(app.projects, self._manager, rights, self._acting)
        self._usages = SeenUsages(app.usages, self._manager)
        self._notices: NoticeBoard | None = None
        self._server_changes = GuardedServerChanges(app, rights, self._acting)

    def __repr__(self) -> str:
        return f"GuardedApplication({self._rights!r})"

    def _admin(self, what: str) -> AccessDeniedError | None:
        """Return why the principal may not do what admins do; None if it may."""
        return admins_only(self._rights, what)

    def _require_admin(self, what: str) -> None:
        if refusal := self._admin(what):
            raise refusal

    # -- what tools read -----------------------------------------------------------------------------------

    @property
    def manager(self) -> Manager:
        """The engine, as far as it is the principal's."""
        return self._manager

    @property
    def classes(self) -> ClassDirectory:
        """The classes that the principal sees."""
        return self._manager.classes

    @property
    def review(self) -> ClassReview:
        """What checks classes against the listed tools; AccessDeniedError for all but admins."""
        self._require_admin("check classes")
        return self._app.review

    @property
    def projects(self) -> Projects:
        """The projects, for admins."""
        return self._projects

    @property
    def pool(self) -> ToolProvider:
        """The tools that the principal may call."""
        return self._tools

    @property
    def server_changes(self) -> ServerChangesLike:
        """What adds, changes and removes downstream servers, for admins."""
        return self._server_changes

    @property
    def policy(self) -> PolicySettings:
        """What may be called, and what a person must confirm: the server's policy, and the principal's on top."""
        policy = self._app.policy
        more = self._rights.policy().confirm_tools
        return policy.model_copy(update={"confirm_tools": (*policy.confirm_tools, *more)}) if more else policy

    @property
    def usages(self) -> UsagesLike:
        """What measures CPU and memory of the services that the principal sees."""
        return self._usages

    @property
    def notices(self) -> NoticeBoard:
        """What is worth interrupting the principal for."""
        if self._notices is None:
            self._notices = NoticeBoard(self._manager.events)
        return self._notices

    def denies(self, tool: str) -> bool:
        """Whether the principal may not call Ostler's own tool `tool`."""
        return self._app.denies(tool) or not self._rights.policy().allows_own_tool(tool)

    async def note_denied(self, tool: str, refusal: OstlerError) -> None:
        """Record that a call of `tool` was refused; nothing else is kept of it."""
        with suppress(OstlerError):  # the refusal itself, or a log that cannot be written: nothing is done in any case
            async with self._acting.act("denied", tool, refusal=refusal):
                pass

    async def hide_secrets(self, server: str, response: ToolResponse) -> ToolResponse:
        """Return a server's answer with the secrets masked that args of services, and its own entry, refer to."""
        return await self._app.hide_secrets(server, response)

    def server_entries(self) -> list[JsonObject]:
        """Return every downstream server's entry with its state, masked; for others than admins without the entry."""
        entries = self._app.server_entries()
        if self._rights.policy().admin:
            return entries
        return [_brief(entry) for entry in entries if self._tools.sees_server(str(entry.get("name")))]

    def server_file_findings(self) -> list[str]:
        """Return the faults of mcp.json that belong to no entry, for admins."""
        return self._app.server_file_findings() if self._rights.policy().admin else []

    def server_entry(self, name: str) -> JsonObject:
        """Return one downstream server's entry with its state, masked; NotFoundError when none is seen."""
        if self._rights.policy().admin:
            return self._app.server_entry(name)
        entries = self.server_entries()
        found = next((entry for entry in entries if entry.get("name") == name), None)
        if found is None:
            known = [str(entry["name"]) for entry in entries]
            raise NotFoundError("MCP server", name, known=known, next_actions=("mcpserver_list shows them",))
        return found

    def recorded_answers(self, server: str) -> "Mapping[str, Sequence[Answered]]":
        """Return the answers that were recorded of a server's tools; AccessDeniedError for all but admins."""
        self._require_admin("read recorded answers")
        return self._app.recorded_answers(server)

    def effective_config(self) -> JsonObject:
        """Return the configuration in force; AccessDeniedError for all but admins."""
        self._require_admin("read the configuration")
        return self._app.effective_config()

    async def reload_configuration(self) -> None:
        """Read every file of the configuration again; AccessDeniedError for all but admins."""
        self._require_admin("read the configuration again")
        await self._app.reload_configuration()

    async def service_logs(self, name: str, wanted: LogRange) -> LogPage:
        """Return the log lines of a service that are wanted; NotFoundError when none is seen."""
        service = self._manager.registry.find(name)
        removed = self._manager.find_removed(name) if service is None else None
        full = service.name if service is not None else removed.name if removed is not None else ""
        namespace = self._rights.namespace
        if not full:  # the log of a process is kept for days after its service
            full = in_namespace(name, namespace)
        is_foreign = "." in full.removesuffix(f".{namespace}") or not self._manager.is_seen(full)
        if namespace and service is None and removed is None and is_foreign:
            self._manager.registry.get(name)
        try:
            return await self._app.service_logs(full, wanted)
        except NotFoundError:
            self._manager.registry.get(name)
            raise

    # -- what tools change ---------------------------------------------------------------------------------

    async def create_class(self, text: str) -> ClassEntry:
        """Write a new class file and load it; AccessDeniedError for all but admins."""
        async with self._acting.act("class", "create", refusal=self._admin("create classes")):
            return await self._app.create_class(text)

    async def update_class(self, name: str, text: str) -> ClassEntry:
        """Replace the file of the class `name` and load it; AccessDeniedError for all but admins."""
        async with self._acting.act("class", f"update {name}", refusal=self._admin("change classes")):
            return await self._app.update_class(name, text)

    async def delete_class(self, name: str, *, force: bool = False) -> None:
        """Remove the file of the class `name`; AccessDeniedError for all but admins."""
        async with self._acting.act("class", f"delete {name}", refusal=self._admin("delete classes")):
            await self._app.delete_class(name, force=force)


class SeenUsages:
    """Measures the services that a principal sees."""

    def __init__(self, usages: UsagesLike, manager: Manager) -> None:
        self._usages = usages
        self._seen = manager

    def __repr__(self) -> str:
        return f"SeenUsages({self._seen!r})"

    async def of(self, names: Iterable[str]) -> Mapping[str, Measured]:
        """Return what the services `names` use, by name."""
        return await self._usages.of([name for name in names if name in self._seen.registry])


class GuardedServerChanges:
    """Changes of downstream servers, audited, by admins alone."""

    def __init__(self, app: ApplicationLike, rights: Rights, acting: Acting) -> None:
        self._app = app
        self._rights = rights
        self._acting = acting

    def __repr__(self) -> str:
        return f"GuardedServerChanges({self._rights!r})"

    def _refusal(self) -> AccessDeniedError | None:
        return admins_only(self._rights, "change MCP servers")

    async def check(self, name: str, entry: JsonObject) -> Sequence[Finding]:
        """Return what is wrong with an entry."""
        if refusal := self._refusal():
            raise refusal
        return await self._app.server_changes.check(name, entry)

    async def add(self, name: str, entry: JsonObject) -> JsonObject:
        """Write a new entry and connect its server."""
        async with self._acting.act("server", f"add {name}", refusal=self._refusal()):
            return await self._app.server_changes.add(name, entry)

    async def change(self, name: str, changes: JsonObject) -> JsonObject:
        """Replace some keys of an entry."""
        async with self._acting.act("server", f"change {name}", refusal=self._refusal()):
            return await self._app.server_changes.change(name, changes)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove an entry."""
        async with self._acting.act("server", f"remove {name}", refusal=self._refusal()):
            await self._app.server_changes.remove(name, force=force)


def admins_only(rights: Rights, what: str) -> AccessDeniedError | None:
    """Return why a principal may not do what admins do; None if it may."""
    if rights.policy().admin:
        return None
    return AccessDeniedError(
        f"{rights.name!r} may not {what}: only admins may",
        next_actions=("ask the person who runs this Ostler: 'admin' in [principals] of ostler.toml",),
    )


def _brief(entry: JsonObject) -> JsonObject:
    return {key: entry[key] for key in _LISTED if key in entry}
