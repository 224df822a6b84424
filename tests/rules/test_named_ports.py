"""Which ports a log line names as those of its program: only what surely does may keep a start waiting."""

import pytest

from ostler.rules.text.named_ports import named_ports


@pytest.mark.parametrize(
    ("line", "ports"),
    [
        ("INFO:     Uvicorn running on http://127.0.0.1:8001 (Press CTRL+C to quit)", {8001}),
        ("[INFO] Listening at: http://127.0.0.1:50661", {50661}),
        ("Example app listening on port 3000", {3000}),
        ("listening on :8080", {8080}),
        ('{"msg":"up","port":3000}', {3000}),
        ("  ➜  Local:   http://localhost:5173/", {5173}),
        ("listening on 0.0.0.0:99 and [::]:100", {99, 100}),
        ("Ready! Forwarding to localhost:3000", set()),
        ("Connected to redis://localhost:6379", set()),
        ("proxy ready: http://localhost:8080 -> http://localhost:3000", set()),
        ("Port 3000 is in use, trying 3001", set()),
        ("waiting for the database at localhost:5432", set()),
        ("server at http://10.0.0.5:3000", set()),
        ("2026-01-01 10:20:30 ready in 300:20", set()),
    ],
)
def test_the_ports_that_a_line_names(line: str, ports: set[int]) -> None:
    assert named_ports(line) == ports
