"""What a change of ostler.toml does while the server runs."""

from collections.abc import Callable

import anyio.to_thread

from ostler.adapters.config.live_settings import LiveSettings
from ostler.adapters.downstream.pool import DownstreamPool


async def settings_changed(live: LiveSettings, downstream: DownstreamPool, tell: Callable[[str], None]) -> None:
    """Take in force what can be, and say what waits for a restart, or what is wrong.

    Args:
        live: the settings in force.
        downstream: whose tools may be called or not from now on.
        tell: takes a sentence for the events.
    """
    changed = await anyio.to_thread.run_sync(live.settle)
    for finding in live.findings:
        tell(f"{finding}; the settings stay as they are")
    if changed:
        tell(f"ostler.toml changed; in force now: {', '.join(changed)}")
        downstream.announce()  # what may be called decides which classes are available
    if live.waiting:
        tell(f"ostler.toml changed; when the server starts again (ostler stop-server): {', '.join(live.waiting)}")
