"""Starts, stops and watches the processes of one folder; takes over those of an earlier Ostler."""

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread

from ostler.adapters.caller_environment import environment_of_caller
from ostler.adapters.environments import Environments
from ostler.adapters.process.adoption import birth_of, keeper_facts
from ostler.adapters.process.contract import Probe, ProcessState, StartRequest, StopRequest
from ostler.adapters.process.keeper_boot import Child
from ostler.adapters.process.known_process import Entry
from ostler.adapters.process.launch import Launch, ProgramNotFoundError, probe_with_port, request_digest
from ostler.adapters.process.logfile import new_log
from ostler.adapters.process.meter import Meter
from ostler.adapters.process.port_choice import PortChoice
from ostler.adapters.process.port_owners import Sockets, taken_paths
from ostler.adapters.process.probes import log_scanner
from ostler.adapters.process.process_answers import StartResult, StopResult
from ostler.adapters.process.readiness import NotReadyError, await_ended, await_ready, await_started, awaited_by
from ostler.adapters.process.records import ProcessRecord, RecordFolder
from ostler.adapters.process.roster import Roster
from ostler.adapters.process.termination import end_tree, killed_text
from ostler.adapters.process.trees import ProcessTree, find_process, graceful_signal
from ostler.adapters.process.upkeep import Upkeep
from ostler.adapters.process.web_probe import valid_url
from ostler.adapters.serving.problems import read_args
from ostler.engine.protocols import Progress
from ostler.model.errors import ArgumentError, ConflictError, OperationError, OstlerError, StoreError
from ostler.model.json import JsonObject
from ostler.rules.calls.overrides import START_TOOL
from ostler.rules.secrets.secret_marks import marks_in

FAILED_START_GRACE = 3.0
"""Seconds that a process which did not become ready is given to end on its own."""

CLEANUP_SECONDS = 15.0
"""Bound of a cleanup that a cancellation may not cut short."""


class Supervisor:
    """The processes of one folder, by key. Async methods belong to one event loop at a time.

    Starting and stopping one key are serial; waiting until it is ready is not part of that, so a stop goes through.

    Args:
        root: the folder.
        on_change: called with the key, in the event loop, when it is noticed that a process has ended, was
            frozen, goes on, or has another in its place.
        environments: what a process is started in without a caller.

    Attributes:
        meter: measures what the processes use.
        ports: gives the processes their ports.
    """

    def __init__(
        self, root: Path, on_change: Callable[[str], None] | None = None, *, environments: Environments
    ) -> None:
        self._environments = environments
        self._roster = Roster(root, on_change)
        self.meter = Meter(self._roster)
        self._upkeep = Upkeep(self._roster, self.meter)
        self.ports = PortChoice(self._roster)

    def __repr__(self) -> str:
        return f"<Supervisor of {self._roster!r}>"

    @property
    def folder(self) -> RecordFolder:
        """Where records and logs are."""
        return self._roster.folder

    @property
    def entries(self) -> dict[str, Entry]:
        """The latest run of each key."""
        return self._roster.entries

    async def open(self) -> None:
        """Read the folder and adopt what still runs; later calls do nothing.

        Raises:
            StoreError: the folder cannot be used.
        """
        await self._roster.open()

    async def keep(self) -> None:
        """Notice exits, rotate logs, write down what is new and drop what is old; until cancelled.

        Of several callers one does the work, the others stand by.
        """
        await self._upkeep.keep()

    async def save(self) -> None:
        """Write down what is not on disk yet."""
        await self._roster.save()

    async def start(
        self,
        request: StartRequest,
        progress: Progress | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        service: str = "",
    ) -> StartResult:
        """Start a process, or find it running; see the tool `start`.

        Args:
            request: what to start.
            progress: called with what is being waited for.
            environment: the caller's; None: as the key was started before, else that of a login shell.
            service: the id of the service that it is started for.

        Raises:
            ArgumentError: the request contradicts itself.
            ConflictError: the key runs with other settings, or the port is taken.
            OperationError: it cannot be started, or did not become ready; nothing of it is left running.
            StoreError: the folder cannot be written; nothing was started.
        """
        _check(request)
        async with self._roster.exclusive(request.key):
            entry, already = await self._start_or_join(request, environment, service)
        try:
            await self._await(entry, request, progress, already=already)
        except OstlerError as error:
            if not already:
                with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
                    async with self._roster.exclusive(request.key):
                        await self._end(entry, graceful_signal(request.stop_signal), FAILED_START_GRACE)
            elif isinstance(error, NotReadyError):
                raise NotReadyError(
                    f"{error.summary}; it had been started before, so it was not ended",
                    log=error.log,
                    next_actions=("'stop' it and start it again",),
                ) from error
            raise
        finally:
            if not already:
                entry.starting, entry.awaited = False, None
        await self._settle(entry)
        facts = entry.facts(str(self.folder.log_path(request.key)))
        others = [one for one in self.entries.values() if one is not entry]
        warning = "" if already else await anyio.to_thread.run_sync(taken_paths, entry, others)
        return StartResult(**dict(facts), already_running=already, warning=warning or None)

    async def foresee(self, tool: str, args: JsonObject) -> OstlerError | None:
        """Return why a call would fail: a start without its folder, program, port or user, or room for its record."""
        if tool != START_TOOL or marks_in([args.get("cwd"), args.get("command"), args.get("args")]):
            return None
        try:
            request = read_args(tool, StartRequest, args)
            _check(request)
            earlier = self.entries.get(request.key)
            kept = environment_of_caller() or (earlier.record.environment if earlier is not None else None)
            await self._launch(request, request.port, kept)
            await self.open()
            await anyio.to_thread.run_sync(self.folder.check_room, request.key)
            return await self.ports.trouble(request)
        except OstlerError as error:
            return error

    async def _await(self, entry: Entry, request: StartRequest, progress: Progress | None, *, already: bool) -> None:
        """Wait until a process is ready, has ended, or has stayed long enough, whichever `request` asks for."""
        log_path = self.folder.log_path(request.key)
        if request.ready is not None and not request.ready.is_empty:
            probe = probe_with_port(request.ready, entry.record.port)
            if not already:
                entry.awaited = awaited_by(probe, log_path)
            await await_ready(
                self.sockets(entry),
                probe,
                log_path,
                is_current=lambda: self._roster.is_current(entry),
                progress=progress,
            )
        elif request.ends_within is not None:
            await await_ended(self.sockets(entry), request.ends_within, log_path)
        elif entry.starting:
            await await_started(self.sockets(entry), request.start_seconds, log_path)

    async def _settle(self, entry: Entry) -> None:
        """Check what a start is about to answer; a server killed then must not leave an ended process's pid."""
        self._upkeep.watch(entry)
        entry.refresh()
        if entry.dirty and entry.record.forked:
            await self._roster.save_one(entry)

    async def state_of(self, entry: Entry) -> ProcessState:
        """Check the process, and return its state."""
        return await self._upkeep.state_of(entry)

    def sockets(self, entry: Entry) -> Sockets:
        """Return the sockets of `entry`, to be read on request."""
        return Sockets(entry, lambda: list(self.entries.values()))

    async def stop(self, request: StopRequest) -> StopResult:
        """Stop a process with all that it started; see the tool `stop`.

        Raises:
            ArgumentError: there is no such signal.
            OperationError: something survived SIGKILL.
        """
        if request.signal is not None:
            _signal_number(request.signal)
        async with self._roster.exclusive(request.key):
            entry = self.entries.get(request.key)
            if entry is None:
                return StopResult(key=request.key, already_stopped=True)
            was_running = entry.refresh() != "exited"
            pids: list[int] = []
            killed, warning = False, None
            if was_running or not entry.record.swept:
                timeout = entry.record.stop_timeout if request.timeout is None else request.timeout
                number = graceful_signal(request.signal or entry.record.stop_signal)
                pids, killed = await self._end(entry, number, timeout)
                if killed and was_running and timeout:
                    warning = killed_text(number, timeout, was_main=entry.record.exit_signal == "SIGKILL")
            return StopResult(
                key=request.key,
                already_stopped=not was_running,
                killed=killed,
                pids=pids,
                exit_code=entry.record.exit_code,
                signal=entry.record.exit_signal,
                adopted=True if entry.adopted else None,
                warning=warning,
            )

    # -- start ---------------------------------------------------------------------------------------------

    async def _start_or_join(
        self, request: StartRequest, environment: Mapping[str, str] | None, service: str
    ) -> tuple[Entry, bool]:
        """Return the run of the key, and whether it ran already."""
        earlier = self.entries.get(request.key)
        if earlier is not None:
            match await self.state_of(earlier):
                case "running":
                    await self._join(earlier, request, service)
                    return earlier, True
                case "unknown":
                    raise OperationError(
                        f"process {request.key!r} (pid {earlier.record.pid}) may be running, but the system does not "
                        "let Ostler look at it",
                        next_actions=("run Ostler as the user who started it, or use another key",),
                    )
                case _:
                    if not earlier.record.swept:
                        # Children that outlived it would hold its port and files.
                        await self._end(earlier, graceful_signal(earlier.record.stop_signal), FAILED_START_GRACE)
        return await self._start_new(request, earlier, environment, service), False

    async def _start_new(
        self, request: StartRequest, earlier: Entry | None, environment: Mapping[str, str] | None, service: str
    ) -> Entry:
        """Start the process of a key of which none runs; `earlier` is its last run."""
        port, note = await self.ports.for_run(request, earlier)
        try:
            kept = environment if environment is not None else earlier.record.environment if earlier else None
            launch = await self._launch(request, port, kept)
            record = _record_of(request, launch, port, kept, service)
            # From here on there is a process or there is none, whatever is cancelled: it must never be half known.
            with anyio.CancelScope(shield=True):
                child, record = await anyio.to_thread.run_sync(
                    self._spawn, launch, record, earlier.record if earlier else None
                )
                entry = self.entries[request.key] = Entry(
                    record,
                    self.folder.endings_path(record.token),
                    child=child,
                    starting=not record.ends,
                    changed=self._roster.report_change,
                    port_note=note,
                )
                with suppress(OSError):  # no file is free: a look finds it later
                    entry.process = find_process(record.pid, record.created, record.since_boot)
                self._upkeep.watch(entry)
        except BaseException:
            if self.entries.get(request.key) is earlier:
                self.ports.release(port)
            raise
        return self.entries[request.key]

    async def _launch(self, request: StartRequest, port: int | None, kept: Mapping[str, str] | None) -> Launch:
        """Return what is to be run; a login shell is asked for its environment only where that is needed."""
        inherited = await self._environments.base() if kept is None else kept
        try:
            return await anyio.to_thread.run_sync(
                lambda: Launch.of(request, port=port, inherited=inherited), abandon_on_cancel=True
            )
        except ProgramNotFoundError:
            fallback = await self._environments.base()
            return await anyio.to_thread.run_sync(
                lambda: Launch.of(request, port=port, inherited=inherited, fallback=fallback), abandon_on_cancel=True
            )

    async def _join(self, entry: Entry, request: StartRequest, service: str) -> None:
        record = entry.record
        if request_digest(request, record.token) != record.digest:
            raise ConflictError(
                f"process {request.key!r} is already running with another command, args, cwd, env or port "
                f"(pid {record.pid}, command {record.command!r})",
                next_actions=("'stop' it first", "use another key"),
            )
        wanted = {
            "stop_signal": request.stop_signal,
            "stop_timeout": request.stop_timeout,
            "memory_limit": request.memory_limit,
            "service": service or record.service,
        }
        changed = {name: value for name, value in wanted.items() if getattr(record, name) != value}
        if changed:
            entry.update(**changed)
            await self._roster.write(entry)

    def _spawn(
        self, launch: Launch, record: ProcessRecord, earlier: ProcessRecord | None
    ) -> tuple[Child, ProcessRecord]:
        """Write the intent, spawn, write the pid. Blocks."""
        try:
            with new_log(self.folder.log_path(record.key)) as log:
                spawned = launch.spawn(
                    log,
                    record.log_max_bytes,
                    key=record.key,
                    token=record.token,
                    owner=self.folder.owner,
                    endings=self.folder.endings_path(record.token),
                    intend=lambda: self.folder.write(record),
                )
        except StoreError:  # the intent is not written, and nothing ran
            raise
        except BaseException as error:
            if earlier is not None:
                self.folder.write(earlier)
            else:
                self.folder.remove(record.key)
            if isinstance(error, OSError):
                raise StoreError(f"the log of process {record.key!r} cannot be made: {error}") from error
            raise
        born = birth_of(spawned.pid) or {"created": time.time()}  # it has ended, and its keeper has seen that
        facts = keeper_facts(spawned.child.pid) if spawned.has_keeper else {}
        record = record.model_copy(update={"pid": spawned.pid, **born, **facts})
        with suppress(StoreError):  # the intent is on disk, and the process carries its token: it is found by that
            self.folder.write(record)
        return spawned.child, record

    # -- stop ----------------------------------------------------------------------------------------------

    async def _end(self, entry: Entry, number: int, timeout: float) -> tuple[list[int], bool]:
        """End the whole tree of `entry`; return the pids that were ended and whether force was needed."""
        if not self._roster.is_current(entry):
            return [], False  # a later run took its place, which began with sweeping this one
        try:
            tree = await anyio.to_thread.run_sync(ProcessTree.of, entry.record)
            entry.is_ending = True
            killed = await end_tree(tree, number, timeout, poll=entry.refresh)
            await self._upkeep.hear_end(entry)
            if entry.refresh() == "exited":
                entry.update(swept=True)
                self.ports.release(entry.record.port)
        finally:
            entry.is_ending = False
            if entry.dirty:
                with anyio.CancelScope(shield=True):
                    await self._roster.write(entry)
        return sorted(tree.members), killed


def _record_of(
    request: StartRequest, launch: Launch, port: int | None, kept: Mapping[str, str] | None, service: str
) -> ProcessRecord:
    """Return what is written down of a new run before it is spawned."""
    token = secrets.token_hex(16)
    return ProcessRecord(
        key=request.key,
        token=token,
        digest=request_digest(request, token),
        command=launch.label,
        started_at=datetime.now(UTC),
        stop_signal=request.stop_signal,
        stop_timeout=request.stop_timeout,
        log_max_bytes=request.log_max_bytes,
        host=request.host,
        port=port,
        cwd=str(launch.cwd),
        user=request.user,
        stdin=request.stdin,
        ends=request.ends_within is not None,
        stays=request.has_to_stay,
        memory_limit=request.memory_limit,
        environment=kept,
        service=service,
    )


def _signal_number(name: str) -> int:
    try:
        return graceful_signal(name)
    except ValueError as error:
        raise ArgumentError([f"signal: {error}"]) from error


def _check(request: StartRequest) -> None:
    """Refuse what cannot work before anything is touched."""
    _signal_number(request.stop_signal)
    if request.ends_within is not None and (request.ready is not None or request.start_seconds is not None):
        raise ArgumentError(
            ["endsWithin: what ends is not waited for by 'ready' or 'startSeconds'"],
            next_actions=("give only one of the three",),
        )
    if request.ready is not None:
        sample: Probe = probe_with_port(request.ready, None if request.port is None else request.port or 1)
        log_scanner(sample, Path())
        if sample.http is not None:
            valid_url(sample.http)
