"""What a client's environment is good for when it joins: servers whose program or variables were missing so far."""

from collections.abc import Mapping
from typing import Protocol

import anyio.to_thread

from ostler.adapters.caller_environment import environment_of_caller
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.environments import LiveEnvironment, find_program


class Host(Protocol):
    """The application, as far as it is needed here."""

    @property
    def downstream(self) -> DownstreamPool:
        """The downstream servers."""
        ...

    @property
    def variables(self) -> LiveEnvironment:
        """The variables that mcp.json may name."""
        ...

    async def reload_servers(self) -> None:
        """Read mcp.json again."""
        ...


async def client_joined(host: Host, environment: Mapping[str, str] | None) -> None:
    """Take from a client's environment what was missing: variables of mcp.json, and programs of servers."""
    if environment is None:
        return
    if host.variables.take_missing(environment):
        await host.reload_servers()
    environments = host.downstream.environments
    lacking = dict(environments.lacking)
    if not lacking:
        return
    found = await anyio.to_thread.run_sync(
        lambda: [server for server, command in lacking.items() if find_program(command, environment)[0] is not None]
    )
    for server in set(found).intersection(host.downstream.names()):
        environments.remember(server, environment)
        host.downstream.probe_now(server)


async def take_variables_of_caller(host: Host) -> None:
    """Read mcp.json and the files that it names again, with the variables of the current caller."""
    host.variables.take_changed(environment_of_caller() or {})
    await host.reload_servers()
