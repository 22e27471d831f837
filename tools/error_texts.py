"""What to do about each error and each of KSeF's codes, in English and Polish, for the page of errors.

A test holds the tables to the code: every class of the tree and every code has its sentence.
"""

from __future__ import annotations

from typing import Final

from ksef_async.protocol.error_codes import ErrorCode as E

__all__ = ["CLASSES", "CODES", "INVOICES", "SESSIONS", "Sentence"]

Sentence = tuple[str, str]
"""The same in English and Polish."""

CLASSES: Final[dict[str, Sentence]] = {
    "AnswerTimeoutError": (
        "The connection was there, and the answer did not come in time. Look at `maybe_delivered`; raise "
        "`answer_timeout` where your line is slow.",
        "Połączenie było, ale odpowiedź nie przyszła na czas. Sprawdź `maybe_delivered`; przy wolnym łączu zwiększ "
        "`answer_timeout`.",
    ),
    "ApiError": (
        "KSeF answered with an error. See the class below it, and `code` in the table of codes.",
        "KSeF odpowiedział błędem. Zobacz klasę poniżej i `code` w tabeli kodów.",
    ),
    "BadRequestError": (
        "KSeF understood the request and refused it. `code` says why: see the table of codes.",
        "KSeF zrozumiał żądanie i odmówił. `code` mówi dlaczego: zobacz tabelę kodów.",
    ),
    "ConfigurationError": (
        "An environment variable is missing, or cannot be used; the message names it. Set it and start again.",
        "Brakuje zmiennej środowiskowej albo nie da się jej użyć; komunikat ją wymienia. Ustaw ją i uruchom ponownie.",
    ),
    "ConnectError": (
        "No connection could be made: DNS, proxy, firewall or KSeF itself. Nothing was sent; try again later.",
        "Nie udało się połączyć: DNS, proxy, zapora albo sam KSeF. Nic nie wysłano; spróbuj później.",
    ),
    "CryptoError": (
        "A key, certificate or ciphertext cannot be used: wrong password, wrong pair, expired. Correct it; trying "
        "again does not help.",
        "Klucza, certyfikatu lub szyfrogramu nie da się użyć: złe hasło, zła para, koniec ważności. Popraw; ponowna "
        "próba nie pomoże.",
    ),
    "DocumentError": (
        "KSeF would refuse the document. `problems` says what is wrong, and where; correct it.",
        "KSeF odrzuciłby dokument. `problems` mówi, co jest nie tak i gdzie; popraw go.",
    ),
    "DuplicateInvoiceError": (
        "Another invoice with the same seller, kind and number is in KSeF: `original_ksef_number`. Look which is "
        "right. (The very same document is no error: it counts as accepted.)",
        "W KSeF jest inna faktura o tym samym sprzedawcy, rodzaju i numerze: `original_ksef_number`. Sprawdź, która "
        "jest właściwa. (Ten sam dokument nie jest błędem: liczy się jako przyjęty.)",
    ),
    "ExportFailedError": (
        "KSeF could not make the package. Order another one; `downloads.sync` does so by itself.",
        "KSeF nie mógł przygotować paczki. Zamów następną; `downloads.sync` robi to samo.",
    ),
    "ForbiddenError": (
        "Logged in, but not allowed to do this. `reason` says which permission or address is missing.",
        "Zalogowano, ale bez prawa do tej czynności. `reason` mówi, którego uprawnienia lub adresu brakuje.",
    ),
    "GoneError": (
        "Too old to be asked about: KSeF has forgotten it. What you need of it has to come from your own records.",
        "Zbyt stare, by o to pytać: KSeF już tego nie pamięta. Potrzebne dane muszą pochodzić z Twoich zapisów.",
    ),
    "IdentityTakenError": (
        "The journal has another document with this seller, kind and number, or this key: `submission_id`. Give the "
        "new document a number of its own.",
        "Dziennik ma inny dokument o tym sprzedawcy, rodzaju i numerze albo kluczu: `submission_id`. Nadaj nowemu "
        "dokumentowi własny numer.",
    ),
    "InvalidFieldError": (
        "KSeF would refuse this value (21405); nothing was sent. `field` and `rule` say which and why.",
        "KSeF odrzuciłby tę wartość (21405); nic nie wysłano. `field` i `rule` mówią, którą i dlaczego.",
    ),
    "InvoiceRejectedError": (
        "KSeF rejected the invoice; `details` are its reasons. Correct the document, unless `may_be_sent_again`.",
        "KSeF odrzucił fakturę; `details` to jego powody. Popraw dokument, chyba że `may_be_sent_again`.",
    ),
    "JournalBusyError": (
        "Another process delivers from this SQLite journal. Submit without delivering, or use PostgreSQL.",
        "Inny proces dostarcza z tego dziennika SQLite. Przekazuj bez dostarczania albo użyj PostgreSQL.",
    ),
    "JournalError": (
        "The journal's database cannot be used. `passes` tells whether it may be over by itself; else somebody has to "
        "mend it. While a journal delivers, what passes is waited out.",
        "Bazy dziennika nie da się użyć. `passes` mówi, czy może to minąć samo; jeśli nie, ktoś musi ją naprawić. "
        "Dostarczający dziennik przeczekuje to, co mija.",
    ),
    "KsefError": (
        "The base of all. `maybe_delivered` tells whether KSeF may have acted.",
        "Podstawa wszystkich. `maybe_delivered` mówi, czy KSeF mógł coś wykonać.",
    ),
    "LocalProtocolError": (
        "You asked for something KSeF forbids, or used an object out of its turn; nothing was sent. A matter for the "
        "program, not for trying again.",
        "Żądanie, którego KSeF zabrania, albo użycie obiektu nie w porę; nic nie wysłano. Sprawa dla programu, nie "
        "dla ponownej próby.",
    ),
    "LoginFailedError": (
        "KSeF refused the login: no permission (415), token (450), certificate (460). `details` say more; see "
        "Credentials.",
        "KSeF odmówił logowania: brak uprawnień (415), token (450), certyfikat (460). Więcej mówią `details`; zobacz "
        "Dane logowania.",
    ),
    "NotIssuedError": (
        "The invoice cannot be handed out: KSeF, or the library on its behalf, does not take it. `submission` has the "
        "reason; correct the document.",
        "Faktury nie można wydać: nie przyjmuje jej KSeF albo biblioteka w jego imieniu. Powód ma `submission`; popraw "
        "dokument.",
    ),
    "OperationFailedError": (
        "Something KSeF does in its own time has failed: a permission, a certificate, a token. `details` say why.",
        "Nie powiodło się coś, co KSeF robi we własnym tempie: uprawnienie, certyfikat, token. `details` mówią "
        "dlaczego.",
    ),
    "ProcessingError": (
        "KSeF took the request in and reported failure later. See the class below it.",
        "KSeF przyjął żądanie, a niepowodzenie zgłosił później. Zobacz klasę poniżej.",
    ),
    "RateLimitedError": (
        "KSeF's limit is reached. Wait `retry_after` seconds; for more volume, use batches.",
        "Osiągnięto limit KSeF. Odczekaj `retry_after` sekund; przy większej liczbie wysyłaj paczkami.",
    ),
    "RemoteProtocolError": (
        "KSeF answered something its specification does not allow. Look at `maybe_delivered`; report it, with `path`.",
        "KSeF odpowiedział czymś, czego jego specyfikacja nie przewiduje. Sprawdź `maybe_delivered`; zgłoś to wraz z "
        "`path`.",
    ),
    "ServerError": (
        "KSeF, or a gateway before it, failed. Calls that may be repeated have been; look at `maybe_delivered`.",
        "Zawiódł KSeF albo brama przed nim. Co wolno powtórzyć, powtórzono; sprawdź `maybe_delivered`.",
    ),
    "SessionFailedError": (
        "The session ended without a receipt. `may_be_sent_again` tells that no document is to blame: send the same "
        "ones in a new session.",
        "Sesja skończyła się bez potwierdzenia. `may_be_sent_again` mówi, że żaden dokument nie zawinił: wyślij te "
        "same w nowej sesji.",
    ),
    "TransportError": (
        "No answer arrived. `maybe_delivered` is False only where KSeF cannot have seen the request.",
        "Nie przyszła odpowiedź. `maybe_delivered` jest fałszem tylko wtedy, gdy KSeF nie mógł zobaczyć żądania.",
    ),
    "UnauthorizedError": (
        "The access token is missing, ended or malformed. The client gets a new one by itself; if this reaches you, "
        "log in anew.",
        "Brak tokenu dostępowego, wygasł albo jest zniekształcony. Klient sam pobiera nowy; jeśli to widzisz, zaloguj "
        "się od nowa.",
    ),
    "UnknownSubmissionError": (
        "The journal has no such submission, or it belongs to another company.",
        "Dziennik nie ma takiego zgłoszenia albo należy ono do innej firmy.",
    ),
    "UploadExpiredError": (
        "The time to upload is over; nothing was processed. Open a new session with the same package.",
        "Minął czas na wysłanie części; nic nie przetworzono. Otwórz nową sesję z tą samą paczką.",
    ),
    "WaitTimeoutError": (
        "Still in progress when your time ran out. Nothing is lost: ask again later.",
        "Nadal trwa, a Twój czas minął. Nic nie przepadło: zapytaj później.",
    ),
}
"""By class of error."""

_LOGIN: Final = (
    "Look at certificate, signature and context: see Credentials.",
    "Sprawdź certyfikat, podpis i kontekst: zobacz Dane logowania.",
)
_PROGRAM: Final = (
    "The library does not send such requests; a request of your own is wrong, or this is worth a report.",
    "Biblioteka nie wysyła takich żądań; błędne jest Twoje własne albo warto to zgłosić.",
)
_UNKNOWN: Final = (
    "Look at the number, and at the company that is logged in: others' are as if they were not there.",
    "Sprawdź numer i zalogowaną firmę: cudzych jakby nie było.",
)
_BY_ITSELF: Final = (
    "Nothing: the library acts on it (waits, or takes another session) and tells you only when that does not help.",
    "Nic: biblioteka reaguje sama (czeka albo bierze inną sesję) i zgłasza to dopiero, gdy to nie pomaga.",
)
_UPLOAD: Final = (
    "Nothing: `send_batch` uploads the parts again. By hand, open a new session with the same package.",
    "Nic: `send_batch` wysyła części ponownie. Ręcznie: otwórz nową sesję z tą samą paczką.",
)
_DOCUMENT: Final = (
    "Correct the document; `check(xml)` says what is wrong.",
    "Popraw dokument; `check(xml)` mówi, co jest nie tak.",
)
_VALUE: Final = (
    "A value of the request is not allowed; `details` name it.",
    "Niedozwolona wartość w żądaniu; `details` ją wymieniają.",
)
_CORRECTION: Final = (
    "A technical correction is for an offline invoice that was rejected, once. Issue an ordinary correction.",
    "Korekta techniczna służy odrzuconej fakturze offline, jeden raz. Wystaw zwykłą korektę.",
)
_LATER: Final = ("Ask again in a few minutes.", "Zapytaj ponownie za kilka minut.")
_ENROLLMENT: Final = (
    "Log in with a certificate (not with a token), and let `client.certificates.enroll` make the request.",
    "Zaloguj się certyfikatem (nie tokenem) i pozwól, by wniosek przygotowało `client.certificates.enroll`.",
)
_CERTIFICATES: Final = (
    "Revoke certificates that are no longer used; `client.certificates.get_limits()` tells what is left.",
    "Unieważnij nieużywane certyfikaty; `client.certificates.get_limits()` mówi, ile zostało.",
)
_PERMISSION: Final = (
    "Have the permission granted to whoever logs in, or ask for less.",
    "Niech logujący się dostanie to uprawnienie, albo poproś o mniej.",
)
_GROUPS: Final = (
    "Look at the invoices of the collective identifier: one seller, each once, all known to KSeF.",
    "Sprawdź faktury identyfikatora zbiorczego: jeden sprzedawca, każda raz, wszystkie znane KSeF.",
)

CODES: Final[dict[E, Sentence]] = {
    E.INVALID_DOCUMENT: _LOGIN,
    E.NO_SIGNATURE: _LOGIN,
    E.TOO_MANY_SIGNATURES: _LOGIN,
    E.INVALID_SIGNATURE: _LOGIN,
    E.UNREADABLE_CONTENT: _PROGRAM,
    E.INVALID_CHALLENGE: _LOGIN,
    E.INVALID_CERTIFICATE: _LOGIN,
    E.WRONG_SUBJECT_FOR_CONTEXT: _LOGIN,
    E.SESSION_FULL: _BY_ITSELF,
    E.WRONG_PART_SIZE: _UPLOAD,
    E.TOO_MANY_PARTS: _PROGRAM,
    E.UNKNOWN_INVOICE: _UNKNOWN,
    E.INVOICE_NOT_STORED_YET: _LATER,
    E.CORRECTION_ALREADY_ACCEPTED: _CORRECTION,
    E.CORRECTED_INVOICE_ACCEPTED: _CORRECTION,
    E.UNKNOWN_SESSION: _UNKNOWN,
    E.UNKNOWN_EXPORT: _UNKNOWN,
    E.UNKNOWN_UPO: _UNKNOWN,
    E.SESSION_NOT_OPEN: _BY_ITSELF,
    E.INVALID_EXPORT: _VALUE,
    E.TOO_MANY_EXPORTS: _BY_ITSELF,
    E.RANGE_NOT_AVAILABLE: (
        "Ask up to the high-water mark only; `downloads.sync` does.",
        "Pytaj tylko do granicy kompletności danych; `downloads.sync` tak robi.",
    ),
    E.SESSION_UNAVAILABLE: _BY_ITSELF,
    E.PART_MISSING: _UPLOAD,
    E.UPLOAD_TIMED_OUT: _UPLOAD,
    E.INVALID_ENCODING: _DOCUMENT,
    E.NOT_AUTHORIZED: _LOGIN,
    E.UNKNOWN_LOGIN: _LOGIN,
    E.DECEASED_PERSON: _LOGIN,
    E.SCHEMA_VIOLATION: _PROGRAM,
    E.WRONG_FILE_SIZE: _PROGRAM,
    E.WRONG_FILE_HASH: _PROGRAM,
    E.INVALID_INPUT: _VALUE,
    E.SIGNATURE_CONFLICT: _LOGIN,
    E.INVALID_CONTINUATION_TOKEN: _PROGRAM,
    E.UNKNOWN_PUBLIC_KEY: (
        "Nothing: the Ministry's keys are fetched anew, and the call is made again.",
        "Nic: klucze Ministerstwa są pobierane na nowo, a żądanie powtarzane.",
    ),
    E.NO_ENROLLMENT_DATA: _ENROLLMENT,
    E.ENROLLMENT_NOT_ALLOWED: _ENROLLMENT,
    E.WRONG_CSR_SUBJECT: _ENROLLMENT,
    E.INVALID_CSR: _ENROLLMENT,
    E.UNKNOWN_ENROLLMENT: _UNKNOWN,
    E.ENROLLMENT_LIMIT: _CERTIFICATES,
    E.CERTIFICATE_LIMIT: _CERTIFICATES,
    E.UNKNOWN_CERTIFICATE: _UNKNOWN,
    E.CERTIFICATE_NOT_REVOCABLE: (
        "It has ended already: nothing to do.",
        "Już jest nieważny: nic nie trzeba robić.",
    ),
    E.INVALID_CSR_KEY: _ENROLLMENT,
    E.INVALID_CSR_ALGORITHM: _ENROLLMENT,
    E.PERMISSIONS_NOT_HELD: _PERMISSION,
    E.TOKEN_NOT_FOR_CONTEXT: _PERMISSION,
    E.ALREADY_EXISTS: ("It is there already: nothing to do.", "Już istnieje: nic nie trzeba robić."),
    E.UNKNOWN_GROUPED_INVOICE: _GROUPS,
    E.TOO_MANY_COLLECTIVE_IDENTIFIERS: _GROUPS,
    E.DIFFERENT_SELLERS: _GROUPS,
    E.REPEATED_KSEF_NUMBER: _GROUPS,
}
"""By KSeF's code of a refusal."""

_SEND_AGAIN: Final = (
    "The document is not to blame: send it again in another session. `keep_open` and the journal do.",
    "Dokument nie zawinił: wyślij go ponownie w innej sesji. `keep_open` i dziennik robią to same.",
)

INVOICES: Final[dict[int, Sentence]] = {
    405: _SEND_AGAIN,
    410: (
        "The company that is logged in may not issue for this seller: look at the NIP in the document, and at "
        "permissions.",
        "Zalogowana firma nie może wystawiać za tego sprzedawcę: sprawdź NIP w dokumencie i uprawnienia.",
    ),
    415: (
        "Attachments go in batches only, from who has announced them to the Ministry.",
        "Załączniki przyjmowane są tylko w paczkach, od tych, którzy zgłosili to Ministerstwu.",
    ),
    430: _DOCUMENT,
    435: _SEND_AGAIN,
    440: (
        "Seller, kind and number are in KSeF already. The very same document counts as accepted; another one needs a "
        "number of its own.",
        "Sprzedawca, rodzaj i numer już są w KSeF. Ten sam dokument liczy się jako przyjęty; inny potrzebuje własnego "
        "numeru.",
    ),
    450: _DOCUMENT,
    500: _SEND_AGAIN,
    550: _SEND_AGAIN,
}
"""By status code of an invoice that was not accepted."""

_NEW_SESSION: Final = (
    "Send the same documents in a new session; `keep_open`, `send_batch` and the journal do.",
    "Wyślij te same dokumenty w nowej sesji; `keep_open`, `send_batch` i dziennik robią to same.",
)
_PACKAGE: Final = (
    "Make the package anew (`pack`), within its limits.",
    "Przygotuj paczkę od nowa (`pack`), w granicach limitów.",
)

SESSIONS: Final[dict[int, Sentence]] = {
    405: _UPLOAD,
    415: _NEW_SESSION,
    420: _PACKAGE,
    430: _PACKAGE,
    435: _NEW_SESSION,
    440: (
        "Nothing was sent in it, or KSeF has cancelled it. An empty session is no loss; else send in a new one.",
        "Nic w niej nie wysłano albo KSeF ją anulował. Pusta sesja to nie strata; w innym razie wyślij w nowej.",
    ),
    445: (
        "No invoice in it was valid: look at the outcome of each.",
        "Żadna faktura nie była poprawna: sprawdź wynik każdej z nich.",
    ),
    500: _NEW_SESSION,
}
"""By status code of a session that failed."""
