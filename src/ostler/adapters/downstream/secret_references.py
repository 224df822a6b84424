"""Secrets that an entry only refers to, `${secret:keyring:github/ci}`: looked up when its server is connected."""

from collections.abc import Mapping
from typing import Final

import anyio
import anyio.to_thread

from ostler.adapters.caller_environment import without_own
from ostler.adapters.downstream.header_helpers import run_helper
from ostler.adapters.downstream.loss import ConnectFailedError
from ostler.adapters.environments import Environments
from ostler.adapters.regular_files import expanded, read_regular_text
from ostler.adapters.signing_in.vault import is_keyring_off
from ostler.model.servers import ServerEntry
from ostler.rules.secrets.secret_marks import LIKE_REFERENCE

_MAX_BYTES: Final = 64 * 1024
_SECONDS: Final = 15.0
"""Seconds for one look-up: a keyring may ask its owner to unlock it."""


async def with_secrets(entry: ServerEntry, environments: Environments) -> ServerEntry:
    """Return the entry with what it refers to; it is masked wherever something of the server is shown.

    Only what was written as a reference is looked up, not a text that came from a variable.

    Raises:
        ConnectFailedError: a secret cannot be found; the text names the reference and what to do.
    """
    if not entry.references:
        return entry
    environment = without_own(await environments.of(entry.name))
    found: dict[str, str] = {}
    for reference in entry.references:
        try:
            found[reference] = await look_up(reference, environment)
        except MissingSecretError as error:
            where = reference.removeprefix("${secret:").removesuffix("}")  # as a whole it is masked in some places
            raise ConnectFailedError(f"the secret '{where}' of its entry in mcp.json is missing: {error}") from None

    def filled(text: str) -> str:
        return LIKE_REFERENCE.sub(lambda match: found.get(match[0], match[0]), text)

    return entry.model_copy(
        update={
            "args": tuple(map(filled, entry.args)),
            "env": {name: filled(value) for name, value in entry.env.items()},
            "headers": {name: filled(value) for name, value in entry.headers.items()},
            "url": filled(entry.url),
            "secret_parts": tuple(sorted({*entry.secret_parts, *found.values()})),
        }
    )


class MissingSecretError(Exception):
    """A reference leads to nothing; the text says why and what to do."""


async def look_up(reference: str, environment: Mapping[str, str]) -> str:
    """Return the secret that a well-formed `reference` leads to.

    Raises:
        MissingSecretError: there is none, or nothing answers.
    """
    try:
        with anyio.fail_after(_SECONDS):
            return await _found_at(reference, environment)
    except TimeoutError:
        raise MissingSecretError(f"nothing answered within {_SECONDS:g} s") from None


async def _found_at(reference: str, environment: Mapping[str, str]) -> str:
    match = LIKE_REFERENCE.fullmatch(reference)
    assert match is not None, "the loader takes no other"
    what = match["what"]
    match match["kind"]:
        case "env":
            value = environment.get(what, "")
            hint = f"the variable {what!r} is not set; set it where Ostler is started"
        case "file":
            value, hint = await anyio.to_thread.run_sync(_in_file, what)
        case "keyring":
            value, hint = await anyio.to_thread.run_sync(_in_keyring, what, abandon_on_cancel=True)
        case _:
            value, hint = await _printed(what, environment)
    if not value:
        raise MissingSecretError(hint)
    return value


def _in_file(path: str) -> tuple[str, str]:
    try:
        text = read_regular_text(expanded(path), _MAX_BYTES).rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        return "", f"the file {path!r} cannot be read ({why}); write it, readable by you alone"
    return text, f"the file {path!r} is empty; write the secret into it"


def _in_keyring(what: str) -> tuple[str, str]:
    service, _, account = what.partition("/")
    how = f"store it with 'keyring set {service} {account}'"
    if is_keyring_off():
        return "", f"there is no keyring in the session of this process; {how} there"
    try:
        import keyring  # noqa: PLC0415 (takes a tenth of a second, and is seldom needed)

        found = keyring.get_password(service, account)
    except Exception as error:  # noqa: BLE001 (boundary: backends raise what their desktops do)
        return "", f"the keyring cannot be read ({error or type(error).__name__}); unlock it"
    return found or "", f"the keyring has no {account!r} of {service!r}; {how}"


async def _printed(line: str, environment: Mapping[str, str]) -> tuple[str, str]:
    said, code, complaint = await run_helper(line, environment)
    problem = f": {complaint}" if complaint else ""
    if code != 0:
        ended = "did not end in time" if code is None else f"ended with {code}"
        return "", f"the command {ended}{problem}; run it yourself to see why"
    return said.decode("utf-8", "replace").strip("\r\n"), f"the command printed nothing{problem}"
