from __future__ import annotations

import codecs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ksef_async import LocalProtocolError
from ksef_async.protocol.invoices import MAX_SIZE, MAX_SIZE_WITH_ATTACHMENT, check_invoice_file

ATTACHMENT = b"<Zalacznik/>"


@pytest.mark.parametrize(
    "invoice",
    [
        pytest.param("<Faktura>Zażółć</Faktura>".encode(), id="small"),
        pytest.param(b"x" * MAX_SIZE, id="largest"),
        pytest.param(ATTACHMENT.ljust(MAX_SIZE_WITH_ATTACHMENT), id="largest with attachment"),
        pytest.param(b'<?xml version="1.0" encoding="utf-8"?><a/>', id="declared in small letters"),
        pytest.param(b"<a><!-- <!DOCTYPE a> <?b?> --><![CDATA[<?c?>]]></a>", id="what only looks forbidden"),
    ],
)
def test_invoice_file_that_ksef_takes(invoice: bytes) -> None:
    check_invoice_file(invoice)


@pytest.mark.parametrize(
    ("invoice", "said"),
    [
        pytest.param("<Faktura/>", "as bytes, not str", id="text"),
        pytest.param(bytearray(b"<Faktura/>"), "as bytes, not bytearray", id="bytes that may change"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"x" * (MAX_SIZE + 1), "1,000,001 bytes; KSeF takes at most 1,000,000", id="too large"),
        pytest.param(
            ATTACHMENT.ljust(MAX_SIZE_WITH_ATTACHMENT + 1), "at most 3,000,000", id="too large with attachment"
        ),
        pytest.param(codecs.BOM_UTF8 + b"<Faktura/>", "byte order mark", id="utf-8 mark"),
        pytest.param("<Faktura/>".encode("utf-16"), "byte order mark", id="utf-16"),
        pytest.param("<Faktura>ż</Faktura>".encode("iso-8859-2"), "not UTF-8: .* at byte 9", id="iso-8859-2"),
        pytest.param(b'<?xml version="1.0" encoding="ISO-8859-2"?><a/>', "is in ISO-8859-2", id="declared as another"),
        pytest.param("<Faktura/>".encode("utf-16-le"), "is in UTF-16", id="utf-16 without a mark"),
        pytest.param(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "a DTD at byte 0", id="dtd"),
        pytest.param(b"<a><?php x?></a>", r"<\?php\?> at byte 3", id="processing instruction"),
        pytest.param(b"<?xml version='1.0'?><?xml-stylesheet x?><a/>", "at byte 21", id="stylesheet"),
        pytest.param("<Faktura>ż".encode()[:-1], "not UTF-8: unexpected end of data at byte 9", id="cut short"),
    ],
)
def test_invoice_file_that_ksef_would_reject_is_refused(invoice: bytes, said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        check_invoice_file(invoice)


@given(
    before=st.integers(min_value=0, max_value=33_000), wrong=st.sampled_from([b"\xff", b"\xc4", b"\xe2\x82", b"\xc4<"])
)
@example(before=15_999, wrong=b"\xe2\x82")
@example(before=31_999, wrong=b"\xc4")
def test_place_of_what_is_not_utf_8_is_told_however_large_the_invoice_is(before: int, wrong: bytes) -> None:
    # Characters of two bytes, so that some are cut by whatever is looked at at once.
    invoice = ("ą" * (before // 2)).encode() + b"." * (before % 2) + wrong

    with pytest.raises(UnicodeDecodeError) as expected:
        invoice.decode()
    with pytest.raises(LocalProtocolError, match=rf"at byte {expected.value.start}\.$"):
        check_invoice_file(invoice)


@given(st.text(max_size=40).map(lambda text: ("ąę€𝄞" + text) * 2000))
def test_any_text_is_utf_8(text: str) -> None:
    check_invoice_file(text.encode())
