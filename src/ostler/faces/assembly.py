"""The composition root: makes store, pool, engine and configuration, and the application that joins them."""

import hmac
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import anyio.to_thread

from ostler.adapters.caller_environment import without_own
from ostler.adapters.config.class_files import ClassFiles
from ostler.adapters.config.live_settings import LiveSettings
from ostler.adapters.config.paths import Paths
from ostler.adapters.config.server_files import ServerFiles
from ostler.adapters.config.settings_file import settings_in_force
from ostler.adapters.config.watcher import watch_config
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.environments import AllowedVariables, Environments, LiveEnvironment, LoginShell
from ostler.adapters.process.marks import marks_of_servers
from ostler.adapters.process.server import ProcessServer
from ostler.adapters.process.supervisor import Supervisor
from ostler.adapters.secret_calls import SecretCalls
from ostler.adapters.signing_in.grants import Grants
from ostler.adapters.signing_in.vault import Vault
from ostler.adapters.state_keys import state_key
from ostler.adapters.stores.choice import WatchedStore, open_store
from ostler.adapters.stores.standing_by import Standby
from ostler.adapters.telemetry.silent import Telemetry
from ostler.adapters.telemetry.switch import open_telemetry
from ostler.engine.clock import SystemClock
from ostler.engine.events.log import EventLog
from ostler.engine.manager import ServiceManager
from ostler.faces.application import Application
from ostler.faces.bridge.version import VERSION
from ostler.faces.configuration import read_servers, refused_entries
from ostler.faces.mcp.toolbox import NAMES
from ostler.faces.own_tools import OwnTools
from ostler.faces.permitted_tools import PermittedTools
from ostler.faces.service_usage import ServiceUsages
from ostler.model.errors import Finding
from ostler.model.marks import OWNER_VARIABLE
from ostler.model.tool_names import PROCESS_SERVER
from ostler.rules.secrets.secret_marks import SecretMarks


@asynccontextmanager
async def open_application(
    paths: Paths,
    *,
    stop_on_exit: bool = False,
    environment: Mapping[str, str] | None = None,
    programs: LoginShell | None = None,
    standby: Standby | None = None,
) -> AsyncGenerator[Application]:
    """Run Ostler with the folders in `paths`; leaving shuts it down within the configured time.

    Args:
        paths: the configuration and the state folder.
        stop_on_exit: stop every service when leaving.
        environment: variables for `${VAR}` in mcp.json, `env.*` in templates, and for programs that no one asks for.
        programs: says what those programs get, instead of `environment`.
        standby: wait while another server holds the database, or it cannot be reached; it sees who does.

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
        store, watched = await stack.enter_async_context(
            open_store(paths, settings, entries, standby=_measured(standby, telemetry))
        )

        def process_changed(key: str) -> None:
            manager.recheck(PROCESS_SERVER, {"key": key})

        processes = Supervisor(paths.process_dir, process_changed, environments=environments)
        downstream = DownstreamPool(
            entries,
            builtin={PROCESS_SERVER: ProcessServer(processes)} if settings.process.enabled else {},
            log_dir=paths.logs_dir,
            environment=environments,
            clock=clock,
            children_dir=paths.children_dir,
            grants=Grants(Vault(paths.secrets_dir)),
        )
        downstream.refused = refused_entries(loaded, settings)
        own_tools = OwnTools(clock)
        pool = PermittedTools(telemetry.tools(downstream), own_tools, live.current)
        events = EventLog(clock, store, max_events=limits.max_events, max_per_service=limits.max_events_per_service)
        secret_calls = SecretCalls(pool, await _marks(paths, watched), environments)
        manager = ServiceManager(
            secret_calls,
            telemetry.store(store),
            tools=pool,
            clock=clock,
            environment=AllowedVariables(variables, settings.env.allow),
            mark=environments.marks[OWNER_VARIABLE],
            events=events,
            stop_on_exit=stop_on_exit,
            shutdown_timeout=settings.shutdown_timeout,
            health_concurrency=limits.health_concurrency,
            observer=telemetry.observer,
            foresight=processes.foresee,
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
            usages=ServiceUsages(manager, processes.meter),
            telemetry=telemetry,
            watched=watched,
            secrets=secret_calls,
        )
        own_tools.serve(app)
        async with _running(app, loaded.findings):
            yield app


@asynccontextmanager
async def _running(app: Application, server_findings: tuple[Finding, ...]) -> AsyncGenerator[None]:
    """Run the parts of `app`, each after those that it needs, until the block ends."""
    manager = app.manager
    async with app.downstream, app.statics:
        await app.load_classes()
        statics = await app.statics.load()
        async with manager:
            app.telemetry.follow(manager, app.downstream)
            app.register_servers()
            await app.statics.apply(statics)
            app.note_server_findings(server_findings)
            async with anyio.create_task_group() as group:
                await group.start(watch_config, app.paths, app.configuration_changed)
                await group.start(app.follow_tools)
                group.start_soon(manager.stop_idle, app.usages)
                app.projects.run_in(group)
                if webhooks := app.settings.webhooks:
                    from ostler.faces.pushing import push_to_webhooks  # most people have none

                    group.start_soon(push_to_webhooks, manager, app.notices, webhooks, app.variables)
                await app.reload_classes()
                await app.statics.reload()
                await group.start(app.review.run)
                if (store := app.watched_store) is not None:
                    from ostler.faces.store_watch import watch_store  # most stores cannot be lost

                    group.start_soon(watch_store, store, manager.events)
                try:
                    yield
                finally:
                    group.cancel_scope.cancel()


def _measured(standby: Standby | None, telemetry: Telemetry) -> Standby | None:
    """Return `standby`, which then serves metrics while it waits."""
    if standby is not None:
        standby.measured_by(telemetry.scrape)
    return standby


async def _marks(paths: Paths, watched: WatchedStore | None) -> SecretMarks:
    """Return the marks that stand for stored secrets: servers that share a store know each other's."""
    if watched is None:
        return SecretMarks(await anyio.to_thread.run_sync(state_key, paths.references_key))
    return SecretMarks(hmac.digest(await watched.shared_key(), b"references to secrets", "sha256"))
