"""The application that each principal gets, over the one that there is."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from ostler.adapters.access.audit_log import AuditTrail
from ostler.faces.access.acting import Account
from ostler.faces.access.guarded_application import GuardedApplication
from ostler.faces.access.rights import Rights
from ostler.faces.access.seen_services import Owners
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.access import Principal, PrincipalSettings, policy_of
from ostler.model.settings import Settings

MAX_ACCOUNTS: Final = 10_000
"""Principals whose starts are counted; those who came first are forgotten first."""


class Principals:
    """Makes the guarded applications. What a principal has used up counts over all its connections."""

    def __init__(
        self,
        app: ApplicationLike,
        settings: Callable[[], Settings],
        trail: AuditTrail | None = None,
        *,
        starts: Mapping[str, Sequence[float]] = MappingProxyType({}),
    ) -> None:
        """Prepare.

        Args:
            app: the application itself.
            settings: returns the settings in force.
            trail: where changes are recorded; None records none.
            starts: how many seconds before now principals started something, by name, as the audit log has it.
        """
        self._app = app
        self._settings = settings
        self._trail = trail
        self._owners: Owners | None = None
        self._accounts = {name: Account(ages) for name, ages in starts.items()}

    def __repr__(self) -> str:
        return f"Principals({len(self._accounts)} known)"

    def policy(self, name: str) -> PrincipalSettings | None:
        """Return the policy in force of the principal `name`; None if it has none."""
        return policy_of(self._settings().principals, name)

    def application(self, principal: Principal) -> ApplicationLike:
        """Return the application for `principal`: the one that there is if nothing is forbidden or recorded."""
        if principal.unrestricted and self._trail is None:
            return self._app
        if self._owners is None:
            self._owners = Owners(self._app.manager.registry, self._app.manager.events)
        rights = Rights(principal, self.policy)
        return GuardedApplication(self._app, rights, self._account(principal.name), self._owners, self._trail)

    def _account(self, name: str) -> Account:
        if name not in self._accounts and len(self._accounts) >= MAX_ACCOUNTS:
            del self._accounts[next(iter(self._accounts))]
        return self._accounts.setdefault(name, Account())
