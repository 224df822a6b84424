"""A PostgreSQL server of the tests' own: made in a folder, without fsync, with a fresh database for whoever asks."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from tests.support.ports import free_port
from tests.support.shipped import program

USER = "keeper"
_ROOM = 4_000_000_000
"""Bytes that a folder in memory must have; each worker's server takes some hundred million at most."""
PASSWORD = "let me in"  # it needs escaping in a URL


def program_folder() -> Path | None:
    """Return the folder of PostgreSQL's programs; None where there are none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = folders[-1] / "postgres" if folders else shutil.which("postgres")
    return Path(found).parent if found else None


class Postgresql:
    """The server, which is made and started by `running`."""

    def __init__(self, folder: Path, account: str | None) -> None:
        self._bin = program_folder() or Path(program("postgres")).parent  # it skips the test, or fails in CI
        self._data = folder / "data"
        self._folder = folder
        self._account = account
        self._numbers = count()
        self.port = free_port()

    def make(self) -> None:
        """Make its folder of data."""
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={secret}", "--no-sync", "--locale=C"]
        self._run("initdb", "-D", str(self._data), "--encoding=UTF8", *options)

    def start(self, *, durable: bool = False) -> None:
        """Start it, or start it again, and return when it answers; `durable` with fsync, as people run it."""
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        speed = "" if durable else "-c fsync=off -c full_page_writes=off"
        quick = f"{speed} -c max_connections=60 -c shared_buffers=16MB"
        log = str(self._folder / "log")
        self._run("pg_ctl", "start", "-w", "-s", "-D", str(self._data), "-l", log, "-o", f"{settings} {quick}")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; `immediate` is as if it crashed."""
        self._run("pg_ctl", "stop", "-w", "-s", "-D", str(self._data), "-m", mode)

    def follow(self, primary: "Postgresql") -> None:
        """Replace its folder of data by that of a standby of `primary`."""
        shutil.rmtree(self._data, ignore_errors=True)
        source = ["-d", primary.url("postgres"), "-D", str(self._data)]
        self._run("pg_basebackup", *source, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync")
        settings = self._data / "postgresql.auto.conf"  # it waits for no standby when it is promoted
        kept = [line for line in settings.read_text().splitlines() if "synchronous_standby_names" not in line]
        settings.write_text("\n".join(kept) + "\n")

    def promote(self) -> None:
        """Let a standby take changes, and return when it does."""
        self._run("pg_ctl", "promote", "-w", "-s", "-D", str(self._data))

    def url(self, database: str, *, user: str = USER, port: int | None = None) -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port or self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Execute a statement and return its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            done = connection.execute(sql.encode())
            return done.fetchall() if done.description else []

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return self.url(name)

    def _run(self, name: str, *arguments: str) -> None:
        """Run one of its programs, as an account that is not root's, in which PostgreSQL refuses to run."""
        done = subprocess.run(
            [str(self._bin / name), *arguments],
            user=self._account,
            group=None if self._account is None else pwd.getpwnam(self._account).pw_gid,
            extra_groups=None if self._account is None else [],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would be held by the server
            stderr=subprocess.DEVNULL if name == "pg_ctl" else None,
            timeout=60,
            check=False,
        )
        if done.returncode:
            log = self._folder / "log"
            raise RuntimeError(f"{name} failed: {log.read_text()[-2000:] if log.exists() else done.returncode}")


def _in_memory() -> Path | None:
    """Return a folder in memory that has room for the databases of a run; None where there is none."""
    folder = Path("/dev/shm")
    has_room = folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM
    return folder if has_room else None


@contextmanager
def running(*, durable: bool = False, parent: Path | None = None, start: bool = True) -> Generator[Postgresql]:
    """Give a running server in a new folder of `parent`, or one that has nothing yet; it is removed at the end."""
    account = "nobody" if os.geteuid() == 0 else None
    if parent is None and not durable:
        parent = _in_memory()  # a database has 300 files, which a disk takes a while to make and to remove
    folder = Path(tempfile.mkdtemp(prefix="ostler-pg-", dir=parent))
    if account is not None:
        os.chown(folder, pwd.getpwnam(account).pw_uid, -1)
    server = Postgresql(folder, account)
    try:
        if start:
            server.make()
            server.start(durable=durable)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
