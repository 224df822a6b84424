"""Status in one word, for people: each change of a service as a StatusUpdate to a StatusReporter."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from ostler.engine.services.listeners import Listener
from ostler.engine.services.service import Service
from ostler.engine.services.views import ServiceView
from ostler.model.states import HealthStatus, ServiceState


class StatusWord(StrEnum):
    """What people see about a service."""

    INITIALIZING = "Initializing"
    """Nothing has been found out yet."""
    STARTING = "Starting"
    RUNNING = "Running"
    """It was started; nothing is known yet about how well it does."""
    ACTIVE = "Active"
    """It runs and is healthy, or is connected."""
    WAITING = "Waiting"
    """For a dependency, its next restart, credentials, or a connection that is being made again."""
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    FAILED = "Failed"
    UNHEALTHY = "Unhealthy"


class StatusUpdate(Struct, frozen=True):
    """How a service is, in a word and a sentence.

    Attributes:
        name: the service's name.
        service_type: its type.
        status: one of the nine words.
        detail: the cause or the reason, masked; empty when there is nothing to add.
        is_ready: whether it can be used.
        is_error: whether someone should look.
        at: since when it is so.
    """

    name: str
    service_type: str
    status: StatusWord
    detail: str
    is_ready: bool
    is_error: bool
    at: datetime


class StatusReporter(Protocol):
    """Shows people how services are."""

    def report_status(self, update: StatusUpdate) -> None:
        """Show `update`. It is called from its own thread, in order; what it raises is logged."""
        ...


_WORDS = {
    ServiceState.UNKNOWN: StatusWord.INITIALIZING,
    ServiceState.WAITING: StatusWord.WAITING,
    ServiceState.STARTING: StatusWord.STARTING,
    ServiceState.STOPPING: StatusWord.STOPPING,
    ServiceState.STOPPED: StatusWord.STOPPED,
    ServiceState.FAILED: StatusWord.FAILED,
    ServiceState.RETRYING: StatusWord.WAITING,
    ServiceState.UNREACHABLE: StatusWord.FAILED,
    ServiceState.AUTH_REQUIRED: StatusWord.WAITING,
    ServiceState.CONNECTED: StatusWord.ACTIVE,
    ServiceState.DISCONNECTED: StatusWord.WAITING,
}


def status_word(state: ServiceState, health: HealthStatus) -> StatusWord:
    """Return the word for a service in `state` with `health`."""
    if state.is_up and health is HealthStatus.UNHEALTHY:
        return StatusWord.UNHEALTHY
    if state is ServiceState.RUNNING:
        return StatusWord.ACTIVE if health is HealthStatus.HEALTHY else StatusWord.RUNNING
    return _WORDS[state]


def status_update(view: ServiceView) -> StatusUpdate:
    """Return what people see about the service in `view`."""
    word = status_word(view.state, view.health)
    is_error = word in (StatusWord.FAILED, StatusWord.UNHEALTHY) or view.state is ServiceState.AUTH_REQUIRED
    detail = (view.error or "") if is_error or word is StatusWord.WAITING else ""
    if word is StatusWord.UNHEALTHY:
        detail = view.evidence or detail
    return StatusUpdate(
        view.name,
        view.service_type,
        word,
        detail or view.reason,
        is_ready=view.state.is_up and word is not StatusWord.UNHEALTHY,
        is_error=is_error,
        at=view.state_since,
    )


class Reporting:
    """Sends an update to the reporter whenever what it would say changes."""

    def __init__(self, reporter: StatusReporter | None) -> None:
        self._reporter = Listener(reporter.report_status) if reporter is not None else None
        self._last: dict[str, tuple[StatusWord, str]] = {}

    def report(self, service: Service) -> None:
        """Report how `service` is, unless that is what was said last."""
        if self._reporter is None:
            return
        update = status_update(service.view())
        said = update.status, update.detail
        if self._last.get(update.name) == said:
            return
        self._last[update.name] = said
        self._reporter.notify(update)

    def forget(self, name: str) -> None:
        """Drop a service that is gone."""
        self._last.pop(name, None)
