"""JSON, by orjson where it is installed (extra ``fast``) and by the standard library otherwise.

Both refuse the same: what is not UTF-8, NaN and infinite numbers, half characters, nesting without end. orjson has to
be compiled for each Python, and is not there for every one.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from json import JSONDecodeError
from typing import Any, Final

try:
    _orjson: Any = import_module("orjson")
except ImportError:
    _orjson = None

__all__ = [
    "JSONDecodeError",
    "dumps",
    "dumps_by_standard_library",
    "loads",
    "loads_by_standard_library",
    "loads_exactly",
]

#: Beyond these, orjson reads a double.
_LEAST, _GREATEST = -(2**63), 2**64 - 1
_MOST_DIGITS: Final = 20
#: The first half of a character, or the second.
_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")


def loads(data: bytes | str) -> Any:
    """Return what the JSON says; fractions are floats.

    Args:
        data: The JSON.

    Raises:
        JSONDecodeError: It is none. The error holds the whole text, which may have secrets: do not chain it.
    """
    return loads_by_standard_library(data) if _orjson is None else _orjson.loads(data)


def loads_exactly(data: bytes | str) -> Any:
    """Return what the JSON says; fractions are `Decimal`, as amounts of money need.

    NaN and infinite numbers are floats here, so that whoever reads the amounts can say where one is none.

    Args:
        data: The JSON.

    Raises:
        JSONDecodeError: As for `loads`.
    """
    return loads_by_standard_library(data, fraction=Decimal, constant=float)


def dumps(value: object, *, default: Callable[[Any], object] | None = None) -> bytes:
    """Return the JSON of a value, without white space; a `Decimal` has all its digits.

    Args:
        value: Of dictionaries, lists, texts, numbers, None.
        default: Returns what else there is as one of these.

    Raises:
        TypeError: It has something else.
    """
    if _orjson is None:
        return dumps_by_standard_library(value, default=default)

    def otherwise(other: object) -> object:
        if isinstance(other, Decimal):
            return _orjson.Fragment(_number(other))
        return _converted(other, default)

    written: bytes = _orjson.dumps(value, default=otherwise)
    return written


def loads_by_standard_library(
    data: bytes | str,
    *,
    fraction: Callable[[str], float | Decimal] = float,
    constant: Callable[[str], float] | None = None,
) -> Any:
    """Return what the JSON says, as `loads` does without orjson.

    Args:
        data: The JSON.
        fraction: Reads what has a fraction or an exponent.
        constant: Reads ``NaN``, ``Infinity`` and ``-Infinity``, which are refused by default.

    Raises:
        JSONDecodeError: As for `loads`.
    """

    def read_fraction(text: str) -> float | Decimal:
        value = fraction(text)
        if isinstance(value, float) and math.isinf(value):
            raise ValueError("a number is too large")
        return value

    problem = "not JSON"
    try:
        text = data if isinstance(data, str) else data.decode()
        value = json.loads(text, parse_float=read_fraction, parse_int=_read_integer, parse_constant=constant or _refuse)
        if _HALF.search(text):
            # Pairs of halves have become characters; a half alone can be written in no encoding.
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except JSONDecodeError:
        raise
    except RecursionError:
        problem = "too deep"
    except (ValueError, ArithmeticError) as error:
        problem = str(error)
    else:
        return value
    raise JSONDecodeError(problem, "", 0)


def dumps_by_standard_library(value: object, *, default: Callable[[Any], object] | None = None) -> bytes:
    """Return the JSON of a value, as `dumps` does without orjson.

    Args:
        value: As for `dumps`.
        default: As for `dumps`.

    Raises:
        TypeError: As for `dumps`.
    """
    numbers: list[str] = []
    # The standard library writes no number of ours as it is, so a text stands where one comes, which nobody can guess.
    mark = secrets.token_hex(16)

    def otherwise(other: object) -> object:
        if isinstance(other, Decimal):
            numbers.append(_number(other))
            return f"{mark}{len(numbers) - 1}"
        return _converted(other, default)

    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=otherwise)
        if numbers:
            text = re.sub(f'"{mark}([0-9]+)"', lambda found: numbers[int(found[1])], text)
        return text.encode()
    except ValueError as error:
        # A number that is none, a circle, half a character; of the last the error holds the whole text.
        problem = error.reason if isinstance(error, UnicodeEncodeError) else str(error)
    raise TypeError(problem)


def _read_integer(text: str) -> float:
    if len(text) >= _MOST_DIGITS:
        value = float(text)
        if math.isinf(value):
            raise ValueError("a number is too large")
        if not _LEAST <= int(text) <= _GREATEST:
            return value
    return int(text)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise TypeError(f"{value!r} cannot be written as JSON")
    return format(value, "f")


def _converted(value: object, default: Callable[[Any], object] | None) -> object:
    if default is None:
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")
    return default(value)
