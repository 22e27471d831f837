"""What the page shows of the world: the clock, sessions and invoices, requests, the faults in force.

Nothing secret is shown: no token, key, certificate or link.
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice, takewhile
from typing import Any, Final, TypeVar

import attrs

from ...api.sessions import StatusCode
from ...api.table import OPERATIONS
from ...protocol.lifecycle import BATCH_SESSION, INVOICE, ONLINE_SESSION, Lifecycle
from ..faults import STORAGE, Fault, Faults
from ..memory import SeenRequest
from ..sessions import BatchSession
from ..timeline import Timeline
from ..world import Invoice, Session, World
from .presets import PRESETS
from .search import MOODS, InvoiceSearch

__all__ = ["CODES", "describe_invoice", "describe_request", "describe_session", "describe_world"]


CodeT = TypeVar("CodeT", bound=int | str)

_MOST_SESSIONS: Final = 40
_MOST_REQUESTS: Final = 120
_ROWS: Final = 50


def describe_world(world: World, faults: Faults, base_url: str, *, after: int = 0) -> dict[str, Any]:
    """Return what the page shows first: the clock, the newest sessions, the last requests, the faults.

    Args:
        world: What is described.
        faults: Those of the same sandbox.
        base_url: Where clients reach it.
        after: Only requests with greater numbers: the page has the others.
    """
    now = world.clock.now()
    return {
        "now": now,
        "isTicking": world.clock.is_ticking,
        "baseUrl": base_url,
        "companies": sorted({token.context.value for token in world.tokens.values()}),
        "sessionCount": len(world.sessions),
        "sessions": [_session(one, now) for one in islice(reversed(world.sessions.values()), _MOST_SESSIONS)],
        "requestCount": world.recent.request_count,
        "requests": [
            _request(one)
            for one in takewhile(
                lambda one: one.number > after, islice(reversed(world.recent.requests), _MOST_REQUESTS)
            )
        ],
        "faults": {
            "planned": [
                {"operation": one.operation, "kind": _kind(one.fault), "times": one.times, "chance": one.probability}
                for one in faults.planned
            ],
            "happened": faults.happened,
            "presets": [*PRESETS],
            "operations": [*(operation.name for operation in OPERATIONS), *sorted(STORAGE)],
        },
    }


def _kind(fault: Fault) -> str:
    return f"{fault.kind} {fault.status}" if fault.status else fault.kind


# --- requests --------------------------------------------------------------------------------------------------------


def describe_request(world: World, number: int) -> dict[str, Any] | None:
    """Return a request with its bodies; None where it is not remembered."""
    found = next((one for one in world.recent.requests if one.number == number), None)
    if found is None:
        return None
    bodies = {"asked": found.asked, "answered": found.answered}
    return _request(found) | {name: body and attrs.asdict(body) for name, body in bodies.items()}


def _request(seen: SeenRequest) -> dict[str, Any]:
    return attrs.asdict(seen, filter=lambda field, _: field.name not in ("asked", "answered"))


# --- sessions --------------------------------------------------------------------------------------------------------


def describe_session(
    world: World,
    session: Session,
    search: InvoiceSearch | None = None,
    *,
    query: str = "",
    mood: str = "",
    page: int = 1,
) -> dict[str, Any]:
    """Return one session: its timeline, and a page of its invoices, the newest first.

    Args:
        world: What it belongs to.
        session: The session.
        search: What has looked for the same before, perhaps.
        query: As for `InvoiceSearch.find`.
        mood: Likewise.
        page: Which page, from 1; the last one where there are fewer.
    """
    now = world.clock.now()
    told = _session(session, now)
    if query or mood:
        matches = (search or InvoiceSearch()).find(session, now, query, mood)
        found, count = iter(matches), len(matches)
    else:
        found, count = reversed(session.invoices.values()), told["invoiceCount"]
    pages = max(1, -(-count // _ROWS))
    start = (min(page, pages) - 1) * _ROWS
    shown = islice(found, start, min(start + _ROWS, count))
    return {
        **told,
        "details": session.status_at(now).details,
        "timeline": _timeline(session.lifecycle, session.timeline, now),
        "found": {"count": count, "page": min(page, pages), "pages": pages, "first": start + 1},
        "invoices": [_invoice(invoice, now) for invoice in shown],
    }


def _session(session: Session, now: datetime) -> dict[str, Any]:
    count, accepted, rejected = session.counts_at(now)
    return {
        "referenceNumber": session.reference_number,
        "context": session.context.value,
        "kind": session.kind.value,
        "form": session.form_code.system_code,
        "openedAt": session.opened_at,
        "state": _state(session.lifecycle, session.code_at(now)),
        "waits": _waits(session, now, count - accepted - rejected),
        "invoiceCount": count,
        "acceptedCount": accepted,
        "rejectedCount": rejected,
    }


def _waits(session: Session, now: datetime, undecided: int) -> dict[str, Any] | None:
    """Return what a session waits for, how many of it, and until when; None where it has ended."""
    if session.timeline.is_terminal_at(now):
        return None
    is_open = session.code_at(now) == StatusCode.OPENED
    if not is_open and session.is_stuck:
        return {"for": "nothing", "count": 0, "until": None}
    if not isinstance(session, BatchSession):
        return {
            "for": "invoices" if is_open else "verdicts" if undecided else "end",
            "count": undecided,
            "until": session.expires_at if is_open else session.timeline.last.at,
        }
    missing = sum(part.stored_size is None for part in session.parts.values())
    if is_open:
        until = session.upload_until if missing else session.expires_at
        return {"for": "parts" if missing else "close", "count": missing, "until": until}
    return {"for": "package", "count": 0, "until": session.result and session.timeline.last.at}


# --- invoices --------------------------------------------------------------------------------------------------------


def describe_invoice(world: World, invoice: Invoice) -> dict[str, Any]:
    """Return one invoice: its timeline, KSeF's details and its hash."""
    now = world.clock.now()
    mode = invoice.verdict.mode
    return {
        **_invoice(invoice, now),
        "hash": invoice.invoice_hash.hex(),
        "details": invoice.status_at(now).details,
        "mode": mode.value if mode is not None and invoice.timeline.is_success_at(now) else None,
        "timeline": _timeline(INVOICE, invoice.timeline, now),
    }


def _invoice(invoice: Invoice, now: datetime) -> dict[str, Any]:
    final = invoice.timeline.is_terminal_at(now)
    return {
        "referenceNumber": invoice.reference_number,
        "ordinal": invoice.ordinal_number,
        "number": invoice.verdict.invoice_number if final else None,
        "ksefNumber": invoice.verdict.ksef_number if invoice.timeline.is_success_at(now) else None,
        "receivedAt": invoice.received_at,
        "state": _state(INVOICE, invoice.timeline.code_at(now)),
    }


# --- states ----------------------------------------------------------------------------------------------------------


def _timeline(lifecycle: Lifecycle[CodeT], timeline: Timeline[CodeT], now: datetime) -> list[dict[str, Any]]:
    return [{"at": step.at, **_state(lifecycle, step.code)} for step in timeline.history(now)]


def _state(lifecycle: Lifecycle[CodeT], code: CodeT) -> dict[str, Any]:
    return {"code": code, "description": lifecycle.states[code].description, "mood": MOODS[lifecycle.phase(code)]}


CODES: Final = {
    "invoice": [_state(INVOICE, code) for code in INVOICE.states],
    "online": [_state(ONLINE_SESSION, code) for code in ONLINE_SESSION.states],
    "batch": [_state(BATCH_SESSION, code) for code in BATCH_SESSION.states],
}
"""Every state that sessions and invoices can have, for the page's list of codes."""
