"""A batch session: enter uploads the package, exit closes; only then does KSeF process it.

Rules: a block that fails or is cancelled does not close. KSeF has no call to abort, and takes nothing in before the
close: the session expires by itself after 12 hours (440), and no invoice of it exists. After an answer that was lost
the status is asked before the close is repeated. Source: sesja-wsadowa.md.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import anyio.lowlevel
import attrs

from ..api.batch import CLOSE_BATCH_SESSION, BatchFile, BatchFilePart
from ..api.packages import PackageProgress, PackageStage
from ..api.sessions import LIST_SESSION_INVOICES, FormCode, SessionInvoice, SessionStatus, StatusCode
from ..calling.caller import Caller
from ..calling.paging import check_leads_on
from ..calling.polling import Cadence
from ..errors import (
    BadRequestError,
    KsefError,
    LocalProtocolError,
    RemoteProtocolError,
    SessionFailedError,
    UploadExpiredError,
)
from ..protocol.delivery import PARTS_LIMIT, Asked, Step, judge, judge_session
from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import BATCH_SESSION, Phase
from .outcomes import Outcome
from .session import Session
from .snapshot import BATCH_SNAPSHOT, BatchSnapshot
from .tracking import GIVEN_AT_ONCE, LAG
from .transitions import SessionHistory
from .uploads import Uploads
from .upo import SessionUPO

if TYPE_CHECKING:
    from ..packing import Package, PackedInvoice

__all__ = ["BATCH_CADENCE", "BatchOutcome", "BatchSession", "declare"]

BATCH_CADENCE: Final = Cadence(interval=0.2, factor=1.5, longest=10.0, deadline=3600.0)
"""KSeF takes seconds for a small package, and many minutes for 10,000 invoices."""

# What the caller can do about a package that KSeF did not accept.
_ADVICE: Final[Mapping[Step, str]] = {
    Step.ANOTHER_SESSION: "No invoice is to blame: open a new session with the same package",
    Step.SMALLER_PACKAGES: "Split it",
    Step.LOOK_UP: "outcomes() tells why",
}


@attrs.frozen(kw_only=True)
class BatchOutcome:
    """The outcome of one invoice of a package."""

    key: Any
    """What the caller knows it by; the file name by default."""
    file_name: str
    """In the package; empty where an attached session's list does not have it."""
    outcome: Outcome
    """Accepted, or the error that says why not."""

    @property
    def accepted(self) -> bool:
        """Return whether KSeF accepted the invoice."""
        return self.outcome.accepted


class BatchSession(Session):
    """A batch session; get one from `SessionManager.open_batch`.

    ``async with session:`` uploads the parts that are not in yet, and closes the session when the block ends well;
    then KSeF processes the package. A block that fails, or is cancelled, leaves the session open: nothing in it is
    ever processed, and it expires by itself after 12 hours.

    An attached one has no package: it uploads nothing, and its block only closes it.
    """

    def __init__(
        self,
        api: Caller,
        reference_number: str,
        history: SessionHistory,
        *,
        form_code: FormCode | None = None,
        uploads: Uploads | None = None,
    ) -> None:
        super().__init__(api, reference_number, history)
        self.form_code = form_code
        """None for an attached session."""
        self._uploads = uploads
        if uploads is not None and uploads.progress is not None:
            history.listeners.append(self._report_processing)

    def __repr__(self) -> str:
        if self._uploads is None:
            return f"<BatchSession {self.reference_number} {self._state}>"
        uploaded = f"{len(self.uploaded_parts)} of {len(self.package.parts)} parts uploaded"
        return f"<BatchSession {self.reference_number} {self._state}, {uploaded}>"

    @property
    def _state(self) -> str:
        return self._state_at_ksef or ("CLOSED" if self._closed else "OPENED")

    @property
    def _is_closed(self) -> bool:
        return self._closed or self._state_at_ksef is not None

    @property
    def _is_held_open(self) -> bool:
        return self._entered and not self._is_closed

    @property
    def package(self) -> Package:
        """The package that the session was opened, or resumed, with.

        Raises:
            LocalProtocolError: The session was attached.
        """
        return self._has_package.package

    @property
    def upload_until(self) -> datetime:
        """When KSeF takes no further uploads: 20 minutes for each part after the opening.

        Raises:
            LocalProtocolError: The session was attached.
        """
        return self._has_package.until

    @property
    def uploaded_parts(self) -> frozenset[int]:
        """Ordinal numbers of the parts that are known to be in; of an attached session, none."""
        return frozenset() if self._uploads is None else frozenset(self._uploads.confirmed)

    @property
    def _has_package(self) -> Uploads:
        if self._uploads is None:
            raise LocalProtocolError(
                f"Session {self.reference_number} was attached without its package: use resume() to go on with one."
            )
        return self._uploads

    # --- lifecycle ----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        """Upload the package; close the session when the block ends without an error."""
        self._enter_once()
        if self._uploads is not None:
            await self.upload()
        yield self
        await self._close()

    async def upload(self) -> None:
        """Upload the parts that are not in yet; entering the session does it.

        Does nothing once the session is closed. The first part that fails stops the others.

        Raises:
            UploadExpiredError: The time to upload is over; open a new session with the same package.
            SessionFailedError: The session has ended without the package.
            TransportError: A part could not be uploaded, again and again.
            ApiError: As for TransportError.
            RemoteProtocolError: A link leads to another host, and is not followed.
            LocalProtocolError: A part cannot be read, or the session was attached without its package.
            OSError: As for LocalProtocolError.
            Exception: What a ledger of the caller's raised.
        """
        if not self._is_closed:
            await self._has_package.upload_missing()
            return
        last = self._history.last
        if last is not None and BATCH_SESSION.phase(last.status.code) is Phase.FAILURE:
            raise self._failure("has ended", last)

    async def _close(self) -> None:
        async with self._close_lock:
            if self._is_closed:
                return
            if self._uploads is not None:
                await self._uploads.upload_missing()
            await self._close_at_ksef()
            self._closed = True

    async def _close_at_ksef(self) -> None:
        attempts, resends = self._api.attempts(), 0
        while True:
            try:
                await self._api.call(CLOSE_BATCH_SESSION, path=self._path)
                return
            except KsefError as error:
                step = judge(Asked.CLOSE_BATCH, error).step
                resend = step is Step.UPLOAD_AGAIN and resends < PARTS_LIMIT
                if resend and isinstance(error, BadRequestError) and self._uploads is not None:
                    resends += 1
                    await self._uploads.forget(self._parts_to_resend(error, resends))
                    await self._uploads.upload_missing()
                    continue
                if isinstance(error, BadRequestError) and error.code == ErrorCode.UPLOAD_TIMED_OUT:
                    raise UploadExpiredError(
                        f"Session {self.reference_number} was not uploaded and closed in time; "
                        f"open a new session with the same package. KSeF says: {error}"
                    ) from error
                if step is not Step.LOOK_UP:
                    raise
                if await self._has_begun():
                    return
                if not attempts.may_go_on(error):
                    raise
            await attempts.pause()

    async def _has_begun(self) -> bool:
        return (await self.status()).status.code != StatusCode.OPENED

    def _parts_to_resend(self, error: BadRequestError, resends: int) -> set[int]:
        everything = {part.ordinal_number for part in self.package.parts}
        # The digits, not the words around them. Older builds of KSeF counted from 0, so when the same is said again,
        # or no part is named, everything is uploaded again.
        named = {int(digits) for detail in error.details for digits in re.findall(r"'(\d+)'", detail)}
        return named if resends == 1 and named and named <= everything else everything

    # --- what became of it --------------------------------------------------------------------------------

    def snapshot(self, key: bytes | str) -> bytes:
        """Return this session, encrypted, for `SessionManager.resume` to go on with in another process.

        Take it right after the opening, before the upload: which parts are in is written down beside them. The
        package is found again by `Package.write_manifest` and `Package.reopen`, or packed again to the same parts.

        Args:
            key: From ``cryptography.fernet.Fernet.generate_key()``; whoever has it can read and overwrite the parts.

        Raises:
            CryptoError: ``key`` is no Fernet key.
            LocalProtocolError: The session was attached.
        """
        uploads = self._has_package
        return BATCH_SNAPSHOT.encrypt(
            BatchSnapshot(
                reference_number=self.reference_number,
                form_code=self.form_code,
                symmetric_key=self.package.symmetric_key,
                initialization_vector=self.package.initialization_vector,
                part_hashes=tuple(part.sha256 for part in self.package.parts),
                upload_until=self.upload_until,
                part_upload_requests=uploads.requests,
            ),
            key,
        )

    async def upo(self, cadence: Cadence = BATCH_CADENCE) -> SessionUPO:
        """Wait until the session is processed, and fetch its receipt; see `Session.upo`."""
        return await super().upo(cadence)

    async def wait_until_processed(self, cadence: Cadence = BATCH_CADENCE) -> SessionStatus:
        """Wait until KSeF has decided on every invoice of the package, and return the session's status.

        Args:
            cadence: How often to look at the session, and for how long.

        Raises:
            LocalProtocolError: This object's own block still holds the session open: KSeF begins after the close.
            SessionFailedError: KSeF could not use the package: no invoice of it was accepted. Where
                ``may_be_sent_again`` says so, none is to blame: open a new session with the same package.
            WaitTimeoutError: It is still being processed; ask again later.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.
        """
        self._check_not_held_open("outcomes come")
        async for transition in self.transitions(cadence):
            if not transition.is_terminal:
                continue
            if judge_session(transition.current).step is Step.LOOK_UP:
                return transition.status
            raise self._failure("failed", transition.status)
        raise AssertionError("transitions end with a terminal status")

    async def outcomes(self, cadence: Cadence = BATCH_CADENCE) -> AsyncIterator[BatchOutcome]:
        """Iterate over the outcomes of the package's invoices, each once; waits until KSeF has processed all of it.

        Reads the list of the session, 1,000 invoices a request, when the session is final: meanwhile its counters,
        which cost one request for all invoices, show how far it is. What was yielded is not kept here; asked again,
        the list is read again.

        Args:
            cadence: How often to look at the session, and for how long.

        Yields:
            With the caller's own key: an `AcceptedInvoice`, or the `InvoiceRejectedError` with KSeF's reasons.

        Raises:
            LocalProtocolError: This object's own block still holds the session open: KSeF begins after the close.
            SessionFailedError: KSeF could not use the package: no invoice of it was accepted. Where
                ``may_be_sent_again`` says so, none is to blame: open a new session with the same package.
            WaitTimeoutError: It is still being processed; ask again later.
            RemoteProtocolError: After all outcomes: KSeF lists invoices that are not in the package, or not all of it.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: GET /sessions/{referenceNumber}/invoices.
        """
        status = await self.wait_until_processed(cadence)
        if self._uploads is None:
            async for invoice in self._listed(status.invoice_count or 0):
                name = invoice.invoice_file_name or ""
                yield BatchOutcome(key=name, file_name=name, outcome=await self._tracker.outcome_of(invoice, cadence))
            return
        count, strangers = len(self.package.invoices), 0
        matching = _Matching(self.package)
        async for invoice in self._listed(count):
            found = matching.take(invoice)
            if found is None:
                strangers += 1
                continue
            outcome = await self._tracker.outcome_of(invoice, cadence)
            yield BatchOutcome(key=found.key, file_name=found.file_name, outcome=outcome)
        if strangers or len(matching):
            raise RemoteProtocolError(
                f"KSeF's list of session {self.reference_number} does not fit the package: it lacks {len(matching)} of "
                f"{count} invoices, and has {strangers} that were not sent.",
                operation=LIST_SESSION_INVOICES.name,
                path="$.invoices",
            )

    async def _listed(self, count: int) -> AsyncIterator[SessionInvoice]:
        """Yield the invoices of the session, which is final, each once; wait while KSeF does not list all ``count``.

        Page by page: nothing of thousands is kept.
        """
        given, before, token = 0, 0, None
        for seconds in LAG:
            await anyio.sleep(seconds)
            used: set[str | None] = set()
            while True:
                used.add(token)
                try:
                    page = await self._tracker.fetch_page(token)
                except BadRequestError as error:
                    if error.code != ErrorCode.INVALID_CONTINUATION_TOKEN or token is None:
                        raise
                    # It has grown old: whoever takes the invoices may take their time over them.
                    before, token = 0, None
                    used.clear()
                    continue
                for invoice in page.invoices[max(0, given - before) :]:
                    given += 1
                    yield invoice
                    if given % GIVEN_AT_ONCE == 0:
                        await anyio.lowlevel.checkpoint()
                if not page.continuation_token:
                    break
                check_leads_on(page.continuation_token, used)
                before, token = before + len(page.invoices), page.continuation_token
            if given >= count:
                return

    def _failure(self, what: str, status: SessionStatus) -> SessionFailedError:
        judgement = judge_session(status.status.code)
        if advice := _ADVICE.get(judgement.step):
            what = f"{what} ({judgement.reason} {advice}.)"
        return super()._failure(what, status)

    def _report_processing(self, status: SessionStatus) -> None:
        if status.status.code == StatusCode.OPENED:
            return
        self._has_package.report_progress(
            PackageProgress(
                stage=PackageStage.PROCESSING,
                done=status.successful_invoice_count + status.failed_invoice_count,
                total=len(self.package.invoices),
                parts=len(self.package.parts),
                parts_total=len(self.package.parts),
            )
        )


class _Matching:
    """Finds the caller's invoice for each that KSeF lists: by file name and SHA-256, or else by SHA-256.

    Its length is how many are not found yet.
    """

    def __init__(self, package: Package) -> None:
        self._package = package
        self._open = {invoice.file_name for invoice in package.invoices}

    def __len__(self) -> int:
        return len(self._open)

    def take(self, listed: SessionInvoice) -> PackedInvoice | None:
        """The invoice, once; None for a stranger."""
        found = self._package.by_file_name(listed.invoice_file_name or "")
        digest = listed.invoice_hash
        if found is None or digest not in (None, found.sha256) or found.file_name not in self._open:
            same = () if digest is None else self._package.by_sha256(digest)
            found = next((invoice for invoice in same if invoice.file_name in self._open), None)
        if found is not None:
            self._open.remove(found.file_name)
        return found


def declare(package: Package) -> BatchFile:
    """Return the description of a package that KSeF gets before the upload."""
    return BatchFile(
        file_size=package.size,
        file_hash=package.sha256,
        compression_type=package.compression,
        file_parts=tuple(
            BatchFilePart(ordinal_number=part.ordinal_number, file_size=part.size, file_hash=part.sha256)
            for part in package.parts
        ),
    )
