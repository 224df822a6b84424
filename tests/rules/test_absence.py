"""Which answers prove that a thing is not there, and which may be a passing trouble."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from ostler.model.manifest import Expectation
from ostler.model.responses import ToolResponse
from ostler.rules.answers.absence import is_list_without, is_out_of_reach, is_said_missing, proves_absence
from ostler.rules.answers.responses import without_reason


@pytest.mark.parametrize(
    ("value", "expect", "proves"),
    [
        ({"state": "exited"}, {"jsonPath": {"state": "running"}}, True),
        ({"state": "not_found"}, {"jsonPath": {"state": "running"}}, True),
        ({"state": "Not-Running"}, {"jsonPath": {"state": "running"}}, True),
        ({"state": "Terminated."}, {"jsonPath": {"state": "running"}}, True),
        ({"state": "restarting"}, {"jsonPath": {"state": "running"}}, False),
        ({"state": "unhealthy"}, {"jsonPath": {"state": "running"}}, False),
        ({"state": None}, {"jsonPath": {"state": "running"}}, False),
        ({"state": "exited"}, {"jsonPath": {"state": "exited", "ok": True}}, False),
        ({"state": "running", "previous": "exited"}, {"jsonPath": {"state": "up"}}, False),
        ({"State": {"Running": False}}, {"jsonPath": {"State.Running": True}}, True),
        ({"exists": False}, {"jsonPath": {"exists": True}}, True),
        ({"isAlive": False}, {"jsonPath": {"isAlive": True}}, True),
        ({"is_alive": False}, {"jsonPath": {"is_alive": True}}, True),
        ({"ready": False}, {"jsonPath": {"ready": True}}, False),
        ({"state": "exited"}, None, False),
        ({"state": "exited (code 1)"}, {"jsonPath": {"state": "running"}}, True),
        ({"state": "terminated by SIGKILL"}, {"jsonPath": {"state": "running"}}, True),
        ({"status": "errored"}, {"jsonPath": {"status": "online"}}, True),
        ({"statename": "FATAL"}, {"jsonPath": {"statename": "RUNNING"}}, True),
        ({"status": "failed"}, {"jsonPath": {"status": "healthy"}}, False),
        ({"status": "error"}, {"jsonPath": {"status": "running"}}, False),
        ({"phase": "Failed"}, {"jsonPath": {"phase": "Running"}}, True),
        ({"status": "failed", "message": "rpc timeout"}, {"jsonPath": {"status": "running"}}, False),
        ({"exitCode": 0}, {"jsonPath": {"exitCode": None}}, True),
        ({"job": {"exit_code": 137}}, {"jsonPath": {"job.exit_code": None}}, True),
        ({"lastError": "x"}, {"jsonPath": {"lastError": None}}, False),
        ({"job": {"state": "exited"}}, {"jmespath": "job.state == 'running'"}, True),
        ({"state": "restarting"}, {"jmespath": "state == 'running'"}, False),
        ({"state": "exited"}, {"jmespath": "state == 'running' || state == 'exited'"}, False),
    ],
)
def test_values_at_the_paths_that_are_missed(value: Any, expect: dict[str, Any] | None, proves: bool) -> None:
    expectation = None if expect is None else Expectation.model_validate(expect)
    assert proves_absence(ToolResponse(value), expectation) is proves


@pytest.mark.parametrize(
    ("text", "proves"),
    [
        ("Not found.", True),
        ("stopped", True),
        ("the cache was stopped; all is well", False),
        ("Job: web\n**Status:** exited (code 1)\nUptime: 3 s", True),
        ("Status: starting\nlog: Status: exited", False),
        ("Status: stopped\nStatus: running", False),
        ("Status: unknown", False),
        ("web is not running.", True),
        ("No container named web is running", True),
        ("web is not yet known to be running smoothly", False),
        ("the watcher is not running\nweb: starting", False),
    ],
)
def test_texts_that_are_nothing_else(text: str, proves: bool) -> None:
    for expectation in (Expectation(contains="running"), Expectation(matches=r"(?i)\b(up|running)\b")):
        assert proves_absence(ToolResponse(None, text=text), expectation) is proves


@pytest.mark.parametrize(
    ("text", "proves"),
    [
        ("PID: 12, Blocked: true\nPID: 13, Blocked: false", True),
        ("No active sessions", True),
        ("There are no processes running.", True),
        ("No session found", True),
        ("No permissions", False),
        ("No response", False),
        ("Please log in first", False),
        ("Loading…", False),
        ("PID: 4711, crashed", False),
        ("Error: the session store is locked", False),
        ("Failed to connect to the daemon", False),
        ("", False),
    ],
)
def test_a_list_in_words_that_has_everything_but_the_service(text: str, proves: bool) -> None:
    expect, answer = Expectation(matches="(?m)^PID: 4711,.*true"), ToolResponse(text, text=text)
    assert is_list_without(answer, expect, {}, ["web", "4711"]) is proves
    assert not is_list_without(answer, expect, {"pid": 4711}, ["web", "4711"]), "it was asked for alone"
    assert not is_list_without(answer, Expectation(contains="running"), {}, ["web", "4711"])


def test_a_failure_proves_it_only_where_the_class_says_what_success_means() -> None:
    failed = ToolResponse(None, text="no such thing", is_error=True)
    assert not proves_absence(failed, None)
    assert not proves_absence(failed, Expectation(contains="running"))
    assert proves_absence(failed, Expectation(success=True))


def test_a_failure_without_a_reason_proves_nothing() -> None:
    expectation = Expectation(success=True)
    assert proves_absence(ToolResponse(None, text="no such kernel", is_error=True), expectation)
    silent = without_reason(ToolResponse(None, is_error=True), "s/status")
    assert not proves_absence(silent, expectation)


@pytest.mark.parametrize(
    "text",
    [
        "Failed to connect to supervisord at http://127.0.0.1:9001: [Errno 111] Connection refused",
        "Error: Unable to connect to Redis",
        "ToolError: ConnectionError: could not reach the daemon",
        "Couldn't connect to the browser",
        "connect ECONNREFUSED 127.0.0.1:2375",
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "HTTP 503 Service Unavailable",
        "Error: 401 Unauthorized",
        "Permission denied",
        "Request timed out",
    ],
)
def test_who_could_not_ask_proves_nothing(text: str) -> None:
    for answer in (ToolResponse(text, text=text), ToolResponse(text, text=text, is_error=True)):
        assert is_out_of_reach(answer)
        assert not proves_absence(answer, Expectation(success=True))
        assert not proves_absence(answer, Expectation(contains="web RUNNING"))
    assert is_out_of_reach(ToolResponse({"error": text, "items": []}))


@pytest.mark.parametrize(
    "text",
    [
        "Error: No such container: web",
        "web is not running",
        "not found",
        "5 processes are running",
        "500 items: web, worker",
        "web: failed to connect to the database, and tries again",
        "Failed to connect once; then all was well. " + "log line\n" * 100,
    ],
)
def test_what_was_asked_and_answered_is_no_complaint(text: str) -> None:
    assert not is_out_of_reach(ToolResponse(text, text=text))
    assert not is_out_of_reach(ToolResponse({"state": "stopped", "log": text}, text=text))


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        ("Session s6 not found", True),
        ("Error: Session 's6' not found.", True),
        ("No session s6", True),
        ("No such session: s6", True),
        ("No session found with ID s6", True),
        ("Unknown job id s6", True),
        ("❌ Could not find process s6", True),
        ("The process with id s6 does not exist", True),
        ("Session s6 is no longer running", True),
        ("s6 has already exited (code 1)", True),
        ({"error": "\"Session 's6' not found. Available sessions: []\""}, True),
        ("Session `s6` was terminated by SIGKILL", True),
        ({"success": False, "error": "Session s6 not found"}, True),
        ({"result": "No session s6"}, True),
        ({"transport": "PTY[bash] (exited)", "alive": False}, True),
        ({"id": "s6", "state": "exited (code 1)"}, True),
        ("Session s6\nStatus: exited\nLines: 7", True),
        ({"status": "starting", "running": False}, False),
        ({"status": "completed", "sessions": {}}, False),
        ({"status": "ok", "ready": False}, False),
        ({"id": "s6", "active": False}, False),
        ({"status": "stopped", "alive": True}, False),
        ("No output for session s6", False),
        ("No new output from s6", False),
        ("Session s6: log file not found", False),
        ("Config not found for session s6", False),
        ("Session s60 not found", False),
        ("Session s6 is starting; s5 has exited", False),
        ("Session s6 has not exited", False),
        ("Session s6 has 2 stopped children", False),
        ("Session s6 not found: cannot connect to the daemon, connection refused", False),
        ("Session s6: starting\nno session found", False),
        ("Session not found", False),
    ],
)
def test_a_sentence_that_says_of_the_service_that_it_is_gone(value: object, missing: bool) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    answer = ToolResponse(value, text=text)
    assert is_said_missing(answer, {"session": "s6"}, ["web", "s6"]) is missing
    assert not is_said_missing(answer, {"session": "all"}, ["web", "s6"])
    assert not is_said_missing(replace(answer, is_error=True), {"session": "s6"}, ["s6"])
