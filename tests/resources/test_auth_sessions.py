from __future__ import annotations

from clients import Traffic, connected

from ksef_async import KsefClient
from ksef_async.sandbox import Sandbox


async def test_other_logins_are_seen_and_ended(sandbox: Sandbox, client: KsefClient) -> None:
    async with connected(sandbox) as other:
        await other.log_in()
        listed = [session async for session in client.auth_sessions.list()]
        (elsewhere,) = [session for session in listed if not session.is_current]

        await client.auth_sessions.revoke(elsewhere.reference_number)

    assert [session.is_current async for session in client.auth_sessions.list()] == [True]


async def test_client_logs_in_again_after_ending_its_own_login(sandbox: Sandbox) -> None:
    traffic = Traffic()
    async with connected(sandbox, hook=traffic) as client:
        await client.auth_sessions.revoke_current()
        assert [session async for session in client.auth_sessions.list()] == []

        sandbox.clock.advance(16 * 60)  # the access token has ended, and the refresh is refused
        (session,) = [session async for session in client.auth_sessions.list()]

    assert session.is_current
    assert traffic.of("log_in_with_token") == 2
