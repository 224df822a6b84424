"""The files that the services of a project watch: every change is noticed, whatever comes and goes around it."""

import contextlib
import fcntl
import os
import shutil
import struct
import termios
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from ostler.adapters.projects import restart_watch
from ostler.adapters.projects.restart_watch import watch_files

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]


def watched_folders(descriptor: int) -> int:
    """Return how many folders the kernel reports changes of to an open file of this process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/self/fdinfo/{descriptor}").read_text().count("inotify wd")
    return 0


def inotify_files() -> set[int]:
    """Return the open files of this process by which the kernel reports changes, of those that watch something."""
    if not Path("/proc/self/fdinfo").is_dir():
        return set()
    return {number for entry in Path("/proc/self/fdinfo").iterdir() if watched_folders(number := int(entry.name))}


def unread_bytes(descriptor: int) -> int:
    """Return how much of what the kernel has reported no one has read."""
    with contextlib.suppress(OSError):  # it was closed meanwhile
        return struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]
    return 0


@asynccontextmanager
async def followed(
    directory: Path, globs: list[str], *, wanted: anyio.Event | None = None
) -> AsyncGenerator[tuple[anyio.Event, MemoryObjectReceiveStream[str]]]:
    """Watch files of a service; yield what is set once the watch has begun, and the files that changed."""
    with anyio.fail_after(60):
        while inotify_files():  # a cancelled watch ends a moment later
            await anyio.sleep(0.01)
    begun = anyio.Event()
    send, receive = anyio.create_memory_object_stream[str](100)

    async def changed(_name: str, file: str) -> None:
        await send.send(file)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch_files, directory, {"app": globs}, changed, begun.set, wanted)
        with anyio.fail_after(60), send, receive:
            yield begun, receive
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize(("globs", "most"), [("seed.json", 1), ("sql/deep/seed.json", 3), ("s*", 303)])
async def test_a_change_is_noticed_from_the_moment_that_a_watch_has_begun(
    tmp_path: Path, globs: str, most: int
) -> None:
    """Folders that no file of it can be in are not watched: that of the packages may have thousands."""
    file = globs.replace("s*", "sql/deep/seed.json")
    (tmp_path / "sql" / "deep").mkdir(parents=True)
    for number in range(300):
        (tmp_path / f"folder{number}").mkdir()
        (tmp_path / "node_modules" / f"package{number}").mkdir(parents=True)
    (tmp_path / "sql" / "above").symlink_to(tmp_path, target_is_directory=True)
    async with followed(tmp_path, [globs]) as (begun, found):
        await begun.wait()
        assert sum(map(watched_folders, inotify_files())) <= most
        (tmp_path / file).write_text("changed")
        assert await found.receive() == file


async def test_files_of_folders_that_come_and_go_are_watched(tmp_path: Path) -> None:
    """As with another branch: the folders on the way to a file may all be new, and have the names of earlier ones."""
    folder = tmp_path / "db" / "migrations"
    async with followed(tmp_path, ["db/migrations/*.sql"]) as (begun, found):
        await begun.wait()
        for name in ("1.sql", "2.sql"):
            folder.mkdir(parents=True)
            (folder / name).write_text("select 1")
            assert await found.receive() == f"db/migrations/{name}"
            (folder / "new").mkdir()
            (folder / "new" / name).write_text("select 2")
            while (file := await found.receive()) != f"db/migrations/new/{name}":
                assert file == f"db/migrations/{name}"
            shutil.rmtree(tmp_path / "db")
            assert (await found.receive()).startswith("db/migrations/")


@pytest.mark.parametrize("glob", ["db/**/*.sql", "db/seeds/*.sql", "db/seeds/1.sql"])
async def test_a_folder_that_is_moved_away_takes_its_files_along(tmp_path: Path, glob: str) -> None:
    shop = tmp_path / "shop"
    (shop / "db" / "seeds").mkdir(parents=True)
    (shop / "docs").mkdir()
    for file in ("db/seeds/1.sql", "db/seeds/readme.md", "docs/readme.md"):
        (shop / file).write_text("select 1")
    async with followed(shop, [glob, "docs/*.txt"]) as (begun, found):
        await begun.wait()
        (shop / "docs").rename(tmp_path / "docs")  # nothing of it is watched
        (shop / "db").rename(tmp_path / "db")
        assert await found.receive() == "db/seeds/1.sql"
        (tmp_path / "db").rename(shop / "db")
        assert await found.receive() == "db/seeds/1.sql"


async def test_a_folder_that_is_moved_away_takes_files_along_that_came_later(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    (shop / "db").mkdir(parents=True)
    async with followed(shop, ["db/*.sql"]) as (begun, found):
        await begun.wait()
        for number in (1, 2):
            (shop / "db" / f"{number}.sql").write_text("select 1")
            assert await found.receive() == f"db/{number}.sql"
        (shop / "db" / "1.sql").unlink()
        assert await found.receive() == "db/1.sql"
        (shop / "db").rename(tmp_path / "db")
        assert await found.receive() == "db/2.sql"


async def test_what_a_full_queue_of_the_system_loses_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Notify:
        """Reports no changes of some files and folders."""

        def __init__(self, folders: list[str], **options: Any) -> None:
            self._all = RustNotify(folders, **options)
            self.close = self._all.close

        def watch(self, *options: Any) -> Any:
            found = self._all.watch(*options)
            lost = (".sql", "seeds")
            return {each for each in found if not each[1].endswith(lost)} if isinstance(found, set) else found

    queue = tmp_path / "queue"
    queue.write_text("8\n")
    monkeypatch.setattr(restart_watch, "_QUEUE", queue)
    monkeypatch.setattr(restart_watch, "RustNotify", Notify)
    (shop := tmp_path / "shop").mkdir()
    (seeds := tmp_path / "seeds").mkdir()
    (seeds / "1.sql").write_text("select 1")
    async with followed(shop, ["**/*.sql"]) as (begun, found):
        await begun.wait()
        (shop / "1.sql").write_text("select 1")
        (shop / "1.log").write_text("select 1")
        assert await found.receive() == "1.sql"
        for come, go in ((seeds, shop / "0-seeds"), (shop / "0-seeds", seeds)):
            come.rename(go)
            (shop / "1.log").write_text("select 2")
            assert await found.receive() == "0-seeds/1.sql"


@pytest.mark.skipif(not Path("/proc/self/fdinfo").is_dir(), reason="only Linux shows what is watched")
async def test_what_changes_while_the_folders_are_watched_counts_from_when_it_is_wanted(tmp_path: Path) -> None:
    """An `up` watches the folders while it starts services: what these write on their way restarts nothing."""
    wanted = anyio.Event()
    async with followed(tmp_path, ["*.txt"], wanted=wanted) as (begun, found):
        while not (watched := inotify_files()):
            await anyio.sleep(0.01)
        (tmp_path / "new").mkdir()
        (tmp_path / "early.txt").write_text("written by a start")
        while any(map(unread_bytes, watched | inotify_files())):
            await anyio.sleep(0.01)
        assert not begun.is_set()
        wanted.set()
        await begun.wait()
        (tmp_path / "new" / "late.txt").write_text("written by a person")
        assert await found.receive() == "new/late.txt"


async def test_a_watch_ends_as_soon_as_it_is_cancelled(tmp_path: Path) -> None:
    async def changed(name: str, file: str) -> None:
        raise AssertionError((name, file))

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch_files, tmp_path, {"app": ["*.py"]}, changed, lambda: None)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert anyio.current_time() - began < 4.5, "watchfiles looks up every 5 s only"


async def test_a_watch_that_is_cancelled_while_it_begins_is_left_by_its_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins, may_begin, closed = threading.Event(), threading.Event(), threading.Event()
    kept: list[BaseException] = []

    class Notify:
        def __init__(self, *_: object, **_options: object) -> None:
            begins.set()
            assert may_begin.wait(60)

        def close(self) -> None:
            closed.set()

    async def changed(_name: str, _file: str) -> None: ...

    async def watch() -> None:
        try:
            await watch_files(tmp_path, {"app": ["*.py"]}, changed, lambda: None)
        except BaseException as error:
            kept.append(error)  # with all that its frames hold: no garbage collection closes it
            raise

    monkeypatch.setattr(restart_watch, "RustNotify", Notify)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        assert await anyio.to_thread.run_sync(begins.wait, 60)
        tasks.cancel_scope.cancel()
    may_begin.set()
    assert await anyio.to_thread.run_sync(closed.wait, 60)


@pytest.mark.parametrize("what", ["comes", "goes"])
async def test_a_folder_that_comes_or_goes_while_a_watch_begins_hides_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Bundlers and package managers make folders and remove them all the time."""
    has_changed = False

    def notify(folders: list[str], **options: Any) -> RustNotify:
        nonlocal has_changed
        if not has_changed:
            has_changed = True
            (tmp_path / "sql" / "new").mkdir() if what == "comes" else (tmp_path / "sql" / "old").rmdir()
        return RustNotify(folders, **options)

    monkeypatch.setattr(restart_watch, "RustNotify", notify)
    if what == "goes":  # polling alone fails where a folder is missing
        monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "1")
    (tmp_path / "sql" / "old").mkdir(parents=True)
    async with followed(tmp_path, ["sql/**"]) as (begun, found):
        await begun.wait()
        file = "sql/new/1.sql" if what == "comes" else "sql/1.sql"
        (tmp_path / file).write_text("select 1")
        assert await found.receive() == file


async def test_names_that_are_not_text_hide_no_change(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    async with followed(tmp_path, ["sql/*"]) as (begun, found):
        await begun.wait()
        for number in (3, 2, 1):  # the newest comes first in a series
            name = tmp_path / "sql" / os.fsdecode(b"\xff%d" % number)
            try:
                name.touch() if number == 2 else name.mkdir()
            except OSError:
                pytest.skip("the file system takes no such names")
            (tmp_path / "sql" / f"{number}.sql").write_text("select 1")
            while (file := await found.receive()) != f"sql/{number}.sql":
                assert file.startswith("sql/")


async def test_a_file_counts_under_each_name_that_links_give_it(tmp_path: Path) -> None:
    shop, library = tmp_path / "shop", tmp_path / "library"
    (shop / "web").mkdir(parents=True)
    (shop / "shared").mkdir()
    library.mkdir()
    (shop / "web" / "shared").symlink_to(shop / "shared", target_is_directory=True)
    (shop / "shared" / "library").symlink_to(library, target_is_directory=True)
    async with followed(shop, ["web/**.ts", "shared/*.py"]) as (begun, found):
        await begun.wait()
        for change, file in [
            ("shared/a.ts", "web/shared/a.ts"),
            ("shared/a.py", "shared/a.py"),
            ("../library/a.ts", "web/shared/library/a.ts"),
            ("../library/a.py", "shared/library/a.py"),
        ]:
            (shop / change).write_text("changed")
            assert await found.receive() == file
        (shop / "web" / "shared").unlink()
        other = tmp_path / "other"
        other.mkdir()
        (other / "b.ts").write_text("was there")
        (shop / "web" / "shared").symlink_to(other, target_is_directory=True)
        assert await found.receive() == "web/shared/b.ts"


async def test_a_file_that_comes_changes_no_other_where_files_are_polled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "1")
    (tmp_path / "a.py").write_text("old")
    os.utime(tmp_path, (1, 1))  # so that it is seen to change
    async with followed(tmp_path, ["*.py"]) as (begun, found):
        await begun.wait()
        (tmp_path / "web.log").write_text("new")
        (tmp_path / "b.py").write_text("new")
        assert await found.receive() == "b.py"


async def test_a_removal_has_ended_before_its_files_count_as_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large folder that is not watched may take long, and servers write logs meanwhile."""
    for name in ("a.py", "z.py", "node_modules/1/lib/index.js", "node_modules/2/lib/index.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    steps = ["node_modules/1/lib/index.js", "node_modules/1", "node_modules/2/lib", "z.py"]
    look = restart_watch.names_below

    def look_and_remove(directory: Path) -> set[str]:
        found = look(directory)
        if steps:
            path = tmp_path / steps.pop(0)
            path.unlink() if path.is_file() else shutil.rmtree(path)
        return found

    monkeypatch.setattr(restart_watch, "names_below", look_and_remove)
    monkeypatch.setattr(restart_watch, "_REMOVAL_SECONDS", 0)
    async with followed(tmp_path, ["*.py"]) as (begun, found):
        await begun.wait()
        (tmp_path / "z.py").write_text("new")
        assert await found.receive() == "z.py"
        assert (tmp_path / "z.py").is_file(), "what is there is not waited for"
        (tmp_path / "a.py").unlink()
        (tmp_path / "web.log").write_text("a.py is gone")
        assert await found.receive() == "a.py"
        assert not (tmp_path / "z.py").exists()


async def test_files_that_cannot_be_watched_any_more_are_an_error_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def changed(_name: str, _file: str) -> None: ...

    shop = tmp_path / "shop"
    shop.mkdir()
    with anyio.fail_after(60), pytest.raises(FileNotFoundError, match="shop"):
        await watch_files(shop, {"app": ["*.py"]}, changed, shop.rmdir)

    def refuse(*_: object, **_options: object) -> RustNotify:
        raise WatchfilesRustInternalError("Error creating recommended watcher: Too many open files (os error 24)")

    monkeypatch.setattr(restart_watch, "RustNotify", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        await watch_files(tmp_path, {"app": ["*.py"]}, changed, lambda: None)
