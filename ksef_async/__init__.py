"""The asyncio-native client for KSeF 2.0, Poland's national e-invoicing system.

The map of the house; a room imports rooms on lines above it:

    quoting                            others' text, made fit for errors and logs
    errors                             everything that can go wrong
    environment                        where KSeF is
    models  crypto                     data; bytes in, bytes out
    operations                         the API as a table
    protocol                           the rules of KSeF, without input or output
    transport  polling  paging  shielding  offloading   the socket; waiting; lists; finishing; threads
    sandbox                            a KSeF in this process
    caller                             calling one operation
    keys                               the Ministry's public keys
    auth  resources                    a bearer that is always fresh; a method for every operation
    packing                            archives, cut and encrypted for a batch
    sessions  downloads                sending invoices: the heart; receiving them
    client                             KsefClient
    submissions                        a journal of invoices to deliver, whatever dies in between

The sandbox is not imported here: ``from ksef_async.sandbox import Sandbox``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from .auth.credentials import CertificateCredentials, KsefToken
from .caller import Caller
from .client import KsefClient
from .environment import Environment
from .errors import (
    AnswerTimeoutError,
    ApiError,
    BadRequestError,
    ConnectError,
    CryptoError,
    DuplicateInvoiceError,
    ExportFailedError,
    ForbiddenError,
    GoneError,
    InvalidFieldError,
    InvoiceRejectedError,
    KsefError,
    LocalProtocolError,
    LoginFailedError,
    OperationFailedError,
    ProcessingError,
    RateLimitedError,
    RemoteProtocolError,
    ServerError,
    SessionFailedError,
    TransportError,
    UnauthorizedError,
    UploadExpiredError,
    WaitTimeoutError,
)
from .models.auth import AllowedIps, AuthorizationPolicy, SubjectBy
from .models.common import Context, ContextType, StatusInfo, SubjectIdentifier, SubjectType
from .models.keys import EncryptionInfo
from .models.sessions import (
    UPO,
    Feature,
    FormCode,
    InvoiceStatusCode,
    InvoicingMode,
    SessionFilter,
    SessionInvoice,
    SessionOutcome,
    SessionStatus,
    SessionSummary,
    SessionType,
    StatusCode,
    UPOPage,
)
from .models.upo import UPODocument, UPOEntry
from .polling import Cadence
from .protocol.pacing import AddressBudget, Pacer
from .protocol.retry import RetryPolicy
from .sessions.manager import SessionManager
from .sessions.online import OnlineSession
from .sessions.outcomes import AcceptedInvoice, Outcome
from .sessions.tracking import SentInvoice
from .sessions.transitions import Transition, Transitions
from .sessions.upo import SessionUPO, upo_signer
from .transport import AiohttpTransport, Transport

if TYPE_CHECKING:
    from .downloads.checkpoint import Checkpoint
    from .downloads.export import Export
    from .downloads.limits import UnpackLimits
    from .downloads.package import DownloadedPackage, ExportedInvoice
    from .downloads.sync import SyncedInvoice
    from .models.certificates import CertificateFilter, CertificateStatus, CertificateType, RevocationReason
    from .models.collective_identifiers import CollectiveIdentifierFilter
    from .models.events import (
        AnswerIncomplete,
        Event,
        ExportReplaced,
        LimitsUnknown,
        RequestAnswered,
        RequestFailed,
        RequestPaced,
        RequestRetried,
        RequestSent,
        SessionChanged,
        SystemWarning,
    )
    from .models.invoices import (
        AmountFilter,
        AmountType,
        BuyerIdentifier,
        BuyerIdentifierType,
        DateRange,
        DateType,
        InvoiceFilters,
        InvoiceMetadata,
        InvoiceSubject,
        InvoiceType,
        SortOrder,
    )
    from .models.limits import ContextLimits, SessionLimits
    from .models.packages import CompressionType, PackageProgress, PackageStage
    from .models.permissions import Authorization, EntityPermission, InvoicePermission, Permission
    from .models.rates import PRODUCTION_LIMITS, RateLimit, RateLimits
    from .models.subjects import (
        IdDocument,
        IdentifiedPersonDetails,
        PersonDetails,
        PersonIdentifier,
        PersonIdentifierType,
        UndocumentedPersonDetails,
    )
    from .models.tokens import TokenFilter, TokenStatus
    from .packing import Package, PackedInvoice, pack
    from .protocol.planning import Plan, Route
    from .resources.handles import OperationHandle
    from .sessions.batch import BatchSession
    from .sessions.batch_outcomes import BatchOutcome
    from .sessions.keeper import SessionKeeper

__version__ = "0.1.0"

__all__ = [
    "PRODUCTION_LIMITS",
    "UPO",
    "AcceptedInvoice",
    "AddressBudget",
    "AiohttpTransport",
    "AllowedIps",
    "AmountFilter",
    "AmountType",
    "AnswerIncomplete",
    "AnswerTimeoutError",
    "ApiError",
    "Authorization",
    "AuthorizationPolicy",
    "BadRequestError",
    "BatchOutcome",
    "BatchSession",
    "BuyerIdentifier",
    "BuyerIdentifierType",
    "Cadence",
    "Caller",
    "CertificateCredentials",
    "CertificateFilter",
    "CertificateStatus",
    "CertificateType",
    "Checkpoint",
    "CollectiveIdentifierFilter",
    "CompressionType",
    "ConnectError",
    "Context",
    "ContextLimits",
    "ContextType",
    "CryptoError",
    "DateRange",
    "DateType",
    "DownloadedPackage",
    "DuplicateInvoiceError",
    "EncryptionInfo",
    "EntityPermission",
    "Environment",
    "Event",
    "Export",
    "ExportFailedError",
    "ExportReplaced",
    "ExportedInvoice",
    "Feature",
    "ForbiddenError",
    "FormCode",
    "GoneError",
    "IdDocument",
    "IdentifiedPersonDetails",
    "InvalidFieldError",
    "InvoiceFilters",
    "InvoiceMetadata",
    "InvoicePermission",
    "InvoiceRejectedError",
    "InvoiceStatusCode",
    "InvoiceSubject",
    "InvoiceType",
    "InvoicingMode",
    "KsefClient",
    "KsefError",
    "KsefToken",
    "LimitsUnknown",
    "LocalProtocolError",
    "LoginFailedError",
    "OnlineSession",
    "OperationFailedError",
    "OperationHandle",
    "Outcome",
    "Pacer",
    "Package",
    "PackageProgress",
    "PackageStage",
    "PackedInvoice",
    "Permission",
    "PersonDetails",
    "PersonIdentifier",
    "PersonIdentifierType",
    "Plan",
    "ProcessingError",
    "RateLimit",
    "RateLimitedError",
    "RateLimits",
    "RemoteProtocolError",
    "RequestAnswered",
    "RequestFailed",
    "RequestPaced",
    "RequestRetried",
    "RequestSent",
    "RetryPolicy",
    "RevocationReason",
    "Route",
    "SentInvoice",
    "ServerError",
    "SessionChanged",
    "SessionFailedError",
    "SessionFilter",
    "SessionInvoice",
    "SessionKeeper",
    "SessionLimits",
    "SessionManager",
    "SessionOutcome",
    "SessionStatus",
    "SessionSummary",
    "SessionType",
    "SessionUPO",
    "SortOrder",
    "StatusCode",
    "StatusInfo",
    "SubjectBy",
    "SubjectIdentifier",
    "SubjectType",
    "SyncedInvoice",
    "SystemWarning",
    "TokenFilter",
    "TokenStatus",
    "Transition",
    "Transitions",
    "Transport",
    "TransportError",
    "UPODocument",
    "UPOEntry",
    "UPOPage",
    "UnauthorizedError",
    "UndocumentedPersonDetails",
    "UnpackLimits",
    "UploadExpiredError",
    "WaitTimeoutError",
    "pack",
    "upo_signer",
]

#: Loaded when they are asked for: a program that sends invoice by invoice has no use for most of them.
_LATER: Final = {
    "AmountFilter": "models.invoices",
    "AmountType": "models.invoices",
    "AnswerIncomplete": "models.events",
    "Authorization": "models.permissions",
    "BatchOutcome": "sessions.batch_outcomes",
    "BatchSession": "sessions.batch",
    "BuyerIdentifier": "models.invoices",
    "BuyerIdentifierType": "models.invoices",
    "CertificateFilter": "models.certificates",
    "CertificateStatus": "models.certificates",
    "CertificateType": "models.certificates",
    "Checkpoint": "downloads.checkpoint",
    "CollectiveIdentifierFilter": "models.collective_identifiers",
    "CompressionType": "models.packages",
    "ContextLimits": "models.limits",
    "DateRange": "models.invoices",
    "DateType": "models.invoices",
    "DownloadedPackage": "downloads.package",
    "EntityPermission": "models.permissions",
    "Event": "models.events",
    "Export": "downloads.export",
    "ExportReplaced": "models.events",
    "ExportedInvoice": "downloads.package",
    "IdDocument": "models.subjects",
    "IdentifiedPersonDetails": "models.subjects",
    "InvoiceFilters": "models.invoices",
    "InvoiceMetadata": "models.invoices",
    "InvoicePermission": "models.permissions",
    "InvoiceSubject": "models.invoices",
    "InvoiceType": "models.invoices",
    "OperationHandle": "resources.handles",
    "PRODUCTION_LIMITS": "models.rates",
    "Package": "packing",
    "PackageProgress": "models.packages",
    "PackageStage": "models.packages",
    "PackedInvoice": "packing",
    "Permission": "models.permissions",
    "PersonDetails": "models.subjects",
    "PersonIdentifier": "models.subjects",
    "PersonIdentifierType": "models.subjects",
    "Plan": "protocol.planning",
    "RateLimit": "models.rates",
    "RateLimits": "models.rates",
    "LimitsUnknown": "models.events",
    "RequestAnswered": "models.events",
    "RequestFailed": "models.events",
    "RequestPaced": "models.events",
    "RequestRetried": "models.events",
    "RequestSent": "models.events",
    "RevocationReason": "models.certificates",
    "Route": "protocol.planning",
    "SessionChanged": "models.events",
    "SessionKeeper": "sessions.keeper",
    "SessionLimits": "models.limits",
    "SortOrder": "models.invoices",
    "SyncedInvoice": "downloads.sync",
    "SystemWarning": "models.events",
    "TokenFilter": "models.tokens",
    "TokenStatus": "models.tokens",
    "UndocumentedPersonDetails": "models.subjects",
    "UnpackLimits": "downloads.limits",
    "pack": "packing",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATER[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
