"""The verbs `ostler check`, `ostler tools` and `ostler schema`, for who writes manifests."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ostler.faces.cli.session import ExitStatus, fail, session_of
from ostler.faces.cli.verbs import VerbGroup
from ostler.faces.output import say_json


class Format(StrEnum):
    """How a check reports what it found."""

    HUMAN = "human"
    JSON = "json"
    SARIF = "sarif"


def check(
    context: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE|CLASS", help="Manifests, ostler.yaml, folders, or names; else all."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use saved tools lists; ask no server.")] = False,
    tools: Annotated[
        list[Path] | None,
        typer.Option("--tools", metavar="FILE", help="A saved tools list, or a folder of them; repeatable."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print what was found.")] = Format.HUMAN,
) -> None:
    """Check classes and ostler.yaml. Classes are checked against their tools; exit status 1 if something is found."""
    from ostler.faces.cli.checking import check_classes

    if not check_classes(session_of(context), targets or [], tools or [], offline=offline, form=form.value):
        raise typer.Exit(int(ExitStatus.FAILED))


def save(
    context: typer.Context,
    servers: Annotated[
        list[str] | None, typer.Argument(metavar="SERVER", help="Only these servers' tools; else all.")
    ] = None,
    answers: Annotated[
        bool, typer.Option("--answers", help="Call the tools that only read and need no args, and keep their answers.")
    ] = False,
) -> None:
    """Save the tools lists of downstream servers. With them, ostler check --offline needs no servers."""
    from ostler.faces.cli.checking import save_lists

    if not save_lists(session_of(context), servers or [], answers=answers):
        raise typer.Exit(int(ExitStatus.FAILED))


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


class _ToolsGroup(VerbGroup):
    """`ostler tools [SERVER]` lists; `ostler tools save` saves."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def add_to(app: typer.Typer, list_tools: Callable[..., None]) -> None:
    """Add the verbs to the command line; `list_tools` is what `ostler tools` alone does."""
    app.command()(check)
    app.command()(schema)
    group = typer.Typer(cls=_ToolsGroup, help="List or save the downstream tools.", rich_markup_mode=None)
    group.command("list")(list_tools)
    group.command("save")(save)
    app.add_typer(group, name="tools")
