"""Drafts from the tools lists of real servers, against the pairs that a person chose from the lists alone."""

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet
from benchmarks.drafts import FURTHER, drafted, expected_pairs, findings, is_right

EXPECTED = expected_pairs()
NOT_YET = frozenset(("shell-server",))
"""One tool that makes a terminal, writes to it and reads it, by which of its args are given: nothing names a start."""


WRONG = {
    "edb-debugger": "an action that only prose lists starts a trace; a program is what a person would start",
    "rabbitmq": "a connection is chosen before the queue that it serves",
}
"""Where the weighing of pairs is wrong, and how; each is a list that it knew when it was fitted."""


def weighed(servers: Iterable[str]) -> list[ParameterSet]:
    """Return the servers as parameters; those that are drafted wrongly must be so until this says otherwise."""
    return [
        pytest.param(server, marks=pytest.mark.xfail(reason=WRONG[server], strict=True) if server in WRONG else ())
        for server in servers
    ]


@pytest.mark.parametrize("server", weighed(sorted(set(EXPECTED) - NOT_YET)))
def test_the_draft_is_of_a_pair_that_a_person_would_choose(server: str) -> None:
    draft = drafted(server)
    assert is_right(draft, EXPECTED[server]), draft and (draft.start, draft.stop)
    if draft is not None:
        assert findings(server, draft) == []


@pytest.mark.parametrize("server", sorted(NOT_YET))
def test_what_cannot_be_drafted_yet_is_refused_and_not_guessed(server: str) -> None:
    assert drafted(server) is None


@pytest.mark.parametrize(
    "server",
    weighed(
        [
            "kyoo",  # a verb alone begins what others are about: enqueue, cancel_job
            "peykan",  # replay_can_log, stop_log_replay
            "seleniumboot-mcp",  # a browser, and not one of its tabs
            "tmux-agents",  # a session, and not one of its panes or windows
            "mcp-vm-blackbox",  # stop(mode=poweroff) says how, and start's mode means something else
            "godot-mcp-server",  # a scene that runs is no record
        ]
    ),
)
def test_what_further_real_lists_showed_is_drafted_as_a_person_would(server: str) -> None:
    draft = drafted(server, FURTHER)
    assert is_right(draft, expected_pairs(FURTHER)[server]), draft and (draft.start, draft.stop)
    if draft is not None:
        assert findings(server, draft, FURTHER) == []
