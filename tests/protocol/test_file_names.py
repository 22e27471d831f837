"""Whatever KSeF calls a number, the file that is named by it lies in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ksef_async.protocol.numbers import file_name


@pytest.mark.parametrize("number", ["5265877635-20250826-0100001AF629-AF", "20250625-SO-2C3E6C8000-B675CF5D68-07"])
def test_number_of_ksef_is_its_own_file_name(number: str) -> None:
    assert file_name(number) == number


@given(st.text(max_size=100))
@example("..")
@example("")
@example("/etc/passwd")
@example("a\0b")
@example("1" * 5000)
@example("CON")
@example("1\n")
@example("١")
@example("\ud800")
def test_anything_else_becomes_a_name_that_every_system_takes(number: str) -> None:
    name = file_name(number)

    assert (Path("folder") / f"{name}.upo.xml").parent == Path("folder")
    assert name.isascii()
    assert 0 < len(name) <= 64
    assert name.replace("-", "").isalnum()


def test_different_numbers_have_different_names() -> None:
    assert file_name("../1") != file_name("../2")
