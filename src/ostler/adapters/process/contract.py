"""What the tools of the process server take, as pydantic models; the tools' JSON Schemas come from these.

Blanks count as absent, so that a class may pass an optional argument through as it is.
"""

import re
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from ostler.adapters.process.escapes import bytes_of
from ostler.adapters.serving.arguments import Args, Size
from ostler.model.durations import Duration
from ostler.rules.text.patterns import compile_pattern

KEY_PATTERN = r"^[A-Za-z0-9._-]{1,128}$"
CURSOR_PATTERN = r"^[0-9a-f]{8}:[0-9]{1,18}$"
MAX_ARGS = 1000
MAX_TEXT = 32_768
MAX_PATTERN = 500
MAX_SENT = 1000
MAX_TIMEOUT = 3600.0
KIB = 1024
MIB = 1024 * KIB

ProcessState: TypeAlias = Literal["running", "exited", "unknown", "not_found"]


def _scalar_text(value: Any) -> Any:
    """Return numbers and booleans as text: native templates give `8080` or `true` where a program wants words."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [item for item in cast("list[Any]", value) if item is not None]
    if isinstance(value, dict):
        return {key: item for key, item in cast("dict[str, Any]", value).items() if item is not None}
    return value


def _well_formed_key(key: str) -> str:
    if re.fullmatch(KEY_PATTERN, key) is None or key.endswith("\n"):
        raise ValueError("use 1 to 128 letters, digits, '.', '_' or '-'")
    return key


Key = Annotated[
    str,
    AfterValidator(_well_formed_key),
    WithJsonSchema({"type": "string", "pattern": KEY_PATTERN}),
    Field(description="Unique name of the process."),
]
Text = Annotated[
    str,
    StringConstraints(max_length=MAX_TEXT),
    BeforeValidator(_scalar_text),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]
Arguments = Annotated[list[Text], Field(max_length=MAX_ARGS), BeforeValidator(_without_nulls)]
Environment = Annotated[dict[str, Text], Field(max_length=MAX_ARGS), BeforeValidator(_without_nulls)]
Timeout = Annotated[Duration, Field(le=MAX_TIMEOUT)]
Host = Annotated[str, StringConstraints(min_length=1, max_length=253)]
Port = Annotated[int, Field(ge=1, le=65535)]
StdinKind: TypeAlias = Literal["pipe", "null", "tty"]
SignalName = Annotated[str, StringConstraints(pattern=r"^(SIG)?[A-Z][A-Z0-9]{1,9}$")]


class Request(Args):
    """The arguments of a tool; code may name them as Python does."""

    model_config = ConfigDict(defer_build=True, validate_by_name=True, validate_by_alias=True)


class Probe(Request):
    """How to find out whether a process is ready. All that is given must pass."""

    tcp: Annotated[
        Port | Annotated[str, StringConstraints(pattern=r"^(\{port\}|[0-9]{1,5})$")] | None,
        Field(description="Port that must accept connections; '{port}' is the process's own."),
    ] = None
    send: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=MAX_SENT)] | None,
        Field(
            description=r"Text to send over that connection; \\r, \\n, \\t, \\\\ and \\xHH stand for bytes. Needs tcp."
        ),
    ] = None
    answer: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN)] | None,
        Field(description="Regular expression that what comes back on that connection must match. Needs tcp."),
    ] = None
    http: Annotated[
        Annotated[str, StringConstraints(pattern=r"^https?://", max_length=2000)] | None,
        Field(description="URL that must answer a GET; may hold {port}. Certificates are not checked."),
    ] = None
    status: Annotated[
        Annotated[list[Annotated[int, Field(ge=100, le=599)]], Field(max_length=50)]
        | int
        | Annotated[str, StringConstraints(pattern=r"^[1-5][0-9][0-9]-[1-5][0-9][0-9]$")]
        | None,
        Field(description="HTTP status that counts as ready, list of them, or range (200-499). Default: 200-399."),
    ] = None
    log: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN)] | None,
        Field(
            description="Regular expression that a log line of this run must match; may hold {port}. What its named "
            "groups find is in matched."
        ),
    ] = None
    fail_log: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN)] | None,
        Field(
            description="Regular expression of a log line that reports trouble: not ready until a later line matches "
            "log, or failLogFor has passed. May hold {port}."
        ),
    ] = None
    fail_log_for: Annotated[
        Timeout | None,
        Field(description="How long a line of failLog counts. Default: 60s; with log, until that clears it."),
    ] = None
    exec: Annotated[
        Annotated[list[Text], Field(min_length=1, max_length=MAX_ARGS)] | None,
        Field(
            description="Program and arguments that must end with 0, run in the folder, environment and user of the "
            "process; may hold {port}. A first word {python} is the Python that runs Ostler."
        ),
    ] = None
    host: Annotated[Host | None, Field(description="Host for tcp. Default: the host of start.")] = None
    owner: Annotated[
        Literal["own", "any"],
        Field(
            description="Whether a port of this machine counts only if the process or one below it listens there (own) "
            "or whoever does (any)."
        ),
    ] = "own"
    timeout: Annotated[Timeout | None, Field(description="start: how long to wait (30s). status: per probe (5s).")] = (
        None
    )
    interval: Annotated[
        Annotated[Duration, Field(ge=0.02, le=60)] | None, Field(description="start: pause between probes (0.05s).")
    ] = None

    @model_validator(mode="after")
    def _talk_needs_tcp(self) -> "Probe":
        if self.tcp is None and (self.send is not None or self.answer is not None):
            raise ValueError("'send' and 'answer' talk over the connection that 'tcp' makes; give 'tcp' too")
        if self.send is not None and self.answer is None:
            raise ValueError("'send' without 'answer' would show nothing; give the 'answer' that is expected")
        if self.send is not None:
            bytes_of(self.send)
        if self.answer is not None:
            compile_pattern(self.answer)
        if self.fail_log_for is not None and self.fail_log is None:
            raise ValueError("'failLogFor' says how long a line of 'failLog' counts; give 'failLog' too")
        return self

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be probed (every kind was null)."""
        return all(part is None for part in (self.tcp, self.http, self.log, self.fail_log, self.exec))


class StartRequest(Request):
    """The arguments of `start`."""

    meaningful_blanks: ClassVar[frozenset[str]] = frozenset({"args"})  # without args the command would be split

    key: Key
    command: Annotated[
        str,
        StringConstraints(min_length=1, max_length=MAX_TEXT),
        Field(
            description="Program to run; without args it is split like a shell would. A first word {python} is the "
            "Python that runs Ostler, as are python and python3 where PATH has none."
        ),
    ]
    args: Annotated[Arguments | None, Field(description="Arguments, one item each. Nulls are left out.")] = None
    shell: Annotated[bool, Field(description="Run command through the system's shell (args must be absent).")] = False
    cwd: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None,
        Field(description="Absolute folder to run in ('~' is understood). Default: the home folder."),
    ] = None
    env: Annotated[Environment | None, Field(description="Variables to set over the inherited ones.")] = None
    user: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,63}\$?$")] | None,
        Field(description="Run as this user of the system, with its groups and home; only root may name another."),
    ] = None
    refuses_root: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=300)] | None,
        Field(description="For a program that refuses to run as root: what to do, where it would be started so."),
    ] = None
    port: Annotated[
        Annotated[int, Field(ge=0, le=65535)] | None,
        Field(
            description="Port that the process will listen on; 0 chooses a free one. The process gets it as the "
            "variable PORT, and as {port} in command, args and env; {port} in ready is replaced too."
        ),
    ] = None
    host: Annotated[Host, Field(description="Address on which port must be free.")] = "127.0.0.1"
    stdin: Annotated[
        StdinKind,
        Field(
            description="Its standard input: a pipe that stays open, null for /dev/null, or tty for a terminal, which "
            "its output goes to as well."
        ),
    ] = "pipe"
    ready: Annotated[Probe | None, Field(description="Wait until this passes; on failure the process is ended.")] = None
    start_seconds: Annotated[
        Annotated[Duration, Field(ge=0, le=60)] | None,
        Field(
            description="Without ready: how long it must run to count as started; an earlier end is a failure. "
            "Default: 0.5s, in which an exit code of 0 is not a failure (state is exited then)."
        ),
    ] = None
    ends_within: Annotated[
        Annotated[Duration, Field(gt=0, le=MAX_TIMEOUT)] | None,
        Field(
            description="For work that ends: answer when it has ended with 0, at most after this time; anything else "
            "is a failure. Not with ready or startSeconds."
        ),
    ] = None
    stop_signal: Annotated[SignalName, Field(description="Signal that stop sends first.")] = "SIGTERM"
    stop_timeout: Annotated[Timeout, Field(description="How long stop waits before it kills.")] = 10.0
    memory_limit: Annotated[
        Annotated[Size, Field(ge=MIB)] | None,
        Field(description="Kill it when it and all that it started have more memory than this, such as 512MB."),
    ] = None
    log_max_bytes: Annotated[
        int, Field(ge=64 * KIB, le=1024 * MIB, description="Size at which the log is rotated; one old part is kept.")
    ] = 10 * MIB

    @model_validator(mode="after")
    def _shell_takes_no_args(self) -> "StartRequest":
        if self.shell and self.args is not None:
            raise ValueError("'args' cannot be combined with 'shell'; write the whole line in 'command'")
        return self

    @property
    def has_to_stay(self) -> bool:
        """Whether an end soon after the start would be a failure."""
        return bool(self.start_seconds) or (self.ready is not None and not self.ready.is_empty)


class StopRequest(Request):
    """The arguments of `stop`."""

    key: Key
    timeout: Annotated[Timeout | None, Field(description="How long to wait before killing. Default: stopTimeout.")] = (
        None
    )
    signal: Annotated[SignalName | None, Field(description="Signal to send first. Default: stopSignal.")] = None


class StatusRequest(Request):
    """The arguments of `status`."""

    key: Key
    ready: Annotated[Probe | None, Field(description="Probe now, once; the answer is in ready and detail.")] = None
    details: Annotated[bool, Field(description="Also measure CPU, memory, children and listening ports.")] = False


class LogsRequest(Request):
    """The arguments of `logs`."""

    key: Key
    lines: Annotated[int, Field(ge=1, le=2000, description="At most this many lines.")] = 100
    since: Annotated[
        Annotated[int, Field(ge=0)] | Annotated[str, StringConstraints(pattern=CURSOR_PATTERN)] | None,
        Field(description="Read on from this cursor (or nextOffset of the same run) instead of showing the end."),
    ] = None
    newer_than: Annotated[
        Annotated[Duration, Field(gt=0)] | None,
        Field(description="Only lines that were written so long ago at most, such as 10m."),
    ] = None
    grep: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN)] | None,
        Field(description="Only lines that match this regular expression."),
    ] = None
    previous: Annotated[bool, Field(description="The rotated part, or the run before this one, instead.")] = False


class InputRequest(Request):
    """The arguments of `input`."""

    key: Key
    text: Annotated[
        str,
        StringConstraints(max_length=MAX_TEXT),
        Field(description=r"What is typed; \u0003 is Ctrl-C and \u0004 the end of the input, for a terminal."),
    ] = ""
    enter: Annotated[bool, Field(description="Press Enter after it.")] = True

    @model_validator(mode="after")
    def _something_is_sent(self) -> "InputRequest":
        if not self.text and not self.enter:
            raise ValueError("'text' is empty and 'enter' false: there is nothing to send")
        return self


class ListRequest(Request):
    """The arguments of `list`."""

    state: Annotated[
        Literal["running", "exited", "unknown"] | None, Field(description="Only processes in this state.")
    ] = None
    prefix: Annotated[
        Annotated[str, StringConstraints(max_length=128)] | None,
        Field(description="Only keys that start with this."),
    ] = None
    limit: Annotated[int, Field(ge=1, le=1000, description="At most this many, newest first.")] = 200


class FreePortRequest(Request):
    """The arguments of `free_port`."""

    preferred: Annotated[Port | None, Field(description="Port to give when it is free.")] = None
    host: Annotated[Host, Field(description="Address on which the port must be free.")] = "127.0.0.1"
    count: Annotated[int, Field(ge=1, le=100, description="How many ports.")] = 1
