"""The base of the models of what people write, and types for their fields."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field
from pydantic.alias_generators import to_camel


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number of bytes, or text such as '256KiB'")  # noqa: TRY004
    return value


Count: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]
"""How many of something; so few that a database can compare with it."""

Switch: TypeAlias = Annotated[bool, Field(strict=True)]
Size: TypeAlias = Annotated[ByteSize, BeforeValidator(_no_switch), Field(ge=1)]
"""Bytes: a number, or text such as `256KiB`."""


class StrictModel(BaseModel):
    """Frozen, camelCase outside, unknown keys refused; built when it is first used."""

    model_config = ConfigDict(
        defer_build=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=False,
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with `update`, as pydantic does, but without what was cached of the fields as they were."""
        made = super().model_copy(update=update, deep=deep)
        held = vars(made)
        for name in held.keys() - type(self).model_fields.keys():
            del held[name]
        return made
