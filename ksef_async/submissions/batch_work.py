"""A backlog in one batch session: KSeF processes nothing before the close, so until then it can be taken back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from ..client import KsefClient
from ..errors import KsefError
from ..models.sessions import FormCode
from ..protocol.invoices import MAX_SIZE
from ..protocol.packages import MAX_INVOICES
from ..protocol.planning import Route
from ..sessions.online import OnlineSession
from .context_journal import BATCH, ContextJournal, OpenSession
from .settings import Settings
from .trouble import Trouble

__all__ = ["BATCH_KIND", "choose_route", "send_batch"]

#: How the journal calls the kind of session.
BATCH_KIND: Final = "batch"

#: What is not worth a batch.
_SMALLEST: Final = 20


def choose_route(client: KsefClient, form_code: FormCode, count: int, size_bytes: int, settings: Settings) -> Route:
    """Whether ``count`` waiting submissions go one by one or in a batch.

    Args:
        client: Knows its rate limits.
        form_code: Of all of them; Peppol's go online only.
        count: How many are waiting that need not go at once.
        size_bytes: Of all together.
        settings: How long one by one may take.
    """
    if form_code.form == "PEF" or count < _SMALLEST:
        return Route.ONLINE
    within = timedelta(seconds=settings.online_within)
    return client.sessions.plan(count, max(1, min(size_bytes // count, MAX_SIZE)), deadline=within).route


async def send_batch(
    client: KsefClient, journal: ContextJournal, trouble: Trouble, form_code: FormCode, limit: int
) -> OnlineSession | None:
    """Pack what is waiting, upload it and close the session; the session to follow, or None when it did not work.

    Args:
        client: Of the context.
        journal: Of the context.
        trouble: Of the context.
        form_code: Of all documents.
        limit: How many at most.

    Raises:
        LeaseLostError: Another worker has taken the context over; the session was not closed.
    """
    # Loads the archive formats, which a program that sends one by one has no use for.
    from ..packing import pack

    batch = f"{BATCH}{uuid.uuid4().hex}"
    if not await journal.claim_batch(form_code, batch, min(limit, MAX_INVOICES)):
        return None
    name = batch
    try:
        async with pack(_files(journal, batch)) as package:
            session = await client.sessions.open_batch(package, form_code=form_code)
            await journal.send_batch_as(
                batch,
                OpenSession(
                    reference_number=session.reference_number, form_code=form_code, kind=BATCH_KIND, snapshot=None
                ),
            )
            name = session.reference_number
            await session.upload()
            await journal.still_mine()
            await session.terminate()
            return await client.sessions.attach(name)
    except KsefError as error:
        # Closed or not, KSeF's status tells: following it takes up what is in it, and takes back what is not.
        if name == batch:
            await journal.forget_session(batch, str(error))
        await trouble.wait_out(error, 1)
    return await _attached(client, trouble, name) if name != batch else None


async def _attached(client: KsefClient, trouble: Trouble, reference_number: str) -> OnlineSession:
    tries = 0
    while True:
        try:
            return await client.sessions.attach(reference_number)
        except KsefError as error:
            tries += 1
            await trouble.wait_out(error, tries)


async def _files(journal: ContextJournal, batch: str) -> AsyncIterator[tuple[str, bytes]]:
    async for digest, document in journal.documents(batch):
        yield f"{digest.hex()}.xml", document
