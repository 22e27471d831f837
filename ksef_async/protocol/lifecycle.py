"""The state machine of everything that has a status: its states, their meaning, and which state can follow which.

Nothing else decides. The sandbox changes a state only by `Lifecycle.move` (through `sandbox.timeline`), the client
reads from the same tables whether something is in progress, has succeeded or has failed, and ``docs/lifecycle.md`` is
drawn from them by ``tools/lifecycle_diagrams.py``.

KSeF numbers most states. Its rule for numbers, known or not: below 200 in progress, 200 success, from 201 failure. A
success is terminal although it may be followed by something else later: a login can be revoked, a package expires.
Source: OpenAPI 2.9.0 (status tables in the descriptions); uwierzytelnianie.md, tokeny-ksef.md, certyfikaty-KSeF.md,
sesja-interaktywna.md, sesja-wsadowa.md.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeAlias, TypeVar, cast

import attrs

from ..api.certificates import CertificateStatus
from ..api.permissions import PermissionState
from ..api.sessions import InvoiceStatusCode, SessionOutcome, StatusCode
from ..api.tokens import TokenStatus

__all__ = [
    "BATCH_SESSION",
    "CERTIFICATE",
    "ENROLLMENT",
    "EXPORT",
    "INVOICE",
    "LIFECYCLES",
    "LOGIN",
    "ONLINE_SESSION",
    "PERMISSION",
    "PERMISSION_OPERATION",
    "SESSION",
    "TOKEN",
    "AnyLifecycle",
    "EnrollmentStatusCode",
    "ExportStatusCode",
    "Lifecycle",
    "LoginStatusCode",
    "PermissionOperationCode",
    "Phase",
    "State",
    "TransitionError",
    "session_outcome",
]

CodeT = TypeVar("CodeT", bound=int | str)


class LoginStatusCode(enum.IntEnum):
    """The known status codes of a login."""

    IN_PROGRESS = 100
    SUCCEEDED = 200
    NO_PERMISSIONS = 415
    REVOKED = 425
    INVALID_TOKEN = 450
    INVALID_CERTIFICATE = 460
    DECEASED_PERSON = 470
    BLOCKED = 480
    UNKNOWN_ERROR = 500
    CANCELLED_BY_SYSTEM = 550


class ExportStatusCode(enum.IntEnum):
    """The known status codes of an export."""

    IN_PROGRESS = 100
    READY = 200
    """The package can be fetched."""
    EXPIRED = 210
    """The package is no longer there."""
    DECRYPTION_ERROR = 415
    """The key for the package could not be decrypted."""
    RANGE_NOT_AVAILABLE = 420
    """The range starts beyond the high-water mark."""
    UNKNOWN_ERROR = 500
    CANCELLED_BY_SYSTEM = 550


class EnrollmentStatusCode(enum.IntEnum):
    """The known status codes of an application for a certificate."""

    IN_PROGRESS = 100
    ISSUED = 200
    REJECTED = 400
    UNKNOWN_ERROR = 500
    CANCELLED_BY_SYSTEM = 550


class PermissionOperationCode(enum.IntEnum):
    """The known status codes of granting and revoking."""

    ACCEPTED = 100
    SUCCEEDED = 200
    FAILED = 400
    WRONG_RELATION = 410
    """The identifiers contradict each other, or stand in the wrong relation."""
    NOT_PERMITTED = 420
    """Whoever asked may not do that."""
    WRONG_ROLE = 430
    """The context lacks the role or permission that is needed."""
    FORBIDDEN_LINK = 440
    FORBIDDEN_IDENTIFIER = 450
    UNKNOWN_ERROR = 500
    CANCELLED_BY_SYSTEM = 550


class Phase(enum.Enum):
    """The meaning of a state to whoever waits."""

    IN_PROGRESS = "in progress"
    SUCCESS = "success"
    FAILURE = "failure"


class TransitionError(Exception):
    """A change of state that the table does not have: a bug of whoever makes it, never of KSeF or of a caller."""


@attrs.frozen
class State(Generic[CodeT]):
    """A state, its meaning, and the states that can follow it."""

    phase: Phase
    description: str = ""
    """KSeF's own text for it; empty where KSeF gives a word and no text."""
    next: frozenset[CodeT] = frozenset()
    """Codes that can follow."""
    details: tuple[str, ...] = ()
    """The details KSeF always gives with it."""


@attrs.frozen
class Lifecycle(Generic[CodeT]):
    """The state machine of one kind of thing."""

    name: str
    """The kind, as in ``"online session"``."""
    states: Mapping[CodeT, State[CodeT]]
    """By their codes, in the order in which they are drawn."""
    starts: tuple[CodeT, ...]
    """The states in which it can begin; mostly one."""

    def move(self, old: CodeT | None, new: CodeT) -> CodeT:
        """Return ``new``, having checked that it can follow ``old``.

        Args:
            old: The present state; None for something that begins.
            new: The next one.

        Raises:
            TransitionError: The table does not have this transition.
        """
        following = self.starts if old is None else self.states[old].next
        if new not in following:
            before = "the beginning" if old is None else _label(old)
            allowed = ", ".join(sorted(map(_label, following))) or "nothing"
            raise TransitionError(f"{self.name}: {_label(new)} cannot follow {before}; what can: {allowed}")
        return new

    def phase(self, code: int | str) -> Phase:
        """Return the meaning of a code.

        Args:
            code: Known or not: a number outside the table has the meaning KSeF's rule gives it, a word outside the
                table is a failure, because nobody can tell that it goes on.
        """
        if (known := self.states.get(cast("CodeT", code))) is not None:
            return known.phase
        if isinstance(code, str) or code > _SUCCESS:
            return Phase.FAILURE
        return Phase.SUCCESS if code == _SUCCESS else Phase.IN_PROGRESS

    def is_terminal(self, code: int | str) -> bool:
        """Return whether the wait is over: success or failure."""
        return self.phase(code) is not Phase.IN_PROGRESS

    def is_success(self, code: int | str) -> bool:
        """Return whether it has succeeded."""
        return self.phase(code) is Phase.SUCCESS


def _label(code: int | str) -> str:
    return f"{int(code)}" if isinstance(code, int) else str(code)


_SUCCESS: Final = 200


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


def _in_progress(description: str, *following: CodeT) -> State[CodeT]:
    return State(Phase.IN_PROGRESS, description, frozenset(following))


def _success(description: str, *following: CodeT) -> State[CodeT]:
    return State(Phase.SUCCESS, description, frozenset(following))


def _failure(description: str, *details: str, then: Iterable[CodeT] = ()) -> State[CodeT]:
    return State(Phase.FAILURE, description, frozenset(then), details)


_CANCELLED_BY_SYSTEM: Final = (
    "Operacja została anulowana przez system",
    "Przetwarzanie zostało przerwane z przyczyn wewnętrznych systemu. Spróbuj ponownie",
)

# --- logins ----------------------------------------------------------------------------------------------------------

LOGIN: Final = Lifecycle[LoginStatusCode](
    "login",
    {
        LoginStatusCode.IN_PROGRESS: _in_progress(
            "Uwierzytelnianie w toku",
            *(code for code in LoginStatusCode if code not in (LoginStatusCode.IN_PROGRESS, LoginStatusCode.REVOKED)),
        ),
        LoginStatusCode.SUCCEEDED: _success("Uwierzytelnianie zakończone sukcesem", LoginStatusCode.REVOKED),
        LoginStatusCode.NO_PERMISSIONS: _failure(
            "Uwierzytelnianie zakończone niepowodzeniem", "Brak przypisanych uprawnień"
        ),
        LoginStatusCode.REVOKED: _failure(
            "Uwierzytelnienie unieważnione",
            "Uwierzytelnienie i powiązane refresh tokeny zostały unieważnione przez użytkownika",
        ),
        LoginStatusCode.INVALID_TOKEN: _failure("Uwierzytelnianie zakończone niepowodzeniem z powodu błędnego tokenu"),
        LoginStatusCode.INVALID_CERTIFICATE: _failure(
            "Uwierzytelnianie zakończone niepowodzeniem z powodu błędu certyfikatu"
        ),
        LoginStatusCode.DECEASED_PERSON: _failure(
            "Uwierzytelnianie zakończone niepowodzeniem", "Próba wykorzystania metod autoryzacyjnych osoby zmarłej"
        ),
        LoginStatusCode.BLOCKED: _failure(
            "Uwierzytelnienie zablokowane",
            "Podejrzenie incydentu bezpieczeństwa. Skontaktuj się z Ministerstwem Finansów przez formularz "
            "zgłoszeniowy.",
        ),
        LoginStatusCode.UNKNOWN_ERROR: _failure("Nieznany błąd"),
        LoginStatusCode.CANCELLED_BY_SYSTEM: _failure(*_CANCELLED_BY_SYSTEM),
    },
    (LoginStatusCode.IN_PROGRESS,),
)

# --- sessions and invoices -------------------------------------------------------------------------------------------

ONLINE_SESSION: Final = Lifecycle[StatusCode](
    "online session",
    {
        # Closing an empty session shows 440 at once, without a visible 170.
        StatusCode.OPENED: _in_progress(
            "Sesja interaktywna otwarta", StatusCode.CLOSED, StatusCode.DECRYPTION_ERROR, StatusCode.CANCELLED
        ),
        StatusCode.CLOSED: _in_progress(
            "Sesja interaktywna zamknięta",
            StatusCode.PROCESSED_OK,
            # KSeF decrypts the key some time after the opening, and a session may be closed before that [INF].
            StatusCode.DECRYPTION_ERROR,
            StatusCode.CANCELLED,
            StatusCode.VALIDATION_ERROR,
        ),
        StatusCode.PROCESSED_OK: _success("Sesja interaktywna przetworzona pomyślnie"),
        StatusCode.DECRYPTION_ERROR: _failure(
            "Błąd odszyfrowania dostarczonego klucza", "Rozszyfrowania klucza symetrycznego zakończone błędem"
        ),
        StatusCode.CANCELLED: _failure("Sesja anulowana", "Nie przesłano faktur"),
        StatusCode.VALIDATION_ERROR: _failure("Błąd weryfikacji, brak poprawnych faktur"),
    },
    (StatusCode.OPENED,),
)

BATCH_SESSION: Final = Lifecycle[StatusCode](
    "batch session",
    {
        # 440 has three causes, which its details tell apart: not closed in time, an empty package, and KSeF's own
        # cancelling of a session that was closed in time (ksef-api#308).
        StatusCode.OPENED: _in_progress("Sesja wsadowa rozpoczęta", StatusCode.PROCESSING, StatusCode.CANCELLED),
        StatusCode.PROCESSING: _in_progress(
            "Trwa przetwarzanie",
            StatusCode.PROCESSED_OK,
            StatusCode.PART_ERROR,
            StatusCode.DECRYPTION_ERROR,
            StatusCode.TOO_MANY_INVOICES,
            StatusCode.ARCHIVE_ERROR,
            StatusCode.PART_DECRYPTION_ERROR,
            StatusCode.CANCELLED,
            StatusCode.VALIDATION_ERROR,
            StatusCode.UNKNOWN_ERROR,
        ),
        StatusCode.PROCESSED_OK: _success("Sesja wsadowa przetworzona pomyślnie"),
        StatusCode.PART_ERROR: _failure("Błąd weryfikacji poprawności dostarczonych elementów paczki"),
        StatusCode.DECRYPTION_ERROR: _failure("Błąd odszyfrowania dostarczonego klucza"),
        StatusCode.TOO_MANY_INVOICES: _failure("Przekroczony limit faktur w sesji"),
        StatusCode.ARCHIVE_ERROR: _failure("Błąd dekompresji pierwotnego archiwum"),
        StatusCode.PART_DECRYPTION_ERROR: _failure("Błąd odszyfrowania zaszyfrowanych części archiwum"),
        StatusCode.CANCELLED: _failure("Sesja anulowana"),
        StatusCode.VALIDATION_ERROR: _failure("Błąd weryfikacji, brak poprawnych faktur"),
        StatusCode.UNKNOWN_ERROR: _failure("Nieznany błąd"),
    },
    (StatusCode.OPENED,),
)

SESSION: Final = Lifecycle[StatusCode](
    "session", {**ONLINE_SESSION.states, **BATCH_SESSION.states}, (StatusCode.OPENED,)
)
"""For the meaning of a code where the kind of the session is not at hand: what both kinds have means the same."""

_INVOICE_ENDS: Final = [
    code for code in InvoiceStatusCode if code not in (InvoiceStatusCode.RECEIVED, InvoiceStatusCode.PROCESSING)
]

INVOICE: Final = Lifecycle[InvoiceStatusCode](
    "invoice",
    {
        InvoiceStatusCode.RECEIVED: _in_progress(
            "Faktura przyjęta do dalszego przetwarzania", InvoiceStatusCode.PROCESSING, *_INVOICE_ENDS
        ),
        InvoiceStatusCode.PROCESSING: _in_progress("Trwa przetwarzanie", *_INVOICE_ENDS),
        InvoiceStatusCode.ACCEPTED: _success("Sukces"),
        InvoiceStatusCode.SESSION_FAILED: _failure("Przetwarzanie anulowane z powodu błędu sesji"),
        InvoiceStatusCode.NOT_PERMITTED: _failure("Nieprawidłowy zakres uprawnień"),
        InvoiceStatusCode.ATTACHMENT_REFUSED: _failure("Brak możliwości wysyłania faktury z załącznikiem"),
        InvoiceStatusCode.FILE_ERROR: _failure("Błąd weryfikacji pliku faktury"),
        InvoiceStatusCode.DECRYPTION_ERROR: _failure("Błąd odszyfrowania pliku"),
        InvoiceStatusCode.DUPLICATE: _failure("Duplikat faktury"),
        InvoiceStatusCode.INVALID_DOCUMENT: _failure("Błąd weryfikacji semantyki dokumentu faktury"),
        InvoiceStatusCode.UNKNOWN_ERROR: _failure("Nieznany błąd"),
        InvoiceStatusCode.CANCELLED_BY_SYSTEM: _failure(*_CANCELLED_BY_SYSTEM),
    },
    (InvoiceStatusCode.RECEIVED,),
)


def session_outcome(code: int) -> SessionOutcome:
    """Return the coarse state by which ``GET /sessions`` filters."""
    if code == StatusCode.CANCELLED:
        return SessionOutcome.CANCELLED
    return _OUTCOMES[SESSION.phase(code)]


_OUTCOMES: Final = {
    Phase.IN_PROGRESS: SessionOutcome.IN_PROGRESS,
    Phase.SUCCESS: SessionOutcome.SUCCEEDED,
    Phase.FAILURE: SessionOutcome.FAILED,
}

# --- exports ---------------------------------------------------------------------------------------------------------

EXPORT: Final = Lifecycle[ExportStatusCode](
    "export",
    {
        ExportStatusCode.IN_PROGRESS: _in_progress(
            "Eksport faktur w toku",
            *(
                code
                for code in ExportStatusCode
                if code not in (ExportStatusCode.IN_PROGRESS, ExportStatusCode.EXPIRED)
            ),
        ),
        ExportStatusCode.READY: _success("Eksport faktur zakończony sukcesem", ExportStatusCode.EXPIRED),
        ExportStatusCode.EXPIRED: _failure("Eksport faktur wygasł i nie jest już dostępny do pobrania"),
        ExportStatusCode.DECRYPTION_ERROR: _failure("Błąd odszyfrowania dostarczonego klucza"),
        ExportStatusCode.RANGE_NOT_AVAILABLE: _failure(
            "Zakres filtrowania wykracza poza dostępny zakres danych",
            "Parametr dateRange.from jest późniejszy niż PermanentStorageHwmDate przy włączonym "
            "restrictToPermanentStorageHwmDate.",
        ),
        ExportStatusCode.UNKNOWN_ERROR: _failure("Nieznany błąd"),
        ExportStatusCode.CANCELLED_BY_SYSTEM: _failure(*_CANCELLED_BY_SYSTEM),
    },
    (ExportStatusCode.IN_PROGRESS,),
)

# --- permissions -----------------------------------------------------------------------------------------------------

PERMISSION_OPERATION: Final = Lifecycle[PermissionOperationCode](
    "permission operation",
    {
        PermissionOperationCode.ACCEPTED: _in_progress(
            "Operacja przyjęta do realizacji",
            *(code for code in PermissionOperationCode if code is not PermissionOperationCode.ACCEPTED),
        ),
        PermissionOperationCode.SUCCEEDED: _success("Operacja zakończona sukcesem"),
        PermissionOperationCode.FAILED: _failure("Operacja zakończona niepowodzeniem"),
        PermissionOperationCode.WRONG_RELATION: _failure(
            "Podane identyfikatory są niezgodne lub pozostają w niewłaściwej relacji"
        ),
        PermissionOperationCode.NOT_PERMITTED: _failure(
            "Użyte poświadczenia nie mają uprawnień do wykonania tej operacji"
        ),
        PermissionOperationCode.WRONG_ROLE: _failure(
            "Kontekst identyfikatora nie odpowiada wymaganej roli lub uprawnieniom"
        ),
        PermissionOperationCode.FORBIDDEN_LINK: _failure(
            "Operacja niedozwolona dla wskazanych powiązań identyfikatorów"
        ),
        PermissionOperationCode.FORBIDDEN_IDENTIFIER: _failure(
            "Operacja niedozwolona dla wskazanego identyfikatora lub jego typu"
        ),
        PermissionOperationCode.UNKNOWN_ERROR: _failure("Nieznany błąd"),
        PermissionOperationCode.CANCELLED_BY_SYSTEM: _failure(
            "Operacja została anulowana przez system",
            # Here KSeF says when to try again: later.
            "Przetwarzanie zostało przerwane z przyczyn wewnętrznych systemu. Spróbuj ponownie później.",
        ),
    },
    (PermissionOperationCode.ACCEPTED,),
)

PERMISSION: Final = Lifecycle[PermissionState](
    "permission",
    {
        # One that was passed on has an effect only while a client allows it, whatever was first.
        PermissionState.ACTIVE: _success("", PermissionState.INACTIVE),
        PermissionState.INACTIVE: _failure("", then=[PermissionState.ACTIVE]),
    },
    (PermissionState.ACTIVE, PermissionState.INACTIVE),
)

# --- certificates and KSeF tokens ------------------------------------------------------------------------------------

ENROLLMENT: Final = Lifecycle[EnrollmentStatusCode](
    "certificate application",
    {
        EnrollmentStatusCode.IN_PROGRESS: _in_progress(
            "Wniosek przyjęty do realizacji",
            *(code for code in EnrollmentStatusCode if code is not EnrollmentStatusCode.IN_PROGRESS),
        ),
        EnrollmentStatusCode.ISSUED: _success("Wniosek obsłużony (certyfikat wygenerowany)"),
        EnrollmentStatusCode.REJECTED: _failure("Wniosek odrzucony"),
        EnrollmentStatusCode.UNKNOWN_ERROR: _failure("Nieznany błąd"),
        EnrollmentStatusCode.CANCELLED_BY_SYSTEM: _failure(*_CANCELLED_BY_SYSTEM),
    },
    (EnrollmentStatusCode.IN_PROGRESS,),
)

CERTIFICATE: Final = Lifecycle[CertificateStatus](
    "certificate",
    {
        CertificateStatus.ACTIVE: _success("", CertificateStatus.BLOCKED, CertificateStatus.EXPIRED),
        # "Status przejściowy do czasu zakończenia procesu unieważniania."
        CertificateStatus.BLOCKED: _failure("", then=[CertificateStatus.REVOKED]),
        CertificateStatus.REVOKED: _failure(""),
        CertificateStatus.EXPIRED: _failure(""),
    },
    (CertificateStatus.ACTIVE,),
)

TOKEN: Final = Lifecycle[TokenStatus](
    "KSeF token",
    {
        TokenStatus.PENDING: _in_progress("", TokenStatus.ACTIVE, TokenStatus.FAILED, TokenStatus.REVOKING),
        # Revoked at once where its author loses all permissions.
        TokenStatus.ACTIVE: _success("", TokenStatus.REVOKING, TokenStatus.REVOKED),
        TokenStatus.REVOKING: _failure("", then=[TokenStatus.REVOKED]),
        TokenStatus.REVOKED: _failure(""),
        TokenStatus.FAILED: _failure(""),
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
