"""Opening an online session so that cancelling it leaves none open: KSeF's answer is waited for, and it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final

from ..api.keys import EncryptionInfo, PublicKeyUsage
from ..api.sessions import OPEN_ONLINE_SESSION, Feature, FormCode, OpenOnlineSessionRequest
from ..auth.access import AuthorizedCaller
from ..calling.events import Event, RequestAnswered, RequestFailed, RequestRetried, RequestSent
from ..calling.finishing import finish
from ..calling.keys import PublicKeys, wrap_new_key
from ..calling.polling import Cadence
from ..crypto.envelope import SessionCipher
from ..errors import KsefError, LocalProtocolError
from ..protocol.error_codes import ErrorCode
from .online import OnlineSession
from .transitions import SessionHistory

__all__ = ["OPEN_GRACE", "Histories", "finish_or_close", "open_online", "resume_online"]

Histories = Callable[[AuthorizedCaller, str], SessionHistory]
"""Returns the history of a session, by how to call KSeF and the session's reference number."""

OPEN_GRACE: Final = 10.0
"""Seconds that a cancelled opening may take to hear which session it opened, so that it can be closed."""


async def open_online(
    api: AuthorizedCaller,
    keys: PublicKeys,
    history: Histories,
    form_code: FormCode | str,
    *,
    encryption: EncryptionInfo | None,
    features: Iterable[Feature | str],
    activation: Cadence,
) -> OnlineSession:
    """See `SessionManager.open_online`."""
    try:
        form_code = FormCode(form_code)
    except ValueError:
        known = ", ".join(code.system_code for code in FormCode)
        raise LocalProtocolError(f"Unknown form code {form_code!r}; KSeF takes {known}.") from None
    wanted = ",".join(features)
    headers = {"X-KSeF-Feature": wanted} if wanted else None

    async def open_with(encryption: EncryptionInfo, observed: AuthorizedCaller) -> OnlineSession:
        SessionCipher(encryption.symmetric_key, encryption.initialization_vector)  # refuses wrong lengths
        request = OpenOnlineSessionRequest(form_code, encryption)
        opened = await observed.call(OPEN_ONLINE_SESSION, request, headers=headers)
        own = api.after_making(opened.reference_number, ErrorCode.UNKNOWN_SESSION)
        return OnlineSession(
            own,
            opened.reference_number,
            history(own, opened.reference_number),
            valid_until=opened.valid_until,
            opened_at=api.now(),
            form_code=form_code,
            encryption=encryption,
            activation=activation,
        )

    if encryption is not None:
        return await finish_or_close(api, partial(open_with, encryption))
    return await keys.use(
        PublicKeyUsage.SYMMETRIC_KEY_ENCRYPTION,
        lambda key: finish_or_close(api, partial(open_with, wrap_new_key(key))),
    )


async def resume_online(
    api: AuthorizedCaller, history: Histories, snapshot: bytes, key: bytes | str, *, activation: Cadence
) -> OnlineSession:
    """See `SessionManager.resume`."""
    # Loaded by those who keep sessions.
    from .snapshot import read_snapshot

    saved = read_snapshot(snapshot, key)
    seen = history(api, saved.reference_number)
    await seen.look()
    return OnlineSession(
        api,
        saved.reference_number,
        seen,
        valid_until=saved.valid_until,
        form_code=saved.form_code,
        encryption=saved.encryption,
        activation=activation,
        is_resumed=True,
    )


class _UnderWay:
    """A hook that knows whether KSeF may be opening a session right now."""

    def __init__(self) -> None:
        self.is_so = False

    def __call__(self, event: Event) -> None:
        # The last: after an answer of success that cannot be read another session would be opened, only to be closed.
        if not isinstance(event, RequestSent | RequestAnswered | RequestFailed | RequestRetried):
            return
        if event.operation == OPEN_ONLINE_SESSION.name:
            opened = isinstance(event, RequestAnswered) and 200 <= event.http_status < 300
            self.is_so = isinstance(event, RequestSent) or opened


async def finish_or_close(
    api: AuthorizedCaller, opening: Callable[[AuthorizedCaller], Coroutine[Any, Any, OnlineSession]]
) -> OnlineSession:
    """Await an opening; when cancelled while KSeF may be at it, wait up to `OPEN_GRACE` and close what was opened.

    Args:
        api: How to call KSeF.
        opening: Opens a session with what it is given to call KSeF with.

    Raises:
        KsefError: As ``opening``.
    """
    under_way = _UnderWay()
    task = asyncio.ensure_future(opening(api.observed(under_way)))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError as cancelled:
        if not under_way.is_so:
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
