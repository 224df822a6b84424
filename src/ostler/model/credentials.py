"""Which texts are credentials, recognised by their names and their form.

A path, a host or a level is shown: an entry with everything hidden explains nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

_SECRET_WORDS: Final = frozenset({
    "auth", "authorization", "bearer", "cookie", "credential", "credentials", "creds", "dsn", "jwt", "key", "keys",
    "masterauth", "pass", "passphrase", "passwd", "password", "passwords", "pat", "pin", "pw", "pwd", "requirepass",
    "secret", "secrets", "sid", "signature", "token", "tokens",
})  # fmt: skip
_SECRET_PART: Final = re.compile(r"token|secret|passw|apikey|api_key|credential|privatekey|accesskey", re.IGNORECASE)
_HARMLESS_ENDS: Final = frozenset({
    "algorithm", "dir", "directory", "enabled", "endpoint", "env", "expiry", "file", "filename", "folder", "header",
    "helper", "home", "host", "id", "issuer", "length", "limit", "method", "mode", "name", "path", "port", "provider",
    "scheme", "size", "timeout", "ttl", "type", "uri", "url", "var",
})  # fmt: skip
"""Last words of names that are about a secret but do not hold it: `TOKEN_FILE`, `AUTH_TYPE`, `--token-env`."""

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_KNOWN_LOOKS: Final = re.compile(
    r"(?:sk|pk|rk)[-_][A-Za-z0-9_-]{12,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abposr]-[\w-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(?:ntn|lin_api|pat|npm|hf|dop_v1|shpat|sq0[a-z]{3})[_-][A-Za-z0-9_-]{16,}"
)
_RANDOM: Final = re.compile(r"(?=[^A-Za-z]*[A-Za-z])(?=[^0-9]*[0-9])[A-Za-z0-9+/_=-]{20,}")
_NAME_PART: Final = re.compile(r"[a-z]*\d{0,4}[a-z]*")
_LONG_WORD: Final = 5
"""Letters, at least, of the longest word in a name such as `mcp-neo4j-data-modeling`; random texts have none."""

_UUID_OR_HASH: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_PATH: Final = re.compile(r"(?:~|\.{0,2})/[\w.@%+,= -]|[A-Za-z]:[\\/]")
_PAIR: Final = re.compile(r"(?P<name>--?[A-Za-z][\w.-]*|[A-Za-z_][\w.-]*)=(?P<value>.*)", re.DOTALL)
_HEADER: Final = re.compile(r"(?P<name>(?:--?)?[A-Za-z][A-Za-z0-9-]*)\s*:\s*(?P<value>\S.*)", re.DOTALL)
_SCHEME: Final = re.compile(r"(?<![\w$-])(?:Bearer|Basic|Token|ApiKey|Digest)\s+(?P<rest>(?![$-])\S+)", re.IGNORECASE)
_URL: Final = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]+://[^\s'\"]+")
_VALUE: Final = r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s;,&\"'$][^\s;,&\"']*)"
_ASSIGNED: Final = re.compile(r"(?<![\w.-])(?P<name>(?:--?)?[A-Za-z_][\w.-]*)\s*=\s*" + _VALUE)
_IN_JSON: Final = re.compile(r'"(?P<name>[^"\\]{1,80})"\s*:\s*"(?P<value>(?:[^"\\]|\\.)*)"')
_WITHIN: Final = (
    _ASSIGNED,
    re.compile(r"(?<![\w.-])(?P<name>--?[A-Za-z][\w.-]*)\s+(?!-)" + _VALUE),
    _IN_JSON,
)
"""Pairs in connection strings and queries, options of command lines, and pairs in JSON."""

_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<body>.*?)(?:-----END|$)", re.DOTALL)
_LOGINS: Final = frozenset({"-u", "--user", "--proxy-user", "--login"})
"""Options whose value may be `user:password`."""

_PROGRAM_OPTIONS: Final = (
    (re.compile(r"(?:mysql|mariadb)\w*(?:\W\w+)*|mycli|7z[arz]?"), ("-p",), False),
    (re.compile(r"sshpass|mongo(?:sh|dump|restore|export|import)?"), ("-p",), True),
    (re.compile(r"redis-(?:cli|benchmark)|valkey-cli"), ("-a",), True),
    (re.compile(r"mosquitto_(?:pub|sub|rr)|sqlcmd|bcp|zip|unzip"), ("-P",), True),
    (re.compile(r"ldap(?:search|add|modify|delete|whoami)"), ("-w",), True),
    (re.compile(r"login"), ("-p",), True),  # docker, podman, helm registry, oc, az
)
"""Programs, their options of one letter for a password, and whether that may also be the next argument."""

_NEXT_COMMAND: Final = frozenset({"&&", "||", ";", "|", "&"})

_PLAIN: Final = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null", ""})
_MOST_ARGS: Final = 1000
_BEFORE_SCHEME: Final = 4
"""Characters before `Bearer X` in which a colon or an equals sign makes it a header."""
_OPTION_LENGTH: Final = len("-p")
_SHORTEST_LINE: Final = 16
"""Characters, at least, of a line of a private key that is masked on its own, too."""


def is_secret_name(name: str) -> bool:
    """Whether a variable, option, header or query key of this name holds a secret."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _HARMLESS_ENDS or name == "PWD":
        return False
    return bool(_SECRET_WORDS.intersection(words) or _SECRET_PART.search(name))


def looks_secret(value: str) -> bool:
    """Whether `value` looks like a credential: it has a known prefix, or is a long run of random letters and digits."""
    if _KNOWN_LOOKS.search(value):
        return True
    is_plain = _UUID_OR_HASH.fullmatch(value) or _PATH.match(value) or _is_worded(value)
    return not is_plain and _RANDOM.fullmatch(value) is not None


def _is_worded(value: str) -> bool:
    """Whether `value` is a name made of words, as of packages: `mcp-neo4j-data-modeling`, `k8s_tools_server_v2`."""
    parts = value.replace("_", "-").split("-")
    words = [part for part in parts if part.isalpha()]
    return (
        2 * len(words) >= len(parts) > 1
        and max(map(len, words)) >= _LONG_WORD
        and all(map(_NAME_PART.fullmatch, parts))
    )


def secrets_in_environment(environment: Mapping[str, str], *, by_looks: bool = True) -> Iterator[str]:
    """Yield the secret values of `environment`, whole, and the passwords in its URLs.

    Args:
        environment: values by name.
        by_looks: also what looks like a secret (`looks_secret`), whatever its name.
    """
    for name, value in environment.items():
        yield from _of_pair(name, value, by_looks=by_looks)


def secrets_in_arguments(args: Sequence[str], *, by_looks: bool = True) -> Iterator[str]:
    """Yield the credentials in a program's arguments.

    `--token X`, `--api-key=X`, `NAME=X` (as after `docker run -e`), `Authorization: Bearer X` and other headers of
    secret names, `-u user:X`, `mysql -pX` and the like, and what `_in_text` finds. `by_looks` as above.
    """
    yield from _of_programs(args[:_MOST_ARGS])
    previous = ""
    for arg in args[:_MOST_ARGS]:
        if previous.startswith("-") and "=" not in previous and not arg.startswith("-") and is_secret_name(previous):
            yield from _of_pair(previous, arg, by_looks=by_looks)
        if previous in _LOGINS:
            yield from _of_login(arg)
        previous = arg
        if pair := _PAIR.fullmatch(arg):
            yield from _of_pair(pair["name"], pair["value"], by_looks=by_looks)
        text = pair["value"] if pair else arg
        if (header := _HEADER.fullmatch(text)) and not header["value"].startswith("//"):
            yield from _of_header(header["name"], header["value"])
        for scheme in _SCHEME.finditer(text):
            before = text[max(0, scheme.start() - _BEFORE_SCHEME) : scheme.start()]
            if by_looks or before.rstrip().endswith((":", "=")):
                yield scheme["rest"].strip("\"'")
        yield from _in_text(text, by_looks=by_looks)


def credential_places(text: str) -> Iterator[tuple[int, int]]:
    """Yield from where to where credentials are in a line: values of secret names, and keys of a known form."""
    for pair in (found for form in (_ASSIGNED, _IN_JSON) for found in form.finditer(text)):
        if is_secret_name(pair["name"]) and pair["value"].strip("\"'").lower() not in _PLAIN:
            yield pair.span("value")
    for found in _KNOWN_LOOKS.finditer(text):
        yield found.span()


def secrets_in_headers(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield the values of `headers`, and of `Bearer x` also `x` alone."""
    for value in headers.values():
        yield value
        scheme, _, credentials = value.partition(" ")
        if credentials and scheme.isalpha():
            yield credentials.strip()


def secrets_in_url(url: str, *, every_query: bool = True) -> Iterator[str]:
    """Yield the password, the user where there is no password, and query values of `url`, as written and decoded.

    Args:
        url: any text; what is not a URL has no secrets.
        every_query: all query values, not only those of secret names.
    """
    if not url:
        return
    try:
        parts = urlsplit(url)
        password, user = parts.password, parts.username
    except ValueError:  # not a URL at all; the loader has reported it
        return
    for pair in parts.query.split("&"):
        name, _, value = pair.partition("=")
        if value and (every_query or is_secret_name(name) or looks_secret(value)):
            yield value
            yield from (decoded for _, decoded in parse_qsl(pair))
    for text in (password, user if user and password is None and looks_secret(user) else None):
        if text:
            yield text
            yield unquote(text)


def _of_pair(name: str, value: str, *, by_looks: bool) -> Iterator[str]:
    if is_secret_name(name) and value.lower() not in _PLAIN:
        yield value
        if scheme := _SCHEME.fullmatch(value):
            yield scheme["rest"]
    else:
        yield from _in_text(value, by_looks=by_looks)


def _of_header(name: str, value: str) -> Iterator[str]:
    if is_secret_name(name):
        yield value
        if scheme := _SCHEME.fullmatch(value):
            yield scheme["rest"]


def _of_login(value: str) -> Iterator[str]:
    user, _, password = value.partition(":")
    if password and password != user and not password.isdecimal():  # else ids, as after `docker run -u`
        yield password


def _of_programs(args: Sequence[str]) -> Iterator[str]:
    """Yield the passwords in options of one letter, of programs that are known to have them."""
    options: tuple[str, ...] = ()
    may_follow = False
    previous = ""
    for arg in args:
        name = arg.rpartition("/")[2].lower().removesuffix(".exe")
        for pattern, letters, follows in _PROGRAM_OPTIONS:
            if pattern.fullmatch(name):
                options, may_follow = letters, follows
        if arg in _NEXT_COMMAND:
            options, may_follow = (), False
        if may_follow and previous in options:
            yield arg
        elif arg.startswith(options) and len(arg) > _OPTION_LENGTH and options:
            yield arg[_OPTION_LENGTH:]
        previous = arg


def _in_text(text: str, *, by_looks: bool) -> Iterable[str]:
    """Yield the credentials in any text.

    Passwords and secret queries of URLs, values of secret names in JSON, connection strings and command lines, private
    keys, and what looks like a key wherever it stands.
    """
    for pair in (found for form in _WITHIN for found in form.finditer(text)):
        value = pair["value"].strip("\"'")
        if is_secret_name(pair["name"]) and value.lower() not in _PLAIN:
            yield value
            if scheme := _SCHEME.fullmatch(value):
                yield scheme["rest"]
    if len(words := text.split(maxsplit=_MOST_ARGS)) > 1:
        yield from (word.strip("\"'") for word in _of_programs(words))
        for option, word in pairwise(words):
            yield from _of_login(word.strip("\"'")) if option in _LOGINS else ()
    for key in _PRIVATE_KEY.finditer(text):
        yield key["body"]
        yield from (line for line in key["body"].splitlines() if len(line) >= _SHORTEST_LINE)
    for url in _URL.findall(text):
        yield from secrets_in_url(url.lstrip("0123456789+.-"), every_query=False)
    if by_looks and looks_secret(text):
        yield text
    yield from _KNOWN_LOOKS.findall(text)
