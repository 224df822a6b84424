"""Class files that could not be read: muster lists every file, so they are listed, as not available."""

from pathlib import Path

from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import Finding
from ostler.model.json import JsonObject


def unread_classes(app: ApplicationLike) -> dict[str, JsonObject]:
    """Return what `core_serviceclass_list` shows of the files that hold no class that is in force.

    The keys are the names, as muster has them: the files' without their endings. A file whose last good version is in
    force, or whose name is another class's, is left out.
    """
    read = {entry.path for entry in app.classes.get_all()}
    names = {entry.name for entry in app.classes.get_all()}
    wrong: dict[str, list[Finding]] = {}
    for finding in app.classes.findings:
        if finding.severity == "error" and finding.file and finding.file not in read:
            wrong.setdefault(Path(finding.file).stem, []).append(finding)
    return {name: _unread(name, found) for name, found in sorted(wrong.items()) if name not in names}


def _unread(name: str, findings: list[Finding]) -> JsonObject:
    more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
    return {
        "name": name,
        "version": "",
        "description": "",
        "serviceType": "",
        "available": False,
        "args": {},
        "serviceConfig": {},
        "createToolAvailable": False,
        "deleteToolAvailable": False,
        "healthCheckToolAvailable": False,
        "statusToolAvailable": False,
        "requiredTools": [],
        "missingTools": [],
        "error": f"the file could not be read: {findings[0]}{more}",
    }
