"""The application of a server process: its classes, downstream servers and settings, kept in step with their files."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from ostler.adapters.caller_environment import environment_of_caller
from ostler.adapters.config.class_files import ClassFiles
from ostler.adapters.config.live_settings import LiveSettings
from ostler.adapters.config.paths import Paths
from ostler.adapters.config.server_files import ServerFiles
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.downstream.service import McpServerService
from ostler.adapters.environments import LiveEnvironment, find_program
from ostler.adapters.kubernetes.configured import ConfiguredServices
from ostler.adapters.projects.journal import UpJournal
from ostler.adapters.secret_calls import SecretCalls
from ostler.adapters.stores.choice import WatchedStore
from ostler.adapters.telemetry.silent import Telemetry
from ostler.engine.classes.catalogue import ClassCatalogue, ClassEntry
from ostler.engine.classes.tool_fit import ClassReview
from ostler.engine.clock import SystemClock
from ostler.engine.events.notices import NoticeBoard
from ostler.engine.manager import ServiceManager
from ostler.faces.configuration import (
    class_entry,
    effective_config,
    known_tools,
    read_servers,
    refused_entries,
    settings_changed,
)
from ostler.faces.hosted_projects import HostedProjects
from ostler.faces.permitted_tools import PermittedTools
from ostler.faces.server_changes import ServerChanges
from ostler.faces.server_entries import server_entries, server_entry
from ostler.faces.service_logs import ServiceLogs
from ostler.faces.service_usage import ServiceUsages
from ostler.model.errors import AlreadyExistsError, ConflictError, Finding, OstlerError
from ostler.model.events import EventKind
from ostler.model.json import JsonObject
from ostler.model.responses import ToolResponse
from ostler.model.settings import PolicySettings, Settings
from ostler.model.tool_names import ToolNames
from ostler.rules.secrets.masking import masked_response
from ostler.rules.text.log_pages import NEWEST, LogPage, LogRange

if TYPE_CHECKING:
    from ostler.rules.drafts.tool_traits import Answered

logger = logging.getLogger(__name__)


class Application:
    """Everything that runs inside one server process. Made by `open_application` (assembly.py)."""

    def __init__(
        self,
        paths: Paths,
        settings: LiveSettings,
        *,
        manager: ServiceManager,
        class_files: ClassFiles,
        downstream: DownstreamPool,
        pool: PermittedTools,
        variables: LiveEnvironment,
        server_files: ServerFiles,
        usages: ServiceUsages,
        telemetry: Telemetry,
        watched: WatchedStore | None,
        secrets: SecretCalls,
    ) -> None:
        self.paths = paths
        self._live = settings
        self.manager = manager
        self.class_files = class_files
        self.downstream = downstream
        manager.registry.why_missing = self._why_missing
        self.pool = pool
        self.usages = usages
        self.telemetry = telemetry
        self.watched_store = watched
        downstream.environments.refresh = self._take_variables_of_caller
        saved = partial(known_tools, paths)
        self.notices = NoticeBoard(manager.events)
        self.review = ClassReview(manager.classes, pool, manager.events, names=self.tool_names, read_saved=saved)
        self.variables = variables
        self._server_files = server_files
        self.server_changes = ServerChanges(server_files, downstream, manager, self.reload_servers)
        self.statics = ConfiguredServices(paths.services_dir, manager, variables, SystemClock(), report=self._report)
        self.projects = HostedProjects(
            manager, lambda: self.settings.env.visible(variables), UpJournal(paths.project_journal),
            paths.process_dir, lambda: self.settings.projects.auto_prune, secrets=secrets,
        )  # fmt: skip
        self._secrets = secrets
        self._server_findings: tuple[Finding, ...] = ()
        self._logs = ServiceLogs(manager, downstream, paths.server_log)
        self._class_findings: frozenset[Finding] = frozenset()
        self._reloading_servers = anyio.Lock()

    def __repr__(self) -> str:
        return f"Application({self.paths.state_dir})"

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._live.current()

    @property
    def classes(self) -> ClassCatalogue:
        """The loaded ServiceClasses."""
        return self.manager.classes

    def has_work(self) -> bool:
        """Whether there is something to supervise, so that the process must stay."""
        return self.manager.has_work or self.statics.has_work

    # -- classes -------------------------------------------------------------------------------------------

    async def load_classes(self) -> None:
        """Read the class files for the manager's start, silently: the event log is not restored before it."""
        self.class_files.known = self.tool_names()
        snapshot = await anyio.to_thread.run_sync(self.class_files.reload)
        self.classes.replace(class_entry(source) for source in snapshot.entries.values())

    async def reload_classes(self) -> None:
        """Read the class files again; a broken one keeps its last good version and its findings are reported."""
        self.class_files.known = self.tool_names()
        snapshot = await anyio.to_thread.run_sync(self.class_files.reload)
        changed = self.classes.replace(
            (class_entry(source) for source in snapshot.entries.values()), tuple(snapshot.findings)
        )
        for name in sorted(changed):
            self.manager.events.append(EventKind.CLASS_CHANGED, message=f"class {name} was loaded, changed or removed")
        before, self._class_findings = self._class_findings, frozenset(self.classes.findings)
        self._report(finding for finding in self.classes.findings if finding not in before)

    def tool_names(self) -> ToolNames:
        """Return the configured downstream servers and their tools, which manifests of muster are read with."""
        names = self.downstream.names()
        prefixes = {prefix: name for name in names if (prefix := self.downstream.entry(name).options.tool_prefix)}
        return ToolNames.of(names, (tool.qualified for tool in self.downstream.list_tools()), prefixes)

    async def follow_tools(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Read manifests of muster again whenever servers list other tools, because those tell their names apart."""
        send, receive = anyio.create_memory_object_stream[str](1)

        def changed(server: str) -> None:
            with suppress(anyio.WouldBlock):  # one change in the queue stands for all
                send.send_nowait(server)

        unsubscribe = self.downstream.on_change(changed)
        task_status.started()
        try:
            with send, receive:
                async for _ in receive:
                    if self.class_files.depend_on_tools and self.class_files.known != self.tool_names():
                        await self.reload_classes()
        finally:
            unsubscribe()

    async def create_class(self, text: str) -> ClassEntry:
        """Write a new class file and load it.

        Raises:
            ManifestError: the text is not a valid manifest.
            AlreadyExistsError: a user's class of the name exists.
        """
        source = await anyio.to_thread.run_sync(self.class_files.create, text)
        await self.reload_classes()
        return self.classes.get(source.loaded.service_class.name)

    async def update_class(self, name: str, text: str) -> ClassEntry:
        """Replace the file of the class `name` and load it; running instances keep the plan they were started with.

        Raises:
            ManifestError: the text is not a valid manifest.
            NotFoundError: there is no such class.
            ConflictError: its file holds other things that a person wrote.
        """
        await anyio.to_thread.run_sync(self.class_files.update, name, text)
        await self.reload_classes()
        return self.classes.get(name)

    async def delete_class(self, name: str, *, force: bool = False) -> None:
        """Remove the file of the class `name`.

        Raises:
            NotFoundError: there is no such class.
            ConflictError: instances of it exist, and `force` was not given.
        """
        self.classes.get(name)
        instances = self.manager.instances_of(name)
        if instances and not force:
            raise ConflictError(
                f"class {name!r} has instances: {', '.join(instances[:10])}",
                next_actions=("delete them first", "or set force; they keep their stop plans"),
            )
        await anyio.to_thread.run_sync(self.class_files.delete, name)
        await self.reload_classes()

    # -- downstream servers --------------------------------------------------------------------------------

    async def reload_servers(self, removed: frozenset[str] = frozenset()) -> None:
        """Read the files of servers again: connect what is new, reconnect what changed, drop what is gone.

        Args:
            removed: servers that are gone for certain, however broken a file is.
        """
        async with self._reloading_servers:  # two at once would see each other's half-made changes
            await self._reload_servers(removed)

    def _why_missing(self, name: str) -> str:
        refused = self.downstream.refused
        return refused.reason(name) if refused.name_of(name) is not None else ""

    async def _reload_servers(self, removed: frozenset[str]) -> None:
        entries, loaded = await anyio.to_thread.run_sync(
            read_servers, self._server_files, self.settings, self.variables
        )
        findings = loaded.findings
        self.downstream.refused = refused_entries(loaded, self.settings)
        broken = any(finding.severity == "error" for finding in findings)
        known = set(self.downstream.names())
        if broken:  # a broken file proves nothing about what is missing from it
            entries = {name: self.downstream.entry(name) for name in known - removed} | entries
        for name in await self.downstream.apply(entries):
            if name not in known:
                self._register_server(name)
                continue
            is_gone = name not in self.downstream.names()
            if is_gone:
                self._unregister_server(name)
            what = "was removed from mcp.json" if is_gone else "in mcp.json changed"
            self.manager.events.append(EventKind.SERVER_CHANGED, name, f"its entry {what}")
        before, self._server_findings = set(self._server_findings), findings
        self._report(finding for finding in findings if finding not in before)

    async def client_joined(self, environment: Mapping[str, str] | None) -> None:
        """Take from a client's environment what was missing: variables of mcp.json, and programs of servers."""
        if environment is None:
            return
        if self.variables.take_missing(environment):
            await self.reload_servers()
        environments = self.downstream.environments
        lacking = dict(environments.lacking)
        if not lacking:
            return
        found = await anyio.to_thread.run_sync(
            lambda: [server for server, command in lacking.items() if find_program(command, environment)[0] is not None]
        )
        for server in set(found).intersection(self.downstream.names()):
            environments.remember(server, environment)
            self.downstream.probe_now(server)

    async def _take_variables_of_caller(self) -> None:
        """Read mcp.json and the files that it names again, with the variables of the current caller."""
        self.variables.take_changed(environment_of_caller() or {})
        await self.reload_servers()

    def register_servers(self) -> None:
        """Make every downstream server a static service of the registry."""
        for name in self.downstream.names():
            self._register_server(name)

    def _register_server(self, name: str) -> None:
        try:
            self.manager.registry.register(McpServerService(self.downstream, name))
        except AlreadyExistsError as error:
            self._report([Finding(f"downstream server {name!r} has the name of a service: {error}", file="mcp.json")])

    def _unregister_server(self, name: str) -> None:
        service = self.manager.registry.find(name)
        if isinstance(service, McpServerService):  # else the name was taken, and the server never got in
            self.manager.registry.unregister(name)
            service.close()

    @property
    def policy(self) -> PolicySettings:
        """The policy in force."""
        return self.settings.policy

    def denies(self, tool: str) -> bool:
        """Whether the policy forbids clients Ostler's own tool `tool`."""
        return self.policy.denies_own(tool)

    async def note_denied(self, tool: str, refusal: OstlerError) -> None:
        """Do nothing: only what principals do is recorded."""

    async def hide_secrets(self, server: str, response: ToolResponse) -> ToolResponse:
        """Return a server's answer with the secrets masked that args of services, and its own entry, refer to."""
        return masked_response(await self._secrets.hide(response), self.downstream.secrets_in_answers(server))

    def server_entries(self) -> list[JsonObject]:
        """Return every downstream server's entry with its state, masked, and the entries that were refused."""
        return server_entries(self.downstream)

    def server_entry(self, name: str) -> JsonObject:
        """Return one downstream server's entry with its state, masked; NotFoundError when there is none."""
        return server_entry(self.downstream, name)

    def server_file_findings(self) -> list[str]:
        """Return the faults of mcp.json that belong to no entry, such as a syntax error."""
        return [str(finding) for finding in self.downstream.refused.of_file]

    def recorded_answers(self, server: str) -> "Mapping[str, Sequence[Answered]]":
        """Return the answers that were recorded of a server's tools, by the tool's name."""
        from ostler.adapters.config.recorded_answers import recorded_answers  # only a draft asks

        return recorded_answers(self.paths, server)

    def effective_config(self) -> JsonObject:
        """Return the configuration in force, masked."""
        findings = [*self.classes.findings, *self._server_findings, *self.statics.findings, *self._live.findings]
        config = effective_config(self.paths, self._live, self.server_entries(), self.classes, findings)
        return {**config, "services": self.statics.places()}

    async def service_logs(self, name: str, wanted: LogRange = NEWEST) -> LogPage:
        """Return log lines of a service; raises as `ServiceLogs.read` does."""
        return await self._logs.read(name, wanted)

    async def configuration_changed(self, files: frozenset[Path]) -> None:
        """React to changed files."""
        if files & {self.paths.mcp_json, self.paths.own_servers} or any(
            file.parent == self.paths.answers_dir for file in files
        ):
            await self.reload_servers()
        if self.paths.settings_file in files:
            await settings_changed(self._live, self.downstream, self._warn)
        if any(file.parent == self.paths.services_dir for file in files):
            await self.statics.reload()
        if any(self.paths.serviceclasses_dir == file.parent or self.paths.packs_dir in file.parents for file in files):
            await self.reload_classes()

    async def reload_configuration(self) -> None:
        """Read every file of the configuration again, as if all of them had changed."""
        await self.reload_servers()
        await settings_changed(self._live, self.downstream, self._warn)
        await self.statics.reload()
        await self.reload_classes()

    def note_server_findings(self, findings: tuple[Finding, ...]) -> None:
        """Report what was wrong with `mcp.json` when it was first read."""
        self._server_findings = findings
        self._report(findings)

    def _report(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.severity == "note":
                continue
            self._warn(str(finding))

    def _warn(self, message: str) -> None:
        logger.warning("%s", message)
        self.manager.events.append(EventKind.WARNING, message=message)
