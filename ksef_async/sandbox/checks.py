"""What a body about permissions has to satisfy before its handler looks at it."""

from __future__ import annotations

from typing import Any

from ..protocol.permissions import problems
from .refusals import InvalidInput
from .router import Call

__all__ = ["checked_body"]


def checked_body(call: Call) -> Any:
    """The body of a call, as the model of its row.

    Raises:
        InvalidInput: With a detail for each of its problems.
    """
    if found := [f"'{field}' {rule}." for field, rule in problems(call.body)]:
        raise InvalidInput(*found)
    return call.body
