"""From a start request to what is run: program found, placeholders replaced, environment built, child spawned."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ostler.adapters.asking import without_own
from ostler.adapters.environments import find_program, searched
from ostler.adapters.process.accounts import Account, account_of
from ostler.adapters.process.contract import Probe, StartRequest
from ostler.adapters.process.trees import KEY_VARIABLE, TOKEN_VARIABLE
from ostler.model.errors import ArgumentError, OperationError

PORT_PLACEHOLDER = "{port}"
PYTHON_PLACEHOLDER = "{python}"


class Child(subprocess.Popen[bytes]):
    """A spawned process that may outlive this object, and this Ostler."""

    def __del__(self) -> None:  # pyright: ignore[reportIncompatibleVariableOverride] (a method all the same)
        """Do nothing: leaving it running is meant, so it is no leak to warn of."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A program ready to be spawned. `env` is left out of its repr, as it may hold secrets."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    label: str
    account: Account | None = None

    def __repr__(self) -> str:
        return f"Launch({self.label!r}, cwd={str(self.cwd)!r})"

    @classmethod
    def of(
        cls,
        request: StartRequest,
        *,
        port: int | None,
        inherited: Mapping[str, str],
        fallback: Mapping[str, str] | None = None,
    ) -> "Launch":
        """Return what `request` means on this machine.

        Args:
            request: the arguments of `start`.
            port: replaces `{port}`; None leaves it as it is.
            inherited: the environment that the request's own variables come on top of.
            fallback: has the PATH in which a program is looked for that `inherited` does not have.

        Raises:
            ArgumentError: the command is empty or cannot be split, or cwd is not absolute.
            OperationError: the command or the folder is not there, or cannot be executed.
        """
        account = None if request.user is None else account_of(request.user)
        cwd = _working_folder(request, account)
        env = without_own(inherited)
        if account is not None:
            env.update(account.variables)
        if port is not None:
            env["PORT"] = str(port)
        env.update({name: with_port(value, port) for name, value in (request.env or {}).items()})
        _refuse_nul(request, env)
        if request.shell:
            line = with_port(request.command, port)
            if line.startswith(PYTHON_PLACEHOLDER):
                line = shlex.quote(sys.executable) + line.removeprefix(PYTHON_PLACEHOLDER)
            return cls(argv=_shell(line, env), cwd=cwd, env=env, label="shell", account=account)
        words = _words(request)
        argv = [with_port(word, port) for word in words]
        argv[0], env = _program(argv[0], cwd, env, fallback if "PATH" not in (request.env or {}) else None)
        return cls(argv=tuple(argv), cwd=cwd, env=env, label=words[0], account=account)

    def spawn(self, log: BinaryIO, *, key: str, token: str) -> Child:
        """Spawn it in a session of its own, output to `log`, input from nothing.

        Raises:
            OperationError: the system refused.
        """
        env = {**self.env, KEY_VARIABLE: key, TOKEN_VARIABLE: token}
        account = None if self.account is None or self.account.is_own else self.account
        flags = subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0
        try:
            return Child(
                self.argv,
                cwd=self.cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=os.name == "posix",
                creationflags=flags,
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else account.groups,
            )
        except OSError as error:
            raise OperationError(
                f"command {self.label!r} could not be started: {error.strerror or error}",
                next_actions=("check that it is a program for this machine, with a valid #! line",),
            ) from error


def request_digest(request: StartRequest, salt: str) -> str:
    """Return a digest of what `request` runs: two requests with the same one run the same thing."""
    facts = {
        "command": request.command,
        "args": request.args,
        "shell": request.shell,
        "cwd": request.cwd,
        "env": request.env or {},
        "port": request.port,
        "host": request.host if request.port is not None else None,
        **({} if request.user is None else {"user": request.user}),
    }
    return hashlib.sha256((salt + json.dumps(facts, sort_keys=True)).encode("utf-8", "surrogatepass")).hexdigest()


def with_port(text: str, port: int | None) -> str:
    """Return `text` with `{port}` replaced; unchanged when there is no port."""
    return text if port is None else text.replace(PORT_PLACEHOLDER, str(port))


def probe_with_port(probe: Probe, port: int | None) -> Probe:
    """Return `probe` with `{port}` replaced in all its parts.

    Raises:
        ArgumentError: it names `{port}`, but there is none.
    """
    if port is None:
        named = [
            name
            for name, text in (("ready.tcp", probe.tcp), ("ready.http", probe.http), ("ready.log", probe.log))
            if isinstance(text, str) and PORT_PLACEHOLDER in text
        ]
        # A regular expression may mean {port} as it is written; a port or URL cannot.
        if named and named != ["ready.log"]:
            raise ArgumentError(
                [f"{name}: there is no port to replace {PORT_PLACEHOLDER} with" for name in named],
                next_actions=("give 'port' (0 for any free one) to start",),
            )
    tcp = int(with_port(probe.tcp, port)) if isinstance(probe.tcp, str) else probe.tcp
    if tcp is not None and not 1 <= tcp <= 65535:
        raise ArgumentError([f"ready.tcp: {tcp} is not a port (1 to 65535)"])
    return probe.model_copy(
        update={
            "tcp": tcp,
            "http": None if probe.http is None else with_port(probe.http, port),
            "log": None if probe.log is None else with_port(probe.log, port),
        }
    )


def _words(request: StartRequest) -> list[str]:
    if request.args is not None:
        return [request.command, *request.args]
    try:
        words = shlex.split(request.command, posix=os.name == "posix")
    except ValueError as error:
        raise ArgumentError(
            [f"command: it cannot be split into words ({error})"],
            next_actions=("close the quotes, or give the arguments in 'args'",),
        ) from error
    if not words:
        raise ArgumentError(["command: it is empty"], next_actions=("name the program to run",))
    return words


def _shell(line: str, env: Mapping[str, str]) -> tuple[str, ...]:
    if sys.platform == "win32":
        return (env.get("COMSPEC", "cmd.exe"), "/d", "/s", "/c", line)
    return ("/bin/sh", "-c", line)


def _working_folder(request: StartRequest, account: Account | None) -> Path:
    try:
        if request.cwd is not None:
            cwd = Path(request.cwd).expanduser()
        else:
            cwd = Path.home() if account is None else account.folder()
    except RuntimeError:  # no home folder is known
        cwd = Path(Path.cwd().anchor)
    if not cwd.is_absolute():
        raise ArgumentError(
            [f"cwd: {request.cwd!r} is not absolute"],
            next_actions=("give the whole path: the server does not run in the folder that you are in",),
        )
    try:
        is_folder = cwd.is_dir()
    except (OSError, ValueError):
        is_folder = False
    if not is_folder:
        what = "is not a folder" if os.path.lexists(cwd) else "does not exist"
        raise OperationError(f"cwd {str(cwd)!r} {what}", next_actions=("create it, or name another folder",))
    if not os.access(cwd, os.X_OK):
        raise OperationError(f"cwd {str(cwd)!r} may not be entered", next_actions=("change its permissions",))
    return cwd


def _program(
    word: str, cwd: Path, env: dict[str, str], fallback: Mapping[str, str] | None
) -> tuple[str, dict[str, str]]:
    """Return the path of the program `word`, looked up as the child itself would, and the environment to run it in."""
    if word == PYTHON_PLACEHOLDER:
        return sys.executable, env
    expanded = Path(word).expanduser() if word.startswith("~") else Path(word)
    if expanded.name != word:
        path = cwd / expanded
        if not path.exists():
            raise OperationError(f"command not found: {str(path)!r}", next_actions=("check the path",))
        if path.is_dir() or not os.access(path, os.X_OK):
            raise OperationError(
                f"command {str(path)!r} is not executable",
                next_actions=("make it executable, or name its interpreter",),
            )
        return str(path), env
    found, extended = find_program(word, env, fallback)
    if found is not None:
        # A PATH with relative folders gives a relative answer, which means the child's folder.
        return str(cwd / found), extended
    if word in ("python", "python3"):
        return sys.executable, env
    raise OperationError(
        f"command not found: {word!r} is in no folder of PATH; {searched(env)}",
        next_actions=("install it, give its whole path, or set PATH in env",),
    )


def _refuse_nul(request: StartRequest, env: Mapping[str, str]) -> None:
    problems = [
        f"{name}: it holds a NUL character"
        for name, texts in (("command", [request.command]), ("args", request.args or []), ("env", env.values()))
        if any("\0" in text for text in texts)
    ]
    problems += [f"env: {name!r} is not a variable name" for name in env if not name or "=" in name or "\0" in name]
    if request.cwd is not None and "\0" in request.cwd:
        problems.append("cwd: it holds a NUL character")
    if problems:
        raise ArgumentError(problems)
