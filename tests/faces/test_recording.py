"""What a tool answered through the running server is recorded, and tried, with the value that the engine sees."""

import os
import signal
from functools import partial
from pathlib import Path

import anyio
import pytest
from processes.bridge_client import clean_place, scripted

from ostler.faces.bridge.dialer import Dialer
from ostler.faces.cli.recording import LiveTools, result_of
from ostler.faces.cli.rpc import ServerClient, ToolAnswer
from ostler.model.downstream_errors import ConnectionLostError, ToolTimeoutError
from ostler.model.json import JsonValue
from ostler.rules.answers.responses import normalise


@pytest.mark.parametrize(
    ("texts", "structured"),
    [
        (['[{"id": 1}]'], {"result": [{"id": 1}]}),
        (['{"id": 1}'], {"result": '{"id": 1}'}),
        (['{"id": 1}'], {"id": 1}),
        (["Box 1 runs."], {"id": 1}),
        (["Box 1 runs."], None),
        (['{"id": 1}'], None),
        (['{"id": 1}', '{"id": 2}'], None),
        (["8080"], None),
    ],
)
def test_a_recorded_answer_has_the_value_of_the_tools_own(texts: list[str], structured: JsonValue) -> None:
    own = normalise([{"type": "text", "text": text} for text in texts], structured)
    passed_on = ToolAnswer({"result": own.value}, own.text, is_error=False)
    recorded = result_of(passed_on)
    assert recorded is not None
    again = normalise(recorded["content"], recorded.get("structuredContent"))
    assert again.value == own.value
    assert len(texts) > 1 or again.text == own.text


def test_what_was_too_large_to_be_passed_on_is_not_recorded() -> None:
    assert result_of(ToolAnswer({"truncated": True}, "a lot", is_error=False)) is None


@pytest.mark.realtime
def test_a_server_that_does_not_answer_in_time_may_have_called_the_tool(state_dir: Path) -> None:
    with clean_place(state_dir) as place:
        command = scripted("server", place)
        with ServerClient(Dialer(place, kind="cli", note=print, command=command)) as client:
            pid = int(client.call_tool("pid", {}).text)
            os.kill(pid, signal.SIGSTOP)
            call = partial(LiveTools(client, patience=0.2).call_tool, "w/stop", {}, timeout=0.1)
            try:
                with pytest.raises(ToolTimeoutError, match="did not answer tools/call within"):
                    anyio.run(call)
            finally:
                os.kill(pid, signal.SIGKILL)
            with pytest.raises(ConnectionLostError, match="tool 'w/stop'"):
                anyio.run(call)
