"""`Submissions`: takes invoices from users, and returns what became of them."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Self

import anyio
import attrs
from sqlalchemy.ext.asyncio import AsyncConnection

from ..api.environment import Environment
from ..calling.finishing import finish
from ..calling.opened import Opened
from ..errors import LocalProtocolError
from ..protocol.offline import OfflineMode
from ..protocol.verification_links import InvoiceFingerprint
from .database import Database
from .deadline_watch import DeadlineWatch
from .faults import Guarded, journal_faults, transaction
from .grouping import Grouped, answered
from .intake import NewDocument, hand_in
from .issuing import correction_of, issue, link_of
from .models import IssuedInvoice, Priority, Settings, Submission, SubmissionState, UnknownSubmissionError
from .store import Position, Store, look_up
from .transactions import Transaction
from .vault import Vault
from .worker import Clients, Engine, Worker, beside, check_nips, check_open, client_of, endings, journal_outage

if TYPE_CHECKING:
    from ..auth.offline_signing import OfflineSigner

__all__ = ["Submissions"]

# Seconds that sending lets those go first who submit: they wait for an answer, and have it sooner so.
_PATIENCE: Final = 0.1
# Submissions read at once while they are iterated over.
_PAGE: Final = 500


class Submissions(anyio.AsyncContextManagerMixin):
    """A journal of invoices to deliver: ``async with Submissions(url, client=client) as submissions:``.

    Entering makes or migrates the tables and delivers nothing; `running` delivers. A fault of the database is a
    `JournalError`, of whatever call; one that is made outside of the block is a `LocalProtocolError`.

    Args:
        url: SQLAlchemy's: ``sqlite:///journal.db`` (in this folder; ``sqlite:////srv/journal.db`` elsewhere),
            ``postgresql+asyncpg://...``, ``postgresql+psycopg://...``.
        client: Who delivers: a client, NIP -> client, or a function NIP -> client that raises LookupError for a NIP
            it does not know. The clients are the caller's to enter and to leave. None in a process that only
            submits and reads.
        keys: Fernet keys, the newest first: documents, session keys and UPO are encrypted with the first, and read
            with any. Without one documents and UPO are stored in clear; session keys are not stored, so after a
            crash a session is closed and settled, but nothing more is sent in it.
        engine: Distributes the work among workers; by default each process looks for its own.
        settings: How the work is done.
        environment: Where invoices are sent, for their verification codes; by default the client's.

    Raises:
        LocalProtocolError: A key of a mapping of clients is no NIP.
        ConfigurationError: ``url`` cannot be read, leads to another kind of database, or its driver is not installed.
        CryptoError: A key is no Fernet key.
    """

    def __init__(
        self,
        url: str,
        *,
        client: Clients | None = None,
        keys: Sequence[bytes | str] = (),
        engine: Engine | None = None,
        settings: Settings | None = None,
        environment: Environment | None = None,
    ) -> None:
        self._opened = Opened("Submissions", "submissions")
        self._database = Database(url)
        self._vault = Vault(keys)
        self._store = Store(Guarded(self._database, self._opened.check))
        self._lookup = Grouped(self._database.read, look_up)
        self._intake = Grouped(
            self._database.write, partial(hand_in, self._vault), weigh=lambda document: len(document.xml)
        )
        check_nips(client)
        self._clients = client
        self._environment = environment
        self._engine = engine
        self._settings = settings or Settings()
        self._worker: Worker | None = None

    def __repr__(self) -> str:
        state = "delivering" if self._worker else "open" if self._opened.is_open else "not open"
        return f"<Submissions {self._database}, {state}>"

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        """Open the journal, and close it at the end of the block."""
        self._opened.begin()
        try:
            async with AsyncExitStack() as stack:
                with journal_faults(self._database):
                    await self._database.migrate()
                if self._engine is not None:
                    await stack.enter_async_context(self._engine.open())
                yield self
        finally:
            self._opened.end()
            await finish(self._close(), math.inf)

    async def _close(self) -> None:
        await self._intake.aclose()
        await self._lookup.aclose()
        await self._database.aclose()

    @property
    def commits(self) -> int:
        """Number of transactions that this process has committed to the journal."""
        return self._database.commits

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Deliver while the block lasts: ``async with submissions.running():``, on the caller's loop.

        Deadlines are reported meanwhile, as by `watching_deadlines`, also those of what cannot be delivered.

        A database that cannot be reached for a while, the journal's or the engine's, is waited for, and then all goes
        on; one that refuses for good (a wrong password, a table that is gone) ends the delivery with its error.

        Leaving it stops sending; what is under way is in the journal, and the next who runs goes on with it. It may be
        left by another task than entered it, as by a fixture of pytest-asyncio.

        Raises:
            JournalBusyError: Another process delivers from this SQLite journal.
            LocalProtocolError: There is no client to deliver with, or it is not open; or this delivers already.
            JournalError: The database refuses for good.
            Exception: The engine's own, where it does.
        """
        self._opened.check()
        if self._clients is None:
            raise LocalProtocolError("These Submissions have no client to deliver with.")
        if self._worker is not None:
            raise LocalProtocolError("These Submissions deliver already.")
        check_open(self._clients)
        yield_to_intake = partial(self._intake.wait_idle, _PATIENCE)
        worker = Worker(self._database, self._vault, self._clients, self._engine, self._settings, yield_to_intake)
        async with beside(worker.run):
            self._worker = worker
            try:
                yield
            finally:
                self._worker = None

    @asynccontextmanager
    async def watching_deadlines(self) -> AsyncGenerator[None]:
        """Report deadlines while the block lasts, and move them by what Latarnia announces, but deliver nothing.

        For a process that only submits, so that deadlines are reported also while nobody delivers. `running` does the
        same. Each deadline is reported once when it is near and once when it has passed, by the first process that sees
        it and has a client of the context.

        Raises:
            LocalProtocolError: There is no client to report events with, or it is not open.
            JournalError: The database refuses for good; one that cannot be reached for a while is waited for.
        """
        self._opened.check()
        if self._clients is None:
            raise LocalProtocolError("These Submissions have no client to report deadlines with.")
        check_open(self._clients)
        outage = journal_outage(self._database, self._settings)
        watch = DeadlineWatch(self._database, partial(client_of, self._clients), self._settings, outage)

        async def run(ready: Callable[[], None]) -> None:
            ready()
            with journal_faults(self._database):
                await watch.run()

        async with beside(run):
            yield

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection]:
        """Begin a transaction on the journal's database, for ``tx`` of `submit`; the end of the block commits it.

        Raises:
            JournalError: It cannot be begun, or not be committed. What the block raises is left as it is.
        """
        self._opened.check()
        async with transaction(self._database) as connection:
            yield connection

    async def submit(
        self,
        xml: bytes,
        *,
        key: str | None = None,
        tx: Transaction | None = None,
        priority: int = 0,
        nip: str | None = None,
        offline: OfflineMode | None = None,
        corrects: bytes | None = None,
        signer: OfflineSigner | None = None,
    ) -> Submission:
        """Write one invoice into the journal; once that is committed, it will be delivered.

        The same document again is the same submission, whatever became of it (see `retry`). With ``offline`` it
        becomes one issued offline, with its deadline and its link, unless it was before or KSeF has decided on it
        (see its state). What is queued or held goes as an offline invoice from then on. What is being sent by then
        (`SubmissionState.SENDING`, `TAKEN_IN`) goes on as it was begun, and as an offline invoice only if KSeF turns
        out not to have it; `Submission.invoicing_mode` has in the end the mode that KSeF gave it.

        Args:
            xml: The document, UTF-8 without BOM.
            key: The caller's own, e.g. an order number; unique among those of one context.
            tx: The caller's transaction in the journal's database: an SQLAlchemy AsyncConnection or AsyncSession,
                or a connection of asyncpg, psycopg or aiosqlite. It is not committed here. By default a transaction
                of its own, committed on return.
            priority: The higher, the sooner (`Priority.URGENT` is 100).
            nip: The context it is sent in; by default the seller's.
            offline: The mode in which the invoice was issued offline; it has a deadline then (`Submission.due_by`).
            corrects: For a technical correction: SHA-256 (32 bytes) of the rejected offline invoice, which is the
                ``invoice_hash`` of its submission; see also `correct`.
            signer: Of an invoice issued offline: signs KOD II, whose link is kept (`Submission.certificate_link`).

        Raises:
            LocalProtocolError: The file is not fit to be sent; or seller, kind or number cannot be read in it; an
                invoice issued offline has no date, or was issued in a total failure; ``corrects`` or ``signer`` without
                ``offline``; ``corrects`` for a document that is delivered as something else.
            CryptoError: The signer's certificate is not valid now.
            DocumentError: KSeF would refuse the document (unless ``Settings(check=False)``); ``report`` says why.
            IdentityTakenError: The context has another document of the same seller, kind and number (not rejected,
                not cancelled), or with the same key. What another context has is nothing to it.
        """
        self._opened.check()
        if signer is not None and offline is None:
            raise LocalProtocolError("Only an invoice issued offline is signed for: say in which mode, with offline.")
        document = NewDocument(
            xml=xml,
            key=key,
            nip=nip,
            priority=int(priority),
            offline=offline,
            corrects=corrects,
            certificate_link=None if signer is None else await self._sign(InvoiceFingerprint.of(xml), signer, nip),
            check=self._settings.check,
        )
        if tx is not None:
            # When it is committed is not known here: it is found at the next look.
            return answered((await hand_in(self._vault, tx, [document]))[0])
        return await self._hand_in(document)

    async def _hand_in(self, document: NewDocument) -> Submission:
        with journal_faults(self._database):
            return self._woken(await self._intake.ask(document))

    def _woken(self, submission: Submission) -> Submission:
        """Have a queued submission delivered soon, if this process delivers."""
        if self._worker is not None:
            self._worker.wake(submission.nip)
        return submission

    async def issue(
        self,
        xml: bytes,
        *,
        signer: OfflineSigner | None = None,
        within: float = 5.0,
        key: str | None = None,
        nip: str | None = None,
        priority: int = Priority.URGENT,
    ) -> IssuedInvoice:
        """Issue an invoice while the customer waits: online if KSeF answers in time, otherwise offline.

        It is in the journal before anything else, so it is delivered whatever dies meanwhile. When the time is over
        and KSeF has not decided, it becomes an offline invoice (`OfflineMode.OFFLINE24`) with a deadline and both
        codes, and is delivered in the background. What was under way by then is not sent a second time unless KSeF
        turns out not to have it; `Submission.invoicing_mode` has in the end the mode that KSeF gave it.

        The same document again is the same invoice: one that was issued offline is returned at once as it was.

        Args:
            xml: The document, UTF-8 without BOM.
            signer: Signs KOD II, if it comes to that. None where nobody does: what KSeF has not decided in time is not
                issued then, and stays in the journal as an online invoice.
            within: Seconds after which it is issued offline. Writing to the journal, and a signing hook that takes
                longer than half of it, come on top.
            key: The caller's own, as for `submit`.
            nip: The context it is sent in; by default the seller's.
            priority: The higher, the sooner, while the customer waits; afterwards it is an ordinary one.

        Raises:
            NotIssuedError: KSeF refused it, or it was taken back: it cannot be handed out.
            WaitTimeoutError: KSeF has not decided in time, and there is no ``signer``.
            LocalProtocolError: The file is not fit to be sent, its date cannot be read, or it is not known where it is
                sent: this has neither a client nor an ``environment``. Or it was issued offline before, without KOD II,
                and there is no ``signer``.
            DocumentError: KSeF would refuse the document, as for `submit`.
            IdentityTakenError: Another document has its place, as for `submit`.
            CryptoError: The signer's certificate is not valid now; nothing was written.
        """
        self._opened.check()
        began = anyio.current_time()
        fingerprint = InvoiceFingerprint.of(xml)
        context = nip or fingerprint.seller_nip
        environment = self._environment_of(context)
        if signer is not None:
            signer.certificate.check_valid(self._now_of(context))
        document = NewDocument(
            xml=xml, key=key, nip=nip, priority=int(priority), offline=None, corrects=None, check=self._settings.check
        )
        submission = await self._hand_in(document)
        return await issue(
            submission,
            fingerprint,
            within=within - (anyio.current_time() - began),
            environment=environment,
            sign=None if signer is None else partial(self._sign, fingerprint, signer, context),
            get=self.get,
            store=self._store,
        )

    async def correct(
        self, submission_id: int, xml: bytes, *, signer: OfflineSigner | None = None, key: str | None = None
    ) -> Submission:
        """Write the technical correction of a rejected offline invoice into the journal, to be delivered like any.

        The content stays the same; what is corrected is what KSeF refused the file for. Its deadline is that of the
        original. KOD I of the original leads to the correction once KSeF has it, so the customer's paper stays good.

        Args:
            submission_id: Of the rejected invoice.
            xml: The corrected document.
            signer: Signs KOD II of the corrected document, whose link is kept.
            key: The caller's own; the rejected one keeps its key.

        Raises:
            UnknownSubmissionError: There is no such submission.
            LocalProtocolError: It is no rejected offline invoice, KSeF refused it for want of a permission, or ``xml``
                is the very file that was rejected, or has another seller, kind, number or date.
            DocumentError: KSeF would refuse the document, as for `submit`.
            IdentityTakenError: Another document has taken its place.
            CryptoError: The signer's certificate is not valid now.
        """
        original = await self.get(submission_id)
        link = None if signer is None else await self._sign(InvoiceFingerprint.of(xml), signer, original.nip)
        document = correction_of(original, xml, key=key, certificate_link=link, check=self._settings.check)
        return await self._hand_in(document)

    async def _sign(self, fingerprint: InvoiceFingerprint, signer: OfflineSigner, nip: str | None) -> str:
        """Return the link of KOD II."""
        context = nip or fingerprint.seller_nip
        return await link_of(fingerprint, signer, context, self._environment_of(context), self._now_of(context))

    def _environment_of(self, context: str) -> Environment:
        if self._environment is not None:
            return self._environment
        if self._clients is None:
            raise LocalProtocolError("It is not known where the invoice is sent: give Submissions its environment.")
        return client_of(self._clients, context).environment

    def _now_of(self, context: str) -> datetime:
        """Return KSeF's time where a client knows it."""
        return datetime.now(UTC) if self._clients is None else client_of(self._clients, context).sessions.now()

    async def get(
        self, submission_id: int | None = None, *, key: str | None = None, nip: str | None = None
    ) -> Submission:
        """Return one submission, by its id or by the caller's key.

        Args:
            submission_id: Of the submission; or else ``key``.
            key: The caller's own.
            nip: Its context; another's is as if it were not there. By default any.

        Raises:
            UnknownSubmissionError: There is none.
            LocalProtocolError: Several contexts have the key, and ``nip`` is not given.
        """
        if (submission_id is None) == (key is None):
            raise LocalProtocolError("A submission is looked up by its id, or else by its key.")
        self._opened.check()
        with journal_faults(self._database):
            known: tuple[Submission, ...] = await self._lookup.ask((submission_id, key))
        found = [submission for submission in known if nip is None or submission.nip == nip]
        if not found:
            raise UnknownSubmissionError(f"There is no submission {submission_id if key is None else repr(key)}.")
        if len(found) > 1:
            raise LocalProtocolError(f"Several companies have a submission {key!r}: say which one, with nip.")
        return found[0]

    async def list(
        self, *, nip: str | None = None, states: Collection[SubmissionState] = ()
    ) -> AsyncIterator[Submission]:
        """Iterate over all submissions in the order of their ids; they are read page by page.

        Args:
            nip: Only those of this context; by default those of all.
            states: Only those in one of these states; by default in any.
        """
        after = 0
        while page := await self._store.list(nip, states, after, _PAGE):
            for submission in page:
                yield submission
            after = page[-1].id

    async def list_page(
        self, *, nip: str | None = None, states: Collection[SubmissionState] = (), after: int = 0, limit: int = 100
    ) -> tuple[Submission, ...]:
        """Return a page of submissions in the order of their ids.

        Args:
            nip: Only those of this context; by default those of all.
            states: Only those in one of these states; by default in any.
            after: The last id of the page before.
            limit: The most submissions to return.
        """
        return await self._store.list(nip, states, after, limit)

    async def find(
        self,
        names: Collection[str] = (),
        *,
        hashes: Collection[bytes] = (),
        has_upo: bool | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> tuple[Submission, ...]:
        """Find submissions by what people have at hand; return a page in the order of their ids.

        Args:
            names: Ids, invoice numbers or KSeF numbers, each of which may be that of several; a few hundred at once.
            hashes: SHA-256 of documents (32 bytes each), in place of names or besides.
            has_upo: Only those with their UPO, or only those without: not accepted, or not yet confirmed.
            after: Where the page before has ended.
            limit: Of a page.
        """
        return await self._store.find(names, hashes, has_upo, after, limit)

    async def count(self, *, nip: str | None = None) -> dict[SubmissionState, int]:
        """Return the number of submissions in each state."""
        return await self._store.count(nip)

    async def document(self, submission_id: int) -> bytes:
        """Return the document as it was submitted.

        Raises:
            UnknownSubmissionError: There is none.
            CryptoError: It was encrypted with another key.
        """
        stored = await self._store.document(submission_id)
        if stored is None:
            raise UnknownSubmissionError(f"There is no submission {submission_id}.")
        return await self._vault.unlock(stored)

    async def upo(self, submission_id: int) -> bytes:
        """Return the UPO that confirms the invoice, as KSeF issued it: its session's page, or for a duplicate its own.

        Raises:
            UnknownSubmissionError: There is no such submission.
            LocalProtocolError: It has no UPO, or not yet: ``has_upo`` is False.
            CryptoError: It was encrypted with another key.
        """
        stored = await self._store.upo(submission_id)
        if stored is None:
            submission = await self.get(submission_id)
            raise LocalProtocolError(f"Submission {submission_id} is {submission.state.value} and has no UPO yet.")
        return await self._vault.unlock(stored)

    async def watch(self, submission_id: int) -> AsyncIterator[Submission]:
        """Iterate over the submission now and after each change, until it is terminal and, if accepted, has its UPO.

        Raises:
            UnknownSubmissionError: There is none.
        """
        last: Submission | None = None
        while True:
            seen = await self.get(submission_id)
            if seen != last:
                last = seen
                yield seen
            if seen.has_upo or (seen.state.is_terminal and seen.state is not SubmissionState.ACCEPTED):
                return
            await anyio.sleep(self._settings.poll_interval)

    async def results(self, *, nip: str | None = None) -> AsyncIterator[Submission]:
        """Iterate over accepted, rejected, conflicting and held submissions as they become so, without end.

        An iterator yields each once, and so does every later one until it is acknowledged: at least once in all.
        """
        yielded: dict[int, Submission] = {}
        while True:
            unacknowledged: set[int] = set()
            position: Position | None = None
            while True:
                found, position = await self._store.unacknowledged(nip, position)
                for submission in found:
                    before = yielded.get(submission.id)
                    unacknowledged.add(submission.id)
                    if before is None or _has_ended_anew(before, submission):
                        yielded[submission.id] = submission
                        yield submission
                if position is None:
                    break
            # What was acknowledged need not be remembered.
            yielded = {number: yielded[number] for number in unacknowledged}
            await anyio.sleep(self._settings.poll_interval)

    async def acknowledge(self, submission_id: int) -> None:
        """Note that a result was handled; `results` does not yield it again."""
        await self._store.acknowledge(submission_id)

    async def retry(self, submission_id: int) -> Submission:
        """Put a rejected, conflicting or cancelled submission back into the queue.

        Raises:
            UnknownSubmissionError: There is none.
            IdentityTakenError: Another document with its seller, kind and number has taken its place.
            LocalProtocolError: It is in another state.
        """
        submission = await self._store.retry(await self.get(submission_id))
        if submission is None:
            raise await self._refusal(submission_id, "cannot be retried")
        return self._woken(submission)

    async def release(self, submission_id: int, *, signer: OfflineSigner | None = None) -> Submission:
        """Have a held submission (`SubmissionState.HELD`) sent as an invoice issued offline (``OFFLINE24``).

        The other decision is `cancel`: its seller, kind and number are free then, e.g. for the same invoice with
        another date.

        Args:
            submission_id: Of the submission.
            signer: Signs KOD II, which it needs from now on; the link is kept (`Submission.certificate_link`).

        Raises:
            UnknownSubmissionError: There is none.
            LocalProtocolError: It is not held.
            CryptoError: The signer's certificate is not valid now; it is held still.
        """
        held, link = await self.get(submission_id), None
        if signer is not None and held.state is SubmissionState.HELD:
            link = await self._sign(held.fingerprint, signer, held.nip)
        submission = await self._store.release(held, link)
        if submission is None:
            raise await self._refusal(submission_id, "cannot be released: only what is held can")
        return self._woken(submission)

    async def cancel(self, submission_id: int) -> Submission:
        """Take a submission back that has not been sent.

        Raises:
            UnknownSubmissionError: There is none.
            LocalProtocolError: It is being sent, or was.
        """
        submission = await self._store.cancel(submission_id)
        if submission is None:
            raise await self._refusal(submission_id, "cannot be taken back")
        return submission

    async def _refusal(self, submission_id: int, what: str) -> LocalProtocolError:
        now = await self.get(submission_id)
        return LocalProtocolError(f"Submission {submission_id} is {now.state.value} and {what}.")

    async def wait_until_settled(self, *, nip: str | None = None) -> None:
        """Wait until every submission is terminal, and every session closed and its UPO in the journal."""
        # Other processes deliver, too: there is nothing to wait for but the journal.
        while await self._store.has_work(nip):  # noqa: ASYNC110
            await anyio.sleep(self._settings.poll_interval)

    async def troubles(self) -> dict[str, str]:
        """Return what keeps each context (NIP) from being delivered at present, for people; empty when all is well.

        What was not sent before the midnight of its date is included until it is accepted, or decided about; so is a
        certificate, or a token, that is near its end.
        """
        troubles = await self._store.troubles()
        for ending in endings(self._clients):
            nip = ending.nip or ""
            troubles[nip] = "; ".join(filter(None, (troubles.get(nip), str(ending))))
        return troubles


def _has_ended_anew(before: Submission, now: Submission) -> bool:
    """Return whether more has changed than that the UPO has come, which is no result."""
    return attrs.evolve(now, has_upo=before.has_upo, updated_at=before.updated_at) != before
