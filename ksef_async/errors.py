"""Every error this library raises. Catch `KsefError` for all of them, or the branch you can act on.

KsefError
├── LocalProtocolError      you asked for something KSeF forbids; nothing was sent
│   ├── InvalidFieldError   a value is longer, larger or otherwise written than KSeF allows (`field`)
│   └── ConfigurationError  a setting, an environment variable or a file of credentials cannot be used
├── RemoteProtocolError     KSeF answered something its own specification does not allow
├── TransportError          no answer arrived (`maybe_delivered` tells whether KSeF may have acted)
│   ├── ConnectError
│   └── AnswerTimeoutError
├── ApiError                KSeF said no
│   ├── BadRequestError 400, UnauthorizedError 401, ForbiddenError 403, GoneError 410
│   ├── RateLimitedError 429
│   └── ServerError 5xx, or a gateway's answer in place of KSeF's: a redirect, an HTML page with any status
├── ProcessingError         KSeF took it in and later reported failure
│   ├── LoginFailedError, SessionFailedError, OperationFailedError, ExportFailedError
│   └── InvoiceRejectedError ── DuplicateInvoiceError
├── UploadExpiredError      the time to upload a package is over
├── WaitTimeoutError        still in progress when the time ran out
└── CryptoError             a key, certificate or ciphertext that cannot be used
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol, cast

import attrs

__all__ = [
    "LONGEST_QUOTE",
    "AnswerTimeoutError",
    "ApiError",
    "BadRequestError",
    "ConfigurationError",
    "ConnectError",
    "CryptoError",
    "DuplicateInvoiceError",
    "ExportFailedError",
    "ForbiddenError",
    "GoneError",
    "InvalidFieldError",
    "InvoiceRejectedError",
    "KsefError",
    "LocalProtocolError",
    "LoginFailedError",
    "OperationFailedError",
    "ProcessingError",
    "RateLimitedError",
    "RemoteProtocolError",
    "ServerError",
    "SessionFailedError",
    "Status",
    "TransportError",
    "UnauthorizedError",
    "UploadExpiredError",
    "WaitTimeoutError",
    "describe",
    "file_problem",
    "quote",
    "quote_data",
]

LONGEST_QUOTE: Final = 1000
"""Characters; KSeF's own sentences have some two hundred."""
_MOST, _DEEPEST = 100, 4
"""How many entries of a list or an object are kept, and how deep. A package has at most 50 parts, each may be named."""

_SECRETS: Final = re.compile(
    r"eyJ[\w-]{4,}(?:\.[\w-]*){0,2}"  # a JWT, or its beginning
    r"|\|[A-Za-z]{2,20}-[^|\s]{1,80}\|[0-9A-Fa-f]{16,}"  # the secret half of a KSeF token
    r"|(?i:\bbearer\s+)[^\s\"']+"
    r"|(?i:\bsig(?:nature)?=)[^\s\"'&<>]+"
    r"|(?<=\?)[^\s\"'<>?]*=[^\s\"'<>]*"  # the query of a link
)
_MASK: Final = "[...]"


def quote(text: str, longest: int = LONGEST_QUOTE) -> str:
    """Return ``text`` as it may be shown: at most ``longest`` characters, printable ones only, without secrets."""
    # Cut twice: what is searched is bounded, and so is what is left.
    safe = _SECRETS.sub(_MASK, text[: 4 * longest])
    printable = "".join(character if character.isprintable() else " " for character in safe)
    return printable if len(printable) <= longest else printable[: longest - 3] + "..."


def file_problem(error: OSError) -> str:
    """Return why a file cannot be read or written, for people: ``"there is no such file"``."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "there is no such file"
        case IsADirectoryError():
            return "it is a folder"
        case PermissionError():
            return "this user may not"
    return error.strerror or type(error).__name__


def quote_data(value: object, depth: int = 0) -> object:
    """Return parsed JSON as it may be shown: every text quoted, lists and objects bounded."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return [quote_data(each, depth + 1) for each in value[:_MOST]] if depth < _DEEPEST else []
    if isinstance(value, Mapping):
        if depth >= _DEEPEST:
            return {}
        return {quote(str(name), 100): quote_data(each, depth + 1) for name, each in [*value.items()][:_MOST]}
    return value


class Status(Protocol):
    """The attributes of every KSeF status: `StatusInfo` and `InvoiceStatusInfo` of `api` both fit."""

    @property
    def code(self) -> int:
        """Below 200 in progress, 200 success, above 200 failure."""
        ...

    @property
    def description(self) -> str:
        """For people, in Polish."""
        ...

    @property
    def details(self) -> tuple[str, ...]:
        """For people, mostly in Polish."""
        ...


class KsefError(Exception):
    """Base of all errors of this library."""

    maybe_delivered: bool = False
    """True when KSeF may have acted on the call all the same: no answer came, or one that settles nothing."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with keyword arguments do not survive pickling (process pools, task queues) by themselves.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[KsefError], args: tuple[object, ...], state: dict[str, object]) -> KsefError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class LocalProtocolError(KsefError):
    """You asked for something KSeF forbids, or used an object out of its turn; nothing was sent."""


class InvalidFieldError(LocalProtocolError):
    """A value that KSeF would refuse (21405); nothing was sent."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field} {rule}")
        self.field = field
        """Its name in the model."""
        self.rule = rule
        """What KSeF asks of it, and what it was."""


class ConfigurationError(LocalProtocolError):
    """A setting is missing or cannot be used: an environment variable, or a file of credentials."""


class RemoteProtocolError(KsefError):
    """KSeF answered something its own specification does not allow."""

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        path: str | None = None,
        maybe_delivered: bool = False,
    ) -> None:
        super().__init__(message)
        self.operation = operation
        """Name of the operation that was called, e.g. ``"open_online_session"``."""
        self.path = path
        """Where in the answer, e.g. ``"$.invoices[0].referenceNumber"``; None when the whole answer is wrong."""
        self.maybe_delivered = maybe_delivered
        """True when the request may have taken effect: KSeF answered with success, but not with what belongs to it."""


class TransportError(KsefError):
    """No answer arrived: the connection failed, or broke before the answer was complete."""

    def __init__(self, message: str, *, maybe_delivered: bool) -> None:
        super().__init__(message)
        self.maybe_delivered = maybe_delivered
        """True when the request may have reached KSeF and taken effect; False only where that is impossible."""


class ConnectError(TransportError):
    """No connection could be made; KSeF has not seen the request."""


class AnswerTimeoutError(TransportError):
    """The connection was established, but the answer did not come in time."""


class ApiError(KsefError):
    """KSeF answered with an error status."""

    def __init__(
        self,
        message: str,
        *,
        operation: str,
        http_status: int,
        code: int | None = None,
        details: tuple[str, ...] = (),
        trace_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.operation = operation
        """Name of the operation that was called, e.g. ``"open_online_session"``."""
        self.http_status = http_status
        """HTTP status of the answer."""
        self.code = code
        """KSeF's exception code (protocol: table of exception codes), None where the answer had none."""
        self.details = details
        """KSeF's explanations, mostly in Polish: for people, never to branch on."""
        self.trace_id = trace_id
        """What the Ministry's help desk asks for: 32 hex digits, None where the answer had none."""


class BadRequestError(ApiError):
    """400: the request was understood and refused; ``code`` says why."""


class UnauthorizedError(ApiError):
    """401: the bearer token is missing, expired or malformed."""


class ForbiddenError(ApiError):
    """403: the bearer is valid but may not do this."""

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        security: Mapping[str, object] | None = None,
        **kwargs: Any,  # those of ApiError
    ) -> None:
        super().__init__(message, **kwargs)
        self.reason = reason
        """``missing-permissions``, ``ip-not-allowed``, ...; KSeF sometimes leaves it out."""
        self.security = dict(security or {})
        """What KSeF adds to the reason, e.g. the permissions required and present."""


class GoneError(ApiError):
    """410: the operation is too old to be asked about."""


class RateLimitedError(ApiError):
    """429: a request budget of the context is spent; ``retry_after`` is in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after = retry_after
        """Seconds to wait before the next call of the same rate group; None where KSeF did not say."""


class ServerError(ApiError):
    """5xx, a redirect, or an HTML page of a gateway or firewall with any status: KSeF may have acted, or not.

    Not with a status that says the request is too large (413, 414, 431): whoever says so has not passed it on.
    """

    maybe_delivered = True
    """Always True: KSeF may have acted."""


class ProcessingError(KsefError):
    """KSeF took the request in and later reported failure in a status."""

    def __init__(self, message: str, *, status: Status) -> None:
        super().__init__(f"{message}: {describe(status)}")
        self.status = _quoted(status)
        """What KSeF reported."""

    @property
    def code(self) -> int:
        """The status code."""
        return self.status.code

    @property
    def details(self) -> tuple[str, ...]:
        """KSeF's explanations, mostly in Polish: for people, never to branch on."""
        return self.status.details


class LoginFailedError(ProcessingError):
    """The login was refused: 415 no permissions, 425 revoked, 450 token, 460 certificate, 480 blocked, ..."""


class SessionFailedError(ProcessingError):
    """The session ended without a receipt: 415 key, 440 cancelled, 445 no valid invoice, ..."""

    def __init__(self, message: str, *, status: Status, reference_number: str, may_be_sent_again: bool = False) -> None:
        super().__init__(message, status=status)
        self.reference_number = reference_number
        """The session's reference number."""
        self.may_be_sent_again = may_be_sent_again
        """True when no document is to blame: the same ones, sent again in a new session, may well be accepted."""


class OperationFailedError(ProcessingError):
    """An operation that KSeF does in its own time has failed: granting or revoking a permission, a certificate, ..."""

    def __init__(self, message: str, *, status: Status, reference_number: str) -> None:
        super().__init__(message, status=status)
        self.reference_number = reference_number
        """The operation's reference number."""


class ExportFailedError(OperationFailedError):
    """KSeF could not make the package: 210 expired, 415 key, 420 range beyond the high-water mark, 500, 550."""


class InvoiceRejectedError(ProcessingError):
    """KSeF rejected the invoice: ``status`` has its code and reasons; see ``may_be_sent_again``, too."""

    def __init__(
        self,
        message: str,
        *,
        status: Status,
        reference_number: str,
        session_reference_number: str,
        invoice_hash: bytes | None,
        may_be_sent_again: bool = False,
    ) -> None:
        super().__init__(message, status=status)
        self.reference_number = reference_number
        """The invoice's reference number."""
        self.session_reference_number = session_reference_number
        """The reference number of the session it was sent in."""
        self.invoice_hash = invoice_hash
        """SHA-256 of the invoice (32 bytes), which a technical correction names; None where KSeF does not tell."""
        self.may_be_sent_again = may_be_sent_again
        """True when the document is not to blame (405, 435, 500, 550): the same one, sent again in another session, may
        well be accepted.
        """

    @property
    def accepted(self) -> Literal[False]:
        """Return False: KSeF did not accept the invoice; `AcceptedInvoice.accepted` is True."""
        return False


class DuplicateInvoiceError(InvoiceRejectedError):
    """440: an invoice with the same seller, kind and number is already in KSeF, as ``original_ksef_number``."""

    def __init__(
        self, message: str, *, original_ksef_number: str | None, original_session: str | None, **kwargs: Any
    ) -> None:
        super().__init__(message, **kwargs)
        self.original_ksef_number = original_ksef_number
        """KSeF number of the invoice that came first; None where KSeF did not say."""
        self.original_session = original_session
        """Reference number of the session it came in; None where KSeF did not say."""


class WaitTimeoutError(KsefError):
    """Still in progress when the time to wait ran out; asking again later is safe."""

    def __init__(self, message: str, *, last_status: Status | None = None) -> None:
        super().__init__(message if last_status is None else f"{message}; last seen: {describe(last_status)}")
        self.last_status = None if last_status is None else _quoted(last_status)
        """The status seen last; None when none was seen."""


class UploadExpiredError(KsefError):
    """The time to upload a package is over: open a new session with the same package; nothing of it was processed."""


class CryptoError(KsefError):
    """A key, certificate or ciphertext cannot be used."""


def describe(status: Status) -> str:
    """Return one line for people: ``440 Sesja anulowana (Nie przesłano faktur)``; what KSeF says is quoted."""
    details = f" ({'; '.join(map(quote, status.details[:10]))})" if status.details else ""
    return f"{status.code} {quote(status.description)}{details}"


def _quoted(status: Status) -> Status:
    """Return the status as an error may keep it: errors are logged and reported with all that they keep."""
    description, details = quote(status.description), tuple(map(quote, status.details))
    if (description, details) == (status.description, status.details):
        return status
    # Both models of a status are attrs classes, which a protocol cannot say.
    return cast("Status", attrs.evolve(cast("Any", status), description=description, details=details))
