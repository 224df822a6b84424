"""What a look that passed is worth: a program may say that it is ready, or answer, before it is so."""

import anyio
from msgspec.structs import replace

from ostler.adapters.process.contract import Probe
from ostler.adapters.process.port_owners import Sockets, in_words
from ostler.adapters.process.probes import Verdict

SETTLE_SECONDS = 0.3
"""How long a process must live on at least after the log line that says that it is ready, if it still does things."""

SETTLE_SHARE = 0.5
"""How long that is in relation to the time until the line: what starts slowly (next, RabbitMQ) fails slowly, too."""

LONGEST_SETTLE_SECONDS = 3.0

QUIET_SECONDS = 0.2
"""Without any work of a process for this time, what follows its log line is over."""

IDLE_SECONDS = 0.1
"""If none of its threads was given a processor for this time, they wait for something else than themselves."""

QUIET_LOOK_SECONDS = 0.025

TENTATIVE_SECONDS = 1.0
"""How long an error in HTTP must be the answer to count as ready, where it may: a gateway answers 404 before it has its
routes, and a program before it has added them."""

LINE_SECONDS = 10.0
"""How long a process may take to listen where its log line says that it does, as long as nothing listens there."""


class Confirmation:
    """Decides at each look of a start whether what passed counts already."""

    def __init__(self, sockets: Sockets, probe: Probe, timeout: float) -> None:
        self._sockets = sockets
        self._probe = probe
        self._most = timeout / 2
        self._said_at: float | None = None
        self._tentative_at: float | None = None

    async def of(self, seen: Verdict, line: str, began: float) -> Verdict:
        """Return what a look found, not ready if it does not count yet.

        Args:
            seen: what the look found.
            line: the log line that says that the process is ready; empty: not known.
            began: when the wait began.
        """
        now, probe = anyio.current_time(), self._probe
        if seen.ready and probe.log is not None and probe.tcp is None and probe.http is None:
            self._said_at = now if self._said_at is None else self._said_at
            may_wait = now - self._said_at < min(LINE_SECONDS, self._most)
            settle = min(max(SETTLE_SECONDS, SETTLE_SHARE * (self._said_at - began)), LONGEST_SETTLE_SECONDS)
            return await _confirmed(self._sockets, seen, line, owner=probe.owner, may_wait=may_wait, settle=settle)
        if not (seen.ready and seen.is_tentative):
            self._tentative_at = None
            return seen
        self._tentative_at = now if self._tentative_at is None else self._tentative_at
        return replace(seen, ready=now - self._tentative_at >= min(TENTATIVE_SECONDS, self._most))


async def _confirmed(
    sockets: Sockets, verdict: Verdict, line: str, *, owner: str, may_wait: bool, settle: float
) -> Verdict:
    """Return whether a process that says it is ready is so: it listens on its port, alone, and is there a moment later.

    Programs write such a line before they find their port taken, or seconds before their workers listen.

    Args:
        sockets: those of the process.
        verdict: what says that it is ready.
        line: the log line that says so; empty: not known.
        owner: `any` where it does not matter who listens where the line says, or shares a port.
        may_wait: the process may be about to listen where the line says.
        settle: how long the process must live on, in seconds, unless it does nothing before.
    """
    port = sockets.entry.record.port
    own = await sockets.own() if port is not None else None
    if port is not None and own is not None:
        is_there = any(listener.port == port for listener in own)
        tcp = [listener for listener in own if listener.is_tcp]  # a UDP socket elsewhere may be one to ask from
        if not is_there and sockets.is_elsewhere(tcp, port):
            return Verdict(ready=True, detail=f"it listens on {tcp[0].address}", at=tcp[0])
        here = next((listener for listener in own if listener.port == port), None)
        if here is None:
            places = ", ".join(sorted({listener.address for listener in own}))
            return Verdict(
                ready=False,
                detail=f"{verdict.detail}, but the process does not listen on port {port}"
                + (f" (it does on {places})" if places else ""),
            )
        verdict = Verdict(ready=True, detail=verdict.detail, at=here)
    elif port is None and owner == "own" and (doubt := await _doubt_of(sockets, line, may_wait=may_wait)):
        return Verdict(ready=False, detail=f"{verdict.detail}, but {doubt}")
    with anyio.move_on_after(settle):
        await _until_quiet(sockets)
    if owner == "own" and (sharing := await sockets.sharing()) and not await sockets.runs_elsewhere():
        port, holders = next(iter(sharing.items()))
        shared = f"port {port}, on which it listens, is shared with {in_words(holders)} (owner 'any' accepts that)"
        return Verdict(ready=False, detail=f"{verdict.detail}, but {shared}")
    return verdict


async def _until_quiet(sockets: Sockets) -> None:
    """Return when a process has ended, or has lived on for a moment and does nothing any more."""
    began = quiet_since = idle_since = anyio.current_time()
    work = await sockets.work()
    while sockets.entry.refresh() == "running":
        await anyio.sleep(QUIET_LOOK_SECONDS)
        before, work = work, await sockets.work()
        now = anyio.current_time()
        if before is None or work is None or before.ticks != work.ticks:
            quiet_since = now
        if before is None or work is None or work.turns is None or before.turns != work.turns:
            idle_since = now
        is_quiet = now - began >= SETTLE_SECONDS and now - quiet_since >= QUIET_SECONDS
        if is_quiet or now - idle_since >= IDLE_SECONDS:
            return


async def _doubt_of(sockets: Sockets, line: str, *, may_wait: bool) -> str:
    """Return why the process does not (or not alone) listen where its log line says; empty where nothing shows that."""
    from ostler.rules.text.named_ports import named_ports  # noqa: PLC0415 (few ready checks are a log line)

    named = named_ports(line)
    own = await sockets.own() if named else None
    if own is None or await sockets.runs_elsewhere():
        return ""
    here = {listener.port for listener in own} & named
    for port in sorted(here or named):
        holders = (await sockets.sharing(port)).get(port) if here else await sockets.holders(port, own)
        if holders:
            verb = "is shared with" if here else "is held by"
            return f"port {port}, where it says that it listens, {verb} {in_words(holders)} (owner 'any' accepts that)"
    if here or not may_wait:
        return ""
    return f"nothing listens on port {', '.join(map(str, sorted(named)))} yet"
