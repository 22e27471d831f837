"""Who may issue an invoice: the seller, and those who stand in a relation to it. Source: uprawnienia.md.

KSeF publishes no table of these rules; which fields of an invoice they look at is inferred [INF].
"""

from __future__ import annotations

from typing import Final

import attrs

from ..models.common import Context, ContextType
from ..models.permission_rows import EntityRole
from ..models.permissions import Authorization
from ..models.sessions import FormCode
from ..protocol.xml import ET

__all__ = ["NO_RELATIONS", "Relations", "may_issue"]

#: What an authorized party is in the invoice (RolaPU).
_ENFORCEMENT_AUTHORITY, _BAILIFF, _TAX_REPRESENTATIVE = "1", "2", "3"
#: Third parties (Rola) that issue for the company above them: a unit of local government, a member of a VAT group.
_ISSUING_MEMBERS: Final = ("7", "9")
_IDENTITY: Final = "{*}DaneIdentyfikacyjne"


@attrs.frozen(kw_only=True)
class Relations:
    """What a context is to other companies, at one point in time."""

    #: By whom (NIP) it is authorized to do what.
    authorizations: frozenset[tuple[str, str]] = frozenset()
    roles: frozenset[EntityRole] = frozenset()
    #: The companies (NIP) above it.
    parents: frozenset[str] = frozenset()


#: Of a company that deals with nobody.
NO_RELATIONS: Final = Relations()


def may_issue(context: Context, relations: Relations, root: ET.Element, seller_nip: str, form_code: FormCode) -> bool:
    """Whether an invoice may come from a context.

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
