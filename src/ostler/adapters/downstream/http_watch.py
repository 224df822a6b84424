"""What the HTTP client of a connection saw; a module of its own, because few servers need that client."""

from collections.abc import Callable

from msgspec import Struct

from ostler.adapters.downstream.authorization import Challenge


class HttpWatch(Struct):
    """What the guarded client saw, for the connection's owner.

    Attributes:
        on_trouble: called when a request could not be sent or answered: the server should be probed now.
        rejected: the last HTTP error status of a POST, such as 405 from a server that only speaks SSE.
        challenge: what the server demanded when it last rejected a request with 401 or 403.
        on_taken: called with `taken` when that is known.
        taken: how a request was taken whose answer is still to come on a stream of events, in words.
    """

    on_trouble: Callable[[], None] = lambda: None
    rejected: int | None = None
    challenge: Challenge | None = None
    on_taken: Callable[[str], None] = lambda _: None
    taken: str = ""
