"""A class's tests (docs/class-tests.md) as values: scripted answers, and what is expected of the class.

Text becomes these models in `ostler.rules.loading.class_tests`.
Every key here has an effect; what is not here is refused.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator
from pydantic.alias_generators import to_camel

from ostler.model.durations import Duration
from ostler.model.json import JsonObject, JsonValue
from ostler.model.label_names import validate_class_name, validate_name
from ostler.model.manifest import qualified_tool
from ostler.model.strict import StrictModel

TEST_KIND = "ServiceClassTest"

CALL_SECONDS = 0.001
"""How long a scripted call takes by default: time always moves, so that a loop of calls ends."""

# The values of the enumerations, as texts: files are validated strictly, and text is not an enumeration then.
StateName = Literal[
    "unknown", "waiting", "starting", "running", "stopping", "stopped", "failed", "retrying", "unreachable",
    "auth_required", "connected", "disconnected",
]  # fmt: skip
HealthName = Literal["unknown", "healthy", "unhealthy", "checking"]
ReachabilityName = Literal["unknown", "reachable", "unreachable"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[
    list[str],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""One text or several."""

_SOURCES = ("answer", "fails", "content", "error")


class ScriptedAnswer(StrictModel):
    """What a tool answers: at most one of `answer`, `fails`, `content` or `error`; nothing means success."""

    answer: JsonValue = None
    fails: str | None = None
    content: list[JsonObject] | None = None
    structured: JsonValue = None
    is_error: bool = False
    error: Literal["timeout", "lost", "unavailable", "rejected"] | None = None
    after: Duration = CALL_SECONDS

    @property
    def is_given(self) -> bool:
        """Whether an answer was written."""
        return any(source in self.model_fields_set for source in _SOURCES)

    @model_validator(mode="after")
    def _consistent(self) -> "ScriptedAnswer":
        given = [source for source in _SOURCES if source in self.model_fields_set]
        if len(given) > 1:
            raise ValueError(f"a tool gives one answer, not both {given[0]!r} and {given[1]!r}")
        for key, name in (("structured", "structured"), ("is_error", "isError")):
            if key in self.model_fields_set and "content" not in given:
                raise ValueError(f"{name!r} has no effect without 'content'")
        return self


class ExpectedCall(ScriptedAnswer):
    """A call that the class must make now, and what the tool answers."""

    tool: str
    args: JsonObject | None = None
    args_include: JsonObject | None = None
    times: Annotated[int, Field(ge=1)] = 1
    repeated: bool = False

    _qualified = field_validator("tool")(qualified_tool)

    @model_validator(mode="after")
    def _one_count(self) -> "ExpectedCall":
        if self.args is not None and self.args_include is not None:
            raise ValueError("'argsInclude' has no effect together with 'args', which is compared as a whole")
        if self.repeated and "times" in self.model_fields_set:
            raise ValueError("'times' has no effect together with 'repeated: true', which takes any number of calls")
        return self


class StepExpectation(StrictModel):
    """What must be true after a step. Without `error` the step must succeed."""

    error: Texts | None = None
    message: Texts | None = None
    exists: bool | None = None
    state: StateName | None = None
    health: HealthName | None = None
    reachability: ReachabilityName | None = None
    reason: str | None = None
    outputs: JsonObject | None = None
    outputs_include: JsonObject | None = None
    restarts: int | None = None
    events: Texts | None = None
    within: Duration | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "StepExpectation":
        if not self.model_fields_set:
            raise ValueError("'expect' needs at least one of its keys, or leave it out")
        if self.error is not None and self.message is not None:
            raise ValueError("'message' has no effect together with 'error': a step that fails has no message")
        if self.outputs is not None and self.outputs_include is not None:
            raise ValueError("'outputsInclude' has no effect together with 'outputs', which is compared as a whole")
        if self.exists is False:
            for key in ("state", "health", "reachability", "reason", "outputs", "outputs_include", "restarts"):
                if key in self.model_fields_set:
                    raise ValueError(f"{to_camel(key)!r} has no effect together with 'exists: false'")
        return self


class TestStep(StrictModel):
    """One action on the service, the calls that it must lead to, and what must be true afterwards."""

    __test__ = False  # not a test of pytest's

    do: Literal["create", "start", "stop", "restart", "delete", "check", "wait", "reopen"]
    lasting: Annotated[Duration, Field(gt=0)] | None = Field(default=None, alias="for")
    args: JsonObject = Field(default_factory=dict)
    start: bool = True
    force: bool = False
    abandon: bool = False
    calls: list[ExpectedCall] | None = None
    expect: StepExpectation | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "TestStep":
        only = {
            "lasting": ("for", "wait"),
            "args": ("args", "create"),
            "start": ("start", "create"),
            "force": ("force", "delete"),
            "abandon": ("abandon", "delete"),
        }
        for key, (name, action) in only.items():
            if key in self.model_fields_set and self.do != action:
                raise ValueError(f"{name!r} has no effect on 'do: {self.do}', only on 'do: {action}'")
        if self.do == "wait" and self.lasting is None:
            raise ValueError("'do: wait' needs at least one of its keys: 'for', such as 'for: 30s'")
        return self


class StandIn(StrictModel):
    """A service that exists before the test begins, for the class's dependencies."""

    name: str
    service_class_name: str | None = None
    outputs: JsonObject = Field(default_factory=dict)
    state: Literal["running", "stopped", "completed"] = "running"

    _name = field_validator("name")(validate_name)


class _Surroundings(StrictModel):
    """What a file sets for all of its tests, and a test for itself."""

    service: str | None = None
    args: JsonObject = Field(default_factory=dict)
    env: dict[str, str] = Field(default_factory=dict)
    services: list[StandIn] = Field(default_factory=list)
    answers: dict[str, list[ScriptedAnswer]] = Field(default_factory=dict)

    @field_validator("service")
    @classmethod
    def _valid_service(cls, value: str | None) -> str | None:
        return None if value is None else validate_class_name(value)

    @field_validator("answers", mode="before")
    @classmethod
    def _short_answers(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {tool: item if isinstance(item, list) else [item] for tool, item in value.items()}  # pyright: ignore[reportUnknownVariableType]

    @field_validator("answers")
    @classmethod
    def _qualified_answers(cls, value: dict[str, list[ScriptedAnswer]]) -> dict[str, list[ScriptedAnswer]]:
        for tool, answers in value.items():
            qualified_tool(tool)
            if not answers:
                raise ValueError(f"'answers.{tool}' needs at least one of answer, fails, content, error")
        return value


class ClassTest(_Surroundings):
    """One test: steps, one after the other."""

    __test__ = False

    name: str = Field(min_length=1)
    steps: list[TestStep] = Field(min_length=1)


class ClassTestFile(_Surroundings):
    """A file of tests of one class."""

    __test__ = False

    api_version: Literal["ostler/v1"]
    kind: Literal["ServiceClassTest"]
    service_class: str
    tests: list[ClassTest] = Field(min_length=1)

    _name = field_validator("service_class")(validate_class_name)
