"""The state machines of permissions, certificates and KSeF tokens, and the list of all there are.

Source: OpenAPI 2.9.0 (states of these resources); tokeny-ksef.md, certyfikaty-KSeF.md.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from ..api.certificates import CertificateStatus
from ..api.permissions import PermissionState
from ..api.sessions import InvoiceStatusCode, StatusCode
from ..api.tokens import TokenStatus
from .lifecycle import (
    BATCH_SESSION,
    ENROLLMENT,
    EXPORT,
    INVOICE,
    LOGIN,
    ONLINE_SESSION,
    PERMISSION_OPERATION,
    EnrollmentStatusCode,
    ExportStatusCode,
    Lifecycle,
    LoginStatusCode,
    PermissionOperationCode,
    failure,
    in_progress,
    success,
)

__all__ = ["CERTIFICATE", "LIFECYCLES", "PERMISSION", "TOKEN", "AnyLifecycle"]

AnyLifecycle: TypeAlias = (
    Lifecycle[LoginStatusCode]
    | Lifecycle[StatusCode]
    | Lifecycle[InvoiceStatusCode]
    | Lifecycle[ExportStatusCode]
    | Lifecycle[PermissionOperationCode]
    | Lifecycle[PermissionState]
    | Lifecycle[EnrollmentStatusCode]
    | Lifecycle[CertificateStatus]
    | Lifecycle[TokenStatus]
)

PERMISSION: Final = Lifecycle[PermissionState](
    "permission",
    {
        # One that was passed on has an effect only while a client allows it, whatever was first.
        PermissionState.ACTIVE: success("", PermissionState.INACTIVE),
        PermissionState.INACTIVE: failure("", then=[PermissionState.ACTIVE]),
    },
    (PermissionState.ACTIVE, PermissionState.INACTIVE),
)

CERTIFICATE: Final = Lifecycle[CertificateStatus](
    "certificate",
    {
        CertificateStatus.ACTIVE: success("", CertificateStatus.BLOCKED, CertificateStatus.EXPIRED),
        # "Status przejściowy do czasu zakończenia procesu unieważniania."
        CertificateStatus.BLOCKED: failure("", then=[CertificateStatus.REVOKED]),
        CertificateStatus.REVOKED: failure(""),
        CertificateStatus.EXPIRED: failure(""),
    },
    (CertificateStatus.ACTIVE,),
)

TOKEN: Final = Lifecycle[TokenStatus](
    "KSeF token",
    {
        TokenStatus.PENDING: in_progress("", TokenStatus.ACTIVE, TokenStatus.FAILED, TokenStatus.REVOKING),
        # Revoked at once where its author loses all permissions.
        TokenStatus.ACTIVE: success("", TokenStatus.REVOKING, TokenStatus.REVOKED),
        TokenStatus.REVOKING: failure("", then=[TokenStatus.REVOKED]),
        TokenStatus.REVOKED: failure(""),
        TokenStatus.FAILED: failure(""),
    },
    (TokenStatus.PENDING,),
)

LIFECYCLES: Final[tuple[AnyLifecycle, ...]] = (
    LOGIN,
    ONLINE_SESSION,
    BATCH_SESSION,
    INVOICE,
    EXPORT,
    PERMISSION_OPERATION,
    PERMISSION,
    ENROLLMENT,
    CERTIFICATE,
    TOKEN,
)
"""Every kind of thing that KSeF gives a status."""
