"""Opening an online session so that cancelling it leaves none open: KSeF's answer is waited for, and it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final

from ..api.keys import EncryptionInfo, PublicKeyUsage
from ..api.sessions import OPEN_ONLINE_SESSION, Feature, FormCode, OpenOnlineSessionRequest
from ..calling.caller import Caller, InFlight
from ..calling.finishing import finish
from ..calling.keys import PublicKeys, wrap_new_key
from ..calling.polling import Cadence
from ..crypto.envelope import SessionCipher
from ..errors import ApiError, BadRequestError, KsefError, LocalProtocolError
from ..protocol.error_codes import ErrorCode
from .online import OnlineSession
from .transitions import SessionHistory

__all__ = ["OPEN_GRACE", "Histories", "finish_or_close", "open_online", "resume_online", "waiting_for_session"]

Histories = Callable[[Caller, str], SessionHistory]
"""Returns the history of a session, by how to call KSeF and the session's reference number."""

OPEN_GRACE: Final = 10.0
"""Seconds that a cancelled opening may take to hear which session it opened, so that it can be closed."""


async def open_online(
    api: Caller,
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

    async def open_with(encryption: EncryptionInfo, tracked: Caller) -> OnlineSession:
        SessionCipher(encryption.symmetric_key, encryption.initialization_vector)  # refuses wrong lengths
        request = OpenOnlineSessionRequest(form_code, encryption)
        opened = await tracked.call(OPEN_ONLINE_SESSION, request, headers=headers)
        own = waiting_for_session(api, opened.reference_number)
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
    api: Caller, history: Histories, snapshot: bytes, key: bytes | str, *, activation: Cadence
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


async def finish_or_close(
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


def waiting_for_session(api: Caller, reference_number: str) -> Caller:
    """Return a caller for a session that was opened just now, which not every part of KSeF knows yet."""

    def is_early(error: ApiError) -> bool:
        return isinstance(error, BadRequestError) and error.code == ErrorCode.UNKNOWN_SESSION

    return api.waiting_for_agreement(is_early, about=reference_number)
