"""The events that a hook is called with: enough for metrics and traces, and nothing secret."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, Protocol, TypeAlias

import attrs

from ..errors import KsefError
from .waiting import TOLD_AFTER

__all__ = [
    "About",
    "AboutRequest",
    "AnswerIncomplete",
    "CredentialsEnding",
    "DeadlineNear",
    "DeadlinePassed",
    "Event",
    "ExportReplaced",
    "Hook",
    "InvoiceTurnedOffline",
    "InvoicesLate",
    "LimitsUnknown",
    "RequestAnswered",
    "RequestCancelled",
    "RequestFailed",
    "RequestPaced",
    "RequestRetried",
    "RequestSent",
    "SessionChanged",
    "SystemWarning",
    "log_level",
]

_MOST_PARTS: Final = 20


@attrs.frozen(kw_only=True)
class About:
    """The fields of every event."""

    nip: str | None = None
    """The company on whose behalf it happened: its NIP, or the number of another context; None where there is none."""


@attrs.frozen(kw_only=True)
class AboutRequest(About):
    """The fields of every event of a request."""

    operation: str
    """Name of the operation, e.g. ``"send_invoice"``."""
    request_id: int | None = None
    """The same for all events of one request and its repeats, and for no other request of this process.

    None where several requests are tried again as a whole.
    """


@attrs.frozen(kw_only=True)
class RequestPaced(AboutRequest):
    """A request waits, so that KSeF's rate limits hold."""

    delay: float
    """Seconds."""


@attrs.frozen(kw_only=True)
class RequestSent(AboutRequest):
    """A request is on its way."""

    attempt: int
    """From 1; higher for repeats."""


@attrs.frozen(kw_only=True)
class RequestAnswered(AboutRequest):
    """A complete answer came, good or bad."""

    attempt: int
    """From 1; higher for repeats."""
    http_status: int
    """The HTTP status."""
    seconds: float
    """From sending until the last byte of the answer."""


@attrs.frozen(kw_only=True)
class AnswerIncomplete(AboutRequest):
    """A part of an answer could not be read; it was left out, and the rest was taken.

    A row of a list is left out as a whole. A limit that KSeF does not state, or not in a usable way, is taken to be
    the documented one.
    """

    parts: tuple[str, ...]
    """Where, in KSeF's own names, and what was expected there: ``"$.invoices[3].referenceNumber: expected a string"``.
    At most 20, and never what stands there.
    """
    count: int
    """How many there are in all."""
    is_assumed: bool = False
    """True when nothing is wrong: all of it are limits that KSeF does not state, as older versions do not."""

    @classmethod
    def of(
        cls,
        operation: str,
        unread: Sequence[tuple[str, str]],
        *,
        is_assumed: bool = False,
        request_id: int | None = None,
    ) -> AnswerIncomplete:
        """Return the event with each path and what was expected there."""
        parts = tuple(f"{path}: {reason}" for path, reason in unread[:_MOST_PARTS])
        count = len(unread)
        return cls(operation=operation, request_id=request_id, parts=parts, count=count, is_assumed=is_assumed)


@attrs.frozen(kw_only=True)
class LimitsUnknown(About):
    """KSeF could not be asked what it grants: calls are paced by the limits there are, by default production's."""

    error: KsefError
    """Why KSeF could not be asked."""


@attrs.frozen(kw_only=True)
class RequestFailed(AboutRequest):
    """No complete answer came."""

    attempt: int
    """From 1; higher for repeats."""
    error: KsefError
    """Why no complete answer came."""
    seconds: float
    """From sending until it failed."""


@attrs.frozen(kw_only=True)
class RequestCancelled(AboutRequest):
    """The caller was cancelled while a request was on its way: KSeF may have acted."""

    attempt: int
    """From 1; higher for repeats."""
    seconds: float
    """From sending until it was cancelled."""


@attrs.frozen(kw_only=True)
class RequestRetried(AboutRequest):
    """A request will be repeated."""

    attempt: int
    """The one that failed."""
    error: KsefError
    """Why the attempt failed."""
    delay: float
    """Seconds until the next."""


@attrs.frozen(kw_only=True)
class ExportReplaced(About):
    """An export hangs, failed or is damaged; it is given up, and another one will be begun."""

    reference_number: str | None
    """None when it was not even begun."""
    attempt: int
    """How many in a row, from 1."""
    error: KsefError
    """Why."""
    delay: float
    """Seconds until the next."""


@attrs.frozen(kw_only=True)
class SystemWarning(AboutRequest):
    """KSeF warns of something (``X-System-Warning``), although it did what was asked."""

    text: str
    """The warning, for people, in Polish."""


@attrs.frozen(kw_only=True)
class SessionChanged(About):
    """A session was seen in a new state."""

    reference_number: str
    """The session."""
    previous: int | None
    """None for the first state seen."""
    current: int
    """KSeF's number of the state it was seen in."""


@attrs.frozen(kw_only=True)
class DeadlineNear(About):
    """Invoices issued offline have to be with KSeF soon, and are not yet."""

    due_by: datetime
    """When it is too late (UTC)."""
    count: int
    """How many of them there are."""
    numbers: tuple[str, ...]
    """The sellers' numbers (P_2), at most 20."""


@attrs.frozen(kw_only=True)
class DeadlinePassed(About):
    """Invoices issued offline were not with KSeF by their deadline; they are still delivered."""

    due_by: datetime
    """When it was too late (UTC)."""
    count: int
    """How many of them there are."""
    numbers: tuple[str, ...]
    """The sellers' numbers (P_2), at most 20."""


@attrs.frozen(kw_only=True)
class InvoicesLate(About):
    """Invoices issued online were not sent before the midnight that ended their date: for KSeF they are Offline now.

    The journal sends them as offline invoices, or holds them until somebody decides; they need KOD II.
    """

    issued_on: date
    """Their date (P_1)."""
    count: int
    """How many of them there are."""
    are_held: bool
    """False where they are sent as offline invoices from now on."""


@attrs.frozen(kw_only=True)
class InvoiceTurnedOffline(About):
    """An invoice that was sent as an online one, after its date, is Offline for KSeF, so it needs KOD II."""

    ksef_number: str
    """The number that KSeF gave it."""
    session_reference_number: str
    """The session it was sent in."""
    reference_number: str | None
    """Its reference number there."""


@attrs.frozen(kw_only=True, str=False)
class CredentialsEnding(About):
    """Who logs in can soon do so no more: get another certificate. Reported once a day."""

    kind: str
    """``"certificate"`` or ``"token"``."""
    valid_until: datetime
    """When it ends (UTC); of a token, by the regulation."""

    def __str__(self) -> str:
        day = f"{self.valid_until:%Y-%m-%d %H:%M} UTC"
        if self.kind == "token":
            return (
                f"KSeF tokens, such as that of {self.nip}, serve as a login until {day} by the regulation: "
                "change to a certificate."
            )
        return f"The certificate of {self.nip} ends on {day}: client.certificates.renew(...) gets the next one."


Event: TypeAlias = (
    RequestPaced
    | RequestSent
    | RequestAnswered
    | AnswerIncomplete
    | LimitsUnknown
    | RequestFailed
    | RequestCancelled
    | RequestRetried
    | SystemWarning
    | SessionChanged
    | ExportReplaced
    | DeadlineNear
    | DeadlinePassed
    | InvoicesLate
    | InvoiceTurnedOffline
    | CredentialsEnding
)
"""Everything that a hook is called with."""


class Hook(Protocol):
    """A function that is called with each event."""

    def __call__(self, event: Event, /) -> None:
        """Take an event on the event loop, so it must be quick; what it raises is logged, and goes no further."""
        ...


_OF_EVERY_CALL: Final = frozenset((RequestSent, RequestAnswered))
_WARNINGS: Final = (
    CredentialsEnding,
    DeadlineNear,
    ExportReplaced,
    InvoicesLate,
    InvoiceTurnedOffline,
    LimitsUnknown,
    SystemWarning,
)


def log_level(event: Event) -> int:
    """Return the level of an event in the log: a long wait looks like a fault, so it is logged."""
    if type(event) in _OF_EVERY_CALL:
        return logging.DEBUG
    if isinstance(event, AnswerIncomplete):
        return logging.INFO if event.is_assumed else logging.WARNING
    if isinstance(event, DeadlinePassed):
        return logging.ERROR
    if isinstance(event, _WARNINGS):
        return logging.WARNING
    is_long = isinstance(event, RequestPaced | RequestRetried) and event.delay >= TOLD_AFTER
    return logging.INFO if is_long else logging.DEBUG
