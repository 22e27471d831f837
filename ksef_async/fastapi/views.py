"""What the router tells: one submission as JSON, and its transitions as an event stream (SSE)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Any, Final

import anyio
from fastapi import Response
from pydantic import BaseModel, ConfigDict, JsonValue
from starlette.types import Receive, Scope, Send

from ..protocol.offline import OfflineMode
from ..submissions import IssuedInvoice, Submission, SubmissionState

__all__ = ["EXAMPLE_OF_EVENTS", "EventStream", "IssuedView", "SubmissionView", "event_id"]


_EXAMPLE: Final[dict[str, JsonValue]] = {
    "id": 7,
    "key": "order 7",
    "nip": "5265877635",
    "number": "FV/7",
    "kind": "VAT",
    "state": "accepted",
    "ksef_number": "5265877635-20261124-0100001AF629-2C",
    "session_reference_number": "20261124-SO-2B3C4D5E6F-A1B2C3D4E5-2C",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "has_upo": False,
    "reason_code": None,
    "reason": None,
    "offline": None,
    "due_by": None,
    "certificate_link": None,
    "invoicing_mode": "Online",
    "submitted_at": "2026-11-24T10:00:00Z",
    "updated_at": "2026-11-24T10:00:02Z",
}
EXAMPLE_OF_EVENTS: Final = f"id: 7-accepted-0\nevent: transition\ndata: {json.dumps(_EXAMPLE)}\n\n"
"""One event of a stream, for OpenAPI."""


class SubmissionView(BaseModel):
    """A submission, as the router tells it."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"examples": [_EXAMPLE]})

    id: int
    """Its number in the journal."""
    key: str | None
    """The key it was submitted with."""
    nip: str
    """The company that sends it."""
    number: str
    """The seller's number (P_2)."""
    kind: str
    """The kind of invoice."""
    state: SubmissionState
    """How far it is."""
    ksef_number: str | None
    """The invoice's number in KSeF; null until it is accepted."""
    session_reference_number: str | None
    """The session it was sent in; null before."""
    sha256: str
    """SHA-256 of the document, in hexadecimal."""
    has_upo: bool
    """Whether its receipt can be fetched."""
    reason_code: int | None
    """Why it was rejected: KSeF's number."""
    reason: str | None
    """Why it was rejected, in KSeF's own words, in Polish."""
    offline: OfflineMode | None
    """The mode in which it was issued offline; null for one issued online."""
    due_by: datetime | None
    """When it is too late for an invoice issued offline to reach KSeF."""
    certificate_link: str | None
    """The link of KOD II."""
    invoicing_mode: str | None
    """``Online`` or ``Offline``, as KSeF decided when it accepted it."""
    is_late: bool
    """Whether it was issued online and not sent before the midnight that ended its date, so that it needs KOD II."""
    submitted_at: datetime
    """When it was submitted."""
    updated_at: datetime
    """When it last changed."""

    @classmethod
    def of(cls, submission: Submission) -> SubmissionView:
        """Return the view of ``submission``."""
        reason = submission.reason
        return cls(
            id=submission.id,
            key=submission.key,
            nip=submission.nip,
            number=submission.identity.number,
            kind=submission.identity.kind,
            state=submission.state,
            ksef_number=submission.ksef_number,
            session_reference_number=submission.session_reference_number,
            sha256=submission.invoice_hash.hex(),
            has_upo=submission.has_upo,
            reason_code=None if reason is None else reason.code,
            reason=None if reason is None else reason.text,
            offline=submission.offline,
            due_by=submission.due_by,
            certificate_link=submission.certificate_link,
            invoicing_mode=None if submission.invoicing_mode is None else submission.invoicing_mode.value,
            is_late=submission.is_late,
            submitted_at=submission.submitted_at,
            updated_at=submission.updated_at,
        )


class IssuedView(BaseModel):
    """An invoice that can be handed to the customer, as the router tells it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    is_offline: bool
    """Whether it is handed out as an offline invoice, without a KSeF number."""
    ksef_number: str | None
    """The invoice's number in KSeF; null for an offline invoice."""
    verification_link: str
    """The link of KOD I; below its code stands the KSeF number, or ``OFFLINE``."""
    certificate_link: str | None
    """The link of KOD II, for an offline invoice."""
    due_by: datetime | None
    """When it is too late for an offline invoice to reach KSeF."""
    submission: SubmissionView
    """The invoice in the journal, by which it is delivered and followed."""

    @classmethod
    def of(cls, issued: IssuedInvoice) -> IssuedView:
        """Return the view of ``issued``."""
        return cls(
            is_offline=issued.is_offline,
            ksef_number=issued.ksef_number,
            verification_link=issued.verification_link,
            certificate_link=issued.certificate_link,
            due_by=issued.due_by,
            submission=SubmissionView.of(issued.submission),
        )


# Seconds between comments in an event stream, so that proxies keep it open.
_PING: Final = 15.0


def event_id(submission: Submission) -> str:
    """Of the event that tells of ``submission`` as it is now."""
    return f"{submission.id}-{submission.state.value}-{int(submission.has_upo)}"


class EventStream(Response):
    """Server-sent events; all its tasks live within its call, so nothing is left when the listener goes.

    Args:
        changes: What to tell, until it ends.
        lifetime: Seconds after which the stream ends all the same.
    """

    media_type = "text/event-stream"

    def __init__(self, changes: AsyncIterator[Submission], lifetime: float) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._changes = changes
        self._lifetime = lifetime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell, until there is nothing left to tell, the lifetime is over, or the listener gone."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        lock = anyio.Lock()  # one piece at a time
        with anyio.move_on_after(self._lifetime):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
                tasks.start_soon(_keep_alive, partial(_write, send, lock))
                async for submission in self._changes:
                    data = SubmissionView.of(submission).model_dump_json()
                    event = f"id: {event_id(submission)}\nevent: transition\ndata: {data}\n\n"
                    await _write(send, lock, event)
                tasks.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _write(send: Send, lock: anyio.Lock, text: str) -> None:
    async with lock:
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _keep_alive(write: Any) -> None:
    while True:
        await anyio.sleep(_PING)
        await write(": still here\n\n")


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
