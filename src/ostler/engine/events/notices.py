"""Events worth interrupting someone for: a crash, an unhealthy service, an expired lease, a recovery."""

from collections.abc import Callable

from msgspec import Struct

from ostler.engine.events.log import EventReader
from ostler.model.events import Event, EventKind, NoticeKind
from ostler.model.states import HealthStatus, ServiceState

_UP = frozenset(state.value for state in ServiceState if state.is_up)
_DOWN = frozenset({ServiceState.FAILED.value, ServiceState.RETRYING.value, ServiceState.DISCONNECTED.value})
_NOTICEABLE = frozenset(
    {EventKind.STATE_CHANGED, EventKind.HEALTH_CHANGED, EventKind.LEASE_EXPIRED, EventKind.SERVICE_DELETED}
)


class Notice(Struct, frozen=True):
    """One of these facts.

    Attributes:
        kind: which.
        event: the event that it is about.
    """

    kind: NoticeKind
    event: Event

    @property
    def text(self) -> str:
        """One sentence for people and models."""
        name, said = self.event.service, self.event.message
        match self.kind:
            case NoticeKind.CRASHED:
                return f"service {name} crashed ({said})"
            case NoticeKind.UNHEALTHY:
                return f"service {name} is unhealthy ({said})"
            case NoticeKind.LEASE_EXPIRED:
                return f"the lease of service {name} ended, and it is being stopped"
            case NoticeKind.RECOVERED:
                return f"service {name} recovered ({said})"


class NoticeBoard:
    """Finds notices among events, and passes each on to its listeners, in order.

    A recovery is of a service whose trouble was noticed, whether its restart policy or a request brought it back.
    """

    def __init__(self, events: EventReader) -> None:
        self._troubled: dict[str, NoticeKind] = {}
        self._listeners: dict[object, Callable[[Notice], None]] = {}
        events.subscribe(self._happened)

    def __repr__(self) -> str:
        return f"NoticeBoard({len(self._troubled)} services in trouble)"

    def subscribe(self, listener: Callable[[Notice], None]) -> Callable[[], None]:
        """Call `listener` for each notice; it must be quick. Returns what ends that (idempotent)."""
        token = object()
        self._listeners[token] = listener

        def leave() -> None:
            self._listeners.pop(token, None)

        return leave

    def _happened(self, event: Event) -> None:
        kind = self._kind_of(event) if event.kind in _NOTICEABLE else None
        if kind is None:
            return
        notice = Notice(kind, event)
        for listener in list(self._listeners.values()):
            listener(notice)

    def _kind_of(self, event: Event) -> NoticeKind | None:
        before, now = event.data.get("from"), event.data.get("to")
        found: NoticeKind | None = None
        match event.kind:
            case EventKind.STATE_CHANGED if now in _DOWN and before in _UP:
                found = self._troubled[event.service] = NoticeKind.CRASHED
            case EventKind.STATE_CHANGED if now in _UP and self._troubled.get(event.service) is NoticeKind.CRASHED:
                del self._troubled[event.service]
                found = NoticeKind.RECOVERED
            case EventKind.HEALTH_CHANGED if (
                now == HealthStatus.UNHEALTHY.value and event.service not in self._troubled
            ):
                found = self._troubled[event.service] = NoticeKind.UNHEALTHY
            case EventKind.HEALTH_CHANGED if (
                now == HealthStatus.HEALTHY.value and self._troubled.get(event.service) is NoticeKind.UNHEALTHY
            ):
                del self._troubled[event.service]
                found = NoticeKind.RECOVERED
            case EventKind.LEASE_EXPIRED:
                found = NoticeKind.LEASE_EXPIRED
            case EventKind.SERVICE_DELETED:
                self._troubled.pop(event.service, None)
            case _:
                pass
        return found
