"""Verification links: the Ministry's vectors, the forms of invoices, and what cannot be linked to."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksef_async import Context, ContextType, Environment, LocalProtocolError
from ksef_async.protocol.verification_links import (
    InvoiceFingerprint,
    base64url,
    certificate_link_to_sign,
    signed_certificate_link,
    verification_link,
)
from ksef_async.sandbox import sample_invoice

NIP = "5265877635"
DIGEST = "UtQp9Gpc51y-u3xApZjIjgkpZ01js-J8KflSPW8WzIE"
#: The invoice of the Ministry's vectors.
MINISTRY = InvoiceFingerprint(
    seller_nip="1111111111", issued_on=date(2026, 2, 1), sha256=urlsafe_b64decode(f"{DIGEST}=")
)
SERIAL_NUMBER = "01F20A5D352AE590"
CONTEXT = Context(ContextType.NIP, "1111111111")

FA_RR = """<Faktura xmlns="http://crd.gov.pl/wzor/2026/03/06/14189/">
  <Podmiot1><DaneIdentyfikacyjne><NIP>1234563218</NIP></DaneIdentyfikacyjne></Podmiot1>
  <FakturaRR><P_4B>2026-04-30</P_4B></FakturaRR></Faktura>"""
UBL = """<Invoice xmlns="urn:ubl" xmlns:cac="urn:cac" xmlns:cbc="urn:cbc">
  <cbc:ID>F/1</cbc:ID><cbc:IssueDate> 2026-12-01 </cbc:IssueDate>
  <cac:AccountingSupplierParty><cac:Party><cac:PartyTaxScheme><cbc:CompanyID>PL1234563218</cbc:CompanyID>
  </cac:PartyTaxScheme></cac:Party></cac:AccountingSupplierParty></Invoice>"""


def test_link_of_the_ministrys_invoice() -> None:
    expected = f"https://qr-test.ksef.mf.gov.pl/invoice/1111111111/01-02-2026/{DIGEST}"

    assert verification_link(MINISTRY, Environment.TEST) == expected


def test_text_to_sign_of_the_ministrys_invoice() -> None:
    signed = certificate_link_to_sign(MINISTRY, CONTEXT, SERIAL_NUMBER, Environment.TEST)

    assert signed == f"qr-test.ksef.mf.gov.pl/certificate/Nip/1111111111/1111111111/01F20A5D352AE590/{DIGEST}"
    assert signed_certificate_link(signed, b"\xfb\xff", Environment.TEST) == f"https://{signed}/-_8"


@pytest.mark.parametrize(
    ("environment", "start"),
    [
        (Environment.PRODUCTION, "https://qr.ksef.mf.gov.pl/invoice/"),
        (Environment.DEMO, "https://qr-demo.ksef.mf.gov.pl/invoice/"),
        (Environment.TEST, "https://qr-test.ksef.mf.gov.pl/invoice/"),
        (Environment("http://127.0.0.1:8080/v2"), "http://127.0.0.1:8080/invoice/"),
        (Environment("http://127.0.0.1:8080/api/v2"), "http://127.0.0.1:8080/invoice/"),
        (Environment("https://ksef.example/v2", qr_url="https://qr.example/"), "https://qr.example/invoice/"),
    ],
)
def test_link_leads_to_the_host_of_the_environment(environment: Environment, start: str) -> None:
    assert verification_link(MINISTRY, environment).startswith(start)


@pytest.mark.parametrize(
    ("invoice", "seller_nip", "issued_on"),
    [
        pytest.param(sample_invoice(NIP, issued_on=date(2026, 3, 9)), NIP, date(2026, 3, 9), id="FA"),
        pytest.param(FA_RR.encode(), "1234563218", date(2026, 4, 30), id="FA_RR"),
        pytest.param(UBL.encode(), "1234563218", date(2026, 12, 1), id="Peppol"),
    ],
)
def test_fingerprint_is_read_from_the_file(invoice: bytes, seller_nip: str, issued_on: date) -> None:
    found = InvoiceFingerprint.of(invoice)

    assert found == InvoiceFingerprint(
        seller_nip=seller_nip, issued_on=issued_on, sha256=hashlib.sha256(invoice).digest()
    )
    assert verification_link(invoice, Environment.TEST) == verification_link(found, Environment.TEST)


@pytest.mark.parametrize(
    ("invoice", "sentence"),
    [
        pytest.param(b"no invoice", "cannot be read", id="no XML"),
        pytest.param(b'<!DOCTYPE a><Faktura xmlns="x"/>', "cannot be read", id="DTD"),
        pytest.param(b'<Faktura xmlns="x"/>', "has no Podmiot1/DaneIdentyfikacyjne/NIP", id="no seller"),
        pytest.param(FA_RR.replace("2026-04-30", "").encode(), "has no Fa/P_1", id="no date"),
        pytest.param(FA_RR.replace("2026-04-30", "20260430").encode(), "is no date", id="another date"),
        pytest.param(FA_RR.replace("2026-04-30", "2026-02-30").encode(), "is no date", id="no such day"),
        pytest.param(FA_RR.replace("1234563218", "123/../321").encode(), "ten digits", id="no NIP"),
    ],
)
def test_file_that_cannot_be_linked_to_is_refused(invoice: bytes, sentence: str) -> None:
    with pytest.raises(LocalProtocolError, match=sentence):
        verification_link(invoice, Environment.TEST)


@pytest.mark.parametrize(
    ("context", "serial_number", "sentence"),
    [
        pytest.param(Context(ContextType.NIP, "1/../2"), SERIAL_NUMBER, "cannot stand", id="a path"),
        pytest.param(Context(ContextType.NIP, ""), SERIAL_NUMBER, "cannot stand", id="nothing"),
        pytest.param(CONTEXT, SERIAL_NUMBER.lower(), "no serial number", id="small letters"),
        pytest.param(CONTEXT, "1F20A5D352AE590", "no serial number", id="too short"),
    ],
)
def test_malformed_part_of_the_certificate_link_is_refused(context: Context, serial_number: str, sentence: str) -> None:
    with pytest.raises(LocalProtocolError, match=sentence):
        certificate_link_to_sign(MINISTRY, context, serial_number, Environment.TEST)


@pytest.mark.parametrize(
    "context",
    [
        Context(ContextType.INTERNAL_ID, "5265877635-12345"),
        Context(ContextType.NIP_VAT_UE, "5265877635-ES+*A1"),
        Context(ContextType.PEPPOL_ID, "PPL000001"),
    ],
    ids=str,
)
def test_every_kind_of_context_stands_in_the_link_as_it_is(context: Context) -> None:
    signed = certificate_link_to_sign(MINISTRY, context, SERIAL_NUMBER, Environment.TEST)

    assert signed.split("/")[1:4] == ["certificate", context.type.value, context.value]


def test_hash_of_another_length_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="32 bytes, not 20"):
        InvoiceFingerprint(seller_nip=NIP, issued_on=date(2026, 2, 1), sha256=bytes(20))


@given(st.binary(max_size=100))
def test_base64url_has_no_padding_and_goes_back(data: bytes) -> None:
    text = base64url(data)

    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert urlsafe_b64decode(text + "=" * (-len(text) % 4)) == data
