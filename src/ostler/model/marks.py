"""The environment variables with which Ostler marks everything that it starts."""

from typing import Final

KEY_VARIABLE: Final = "OSTLER_PROCESS_KEY"
"""Names the key under which the process server started it."""

TOKEN_VARIABLE: Final = "OSTLER_PROCESS_TOKEN"  # noqa: S105 (the name of a variable)
"""Names the run of a process of the process server."""

KEEPER_VARIABLE: Final = "OSTLER_KEEPER_OF"
"""Names, in the environment of a keeper, the token of its run."""

OWNER_VARIABLE: Final = "OSTLER_OWNER"
"""Names the state folder by its id."""

LIFE_VARIABLE: Final = "OSTLER_LIFE"
"""Names, in the environment of a downstream server, the run of Ostler that it must not outlive."""

MARKS: Final = (KEY_VARIABLE, TOKEN_VARIABLE, KEEPER_VARIABLE, OWNER_VARIABLE, LIFE_VARIABLE)
"""All of them."""
