"""What a class expects of an answer."""

from functools import cached_property

from pydantic import model_validator

from ostler.model.json import JsonObject, JsonValue
from ostler.model.strict import StrictModel


class Expectation(StrictModel):
    """What an answer must look like (`expect`), or must not (`expectNot`). All given conditions must hold."""

    success: bool | None = None
    json_path: dict[str, JsonValue] | None = None
    jmespath: str | list[str] | None = None
    contains: str | list[str] | None = None
    matches: str | list[str] | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "Expectation":
        if not self.model_fields_set:
            raise ValueError("an expectation needs at least one of success, jsonPath, jmespath, contains, matches")
        return self

    @cached_property
    def written(self) -> JsonObject:
        """It as the manifest has it; no one changes this."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
