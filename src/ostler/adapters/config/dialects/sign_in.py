"""How the keys of an entry that say how a client signs in are read, into Ostler's own `oauth`."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, cast
from urllib.parse import urlsplit

from ostler.adapters.config.dialects.draft import Draft, Reading
from ostler.adapters.config.dialects.readings import token_variable
from ostler.model.json import JsonObject, JsonValue, KeyPath, as_object
from ostler.model.web_addresses import LOOPBACK_HOSTS

_FIELDS: Final[Mapping[str, str]] = {
    "clientid": "clientId",
    "oauthclientid": "clientId",
    "clientsecret": "clientSecret",
    "oauthclientsecret": "clientSecret",
    "scope": "scopes",
    "scopes": "scopes",
    "oauthscopes": "scopes",
    "callbackport": "callbackPort",
    "oauthcallbackport": "callbackPort",
    "redirectport": "callbackPort",
    "redirecturi": "callbackPort",
    "redirecturl": "callbackPort",
}
"""What clients call the fields, in letters alone, and what Ostler calls them."""

_SCHEMES: Final[Mapping[str, str]] = {"bearer": "Bearer ", "basic": "Basic ", "custom": ""}

_HARMLESS: Final = frozenset({"enabled", "type", "issuer", "dynamicregistration", "autodetect", "oauth", "persist"})


def sign_in(draft: Draft, key: str, value: JsonValue) -> None:
    """An object that says how to sign in; true and false say only whether to."""
    if value is None or value == "oauth" or isinstance(value, bool):
        return
    if not isinstance(value, dict):
        draft.report((key,), f"{key!r} must be an object, such as {{'clientId': '…'}}", "bad-value", severity="warning")
        return
    for field, part in cast("JsonObject", value).items():
        _take(draft, field, part, (key, field))


def typed_sign_in(draft: Draft, key: str, value: JsonValue) -> None:
    """Mistral Vibe's `auth`: by its type, headers and a token that are sent, or how to sign in."""
    if not isinstance(value, dict) or as_object(value).get("type", "static") != "static":
        sign_in(draft, key, value)
        return
    with draft.below(key) as inner:
        inner.raw = as_object(value)
        inner.merge("headers", as_object(inner.raw.get("headers")), ("headers",))
        token_variable(inner, "api_key_env", inner.raw.get("api_key_env"))


def any_sign_in(draft: Draft, key: str, value: JsonValue) -> None:
    """What a client that is not known writes there; only a type tells Vibe's headers from how to sign in."""
    (typed_sign_in if as_object(value).get("type") == "static" else sign_in)(draft, key, value)


def sign_in_part(field: str) -> Reading:
    """One field of Ostler's `oauth`."""

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        _take(draft, field, value, (key,))

    return read


def secret_variable(draft: Draft, key: str, value: JsonValue) -> None:
    """The name of the variable, or of what the client keeps for it, with the client's secret."""
    _take(draft, "clientSecret", f"${{{value}}}" if isinstance(value, str) and value else None, (key,))


def api_key(draft: Draft, key: str, value: JsonValue) -> None:
    """A key that is sent: a text as a bearer token (Continue), or an object that says in which header (LibreChat)."""
    fields = cast("JsonObject", value) if isinstance(value, dict) else {"key": value}
    secret, kind = fields.get("key"), fields.get("authorization_type", "bearer")
    header = fields.get("custom_header") if kind == "custom" else "Authorization"
    scheme = _SCHEMES.get(str(kind))
    if isinstance(secret, str) and secret and scheme is not None and isinstance(header, str):
        draft.put("headers", header, f"{scheme}{secret}", (key, "key") if isinstance(value, dict) else (key,))
    elif value not in (None, "", {}):
        draft.report(
            (key,),
            f"{key!r} is a key that each user gives, which Ostler does not ask for; the server may refuse it",
            "no-effect",
            fix="put a token under 'headers'",
            severity="warning",
        )


def _take(draft: Draft, name: str, value: JsonValue, at: KeyPath) -> None:
    plain = re.sub(r"[^a-z]", "", name.lower())
    if value in (None, "", []) or plain in _HARMLESS or (plain == "redirectport" and value == 0):
        return
    field = _FIELDS.get(plain)
    made = _made(plain, value) if field is not None else None
    if field is None or made is None:
        draft.report(
            at,
            f"{name!r} has no effect: Ostler finds out automatically where to sign in",
            "no-effect",
            fix="ostler servers login NAME signs in",
            severity="warning",
        )
    else:
        draft.put("oauth", field, made, at)


def _made(plain: str, value: JsonValue) -> JsonValue:
    """Return the field as Ostler has it; None when it has nothing like it."""
    if plain.startswith("scope"):
        words: list[JsonValue] = list(value.split()) if isinstance(value, str) else cast("list[JsonValue]", value)
        return words
    if plain.startswith("redirect") and not isinstance(value, int):
        with suppress(ValueError):
            parts = urlsplit(value) if isinstance(value, str) else None
            if parts is not None and parts.hostname in LOOPBACK_HOSTS and parts.path == "/callback":
                return parts.port
        return None
    return value
