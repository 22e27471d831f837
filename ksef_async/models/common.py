"""What all models share.

Glossary: KSeF's Polish (and abbreviated) words, and the one English word we use for each.

| KSeF                | here                                                                     |
| ------------------- | ------------------------------------------------------------------------ |
| kontekst            | context: on whose behalf a call is made, mostly a company's NIP           |
| NIP                 | NIP: the 10-digit tax number of a Polish company                          |
| numer referencyjny  | reference number: 36 characters, names a session, an invoice in it, ...    |
| numer KSeF          | KSeF number: 35 characters, given to an accepted invoice                  |
| sesja interaktywna  | online session                                                            |
| sesja wsadowa       | batch session                                                             |
| wyzwanie            | challenge                                                                 |
| korekta techniczna  | technical correction: a rejected offline invoice, sent again corrected     |
| UPO                 | UPO: the official receipt of a session or of an invoice                   |
"""

from __future__ import annotations

import enum
from typing import Any

import attrs

__all__ = [
    "Context",
    "ContextType",
    "OpenStrEnum",
    "StatusInfo",
    "SubjectIdentifier",
    "SubjectType",
    "wire_name",
]


class OpenStrEnum(enum.StrEnum):
    """A string enum that takes values it does not know: KSeF adds values between releases.

    An unknown value reads as itself, compares, hashes and is written back unchanged; ``is_known`` is False.
    """

    @classmethod
    def _missing_(cls, value: object) -> OpenStrEnum | None:
        if not isinstance(value, str):
            return None
        # Not cached: a server must not be able to grow our memory.
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        return member

    @property
    def is_known(self) -> bool:
        """False for a value that this version of the library does not know."""
        return self._value_ in type(self)._value2member_map_


def wire_name(name: str) -> dict[str, Any]:
    """Metadata for a field whose name in KSeF's JSON is not the camelCase of ours."""
    return {"wire_name": name}


@attrs.frozen
class StatusInfo:
    """A status as KSeF reports it, of a session, a login or an asynchronous operation."""

    #: Below 200 in progress, 200 success, above 200 failure; see `protocol.lifecycle` for the known codes.
    code: int
    #: For people, in Polish; empty when KSeF does not tell.
    description: str = ""
    #: For people, mostly in Polish.
    details: tuple[str, ...] = ()


class ContextType(OpenStrEnum):
    """What kind of identifier names the context."""

    NIP = "Nip"
    INTERNAL_ID = "InternalId"
    NIP_VAT_UE = "NipVatUe"
    PEPPOL_ID = "PeppolId"


@attrs.frozen
class Context:
    """On whose behalf calls are made."""

    type: ContextType
    value: str

    def __str__(self) -> str:
        return f"{self.type} {self.value}"


class SubjectType(OpenStrEnum):
    """What names a person or company."""

    NIP = "Nip"
    PESEL = "Pesel"
    #: SHA-256 of a certificate's DER, in 64 hex digits.
    FINGERPRINT = "Fingerprint"


@attrs.frozen
class SubjectIdentifier:
    """A person or company, by whatever names it."""

    type: SubjectType
    value: str

    def __str__(self) -> str:
        return f"{self.type} {self.value}"
