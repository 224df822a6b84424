"""The verb that prints the JSON Schema of a kind of manifest."""

from typing import Annotated

import typer

from ostler.faces.cli.session import ExitStatus, fail
from ostler.faces.output import say_json


def schema(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="ServiceClass, PortForward or KubeConnection.")],
) -> None:
    """Print the JSON Schema of a kind of manifest, for editors."""
    from ostler.model.statics import STATIC_KINDS
    from ostler.rules.loading.manifest_schema import manifest_json_schema
    from ostler.rules.loading.static_services import static_json_schema

    if kind == "ServiceClass":
        say_json(manifest_json_schema())
    elif kind in STATIC_KINDS:
        say_json(static_json_schema(kind))
    else:
        fail(f"there is no kind {kind!r}; the kinds are ServiceClass, {', '.join(STATIC_KINDS)}", ExitStatus.NOT_FOUND)


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(schema)
