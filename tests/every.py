"""One test for many small cases, which costs as much as one and tells of every case that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

__all__ = ["check_every"]

T = TypeVar("T")


def check_every(cases: Iterable[T], check: Callable[[T], object], *, named: Callable[[T], object] = str) -> None:
    """Call ``check`` with each case, and fail with all that did not pass.

    Args:
        cases: At least one.
        check: Raises where a case is wrong.
        named: Gives the name of a case.
    """
    count, failures = 0, []
    for case in cases:
        count += 1
        try:
            check(case)
        except Exception as error:  # noqa: BLE001  # to tell of all of them
            failures.append(f"{named(case)}: {type(error).__name__}: {error}")
    assert count, "there is no case"
    if failures:
        pytest.fail(f"{len(failures)} of {count} fail:\n" + "\n".join(failures), pytrace=False)
