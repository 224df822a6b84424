"""The files of the configuration, as the application reads them, and what a change of them does."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from ostler.adapters.config.class_files import ClassSource
from ostler.adapters.config.live_settings import LiveSettings
from ostler.adapters.config.mcp_content import McpJson
from ostler.adapters.config.paths import Paths
from ostler.adapters.config.server_files import ServerFiles
from ostler.adapters.config.tool_files import saved_tools_on_demand
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.downstream.refused_entries import RefusedEntries
from ostler.adapters.environments import LiveEnvironment
from ostler.adapters.regular_files import expanded
from ostler.engine.classes.catalogue import ClassDirectory, ClassEntry
from ostler.model.errors import DefinitionError, Finding
from ostler.model.json import JsonObject
from ostler.model.servers import ServerEntry
from ostler.model.settings import Settings
from ostler.model.tool_names import PROCESS_SERVER
from ostler.rules.checking.loaded_class import LoadedClass
from ostler.rules.checking.tool_lists import KnownTools

if TYPE_CHECKING:
    from ostler.adapters.access.audit_log import AuditTrail

logger = logging.getLogger(__name__)


def read_servers(
    files: ServerFiles, settings: Settings, variables: LiveEnvironment
) -> tuple[dict[str, ServerEntry], McpJson]:
    """Return the entries of `mcp.json` within the limits of `settings`, and everything else that it says."""
    variables.begin()
    loaded = files.load()
    cap = settings.limits.max_response_bytes
    entries = {name: entry.model_copy(update={"response_cap": cap}) for name, entry in loaded.entries.items()}
    return entries, loaded


def tokens_path(paths: Paths, settings: Settings) -> Path:
    """Return where the tokens of principals are, whether they exist or not."""
    written = settings.http.tokens_file
    return paths.tokens_file if written is None else paths.config_dir / expanded(written)


def audit_trail(paths: Paths, settings: Settings) -> "AuditTrail | None":
    """Return the audit log; None if none is kept."""
    wanted = settings.audit.enabled
    if wanted is None:
        wanted = settings.oauth is not None or tokens_path(paths, settings).exists()
    if not wanted:
        return None
    from ostler.adapters.access.audit_log import AuditLog  # most servers keep none

    return AuditLog(paths.audit_dir, settings.audit)


def refused_entries(loaded: McpJson, settings: Settings) -> RefusedEntries:
    """Return the entries of `mcp.json` that could not be used, and the servers that `settings` switch off."""
    off = {} if settings.process.enabled else {PROCESS_SERVER: "ostler.toml switches it off (process.enabled)"}
    return RefusedEntries.of(loaded.findings, loaded.refused, loaded.written, off)


def class_entry(source: ClassSource) -> ClassEntry:
    """Return a class file's class as the engine keeps it."""
    loaded = source.loaded
    return ClassEntry.of(loaded, origin=source.origin, shadows=source.shadows, translation=_translation(loaded))


def _translation(loaded: LoadedClass) -> str:
    if loaded.origins is None:
        return ""
    from ostler.rules.loading.translated_text import manifest_text  # a start without such a class is faster

    return manifest_text(loaded.document, loaded.origins)


def known_tools(paths: Paths) -> KnownTools:
    """Return the saved tools lists that can be read. Blocks on the disk, now and when a list is used."""

    def report(error: DefinitionError) -> None:
        logger.warning("a saved tools list is not used: %s", error)

    return saved_tools_on_demand(paths, report)


def effective_config(
    paths: Paths,
    live: LiveSettings,
    servers: Iterable[JsonObject],
    classes: ClassDirectory,
    findings: Iterable[Finding],
) -> JsonObject:
    """Return the configuration in force, masked."""
    return {
        "configDir": str(paths.config_dir),
        "stateDir": str(paths.state_dir),
        "settings": live.current().to_public_json(),
        "restartNeeded": list(live.waiting),
        "servers": {entry["name"]: entry["entry"] for entry in servers if "entry" in entry},
        "classes": {entry.name: entry.path for entry in classes.get_all()},
        "findings": [str(finding) for finding in findings],
    }


async def settings_changed(live: LiveSettings, downstream: DownstreamPool, report: Callable[[str], None]) -> None:
    """Apply changed settings, and report which of them wait for a restart, or are wrong.

    Args:
        live: the settings in force.
        downstream: whose tools may be called or not from now on.
        report: takes a sentence for the events.
    """
    changed = await anyio.to_thread.run_sync(live.settle)
    for finding in live.findings:
        report(f"{finding}; the settings stay as they are")
    if changed:
        report(f"ostler.toml changed; in force now: {', '.join(changed)}")
        downstream.announce()  # what may be called decides which classes are available
    if live.waiting:
        report(f"ostler.toml changed; when the server starts again (ostler stop-server): {', '.join(live.waiting)}")
