"""A journal of an earlier version is brought up to date where it is, and nothing in it is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from clients import connected
from sqlalchemy.engine import URL

from ksef_async import Environment, OfflineMode
from ksef_async.protocol.verification_links import InvoiceFingerprint, verification_link
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.submissions import IdentityTakenError, Submissions, SubmissionState

from .conftest import QUICK_SETTINGS
from .test_issuing import SIGNER

HERE = Path(__file__).parent
NIP, OTHER_NIP = "5265877635", "7010002137"
DOCUMENTS = [sample_invoice(NIP, f"FV/{number}", buyer_nip=OTHER_NIP) for number in range(3)]


def rows() -> list[tuple[object, ...]]:
    """One that waits under a key, one that waits without, and one, issued offline, that was taken back."""
    found: list[tuple[object, ...]] = []
    for number, (key, state) in enumerate([("order 0", "queued"), (None, "queued"), ("order 2", "cancelled")]):
        identity = None if state == "cancelled" else f"{NIP} VAT FV/{number}"
        document = DOCUMENTS[number]
        found.append((
            key, NIP, NIP, "VAT", f"FV/{number}", "FA (3)", identity, sha256(document).digest(),
            document, state == "cancelled", 0, state, 0, False, False, 1.0, 1.0,
        ))  # fmt: skip
    return found


INSERT = (
    "INSERT INTO ksef_submissions (key, context, seller_nip, kind, number, form_code, identity, sha256, document, "
    "offline, priority, state, attempt, is_duplicate, acknowledged, submitted_at, updated_at) VALUES ("
)


@pytest.fixture
def old_journal(journal_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A journal that version 4 has written."""
    if journal_url.startswith("sqlite"):
        with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
            connection.executescript((HERE / "version_4.sqlite.sql").read_text("utf-8"))
            connection.execute("INSERT INTO ksef_schema VALUES (4)")
            connection.executemany(f"{INSERT}{', '.join('?' * 17)})", rows())
    else:
        database: URL = request.getfixturevalue("postgres_database")
        with psycopg.connect(database.render_as_string(hide_password=False)) as server:
            server.execute((HERE / "version_4.postgresql.sql").read_bytes())
            server.execute("INSERT INTO ksef_schema VALUES (4)")
            server.cursor().executemany(f"{INSERT}{', '.join(['%s'] * 17)})".encode(), rows())
    return journal_url


async def test_journal_of_version_4_keeps_what_is_in_it(old_journal: str) -> None:
    async with (
        Sandbox(nip=NIP, rate_limits=None) as sandbox,
        connected(sandbox) as client,
        Submissions(old_journal, client=client, settings=QUICK_SETTINGS) as submissions,
    ):
        first = await submissions.get(key="order 0")
        assert await submissions.submit(DOCUMENTS[0]) == first
        assert await submissions.submit(DOCUMENTS[1]) == await submissions.get(2)
        assert await submissions.document(2) == DOCUMENTS[1]
        with pytest.raises(IdentityTakenError, match="FV/1"):
            await submissions.submit(sample_invoice(NIP, "FV/1"))
        with pytest.raises(IdentityTakenError, match="order 2"):
            await submissions.submit(sample_invoice(NIP, "FV/9"), key="order 2")
        # It was issued offline; its date is not known any more.
        offline = await submissions.get(3)
        assert (offline.offline, offline.issued_on, offline.due_by) == (OfflineMode.OFFLINE24, None, None)
        # The number of what was taken back is free.
        await submissions.submit(sample_invoice(NIP, "FV/2"))

        async with submissions.running():
            await submissions.wait_until_settled()

        states = [submission.state for submission in await submissions.list_page()]
        assert states == [
            SubmissionState.ACCEPTED, SubmissionState.ACCEPTED, SubmissionState.CANCELLED, SubmissionState.ACCEPTED,
        ]  # fmt: skip


async def test_migrated_journal_keeps_companies_apart(old_journal: str) -> None:
    for _ in range(2):  # the second opening finds it migrated
        async with Submissions(old_journal) as submissions:
            theirs = await submissions.submit(DOCUMENTS[0], nip=OTHER_NIP, key="order 0")
            mine = await submissions.get(key="order 0", nip=NIP)

            assert (mine.id, theirs.id) == (1, 4)


async def test_what_an_earlier_version_wrote_is_issued_while_the_customer_waits(old_journal: str) -> None:
    document = DOCUMENTS[0]
    async with Submissions(old_journal, environment=Environment.TEST) as submissions:
        issued = await submissions.issue(document, within=0.1, signer=SIGNER)

        assert issued.submission.issued_on == InvoiceFingerprint.of(document).issued_on
        assert issued.submission.due_by is not None
        assert issued.is_offline
        assert issued.verification_link == verification_link(InvoiceFingerprint.of(document), Environment.TEST)
        assert [code.label for code in issued.codes] == ["OFFLINE", "CERTYFIKAT"]
        assert await submissions.issue(document, within=3_600, signer=SIGNER) == issued
