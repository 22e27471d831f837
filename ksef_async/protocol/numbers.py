"""KSeF numbers, NIPs and the names of files made of them; each check digit is checked."""

from __future__ import annotations

import re
from datetime import date
from hashlib import sha256
from typing import Final

import attrs

__all__ = [
    "KsefNumber",
    "check_digits",
    "file_name",
    "has_valid_check_digit",
    "has_valid_internal_id",
    "is_nip",
    "is_reference_number",
    "make_up_nip",
    "nip_problem",
    "with_check_digits",
]

# ASCII: elsewhere \d takes the digits of every script.
_NIP = re.compile(r"[1-9](\d[1-9]|[1-9]\d)\d{7}", re.ASCII)
_REFERENCE_NUMBER = re.compile(r"20\d{6}-[0-9A-Z]{2}-[0-9A-F]{10}-[0-9A-F]{10}-[0-9A-F]{2}", re.ASCII)
_KSEF_NUMBER = re.compile(
    r"([1-9](?:\d[1-9]|[1-9]\d)\d{7})-(\d{8})-([0-9A-F]{6})(-?)([0-9A-F]{6})-([0-9A-F]{2})", re.ASCII
)


def check_digits(text: str) -> str:
    """CRC-8 of ``text`` as two hex digits: ``check_digits("5265877635-20250826-0100001AF629") == "AF"``."""
    crc = 0
    for byte in text.encode("ascii"):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return f"{crc:02X}"


def with_check_digits(text: str) -> str:
    """``text`` with a hyphen and its check digits."""
    return f"{text}-{check_digits(text)}"


def is_nip(text: str) -> bool:
    """True when ``text`` has the form KSeF demands of a NIP (10 digits; the check digit is not looked at)."""
    return _NIP.fullmatch(text) is not None


def nip_problem(value: object) -> str | None:
    """Return what is wrong with ``value`` as a NIP, as a sentence; None where KSeF takes it.

    The check digit is not looked at: on TEST KSeF takes made-up companies.
    """
    if not isinstance(value, str):
        return f"A NIP is text, such as '5265877635', and not of type {type(value).__name__}."
    if is_nip(value):
        return None
    plain = re.sub(r"[\s-]", "", value).upper().removeprefix("PL")
    if is_nip(plain):
        return f"{value!r} is not a NIP as KSeF writes it: {plain!r}, without hyphens, blanks or PL."
    return f"{value!r} is not a NIP: ten digits, as KSeF's specification asks."


def is_reference_number(text: str) -> bool:
    """True when ``text`` has the form of a reference number; the check digits are not looked at."""
    return _REFERENCE_NUMBER.fullmatch(text) is not None


@attrs.frozen
class KsefNumber:
    """A KSeF number, taken apart."""

    seller_nip: str
    accepted_on: date
    """When KSeF took the invoice in for processing."""
    technical_part: str
    """12 hex digits."""
    check_digits: str

    @classmethod
    def parse(cls, text: str) -> KsefNumber:
        """Take ``text`` apart.

        Raises:
            ValueError: Not a KSeF number, or its check digits are wrong.
        """
        match = _KSEF_NUMBER.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is not a KSeF number")
        nip, day, first, hyphen, second, digits = match.groups()
        # Numbers given by KSeF 1.0 have 36 characters and follow another checksum.
        if not hyphen and check_digits(text[:-3]) != digits:
            raise ValueError(f"{text!r} has the wrong check digits: expected {check_digits(text[:-3])}")
        return cls(nip, date(int(day[:4]), int(day[4:6]), int(day[6:])), first + second, digits)


def has_valid_check_digit(nip: str) -> bool:
    """True when the last digit of a NIP is the weighted sum of the others modulo 11 (10 is no digit)."""
    if not is_nip(nip):
        return False
    weights = (6, 5, 7, 2, 3, 4, 5, 6, 7)
    return sum(int(digit) * weight for digit, weight in zip(nip, weights, strict=False)) % 11 == int(nip[9])


def make_up_nip() -> str:
    """Return a NIP with its check digit, of a company that need not exist."""
    import secrets  # only here: most of those who read numbers make none up

    while True:
        nip = str(secrets.randbelow(9_000_000_000) + 1_000_000_000)
        if has_valid_check_digit(nip):
            return nip


def has_valid_internal_id(text: str) -> bool:
    """True when ``text`` is a NIP, a hyphen and five digits, the last of them the check digit."""
    nip, _, rest = text.partition("-")
    digits = nip + rest
    if not is_nip(nip) or len(rest) != 5 or not (rest.isascii() and rest.isdecimal()):
        return False
    return sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(digits[:14])) % 10 == int(digits[14])


# KSeF numbers and reference numbers, whatever their parts; no separators, dots or names of devices.
_PLAIN: Final = re.compile(r"[0-9][0-9A-Za-z-]{0,63}", re.ASCII)


def file_name(number: str) -> str:
    """Return ``number`` where it may be a file's name on every system, and otherwise its SHA-256 in hexadecimal.

    Args:
        number: A KSeF number or a reference number, as KSeF has given it.
    """
    if _PLAIN.fullmatch(number):
        return number
    return sha256(number.encode("utf-8", "surrogatepass")).hexdigest()
