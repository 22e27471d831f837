"""Opening sessions, finding them again, and listing them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, overload
from weakref import WeakValueDictionary

import attrs

from ..api.keys import EncryptionInfo, PublicKeyUsage
from ..api.sessions import (
    LIST_SESSIONS,
    OPEN_ONLINE_SESSION,
    Feature,
    FormCode,
    OpenOnlineSessionRequest,
    SessionFilter,
    SessionStatus,
    SessionSummary,
    SessionType,
)
from ..calling.caller import Caller, InFlight
from ..calling.finishing import finish
from ..calling.keys import PublicKey, PublicKeys, wrap_new_key
from ..calling.paging import TokenPages
from ..calling.polling import Cadence
from ..crypto.envelope import SessionCipher, rsa_encrypt
from ..errors import KsefError, LocalProtocolError, SessionFailedError, UploadExpiredError
from ..protocol.delivery import SEND_AGAIN_LIMIT
from .online import ACTIVATION_CADENCE, OnlineSession
from .session import new_history, session_type, waiting_for_session
from .tracking import LARGEST_PAGE
from .transitions import TRANSITION_CADENCE, SessionHistory, Transitions

if TYPE_CHECKING:
    from ..api.limits import ContextLimits
    from ..api.packages import ProgressHook
    from ..packing import Package
    from ..protocol.planning import SendingPlan
    from .batch import BatchSession
    from .keep_open import SessionKeeper
    from .uploads import UploadLedger

__all__ = ["OPEN_GRACE", "UPLOAD_CONCURRENCY", "SessionManager"]

OPEN_GRACE: Final = 10.0
"""Seconds that a cancelled opening may take until KSeF says which session it opened, so that it can be closed."""

UPLOAD_CONCURRENCY: Final = 8
"""How many parts of a package are uploaded at once: enough that the pauses between parts hardly count."""


class SessionManager:
    """Opens sessions. `KsefClient.sessions` is one; this is the low-level way to another.

    Args:
        api: How to call KSeF; one without a token where every session brings its own ``access_token``.
        keys: The Ministry's public keys; by default fetched through ``api``.
    """

    def __init__(self, api: Caller, keys: PublicKeys | None = None) -> None:
        self._api = api
        self._keys = keys or PublicKeys(api)
        # Weak: a history that nobody uses any more need not be kept.
        self._histories: WeakValueDictionary[str, SessionHistory] = WeakValueDictionary()

    async def open_online(
        self,
        form_code: FormCode | str,
        *,
        encryption: EncryptionInfo | None = None,
        access_token: str | None = None,
        features: Iterable[Feature | str] = (),
        activation: Cadence = ACTIVATION_CADENCE,
    ) -> OnlineSession:
        """Open an online session: one POST, then it exists at KSeF. Enter it to wait until it takes invoices.

        When this is cancelled while KSeF is opening the session, it waits up to `OPEN_GRACE` for KSeF's answer and
        closes the session again, so that none stays open unknown. When KSeF's answer is lost it opens another; the
        unknown one takes no invoices, and expires by itself after 12 hours.

        Args:
            form_code: What kind of document the session will take; a string is a system code, e.g. ``"FA (3)"``.
            encryption: The session key; by default a fresh one, wrapped for the Ministry.
            access_token: A JWT to use throughout; by default the login's, refreshed as needed.
            features: Asked for in ``X-KSeF-Feature``.
            activation: How often to look for activation on entering, and for how long.

        Raises:
            LocalProtocolError: Unknown form code, or no access token to call with; nothing was sent.
            CryptoError: The session key has the wrong length, or KSeF offers no usable public key.
            LoginFailedError: KSeF refused the login.
            TransportError: A call failed, again and again. A session may exist that nobody knows; it can be found with
                `list` and closed by `attach`.
            ApiError: As for TransportError.
            RemoteProtocolError: As for TransportError.

        Source: POST /sessions/online; sesja-interaktywna.md, section 1.
        """
        form_code = _form_code(form_code, FormCode)
        api = self._authorized(access_token)
        headers = _wanted(features)

        async def open_with(encryption: EncryptionInfo, tracked: Caller) -> OnlineSession:
            SessionCipher(encryption.symmetric_key, encryption.initialization_vector)  # refuses wrong lengths
            request = OpenOnlineSessionRequest(form_code, encryption)
            opened = await tracked.call(OPEN_ONLINE_SESSION, request, headers=headers)
            own = waiting_for_session(api, opened.reference_number)
            return OnlineSession(
                own,
                opened.reference_number,
                self._history(own, opened.reference_number),
                valid_until=opened.valid_until,
                opened_at=api.now(),
                form_code=form_code,
                encryption=encryption,
                activation=activation,
            )

        if encryption is not None:
            return await _finish_or_close(api, partial(open_with, encryption))
        return await self._keys.use(
            PublicKeyUsage.SYMMETRIC_KEY_ENCRYPTION,
            lambda key: _finish_or_close(api, partial(open_with, wrap_new_key(key))),
        )

    async def open_batch(
        self,
        package: Package,
        *,
        form_code: FormCode | str,
        offline: bool = False,
        features: Iterable[Feature | str] = (),
        access_token: str | None = None,
        concurrency: int = UPLOAD_CONCURRENCY,
        progress: ProgressHook | None = None,
        ledger: UploadLedger | None = None,
    ) -> BatchSession:
        """Open a batch session for a package: enter it to upload the package, leave it to have it processed.

        A package may be sent as often as you like, each time in a session of its own: when one fails, open another
        with the same package, as `send_batch` does. When KSeF's answer is lost this opens another, too; the
        unknown one gets no package, and expires by itself.

        Args:
            package: From `ksef_async.packing.pack`.
            form_code: What kind of document all of its invoices are; a string is a system code, e.g. ``"FA (3)"``.
            offline: True when its invoices were issued in an offline mode.
            features: Asked for in ``X-KSeF-Feature``.
            access_token: A JWT to use throughout; by default the login's, refreshed as needed.
            concurrency: How many parts are uploaded at once.
            progress: Called with the progress of uploading and processing.
            ledger: Where it is written down which parts are in, for `resume`; by default in a file beside them.

        Raises:
            LocalProtocolError: A form that no batch session takes, or no access token; nothing was sent.
            CryptoError: KSeF offers no usable public key.
            LoginFailedError: KSeF refused the login.
            TransportError: A call failed, again and again.
            ApiError: As for TransportError.
            RemoteProtocolError: As for TransportError.

        Source: POST /sessions/batch; sesja-wsadowa.md.
        """
        # Loads packing, which a program that sends one by one has no use for.
        from ..api.batch import OPEN_BATCH_SESSION, OpenBatchSessionRequest
        from .batch import BatchSession, declare
        from .uploads import UPLOAD_WINDOW, Uploads, check_concurrency

        check_concurrency(concurrency)
        form_code = _form_code(form_code, [code for code in FormCode if code.form != "PEF"])
        api = self._authorized(access_token)
        headers, declared = _wanted(features), declare(package)

        async def open_with(key: PublicKey) -> BatchSession:
            # The package is encrypted already: a rotated public key wraps the same key again.
            encryption = EncryptionInfo(
                encrypted_symmetric_key=rsa_encrypt(key.key, package.symmetric_key),
                initialization_vector=package.initialization_vector,
                public_key_id=key.public_key_id,
                symmetric_key=package.symmetric_key,
            )
            request = OpenBatchSessionRequest(
                form_code=form_code, batch_file=declared, encryption=encryption, offline_mode=offline
            )
            asked_at = api.now()
            opened = await api.call(OPEN_BATCH_SESSION, request, headers=headers)
            own = waiting_for_session(api, opened.reference_number)
            uploads = Uploads(
                own,
                opened.reference_number,
                package,
                opened.part_upload_requests,
                until=min(asked_at, api.now()) + UPLOAD_WINDOW * len(package.parts),
                concurrency=concurrency,
                progress=progress,
                ledger=ledger,
            )
            history = self._history(own, opened.reference_number)
            return BatchSession(own, opened.reference_number, history, form_code=form_code, uploads=uploads)

        return await self._keys.use(PublicKeyUsage.SYMMETRIC_KEY_ENCRYPTION, open_with)

    async def send_batch(
        self,
        package: Package,
        *,
        form_code: FormCode | str,
        offline: bool = False,
        features: Iterable[Feature | str] = (),
        concurrency: int = UPLOAD_CONCURRENCY,
        progress: ProgressHook | None = None,
        cadence: Cadence | None = None,
    ) -> BatchSession:
        """Send a package and wait until it is processed; in another session when one fails though no invoice is bad.

        Args:
            package: As for `open_batch`, as are the others but the last.
            cadence: How often to look at each session, and for how long; by default for an hour.

        Returns:
            The session that KSeF has processed; its ``outcomes`` yield the outcome of each invoice.

        Raises:
            SessionFailedError: The package holds too many invoices (420), or the fourth session failed as well.
            KsefError: As `open_batch`, and as entering and leaving the session.
        """
        from .batch import BATCH_CADENCE

        for attempt in itertools.count(1):
            session = await self.open_batch(
                package,
                form_code=form_code,
                offline=offline,
                features=features,
                concurrency=concurrency,
                progress=progress,
            )
            try:
                async with session:
                    pass
                await session.wait_until_processed(cadence or BATCH_CADENCE)
            except SessionFailedError as error:
                if not error.may_be_sent_again or attempt > SEND_AGAIN_LIMIT:
                    raise
            except UploadExpiredError:
                # Nothing of it was processed; the next session has links and time of its own.
                if attempt > SEND_AGAIN_LIMIT:
                    raise
            else:
                return session
        raise AssertionError("the last attempt returns or raises")

    async def new_encryption(self) -> EncryptionInfo:
        """Return a fresh session key, for those who open a session here and send in it elsewhere.

        Raises:
            CryptoError: KSeF offers no usable key.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.
        """
        return wrap_new_key(await self._keys.get(PublicKeyUsage.SYMMETRIC_KEY_ENCRYPTION))

    @overload
    async def attach(
        self,
        reference_number: str,
        *,
        encryption: EncryptionInfo,
        access_token: str | None = None,
        activation: Cadence = ACTIVATION_CADENCE,
    ) -> OnlineSession: ...

    @overload
    async def attach(
        self,
        reference_number: str,
        *,
        encryption: None = None,
        access_token: str | None = None,
        activation: Cadence = ACTIVATION_CADENCE,
    ) -> OnlineSession | BatchSession: ...

    async def attach(
        self,
        reference_number: str,
        *,
        encryption: EncryptionInfo | None = None,
        access_token: str | None = None,
        activation: Cadence = ACTIVATION_CADENCE,
    ) -> OnlineSession | BatchSession:
        """Return a session that was opened elsewhere, to follow, close, or fetch the UPO of; with its key, to send in.

        Args:
            reference_number: 36 characters, given by KSeF at the opening; it says whether the session is online
                (``-SO-``) or a batch (``-SB-``).
            encryption: The key of an online session, as it was given or made at the opening.
            access_token: A JWT to use throughout; by default the login's, refreshed as needed.
            activation: How often to look for activation on entering an online session, and for how long.

        Raises:
            LocalProtocolError: A key was given for a batch; it goes on with `resume`.
            BadRequestError: KSeF does not know the session (21173).
            ForbiddenError: It belongs to somebody else.
            CryptoError: ``encryption`` holds a key of the wrong length.
            LoginFailedError: KSeF refused the login.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /sessions/{referenceNumber}.
        """
        api = self._authorized(access_token)
        history = self._history(api, reference_number)
        kind = session_type(reference_number)
        if kind is SessionType.BATCH and encryption is not None:
            raise LocalProtocolError(f"Session {reference_number} is a batch: go on with it by resume(package=...).")
        status = await history.look()
        if kind is SessionType.BATCH:
            from .batch import BatchSession

            return BatchSession(api, reference_number, history)
        return OnlineSession(
            api,
            reference_number,
            history,
            valid_until=status.valid_until,
            encryption=encryption,
            activation=activation,
            is_resumed=True,
        )

    @overload
    async def resume(
        self, snapshot: bytes, key: bytes | str, *, activation: Cadence = ACTIVATION_CADENCE
    ) -> OnlineSession: ...

    @overload
    async def resume(
        self,
        snapshot: bytes,
        key: bytes | str,
        *,
        package: Package,
        concurrency: int = UPLOAD_CONCURRENCY,
        progress: ProgressHook | None = None,
        ledger: UploadLedger | None = None,
    ) -> BatchSession: ...

    async def resume(
        self,
        snapshot: bytes,
        key: bytes | str,
        *,
        activation: Cadence = ACTIVATION_CADENCE,
        package: Package | None = None,
        concurrency: int = UPLOAD_CONCURRENCY,
        progress: ProgressHook | None = None,
        ledger: UploadLedger | None = None,
    ) -> OnlineSession | BatchSession:
        """Go on with a session after a crash: what is in it already is found, not sent again.

        A process that starts over with all its documents ends with each of them in exactly once. A batch session
        uploads only the parts that are missing.

        Args:
            snapshot: From `OnlineSession.snapshot` or `BatchSession.snapshot`.
            key: The one it was written with.
            activation: How often to look for activation on entering, and for how long.
            package: Of a batch session: from `Package.reopen`, or packed again to the same parts.
            concurrency: As for `open_batch`.
            progress: As for `open_batch`.
            ledger: As for `open_batch`, where it was given then.

        Raises:
            CryptoError: The key is another, or the snapshot is damaged.
            LocalProtocolError: It is of the other kind of session, was written by a later version of this library, or
                the session was opened with another package.
            BadRequestError: KSeF does not know the session (21173): it is another environment's.
            ForbiddenError: It belongs to somebody else.
            LoginFailedError: KSeF refused the login.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /sessions/{referenceNumber}.
        """
        # Loaded by those who keep sessions.
        from .snapshot import BATCH_SNAPSHOT, ONLINE_SNAPSHOT

        api = self._authorized(None)
        if package is not None:
            from .batch import BatchSession
            from .uploads import Uploads

            batch = BATCH_SNAPSHOT.decrypt(snapshot, key)
            if batch.part_hashes != tuple(part.sha256 for part in package.parts):
                raise LocalProtocolError(f"Session {batch.reference_number} was opened with another package.")
            own = waiting_for_session(api, batch.reference_number)
            uploads = Uploads(
                own,
                batch.reference_number,
                package,
                batch.part_upload_requests,
                until=batch.upload_until,
                concurrency=concurrency,
                progress=progress,
                ledger=ledger,
            )
            history = self._history(api, batch.reference_number)
            # First of all: what is closed must be followed, not sent again.
            await history.look()
            return BatchSession(own, batch.reference_number, history, form_code=batch.form_code, uploads=uploads)
        online = ONLINE_SNAPSHOT.decrypt(snapshot, key)
        history = self._history(api, online.reference_number)
        await history.look()
        return OnlineSession(
            api,
            online.reference_number,
            history,
            valid_until=online.valid_until,
            form_code=online.form_code,
            encryption=online.encryption,
            activation=activation,
            is_resumed=True,
        )

    def keep_open(
        self,
        form_code: FormCode | str,
        *,
        features: Iterable[Feature | str] = (),
        activation: Cadence = ACTIVATION_CADENCE,
    ) -> SessionKeeper:
        """Keep one session always open: ``async with client.sessions.keep_open(FormCode.FA3) as sender:``.

        Args:
            form_code: As for `open_online`.
            features: As for `open_online`.
            activation: As for `open_online`.
        """
        from .keep_open import SessionKeeper

        wanted = tuple(features)
        api = self._authorized(None)

        async def open_session() -> OnlineSession:
            return await self.open_online(form_code, features=wanted, activation=activation)

        return SessionKeeper(open_session, api.now, report=api.report)

    def forget_keys(self) -> None:
        """Fetch the Ministry's keys anew for the next session.

        A session that is seen to end because KSeF could not decrypt something (415, 435) does so by itself.
        """
        self._keys.forget()

    def now(self) -> datetime:
        """Return the time at KSeF (UTC), to a second or so."""
        return self._api.now()

    def plan(
        self,
        count: int,
        sizes: int | Sequence[int],
        *,
        deadline: float | None = None,
        limits: ContextLimits | None = None,
        dated_today: int = 0,
    ) -> SendingPlan:
        """Return whether to send ``count`` invoices online or in how many batches, how long it takes, and what binds.

        Reckons with the rate limits this client keeps to (see `Pacing.adopt_limits`) and an untouched budget; the
        same with other limits is `ksef_async.protocol.planning.plan`.

        Args:
            count: How many invoices.
            sizes: Bytes of each: one number for all, or one for each of them.
            deadline: Seconds within which the last has to be in KSeF.
            limits: What a session of the context takes, from `KsefClient.limits`; by default what KSeF grants to all.
            dated_today: How many of them, which then come first, are dated today in Poland. None of these is left for
                after midnight, when it would be an offline invoice: `SendingPlan.online_invoices` go online, the others
                into batches opened before `SendingPlan.open_by`.

        Raises:
            LocalProtocolError: No invoices, sizes that do not fit their number, or an invoice larger than KSeF takes.
        """
        from ..protocol.planning import plan

        return plan(
            count,
            sizes,
            rates=self._api.pacer.limits,
            deadline=deadline,
            limits=limits,
            now=self.now() if dated_today else None,
            dated_today=dated_today or None,
        )

    async def status(self, reference_number: str) -> SessionStatus:
        """Ask KSeF how far a session of either kind is; see `Session.status`."""
        return await self._history(self._authorized(None), reference_number).look()

    def transitions(self, reference_number: str, cadence: Cadence = TRANSITION_CADENCE) -> Transitions:
        """Return the changes of state of a session of either kind, as an async iterator; see `Session.transitions`."""
        return Transitions(self._history(self._authorized(None), reference_number), reference_number, cadence)

    def list(self, session_filter: SessionFilter) -> TokenPages[SessionSummary]:
        """Return the context's sessions that fit ``session_filter``, newest first, 1,000 a page.

        Source: GET /sessions.
        """
        # Loaded by those who list.
        from ..resources.lists import list_by_token

        query = attrs.asdict(session_filter, recurse=False)
        return list_by_token(
            self._authorized(None), LIST_SESSIONS, lambda page: page.sessions, query=query, page_size=LARGEST_PAGE
        )

    def _history(self, api: Caller, reference_number: str) -> SessionHistory:
        history = self._histories.get(reference_number)
        if history is None:
            history = new_history(api, reference_number, forget_keys=self._keys.forget)
            self._histories[reference_number] = history
        return history

    def _authorized(self, access_token: str | None) -> Caller:
        if access_token is not None:
            return self._api.with_bearer(access_token)
        if not self._api.has_bearer:
            raise LocalProtocolError("A SessionManager on a Caller without a token needs an access_token each time.")
        return self._api


def _form_code(form_code: FormCode | str, known: Iterable[FormCode]) -> FormCode:
    try:
        found = FormCode(form_code)
        if found in known:
            return found
    except ValueError:
        pass
    names = ", ".join(code.system_code for code in known)
    raise LocalProtocolError(f"A session of this kind does not take the form {form_code!r}; KSeF takes {names}.")


def _wanted(features: Iterable[Feature | str]) -> dict[str, str] | None:
    wanted = ",".join(features)
    return {"X-KSeF-Feature": wanted} if wanted else None


async def _finish_or_close(
    api: Caller, opening: Callable[[Caller], Coroutine[Any, Any, OnlineSession]]
) -> OnlineSession:
    """Await an opening; when cancelled while KSeF may be at it, wait up to `OPEN_GRACE` and close what was opened.

    Args:
        api: How to call KSeF.
        opening: Opens a session with the caller that it is given.

    Raises:
        KsefError: As ``opening``.
    """
    in_flight = InFlight()
    task = asyncio.ensure_future(opening(api.tracked_by(in_flight)))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError as cancelled:
        # After an answer of success that cannot be read another session would be opened, only to be closed.
        if not in_flight.is_on_the_way:
            task.cancel()
        try:
            await finish(_close(task), OPEN_GRACE)
        except (KsefError, TimeoutError) as error:
            cancelled.add_note(f"The session being opened when this was cancelled: {error}")
            for note in getattr(error, "__notes__", ()):
                cancelled.add_note(note)
        raise


async def _close(opening: Awaitable[OnlineSession]) -> None:
    try:
        session = await opening
    except asyncio.CancelledError:
        return  # KSeF was not asked.
    try:
        await session.terminate()
    except KsefError as error:
        error.add_note(f"Session {session.reference_number} stays open.")
        raise
