"""Why servers are not available: refused entries and faults of `mcp.json`, and what `ostler.toml` switches off."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from ostler.model.errors import Finding


class RefusedEntries(Struct, frozen=True):
    """The faults of `mcp.json`.

    Attributes:
        by_name: what is wrong with each entry that did not load.
        written: what the file calls a server, by the name that it goes by, where the two differ.
        of_file: faults that belong to no entry, such as a syntax error: all that is in the file may be missing.
        off: why a server inside Ostler is not available, by its name.
    """

    by_name: Mapping[str, Sequence[Finding]] = {}
    written: Mapping[str, str] = {}
    of_file: Sequence[Finding] = ()
    off: Mapping[str, str] = {}

    @classmethod
    def of(
        cls,
        findings: Sequence[Finding],
        refused: Mapping[str, Sequence[Finding]],
        written: Mapping[str, str],
        off: Mapping[str, str],
    ) -> "RefusedEntries":
        """Sort the `findings` of a file into those of its refused entries and the rest; warnings do not count."""
        sorted_in = {finding for several in refused.values() for finding in several}
        rest = [one for one in findings if one.severity == "error" and one not in sorted_in]
        return cls(refused, written, tuple(rest), off)

    def name_of(self, name: str) -> str | None:
        """Return the refused entry's name, given it or what the file calls it; None when there is no such entry."""
        if name in self.by_name:
            return name
        return next((known for known, text in self.written.items() if text == name and known in self.by_name), None)

    def reason(self, server: str) -> str:
        """Return why there is no `server`; empty if neither `mcp.json` nor `ostler.toml` explains it."""
        if server in self.off:
            return self.off[server]
        name = self.name_of(server)
        if name is not None:
            return f"its entry was refused: {_joined(self.by_name[name])}"
        if self.of_file:
            return f"mcp.json has an error, and what follows it is not read: {_joined(self.of_file)}"
        return ""


def _joined(findings: Sequence[Finding]) -> str:
    return "; ".join(str(finding) for finding in findings) or "see ostler config"
