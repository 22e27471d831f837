"""An online session: enter awaits activation, exit terminates.

Rules: exit always tries to close, however the block ended, within `CLOSE_TIMEOUT` and shielded from cancellation;
the block's own error wins; closing what is closed (21180) is success, and KSeF's status is believed.
Source: sesja-interaktywna.md.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Self

import anyio

from ..api.keys import EncryptionInfo
from ..api.sessions import CLOSE_ONLINE_SESSION, FormCode, SessionStatus, StatusCode
from ..calling.caller import Caller
from ..calling.finishing import finish, offload
from ..calling.polling import Cadence, wait_until
from ..crypto.envelope import SessionCipher
from ..errors import BadRequestError, KsefError, LocalProtocolError, WaitTimeoutError
from ..protocol.delivery import Asked, Step, judge
from ..protocol.error_codes import ErrorCode
from ..protocol.invoices import check_correction, check_invoice_file
from ..protocol.lifecycle import ONLINE_SESSION
from .checking import check_document
from .outcomes import Outcome
from .sending import Sender, encrypt_invoice, send_many
from .session import Session
from .tracking import LAG, OUTCOME_CADENCE, SentInvoice
from .transitions import SessionHistory

__all__ = ["ACTIVATION_CADENCE", "CLOSE_TIMEOUT", "OnlineSession"]

ACTIVATION_CADENCE = Cadence(interval=0.2, factor=2.0, longest=3.2, deadline=10.0)
"""200, 400, 800, ... ms; KSeF mostly answers 100 at once."""

CLOSE_TIMEOUT: Final = 10.0
"""Seconds that leaving a block may take to close the session."""

# How long a session is open, whatever happens in it. Source: sesja-interaktywna.md.
_LIFETIME: Final = timedelta(hours=12)

# A session is replaced this long before KSeF closes it by itself.
_RENEWAL_MARGIN: Final = timedelta(minutes=10)

# Ends of a session that a close brings about; any other is a death.
_NOT_CLOSABLE = frozenset(StatusCode) - {StatusCode.OPENED}
_ENDS_OF_CLOSED = frozenset({StatusCode.PROCESSED_OK, StatusCode.CANCELLED, StatusCode.VALIDATION_ERROR})


class OnlineSession(Session):
    """An online session; get one from `SessionManager.open_online`. Safe to use from many tasks.

    ``async with session:`` waits until KSeF takes invoices, and closes the session on the way out, whatever happens
    in the block. Exit returns once the close is accepted; waiting for the UPO is the caller's choice.
    """

    def __init__(
        self,
        api: Caller,
        reference_number: str,
        history: SessionHistory,
        *,
        valid_until: datetime | None,
        opened_at: datetime | None = None,
        form_code: FormCode | None = None,
        encryption: EncryptionInfo | None = None,
        activation: Cadence = ACTIVATION_CADENCE,
        is_resumed: bool = False,
    ) -> None:
        super().__init__(api, reference_number, history)
        self.valid_until = valid_until
        """When KSeF closes the session by itself; None where it did not say."""
        self.renew_at = _renewal(valid_until, opened_at)
        """When to send in another session instead, because this one ends soon; None where that is not known."""
        self.form_code = form_code
        """None for an attached session."""
        self._encryption = encryption
        self._cipher = None
        if encryption is not None:
            self._cipher = SessionCipher(encryption.symmetric_key, encryption.initialization_vector)
        self._activation = activation
        self._closing = False
        self._sender = Sender(api, self._tracker, reference_number, is_resumed=is_resumed)

    def __repr__(self) -> str:
        return f"<OnlineSession {self.reference_number} {self._state}, {len(self._sender)} sent>"

    @property
    def _state(self) -> str:
        if (state := self._state_at_ksef) is not None:
            return state
        return "CLOSING" if self._closing else "OPENED" if self._history.last else "OPENING"

    @property
    def aes_key(self) -> bytes | None:
        """The plain AES-256 key (32 bytes) of the session; None for one attached without it."""
        return self._encryption.symmetric_key if self._encryption else None

    @property
    def iv(self) -> bytes | None:
        """The initialization vector (16 bytes) of the session; None for one attached without it."""
        return self._encryption.initialization_vector if self._encryption else None

    # --- lifecycle ----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        """Use the session; at the end of the block, close it, whatever happened."""
        self._enter_once()
        try:
            await self.wait_until_active()
            yield self
        except BaseException as error:
            try:
                await self.close_in_time()
            except KsefError as close_error:
                error.add_note(f"Closing session {self.reference_number} failed as well: {close_error}")
            raise
        await self.close_in_time()
        self._raise_if_dead()

    async def wait_until_active(self, cadence: Cadence | None = None) -> SessionStatus:
        """Wait until KSeF reports 100; entering the session does it.

        100 does not prove the key right: KSeF looks at it later, and a wrong one ends the session with 415.

        Args:
            cadence: How often to look, and for how long; by default with exponential backoff for 10 s.

        Raises:
            SessionFailedError: The session has failed (415, 440, 445, or any other code above 200).
            LocalProtocolError: It is closed or processed already.
            WaitTimeoutError: It is still neither active nor failed.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.
        """
        return await wait_until(
            self.status,
            self._is_active,
            cadence or self._activation,
            what=f"Activation of session {self.reference_number}",
            status=lambda status: status.status,
        )

    def _is_active(self, status: SessionStatus) -> bool:
        code = status.status.code
        if code == StatusCode.CLOSED or ONLINE_SESSION.is_success(code):
            raise LocalProtocolError(f"Session {self.reference_number} is closed ({code}); open a new one.")
        if ONLINE_SESSION.is_terminal(code):
            raise self._failure("did not become active", status)
        return code == StatusCode.OPENED

    async def _close(self) -> None:
        async with self._close_lock:
            last = self._history.last
            if self._closed or (last is not None and last.status.code in _NOT_CLOSABLE):
                return
            self._closing = True
            try:
                await self._close_at_ksef()
                self._closed = True
            finally:
                self._closing = self._closed

    async def _close_at_ksef(self) -> None:
        try:
            await self._api.call(CLOSE_ONLINE_SESSION, path=self._path)
        except KsefError as error:
            if judge(Asked.CLOSE, error).step is not Step.LOOK_UP or not await self._is_seen_closed():
                raise

    async def _is_seen_closed(self) -> bool:
        for seconds in LAG:
            # KSeF's parts agree after a moment.
            await anyio.sleep(seconds)
            if (await self.status()).status.code != StatusCode.OPENED:
                return True
        return False

    async def close_in_time(self) -> None:
        """Close the session within `CLOSE_TIMEOUT`, shielded from cancellation; leaving the block does it.

        Raises:
            WaitTimeoutError: KSeF did not confirm in time.
            TransportError: The close failed.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.
        """
        try:
            await finish(self._close(), CLOSE_TIMEOUT)
        except TimeoutError:
            raise WaitTimeoutError(
                f"KSeF did not confirm within {CLOSE_TIMEOUT:g} s that session {self.reference_number} is closed; "
                "KSeF closes it by itself after 12 hours"
            ) from None

    def _raise_if_dead(self) -> None:
        last = self._history.last
        if last is not None and ONLINE_SESSION.is_terminal(code := last.status.code) and code not in _ENDS_OF_CLOSED:
            raise self._failure(f"died; send its {len(self._sender)} invoices again in a new one", last)

    # --- sending ------------------------------------------------------------------------------------------

    @property
    def takes_invoices(self) -> bool:
        """False once this process has closed the session, or has seen that it is closed or dead."""
        return not self._closing and self._state in ("OPENED", "OPENING")

    def snapshot(self, key: bytes | str) -> bytes:
        """Return this session, encrypted, for `SessionManager.resume` to go on with in another process.

        It may be taken at any time, best right after the opening: what was sent is in KSeF's list, not in it.

        Args:
            key: From ``cryptography.fernet.Fernet.generate_key()``; whoever has it can read the session's AES key.

        Raises:
            CryptoError: ``key`` is no Fernet key.
            LocalProtocolError: The session was attached without its key.
        """
        # Loaded by those who keep sessions.
        from .snapshot import ONLINE_SNAPSHOT, Snapshot

        if self._encryption is None:
            raise LocalProtocolError(f"Session {self.reference_number} was attached without its key.")
        return ONLINE_SNAPSHOT.encrypt(
            Snapshot(
                reference_number=self.reference_number,
                valid_until=self.valid_until,
                form_code=self.form_code,
                encryption=self._encryption,
            ),
            key,
        )

    async def send(
        self,
        invoice: bytes,
        *,
        offline: bool = False,
        corrects: bytes | None = None,
        again: bool = False,
        check: bool = False,
        _turned_offline: Callable[[], Awaitable[bool]] | None = None,  # for the keeper, see `Outgoing`
    ) -> SentInvoice:
        """Encrypt one invoice and hand it to KSeF, exactly once; returns once KSeF has taken it in.

        When KSeF's answer is lost, it is looked for in KSeF's list of the session's invoices; only what is not there is
        sent again. A document this session has taken in before is not sent again, but found again.

        Args:
            invoice: Invoice XML, UTF-8 without BOM, at most 1,000,000 bytes (3,000,000 with an attachment).
            offline: True for an invoice issued in an offline mode.
            corrects: For a technical correction: SHA-256 (32 bytes) of the rejected offline invoice.
            again: Send even what this session has taken in before, e.g. after KSeF cancelled its processing (550).
            check: Check the document first, see `ksef_async.documents.check`, and send it only if there is no problem.

        Returns:
            The reference number to follow, and the SHA-256 of ``invoice`` (32 bytes).

        Raises:
            LocalProtocolError: The session is not open, or its key is not known here; the file is not fit to be
                sent; ``corrects`` without ``offline``.
            DocumentError: With ``check``: the document has a problem; nothing was sent, ``report`` has them all.
            SessionFailedError: The session has died, e.g. because KSeF could not decrypt its key (415).
            RateLimitedError: The ``invoiceSend`` budget is spent; ``retry_after`` is in seconds.
            TransportError: No answer came, again and again.
            ServerError: As for TransportError.
            ApiError: KSeF refused, or answered nonsense. Of each of these four, ``maybe_delivered`` says whether KSeF
                may have the invoice; sending it once more is safe.
            RemoteProtocolError: As for ApiError.

        Source: POST /sessions/online/{referenceNumber}/invoices; sesja-interaktywna.md, section 2.
        """
        cipher = self._check_can_send(invoice, offline=offline, corrects=corrects)
        if check:
            await check_document(invoice)
        request = await offload(len(invoice), encrypt_invoice, cipher, invoice, offline, corrects)
        try:
            reference_number = await self._sender.hand_over(request, again=again, turned_offline=_turned_offline)
        except BadRequestError as error:
            if error.code == ErrorCode.SESSION_NOT_OPEN:
                await self.status()
                self._raise_if_dead()
            if judge(Asked.SEND, error).step is Step.ANOTHER_SESSION:
                error.add_note(
                    f"Session {self.reference_number} does not take it, but another may: open one, or send with "
                    "keep_open(), which does that by itself."
                )
            raise
        return self._sent_invoice(reference_number, request.invoice_hash)

    def may_have(self, invoice_hash: bytes) -> bool:
        """Return whether KSeF has, or may have (the answer was lost), the document with this SHA-256 (32 bytes)."""
        return self._sender.may_have(invoice_hash)

    def _reference_of(self, invoice_hash: bytes) -> str | None:
        return self._sender.reference_of(invoice_hash)

    async def find_doubtful(self, invoice_hash: bytes) -> SentInvoice | None:
        """Ask KSeF for a document whose sending ended without an answer; None when it has it not, or for any other.

        Args:
            invoice_hash: SHA-256 (32 bytes).

        Raises:
            TransportError: KSeF's list could not be read.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.
        """
        reference_number = await self._sender.find_doubtful(invoice_hash)
        return self._sent_invoice(reference_number, invoice_hash) if reference_number else None

    def send_many(
        self,
        invoices: Iterable[bytes] | AsyncIterable[bytes],
        *,
        offline: bool = False,
        concurrency: int = 16,
        check: bool = False,
    ) -> AsyncIterator[SentInvoice]:
        """Send many invoices, ``concurrency`` at a time; yields them in order as they are taken in.

        Args:
            invoices: Each as for `send`; taken from as they are needed, so a generator keeps memory flat.
            offline: True for invoices issued in an offline mode.
            concurrency: How many are under way at once; the rate limits hold however many these are.
            check: True to check each first, as for `send`.

        Raises:
            KsefError: As `send`, for the first that failed; those of the same lot that were taken in are yielded
                before, and a note says which one it was. Sending all of them once more is safe.
        """
        return send_many(partial(self.send, offline=offline, check=check), invoices, concurrency)

    def _check_can_send(self, invoice: bytes, *, offline: bool, corrects: bytes | None) -> SessionCipher:
        check_invoice_file(invoice)
        check_correction(corrects, offline=offline)
        if not self.takes_invoices:
            raise LocalProtocolError(
                f"Session {self.reference_number} is {self._state}; open a new session to send more invoices."
            )
        if self._cipher is None:
            raise LocalProtocolError(
                f"Session {self.reference_number} was attached without its key; attach it with encryption=... to send."
            )
        return self._cipher

    @property
    def _is_held_open(self) -> bool:
        return self._entered and not self._closing and self._state == "OPENED"

    def outcomes(self, cadence: Cadence = OUTCOME_CADENCE) -> AsyncIterator[Outcome]:
        """Yield what became of each of the session's invoices, once, as KSeF decides; see `Session.follow`.

        Args:
            cadence: How often to look, and how long to wait for the next decision.

        Raises:
            KsefError: As `Session.follow`.
        """
        return self.follow(cadence)


def _renewal(valid_until: datetime | None, opened_at: datetime | None) -> datetime | None:
    """Return when to replace a session; an end that cannot be true is ignored."""
    if opened_at is not None and not (
        valid_until is not None and opened_at + _RENEWAL_MARGIN < valid_until <= opened_at + 2 * _LIFETIME
    ):
        valid_until = opened_at + _LIFETIME
    return None if valid_until is None else valid_until - _RENEWAL_MARGIN
