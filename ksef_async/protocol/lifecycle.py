"""Every state and every transition is in this file: of logins, sessions, invoices, exports, applications, grants.

The rule for codes, known or not: below 200 in progress, 200 success, from 201 failure for good.
Source: OpenAPI 2.9.0 (status tables in the descriptions); uwierzytelnianie.md; sesja-interaktywna.md, sesja-wsadowa.md.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import attrs

from ..api.sessions import InvoiceStatusCode, SessionOutcome, StatusCode

__all__ = [
    "BATCH_SESSION_STATES",
    "ENROLLMENT_STATES",
    "EXPORT_STATES",
    "INVOICE_STATES",
    "LOGIN_STATES",
    "ONLINE_SESSION_STATES",
    "PERMISSION_OPERATION_STATES",
    "EnrollmentStatusCode",
    "ExportStatusCode",
    "LoginStatusCode",
    "PermissionOperationCode",
    "State",
    "is_success",
    "is_terminal",
    "session_outcome",
]


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


@attrs.frozen
class State:
    """A state, and what can follow it."""

    description: str
    """What KSeF calls it."""
    next: frozenset[int] = frozenset()
    """Codes that can follow."""
    details: tuple[str, ...] = ()
    """The details KSeF always gives with it."""


def is_terminal(code: int) -> bool:
    """True when the state will not change any more (a login's 200 can still be revoked)."""
    return code >= 200


def is_success(code: int) -> bool:
    """True for the one code that means success."""
    return code == 200


def session_outcome(code: int) -> SessionOutcome:
    """The coarse state by which ``GET /sessions`` filters."""
    if not is_terminal(code):
        return SessionOutcome.IN_PROGRESS
    if is_success(code):
        return SessionOutcome.SUCCEEDED
    return SessionOutcome.CANCELLED if code == StatusCode.CANCELLED else SessionOutcome.FAILED


_CANCELLED_BY_SYSTEM = State(
    "Operacja została anulowana przez system",
    details=("Przetwarzanie zostało przerwane z przyczyn wewnętrznych systemu. Spróbuj ponownie",),
)

LOGIN_STATES: Final[Mapping[int, State]] = {
    LoginStatusCode.IN_PROGRESS: State(
        "Uwierzytelnianie w toku", next=frozenset({200, 415, 450, 460, 470, 480, 500, 550})
    ),
    LoginStatusCode.SUCCEEDED: State("Uwierzytelnianie zakończone sukcesem", next=frozenset({425})),
    LoginStatusCode.NO_PERMISSIONS: State(
        "Uwierzytelnianie zakończone niepowodzeniem", details=("Brak przypisanych uprawnień",)
    ),
    LoginStatusCode.REVOKED: State(
        "Uwierzytelnienie unieważnione",
        details=("Uwierzytelnienie i powiązane refresh tokeny zostały unieważnione przez użytkownika",),
    ),
    LoginStatusCode.INVALID_TOKEN: State("Uwierzytelnianie zakończone niepowodzeniem z powodu błędnego tokenu"),
    LoginStatusCode.INVALID_CERTIFICATE: State("Uwierzytelnianie zakończone niepowodzeniem z powodu błędu certyfikatu"),
    LoginStatusCode.DECEASED_PERSON: State(
        "Uwierzytelnianie zakończone niepowodzeniem",
        details=("Próba wykorzystania metod autoryzacyjnych osoby zmarłej",),
    ),
    LoginStatusCode.BLOCKED: State(
        "Uwierzytelnienie zablokowane",
        details=(
            (
                "Podejrzenie incydentu bezpieczeństwa. Skontaktuj się z Ministerstwem Finansów "
                "przez formularz zgłoszeniowy."
            ),
        ),
    ),
    LoginStatusCode.UNKNOWN_ERROR: State("Nieznany błąd"),
    LoginStatusCode.CANCELLED_BY_SYSTEM: _CANCELLED_BY_SYSTEM,
}

ENROLLMENT_STATES: Final[Mapping[int, State]] = {
    EnrollmentStatusCode.IN_PROGRESS: State("Wniosek przyjęty do realizacji", next=frozenset({200, 400, 500, 550})),
    EnrollmentStatusCode.ISSUED: State("Wniosek obsłużony (certyfikat wygenerowany)"),
    EnrollmentStatusCode.REJECTED: State("Wniosek odrzucony"),
    EnrollmentStatusCode.UNKNOWN_ERROR: State("Nieznany błąd"),
    EnrollmentStatusCode.CANCELLED_BY_SYSTEM: _CANCELLED_BY_SYSTEM,
}

# (none) ──open──► 100 ──close, or 12 hours──► 170 ──┬─► 200  at least one invoice accepted, UPO ready
#                   │                               ├─► 440  no invoice was sent
#                   └──key cannot be decrypted      └─► 445  invoices sent, none valid
#                          (asynchronously)──► 415
ONLINE_SESSION_STATES: Final[Mapping[int, State]] = {
    # Closing an empty session shows 440 at once, without a visible 170.
    StatusCode.OPENED: State("Sesja interaktywna otwarta", next=frozenset({170, 415, 440})),
    StatusCode.CLOSED: State("Sesja interaktywna zamknięta", next=frozenset({200, 440, 445})),
    StatusCode.PROCESSED_OK: State("Sesja interaktywna przetworzona pomyślnie"),
    StatusCode.DECRYPTION_ERROR: State(
        "Błąd odszyfrowania dostarczonego klucza",
        details=("Rozszyfrowania klucza symetrycznego zakończone błędem",),
    ),
    StatusCode.CANCELLED: State("Sesja anulowana", details=("Nie przesłano faktur",)),
    StatusCode.VALIDATION_ERROR: State("Błąd weryfikacji, brak poprawnych faktur"),
}

# (none) ──open──► 100 ──close──► 150 ──┬─► 200  at least one invoice accepted, UPO ready
#                   │                   ├─► 445  no invoice is valid
#                   │                   ├─► 405 415 420 430 435 500  the package cannot be used
#                   │                   └─► 440  the package holds no invoice
#                   └──not closed within 12 hours──► 440
_BATCH_ENDS = frozenset({200, 405, 415, 420, 430, 435, 440, 445, 500})

BATCH_SESSION_STATES: Final[Mapping[int, State]] = {
    # The details of 440 tell its two causes apart: nothing came in time, or the package was empty.
    StatusCode.OPENED: State("Sesja wsadowa rozpoczęta", next=frozenset({150, 440})),
    StatusCode.PROCESSING: State("Trwa przetwarzanie", next=_BATCH_ENDS),
    StatusCode.PROCESSED_OK: State("Sesja wsadowa przetworzona pomyślnie"),
    StatusCode.PART_ERROR: State("Błąd weryfikacji poprawności dostarczonych elementów paczki"),
    StatusCode.DECRYPTION_ERROR: State("Błąd odszyfrowania dostarczonego klucza"),
    StatusCode.TOO_MANY_INVOICES: State("Przekroczony limit faktur w sesji"),
    StatusCode.ARCHIVE_ERROR: State("Błąd dekompresji pierwotnego archiwum"),
    StatusCode.PART_DECRYPTION_ERROR: State("Błąd odszyfrowania zaszyfrowanych części archiwum"),
    StatusCode.CANCELLED: State("Sesja anulowana"),
    StatusCode.VALIDATION_ERROR: State("Błąd weryfikacji, brak poprawnych faktur"),
    StatusCode.UNKNOWN_ERROR: State("Nieznany błąd"),
}

_FINAL_INVOICE_CODES = frozenset(code.value for code in InvoiceStatusCode if is_terminal(code))

INVOICE_STATES: Final[Mapping[int, State]] = {
    InvoiceStatusCode.RECEIVED: State(
        "Faktura przyjęta do dalszego przetwarzania", next=frozenset({150}) | _FINAL_INVOICE_CODES
    ),
    InvoiceStatusCode.PROCESSING: State("Trwa przetwarzanie", next=_FINAL_INVOICE_CODES),
    InvoiceStatusCode.ACCEPTED: State("Sukces"),
    InvoiceStatusCode.SESSION_FAILED: State("Przetwarzanie anulowane z powodu błędu sesji"),
    InvoiceStatusCode.NOT_PERMITTED: State("Nieprawidłowy zakres uprawnień"),
    InvoiceStatusCode.ATTACHMENT_REFUSED: State("Brak możliwości wysyłania faktury z załącznikiem"),
    InvoiceStatusCode.FILE_ERROR: State("Błąd weryfikacji pliku faktury"),
    InvoiceStatusCode.DECRYPTION_ERROR: State("Błąd odszyfrowania pliku"),
    InvoiceStatusCode.DUPLICATE: State("Duplikat faktury"),
    InvoiceStatusCode.INVALID_DOCUMENT: State("Błąd weryfikacji semantyki dokumentu faktury"),
    InvoiceStatusCode.UNKNOWN_ERROR: State("Nieznany błąd"),
    InvoiceStatusCode.CANCELLED_BY_SYSTEM: _CANCELLED_BY_SYSTEM,
}

_FINAL_OPERATION_CODES = frozenset(code.value for code in PermissionOperationCode if is_terminal(code))

PERMISSION_OPERATION_STATES: Final[Mapping[int, State]] = {
    PermissionOperationCode.ACCEPTED: State("Operacja przyjęta do realizacji", next=_FINAL_OPERATION_CODES),
    PermissionOperationCode.SUCCEEDED: State("Operacja zakończona sukcesem"),
    PermissionOperationCode.FAILED: State("Operacja zakończona niepowodzeniem"),
    PermissionOperationCode.WRONG_RELATION: State(
        "Podane identyfikatory są niezgodne lub pozostają w niewłaściwej relacji"
    ),
    PermissionOperationCode.NOT_PERMITTED: State("Użyte poświadczenia nie mają uprawnień do wykonania tej operacji"),
    PermissionOperationCode.WRONG_ROLE: State("Kontekst identyfikatora nie odpowiada wymaganej roli lub uprawnieniom"),
    PermissionOperationCode.FORBIDDEN_LINK: State("Operacja niedozwolona dla wskazanych powiązań identyfikatorów"),
    PermissionOperationCode.FORBIDDEN_IDENTIFIER: State(
        "Operacja niedozwolona dla wskazanego identyfikatora lub jego typu"
    ),
    PermissionOperationCode.UNKNOWN_ERROR: State("Nieznany błąd"),
    PermissionOperationCode.CANCELLED_BY_SYSTEM: State(
        "Operacja została anulowana przez system",
        # Here KSeF says when to try again: later.
        details=("Przetwarzanie zostało przerwane z przyczyn wewnętrznych systemu. Spróbuj ponownie później.",),
    ),
}

EXPORT_STATES: Final[Mapping[int, State]] = {
    ExportStatusCode.IN_PROGRESS: State("Eksport faktur w toku", next=frozenset({200, 415, 420, 500, 550})),
    ExportStatusCode.READY: State("Eksport faktur zakończony sukcesem", next=frozenset({210})),
    ExportStatusCode.EXPIRED: State("Eksport faktur wygasł i nie jest już dostępny do pobrania"),
    ExportStatusCode.DECRYPTION_ERROR: State("Błąd odszyfrowania dostarczonego klucza"),
    ExportStatusCode.RANGE_NOT_AVAILABLE: State(
        "Zakres filtrowania wykracza poza dostępny zakres danych",
        details=(
            (
                "Parametr dateRange.from jest późniejszy niż PermanentStorageHwmDate przy włączonym "
                "restrictToPermanentStorageHwmDate."
            ),
        ),
    ),
    ExportStatusCode.UNKNOWN_ERROR: State("Nieznany błąd"),
    ExportStatusCode.CANCELLED_BY_SYSTEM: _CANCELLED_BY_SYSTEM,
}
