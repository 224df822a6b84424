"""One principal with the policy in force: whose services it sees, whose it changes, and which names it uses."""

from collections.abc import Callable
from typing import Final

from ostler.model.access import EVERYONE, Principal, PrincipalSettings

ALL: Final = PrincipalSettings(admin=True)
"""The policy of principals without restrictions."""

NOTHING: Final = PrincipalSettings.model_validate({"classes": (), "denyTools": ("*",)})
"""The policy of those whose policy was taken away."""


class Rights:
    """What a principal may do now. The policy is read again for each decision: a stricter one is in force at once."""

    def __init__(self, principal: Principal, policy: Callable[[str], PrincipalSettings | None]) -> None:
        """Make the rights.

        Args:
            principal: whose.
            policy: returns the policy in force by the principal's name; None: it has none.
        """
        self.principal = principal
        self._policy = policy

    def __repr__(self) -> str:
        return f"Rights({self.principal.name!r})"

    @property
    def name(self) -> str:
        """The principal's name, which is the owner of what it creates."""
        return self.principal.name

    def policy(self) -> PrincipalSettings:
        """Return the policy in force."""
        return ALL if self.principal.unrestricted else self._policy(self.name) or NOTHING

    def max_services(self, owner: str) -> int:
        """Return how many services `owner` may have at once: by its own policy, else by that of the principal."""
        policy = None if owner == self.name else self._policy(owner)
        return (policy or self.policy()).max_services

    @property
    def namespace(self) -> str:
        """What the names of its services end with; empty for those who see everything and so share all names."""
        return "" if self.policy().sees_everything else self.name

    def sees(self, owner: str, policy: PrincipalSettings | None = None) -> bool:
        """Whether it sees the services of `owner`; empty: those without one.

        Args:
            owner: whose.
            policy: the policy in force, if the caller has it.
        """
        policy = policy or self.policy()
        if owner == self.name or policy.sees_everything:
            return True
        return policy.sees_shared if not owner else owner in policy.sees or owner in policy.manages

    def manages(self, owner: str) -> bool:
        """Whether it changes the services of `owner`, and reads their secrets."""
        policy = self.policy()
        return (
            owner == self.name
            or policy.admin
            or EVERYONE in policy.manages
            or (bool(owner) and owner in policy.manages)
        )
