"""Keys, and seller, kind and number, are a company's own: no other can take them, or learn that they are taken."""

from __future__ import annotations

import pytest

from ksef_async import LocalProtocolError
from ksef_async.sandbox import sample_invoice
from ksef_async.submissions import IdentityTakenError, Settings, Submissions, UnknownSubmissionError

MINE, THEIRS = "5265877635", "7010002137"


async def test_key_and_number_of_one_company_are_free_for_another(journal_url: str) -> None:
    async with Submissions(journal_url) as submissions:
        # Theirs is first, and names my company as the seller, as in self-billing.
        theirs = await submissions.submit(sample_invoice(MINE, "FV/1", buyer_nip=THEIRS), key="order 1", nip=THEIRS)
        mine = await submissions.submit(sample_invoice(MINE, "FV/1"), key="order 1")

        assert (theirs.nip, mine.nip) == (THEIRS, MINE)
        assert theirs.id != mine.id
        assert await submissions.get(key="order 1", nip=MINE) == mine
        assert await submissions.get(key="order 1", nip=THEIRS) == theirs
        with pytest.raises(LocalProtocolError, match="which one"):
            await submissions.get(key="order 1")


async def test_same_document_is_a_submission_of_each_company(journal_url: str) -> None:
    document = sample_invoice(MINE, "FV/1", buyer_nip=THEIRS)
    async with Submissions(journal_url) as submissions:
        made = [await submissions.submit(document, nip=nip) for nip in (THEIRS, MINE, THEIRS, MINE)]

        assert [one.id for one in made] == [1, 2, 1, 2]
        assert [one.nip for one in made[:2]] == [THEIRS, MINE]


async def test_refusal_names_only_what_is_the_companys_own(journal_url: str) -> None:
    async with Submissions(journal_url) as submissions:
        await submissions.submit(sample_invoice(MINE, "FV/1", buyer_nip=THEIRS), key="order 1", nip=THEIRS)
        mine = await submissions.submit(sample_invoice(MINE, "FV/1", buyer_nip=THEIRS), key="order 1")
        for document, key in (
            (sample_invoice(MINE, "FV/1"), None),
            (sample_invoice(MINE, "FV/2"), "order 1"),
        ):
            with pytest.raises(IdentityTakenError) as refused:
                await submissions.submit(document, key=key)

            assert refused.value.submission_id == mine.id


async def test_another_companys_submission_is_as_if_it_were_not_there(journal_url: str) -> None:
    async with Submissions(journal_url) as submissions:
        theirs = await submissions.submit(sample_invoice(THEIRS, "FV/1"), key="order 1")

        for asking in (submissions.get(theirs.id, nip=MINE), submissions.get(key="order 1", nip=MINE)):
            with pytest.raises(UnknownSubmissionError):
                await asking


async def test_retry_minds_the_companys_own_only(journal_url: str) -> None:
    async with Submissions(journal_url) as submissions:
        first = await submissions.submit(sample_invoice(MINE, "FV/1"))
        await submissions.cancel(first.id)
        await submissions.submit(sample_invoice(MINE, "FV/1", buyer_nip=THEIRS), nip=THEIRS)

        assert (await submissions.retry(first.id)).id == first.id

        await submissions.cancel(first.id)
        second = await submissions.submit(sample_invoice(MINE, "FV/1", buyer_nip=THEIRS))
        with pytest.raises(IdentityTakenError) as refused:
            await submissions.retry(first.id)
        assert refused.value.submission_id == second.id


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"key": ""}, id="empty key"),
        pytest.param({"key": "x" * 256}, id="long key"),
        pytest.param({"key": "a\0b"}, id="key with NUL"),
        pytest.param({"nip": "1" * 33}, id="long context"),
        pytest.param({"nip": ""}, id="empty context"),
        pytest.param({"nip": "1\0"}, id="context with NUL"),
        pytest.param({"priority": 2**31}, id="too urgent"),
    ],
)
async def test_what_no_column_takes_is_refused_before_the_database(
    journal_url: str, options: dict[str, object]
) -> None:
    async with Submissions(journal_url) as submissions:
        with pytest.raises(LocalProtocolError):
            await submissions.submit(sample_invoice(MINE), **options)  # type: ignore[arg-type]


async def test_number_that_is_too_long_is_refused_before_the_database(journal_url: str) -> None:
    async with Submissions(journal_url, settings=Settings(check=False)) as submissions:
        for document in (sample_invoice(MINE, "9" * 600), sample_invoice("9" * 40)):
            with pytest.raises(LocalProtocolError, match="more than any invoice"):
                await submissions.submit(document)


@pytest.mark.parametrize("number", [0, -1, 2**63, -(2**63) - 1, 10**40])
async def test_ids_that_no_row_can_have_are_unknown(journal_url: str, number: int) -> None:
    async with Submissions(journal_url) as submissions:
        await submissions.submit(sample_invoice(MINE))
        for asking in (submissions.get(number), submissions.document(number), submissions.upo(number)):
            with pytest.raises(UnknownSubmissionError):
                await asking
        await submissions.acknowledge(number)

        expected = () if number > 1 else await submissions.list_page()
        assert await submissions.list_page(after=number) == expected
        assert await submissions.find(after=number) == expected
