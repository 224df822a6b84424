"""What becomes of the database while the server runs: reported, and the server's end when another one has it."""

import logging

from ostler.adapters.stores.choice import WatchedStore
from ostler.engine.events.log import EventLog
from ostler.model.errors import StoreError
from ostler.model.events import EventKind

logger = logging.getLogger(__name__)


async def watch_store(store: WatchedStore, events: EventLog) -> None:
    """Report when the database is lost and when it is back.

    Raises:
        StoreHeldError: this server will never use the database again, and has to end.
    """

    def changed(trouble: StoreError | None) -> None:
        text = f"operations are refused: {trouble}" if trouble else "the database is back, and operations go on"
        logger.warning("%s", text)
        events.append(EventKind.WARNING, message=text)

    store.on_trouble(changed)
    raise await store.wait_taken_over()
