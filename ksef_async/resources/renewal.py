"""The next certificate in place of the present one, written so that a crash at any moment loses neither.

The key is on the disk before KSeF hears of it, and the file of a renewal (``FILE.renewal``) says how far it came:

1. the new key, alone;
2. with the reference number of the application, once KSeF has answered. Where that answer is lost, KSeF's list tells
   by the key whether there is a certificate;
3. certificate and key go into a file of their own, which takes the place of ``FILE`` in one step. Until then ``FILE``
   is the present one, which stays beside it as ``FILE.old``;
4. ``FILE.renewal`` is deleted.

One renewal of a file at a time: two would write into the same ``FILE.renewal``, and one of their keys would be lost
with the certificate that KSeF issues for it. ``FILE.lock`` is locked meanwhile, and given back by a process that dies.

Source: certyfikaty-KSeF.md; GET /certificates/enrollments/data to POST /certificates/retrieve.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread
import attrs

from ..api.certificates import CertificateType
from ..calling.file_locks import file_lock
from ..calling.whole_files import part_of, replace_private_file
from ..errors import (
    ConfigurationError,
    CryptoError,
    GoneError,
    LocalProtocolError,
    OperationFailedError,
    RemoteProtocolError,
)

if TYPE_CHECKING:
    from ..crypto.certificates import Certificate, PrivateKey

__all__ = ["RenewalFile", "RenewedCertificate", "renew_in_steps"]

_REFERENCE: Final = re.compile(rb"^Application: ([0-9A-Z-]{1,64})$", re.MULTILINE)


@attrs.frozen(kw_only=True)
class RenewedCertificate:
    """A certificate that was applied for and written."""

    file: Path
    """PEM with the private key and the certificate; its owner's alone (0600)."""
    serial_number: str
    """By which KSeF knows it: 16 hex digits."""
    valid_from: datetime
    """When it starts."""
    valid_until: datetime
    """When it ends."""


@attrs.frozen
class RenewalFile:
    """A file with key and certificate, and what lies beside it while it is renewed.

    Args:
        path: Of the file.
        password: Encrypts the key.
    """

    path: Path
    password: bytes | None = attrs.field(default=None, repr=False)

    @property
    def _pending(self) -> Path:
        return self.path.with_name(f"{self.path.name}.renewal")

    @property
    def _old(self) -> Path:
        return self.path.with_name(f"{self.path.name}.old")

    def alone(self) -> AbstractAsyncContextManager[None]:
        """Keep other renewals of the file out while the block lasts.

        Raises:
            LocalProtocolError: There is one already, of another process or task.
            OSError: The lock cannot be written.
        """
        path = self.path.with_name(f"{self.path.name}.lock")

        def refusal(holder: str) -> LocalProtocolError:
            return LocalProtocolError(
                f"Process {holder} renews {self.path} already ({path.name} is locked): wait for its end, and read the "
                "file again. Nothing was asked of KSeF here."
            )

        return file_lock(path, refusal, is_kept=False)

    def begun(self) -> tuple[PrivateKey, str | None] | None:
        """Return the key of a renewal that was begun, and the reference number of its application; None for neither.

        Raises:
            CryptoError: The key cannot be read: it was begun with another password.
            OSError: The file cannot be read.
        """
        from ..crypto.certificates import load_private_key

        try:
            data = self._pending.read_bytes()
        except FileNotFoundError:
            return None
        found = _REFERENCE.search(data)
        return load_private_key(data, self.password), found[1].decode() if found else None

    def keep(self, key: PrivateKey, reference_number: str | None = None) -> None:
        """Write how far the renewal is; on the disk when this returns."""
        from ..crypto.certificates import private_key_pem

        line = b"" if reference_number is None else f"Application: {reference_number}\n".encode()
        replace_private_file(self._pending, line + private_key_pem(key, self.password))

    def forget(self) -> None:
        """Delete what is left of a renewal that is over, or that has come to nothing."""
        for path in (*map(part_of, (self.path, self._old, self._pending)), self._pending):
            path.unlink(missing_ok=True)

    def finish(self, certificate: Certificate, key: PrivateKey) -> None:
        """Put the new certificate in the place of the present one, which stays as ``.old``; end the renewal."""
        from ..crypto.certificates import load_certificate_of, private_key_pem

        present = None
        with suppress(FileNotFoundError):
            present = self.path.read_bytes()
        is_there = False
        if present is not None:
            with suppress(CryptoError):
                load_certificate_of(present, key.public_key())
                is_there = True
        # Where an earlier attempt died after this, it is there already, and what is beside it is the one before.
        if not is_there:
            if present is not None:
                replace_private_file(self._old, present)
            replace_private_file(self.path, private_key_pem(key, self.password) + certificate.pem)
        self.forget()

    def check(self, certificate_type: CertificateType) -> None:
        """Make sure before anything is asked that the files can be written, and that the type stays the same.

        Args:
            certificate_type: Of the new certificate.

        Raises:
            ConfigurationError: The folder is not there, or the file is none; or it holds a certificate of the other
                type.
        """
        from ..crypto.certificates import load_certificate

        if not self.path.parent.is_dir():
            raise ConfigurationError(f"There is no folder {self.path.parent} to write the certificate to: make it.")
        if self.path.exists() and not self.path.is_file():
            raise ConfigurationError(f"{self.path} is no file: name the one that key and certificate are to be in.")
        with suppress(FileNotFoundError, CryptoError):
            is_offline = load_certificate(self.path.read_bytes()).is_offline
            present = CertificateType.OFFLINE if is_offline else CertificateType.AUTHENTICATION
            if present != certificate_type:
                raise ConfigurationError(
                    f"{self.path} has a certificate of the type {present}, which one of the type "
                    f"{certificate_type} does not replace: name another file."
                )


async def renew_in_steps(
    file: RenewalFile,
    new_key: Callable[[], PrivateKey],
    *,
    find: Callable[[PrivateKey], Awaitable[tuple[str, bytes] | None]],
    apply: Callable[[PrivateKey], Awaitable[str]],
    wait: Callable[[str], Awaitable[str]],
    fetch: Callable[[str], Awaitable[bytes]],
) -> RenewedCertificate:
    """Go on with a renewal where it is, to its end.

    Args:
        file: Where to write; no other renewal of it may be under way (`RenewalFile.alone`).
        new_key: Makes one.
        find: Looks for a certificate of a key: its serial number, and DER.
        apply: Applies for a certificate of a key; returns the reference number of the application.
        wait: Waits for an application's end; returns the serial number.
        fetch: Returns a certificate (DER) by its serial number.

    Raises:
        KsefError: What one of the calls raised. Where KSeF refused the application, the next renewal begins anew.
    """
    from ..crypto.certificates import load_certificate

    in_thread = anyio.to_thread.run_sync
    begun = await in_thread(file.begun)
    found: tuple[str, bytes] | None = None
    if begun is None:
        key, reference_number = await in_thread(new_key), None
        await in_thread(file.keep, key)
    else:
        key, reference_number = begun
        if reference_number is None:
            # KSeF may have heard of the key before the process died.
            found = await find(key)
    if found is None:
        if reference_number is None:
            reference_number = await apply(key)
            await in_thread(file.keep, key, reference_number)
        try:
            serial_number = await wait(reference_number)
        except OperationFailedError:
            await in_thread(file.forget)
            raise
        except GoneError:
            found = await find(key)
            if found is None:
                await in_thread(file.forget)
                raise
        else:
            found = serial_number, await fetch(serial_number)
    serial_number, der = found
    certificate = load_certificate(der)
    if not certificate.certifies(key.public_key()):
        raise RemoteProtocolError(
            f"Certificate {serial_number} is not of the key that was applied with.", operation="retrieve_certificates"
        )
    await in_thread(file.finish, certificate, key)
    return RenewedCertificate(
        file=file.path,
        serial_number=serial_number,
        valid_from=certificate.valid_from,
        valid_until=certificate.valid_until,
    )
