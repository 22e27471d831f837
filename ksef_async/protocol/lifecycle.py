"""The state machine of everything that has a status: its states, their meaning, and which state can follow which.

Nothing else decides. The sandbox changes a state only by `Lifecycle.move` (through `sandbox.timeline`), the client
reads from the same tables whether something is in progress, has succeeded or has failed, and ``lifecycle.md`` in the
documentation is drawn from them by ``tools/lifecycle_diagrams.py``. What only resources have is in
`resource_lifecycles`, so that a program that sends does not load their models.

KSeF numbers most states. Its rule for numbers, known or not: below 200 in progress, 200 success, from 201 failure. A
success is terminal although it may be followed by something else later: a login can be revoked, a package expires.
Source: OpenAPI 2.9.0 (status tables in the descriptions); uwierzytelnianie.md, tokeny-ksef.md, certyfikaty-KSeF.md,
sesja-interaktywna.md, sesja-wsadowa.md.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeVar, cast

import attrs

from ..api.sessions import InvoiceStatusCode, SessionOutcome, StatusCode

__all__ = [
    "BATCH_SESSION",
    "ENROLLMENT",
    "EXPORT",
    "INVOICE",
    "LOGIN",
    "ONLINE_SESSION",
    "PERMISSION_OPERATION",
    "SESSION",
    "EnrollmentStatusCode",
    "ExportStatusCode",
    "Lifecycle",
    "LoginStatusCode",
    "PermissionOperationCode",
    "Phase",
    "State",
    "TransitionError",
    "failure",
    "in_progress",
    "session_outcome",
    "success",
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
                table is a failure, because nothing says that it goes on.
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


def in_progress(description: str, *following: CodeT) -> State[CodeT]:
    """Return a state in which there is still something to wait for."""
    return State(Phase.IN_PROGRESS, description, frozenset(following))


def success(description: str, *following: CodeT) -> State[CodeT]:
    """Return a state of success."""
    return State(Phase.SUCCESS, description, frozenset(following))


def failure(description: str, *details: str, then: Iterable[CodeT] = ()) -> State[CodeT]:
    """Return a state of failure, with the details KSeF always gives."""
    return State(Phase.FAILURE, description, frozenset(then), details)


_CANCELLED_BY_SYSTEM: Final = (
    "Operacja została anulowana przez system",
    "Przetwarzanie zostało przerwane z przyczyn wewnętrznych systemu. Spróbuj ponownie",
)

# --- logins ----------------------------------------------------------------------------------------------------------

LOGIN: Final = Lifecycle[LoginStatusCode](
    "login",
    {
        LoginStatusCode.IN_PROGRESS: in_progress(
            "Uwierzytelnianie w toku",
            *(code for code in LoginStatusCode if code not in (LoginStatusCode.IN_PROGRESS, LoginStatusCode.REVOKED)),
        ),
        LoginStatusCode.SUCCEEDED: success("Uwierzytelnianie zakończone sukcesem", LoginStatusCode.REVOKED),
        LoginStatusCode.NO_PERMISSIONS: failure(
            "Uwierzytelnianie zakończone niepowodzeniem", "Brak przypisanych uprawnień"
        ),
        LoginStatusCode.REVOKED: failure(
            "Uwierzytelnienie unieważnione",
            "Uwierzytelnienie i powiązane refresh tokeny zostały unieważnione przez użytkownika",
        ),
        LoginStatusCode.INVALID_TOKEN: failure("Uwierzytelnianie zakończone niepowodzeniem z powodu błędnego tokenu"),
        LoginStatusCode.INVALID_CERTIFICATE: failure(
            "Uwierzytelnianie zakończone niepowodzeniem z powodu błędu certyfikatu"
        ),
        LoginStatusCode.DECEASED_PERSON: failure(
            "Uwierzytelnianie zakończone niepowodzeniem", "Próba wykorzystania metod autoryzacyjnych osoby zmarłej"
        ),
        LoginStatusCode.BLOCKED: failure(
            "Uwierzytelnienie zablokowane",
            "Podejrzenie incydentu bezpieczeństwa. Skontaktuj się z Ministerstwem Finansów przez formularz "
            "zgłoszeniowy.",
        ),
        LoginStatusCode.UNKNOWN_ERROR: failure("Nieznany błąd"),
        LoginStatusCode.CANCELLED_BY_SYSTEM: failure(*_CANCELLED_BY_SYSTEM),
    },
    (LoginStatusCode.IN_PROGRESS,),
)

# --- sessions and invoices -------------------------------------------------------------------------------------------

ONLINE_SESSION: Final = Lifecycle[StatusCode](
    "online session",
    {
        # Closing an empty session shows 440 at once, without a visible 170.
        StatusCode.OPENED: in_progress(
            "Sesja interaktywna otwarta", StatusCode.CLOSED, StatusCode.DECRYPTION_ERROR, StatusCode.CANCELLED
        ),
        StatusCode.CLOSED: in_progress(
            "Sesja interaktywna zamknięta",
            StatusCode.PROCESSED_OK,
            # KSeF decrypts the key some time after the opening, and a session may be closed before that [INF].
            StatusCode.DECRYPTION_ERROR,
            StatusCode.CANCELLED,
            StatusCode.VALIDATION_ERROR,
        ),
        StatusCode.PROCESSED_OK: success("Sesja interaktywna przetworzona pomyślnie"),
        StatusCode.DECRYPTION_ERROR: failure(
            "Błąd odszyfrowania dostarczonego klucza", "Rozszyfrowania klucza symetrycznego zakończone błędem"
        ),
        StatusCode.CANCELLED: failure("Sesja anulowana", "Nie przesłano faktur"),
        StatusCode.VALIDATION_ERROR: failure("Błąd weryfikacji, brak poprawnych faktur"),
    },
    (StatusCode.OPENED,),
)

BATCH_SESSION: Final = Lifecycle[StatusCode](
    "batch session",
    {
        # 440 has three causes, which its details distinguish: not closed in time, an empty package, and KSeF's own
        # cancelling of a session that was closed in time (ksef-api#308).
        StatusCode.OPENED: in_progress("Sesja wsadowa rozpoczęta", StatusCode.PROCESSING, StatusCode.CANCELLED),
        StatusCode.PROCESSING: in_progress(
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
        StatusCode.PROCESSED_OK: success("Sesja wsadowa przetworzona pomyślnie"),
        StatusCode.PART_ERROR: failure("Błąd weryfikacji poprawności dostarczonych elementów paczki"),
        StatusCode.DECRYPTION_ERROR: failure("Błąd odszyfrowania dostarczonego klucza"),
        StatusCode.TOO_MANY_INVOICES: failure("Przekroczony limit faktur w sesji"),
        StatusCode.ARCHIVE_ERROR: failure("Błąd dekompresji pierwotnego archiwum"),
        StatusCode.PART_DECRYPTION_ERROR: failure("Błąd odszyfrowania zaszyfrowanych części archiwum"),
        StatusCode.CANCELLED: failure("Sesja anulowana"),
        StatusCode.VALIDATION_ERROR: failure("Błąd weryfikacji, brak poprawnych faktur"),
        StatusCode.UNKNOWN_ERROR: failure("Nieznany błąd"),
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
        InvoiceStatusCode.RECEIVED: in_progress(
            "Faktura przyjęta do dalszego przetwarzania", InvoiceStatusCode.PROCESSING, *_INVOICE_ENDS
        ),
        InvoiceStatusCode.PROCESSING: in_progress("Trwa przetwarzanie", *_INVOICE_ENDS),
        InvoiceStatusCode.ACCEPTED: success("Sukces"),
        InvoiceStatusCode.SESSION_FAILED: failure("Przetwarzanie anulowane z powodu błędu sesji"),
        InvoiceStatusCode.NOT_PERMITTED: failure("Nieprawidłowy zakres uprawnień"),
        InvoiceStatusCode.ATTACHMENT_REFUSED: failure("Brak możliwości wysyłania faktury z załącznikiem"),
        InvoiceStatusCode.FILE_ERROR: failure("Błąd weryfikacji pliku faktury"),
        InvoiceStatusCode.DECRYPTION_ERROR: failure("Błąd odszyfrowania pliku"),
        InvoiceStatusCode.DUPLICATE: failure("Duplikat faktury"),
        InvoiceStatusCode.INVALID_DOCUMENT: failure("Błąd weryfikacji semantyki dokumentu faktury"),
        InvoiceStatusCode.UNKNOWN_ERROR: failure("Nieznany błąd"),
        InvoiceStatusCode.CANCELLED_BY_SYSTEM: failure(*_CANCELLED_BY_SYSTEM),
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
        ExportStatusCode.IN_PROGRESS: in_progress(
            "Eksport faktur w toku",
            *(
                code
                for code in ExportStatusCode
                if code not in (ExportStatusCode.IN_PROGRESS, ExportStatusCode.EXPIRED)
            ),
        ),
        ExportStatusCode.READY: success("Eksport faktur zakończony sukcesem", ExportStatusCode.EXPIRED),
        ExportStatusCode.EXPIRED: failure("Eksport faktur wygasł i nie jest już dostępny do pobrania"),
        ExportStatusCode.DECRYPTION_ERROR: failure("Błąd odszyfrowania dostarczonego klucza"),
        ExportStatusCode.RANGE_NOT_AVAILABLE: failure(
            "Zakres filtrowania wykracza poza dostępny zakres danych",
            "Parametr dateRange.from jest późniejszy niż PermanentStorageHwmDate przy włączonym "
            "restrictToPermanentStorageHwmDate.",
        ),
        ExportStatusCode.UNKNOWN_ERROR: failure("Nieznany błąd"),
        ExportStatusCode.CANCELLED_BY_SYSTEM: failure(*_CANCELLED_BY_SYSTEM),
    },
    (ExportStatusCode.IN_PROGRESS,),
)

# --- permissions -----------------------------------------------------------------------------------------------------

PERMISSION_OPERATION: Final = Lifecycle[PermissionOperationCode](
    "permission operation",
    {
        PermissionOperationCode.ACCEPTED: in_progress(
            "Operacja przyjęta do realizacji",
            *(code for code in PermissionOperationCode if code is not PermissionOperationCode.ACCEPTED),
        ),
        PermissionOperationCode.SUCCEEDED: success("Operacja zakończona sukcesem"),
        PermissionOperationCode.FAILED: failure("Operacja zakończona niepowodzeniem"),
        PermissionOperationCode.WRONG_RELATION: failure(
            "Podane identyfikatory są niezgodne lub pozostają w niewłaściwej relacji"
        ),
        PermissionOperationCode.NOT_PERMITTED: failure(
            "Użyte poświadczenia nie mają uprawnień do wykonania tej operacji"
        ),
        PermissionOperationCode.WRONG_ROLE: failure(
            "Kontekst identyfikatora nie odpowiada wymaganej roli lub uprawnieniom"
        ),
        PermissionOperationCode.FORBIDDEN_LINK: failure(
            "Operacja niedozwolona dla wskazanych powiązań identyfikatorów"
        ),
        PermissionOperationCode.FORBIDDEN_IDENTIFIER: failure(
            "Operacja niedozwolona dla wskazanego identyfikatora lub jego typu"
        ),
        PermissionOperationCode.UNKNOWN_ERROR: failure("Nieznany błąd"),
        PermissionOperationCode.CANCELLED_BY_SYSTEM: failure(
            "Operacja została anulowana przez system",
            # Here KSeF says when to try again: later.
            "Przetwarzanie zostało przerwane z przyczyn wewnętrznych systemu. Spróbuj ponownie później.",
        ),
    },
    (PermissionOperationCode.ACCEPTED,),
)

# --- applications for certificates -----------------------------------------------------------------------------------

ENROLLMENT: Final = Lifecycle[EnrollmentStatusCode](
    "certificate application",
    {
        EnrollmentStatusCode.IN_PROGRESS: in_progress(
            "Wniosek przyjęty do realizacji",
            *(code for code in EnrollmentStatusCode if code is not EnrollmentStatusCode.IN_PROGRESS),
        ),
        EnrollmentStatusCode.ISSUED: success("Wniosek obsłużony (certyfikat wygenerowany)"),
        EnrollmentStatusCode.REJECTED: failure("Wniosek odrzucony"),
        EnrollmentStatusCode.UNKNOWN_ERROR: failure("Nieznany błąd"),
        EnrollmentStatusCode.CANCELLED_BY_SYSTEM: failure(*_CANCELLED_BY_SYSTEM),
    },
    (EnrollmentStatusCode.IN_PROGRESS,),
)
