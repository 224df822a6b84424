"""`ostler test --record`: lives through one service on the live servers and writes that down as a test of its class."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ostler.faces.cli.importing import configured_names
from ostler.faces.cli.session import ExitStatus, fail, parse_value, session_of
from ostler.faces.output import complain, say

if TYPE_CHECKING:
    from ostler.adapters.testing.live_recording import RecordedTest
    from ostler.engine.classes.catalogue import ClassEntry
    from ostler.engine.protocols import Progress
    from ostler.faces.cli.rpc import ServerClient, ToolAnswer
    from ostler.model.json import JsonMapping, JsonObject, JsonValue
    from ostler.model.responses import ToolResponse

_MAX_SECONDS = 600.0


def record(context: typer.Context, what: str, pairs: dict[str, str], output: Path | None) -> None:
    """Create, check, stop and delete a service on the live servers, and write that as a test of its class.

    Args:
        context: of the command.
        what: the class: its name, or its file.
        pairs: args of the service, as written on the command line.
        output: where to write; next to the class when it is None.
    """
    from ostler.adapters.testing.discovery import find_class, run_test_file
    from ostler.model.errors import NotFoundError

    session = session_of(context)
    try:
        known = configured_names(session)
        entry, entries = find_class(what, session.paths.serviceclasses_dir, known, packs=session.paths.packs_dir)
    except NotFoundError as error:
        fail(str(error), ExitStatus.NOT_FOUND)
    path = output or _beside(entry)
    if path.exists():
        fail(f"{str(path)!r} exists and is not written over; name another with --output", ExitStatus.FAILED)
    complain(f"recording a service of class {entry.name!r} on the live servers")
    with session.client() as client:
        recorded = _recorded(entry, entries, typed_args_of(entry, pairs), client)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(recorded.text, encoding="utf-8")
    say(f"wrote {path}")
    if recorded.error:
        complain(f"the service failed, and that is what was recorded:  {recorded.error}")
    tested = run_test_file(path, known=known)
    for problem in (*tested.findings, *(failure for result in tested.results for failure in result.failures)):
        say(problem)
    if not tested.passed:
        complain("it does not pass yet: fix what is true for this one recording only, then run ostler test")
    if recorded.error or not tested.passed:
        raise typer.Exit(int(ExitStatus.FAILED))


def _beside(entry: "ClassEntry") -> Path:
    if entry.origin == "shipped":
        fail(f"class {entry.name!r} is shipped with Ostler: say with --output where to write", ExitStatus.USAGE)
    return Path(entry.path).with_name(f"{entry.name}.test.yaml")


def typed_args_of(entry: "ClassEntry", pairs: dict[str, str]) -> "JsonObject":
    """Return args as the class declares them, from texts of the command line."""
    specs = entry.service_class.spec.args
    return {
        key: text if key in specs and specs[key].type == "string" else parse_value(text) for key, text in pairs.items()
    }


def _recorded(
    entry: "ClassEntry", entries: "list[ClassEntry]", args: "JsonObject", client: "ServerClient"
) -> "RecordedTest":
    import anyio

    from ostler.adapters.testing.live_recording import record_class_test

    # not the name of a service that someone is likely to have on these servers
    name = f"recorded-{entry.name}"[:63].rstrip("-")
    return anyio.run(partial(record_class_test, entry, entries, args, LiveTools(client), service=name))


class LiveTools:
    """Calls downstream tools through the Ostler server that is running, one at a time.

    Args:
        client: the connection to the server.
        patience: seconds that the server may take for its answer beyond the timeout of the tool.
    """

    def __init__(self, client: "ServerClient", *, patience: float = 10.0) -> None:
        import anyio

        self._client = client
        self._patience = patience
        self._turn = anyio.Lock()

    async def call_tool(
        self, tool: str, args: "JsonMapping", *, timeout: float | None = None, progress: "Progress | None" = None
    ) -> "ToolResponse":
        """Call `server/tool`.

        Raises:
            DownstreamError: there was no answer, or the server does not let the tool be called.
        """
        import anyio.to_thread

        from ostler.faces.bridge.dialer import OstlerUnavailableError
        from ostler.faces.cli.rpc import CALL_TIMEOUT, LateAnswerError
        from ostler.model.downstream_errors import (
            ConnectionLostError,
            ServerUnavailableError,
            ToolRejectedError,
            ToolTimeoutError,
        )
        from ostler.rules.answers.responses import normalise

        del progress
        request: JsonObject = {"name": tool, "args": dict(args)}
        patience = CALL_TIMEOUT
        if timeout is not None:
            request["timeout"] = min(timeout, _MAX_SECONDS)
            patience = request["timeout"] + self._patience
        async with self._turn:
            call = partial(self._client.call_tool, "tool_call", request, timeout=patience)
            try:
                answer = await anyio.to_thread.run_sync(call, abandon_on_cancel=False)
            except LateAnswerError as late:
                raise ToolTimeoutError(str(late), tool=tool) from late
            except OstlerUnavailableError as lost:
                raise ConnectionLostError(str(lost), tool=tool) from lost
        if "error" in answer.structured:
            text = answer.text
            kinds = {"tool_timeout": ToolTimeoutError, "server_unavailable": ServerUnavailableError}
            raise kinds.get(answer.error_code, ToolRejectedError)(text, tool=tool)
        result = result_of(answer)
        if result is None:
            raise ToolRejectedError(f"the answer of {tool!r} is too large to be recorded", tool=tool)
        return normalise(result["content"], result.get("structuredContent"), is_error=answer.is_error)


def result_of(answer: "ToolAnswer") -> "JsonObject | None":
    """Return what a tool answered through `tool_call`, as MCP has it; None when it was too large to be passed on.

    What is normalised from it has the value that the tool's own answer has.
    """
    from ostler.rules.answers.responses import normalise

    if "result" not in answer.structured:
        return None
    value: JsonValue = answer.structured["result"]
    made: JsonObject = {"content": [{"type": "text", "text": answer.text}], "isError": answer.is_error}
    if value == normalise(made["content"]).value:
        return made
    if isinstance(value, dict):
        # many servers say the same twice, but wrapped in the one: [1] and {"result": [1]}
        return {**made, "structuredContent": value}
    return {**made, "content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}
