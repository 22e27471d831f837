from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from secrets_watch import leaks_in

from ksef_async.api.common import StatusInfo
from ksef_async.errors import LONGEST_QUOTE, describe, quote

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJ0eXAiOiJDb250ZXh0VG9rZW4ifQ.c2lnbmF0dXJl"
TOKEN = f"20260701-EC-1234567890-ABCDEF1234-0A|nip-1111111111|{'ab' * 32}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Sesja anulowana, przekroczony czas wysyłki", None),
        ("'dateRange.to' must be greater than or equal to 'dateRange.from'.", None),
        ("Jaki to numer? (A=1)", None),
        (f"Token {JWT} jest nieważny.", "Token [...] jest nieważny."),
        (f"Authorization: Bearer {JWT}", "Authorization: [...]"),
        (f"Token {TOKEN}!", "Token 20260701-EC-1234567890-ABCDEF1234-0A[...]!"),
        ("https://ksef.example/storage/x.xml?sv=2024&sig=abc%3D gone", "https://ksef.example/storage/x.xml?[...] gone"),
        ("a\r\nINFO forged\x1b[2J\u202eb", "a  INFO forged [2J b"),
        ("", ""),
    ],
)
def test_what_others_say_is_shown_without_secrets_and_on_one_line(text: str, shown: str | None) -> None:
    assert quote(text) == (text if shown is None else shown)


@given(
    st.text(), st.sampled_from([JWT, TOKEN, f"https://ksef.example/x?sig={'a' * 30}", f"Bearer {'b' * 40}"]), st.text()
)
def test_no_secret_is_shown_wherever_it_stands(before: str, secret: str, after: str) -> None:
    shown = quote(f"{before} {secret} {after}")

    assert leaks_in(shown) == []
    assert shown.isprintable()
    assert len(shown) <= LONGEST_QUOTE


def test_secret_that_is_cut_off_is_not_shown_either() -> None:
    for length in range(LONGEST_QUOTE - 3, LONGEST_QUOTE * 4 + 3):
        assert "eyJh" not in quote("x" * length + JWT)


def test_status_is_described_in_a_bounded_line() -> None:
    status = StatusInfo(440, f"Odrzucona {JWT}\n", tuple("d" * 5000 for _ in range(500)))

    line = describe(status)

    assert line.isprintable()
    assert "eyJ" not in line
    assert len(line) < 12_000
