"""What was claimed of a service and what was so, over time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.forked_server import ForkedServer

from ostler.faces.bridge.dialer import OstlerUnavailableError
from ostler.faces.cli.rpc import RequestFailedError, ServerClient

_PAUSE = 0.02
NEEDS_A_PERSON = ("unknown", "unreachable")


@dataclass(frozen=True, slots=True)
class Claim:
    """What the public face says of a service at one moment.

    Attributes:
        there: whether it says that the thing runs; None: it does not say.
        words: state, health, reason.
        state: the state alone; "" when there was no answer.
    """

    there: bool | None
    words: str
    state: str


NO_ANSWER = Claim(None, "no answer", "")
ABSENT = Claim(False, "no such service", "absent")


def claim_of(view: dict[str, Any]) -> Claim:
    """Return what an entry of `service_list` claims."""
    state, health, reachable = view["state"], view["health"], view.get("reachability", "reachable")
    reason = view.get("reason", "")
    words = (
        f"{state}, {health}" + (f", {reachable}" if reachable != "reachable" else "") + f" ({reason})" * bool(reason)
    )
    match state:
        case "running":
            is_open = reachable == "unreachable" or health == "unhealthy" or view.get("healthCheckFailures")
            return Claim(None if is_open else True, words, state)
        case "stopped":
            return Claim(False, words, state)
        case "failed":
            return Claim(None if reason == "stop-failed" else False, words, state)
        case _:
            return Claim(None, words, state)


@dataclass(slots=True)
class Timeline:
    """Samples of a service's claims, each between two looks at the truth."""

    server: ForkedServer
    truth: Callable[[], bool]
    worst: float = 0.0
    worst_words: str = ""
    last: Claim = NO_ANSWER
    _since: float | None = None
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Sample from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Sample no more."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        client: ServerClient | None = None
        while not self._done.wait(_PAUSE):
            began, before = time.monotonic(), self.truth()
            try:
                if client is None:
                    client = self.server.direct_client()
                    client.__enter__()
                claim = self._asked(client)
            except (OstlerUnavailableError, RequestFailedError, OSError):
                if client is not None:
                    client.__exit__(None, None, None)
                client, claim = None, NO_ANSWER
            self._note(began, claim, {before, self.truth()})
        if client is not None:
            client.__exit__(None, None, None)

    @staticmethod
    def _asked(client: ServerClient) -> Claim:
        answer = client.call_tool("service_status", {"name": "victim"})
        return ABSENT if answer.is_error else claim_of(answer.structured)

    def _note(self, began: float, claim: Claim, truths: set[bool]) -> None:
        is_wrong = claim.there is not None and claim.there not in truths
        if not is_wrong:
            self._since = None
        elif self._since is None:
            self._since = began
        if self._since is not None and (lasted := time.monotonic() - self._since) > self.worst:
            self.worst, self.worst_words = (
                lasted,
                f"said {claim.words!r} while it was {'not ' * bool(claim.there)}there",
            )
        self.last = claim
