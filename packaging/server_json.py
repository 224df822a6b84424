"""Print the `server.json` for the MCP registry: `python packaging/server_json.py io.github.OWNER/ostler`.

The name's namespace is proved when it is published (by a GitHub account or a domain), so it is given here; the rest is
that of pyproject.toml. The registry also wants to find the name in the README that the package index shows:
`<!-- mcp-name: io.github.OWNER/ostler -->`.
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
_NAME = re.compile(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+")
_MAX_DESCRIPTION = 100


def server_json(name: str, pyproject: Path) -> dict[str, Any]:
    """Return what the registry is told.

    Raises:
        ValueError: the name, or the project's description, is not as the registry's schema wants it.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    description = "Starts, watches and stops services for AI agents, through the MCP tools that people have."
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for the registry: write io.github.OWNER/ostler")
    if len(description) > _MAX_DESCRIPTION:
        raise ValueError(f"the description has {len(description)} characters, more than {_MAX_DESCRIPTION}")
    return {
        "$schema": SCHEMA,
        "name": name,
        "title": "Ostler",
        "description": description,
        "version": project["version"],
        "packages": [
            {
                "registryType": "pypi",
                "identifier": project["name"],
                "version": project["version"],
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "packageArguments": [{"type": "positional", "value": "serve"}],
            }
        ],
    }


if __name__ == "__main__":
    try:
        print(json.dumps(server_json(sys.argv[1], Path(__file__).parents[1] / "pyproject.toml"), indent=2))
    except (IndexError, ValueError) as error:
        sys.exit(str(error) if isinstance(error, ValueError) else (__doc__ or "").splitlines()[0])
