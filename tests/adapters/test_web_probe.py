"""The GET of a readiness check, against servers that answer as servers do."""

from collections.abc import Sequence

import anyio
import anyio.abc
import pytest

from ostler.adapters.process.web_probe import look_http, valid_url
from ostler.model.errors import ArgumentError

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

OK = b"HTTP/1.1 200 OK\r\n\r\n"


async def looked(url: str, answers: Sequence[bytes], wanted: str | None = None) -> tuple[bool, str, list[str]]:
    """Return what a look at a server that gives these answers found, and the first line of each request."""
    asked: list[str] = []

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            asked.append((await stream.receive()).partition(b"\r\n")[0].decode(errors="replace"))
            for answer in answers:
                await stream.send(answer)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        found = await look_http(valid_url(url.replace("PORT", str(port))), wanted, 10)
        tasks.cancel_scope.cancel()
        assert found.is_tentative is (found.passed and " answered 4" in found.said)
        return found.passed, found.said, asked
    raise AssertionError


@pytest.mark.parametrize(
    ("path", "sent"), [("", "/"), ("//a", "//a"), ("/a?b=%20|#c", "/a?b=%20%7C"), ("?b", "/?b"), ("/a:b;c?", "/a:b;c")]
)
async def test_the_path_is_sent_as_it_is_written(path: str, sent: str) -> None:
    passed, said, asked = await looked(f"http://ada:pass@word@127.0.0.1:PORT{path}", [OK])
    assert passed
    assert asked == [f"GET {sent} HTTP/1.1"]
    assert said.startswith("http://127.0.0.1:"), "who signs in is not shown"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 302 Found\r\nLocation: /a\r\n\r\n"], "answered 302"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"], "answered 200"),
        ([b"HTTP/1.1 404 Not Found\r\n\r\n"], "answered 404, wanted 200 to 399"),
        ([b"HTTP/1.1 200 OK\r\nX: " + 200_000 * b"x"], "did not answer in HTTP"),
        ([b"220 ready\r\n\r\n"], "did not answer in HTTP"),
        ([], "could not be fetched (the connection was closed)"),
    ],
)
async def test_an_answer_is_judged_by_its_first_line_alone(answers: list[bytes], said: str) -> None:
    passed, detail, _ = await looked("http://127.0.0.1:PORT/", answers)
    assert detail.endswith(f"/ {said}")
    assert passed is (said in ("answered 200", "answered 302"))


@pytest.mark.parametrize(
    ("status", "said"),
    [(200, "answered 200"), (404, "answered 404"), (400, "answered 400"), (500, "answered 500, wanted 200 to 499")],
)
async def test_a_range_of_statuses_has_both_its_ends(status: int, said: str) -> None:
    passed, detail, _ = await looked("http://127.0.0.1:PORT/", [b"HTTP/1.1 %d X\r\n\r\n" % status], "200-499")
    assert detail.endswith(f"/ {said}")
    assert passed is ("wanted" not in said)


async def test_an_address_with_an_s_too_many_is_said_to_have_one() -> None:
    _, said, _ = await looked("https://127.0.0.1:PORT/", [b"HTTP/1.1 400 Bad Request\r\n\r\n"])
    assert "could not be fetched (TLS failed: " in said
    assert said.endswith("if it does not speak TLS there, its address begins with http://")


@pytest.mark.parametrize("url", ["http://[::1", "http://x:99999/", "http:///x", "http://ada:pass@x/ö"])
def test_what_is_not_an_address_is_refused(url: str) -> None:
    with pytest.raises(ArgumentError, match="not a valid URL") as refused:
        valid_url(url)
    assert "pass" not in str(refused.value)
