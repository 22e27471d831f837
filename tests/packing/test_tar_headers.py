"""Headers of tar archives, against those that `tarfile` makes."""

from __future__ import annotations

from tarfile import PAX_FORMAT, TarInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ksef_async.packing.archives import tar_header


@given(
    name=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=300),
    size=st.integers(0, 8**11 - 1),
)
@example(name="f" * 100, size=3_000_000)
@example(name="f" * 101, size=3_000_000)
@example(name="łódź.xml", size=1)
def test_a_header_is_the_one_tarfile_makes(name: str, size: int) -> None:
    info = TarInfo(name)
    info.size = size
    info.mode = 0o600
    assert tar_header(name, size) == info.tobuf(PAX_FORMAT)


@pytest.mark.parametrize("name", ["faktura.xml", "a" * 100])
def test_a_name_in_ascii_takes_one_block(name: str) -> None:
    assert len(tar_header(name, 10_000)) == 512
