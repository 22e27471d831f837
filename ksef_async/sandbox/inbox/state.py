"""What the page shows of the world, and the faults it offers; a program has all of them, see `faults`.

Nothing secret is shown: no token, key or link.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, TypeVar

import attrs

from ...api.table import OPERATIONS
from ...protocol.error_codes import ErrorCode
from ...protocol.lifecycle import INVOICE, Lifecycle, Phase
from ..faults import STORAGE, Fault, Faults
from ..timeline import Timeline
from ..world import Invoice, Session, World

__all__ = ["PRESETS", "Preset", "describe_invoice", "describe_session", "describe_world"]


CodeT = TypeVar("CodeT", bound=int | str)


# --- faults ----------------------------------------------------------------------------------------------------------

_HOUR: Final = timedelta(hours=1)


@attrs.frozen
class Preset:
    """A fault with a label for people."""

    label: str
    make: Callable[[], Fault]


PRESETS: Final[Mapping[str, Preset]] = {
    "drop_before": Preset("Connection lost, KSeF saw nothing", Fault.drop_before),
    "drop_after": Preset("Connection lost after KSeF acted", Fault.drop_after),
    "slow": Preset("Answer takes 5 s", lambda: Fault.wait(5)),
    "server_error": Preset("500 from KSeF", Fault.server_error),
    "server_error_after": Preset("500 although KSeF acted", lambda: Fault.server_error(after_effect=True)),
    "other_success": Preset("200 whatever success should be", lambda: Fault.answer_becomes(200)),
    "bad_gateway": Preset("502 page of a gateway", lambda: Fault.html(502)),
    "maintenance": Preset("503 page, maintenance", lambda: Fault.html(503)),
    "firewall": Preset("200 page of a firewall", lambda: Fault.html(200)),
    "firewall_refuses": Preset("403 page of a firewall", lambda: Fault.html(403)),
    "unauthorized": Preset("401 without a body", Fault.empty),
    "forbidden": Preset("403 without a reason", Fault.forbidden),
    "too_many_requests": Preset("429, retry after 5 s", lambda: Fault.too_many_requests(5)),
    "unavailable": Preset("400, code 21184: unavailable", lambda: Fault.refuse(ErrorCode(21184))),
    "out_of_step": Preset("400, code 21301: login not known yet", lambda: Fault.refuse(ErrorCode(21301))),
    "link_refused": Preset("Storage refuses the link (403)", Fault.link_refused),
    "wrong_key": Preset("Session's key cannot be read (415)", Fault.wrong_key),
    "session_dies": Preset("Session ends after this invoice (415)", Fault.session_dies),
    "batch_key": Preset("Batch session ends with 415", lambda: Fault.session_ends(415)),
    "batch_archive": Preset("Batch session ends with 430", lambda: Fault.session_ends(430)),
    "batch_cancelled": Preset("Batch session ends with 440", lambda: Fault.session_ends(440)),
    "batch_unknown_error": Preset("Batch session ends with 500", lambda: Fault.session_ends(500)),
    "stuck": Preset("Session, invoice or export stays in progress", Fault.stuck),
    "invoice_decryption": Preset("Invoice ends with 435", lambda: Fault.invoice_ends(435)),
    "invoice_unknown_error": Preset("Invoice ends with 500", lambda: Fault.invoice_ends(500)),
    "invoice_cancelled": Preset("Invoice ends with 550", lambda: Fault.invoice_ends(550)),
    "indexed_late": Preset("Invoice is found 10 minutes late", lambda: Fault.indexed_late(600)),
    "export_unknown_error": Preset("Export ends with 500", lambda: Fault.export_ends(500)),
    "mark_beyond": Preset("Export answers a mark an hour ahead", lambda: Fault.mark_becomes(lambda mark: mark + _HOUR)),
}


# --- the world -------------------------------------------------------------------------------------------------------

_MOST_SESSIONS: Final = 40
_MOST_REQUESTS: Final = 120
_MOST_INVOICES: Final = 300


def describe_world(world: World, faults: Faults, base_url: str) -> dict[str, Any]:
    """Return what the page shows first: the clock, the newest sessions, the last requests, the faults."""
    now = world.clock.now()
    return {
        "now": now,
        "isTicking": world.clock.is_ticking,
        "baseUrl": base_url,
        "companies": sorted({token.context.value for token in world.tokens.values()}),
        "sessionCount": len(world.sessions),
        "sessions": [_session(one, now) for one in islice(reversed(world.sessions.values()), _MOST_SESSIONS)],
        "requestCount": world.recent.request_count,
        "requests": [attrs.asdict(one) for one in islice(reversed(world.recent.requests), _MOST_REQUESTS)],
        "faults": {
            "planned": [
                {"operation": one.operation, "kind": _kind(one.fault), "times": one.times, "chance": one.probability}
                for one in faults.planned
            ],
            "happened": faults.happened,
            "presets": [{"id": name, "label": preset.label} for name, preset in PRESETS.items()],
            "operations": [*(operation.name for operation in OPERATIONS), *sorted(STORAGE)],
        },
    }


def _kind(fault: Fault) -> str:
    return f"{fault.kind} {fault.status}" if fault.status else fault.kind


def describe_session(world: World, session: Session) -> dict[str, Any]:
    """Return one session: its timeline and its newest invoices."""
    now = world.clock.now()
    newest = islice(reversed(session.invoices_at(now)), _MOST_INVOICES)
    return {
        **_session(session, now),
        "validUntil": session.valid_until,
        "details": session.status_at(now).details,
        "timeline": _timeline(session.lifecycle, session.timeline, now),
        "upoPages": len(session.upo_pages),
        "invoices": [_invoice(invoice, now) for invoice in newest],
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
        "invoiceCount": count,
        "acceptedCount": accepted,
        "rejectedCount": rejected,
    }


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
        "isReadable": invoice.stored is not None,
    }


def _timeline(lifecycle: Lifecycle[CodeT], timeline: Timeline[CodeT], now: datetime) -> list[dict[str, Any]]:
    return [{"at": step.at, **_state(lifecycle, step.code)} for step in timeline.history(now)]


def _state(lifecycle: Lifecycle[CodeT], code: CodeT) -> dict[str, Any]:
    mood = {Phase.IN_PROGRESS: "progress", Phase.SUCCESS: "success", Phase.FAILURE: "failure"}[lifecycle.phase(code)]
    return {"code": code, "description": lifecycle.states[code].description, "mood": mood}
