"""Who may issue an invoice for whom, as a table."""

from __future__ import annotations

import pytest

from ksef_async.api.common import Context, ContextType
from ksef_async.api.permissions import EntityRole
from ksef_async.api.sessions import FormCode
from ksef_async.protocol.xml import parse_xml
from ksef_async.sandbox.intake import NO_RELATIONS, Relations, may_issue

SELLER, ISSUER, OTHER = "7762811692", "3568707925", "5265877635"
NIP = Context(ContextType.NIP, ISSUER)
EU = Context(ContextType.NIP_VAT_UE, f"{SELLER}-DE123456789")
PROVIDER = Context(ContextType.PEPPOL_ID, "PPL000001")


def party(name: str, nip: str = "", *, more: str = "", identity: str = "") -> str:
    number = f"<NIP>{nip}</NIP>" if nip else identity
    return f"<{name}><DaneIdentyfikacyjne>{number}</DaneIdentyfikacyjne>{more}</{name}>"


def invoice(*parties: str, self_invoicing: bool = False) -> bytes:
    notes = f"<Fa><Adnotacje><P_17>{1 if self_invoicing else 2}</P_17></Adnotacje></Fa>"
    return f"<Faktura>{party('Podmiot1', SELLER)}{''.join(parties)}{notes}</Faktura>".encode()


def authorized(permission: str, by: str = SELLER) -> Relations:
    return Relations(authorizations=frozenset({(by, permission)}))


BUYER = party("Podmiot2", ISSUER)
EU_BUYER = party("Podmiot2", identity="<KodUE>DE</KodUE><NrVatUE>123456789</NrVatUE>")
OTHER_BUYER = party("Podmiot2", OTHER)
GROUP = Relations(parents=frozenset({SELLER}))


def representative(role: str) -> str:
    return party("PodmiotUpowazniony", ISSUER, more=f"<RolaPU>{role}</RolaPU>")


def member(role: str) -> str:
    return party("Podmiot3", ISSUER, more=f"<Rola>{role}</Rola>")


CASES = {
    "seller": (Context(ContextType.NIP, SELLER), invoice(OTHER_BUYER), NO_RELATIONS, True),
    "unit of the seller": (
        Context(ContextType.INTERNAL_ID, f"{SELLER}-00001"),
        invoice(OTHER_BUYER),
        NO_RELATIONS,
        True,
    ),
    "stranger": (NIP, invoice(OTHER_BUYER), NO_RELATIONS, False),
    "buyer": (NIP, invoice(BUYER, self_invoicing=True), NO_RELATIONS, False),
    "self-invoicing": (NIP, invoice(BUYER, self_invoicing=True), authorized("SelfInvoicing"), True),
    "self-invoicing that does not say so": (NIP, invoice(BUYER), authorized("SelfInvoicing"), False),
    "self-invoicing to another buyer": (
        NIP,
        invoice(OTHER_BUYER, self_invoicing=True),
        authorized("SelfInvoicing"),
        False,
    ),
    "authorized by another": (NIP, invoice(BUYER, self_invoicing=True), authorized("SelfInvoicing", by=OTHER), False),
    "authorized to something else": (NIP, invoice(BUYER, self_invoicing=True), authorized("RRInvoicing"), False),
    "tax representative": (NIP, invoice(representative("3")), authorized("TaxRepresentative"), True),
    "tax representative without authorization": (NIP, invoice(representative("3")), NO_RELATIONS, False),
    "bailiff": (NIP, invoice(representative("2")), Relations(roles=frozenset({EntityRole.COURT_BAILIFF})), True),
    "no bailiff": (NIP, invoice(representative("2")), authorized("TaxRepresentative"), False),
    "enforcement authority": (
        NIP,
        invoice(representative("1")),
        Relations(roles=frozenset({EntityRole.ENFORCEMENT_AUTHORITY})),
        True,
    ),
    "bailiff as an authority": (
        NIP,
        invoice(representative("1")),
        Relations(roles=frozenset({EntityRole.COURT_BAILIFF})),
        False,
    ),
    "member of a group": (NIP, invoice(member("9")), GROUP, True),
    "member that receives": (NIP, invoice(member("10")), GROUP, False),
    "member not named": (NIP, invoice(), GROUP, False),
    "no member": (NIP, invoice(member("9")), NO_RELATIONS, False),
    "EU entity": (EU, invoice(EU_BUYER, self_invoicing=True), NO_RELATIONS, True),
    "EU entity for another buyer": (EU, invoice(OTHER_BUYER, self_invoicing=True), NO_RELATIONS, False),
    "EU entity without self-invoicing": (EU, invoice(EU_BUYER), NO_RELATIONS, False),
    "Peppol provider": (PROVIDER, invoice(OTHER_BUYER), authorized("PefInvoicing"), False),
}


@pytest.mark.parametrize("name", CASES)
def test_invoice_may_come_from(name: str) -> None:
    context, xml, relations, expected = CASES[name]

    assert may_issue(context, relations, parse_xml(xml), SELLER, FormCode.FA3) is expected


@pytest.mark.parametrize(
    ("context", "relations", "form_code", "expected"),
    [
        pytest.param(NIP, authorized("RRInvoicing"), FormCode.FA_RR1, True, id="buyer from a flat-rate farmer"),
        pytest.param(NIP, NO_RELATIONS, FormCode.FA_RR1, False, id="buyer the farmer has not authorized"),
        pytest.param(PROVIDER, authorized("PefInvoicing"), FormCode.PEF3, True, id="Peppol provider"),
        pytest.param(PROVIDER, NO_RELATIONS, FormCode.PEF3, False, id="Peppol provider without authorization"),
    ],
)
def test_other_forms_have_other_issuers(
    context: Context, relations: Relations, form_code: FormCode, expected: bool
) -> None:
    assert may_issue(context, relations, parse_xml(invoice(BUYER)), SELLER, form_code) is expected
