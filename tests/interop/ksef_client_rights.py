"""How `ksef-client` manages who may do what, and reads what it is granted."""

from __future__ import annotations

import base64
import ssl

import pytest
from certificates import key_bytes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from interop.ksef_client_logins import Walker
from interop.steps import OFFICE, PESEL, granted, until
from ksef_client import models
from ksef_client.services.csr import generate_csr_ec

from ksef_async.api.certificates import CertificateStatus
from ksef_async.api.tokens import TokenStatus
from ksef_async.sandbox.logged_in import KSEF_CERTIFICATE


async def use_tokens(walker: Walker, access: str) -> None:
    steps, tokens = walker.steps, walker.client.tokens
    with steps.step("token generated and active"):
        permissions = [models.TokenPermissionType.INVOICEREAD, models.TokenPermissionType.INVOICEWRITE]
        request = models.GenerateTokenRequest(description="For the warehouse", permissions=permissions)
        made = await tokens.generate_token(request, access_token=access)
        stored = walker.sandbox.world.tokens[made.token]
        await until(
            lambda: tokens.get_token_status(made.reference_number, access_token=access),
            lambda seen: seen.status is models.AuthenticationTokenStatus.ACTIVE,
        )
        assert stored.permissions == ("InvoiceRead", "InvoiceWrite")
    with steps.step("tokens listed"):
        listed = await tokens.list_tokens(access_token=access, statuses=["Active"], description="warehouse")
        assert [row.reference_number for row in listed.tokens] == [made.reference_number]
    with steps.step("login with the new token"):
        auth = await walker.token_login(walker.sandbox.nip, made.token)
        assert walker.sandbox.world.logins[auth.reference_number].token is stored
    with steps.step("token revoked, and no login with it"):
        await tokens.revoke_token(made.reference_number, access_token=access)
        await until(
            lambda: tokens.get_token_status(made.reference_number, access_token=access),
            lambda seen: seen.status is models.AuthenticationTokenStatus.REVOKED,
        )
        assert stored.status_at(walker.sandbox.clock.now()) is TokenStatus.REVOKED
        with pytest.raises(RuntimeError, match="450"):
            await walker.token_login(walker.sandbox.nip, made.token)


async def done(walker: Walker, operation: models.PermissionsOperationResponse, access: str) -> None:
    status = await until(
        lambda: walker.client.permissions.get_operation_status(operation.reference_number, access_token=access),
        lambda seen: seen.status.code >= 200,
    )
    assert status.status.code == 200


async def use_permissions(walker: Walker, access: str) -> None:
    steps, permissions = walker.steps, walker.client.permissions
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
        await done(walker, await permissions.grant_person(grant, access_token=access), access)
        assert {one.permission for one in granted(walker.sandbox, PESEL)} == {"InvoiceRead", "Introspection"}
    with steps.step("permissions of persons queried"):
        query = models.PersonPermissionsQueryRequest(
            query_type=models.PersonPermissionsQueryType.PERMISSIONSGRANTEDINCURRENTCONTEXT
        )
        found = await permissions.query_persons_grants(query, page_size=10, access_token=access)
        assert {row.id for row in found.permissions} == {one.id for one in granted(walker.sandbox, PESEL)}
        assert {row.authorized_identifier.value for row in found.permissions} == {PESEL}
    with steps.step("permissions of the person revoked"):
        for row in found.permissions:
            await done(walker, await permissions.revoke_common_permission(row.id, access_token=access), access)
        assert granted(walker.sandbox, PESEL) == []

    with steps.step("permissions granted to a company, queried there, revoked"):
        to_entity = models.EntityPermissionsGrantRequest(
            description="The accountant's office",
            permissions=[models.EntityPermission(type=models.EntityPermissionType.INVOICEREAD, can_delegate=True)],
            subject_details=models.EntityDetails(full_name="Biuro"),
            subject_identifier=models.EntityPermissionsSubjectIdentifier(
                type=models.EntityPermissionsSubjectIdentifierType.NIP, value=OFFICE
            ),
        )
        await done(walker, await permissions.grant_entity(to_entity, access_token=access), access)
        (stored,) = granted(walker.sandbox, OFFICE)
        assert (stored.permission, stored.can_delegate) == ("InvoiceRead", True)
        office = await walker.token_login(OFFICE, walker.sandbox.issue_token(OFFICE))
        received = await permissions.query_entities_grants(
            models.EntityPermissionsQueryRequest(), page_size=10, access_token=office.access_token
        )
        assert [(row.id, row.context_identifier.value) for row in received.permissions] == [
            (stored.id, walker.sandbox.nip)
        ]
        await done(walker, await permissions.revoke_common_permission(stored.id, access_token=access), access)
        assert granted(walker.sandbox, OFFICE) == []

    with steps.step("authorization to self-invoice granted, queried, revoked"):
        authorization = models.EntityAuthorizationPermissionsGrantRequest(
            description="Self-invoicing",
            permission=models.EntityAuthorizationPermissionType.SELFINVOICING,
            subject_details=models.EntityDetails(full_name="Biuro"),
            subject_identifier=models.EntityAuthorizationPermissionsSubjectIdentifier(
                type=models.EntityAuthorizationPermissionsSubjectIdentifierType.NIP, value=OFFICE
            ),
        )
        await done(walker, await permissions.grant_authorization(authorization, access_token=access), access)
        given = await permissions.query_authorizations_grants(
            models.EntityAuthorizationPermissionsQueryRequest(query_type=models.QueryType.GRANTED),
            page_size=10,
            access_token=access,
        )
        (authorized,) = given.authorization_grants
        assert [one.id for one in granted(walker.sandbox, OFFICE)] == [authorized.id]
        await done(walker, await permissions.revoke_authorization(authorized.id, access_token=access), access)
        assert granted(walker.sandbox, OFFICE) == []


async def use_certificates(walker: Walker, access: str) -> None:
    steps, certificates, authority = walker.steps, walker.client.certificates, walker.sandbox.world.authority
    with steps.step("KSeF certificate applied for, issued, downloaded"):
        subject = await certificates.get_enrollment_data(access)
        made = generate_csr_ec(subject.to_dict())
        applied = await certificates.send_enrollment(
            models.EnrollCertificateRequest(
                certificate_name="Warehouse",
                certificate_type=models.KsefCertificateType.AUTHENTICATION,
                csr=made.csr_base64,
            ),
            access_token=access,
        )
        status = await until(
            lambda: certificates.get_enrollment_status(applied.reference_number, access_token=access),
            lambda seen: seen.status.code >= 200,
        )
        assert status.status.code == 200
        assert status.certificate_serial_number is not None
        request = models.RetrieveCertificatesRequest(certificate_serial_numbers=[status.certificate_serial_number])
        (issued,) = (await certificates.retrieve_certificate(request, access_token=access)).certificates
        der = base64.b64decode(issued.certificate)
        assert authority.issued[status.certificate_serial_number].certificate.der == der
    with steps.step("XAdES login, KSeF certificate"):
        key = serialization.load_der_private_key(base64.b64decode(made.private_key_base64), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        identity = ssl.DER_cert_to_PEM_cert(der).encode(), key_bytes(key)
        auth = await walker.certificate_login(*identity)
        assert walker.sandbox.world.logins[auth.reference_number].method is KSEF_CERTIFICATE
    with steps.step("certificate listed, revoked, and no login with it"):
        query = models.QueryCertificatesRequest(status=models.CertificateListItemStatus.ACTIVE)
        (row,) = (await certificates.query_certificates(query, access_token=access)).certificates
        assert row.certificate_serial_number == status.certificate_serial_number
        await certificates.revoke_certificate(
            row.certificate_serial_number, models.RevokeCertificateRequest(), access_token=access
        )
        stored = authority.issued[row.certificate_serial_number]
        assert stored.status_at(walker.sandbox.clock.now()) is not CertificateStatus.ACTIVE
        with pytest.raises(RuntimeError, match="460"):
            await walker.certificate_login(*identity)


async def read_limits(walker: Walker, access: str) -> None:
    steps, world = walker.steps, walker.sandbox.world
    with steps.step("limits of the context and the subject"):
        context = await walker.client.limits.get_context_limits(access)
        assert context.online_session.max_invoices == world.granted.context(walker.context).online_session.max_invoices
        subject = await walker.client.limits.get_subject_limits(access)
        assert subject.certificate is not None
        assert subject.certificate.max_certificates == 100
    with steps.step("limits of a session overridden, read and reset"):
        few = {"max_invoice_size_in_mb": 1, "max_invoice_with_attachment_size_in_mb": 2, "max_invoices": 7}
        override = models.SetSessionLimitsRequest(
            batch_session=models.BatchSessionContextLimitsOverride(**few),
            collective_identifier=models.CollectiveIdentifierContextLimitsOverride(max_invoices=3),
            online_session=models.OnlineSessionContextLimitsOverride(**few),
        )
        await walker.client.testdata.change_session_limits(override, access_token=access)
        assert world.granted.context(walker.context).online_session.max_invoices == 7
        assert (await walker.client.limits.get_context_limits(access)).online_session.max_invoices == 7
        await walker.client.testdata.reset_session_limits(access_token=access)
        assert await walker.client.limits.get_context_limits(access) == context
    with steps.step("rate limits read, those of production set, reset"):
        unlimited = await walker.client.rate_limits.get_rate_limits(access)
        assert unlimited.invoice_send.per_hour == world.limiter.granted_to(walker.context).invoice_send.per_hour
        await walker.client.testdata.restore_production_rate_limits(access_token=access)
        limits = await walker.client.rate_limits.get_rate_limits(access)
        granted_now = world.limiter.granted_to(walker.context).invoice_send
        assert limits != unlimited
        assert limits.invoice_send.per_hour == granted_now.per_hour
        await walker.client.testdata.reset_rate_limits(access_token=access)
        assert await walker.client.rate_limits.get_rate_limits(access) == unlimited
