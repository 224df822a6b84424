"""Whether the loaded classes fit the tools that downstream servers list: checked again whenever either changes."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus

from ostler.engine.classes.catalogue import ClassCatalogue, ClassEntry
from ostler.engine.events.log import EventLog
from ostler.engine.protocols import ToolDirectory, ToolInfo
from ostler.model.errors import Finding
from ostler.model.events import EventKind
from ostler.model.manifest import ServiceClass
from ostler.model.tool_names import OWN_SERVER, PROCESS_SERVER, ToolNames
from ostler.rules.checking.loaded_class import LoadedClass
from ostler.rules.checking.tool_lists import KnownTools, ToolSchema, live_list, tool_schema
from ostler.rules.loading.manifests import service_class_to_json
from ostler.rules.reading import check_text

if TYPE_CHECKING:
    from ostler.rules.checking.class_check import CheckResult

logger = logging.getLogger(__name__)

_SETTLE = 0.05
"""Seconds within which further changes join the next check."""

_AT_START = 0.5
"""The same for the first look, so that first answers go before it: it loads 60 modules and takes a fifth of a start."""

_SHOWN = 5
"""Findings that an event carries."""

_NOT_STANDING = frozenset({"unknown-server", "unchecked-tool"})
"""Rules about servers that are not there, which is a matter of availability and not of the class."""


class ClassReview:
    """Checks classes without calling a tool, and remembers the findings of each."""

    def __init__(
        self,
        catalogue: ClassCatalogue,
        tools: ToolDirectory,
        events: EventLog,
        *,
        names: Callable[[], ToolNames] | None = None,
        read_saved: Callable[[], KnownTools] | None = None,
    ) -> None:
        """Watch `catalogue` and `tools` once `run`.

        Args:
            catalogue: the loaded classes.
            tools: the tools that servers list.
            events: where a change in the tools that a class fits is reported.
            names: returns the servers that are configured, and their tools; by default those of `tools`.
            read_saved: returns lists that stand in for servers that have listed nothing; it may block on the disk.
        """
        self._catalogue = catalogue
        self._tools = tools
        self._events = events
        self._names = names
        self._read_saved = read_saved
        self._seen: dict[str, Sequence[ToolInfo]] = {}
        self._servers: set[str] = set()
        self._classes: set[str] = set()
        self._wake = anyio.Event()

    def __repr__(self) -> str:
        return f"ClassReview({len(self._seen)} servers)"

    def tool_names(self) -> ToolNames:
        """Return the configured servers and their tools, which manifests of muster are read with."""
        if self._names is not None:
            return self._names()
        return ToolNames.of((), (tool.qualified for tool in self._tools.list_tools()))

    async def _known(self, *, own: bool) -> KnownTools:
        """Return what the servers list now, and saved lists of those that list nothing.

        Args:
            own: with the tools of Ostler itself, whose schemas are made for this.
        """
        by_server: dict[str, list[ToolInfo]] = {}
        for tool in [*self._tools.list_tools(), *(self._tools.list_tools(OWN_SERVER) if own else ())]:
            by_server.setdefault(tool.server, []).append(tool)
        live = {server: live_list(server, map(_schema, tools)) for server, tools in by_server.items()}
        named = {OWN_SERVER} | {name for entry in self._catalogue.get_all() for name in entry.service_class.servers()}
        configured = {server for server in named | set(by_server) if self._tools.server_status(server).known}
        # They are read again each time, as an answer may have been recorded since, and are not needed in between.
        saved = KnownTools() if self._read_saved is None else await anyio.to_thread.run_sync(self._read_saved)
        return KnownTools(live, frozenset(configured) | self.tool_names().servers).over(saved)

    async def check(self, name: str) -> "CheckResult":
        """Check the class `name`.

        Raises:
            NotFoundError: there is none.
        """
        entry = self._catalogue.get(name)
        return await self._check(entry, await self._known(own=True))

    async def check_text(self, text: str, file: str = "manifest") -> "CheckResult":
        """Check the manifests in `text`; what keeps them from being loaded is among the findings."""
        tools, classes, names = await self._known(own=True), self._service_classes(), self.tool_names()
        return await anyio.to_thread.run_sync(check_text, text, file, tools, classes, names)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Check what has changed, until cancelled: keep the findings of each class, and report when they change."""
        stop_tools = self._tools.on_change(self._server_changed)
        stop_classes = self._catalogue.on_change(self._classes_changed)
        try:
            self._servers |= {tool.server for tool in self._tools.list_tools()}
            task_status.started()
            settle = _AT_START
            while True:
                if not self._servers and not self._classes:
                    await self._wake.wait()
                await anyio.sleep(settle)
                settle = _SETTLE
                self._wake = anyio.Event()
                servers, self._servers = self._servers, set()
                classes, self._classes = self._classes, set()
                await self._review(self._with_other_tools(servers), classes)
        finally:
            stop_tools()
            stop_classes()

    def _server_changed(self, server: str) -> None:
        self._servers.add(server)
        self._wake.set()

    def _classes_changed(self, names: frozenset[str]) -> None:
        self._classes |= names
        self._wake.set()

    def _with_other_tools(self, servers: Iterable[str]) -> set[str]:
        """Return the servers among `servers` whose tools have changed since the last check."""
        changed: set[str] = set()
        for server in servers:
            if not self._tools.server_status(server).tools_known:
                continue
            tools = list(self._tools.list_tools(server))
            if self._seen.get(server) != tools:
                self._seen[server] = tools
                changed.add(server)
        return changed

    async def _review(self, servers: set[str], classes: set[str]) -> None:
        every = ((entry, servers & set(entry.service_class.servers())) for entry in self._catalogue.get_all())
        reviewed = [
            (entry, touched)
            for entry, touched in every
            if entry.name in classes or (touched and not self._fits_as_shipped(entry, touched))
        ]
        if not reviewed:
            return
        tools = await self._known(own=any(OWN_SERVER in entry.service_class.servers() for entry, _ in reviewed))
        for entry, touched in reviewed:
            try:
                result = await self._check(entry, tools)
            except Exception:  # boundary: a bug in the check of one class must not end the review of the others
                logger.exception("the check of class %r failed unexpectedly", entry.name)
                continue
            self._conclude(entry.name, sorted(touched), result)

    def _fits_as_shipped(self, entry: ClassEntry, servers: set[str]) -> bool:
        """Say whether a class ships with Ostler, as the server does that changed, and each tool that it calls is there.

        The tests of Ostler check these. A start over the shipped classes alone loads nothing to check with: 5 MiB.
        """
        if entry.origin != "shipped" or servers != {PROCESS_SERVER}:
            return False
        listed = {tool.qualified for tool in self._tools.list_tools(PROCESS_SERVER)}
        return listed.issuperset(entry.service_class.tools.called)

    def _conclude(self, name: str, servers: Sequence[str], result: "CheckResult") -> None:
        findings = tuple(finding for finding in result.findings if finding.rule not in _NOT_STANDING)
        before = self._catalogue.standing_of(name)
        self._catalogue.note_standing(name, findings)
        if [finding.message for finding in findings] == [finding.message for finding in before]:
            return
        where = f"the tools of {', '.join(servers)}" if servers else "the tools it calls"
        if findings:
            message = f"class {name} does not fit {where}: {_counted(findings)}; first: {findings[0]}"
            message += ". Services that run keep the plan they were started with"
        else:
            message = f"class {name} fits {where} again"
        data = {"class": name, "servers": list(servers), "findings": [str(found) for found in findings[:_SHOWN]]}
        self._events.append(EventKind.CLASS_CHECKED, message=message, data=data)

    async def _check(self, entry: ClassEntry, tools: KnownTools) -> "CheckResult":
        classes = self._service_classes()
        if entry.loaded is None:  # no text was ever written, so there are no places
            text = json.dumps(service_class_to_json(entry.service_class))
            return await anyio.to_thread.run_sync(check_text, text, entry.name, tools, classes)
        return await anyio.to_thread.run_sync(_check_loaded, entry.loaded, tools, classes)

    def _service_classes(self) -> Mapping[str, ServiceClass]:
        return {entry.name: entry.service_class for entry in self._catalogue.get_all()}


def _check_loaded(loaded: LoadedClass, tools: KnownTools, classes: Mapping[str, ServiceClass]) -> "CheckResult":
    from ostler.rules.checking.class_check import check_all  # noqa: PLC0415 (in a worker thread, after the start)

    return check_all([loaded], tools, classes)


def _schema(tool: ToolInfo) -> ToolSchema:
    return tool_schema(tool.name, tool.input_schema, tool.output_schema, tool.annotations)


def _counted(findings: Sequence[Finding]) -> str:
    errors = sum(finding.severity == "error" for finding in findings)
    counts = [(errors, "error"), (len(findings) - errors, "warning")]
    return " and ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count)
