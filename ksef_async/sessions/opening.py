"""Opening a session so that cancelling it loses none: what KSeF is opening meanwhile is heard of, and closed again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from ..auth.access import AuthorizedCaller
from ..errors import KsefError
from ..models.events import Event, RequestAnswered, RequestFailed, RequestSent
from ..operations.sessions import OPEN_ONLINE_SESSION
from ..shielding import finish
from .online import OnlineSession

__all__ = ["OPEN_GRACE", "finish_or_close"]

#: Seconds that a cancelled opening may take to hear which session it opened, so that it can be closed.
OPEN_GRACE: Final = 10.0


class _UnderWay:
    """A hook that knows whether KSeF may be opening a session right now."""

    def __init__(self) -> None:
        self.is_so = False

    def __call__(self, event: Event) -> None:
        if not isinstance(event, RequestSent | RequestAnswered | RequestFailed):
            return
        if event.operation == OPEN_ONLINE_SESSION.name:
            opened = isinstance(event, RequestAnswered) and event.http_status == OPEN_ONLINE_SESSION.success
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
