"""The asyncio-native client for KSeF 2.0, Poland's national e-invoicing system.

The map of the house; a room imports rooms on lines above it:

    errors                  everything that can go wrong
    api  crypto             KSeF's API as data: models and a table of operations; bytes in, bytes out
    protocol                the rules of KSeF, without input or output
    documents               invoices as documents: read, written, checked, built, shown
    calling                 the socket, calling one operation, waiting, lists, the Ministry's public keys
    sandbox                 a KSeF in this process
    auth  resources         a bearer that is always fresh; a method for every operation
    packing                 archives, cut and encrypted for a batch
    sessions  downloads     sending invoices: the heart; receiving them
    client                  KsefClient
    submissions             a journal of invoices to deliver, whatever dies in between

The sandbox is not imported here: ``from ksef_async.sandbox import Sandbox``.

Durations are seconds (``float``) in every call; points in time are `datetime` objects with a time zone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .api.auth import AllowedIps, AuthorizationPolicy, SubjectBy
    from .api.certificates import CertificateFilter, CertificateStatus, CertificateType, RevocationReason
    from .api.collective_identifiers import CollectiveIdentifierFilter
    from .api.common import Context, ContextType, StatusInfo, SubjectIdentifier, SubjectType
    from .api.environment import Environment
    from .api.invoices import (
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
    from .api.keys import EncryptionInfo
    from .api.latarnia import LatarniaCategory, LatarniaMessage, LatarniaMessageType, LatarniaReport, LatarniaStatus
    from .api.limits import ContextLimits, SessionLimits
    from .api.packages import CompressionType, PackageProgress, PackageStage
    from .api.permission_grants import Authorization, EntityPermission, InvoicePermission, Permission
    from .api.rates import PRODUCTION_LIMITS, RateLimit, RateLimits
    from .api.sessions import (
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
        UPODocument,
        UPOEntry,
        UPOPage,
    )
    from .api.subjects import (
        IdDocument,
        IdentifiedPersonDetails,
        PersonDetails,
        PersonIdentifier,
        PersonIdentifierType,
        UndocumentedPersonDetails,
    )
    from .api.tokens import TokenFilter, TokenStatus
    from .auth.credentials import CertificateCredentials, KsefToken
    from .auth.offline_signing import OfflineSigner, certificate_link
    from .calling.caller import BearerSource, Caller
    from .calling.events import (
        AnswerIncomplete,
        CredentialsEnding,
        DeadlineNear,
        DeadlinePassed,
        Event,
        ExportReplaced,
        Hook,
        InvoicesLate,
        InvoiceTurnedOffline,
        LimitsUnknown,
        RequestAnswered,
        RequestCancelled,
        RequestFailed,
        RequestPaced,
        RequestRetried,
        RequestSent,
        SessionChanged,
        SystemWarning,
    )
    from .calling.paging import Pages
    from .calling.polling import Cadence
    from .calling.transport import AiohttpTransport, Transport
    from .client import KsefClient
    from .downloads.archives import UnpackLimits
    from .downloads.checkpoint import Checkpoint
    from .downloads.checkpoint_file import CheckpointFile
    from .downloads.export import Export
    from .downloads.manager import Downloads
    from .downloads.package import DownloadedPackage, ExportedInvoice
    from .downloads.sync import Sync, SyncedInvoice
    from .errors import (
        AnswerTimeoutError,
        ApiError,
        BadRequestError,
        ConfigurationError,
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
    from .packing import Package, PackedInvoice, pack
    from .protocol.availability import Availability, AvailabilityState, outages_of
    from .protocol.messages import FileBody, RawRequest, RawResponse, WrittenBody
    from .protocol.offline import Deadline, OfflineMode, Outage, OutageKind, offline_deadline
    from .protocol.pacing import AddressBudget, Pacer
    from .protocol.planning import Route, SendingPlan
    from .protocol.retry import RetryPolicy
    from .protocol.verification_codes import VerificationCode
    from .protocol.verification_links import InvoiceFingerprint, verification_link
    from .resources.auth_sessions import AuthSessions
    from .resources.certificates import Certificates
    from .resources.collective_identifiers import CollectiveIdentifiers
    from .resources.handles import OperationHandle
    from .resources.invoices import InvoiceList, Invoices
    from .resources.latarnia import Latarnia
    from .resources.limits import Limits
    from .resources.peppol import Peppol
    from .resources.permissions import Permissions
    from .resources.renewal import RenewedCertificate
    from .resources.testdata import TestData
    from .resources.tokens import GeneratedToken, Tokens
    from .sessions.batch import BatchOutcome, BatchSession
    from .sessions.keep_open import SessionKeeper
    from .sessions.manager import SessionManager
    from .sessions.online import OnlineSession
    from .sessions.outcomes import AcceptedInvoice, Outcome
    from .sessions.session import Session
    from .sessions.tracking import SentInvoice
    from .sessions.transitions import Transition, Transitions
    from .sessions.upo import SessionUPO, upo_signer

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
    "AuthSessions",
    "Authorization",
    "AuthorizationPolicy",
    "Availability",
    "AvailabilityState",
    "BadRequestError",
    "BatchOutcome",
    "BatchSession",
    "BearerSource",
    "BuyerIdentifier",
    "BuyerIdentifierType",
    "Cadence",
    "Caller",
    "CertificateCredentials",
    "CertificateFilter",
    "CertificateStatus",
    "CertificateType",
    "Certificates",
    "Checkpoint",
    "CheckpointFile",
    "CollectiveIdentifierFilter",
    "CollectiveIdentifiers",
    "CompressionType",
    "ConfigurationError",
    "ConnectError",
    "Context",
    "ContextLimits",
    "ContextType",
    "CredentialsEnding",
    "CryptoError",
    "DateRange",
    "DateType",
    "Deadline",
    "DeadlineNear",
    "DeadlinePassed",
    "DownloadedPackage",
    "Downloads",
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
    "FileBody",
    "ForbiddenError",
    "FormCode",
    "GeneratedToken",
    "GoneError",
    "Hook",
    "IdDocument",
    "IdentifiedPersonDetails",
    "InvalidFieldError",
    "InvoiceFilters",
    "InvoiceFingerprint",
    "InvoiceList",
    "InvoiceMetadata",
    "InvoicePermission",
    "InvoiceRejectedError",
    "InvoiceStatusCode",
    "InvoiceSubject",
    "InvoiceTurnedOffline",
    "InvoiceType",
    "Invoices",
    "InvoicesLate",
    "InvoicingMode",
    "KsefClient",
    "KsefError",
    "KsefToken",
    "Latarnia",
    "LatarniaCategory",
    "LatarniaMessage",
    "LatarniaMessageType",
    "LatarniaReport",
    "LatarniaStatus",
    "Limits",
    "LimitsUnknown",
    "LocalProtocolError",
    "LoginFailedError",
    "OfflineMode",
    "OfflineSigner",
    "OnlineSession",
    "OperationFailedError",
    "OperationHandle",
    "Outage",
    "OutageKind",
    "Outcome",
    "Pacer",
    "Package",
    "PackageProgress",
    "PackageStage",
    "PackedInvoice",
    "Pages",
    "Peppol",
    "Permission",
    "Permissions",
    "PersonDetails",
    "PersonIdentifier",
    "PersonIdentifierType",
    "ProcessingError",
    "RateLimit",
    "RateLimitedError",
    "RateLimits",
    "RawRequest",
    "RawResponse",
    "RemoteProtocolError",
    "RenewedCertificate",
    "RequestAnswered",
    "RequestCancelled",
    "RequestFailed",
    "RequestPaced",
    "RequestRetried",
    "RequestSent",
    "RetryPolicy",
    "RevocationReason",
    "Route",
    "SendingPlan",
    "SentInvoice",
    "ServerError",
    "Session",
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
    "Sync",
    "SyncedInvoice",
    "SystemWarning",
    "TestData",
    "TokenFilter",
    "TokenStatus",
    "Tokens",
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
    "VerificationCode",
    "WaitTimeoutError",
    "WrittenBody",
    "certificate_link",
    "offline_deadline",
    "outages_of",
    "pack",
    "upo_signer",
    "verification_link",
]

# Every name is loaded when it is asked for: a program that sends invoice by invoice has no use for most of them, and
# the command line starts without aiohttp.
_LATER: Final = {
    "AcceptedInvoice": "sessions.outcomes",
    "AddressBudget": "protocol.pacing",
    "AiohttpTransport": "calling.transport",
    "AllowedIps": "api.auth",
    "AmountFilter": "api.invoices",
    "AmountType": "api.invoices",
    "AnswerIncomplete": "calling.events",
    "AnswerTimeoutError": "errors",
    "ApiError": "errors",
    "AuthSessions": "resources.auth_sessions",
    "Authorization": "api.permission_grants",
    "AuthorizationPolicy": "api.auth",
    "Availability": "protocol.availability",
    "AvailabilityState": "protocol.availability",
    "BadRequestError": "errors",
    "BatchOutcome": "sessions.batch",
    "BatchSession": "sessions.batch",
    "BearerSource": "calling.caller",
    "BuyerIdentifier": "api.invoices",
    "BuyerIdentifierType": "api.invoices",
    "Cadence": "calling.polling",
    "Caller": "calling.caller",
    "CertificateCredentials": "auth.credentials",
    "CertificateFilter": "api.certificates",
    "CertificateStatus": "api.certificates",
    "CertificateType": "api.certificates",
    "Certificates": "resources.certificates",
    "Checkpoint": "downloads.checkpoint",
    "CheckpointFile": "downloads.checkpoint_file",
    "CollectiveIdentifierFilter": "api.collective_identifiers",
    "CollectiveIdentifiers": "resources.collective_identifiers",
    "CompressionType": "api.packages",
    "ConfigurationError": "errors",
    "ConnectError": "errors",
    "Context": "api.common",
    "ContextLimits": "api.limits",
    "ContextType": "api.common",
    "CredentialsEnding": "calling.events",
    "CryptoError": "errors",
    "DateRange": "api.invoices",
    "DateType": "api.invoices",
    "Deadline": "protocol.offline",
    "DeadlineNear": "calling.events",
    "DeadlinePassed": "calling.events",
    "DownloadedPackage": "downloads.package",
    "Downloads": "downloads.manager",
    "DuplicateInvoiceError": "errors",
    "EncryptionInfo": "api.keys",
    "EntityPermission": "api.permission_grants",
    "Environment": "api.environment",
    "Event": "calling.events",
    "Export": "downloads.export",
    "ExportFailedError": "errors",
    "ExportReplaced": "calling.events",
    "ExportedInvoice": "downloads.package",
    "Feature": "api.sessions",
    "FileBody": "protocol.messages",
    "ForbiddenError": "errors",
    "FormCode": "api.sessions",
    "GeneratedToken": "resources.tokens",
    "GoneError": "errors",
    "Hook": "calling.events",
    "IdDocument": "api.subjects",
    "IdentifiedPersonDetails": "api.subjects",
    "InvalidFieldError": "errors",
    "InvoiceFilters": "api.invoices",
    "InvoiceFingerprint": "protocol.verification_links",
    "InvoiceList": "resources.invoices",
    "InvoiceMetadata": "api.invoices",
    "InvoicePermission": "api.permission_grants",
    "InvoiceRejectedError": "errors",
    "InvoiceStatusCode": "api.sessions",
    "InvoiceSubject": "api.invoices",
    "InvoiceTurnedOffline": "calling.events",
    "InvoiceType": "api.invoices",
    "Invoices": "resources.invoices",
    "InvoicesLate": "calling.events",
    "InvoicingMode": "api.sessions",
    "KsefClient": "client",
    "KsefError": "errors",
    "KsefToken": "auth.credentials",
    "Latarnia": "resources.latarnia",
    "LatarniaCategory": "api.latarnia",
    "LatarniaMessage": "api.latarnia",
    "LatarniaMessageType": "api.latarnia",
    "LatarniaReport": "api.latarnia",
    "LatarniaStatus": "api.latarnia",
    "Limits": "resources.limits",
    "LimitsUnknown": "calling.events",
    "LocalProtocolError": "errors",
    "LoginFailedError": "errors",
    "OfflineMode": "protocol.offline",
    "OfflineSigner": "auth.offline_signing",
    "OnlineSession": "sessions.online",
    "OperationFailedError": "errors",
    "OperationHandle": "resources.handles",
    "Outage": "protocol.offline",
    "OutageKind": "protocol.offline",
    "Outcome": "sessions.outcomes",
    "PRODUCTION_LIMITS": "api.rates",
    "Pacer": "protocol.pacing",
    "Package": "packing",
    "PackageProgress": "api.packages",
    "PackageStage": "api.packages",
    "PackedInvoice": "packing",
    "Pages": "calling.paging",
    "Peppol": "resources.peppol",
    "Permission": "api.permission_grants",
    "Permissions": "resources.permissions",
    "PersonDetails": "api.subjects",
    "PersonIdentifier": "api.subjects",
    "PersonIdentifierType": "api.subjects",
    "ProcessingError": "errors",
    "RateLimit": "api.rates",
    "RateLimitedError": "errors",
    "RateLimits": "api.rates",
    "RawRequest": "protocol.messages",
    "RawResponse": "protocol.messages",
    "RemoteProtocolError": "errors",
    "RenewedCertificate": "resources.renewal",
    "RequestAnswered": "calling.events",
    "RequestCancelled": "calling.events",
    "RequestFailed": "calling.events",
    "RequestPaced": "calling.events",
    "RequestRetried": "calling.events",
    "RequestSent": "calling.events",
    "RetryPolicy": "protocol.retry",
    "RevocationReason": "api.certificates",
    "Route": "protocol.planning",
    "SendingPlan": "protocol.planning",
    "SentInvoice": "sessions.tracking",
    "ServerError": "errors",
    "Session": "sessions.session",
    "SessionChanged": "calling.events",
    "SessionFailedError": "errors",
    "SessionFilter": "api.sessions",
    "SessionInvoice": "api.sessions",
    "SessionKeeper": "sessions.keep_open",
    "SessionLimits": "api.limits",
    "SessionManager": "sessions.manager",
    "SessionOutcome": "api.sessions",
    "SessionStatus": "api.sessions",
    "SessionSummary": "api.sessions",
    "SessionType": "api.sessions",
    "SessionUPO": "sessions.upo",
    "SortOrder": "api.invoices",
    "StatusCode": "api.sessions",
    "StatusInfo": "api.common",
    "SubjectBy": "api.auth",
    "SubjectIdentifier": "api.common",
    "SubjectType": "api.common",
    "Sync": "downloads.sync",
    "SyncedInvoice": "downloads.sync",
    "SystemWarning": "calling.events",
    "TestData": "resources.testdata",
    "TokenFilter": "api.tokens",
    "TokenStatus": "api.tokens",
    "Tokens": "resources.tokens",
    "Transition": "sessions.transitions",
    "Transitions": "sessions.transitions",
    "Transport": "calling.transport",
    "TransportError": "errors",
    "UPO": "api.sessions",
    "UPODocument": "api.sessions",
    "UPOEntry": "api.sessions",
    "UPOPage": "api.sessions",
    "UnauthorizedError": "errors",
    "UndocumentedPersonDetails": "api.subjects",
    "UnpackLimits": "downloads.archives",
    "UploadExpiredError": "errors",
    "VerificationCode": "protocol.verification_codes",
    "WaitTimeoutError": "errors",
    "WrittenBody": "protocol.messages",
    "certificate_link": "auth.offline_signing",
    "offline_deadline": "protocol.offline",
    "outages_of": "protocol.availability",
    "pack": "packing",
    "upo_signer": "sessions.upo",
    "verification_link": "protocol.verification_links",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATER[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
