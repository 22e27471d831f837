from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksef_async.protocol.numbers import (
    KsefNumber,
    check_digits,
    has_valid_check_digit,
    has_valid_internal_id,
    is_nip,
    is_reference_number,
    with_check_digits,
)

# Numbers the Ministry printed in its own documentation and specification.
KSEF_NUMBERS = [
    "5265877635-20250826-0100001AF629-AF",
    "5265877635-20250916-010040741B3E-46",
    "5265877635-20250916-0200A0D6723E-C2",
    "5265877635-20250626-010080DD2B5E-26",
]
REFERENCE_NUMBERS = [
    "20250625-SO-2C3E6C8000-B675CF5D68-07",
    "20250514-CR-226FB7B000-3ACF9BE4C0-10",
    "20250626-SB-213D593000-4DE10D80A5-E9",
    "20250514-AU-2DFC46C000-3AC6D5877F-D4",
    "20250625-EE-319D7EE000-B67F415CDC-2C",
]


@pytest.mark.parametrize("number", KSEF_NUMBERS + REFERENCE_NUMBERS)
def test_check_digits_of_official_numbers(number: str) -> None:
    text, _, digits = number.rpartition("-")

    assert check_digits(text) == digits
    assert with_check_digits(text) == number


def test_ksef_number_is_taken_apart() -> None:
    assert KsefNumber.parse(KSEF_NUMBERS[0]) == KsefNumber("5265877635", date(2025, 8, 26), "0100001AF629", "AF")


def test_number_of_ksef_1_is_read_without_its_other_checksum() -> None:
    number = KsefNumber.parse("5265877635-20220826-010000-1AF629-00")

    assert (number.technical_part, number.check_digits) == ("0100001AF629", "00")


@settings(deadline=None)
@given(
    number=st.sampled_from(KSEF_NUMBERS),
    place=st.integers(0, 34),
    character=st.sampled_from("0123456789ABCDEF-"),
)
def test_any_single_changed_character_is_noticed(number: str, place: int, character: str) -> None:
    changed = number[:place] + character + number[place + 1 :]

    if changed != number:
        with pytest.raises(ValueError):
            KsefNumber.parse(changed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a KSeF number"),
        ("5265877635-20250826-0100001AF629", "is not a KSeF number"),
        ("5265877635-20250826-0100001af629-AF", "is not a KSeF number"),
        (" 5265877635-20250826-0100001AF629-AF", "is not a KSeF number"),
        ("5265877635-20250826-0100001AF629-AF\n", "is not a KSeF number"),
        ("٥265877635-20250826-0100001AF629-AF", "is not a KSeF number"),
        ("5265877635-20250826-0100001AF629-AE", "wrong check digits: expected AF"),
        (with_check_digits("5265877635-20251326-0100001AF629"), "month must be in"),
    ],
)
def test_what_is_not_a_ksef_number_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        KsefNumber.parse(text)


@pytest.mark.parametrize(
    ("text", "form", "digit"),
    [
        ("5265877635", True, True),
        ("5265877636", True, False),
        ("1111111111", True, True),
        ("1111111112", True, False),
        ("1000000000", False, False),
        ("0265877635", False, False),
        ("526587763", False, False),
        ("526-587-76-35", False, False),
        ("52658776٣5", False, False),
        ("5265877635\n", False, False),
        ("", False, False),
        # The weighted sum is 10 modulo 11, which is no digit: no last digit can be right.
        *((f"526587701{last}", True, False) for last in range(10)),
    ],
)
def test_nip(text: str, form: bool, digit: bool) -> None:
    assert (is_nip(text), has_valid_check_digit(text)) == (form, digit)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("6824515772-12343", True),
        ("6824515772-12344", False),
        ("6824515772-1234", False),
        ("6824515772-123433", False),
        ("682451577212343", False),
        ("6824515772_12343", False),
        ("6824515772-1234²", False),
        ("6824515772--1234", False),
        ("0824515772-12343", False),
        ("", False),
    ],
)
def test_internal_id(text: str, valid: bool) -> None:
    assert has_valid_internal_id(text) is valid


@pytest.mark.parametrize(
    ("text", "form"),
    [
        *((number, True) for number in REFERENCE_NUMBERS),
        ("20250625-SO-2C3E6C8000-B675CF5D68-08", True),  # opaque to a client: its check digits are not looked at
        ("20250625-so-2c3e6c8000-b675cf5d68-07", False),
        ("19250625-SO-2C3E6C8000-B675CF5D68-07", False),
        ("20250625-SO-2C3E6C8000-B675CF5D68", False),
        ("20250625-SO-2C3E6C8000-B675CF5D68-07\n", False),
        ("../20250625-SO-2C3E6C8000-B675CF5D68", False),
    ],
)
def test_reference_number(text: str, form: bool) -> None:
    assert is_reference_number(text) is form
