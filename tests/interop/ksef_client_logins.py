"""How `ksef-client` logs in and out."""

from __future__ import annotations

import attrs
import pytest
from interop.steps import Steps, identities
from ksef_client import AsyncKsefClient, KsefHttpError, models
from ksef_client.services.workflows import AsyncAuthCoordinator, AuthResult

from ksef_async.api.common import Context, ContextType
from ksef_async.sandbox import Sandbox


@attrs.frozen
class Walker:
    """One company's way through the sandbox."""

    sandbox: Sandbox
    steps: Steps
    client: AsyncKsefClient
    token_key: models.PublicKeyCertificate
    session_key: models.PublicKeyCertificate

    @property
    def context(self) -> Context:
        return Context(ContextType.NIP, self.sandbox.nip)

    async def token_login(self, nip: str, token: str) -> AuthResult:
        return await AsyncAuthCoordinator(self.client.auth).authenticate_with_ksef_token(
            token=token,
            public_certificate=self.token_key.certificate,
            public_key_id=self.token_key.public_key_id,
            context_identifier_type="nip",
            context_identifier_value=nip,
            poll_interval_seconds=0.05,
        )

    async def log_in(self) -> None:
        with self.steps.step("token login"):
            auth = await self.token_login(self.sandbox.nip, self.sandbox.token)
            login = self.sandbox.world.logins[auth.reference_number]
            assert login.is_redeemed
            assert login.token is self.sandbox.world.tokens[self.sandbox.token]
        with self.steps.step("access token refreshed"):
            await self.client.auth.refresh_access_token(auth.refresh_token)
            assert login.refreshed_at is not None

    async def certificate_login(self, certificate: bytes, key: bytes, schema: str = "2.1") -> AuthResult:
        return await AsyncAuthCoordinator(self.client.auth).authenticate_with_xades(
            context_identifier_type="nip",
            context_identifier_value=self.sandbox.nip,
            subject_identifier_type="certificateSubject",
            certificate_pem=certificate.decode(),
            private_key_pem=key.decode(),
            auth_request_schema_version=schema,
            poll_interval_seconds=0.05,
        )

    async def log_in_with_certificates(self) -> str:
        """The access token of the last one."""
        access = ""
        for name, certificate, key in identities(self.sandbox.nip):
            for schema in ("2.0", "2.1"):
                with self.steps.step(f"XAdES login, {name}, schema {schema}"):
                    auth = await self.certificate_login(certificate, key, schema)
                    login = self.sandbox.world.logins[auth.reference_number]
                    assert login.is_redeemed
                    assert login.signature is not None
                    access = auth.access_token
        return access

    async def log_out(self) -> None:
        steps, auth = self.steps, self.client.auth
        one = await self.token_login(self.sandbox.nip, self.sandbox.token)
        other = await self.token_login(self.sandbox.nip, self.sandbox.token)
        with steps.step("logins listed"):
            listed = await auth.get_active_sessions(page_size=100, access_token=one.access_token)
            current = [row.reference_number for row in listed.items if row.is_current]
            assert current == [one.reference_number]
            assert other.reference_number in {row.reference_number for row in listed.items}
        with steps.step("another login revoked, then this one; neither can be refreshed"):
            await auth.revoke_session(other.reference_number, one.access_token)
            await auth.revoke_current_session(one.access_token)
            for login in (one, other):
                assert self.sandbox.world.logins[login.reference_number].is_revoked
                with pytest.raises(KsefHttpError):
                    await auth.refresh_access_token(login.refresh_token)
