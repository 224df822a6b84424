"""The websocket under port forwards: whatever way the bytes are cut, the messages are the same."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong

from ostler.adapters.kubernetes.pod_streams import PortRefusedError, PortStream
from ostler.adapters.kubernetes.websocket import WebSocket

pytestmark = pytest.mark.anyio


class Wire:
    """The network end of a websocket: gives prepared pieces, keeps what is written."""

    def __init__(self, pieces: Sequence[bytes] = (), *, silent: bool = False) -> None:
        self.pieces = list(pieces)
        self.silent = silent
        self.peer = Connection(ConnectionType.SERVER)
        self.written: list[Any] = []
        self.closed = False

    async def read(self, size: int) -> bytes:
        await anyio.sleep(0)
        if not self.pieces and self.silent:
            await anyio.sleep_forever()
        return self.pieces.pop(0) if self.pieces else b""

    async def write(self, data: bytes) -> None:
        if self.silent:
            await anyio.sleep_forever()
        self.peer.receive_data(data)
        self.written += list(self.peer.events())

    async def aclose(self) -> None:
        self.closed = True


def socket_over(wire: Wire) -> WebSocket:
    return WebSocket(wire, Connection(ConnectionType.CLIENT))


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < end]


@given(
    messages=st.lists(st.tuples(st.binary(max_size=300), st.integers(1, 4), st.booleans()), max_size=6),
    places=st.lists(st.integers(0, 2000), max_size=12),
)
def test_messages_survive_any_cut_and_fragments_and_pings_between(
    messages: list[tuple[bytes, int, bool]], places: list[int]
) -> None:
    server = Connection(ConnectionType.SERVER)
    data = b""
    for payload, parts, pinged in messages:
        size = max(1, len(payload) // parts + 1)
        pieces = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
        for number, piece in enumerate(pieces):
            data += server.send(BytesMessage(piece, message_finished=number == len(pieces) - 1))
            if pinged:
                data += server.send(Ping(b"p"))
    data += server.send(CloseConnection(1000))
    wire = Wire(cut(data, places))

    async def receive_all() -> list[bytes]:
        socket, received = socket_over(wire), []
        with pytest.raises(anyio.EndOfStream):
            while True:
                received.append(await socket.receive())
        return received

    assert anyio.run(receive_all) == [payload for payload, _, _ in messages]
    assert all(isinstance(event, Pong) for event in wire.written)


async def test_what_breaks_the_protocol_or_the_connection_is_broken() -> None:
    for pieces in ([b"\xff\xff\xff"], [], [b"\x82\x05ab"]):
        with pytest.raises(anyio.BrokenResourceError):
            await socket_over(Wire(pieces)).receive()
    server = Connection(ConnectionType.SERVER)
    with pytest.raises(anyio.BrokenResourceError, match="too much"):
        await socket_over(Wire([server.send(CloseConnection(1009, "too much"))])).receive()


@pytest.mark.virtual
async def test_closing_does_not_wait_for_a_peer_that_does_not_read() -> None:
    wire = Wire(silent=True)
    started = anyio.current_time()
    await socket_over(wire).close()
    assert wire.closed
    assert anyio.current_time() - started < 10
    with pytest.raises(anyio.BrokenResourceError):
        await socket_over(Wire([])).receive()


async def test_the_stream_is_that_of_the_data_channel() -> None:
    server = Connection(ConnectionType.SERVER)
    frames = [b"\0\x90\x1f", b"\1\x90\x1f", b"\0abc", b"\0", b"\1", b"\0d", b"\1port  is\ngone"]
    wire = Wire([server.send(BytesMessage(frame)) for frame in frames])
    stream = PortStream(socket_over(wire))
    await stream.expect_port(8080)
    assert await stream.receive() == b"abc"
    assert await stream.receive() == b"d"
    with pytest.raises(PortRefusedError, match="port is gone"):
        await stream.receive()
    await stream.send(b"up")
    assert [event.data for event in wire.written] == [b"\0up"]


@pytest.mark.parametrize("frames", [[b"\0\x91\x1f"], [b"\2\x90\x1f"], [b"\0\x90\x1f", b"\0\x90\x1f"], [b""]])
async def test_another_protocol_is_noticed(frames: list[bytes]) -> None:
    server = Connection(ConnectionType.SERVER)
    stream = PortStream(socket_over(Wire([server.send(BytesMessage(frame)) for frame in frames])))
    with pytest.raises(anyio.BrokenResourceError):
        await stream.expect_port(8080)


@pytest.mark.virtual
async def test_a_peer_that_fell_silent_is_noticed_and_one_that_answers_is_not() -> None:
    class Patient(Wire):
        answers = True

        async def read(self, size: int) -> bytes:
            while not self.pieces:
                await anyio.sleep(1)
            return self.pieces.pop(0)

        async def write(self, data: bytes) -> None:
            await super().write(data)
            if self.answers:
                self.pieces.append(self.peer.send(self.written[-1].response()))

    wire = Patient()
    socket = socket_over(wire)
    stream = PortStream(socket)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.receive)
        with anyio.move_on_after(600) as waited:
            await stream.until_silent()
        assert waited.cancelled_caught
        assert len(wire.written) > 10
        wire.answers = False
        with anyio.fail_after(120):
            await stream.until_silent()
        tasks.cancel_scope.cancel()
    started = anyio.current_time()
    with anyio.move_on_after(600) as waited:  # no one receives: a sign of life could not be noticed
        await stream.until_silent()
    assert waited.cancelled_caught
    assert anyio.current_time() - started >= 600
