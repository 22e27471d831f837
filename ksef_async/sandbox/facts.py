"""What KSeF tells of an invoice without its document, read from the document once, at intake.

Where the three families of forms keep it: FA(2), FA(3); FA_RR(1); PEF (UBL). Amounts of a correction are those of
the document. What is inferred is marked [INF].
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

import attrs

from ..api.invoices import (
    AuthorizedSubject,
    Buyer,
    BuyerIdentifier,
    BuyerIdentifierType,
    InvoiceType,
    ThirdSubject,
    ThirdSubjectIdentifier,
    ThirdSubjectIdentifierType,
)
from ..api.sessions import FormCode
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
# Fields of FA with net amounts by rate, and those with the tax.
_NET: Final = tuple(
    f"P_13_{each}" for each in ("1", "2", "3", "4", "5", "6_1", "6_2", "6_3", "7", "8", "9", "10", "11")
)
_VAT: Final = tuple(f"P_14_{each}" for each in ("1", "2", "3", "4", "5"))


@attrs.frozen(kw_only=True)
class Facts:
    """The fields of an invoice that lists and exports show."""

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
    """Return the fields of a document that has passed the checks; missing ones are left out."""
    return _read_ubl(root, form_code) if form_code.form == "PEF" else _read(root, form_code)


def _read(root: ET.Element, form_code: FormCode) -> Facts:
    is_rr = form_code is FormCode.FA_RR1
    body = root.find("{*}FakturaRR" if is_rr else "{*}Fa")
    texts = _texts(body)
    gross = _amount(texts, "P_12_1" if is_rr else "P_15")
    # FA_RR has the value without the flat-rate refund in P_11_1, and the refund in P_11_2 [INF].
    net = _amount(texts, "P_11_1") if is_rr else _sum(texts, _NET)
    vat = _amount(texts, "P_11_2") if is_rr else _sum(texts, _VAT)
    authorized = root.find("{*}PodmiotUpowazniony")
    return Facts(
        seller_name=_name(_identity(root.find("{*}Podmiot1"))),
        buyer=_buyer(root.find("{*}Podmiot2")),
        net_amount=net,
        gross_amount=gross,
        vat_amount=vat,
        currency=sys.intern((texts.get("KodWaluty") or "PLN").upper()[:3]),
        invoice_type=_TYPES.get(texts.get("RodzajFaktury", ""), InvoiceType.RR if is_rr else InvoiceType.VAT),
        # P_17 is 1 when the buyer issues the invoice for the seller.
        is_self_invoicing=body is not None and body.findtext("{*}Adnotacje/{*}P_17") == "1",
        third_subjects=tuple(_third_subject(each) for each in root.iterfind("{*}Podmiot3")),
        authorized_subject=None if authorized is None else _authorized(authorized),
    )


def _buyer(party: ET.Element | None) -> Buyer:
    data = _identity(party)
    if nip := data.get("NIP"):
        identifier = BuyerIdentifier(BuyerIdentifierType.NIP, nip)
    elif number := data.get("NrVatUE"):
        identifier = BuyerIdentifier(BuyerIdentifierType.VAT_UE, data.get("KodUE", "") + number)
    elif number := data.get("NrID"):
        identifier = BuyerIdentifier(BuyerIdentifierType.OTHER, number)
    else:
        identifier = BuyerIdentifier(BuyerIdentifierType.NONE)
    return Buyer(identifier, _name(data))


def _third_subject(party: ET.Element) -> ThirdSubject:
    data = _identity(party)
    if nip := data.get("NIP"):
        identifier = ThirdSubjectIdentifier(ThirdSubjectIdentifierType.NIP, nip)
    elif internal := data.get("IDWew"):
        identifier = ThirdSubjectIdentifier(ThirdSubjectIdentifierType.INTERNAL_ID, internal)
    elif number := data.get("NrVatUE"):
        identifier = ThirdSubjectIdentifier(ThirdSubjectIdentifierType.VAT_UE, data.get("KodUE", "") + number)
    elif number := data.get("NrID"):
        identifier = ThirdSubjectIdentifier(ThirdSubjectIdentifierType.OTHER, number)
    else:
        identifier = ThirdSubjectIdentifier(ThirdSubjectIdentifierType.NONE)
    return ThirdSubject(identifier, _name(data), role=_number(_texts(party), "Rola"))


def _authorized(party: ET.Element) -> AuthorizedSubject:
    data = _identity(party)
    return AuthorizedSubject(data.get("NIP", ""), _name(data), role=_number(_texts(party), "RolaPU"))


def _identity(party: ET.Element | None) -> Mapping[str, str]:
    texts = _texts(None if party is None else party.find("{*}DaneIdentyfikacyjne"))
    # Most invoices of a company name the same parties.
    return {name: sys.intern(text) for name, text in texts.items()}


def _name(data: Mapping[str, str]) -> str | None:
    whole = data.get("Nazwa") or data.get("PelnaNazwa")
    parts = [part for part in (data.get("ImiePierwsze"), data.get("Nazwisko")) if part]
    return (whole or " ".join(parts) or "")[:512] or None


# --- UBL -----------------------------------------------------------------------------------------------------


def _read_ubl(root: ET.Element, form_code: FormCode) -> Facts:
    is_correction = form_code is FormCode.PEF_KOR3 or local_name(root) == "CreditNote"
    total = _texts(root.find("{*}LegalMonetaryTotal"))
    return Facts(
        seller_name=_ubl_name(root.find("{*}AccountingSupplierParty/{*}Party")),
        buyer=_ubl_buyer(root.find("{*}AccountingCustomerParty/{*}Party")),
        net_amount=_amount(total, "TaxExclusiveAmount"),
        gross_amount=_amount(total, "TaxInclusiveAmount"),
        vat_amount=_amount(_texts(root.find("{*}TaxTotal")), "TaxAmount"),
        currency=(_texts(root).get("DocumentCurrencyCode") or "PLN").upper()[:3],
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


def _texts(element: ET.Element | None) -> Mapping[str, str]:
    """Return the texts of an element's children by their names, in one pass: a search for each is many times slower."""
    texts: dict[str, str] = {}
    for child in () if element is None else element:
        texts.setdefault(local_name(child), (child.text or "").strip())
    return texts


def _amount(texts: Mapping[str, str], name: str) -> Decimal:
    try:
        amount = Decimal(texts.get(name) or _ZERO)
    except InvalidOperation:
        # Only a schema makes sure that it is a number.
        return _ZERO
    return amount if amount.is_finite() else _ZERO


def _sum(texts: Mapping[str, str], names: Iterable[str]) -> Decimal:
    return sum((_amount(texts, name) for name in names if name in texts), _ZERO)


def _number(texts: Mapping[str, str], name: str) -> int:
    text = texts.get(name) or "0"
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
