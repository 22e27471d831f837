"""What the models of several resources share: times, bounds of fields, currencies, statuses, contexts."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

import attrs

from ..errors import InvalidFieldError

__all__ = [
    "CURRENCIES",
    "EVERY_ITEM",
    "IP4_ADDRESS",
    "IP4_MASK",
    "IP4_RANGE",
    "KSEF_NUMBER",
    "LEFT_OUT",
    "NEVER_LEFT_OUT",
    "Bounds",
    "ChallengeText",
    "Context",
    "ContextType",
    "Cursor",
    "Identifier",
    "Jwt",
    "Method",
    "OpenStrEnum",
    "Rule",
    "ServerTime",
    "SignedLink",
    "StatusInfo",
    "SubjectIdentifier",
    "SubjectType",
    "UploadHeaders",
    "are_headers",
    "check_currency",
    "items",
    "number",
    "text",
    "wire_name",
]


class ServerTime(datetime):
    """A point in time that keeps the text KSeF wrote it in.

    KSeF writes seven digits of a second, a `datetime` holds six. Where one goes back to KSeF as a cursor, the text
    goes back, so that nothing is rounded and no invoice falls between two queries.
    """

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ISO 8601; without a zone it is UTC.

        Raises:
            ValueError: Not a time.
        """
        moment = cls.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment.__dict__["text"] = text
        return moment

    def __getattr__(self, name: str) -> str:
        # Only for what was computed and not read.
        if name == "text":
            return self.isoformat()
        raise AttributeError(name)

    text: str
    """As KSeF wrote it."""

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return type(self).parse, (self.text,)


KSEF_NUMBER: Final = (
    r"([1-9](\d[1-9]|[1-9]\d)\d{7})-(20[2-9][0-9]|2[1-9]\d{2}|[3-9]\d{3})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
    r"-([0-9A-F]{6})-?([0-9A-F]{6})-([0-9A-F]{2})"
)
"""KSeF's pattern of a KSeF number; the length tells those of KSeF 1.0 (36) from those of KSeF 2.0 (35)."""

# KSeF's patterns of IPv4 addresses, of ranges of them, and of networks.
_OCTET: Final = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])"
IP4_ADDRESS: Final = rf"({_OCTET}\.){{3}}{_OCTET}"
IP4_RANGE: Final = f"{IP4_ADDRESS}-{IP4_ADDRESS}"
IP4_MASK: Final = f"{IP4_ADDRESS}/(0|[1-9]|[12][0-9]|3[0-2])"


@attrs.frozen(kw_only=True)
class Bounds:
    """A validator of a field: an attrs class calls it for each new instance; None is always allowed."""

    kind: Literal["text", "number", "items"]
    least: int | None = None
    most: int | None = None
    pattern: str | None = None
    """Of a string, or of each item."""

    def __call__(self, instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Look at a value.

        Raises:
            InvalidFieldError: KSeF would refuse it.
        """
        if value is None:
            return
        size = value if self.kind == "number" else len(value)
        if (self.least is not None and size < self.least) or (self.most is not None and size > self.most):
            raise InvalidFieldError(attribute.name, f"{self._rule()}; it is {size}")
        if self.pattern is None:
            return
        for each in value if self.kind == "items" else (value,):
            if not re.fullmatch(self.pattern, each, re.ASCII):
                raise InvalidFieldError(attribute.name, f"must be written as {self.pattern}; it is {each!r}")

    def _rule(self) -> str:
        what = {"text": "must have a length", "number": "must be", "items": "must have a number of items"}[self.kind]
        if self.most is None:
            return f"{what} of at least {self.least}".replace("must be of", "must be")
        return f"{what} between {self.least or 0} and {self.most}"


def text(least: int | None = None, most: int | None = None, pattern: str | None = None) -> Bounds:
    """Characters of a string, and how it is written."""
    return Bounds(kind="text", least=least, most=most, pattern=pattern)


def number(least: int | None = None, most: int | None = None) -> Bounds:
    """Return a rule for a number from ``least`` to ``most``."""
    return Bounds(kind="number", least=least, most=most)


def items(least: int | None = None, most: int | None = None, pattern: str | None = None) -> Bounds:
    """Return a rule for the length of a sequence, and for each of its items."""
    return Bounds(kind="items", least=least, most=most, pattern=pattern)


@attrs.frozen(eq=False)
class Rule:
    """A condition on a value; stands in the annotation of a field."""

    what: str
    """For messages: ``"a reference number"``."""
    holds: Callable[[Any], bool] = attrs.field(repr=False)


class _EveryItem:
    """Of a list that means nothing unless all its items can be read, such as the parts of an archive."""


EVERY_ITEM: Final = _EveryItem()
"""Stands in the annotation of a list of which no item may be left out."""
LEFT_OUT: Final[Mapping[str, Any]] = {"local": True, "left_out": True}
"""Metadata of a field that is told how many items of the lists beside it could not be read and were left out."""

NEVER_LEFT_OUT: Final[Mapping[str, Any]] = {"never_left_out": True}
"""Metadata of a field that may be missing, but that must not be taken for missing when it cannot be read."""

_LONGEST_LINK: Final = 8_192
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,8190}[\x21-\x7e])?|")


def _is_link(text: str) -> bool:
    if len(text) > _LONGEST_LINK or not _VISIBLE.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def are_headers(headers: Mapping[str, str | None]) -> bool:
    """Return whether these can be sent as headers; None stands for one that is not sent."""
    return all(
        _HEADER_NAME.fullmatch(name) and (value is None or _HEADER_VALUE.fullmatch(value))
        for name, value in headers.items()
    )


def _visible(most: int) -> Callable[[str], bool]:
    return lambda text: len(text) <= most and _VISIBLE.fullmatch(text) is not None


Identifier: TypeAlias = Annotated[
    str, Rule("letters, digits and hyphens, at most 64", lambda text: _IDENTIFIER.fullmatch(text) is not None)
]
"""A reference number, a KSeF number, a serial number: goes into paths, file names and columns."""
Jwt: TypeAlias = Annotated[str, Rule("a token that fits a header", _visible(16_384))]
"""Goes into a header."""
Method: TypeAlias = Annotated[str, Rule("an HTTP method", lambda text: text in ("PUT", "POST"))]
"""Of an HTTP request."""
Cursor: TypeAlias = Annotated[str, Rule("a token that fits a header", lambda text: not text or _visible(8_192)(text))]
"""Leads to the next page of a list; goes into a header."""
ChallengeText: TypeAlias = Annotated[str, Rule("visible ASCII, at most 100", _visible(100))]
"""Goes into an XML document, and back to KSeF."""
SignedLink: TypeAlias = Annotated[str, Rule("an address", _is_link)]
"""Whether it leads to where it may is for `Environment.accepts` to say."""
UploadHeaders: TypeAlias = Annotated[dict[str, str | None], Rule("headers", are_headers)]
"""Sent as they are."""


CURRENCIES: Final = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
    CHE CHF CHW CLF CLP CNH CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GGP GHS
    GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS IMP INR IQD IRR ISK JEP JMD JOD JPY KES KGS KHR KMF KPW KRW KWD
    KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR
    NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC
    SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XAG XAU XBA
    XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW ZWG ZWL
    """.split()  # noqa: SIM905  # a hundred and eighty lines, otherwise
)
"""Codes, in the order of the alphabet."""


def check_currency(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    """Check a currency code; a validator of attrs.

    Raises:
        InvalidFieldError: KSeF does not know it.
    """
    if value not in CURRENCIES:
        raise InvalidFieldError(attribute.name, f"must be one of KSeF's currency codes; it is {value!r}")


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

    code: int
    """Below 200 in progress, 200 success, above 200 failure; see `protocol.lifecycle` for the known codes."""
    description: str = ""
    """For people, in Polish; empty when KSeF does not tell."""
    details: tuple[str, ...] = ()
    """For people, mostly in Polish."""


class ContextType(OpenStrEnum):
    """The kind of identifier that names a context."""

    NIP = "Nip"
    """A company, by its tax number."""
    INTERNAL_ID = "InternalId"
    """A unit of a company, by the number that KSeF gave it."""
    NIP_VAT_UE = "NipVatUe"
    """A company of another country of the EU, with the Polish company that represents it."""
    PEPPOL_ID = "PeppolId"
    """A provider of Peppol services."""


@attrs.frozen
class Context:
    """On whose behalf calls are made."""

    type: ContextType
    """The kind of number."""
    value: str
    """The number itself."""

    def __str__(self) -> str:
        return f"{self.type} {self.value}"


class SubjectType(OpenStrEnum):
    """The kind of identifier that names a person or company."""

    NIP = "Nip"
    """A tax number."""
    PESEL = "Pesel"
    """The number of a person in Poland's register."""
    FINGERPRINT = "Fingerprint"
    """SHA-256 of a certificate's DER, in 64 hex digits."""


@attrs.frozen
class SubjectIdentifier:
    """A person or company, by whatever names it."""

    type: SubjectType
    """The kind of number."""
    value: str
    """The number itself."""

    def __str__(self) -> str:
        return f"{self.type} {self.value}"
