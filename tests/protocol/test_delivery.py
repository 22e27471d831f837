from __future__ import annotations

from typing import Any

import pytest

from ksef_async import errors
from ksef_async.api.common import StatusInfo
from ksef_async.api.sessions import InvoiceStatusCode, StatusCode
from ksef_async.errors import (
    AnswerTimeoutError,
    ApiError,
    BadRequestError,
    ConnectError,
    CryptoError,
    ForbiddenError,
    GoneError,
    KsefError,
    LocalProtocolError,
    RateLimitedError,
    RemoteProtocolError,
    ServerError,
    SessionFailedError,
    TransportError,
    UnauthorizedError,
    UploadExpiredError,
    WaitTimeoutError,
)
from ksef_async.protocol.delivery import (
    TABLE,
    Answer,
    Asked,
    DocumentFate,
    SessionFate,
    Step,
    classify,
    fails_alone,
    fate_after,
    judge,
    judge_invoice,
    judge_session,
)
from ksef_async.protocol.lifecycle import INVOICE, SESSION

SEND = "send_invoice"
LIST = "list_session_invoices"


def refused(code: int, operation: str = SEND) -> BadRequestError:
    return BadRequestError("no", operation=operation, http_status=400, code=code)


def api_error(kind: type[ApiError], http_status: int, operation: str = SEND, **more: Any) -> ApiError:
    return kind("no", operation=operation, http_status=http_status, **more)


def dead(code: int) -> SessionFailedError:
    status = StatusInfo(code=code, description="")
    return SessionFailedError("dead", status=status, reference_number="20260701-SO-0000000000-0000000000-00")


LOST = TransportError("lost", maybe_delivered=True)
UNREADABLE = RemoteProtocolError("?", maybe_delivered=True)
UNREACHABLE = ConnectError("no way", maybe_delivered=False)
RATE_LIMITED = api_error(RateLimitedError, 429, retry_after=1.0)
FOREIGN = api_error(ForbiddenError, 403)
NOT_ALLOWED = api_error(ForbiddenError, 403, reason="missing-permissions")
TOO_LARGE = api_error(ApiError, 413)

ERRORS: dict[Answer, list[KsefError]] = {
    Answer.LOST: [LOST, UNREADABLE, AnswerTimeoutError("late", maybe_delivered=True), api_error(ServerError, 500)],
    Answer.UNREACHABLE: [UNREACHABLE],
    Answer.RATE_LIMITED: [RATE_LIMITED],
    Answer.FOREIGN: [FOREIGN, api_error(ForbiddenError, 403, reason="insufficient-resource-access")],
    Answer.UNAUTHORIZED: [
        NOT_ALLOWED,
        api_error(ForbiddenError, 403, reason="ip-not-allowed"),
        api_error(UnauthorizedError, 401),
    ],
    Answer.REFUSED: [refused(21405), refused(21155), api_error(BadRequestError, 400)],
    Answer.TOO_LARGE: [TOO_LARGE],
    Answer.SESSION_FAILED: [dead(415), dead(440)],
    Answer.UNFIT: [LocalProtocolError("empty"), errors.InvalidFieldError("nip", "has ten digits")],
    Answer.EXPIRED: [UploadExpiredError("late")],
    Answer.UNDECIDED: [WaitTimeoutError("still")],
    Answer.OTHER: [CryptoError("key"), RemoteProtocolError("?"), api_error(GoneError, 410), api_error(ApiError, 404)],
}
NO_ERRORS = {Answer.SUCCESS, Answer.FOUND, Answer.ABSENT, Answer.ABSENT_FROM_CLOSED}


@pytest.mark.parametrize(
    ("answer", "error"),
    [pytest.param(answer, error, id=f"{error!r}") for answer, found in ERRORS.items() for error in found],
)
def test_every_error_is_an_answer(answer: Answer, error: KsefError) -> None:
    assert classify(error) is answer


def test_library_refusing_to_send_in_a_closed_session_says_nothing_of_the_document() -> None:
    error = LocalProtocolError("Session is CLOSED")

    assert classify(error, takes_invoices=False) is Answer.SESSION_CLOSED
    assert classify(refused(21405), takes_invoices=False) is Answer.REFUSED


@pytest.mark.parametrize("asked", [each for each in Asked if each not in (Asked.INVOICE, Asked.SESSION)])
def test_every_error_has_a_row_whatever_was_asked(asked: Asked) -> None:
    assert {answer for answer in Answer if (asked, answer) in TABLE} >= set(Answer) - NO_ERRORS | {Answer.SUCCESS}


@pytest.mark.parametrize("asked", Asked)
def test_every_row_has_a_reason_for_people(asked: Asked) -> None:
    reasons = [row.reason for (of, _), row in TABLE.items() if of is asked]

    assert reasons
    assert all(reason[0].isupper() and reason.endswith(".") for reason in reasons)


def test_document_is_refused_only_by_an_answer_about_that_document() -> None:
    refusals = {case for case, row in TABLE.items() if row.document is DocumentFate.REFUSED}

    assert {asked for asked, _ in refusals} == {Asked.SEND, Asked.INVOICE}
    assert {answer for asked, answer in refusals if asked is Asked.SEND} == {
        Answer.REFUSED,
        Answer.TOO_LARGE,
        Answer.UNFIT,
    }


def test_failure_of_a_call_that_is_no_sending_changes_no_doubt() -> None:
    about_sessions = {Asked.LIST, Asked.OPEN, Asked.ACTIVATION, Asked.CLOSE}
    news = {Answer.FOUND, Answer.ABSENT, Answer.ABSENT_FROM_CLOSED}
    rows = [row for (asked, answer), row in TABLE.items() if asked in about_sessions and answer not in news]

    assert {row.document for row in rows} == {DocumentFate.UNCHANGED}


D, S = DocumentFate, SessionFate


@pytest.mark.parametrize(
    ("error", "document", "session", "step"),
    [
        pytest.param(LOST, D.IN_DOUBT, S.GOES_ON, Step.LOOK_UP, id="answer lost"),
        pytest.param(UNREADABLE, D.IN_DOUBT, S.GOES_ON, Step.LOOK_UP, id="success that cannot be read"),
        pytest.param(api_error(ServerError, 502), D.IN_DOUBT, S.GOES_ON, Step.LOOK_UP, id="gateway"),
        pytest.param(UNREACHABLE, D.NOT_TAKEN_IN, S.GOES_ON, Step.TRY_AGAIN, id="no connection"),
        pytest.param(RATE_LIMITED, D.NOT_TAKEN_IN, S.GOES_ON, Step.TRY_AGAIN, id="429"),
        pytest.param(api_error(UnauthorizedError, 401), D.NOT_TAKEN_IN, S.GOES_ON, Step.TRY_LATER, id="401"),
        pytest.param(NOT_ALLOWED, D.NOT_TAKEN_IN, S.GOES_ON, Step.TRY_LATER, id="403"),
        pytest.param(FOREIGN, D.NOT_TAKEN_IN, S.GOES_ON, Step.TRY_LATER, id="403 without a reason"),
        pytest.param(refused(21155), D.NOT_TAKEN_IN, S.REPLACE, Step.ANOTHER_SESSION, id="session is full"),
        pytest.param(refused(21180), D.NOT_TAKEN_IN, S.REPLACE, Step.ANOTHER_SESSION, id="session is not open"),
        pytest.param(refused(21184), D.NOT_TAKEN_IN, S.REPLACE, Step.ANOTHER_SESSION, id="maintenance"),
        pytest.param(refused(21173), D.NOT_TAKEN_IN, S.REPLACE, Step.ANOTHER_SESSION, id="session is unknown"),
        pytest.param(dead(440), D.NOT_TAKEN_IN, S.REPLACE, Step.ANOTHER_SESSION, id="session is dead"),
        pytest.param(
            dead(415), D.NOT_TAKEN_IN, S.REPLACE_WITH_NEW_KEYS, Step.ANOTHER_SESSION, id="session's key was wrong"
        ),
        pytest.param(refused(21405), D.REFUSED, S.GOES_ON, Step.GIVE_UP, id="refused"),
        pytest.param(refused(99999), D.REFUSED, S.GOES_ON, Step.GIVE_UP, id="refused with a new code"),
        pytest.param(api_error(BadRequestError, 400), D.REFUSED, S.GOES_ON, Step.GIVE_UP, id="refused without a code"),
        pytest.param(TOO_LARGE, D.REFUSED, S.GOES_ON, Step.GIVE_UP, id="413"),
        pytest.param(LocalProtocolError("empty"), D.REFUSED, S.GOES_ON, Step.GIVE_UP, id="unfit"),
        pytest.param(api_error(GoneError, 410), D.UNCHANGED, S.GOES_ON, Step.TRY_LATER, id="410"),
        pytest.param(refused(30001, LIST), D.UNCHANGED, S.GOES_ON, Step.TRY_LATER, id="list refused"),
        pytest.param(api_error(ServerError, 500, LIST), D.UNCHANGED, S.GOES_ON, Step.TRY_AGAIN, id="list fails"),
        pytest.param(refused(21184, LIST), D.UNCHANGED, S.REPLACE, Step.ANOTHER_SESSION, id="list in maintenance"),
    ],
)
def test_answer_to_a_sending(error: KsefError, document: DocumentFate, session: SessionFate, step: Step) -> None:
    judgement = judge(Asked.SEND, error)

    assert (judgement.document, judgement.session, judgement.step) == (document, session, step)


@pytest.mark.parametrize(
    ("error", "step"),
    [
        pytest.param(refused(21405), Step.SETTLE, id="refusal"),
        pytest.param(TOO_LARGE, Step.SETTLE, id="413"),
        pytest.param(refused(21155), Step.ANOTHER_SESSION, id="full session"),
        pytest.param(UNREACHABLE, Step.TRY_AGAIN, id="no connection"),
        pytest.param(LOST, Step.LOOK_UP, id="lost again"),
        pytest.param(refused(30001, LIST), Step.TRY_LATER, id="list refused"),
    ],
)
def test_earlier_doubt_is_not_lifted_by_the_answer_to_a_later_attempt(error: KsefError, step: Step) -> None:
    judgement = judge(Asked.SEND, error, is_in_doubt=True)

    assert judgement.document in (D.IN_DOUBT, D.UNCHANGED)
    assert fate_after(D.IN_DOUBT, judgement.document) is D.IN_DOUBT
    assert judgement.step is step


@pytest.mark.parametrize(
    ("error", "step"),
    [
        pytest.param(refused(21180), Step.ANOTHER_SESSION, id="session is not open"),
        pytest.param(refused(21405), Step.SETTLE, id="refusal"),
        pytest.param(ConnectError("no way", maybe_delivered=False), Step.TRY_AGAIN, id="no connection"),
        pytest.param(api_error(RateLimitedError, 429), Step.TRY_AGAIN, id="429"),
        pytest.param(refused(30001, LIST), Step.TRY_LATER, id="list refused"),
    ],
)
def test_certain_answer_stays_certain_when_the_error_tells_of_an_earlier_doubt(error: KsefError, step: Step) -> None:
    error.maybe_delivered = True  # as the session's send does when an earlier attempt is in doubt

    judgement = judge(Asked.SEND, error)

    assert judgement.step is step
    assert fate_after(D.IN_DOUBT, judgement.document) is D.IN_DOUBT


@pytest.mark.parametrize(
    ("before", "news", "after"),
    [
        (D.NOT_TAKEN_IN, D.IN_DOUBT, D.IN_DOUBT),
        (D.IN_DOUBT, D.UNCHANGED, D.IN_DOUBT),
        (D.IN_DOUBT, D.NOT_TAKEN_IN, D.IN_DOUBT),
        (D.IN_DOUBT, D.REFUSED, D.IN_DOUBT),
        (D.IN_DOUBT, D.TAKEN_IN, D.TAKEN_IN),
        (D.IN_DOUBT, D.SEND_AGAIN, D.SEND_AGAIN),
        (D.NOT_TAKEN_IN, D.REFUSED, D.REFUSED),
        (D.TAKEN_IN, D.ACCEPTED, D.ACCEPTED),
        (D.TAKEN_IN, D.UNCHANGED, D.TAKEN_IN),
    ],
)
def test_what_is_known_after_news(before: DocumentFate, news: DocumentFate, after: DocumentFate) -> None:
    assert fate_after(before, news) is after


@pytest.mark.parametrize(
    ("asked", "error", "session", "step"),
    [
        (Asked.OPEN, LOST, S.REPLACE, Step.TRY_AGAIN),
        (Asked.OPEN, refused(21184), S.REPLACE, Step.ANOTHER_SESSION),
        (Asked.OPEN, refused(21405), S.REPLACE, Step.TRY_LATER),
        (Asked.ACTIVATION, LOST, S.GOES_ON, Step.TRY_AGAIN),
        (Asked.ACTIVATION, dead(415), S.REPLACE_WITH_NEW_KEYS, Step.ANOTHER_SESSION),
        (Asked.ACTIVATION, dead(445), S.REPLACE, Step.ANOTHER_SESSION),
        (Asked.ACTIVATION, LocalProtocolError("closed"), S.REPLACE, Step.ANOTHER_SESSION),
        (Asked.ACTIVATION, WaitTimeoutError("still"), S.REPLACE, Step.ANOTHER_SESSION),
        (Asked.ACTIVATION, refused(21405), S.REPLACE, Step.ANOTHER_SESSION),
        (Asked.ACTIVATION, refused(21173), S.REPLACE, Step.FORGET_SESSION),
        (Asked.CLOSE, LOST, S.REPLACE, Step.LOOK_UP),
        (Asked.CLOSE, refused(21180), S.REPLACE, Step.LOOK_UP),
        (Asked.CLOSE, refused(21184), S.REPLACE, Step.TRY_AGAIN),
        (Asked.CLOSE, UNREACHABLE, S.REPLACE, Step.TRY_AGAIN),
        (Asked.RESUME, refused(21173), S.REPLACE, Step.FORGET_SESSION),
        (Asked.RESUME, FOREIGN, S.REPLACE, Step.FORGET_SESSION),
        (Asked.RESUME, NOT_ALLOWED, S.GOES_ON, Step.TRY_LATER),
        (Asked.RESUME, refused(21405), S.GOES_ON, Step.TRY_LATER),
        (Asked.RESUME, LOST, S.GOES_ON, Step.TRY_AGAIN),
        (Asked.OPEN_BATCH, refused(21405), S.REPLACE, Step.SMALLER_PACKAGES),
        (Asked.OPEN_BATCH, LOST, S.REPLACE, Step.TRY_AGAIN),
        (Asked.OPEN_BATCH, NOT_ALLOWED, S.REPLACE, Step.TRY_LATER),
        (Asked.UPLOAD, LOST, S.GOES_ON, Step.TRY_AGAIN),
        (Asked.UPLOAD, UploadExpiredError("late"), S.REPLACE, Step.ANOTHER_SESSION),
        (Asked.CLOSE_BATCH, LOST, S.GOES_ON, Step.LOOK_UP),
        (Asked.CLOSE_BATCH, UNREACHABLE, S.GOES_ON, Step.LOOK_UP),
        (Asked.CLOSE_BATCH, refused(21180), S.GOES_ON, Step.LOOK_UP),
        (Asked.CLOSE_BATCH, refused(21205), S.GOES_ON, Step.UPLOAD_AGAIN),
        (Asked.CLOSE_BATCH, refused(21157), S.GOES_ON, Step.UPLOAD_AGAIN),
        (Asked.CLOSE_BATCH, refused(21208), S.REPLACE, Step.ANOTHER_SESSION),
        (Asked.CLOSE_BATCH, refused(21405), S.REPLACE, Step.GIVE_UP),
        (Asked.CLOSE_BATCH, dead(440), S.REPLACE, Step.LOOK_UP),
        (Asked.CLOSE_BATCH, NOT_ALLOWED, S.GOES_ON, Step.TRY_LATER),
    ],
    ids=lambda value: str(getattr(value, "code", None) or getattr(value, "name", None) or type(value).__name__),
)
def test_answer_about_a_session(asked: Asked, error: KsefError, session: SessionFate, step: Step) -> None:
    judgement = judge(asked, error)

    assert (judgement.session, judgement.step) == (session, step)


@pytest.mark.parametrize(
    ("code", "document"),
    [
        (100, D.TAKEN_IN),
        (150, D.TAKEN_IN),
        (200, D.ACCEPTED),
        (405, D.SEND_AGAIN),
        (410, D.REFUSED),
        (415, D.REFUSED),
        (430, D.REFUSED),
        (435, D.SEND_AGAIN),
        (440, D.COMPARE),
        (450, D.REFUSED),
        (500, D.SEND_AGAIN),
        (550, D.SEND_AGAIN),
        pytest.param(170, D.TAKEN_IN, id="unknown, in progress"),
        pytest.param(201, D.REFUSED, id="unknown, just above success"),
        pytest.param(499, D.REFUSED, id="unknown refusal"),
        pytest.param(501, D.SEND_AGAIN, id="unknown failure of KSeF's"),
    ],
)
def test_invoice_is_sent_again_only_where_the_document_is_not_to_blame(code: int, document: DocumentFate) -> None:
    assert judge_invoice(code).document is document


@pytest.mark.parametrize(
    ("code", "document", "step", "session"),
    [
        (100, D.UNCHANGED, Step.WAIT, S.GOES_ON),
        (150, D.UNCHANGED, Step.WAIT, S.REPLACE),
        (170, D.UNCHANGED, Step.WAIT, S.REPLACE),
        (200, D.UNCHANGED, Step.LOOK_UP, S.REPLACE),
        (405, D.SEND_AGAIN, Step.ANOTHER_SESSION, S.REPLACE),
        (415, D.SEND_AGAIN, Step.ANOTHER_SESSION, S.REPLACE_WITH_NEW_KEYS),
        (420, D.SEND_AGAIN, Step.SMALLER_PACKAGES, S.REPLACE),
        (430, D.SEND_AGAIN, Step.ANOTHER_SESSION, S.REPLACE),
        (435, D.SEND_AGAIN, Step.ANOTHER_SESSION, S.REPLACE_WITH_NEW_KEYS),
        (440, D.SEND_AGAIN, Step.ANOTHER_SESSION, S.REPLACE),
        (445, D.UNCHANGED, Step.LOOK_UP, S.REPLACE),
        (500, D.SEND_AGAIN, Step.ANOTHER_SESSION, S.REPLACE),
        pytest.param(180, D.UNCHANGED, Step.WAIT, S.REPLACE, id="unknown, in progress"),
        pytest.param(201, D.SEND_AGAIN, Step.ANOTHER_SESSION, S.REPLACE, id="unknown, just above success"),
        pytest.param(477, D.SEND_AGAIN, Step.ANOTHER_SESSION, S.REPLACE, id="unknown failure"),
        pytest.param(550, D.SEND_AGAIN, Step.ANOTHER_SESSION, S.REPLACE, id="unknown failure of KSeF's"),
    ],
)
def test_failure_of_a_session_is_never_blamed_on_its_documents(
    code: int, document: DocumentFate, step: Step, session: SessionFate
) -> None:
    judgement = judge_session(code)

    assert (judgement.document, judgement.step, judgement.session) == (document, step, session)


def test_every_known_code_has_a_row() -> None:
    assert {answer for asked, answer in TABLE if asked is Asked.INVOICE} == set(InvoiceStatusCode)
    assert {answer for asked, answer in TABLE if asked is Asked.SESSION} == set(StatusCode)


def test_waiting_ends_with_the_final_codes() -> None:
    for code in range(100, 600):
        assert (judge_invoice(code).step is Step.WAIT) is not INVOICE.is_terminal(code)
        assert (judge_session(code).step is Step.WAIT) is not SESSION.is_terminal(code)


@pytest.mark.parametrize(
    ("error", "tries", "successes", "expected"),
    [
        pytest.param(LOST, 3, 4, True, id="others get through"),
        pytest.param(LOST, 3, 3, False, id="no more others than tries"),
        pytest.param(LOST, 2, 9, False, id="not often enough"),
        pytest.param(UNREACHABLE, 9, 99, False, id="KSeF has not seen it"),
        pytest.param(RATE_LIMITED, 9, 99, False, id="KSeF has not looked at it"),
    ],
)
def test_document_is_given_up_when_it_alone_fails(error: KsefError, tries: int, successes: int, expected: bool) -> None:
    assert fails_alone(judge(Asked.SEND, error), tries=tries, successes=successes, limit=3) is expected


def test_table_is_not_to_be_changed() -> None:
    with pytest.raises(TypeError):
        TABLE[Asked.SEND, Answer.LOST] = TABLE[Asked.SEND, Answer.SUCCESS]  # type: ignore[index]
