"""Technical corrections: what replaces an offline invoice that KSeF has rejected."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect

from ksef_async import InvoicingMode, LocalProtocolError, OfflineMode
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Submissions, SubmissionState

NIP = "5265877635"
OFFLINE24 = OfflineMode.OFFLINE24


async def test_rejected_offline_invoice_is_replaced_by_its_technical_correction(
    submissions: Submissions, sandbox: Sandbox
) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450))
    async with submissions.running():
        rejected = await submissions.submit(sample_invoice(sandbox.nip), offline=OFFLINE24)
        await submissions.wait_until_settled()
        assert (await submissions.get(rejected.id)).state is SubmissionState.REJECTED

        correction = await submissions.submit(
            sample_invoice(sandbox.nip, buyer_nip="7010002137"),
            offline=OFFLINE24,
            corrects=rejected.invoice_hash,
        )
        await submissions.wait_until_settled()

    accepted = await submissions.get(correction.id)
    assert accepted.state is SubmissionState.ACCEPTED
    assert accepted.has_upo
    assert accepted.corrects == rejected.invoice_hash
    assert sandbox.world.corrected_hashes == {rejected.invoice_hash}
    modes = [invoice.verdict.mode for invoice in sandbox.world.invoices() if invoice.is_accepted]
    assert modes == [InvoicingMode.OFFLINE]


@pytest.mark.parametrize(
    ("offline", "corrects"), [(None, b"h" * 32), (OFFLINE24, b"h" * 31)], ids=["online", "no hash"]
)
async def test_what_cannot_be_a_technical_correction_is_refused(
    submissions: Submissions, offline: OfflineMode | None, corrects: bytes
) -> None:
    with pytest.raises(LocalProtocolError, match="correct"):
        await submissions.submit(sample_invoice(NIP), offline=offline, corrects=corrects)

    assert await submissions.list_page() == ()


async def test_journal_of_the_first_version_is_brought_up_to_date(journal_url: str) -> None:
    async with Submissions(journal_url) as submissions:
        before = await submissions.submit(sample_invoice(NIP, "FV/1"))
        async with submissions.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE ksef_submissions DROP COLUMN corrects")
            await connection.exec_driver_sql("ALTER TABLE ksef_sessions DROP COLUMN uploaded")
            await connection.exec_driver_sql("ALTER TABLE ksef_sessions DROP COLUMN is_closing")
            await connection.exec_driver_sql("DROP INDEX ksef_submissions_deadlines")
            await connection.exec_driver_sql("CREATE INDEX ksef_submissions_work ON ksef_submissions (state, context)")
            await connection.exec_driver_sql("UPDATE ksef_schema SET version = 1")

    for _ in range(2):
        async with Submissions(journal_url) as submissions:
            assert await submissions.get(before.id) == before
            added = await submissions.submit(sample_invoice(NIP, "FV/2"), offline=OFFLINE24, corrects=b"h" * 32)
            async with submissions.begin() as connection:
                await connection.exec_driver_sql("SELECT uploaded, is_closing FROM ksef_sessions")
                indices = await connection.run_sync(lambda sync: inspect(sync).get_indexes("ksef_submissions"))
                names = {index["name"] for index in indices}

    assert added.corrects == b"h" * 32
    assert {"ksef_submissions_deadlines", "ksef_submissions_due"} <= names
    assert not {"ksef_submissions_work", "ksef_submissions_queue"} & names
