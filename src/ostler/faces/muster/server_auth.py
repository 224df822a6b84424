"""muster's `auth` of a server, as far as it says something that Ostler does."""

from ostler.adapters.serving.problems import near
from ostler.faces.muster.core_tool import flag_arg, text_arg
from ostler.model.errors import ArgumentError
from ostler.model.json import JsonObject, JsonValue
from ostler.rules.muster.sheet import is_mapping

AUTH_ABOUT = "type: oauth or none; a person signs in to a server that demands it (streamable-http and sse)"

_TYPES = ("oauth", "teleport", "none")
_FORWARDING = ("forwardToken", "requiredAudiences", "tokenExchange")
"""Keys that pass the caller's own token on, which Ostler never does."""

_KEYS = ("type", *_FORWARDING, "fallbackToOwnAuth", "teleport")


def auth_note(args: JsonObject) -> str:
    """Return what to add to the answer about `auth` of a server; empty when all of it is what happens anyway.

    A server that answers 401 wants someone to sign in whatever its entry says, so `oauth` and `none` need no key of
    their own in `mcp.json`.

    Raises:
        ArgumentError: `auth` is not of muster's form, or asks for what Ostler does not do.
    """
    auth: JsonValue = args.get("auth")
    if auth is None or auth == "":
        return ""
    if not is_mapping(auth):
        raise ArgumentError(["failed to parse request: auth must be an object"])
    given = dict(auth)
    if unknown := sorted(given.keys() - set(_KEYS)):
        raise ArgumentError([f'failed to parse request: unknown field "{name}"{near(name, _KEYS)}' for name in unknown])
    kind = text_arg(given, "type")
    if kind and kind not in _TYPES:
        raise ArgumentError([f"unsupported auth type: {kind} (supported: {', '.join(_TYPES)})"])
    if kind not in ("", "none") and text_arg(args, "type") == "stdio":
        raise ArgumentError(["auth configuration is only supported for remote server types (streamable-http or sse)"])
    if kind == "teleport":
        raise ArgumentError(
            ["auth type teleport is not possible here: Ostler has no identity of Teleport"],
            next_actions=("run Teleport's local proxy ('tsh proxy app'), and give its address as url",),
        )
    forwarding = [key for key in _FORWARDING if _asks(given.get(key))]
    if not forwarding:
        return ""
    said = f"auth.{' and auth.'.join(forwarding)} {'has' if len(forwarding) == 1 else 'have'} no effect"
    if not flag_arg(given, "fallbackToOwnAuth", default=True):
        raise ArgumentError(
            [f"{said}: Ostler passes no caller's token on, and fallbackToOwnAuth is false"],
            next_actions=("leave fallbackToOwnAuth out, so that a person signs in to the server",),
        )
    signs_in = f"'ostler servers login {text_arg(args, 'name')}'"
    return f"; {said}, as Ostler passes no caller's token on: a person signs in with {signs_in}"


def _asks(value: JsonValue) -> bool:
    """Whether a key that passes a token on is switched on."""
    if is_mapping(value):
        return flag_arg(dict(value), "enabled")
    return bool(value) and str(value).lower() != "false"
