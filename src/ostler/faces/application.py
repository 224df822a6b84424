"""The composition root: opens store, pool, engine and configuration over two folders, and keeps them in step."""

import logging
import os
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from ostler.adapters.caller_environment import without_own
from ostler.adapters.config.class_files import ClassFiles
from ostler.adapters.config.live_settings import LiveSettings
from ostler.adapters.config.paths import Paths
from ostler.adapters.config.server_files import ServerFiles
from ostler.adapters.config.settings_file import settings_in_force
from ostler.adapters.config.watcher import watch_config
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.downstream.service import McpServerService
from ostler.adapters.environments import AllowedVariables, Environments, LiveEnvironment, LoginShell
from ostler.adapters.kubernetes.configured import ConfiguredServices
from ostler.adapters.process.marks import marks_of_servers
from ostler.adapters.process.server import serve_processes
from ostler.adapters.process.supervisor import Supervisor
from ostler.adapters.projects.journal import UpJournal
from ostler.adapters.signing_in.grants import Grants
from ostler.adapters.signing_in.vault import Vault
from ostler.adapters.stores.choice import WatchedStore, open_store
from ostler.adapters.telemetry.silent import Telemetry
from ostler.adapters.telemetry.switch import open_telemetry
from ostler.engine.classes.catalogue import ClassCatalogue, ClassEntry
from ostler.engine.classes.tool_fit import ClassReview
from ostler.engine.clock import SystemClock
from ostler.engine.events.log import EventLog
from ostler.engine.events.notices import NoticeBoard
from ostler.engine.manager import ServiceManager
from ostler.faces.bridge.version import VERSION
from ostler.faces.client_environment import take_asker_variables
from ostler.faces.configuration import (
    class_entry,
    effective_config,
    known_tools,
    read_servers,
    refused_entries,
    settings_changed,
)
from ostler.faces.mcp.toolbox import NAMES
from ostler.faces.own_tools import OwnTools
from ostler.faces.permitted_tools import PermittedTools
from ostler.faces.projects import Projects
from ostler.faces.pushing import push_to_webhooks
from ostler.faces.server_changes import ServerChanges
from ostler.faces.server_entries import server_entries, server_entry
from ostler.faces.service_logs import ServiceLogs
from ostler.faces.service_usage import ServiceUsages
from ostler.faces.store_watch import watch_store
from ostler.model.errors import AlreadyExistsError, ConflictError, Finding
from ostler.model.events import EventKind
from ostler.model.json import JsonObject
from ostler.model.settings import PolicySettings, Settings
from ostler.model.tool_names import ToolNames
from ostler.rules.checking.tool_lists import KnownTools
from ostler.rules.text.log_pages import NEWEST, LogPage, LogRange

if TYPE_CHECKING:
    from ostler.rules.drafts.tool_traits import Answered

logger = logging.getLogger(__name__)

PROCESS_SERVER = "process"
"""The name of the built-in downstream server."""


class Application:
    """Everything that runs inside one server process. Made by `open_application`."""

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
        saved: KnownTools,
        usages: ServiceUsages,
        telemetry: Telemetry,
        watched: WatchedStore | None,
    ) -> None:
        self.paths = paths
        self._live = settings
        self.manager = manager
        self.class_files = class_files
        self.downstream = downstream
        self.pool = pool
        self.usages = usages
        self.telemetry = telemetry
        self.watched_store = watched
        downstream.environments.refresh = partial(take_asker_variables, self)
        again = partial(known_tools, paths)
        self.notices = NoticeBoard(manager.events)
        self.review = ClassReview(manager.classes, pool, manager.events, saved, names=self.tool_names, read_saved=again)
        self.variables = variables
        self._server_files = server_files
        self.server_changes = ServerChanges(server_files, downstream, manager, self.reload_servers)
        self.statics = ConfiguredServices(paths.services_dir, manager, variables, SystemClock(), report=self._report)
        self.projects = Projects(
            manager, lambda: self.settings.env.visible(variables), UpJournal(paths.project_journal),
            paths.process_dir, lambda: self.settings.projects.auto_prune,
        )  # fmt: skip
        self._server_findings: tuple[Finding, ...] = ()
        self._logs = ServiceLogs(manager, downstream, PROCESS_SERVER, paths.server_log)
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
        """Return the downstream servers and tools there are, by which manifests of muster are read."""
        names = self.downstream.names()
        prefixes = {prefix: name for name in names if (prefix := self.downstream.entry(name).options.tool_prefix)}
        return ToolNames.of(names, (tool.qualified for tool in self.downstream.list_tools()), prefixes)

    async def follow_tools(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Read manifests of muster again whenever servers list other tools, because those tell their names apart."""
        send, receive = anyio.create_memory_object_stream[str](1)

        def changed(server: str) -> None:
            with suppress(anyio.WouldBlock):  # one that waits to be looked at stands for all
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
        async with self._reloading_servers:  # two at once would each see half of what the other did
            await self._reload_servers(removed)

    async def _reload_servers(self, removed: frozenset[str]) -> None:
        entries, loaded = await anyio.to_thread.run_sync(
            read_servers, self._server_files, self.settings, self.variables
        )
        findings = loaded.findings
        self.downstream.refused = refused_entries(loaded)
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


@asynccontextmanager
async def open_application(
    paths: Paths,
    *,
    stop_on_exit: bool = False,
    environment: Mapping[str, str] | None = None,
    programs: LoginShell | None = None,
    stand_by: bool = False,
) -> AsyncGenerator[Application]:
    """Open Ostler over the folders in `paths`; leaving shuts it down within the configured time.

    Args:
        paths: the configuration and the state folder.
        stop_on_exit: stop every service when leaving.
        environment: variables for `${VAR}` in mcp.json, `env.*` in templates, and for programs that no one asks for.
        programs: says what those programs get, instead of `environment`.
        stand_by: wait while another server holds the database, or it cannot be reached.

    Raises:
        ManifestError: ostler.toml is broken (broken classes and servers are reported, not raised).
        StoreError: the state folder cannot be used.
    """
    environment = os.environ if environment is None else environment
    variables = LiveEnvironment(environment)
    environments = Environments(programs or without_own(environment))
    settings = settings_in_force(paths.settings_file, environment)
    live = LiveSettings(paths.settings_file, settings, environment)
    paths.create_state()
    environments.marks = await anyio.to_thread.run_sync(marks_of_servers, paths.process_dir)
    server_files = ServerFiles(paths, variables)
    entries, loaded = await anyio.to_thread.run_sync(read_servers, server_files, settings, variables)
    clock, limits = SystemClock(), settings.limits
    async with AsyncExitStack() as stack:
        telemetry = await stack.enter_async_context(open_telemetry(settings, environment, version=VERSION, tools=NAMES))
        store, watched = await stack.enter_async_context(open_store(paths, settings, entries, wait=stand_by))

        def process_exited(key: str) -> None:
            manager.recheck(PROCESS_SERVER, {"key": key})

        processes = Supervisor(paths.process_dir, process_exited, environments=environments)
        builtin = {PROCESS_SERVER: serve_processes(processes)} if settings.process.enabled else {}
        downstream = DownstreamPool(
            entries,
            builtin=builtin,
            log_dir=paths.logs_dir,
            environment=environments,
            clock=clock,
            children_dir=paths.children_dir,
            grants=Grants(Vault(paths.secrets_dir)),
        )
        downstream.refused = refused_entries(loaded)
        own_tools = OwnTools(clock)
        pool = PermittedTools(telemetry.tools(downstream), own_tools, live.current)
        events = EventLog(clock, store, max_events=limits.max_events, max_per_service=limits.max_events_per_service)
        manager = ServiceManager(
            pool,
            telemetry.store(store),
            tools=pool,
            clock=clock,
            environment=AllowedVariables(variables, settings.env.allow),
            events=events,
            stop_on_exit=stop_on_exit,
            shutdown_timeout=settings.shutdown_timeout,
            health_concurrency=limits.health_concurrency,
            observer=telemetry.observer,
        )
        app = Application(
            paths,
            live,
            manager=manager,
            class_files=ClassFiles.of(paths),
            downstream=downstream,
            pool=pool,
            variables=variables,
            server_files=server_files,
            saved=await anyio.to_thread.run_sync(known_tools, paths),
            usages=ServiceUsages(manager, processes.meter, PROCESS_SERVER),
            telemetry=telemetry,
            watched=watched,
        )
        own_tools.serve(app)
        await stack.enter_async_context(downstream)
        await stack.enter_async_context(app.statics)
        await app.load_classes()
        statics = await app.statics.load()
        await stack.enter_async_context(manager)
        telemetry.follow(manager, downstream)
        app.register_servers()
        await app.statics.apply(statics)
        app.note_server_findings(loaded.findings)
        async with anyio.create_task_group() as group:
            await group.start(watch_config, paths, app.configuration_changed)
            await group.start(app.follow_tools)
            group.start_soon(manager.stop_idle, app.usages)
            app.projects.run_in(group)
            group.start_soon(push_to_webhooks, manager, app.notices, settings.webhooks, variables)
            await app.reload_classes()
            await app.statics.reload()
            await group.start(app.review.run)
            group.start_soon(watch_store, watched, events)
            try:
                yield app
            finally:
                group.cancel_scope.cancel()
