"""The marks that everything which Ostler starts carries in its environment: whose it is, and of which run.

The id of a state folder is random and kept in the folder. So processes of another folder, or of one that was deleted,
are never taken for ours, whatever they are called and wherever they listen.
"""

import secrets
from pathlib import Path
from typing import Final

from ostler.adapters.config.atomic_files import replace_private

KEY_VARIABLE: Final = "OSTLER_PROCESS_KEY"
TOKEN_VARIABLE: Final = "OSTLER_PROCESS_TOKEN"  # noqa: S105 (the name of a variable)
"""Names the run of a process of the process server."""

KEEPER_VARIABLE: Final = "OSTLER_KEEPER_OF"
"""Names, in the environment of a keeper, the token of its run."""

OWNER_VARIABLE: Final = "OSTLER_OWNER"
"""Names the state folder by its id."""

LIFE_VARIABLE: Final = "OSTLER_LIFE"
"""Names, in the environment of a downstream server, the run of Ostler that it must not outlive."""


def known_owner(root: Path) -> str:
    """Return the id of the folder `root` of a process server, empty while it has none. Blocks."""
    return _written(root / "owner")


def known_life(root: Path) -> str:
    """Return the id of the run of Ostler that used the folder last, empty when there was none. Blocks."""
    return _written(root / "life")


def owner_of(root: Path) -> str:
    """Return the id of the folder `root`, made when it has none. Blocks.

    Raises:
        StoreError: it cannot be written.
    """
    owner = known_owner(root)
    if not owner:
        owner = secrets.token_hex(16)
        replace_private(root / "owner", owner)
    return owner


def marks_of_servers(root: Path) -> dict[str, str]:
    """Begin a run of Ostler over `root`, and return the variables of the downstream servers that it starts. Blocks.

    Raises:
        StoreError: its id cannot be written.
    """
    life = secrets.token_hex(8)
    replace_private(root / "life", life)
    return {OWNER_VARIABLE: owner_of(root), LIFE_VARIABLE: life}


def _written(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        return ""
