"""How `ksef2` logs in and out."""

from __future__ import annotations

import attrs
import pytest
from interop.steps import Steps, identities
from ksef2 import AsyncClient, KSeFApiError
from ksef2.clients import AsyncAuthenticatedClient
from ksef2.xades import XAdESCredentials

from ksef_async.api.common import Context, ContextType
from ksef_async.sandbox import Sandbox

#: Looks often: the sandbox takes a twentieth of a second.
SOON = 0.05


@attrs.frozen
class Walker:
    """One company's way through the sandbox."""

    sandbox: Sandbox
    steps: Steps
    client: AsyncClient

    @property
    def context(self) -> Context:
        return Context(ContextType.NIP, self.sandbox.nip)

    async def token_login(self, nip: str, token: str) -> AsyncAuthenticatedClient:
        return await self.client.authentication.with_token(ksef_token=token, nip=nip, poll_interval=SOON)

    async def log_in(self) -> None:
        with self.steps.step("public keys, token login"):
            auth = await self.token_login(self.sandbox.nip, self.sandbox.token)
            login = next(reversed(self.sandbox.world.logins.values()))
            assert login.is_redeemed
            assert login.token is self.sandbox.world.tokens[self.sandbox.token]
        with self.steps.step("access token refreshed"):
            await self.client.authentication.refresh(refresh_token=auth.refresh_token)
            assert login.refreshed_at is not None

    async def certificate_login(self, certificate: bytes, key: bytes) -> AsyncAuthenticatedClient:
        credentials = XAdESCredentials.from_pem(certificate, key)
        return await self.client.authentication.with_xades(
            nip=self.sandbox.nip, credentials=credentials, poll_interval=SOON
        )

    async def log_in_with_certificates(self) -> AsyncAuthenticatedClient:
        """The last of them."""
        for name, certificate, key in identities(self.sandbox.nip):
            with self.steps.step(f"XAdES login, {name}"):
                auth = await self.certificate_login(certificate, key)
                login = next(reversed(self.sandbox.world.logins.values()))
                assert login.is_redeemed
                assert login.signature is not None
        return auth

    async def log_out(self) -> None:
        one = await self.token_login(self.sandbox.nip, self.sandbox.token)
        other = await self.token_login(self.sandbox.nip, self.sandbox.token)
        *_, first, second = self.sandbox.world.logins.values()
        with self.steps.step("logins listed"):
            listed = {row.reference_number async for row in one.sessions.list()}
            assert {first.reference_number, second.reference_number} <= listed
        with self.steps.step("another login revoked, then this one; neither can be refreshed"):
            await one.sessions.terminate(second.reference_number)
            await one.sessions.terminate_current()
            assert (first.is_revoked, second.is_revoked) == (True, True)
            for auth in (one, other):
                with pytest.raises(KSeFApiError):
                    await self.client.authentication.refresh(refresh_token=auth.refresh_token)
