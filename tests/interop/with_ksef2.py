"""The full path of `ksef2` through the sandbox."""

from __future__ import annotations

import attrs
import httpx
import pytest
from interop.steps import (
    BUYER,
    MANY,
    OFFICE,
    PESEL,
    Steps,
    accepted,
    confirmed,
    granted,
    hash_of,
    hashes,
    identities,
    samples,
    until,
    yesterday,
)
from ksef2 import AsyncClient, Environment, FormSchema, KSeFApiError, KSeFAuthError, KSeFInvoiceRejectedError
from ksef2.clients import AsyncAuthenticatedClient
from ksef2.models import (
    AuthorizationPermissionsQuery,
    ContextLimits,
    EntityPermissionsQuery,
    InvoiceMetadata,
    InvoiceMetadataParams,
    InvoicesFilter,
    PersonPermissionsQuery,
    TokenListParams,
)
from ksef2.xades import XAdESCredentials

from ksef_async.models.common import Context, ContextType
from ksef_async.models.tokens import TokenStatus
from ksef_async.sandbox import Sandbox, sample_invoice

#: Looks often: the sandbox takes a twentieth of a second.
SOON = 0.05


class ToTheSandbox(httpx.AsyncHTTPTransport):
    """`ksef2` knows the Ministry's addresses only; this is the one of its public settings that leads elsewhere."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.url = httpx.URL(sandbox.environment.base_url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme=self.url.scheme, host=self.url.host, port=self.url.port)
        return await super().handle_async_request(request)


async def walk(sandbox: Sandbox, steps: Steps) -> None:
    async with httpx.AsyncClient(transport=ToTheSandbox(sandbox)) as http:
        async with AsyncClient(Environment.TEST, http_client=http) as client:
            walker = Walker(sandbox, steps, client)
            await walker.log_in()
            auth = await walker.log_in_with_certificates()
            await walker.send_online(auth)
            await walker.send_batch(auth)
            await walker.list_sessions(auth)
            await walker.receive(auth)
            for compression in ("zip", "tar_gz"):
                await walker.export(auth, compression)
            await walker.use_tokens(auth)
            await walker.use_permissions(auth)
            await walker.read_limits(auth)
            await walker.log_out()


def stored() -> InvoicesFilter:
    """What the seller sent, as far as KSeF promises that nothing is still to come."""
    return InvoicesFilter(
        role="seller",
        date_type="permanent_storage",
        date_from=yesterday(),
        restrict_to_permanent_storage_hwm_date=True,
    )


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

    async def log_in_with_certificates(self) -> AsyncAuthenticatedClient:
        """The last of them."""
        for name, certificate, key in identities(self.sandbox.nip):
            with self.steps.step(f"XAdES login, {name}"):
                auth = await self.client.authentication.with_xades(
                    nip=self.sandbox.nip,
                    credentials=XAdESCredentials.from_pem(certificate, key),
                    poll_interval=SOON,
                )
                login = next(reversed(self.sandbox.world.logins.values()))
                assert login.is_redeemed
                assert login.signature is not None
        return auth

    async def send_online(self, auth: AsyncAuthenticatedClient) -> None:
        steps, invoice = self.steps, sample_invoice(self.sandbox.nip, "FV/1", buyer_nip=BUYER)
        with steps.step("online session opened"):
            session = await auth.online_session(form_code=FormSchema.FA3)
            assert self.sandbox.world.sessions[session.reference_number].cipher is not None
        with steps.step("invoice sent and accepted"):
            sent = await session.send_invoice(invoice)
            status = await sent.wait(timeout=10, poll_interval=SOON)
            assert status.status.code == 200
            assert hash_of(invoice) in accepted(self.sandbox)
        with steps.step("the same invoice refused, and listed as failed"):
            again = await session.send_invoice(invoice)
            with pytest.raises(KSeFInvoiceRejectedError):
                await again.wait(timeout=10, poll_interval=SOON)
            (failed,) = (await session.list_failed_invoices()).invoices
            assert (failed.reference_number, failed.status.code) == (again.reference_number, 440)
        with steps.step("UPO of the invoice, by both its numbers"):
            for upo in (
                await sent.download_upo(),
                await session.download_invoice_upo(ksef_number=status.ksef_number),
            ):
                assert confirmed(upo) == {hash_of(invoice)}
        with steps.step("session closed, UPO of the session"):
            await session.aclose()
            closed = await session.wait(timeout=10, poll_interval=SOON)
            assert (closed.successful_invoice_count, closed.failed_invoice_count) == (1, 1)
            (upo,) = await session.download_upo()
            assert confirmed(upo) == {hash_of(invoice)}

    async def send_batch(self, auth: AsyncAuthenticatedClient) -> None:
        invoices = samples(self.sandbox, "Zip")
        with self.steps.step(f"batch of {MANY} invoices, Zip, uploaded"):
            session = await auth.batch.submit(await auth.batch.prepare(invoices))
        with self.steps.step("batch accepted, UPO of the session"):
            status = await session.wait(timeout=10, poll_interval=SOON)
            assert (status.status.code, status.successful_invoice_count) == (200, MANY)
            (upo,) = await session.download_upo()
            assert confirmed(upo) == hashes(invoices)
            assert hashes(invoices) <= accepted(self.sandbox)
        with self.steps.step("invoices of the batch listed page by page"):
            page = await session.list_invoices(page_size=10)
            rows = [*page.invoices]
            while page.continuation_token:
                page = await session.list_invoices(page_size=10, continuation_token=page.continuation_token)
                rows += page.invoices
            assert {row.invoice_hash for row in rows} == hashes(invoices)
            assert len(rows) == MANY

    async def list_sessions(self, auth: AsyncAuthenticatedClient) -> None:
        with self.steps.step("sessions listed, online and batch"):
            listed = [
                row.reference_number for kind in ("online", "batch") async for row in auth.invoice_sessions.list(kind)
            ]
            assert sorted(listed) == sorted(self.sandbox.world.sessions)

    async def receive(self, auth: AsyncAuthenticatedClient) -> None:
        steps, repository = self.steps, self.sandbox.world.repository
        with steps.step("metadata queried as the seller, page by page"):

            async def look() -> list[InvoiceMetadata]:
                pages = auth.invoices.search(stored(), InvoiceMetadataParams(page_size=10))
                return [row async for row in pages]

            rows = await until(look, lambda seen: len(seen) == len(repository))
            assert {row.invoice_hash for row in rows} == accepted(self.sandbox)
        with steps.step("metadata queried as the buyer, who logged in too"):
            buyer = await self.token_login(BUYER, self.sandbox.issue_token(BUYER))
            received = InvoicesFilter(role="buyer", date_type="permanent_storage", date_from=yesterday())
            found = [row async for row in buyer.invoices.search(received)]
            assert {row.invoice_hash for row in found} == accepted(self.sandbox)
            assert {row.seller.nip for row in found} == {self.sandbox.nip}
        with steps.step("invoice downloaded by the buyer"):
            document = await buyer.invoices.download(found[0].ksef_number)
            assert hash_of(document) == found[0].invoice_hash

    async def export(self, auth: AsyncAuthenticatedClient, compression: str) -> None:
        with self.steps.step(f"export asked for, {compression}"):
            job = await auth.invoices.export(stored(), compression_type=compression)
        with self.steps.step(f"package downloaded, decrypted and unpacked, {compression}"):
            package = await job.wait(timeout=10, poll_interval=SOON)
            documents = dict(package.invoices())
            assert hashes(list(documents.values())) == accepted(self.sandbox)
            assert {row.ksef_number for row in package.metadata or ()} == documents.keys()

    async def use_tokens(self, auth: AsyncAuthenticatedClient) -> None:
        steps, tokens = self.steps, auth.tokens
        with steps.step("token generated and active"):
            made = await tokens.generate(permissions=["invoice_read", "invoice_write"], description="For the warehouse")
            status = await made.wait(timeout=10, poll_interval=SOON)
            stored = self.sandbox.world.tokens[made.token]
            assert status.status == "active"
            assert stored.permissions == ("InvoiceRead", "InvoiceWrite")
        with steps.step("tokens listed"):
            params = TokenListParams(status=["active"], description="warehouse")
            listed = [row.reference_number async for row in tokens.list(params=params)]
            assert listed == [made.reference_number]
        with steps.step("login with the new token"):
            await self.token_login(self.sandbox.nip, made.token)
            assert next(reversed(self.sandbox.world.logins.values())).token is stored
        with steps.step("token revoked, and no login with it"):
            await tokens.revoke(reference_number=made.reference_number)
            await until(made.get_status, lambda seen: seen.status == "revoked")
            assert stored.status_at(self.sandbox.clock.now()) is TokenStatus.REVOKED
            with pytest.raises(KSeFAuthError):
                await self.token_login(self.sandbox.nip, made.token)

    async def use_permissions(self, auth: AsyncAuthenticatedClient) -> None:
        steps, permissions = self.steps, auth.permissions
        with steps.step("permissions granted to a person"):
            operation = await permissions.grant_person(
                subject_type="pesel",
                subject_value=PESEL,
                permissions=["invoice_read", "introspection"],
                description="The bookkeeper",
                first_name="Adam",
                last_name="Abacki",
            )
            await operation.wait(timeout=10, poll_interval=SOON)
            assert {one.permission for one in granted(self.sandbox, PESEL)} == {"InvoiceRead", "Introspection"}
        with steps.step("permissions of persons queried"):
            query = PersonPermissionsQuery(query_type="granted_in_context")
            found = [row async for row in permissions.list_persons(query)]
            assert {row.id for row in found} == {one.id for one in granted(self.sandbox, PESEL)}
            assert {row.authorized_value for row in found} == {PESEL}
        with steps.step("permissions of the person revoked"):
            for row in found:
                operation = await permissions.revoke(permission_id=row.id)
                await operation.wait(timeout=10, poll_interval=SOON)
            assert granted(self.sandbox, PESEL) == []

        with steps.step("permissions granted to a company, queried there, revoked"):
            operation = await permissions.grant_entity(
                subject_value=OFFICE,
                permissions=["invoice_read"],
                description="The accountant's office",
                entity_name="Biuro",
            )
            await operation.wait(timeout=10, poll_interval=SOON)
            (stored,) = granted(self.sandbox, OFFICE)
            office = await self.token_login(OFFICE, self.sandbox.issue_token(OFFICE))
            received = [row async for row in office.permissions.list_entities(EntityPermissionsQuery())]
            assert [(row.id, row.context_value) for row in received] == [(stored.id, self.sandbox.nip)]
            operation = await permissions.revoke(permission_id=stored.id)
            await operation.wait(timeout=10, poll_interval=SOON)
            assert granted(self.sandbox, OFFICE) == []

        with steps.step("authorization to self-invoice granted, queried, revoked"):
            operation = await permissions.grant_authorization(
                subject_type="nip",
                subject_value=OFFICE,
                permission="self_invoicing",
                description="Self-invoicing",
                entity_name="Biuro",
            )
            await operation.wait(timeout=10, poll_interval=SOON)
            given = [
                row
                async for row in permissions.list_authorizations(AuthorizationPermissionsQuery(query_type="granted"))
            ]
            assert [row.id for row in given] == [one.id for one in granted(self.sandbox, OFFICE)]
            operation = await permissions.revoke_authorization(permission_id=given[0].id)
            await operation.wait(timeout=10, poll_interval=SOON)
            assert granted(self.sandbox, OFFICE) == []

    async def read_limits(self, auth: AsyncAuthenticatedClient) -> None:
        steps, world, limits = self.steps, self.sandbox.world, auth.limits
        with steps.step("limits of the context and the subject"):
            context = await limits.get_context_limits()
            assert (
                context.online_session.max_invoices == world.granted.context(self.context).online_session.max_invoices
            )
            subject = await limits.get_subject_limits()
            assert subject.certificate is not None
            assert subject.certificate.max_certificates == 100
        with steps.step("limits of a session overridden, read and reset"):
            session = context.online_session.model_copy(update={"max_invoices": 7})
            override = ContextLimits(
                online_session=session, batch_session=session, collective_identifier=context.collective_identifier
            )
            await limits.set_session_limits(limits=override)
            assert world.granted.context(self.context).online_session.max_invoices == 7
            assert await limits.get_context_limits() == override
            await limits.reset_session_limits()
            assert await limits.get_context_limits() == context
        with steps.step("rate limits read, those of production set, reset"):
            unlimited = await limits.get_api_rate_limits()
            assert unlimited.invoice_send.per_hour == world.limiter.granted_to(self.context).invoice_send.per_hour
            await limits.set_production_rate_limits()
            production = await limits.get_api_rate_limits()
            assert production != unlimited
            assert production.invoice_send.per_hour == world.limiter.granted_to(self.context).invoice_send.per_hour
            await limits.reset_api_rate_limits()
            assert await limits.get_api_rate_limits() == unlimited

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
