"""Which port a process gets: the one that it asks for, else the last one of its key, else one that no key keeps."""

import anyio.to_thread

from ostler.adapters.process.contract import StartRequest
from ostler.adapters.process.known_process import Entry
from ostler.adapters.process.port_owners import held_port, holders_of, in_words, port_trouble
from ostler.adapters.process.ports import PortBook
from ostler.adapters.process.roster import Roster
from ostler.model.errors import ConflictError


class PortChoice:
    """Gives ports to the processes of a roster."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._book = PortBook()

    def __repr__(self) -> str:
        return f"<PortChoice of {self._roster!r}, {self._book!r}>"

    def used(self) -> set[int]:
        """Return the ports of processes that have not ended, whether they listen yet or not; for any thread."""
        return {entry.record.port for entry in self._entries() if entry.state != "exited" and entry.record.port}

    async def for_run(self, request: StartRequest, earlier: Entry | None) -> tuple[int | None, str]:
        """Return the port for a new run, and why it is not the one of the last run if that is taken.

        Args:
            request: what is started.
            earlier: the last run of its key, which has ended.

        Raises:
            ConflictError: the port that it asks for is taken, or there is no free one.
            RequestError: the host is not this machine.
        """
        last = earlier.record.port if earlier is not None else None
        self.release(last)
        match request.port:
            case None:
                return None, ""
            case 0:
                return await anyio.to_thread.run_sync(self._choose, request.key, request.host, last)
            case port:
                await anyio.to_thread.run_sync(self._claim, request.key, request.host, port)
                return port, ""

    async def free(self, host: str, count: int, preferred: int | None) -> list[int]:
        """Return ports that are free now, were not given out lately, and are kept for no key, but for `preferred`.

        Raises:
            ConflictError: there are not enough.
            RequestError: the host is not this machine.
        """
        wanted = [] if preferred is None else [preferred]
        avoid = self.used() | self._roster.folder.ports.all.difference(wanted)

        def choose() -> list[int]:
            return [self._book.choose(host, preferred=wanted, avoid=avoid) for _ in range(count)]

        return await anyio.to_thread.run_sync(choose)

    async def trouble(self, request: StartRequest) -> ConflictError | None:
        """Return why a start could not have the port that it asks for; None if it could, or asks for none.

        Raises:
            RequestError: the host is not this machine.
        """
        if not request.port:
            return None
        return await anyio.to_thread.run_sync(
            port_trouble, request.host, request.port, self._entries(), request.key, abandon_on_cancel=True
        )

    def release(self, port: int | None) -> None:
        """Give `port` back before its time: the process that it was for is gone."""
        if port is not None:
            self._book.release(port)

    def _choose(self, key: str, host: str, last: int | None) -> tuple[int, str]:
        """Return the port that `key` had last, or while another program holds that, a free one, and why. Blocks."""
        kept = self._roster.folder.ports
        before = last or kept.of(key)
        preferred = [] if before is None else [before]
        port = self._book.choose(host, preferred=preferred, avoid=self.used() | kept.of_others(key))
        kept.keep(key, port)
        if before is None or port == before:
            return port, ""
        holders = in_words(holders_of(before, self._entries())) or "another program"
        return port, f"port {before}, which it had before, is held by {holders}"

    def _claim(self, key: str, host: str, port: int) -> None:
        try:
            self._book.claim(host, port)
        except ConflictError as error:
            if holders := holders_of(port, self._entries()):
                raise held_port(host, port, holders, key) from error
            raise

    def _entries(self) -> list[Entry]:
        return list(self._roster.entries.values())  # a start may add one meanwhile
