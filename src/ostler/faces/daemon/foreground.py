"""`ostler serve --foreground` and `--http`: the server in this process, for debugging, containers and systemd."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.version import VERSION
from ostler.faces.daemon.lean_imports import import_lean
from ostler.faces.daemon.lock import StateLock
from ostler.faces.daemon.logs import log_format, set_up_logging
from ostler.faces.output import complain
from ostler.model.errors import OstlerError
from ostler.model.web_addresses import is_web_address, without_user

if TYPE_CHECKING:
    from ostler.adapters.access.token_file import TokenFile
    from ostler.faces.daemon.forwarding import Forwarder
    from ostler.faces.daemon.http import HttpSettings
    from ostler.faces.daemon.http_tls import Certificate
    from ostler.faces.mcp.toolbox import Toolset
    from ostler.model.settings import Settings


def run_foreground(
    paths: Paths,
    *,
    stdio: bool,
    http: str | None,
    allowed_hosts: tuple[str, ...] = (),
    stop_on_exit: bool = False,
    stand_by: bool = False,
    toolset: "Toolset" = "full",
    log_level: str = "info",
    tls: tuple[Path, Path] | None = None,
    advertise: str = "",
) -> int:
    """Run the server here until its stdio client leaves or a signal comes; return the exit status.

    Args:
        paths: the folders.
        stdio: serve a client on stdio, and end with it.
        http: `HOST:PORT` or `:PORT` to serve streamable HTTP at.
        allowed_hosts: Host headers accepted besides those of loopback and of the settings.
        stop_on_exit: stop every service at the end.
        stand_by: wait while another server holds the database; over HTTP, pass requests on to that one meanwhile.
        toolset: which tools clients see.
        tls: the files of the certificate and of its key, to serve https.
        log_level: `debug`, `info`, `warning` or `error`.
        advertise: the URL at which other servers of the database reach this one; empty finds it out.
    """
    place = ServerPlace(paths)
    lock = StateLock(place, version=VERSION, stands_by=stand_by)
    try:
        lock.acquire()
    except (OstlerError, OSError) as error:
        complain(str(error))
        return 1
    import_lean()
    set_up_logging(log_level, form=log_format(paths.settings_file))

    from ostler.adapters.stores.standing_by import Waiting
    from ostler.faces.daemon.hosted_application import application_source
    from ostler.faces.daemon.http_faults import HttpSettingsError
    from ostler.faces.daemon.process import ServerSettings, run_server

    try:
        names = (*allowed_hosts, *_advertised_host(advertise))
        settings = None if http is None else http_settings(paths, http, names, tls)
        forwarder = _forwarder(paths, settings, toolset) if stand_by and settings is not None else None
    except (HttpSettingsError, OstlerError) as error:
        lock.release()
        complain(str(error))
        return 2
    standby = forwarder or (Waiting() if stand_by else None)
    source = application_source(paths, toolset=toolset, stop_on_exit=stop_on_exit, standby=standby)
    return run_server(
        ServerSettings(
            place, lock, source, background=False, http=settings, stdio=stdio, announce=complain, forwarder=forwarder,
            advertise=advertise,
        )
    )  # fmt: skip


def _forwarder(paths: Paths, http: "HttpSettings", toolset: "Toolset") -> "Forwarder":
    """Return the application that answers until this server holds the database.

    Raises:
        OstlerError: the settings are wrong.
    """
    from ostler.faces.daemon.forwarding import Forwarder
    from ostler.faces.replicas.replica import Replica

    return Forwarder(VERSION, http.tls, reader=Replica(paths, http, version=VERSION, toolset=toolset))


def _advertised_host(url: str) -> tuple[str, ...]:
    """Return the host of `url`, none if it is empty.

    Raises:
        HttpSettingsError: it is not a URL of a server.
    """
    from urllib.parse import urlsplit

    from ostler.faces.daemon.http_faults import HttpSettingsError

    if not url:
        return ()
    parts = urlsplit(url) if is_web_address(url) else None
    if parts is None or parts.path.strip("/") or parts.query or "@" in parts.netloc:
        raise HttpSettingsError(f"--advertise {without_user(url)!r} is not like http://HOST:PORT")
    return (parts.hostname or "",)


def _tokens(paths: Paths, settings: "Settings") -> "TokenFile | None":
    """Return the file of tokens, if there is one.

    Raises:
        ManifestError: it is broken, or others may read it.
    """
    from ostler.adapters.access.token_file import TokenFile, read_tokens
    from ostler.faces.configuration import tokens_path

    path = tokens_path(paths, settings)
    if settings.http.tokens_file is None and not path.exists():
        return None
    read_tokens(path)
    return TokenFile(path)


def _certificate(chain: Path, key: Path) -> "Certificate":
    """Load the certificate and return it.

    Raises:
        HttpSettingsError: it cannot be used.
    """
    import ssl

    from ostler.faces.daemon.http_faults import HttpSettingsError
    from ostler.faces.daemon.http_tls import Certificate, CertificateError

    certificate = Certificate(chain.absolute(), key.absolute())
    try:
        certificate.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    except CertificateError as error:
        raise HttpSettingsError(str(error)) from error
    return certificate


def http_settings(
    paths: Paths, address: str, allowed_hosts: tuple[str, ...], tls: tuple[Path, Path] | None
) -> "HttpSettings":
    """Return how a server is served over HTTP: as its settings file says, at this address.

    Args:
        paths: where the settings and tokens are.
        address: the host and the port to listen on, as `host:port`.
        allowed_hosts: names that requests may use, besides those of the settings.
        tls: the files of the certificate and its key; None for plain HTTP.

    Raises:
        HttpSettingsError: these settings cannot be served, and why.
        ManifestError: the settings file or the file of tokens is wrong or cannot be read.
    """
    from ostler.adapters.config.settings_file import load_settings
    from ostler.faces.daemon.http import TOKEN_VARIABLE, HttpSettings, parse_address
    from ostler.faces.daemon.http_faults import HttpSettingsError

    in_force = load_settings(paths.settings_file)
    written = in_force.http
    try:
        token = os.environ.get(TOKEN_VARIABLE) or written.bearer_token(os.environ) or ""
    except ValueError as error:
        raise HttpSettingsError(str(error)) from error
    host, port = parse_address(address)
    settings = HttpSettings(
        host,
        port,
        token=token,
        allowed_hosts=(*written.allowed_hosts, *allowed_hosts),
        allowed_origins=written.allowed_origins,
        tokens=_tokens(paths, in_force),
        oauth=in_force.oauth,
        tls=None if tls is None else _certificate(*tls),
    )
    settings.check()
    return settings
