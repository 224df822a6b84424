"""The `ostler` command. `ostler serve` goes straight to the bridge; everything else to the command line.

Nothing heavy may be imported here: clients wait for the bridge at every start of theirs.
"""

import sys
from collections.abc import Sequence

_WITH_VALUE = {"--config": "config", "--state": "state"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (this process's own when None) and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    folders = bridge_folders(arguments)
    if folders is None:
        from ostler.faces.cli.app import run_command

        return run_command(arguments)
    from ostler.adapters.config.paths import Paths
    from ostler.faces.bridge.place import ServerPlace
    from ostler.faces.bridge.program import run_bridge

    return run_bridge(ServerPlace(Paths.resolve(folders.get("config"), folders.get("state"))))


def bridge_folders(arguments: Sequence[str]) -> dict[str, str] | None:
    """Return the folder options when `arguments` are a plain `serve`, else None.

    Anything that is not understood here is left to the command line, which explains it.
    """
    folders: dict[str, str] = {}
    verbs: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name in _WITH_VALUE:
            given = value if equals else next(rest, None)
            if not given:
                return None
            folders[_WITH_VALUE[name]] = given
        else:
            verbs.append(argument)
    return folders if verbs == ["serve"] else None


if __name__ == "__main__":
    sys.exit(main())
