from __future__ import annotations

import pytest
from clients import connected

from ksef_async import (
    ApiError,
    BadRequestError,
    Environment,
    ForbiddenError,
    KsefClient,
    KsefToken,
    LoginFailedError,
    WaitTimeoutError,
)
from ksef_async.api.permission_grants import Permission
from ksef_async.api.tokens import TokenFilter, TokenStatus
from ksef_async.calling.polling import Cadence
from ksef_async.errors import InvalidFieldError, OperationFailedError
from ksef_async.sandbox import Fault, Sandbox, Timings


@pytest.fixture
def generous(sandbox: Sandbox) -> Sandbox:
    """A sandbox where a login by token may do what at KSeF takes a certificate: generate tokens."""
    sandbox.world.tokens_generate_tokens = True
    return sandbox


async def test_generated_token_is_waited_for_logged_in_with_and_revoked(generous: Sandbox, client: KsefClient) -> None:
    generated = await client.tokens.generate([Permission.INVOICE_READ], "For reading")
    issued = await generated.wait()

    assert issued.status is TokenStatus.ACTIVE
    async with connected(generous, token=generated.token) as reader:
        await reader.log_in()
        assert (await reader.tokens.get(generated.reference_number)).last_use_date is not None
        await client.tokens.revoke(generated.reference_number)
        await client.tokens.revoke(generated.reference_number)  # twice does no harm
    async with connected(generous, token=generated.token) as reader:
        with pytest.raises(LoginFailedError, match="Token unieważniony"):
            await reader.log_in()


async def test_secret_is_shown_by_its_attribute_only(generous: Sandbox, client: KsefClient) -> None:
    generated = await client.tokens.generate(["InvoiceRead"], "For reading")

    assert generated.token.startswith(generated.reference_number)
    assert generated.token not in repr(generated)
    await generated.wait()
    assert generated.token not in repr(generated)


async def test_revocation_whose_answer_is_lost_counts_as_done(generous: Sandbox, client: KsefClient) -> None:
    generated = await client.tokens.generate(["InvoiceRead"], "For reading")
    await generated.wait()
    generous.faults.add("revoke_token", Fault.drop_after())

    await client.tokens.revoke(generated.reference_number)

    assert (await generated.status()).status in (TokenStatus.REVOKING, TokenStatus.REVOKED)


async def test_unknown_token_is_not_taken_for_a_revoked_one(client: KsefClient) -> None:
    with pytest.raises(BadRequestError, match="nie został znaleziony") as caught:
        await client.tokens.revoke("20260701-EC-0000000000-0000000000-00")

    assert caught.value.code == 21405
    assert caught.value.operation == "revoke_token"


async def test_token_that_cannot_be_activated_is_an_error(generous: Sandbox, client: KsefClient) -> None:
    object.__setattr__(generous.world.timings, "token_delay", 60.0)
    generated = await client.tokens.generate(["InvoiceRead"], "For reading")
    generous.world.tokens[generated.token].fail(generous.clock.now(), "Brak uprawnień autora")
    generous.clock.advance(60)

    with pytest.raises(OperationFailedError, match="Brak uprawnień autora") as caught:
        await generated.wait()

    assert caught.value.reference_number == generated.reference_number
    assert generated.token not in str(caught.value)


async def test_waiting_for_a_token_ends_at_its_deadline() -> None:
    async with Sandbox(timings=Timings(token_delay=3600), rate_limits=None) as sandbox:
        sandbox.world.tokens_generate_tokens = True
        async with connected(sandbox) as client:
            generated = await client.tokens.generate(["InvoiceRead"], "For reading")

            with pytest.raises(WaitTimeoutError, match="Pending"):
                await generated.wait(Cadence(interval=0.01, deadline=0.05))


async def test_login_by_token_is_told_why_it_may_not_generate_tokens(client: KsefClient) -> None:
    with pytest.raises(ForbiddenError) as caught:
        await client.tokens.generate(["InvoiceRead"], "For reading")

    assert caught.value.reason == "auth-method-not-allowed"


@pytest.mark.parametrize("description", ["abcd", "x" * 257])
async def test_description_of_the_wrong_length_is_refused_before_anything_is_sent(description: str) -> None:
    async with KsefClient(Environment("http://127.0.0.1:9/v2"), KsefToken(nip="5265877635", token="t")) as client:
        with pytest.raises(InvalidFieldError, match="description must have a length between 5 and 256") as caught:
            await client.tokens.generate(["InvoiceRead"], description)

    assert caught.value.field == "description"


def test_search_for_less_than_three_characters_is_refused() -> None:
    with pytest.raises(InvalidFieldError, match="author_identifier must have a length of at least 3"):
        TokenFilter(author_identifier="12")


async def test_tokens_are_listed_a_page_at_a_time(generous: Sandbox, client: KsefClient) -> None:
    for number in range(101):
        await client.tokens.generate(["InvoiceRead"], f"Number {number}")

    pages = [page async for page in client.tokens.list().pages()]

    assert [len(page) for page in pages] == [100, 2]
    assert [token.description async for token in client.tokens.list()] == [
        *(f"Number {number}" for number in reversed(range(101))),
        "Issued by the sandbox",
    ]
    assert client.tokens is client.tokens


async def test_permission_one_does_not_have_is_refused(generous: Sandbox, client: KsefClient) -> None:
    with pytest.raises(ApiError) as caught:
        await client.tokens.generate(["EnforcementOperations"], "For the bailiff")

    assert caught.value.code == 26001
