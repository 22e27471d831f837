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

    INVALID_DOCUMENT = 9101
    NO_SIGNATURE = 9102
    TOO_MANY_SIGNATURES = 9103
    INVALID_SIGNATURE = 9105
    UNREADABLE_CONTENT = 21001
    INVALID_CHALLENGE = 21111
    INVALID_CERTIFICATE = 21115
    WRONG_SUBJECT_FOR_CONTEXT = 21117
    SESSION_FULL = 21155
    WRONG_PART_SIZE = 21157
    TOO_MANY_PARTS = 21161
    UNKNOWN_INVOICE = 21164
    INVOICE_NOT_STORED_YET = 21165
    CORRECTION_ALREADY_ACCEPTED = 21166
    CORRECTED_INVOICE_ACCEPTED = 21167
    UNKNOWN_SESSION = 21173
    UNKNOWN_EXPORT = 21175
    UNKNOWN_UPO = 21178
    SESSION_NOT_OPEN = 21180
    INVALID_EXPORT = 21181
    TOO_MANY_EXPORTS = 21182
    RANGE_NOT_AVAILABLE = 21183
    SESSION_UNAVAILABLE = 21184
    PART_MISSING = 21205
    UPLOAD_TIMED_OUT = 21208
    INVALID_ENCODING = 21217
    NOT_AUTHORIZED = 21301
    UNKNOWN_LOGIN = 21304
    DECEASED_PERSON = 21308
    SCHEMA_VIOLATION = 21401
    WRONG_FILE_SIZE = 21402
    WRONG_FILE_HASH = 21403
    INVALID_INPUT = 21405
    SIGNATURE_CONFLICT = 21406
    INVALID_CONTINUATION_TOKEN = 21418
    UNKNOWN_PUBLIC_KEY = 21470
    NO_ENROLLMENT_DATA = 25001
    ENROLLMENT_NOT_ALLOWED = 25002
    WRONG_CSR_SUBJECT = 25003
    INVALID_CSR = 25004
    UNKNOWN_ENROLLMENT = 25005
    ENROLLMENT_LIMIT = 25006
    CERTIFICATE_LIMIT = 25007
    UNKNOWN_CERTIFICATE = 25008
    CERTIFICATE_NOT_REVOCABLE = 25009
    INVALID_CSR_KEY = 25010
    INVALID_CSR_ALGORITHM = 25011
    PERMISSIONS_NOT_HELD = 26001
    TOKEN_NOT_FOR_CONTEXT = 26002
    ALREADY_EXISTS = 30001
    UNKNOWN_GROUPED_INVOICE = 71001
    TOO_MANY_COLLECTIVE_IDENTIFIERS = 71002
    DIFFERENT_SELLERS = 71004
    REPEATED_KSEF_NUMBER = 71005


DESCRIPTIONS: Final[Mapping[ErrorCode, str]] = {
    ErrorCode.INVALID_DOCUMENT: "Nieprawidłowy dokument.",
    ErrorCode.NO_SIGNATURE: "Brak podpisu.",
    ErrorCode.TOO_MANY_SIGNATURES: "Przekroczona liczba dozwolonych podpisów.",
    ErrorCode.INVALID_SIGNATURE: "Nieprawidłowy podpis.",
    ErrorCode.UNREADABLE_CONTENT: "Nieczytelna treść.",
    ErrorCode.INVALID_CHALLENGE: "Nieprawidłowe wyzwanie autoryzacyjne.",
    ErrorCode.INVALID_CERTIFICATE: "Nieprawidłowy certyfikat.",
    ErrorCode.WRONG_SUBJECT_FOR_CONTEXT: "Nieprawidłowy identyfikator podmiotu dla wskazanego typu kontekstu.",
    ErrorCode.SESSION_FULL: "Przekroczono dozwoloną liczbę faktur w sesji.",
    ErrorCode.WRONG_PART_SIZE: "Nieprawidłowy rozmiar części pakietu.",
    ErrorCode.TOO_MANY_PARTS: "Przekroczono dozwoloną liczbę części pakietu.",
    ErrorCode.UNKNOWN_INVOICE: "Faktura o podanym identyfikatorze nie istnieje.",
    ErrorCode.INVOICE_NOT_STORED_YET: "Faktura o podanym numerze KSeF nie jest jeszcze dostępna.",
    ErrorCode.CORRECTION_ALREADY_ACCEPTED: "Korekta techniczna niedostępna.",
    ErrorCode.CORRECTED_INVOICE_ACCEPTED: "Status faktury nie pozwala na korektę techniczną.",
    ErrorCode.UNKNOWN_SESSION: "Brak sesji o wskazanym numerze referencyjnym.",
    ErrorCode.UNKNOWN_EXPORT: "Wynik zapytania o podanym identyfikatorze nie istnieje.",
    ErrorCode.UNKNOWN_UPO: "Nie znaleziono UPO dla podanych kryteriów.",
    ErrorCode.SESSION_NOT_OPEN: "Status sesji nie pozwala na wykonanie operacji.",
    ErrorCode.INVALID_EXPORT: "Nieprawidłowe żądanie eksportu faktur.",
    ErrorCode.TOO_MANY_EXPORTS: "Osiągnięto limit trwających eksportów.",
    ErrorCode.RANGE_NOT_AVAILABLE: "Zakres filtrowania wykracza poza dostępny zakres danych.",
    ErrorCode.SESSION_UNAVAILABLE: "Sesja tymczasowo niedostępna.",
    ErrorCode.PART_MISSING: "Pakiet nie może być pusty.",
    ErrorCode.UPLOAD_TIMED_OUT: "Czas oczekiwania na requesty upload lub finish został przekroczony.",
    ErrorCode.INVALID_ENCODING: "Nieprawidłowe kodowanie znaków.",
    ErrorCode.NOT_AUTHORIZED: "Brak autoryzacji.",
    ErrorCode.UNKNOWN_LOGIN: "Brak uwierzytelnienia.",
    ErrorCode.DECEASED_PERSON: "Próba wykorzystania metod autoryzacyjnych osoby zmarłej.",
    ErrorCode.SCHEMA_VIOLATION: "Dokument nie jest zgodny ze schemą (xsd).",
    ErrorCode.WRONG_FILE_SIZE: "Nieprawidłowy rozmiar pliku.",
    ErrorCode.WRONG_FILE_HASH: "Nieprawidłowy skrót pliku.",
    ErrorCode.INVALID_INPUT: "Błąd walidacji danych wejściowych.",
    ErrorCode.SIGNATURE_CONFLICT: "Konflikt podpisu i typu uwierzytelnienia.",
    ErrorCode.INVALID_CONTINUATION_TOKEN: "Przekazany token kontynuacji ma nieprawidłowy format.",
    ErrorCode.UNKNOWN_PUBLIC_KEY: "Przesłany identyfikator klucza jest nieznany lub wskazuje na wycofany klucz.",
    ErrorCode.NO_ENROLLMENT_DATA: "Brak możliwości pobrania danych do CSR dla wykorzystanego sposobu uwierzytelnienia.",
    ErrorCode.ENROLLMENT_NOT_ALLOWED: "Brak możliwości złożenia wniosku certyfikacyjnego dla wykorzystanego sposobu uwierzytelnienia.",
    ErrorCode.WRONG_CSR_SUBJECT: "Dane w CSR nie zgadzają się z danymi w użytym wektorze uwierzytelniającym.",
    ErrorCode.INVALID_CSR: "Niepoprawny format CSR lub niepoprawny podpis CSR.",
    ErrorCode.UNKNOWN_ENROLLMENT: "Wniosek certyfikacyjny o podanym numerze referencyjnym nie istnieje.",
    ErrorCode.ENROLLMENT_LIMIT: "Osiągnięto limit możliwych do złożenia wniosków certyfikacyjnych.",
    ErrorCode.CERTIFICATE_LIMIT: "Osiągnięto limit dopuszczalnej liczby posiadanych certyfikatów.",
    ErrorCode.UNKNOWN_CERTIFICATE: "Certyfikat o podanym numerze seryjnym nie istnieje.",
    ErrorCode.CERTIFICATE_NOT_REVOCABLE: "Nie można odwołać wskazanego certyfikatu, ponieważ jest już odwołany, zablokowany lub nieważny.",
    ErrorCode.INVALID_CSR_KEY: "Nieprawidłowy typ lub długość klucza.",
    ErrorCode.INVALID_CSR_ALGORITHM: "Nieprawidłowy algorytm podpisu CSR.",
    ErrorCode.PERMISSIONS_NOT_HELD: "Nie można nadać tokenowi uprawnień których nie posiadasz.",
    ErrorCode.TOKEN_NOT_FOR_CONTEXT: "Nie można wygenerować tokena dla obecnego typu kontekstu.",
    ErrorCode.ALREADY_EXISTS: "Podmiot lub uprawnienie już istnieje.",
    ErrorCode.UNKNOWN_GROUPED_INVOICE: "Faktura o podanym identyfikatorze nie istnieje.",
    ErrorCode.TOO_MANY_COLLECTIVE_IDENTIFIERS: "Faktura jest już przypisana do maksymalnej liczby Identyfikatorów Zbiorczych.",
    ErrorCode.DIFFERENT_SELLERS: "Faktury mają różnych sprzedawców.",
    ErrorCode.REPEATED_KSEF_NUMBER: "Powtórzony numer KSeF w żądaniu.",
}
