"""The pages that verification codes lead to: KOD I to the invoice, KOD II to whoever issued it offline.

A page for people, or JSON for who asks for it (``Accept: application/json``). What is checked of a certificate besides
its signature, and that a technical correction stands in for the refused invoice, is inferred [INF]. Source: kody-qr.md.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from html import escape
from typing import Final

import attrs
from aiohttp import web

from ..api.certificates import CertificateStatus, CertificateType
from ..api.common import Context, ContextType, SubjectIdentifier
from ..crypto.link_signatures import is_link_signature
from ..protocol import json
from .repository import ArchivedInvoice
from .subjects import Subject
from .world import World

__all__ = ["add_verification_pages"]

_INVOICE: Final = re.compile(
    r"/invoice/(?P<nip>[0-9]{10})/(?P<date>[0-9]{2}-[0-9]{2}-[0-9]{4})/(?P<sha256>[\w-]{43})", re.ASCII
)
_CERTIFICATE: Final = re.compile(
    r"(?P<signed>/certificate/(?P<type>Nip|InternalId|NipVatUe|PeppolId)/(?P<value>[A-Za-z0-9+*-]{1,64})"
    r"/(?P<nip>[0-9]{10})/(?P<serial>[0-9A-F]{16})/(?P<sha256>[\w-]{43}))/(?P<signature>[\w-]{1,2000})",
    re.ASCII,
)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@attrs.frozen
class _Page:
    status: int
    title: str
    """For people."""
    facts: Mapping[str, object]
    """By their names in JSON."""


def add_verification_pages(app: web.Application, world: World) -> None:
    """Add the routes of both kinds of link."""
    app.router.add_get("/invoice/{rest:.*}", _answer(world, _invoice_page))
    app.router.add_get("/certificate/{rest:.*}", _answer(world, _certificate_page))


def _answer(
    world: World, make: Callable[[World, web.Request, datetime], _Page]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        page = make(world, request, world.clock.now())
        if "application/json" in request.headers.get("Accept", ""):
            body = json.dumps(page.facts)
            return web.Response(status=page.status, body=body, content_type="application/json", headers=_HEADERS)
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in page.facts.items())
        html = (
            f'<!DOCTYPE html><html lang="pl"><head><meta charset="utf-8"><title>{escape(page.title)}</title></head>'
            f"<body><p>SYMULATOR - bez skutków prawnych</p><h1>{escape(page.title)}</h1><dl>{rows}</dl></body></html>"
        )
        return web.Response(status=page.status, text=html, content_type="text/html", headers=_HEADERS)

    return answer


# --- KOD I ----------------------------------------------------------------------------------------------------


def _invoice_page(world: World, request: web.Request, now: datetime) -> _Page:
    match = _INVOICE.fullmatch(request.path)
    issued_on = None if match is None else _date(match["date"])
    digest = None if match is None else _decode(match["sha256"])
    if match is None or issued_on is None or digest is None:
        return _Page(400, "To nie jest link weryfikacyjny faktury", {"found": False})
    invoice = _find(world, match["nip"], digest, now)
    if invoice is None or invoice.metadata.issue_date != issued_on:
        return _Page(404, "Nie ma takiej faktury w KSeF", {"found": False})
    told = invoice.metadata
    is_corrected = told.invoice_hash != digest
    facts = {
        "found": True,
        "ksefNumber": told.ksef_number,
        "invoiceNumber": told.invoice_number,
        "issueDate": str(issued_on),
        "invoicingMode": told.invoicing_mode,
        "technicallyCorrected": is_corrected,
    }
    return _Page(200, "Faktura jest w KSeF po korekcie technicznej" if is_corrected else "Faktura jest w KSeF", facts)


def _find(world: World, seller_nip: str, digest: bytes, now: datetime) -> ArchivedInvoice | None:
    """Return the invoice of this hash; or the technical correction of the one that was refused."""
    known = [
        each
        for each in world.repository
        if each.metadata.acquisition_date is not None
        and each.metadata.acquisition_date <= now
        and each.metadata.seller is not None
        and each.metadata.seller.nip == seller_nip
    ]
    exact = (each for each in known if each.metadata.invoice_hash == digest)
    corrections = (each for each in known if each.metadata.hash_of_corrected_invoice == digest)
    return next(exact, None) or next(corrections, None)


# --- KOD II ---------------------------------------------------------------------------------------------------


def _certificate_page(world: World, request: web.Request, now: datetime) -> _Page:
    match = _CERTIFICATE.fullmatch(request.path)
    digest = None if match is None else _decode(match["sha256"])
    signature = None if match is None else _decode(match["signature"])
    if match is None or digest is None or signature is None:
        return _Page(400, "To nie jest link weryfikacyjny certyfikatu", {"valid": False, "problems": ["malformed"]})
    problems = []
    issued = world.authority.issued.get(match["serial"])
    if issued is None or now < issued.issued_at:
        problems.append("unknown-certificate")
    else:
        if issued.type is not CertificateType.OFFLINE:
            problems.append("not-of-type-offline")
        if now < issued.valid_from:
            problems.append("not-valid-yet")
        elif (status := issued.status_at(now)) is not CertificateStatus.ACTIVE:
            problems.append(status.value.lower())
        key = issued.certificate.public_key
        signed = (f"{host}{match['signed']}".encode() for host in _hosts(world, request))
        if not any(is_link_signature(signature, key, text) for text in signed):
            problems.append("wrong-signature")
        if not _may_issue(world, issued.owner, Context(ContextType(match["type"]), match["value"]), now):
            problems.append("no-permission")
    facts = {
        "valid": not problems,
        "problems": problems,
        "owner": None if issued is None or problems else str(issued.owner),
        "invoiceFound": _find(world, match["nip"], digest, now) is not None,
    }
    title = "Wystawca nie jest potwierdzony" if problems else "Certyfikat potwierdza wystawcę"
    return _Page(200, title, facts)


def _hosts(world: World, request: web.Request) -> set[str]:
    """Return the addresses of the page, one of which begins what is signed."""
    return {request.headers.get("Host", ""), world.public_url.partition("://")[2]}


def _may_issue(world: World, owner: SubjectIdentifier, context: Context, now: datetime) -> bool:
    held = world.grants.permissions(Subject(owner.type.value, owner.value), context, now)
    return not {"InvoiceWrite", "PefInvoiceWrite"}.isdisjoint(held)


# --- reading --------------------------------------------------------------------------------------------------


def _date(text: str) -> date | None:
    day, month, year = map(int, text.split("-"))
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _decode(text: str) -> bytes | None:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
