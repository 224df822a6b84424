"""The catalogue of loaded ServiceClasses: what `serviceclass_*` and create look up."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ostler.engine.protocols import ToolDirectory
from ostler.engine.services.views import Availability
from ostler.model.errors import Finding, NotFoundError
from ostler.model.manifest import ServiceClass
from ostler.model.tool_names import MISSING_SERVER, UNKNOWN_SERVER
from ostler.rules.checking.class_graph import cycle_findings, has_class_dependencies, missing_class_findings
from ostler.rules.checking.loaded_class import LoadedClass


@dataclass(frozen=True, slots=True)
class ClassEntry:
    """One loaded class.

    Attributes:
        service_class: the manifest's value.
        digest: changes with the meaning of the manifest, not with its formatting.
        text: the YAML as written.
        translation: the ostler/v1 YAML that a manifest of another form is read as; else empty.
        origin: `shipped`, `user` or `library`.
        path: the file it came from, as the user knows it.
        line: the line of `path` at which its first key stands.
        shadows: a user's class that takes the place of a shipped one of the same name.
        loaded: the manifest with the places of its parts; None for a class that was made otherwise.
    """

    service_class: ServiceClass
    digest: str
    text: str = ""
    origin: str = "library"
    path: str = ""
    shadows: bool = False
    line: int = 1
    translation: str = ""
    loaded: LoadedClass | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls, loaded: LoadedClass, *, origin: str = "library", shadows: bool = False, translation: str = ""
    ) -> "ClassEntry":
        """Return the entry of a manifest that was loaded."""
        return cls(
            loaded.service_class,
            loaded.digest,
            loaded.text,
            origin,
            path=loaded.file,
            shadows=shadows,
            line=loaded.line,
            translation=translation,
            loaded=loaded,
        )

    @property
    def name(self) -> str:
        """The class's name."""
        return self.service_class.name

    @property
    def is_foreign(self) -> bool:
        """Whether its manifest is of another form than ostler/v1, whose names are freer."""
        return self.loaded is not None and self.loaded.is_translated


class ClassDirectory(ABC):
    """The loaded classes by name, for those who only read them."""

    @property
    @abstractmethod
    def findings(self) -> tuple[Finding, ...]:
        """Problems of the class files, and of the classes among each other.

        A file with an error of its own is not loaded (its last good version stays in force). A class in a circle,
        or with a dependency on a class that is not there, is loaded, and a create that would meet it is refused.
        """

    @abstractmethod
    def standing_of(self, name: str) -> tuple[Finding, ...]:
        """Return what the last check of the class `name` against the listed tools found."""

    @abstractmethod
    def get(self, name: str) -> ClassEntry:
        """Return the class `name`.

        Raises:
            NotFoundError: there is none; the text suggests near names.
        """

    @abstractmethod
    def get_all(self) -> list[ClassEntry]:
        """Return every class, by name."""

    @abstractmethod
    def on_change(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call `callback(names)` after classes changed; returns a function that ends the subscription."""

    @abstractmethod
    def availability(self, name: str) -> Availability:
        """Return whether the tools of class `name` are available, without asking any server."""

    @abstractmethod
    def availability_of(self, service_class: ServiceClass) -> Availability:
        """Return whether the tools of `service_class` are available."""


class ClassCatalogue(ClassDirectory):
    """Name → ClassEntry. Replaced as a whole when files change; readers see one consistent set."""

    def __init__(self, tools: ToolDirectory | None = None) -> None:
        self._tools = tools
        self._entries: Mapping[str, ClassEntry] = {}
        self._findings: tuple[Finding, ...] = ()
        self._graph_findings: tuple[Finding, ...] = ()
        self._standing: dict[str, tuple[Finding, ...]] = {}
        self._callbacks: list[Callable[[frozenset[str]], None]] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"ClassCatalogue({len(self._entries)} classes)"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Problems of the class files, and of the classes among each other."""
        return (*self._findings, *self._graph_findings)

    def standing_of(self, name: str) -> tuple[Finding, ...]:
        """Return what the last check of the class `name` against the listed tools found."""
        return self._standing.get(name, ())

    def note_standing(self, name: str, findings: Iterable[Finding]) -> None:
        """Note what a check of the class `name` against the listed tools found."""
        self._standing[name] = tuple(findings)

    def replace(self, entries: Iterable[ClassEntry], findings: Iterable[Finding] = ()) -> frozenset[str]:
        """Replace all entries with `entries`; return the names that were added, changed or removed."""
        new = {entry.name: entry for entry in entries}
        with self._lock:
            old, self._entries = self._entries, new
            self._findings = tuple(findings)
            self._graph_findings = tuple(_graph_findings(new))
        changed = frozenset(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        if changed:
            for callback in list(self._callbacks):
                callback(changed)
        return changed

    def add(self, entry: ClassEntry) -> None:
        """Add or replace one class (for library use)."""
        self.replace([*(e for e in self._entries.values() if e.name != entry.name), entry], self._findings)

    def get(self, name: str) -> ClassEntry:
        """Return the class `name`.

        Raises:
            NotFoundError: there is none; the text suggests near names.
        """
        entry = self._entries.get(name)
        if entry is None:
            actions = ["serviceclass_list shows the classes"]
            if broken := [finding for finding in self._findings if finding.severity == "error"]:
                more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
                actions.append(f"or fix a class file that could not be read: {broken[0]}{more}")
            raise NotFoundError("ServiceClass", name, known=list(self._entries), next_actions=actions)
        return entry

    def get_all(self) -> list[ClassEntry]:
        """Return every class, by name."""
        return sorted(self._entries.values(), key=lambda entry: entry.name)

    def on_change(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call `callback(names)` after classes changed; returns a function that ends the subscription."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def availability(self, name: str) -> Availability:
        """Return whether the tools of class `name` are available, without asking any server."""
        entry = self._entries.get(name)
        if entry is None:
            return Availability(name, available=False, known=False, reason=f"ServiceClass {name!r} not found")
        return self.availability_of(entry.service_class)

    def availability_of(self, service_class: ServiceClass) -> Availability:
        """Return whether the tools of `service_class` are available. Without a tool directory they are taken to be."""
        if self._tools is None:
            return Availability(service_class.name, available=True)
        missing_servers: list[str] = []
        reasons: list[str] = []
        for server in service_class.servers():
            status = self._tools.server_status(server)
            if not status.known:
                missing_servers.append(server)
                reasons.append(_why_missing(server, service_class, status.reason))
            elif not status.connected:
                reasons.append(f"downstream server {server!r} is not connected: {status.reason or 'unknown reason'}")
        missing_tools = [tool for tool in service_class.required_tools() if self._tools.find_tool(tool) is None]
        for tool in missing_tools:
            server = tool.partition("/")[0]
            if server not in missing_servers and self._tools.server_status(server).tools_known:
                reasons.append(f"server {server!r} has no tool {tool.partition('/')[2]!r}, or a policy denies it")
        return Availability(
            service_class.name,
            available=not missing_tools and not missing_servers,
            missing_tools=tuple(missing_tools),
            missing_servers=tuple(missing_servers),
            reason="; ".join(reasons),
            findings=self.standing_of(service_class.name),
        )


def _why_missing(server: str, service_class: ServiceClass, reason: str) -> str:
    """Return in words why `server` is not configured, or which tools of the class no server lists."""
    if server != UNKNOWN_SERVER:
        is_refused = reason and not reason.startswith(MISSING_SERVER)
        return f"server {server!r} is not available: {reason}" if is_refused else f"{MISSING_SERVER}{server!r}"
    tools = [tool for head, _, tool in (each.partition("/") for each in service_class.tools.called) if head == server]
    return f"no server lists a tool {' or '.join(map(repr, tools))}"


def _graph_findings(entries: Mapping[str, ClassEntry]) -> Iterator[Finding]:
    """Yield what is wrong with classes among each other, with places in their files."""
    concerned = {
        name: (entry.service_class, entry.loaded.document)
        for name, entry in entries.items()
        if entry.loaded is not None and has_class_dependencies(entry.service_class)
    }
    yield from cycle_findings(concerned)
    yield from missing_class_findings(concerned, entries)
