"""A project as `ostler.yaml` describes it: the services of a checkout, and what each changes of its class.

Text becomes these models in `ostler.rules.loading.projects`. Every key here has an effect; what is not here is refused.
"""

import re
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from ostler.model.durations import Duration
from ostler.model.json import JsonObject
from ostler.model.label_names import validate_class_name, validate_name
from ostler.model.manifest import HealthCheckSpec, RestartPolicy
from ostler.model.policies import IdleStop
from ostler.model.strict import StrictModel

PROJECT_KIND = "Project"
PROJECT_FILE = "ostler.yaml"
"""The file that makes a folder a project."""

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""The name of an environment variable."""


def _as_text(value: Any) -> Any:
    """Return a YAML value as a variable holds it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _variable_name(name: str) -> str:
    if not VARIABLE.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an environment variable: letters, digits and '_' only")
    return name


EnvironmentName: TypeAlias = Annotated[str, AfterValidator(_variable_name)]
"""The name of an environment variable."""

EnvironmentValue: TypeAlias = Annotated[str | None, BeforeValidator(_as_text)]
"""A variable's value, as text; None removes the variable."""


def _as_tuple(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _inner_glob(pattern: str) -> str:
    if PurePath(pattern).is_absolute() or ".." in PurePath(pattern).parts:
        raise ValueError(f"{pattern!r} leaves the project's folder")
    return pattern


Texts: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
"""One text, or a list of them."""

InnerGlobs: TypeAlias = Annotated[tuple[Annotated[str, AfterValidator(_inner_glob)], ...], BeforeValidator(_as_tuple)]
"""One glob, or a list of them, relative to the project's folder and inside of it."""


class NeedSpec(StrictModel):
    """One entry of `dependsOn`: what has to be true of that service first."""

    condition: Literal["started", "healthy", "completed"] = "started"
    required: bool = True


class Overrides(StrictModel):
    """What an instance changes of its class.

    Attributes:
        depends_on: services that must be there first, by name.
        restart_policy: instead of the class's.
        health_check: instead of the class's settings.
        idle_stop: instead of the class's: when it is stopped because no one uses it.
        env: environment variables for what the start tool runs; None removes one that `env_file` sets.
    """

    depends_on: dict[str, NeedSpec] = Field(default_factory=dict[str, NeedSpec])
    restart_policy: RestartPolicy | None = None
    health_check: HealthCheckSpec | None = None
    idle_stop: IdleStop | None = None
    env: dict[EnvironmentName, EnvironmentValue] = Field(default_factory=dict[str, EnvironmentValue])

    @field_validator("depends_on", mode="before")
    @classmethod
    def _short_needs(cls, value: Any) -> Any:
        """`db`, `[db, cache]` and `{db: healthy}` are short for the mapping."""
        if isinstance(value, str):
            return {value: {}}
        if isinstance(value, list):
            names = cast("list[object]", value)
            if not all(isinstance(name, str) for name in names):
                raise ValueError("a list may only have names of services: [db, cache]; a condition needs {db: healthy}")
            return dict.fromkeys(names, cast("dict[str, object]", {}))
        if isinstance(value, dict):
            needs: dict[Any, Any] = {}
            for name, need in value.items():  # pyright: ignore[reportUnknownVariableType]
                needs[name] = {"condition": need} if isinstance(need, str) else {} if need is None else need
            return needs
        return value  # pyright: ignore[reportUnknownVariableType]

    @property
    def is_empty(self) -> bool:
        """Whether the class is used as it is."""
        return not (self.depends_on or self.restart_policy or self.health_check or self.idle_stop or self.env)


class GivenOverrides(Overrides):
    """What a client changes of a class for one service.

    Attributes:
        env_file: files of variables, relative to the client's folder; `env` goes over them.
    """

    env_file: Texts = ()


class ProjectServiceSpec(Overrides):
    """One service of a project.

    Attributes:
        class_name: the ServiceClass that it is made from (`class` in the file).
        args: the class's args; templates see `services.NAME.outputs`, `project`, `port` and `env`.
        env_file: files of variables, relative to the project's folder; `env` goes over them.
        shared: it belongs to the main checkout, and all worktrees use the one.
        lease: seconds after which it is stopped unless renewed.
        lease_renewal: `client`: the lease does not run while a client works in the project.
        auto_start: start it again with the server.
        watch: globs, relative to the project's folder; a change of such a file restarts it.
        enabled: False leaves it out of `up` unless it is named.
    """

    class_name: Annotated[str, AfterValidator(validate_class_name)] = Field(alias="class")
    args: JsonObject = Field(default_factory=dict)
    env_file: Texts = ()
    shared: bool = False
    lease: Annotated[Duration, Field(gt=0)] | None = None
    lease_renewal: Literal["", "client"] = ""
    auto_start: bool = False
    watch: InnerGlobs = ()
    enabled: bool = True
    purpose: str = ""

    @model_validator(mode="after")
    def _has_lease(self) -> "ProjectServiceSpec":
        if self.lease_renewal and self.lease is None:
            raise ValueError("'leaseRenewal' has no effect without 'lease'")
        return self

    @property
    def overrides(self) -> Overrides:
        """What it changes of its class."""
        return Overrides.model_construct(
            depends_on=self.depends_on,
            restart_policy=self.restart_policy,
            health_check=self.health_check,
            idle_stop=self.idle_stop,
            env=self.env,
        )


class Project(StrictModel):
    """`ostler.yaml`: the services of one checkout.

    Attributes:
        name: the project's name; empty takes the name of the main checkout's folder.
        services: by their short names.
    """

    api_version: Literal["ostler/v1"] = "ostler/v1"
    kind: Literal["Project"] = "Project"
    name: str = ""
    services: dict[Annotated[str, AfterValidator(validate_name)], ProjectServiceSpec] = Field(
        default_factory=dict[str, ProjectServiceSpec]
    )

    @field_validator("name")
    @classmethod
    def _project_name(cls, value: str) -> str:
        return validate_name(value) if value else value
