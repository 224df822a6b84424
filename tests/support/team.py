"""Principals with policies over one ledger application."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcp.client import Client
from tests.support.ledger_app import LedgerApplication, server_over

from ostler.faces.access.principals import Principals
from ostler.model.access import LOCAL_PRINCIPAL, Principal
from ostler.model.settings import Settings


class Trail:
    """An audit log in memory."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    async def record(self, facts: Mapping[str, Any]) -> None:
        self.lines.append(dict(facts))

    def told(self) -> list[tuple[str, str, str, str]]:
        return [(line["who"], line["action"], line["target"], line["outcome"]) for line in self.lines]


class Team:
    """Principals over one ledger application, with the policies of a settings file."""

    def __init__(
        self,
        app: LedgerApplication,
        policies: dict[str, dict[str, Any]],
        trail: Trail,
        starts: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.app = app
        self.trail = trail
        self.policies = policies
        self.principals = Principals(app, self._settings, trail, starts=starts or {})

    def _settings(self) -> Settings:
        return Settings.model_validate({"principals": self.policies})

    def application(self, name: str) -> Any:
        return self.principals.application(LOCAL_PRINCIPAL if name == "local" else Principal(name))

    def application_of(self, principal: Principal) -> Any:
        return self.principals.application(principal)

    def client(self, name: str, toolset: Any = "full", **options: Any) -> Client:
        return Client(server_over(self.application(name), toolset), **options)
