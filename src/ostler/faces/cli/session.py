"""What every verb shares: the folders in force, calling a tool, and turning failures into exit statuses."""

import math
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn, cast

import typer
from msgspec import Struct, field

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.dialer import Dialer, OstlerUnavailableError
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli.asking import asker
from ostler.faces.cli.next_steps import in_verbs
from ostler.faces.cli.rpc import Early, RequestFailedError, ServerClient, ToolAnswer
from ostler.faces.output import complain, say, say_json
from ostler.model.json import JsonObject, JsonValue, parse_json, present


class ExitStatus(IntEnum):
    """What the command line reports to its caller."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNAVAILABLE = 4


_LOOK_FOR_SERVER = 0.2
"""Seconds between two looks for a server that someone may start."""

_NOT_FOUND_CODES = ("not_found", "tool_not_found")


class Session(Struct, frozen=True):
    """The folders that this command is about.

    Attributes:
        paths: the folders.
        early: what was begun for this command before it was loaded.
    """

    paths: Paths
    early: Early = field(default_factory=Early)

    @property
    def place(self) -> ServerPlace:
        """The server's place."""
        return ServerPlace(self.paths)

    def dialer(self) -> Dialer:
        """Return what reaches the server."""
        return Dialer(self.place, kind="cli", note=complain, launched=self.early.launched)

    @contextmanager
    def client(self, deadline: float = math.inf) -> Generator[ServerClient]:
        """Connect to the server, starting it when there is none; if it cannot be reached, the command ends.

        Args:
            deadline: when to give up on the monotonic clock, if that is earlier than it would be otherwise.
        """
        is_reached = False
        try:
            with self.early.taken_client() or ServerClient(self.dialer(), asker(), deadline) as client:
                is_reached = True
                yield client
        except OstlerUnavailableError as error:
            if not is_reached and time.monotonic() >= deadline:
                fail(f"--timeout is over, and nothing was asked of the server: {error}", ExitStatus.FAILED)
            fail(str(error), ExitStatus.UNAVAILABLE)
        except RequestFailedError as error:
            fail(str(error), ExitStatus.FAILED)

    def follow(self, look: Callable[[ServerClient], float | None]) -> None:
        """Look again and again, each time after as many seconds as the look returns; None ends it.

        When the server ends, the looks go on with the next one. They do not start it: it may have been stopped on
        purpose.
        """
        pause = threading.Event()
        while not self._followed(look, pause):
            complain("the Ostler server ended, or does not answer; this goes on with the next one (Ctrl-C ends it)")
            dialer = self.dialer()
            while not dialer.finds_server():
                pause.wait(_LOOK_FOR_SERVER)

    def _followed(self, look: Callable[[ServerClient], float | None], pause: threading.Event) -> bool:
        """Look over one connection; return False when it is lost."""
        with self.client() as client:
            try:
                while (seconds := look(client)) is not None:
                    pause.wait(seconds)
            except OstlerUnavailableError:
                return False
        return True

    def ask(self, tool: str, args: Mapping[str, JsonValue] | None = None) -> ToolAnswer:
        """Call one tool on a connection of its own; a failure ends the command with its message."""
        with self.client() as client:
            return require(client.call_tool(tool, present(args or {})))


def session_of(context: typer.Context) -> Session:
    """Return the session that the global options made."""
    session = context.find_object(Session)
    assert session is not None, "the application's callback makes it"
    return session


def require(answer: ToolAnswer) -> ToolAnswer:
    """Return `answer`, or end the command with its message when the tool failed."""
    if answer.is_error:
        fail(
            in_verbs(answer.text), ExitStatus.NOT_FOUND if answer.error_code in _NOT_FOUND_CODES else ExitStatus.FAILED
        )
    return answer


def class_named(what: str) -> str:
    """Return the name of a class as it was given; a file in its place ends the command."""
    if what.endswith((".yaml", ".yml", ".json")):
        usage_error(f"{what!r} is a file, not the name of a class. Next: ostler class add {what}; then give its name")
    return what


def fail(text: str, status: ExitStatus) -> NoReturn:
    """End the command."""
    complain(text)
    raise typer.Exit(int(status))


def usage_error(text: str) -> NoReturn:
    """End the command because it was not written as it must be."""
    fail(text, ExitStatus.USAGE)


def confirm(question: str, *, yes: bool, why: str, declined: str) -> None:
    """Go on when the person agrees; else the command ends.

    Args:
        question: what is asked.
        yes: it was agreed on the command line already.
        why: said where no one can be asked.
        declined: said when the person does not agree.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        usage_error(why)
    if not typer.confirm(question, err=True):
        fail(declined, ExitStatus.FAILED)


def show(answer: ToolAnswer, *, as_json: bool) -> None:
    """Print an answer: its facts for programs, its words for people."""
    if as_json:
        say_json(answer.structured)
    else:
        say(in_verbs(answer.text))


def seconds_of(option: str, text: str | None) -> float:
    """Return the seconds of a duration that an option has; without one, no end."""
    if not text:
        return math.inf
    from ostler.model.durations import parse_duration  # it loads pydantic

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        usage_error(f"{option}: {error}")
    return seconds or usage_error(f"{option}: give more than 0, as nothing is asked for in no time")


def parse_pairs(option: str, pairs: list[str]) -> dict[str, str]:
    """Return `k=v` texts as a mapping; anything else ends the command."""
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            usage_error(f"{option} {pair!r}: write it as name=value")
        values[key] = value
    return values


def parse_object(option: str, text: str | None) -> JsonObject:
    """Return the JSON object in `text`, empty when there is none; anything else ends the command."""
    if not text:
        return {}
    try:
        value: JsonValue = parse_json(text)
    except ValueError as error:
        usage_error(f"{option} is not JSON: {error}")
    if not isinstance(value, dict):
        usage_error(f"{option} must be a JSON object, such as '{{\"port\": 8080}}'")
    return cast("JsonObject", value)


def parse_value(text: str) -> JsonValue:
    """Return `text` as the JSON value that it is, else as a string."""
    try:
        value: JsonValue = parse_json(text)
    except ValueError:
        return text
    return value
