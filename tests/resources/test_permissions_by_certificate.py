"""Who was granted something, and logs in with a certificate of their own."""

from __future__ import annotations

from typing import Any

import pytest
from certificates import EC_KEY, key_bytes, pem
from clients import QUICK
from parties import ADAM, EVE, OFFICE, PESEL, done

from ksef_async import (
    CertificateCredentials,
    Context,
    ContextType,
    ForbiddenError,
    FormCode,
    KsefClient,
    LoginFailedError,
    Pacer,
    SubjectBy,
)
from ksef_async.api.common import SubjectIdentifier, SubjectType
from ksef_async.api.subjects import ForeignEntityDetails, IdentifiedPersonDetails, PersonDetails
from ksef_async.crypto.issuing import self_signed_person, self_signed_seal
from ksef_async.sandbox import Sandbox, sample_invoice

SEAL = self_signed_seal(OFFICE, EC_KEY)


def client_with(sandbox: Sandbox, certificate: Any, **options: Any) -> KsefClient:
    credentials = CertificateCredentials.from_bytes(pem(certificate), key_bytes(EC_KEY), **options)
    return KsefClient(sandbox.environment, credentials, pacer=Pacer.unlimited(), retry=QUICK)


async def test_office_logs_in_with_its_seal_until_its_permission_is_revoked(
    sandbox: Sandbox, client: KsefClient
) -> None:
    async with client_with(sandbox, SEAL, nip=sandbox.nip) as stranger:
        with pytest.raises(LoginFailedError) as refused:
            await stranger.log_in()
    await done(await client.permissions.grant_to_entity(OFFICE, ["InvoiceWrite"], "Bookkeeping", "Biuro sp. z o.o."))

    async with client_with(sandbox, SEAL, nip=sandbox.nip) as office:
        async with await office.sessions.open_online(FormCode.FA3) as session:
            await (await session.send(sample_invoice(sandbox.nip))).outcome()
        (row,) = [row async for row in office.permissions.list_own()]
        await done(await client.permissions.revoke(row.id))
        sandbox.clock.advance(16 * 60)
        with pytest.raises(ForbiddenError):
            await office.sessions.open_online(FormCode.FA3)

    assert refused.value.code == 415


@pytest.mark.parametrize("subject_by", [SubjectBy.CERTIFICATE_SUBJECT, SubjectBy.CERTIFICATE_FINGERPRINT])
async def test_person_is_known_by_pesel_or_by_fingerprint(
    sandbox: Sandbox, client: KsefClient, subject_by: SubjectBy
) -> None:
    certificate = self_signed_person(EC_KEY, pesel=PESEL)
    grants: dict[SubjectBy, tuple[SubjectIdentifier, PersonDetails | IdentifiedPersonDetails]] = {
        SubjectBy.CERTIFICATE_SUBJECT: (SubjectIdentifier(SubjectType.PESEL, PESEL), ADAM),
        SubjectBy.CERTIFICATE_FINGERPRINT: (
            # In lower case: KSeF writes fingerprints in capitals, and means the same.
            SubjectIdentifier(SubjectType.FINGERPRINT, certificate.fingerprint.lower()),
            EVE,
        ),
    }
    subject, details = grants[subject_by]
    await done(await client.permissions.grant_to_person(subject, ["CredentialsRead"], "Reading", details))

    async with client_with(sandbox, certificate, nip=sandbox.nip, subject_by=subject_by) as clerk:
        assert not (await clerk.permissions.get_attachment_status()).is_attachment_allowed


async def test_administrator_of_an_eu_entity_logs_in_to_it(sandbox: Sandbox, client: KsefClient) -> None:
    entity = ForeignEntityDetails("Firma G.m.b.H.", "Berlin")
    nip_vat_ue = f"{sandbox.nip}-DE123456789"
    certificate = self_signed_person(EC_KEY, pesel=PESEL)
    await done(
        await client.permissions.grant_eu_administration(
            certificate.fingerprint, nip_vat_ue, "EU entity", entity, entity
        )
    )
    context = Context(ContextType.NIP_VAT_UE, nip_vat_ue)

    async with client_with(
        sandbox, certificate, context=context, subject_by=SubjectBy.CERTIFICATE_FINGERPRINT
    ) as administrator:
        rows = [row async for row in administrator.permissions.list_of_eu_entities()]

    assert len(rows) == 4
