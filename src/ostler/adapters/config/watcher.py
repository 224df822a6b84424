"""Noticing that configuration files changed, appeared or went away."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import anyio
import anyio.abc
import anyio.to_thread
from watchfiles._rust_notify import RustNotify

from ostler.adapters.config.paths import Paths, class_files_in

logger = logging.getLogger(__name__)

OnChange: TypeAlias = Callable[[frozenset[Path]], Awaitable[None]]
"""`await on_change(files)`: the files that changed, appeared or went away. It handles its own errors."""

_LOOK_INTERVAL = 1.5
"""Seconds between looks at the files while notifications work: some file systems (network, container mounts) never
notify, and an absent folder can appear between two watches. A look costs a stat for each file."""

_POLL_INTERVAL = 1.0
"""Seconds between looks while notifications do not work."""

_RETRY_NOTIFICATION = 60
"""Looks without notifications before they are tried again."""

_DEBOUNCE_MS = 400
_STEP_MS = 50

_Mark: TypeAlias = tuple[int, int, int, int]
_Marks: TypeAlias = Mapping[Path, _Mark]


async def watch_config(
    paths: Paths,
    on_change: OnChange,
    *,
    task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Call `on_change` within 2 s of a change to `mcp.json`, `ostler.toml`, an answer, a class or a service.

    It runs until it is cancelled.

    Started with `await tasks.start(watch_config, ...)`, every change after that is noticed: read the files then.
    Files and folders may be absent and may come and go. `on_change` is never called twice at once.
    """
    marks = await _marks(paths, {})
    task_status.started()
    while True:
        try:
            marks = await _follow_notifications(paths, marks, on_change)
        except (OSError, RuntimeError) as exc:
            # watchfiles reports exhausted watches and unsupported file systems by these.
            logger.warning("no file notifications for %s (%s): looking every second", paths.config_dir, exc)
            for _ in range(_RETRY_NOTIFICATION):
                await anyio.sleep(_POLL_INTERVAL)
                marks = await _report(paths, marks, on_change)


async def _follow_notifications(paths: Paths, marks: _Marks, on_change: OnChange) -> _Marks:
    """Report changes until the set of folders to watch is another one.

    Raises:
        OSError: the system gives no notifications.
        RuntimeError: watchfiles met a fault.
    """
    folders = await anyio.to_thread.run_sync(_folders_to_watch, paths)
    with RustNotify(
        [str(folder) for folder in folders],
        debug=False,
        force_polling=False,
        poll_delay_ms=int(_POLL_INTERVAL * 1000),
        recursive=False,
        ignore_permission_denied=True,
    ) as notify:
        # What changed before the watch stood is seen by this first look.
        marks = await _report(paths, marks, on_change)
        while await anyio.to_thread.run_sync(_folders_to_watch, paths) == folders:
            await _wait_for_notification(notify)
            marks = await _report(paths, marks, on_change)
    return marks


async def _wait_for_notification(notify: RustNotify) -> None:
    """Return when something happened in the folders, and after `_LOOK_INTERVAL` anyway."""
    stop = anyio.Event()
    failure: OSError | RuntimeError | None = None
    async with anyio.create_task_group() as tasks:
        # The thread checks `stop` at every step, so that a cancellation is prompt.
        tasks.start_soon(_set_when_cancelled, stop)
        try:
            await anyio.to_thread.run_sync(notify.watch, _DEBOUNCE_MS, _STEP_MS, int(_LOOK_INTERVAL * 1000), stop)
        except (OSError, RuntimeError) as exc:
            failure = exc
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _set_when_cancelled(event: anyio.Event) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        event.set()


async def _report(paths: Paths, before: _Marks, on_change: OnChange) -> _Marks:
    after = await _marks(paths, before)
    changed = frozenset(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if changed:
        await on_change(changed)
    return after


async def _marks(paths: Paths, before: _Marks) -> _Marks:
    """Return what the files are like now; where that cannot be seen, such as without a free file, what they were."""
    try:
        return await anyio.to_thread.run_sync(_look, paths)
    except OSError as error:
        logger.warning("the files in %s cannot be looked at now: %s", paths.config_dir, error)
        return before


def _look(paths: Paths) -> _Marks:
    """Return what distinguishes the present content of each file that there is."""
    marks: dict[Path, _Mark] = {}
    manifests = (*class_files_in(paths.serviceclasses_dir), *class_files_in(paths.services_dir))
    answers = paths.answers_dir.glob("*.json")
    packs = (paths.packs_dir / "packs.json", *paths.packs_dir.glob("*/*/*"))
    for path in (paths.mcp_json, paths.own_servers, paths.settings_file, *answers, *manifests, *packs):
        try:
            facts = path.stat()
        except OSError:
            continue
        marks[path] = facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino
    return marks


def _folders_to_watch(paths: Paths) -> tuple[Path, ...]:
    """Return the folders that hold the files, or, while one is absent, the nearest one above it."""
    folders: set[Path] = set()
    for folder in (paths.config_dir, paths.serviceclasses_dir, paths.packs_dir, paths.services_dir, paths.answers_dir):
        present = folder
        while not present.is_dir() and present != present.parent:
            present = present.parent
        folders.add(present)
    return tuple(sorted(folders))
