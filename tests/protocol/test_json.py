"""JSON by orjson and by the standard library: what either takes, and what it means."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksef_async.protocol import json

LOADS = pytest.mark.parametrize("loads", [json.loads, json.loads_by_standard_library], ids=["orjson", "standard"])
DUMPS = pytest.mark.parametrize("dumps", [json.dumps, json.dumps_by_standard_library], ids=["orjson", "standard"])

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)  # fmt: skip


@LOADS
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b' {"a": 1, "a": 2} ', {"a": 2}),
        (b"-0", 0),
        (b"1E2", 100.0),
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", 2.0**64),
        (b"-9223372036854775809", -(2.0**63)),
        (b'"\\ud83e\\uddfe"', "🧾"),
        ('"zażółć\u2028"', "zażółć\u2028"),
    ],
    ids=str,
)
def test_json_is_read(loads: Callable[[bytes | str], Any], text: bytes | str, value: object) -> None:
    found = loads(text)

    assert (found, type(found)) == (value, type(value))


@LOADS
@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"{", b"01", b"1.", b"-", b"NaN", b"[Infinity]", b"-Infinity", b"1e999", b"9" * 400, b"[" * 200_000),
        *(b'"\xff"', b"\xef\xbb\xbf1", b"\xff\xfe1\0", b'"\x01"', b'"\\x"', b"[1]\x0b", b"1 2", b"{1:2}", b"[1,]"),
        *(b'"\\ud800"', b'{"\\udc00": 1}', b'["\\udc00\\ud83d"]', b'"a\\uD83Db"'),
    ],
    ids=lambda text: str(text)[:30],
)
def test_what_is_no_json_is_refused(loads: Callable[[bytes | str], Any], text: bytes) -> None:
    with pytest.raises(json.JSONDecodeError):
        loads(text)


@DUMPS
def test_amounts_are_written_with_all_digits(dumps: Callable[..., bytes]) -> None:
    amounts = [Decimal("123456789012345678.10"), {"a": Decimal("1E+3")}, "0", Decimal("-0.000000001")]

    assert dumps(amounts) == b'[123456789012345678.10,{"a":1000},"0",-0.000000001]'


@DUMPS
def test_what_else_there_is_is_converted(dumps: Callable[..., bytes]) -> None:
    assert dumps({"a": b"xyz", "b": "ż"}, default=bytes.decode) == '{"a":"xyz","b":"ż"}'.encode()


@DUMPS
@pytest.mark.parametrize("value", [Decimal("NaN"), b"a", {1, 2}, "\ud800"], ids=repr)
def test_what_json_does_not_have_is_refused(dumps: Callable[..., bytes], value: object) -> None:
    with pytest.raises(TypeError):
        dumps([value])


def test_amounts_are_read_as_they_are_written() -> None:
    assert json.loads_exactly(b"[1.10, 1e-2, 7]") == [Decimal("1.10"), Decimal("0.01"), 7]


@given(value=VALUES)
def test_both_read_what_either_writes(value: object) -> None:
    written = json.dumps_by_standard_library(value)

    assert json.loads(written) == json.loads_by_standard_library(json.dumps(value)) == value


@given(text=st.text(st.sampled_from('{}[]",:0123456789.-+eE\\u dDaAfFntrueNaI\x01ż'), max_size=20))
def test_both_refuse_the_same(text: str) -> None:
    found = []
    for loads in (json.loads, json.loads_by_standard_library):
        try:
            found.append(repr(loads(text.encode())))
        except json.JSONDecodeError:
            found.append("refused")

    assert found[0] == found[1]


def test_library_works_where_orjson_is_not_installed() -> None:
    program = "import sys; sys.modules['orjson'] = None; from ksef_async.cli.app import main; sys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, "UPO" in done.stdout) == (0, True), done.stderr
