"""What is wrong with a request, in the words of KSeF's validator (FluentValidation, English, camelCase paths).

Nothing of ours goes out: a problem that no rule below knows is only named by its field. Which words KSeF has for each
problem is known for lengths, numbers and ranges; the others are inferred [INF].
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ..protocol.wire import WireError
from .refusals import UNKNOWN_FORM

__all__ = ["UNREADABLE_JSON", "problem_in_words", "problems_in_words"]

#: Of a body that is not JSON.
UNREADABLE_JSON: Final = "The input does not contain a valid JSON document."

_Say = Callable[[str, "re.Match[str]"], str]


def _length(name: str, found: re.Match[str]) -> str:
    least, most, size = found.groups()
    if least == most:
        return f"'{name}' must be {least} characters in length. You entered {size} characters."
    return f"'{name}' must be between {least} and {most} characters. You entered {size} characters."


def _least_length(name: str, found: re.Match[str]) -> str:
    return f"The length of '{name}' must be at least {found[1]} characters. You entered {found[2]} characters."


def _number(name: str, found: re.Match[str]) -> str:
    return f"'{name}' must be between {found[1]} and {found[2]}. You entered {found[3]}."


def _least_number(name: str, found: re.Match[str]) -> str:
    return f"'{name}' must be greater than or equal to '{found[1]}'. You entered {found[2]}."


def _items(name: str, found: re.Match[str]) -> str:
    return f"'{name}' must contain between {found[1]} and {found[2]} items. You entered {found[3]}."


def _least_items(name: str, found: re.Match[str]) -> str:
    return f"'{name}' must contain at least {found[1]} items. You entered {found[2]}."


#: What the models and the reader of JSON say, and how it is said to the caller.
_RULES: Final[tuple[tuple[re.Pattern[str], _Say], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), say)
    for pattern, say in (
        (r"required field missing", lambda name, _: f"'{name}' must not be empty."),
        (r"unknown form code", lambda _, __: UNKNOWN_FORM),
        (r"must have a length between (\d+) and (\d+); it is (\d+)", _length),
        (r"must have a length of at least (\d+); it is (\d+)", _least_length),
        (r"must be between (-?\d+) and (-?\d+); it is (-?\d+)", _number),
        (r"must be at least (-?\d+); it is (-?\d+)", _least_number),
        (r"must have a number of items between (\d+) and (\d+); it is (\d+)", _items),
        (r"must have a number of items of at least (\d+); it is (\d+)", _least_items),
        (r"must be written as .*", lambda name, _: f"'{name}' is not in the correct format."),
        (
            r"expected .*|not Base64",
            lambda name, _: f"The JSON value could not be converted. Path: $.{name}",
        ),
    )
)


def problem_in_words(path: str, text: str) -> str:
    """Return one problem as KSeF words it.

    Args:
        path: Of the field, in KSeF's names, e.g. ``$.dateRange.from``.
        text: What is wrong with it, as our models put it.
    """
    name = path.removeprefix("$").removeprefix(".")
    if not name:
        return "A non-empty request body is required."
    for pattern, say in _RULES:
        if found := pattern.fullmatch(text):
            return say(name, found)
    return f"'{name}' is invalid."


def problems_in_words(error: WireError) -> tuple[str, ...]:
    """Return everything that does not fit, each once, as KSeF words it."""
    return tuple(dict.fromkeys(problem_in_words(path, text) for path, text in error.problems))
