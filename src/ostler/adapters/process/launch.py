"""From a start request to what is run: program found, placeholders replaced, environment built, child spawned."""

import contextlib
import hashlib
import json
import marshal
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from ostler.adapters.caller_environment import without_own
from ostler.adapters.environments import find_program, interpreter_trouble, searched, start_trouble
from ostler.adapters.process.accounts import Account, account_of, runs_as_root, working_folder
from ostler.adapters.process.contract import Probe, StartRequest, StdinKind
from ostler.adapters.process.keeper_boot import Child, answer_to, booted_keeper, dismiss
from ostler.adapters.process.logfile import tail
from ostler.adapters.process.ports import is_address
from ostler.adapters.process.records import input_path, output_path
from ostler.adapters.regular_files import expanded
from ostler.model.errors import ArgumentError, OperationError
from ostler.model.json import is_encodable
from ostler.model.marks import KEY_VARIABLE, OWNER_VARIABLE, TOKEN_VARIABLE
from ostler.rules.text.last_words import last_words

PORT_PLACEHOLDER = "{port}"
PYTHON_PLACEHOLDER = "{python}"

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_JOINING = re.compile(r"&&?|\|\|?|\d*[<>].*|&>.*|[^\\'\"]*[^\\'\"];")
"""What only a shell understands. A lone `;` is an argument of `find -exec`."""

_SHELL_WORDS = frozenset(
    {".", ":", "alias", "case", "cd", "eval", "exec", "export", "for", "if", "pushd", "set", "source", "trap", "ulimit"}
    | {"umask", "unset", "until", "while", "{", "!"}
)

_PREFIXES = frozenset({"exec", "command", "nohup", "time", "then", "do", "else", "{", "!", "if", "while", "until"})
_BUILTINS = _SHELL_WORDS | frozenset(
    {
        "bg", "break", "builtin", "continue", "declare", "done", "esac", "exit", "fg", "fi", "hash", "jobs", "let",
        "local", "popd", "read", "readonly", "return", "shift", "shopt", "times", "type", "wait",
    }
)  # fmt: skip
_PROGRAM_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


class ProgramNotFoundError(OperationError):
    """The program is in no folder of PATH."""


class Spawned(Struct, frozen=True):
    """What was spawned: `child` is the keeper of the program `pid` where there are keepers, else the program itself."""

    child: Child
    pid: int
    has_keeper: bool


class Launch(Struct, frozen=True):
    """A program ready to be spawned. `env` is left out of its repr, as it may hold secrets."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    label: str
    account: Account | None = None
    stdin: StdinKind = "pipe"

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
            OperationError: the command or the folder is not there, or cannot be executed, or not as root.
            ProgramNotFoundError: a program is in no folder of PATH; in a line for a shell only without `fallback`,
                since the line may define what it runs.
        """
        account = None if request.user is None else account_of(request.user)
        if request.refuses_root is not None and runs_as_root(account):
            raise OperationError(
                "the program refuses to run as root, as it would here", next_actions=(request.refuses_root,)
            )
        cwd = working_folder(request.cwd, account)
        env = without_own(inherited)
        if not is_address(env.get("HOST", "127.0.0.1")):
            del env["HOST"]  # the machine's name (csh), or a compiler's target (conda): servers would listen there
        env.setdefault("PYTHONUNBUFFERED", "1")  # else what a Python program prints reaches its log at its end
        if request.stdin == "tty":
            env.setdefault("TERM", "xterm-256color")
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
            if "PATH" not in (request.env or {}):
                env = _with_programs(line, env, fallback)
            return cls(argv=_shell(line, env), cwd=cwd, env=env, label="shell", account=account, stdin=request.stdin)
        words = _words(request)
        if request.args is None and (sign := _shell_sign(request.command)):
            raise _needs_shell(f"command {request.command[:80]!r} has {sign!r}")
        argv = [with_port(word, port) for word in words]
        argv[0], env = program_path(argv[0], cwd, env, fallback if "PATH" not in (request.env or {}) else None)
        return cls(argv=tuple(argv), cwd=cwd, env=env, label=words[0], account=account, stdin=request.stdin)

    def spawn(
        self,
        log: BinaryIO,
        log_limit: int,
        *,
        key: str,
        token: str,
        owner: str,
        endings: Path,
        intend: Callable[[], None],
    ) -> Spawned:
        """Spawn it in a session of its own, output to `log`, below a keeper that outlives this Ostler. Blocks.

        Args:
            log: opened for appending.
            log_limit: at which size the keeper begins it again.
            key: the process's key; it is in the environment, as are `token` and `owner`.
            token: names this run.
            owner: names the state folder.
            endings: where the keeper writes down how it ended; next to it, it makes named pipes for input and output.
            intend: writes down what is about to run. It is called while the keeper boots, which takes as long; the
                keeper runs nothing before, and ends if this fails.

        Raises:
            OperationError: the system refused.
        """
        env = {**self.env, KEY_VARIABLE: key, TOKEN_VARIABLE: token, OWNER_VARIABLE: owner}
        account = None if self.account is None or self.account.is_own else self.account
        if sys.platform == "win32":
            intend()
            return self._spawn_alone(log, env)
        order = {
            "argv": list(self.argv),
            "cwd": str(self.cwd),
            "env": env,
            "stdin": self.stdin,
            "endings": str(endings),
            "input": str(input_path(endings)),
            "output": str(output_path(endings)),
            "log": str(log.name),
            "logMaxBytes": log_limit,
            "uid": None if account is None else account.uid,
            "gid": None if account is None else account.gid,
            "groups": [] if account is None else list(account.groups),
        }
        begun = log.seek(0, os.SEEK_END)
        keeper = booted_keeper(key, token, owner, log)
        try:
            intend()
        except BaseException:
            dismiss(keeper)
            raise
        kind, _, number = answer_to(marshal.dumps(order), keeper).partition(" ")
        if kind == "pid":
            return Spawned(keeper, int(number), has_keeper=True)
        if not kind:
            keeper.kill()
        keeper.wait()
        if kind == "errno":
            raise self._refusal(int(number))
        words = last_words(tail(Path(str(log.name)), base=begun, lines=20).lines) or "it said nothing"
        said = f"command {self.label!r} could not be started: its keeper ended with {keeper.returncode}: {words}"
        raise OperationError(said, next_actions=("try again, after ostler stop-server if Ostler was updated",))

    def _spawn_alone(self, log: BinaryIO, env: Mapping[str, str]) -> Spawned:
        """Spawn it as a child of this process, where there is no fork."""
        flags = subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0
        try:
            child = Child(
                self.argv,
                cwd=self.cwd,
                env=env,
                stdin=subprocess.DEVNULL if self.stdin == "null" else subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                creationflags=flags,
            )
        except OSError as error:
            raise self._refusal(error.errno or 0) from error
        return Spawned(child, child.pid, has_keeper=False)

    def _refusal(self, number: int) -> OperationError:
        why, step = start_trouble(number, "check that it is a program for this machine, with a valid #! line")
        trouble = interpreter_trouble(Path(self.argv[0]))
        return OperationError(f"command {self.label!r} could not be started: {why}{trouble}", next_actions=(step,))


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
        **({} if request.stdin == "pipe" else {"stdin": request.stdin}),
    }
    return hashlib.sha256((salt + json.dumps(facts, sort_keys=True)).encode("utf-8", "surrogatepass")).hexdigest()


def with_port(text: str, port: int | None) -> str:
    """Return `text` with `{port}` replaced; unchanged when there is no port."""
    return text if port is None else text.replace(PORT_PLACEHOLDER, str(port))


def probe_with_port(probe: Probe, port: int | None) -> Probe:
    """Return `probe` with `{port}` replaced in all its parts, and a first word `{python}` of its program.

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
            "fail_log": None if probe.fail_log is None else with_port(probe.fail_log, port),
            "exec": None if probe.exec is None else _probing_words(probe.exec, port),
        }
    )


def _probing_words(words: Sequence[str], port: int | None) -> list[str]:
    first = sys.executable if words[0] == PYTHON_PLACEHOLDER else with_port(words[0], port)
    return [first, *(with_port(word, port) for word in words[1:])]


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


def program_path(
    word: str, cwd: Path, env: dict[str, str], fallback: Mapping[str, str] | None = None
) -> tuple[str, dict[str, str]]:
    """Return the path of the program `word`, looked up as the child itself would, and the environment to run it in.

    Raises:
        OperationError: it does not exist, cannot be executed, or is a command of the shell.
        ProgramNotFoundError: it is in no folder of PATH, and of that of `fallback`.
    """
    if word == PYTHON_PLACEHOLDER:
        return sys.executable, env
    if (named := expanded(word, env.get("HOME", "")) if word.startswith("~") else Path(word)).name != word:
        path = cwd / named
        if not path.exists() and (what := _shell_form(word)):
            raise _needs_shell(f"command not found: {word!r} is {what}")
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
    if what := _shell_form(word):
        raise _needs_shell(f"command not found: {word!r} is {what}")
    raise ProgramNotFoundError(
        f"command not found: {word!r} is in no folder of PATH; {searched(env)}",
        next_actions=("install it, give its whole path, or set PATH in env",),
    )


def _with_programs(line: str, env: dict[str, str], fallback: Mapping[str, str] | None) -> dict[str, str]:
    """Return the environment in which a shell finds the programs of `line` that exist anywhere."""
    for word in _programs_in(line):
        found, env = find_program(word, env, fallback)
        if found is None and fallback is None:
            raise ProgramNotFoundError(f"command not found: {word!r} is in no folder of PATH; {searched(env)}")
    return env


def _programs_in(line: str) -> Iterator[str]:
    """Yield the programs that a line for a shell runs, as far as they are plain names."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    begins = True
    with contextlib.suppress(ValueError):  # a quote that is not closed: the shell says so
        for word in words:
            if set(word) <= set("();<>|&"):
                begins = set("<>").isdisjoint(word)
            elif begins and word not in _PREFIXES and not _ASSIGNMENT.match(word):
                begins = False
                if word not in _BUILTINS and _PROGRAM_NAME.fullmatch(word):
                    yield word


def _shell_sign(line: str) -> str:
    """Return the first word of `line` that joins or redirects commands, or ends with `;`; none if all are quoted."""
    words = shlex.shlex(line)  # not posix: quotes stay, so that "|" is told from |
    words.whitespace_split, words.commenters = True, ""
    with contextlib.suppress(ValueError):  # a quote after a backslash: the words have been split all the same
        return next((word for word in words if _JOINING.fullmatch(word)), "")
    return ""


def _needs_shell(what: str) -> OperationError:
    return OperationError(
        f"{what}, which only a shell understands",
        next_actions=(
            "set shell: true",
            "give variables in 'env' (classes: environment) and the folder in 'cwd' (classes: directory)",
        ),
    )


def _shell_form(word: str) -> str:
    """Return what `word` is to a shell, in words; nothing when it could be a program."""
    if _ASSIGNMENT.match(word):
        return "a variable set for the command"
    if word in _SHELL_WORDS:
        return "a command of the shell"
    if any(sign in word for sign in "|&;<>()$`"):
        return "an expression of the shell"
    return ""


def _refuse_nul(request: StartRequest, env: Mapping[str, str]) -> None:
    problems = [
        f"{name}: it holds a NUL character"
        for name, texts in (("command", [request.command]), ("args", request.args or []), ("env", env.values()))
        if any("\0" in text for text in texts)
    ]
    odd = [name for name in env if not name or "=" in name or "\0" in name]
    odd += [name for name in request.env or {} if not is_encodable(name)]
    problems += [f"env: {name!r} is not a variable name" for name in odd]
    if request.cwd is not None and "\0" in request.cwd:
        problems.append("cwd: it holds a NUL character")
    if problems:
        raise ArgumentError(problems)
