"""Changes to configuration files are noticed, however an editor saves them."""

import logging
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest

from ostler.adapters.config.paths import Paths
from ostler.adapters.config.watcher import watch_config

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

NOTICED_WITHIN = 60.0
"""Seconds that a change may take to be noticed; two are promised, on a machine with nothing else to do."""


class Watch:
    """Collects what was reported, and waits for it."""

    def __init__(self) -> None:
        self._changes, self._reported = anyio.create_memory_object_stream[frozenset[Path]](100)

    async def on_change(self, files: frozenset[Path]) -> None:
        await self._changes.send(files)

    async def expect(self, *files: Path) -> None:
        """Wait until all of `files`, and nothing else, were reported."""
        waiting = set(files)
        with anyio.fail_after(NOTICED_WITHIN):
            while waiting:
                reported = await self._reported.receive()
                assert reported <= set(files)
                waiting -= reported

    async def expect_nothing(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            pytest.fail(f"reported {await self._reported.receive()}")

    def close(self) -> None:
        self._changes.close()
        self._reported.close()


@asynccontextmanager
async def watching(paths: Paths) -> AsyncGenerator[Watch]:
    watch = Watch()
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(watch_config, paths, watch.on_change)
            try:
                yield watch
            finally:
                tasks.cancel_scope.cancel()
    finally:
        watch.close()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "config", tmp_path / "state")


async def test_files_and_folders_are_noticed_when_they_come_change_and_go(paths: Paths) -> None:
    async with watching(paths) as watch:
        paths.config_dir.mkdir()
        paths.mcp_json.write_text("{}")
        await watch.expect(paths.mcp_json)
        paths.mcp_json.write_text('{"mcpServers": {}}')
        await watch.expect(paths.mcp_json)
        paths.settings_file.write_text("")
        await watch.expect(paths.settings_file)
        paths.serviceclasses_dir.mkdir()
        one, two = paths.serviceclasses_dir / "one.yaml", paths.serviceclasses_dir / "two.json"
        one.write_text("a")
        await watch.expect(one)
        two.write_text("{}")
        one.write_text("b")
        await watch.expect(one, two)
        one.unlink()
        await watch.expect(one)
        shutil.rmtree(paths.config_dir)
        await watch.expect(two, paths.mcp_json, paths.settings_file)
        paths.serviceclasses_dir.mkdir(parents=True)
        one.write_text("back")
        await watch.expect(one)


def _rename_over(file: Path) -> None:
    temporary = file.with_name("." + file.name + ".tmp")
    temporary.write_text("new text")
    temporary.replace(file)


def _backup_and_rewrite(file: Path) -> None:
    file.rename(file.with_name(file.name + "~"))
    file.write_text("new text")


def _same_size_and_time(file: Path) -> None:
    times = file.stat()
    file.write_text("OLD text")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("save", [_rename_over, _backup_and_rewrite, _same_size_and_time])
async def test_every_way_of_saving_is_noticed(paths: Paths, save: Callable[[Path], None]) -> None:
    paths.serviceclasses_dir.mkdir(parents=True)
    file = paths.serviceclasses_dir / "one.yaml"
    file.write_text("old text")
    async with watching(paths) as watch:
        save(file)
        await watch.expect(file)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
async def test_a_link_that_is_swapped_is_noticed(paths: Paths, tmp_path: Path) -> None:
    # How mounted configuration is replaced in containers: the folder is a link to the present version.
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "mcp.json").write_text(version)
    paths.config_dir.symlink_to(tmp_path / "v1")
    async with watching(paths) as watch:
        fresh = tmp_path / "fresh"
        fresh.symlink_to(tmp_path / "v2")
        fresh.replace(paths.config_dir)
        await watch.expect(paths.mcp_json)


async def test_other_files_are_not_reported(paths: Paths) -> None:
    paths.serviceclasses_dir.mkdir(parents=True)
    async with watching(paths) as watch:
        (paths.config_dir / "notes.txt").write_text("x")
        (paths.serviceclasses_dir / ".one.yaml.swp").write_text("x")
        (paths.serviceclasses_dir / "one.yaml~").write_text("x")
        await watch.expect_nothing(0.8)


async def test_a_burst_of_writes_is_not_a_burst_of_reports(paths: Paths) -> None:
    paths.serviceclasses_dir.mkdir(parents=True)
    files = [paths.serviceclasses_dir / f"{number}.yaml" for number in range(50)]
    reports: list[frozenset[Path]] = []

    async def on_change(changed: frozenset[Path]) -> None:
        reports.append(changed)

    async with anyio.create_task_group() as tasks:
        await tasks.start(watch_config, paths, on_change)
        for file in files:
            file.write_text("x")
        with anyio.fail_after(NOTICED_WITHIN):
            while frozenset[Path]().union(*reports) != frozenset(files):
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    assert len(reports) < len(files) / 4


async def test_cancellation_is_prompt(paths: Paths) -> None:
    paths.config_dir.mkdir()
    async with watching(paths):
        await anyio.sleep(0.3)
        began = anyio.current_time()
    assert anyio.current_time() - began < 5


@pytest.mark.skipif(os.name != "posix", reason="limits of file descriptors")
async def test_watching_goes_on_without_notifications(paths: Paths) -> None:
    import resource

    class Warned(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())
            warned.set()

    paths.config_dir.mkdir()
    messages: list[str] = []
    warned = anyio.Event()
    handler = Warned()
    logger = logging.getLogger("ostler.adapters.config.watcher")
    logger.addHandler(handler)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    # No descriptor is left, so the system refuses to watch.
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    held: list[int] = []
    try:
        with anyio.fail_after(60):
            while not warned.is_set():
                held += remaining_descriptors()
                async with watching(paths) as watch:
                    with anyio.move_on_after(2):  # an earlier watch may have given one back a moment ago
                        await warned.wait()
                    if warned.is_set():
                        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                        paths.mcp_json.write_text("{}")
                        await watch.expect(paths.mcp_json)
        assert "looking every second" in messages[0] or "cannot be looked at now" in messages[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        logger.removeHandler(handler)
        for descriptor in held:
            os.close(descriptor)


def remaining_descriptors() -> Iterator[int]:
    """Take every descriptor that the limit leaves."""
    with suppress(OSError):
        while True:
            yield os.dup(0)
