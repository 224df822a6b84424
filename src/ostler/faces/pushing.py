"""Notices on their way to webhooks: what a delivery says of a service, and where trouble with one is reported."""

from collections.abc import Mapping

from ostler.adapters.webhooks import Webhooks
from ostler.engine.clock import SystemClock
from ostler.engine.events.notices import NoticeBoard
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import PROJECT_LABEL
from ostler.model.events import EventKind
from ostler.model.json import JsonObject
from ostler.model.settings import WebhookSettings


async def push_to_webhooks(
    manager: ServiceManager,
    notices: NoticeBoard,
    settings: tuple[WebhookSettings, ...],
    environment: Mapping[str, str],
) -> None:
    """Send notices to webhooks until cancelled; `environment` has the variables that `secretEnv` names."""

    def describe(name: str) -> JsonObject:
        service = manager.registry.find(name)
        if service is None:
            return {}
        view = service.view()
        facts = {"serviceClassName": view.class_name, "project": view.labels.get(PROJECT_LABEL), "owner": view.owner}
        return {key: value for key, value in facts.items() if value}

    def report(text: str) -> None:
        manager.events.append(EventKind.WARNING, message=text)

    hooks = Webhooks(settings, environment, SystemClock(), describe=describe, report=report)
    await hooks.run(notices)
