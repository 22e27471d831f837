"""Whole histories of a delivery, judged by the table, against a model of KSeF: nothing is lost, nothing is twice.

Sends, lost answers, refusals, deaths of sessions, rotations, crashes and resumptions come in any order. The deliverer
below does what the judgement says and nothing else; what it writes down survives a crash, and nothing else does.
"""

from __future__ import annotations

import enum
from collections import Counter

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ksef_async.api.common import StatusInfo
from ksef_async.errors import (
    BadRequestError,
    ConnectError,
    ForbiddenError,
    KsefError,
    RateLimitedError,
    ServerError,
    SessionFailedError,
    TransportError,
    UnauthorizedError,
)
from ksef_async.protocol.delivery import (
    SEND_AGAIN_LIMIT,
    TABLE,
    Answer,
    Asked,
    DocumentFate,
    Judgement,
    Step,
    fate_after,
    is_failure_on_document,
    judge,
    judge_invoice,
    judge_session,
)

SEND, LIST = "send_invoice", "list_session_invoices"


class Trouble(enum.Enum):
    """What happens to one call."""

    NONE = "none"
    LOST_BEFORE = "lost before KSeF has seen it"
    LOST_AFTER = "lost after KSeF has acted"
    FAILS_BEFORE = "500 before KSeF has acted"
    FAILS_AFTER = "500 after KSeF has acted"
    UNREACHABLE = "no connection"
    RATE_LIMITED = "429"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    MAINTENANCE = "21184"
    REFUSED = "21405, for the document or the call"


AFTER = (Trouble.LOST_AFTER, Trouble.FAILS_AFTER)
#: What KSeF may come to say of an invoice for reasons of its own.
FAILURES = (435, 500, 550)


def error_of(trouble: Trouble, operation: str) -> KsefError:
    match trouble:
        case Trouble.LOST_BEFORE | Trouble.LOST_AFTER:
            return TransportError("lost", maybe_delivered=True)
        case Trouble.FAILS_BEFORE | Trouble.FAILS_AFTER:
            return ServerError("failed", operation=operation, http_status=500)
        case Trouble.RATE_LIMITED:
            return RateLimitedError("slowly", operation=operation, http_status=429, retry_after=1.0)
        case Trouble.UNAUTHORIZED:
            return UnauthorizedError("who?", operation=operation, http_status=401)
        case Trouble.FORBIDDEN:
            return ForbiddenError("no", operation=operation, http_status=403, reason="missing-permissions")
        case Trouble.MAINTENANCE:
            return refusal(21184, operation)
        case Trouble.REFUSED:
            return refusal(21405, operation)
    return ConnectError("nobody is there", maybe_delivered=False)


def refusal(code: int, operation: str) -> BadRequestError:
    return BadRequestError("no", operation=operation, http_status=400, code=code)


def failed(code: int) -> SessionFailedError:
    return SessionFailedError("dead", status=StatusInfo(code=code, description=""), reference_number="session")


# --- the model ----------------------------------------------------------------------------------------------


@attrs.define
class ModelSession:
    code: int = 100
    invoices: list[tuple[int, int]] = attrs.field(factory=list)
    """Document and status code, in the order KSeF took them in."""
    hidden: int = 0
    """How many of the last the list does not show yet."""


class ModelKsef:
    """KSeF in fifty lines: it takes in whatever comes, and decides later."""

    def __init__(self, *, room: int = 4, bad: set[int]) -> None:
        self.sessions: list[ModelSession] = []
        self.issued: Counter[int] = Counter()
        self.modes: dict[int, list[bool]] = {}
        """Of each document, how it was sent each time that KSeF took it in: True as an offline invoice."""
        self.bad = bad
        self.room = room

    def open(self) -> int:
        self.sessions.append(ModelSession())
        return len(self.sessions) - 1

    def send(self, number: int, document: int, trouble: Trouble, lag: bool, offline: bool) -> None:
        session = self.sessions[number]
        if trouble not in (Trouble.NONE, *AFTER):
            raise error_of(trouble, SEND)
        if session.code >= 200:
            raise failed(session.code)
        if session.code != 100:
            raise refusal(21180, SEND)
        if len(session.invoices) >= self.room:
            raise refusal(21155, SEND)
        session.invoices.append((document, 100))
        self.modes.setdefault(document, []).append(offline)
        session.hidden = session.hidden + 1 if lag else 0
        if trouble is not Trouble.NONE:
            raise error_of(trouble, SEND)

    def rows(self, number: int, trouble: Trouble) -> list[tuple[int, int]]:
        if trouble is not Trouble.NONE:
            raise error_of(trouble, LIST)
        session = self.sessions[number]
        return session.invoices[: len(session.invoices) - session.hidden]

    def close(self, number: int) -> None:
        session = self.sessions[number]
        session.hidden = 0
        if session.code == 100:
            session.code = 170

    def kill(self, number: int, code: int) -> None:
        session = self.sessions[number]
        if session.code in (100, 170):
            session.code, session.hidden = code, 0
            session.invoices = [(document, 405 if now == 100 else now) for document, now in session.invoices]

    def decide(self, number: int, failures: list[int]) -> None:
        session = self.sessions[number]
        for place, (document, code) in enumerate(session.invoices):
            if code == 100:
                code = failures.pop() if failures else 450 if document in self.bad else 200
                code = 440 if code == 200 and self.issued[document] else code
                self.issued[document] += code == 200
                session.invoices[place] = (document, code)


# --- the deliverer ------------------------------------------------------------------------------------------


@attrs.define
class Entry:
    """What is written down of a document."""

    fate: DocumentFate = DocumentFate.NOT_TAKEN_IN
    session: int | None = None
    failures: int = 0
    offline: bool = False
    """Whether the customer was given it as an offline invoice, because the time was over."""

    @property
    def is_final(self) -> bool:
        return self.fate in (DocumentFate.ACCEPTED, DocumentFate.REFUSED)


class Deliverer:
    """Does what the judgements say; `book` and `closing` survive a crash."""

    def __init__(self, ksef: ModelKsef) -> None:
        self.ksef = ksef
        self.book: dict[int, Entry] = {}
        self.opened: set[int] = set()
        """Sessions that are not finished."""
        self.current: int | None = None

    def crash(self) -> None:
        self.current = None

    def send(self, document: int, troubles: list[Trouble], lag: bool) -> None:
        """Try to hand one document over once."""
        entry = self.book[document]
        if entry.fate is not DocumentFate.NOT_TAKEN_IN and entry.session != self.current:
            return  # Its session is to be finished first.
        if entry.fate not in (DocumentFate.NOT_TAKEN_IN, DocumentFate.IN_DOUBT):
            return
        if self.current is None:
            self.current = self.ksef.open()
            self.opened.add(self.current)
        session, was = self.current, entry.fate
        if was is DocumentFate.IN_DOUBT and self.look_up(document, session, pop(troubles)) is not Step.TRY_AGAIN:
            return
        # Written before the call.
        entry.fate, entry.session = DocumentFate.IN_DOUBT, session
        try:
            self.ksef.send(session, document, pop(troubles), lag, entry.offline)
        except KsefError as error:
            judgement = judge(Asked.SEND, error, is_in_doubt=was is DocumentFate.IN_DOUBT)
        else:
            judgement = TABLE[Asked.SEND, Answer.SUCCESS]
        entry.fate = fate_after(was, judgement.document)
        self.leave(judgement, session)

    def look_up(self, document: int, session: int, trouble: Trouble, *, is_closed: bool = False) -> Step:
        entry = self.book[document]
        try:
            listed = {found for found, _ in self.ksef.rows(session, trouble)}
        except KsefError as error:
            # As a part of the sending: the error itself tells that it is none of that call.
            judgement = judge(Asked.SEND, error, is_in_doubt=entry.fate is DocumentFate.IN_DOUBT)
        else:
            absent = Answer.ABSENT_FROM_CLOSED if is_closed else Answer.ABSENT
            judgement = TABLE[Asked.LIST, Answer.FOUND if document in listed else absent]
        entry.fate = fate_after(entry.fate, judgement.document)
        self.leave(judgement, session)
        return judgement.step

    def leave(self, judgement: Judgement, session: int) -> None:
        if judgement.session.is_over and self.current == session:
            self.current = None

    def finish(self, session: int, troubles: list[Trouble]) -> bool:
        """Close a session, settle what is in doubt in it, and follow the rest; whether everything in it has an end."""
        if self.current == session:
            self.current = None
        self.ksef.close(session)
        mine = {document: entry for document, entry in self.book.items() if entry.session == session}
        for document, entry in mine.items():
            if entry.fate is DocumentFate.IN_DOUBT:
                self.look_up(document, session, pop(troubles), is_closed=True)
            if entry.fate is DocumentFate.SEND_AGAIN:
                entry.fate, entry.session = DocumentFate.NOT_TAKEN_IN, None
            if entry.fate is DocumentFate.TAKEN_IN:
                self.follow(document, entry, session)
        if any(entry.session == session and not entry.is_final for entry in self.book.values()):
            return False
        self.opened.discard(session)
        return True

    def follow(self, document: int, entry: Entry, session: int) -> None:
        codes = [code for listed, code in self.ksef.rows(session, Trouble.NONE) if listed == document]
        if 100 in codes:
            return
        # The last, where it was sent more than once and none is accepted.
        fate = judge_invoice(200 if 200 in codes else codes[-1]).document
        if fate in (DocumentFate.ACCEPTED, DocumentFate.COMPARE):
            # The comparison: KSeF knows the number by this very document.
            entry.fate = DocumentFate.ACCEPTED
        elif fate is DocumentFate.SEND_AGAIN:
            # A session's failure is never the document's.
            entry.failures += is_failure_on_document(codes[-1])
            spent = entry.failures > SEND_AGAIN_LIMIT
            entry.fate = DocumentFate.REFUSED if spent else DocumentFate.NOT_TAKEN_IN
            entry.session = session if spent else None
        else:
            entry.fate = DocumentFate.REFUSED


def pop(troubles: list[Trouble]) -> Trouble:
    return troubles.pop() if troubles else Trouble.NONE


# --- histories ----------------------------------------------------------------------------------------------

SOME_TROUBLE = st.lists(st.sampled_from([*Trouble, *AFTER, Trouble.NONE]), max_size=2)


DOCUMENTS = st.integers(0, 5)
#: What KSeF will refuse, whoever sends it.
BAD = 5


class Histories(RuleBasedStateMachine):
    """Each rule is something that happens; each may happen at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.ksef = ModelKsef(bad={BAD})
        self.deliverer = Deliverer(self.ksef)
        self.deliverer.book = {document: Entry() for document in range(6)}
        self.was_refused: set[int] = set()
        # How often KSeF had taken a document in when the customer was given it as an offline invoice.
        self.handed_out: dict[int, int] = {}

    @rule(document=DOCUMENTS)
    def time_is_over(self, document: int) -> None:
        """What KSeF has not decided becomes an offline invoice, wherever it is; nothing is taken back."""
        entry = self.deliverer.book[document]
        if not entry.is_final and not entry.offline:
            entry.offline = True
            self.handed_out[document] = len(self.ksef.modes.get(document, []))

    @invariant()
    def what_is_handed_out_offline_is_sent_as_such_from_then_on(self) -> None:
        for document, modes in self.ksef.modes.items():
            since = self.handed_out.get(document, len(modes))
            assert not any(modes[:since])
            assert all(modes[since:])

    @rule(document=DOCUMENTS, troubles=SOME_TROUBLE, lag=st.booleans())
    def send(self, document: int, troubles: list[Trouble], lag: bool) -> None:
        if Trouble.REFUSED in troubles:
            self.was_refused.add(document)
        self.deliverer.send(document, [*troubles], lag)

    @precondition(lambda self: self.ksef.sessions)
    @rule(data=st.data(), code=st.sampled_from([415, 440, 500]))
    def session_dies(self, data: st.DataObject, code: int) -> None:
        assert judge_session(code).session.is_over
        self.ksef.kill(data.draw(st.integers(0, len(self.ksef.sessions) - 1)), code)

    @precondition(lambda self: self.ksef.sessions)
    @rule(data=st.data(), failures=st.lists(st.sampled_from(FAILURES), max_size=3))
    def ksef_decides(self, data: st.DataObject, failures: list[int]) -> None:
        self.ksef.decide(data.draw(st.integers(0, len(self.ksef.sessions) - 1)), failures)

    @precondition(lambda self: self.deliverer.opened)
    @rule(data=st.data(), troubles=SOME_TROUBLE)
    def rotate(self, data: st.DataObject, troubles: list[Trouble]) -> None:
        self.deliverer.finish(data.draw(st.sampled_from(sorted(self.deliverer.opened))), [*troubles])

    @rule()
    def crash(self) -> None:
        self.deliverer.crash()

    @precondition(lambda self: self.deliverer.opened)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(sorted(self.deliverer.opened)))
        if self.ksef.sessions[session].code == 100:
            self.deliverer.current = session

    @invariant()
    def nothing_is_issued_twice(self) -> None:
        assert all(count == 1 for count in self.ksef.issued.values() if count)

    @invariant()
    def nothing_that_is_issued_counts_as_refused(self) -> None:
        book = self.deliverer.book
        assert not [number for number, entry in book.items() if entry.fate is REFUSED and self.ksef.issued[number]]

    @invariant()
    def nothing_is_forgotten_that_ksef_has(self) -> None:
        """What KSeF has not decided on is known to be there, or to be in doubt."""
        for number, session in enumerate(self.ksef.sessions):
            for document, code in session.invoices:
                entry = self.deliverer.book[document]
                if code == 100:
                    assert entry.fate in (DocumentFate.TAKEN_IN, DocumentFate.IN_DOUBT)
                    assert entry.session == number

    def teardown(self) -> None:
        """Without further trouble everything comes to its end, in a bounded number of steps."""
        book = self.deliverer.book
        for _ in range(2 * SEND_AGAIN_LIMIT + 2 + len(book)):
            for session in sorted(self.deliverer.opened):
                self.ksef.close(session)
                self.ksef.decide(session, [])
                self.deliverer.finish(session, [])
            for document in book:
                self.deliverer.send(document, [], False)
        assert not self.deliverer.opened
        for document, entry in book.items():
            assert entry.is_final
            assert (entry.fate is DocumentFate.ACCEPTED) == (self.ksef.issued[document] == 1)
            if entry.fate is REFUSED:
                has_failed = entry.failures > SEND_AGAIN_LIMIT
                assert document in self.ksef.bad or document in self.was_refused or has_failed


REFUSED = DocumentFate.REFUSED

TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
