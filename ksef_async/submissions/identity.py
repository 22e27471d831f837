"""What an invoice is known by in KSeF: seller, kind and number, read from the document itself.

Source: faktury/weryfikacja-faktury.md (uniqueness); the names in FA_RR and Peppol documents are inferred [INF].
"""

from __future__ import annotations

from typing import Final, TypeAlias
from xml.etree.ElementTree import Element

from ..api.sessions import FormCode
from ..errors import LocalProtocolError
from ..protocol.xml import collapsed, local_name, parse_xml
from .models import Identity

__all__ = ["read_identity"]

_Path: TypeAlias = tuple[str, ...]

# Characters of what the journal stores; KSeF takes fewer.
_LONGEST: Final = 32
_LONGEST_NUMBER: Final = 512

_FORM: Final = ("Naglowek", "KodFormularza")
_SELLER: Final = ("Podmiot1", "DaneIdentyfikacyjne", "NIP")
_UBL_SELLER: Final = ("AccountingSupplierParty", "Party", "PartyTaxScheme", "CompanyID")
_UBL_FORMS: Final = {"Invoice": FormCode.PEF3, "CreditNote": FormCode.PEF_KOR3}


def read_identity(xml: bytes) -> Identity:
    """Seller, kind, number and form of an invoice.

    Raises:
        LocalProtocolError: It is not well-formed, has a DTD, is of no form KSeF takes, or one of them is missing.
    """
    try:
        root = parse_xml(xml)
    except ValueError as error:
        raise LocalProtocolError(f"The invoice cannot be read: {error}.") from error
    if (form := _UBL_FORMS.get(local_name(root))) is not None:
        seller = _required(root, _UBL_SELLER).removeprefix("PL")
        return Identity(
            seller_nip=seller, kind=local_name(root), number=_required(root, ("ID",), _LONGEST_NUMBER), form_code=form
        )
    header = _find(root, _FORM)
    system_code = header.get("kodSystemowy") if header is not None else None
    try:
        form = FormCode(system_code)
    except ValueError:
        known = ", ".join(code.system_code for code in FormCode)
        raise LocalProtocolError(f"The document's form is {system_code}; KSeF takes {known}.") from None
    body, number = ("FakturaRR", "P_4C") if form is FormCode.FA_RR1 else ("Fa", "P_2")
    return Identity(
        seller_nip=_required(root, _SELLER),
        kind=_required(root, (body, "RodzajFaktury")),
        number=_required(root, (body, number), _LONGEST_NUMBER),
        form_code=form,
    )


def _required(root: Element, path: _Path, longest: int = _LONGEST) -> str:
    found = _find(root, path)
    text = collapsed((found.text if found is not None else None) or "")
    if not text:
        raise LocalProtocolError(f"The invoice has no {'/'.join(path)}.")
    if len(text) > longest:
        raise LocalProtocolError(f"{'/'.join(path)} has {len(text):,} characters, more than any invoice may have.")
    return text


def _find(element: Element, path: _Path) -> Element | None:
    """The first element at ``path``, whatever the namespaces."""
    for place, name in enumerate(path):
        namespace, brace, _ = element.tag.rpartition("}")
        found = element.find(f"{namespace}{brace}{name}")
        if found is None:
            # UBL has other namespaces inside than outside. Wildcards take more time.
            return element.find("/".join(f"{{*}}{step}" for step in path[place:]))
        element = found
    return element
