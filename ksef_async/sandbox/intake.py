"""The checks of an invoice, in KSeF's order: file, XML, schema, dates, permission, attachment.

Source: faktury/weryfikacja-faktury.md; the order is inferred from the codes [INF]. Duplicates are found by `World`,
which knows all invoices. Who may issue an invoice: the seller, and those who stand in a relation to the seller
(uprawnienia.md); KSeF publishes no table of these rules, so which fields of an invoice they look at is inferred [INF].
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Final

import attrs

from ..api.common import Context, ContextType
from ..api.limits import SessionLimits
from ..api.permission_grants import Authorization
from ..api.permissions import EntityRole
from ..api.sessions import FormCode, InvoiceStatusCode
from ..protocol.invoices import MAX_SIZE_WITH_ATTACHMENT, size_limit
from ..protocol.numbers import has_valid_check_digit, has_valid_internal_id
from ..protocol.polish_calendar import polish_day
from ..protocol.xml import ET, collapsed, local_name, parse_xml
from .facts import Facts, read_facts

__all__ = ["NO_RELATIONS", "CheckedInvoice", "Rejected", "Relations", "examine", "may_issue"]


# Who is named in the documents of FA, and by what.
_SUBJECTS: Final = ("Podmiot1", "Podmiot2", "Podmiot3", "PodmiotUpowazniony")
_IDENTIFIERS: Final = ("{*}DaneIdentyfikacyjne/{*}NIP", "{*}DaneIdentyfikacyjne/{*}IDWew")
# Where the Peppol documents (UBL) have what we need.
_UBL_SELLER: Final = "{*}AccountingSupplierParty/{*}Party/{*}PartyTaxScheme/{*}CompanyID"
_UBL_BUYER: Final = "{*}AccountingCustomerParty/{*}Party/{*}PartyTaxScheme/{*}CompanyID"
_UBL_NUMBER: Final = "{*}ID"
# Where each form has the seller's number, which has so many characters at most.
_NUMBERS: Final = {
    FormCode.FA2: "{*}Fa/{*}P_2",
    FormCode.FA3: "{*}Fa/{*}P_2",
    FormCode.FA_RR1: "{*}FakturaRR/{*}P_4C",
    FormCode.PEF3: _UBL_NUMBER,
    FormCode.PEF_KOR3: _UBL_NUMBER,
}
_LONGEST_NUMBER: Final = 256
# Control characters and non-characters that KSeF refuses; all but the first are beyond ASCII.
_DISCOURAGED: Final = frozenset(
    map(
        chr,
        (
            *range(0x7F, 0x85),
            *range(0x86, 0xA0),
            *range(0xFDD0, 0xFDF0),
            *(plane << 16 | low for plane in range(1, 17) for low in (0xFFFE, 0xFFFF)),
        ),
    )
)
# The rest of ASCII.
_HARMLESS: Final = bytes(range(0x7F))
# What production says of XML that TEST refuses; the words are inferred, KSeF writes them without Polish letters [INF].
_DISCOURAGED_XML: Final = "[xml-002]: Plik faktury zawiera niezalecane znaki Unicode lub instrukcje przetwarzania."
# A processing instruction, but not the XML declaration.
_INSTRUCTION: Final = re.compile(rb"<\?(?!xml[ \t\r\n]).*?\?>", re.DOTALL)
_ENCODING: Final = re.compile(rb"""^<\?xml[^>]*encoding\s*=\s*["']([^"']+)["']""")


@attrs.frozen(kw_only=True)
class Relations:
    """The relations of a context to other companies, at one moment."""

    authorizations: frozenset[tuple[str, str]] = frozenset()
    """Pairs of a company (NIP) and what that company has authorized it to do."""
    roles: frozenset[EntityRole] = frozenset()
    parents: frozenset[str] = frozenset()
    """The companies (NIP) above it."""


NO_RELATIONS: Final = Relations()
"""A company without relations to others."""


class Rejected(Exception):  # noqa: N818  # it is a verdict, not a failure of the sandbox
    """KSeF rejects an invoice."""

    def __init__(self, code: InvoiceStatusCode, *details: str, invoice_number: str | None = None) -> None:
        super().__init__(code, *details)
        self.code = code
        self.details = details
        self.invoice_number = invoice_number


@attrs.frozen(kw_only=True)
class CheckedInvoice:
    """An invoice that has passed the checks."""

    seller_nip: str
    invoice_number: str
    kind: str
    """VAT, KOR, ZAL, ...: part of what must be unique."""
    issued_on: date
    has_attachment: bool
    parties: tuple[str, ...]
    """NIPs and internal identifiers of all who are named in it."""
    facts: Facts
    """What lists and exports show of it."""
    warnings: tuple[str, ...] = ()
    """KSeF's warnings about an invoice that it takes all the same, each as ``[code]: text``."""


def examine(
    invoice: bytes,
    *,
    form_code: FormCode,
    context: Context,
    received_at: datetime,
    declared: tuple[int, bytes] | None,
    is_correction: bool,
    check_identifiers: bool,
    limits: SessionLimits,
    find_shape_problems: Callable[[bytes, ET.Element], tuple[str, ...]],
    relations: Relations = NO_RELATIONS,
    is_production: bool = False,
) -> CheckedInvoice:
    """Check an invoice and return what is needed of it.

    Args:
        invoice: The decrypted file.
        form_code: What the session takes.
        context: On whose behalf the session was opened.
        received_at: When it was sent.
        declared: Size and SHA-256 as the request said; None in a package, where nothing is said of each invoice.
        is_correction: Sent as a technical correction, which may have attachments.
        check_identifiers: Asked for by ``subject-identifier-validation``.
        limits: What the context is granted.
        find_shape_problems: Returns what is wrong with the shape of a document, in words.
        relations: What the context is to other companies.
        is_production: Take discouraged XML with a warning, as production does; TEST refuses it.

    Raises:
        Rejected: With the code and details of KSeF.
    """
    _check_file(invoice, declared, limits)
    root, warnings = _parse(invoice, is_production=is_production)
    if problems := find_shape_problems(invoice, root):
        raise Rejected(InvoiceStatusCode.INVALID_DOCUMENT, *problems, invoice_number=_likely_number(root, form_code))
    facts = read_facts(root, form_code)
    document = _read_ubl(root, facts) if form_code.form == "PEF" else _read(root, form_code, facts)
    number = document.invoice_number
    if document.issued_on > polish_day(received_at):
        raise Rejected(
            InvoiceStatusCode.INVALID_DOCUMENT,
            "Data wystawienia (P_1) nie może być późniejsza niż data przyjęcia faktury.",
            invoice_number=number,
        )
    if check_identifiers and (problems := _wrong_identifiers(root)):
        raise Rejected(InvoiceStatusCode.INVALID_DOCUMENT, *problems, invoice_number=number)
    if not may_issue(context, relations, root, document.seller_nip, form_code):
        raise Rejected(InvoiceStatusCode.NOT_PERMITTED, "Brak uprawnienia fakturowego", invoice_number=number)
    if document.has_attachment and not is_correction:
        raise Rejected(InvoiceStatusCode.ATTACHMENT_REFUSED, invoice_number=number)
    return attrs.evolve(document, warnings=warnings) if warnings else document


def _check_file(invoice: bytes, declared: tuple[int, bytes] | None, limits: SessionLimits) -> None:
    problem = None
    if declared and len(invoice) != declared[0]:
        problem = f"Rozmiar przesłanego pliku faktury nie zgadza się z zadeklarowaną wartością: {declared[0]}."
    elif declared and hashlib.sha256(invoice).digest() != declared[1]:
        problem = "Skrót przesłanego pliku faktury nie zgadza się z zadeklarowaną wartością."
    elif invoice.startswith(b"\xef\xbb\xbf"):
        problem = "Plik faktury zawiera znacznik BOM."
    elif len(invoice) > (limit := _size_limit(invoice, limits)):
        problem = f"Rozmiar pliku faktury przekracza dozwolony limit: {limit} bajtów."
    if problem:
        raise Rejected(InvoiceStatusCode.FILE_ERROR, problem)


def _size_limit(invoice: bytes, limits: SessionLimits) -> int:
    with_attachment = size_limit(invoice) == MAX_SIZE_WITH_ATTACHMENT
    # KSeF's megabyte.
    return 1_000_000 * (limits.max_invoice_with_attachment_size_mb if with_attachment else limits.max_invoice_size_mb)


def _parse(invoice: bytes, *, is_production: bool) -> tuple[ET.Element, tuple[str, ...]]:
    declared = _ENCODING.match(invoice)
    if declared and declared[1].lower() != b"utf-8":
        raise Rejected(InvoiceStatusCode.INVALID_DOCUMENT, "Nieprawidłowy XML", "Wymagane kodowanie to UTF-8.")
    bare = _INSTRUCTION.sub(b"", invoice) if is_production else invoice
    try:
        invoice.decode("utf-8")
        root = parse_xml(bare)
    except ValueError as error:
        raise Rejected(InvoiceStatusCode.INVALID_DOCUMENT, "Nieprawidłowy XML", _said(error)) from error
    # Most of an invoice is ASCII, which is cheap to leave out; a regular expression takes a hundred times as long.
    is_discouraged = bool(_DISCOURAGED & set(invoice.translate(None, _HARMLESS).decode("utf-8")))
    if is_discouraged and not is_production:
        raise Rejected(InvoiceStatusCode.INVALID_DOCUMENT, "Plik faktury zawiera niedozwolone znaki Unicode.")
    return root, (_DISCOURAGED_XML,) if is_discouraged or len(bare) != len(invoice) else ()


def _said(error: ValueError) -> str:
    """Return the parser's message, without Python's own words for a wrong encoding."""
    return "Wymagane kodowanie to UTF-8." if isinstance(error, UnicodeError) else str(error)


def _likely_number(root: ET.Element, form_code: FormCode) -> str | None:
    """Return the seller's number of a document of the wrong shape; None where nothing in it can be that."""
    number = collapsed(root.findtext(_NUMBERS[form_code]) or "")
    return number if 0 < len(number) <= _LONGEST_NUMBER else None


def _read(root: ET.Element, form_code: FormCode, facts: Facts) -> CheckedInvoice:
    form = root.find("{*}Naglowek/{*}KodFormularza")
    if local_name(root) != "Faktura" or form is None:
        raise Rejected(InvoiceStatusCode.INVALID_DOCUMENT, "The element 'Faktura' with 'KodFormularza' was expected.")
    for attribute, expected in (("kodSystemowy", form_code.system_code), ("wersjaSchemy", form_code.schema_version)):
        if form.get(attribute) != expected:
            raise Rejected(
                InvoiceStatusCode.INVALID_DOCUMENT,
                f"The value of the '{attribute}' attribute does not equal its fixed value.",
            )
    # FA_RR has other names for number and date of issue [INF]; FA has one of each only.
    body = "{*}FakturaRR" if form_code is FormCode.FA_RR1 else "{*}Fa"
    return CheckedInvoice(
        seller_nip=sys.intern(_required(root, "{*}Podmiot1/{*}DaneIdentyfikacyjne/{*}NIP")),
        invoice_number=_required(root, _NUMBERS[form_code]),
        kind=sys.intern(_required(root, f"{body}/{{*}}RodzajFaktury")),
        issued_on=_date(_required(root, f"{body}/{{*}}P_4B" if form_code is FormCode.FA_RR1 else f"{body}/{{*}}P_1")),
        has_attachment=root.find("{*}Zalacznik") is not None,
        parties=_named((party for party in root if local_name(party) in _SUBJECTS), _IDENTIFIERS),
        facts=facts,
    )


def _read_ubl(root: ET.Element, facts: Facts) -> CheckedInvoice:
    if local_name(root) not in ("Invoice", "CreditNote"):
        raise Rejected(InvoiceStatusCode.INVALID_DOCUMENT, "The element 'Invoice' or 'CreditNote' was expected.")
    return CheckedInvoice(
        seller_nip=_required(root, _UBL_SELLER).removeprefix("PL"),
        invoice_number=_required(root, _UBL_NUMBER),
        kind=local_name(root),
        issued_on=_date(_required(root, "{*}IssueDate")),
        has_attachment=False,
        parties=_named([root], (_UBL_SELLER, _UBL_BUYER)),
        facts=facts,
    )


def _named(parties: Iterable[ET.Element], paths: Sequence[str]) -> tuple[str, ...]:
    found = (element for party in parties for path in paths for element in party.iterfind(path))
    return tuple({sys.intern((element.text or "").strip().removeprefix("PL")) for element in found})


def _required(root: ET.Element, path: str) -> str:
    text = collapsed(root.findtext(path) or "")
    if not text:
        name = path.replace("{*}", "")
        raise Rejected(InvoiceStatusCode.INVALID_DOCUMENT, f"The element '{name}' is missing or empty.")
    return text


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Rejected(InvoiceStatusCode.INVALID_DOCUMENT, f"The string '{text}' is not a valid Date value.") from None


def _wrong_identifiers(root: ET.Element) -> tuple[str, ...]:
    found = [(subject, nip.text or "") for subject in _SUBJECTS for nip in root.iterfind(f"{{*}}{subject}//{{*}}NIP")]
    problems = [f"Niepoprawny NIP: {subject}." for subject, nip in found if not has_valid_check_digit(nip)]
    internal_ids = (element.text or "" for element in root.iterfind("{*}Podmiot3//{*}IDWew"))
    return (
        *problems,
        *(
            f"Identyfikator wewnętrzny podmiotu trzeciego: '{text}' jest nieprawidłowy."
            for text in internal_ids
            if not has_valid_internal_id(text)
        ),
    )


# --- who may issue an invoice ----------------------------------------------------------------------------------------

_ENFORCEMENT_AUTHORITY, _BAILIFF, _TAX_REPRESENTATIVE = "1", "2", "3"
"""The roles of an authorized party in the invoice (RolaPU)."""
# Third parties (Rola) that issue for the company above them: a unit of local government, a member of a VAT group.
_ISSUING_MEMBERS: Final = ("7", "9")
_IDENTITY: Final = "{*}DaneIdentyfikacyjne"


def may_issue(context: Context, relations: Relations, root: ET.Element, seller_nip: str, form_code: FormCode) -> bool:
    """Return whether an invoice may come from a context.

    Args:
        context: In which the session was opened.
        relations: What it is to other companies.
        root: The invoice.
        seller_nip: As the invoice has it.
        form_code: What the session takes.
    """

    def is_authorized(to_do: Authorization) -> bool:
        return (seller_nip, to_do.value) in relations.authorizations

    buyer = root.find(f"{{*}}Podmiot2/{_IDENTITY}")
    if context.type == ContextType.PEPPOL_ID:
        return form_code.form == "PEF" and is_authorized(Authorization.PEF_INVOICING)
    if context.type == ContextType.NIP_VAT_UE:
        nip, _, vat_ue = context.value.partition("-")
        return nip == seller_nip and _is_self_invoicing(root) and buyer is not None and _vat_ue(buyer) == vat_ue
    if context.type not in (ContextType.NIP, ContextType.INTERNAL_ID):
        return False
    nip = context.value[:10]
    buys = buyer is not None and buyer.findtext("{*}NIP") == nip
    if form_code is FormCode.FA_RR1:
        # The buyer issues the invoice of a flat-rate farmer, who has to let it.
        return buys and is_authorized(Authorization.RR_INVOICING)
    return (
        nip == seller_nip
        or (buys and _is_self_invoicing(root) and is_authorized(Authorization.SELF_INVOICING))
        or _is_represented(root, nip, relations, tax=is_authorized(Authorization.TAX_REPRESENTATIVE))
        or (seller_nip in relations.parents and _is_issuing_member(root, nip))
    )


def _is_self_invoicing(root: ET.Element) -> bool:
    return root.findtext("{*}Fa/{*}Adnotacje/{*}P_17") == "1"


def _vat_ue(party: ET.Element) -> str:
    return (party.findtext("{*}KodUE") or "") + (party.findtext("{*}NrVatUE") or "")


def _is_represented(root: ET.Element, nip: str, relations: Relations, *, tax: bool) -> bool:
    for party in root.iterfind("{*}PodmiotUpowazniony"):
        if party.findtext(f"{_IDENTITY}/{{*}}NIP") == nip:
            role = party.findtext("{*}RolaPU")
            if role == _TAX_REPRESENTATIVE:
                return tax
            if role == _ENFORCEMENT_AUTHORITY:
                return EntityRole.ENFORCEMENT_AUTHORITY in relations.roles
            return role == _BAILIFF and EntityRole.COURT_BAILIFF in relations.roles
    return False


def _is_issuing_member(root: ET.Element, nip: str) -> bool:
    return any(
        party.findtext(f"{_IDENTITY}/{{*}}NIP") == nip and party.findtext("{*}Rola") in _ISSUING_MEMBERS
        for party in root.iterfind("{*}Podmiot3")
    )
