"""What a class looks for is checked against answers that tools really gave, and drafts take from them what tells."""

import json
from typing import Any

import pytest

from ostler.rules.checking.tool_lists import KnownTools, tool_list_from_json
from ostler.rules.drafts.drafting import draft_class
from ostler.rules.drafts.tool_traits import Answered, Tool
from ostler.rules.reading import check_text

_CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {{name: box}}
spec:
  description: A box.
  serviceConfig:
    serviceType: box
    lifecycleTools:
      start: {{tool: boxes/start, outputs: {{id: boxId}}}}
      stop: {{tool: boxes/stop, args: {{id: "{{{{ start.id }}}}"}}}}
      status:
        tool: boxes/look
        {look}
"""
_ONE = 'args: {id: "{{ start.id }}"}'
_ALL = 'batch: {items: boxes, match: {boxId: "{{ start.id }}"}}'


def _found(look: str, *answers: str) -> list[str]:
    takes = {"type": "object", "properties": {"id": {"type": "string"}}}
    text = json.dumps(
        {
            "tools": [{"name": name, "inputSchema": takes} for name in ("start", "stop", "look")],
            "samples": [
                {"tool": tool, "result": {"content": [{"type": "text", "text": said}]}}
                for tool, said in (("start", '{"boxId": "b1"}'), *(("look", answer) for answer in answers))
            ],
        }
    )
    known = KnownTools({"boxes": tool_list_from_json(text, "boxes")})
    found = check_text(_CLASS.format(look=look), "box.yaml", known).findings
    return [f"{each.message}; {each.fix}" for each in found if each.rule == "unseen-answer"]


@pytest.mark.parametrize(
    ("look", "answers", "shown"),
    [
        (f'{_ONE}\n        expect: {{contains: "Status: running"}}', ["Box: b1\nStatus: up"], "Status: up"),
        (f'{_ONE}\n        expect: {{contains: ["b1", "is running"]}}', ["b1 is up", "b1 is idle"], "b1 is up"),
        (f'{_ONE}\n        expect: {{matches: "(?i)status: running"}}', ["Status: up"], "Status: up"),
        (f'{_ONE}\n        expect: {{matches: "\\\\brunning\\\\b"}}', ["State: up"], "State: up"),
        (f"{_ONE}\n        expect: {{jsonPath: {{state: running}}}}", ['{"state": "up"}'], "'up'"),
        (f"{_ALL}\n        expect: {{jsonPath: {{state: running}}}}", ['{"boxes": [{"state": "up"}]}'], "up"),
    ],
)  # fmt: skip
def test_what_no_recorded_answer_has_is_found(look: str, answers: list[str], shown: str) -> None:
    [found] = _found(look, *answers)
    assert shown in found


@pytest.mark.parametrize(
    ("look", "answers"),
    [
        ('expect: {contains: "Status: running"}', ["Status: up", "Status: running"]),
        ('expect: {contains: "Status: running"}', ["Status: exited"]),
        ('expect: {contains: "Status: running"}', ["Status: starting"]),
        ('expect: {contains: "Status: running"}', ["Error: no box b9", "Box b1 not found", "No boxes found."]),
        ('expect: {contains: "Status: running"}', ["Failed to connect to the daemon"]),
        ('expect: {contains: "Box: {{ start.id }}"}', ["Box: b2"]),
        ("expect: {jsonPath: {state: running}}", ['{"state": "terminated"}']),
        ("expect: {jsonPath: {state: running}}", ['{"state": "pending"}']),
        ("expect: {jsonPath: {ready: true}}", ['{"ready": false}']),
        ("expectNot: {contains: exited}", ["Status: up"]),
        ('expect: {contains: "ready to accept connections"}', ["* Running mode=standalone, port=6379"]),
        ("expect: {contains: listening}", ["1:M 24 Nov 2026 monotonic clock"]),
        ('expect: {matches: "(?i)listening"}', ["1:M 24 Nov 2026 monotonic clock"]),
    ],
)
def test_answers_of_other_moments_show_nothing(look: str, answers: list[str]) -> None:
    assert _found(f"{_ONE}\n        {look}", *answers) == []


def _look(*answers: tuple[str, bool]) -> str:
    """Return the draft of a server whose status tool gave `answers` (text, whether it failed)."""
    takes: dict[str, Any] = {"type": "object", "properties": {"box_id": {"type": "string"}}, "required": ["box_id"]}
    seen = tuple(Answered({"box_id": "b1"}, said, said, failed) for said, failed in answers)
    started = Answered({}, {"box_id": "b1"}, '{"box_id": "b1"}')
    tools = [
        Tool("start_box", {"type": "object"}, description="Start a box in the background.", answers=(started,)),
        Tool("stop_box", takes, description="Stop a running box."),
        Tool("box_status", takes, description="Show a box.", answers=seen),
    ]
    return draft_class("boxes", tools).manifest


def test_a_draft_expects_the_state_that_recorded_answers_say_in_words() -> None:
    up, none = ("Box: b1\nStatus: up", False), ("Error: no such box", True)
    assert r'expect: {matches: "(?i)\\bStatus: up\\b"}' in _look(up)
    assert r'expect: {success: true, matches: "(?i)\\bStatus: up\\b"}' in _look(up, none)
    assert "what does the answer of box_status have" in _look(none)
