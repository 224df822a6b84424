"""What every verb of the command line is made of: typer's commands, but for what they convert."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandInfo

from ostler.model.json import is_encodable


class Verb(TyperCommand):
    """A command whose parameters convert only values that do not have their type already.

    typer leaves flags alone and has pydantic convert the rest; to load that took 40 % of the CPU of most verbs.
    """

    def get_params(self, ctx: typer.Context) -> list[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return [_converting_less(parameter) for parameter in super().get_params(ctx)]


class VerbGroup(TyperGroup):
    """The same for a command that has others behind it."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return [_converting_less(parameter) for parameter in super().get_params(ctx)]


def verbs_in(app: typer.Typer) -> Iterator[CommandInfo]:
    """Yield the commands of `app`, and those behind others."""
    yield from app.registered_commands
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from verbs_in(group.typer_instance)


def _converting_less(parameter: Any) -> Any:
    own = cast("dict[str, object]", vars(parameter))
    own.setdefault("get_runtime_param", partial(_Conversion, parameter.get_runtime_param))
    return parameter


class _Conversion:
    """What typer calls to convert the values of a parameter."""

    def __init__(self, typers: Callable[[], Any]) -> None:
        self._typers = typers

    def coerce(self, value: Any, *, param: Any, ctx: typer.Context) -> Any:
        """Return `value` in the type of `param`.

        Raises:
            typer.BadParameter: it does not fit, or is text that no server can be sent.
        """
        wanted = param.type_descriptor.annotation
        is_several = param.multiple or param.nargs == -1
        if is_several and wanted == list[str] and not isinstance(value, str):
            return [_text(each) for each in value or ()]
        if value is None and not is_several:
            return None
        if wanted is str and isinstance(value, str):
            return _text(value)
        if isinstance(wanted, type) and isinstance(value, wanted):
            return value
        return self._typers().coerce(value, param=param, ctx=ctx)


def _text(value: str) -> str:
    if not is_encodable(value):
        raise typer.BadParameter(f"{value!a} is not UTF-8. Next: check how your terminal or script encodes it")
    return value
