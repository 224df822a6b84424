"""The lines that Ostler's own processes exchange on the local socket, before and besides MCP.

Each is one line of JSON whose first key is `ostler`; no JSON-RPC message has that key. A connection opens with

    → {"ostler": "hello", "protocol": 1, "version": "0.1.0", "directory": …, "environment": {…}, "nonce": …, "proof": …}
    ← {"ostler": "welcome", "protocol": 1, "version": "0.1.0", "pid": 4711, "proof": …}

and carries MCP from there on, or with a request (`status`, `dashboard`, `stop`, `handover`), which is answered by one
line.
A server that ends says `{"ostler": "bye", "reason": …}` on every connection. `proof` is there on loopback TCP only:
an HMAC of the nonce under the endpoint's secret, in both directions, so that the secret itself is never sent and a
stranger who got the port of a dead server learns nothing.
"""

import json
import os
import socket
from typing import Any, Final, NamedTuple

PROTOCOL: Final = 1
"""Raised when hello, welcome or bye change in a way that an older side cannot read."""

PREFIX: Final = b'{"ostler":'
"""How every line of ours begins, and no JSON-RPC message does."""

LINE_LIMIT: Final = 16 * 1024
"""Bytes of one line of ours; longer ones come from something that is not Ostler."""

GREETING_LIMIT: Final = 1024 * 1024
"""Bytes of the line that opens a connection, which carries the client's environment."""

ANSWER_TIMEOUT: Final = 10.0
"""Seconds for a server to answer a hello or a request; it does so without waiting for anything but its own turn."""


class Refusal(NamedTuple):
    """Why no client is served. `is_final`: nothing is to be expected in the next moments, as another server works."""

    message: str
    is_final: bool


class GreetingError(Exception):
    """The other side is not an Ostler server, refused, or ended before it answered."""


class RefusedError(GreetingError):
    """The server answered that it will not; the text is its reason."""

    is_final: bool = False
    """Whether it will not do so in a moment either, as another server does that."""
    is_ending: bool = False
    """Whether it refuses because it ends; else no other server can start here."""


def encode_line(kind: str, **facts: object) -> bytes:
    """Return one of our lines."""
    return json.dumps({"ostler": kind, **facts}, separators=(",", ":")).encode() + b"\n"


def decode_line(line: bytes) -> dict[str, Any] | None:
    """Return the facts of one of our lines, or None when it is not one."""
    if not line.startswith(PREFIX):
        return None
    try:
        facts: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return facts


def proof(secret: str, role: str, nonce: str) -> str:
    """Return what shows, without giving the secret away, that `role` (`client` or `server`) knows it."""
    import hmac  # only loopback connections need it, and it loads OpenSSL

    return hmac.new(secret.encode(), f"{role}:{nonce}".encode(), "sha256").hexdigest()


def proves(claim: object, secret: str, role: str, nonce: object) -> bool:
    """Whether `claim` is the proof of `role` for `nonce`; always so if there is no secret."""
    if not secret:
        return True
    import hmac

    return isinstance(claim, str) and isinstance(nonce, str) and hmac.compare_digest(claim, proof(secret, role, nonce))


def ask(
    connection: socket.socket, secret: str, kind: str, *, patience: float = ANSWER_TIMEOUT, **facts: object
) -> dict[str, Any]:
    """Send one of our lines on a fresh connection and return the answer's facts.

    No byte after the answer's newline is read: MCP follows on the same connection.

    Raises:
        GreetingError: no proper answer came in `patience` seconds.
        RefusedError: the server refused.
    """
    nonce = os.urandom(16).hex()
    evidence = {"nonce": nonce, "proof": proof(secret, "client", nonce)} if secret else {}
    try:
        connection.settimeout(patience)
        connection.sendall(encode_line(kind, protocol=PROTOCOL, **facts, **evidence))
        answer = decode_line(_read_line(connection))
    except TimeoutError:
        raise GreetingError(f"the server did not answer within {patience:.3g} s") from None
    except OSError as error:
        raise GreetingError(f"the server ended before it answered ({error})") from error
    if answer is None:
        raise GreetingError("the server ended before it answered")
    if not proves(answer.get("proof"), secret, "server", nonce):
        raise GreetingError("what listens there is not the server that owns the state folder")
    if answer["ostler"] in ("refused", "bye"):
        refused = RefusedError(str(answer.get("message") or f"the server is ending ({answer.get('reason')})"))
        refused.is_final, refused.is_ending = answer.get("final") is True, answer["ostler"] == "bye"
        raise refused
    connection.settimeout(None)
    return answer


def _read_line(connection: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n") and len(line) < LINE_LIMIT:
        # Peek first: what follows the newline belongs to whoever reads MCP from this connection.
        waiting = connection.recv(4096, socket.MSG_PEEK)
        if not waiting:
            break
        end = waiting.find(b"\n")
        line += connection.recv(len(waiting) if end < 0 else end + 1)
    return bytes(line)
