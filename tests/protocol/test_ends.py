from __future__ import annotations

import pytest

from ksef_async.api.sessions import InvoiceStatusCode, StatusCode
from ksef_async.protocol.ends import INVOICE_ENDS, SESSION_ENDS, AfterInvoice, AfterSession, invoice_end, session_end
from ksef_async.protocol.lifecycle import is_terminal


@pytest.mark.parametrize(
    ("code", "after"),
    [
        (100, AfterInvoice.WAIT),
        (150, AfterInvoice.WAIT),
        (200, AfterInvoice.ACCEPTED),
        (405, AfterInvoice.SEND_AGAIN),
        (410, AfterInvoice.REFUSED),
        (415, AfterInvoice.REFUSED),
        (430, AfterInvoice.REFUSED),
        (435, AfterInvoice.SEND_AGAIN),
        (440, AfterInvoice.COMPARE),
        (450, AfterInvoice.REFUSED),
        (500, AfterInvoice.SEND_AGAIN),
        (550, AfterInvoice.SEND_AGAIN),
        pytest.param(170, AfterInvoice.WAIT, id="unknown, in progress"),
        pytest.param(201, AfterInvoice.REFUSED, id="unknown, just above success"),
        pytest.param(499, AfterInvoice.REFUSED, id="unknown refusal"),
        pytest.param(501, AfterInvoice.SEND_AGAIN, id="unknown failure of KSeF's"),
    ],
)
def test_invoice_is_sent_again_only_where_the_document_is_not_to_blame(code: int, after: AfterInvoice) -> None:
    assert invoice_end(code).after is after


@pytest.mark.parametrize(
    ("code", "after", "forget_keys"),
    [
        (100, AfterSession.WAIT, False),
        (150, AfterSession.WAIT, False),
        (170, AfterSession.WAIT, False),
        (200, AfterSession.READ_INVOICES, False),
        (405, AfterSession.SEND_AGAIN, False),
        (415, AfterSession.SEND_AGAIN, True),
        (420, AfterSession.SPLIT, False),
        (430, AfterSession.SEND_AGAIN, False),
        (435, AfterSession.SEND_AGAIN, True),
        (440, AfterSession.SEND_AGAIN, False),
        (445, AfterSession.READ_INVOICES, False),
        (500, AfterSession.SEND_AGAIN, False),
        pytest.param(180, AfterSession.WAIT, False, id="unknown, in progress"),
        pytest.param(201, AfterSession.SEND_AGAIN, False, id="unknown, just above success"),
        pytest.param(477, AfterSession.SEND_AGAIN, False, id="unknown failure"),
        pytest.param(550, AfterSession.SEND_AGAIN, False, id="unknown failure of KSeF's"),
    ],
)
def test_failure_of_a_session_is_never_blamed_on_its_documents(
    code: int, after: AfterSession, forget_keys: bool
) -> None:
    end = session_end(code)

    assert (end.after, end.forget_keys) == (after, forget_keys)


def test_every_known_code_has_a_row_with_a_reason() -> None:
    assert set(INVOICE_ENDS) == set(InvoiceStatusCode)
    assert set(SESSION_ENDS) == set(StatusCode)
    reasons = [end.reason for end in INVOICE_ENDS.values()] + [end.reason for end in SESSION_ENDS.values()]
    assert all(reason.endswith(".") for reason in reasons)


def test_waiting_ends_with_the_final_codes() -> None:
    for code in range(100, 600):
        assert (invoice_end(code).after is AfterInvoice.WAIT) is not is_terminal(code)
        assert (session_end(code).after is AfterSession.WAIT) is not is_terminal(code)
