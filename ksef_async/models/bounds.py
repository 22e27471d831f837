"""What KSeF demands of the fields of a request and would refuse with 21405; checked before anything is sent.

The contract tests hold these bounds to those of the specification.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import attrs

from ..errors import InvalidFieldError

__all__ = ["IP4_ADDRESS", "IP4_MASK", "IP4_RANGE", "KSEF_NUMBER", "Bounds", "items", "number", "text"]

#: KSeF's pattern of a KSeF number; the length tells those of KSeF 1.0 (36) from those of KSeF 2.0 (35).
KSEF_NUMBER: Final = (
    r"([1-9](\d[1-9]|[1-9]\d)\d{7})-(20[2-9][0-9]|2[1-9]\d{2}|[3-9]\d{3})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
    r"-([0-9A-F]{6})-?([0-9A-F]{6})-([0-9A-F]{2})"
)

#: KSeF's patterns of IPv4 addresses, of ranges of them, and of networks.
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
    #: Of a string, or of each item.
    pattern: str | None = None

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
    """A number from ``least`` to ``most``."""
    return Bounds(kind="number", least=least, most=most)


def items(least: int | None = None, most: int | None = None, pattern: str | None = None) -> Bounds:
    """How many a sequence has, and how each is written."""
    return Bounds(kind="items", least=least, most=most, pattern=pattern)
