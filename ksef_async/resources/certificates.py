"""KSeF certificates: applied for, fetched, revoked, listed. Source: certyfikaty-KSeF.md."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread
import attrs

from ..api.certificates import (
    ENROLL_CERTIFICATE,
    GET_CERTIFICATE_LIMITS,
    GET_ENROLLMENT,
    GET_ENROLLMENT_DATA,
    LIST_CERTIFICATES,
    RETRIEVE_CERTIFICATES,
    REVOKE_CERTIFICATE,
    SET_CERTIFICATE_VALIDITY,
    CertificateFilter,
    CertificateLimits,
    CertificateRow,
    CertificateStatus,
    CertificateType,
    Enrollment,
    EnrollmentData,
    EnrollmentRequest,
    RetrievedCertificate,
    RetrieveRequest,
    RevocationReason,
    RevokeRequest,
    UpdateCertificateRequest,
)
from ..calling.caller import Caller
from ..calling.paging import OffsetPages
from ..calling.polling import Cadence
from ..errors import BadRequestError, RemoteProtocolError
from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import ENROLLMENT
from .handles import OPERATION_CADENCE, OperationHandle
from .lists import list_by_offset

if TYPE_CHECKING:
    from ..crypto.certificates import PrivateKey
    from ..crypto.issuing import KeyKind
    from .renewal import RenewedCertificate

__all__ = ["Certificates"]

_NEWEST: Final = 10
"""Certificates that are looked through for the one of a key: as many as one call returns."""

_GONE: Final = (CertificateStatus.BLOCKED, CertificateStatus.REVOKED)


class Certificates:
    """The KSeF certificates of whoever logged in. `KsefClient.certificates` is one.

    Applying takes four steps::

        key = await anyio.to_thread.run_sync(new_private_key)      # crypto.issuing; keep it safe
        enrolling = await client.certificates.enroll("Księgowość", key)
        done = await enrolling.wait()
        (issued,) = await client.certificates.get([done.certificate_serial_number])
    """

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def get_limits(self) -> CertificateLimits:
        """Return how many applications and certificates are left.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /certificates/limits.
        """
        return await self._api.call(GET_CERTIFICATE_LIMITS)

    async def get_enrollment_data(self) -> EnrollmentData:
        """Return the subject a request must have: that of the certificate of this login.

        Raises:
            BadRequestError: This way of logging in gets no certificate (25001).
            ForbiddenError: The login was made with a token.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /certificates/enrollments/data.
        """
        return await self._api.call(GET_ENROLLMENT_DATA)

    async def enroll(
        self,
        name: str,
        key: PrivateKey,
        *,
        certificate_type: CertificateType = CertificateType.AUTHENTICATION,
        valid_from: datetime | None = None,
    ) -> OperationHandle[Enrollment]:
        """Apply for a certificate of ``key``, with the subject that KSeF wants.

        Args:
            name: To find it again: letters, digits, blanks, ``_`` and ``-``, 5 to 100 characters.
            key: P-256, or RSA with 2048 bits; see `crypto.issuing.new_private_key`. It never leaves this process.
            certificate_type: For logging in, or for invoices issued in an offline mode.
            valid_from: When it starts; when it is issued by default.

        Returns:
            A handle: ``(await handle.wait()).certificate_serial_number`` leads to the certificate.

        Raises:
            InvalidFieldError: The name is too short, too long or has other characters; nothing was sent.
            BadRequestError: This way of logging in gets no certificate (25001, 25002), the key is of another kind
                (25010), or a limit is reached (25006, 25007).
            ForbiddenError: The login was made with a token.
            TransportError: A call failed. After an error with ``maybe_delivered`` there may be a certificate; `list`
                shows it.
            ApiError: As for TransportError.
            RemoteProtocolError: As for TransportError.

        Source: GET /certificates/enrollments/data, POST /certificates/enrollments.
        """
        data = await self.get_enrollment_data()
        csr = await anyio.to_thread.run_sync(_build_csr, data, key)
        return await self.enroll_csr(name, csr, certificate_type=certificate_type, valid_from=valid_from)

    async def enroll_csr(
        self,
        name: str,
        csr: bytes,
        *,
        certificate_type: CertificateType = CertificateType.AUTHENTICATION,
        valid_from: datetime | None = None,
    ) -> OperationHandle[Enrollment]:
        """Apply with a request (PKCS#10, DER) made elsewhere, e.g. by an HSM; otherwise as `enroll`.

        Raises:
            BadRequestError: Besides those of `enroll`: its subject is not that of `get_enrollment_data` (25003), it is
                malformed or badly signed (25004), or signed by another algorithm (25011).
            InvalidFieldError: As `enroll`.
            ForbiddenError: As `enroll`.
            TransportError: As `enroll`.
            ApiError: As `enroll`.
            RemoteProtocolError: As `enroll`.

        Source: POST /certificates/enrollments.
        """
        request = EnrollmentRequest(
            certificate_name=name, certificate_type=certificate_type, csr=csr, valid_from=valid_from
        )
        started = await self._api.call(ENROLL_CERTIFICATE, request)
        return self.enrollment(started.reference_number)

    def enrollment(self, reference_number: str) -> OperationHandle[Enrollment]:
        """Return an application made before, by its reference number; KSeF forgets it after 30 days.

        Source: GET /certificates/enrollments/{referenceNumber}.
        """

        async def look() -> Enrollment:
            return await self._api.call(GET_ENROLLMENT, path={"reference_number": reference_number})

        return OperationHandle(
            "Enrollment", reference_number, look, lifecycle=ENROLLMENT, status=lambda one: one.status
        )

    async def renew(
        self,
        file: str | os.PathLike[str],
        *,
        name: str | None = None,
        password: str | bytes | None = None,
        key_kind: KeyKind = "ec",
        certificate_type: CertificateType = CertificateType.AUTHENTICATION,
        cadence: Cadence = OPERATION_CADENCE,
    ) -> RenewedCertificate:
        """Apply for a certificate with the present login, and write it with its new key into ``file``.

        It is the first one of its type, or the next one. For the next login, log in with the certificate that is near
        its end, and from then on with ``file``: as ``KSEF_CERTIFICATE_FILE``, or by
        `CertificateCredentials.from_files(file)`; one of the type Offline is for `OfflineSigner.from_files(file)`. If
        ``file`` holds the present one, that stays as ``FILE.old``. The present certificate is not revoked.

        Whatever dies in between, nothing is lost: the new key is on the disk before KSeF hears of it
        (``FILE.renewal``), and ``file`` is replaced in one step. Called again, it goes on where it was. All files are
        their owner's alone (0600). A file is renewed by one process at a time (``FILE.lock``).

        Args:
            file: PEM of key and certificate, as it is to be.
            name: To find it again, as for `enroll`; by default with today's date.
            password: Encrypts the new key.
            key_kind: Of the new key.
            certificate_type: For logging in, or for invoices issued in an offline mode.
            cadence: How often to look at the application, and for how long.

        Raises:
            ConfigurationError: ``file`` cannot be written where it is, or has a certificate of the other type.
            LocalProtocolError: Another process, or another task, renews ``file`` right now.
            OperationFailedError: KSeF could not issue it; the next call begins anew.
            WaitTimeoutError: KSeF has not issued it yet; call again.
            CryptoError: A renewal was begun with another password.
            BadRequestError: As `enroll`.
            ForbiddenError: As `enroll`.
            TransportError: A call failed; call again.
            ApiError: As for TransportError.
            RemoteProtocolError: As for TransportError.
            OSError: A file could not be read or written; call again.

        Source: GET /certificates/enrollments/data, POST /certificates/enrollments, GET
        /certificates/enrollments/{referenceNumber}, POST /certificates/retrieve.
        """
        from ..crypto.issuing import new_private_key
        from .renewal import RenewalFile, renew_in_steps

        today = self._api.now()
        title = name or f"Certyfikat {today:%Y-%m-%d}"

        async def apply(key: PrivateKey) -> str:
            return (await self.enroll(title, key, certificate_type=certificate_type)).reference_number

        async def wait(reference_number: str) -> str:
            enrolled = await self.enrollment(reference_number).wait(cadence)
            if enrolled.certificate_serial_number is None:
                raise RemoteProtocolError(
                    f"Enrollment {reference_number} has succeeded, but KSeF names no certificate; call again.",
                    operation=GET_ENROLLMENT.name,
                )
            return enrolled.certificate_serial_number

        async def fetch(serial_number: str) -> bytes:
            for found in await self.get([serial_number]):
                return found.certificate
            raise RemoteProtocolError(
                f"KSeF does not give certificate {serial_number} yet; call again.", operation=RETRIEVE_CERTIFICATES.name
            )

        renewal = RenewalFile(Path(file), password.encode() if isinstance(password, str) else password)
        await anyio.to_thread.run_sync(renewal.check, certificate_type)
        async with renewal.alone():
            return await renew_in_steps(
                renewal,
                partial(new_private_key, key_kind),
                find=self._find_certificate,
                apply=apply,
                wait=wait,
                fetch=fetch,
            )

    async def _find_certificate(self, key: PrivateKey) -> tuple[str, bytes] | None:
        """Return serial number and DER of the active certificate of ``key``, among the newest; None for none."""
        from ..crypto.certificates import load_certificate

        newest: list[str] = []
        async for row in self.list(CertificateFilter(status=CertificateStatus.ACTIVE)):
            newest.append(row.certificate_serial_number)
            if len(newest) == _NEWEST:
                break
        for found in await self.get(newest) if newest else ():
            number = found.certificate_serial_number
            if number is not None and load_certificate(found.certificate).certifies(key.public_key()):
                return number, found.certificate
        return None

    async def get(self, serial_numbers: Iterable[str]) -> tuple[RetrievedCertificate, ...]:
        """Certificates by their serial numbers, 1 to 10 at a time.

        Raises:
            InvalidFieldError: None, or more than ten, or one that is not 16 hex digits in capitals; nothing was sent.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: POST /certificates/retrieve.
        """
        request = RetrieveRequest(tuple(serial_numbers))
        return (await self._api.call(RETRIEVE_CERTIFICATES, request)).certificates

    async def revoke(self, serial_number: str, reason: RevocationReason | None = None) -> None:
        """End a certificate: nobody logs in with it from now on; logins made before live on.

        Revoking a certificate twice does no harm.

        Raises:
            BadRequestError: KSeF does not know it (25008), or it has expired (25009).
            ForbiddenError: The login was made with a token.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: POST /certificates/{certificateSerialNumber}/revoke.
        """
        path = {"certificate_serial_number": serial_number}
        try:
            await self._api.call(REVOKE_CERTIFICATE, RevokeRequest(reason), path=path)
        except BadRequestError as refused:
            if refused.code != ErrorCode.CERTIFICATE_NOT_REVOCABLE:
                raise
            # Revoked before, perhaps by this very call, whose first answer was lost.
            rows = [row async for row in self.list(CertificateFilter(certificate_serial_number=serial_number))]
            if [row.status for row in rows if row.status in _GONE] == []:
                raise

    def list(self, certificate_filter: CertificateFilter | None = None) -> OffsetPages[CertificateRow]:
        """Return the certificates that fit ``certificate_filter``, newest application first.

        Source: POST /certificates/query.
        """
        return list_by_offset(
            self._api,
            LIST_CERTIFICATES,
            lambda page: page.certificates,
            page_size=LIST_CERTIFICATES.largest_page,
            body=certificate_filter or CertificateFilter(),
        )

    async def set_validity(self, serial_number: str, valid_to: datetime) -> None:
        """TEST only: let a certificate end sooner, to see what happens then.

        Raises:
            BadRequestError: KSeF does not know it (25008), or ``valid_to`` is later than it ends now (21405).
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: PUT /testdata/certificates/{serialNumber}.
        """
        path = {"serial_number": serial_number}
        await self._api.call(SET_CERTIFICATE_VALIDITY, UpdateCertificateRequest(valid_to), path=path)


def _build_csr(data: EnrollmentData, key: PrivateKey) -> bytes:
    from ..crypto.issuing import build_csr

    return build_csr(attrs.asdict(data), key)
