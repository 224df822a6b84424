"""The ServiceClass manifest as values.

Text becomes these models in `ostler.rules.loading.manifests`, which turns every pydantic error into a finding with line
and column. Every key here has an effect; what is not here is refused.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_snake

from ostler.model.durations import Duration
from ostler.model.expectations import Expectation
from ostler.model.json import JsonObject, JsonValue
from ostler.model.label_names import validate_class_name, validate_name
from ostler.model.policies import IdleStop, RestartPolicy, RestartPolicySpec
from ostler.model.strict import StrictModel

API_VERSION = "ostler/v1"
OWN_NAMES = "own names"
"""In a validation's context: the class's name must be a label, because its manifest is of ostler/v1."""

TOOL_PATTERN = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._/-]+")
"""`server/tool`."""


def qualified_tool(value: str) -> str:
    """Return `value` if it is `server/tool`.

    Raises:
        ValueError: it is not.
    """
    if not TOOL_PATTERN.fullmatch(value):
        raise ValueError(f"{value!r} is not a tool name; write it as 'server/tool', such as 'process/start'")
    return value


_EXACT = 2**53
"""Whole numbers below are the same as a float."""


class ArgSpec(StrictModel):
    """One argument of a class; JSON Schema underneath."""

    type: Literal["string", "integer", "number", "boolean", "object", "array"] = "string"
    required: bool = False
    default: JsonValue = None
    description: str = ""
    enum: list[JsonValue] | None = None
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    items: JsonObject | None = None
    secret: bool = False
    path: bool = False

    @property
    def has_default(self) -> bool:
        """Whether a default was written (a written `null` counts)."""
        return "default" in self.model_fields_set

    def json_schema(self) -> JsonObject:
        """Return the JSON Schema of the argument's value."""
        schema: JsonObject = {"type": self.type}
        for key in ("description", "enum", "pattern", "minimum", "maximum", "items"):
            value = getattr(self, key)
            if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
                value = int(value)  # as it was written, most likely
            if value not in (None, ""):
                schema[key] = value
        if self.has_default and not self.secret:
            schema["default"] = self.default
        return schema


class OutputSpec(StrictModel):
    """How one output is taken from a response: exactly one of path (JMESPath), regex or template."""

    path: str | None = None
    regex: str | None = None
    template: str | None = None
    type: Literal["string", "integer", "number", "boolean", "object", "array"] | None = None
    default: JsonValue = None
    required: bool = True
    secret: bool = False
    kept: bool = False

    @property
    def has_default(self) -> bool:
        """Whether a default was written (a written `null` counts)."""
        return "default" in self.model_fields_set

    @model_validator(mode="after")
    def _one_source(self) -> "OutputSpec":
        if sum(getattr(self, key) is not None for key in ("path", "regex", "template")) != 1:
            raise ValueError("an output takes exactly one of 'path', 'regex' or 'template'")
        return self


class RetrySpec(StrictModel):
    """How often a tool call is tried again when it certainly was not delivered, or failed retryably.

    With `when`, only an answer that matches it is a reason to try again.
    """

    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    delay: Duration = 1.0
    when: Expectation | None = None


class BatchSpec(StrictModel):
    """One call of a list-style tool that answers for every instance of the class with the same rendered args.

    The item of the list in which every `match` is found stands for the answer of that instance.
    """

    items: str = "@"
    match: Annotated[dict[str, JsonValue], Field(min_length=1)]


class ToolCallSpec(StrictModel):
    """One tool call of a lifecycle: which tool, with what, and what to make of the answer."""

    tool: str
    args: JsonObject = Field(default_factory=dict)
    outputs: dict[str, str | OutputSpec] = Field(default_factory=dict)
    expect: Expectation | None = None
    expect_not: Expectation | None = None
    timeout: Duration | None = None
    retry: RetrySpec | None = None
    batch: BatchSpec | None = None

    _qualified = field_validator("tool")(qualified_tool)

    @cached_property
    def written_outputs(self) -> JsonObject:
        """The outputs as the manifest has them; no one changes this."""
        return {
            name: source
            if isinstance(source, str)
            else source.model_dump(mode="json", by_alias=True, exclude_unset=True)
            for name, source in self.outputs.items()
        }

    def expectations(self) -> Iterator[tuple[tuple[str, ...], Expectation]]:
        """Yield everything that an answer is checked against, with its keys in the manifest."""
        keys: tuple[tuple[str, ...], ...] = (("expect",), ("expectNot",), ("failWhen",), ("goneWhen",))
        for path in keys:
            expectation = getattr(self, to_snake(path[0]), None)
            if expectation is not None:
                yield path, expectation
        if self.retry is not None and self.retry.when is not None:
            yield ("retry", "when"), self.retry.when

    @property
    def server(self) -> str:
        """The downstream server's name."""
        return self.tool.partition("/")[0]

    @property
    def tool_name(self) -> str:
        """The tool's name on its server."""
        return self.tool.partition("/")[2]


class ReadySpec(ToolCallSpec):
    """The ready check: repeated every `interval` until it passes, `fail_when` does, or the create timeout is over."""

    interval: Annotated[Duration, Field(gt=0)] = 0.5
    fail_when: Expectation | None = None


class StopSpec(ToolCallSpec):
    """The stop or delete call; a failure that matches `gone_when` means that there was nothing to stop or delete."""

    gone_when: Expectation | None = None


class StoppedSpec(ToolCallSpec):
    """The check after a stop: repeated every `interval` until it passes or the delete timeout is over."""

    interval: Annotated[Duration, Field(gt=0)] = 0.5


STEPS: Final = (
    "start", "ready", "stop", "stopped", "delete", "restart", "status", "healthCheck", "find", "logs", "sendInput",
)  # fmt: skip
"""The steps of one call each, as the manifest names them."""


class LifecycleTools(StrictModel):
    """The tools that drive a service. `start` and `stop` are required."""

    start: ToolCallSpec
    stop: StopSpec
    ready: ReadySpec | None = None
    stopped: StoppedSpec | None = None
    delete: StopSpec | None = None
    restart: ToolCallSpec | None = None
    status: ToolCallSpec | None = None
    health_check: ToolCallSpec | None = None
    find: ToolCallSpec | None = None
    logs: ToolCallSpec | None = None
    send_input: ToolCallSpec | None = None
    pre_start: list[ToolCallSpec] = Field(default_factory=list[ToolCallSpec])
    pre_stop: list[ToolCallSpec] = Field(default_factory=list[ToolCallSpec])
    post_start: list[ToolCallSpec] = Field(default_factory=list[ToolCallSpec])

    @cached_property
    def calls(self) -> Sequence[tuple[str, ToolCallSpec]]:
        """(step, call) for every call there is; steps are named as in the manifest (`postStart[0]`)."""
        return tuple(self._each_call())

    @cached_property
    def called(self) -> Sequence[str]:
        """Every `server/tool` that is called, sorted, each once."""
        return tuple(sorted({call.tool for _, call in self.calls}))

    @cached_property
    def called_servers(self) -> Sequence[str]:
        """The servers whose tools are called, sorted, each once."""
        return tuple(sorted({call.server for _, call in self.calls}))

    @cached_property
    def secret_outputs(self) -> Sequence[tuple[str, str]]:
        """The outputs that must not be shown, as (step, output)."""
        return tuple(
            (step, name)
            for step, call in self.calls
            for name, spec in call.outputs.items()
            if isinstance(spec, OutputSpec) and spec.secret
        )

    def _each_call(self) -> Iterator[tuple[str, ToolCallSpec]]:
        for step in STEPS:
            call = getattr(self, to_snake(step))
            if call is not None:
                yield step, call
        lists = (("preStart", self.pre_start), ("postStart", self.post_start), ("preStop", self.pre_stop))
        for step, calls in lists:
            for index, call in enumerate(calls):
                yield f"{step}[{index}]", call


class HealthCheckSpec(StrictModel):
    """When health is checked and how many results in a row change the verdict."""

    enabled: bool = True
    interval: Annotated[Duration, Field(gt=0)] = 30.0
    timeout: Annotated[Duration, Field(gt=0)] = 10.0
    initial_delay: Duration = 0.0
    failure_threshold: Annotated[int, Field(ge=1)] = 3
    success_threshold: Annotated[int, Field(ge=1)] = 1


_DEFAULT_HEALTH: Final = HealthCheckSpec()
_NO_RESTARTS: Final = RestartPolicySpec()


class TimeoutSpec(StrictModel):
    """How long each operation may take in all, in seconds inside."""

    create: Annotated[Duration, Field(gt=0)] = 60.0
    delete: Annotated[Duration, Field(gt=0)] = 30.0
    restart: Annotated[Duration, Field(gt=0)] | None = None
    health_check: Annotated[Duration, Field(gt=0)] = 10.0

    @property
    def restart_in_all(self) -> float:
        """How long a restart may take: as written, else as long as a stop and a start."""
        return self.create + self.delete if self.restart is None else self.restart


class DependencySpec(StrictModel):
    """A service that must be there first.

    `name` is the dependency's service name (a template); with `serviceClassName` and `create: true` it is made on
    demand. `alias` is how templates call it (`dependencies.<alias>.outputs.x`); default: the name or class.
    """

    name: str | None = None
    service_class_name: str | None = None
    alias: str | None = None
    args: JsonObject = Field(default_factory=dict)
    condition: Literal["started", "healthy", "completed"] = "started"
    required: bool = True
    when: str | None = None
    create: bool = False
    timeout: Annotated[Duration, Field(gt=0)] = 120.0
    """Seconds that a start waits for the condition; after that the service keeps waiting, but blocks no one."""

    @model_validator(mode="after")
    def _consistent(self) -> "DependencySpec":
        if self.name is None and self.service_class_name is None:
            raise ValueError("a dependency needs 'name' or 'serviceClassName'")
        if self.create and self.service_class_name is None:
            raise ValueError("'create: true' needs 'serviceClassName'")
        if self.args and not self.create:
            raise ValueError("'args' has no effect without 'create: true'")
        if "timeout" in self.model_fields_set and self.condition == "started":
            raise ValueError("'timeout' has no effect with the condition 'started': a start has timeouts of its own")
        return self


class LeftoversSpec(StrictModel):
    """How to list what carries this Ostler's mark, to find and stop what no longer belongs to a service."""

    tool: str
    args: JsonObject = Field(default_factory=dict)
    items: str = "@"
    item_pattern: str | None = None
    inspect_tool: str | None = None
    inspect_args: JsonObject = Field(default_factory=dict)
    mark: str
    service_class: str
    service: str
    outputs: dict[str, str] = Field(default_factory=dict)

    _qualified = field_validator("tool")(qualified_tool)

    @field_validator("inspect_tool")
    @classmethod
    def _inspect_tool_is_qualified(cls, tool: str | None) -> str | None:
        return None if tool is None else qualified_tool(tool)

    @model_validator(mode="after")
    def _consistent(self) -> "LeftoversSpec":
        if self.item_pattern is not None and "items" in self.model_fields_set:
            raise ValueError("'items' has no effect next to 'itemPattern'")
        if self.inspect_args and self.inspect_tool is None:
            raise ValueError("'inspectArgs' has no effect without 'inspectTool'")
        return self


class ServiceConfig(StrictModel):
    """How instances of the class are driven."""

    service_type: str = ""
    default_name: str | None = None
    dependencies: list[str | DependencySpec] = Field(default_factory=list[str | DependencySpec])
    lifecycle_tools: LifecycleTools
    health_check: HealthCheckSpec | None = None
    timeout: TimeoutSpec = Field(default_factory=TimeoutSpec)
    restart_policy: RestartPolicy | None = None
    on_unknown: Literal["adopt", "retry", "compensate", "hold"] = "hold"
    outputs: dict[str, str | OutputSpec] = Field(default_factory=dict)
    completed: Expectation | None = None
    max_instances: Annotated[int, Field(ge=1)] | None = None
    idle_stop: IdleStop | None = None
    leftovers: LeftoversSpec | None = None

    @cached_property
    def secret_outputs(self) -> frozenset[str]:
        """The names of the service's outputs that must not be shown."""
        return frozenset(name for name, spec in self.outputs.items() if isinstance(spec, OutputSpec) and spec.secret)

    @cached_property
    def kept_outputs(self) -> Sequence[str]:
        """The names of the service's outputs that name what stays when it is deleted, such as a folder of data."""
        return [name for name, spec in self.outputs.items() if isinstance(spec, OutputSpec) and spec.kept]

    @property
    def health(self) -> HealthCheckSpec:
        """The health settings in force; without `healthCheck.timeout`, `timeout.healthCheck` counts."""
        health = self.health_rules
        if "timeout" in health.model_fields_set:
            return health
        return health.model_copy(update={"timeout": self.timeout.health_check})

    @property
    def health_rules(self) -> HealthCheckSpec:
        """The health settings but for the timeout; views read them often, so no copy is made as in `health`."""
        return self.health_check or _DEFAULT_HEALTH

    @property
    def restart(self) -> RestartPolicySpec:
        """The restart policy in force (`never` when none is written)."""
        return self.restart_policy or _NO_RESTARTS


class ServiceClassSpec(StrictModel):
    """The manifest's `spec`."""

    description: str = ""
    args: dict[str, ArgSpec] = Field(default_factory=dict)
    additional_args: bool = False
    """Whether args that are not declared are accepted, unchanged; templates name them `args.NAME`."""
    service_config: ServiceConfig


class Metadata(StrictModel):
    """The manifest's `metadata`."""

    name: str
    labels: dict[str, str] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _valid_name(cls, value: str, info: ValidationInfo) -> str:
        return validate_name(value) if info.context == OWN_NAMES else validate_class_name(value)


class ServiceClass(StrictModel):
    """A manifest of `kind: ServiceClass`: which tools drive one kind of service."""

    api_version: Literal["ostler/v1"]
    kind: Literal["ServiceClass"]
    metadata: Metadata
    spec: ServiceClassSpec

    @property
    def name(self) -> str:
        """The class's name."""
        return self.metadata.name

    @cached_property
    def config(self) -> ServiceConfig:
        """Shortcut for `spec.service_config`."""
        return self.spec.service_config

    @cached_property
    def tools(self) -> LifecycleTools:
        """Shortcut for `spec.service_config.lifecycle_tools`; a create and its delete read it 36 times."""
        return self.spec.service_config.lifecycle_tools

    @property
    def service_type(self) -> str:
        """The type of the instances: `serviceType`, else the class's name."""
        return self.config.service_type or self.name

    @cached_property
    def looks_after_start(self) -> bool:
        """Whether a tool can show the state of a running instance: healthCheck, else status."""
        return (self.tools.health_check or self.tools.status) is not None

    def required_tools(self) -> list[str]:
        """Return every `server/tool` that must exist for a start, sorted, each once."""
        return sorted({call.tool for step, call in self.tools.calls if step not in ("logs", "sendInput")})

    def servers(self) -> list[str]:
        """Return the downstream servers that the class needs, sorted, each once."""
        return list(self.tools.called_servers)
