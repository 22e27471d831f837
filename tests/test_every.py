from __future__ import annotations

import pytest
from every import check_every


def check_even(number: int) -> None:
    if number % 2:
        raise ValueError("odd")


def test_every_case_that_fails_is_told() -> None:
    with pytest.raises(pytest.fail.Exception) as caught:
        check_every([1, 2, 3], check_even)

    assert str(caught.value) == "2 of 3 fail:\n1: ValueError: odd\n3: ValueError: odd"


def test_nothing_to_check_is_a_failure() -> None:
    with pytest.raises(AssertionError):
        check_every([], check_even)
