"""What a body about permissions, or a filter, has to satisfy before its handler looks at it.

That KSeF refuses these is documented; in which words, is inferred [INF].
"""

from __future__ import annotations

from typing import Any, TypeVar

import attrs

from ..protocol.permissions import problems
from .refusals import InvalidInput
from .router import Call

__all__ = ["checked", "checked_body"]

ModelT = TypeVar("ModelT", bound=attrs.AttrsInstance)


def checked_body(call: Call) -> Any:
    """The body of a call, as the model of its row.

    Raises:
        InvalidInput: With a detail for each of its problems.
    """
    return checked(call.body)


def checked(model: ModelT) -> ModelT:
    """A body, or the query parameters of a call as a model: every value of an enumeration is one of KSeF's.

    Raises:
        InvalidInput: With a detail for each of its problems.
    """
    if found := [f"'{field}' {rule}." for field, rule in problems(model)]:
        raise InvalidInput(*found)
    return model
