"""What an `mcp.json` holds, once it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ostler.model.errors import Finding
from ostler.model.json import JsonObject
from ostler.model.servers import ServerEntry
from ostler.model.tool_names import PROCESS_SERVER

SERVER_KEYS = ("mcpServers", "servers")
"""Where the entries are in most clients' files; `dialects.entry_places` has them all."""

BUILTIN_NAMES = frozenset({PROCESS_SERVER})
"""Servers inside Ostler; an entry of that name without command or url sets their options, or disables them."""

RESERVED_NAME = "ostler"
"""Ostler's own tools are called `ostler/tool`, so no server may have this name."""


@dataclass(frozen=True, slots=True)
class McpJson:
    """What a file held.

    Attributes:
        entries: the entries that are good, by name.
        findings: what is wrong with the others, and warnings and notes about the good ones.
        refused: the errors of each entry that did not load, by the name that its server would have.
        written: the names of servers in the file, by their names in Ostler, where the two differ.
        drafts: every entry in Ostler's own keys before variables were expanded, by name, refused ones included.
        noted: what is worth knowing about each good entry, by name.
    """

    entries: Mapping[str, ServerEntry] = field(default_factory=dict[str, ServerEntry])
    findings: tuple[Finding, ...] = ()
    refused: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict[str, tuple[Finding, ...]])
    written: Mapping[str, str] = field(default_factory=dict[str, str])
    drafts: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject], repr=False)
    noted: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict[str, tuple[Finding, ...]])

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that kept something from loading."""
        return tuple(finding for finding in self.findings if finding.severity == "error")
