"""The storage behind signed links: no token, no rate limit, errors as XML. Source: protocol, UPO and storage links."""

from __future__ import annotations

import hashlib
import io
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import anyio
import anyio.to_thread
from aiohttp import web

from .clock import seconds
from .exports import ExportPart
from .faults import DOWNLOAD_PART, DOWNLOAD_UPO, Fault, Faults
from .redacting import ShownBody, show_answer
from .refusals import Refusal, StorageRefusal
from .upo import invoice_upo, session_upo_pages
from .world import Invoice, Session, World, new_reference_number

__all__ = ["add_storage", "export_part_link", "invoice_receipt", "invoice_upo_link", "session_upo_link", "upo_pages"]

_PATH: Final = re.compile(r"/storage/01/(?P<session>[^/]+)/(?P<kind>session|invoice)-upo/upo_(?P<which>[^/]+)\.xml")
_PART: Final = re.compile(r"/storage/\d\d/(?P<export>[^/]+)/invoice-(?:part|package)/(?P<name>[^/]+)")
# Bytes read and sent at once.
_PIECE: Final = 2**20


def session_upo_link(world: World, session: Session, number: int, now: datetime) -> tuple[str, datetime]:
    """Return a signed link to a page (from 0) of a session's UPO, and until when it works."""
    return _link(world, f"{session.reference_number.lower()}/session-upo/upo_{number:02}.xml", now)


def invoice_upo_link(world: World, session: Session, invoice: Invoice, now: datetime) -> tuple[str, datetime]:
    """Return a signed link to an accepted invoice's UPO, and until when it works."""
    name = invoice.verdict.ksef_number
    return _link(world, f"{session.reference_number.lower()}/invoice-upo/upo_{name}.xml", now)


def export_part_link(world: World, reference_number: str, name: str, now: datetime) -> tuple[str, datetime]:
    """Return a signed link to an encrypted part of a package, and until when it works."""
    path = f"{world.exports.folder.format(reference=reference_number.lower())}/{name}"
    signed, end = world.ministry.sign_link(path, now, seconds(world.timings.part_link_lifetime))
    return world.public_url + signed, end


def _link(world: World, path: str, now: datetime) -> tuple[str, datetime]:
    signed, end = world.ministry.sign_link(f"/storage/01/{path}", now, seconds(world.timings.link_lifetime))
    return world.public_url + signed, end


async def upo_pages(session: Session, now: datetime) -> tuple[tuple[str, bytes], ...]:
    """Return the reference number and document of each page; they are made once."""
    if not session.upo_pages:
        pages = await anyio.to_thread.run_sync(session_upo_pages, session)
        if not session.upo_pages:
            session.upo_pages = tuple((new_reference_number("EU", now), page) for page in pages)
    return session.upo_pages


async def invoice_receipt(session: Session, invoice: Invoice) -> bytes:
    """Return the UPO of an accepted invoice; made once."""
    if not invoice.upo:
        made = await anyio.to_thread.run_sync(invoice_upo, session, invoice)
        if not invoice.upo:  # nobody else has asked meanwhile
            invoice.upo = made
    return invoice.upo


def add_storage(app: web.Application, world: World, faults: Faults) -> None:
    """Add the routes of signed links."""
    app.router.add_get("/storage/{path:.*}", _reader(world, faults))


def _reader(world: World, faults: Faults) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def read(request: web.Request) -> web.StreamResponse:
        now = world.clock.now()
        match = _PART.fullmatch(request.path)
        fault = faults.next_for(DOWNLOAD_PART if match else DOWNLOAD_UPO)
        try:
            if fault is not None and fault.after_effect:
                await anyio.sleep(fault.seconds)
            if fault is not None and (instead := fault.response(request, now)) is not None:
                return _noted(world, request, now, instead, fault)
            if "Authorization" in request.headers:
                raise StorageRefusal(400, "InvalidAuthenticationInfo", "A signed link takes no Authorization header.")
            if not world.ministry.is_signed(request.path, request.query, now):
                raise StorageRefusal(403, "AuthenticationFailed", "The signature is wrong or has expired.")
        except Refusal as refusal:
            response = refusal.response(instance=request.path, now=now, problem_details=False)
            return _noted(world, request, now, response, fault, str(refusal))
        change = None if fault is None else fault.altered
        if match:
            part = _part(world, match["export"].upper(), match["name"])
            digest = b64encode(part.encrypted_sha256).decode("ascii")
            content_type = "application/octet-stream"
            if change is None:
                _note(world, request, now, 200, ShownBody(part.encrypted_size, "hidden"))
                return await _send_part(request, part, {"x-ms-meta-hash": digest, "Content-Type": content_type})
            body = await anyio.Path(part.path).read_bytes()
        else:
            body = await _document(world, request.path, now)
            digest = b64encode(hashlib.sha256(body).digest()).decode("ascii")
            content_type = "application/xml"
        answer = web.Response(body=body, content_type=content_type, headers={"x-ms-meta-hash": digest})
        return _noted(world, request, now, answer if change is None else change(answer), fault)

    return read


def _part(world: World, reference_number: str, name: str) -> ExportPart:
    part = world.exports.part(reference_number, name)
    if part is None:
        raise LookupError(f"a signed link to {name}, which was never made")
    return part


async def _send_part(request: web.Request, part: ExportPart, headers: dict[str, str]) -> web.StreamResponse:
    async with await anyio.open_file(part.path, "rb") as file:
        response = web.StreamResponse(headers=headers)
        response.content_length = await file.seek(0, io.SEEK_END)
        await file.seek(0)
        await response.prepare(request)
        while piece := await file.read(_PIECE):
            await response.write(piece)
    await response.write_eof()
    return response


def _noted(
    world: World,
    request: web.Request,
    now: datetime,
    answer: web.Response,
    fault: Fault | None,
    refusal: str | None = None,
) -> web.Response:
    """Return an answer, remembered for the sandbox's page."""
    is_dropped = fault is not None and fault.kind == "drop"
    body = None if is_dropped else show_answer(answer)
    _note(world, request, now, 0 if is_dropped else answer.status, body, fault, refusal)
    return answer


def _note(
    world: World,
    request: web.Request,
    now: datetime,
    status: int,
    body: ShownBody | None,
    fault: Fault | None = None,
    refusal: str | None = None,
) -> None:
    # Without the query: a link's signature is as good as a password.
    world.recent.saw(
        "storage",
        request.method,
        request.path,
        at=now,
        status=status,
        seconds=0.0,
        fault=None if fault is None else fault.kind,
        refusal=refusal,
        answered=body,
    )


async def _document(world: World, path: str, now: datetime) -> bytes:
    # The signature proves that the path was ours, and what it leads to is never removed.
    match = _PATH.fullmatch(path)
    if match is None:
        raise LookupError(f"a signed link to {path}, which leads nowhere")
    session = world.sessions[match["session"].upper()]
    if match["kind"] == "session":
        return (await upo_pages(session, now))[int(match["which"])][1]
    number = match["which"]
    found = next(invoice for invoice in session.invoices.values() if invoice.verdict.ksef_number == number)
    return await invoice_receipt(session, found)
