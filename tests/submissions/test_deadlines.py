"""When submissions are due, and in which order they are sent because of it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from ksef_async import Environment, LocalProtocolError, OfflineMode
from ksef_async.api.sessions import FormCode
from ksef_async.sandbox import sample_invoice
from ksef_async.submissions import Settings, Submissions
from ksef_async.submissions.context_store import ContextStore
from ksef_async.submissions.database import Database
from ksef_async.submissions.deadlines import first_deadline, send_by
from ksef_async.submissions.leases import Leases
from ksef_async.submissions.schema import NEVER
from ksef_async.submissions.vault import Vault

NIP = "5265877635"
OFFLINE24 = OfflineMode.OFFLINE24


def invoice(number: int, issued_on: date) -> bytes:
    return sample_invoice(NIP, f"FV/{number}", issued_on=issued_on)


@pytest.mark.parametrize(
    ("mode", "issued_on", "due_by"),
    [
        pytest.param(OFFLINE24, date(2026, 3, 3), datetime(2026, 3, 4, 23, tzinfo=UTC), id="next day"),
        pytest.param(OFFLINE24, date(2026, 4, 30), datetime(2026, 5, 4, 22, tzinfo=UTC), id="holiday and weekend"),
        pytest.param(
            OfflineMode.UNAVAILABILITY, date(2026, 3, 3), datetime(2026, 3, 4, 23, tzinfo=UTC), id="unavailability"
        ),
        pytest.param(OfflineMode.EMERGENCY, date(2026, 3, 3), datetime(2026, 3, 12, 23, tzinfo=UTC), id="failure"),
    ],
)
async def test_invoice_issued_offline_has_a_deadline(
    journal_url: str, mode: OfflineMode, issued_on: date, due_by: datetime
) -> None:
    async with Submissions(journal_url) as submissions:
        submission = await submissions.submit(invoice(1, issued_on), offline=mode)

        assert (submission.offline, submission.issued_on, submission.due_by) == (mode, issued_on, due_by)
        assert submission.verification_link(Environment.TEST).startswith(
            f"https://qr-test.ksef.mf.gov.pl/invoice/{NIP}/{issued_on:%d-%m-%Y}/"
        )
        assert await submissions.get(submission.id) == submission


async def test_invoice_issued_online_has_none(journal_url: str) -> None:
    async with Submissions(journal_url) as submissions:
        submission = await submissions.submit(invoice(1, date(2026, 3, 3)))

    assert (submission.offline, submission.due_by, submission.certificate_link) == (None, None, None)


async def test_invoice_of_a_total_failure_is_refused(submissions: Submissions) -> None:
    with pytest.raises(LocalProtocolError, match="never delivered"):
        await submissions.submit(invoice(1, date(2026, 3, 3)), offline=OfflineMode.TOTAL_FAILURE)

    with pytest.raises(LocalProtocolError, match="never delivered"):
        first_deadline(OfflineMode.TOTAL_FAILURE, date(2026, 3, 3))


@pytest.mark.parametrize("issued_on", ["", "0001-01-01", "9999-12-31", "2026-02-30", "2026-3-3"])
async def test_date_that_is_none_leaves_the_deadline_unknown(sqlite_url: str, issued_on: str) -> None:
    document = invoice(1, date(2026, 3, 3)).replace(b"<P_1>2026-03-03<", f"<P_1>{issued_on}<".encode())
    async with Submissions(sqlite_url, settings=Settings(check=False)) as submissions:
        with pytest.raises(LocalProtocolError, match="no date"):
            await submissions.submit(document, offline=OFFLINE24)

        submission = await submissions.submit(document)

    assert submission.issued_on is None
    with pytest.raises(LocalProtocolError, match="date"):
        submission.verification_link(Environment.TEST)


def test_online_invoice_should_be_sent_before_midnight() -> None:
    assert send_by(date(2026, 3, 3), None) == datetime(2026, 3, 3, 23, tzinfo=UTC).timestamp()
    assert send_by(date(2026, 3, 3), 5.0) == 5.0
    assert send_by(None, None) == NEVER


async def test_what_is_due_sooner_is_claimed_first_and_then_what_came_first(journal_url: str) -> None:
    third, fourth = date(2026, 3, 3), date(2026, 3, 4)
    plan = [
        ("later", fourth, OFFLINE24, 0),
        ("next midnight", fourth, None, 0),
        ("as soon", third, OFFLINE24, 0),
        ("midnight", third, None, 0),
        ("midnight, too", third, None, 0),
        ("urgent", fourth, OFFLINE24, 100),
    ]
    names: dict[int, str] = {}
    async with Submissions(journal_url) as submissions:
        for number, (name, issued_on, mode, priority) in enumerate(plan):
            document = invoice(number, issued_on)
            names[(await submissions.submit(document, offline=mode, priority=priority)).id] = name
    database = Database(journal_url)
    try:
        lease = await Leases(database, "worker", 60.0).take(NIP)
        assert lease is not None
        claims = await ContextStore(database, Vault(()), lease).claim(FormCode.FA3, "session", 10)
    finally:
        await database.aclose()

    # The fourth of March ends for "next midnight" and "as soon" alike.
    order = ["urgent", "midnight", "midnight, too", "next midnight", "as soon", "later"]
    assert [names[claim.id] for claim in claims] == order
