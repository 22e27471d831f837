"""The full path of `ksef-client` through the sandbox."""

from __future__ import annotations

import attrs
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
from ksef_client import AsyncKsefClient, KsefClientOptions, KsefHttpError, models
from ksef_client.services.crypto import build_encryption_data
from ksef_client.services.workflows import (
    AsyncAuthCoordinator,
    AsyncBatchSessionWorkflow,
    AsyncExportWorkflow,
    AsyncOnlineSessionWorkflow,
    AuthResult,
)
from packages import tarred, zipped

from ksef_async.models.common import Context, ContextType
from ksef_async.models.tokens import TokenStatus
from ksef_async.sandbox import Sandbox, sample_invoice

FA3 = models.FormCode(system_code="FA (3)", schema_version="1-0E", value="FA")


async def walk(sandbox: Sandbox, url: str, steps: Steps) -> None:
    # The sandbox speaks HTTP only.
    options = KsefClientOptions(base_url=url, strict_presigned_url_validation=False)
    async with AsyncKsefClient(options) as client:
        with steps.step("public keys"):
            token_key = await client.security.get_public_key_certificate("KsefTokenEncryption")
            session_key = await client.security.get_public_key_certificate("SymmetricKeyEncryption")
        walker = Walker(sandbox, steps, client, token_key, session_key)
        await walker.log_in()
        access = await walker.log_in_with_certificates()
        await walker.send_online(access)
        for compression in ("Zip", "TarGz"):
            await walker.send_batch(access, compression)
        await walker.list_sessions(access)
        await walker.receive(access)
        for compression in ("Zip", "TarGz"):
            await walker.export(access, compression)
        await walker.use_tokens(access)
        await walker.use_permissions(access)
        await walker.read_limits(access)
        await walker.log_out()


def stored() -> models.InvoiceQueryFilters:
    """What the seller sent, as far as KSeF promises that nothing is still to come."""
    return models.InvoiceQueryFilters(
        date_range=models.InvoiceQueryDateRange(
            date_type=models.InvoiceQueryDateType.PERMANENTSTORAGE,
            from_=yesterday().isoformat(),
            restrict_to_permanent_storage_hwm_date=True,
        ),
        subject_type=models.InvoiceQuerySubjectType.SUBJECT1,
    )


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

    async def log_in_with_certificates(self) -> str:
        """The access token of the last one."""
        access = ""
        for name, certificate, key in identities(self.sandbox.nip):
            for schema in ("2.0", "2.1"):
                with self.steps.step(f"XAdES login, {name}, schema {schema}"):
                    auth = await AsyncAuthCoordinator(self.client.auth).authenticate_with_xades(
                        context_identifier_type="nip",
                        context_identifier_value=self.sandbox.nip,
                        subject_identifier_type="certificateSubject",
                        certificate_pem=certificate.decode(),
                        private_key_pem=key.decode(),
                        auth_request_schema_version=schema,
                        poll_interval_seconds=0.05,
                    )
                    login = self.sandbox.world.logins[auth.reference_number]
                    assert login.is_redeemed
                    assert login.signature is not None
                    access = auth.access_token
        return access

    async def send_online(self, access: str) -> None:
        steps, invoice = self.steps, sample_invoice(self.sandbox.nip, "FV/1", buyer_nip=BUYER)
        with steps.step("online session opened"):
            session = await AsyncOnlineSessionWorkflow(self.client.sessions).open_session(
                form_code=FA3,
                public_certificate=self.session_key.certificate,
                public_key_id=self.session_key.public_key_id,
                access_token=access,
            )
            stored = self.sandbox.world.sessions[session.reference_number]
            assert stored.cipher is not None
        with steps.step("invoice sent and accepted"):
            sent = await session.send_invoice(invoice)
            status = await until(
                lambda: session.get_invoice_status(sent.reference_number), lambda seen: seen.status.code >= 200
            )
            assert status.status.code == 200
            assert status.ksef_number is not None
            assert hash_of(invoice) in accepted(self.sandbox)
        with steps.step("the same invoice refused, and listed as failed"):
            again = await session.send_invoice(invoice)
            await until(lambda: session.get_invoice_status(again.reference_number), lambda seen: seen.status.code > 200)
            (failed,) = (await session.list_failed_invoices()).invoices
            assert (failed.reference_number, failed.status.code) == (again.reference_number, 440)
            extensions = failed.status.extensions or {}
            assert extensions["originalKsefNumber"] == status.ksef_number
        with steps.step("UPO of the invoice, by both its numbers"):
            for upo in (
                await session.get_invoice_upo_by_ref(sent.reference_number),
                await session.get_invoice_upo_by_ksef(status.ksef_number),
            ):
                assert confirmed(upo) == {hash_of(invoice)}
        with steps.step("session closed, UPO of the session"):
            await session.close()
            closed = await until(session.get_status, lambda seen: seen.status.code >= 200)
            assert closed.status.code == 200
            assert closed.upo is not None
            assert (closed.successful_invoice_count, closed.failed_invoice_count) == (1, 1)
            upo = await session.get_upo(closed.upo.pages[0].reference_number)
            assert confirmed(upo) == {hash_of(invoice)}

    async def send_batch(self, access: str, compression: str) -> None:
        invoices = samples(self.sandbox, compression)
        files = [(f"{number}.xml", invoice) for number, invoice in enumerate(invoices)]
        with self.steps.step(f"batch of {MANY} invoices, {compression}, uploaded"):
            session = await AsyncBatchSessionWorkflow(self.client.sessions, self.client.http_client).open_session(
                form_code=FA3,
                archive_bytes=zipped(files) if compression == "Zip" else tarred(files),
                compression_type=compression,
                public_certificate=self.session_key.certificate,
                public_key_id=self.session_key.public_key_id,
                access_token=access,
            )
            await session.upload_parts()
            await session.close()
        with self.steps.step(f"batch, {compression}, accepted, UPO of the session"):
            status = await until(session.get_status, lambda seen: seen.status.code >= 200)
            assert (status.status.code, status.successful_invoice_count) == (200, MANY)
            assert status.upo is not None
            upo = await session.get_upo(status.upo.pages[0].reference_number)
            assert confirmed(upo) == hashes(invoices)
            assert hashes(invoices) <= accepted(self.sandbox)
        with self.steps.step(f"invoices of the batch, {compression}, listed page by page"):
            page = await session.list_invoices(page_size=10)
            rows = [*page.invoices]
            while page.continuation_token:
                page = await session.list_invoices(page_size=10, continuation_token=page.continuation_token)
                rows += page.invoices
            assert {row.invoice_hash for row in rows} == hashes(invoices)
            assert len(rows) == MANY

    async def list_sessions(self, access: str) -> None:
        with self.steps.step("sessions listed, online and batch"):
            listed = [
                row.reference_number
                for kind in ("Online", "Batch")
                for row in (await self.client.sessions.get_sessions(session_type=kind, access_token=access)).sessions
            ]
            assert sorted(listed) == sorted(self.sandbox.world.sessions)

    async def receive(self, access: str) -> None:
        steps, repository = self.steps, self.sandbox.world.repository
        with steps.step("metadata queried as the seller, page by page"):

            async def look() -> list[models.InvoiceMetadata]:
                pages = self.client.invoices.iter_invoice_metadata(stored(), access_token=access, page_size=10)
                return [row async for row in pages]

            rows = await until(look, lambda seen: len(seen) == len(repository))
            assert {row.invoice_hash for row in rows} == accepted(self.sandbox)
        with steps.step("metadata queried as the buyer, who logged in too"):
            buyer = await self.token_login(BUYER, self.sandbox.issue_token(BUYER))
            found = await self.client.invoices.query_invoice_metadata_by_date_range(
                subject_type="Subject2",
                date_type="PermanentStorage",
                date_from=yesterday().isoformat(),
                access_token=buyer.access_token,
                page_size=100,
            )
            assert {row.invoice_hash for row in found.invoices} == accepted(self.sandbox)
            assert {row.seller.nip for row in found.invoices if row.seller} == {self.sandbox.nip}
        with steps.step("invoice downloaded by the buyer"):
            one = found.invoices[0]
            assert one.ksef_number is not None
            content = await self.client.invoices.get_invoice_bytes(one.ksef_number, access_token=buyer.access_token)
            assert hash_of(content.content) == content.sha256_base64 == one.invoice_hash

    async def export(self, access: str, compression: str) -> None:
        with self.steps.step(f"export asked for and ready, {compression}"):
            encryption = build_encryption_data(
                self.session_key.certificate, public_key_id=self.session_key.public_key_id
            )
            assert encryption.encryption_info is not None
            started = await self.client.invoices.export_invoices(
                models.InvoiceExportRequest(
                    encryption=encryption.encryption_info,
                    filters=stored(),
                    compression_type=models.CompressionType(compression),
                ),
                access_token=access,
            )
            status = await until(
                lambda: self.client.invoices.get_export_status(started.reference_number, access_token=access),
                lambda seen: seen.status.code >= 200,
            )
            assert status.status.code == 200
            assert status.package is not None
            assert status.package.invoice_count == len(self.sandbox.world.repository)
        with self.steps.step(f"package downloaded, decrypted and unpacked, {compression}"):
            workflow = AsyncExportWorkflow(self.client.invoices, self.client.http_client)
            package = await workflow.download_and_process_package(status.package, encryption)
            documents = [document.encode() for document in package.invoice_xml_files.values()]
            assert hashes(documents) == accepted(self.sandbox)
            assert {row["invoiceHash"] for row in package.metadata_summaries} == accepted(self.sandbox)

    async def use_tokens(self, access: str) -> None:
        steps, tokens = self.steps, self.client.tokens
        with steps.step("token generated and active"):
            permissions = [models.TokenPermissionType.INVOICEREAD, models.TokenPermissionType.INVOICEWRITE]
            request = models.GenerateTokenRequest(description="For the warehouse", permissions=permissions)
            made = await tokens.generate_token(request, access_token=access)
            stored = self.sandbox.world.tokens[made.token]
            await until(
                lambda: tokens.get_token_status(made.reference_number, access_token=access),
                lambda seen: seen.status is models.AuthenticationTokenStatus.ACTIVE,
            )
            assert stored.permissions == ("InvoiceRead", "InvoiceWrite")
        with steps.step("tokens listed"):
            listed = await tokens.list_tokens(access_token=access, statuses=["Active"], description="warehouse")
            assert [row.reference_number for row in listed.tokens] == [made.reference_number]
        with steps.step("login with the new token"):
            auth = await self.token_login(self.sandbox.nip, made.token)
            assert self.sandbox.world.logins[auth.reference_number].token is stored
        with steps.step("token revoked, and no login with it"):
            await tokens.revoke_token(made.reference_number, access_token=access)
            await until(
                lambda: tokens.get_token_status(made.reference_number, access_token=access),
                lambda seen: seen.status is models.AuthenticationTokenStatus.REVOKED,
            )
            assert stored.status_at(self.sandbox.clock.now()) is TokenStatus.REVOKED
            with pytest.raises(RuntimeError, match="450"):
                await self.token_login(self.sandbox.nip, made.token)

    async def done(self, operation: models.PermissionsOperationResponse, access: str) -> None:
        status = await until(
            lambda: self.client.permissions.get_operation_status(operation.reference_number, access_token=access),
            lambda seen: seen.status.code >= 200,
        )
        assert status.status.code == 200

    async def use_permissions(self, access: str) -> None:
        steps, permissions = self.steps, self.client.permissions
        with steps.step("permissions granted to a person"):
            person = models.PersonPermissionsSubjectIdentifier(
                type=models.PersonPermissionsSubjectIdentifierType.PESEL, value=PESEL
            )
            grant = models.PersonPermissionsGrantRequest(
                description="The bookkeeper",
                permissions=[models.PersonPermissionType.INVOICEREAD, models.PersonPermissionType.INTROSPECTION],
                subject_details=models.PersonPermissionSubjectDetails(
                    subject_details_type=models.PersonPermissionSubjectDetailsType.PERSONBYIDENTIFIER,
                    person_by_id=models.PersonDetails(first_name="Adam", last_name="Abacki"),
                ),
                subject_identifier=person,
            )
            await self.done(await permissions.grant_person(grant, access_token=access), access)
            assert {one.permission for one in granted(self.sandbox, PESEL)} == {"InvoiceRead", "Introspection"}
        with steps.step("permissions of persons queried"):
            query = models.PersonPermissionsQueryRequest(
                query_type=models.PersonPermissionsQueryType.PERMISSIONSGRANTEDINCURRENTCONTEXT
            )
            found = await permissions.query_persons_grants(query, page_size=10, access_token=access)
            assert {row.id for row in found.permissions} == {one.id for one in granted(self.sandbox, PESEL)}
            assert {row.authorized_identifier.value for row in found.permissions} == {PESEL}
        with steps.step("permissions of the person revoked"):
            for row in found.permissions:
                await self.done(await permissions.revoke_common_permission(row.id, access_token=access), access)
            assert granted(self.sandbox, PESEL) == []

        with steps.step("permissions granted to a company, queried there, revoked"):
            to_entity = models.EntityPermissionsGrantRequest(
                description="The accountant's office",
                permissions=[models.EntityPermission(type=models.EntityPermissionType.INVOICEREAD, can_delegate=True)],
                subject_details=models.EntityDetails(full_name="Biuro"),
                subject_identifier=models.EntityPermissionsSubjectIdentifier(
                    type=models.EntityPermissionsSubjectIdentifierType.NIP, value=OFFICE
                ),
            )
            await self.done(await permissions.grant_entity(to_entity, access_token=access), access)
            (stored,) = granted(self.sandbox, OFFICE)
            assert (stored.permission, stored.can_delegate) == ("InvoiceRead", True)
            office = await self.token_login(OFFICE, self.sandbox.issue_token(OFFICE))
            received = await permissions.query_entities_grants(
                models.EntityPermissionsQueryRequest(), page_size=10, access_token=office.access_token
            )
            assert [(row.id, row.context_identifier.value) for row in received.permissions] == [
                (stored.id, self.sandbox.nip)
            ]
            await self.done(await permissions.revoke_common_permission(stored.id, access_token=access), access)
            assert granted(self.sandbox, OFFICE) == []

        with steps.step("authorization to self-invoice granted, queried, revoked"):
            authorization = models.EntityAuthorizationPermissionsGrantRequest(
                description="Self-invoicing",
                permission=models.EntityAuthorizationPermissionType.SELFINVOICING,
                subject_details=models.EntityDetails(full_name="Biuro"),
                subject_identifier=models.EntityAuthorizationPermissionsSubjectIdentifier(
                    type=models.EntityAuthorizationPermissionsSubjectIdentifierType.NIP, value=OFFICE
                ),
            )
            await self.done(await permissions.grant_authorization(authorization, access_token=access), access)
            given = await permissions.query_authorizations_grants(
                models.EntityAuthorizationPermissionsQueryRequest(query_type=models.QueryType.GRANTED),
                page_size=10,
                access_token=access,
            )
            (authorized,) = given.authorization_grants
            assert [one.id for one in granted(self.sandbox, OFFICE)] == [authorized.id]
            await self.done(await permissions.revoke_authorization(authorized.id, access_token=access), access)
            assert granted(self.sandbox, OFFICE) == []

    async def read_limits(self, access: str) -> None:
        steps, world = self.steps, self.sandbox.world
        with steps.step("limits of the context and the subject"):
            context = await self.client.limits.get_context_limits(access)
            assert (
                context.online_session.max_invoices == world.granted.context(self.context).online_session.max_invoices
            )
            subject = await self.client.limits.get_subject_limits(access)
            assert subject.certificate is not None
            assert subject.certificate.max_certificates == 100
        with steps.step("limits of a session overridden, read and reset"):
            few = {"max_invoice_size_in_mb": 1, "max_invoice_with_attachment_size_in_mb": 2, "max_invoices": 7}
            override = models.SetSessionLimitsRequest(
                batch_session=models.BatchSessionContextLimitsOverride(**few),
                collective_identifier=models.CollectiveIdentifierContextLimitsOverride(max_invoices=3),
                online_session=models.OnlineSessionContextLimitsOverride(**few),
            )
            await self.client.testdata.change_session_limits(override, access_token=access)
            assert world.granted.context(self.context).online_session.max_invoices == 7
            assert (await self.client.limits.get_context_limits(access)).online_session.max_invoices == 7
            await self.client.testdata.reset_session_limits(access_token=access)
            assert await self.client.limits.get_context_limits(access) == context
        with steps.step("rate limits read, those of production set, reset"):
            unlimited = await self.client.rate_limits.get_rate_limits(access)
            assert unlimited.invoice_send.per_hour == world.limiter.granted_to(self.context).invoice_send.per_hour
            await self.client.testdata.restore_production_rate_limits(access_token=access)
            limits = await self.client.rate_limits.get_rate_limits(access)
            granted_now = world.limiter.granted_to(self.context).invoice_send
            assert limits != unlimited
            assert limits.invoice_send.per_hour == granted_now.per_hour
            await self.client.testdata.reset_rate_limits(access_token=access)
            assert await self.client.rate_limits.get_rate_limits(access) == unlimited

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
