"""What can go wrong on purpose: the next calls of an operation, or some of them by chance, end as a fault says.

sandbox.faults.add("send_invoice", Fault.drop_after(), times=3)
sandbox.faults.add("send_invoice", Fault.html(502), probability=0.05)

What was reported of KSeF, and how it is brought about (an operation, and its fault):

a success of another number           any             answer_becomes(200)
an answer without a field             any             fields_missing("onlineSessionClose"), or an older `api_version`
a firewall's page                     any             html(403), html(200)
login and redeem out of step          redeem_tokens   refuse(21301)
a session whose key fails at once     open_*_session  wrong_key()
... in the middle                     send_invoice    session_dies()
a batch session that fails as a whole open_batch_session  session_ends(415), also 430, 435, 440, 500
an invoice that may be sent again     send_invoice    invoice_ends(435), also 500, 550
something that hangs                  open_*_session, send_invoice, export_invoices  stuck()
an export that ends otherwise         export_invoices export_ends(500), package_becomes(...), part_becomes(...)
a high-water mark beyond the window   export_invoices mark_becomes(...)
an invoice the index is late for      send_invoice    indexed_late(...); all of them: `Timings.index_lag`
a storage that fails                  `UPLOAD_PART`, `DOWNLOAD_PART`, `DOWNLOAD_UPO`  link_refused(), html(502)
a Latarnia that is down or wrong      `GET_LATARNIA_STATUS`, `GET_LATARNIA_MESSAGES`  html(502), answer_becomes(...)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

import attrs
from aiohttp import web

from ..api.latarnia import GET_LATARNIA_MESSAGES, GET_LATARNIA_STATUS
from ..api.operation import Operation
from ..api.sessions import InvoiceStatusCode, StatusCode
from ..api.table import OPERATIONS
from ..protocol import json
from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import BATCH_SESSION, EXPORT, INVOICE, ExportStatusCode, Lifecycle
from .refusals import Refusal, StorageRefusal, TooManyRequests, internal_error
from .versions import drop_field

__all__ = ["DOWNLOAD_PART", "DOWNLOAD_UPO", "STORAGE", "UPLOAD_PART", "Fault", "Faults", "PlannedFault"]

UPLOAD_PART: Final = "upload_part"
"""What uploading a part, and downloading a part of an export or a UPO, is called here: these go to the storage, so they
are no operations of the table.
"""
DOWNLOAD_PART: Final = "download_part"
DOWNLOAD_UPO: Final = "download_upo"
STORAGE: Final = frozenset({UPLOAD_PART, DOWNLOAD_PART, DOWNLOAD_UPO})
_LATARNIA: Final = frozenset({GET_LATARNIA_STATUS.name, GET_LATARNIA_MESSAGES.name})

CodeT = TypeVar("CodeT", bound=int | str)

_PAGE: Final = "<!DOCTYPE html><html><head><title>{status}</title></head><body>Request ID: 00000000</body></html>"


@attrs.frozen
class Fault:
    """A way in which a call goes wrong; made by the class methods."""

    kind: Literal[
        "drop", "answer", "refuse", "wait", "crash", "wrong_key", "session_dies", "stuck", "late", "verdict", "part",
        "session", "export",
    ]  # fmt: skip
    """What goes wrong; the fields below are of one kind each."""
    after_effect: bool = False
    """Whether KSeF does what was asked all the same."""
    status: int = 0
    """HTTP status of an answer."""
    body: str = ""
    """Text of an answer."""
    content_type: str = "text/html"
    """Content type of an answer."""
    refusal: Refusal | None = None
    """KSeF's own refusal."""
    seconds: float = 0.0
    """Seconds to wait or to be late."""
    verdict: InvoiceStatusCode | None = None
    """How the invoice ends."""
    part: Literal["lost", "garbled", "shortened"] | None = None
    """What happens to a part in KSeF's storage."""
    session_end: StatusCode | None = None
    """How the session ends."""
    export_code: ExportStatusCode | None = None
    """How the export ends."""
    change: Callable[[bytes], bytes] | None = None
    """Changes a package before it is encrypted."""
    damage: Callable[[bytes], bytes] | None = None
    """Changes an encrypted part."""
    mark: Callable[[datetime], datetime | None] | None = None
    """Changes the time up to which a list is complete."""
    altered: Callable[[web.Response], web.Response] | None = None
    """Changes an answer."""

    @classmethod
    def drop_before(cls) -> Fault:
        """The connection breaks before KSeF has seen the request."""
        return cls("drop")

    @classmethod
    def drop_after(cls) -> Fault:
        """KSeF does what was asked, but its answer is lost."""
        return cls("drop", after_effect=True)

    @classmethod
    def server_error(cls, *, after_effect: bool = False) -> Fault:
        """Answer 500 with KSeF's own JSON."""
        return cls("crash", after_effect=after_effect)

    @classmethod
    def html(cls, status: int = 502, *, after_effect: bool = False) -> Fault:
        """Answer with the HTML page of a gateway (502, 503) or of a firewall (200)."""
        return cls("answer", after_effect, status, _PAGE.format(status=status))

    @classmethod
    def answer_becomes(
        cls,
        status: int | None = None,
        *,
        body: bytes | Callable[[bytes], bytes] | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """KSeF does what was asked, and its answer changes on the way; what is None stays as it was.

        Args:
            status: Another number, e.g. 200 where KSeF says 202.
            body: Another body, or what makes one of KSeF's.
            content_type: Of the body.
            headers: Added to the answer, or in place of its own.
        """

        def alter(response: web.Response) -> web.Response:
            own = response.body if isinstance(response.body, bytes) else b""
            written = own if body is None else body if isinstance(body, bytes) else body(own)
            kept = {"Content-Type": content_type or response.content_type, **(headers or {})}
            if digest := response.headers.get("x-ms-meta-hash"):
                kept.setdefault("x-ms-meta-hash", digest)
            return web.Response(status=status or response.status, body=written, headers=kept)

        return cls("answer", after_effect=True, altered=alter)

    @classmethod
    def fields_missing(cls, *paths: str) -> Fault:
        """KSeF does what was asked, and its answer lacks fields.

        Args:
            paths: In KSeF's names, with ``[]`` for each item of an array: ``invoices[].invoiceHash``.
        """

        def leave_out(body: bytes) -> bytes:
            answer = json.loads(body)
            for path in paths:
                drop_field(answer, path)
            return json.dumps(answer)

        return cls.answer_becomes(body=leave_out)

    @classmethod
    def empty(cls, status: int = 401) -> Fault:
        """Answer an error without a body."""
        return cls("answer", status=status)

    @classmethod
    def forbidden(cls, reason: str | None = None) -> Fault:
        """Answer 403, by default without a reason (``reasonCode`` null, ksef-api#747)."""
        body = {"title": "Forbidden", "status": 403, "detail": "Dostęp zabroniony.", "reasonCode": reason}
        return cls("answer", status=403, body=json.dumps(body).decode(), content_type="application/problem+json")

    @classmethod
    def too_many_requests(cls, retry_after: int) -> Fault:
        """Answer 429 with ``Retry-After`` in seconds."""
        return cls("refuse", refusal=TooManyRequests(20, "minutę", retry_after))

    @classmethod
    def refuse(cls, code: ErrorCode | int, *details: str) -> Fault:
        """Answer 400 with one of KSeF's codes, e.g. 21184 (session temporarily unavailable)."""
        return cls("refuse", refusal=Refusal(ErrorCode(code), *details))

    @classmethod
    def wait(cls, seconds: float) -> Fault:
        """KSeF acts at once, but its answer takes ``seconds`` of real time."""
        return cls("wait", after_effect=True, seconds=seconds)

    @classmethod
    def wrong_key(cls) -> Fault:
        """The session being opened turns out to have a key that KSeF cannot decrypt (415)."""
        return cls("wrong_key")

    @classmethod
    def session_dies(cls) -> Fault:
        """The invoice being sent is taken in, and then its session ends with 415.

        What it has taken in ends with 405 where it is still in progress, and may be sent again in another session.
        """
        return cls("session_dies")

    @classmethod
    def indexed_late(cls, seconds: float) -> Fault:
        """Lists and exports find the invoice being sent ``seconds`` of the sandbox's time after it is stored.

        Where that is longer than the high-water mark lags behind, it turns up below a mark that was answered before.
        """
        return cls("late", seconds=seconds)

    @classmethod
    def stuck(cls) -> Fault:
        """The session being opened, the invoice being sent or the export being started stays in progress for a year.

        That is 170, 150 or 100. An export that hangs counts among the ten that may run at once.
        """
        return cls("stuck")

    @classmethod
    def invoice_ends(cls, code: InvoiceStatusCode | int) -> Fault:
        """The invoice being sent ends like this, e.g. with 500 or 550, whatever is in it.

        Raises:
            ValueError: An invoice in progress does not end with this code.
        """
        return cls("verdict", verdict=_end(INVOICE, InvoiceStatusCode.PROCESSING, InvoiceStatusCode(code)))

    @classmethod
    def link_refused(cls, status: int = 403, code: str = "AuthenticationFailed") -> Fault:
        """The storage refuses an upload or a download, by default like a link whose time is over."""
        return cls("refuse", refusal=StorageRefusal(status, code, "The request was refused on purpose."))

    @classmethod
    def part_lost(cls) -> Fault:
        """The storage takes the part being uploaded (201), and forgets it: the close finds it missing (21205)."""
        return cls("part", part="lost")

    @classmethod
    def part_garbled(cls) -> Fault:
        """A bit of the part being uploaded turns over: the session ends with 405."""
        return cls("part", part="garbled")

    @classmethod
    def part_shortened(cls) -> Fault:
        """The end of the part being uploaded is cut off: the close finds its size wrong (21157)."""
        return cls("part", part="shortened")

    @classmethod
    def session_ends(cls, code: StatusCode | int) -> Fault:
        """The batch session being opened ends like this once it is closed, whatever is in the package.

        Raises:
            ValueError: A batch session in progress does not end with this code, or ends with it because of its
                invoices, so it takes a package that brings it about.
        """
        end = _end(BATCH_SESSION, StatusCode.PROCESSING, StatusCode(code))
        if end in (StatusCode.PROCESSED_OK, StatusCode.VALIDATION_ERROR):
            raise ValueError(f"a session ends with {end.value} because of its invoices")
        return cls("session", session_end=end)

    @classmethod
    def export_ends(cls, code: ExportStatusCode | int) -> Fault:
        """The export being started ends like this, e.g. with 500 or 550.

        Raises:
            ValueError: An export in progress does not end with this code.
        """
        return cls("export", export_code=_end(EXPORT, ExportStatusCode.IN_PROGRESS, ExportStatusCode(code)))

    @classmethod
    def package_becomes(cls, change: Callable[[bytes], bytes]) -> Fault:
        """The archive of the export being started is changed before it is described and encrypted."""
        return cls("export", change=change)

    @classmethod
    def part_becomes(cls, damage: Callable[[bytes], bytes]) -> Fault:
        """Every encrypted part of the export being started is changed after it was described."""
        return cls("export", damage=damage)

    @classmethod
    def mark_becomes(cls, change: Callable[[datetime], datetime | None]) -> Fault:
        """The export being started answers another high-water mark than its own, or none at all.

        Args:
            change: Returns the mark to answer with for the real one; None leaves it out.
        """
        return cls("export", mark=change)

    def response(self, request: web.Request, now: Any, answered: web.Response | None = None) -> web.Response | None:
        """Return the answer that replaces KSeF's own; None to leave that as it is.

        Args:
            request: What was asked.
            now: What time it is.
            answered: What KSeF answers to it, once it has acted.

        Raises:
            Refusal: KSeF says no.
        """
        if self.kind == "refuse" and self.refusal is not None:
            raise self.refusal
        if self.kind == "drop" and request.transport is not None:
            request.transport.abort()
        if self.kind in ("drop", "crash"):
            return internal_error(now)
        if self.altered is not None:
            return None if answered is None else self.altered(answered)
        if self.kind == "answer":
            return web.Response(status=self.status, text=self.body or None, content_type=self.content_type)
        return None


def _end(lifecycle: Lifecycle[CodeT], present: CodeT, end: CodeT) -> CodeT:
    if end not in lifecycle.states[present].next:
        article = "an" if lifecycle.name[0] in "aeiou" else "a"
        raise ValueError(f"the status {end} does not follow {present} in the lifecycle of {article} {lifecycle.name}")
    return end


@attrs.define
class PlannedFault:
    """A fault that is planned."""

    operation: str | None
    """Name of the operation; None for all."""
    fault: Fault
    times: int | None
    """The number of further calls to which it happens; None for all."""
    probability: float


class Faults:
    """The faults planned for a sandbox."""

    def __init__(self) -> None:
        self._plans: list[PlannedFault] = []
        self._chance = random.Random()  # noqa: S311  # nothing secret
        self.happened: dict[str, int] = {}
        """How often each operation has gone wrong on purpose."""

    def add(
        self,
        operation: Operation[Any, Any] | str | None,
        fault: Fault,
        *,
        times: int | None = None,
        probability: float = 1.0,
    ) -> None:
        """Plan a fault.

        Args:
            operation: Which calls, or `UPLOAD_PART`, `DOWNLOAD_PART` or `DOWNLOAD_UPO`; one of Latarnia's two; None
                for all.
            fault: What happens to them.
            times: To how many of them; by default the next one, and with a probability all from now on.
            probability: How likely it is for each.

        Raises:
            ValueError: There is no such operation.
        """
        name = operation.name if isinstance(operation, Operation) else operation
        if name is not None and name not in STORAGE | _LATARNIA and all(row.name != name for row in OPERATIONS):
            raise ValueError(f"there is no operation {name}")
        if times is None and probability == 1.0:
            times = 1
        self._plans.append(PlannedFault(name, fault, times, probability))

    def seed(self, seed: int) -> None:
        """Seed the random numbers, so that faults of a probability happen to the same calls each time."""
        self._chance.seed(seed)

    def clear(self) -> None:
        """Remove all planned faults."""
        self._plans.clear()

    @property
    def planned(self) -> tuple[PlannedFault, ...]:
        """Return the faults that have not happened yet."""
        return tuple(self._plans)

    def next_for(self, operation: Operation[Any, Any] | str) -> Fault | None:
        """Return the fault that happens to a call, if any; it is used up."""
        name = operation.name if isinstance(operation, Operation) else operation
        for plan in self._plans:
            if plan.operation not in (None, name) or self._chance.random() >= plan.probability:
                continue
            if plan.times is not None:
                plan.times -= 1
                if plan.times == 0:
                    self._plans.remove(plan)
            self.happened[name] = self.happened.get(name, 0) + 1
            return plan.fault
        return None
