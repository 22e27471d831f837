"""What the sandbox makes of an invoice by itself: rules, without a session around them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest

from ksef_async.api.common import Context, ContextType
from ksef_async.api.sessions import FormCode, InvoiceStatusCode
from ksef_async.sandbox import sample_invoice
from ksef_async.sandbox.grants import Granted
from ksef_async.sandbox.intake import CheckedInvoice, Rejected, examine
from ksef_async.sandbox.shapes import ShapeCheck

NIP = "5265877635"
CONTEXT = Context(ContextType.NIP, NIP)


def examined(invoice: bytes) -> CheckedInvoice | Rejected:
    try:
        return examine(
            invoice,
            form_code=FormCode.FA3,
            context=CONTEXT,
            received_at=datetime.now(UTC),
            declared=None,
            is_correction=False,
            check_identifiers=False,
            limits=Granted(10_000).context(CONTEXT).batch_session,
            find_shape_problems=partial(ShapeCheck().problems, FormCode.FA3),
        )
    except Rejected as rejected:
        return rejected


def named(character: str) -> bytes:
    return sample_invoice(NIP).replace(b"Nabywca", f"Nab{character}ywca".encode())


@pytest.mark.parametrize(
    "character",
    ["\x7f", "\x80", "\x84", "\x86", "\x9f", "\ufdd0", "\ufdef", "\U0001fffe", "\U0010ffff"],
    ids=ascii,
)
def test_discouraged_characters_are_refused(character: str) -> None:
    verdict = examined(named(character))

    assert isinstance(verdict, Rejected)
    assert verdict.code is InvoiceStatusCode.INVALID_DOCUMENT
    assert verdict.details == ("Plik faktury zawiera niedozwolone znaki Unicode.",)


@pytest.mark.parametrize("character", ["~", "\x85", "\xa0", "ł", "\ufdcf", "\ufdf0", "\ufffd", "\U0001fffd"], ids=ascii)
def test_all_others_are_taken(character: str) -> None:
    verdict = examined(named(character))

    assert isinstance(verdict, CheckedInvoice)
    assert verdict.facts.buyer.name == f"Nab{character}ywca S.A."


@pytest.mark.parametrize("wrong", [b"\xc5a\x82", b"\xff", b"\xc2", b"\xed\xa0\x80"], ids=repr)
def test_what_is_no_utf_8_is_refused_even_where_leaving_out_ascii_would_make_it_one(wrong: bytes) -> None:
    verdict = examined(sample_invoice(NIP).replace(b"Nabywca", wrong))

    assert isinstance(verdict, Rejected)
    assert verdict.details[0] == "Nieprawidłowy XML"


def test_utf_8_that_says_it_is_another_encoding_is_refused() -> None:
    verdict = examined(sample_invoice(NIP).replace(b'encoding="UTF-8"', b'encoding="ISO-8859-2"'))

    assert isinstance(verdict, Rejected)
    assert verdict.details == ("Nieprawidłowy XML", "Wymagane kodowanie to UTF-8.")
