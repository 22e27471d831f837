"""Opening sessions, finding them again, and listing them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, overload
from weakref import WeakValueDictionary

import attrs

from ..api.keys import EncryptionInfo, PublicKeyUsage
from ..api.sessions import LIST_SESSIONS, Feature, FormCode, SessionFilter, SessionStatus, SessionSummary
from ..calling.caller import Caller
from ..calling.keys import PublicKeys, wrap_new_key
from ..calling.paging import TokenPages
from ..calling.polling import Cadence
from ..errors import LocalProtocolError
from .online import ACTIVATION_CADENCE, OnlineSession
from .opening import open_online, resume_online
from .session import Session
from .tracking import LARGEST_PAGE
from .transitions import TRANSITION_CADENCE, SessionHistory, Transitions

if TYPE_CHECKING:
    from ..api.limits import ContextLimits
    from ..api.packages import ProgressHook
    from ..packing import Package
    from ..protocol.planning import Plan
    from .batch import BatchSession
    from .keeper import SessionKeeper
    from .uploads import UploadLedger

__all__ = ["UPLOAD_CONCURRENCY", "SessionManager"]

UPLOAD_CONCURRENCY: Final = 8
"""How many parts of a package are uploaded at once: enough that the pauses between parts hardly count."""


class SessionManager:
    """Opens sessions. `KsefClient.sessions` is one; this is the low-level way to another.

    Args:
        api: How to call KSeF: a `Caller` when every call brings its own ``access_token``.
        keys: The Ministry's public keys; by default fetched through ``api``.
    """

    def __init__(self, api: Caller, keys: PublicKeys | None = None) -> None:
        self._api = api
        self._keys = keys or PublicKeys(api)
        # Weak: what nobody listens to any more need not be remembered.
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
        one nobody heard of takes no invoices, and expires by itself after 12 hours.

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
            TransportError, ApiError, RemoteProtocolError: A call failed, again and again. A session may exist that
                nobody knows; it can be found with `list` and closed by `attach`.

        Source: POST /sessions/online; sesja-interaktywna.md, section 1.
        """
        return await open_online(
            self._authorized(access_token),
            self._keys,
            self._history,
            form_code,
            encryption=encryption,
            features=features,
            activation=activation,
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
        with the same package, as `send_batch` does. When KSeF's answer is lost this opens another, too; the one nobody
        heard of gets no package, and expires by itself.

        Args:
            package: From `ksef_async.packing.pack`.
            form_code: What kind of document all of its invoices are; a string is a system code, e.g. ``"FA (3)"``.
            offline: True when its invoices were issued in an offline mode.
            features: Asked for in ``X-KSeF-Feature``.
            access_token: A JWT to use throughout; by default the login's, refreshed as needed.
            concurrency: How many parts are uploaded at once.
            progress: Is told how far uploading and processing are.
            ledger: Where it is written down which parts are in, for `resume`; by default in a file beside them.

        Raises:
            LocalProtocolError: A form that no batch session takes, or no access token; nothing was sent.
            CryptoError: KSeF offers no usable public key.
            LoginFailedError: KSeF refused the login.
            TransportError, ApiError, RemoteProtocolError: A call failed, again and again.

        Source: POST /sessions/batch; sesja-wsadowa.md.
        """
        # Loads packing, which a program that sends one by one has no use for.
        from .batch_opening import open_batch

        return await open_batch(
            self._authorized(access_token),
            self._keys,
            self._history,
            package,
            form_code=form_code,
            offline=offline,
            features=features,
            concurrency=concurrency,
            progress=progress,
            ledger=ledger,
        )

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
            The session that KSeF has processed; its ``outcomes`` tell of each invoice.

        Raises:
            SessionFailedError: The package holds too many invoices (420), or the fourth session failed as well.
            KsefError: As `open_batch`, and as entering and leaving the session.
        """
        from .batch import BATCH_CADENCE
        from .batch_opening import send_batch

        given = partial(self.open_batch, package, form_code=form_code, offline=offline, features=tuple(features))
        open_session = partial(given, concurrency=concurrency, progress=progress)
        return await send_batch(open_session, cadence or BATCH_CADENCE)

    async def new_encryption(self) -> EncryptionInfo:
        """A fresh session key, for those who open a session here and send in it elsewhere.

        Raises:
            CryptoError: KSeF offers no usable key.
            TransportError, ApiError, RemoteProtocolError: The keys could not be fetched.
        """
        return wrap_new_key(await self._keys.get(PublicKeyUsage.SYMMETRIC_KEY_ENCRYPTION))

    async def attach(
        self,
        reference_number: str,
        *,
        encryption: EncryptionInfo | None = None,
        access_token: str | None = None,
        activation: Cadence = ACTIVATION_CADENCE,
    ) -> OnlineSession:
        """A session that was opened elsewhere: to follow, close, or fetch the UPO of; with its key, to send in.

        Args:
            reference_number: 36 characters, given by KSeF at the opening.
            encryption: The session's key, as it was given or made at the opening.
            access_token: A JWT to use throughout; by default the login's, refreshed as needed.
            activation: How often to look for activation on entering, and for how long.

        Raises:
            BadRequestError: KSeF does not know the session (21173).
            ForbiddenError: It belongs to somebody else.
            CryptoError: ``encryption`` holds a key of the wrong length.
            LoginFailedError, TransportError, ApiError, RemoteProtocolError: A call failed.

        Source: GET /sessions/{referenceNumber}.
        """
        api = self._authorized(access_token)
        history = self._history(api, reference_number)
        status = await history.look()
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
            LoginFailedError, TransportError, ApiError, RemoteProtocolError: A call failed.

        Source: GET /sessions/{referenceNumber}.
        """
        api = self._authorized(None)
        if package is not None:
            from .batch_opening import resume_batch

            return await resume_batch(
                api, self._history, snapshot, key, package, concurrency=concurrency, progress=progress, ledger=ledger
            )
        return await resume_online(api, self._history, snapshot, key, activation=activation)

    def keep_open(
        self,
        form_code: FormCode | str,
        *,
        features: Iterable[Feature | str] = (),
        activation: Cadence = ACTIVATION_CADENCE,
    ) -> SessionKeeper:
        """One session that is always open: ``async with client.sessions.keep_open(FormCode.FA3) as sender:``.

        Args:
            form_code: As for `open_online`.
            features: As for `open_online`.
            activation: As for `open_online`.
        """
        from .keeper import SessionKeeper

        wanted = tuple(features)
        api = self._authorized(None)

        async def open_session() -> OnlineSession:
            return await self.open_online(form_code, features=wanted, activation=activation)

        return SessionKeeper(open_session, api.now)

    def forget_keys(self) -> None:
        """Fetch the Ministry's keys anew for the next session.

        A session that is seen to end because KSeF could not decrypt something (415, 435) does so by itself.
        """
        self._keys.forget()

    def now(self) -> datetime:
        """What time it is at KSeF (UTC), to a second or so."""
        return self._api.now()

    def plan(
        self,
        count: int,
        sizes: int | Sequence[int],
        *,
        deadline: timedelta | None = None,
        limits: ContextLimits | None = None,
    ) -> Plan:
        """Whether to send ``count`` invoices online or in how many batches, how long that takes, and what binds.

        Reckons with the rate limits this client keeps to (see `Pacing.adopt_limits`) and an untouched budget; the
        same with other limits is `ksef_async.protocol.planning.plan`.

        Args:
            count: How many invoices.
            sizes: Bytes of each: one number for all, or one for each of them.
            deadline: Within which time the last has to be in KSeF.
            limits: What a session of the context takes, from `KsefClient.limits`; by default what KSeF grants to all.

        Raises:
            LocalProtocolError: No invoices, sizes that do not fit their number, or an invoice larger than KSeF takes.
        """
        from ..protocol.planning import plan

        return plan(count, sizes, rates=self._api.pacer.limits, deadline=deadline, limits=limits)

    async def status(self, reference_number: str) -> SessionStatus:
        """Ask KSeF how far a session is; see `Session.status`."""
        return await self._session(reference_number).status()

    def transitions(self, reference_number: str, cadence: Cadence = TRANSITION_CADENCE) -> Transitions:
        """A session's changes of state as an async iterator; see `Session.transitions`."""
        return self._session(reference_number).transitions(cadence)

    def list(self, session_filter: SessionFilter) -> TokenPages[SessionSummary]:
        """The context's sessions that fit ``session_filter``, newest first, 1,000 a page.

        Source: GET /sessions.
        """
        # Loaded by those who list.
        from ..resources.lists import list_by_token

        query = attrs.asdict(session_filter, recurse=False)
        return list_by_token(
            self._authorized(None), LIST_SESSIONS, lambda page: page.sessions, query=query, page_size=LARGEST_PAGE
        )

    def _session(self, reference_number: str) -> Session:
        api = self._authorized(None)
        return Session(api, reference_number, self._history(api, reference_number))

    def _history(self, api: Caller, reference_number: str) -> SessionHistory:
        history = self._histories.get(reference_number)
        if history is None:
            history = Session.new_history(api, reference_number, forget_keys=self._keys.forget)
            self._histories[reference_number] = history
        return history

    def _authorized(self, access_token: str | None) -> Caller:
        if access_token is not None:
            return self._api.with_bearer(access_token)
        if not self._api.has_bearer:
            raise LocalProtocolError("A SessionManager on a Caller without a token needs an access_token each time.")
        return self._api
