"""`ostler servers login` and `logout`: signing in to downstream servers behind OAuth."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ostler.faces.cli.browser import open_browser
from ostler.faces.cli.next_steps import in_verbs
from ostler.faces.cli.session import ExitStatus, Session, fail, session_of
from ostler.faces.cli.shell_completion import server_names
from ostler.faces.output import complain, say
from ostler.model.errors import OstlerError

if TYPE_CHECKING:
    from mcp.shared.auth import AuthorizationCodeResult

    from ostler.adapters.signing_in.consent import Grant
    from ostler.adapters.signing_in.grants import Grants
    from ostler.model.servers import ServerEntry

ServerName = Annotated[
    str, typer.Argument(metavar="NAME", help="The server, as in mcp.json.", autocompletion=server_names)
]


def login(
    context: typer.Context,
    name: ServerName,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", metavar="SCOPE", help="A scope to ask for; repeatable. Default: what the server wants."
        ),
    ] = None,
    *,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address to open.")] = False,
    paste: Annotated[
        bool,
        typer.Option("--paste", help="The browser is on another machine: paste the address that it ends at."),
    ] = False,
) -> None:
    """Sign in to a downstream server in the browser. Its tokens are kept in the keyring, and renewed."""
    import anyio

    session = session_of(context)
    entry = _entry(session, name)
    if entry.has_own_authorization:
        fail(
            f"the entry of {name!r} has an 'Authorization' header, which is sent instead of what a sign-in gives. "
            f"Next: remove that header in mcp.json; then ostler servers login {name}",
            ExitStatus.FAILED,
        )
    grants = _grants(session)
    show = _Address(opens=not (no_browser or paste))
    grant = anyio.run(_sign_in, entry, tuple(scope or ()), show, paste)
    anyio.run(grants.keep, name, grant)
    say(f"signed in to {name!r}; the tokens are in {grants.vault.place()}")
    with session.client() as client:
        answer = client.call_tool("service_restart", {"name": name})
    if answer.is_error:
        fail(in_verbs(answer.text), ExitStatus.FAILED)
    say(answer.text)


def logout(context: typer.Context, name: ServerName) -> None:
    """Sign out of a downstream server. Its tokens are revoked, where that is possible, and forgotten."""
    import anyio

    session = session_of(context)
    grants = _grants(session)
    if not anyio.run(_sign_out, grants, _configured(session).get(name), name):
        fail(f"no one is signed in to {name!r}", ExitStatus.NOT_FOUND)
    say(f"signed out of {name!r}")
    if _is_served(session):
        with session.client() as client:
            client.call_tool("service_restart", {"name": name})


def answer(
    context: typer.Context,
    question: Annotated[str, typer.Argument(metavar="ID", help="The id in ${input:ID}.")],
    *,
    forget: Annotated[bool, typer.Option("--forget", help="Forget the answer instead.")] = False,
) -> None:
    """Answer a question of an entry from VS Code: ${input:ID}. The answer is not shown, and is kept in the keyring."""
    from ostler.adapters.signing_in.vault import Vault

    paths = session_of(context).paths
    paths.create_state()  # the first server refuses a folder that others may read
    vault = Vault(paths.answers_dir)
    if forget:
        if not vault.delete(question):
            fail(f"there is no answer to {question!r}", ExitStatus.NOT_FOUND)
        say(f"forgot the answer to {question!r}")
        return
    text = typer.prompt(question, hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not text:
        fail("an answer is needed: type it, or send it on stdin", ExitStatus.USAGE)
    vault.set(question, text)
    say(f"the answer to {question!r} is in {vault.place()}; servers that ask for it are read again")


class _Address:
    """Shows a person where to consent."""

    def __init__(self, *, opens: bool) -> None:
        self._opens = opens

    async def __call__(self, url: str) -> None:
        import anyio.to_thread

        opened = self._opens and await anyio.to_thread.run_sync(open_browser, url, abandon_on_cancel=True)
        say("Your browser opens; consent there. Its address:" if opened else "Open this address in a browser:")
        say(url, flush=True)


def _is_served(session: Session) -> bool:
    try:
        connection, _ = session.place.dial()
    except OSError:
        return False
    connection.close()
    return True


async def _sign_in(entry: "ServerEntry", scopes: tuple[str, ...], show: _Address, paste: bool) -> "Grant":
    from ostler.adapters.signing_in.callback import Callback, open_callback
    from ostler.adapters.signing_in.login import sign_in

    port = entry.oauth.callback_port if entry.oauth is not None else None
    if paste:
        callback = Callback(port or 8765)

        async def wait() -> "AuthorizationCodeResult":
            while True:
                try:
                    callback.take(typer.prompt("The address that the browser ended at"))
                    return await callback.wait()
                except ValueError as error:
                    complain(str(error))

        return await sign_in(entry, callback.url, show=show, wait=wait, scopes=scopes)
    async with open_callback(port or 0) as callback:
        return await sign_in(entry, callback.url, show=show, wait=callback.wait, scopes=scopes)


async def _sign_out(grants: "Grants", entry: "ServerEntry | None", name: str) -> bool:
    from ostler.adapters.signing_in.login import revoke

    if entry is not None:
        try:
            grant = await grants.of(entry)
        except OstlerError as error:
            complain(str(error))
            grant = None
        if grant is not None and not await revoke(grant):
            complain("the tokens could not be revoked; they end by their own time")
    return await grants.forget(name)


def _entry(session: Session, name: str) -> "ServerEntry":
    """Return the server's entry; one that cannot be signed in to ends the command."""
    from ostler.model.servers import OVER_HTTP

    entries = _configured(session)
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        fail(
            f"mcp.json has no server {name!r} that can be used; it has: {known}. Next: ostler servers shows them all",
            ExitStatus.NOT_FOUND,
        )
    entry = entries[name]
    if entry.transport not in OVER_HTTP:
        fail(f"server {name!r} is a program on this machine; there is nothing to sign in to", ExitStatus.FAILED)
    return entry


def _configured(session: Session) -> "dict[str, ServerEntry]":
    from ostler.adapters.config.server_files import ServerFiles

    return dict(ServerFiles(session.paths, os.environ).load().entries)


def _grants(session: Session) -> "Grants":
    from ostler.adapters.signing_in.grants import Grants
    from ostler.adapters.signing_in.vault import Vault

    session.paths.create_state()  # the first server refuses a folder that others may read
    return Grants(Vault(session.paths.secrets_dir))


def add_to(group: typer.Typer) -> None:
    """Add the verbs to those about servers."""
    group.command()(login)
    group.command()(logout)
    group.command()(answer)
