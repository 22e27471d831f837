"""What KSeF tells of an invoice without its document, read from the document once, at intake.

Where the three families of forms keep it: FA(2), FA(3); FA_RR(1); PEF (UBL). Amounts of a correction are those of
the document. What is inferred is marked [INF].
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Final

import attrs

from ..models.invoices import (
    AuthorizedSubject,
    Buyer,
    BuyerIdentifier,
    BuyerIdentifierType,
    InvoiceType,
    ThirdSubject,
    ThirdSubjectIdentifier,
    ThirdSubjectIdentifierType,
)
from ..models.sessions import FormCode
from ..protocol.xml import ET, local_name

__all__ = ["Facts", "read_facts"]

_ZERO: Final = Decimal(0)

_TYPES: Final = {
    "VAT": InvoiceType.VAT,
    "ZAL": InvoiceType.ADVANCE,
    "KOR": InvoiceType.CORRECTION,
    "ROZ": InvoiceType.SETTLEMENT,
    "UPR": InvoiceType.SIMPLIFIED,
    "KOR_ZAL": InvoiceType.ADVANCE_CORRECTION,
    "KOR_ROZ": InvoiceType.SETTLEMENT_CORRECTION,
    "VAT_RR": InvoiceType.RR,
    "KOR_VAT_RR": InvoiceType.RR_CORRECTION,
}
#: Fields of FA with net amounts by rate, and those with the tax.
_NET: Final = tuple(
    f"P_13_{each}" for each in ("1", "2", "3", "4", "5", "6_1", "6_2", "6_3", "7", "8", "9", "10", "11")
)
_VAT: Final = tuple(f"P_14_{each}" for each in ("1", "2", "3", "4", "5"))


@attrs.frozen(kw_only=True)
class Facts:
    """What is told of an invoice."""

    seller_name: str | None = None
    buyer: Buyer
    net_amount: Decimal = _ZERO
    gross_amount: Decimal = _ZERO
    vat_amount: Decimal = _ZERO
    currency: str = "PLN"
    invoice_type: InvoiceType
    is_self_invoicing: bool = False
    third_subjects: tuple[ThirdSubject, ...] = ()
    authorized_subject: AuthorizedSubject | None = None


def read_facts(root: ET.Element, form_code: FormCode) -> Facts:
    """Read a document that intake has found sound; what it lacks is left out."""
    return _read_ubl(root, form_code) if form_code.form == "PEF" else _read(root, form_code)


def _read(root: ET.Element, form_code: FormCode) -> Facts:
    is_rr = form_code is FormCode.FA_RR1
    body = _child(root, "FakturaRR" if is_rr else "Fa")
    gross = _amount(body, "P_12_1" if is_rr else "P_15")
    # FA_RR has the value without the flat-rate refund in P_11_1, and the refund in P_11_2 [INF].
    net = _amount(body, "P_11_1") if is_rr else _sum(body, _NET)
    vat = _amount(body, "P_11_2") if is_rr else _sum(body, _VAT)
    authorized = root.find("{*}PodmiotUpowazniony")
    return Facts(
        seller_name=_name(root.find("{*}Podmiot1")),
        buyer=_buyer(root.find("{*}Podmiot2")),
        net_amount=net,
        gross_amount=gross,
        vat_amount=vat,
        currency=(_text(body, "KodWaluty") or "PLN").upper()[:3],
        invoice_type=_TYPES.get(_text(body, "RodzajFaktury") or "", InvoiceType.RR if is_rr else InvoiceType.VAT),
        # P_17 is 1 when the buyer issues the invoice for the seller.
        is_self_invoicing=body is not None and body.findtext("{*}Adnotacje/{*}P_17") == "1",
        third_subjects=tuple(_third_subject(each) for each in root.iterfind("{*}Podmiot3")),
        authorized_subject=None if authorized is None else _authorized(authorized),
    )


def _buyer(party: ET.Element | None) -> Buyer:
    data = _child(party, "DaneIdentyfikacyjne")
    if nip := _text(data, "NIP"):
        identifier = BuyerIdentifier(BuyerIdentifierType.NIP, nip)
    elif number := _text(data, "NrVatUE"):
        identifier = BuyerIdentifier(BuyerIdentifierType.VAT_UE, (_text(data, "KodUE") or "") + number)
    elif number := _text(data, "NrID"):
        identifier = BuyerIdentifier(BuyerIdentifierType.OTHER, number)
    else:
        identifier = BuyerIdentifier(BuyerIdentifierType.NONE)
    return Buyer(identifier, _name(party))


def _third_subject(party: ET.Element) -> ThirdSubject:
    data = _child(party, "DaneIdentyfikacyjne")
    if nip := _text(data, "NIP"):
        identifier = ThirdSubjectIdentifier(ThirdSubjectIdentifierType.NIP, nip)
    elif internal := _text(data, "IDWew"):
        identifier = ThirdSubjectIdentifier(ThirdSubjectIdentifierType.INTERNAL_ID, internal)
    elif number := _text(data, "NrVatUE"):
        identifier = ThirdSubjectIdentifier(ThirdSubjectIdentifierType.VAT_UE, (_text(data, "KodUE") or "") + number)
    elif number := _text(data, "NrID"):
        identifier = ThirdSubjectIdentifier(ThirdSubjectIdentifierType.OTHER, number)
    else:
        identifier = ThirdSubjectIdentifier(ThirdSubjectIdentifierType.NONE)
    return ThirdSubject(identifier, _name(party), role=_number(party, "Rola"))


def _authorized(party: ET.Element) -> AuthorizedSubject:
    nip = _text(_child(party, "DaneIdentyfikacyjne"), "NIP") or ""
    return AuthorizedSubject(nip, _name(party), role=_number(party, "RolaPU"))


def _name(party: ET.Element | None) -> str | None:
    data = _child(party, "DaneIdentyfikacyjne")
    whole = _text(data, "Nazwa") or _text(data, "PelnaNazwa")
    parts = [part for part in (_text(data, "ImiePierwsze"), _text(data, "Nazwisko")) if part]
    return (whole or " ".join(parts) or "")[:512] or None


# --- UBL -----------------------------------------------------------------------------------------------------


def _read_ubl(root: ET.Element, form_code: FormCode) -> Facts:
    is_correction = form_code is FormCode.PEF_KOR3 or local_name(root) == "CreditNote"
    total = root.find("{*}LegalMonetaryTotal")
    return Facts(
        seller_name=_ubl_name(root.find("{*}AccountingSupplierParty/{*}Party")),
        buyer=_ubl_buyer(root.find("{*}AccountingCustomerParty/{*}Party")),
        net_amount=_amount(total, "TaxExclusiveAmount"),
        gross_amount=_amount(total, "TaxInclusiveAmount"),
        vat_amount=_amount(root.find("{*}TaxTotal"), "TaxAmount"),
        currency=(_text(root, "DocumentCurrencyCode") or "PLN").upper()[:3],
        invoice_type=InvoiceType.PEF_CORRECTION if is_correction else InvoiceType.PEF,
    )


def _ubl_buyer(party: ET.Element | None) -> Buyer:
    number = "" if party is None else (party.findtext("{*}PartyTaxScheme/{*}CompanyID") or "").strip()
    if not number:
        identifier = BuyerIdentifier(BuyerIdentifierType.NONE)
    elif (nip := number.removeprefix("PL")).isdecimal() and len(nip) == 10:
        identifier = BuyerIdentifier(BuyerIdentifierType.NIP, nip)
    else:
        identifier = BuyerIdentifier(BuyerIdentifierType.VAT_UE, number[:50])
    return Buyer(identifier, _ubl_name(party))


def _ubl_name(party: ET.Element | None) -> str | None:
    paths = ("{*}PartyLegalEntity/{*}RegistrationName", "{*}PartyName/{*}Name")
    names = () if party is None else tuple(party.findtext(path) or "" for path in paths)
    return next((name.strip()[:512] for name in names if name.strip()), None)


# --- reading -------------------------------------------------------------------------------------------------


def _child(element: ET.Element | None, name: str) -> ET.Element | None:
    return None if element is None else element.find(f"{{*}}{name}")


def _text(element: ET.Element | None, name: str) -> str | None:
    return None if element is None else (element.findtext(f"{{*}}{name}") or "").strip() or None


def _amount(element: ET.Element | None, name: str) -> Decimal:
    try:
        amount = Decimal(_text(element, name) or "0")
    except InvalidOperation:
        # Only a schema makes sure that it is a number.
        return _ZERO
    return amount if amount.is_finite() else _ZERO


def _sum(element: ET.Element | None, names: Iterable[str]) -> Decimal:
    return sum((_amount(element, name) for name in names), _ZERO)


def _number(element: ET.Element, name: str) -> int:
    text = _text(element, name) or "0"
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
