"""The asyncio-native client for KSeF 2.0, Poland's national e-invoicing system.

The map of the house; a room imports rooms on lines above it:

    errors                             everything that can go wrong
    environment                        where KSeF is
    models  crypto                     data; bytes in, bytes out
    operations                         the API as a table
    protocol                           the rules of KSeF, without input or output
    transport  polling  paging  shielding   the socket; the waiting loop; lists; what cancellation must not stop
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
from .models.common import Context, ContextType, StatusInfo
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
from .protocol.pacing import Pacer
from .protocol.retry import RetryPolicy
from .sessions.keeper import SessionKeeper
from .sessions.manager import SessionManager
from .sessions.online import OnlineSession
from .sessions.outcomes import AcceptedInvoice, Outcome
from .sessions.tracking import SentInvoice
from .sessions.transitions import Transition, Transitions
from .sessions.upo import SessionUPO, upo_signer
from .transport import AiohttpTransport, Transport

if TYPE_CHECKING:
    from .models.packages import CompressionType, PackageProgress, PackageStage
    from .packing import Package, pack
    from .sessions.batch import BatchOutcome, BatchSession

__version__ = "0.1.0"

__all__ = [
    "UPO",
    "AcceptedInvoice",
    "AiohttpTransport",
    "AllowedIps",
    "AnswerTimeoutError",
    "ApiError",
    "AuthorizationPolicy",
    "BadRequestError",
    "BatchOutcome",
    "BatchSession",
    "Cadence",
    "Caller",
    "CertificateCredentials",
    "CompressionType",
    "ConnectError",
    "Context",
    "ContextType",
    "CryptoError",
    "DuplicateInvoiceError",
    "EncryptionInfo",
    "Environment",
    "ExportFailedError",
    "Feature",
    "ForbiddenError",
    "FormCode",
    "GoneError",
    "InvalidFieldError",
    "InvoiceRejectedError",
    "InvoiceStatusCode",
    "InvoicingMode",
    "KsefClient",
    "KsefError",
    "KsefToken",
    "LocalProtocolError",
    "LoginFailedError",
    "OnlineSession",
    "Outcome",
    "Pacer",
    "Package",
    "PackageProgress",
    "PackageStage",
    "ProcessingError",
    "RateLimitedError",
    "RemoteProtocolError",
    "RetryPolicy",
    "SentInvoice",
    "ServerError",
    "SessionFailedError",
    "SessionFilter",
    "SessionInvoice",
    "SessionKeeper",
    "SessionManager",
    "SessionOutcome",
    "SessionStatus",
    "SessionSummary",
    "SessionType",
    "SessionUPO",
    "StatusCode",
    "StatusInfo",
    "SubjectBy",
    "Transition",
    "Transitions",
    "Transport",
    "TransportError",
    "UPODocument",
    "UPOEntry",
    "UPOPage",
    "UnauthorizedError",
    "UploadExpiredError",
    "WaitTimeoutError",
    "pack",
    "upo_signer",
]

#: Loaded when they are asked for: a program that sends invoice by invoice has no use for archive formats.
_LATER: Final = {
    "BatchOutcome": "sessions.batch",
    "BatchSession": "sessions.batch",
    "CompressionType": "models.packages",
    "Package": "packing",
    "PackageProgress": "models.packages",
    "PackageStage": "models.packages",
    "pack": "packing",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATER[name]}", __name__), name)
