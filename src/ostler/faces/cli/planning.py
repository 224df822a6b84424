"""The verb `plan`: what an operation would do, before anything is done."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ostler.faces.cli.services import typed_args
from ostler.faces.cli.session import class_named, parse_object, parse_pairs, require, session_of, usage_error
from ostler.faces.output import say, say_json
from ostler.model.json import present
from ostler.model.plans import PlanAction

if TYPE_CHECKING:
    from ostler.model.json import JsonObject

Format = Literal["human", "json"]


def plan(  # noqa: PLR0917 (typer's parameters are the options)
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="CLASS|NAME", help="The ServiceClass, or the service for --action.")],
    new_name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The new service's name; else the class's own.")
    ] = None,
    action: Annotated[
        PlanAction, typer.Option("--action", help="What to plan; all but create need an existing service.")
    ] = "create",
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The same as NAME.")] = None,
    arg: Annotated[list[str] | None, typer.Option("--arg", "-a", metavar="K=V", help="An arg; repeatable.")] = None,
    args_json: Annotated[str | None, typer.Option("--args-json", metavar="JSON", help="The args as an object.")] = None,
    abandon: Annotated[bool, typer.Option("--abandon", help="With --action delete: without stopping it.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to show it.")] = "human",
) -> None:
    """Show the tool calls that an operation would make. Creates nothing, and starts and stops nothing."""
    given = parse_object("--args-json", args_json)
    pairs = parse_pairs("--arg", arg or [])
    if name and new_name:
        usage_error("give the new service's name once: as NAME or by --name")
    name = name or new_name
    if action == "create":
        class_named(what)
    elif given or pairs or name:
        usage_error(f"NAME, --name, --arg and --args-json have no effect with --action {action}")
    if action != "delete" and abandon:
        usage_error("--abandon has an effect with --action delete only")
    with session_of(context).client() as client:
        if action == "create":
            if pairs:
                given |= typed_args(client, what, pairs)
            request: JsonObject = {"serviceClassName": what, **present({"name": name, "args": given})}
        else:
            request = {"action": action, "name": what, **({"abandon": True} if abandon else {})}
        answer = require(client.call_tool("service_plan", request))
    if form == "json":
        say_json(answer.structured)
    else:
        say(answer.text)


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("plan")(plan)
