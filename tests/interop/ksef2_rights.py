"""How `ksef2` manages who may do what, and reads what it is granted."""

from __future__ import annotations

import base64
import ssl

import pytest
from certificates import key_bytes
from interop.ksef2_logins import SOON, Walker
from interop.steps import OFFICE, PESEL, granted, until
from ksef2 import KSeFApiError, KSeFAuthError
from ksef2.clients import AsyncAuthenticatedClient
from ksef2.models import (
    AuthorizationPermissionsQuery,
    ContextLimits,
    EntityPermissionsQuery,
    PersonPermissionsQuery,
    TokenListParams,
)

from ksef_async.api.certificates import CertificateStatus
from ksef_async.api.tokens import TokenStatus
from ksef_async.crypto.issuing import build_csr, new_private_key
from ksef_async.sandbox.logged_in import KSEF_CERTIFICATE


async def use_tokens(walker: Walker, auth: AsyncAuthenticatedClient) -> None:
    steps, tokens = walker.steps, auth.tokens
    with steps.step("token generated and active"):
        made = await tokens.generate(permissions=["invoice_read", "invoice_write"], description="For the warehouse")
        status = await made.wait(timeout=10, poll_interval=SOON)
        stored = walker.sandbox.world.tokens[made.token]
        assert status.status == "active"
        assert stored.permissions == ("InvoiceRead", "InvoiceWrite")
    with steps.step("tokens listed"):
        params = TokenListParams(status=["active"], description="warehouse")
        listed = [row.reference_number async for row in tokens.list(params=params)]
        assert listed == [made.reference_number]
    with steps.step("login with the new token"):
        await walker.token_login(walker.sandbox.nip, made.token)
        assert next(reversed(walker.sandbox.world.logins.values())).token is stored
    with steps.step("token revoked, and no login with it"):
        await tokens.revoke(reference_number=made.reference_number)
        await until(made.get_status, lambda seen: seen.status == "revoked")
        assert stored.status_at(walker.sandbox.clock.now()) is TokenStatus.REVOKED
        with pytest.raises(KSeFAuthError):
            await walker.token_login(walker.sandbox.nip, made.token)


async def use_permissions(walker: Walker, auth: AsyncAuthenticatedClient) -> None:
    steps, permissions = walker.steps, auth.permissions
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
        assert {one.permission for one in granted(walker.sandbox, PESEL)} == {"InvoiceRead", "Introspection"}
    with steps.step("permissions of persons queried"):
        query = PersonPermissionsQuery(query_type="granted_in_context")
        found = [row async for row in permissions.list_persons(query)]
        assert {row.id for row in found} == {one.id for one in granted(walker.sandbox, PESEL)}
        assert {row.authorized_value for row in found} == {PESEL}
    with steps.step("permissions of the person revoked"):
        for row in found:
            operation = await permissions.revoke(permission_id=row.id)
            await operation.wait(timeout=10, poll_interval=SOON)
        assert granted(walker.sandbox, PESEL) == []

    with steps.step("permissions granted to a company, queried there, revoked"):
        operation = await permissions.grant_entity(
            subject_value=OFFICE,
            permissions=["invoice_read"],
            description="The accountant's office",
            entity_name="Biuro",
        )
        await operation.wait(timeout=10, poll_interval=SOON)
        (stored,) = granted(walker.sandbox, OFFICE)
        office = await walker.token_login(OFFICE, walker.sandbox.issue_token(OFFICE))
        received = [row async for row in office.permissions.list_entities(EntityPermissionsQuery())]
        assert [(row.id, row.context_value) for row in received] == [(stored.id, walker.sandbox.nip)]
        operation = await permissions.revoke(permission_id=stored.id)
        await operation.wait(timeout=10, poll_interval=SOON)
        assert granted(walker.sandbox, OFFICE) == []

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
            row async for row in permissions.list_authorizations(AuthorizationPermissionsQuery(query_type="granted"))
        ]
        assert [row.id for row in given] == [one.id for one in granted(walker.sandbox, OFFICE)]
        operation = await permissions.revoke_authorization(permission_id=given[0].id)
        await operation.wait(timeout=10, poll_interval=SOON)
        assert granted(walker.sandbox, OFFICE) == []


async def use_certificates(walker: Walker, auth: AsyncAuthenticatedClient) -> None:
    steps, certificates, authority = walker.steps, auth.certificates, walker.sandbox.world.authority
    with steps.step("KSeF certificate applied for, issued, downloaded"):
        subject = await certificates.get_enrollment_data()
        key = new_private_key("ec")
        names = {**subject.model_dump(), "given_name": subject.name, "country_name": subject.iso_country_code}
        csr = base64.b64encode(build_csr(names, key)).decode()
        enrollment = await certificates.enroll(certificate_name="Warehouse", certificate_type="authentication", csr=csr)
        status = await enrollment.wait(timeout=10, poll_interval=SOON)
        number = status.certificate_serial_number
        assert number is not None
        (issued,) = (await certificates.retrieve(certificate_serial_numbers=[number])).certificates
        der = base64.b64decode(issued.base64_encoded_certificate)
        assert authority.issued[number].certificate.der == der
    with steps.step("XAdES login, KSeF certificate"):
        identity = ssl.DER_cert_to_PEM_cert(der).encode(), key_bytes(key)
        await walker.certificate_login(*identity)
        assert next(reversed(walker.sandbox.world.logins.values())).method is KSEF_CERTIFICATE
    with steps.undecided(
        "certificate revoked without a reason",
        "sent without a body, though the reason is all that may be left out; refused (21001)",
    ):
        with pytest.raises(KSeFApiError, match="21001"):
            await certificates.revoke(certificate_serial_number=number)
    with steps.step("certificate listed, revoked, and no login with it"):
        listed = [row.serial_number async for row in certificates.list(status="active")]
        assert listed == [number]
        await certificates.revoke(certificate_serial_number=number, reason="superseded")
        stored = authority.issued[number]
        assert stored.status_at(walker.sandbox.clock.now()) is not CertificateStatus.ACTIVE
        with pytest.raises(KSeFAuthError):
            await walker.certificate_login(*identity)


async def read_limits(walker: Walker, auth: AsyncAuthenticatedClient) -> None:
    steps, world, limits = walker.steps, walker.sandbox.world, auth.limits
    with steps.step("limits of the context and the subject"):
        context = await limits.get_context_limits()
        assert context.online_session.max_invoices == world.granted.context(walker.context).online_session.max_invoices
        subject = await limits.get_subject_limits()
        assert subject.certificate is not None
        assert subject.certificate.max_certificates == 100
    with steps.step("limits of a session overridden, read and reset"):
        session = context.online_session.model_copy(update={"max_invoices": 7})
        override = ContextLimits(
            online_session=session, batch_session=session, collective_identifier=context.collective_identifier
        )
        await limits.set_session_limits(limits=override)
        assert world.granted.context(walker.context).online_session.max_invoices == 7
        assert await limits.get_context_limits() == override
        await limits.reset_session_limits()
        assert await limits.get_context_limits() == context
    with steps.step("rate limits read, those of production set, reset"):
        unlimited = await limits.get_api_rate_limits()
        assert unlimited.invoice_send.per_hour == world.limiter.granted_to(walker.context).invoice_send.per_hour
        await limits.set_production_rate_limits()
        production = await limits.get_api_rate_limits()
        assert production != unlimited
        assert production.invoice_send.per_hour == world.limiter.granted_to(walker.context).invoice_send.per_hour
        await limits.reset_api_rate_limits()
        assert await limits.get_api_rate_limits() == unlimited
