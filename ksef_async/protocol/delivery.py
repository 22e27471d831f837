"""What an answer of KSeF means for a document, for the session it was sent in, and for what to do next.

Theory of operation
===================

An invoice that is sent twice may be issued twice, and one that is not sent is a tax offence. Networks lose answers,
gateways answer in KSeF's place, sessions die, and processes are killed. So whoever delivers documents has to know, at
every moment, what is certain about each of them. This module is the only place that decides it: both ways of sending,
`keep_open` in memory and the journal in a database, ask `judge`, `judge_invoice` and `judge_session`, and act on the
`Judgement` they get. Nothing here waits, calls or writes.

**What is known of a document** (`DocumentFate`)::

    (given) -> NOT_TAKEN_IN -- success -------------------> TAKEN_IN -> ACCEPTED
                 |   ^   |                                     ^  |
                 |   |   +-- refused: REFUSED                  |  +---> COMPARE -> ACCEPTED, or REFUSED
      the answer |   |                                         |  +---> REFUSED
         is lost |   | the closed session's list lacks it      |  +---> SEND_AGAIN, as NOT_TAKEN_IN
                 v   |                                         |
               IN_DOUBT ---- the session's list has it --------+

1. *Doubt comes before the call.* A document counts as in doubt from the moment its sending begins, because the process
   may die, or its task be cancelled, before the answer is read. An answer can only lift the doubt.

2. *Only certain news lifts a doubt.* A refusal, or a connection that was never made, is certain for the attempt it
   belongs to and says nothing of an earlier one (`fate_after`): KSeF refuses what it already has, too. An earlier
   doubt is lifted by KSeF's list of the session, which has the document, or lacks it once the session is closed.
   While the session is open the list may lag behind; it is read three times within two seconds, and the document is
   sent once more then. If the first attempt comes through later than that, KSeF calls the second a duplicate (440) of
   the very same document, which is an acceptance: `DocumentFate.COMPARE`.

3. *A session's failure says nothing about its documents.* Sessions end with 415, 435, 440 or 500 at random (issues
   308, 575 and 675 of the Ministry's documentation), and the same documents pass in the next one. KSeF refuses a
   document only where it says so of that very document, with a code that the document can bring about. Everything
   else is sent again, `SEND_AGAIN_LIMIT` times at most; deaths of sessions are counted apart from that.

4. *A wrong key is a reason to fetch the Ministry's keys anew.* The session's AES key was encrypted with a public key
   that may have been withdrawn: `SessionFate.REPLACE_WITH_NEW_KEYS`.

5. *An answer to another call is no word on the document.* While a document is sent, the list of its session may be
   read as well; a refusal of that is judged as `Asked.LIST`, not as `Asked.SEND`.

**Every history ends.** Each step that repeats something is bounded: `Step.TRY_AGAIN` and `Step.LOOK_UP` by the retry
policy of the client; `Step.ANOTHER_SESSION` by `SESSIONS_LIMIT` for one document in memory; a document that is sent
again because KSeF failed on it by `SEND_AGAIN_LIMIT`. The journal alone has no bound for trouble that is not the
document's: it pauses for longer and longer, as long as the worker runs, and keeps the document queued. A document
that fails alone while others get through is given up by it: `fails_alone`.

**How to read the table.** `TABLE` has one row for each pair of what was asked and what came back. What came back is
an `Answer`, which `classify` finds for an error of the tree, or a code of KSeF's: an `ErrorCode` of a refusal (400),
a status code of an invoice or of a session. A refusal whose code has no row of its own is `Answer.REFUSED`. A status
code that has none is in progress below 200; from 201 it is for an invoice a refusal, from 500 a failure of KSeF's
that is sent again; for a session it is the session's own failure.

======================  ==============================================================================================
asked                   when
======================  ==============================================================================================
SEND                    an invoice was handed over in an online session
LIST                    the session's list was read, to settle a doubt or to follow invoices
OPEN, ACTIVATION        an online session was opened; its status was read until it takes invoices
CLOSE                   an online session was closed
RESUME                  a session that another process has left was looked at
OPEN_BATCH              a batch session was opened
UPLOAD, CLOSE_BATCH     its parts were uploaded; it was closed
INVOICE, SESSION        a status of an invoice, or of a session of either kind, was read
======================  ==============================================================================================

Source: OpenAPI 2.9.0 (status tables, exception codes); sesja-interaktywna.md, sesja-wsadowa.md.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from ..api.sessions import SEND_INVOICE, InvoiceStatusCode, StatusCode
from ..errors import (
    ApiError,
    BadRequestError,
    ConnectError,
    ForbiddenError,
    KsefError,
    LocalProtocolError,
    RateLimitedError,
    SessionFailedError,
    TransportError,
    UnauthorizedError,
    UploadExpiredError,
    WaitTimeoutError,
)
from .error_codes import ErrorCode
from .lifecycle import INVOICE, SESSION
from .retry import may_have_taken_effect

__all__ = [
    "PARTS_LIMIT",
    "SEND_AGAIN_LIMIT",
    "SESSIONS_LIMIT",
    "TABLE",
    "Answer",
    "Asked",
    "DocumentFate",
    "Judgement",
    "SessionFate",
    "Step",
    "classify",
    "fails_alone",
    "fate_after",
    "is_failure_on_document",
    "is_full",
    "judge",
    "judge_invoice",
    "judge_session",
]

SEND_AGAIN_LIMIT: Final = 3
"""How often one document, or one package, is sent again before its failure is final."""

SESSIONS_LIMIT: Final = 3
"""How many sessions one document is tried in before the caller gets the error; those that others fill do not count."""

PARTS_LIMIT: Final = 3
"""How often the parts of a package are uploaded again because KSeF does not have them."""


class Asked(enum.Enum):
    """The request that an answer belongs to."""

    SEND = "send an invoice"
    LIST = "read the session's list"
    OPEN = "open an online session"
    ACTIVATION = "wait until the session takes invoices"
    CLOSE = "close an online session"
    RESUME = "look at a session that another process has left"
    OPEN_BATCH = "open a batch session"
    UPLOAD = "upload the parts of a package"
    CLOSE_BATCH = "close a batch session"
    INVOICE = "read an invoice's status"
    SESSION = "read a session's status"


class Answer(enum.Enum):
    """The kind of an answer without a code of KSeF's."""

    SUCCESS = "success"
    """KSeF did it."""
    FOUND = "found"
    """The list has the document."""
    ABSENT = "absent"
    """The list of an open session does not have the document, after KSeF's lag was waited out."""
    ABSENT_FROM_CLOSED = "absent from a closed session"
    """The list, read after the session was closed, does not have the document."""
    LOST = "lost"
    """No answer, a 5xx, a gateway's page, or a success that cannot be read: KSeF may have acted."""
    UNREACHABLE = "unreachable"
    """No connection was made: KSeF has not seen the request."""
    RATE_LIMITED = "rate limited"
    """429: the budget is spent."""
    UNAUTHORIZED = "unauthorized"
    """401, also with a new token; or 403 for want of a permission or of an allowed address."""
    FOREIGN = "foreign"
    """403: what was asked for belongs to somebody else."""
    TOO_LARGE = "too large"
    """413 from a gateway, which passes nothing of this size on."""
    REFUSED = "refused"
    """400 with a code that has no row of its own."""
    SESSION_FAILED = "session failed"
    """The session was seen dead."""
    SESSION_CLOSED = "session closed"
    """This process knows that the session takes no invoices; nothing was sent."""
    UNFIT = "unfit"
    """This library refuses the document, or the call; nothing was sent."""
    EXPIRED = "expired"
    """The time to upload the package is over."""
    UNDECIDED = "undecided"
    """KSeF was still at it when the time to wait ran out."""
    OTHER = "other"
    """Any other error."""


class DocumentFate(enum.Enum):
    """The state of a document, as far as it is known."""

    UNCHANGED = "unchanged"
    """What was known before: the answer says nothing of the document."""
    NOT_TAKEN_IN = "not taken in"
    """KSeF does not have it."""
    IN_DOUBT = "in doubt"
    """KSeF may have it."""
    TAKEN_IN = "taken in"
    """KSeF has it, and has not decided."""
    ACCEPTED = "accepted"
    """It is issued."""
    COMPARE = "compare"
    """KSeF has an invoice with the same seller, kind and number: compare whether it is this very document."""
    REFUSED = "refused"
    """It is the document's own fault, and sending it again ends alike."""
    SEND_AGAIN = "send again"
    """KSeF has nothing of it, and it is not the document's fault."""


class SessionFate(enum.Enum):
    """The further use of the session."""

    GOES_ON = "goes on"
    REPLACE = "replace"
    """It takes no invoices any more; another one may."""
    REPLACE_WITH_NEW_KEYS = "replace with new keys"
    """As `REPLACE`; and its key may have been encrypted with a key that the Ministry has withdrawn."""

    @property
    def is_over(self) -> bool:
        """True where nothing more is to be sent in it."""
        return self is not SessionFate.GOES_ON


class Step(enum.Enum):
    """The next step."""

    GO_ON = "go on"
    """Nothing is wrong."""
    WAIT = "wait"
    """KSeF has not decided: look again later."""
    LOOK_UP = "look up"
    """Ask KSeF: its list for a document in doubt, its status for a session; then decide anew."""
    TRY_AGAIN = "try again"
    """Make the same call again after a pause."""
    TRY_LATER = "try later"
    """It may pass, but not by itself within seconds: raise it to the caller, or wait for long."""
    ANOTHER_SESSION = "another session"
    """Send in another session."""
    SMALLER_PACKAGES = "smaller packages"
    """Send the documents of the package in smaller ones."""
    UPLOAD_AGAIN = "upload again"
    """Upload the parts that KSeF does not have, and close again."""
    FORGET_SESSION = "forget session"
    """The session is none of this context's: whatever was in it is sent anew."""
    SETTLE = "settle"
    """Leave the document alone until the session is closed: then its list settles whether KSeF has it."""
    GIVE_UP = "give up"
    """Raise it to the caller; trying again changes nothing."""

    @property
    def is_repetition(self) -> bool:
        """True where the same call, made again later, may end otherwise."""
        return self in (Step.WAIT, Step.LOOK_UP, Step.TRY_AGAIN, Step.TRY_LATER)


@attrs.frozen(kw_only=True)
class Judgement:
    """The consequences of an answer."""

    document: DocumentFate
    session: SessionFate
    step: Step
    reason: str
    """Why, in one sentence."""


Case: TypeAlias = tuple[Asked, Answer | int]

_A, _D, _S = Answer, DocumentFate, SessionFate
_E, _I, _C = ErrorCode, InvoiceStatusCode, StatusCode

_NOT_IN_THIS_SESSION: Final = (_E.SESSION_FULL, _E.SESSION_NOT_OPEN, _E.SESSION_UNAVAILABLE, _E.UNKNOWN_SESSION)

# What may be said of any call that is not a sending, and is about no document.
_PASSING: Final = (_A.LOST, _A.UNREACHABLE, _A.RATE_LIMITED)
_LASTING: Final = (_A.UNAUTHORIZED, _A.FOREIGN, _A.TOO_LARGE, _A.REFUSED, _A.UNFIT, _A.OTHER)
_REST: Final = (*_LASTING, _A.UNDECIDED, _A.SESSION_FAILED, _A.SESSION_CLOSED, _A.EXPIRED)

_PACKAGE: Final = (Asked.UPLOAD, Asked.CLOSE_BATCH)


@attrs.frozen
class _Row:
    asked: Asked | tuple[Asked, ...]
    answers: tuple[Answer | int, ...]
    judgement: Judgement

    def cases(self) -> Iterator[Case]:
        for asked in self.asked if isinstance(self.asked, tuple) else (self.asked,):
            for answer in self.answers:
                yield asked, answer


def _row(
    asked: Asked | tuple[Asked, ...],
    answers: Iterable[Answer | int],
    document: DocumentFate,
    session: SessionFate,
    step: Step,
    reason: str,
) -> _Row:
    return _Row(asked, tuple(answers), Judgement(document=document, session=session, step=step, reason=reason))


# fmt: off
_ROWS: Final = (
    # an invoice was handed over
    _row(Asked.SEND, (_A.SUCCESS,), _D.TAKEN_IN, _S.GOES_ON, Step.GO_ON, "KSeF gave it a reference number."),
    _row(Asked.SEND, (_A.LOST,), _D.IN_DOUBT, _S.GOES_ON, Step.LOOK_UP,
        "KSeF may have taken it in, and its answer is lost."),
    _row(Asked.SEND, (_A.UNREACHABLE, _A.RATE_LIMITED), _D.NOT_TAKEN_IN, _S.GOES_ON, Step.TRY_AGAIN,
        "KSeF has not looked at it."),
    _row(Asked.SEND, (_A.UNAUTHORIZED, _A.FOREIGN), _D.NOT_TAKEN_IN, _S.GOES_ON, Step.TRY_LATER,
        "KSeF refuses whoever sends, before it looks at what is sent."),
    _row(Asked.SEND, _NOT_IN_THIS_SESSION, _D.NOT_TAKEN_IN, _S.REPLACE, Step.ANOTHER_SESSION,
        "The session does not take it, but another may."),
    _row(Asked.SEND, (_A.SESSION_FAILED,), _D.NOT_TAKEN_IN, _S.REPLACE, Step.ANOTHER_SESSION,
        "The session has died, but another may take it."),
    _row(Asked.SEND, (_A.SESSION_CLOSED,), _D.UNCHANGED, _S.REPLACE, Step.ANOTHER_SESSION,
        "The session is closed; nothing was sent."),
    _row(Asked.SEND, (_A.REFUSED, _A.TOO_LARGE), _D.REFUSED, _S.GOES_ON, Step.GIVE_UP,
        "KSeF, or a gateway before it, refuses this very document."),
    _row(Asked.SEND, (_A.UNFIT,), _D.REFUSED, _S.GOES_ON, Step.GIVE_UP, "KSeF would refuse it; nothing was sent."),
    _row(Asked.SEND, (_A.OTHER, _A.UNDECIDED, _A.EXPIRED), _D.UNCHANGED, _S.GOES_ON, Step.TRY_LATER,
        "The answer says nothing of the document."),

    # the session's list was read
    _row(Asked.LIST, (_A.SUCCESS,), _D.UNCHANGED, _S.GOES_ON, Step.GO_ON, "KSeF showed its list."),
    _row(Asked.LIST, (_A.FOUND,), _D.TAKEN_IN, _S.GOES_ON, Step.GO_ON, "KSeF has it; only its answer was lost."),
    # When it comes through later all the same, the second is a duplicate of the very same document.
    _row(Asked.LIST, (_A.ABSENT,), _D.IN_DOUBT, _S.GOES_ON, Step.TRY_AGAIN,
        "KSeF has not shown it for longer than its list lags behind."),
    _row(Asked.LIST, (_A.ABSENT_FROM_CLOSED,), _D.SEND_AGAIN, _S.REPLACE, Step.ANOTHER_SESSION,
        "Nothing comes into a session that is closed, and it does not have the document."),
    _row(Asked.LIST, _PASSING, _D.UNCHANGED, _S.GOES_ON, Step.TRY_AGAIN, "The list could not be read."),
    _row(Asked.LIST, (*_NOT_IN_THIS_SESSION, _A.SESSION_FAILED, _A.SESSION_CLOSED),
        _D.UNCHANGED, _S.REPLACE, Step.ANOTHER_SESSION,
        "The session cannot be used, and its list settles the doubt once it is closed."),
    _row(Asked.LIST, (*_LASTING, _A.UNDECIDED, _A.EXPIRED), _D.UNCHANGED, _S.GOES_ON, Step.TRY_LATER,
        "The list could not be read, which is no word on the document."),

    # online sessions
    _row(Asked.OPEN, (_A.SUCCESS,), _D.UNCHANGED, _S.GOES_ON, Step.GO_ON, "KSeF opened it."),
    _row(Asked.OPEN, _PASSING, _D.UNCHANGED, _S.REPLACE, Step.TRY_AGAIN,
        "A session that was opened without anybody knowing takes no invoices, and expires."),
    _row(Asked.OPEN, _NOT_IN_THIS_SESSION, _D.UNCHANGED, _S.REPLACE, Step.ANOTHER_SESSION,
        "KSeF's part for sessions is at fault."),
    _row(Asked.OPEN, _REST, _D.UNCHANGED, _S.REPLACE, Step.TRY_LATER, "KSeF opens none for now."),
    _row(Asked.ACTIVATION, (_A.SUCCESS,), _D.UNCHANGED, _S.GOES_ON, Step.GO_ON, "It takes invoices."),
    _row(Asked.ACTIVATION, (*_PASSING, _A.UNAUTHORIZED, _A.TOO_LARGE, _A.OTHER),
        _D.UNCHANGED, _S.GOES_ON, Step.TRY_AGAIN, "Its status could not be read."),
    _row(Asked.ACTIVATION, (_E.UNKNOWN_SESSION,), _D.UNCHANGED, _S.REPLACE, Step.FORGET_SESSION,
        "KSeF does not know the session that it has opened."),
    _row(Asked.ACTIVATION,
        (_A.REFUSED, _A.FOREIGN, _A.SESSION_FAILED, _A.SESSION_CLOSED, _A.UNFIT, _A.UNDECIDED, _A.EXPIRED),
        _D.UNCHANGED, _S.REPLACE, Step.ANOTHER_SESSION, "It will not take invoices."),
    _row(Asked.CLOSE, (_A.SUCCESS,), _D.UNCHANGED, _S.REPLACE, Step.GO_ON, "KSeF closes it."),
    _row(Asked.CLOSE, (_E.SESSION_NOT_OPEN, _A.LOST), _D.UNCHANGED, _S.REPLACE, Step.LOOK_UP,
        "It may be closed already, by this call or by another, or dead: its status shows that."),
    _row(Asked.CLOSE, (_A.UNREACHABLE, _A.RATE_LIMITED, _E.SESSION_UNAVAILABLE),
        _D.UNCHANGED, _S.REPLACE, Step.TRY_AGAIN, "KSeF could not look at the close."),
    _row(Asked.CLOSE, _REST, _D.UNCHANGED, _S.REPLACE, Step.TRY_LATER,
        "It stays open for now; KSeF closes it by itself after 12 hours."),

    # sessions that another process has left
    _row(Asked.RESUME, (_A.SUCCESS,), _D.UNCHANGED, _S.GOES_ON, Step.GO_ON, "KSeF knows it."),
    _row(Asked.RESUME, (_E.UNKNOWN_SESSION, _A.FOREIGN), _D.SEND_AGAIN, _S.REPLACE, Step.FORGET_SESSION,
        "It is another environment's or another company's, so KSeF has nothing of it here."),
    _row(Asked.RESUME, _PASSING, _D.UNCHANGED, _S.GOES_ON, Step.TRY_AGAIN, "It could not be looked at."),
    # A permission that is missing, or an address that is not allowed, says nothing of the session.
    _row(Asked.RESUME, (each for each in _REST if each != _A.FOREIGN), _D.UNCHANGED, _S.GOES_ON, Step.TRY_LATER,
        "The answer says nothing of the session."),

    # batch sessions: KSeF processes nothing before the close
    _row(Asked.OPEN_BATCH, (_A.SUCCESS,), _D.UNCHANGED, _S.GOES_ON, Step.GO_ON, "KSeF opened it."),
    _row(Asked.OPEN_BATCH, _PASSING, _D.UNCHANGED, _S.REPLACE, Step.TRY_AGAIN,
        "A session that was opened without anybody knowing expires, and nothing is in it."),
    _row(Asked.OPEN_BATCH, (_A.REFUSED,), _D.SEND_AGAIN, _S.REPLACE, Step.SMALLER_PACKAGES,
        "KSeF refuses the package as it was declared."),
    _row(Asked.OPEN_BATCH, (each for each in _REST if each != _A.REFUSED),
        _D.UNCHANGED, _S.REPLACE, Step.TRY_LATER, "KSeF opens none for now."),
    _row(_PACKAGE, (_A.SUCCESS,), _D.UNCHANGED, _S.GOES_ON, Step.GO_ON, "KSeF has the parts, or the package."),
    _row(_PACKAGE, (_A.EXPIRED, _E.UPLOAD_TIMED_OUT), _D.SEND_AGAIN, _S.REPLACE, Step.ANOTHER_SESSION,
        "The time to upload is over; nothing of the package was processed."),
    _row(_PACKAGE, (_A.SESSION_FAILED,), _D.UNCHANGED, _S.REPLACE, Step.LOOK_UP, "Its status shows how it ended."),
    _row(_PACKAGE, (_E.PART_MISSING, _E.WRONG_PART_SIZE), _D.UNCHANGED, _S.GOES_ON, Step.UPLOAD_AGAIN,
        "KSeF does not have every part as it was declared."),
    # Nothing is wrong with the documents: the parts are not what they were, or not KSeF's any more.
    _row(_PACKAGE, (_A.UNFIT, _A.SESSION_CLOSED), _D.SEND_AGAIN, _S.REPLACE, Step.ANOTHER_SESSION,
        "The package cannot be completed in this session, and was not processed."),
    _row(_PACKAGE, (_A.REFUSED,), _D.SEND_AGAIN, _S.REPLACE, Step.GIVE_UP,
        "KSeF refuses it for a reason that is new, and has not processed it."),
    _row(_PACKAGE, (_A.UNAUTHORIZED, _A.FOREIGN, _A.TOO_LARGE, _A.OTHER, _A.UNDECIDED),
        _D.UNCHANGED, _S.GOES_ON, Step.TRY_LATER, "The answer says nothing of the package."),
    _row(Asked.UPLOAD, _PASSING, _D.UNCHANGED, _S.GOES_ON, Step.TRY_AGAIN, "A part uploaded twice does no harm."),
    _row(Asked.CLOSE_BATCH, (_A.RATE_LIMITED,), _D.UNCHANGED, _S.GOES_ON, Step.TRY_AGAIN,
        "KSeF has not looked at the close."),
    _row(Asked.CLOSE_BATCH, (_A.LOST, _A.UNREACHABLE, _E.SESSION_NOT_OPEN), _D.UNCHANGED, _S.GOES_ON, Step.LOOK_UP,
        "KSeF may have begun all the same: its status shows that."),

    # an invoice's status
    _row(Asked.INVOICE, (_I.RECEIVED,), _D.TAKEN_IN, _S.GOES_ON, Step.WAIT, "KSeF has not begun with it."),
    _row(Asked.INVOICE, (_I.PROCESSING,), _D.TAKEN_IN, _S.GOES_ON, Step.WAIT, "KSeF is processing it."),
    _row(Asked.INVOICE, (_I.ACCEPTED,), _D.ACCEPTED, _S.GOES_ON, Step.GO_ON, "It has a KSeF number."),
    _row(Asked.INVOICE, (_I.SESSION_FAILED,), _D.SEND_AGAIN, _S.REPLACE, Step.ANOTHER_SESSION,
        "The session died before KSeF read the document."),
    _row(Asked.INVOICE, (_I.NOT_PERMITTED,), _D.REFUSED, _S.GOES_ON, Step.GIVE_UP,
        "The context may not issue invoices for this seller."),
    _row(Asked.INVOICE, (_I.ATTACHMENT_REFUSED,), _D.REFUSED, _S.GOES_ON, Step.GIVE_UP,
        "The context may not send invoices with attachments."),
    _row(Asked.INVOICE, (_I.FILE_ERROR,), _D.REFUSED, _S.GOES_ON, Step.GIVE_UP,
        "Size, hash or encoding of the file are not allowed."),
    # Seen on production for invoices that were accepted when sent again (issue 575).
    _row(Asked.INVOICE, (_I.DECRYPTION_ERROR,), _D.SEND_AGAIN, _S.REPLACE, Step.ANOTHER_SESSION,
        "KSeF could not decrypt what this library encrypted, so it never saw the document."),
    _row(Asked.INVOICE, (_I.DUPLICATE,), _D.COMPARE, _S.GOES_ON, Step.LOOK_UP,
        "Seller, kind and number are already in KSeF."),
    _row(Asked.INVOICE, (_I.INVALID_DOCUMENT,), _D.REFUSED, _S.GOES_ON, Step.GIVE_UP,
        "The document breaks its schema or a rule of meaning."),
    _row(Asked.INVOICE, (_I.UNKNOWN_ERROR,), _D.SEND_AGAIN, _S.REPLACE, Step.ANOTHER_SESSION,
        "KSeF failed while it processed the document."),
    _row(Asked.INVOICE, (_I.CANCELLED_BY_SYSTEM,), _D.SEND_AGAIN, _S.REPLACE, Step.ANOTHER_SESSION,
        "KSeF cancelled the processing for reasons of its own."),

    # a session's status, of either kind; of an online one the list has each document
    _row(Asked.SESSION, (_C.OPENED,), _D.UNCHANGED, _S.GOES_ON, Step.WAIT, "It is open."),
    _row(Asked.SESSION, (_C.PROCESSING,), _D.UNCHANGED, _S.REPLACE, Step.WAIT, "KSeF is processing it."),
    _row(Asked.SESSION, (_C.CLOSED,), _D.UNCHANGED, _S.REPLACE, Step.WAIT,
        "It is closed, and KSeF is processing it."),
    _row(Asked.SESSION, (_C.PROCESSED_OK,), _D.UNCHANGED, _S.REPLACE, Step.LOOK_UP,
        "At least one of its invoices is accepted."),
    _row(Asked.SESSION, (_C.PART_ERROR,), _D.SEND_AGAIN, _S.REPLACE, Step.ANOTHER_SESSION,
        "A part arrived damaged."),
    # Also at random on production, with a key that is right (issue 675).
    _row(Asked.SESSION, (_C.DECRYPTION_ERROR,), _D.SEND_AGAIN, _S.REPLACE_WITH_NEW_KEYS, Step.ANOTHER_SESSION,
        "KSeF could not decrypt the session's key."),
    _row(Asked.SESSION, (_C.TOO_MANY_INVOICES,), _D.SEND_AGAIN, _S.REPLACE, Step.SMALLER_PACKAGES,
        "The package holds more invoices than the context may send at once."),
    _row(Asked.SESSION, (_C.ARCHIVE_ERROR,), _D.SEND_AGAIN, _S.REPLACE, Step.ANOTHER_SESSION,
        "KSeF could not unpack the package."),
    _row(Asked.SESSION, (_C.PART_DECRYPTION_ERROR,),
        _D.SEND_AGAIN, _S.REPLACE_WITH_NEW_KEYS, Step.ANOTHER_SESSION, "KSeF could not decrypt a part of the package."),
    # Also seconds after a good close (issue 308); where the package holds no invoice, there is none.
    _row(Asked.SESSION, (_C.CANCELLED,), _D.SEND_AGAIN, _S.REPLACE, Step.ANOTHER_SESSION,
        "It was not closed in time, KSeF gave it up, or the package holds no invoice."),
    # "Rejected" includes those that KSeF failed on, which are to be sent again.
    _row(Asked.SESSION, (_C.VALIDATION_ERROR,), _D.UNCHANGED, _S.REPLACE, Step.LOOK_UP,
        "None of its invoices is accepted; each has an end of its own."),
    _row(Asked.SESSION, (_C.UNKNOWN_ERROR,), _D.SEND_AGAIN, _S.REPLACE, Step.ANOTHER_SESSION,
        "KSeF failed on the session."),
)
# fmt: on


def _table(rows: Iterable[_Row]) -> Mapping[Case, Judgement]:
    table: dict[Case, Judgement] = {}
    for row in rows:
        for case in row.cases():
            if case in table:
                raise AssertionError(f"two rows for {case}")
            table[case] = row.judgement
    return MappingProxyType(table)


TABLE: Final = _table(_ROWS)
"""Every case and what follows from it."""

_UNKNOWN_REFUSAL: Final = Judgement(
    document=_D.REFUSED, session=_S.GOES_ON, step=Step.GIVE_UP, reason="KSeF gives a reason that is new."
)
_UNKNOWN_FAILURE: Final = Judgement(
    document=_D.SEND_AGAIN, session=_S.REPLACE, step=Step.ANOTHER_SESSION, reason="It failed in a way that is new."
)


def classify(error: KsefError, *, takes_invoices: bool = True) -> Answer:
    """Return what an error is an answer of; a refusal with a code of its own row is `Answer.REFUSED` here, too.

    Args:
        error: What a call ended with.
        takes_invoices: Whether the session still takes invoices, as far as this process knows.
    """
    if may_have_taken_effect(error) and not _is_certain(error):
        return Answer.LOST
    match error:
        case TransportError():
            return Answer.UNREACHABLE
        case RateLimitedError():
            return Answer.RATE_LIMITED
        case ForbiddenError(reason=None | "insufficient-resource-access"):
            return Answer.FOREIGN
        case UnauthorizedError() | ForbiddenError():
            return Answer.UNAUTHORIZED
        case BadRequestError():
            return Answer.REFUSED
        case ApiError(http_status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            return Answer.TOO_LARGE
        case SessionFailedError():
            return Answer.SESSION_FAILED
        case LocalProtocolError():
            return Answer.UNFIT if takes_invoices else Answer.SESSION_CLOSED
        case UploadExpiredError():
            return Answer.EXPIRED
        case WaitTimeoutError():
            return Answer.UNDECIDED
        case _:
            return Answer.OTHER


def judge(asked: Asked, error: KsefError, *, takes_invoices: bool = True, is_in_doubt: bool = False) -> Judgement:
    """Return the outcome of an invoice whose status is final; a duplicate is not looked up.

    Args:
        asked: What was asked.
        error: What came back.
        takes_invoices: Whether the session still takes invoices, as far as this process knows.
        is_in_doubt: Of a document that is sent: whether KSeF may have it from an earlier attempt.
    """
    if asked is Asked.SEND and isinstance(error, ApiError) and error.operation != SEND_INVOICE.name:
        asked = Asked.LIST
    judgement = _row_of(asked, error, takes_invoices)
    if isinstance(error, SessionFailedError) and judge_session(error.code).session is _S.REPLACE_WITH_NEW_KEYS:
        judgement = attrs.evolve(judgement, session=_S.REPLACE_WITH_NEW_KEYS)
    is_in_doubt = is_in_doubt or (asked is Asked.SEND and may_have_taken_effect(error))
    fate = fate_after(_D.IN_DOUBT, judgement.document) if is_in_doubt else judgement.document
    if fate is judgement.document:
        return judgement
    step = Step.SETTLE if judgement.step is Step.GIVE_UP else judgement.step
    return attrs.evolve(judgement, document=fate, step=step, reason="KSeF may have it from an earlier attempt.")


def _is_certain(error: KsefError) -> bool:
    """Return whether KSeF did not act on the very attempt that ``error`` is of; an earlier one may be in doubt.

    An error that reaches the caller of `OnlineSession.send` says ``maybe_delivered`` of all attempts together.
    """
    return isinstance(error, ConnectError) or (isinstance(error, ApiError) and not type(error).maybe_delivered)


def _row_of(asked: Asked, error: KsefError, takes_invoices: bool) -> Judgement:
    row = TABLE.get((asked, error.code)) if isinstance(error, BadRequestError) and error.code is not None else None
    return row or TABLE[asked, classify(error, takes_invoices=takes_invoices)]


def judge_invoice(code: int) -> Judgement:
    """Return what follows from the status code of an invoice, known or not."""
    if (known := TABLE.get((Asked.INVOICE, code))) is not None:
        return known
    if not INVOICE.is_terminal(code):
        return TABLE[Asked.INVOICE, InvoiceStatusCode.PROCESSING]
    return _UNKNOWN_FAILURE if code >= 500 else _UNKNOWN_REFUSAL


def judge_session(code: int) -> Judgement:
    """Return what follows from the status code of a session, known or not, for the session and all documents in it."""
    if (known := TABLE.get((Asked.SESSION, code))) is not None:
        return known
    if not SESSION.is_terminal(code):
        return TABLE[Asked.SESSION, StatusCode.PROCESSING]
    return _UNKNOWN_FAILURE


def is_failure_on_document(code: int) -> bool:
    """Return whether KSeF failed on the very document whose status has ``code``, rather than on its session (405)."""
    return judge_invoice(code).document is _D.SEND_AGAIN and code != InvoiceStatusCode.SESSION_FAILED


def fate_after(before: DocumentFate, news: DocumentFate) -> DocumentFate:
    """Return what is known of a document after news of it: a doubt is lifted by certain news of KSeF's list only.

    Args:
        before: What was known.
        news: What an answer to one attempt says.
    """
    if news is _D.UNCHANGED:
        return before
    # KSeF's list and its statuses are about the document; an answer to a sending is about that one attempt.
    is_about_attempt = news in (_D.NOT_TAKEN_IN, _D.REFUSED)
    return _D.IN_DOUBT if before is _D.IN_DOUBT and is_about_attempt else news


def is_full(error: KsefError) -> bool:
    """Return whether a session takes no more because it has as many documents as it may have.

    Args:
        error: What was raised when a document was sent in it.
    """
    return isinstance(error, BadRequestError) and error.code == ErrorCode.SESSION_FULL


def fails_alone(judgement: Judgement, *, tries: int, successes: int, limit: int) -> bool:
    """Return whether a document is to be given up because it fails by itself, time and again.

    KSeF's list has to be asked first, as each answer was lost.

    Args:
        judgement: Of its last sending.
        tries: How often it was sent in a row.
        successes: How many others have got through meanwhile.
        limit: How often it may fail.
    """
    return judgement.step is Step.LOOK_UP and tries >= limit and successes > tries
