"""What an invoice is known by is read in documents of every form, whatever prefixes and namespaces they use."""

from __future__ import annotations

import pytest

from ksef_async import FormCode
from ksef_async.errors import LocalProtocolError
from ksef_async.submissions import Identity
from ksef_async.submissions.intake import read_identity

NIP = "5265877635"


def national(namespace: str, prefix: str, form: str, body: str, number: str) -> str:
    p = f"{prefix}:" if prefix else ""
    declared = f" xmlns{':' if prefix else ''}{prefix}='{namespace}'" if namespace else ""
    return (
        f"<{p}Faktura{declared}>"
        f"<{p}Naglowek><{p}KodFormularza kodSystemowy='{form}'>FA</{p}KodFormularza></{p}Naglowek>"
        f"<{p}Podmiot1><{p}DaneIdentyfikacyjne><{p}NIP> {NIP} </{p}NIP></{p}DaneIdentyfikacyjne></{p}Podmiot1>"
        f"<{p}Podmiot2><{p}DaneIdentyfikacyjne><{p}NIP>7010002137</{p}NIP></{p}DaneIdentyfikacyjne></{p}Podmiot2>"
        f"<{p}{body}><{p}{number}>FV/<!-- -->1</{p}{number}><{p}RodzajFaktury>KOR</{p}RodzajFaktury></{p}{body}>"
        f"</{p}Faktura>"
    )


def ubl(name: str) -> str:
    return (
        f"<{name} xmlns='urn:{name}' xmlns:a='urn:aggregate' xmlns:b='urn:basic'>"
        "<b:UBLVersionID>2.1</b:UBLVersionID><b:ID>PEF/1</b:ID>"
        f"<a:AccountingSupplierParty><a:Party><a:PartyTaxScheme><b:CompanyID>PL{NIP}</b:CompanyID></a:PartyTaxScheme>"
        f"</a:Party></a:AccountingSupplierParty></{name}>"
    )


FA3 = ("urn:fa", "", "FA (3)", "Fa", "P_2")


@pytest.mark.parametrize(
    ("document", "kind", "number", "form_code"),
    [
        pytest.param(national(*FA3), "KOR", "FV/1", FormCode.FA3, id="FA(3)"),
        pytest.param(national("urn:fa", "", "FA (2)", "Fa", "P_2"), "KOR", "FV/1", FormCode.FA2, id="FA(2)"),
        pytest.param(national("urn:fa", "f", "FA (3)", "Fa", "P_2"), "KOR", "FV/1", FormCode.FA3, id="with a prefix"),
        pytest.param(national("", "", "FA (3)", "Fa", "P_2"), "KOR", "FV/1", FormCode.FA3, id="no namespace"),
        pytest.param(
            national(*FA3).replace("<NIP>", "<NIP xmlns='urn:x'>").replace("<Fa>", "<Fa xmlns='urn:y'>"),
            "KOR",
            "FV/1",
            FormCode.FA3,
            id="several namespaces",
        ),
        pytest.param(
            national("urn:rr", "", "FA_RR (1)", "FakturaRR", "P_4C"), "KOR", "FV/1", FormCode.FA_RR1, id="FA_RR(1)"
        ),
        pytest.param(ubl("Invoice"), "Invoice", "PEF/1", FormCode.PEF3, id="PEF(3)"),
        pytest.param(ubl("CreditNote"), "CreditNote", "PEF/1", FormCode.PEF_KOR3, id="PEF_KOR(3)"),
        pytest.param(
            ubl("Invoice").replace("<a:PartyTaxScheme>", "<a:PartyTaxScheme/><a:PartyTaxScheme>"),
            "Invoice",
            "PEF/1",
            FormCode.PEF3,
            id="PEF(3) with two tax schemes",
        ),
    ],
)
def test_identity_of_each_form(document: str, kind: str, number: str, form_code: FormCode) -> None:
    expected = Identity(seller_nip=NIP, kind=kind, number=number, form_code=form_code)

    assert read_identity(document.encode()) == expected


@pytest.mark.parametrize("missing", ["NIP", "P_2", "RodzajFaktury", "DaneIdentyfikacyjne", "Podmiot1", "Fa"])
def test_what_is_missing_is_said(missing: str) -> None:
    document = national(*FA3).replace(f"<{missing}>", "<Other>").replace(f"</{missing}>", "</Other>")

    with pytest.raises(LocalProtocolError, match=f"has no .*{missing}"):
        read_identity(document.encode())


@pytest.mark.parametrize("text", ["<NIP/>", "<NIP> </NIP>", f"<NIP><b>{NIP}</b></NIP>"])
def test_empty_is_missing(text: str) -> None:
    document = national(*FA3).replace(f"<NIP> {NIP} </NIP>", text)

    with pytest.raises(LocalProtocolError, match="has no Podmiot1/DaneIdentyfikacyjne/NIP"):
        read_identity(document.encode())


@pytest.mark.parametrize("number", ["FV 1", " FV 1\n", "FV  1", "FV\t\r\n1"])
def test_numbers_that_differ_in_blanks_are_one(number: str) -> None:
    """ksef-api#703: to KSeF they are of the type xsd:token."""
    assert read_identity(national(*FA3).replace("FV/<!-- -->1", number).encode()).number == "FV 1"


def test_other_spaces_are_part_of_a_number() -> None:
    assert read_identity(national(*FA3).replace("FV/<!-- -->1", "FV\u00a01").encode()).number == "FV\u00a01"
