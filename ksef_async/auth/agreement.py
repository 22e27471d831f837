"""Waiting until KSeF's parts agree: what one of them has just made, another may not know for a moment.

A refusal comes before KSeF acts, so a call that was refused too early is repeated without harm. Source: reports of
21301 right after a login's 200 (issue 238 of the Ministry's C# client) and of 21173 right after an opening (issue 801
of its documentation).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from ..errors import ApiError

__all__ = ["AGREEMENT_PAUSES", "once_agreed"]

T = TypeVar("T")

AGREEMENT_PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each further call."""


async def once_agreed(call: Callable[[], Awaitable[T]], is_early: Callable[[ApiError], bool]) -> T:
    """Await ``call``, again after each of `AGREEMENT_PAUSES` while it is refused as too early.

    Args:
        call: Makes the call.
        is_early: Tells by the refusal whether KSeF may decide otherwise in a moment.

    Raises:
        KsefError: As ``call``; the last refusal when KSeF never decided otherwise.
    """
    for pause in AGREEMENT_PAUSES:
        try:
            return await call()
        except ApiError as error:
            if not is_early(error):
                raise
        await anyio.sleep(pause)
    return await call()
