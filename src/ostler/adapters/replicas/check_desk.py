"""Health checks that the holder of a database has its followers make: it asks for each, and decides on each.

Which server asks whether a service is well follows from their ids (rendezvous hashing): while the servers stay the same
it stays the same, and when one comes or goes, only its share moves. The holder is one of them. Nothing depends on a
follower: the holder makes the checks that are not answered in time itself, and believes no one else that a service is
unhealthy.
"""

import math
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, contextmanager
from hashlib import blake2b
from itertools import count
from typing import Final

import anyio
from msgspec import Struct, field

from ostler.adapters.replicas.check_form import MAX_LINE, AskedCall, GivenAnswer, Outbox, number_in
from ostler.adapters.telemetry.instruments import SHARED_CHECKS
from ostler.adapters.telemetry.standby_metrics import counter
from ostler.engine.protocols import RemoteAnswer
from ostler.model.records import PlannedCall
from ostler.model.responses import ToolResponse

OVERDUE: Final = 1.0
"""Seconds beyond a call's timeout after which its answer is not waited for any more."""

STALE: Final = 2.0
"""Seconds that an answer may have been on its way, there and back; an older one does not count."""

FIRST_DOUBT: Final = 10.0
LAST_DOUBT: Final = 600.0
"""Seconds for which a follower is not asked about a server after it gave no useful answer; doubled each time."""

LOOK: Final = 0.25
"""Seconds between two checks of the leases."""

MAX_UNDER_WAY: Final = 512
"""Calls that one follower is asked for at once."""

_HOLDER: Final = ""


class _Asked(Struct, eq=False):
    """A call that is under way."""

    tool: str
    done: anyio.Event = field(default_factory=anyio.Event)
    response: ToolResponse | None = None
    why: str = ""


class _Doubt(Struct):
    """For how long a follower is not asked about a server, and the length of that."""

    until: float
    seconds: float


class _Checker(Struct, eq=False):
    """A follower that makes checks while both of its streams are open."""

    outgoing: Outbox = field(default_factory=Outbox)
    asked: dict[int, _Asked] = {}
    doubts: dict[str, _Doubt] = {}
    answered_at: dict[str, float] = {}
    """When each server was last heard from through it."""
    calls_open: int = 0
    answers_open: int = 0

    @property
    def is_open(self) -> bool:
        return bool(self.calls_open and self.answers_open) and len(self.asked) < MAX_UNDER_WAY

    def give_up(self) -> None:
        """End what is waited for: its answers do not count any more."""
        for asked in self.asked.values():
            asked.done.set()
        self.asked.clear()

    def doubt(self, server: str, began: float, *, longer: bool = True) -> None:
        """Ask about `server` later, because a call that `began` then failed; another of the same time adds nothing."""
        now, known = anyio.current_time(), self.doubts.get(server)
        if known is not None and (now < known.until or began <= known.until - known.seconds):
            return
        is_again = longer and known is not None and now <= known.until + known.seconds
        seconds = min(2 * known.seconds, LAST_DOUBT) if is_again and known is not None else FIRST_DOUBT
        self.doubts[server] = _Doubt(now + seconds, seconds)

    def is_doubted(self, server: str) -> bool:
        return server in self.doubts and self.doubts[server].until > anyio.current_time()


class CheckDesk:
    """Has followers make checks; a `RemoteChecks` of the engine.

    Args:
        digest: returns the digest of the entry of the server of a tool that may be called now; empty: no other server
            should call it.
        has_lease: whether a follower is certain to follow now.

    Attributes:
        counts: calls by what became of them: `made`, `unanswered`, `refuted`, `refused`.
    """

    def __init__(self, digest: Callable[[str], str], has_lease: Callable[[str], bool]) -> None:
        self._digest = digest
        self._has_lease = has_lease
        self._checkers: dict[str, _Checker] = {}
        self._numbers = count(1)
        self.counts: Counter[str] = Counter()
        self._counter = counter(SHARED_CHECKS)

    def __repr__(self) -> str:
        return f"<CheckDesk {len(self._checkers)} checkers, {dict(self.counts)}>"

    # -- the engine's side -------------------------------------------------------------------------------------

    async def ask(self, service_id: str, call: PlannedCall) -> RemoteAnswer | None:
        """Have a follower make `call` if the service is in its share; None: it is not, or no answer came in time."""
        if not self._checkers or not (digest := self._digest(call.tool)):
            return None
        server = call.tool.partition("/")[0]
        name = self._choose(service_id, server)
        if name == _HOLDER:
            return None
        checker, number = self._checkers[name], next(self._numbers)
        line = AskedCall(number, digest, call.tool, call.args, call.timeout).line()
        if len(line) > MAX_LINE:
            return None
        asked = checker.asked[number] = _Asked(call.tool)
        began = anyio.current_time()
        checker.outgoing.put(line)
        try:
            with anyio.move_on_after(call.timeout + OVERDUE):
                await asked.done.wait()
        finally:
            checker.asked.pop(number, None)
        now = anyio.current_time()
        if asked.response is not None and now - began - asked.response.duration <= STALE and self._digest(call.tool):
            checker.answered_at[server] = now
            self._count("made")
            return RemoteAnswer(asked.response, name)
        self._count("refused" if asked.why == "settings" else "unanswered")
        if asked.why == "settings":
            checker.doubt(server, began, longer=False)  # its settings may be corrected at any time
        elif checker.answered_at.get(server, -math.inf) <= began:  # else it is this one service that does not answer
            checker.doubt(server, began)
        return None

    def doubt(self, answer: RemoteAnswer, call: PlannedCall) -> None:
        """Ask the follower that gave `answer` about its server later: it sees something else."""
        self._count("refuted")
        if (checker := self._checkers.get(answer.by)) is not None:
            checker.doubt(call.tool.partition("/")[0], anyio.current_time())

    def _count(self, outcome: str) -> None:
        self.counts[outcome] += 1
        self._counter.add(1, {"ostler.check.outcome": outcome})

    @property
    def able(self) -> int:
        """How many followers make checks now."""
        return sum(checker.is_open and self._has_lease(name) for name, checker in self._checkers.items())

    def _choose(self, service_id: str, server: str) -> str:
        """Return in whose share a service is; empty: in the holder's."""
        able = (
            name
            for name, checker in self._checkers.items()
            if checker.is_open and not checker.is_doubted(server) and self._has_lease(name)
        )
        return max((_HOLDER, *able), key=lambda name: blake2b(f"{name} {service_id}".encode(), digest_size=8).digest())

    # -- the followers' side -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Give up what followers without a lease were asked for, until cancelled; then everything."""
        try:
            while True:
                await anyio.sleep(LOOK)
                for name, checker in list(self._checkers.items()):
                    if not self._has_lease(name):
                        checker.give_up()
        finally:
            for checker in self._checkers.values():
                checker.give_up()

    async def calls(self, follower: str) -> AsyncGenerator[bytes]:
        """Yield what a follower is asked for, without an end."""
        with self._open(follower) as checker:
            checker.calls_open += 1
            try:
                async with aclosing(checker.outgoing.parts()) as parts:
                    async for part in parts:
                        yield part
            finally:
                checker.calls_open -= 1
                checker.outgoing.clear()

    @contextmanager
    def answers(self, follower: str) -> Generator[Callable[[bytes], None]]:
        """Give what takes a line with an answer of a follower, within the block."""
        with self._open(follower) as checker:
            checker.answers_open += 1

            def take(line: bytes) -> None:
                if (asked := checker.asked.pop(number_in(line), None)) is None:
                    return  # it was given up
                given = GivenAnswer.read(line, asked.tool)
                asked.response, asked.why = given.response, given.why
                asked.done.set()

            try:
                yield take
            finally:
                checker.answers_open -= 1

    @contextmanager
    def _open(self, follower: str) -> Generator[_Checker]:
        checker = self._checkers.setdefault(follower, _Checker())
        try:
            yield checker
        finally:
            checker.give_up()
            if not (checker.calls_open or checker.answers_open):
                self._checkers.pop(follower, None)
