"""What the tools of the process server give, as pydantic models; the schemas of their outputs come from these."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from ostler.adapters.process.contract import ProcessState
from ostler.model.moments import format_brief

Time = Annotated[datetime, PlainSerializer(format_brief, return_type=str, when_used="json")]


class Model(BaseModel):
    """Frozen, camelCase outside, unknown keys refused."""

    model_config = ConfigDict(
        defer_build=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


class ProcessFacts(Model):
    """What is always known about a process."""

    key: str
    state: ProcessState
    pid: int | None = None
    port: int | None = None
    host: str | None = None
    address: Annotated[str | None, Field(description="host:port, as in a URL.")] = None
    asked_port: Annotated[
        int | None,
        Field(description="The port that it was given, when port, where it listens, is another."),
    ] = None
    port_note: Annotated[
        str | None, Field(description="Why it has another port than in its last run, or than it was given.")
    ] = None
    started_at: Time | None = None
    exited_at: Annotated[Time | None, Field(description="When it ended.")] = None
    exit_code: Annotated[int | None, Field(description="Absent when ended by a signal, or unknown.")] = None
    signal: Annotated[str | None, Field(description="The signal that ended it.")] = None
    adopted: Annotated[bool | None, Field(description="Taken over from an earlier Ostler.")] = None
    command: Annotated[str | None, Field(description="The program, without its arguments.")] = None
    log_file: str | None = None
    matched: Annotated[
        dict[str, str] | None, Field(description="What the named groups of ready.log found in this run's output.")
    ] = None


class StartResult(ProcessFacts):
    """The answer of `start`."""

    already_running: bool = False
    warning: str | None = None


class StopResult(Model):
    """The answer of `stop`."""

    key: str
    already_stopped: bool
    killed: Annotated[bool, Field(description="It did not end in time and was killed.")] = False
    pids: Annotated[list[int], Field(description="The processes that were ended.")] = []
    exit_code: int | None = None
    signal: str | None = None
    adopted: bool | None = None
    warning: str | None = None


class StatusResult(ProcessFacts):
    """The answer of `status`."""

    ready: Annotated[bool, Field(description="Running, and every probe of this call passed.")]
    detail: str
    uptime_seconds: float | None = None
    cpu_percent: Annotated[
        float | None, Field(description="Of it and all that it started, since it was last measured; 100 is one core.")
    ] = None
    memory_bytes: Annotated[int | None, Field(description="Resident, with all children.")] = None
    children: int | None = None
    ports: Annotated[list[int] | None, Field(description="TCP ports it or its children listen on.")] = None
    lost_bytes: Annotated[int | None, Field(description="Of its output, not in its log: the disk was full.")] = None
    warning: str | None = None


class LogsResult(Model):
    """The answer of `logs`."""

    key: str
    state: ProcessState
    lines: list[str]
    next_offset: Annotated[int, Field(description="Where in this run's output the next lines begin.")]
    cursor: Annotated[str, Field(description="Give this as since to read on, also over a new run.")]
    truncated: Annotated[bool, Field(description="There is more than was shown.")]
    log_file: str | None = None


class InputResult(Model):
    """The answer of `input`."""

    key: str
    sent: Annotated[int, Field(description="Bytes that its input has taken.")]


class ListResult(Model):
    """The answer of `list`."""

    processes: list[ProcessFacts]
    total: Annotated[int, Field(description="How many match, shown or not.")]


class FreePortResult(Model):
    """The answer of `free_port`."""

    port: int
    ports: list[int]
    host: str
