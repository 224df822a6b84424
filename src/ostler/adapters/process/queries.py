"""Questions about processes, which change nothing: status, logs, list, free ports."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import psutil
from msgspec.structs import replace

from ostler.adapters.process.contract import FreePortRequest, ListRequest, LogsRequest, Probe, StatusRequest
from ostler.adapters.process.known_process import Entry
from ostler.adapters.process.launch import probe_with_port
from ostler.adapters.process.log_watch import log_watch
from ostler.adapters.process.logfile import LogExcerpt, lost_output, read_on, tail
from ostler.adapters.process.meter import uptime
from ostler.adapters.process.port_owners import Sockets
from ostler.adapters.process.probes import PROBE_SECONDS, Verdict, frozen_verdict, look
from ostler.adapters.process.process_answers import FreePortResult, ListResult, LogsResult, StatusResult
from ostler.adapters.process.readiness import SEARCHED_LINES, said_why, scanner_for
from ostler.adapters.process.records import previous_part
from ostler.adapters.process.supervisor import Supervisor
from ostler.adapters.process.trees import is_gone
from ostler.model.errors import NotFoundError
from ostler.rules.text.last_words import last_words, reports_trouble
from ostler.rules.text.patterns import line_filter
from ostler.rules.text.work_budget import bounded_work

GREP_SECONDS: Final = 5.0
"""Processor time that a search of a log may take; it runs in a thread of its own."""


async def status(supervisor: Supervisor, request: StatusRequest) -> StatusResult:
    """Return what is known about one process; an unknown key is an answer, not an error.

    Raises:
        ArgumentError: the probe contradicts itself.
    """
    entry = supervisor.entries.get(request.key)
    if entry is None:
        return StatusResult(key=request.key, state="not_found", ready=False, detail="no process has this key")
    found = await _status(supervisor, entry, request)
    log_path = supervisor.folder.log_path(request.key)
    if (lost := lost_output(log_path)) is None:
        return found
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(lost.since))
    warning = (
        f"its log lacks part of its output since {since}, as the disk was full (lostBytes says how much). "
        f"Next: free some room on the disk of {log_path.parent}; the program itself goes on"
    )
    return found.model_copy(update={"lost_bytes": lost.size, "warning": warning})


async def _status(supervisor: Supervisor, entry: Entry, request: StatusRequest) -> StatusResult:
    state = await supervisor.state_of(entry)
    if state != "running":
        log_path = supervisor.folder.log_path(request.key)
        detail = "the system does not let Ostler inspect it"
        if state == "exited":
            detail = await _ending(supervisor.sockets(entry), log_path)
        facts = entry.facts(str(log_path))
        return StatusResult(**dict(facts), ready=False, detail=detail)
    verdict = Verdict(ready=True, detail="running")
    if request.ready is not None and not request.ready.is_empty:
        verdict = await _probe(supervisor, entry, request.ready)
        if not verdict.ready:
            ended = await _end_of_server(entry, supervisor.folder.log_path(request.key))
            verdict = replace(verdict, detail=verdict.detail + ended)
    measured, ports = None, None
    if request.details:
        measured = (await supervisor.meter.measure()).get(request.key)
        own = await supervisor.sockets(entry).own() or ()
        ports = sorted({listener.port for listener in own if listener.is_tcp})
    if entry.refresh() != "running":
        verdict = Verdict(ready=False, detail=entry.ending())
    elif entry.frozen:
        verdict = frozen_verdict(entry.record.pid)
    facts = entry.facts(str(supervisor.folder.log_path(request.key)))
    return StatusResult(
        **dict(facts),
        ready=verdict.ready,
        detail="; ".join(filter(None, (verdict.detail, facts.port_note))),
        uptime_seconds=round(uptime(entry.record), 3),
        cpu_percent=None if measured is None else measured.cpu_percent,
        memory_bytes=None if measured is None else measured.usage.memory_bytes,
        children=None if measured is None else max(0, measured.usage.processes - 1),
        ports=ports,
    )


async def _ending(sockets: Sockets, log_path: Path) -> str:
    """Return in words how the process ended and, when something went wrong, what it said; also what it left behind."""
    entry, record = sockets.entry, sockets.entry.record
    ending = entry.ending()
    if not record.swept and not entry.is_ending and (left := await sockets.left()):
        ending += f"; it left {left} (the next start or stop ends what is left)"
    lines = await _last_lines(entry, log_path)
    said = last_words(lines) if said_why(entry, lines) else ""
    return f"{ending}: {said}" if said else ending


async def _last_lines(entry: Entry, log_path: Path) -> list[str]:
    end = await anyio.to_thread.run_sync(lambda: tail(log_path, base=entry.record.log_base, lines=SEARCHED_LINES))
    return end.lines


async def _end_of_server(entry: Entry, log_path: Path) -> str:
    """Return in words how what listened for a process that still runs has ended; an empty text if it has not."""
    pid = entry.listener
    if pid is None or pid == entry.record.pid or await anyio.to_thread.run_sync(_works, pid):
        return ""
    lines = await _last_lines(entry, log_path)
    said = last_words(lines) if reports_trouble(lines) else ""
    return f"; the process that served (pid {pid}) has ended" + (f": {said}" if said else "")


def _works(pid: int) -> bool:
    """Whether a process has not ended; one that only waits for its parent to ask how, has. Blocks."""
    with suppress(psutil.NoSuchProcess):
        return not is_gone(psutil.Process(pid))
    return False


async def logs(supervisor: Supervisor, request: LogsRequest) -> LogsResult:
    """Return lines of a process's log.

    Raises:
        ArgumentError: `grep` is not a regular expression.
        NotFoundError: no process has this key.
    """
    entry = supervisor.entries.get(request.key)
    if entry is None:
        raise NotFoundError(
            "process", request.key, known=list(supervisor.entries), next_actions=("'list' shows the known keys",)
        )
    grep = None if request.grep is None else line_filter(request.grep, "grep")
    state = entry.refresh()
    path = supervisor.folder.log_path(request.key)
    since = None if request.since is None else _offset_in(entry, request.since)
    newest = 0 if request.newer_than is None else entry.log_times.offset_at(time.time() - request.newer_than)
    final = request.previous or state != "running"
    async with entry.log_lock:
        base = entry.record.log_base
        if request.previous:
            path, base, newest = previous_part(path), 0, 0
        if since is None:
            read = partial(tail, path, base=base, lines=request.lines, grep=grep, begin=newest)
        else:
            begin = max(since, newest)
            read = partial(read_on, path, base=base, since=begin, lines=request.lines, grep=grep, final=final)
        excerpt = await anyio.to_thread.run_sync(_bounded, read)
    return LogsResult(
        key=request.key,
        state=state,
        lines=excerpt.lines,
        next_offset=excerpt.next_offset,
        cursor=f"{_run_of(entry)}:{excerpt.next_offset}",
        truncated=excerpt.truncated,
        log_file=str(path),
    )


def _bounded(read: Callable[[], LogExcerpt]) -> LogExcerpt:
    with bounded_work(GREP_SECONDS):
        return read()


def _run_of(entry: Entry) -> str:
    return entry.record.token[:8]


def _offset_in(entry: Entry, since: int | str) -> int:
    """Return the offset in this run's output from which to read on; a cursor of an earlier run means its beginning."""
    if isinstance(since, int):
        return since
    run, _, offset = since.partition(":")
    return int(offset) if run == _run_of(entry) else 0


async def list_processes(supervisor: Supervisor, request: ListRequest) -> ListResult:
    """Return the known processes, newest first."""
    entries = list(supervisor.entries.values())
    unended = [entry for entry in entries if entry.state != "exited"]
    seen = await anyio.to_thread.run_sync(lambda: [entry.observe() for entry in unended])
    for entry, observation in zip(unended, seen, strict=True):
        entry.apply(observation)
    matching = [
        entry
        for entry in sorted(entries, key=lambda entry: entry.record.started_at, reverse=True)
        if (request.state is None or entry.state == request.state) and entry.record.key.startswith(request.prefix or "")
    ]
    shown = [entry.facts(str(supervisor.folder.log_path(entry.record.key))) for entry in matching[: request.limit]]
    return ListResult(processes=shown, total=len(matching))


async def free_port(supervisor: Supervisor, request: FreePortRequest) -> FreePortResult:
    """Return ports that are free now and were not given out lately.

    Raises:
        ConflictError: there are not enough.
        RequestError: the host is not this machine.
    """
    ports = await supervisor.ports.free(request.host, request.count, request.preferred)
    return FreePortResult(port=ports[0], ports=ports, host=request.host)


async def _probe(supervisor: Supervisor, entry: Entry, wanted: Probe) -> Verdict:
    probe = probe_with_port(wanted, entry.record.port)
    timeout = PROBE_SECONDS if probe.timeout is None else probe.timeout
    path = supervisor.folder.log_path(entry.record.key)
    scanner, watch = scanner_for(entry, probe, path), log_watch(entry, probe, path)
    verdict = await look(probe, supervisor.sockets(entry), scanner=scanner, watch=watch, timeout=timeout)
    if scanner is not None and scanner.found and probe.log is not None:
        entry.mark_seen(probe.log, scanner.matched)
    return verdict
