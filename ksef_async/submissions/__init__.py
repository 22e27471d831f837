"""Durable submissions: an invoice handed over in the user's own transaction is delivered once, whatever dies.

``from ksef_async.submissions import Submissions``; needs the extra ``durable``, or ``postgres``, or ``procrastinate``.

The way of one invoice, file by file:

1. ``outbox``: `Submissions.submit` takes it. Those who submit at once share a transaction (``grouping``), unless they
   have one of their own (``transactions``).
2. ``intake``: seller, kind and number are read in it. The same document is the same submission, another one with the
   same number is refused; anything else becomes a row in the state `queued`, encrypted by ``vault`` (``store``, on the
   tables of ``schema``, in SQLite or PostgreSQL by ``database``). When it is due stands in ``deadlines``; what is due
   sooner is claimed first.
3. ``worker``: finds that its context (NIP) has work, or is asked by an `Engine` (``procrastinate``), and takes the
   context's lease (``leases``): from now on nobody else delivers for it, and every write asks whether that is still so.
4. ``drain``: has the engine of both ways of sending (``sessions.keeper``) open a session, which ``book`` writes down
   before anything is sent in it, and claims the next submissions for it: `sending`, the intent, is committed before the
   call (``context_store``). A large backlog goes by ``batch_work``, and so does what would be Offline after midnight
   otherwise (``midnight``). Which of them go together stands in ``claims``.
5. The engine sends it, ``protocol.delivery`` decides what the answer means, and ``book`` writes it, many at a time:
   `taken_in` with its reference number; later, when ``following`` sees it, `accepted` with its KSeF number. If the
   answer is lost, or the process dies, it stays in `sending` until KSeF's own list of the session shows whether it is
   there: then `taken_in`, or `queued` once more. What goes wrong is waited out and logged by ``trouble``;
   which faults of the database pass is in ``faults``.
6. ``following`` closes the session, stores its UPO and matches it: `Submission.has_upo`. The session is over, the
   lease is given back, and `Submissions.results` yields the submission until it is acknowledged.

``deadline_watch`` moves the deadlines of invoices issued offline by what Latarnia announces, and reports those that
are near or have passed. ``issuing`` is the same way for an invoice that a customer waits for: what KSeF has not decided
in time becomes an offline invoice, which `Submissions.issue` returns with both codes, and goes on from where it is.

Every state and transition is in ``models``; one statement changes a state, `store.transition`.
"""

from __future__ import annotations

from ..protocol.extras import extra
from .models import (
    Identity,
    IdentityTakenError,
    IssuedInvoice,
    JournalBusyError,
    JournalError,
    Late,
    NotIssuedError,
    Priority,
    Reason,
    Settings,
    Submission,
    SubmissionState,
    UnknownSubmissionError,
)

with extra("durable", "sqlalchemy", what=__name__):
    from .outbox import Submissions
    from .worker import Engine

__all__ = [
    "Engine",
    "Identity",
    "IdentityTakenError",
    "IssuedInvoice",
    "JournalBusyError",
    "JournalError",
    "Late",
    "NotIssuedError",
    "Priority",
    "Reason",
    "Settings",
    "Submission",
    "SubmissionState",
    "Submissions",
    "UnknownSubmissionError",
]
