"""The certificate for https, checked before anything listens, and reloaded when it is renewed."""

import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from msgspec import Struct

from ostler.adapters.regular_files import Stamp, stamp_of

if TYPE_CHECKING:
    from cryptography import x509

RELOAD: Final = 30.0
"""Seconds between two looks at the files: a renewed certificate is used for new connections, without a restart."""

_WARN_BEFORE: Final = timedelta(days=14)
_WARN_EVERY: Final = 24 * 3600.0

logger = logging.getLogger(__name__)


class CertificateError(Exception):
    """The certificate cannot be used; the text says what to change."""


class Certificate(Struct, frozen=True):
    """The files of a certificate.

    Attributes:
        chain: the certificate and those that lead to its authority, PEM.
        key: its private key, PEM, without a passphrase.
    """

    chain: Path
    key: Path

    def load_into(self, context: ssl.SSLContext) -> None:
        """Load the certificate into `context`; on an error, `context` stays as it was.

        Raises:
            CertificateError: the files cannot be read, or do not belong together.
        """
        for option, path in (("--tls-cert", self.chain), ("--tls-key", self.key)):
            try:
                path.read_bytes()
            except OSError as error:
                raise CertificateError(f"{option} {path} cannot be read: {error.strerror}") from error
        try:
            # A context takes a certificate before it finds that the key is another's, and then has neither pair.
            for each in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
                each.load_cert_chain(self.chain, self.key, password=_refuse_passphrase)
        except ssl.SSLError as error:
            why = error.reason or str(error)
            raise CertificateError(
                f"the certificate {self.chain} cannot be used with the key {self.key}: {why}; both are PEM files, the "
                "key is the certificate's own and has no passphrase"
            ) from error

    def names(self) -> list[str]:
        """Return its host names, whose first label may be `*`; it was loaded before."""
        from cryptography import x509  # only for https

        try:
            alternatives = self._leaf().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError):
            return []
        return alternatives.get_values_for_type(x509.DNSName)

    def ending(self, now: datetime) -> str:
        """Return in words that it has expired, or expires within two weeks; else nothing. It was loaded before."""
        ends = self._leaf().not_valid_after_utc
        if ends - now > _WARN_BEFORE:
            return ""
        at = f"{ends:%Y-%m-%d %H:%M} UTC"
        said = f"expired at {at}, so clients refuse it" if ends <= now else f"expires at {at}"
        return (
            f"the certificate {self.chain} {said}. Next: replace it and its key in place; they are read again within "
            f"{RELOAD:.0f} s"
        )

    def _leaf(self) -> "x509.Certificate":
        from cryptography import x509

        return x509.load_pem_x509_certificates(self.chain.read_bytes())[0]

    async def follow(self, context: ssl.SSLContext, renewed: Callable[[list[str]], None]) -> None:
        """Have `context` use the certificate again whenever its files change, and pass on its names then; forever.

        Once a day the log says that it expires soon, or has.
        """
        seen = await anyio.to_thread.run_sync(self._stamps)
        warn_at = anyio.current_time()
        while True:
            if anyio.current_time() >= warn_at:
                await anyio.to_thread.run_sync(self._warn)
                warn_at = anyio.current_time() + _WARN_EVERY
            await anyio.sleep(RELOAD)
            stamps = await anyio.to_thread.run_sync(self._stamps)
            if stamps == seen:
                continue
            try:
                names = await anyio.to_thread.run_sync(self._load_again, context)
            except CertificateError as error:
                logger.error("%s; the one that was read before stays in use", error)  # noqa: TRY400 (no bug)
                continue
            seen = stamps
            renewed(names)
            warn_at = anyio.current_time()
            logger.info("the certificate %s was read again", self.chain)

    def _warn(self) -> None:
        with suppress(OSError, ValueError):  # the files change: they are looked at again
            if said := self.ending(datetime.now(UTC)):
                logger.warning("%s", said)

    def _load_again(self, context: ssl.SSLContext) -> list[str]:
        self.load_into(context)
        try:
            return self.names()
        except (OSError, ValueError) as error:
            raise CertificateError(f"the certificate {self.chain} changed while it was read: {error}") from error

    def _stamps(self) -> tuple[Stamp | None, ...]:
        return stamp_of(self.chain), stamp_of(self.key)


def _refuse_passphrase() -> str:
    return ""
