"""KSeF's exception codes (HTTP 400) and their descriptions. Source: OpenAPI 2.9.0; protocol: table of codes.

The client branches on codes only; the sandbox answers with the descriptions.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

__all__ = ["DESCRIPTIONS", "ErrorCode"]


class ErrorCode(enum.IntEnum):
    """The codes this library knows by name."""

    UNREADABLE_CONTENT = 21001
    INVALID_CHALLENGE = 21111
    SESSION_FULL = 21155
    CORRECTION_ALREADY_ACCEPTED = 21166
    CORRECTED_INVOICE_ACCEPTED = 21167
    UNKNOWN_SESSION = 21173
    UNKNOWN_UPO = 21178
    SESSION_NOT_OPEN = 21180
    SESSION_UNAVAILABLE = 21184
    NOT_AUTHORIZED = 21301
    UNKNOWN_LOGIN = 21304
    WRONG_FILE_SIZE = 21402
    WRONG_FILE_HASH = 21403
    INVALID_INPUT = 21405
    INVALID_CONTINUATION_TOKEN = 21418
    UNKNOWN_PUBLIC_KEY = 21470


DESCRIPTIONS: Final[Mapping[ErrorCode, str]] = {
    ErrorCode.UNREADABLE_CONTENT: "Nieczytelna treść.",
    ErrorCode.INVALID_CHALLENGE: "Nieprawidłowe wyzwanie autoryzacyjne.",
    ErrorCode.SESSION_FULL: "Przekroczono dozwoloną liczbę faktur w sesji.",
    ErrorCode.CORRECTION_ALREADY_ACCEPTED: "Korekta techniczna niedostępna.",
    ErrorCode.CORRECTED_INVOICE_ACCEPTED: "Status faktury nie pozwala na korektę techniczną.",
    ErrorCode.UNKNOWN_SESSION: "Brak sesji o wskazanym numerze referencyjnym.",
    ErrorCode.UNKNOWN_UPO: "Nie znaleziono UPO dla podanych kryteriów.",
    ErrorCode.SESSION_NOT_OPEN: "Status sesji nie pozwala na wykonanie operacji.",
    ErrorCode.SESSION_UNAVAILABLE: "Sesja tymczasowo niedostępna.",
    ErrorCode.NOT_AUTHORIZED: "Brak autoryzacji.",
    ErrorCode.UNKNOWN_LOGIN: "Brak uwierzytelnienia.",
    ErrorCode.WRONG_FILE_SIZE: "Nieprawidłowy rozmiar pliku.",
    ErrorCode.WRONG_FILE_HASH: "Nieprawidłowy skrót pliku.",
    ErrorCode.INVALID_INPUT: "Błąd walidacji danych wejściowych.",
    ErrorCode.INVALID_CONTINUATION_TOKEN: "Przekazany token kontynuacji ma nieprawidłowy format.",
    ErrorCode.UNKNOWN_PUBLIC_KEY: "Przesłany identyfikator klucza jest nieznany lub wskazuje na wycofany klucz.",
}
