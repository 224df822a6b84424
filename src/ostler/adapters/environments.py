"""Which environment a program gets: that of the caller, else that of a login shell, never Ostler's own.

A bridge and the command line send their environment with their greeting; it is in force for the calls of their
connection, and kept for what they start.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from ostler.adapters.caller_environment import environment_of_caller, without_own
from ostler.model.json import parse_json

_SESSION: Final = (
    "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TMPDIR", "TZ", "DISPLAY", "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
    "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_SESSION_TYPE", "SYSTEMROOT",
)  # fmt: skip
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INTERACTIVE: Final = frozenset({"bash", "zsh"})
_SHELLS: Final = frozenset({"bash", "zsh", "sh", "dash", "ksh", "fish"})
_SHELL_SECONDS: Final = 5.0
_FRESH_SECONDS: Final = 30.0
_MARK: Final = "__ostler_environment__"
_SHOWN_PATH: Final = 400
_FIRST_LINE = 256
"""Bytes of a script that its #! line may have; systems read no more."""

_SCARCE: Final = {
    errno.EAGAIN: (
        "no more processes may be started here",
        "end some, or raise the limit on processes ('ulimit -u', 'pids.max' of the container), then try again",
    ),
    errno.ENOMEM: ("there is not enough memory", "end other programs, or raise the limit on memory, then try again"),
    errno.EMFILE: ("no more files may be opened", "raise the limit on open files ('ulimit -n'), then try again"),
    errno.ENFILE: ("no more files can be opened on this machine", "end what has many open, then try again"),
}


class LoginShell:
    """What a fresh login of the user would have in its environment; read when it is needed, and again when it is old.

    Args:
        inherited: this process's environment: says who the user is, and is used where the shell does not answer.
    """

    def __init__(self, inherited: Mapping[str, str]) -> None:
        self._inherited = inherited
        self._known: Mapping[str, str] | None = None
        self._read_at = 0.0
        self._reading = anyio.Lock()

    @property
    def inherited(self) -> Mapping[str, str]:
        """The environment that this process was started in."""
        return self._inherited

    async def read(self) -> Mapping[str, str]:
        """Return the environment; takes as long as the user's shell takes to start, at most five seconds."""
        async with self._reading:
            if self._known is None or time.monotonic() - self._read_at > _FRESH_SECONDS:
                found = await anyio.to_thread.run_sync(login_environment, self._inherited)
                self._known = found or self._known or without_own(self._inherited)
                self._read_at = time.monotonic()
            return self._known


def login_environment(inherited: Mapping[str, str]) -> dict[str, str] | None:
    """Return what the user's login shell has in its environment; None when it does not answer. Blocks."""
    if os.name != "posix":
        return None
    shell = _shell(inherited)
    name = Path(shell).name
    script = "import json,os,sys;m=sys.argv[1];print(m+json.dumps(dict(os.environ))+m)"
    line = f"'{sys.executable}' -I -c '{script}' {_MARK}"
    if "'" in sys.executable:
        return None
    flags = ["-i", "-l", "-c"] if name in _INTERACTIVE else ["-l", "-c"]
    clean = {key: inherited[key] for key in _SESSION if key in inherited}
    clean |= {key: value for key, value in inherited.items() if key.startswith("LC_")}
    clean |= {"SHELL": shell, "TERM": "dumb", "PATH": _DEFAULT_PATH}
    said = _output_of([shell, *flags, line], clean)
    _, mark, rest = said.partition(_MARK)
    text, end, _ = rest.partition(_MARK)
    if not mark or not end:
        return None
    with suppress(ValueError):
        found: dict[str, str] = parse_json(text)
        for passing in ("_", "SHLVL", "OLDPWD", "PWD", "TERM"):
            found.pop(passing, None)
        return without_own(found)
    return None


def _output_of(command: list[str], environment: Mapping[str, str]) -> str:
    try:
        process = subprocess.Popen(  # noqa: S603 (the user's own shell, with a line of ours)
            command,
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return ""
    with process:
        try:
            said, _ = process.communicate(timeout=_SHELL_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
    return said.decode("utf-8", "replace")


def _shell(inherited: Mapping[str, str]) -> str:
    shell = inherited.get("SHELL", "")
    if not shell:
        import pwd  # noqa: PLC0415 (not there on Windows)

        with suppress(KeyError):
            shell = pwd.getpwuid(os.getuid()).pw_shell
    return shell if Path(shell).name in _SHELLS and os.access(shell, os.X_OK) else "/bin/sh"


class Environments:
    """Which variables each downstream server is started with.

    Args:
        base: what a server gets that no one asked for: a mapping, or a login shell.

    Attributes:
        lacking: the programs that were not found, by server.
        marks: variables of every server that Ostler starts.
        refresh: called before a server is started for a caller, to use the caller's variables in its entry.
    """

    def __init__(self, base: Mapping[str, str] | LoginShell) -> None:
        self._base = base
        self._asked: dict[str, Mapping[str, str]] = {}
        self.lacking: dict[str, str] = {}
        self.marks: Mapping[str, str] = {}
        self.refresh: Callable[[], Awaitable[None]] | None = None

    async def base(self) -> Mapping[str, str]:
        """Return what is used without a caller."""
        return await self._base.read() if isinstance(self._base, LoginShell) else self._base

    def remember(self, server: str, environment: Mapping[str, str] | None = None) -> None:
        """Start `server` with `environment` from now on, or with that of the current caller, if there is one."""
        asked = environment_of_caller() if environment is None else environment
        if asked is not None:
            self._asked[server] = asked

    def forget(self, server: str) -> None:
        """Forget who asked for `server`."""
        self._asked.pop(server, None)

    async def of(self, server: str, names: Sequence[str] = ()) -> Mapping[str, str]:
        """Return what `server` is started with.

        Args:
            server: its name.
            names: variables that its entry asks for by name: those that a login shell does not have are taken from
                the environment that Ostler was started in.
        """
        asked = self._asked.get(server)
        if asked is not None:
            return asked
        base = await self.base()
        inherited = self._base.inherited if isinstance(self._base, LoginShell) else base
        return {**{name: inherited[name] for name in names if name in inherited}, **base}


def find_program(
    word: str, environment: Mapping[str, str], fallback: Mapping[str, str] | None = None
) -> tuple[str | None, dict[str, str]]:
    """Return the path of the program `word` and the environment to run it in.

    A program that only the PATH of `fallback` has is run with its folders behind those of `environment`: a desktop
    program's PATH has none of the folders that a login shell adds.
    """
    found = shutil.which(word, path=environment.get("PATH", os.defpath))
    if found is not None or fallback is None:
        return found, dict(environment)
    found = shutil.which(word, path=fallback.get("PATH", os.defpath))
    if found is None:
        return None, dict(environment)
    folders = environment.get("PATH", "").split(os.pathsep)
    more = [part for part in fallback.get("PATH", "").split(os.pathsep) if part not in folders]
    return found, {**environment, "PATH": os.pathsep.join(filter(None, [*folders, *more]))}


def start_trouble(number: int, advice: str) -> tuple[str, str]:
    """Return in words why the system would not start a program, by its `errno`, and what to do.

    Args:
        number: the error's number.
        advice: what to do where the program itself is at fault.
    """
    if number in _SCARCE:
        why, step = _SCARCE[number]
        return f"{why} ({os.strerror(number)})", step
    return os.strerror(number), advice


def interpreter_trouble(program: Path) -> str:
    """Return in words what is wrong with the first line of a script that the system would not run."""
    try:
        with program.open("rb") as file:
            first, _, _ = file.read(_FIRST_LINE).partition(b"\n")
    except OSError:
        return ""
    if not first.startswith(b"#!"):
        return "" if b"\0" in first or not first.isascii() else "; it is a text without a #! line"
    words = first[2:].decode("latin-1").strip(" \t").split(maxsplit=1)
    if first.endswith(b"\r"):
        return "; its #! line ends with a carriage return, as files of Windows do"
    if not words or not Path(words[0]).exists():
        return f"; its #! line names {words[0] if words else 'nothing'}, which does not exist"
    return ""


def searched(environment: Mapping[str, str]) -> str:
    """Return in words which PATH was searched, shortened."""
    path = environment.get("PATH", os.defpath)
    shown = path if len(path) <= _SHOWN_PATH else f"{path[:_SHOWN_PATH]}…"
    return f"the PATH that was searched is {shown!r}"


class LiveEnvironment(Mapping[str, str]):
    """The variables that `mcp.json` may name: this process's, and over them those of the ones who ask.

    Attributes:
        named: the variables that were looked up since `begin`.
        missing: those of them that are not set.
    """

    def __init__(self, base: Mapping[str, str]) -> None:
        self._base = base
        self._taken: dict[str, str] = {}
        self.named: set[str] = set()
        self.missing: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.named.add(name)
        if name in self._taken:
            return self._taken[name]
        try:
            return self._base[name]
        except KeyError:
            self.missing.add(name)
            raise

    def __iter__(self) -> Iterator[str]:
        return iter({**self._base, **self._taken})

    def __len__(self) -> int:
        return len({**self._base, **self._taken})

    def begin(self) -> None:
        """Forget what was looked up: the file is read again."""
        self.named.clear()
        self.missing.clear()

    def take(self, name: str, value: str) -> None:
        """Let `name` have `value` from now on."""
        self._taken[name] = value

    def take_missing(self, environment: Mapping[str, str]) -> bool:
        """Take from `environment` what is not set here; return whether there was anything."""
        return self._take(environment, self.missing)

    def take_changed(self, environment: Mapping[str, str]) -> bool:
        """Take from `environment` what has another value there; return whether there was anything."""
        return self._take(environment, self.named)

    def _take(self, environment: Mapping[str, str], names: set[str]) -> bool:
        known = {**self._base, **self._taken}
        found = {name: environment[name] for name in names if name in environment}
        found = {name: value for name, value in found.items() if known.get(name) != value}
        self._taken |= found
        return bool(found)


class AllowedVariables(Mapping[str, str]):
    """The variables that templates may see as `env.NAME`: the caller's, else as they were last seen.

    Args:
        variables: the variables that are known.
        names: those that the settings allow.
    """

    def __init__(self, variables: LiveEnvironment, names: Sequence[str]) -> None:
        self._variables = variables
        self._names = tuple(dict.fromkeys(names))

    def __bool__(self) -> bool:
        return True  # what is not set now may be set for the next caller

    def __getitem__(self, name: str) -> str:
        if name not in self._names:
            raise KeyError(name)
        if (own := environment_of_caller()) is not None and name in own:
            self._variables.take(name, own[name])
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
