from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest
from certificates import EC_KEY, NIP, RSA_KEY, key_bytes
from clients import connected
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from parties import grant

from ksef_async import (
    BadRequestError,
    Cadence,
    CertificateCredentials,
    Context,
    ContextType,
    ForbiddenError,
    GoneError,
    KsefClient,
    LoginFailedError,
    WaitTimeoutError,
)
from ksef_async.api.certificates import (
    CertificateFilter,
    CertificateStatus,
    CertificateType,
    EnrollmentData,
    RevocationReason,
)
from ksef_async.api.common import SubjectIdentifier, SubjectType
from ksef_async.api.limits import CertificateQuota, EnrollmentQuota
from ksef_async.crypto.certificates import load_certificate
from ksef_async.crypto.issuing import build_csr, new_private_key, self_signed, self_signed_person, self_signed_seal
from ksef_async.errors import InvalidFieldError, OperationFailedError
from ksef_async.protocol.error_codes import ErrorCode
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Sandbox
from ksef_async.sandbox.grants import GrantKind
from ksef_async.sandbox.world import Subject

SEAL = self_signed_seal(NIP, EC_KEY, name="Firma Kowalski Sp. z o.o.")
SOON = Cadence(interval=0.01)


def client_of(sandbox: Sandbox, credentials: CertificateCredentials | None = None) -> KsefClient:
    credentials = credentials or CertificateCredentials(certificate=SEAL, key=EC_KEY, nip=NIP)
    return KsefClient(sandbox.environment, credentials, pacer=Pacer.unlimited())


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    async with client_of(sandbox) as client:
        yield client


async def enrolled(client: KsefClient, name: str = "Certyfikat 1", key: Any = None, **options: Any) -> str:
    handle = await client.certificates.enroll(name, key or new_private_key(), **options)
    number = (await handle.wait(SOON)).certificate_serial_number
    assert number is not None
    return number


async def retrieved(client: KsefClient, number: str) -> bytes:
    (found,) = await client.certificates.get([number])
    return found.certificate


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["ec", "rsa"])
async def test_enrolled_certificate_logs_in(sandbox: Sandbox, client: KsefClient, key: Any) -> None:
    der = await retrieved(client, await enrolled(client, key=key))
    certificate = load_certificate(der)
    assert certificate.subject == {**SEAL.subject, "common_name": "Firma Kowalski Sp. z o.o. (uwierzytelnienie)"}
    assert certificate.public_key == key.public_key()

    credentials = CertificateCredentials.from_bytes(der, key_bytes(key), nip=NIP, verify_certificate_chain=True)
    async with client_of(sandbox, credentials) as enrolled_client:
        await enrolled_client.log_in()
        (row,) = [row async for row in enrolled_client.certificates.list()]

    login = next(reversed(sandbox.world.logins.values()))
    assert (login.method.name, login.subject) == ("InternalCertificate", Subject("Nip", NIP))
    assert row.last_use_date is not None


@pytest.mark.parametrize(
    ("kind", "ending", "usage"),
    [
        pytest.param(CertificateType.AUTHENTICATION, " (uwierzytelnienie)", "digital_signature", id="to log in"),
        pytest.param(CertificateType.OFFLINE, " (offline)", "content_commitment", id="for offline invoices"),
    ],
)
async def test_certificate_says_what_it_is_for(
    client: KsefClient, kind: CertificateType, ending: str, usage: str
) -> None:
    der = await retrieved(client, await enrolled(client, certificate_type=kind))
    (row,) = [row async for row in client.certificates.list()]

    extension = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.KeyUsage)
    value = extension.value
    stated = {
        "digital_signature": value.digital_signature,
        "content_commitment": value.content_commitment,
        "key_encipherment": value.key_encipherment,
        "key_cert_sign": value.key_cert_sign,
    }
    assert extension.critical
    assert [name for name, is_stated in stated.items() if is_stated] == [usage]
    assert row.common_name == f"Firma Kowalski Sp. z o.o.{ending}"


async def test_longest_common_name_leaves_room_for_what_it_is_for(sandbox: Sandbox) -> None:
    long = self_signed_seal(NIP, EC_KEY, name="F" * 64)

    async with client_of(sandbox, CertificateCredentials(certificate=long, key=EC_KEY, nip=NIP)) as client:
        der = await retrieved(client, await enrolled(client))

    assert load_certificate(der).subject["common_name"] == f"{'F' * 45} (uwierzytelnienie)"


async def test_certificate_begets_another_of_the_same_name(sandbox: Sandbox, client: KsefClient) -> None:
    key = new_private_key()
    der = await retrieved(client, await enrolled(client, key=key))
    credentials = CertificateCredentials.from_bytes(der, key_bytes(key), nip=NIP)

    async with client_of(sandbox, credentials) as second:
        again = await retrieved(second, await enrolled(second, "Certyfikat 2"))

    assert load_certificate(again).subject == load_certificate(der).subject


async def test_person_revokes_by_pesel_what_was_issued_by_nip(sandbox: Sandbox) -> None:
    pesel = "44051401458"
    by_nip, by_pesel = self_signed_person(EC_KEY, nip=NIP), self_signed_person(EC_KEY, pesel=pesel)
    grant(sandbox, GrantKind.PERSON, Context(ContextType.NIP, NIP), Subject("Pesel", pesel), "InvoiceRead")
    async with client_of(sandbox, CertificateCredentials(certificate=by_nip, key=EC_KEY, nip=NIP)) as owner:
        number = await enrolled(owner)
        async with client_of(sandbox, CertificateCredentials(certificate=by_pesel, key=EC_KEY, nip=NIP)) as person:
            with pytest.raises(BadRequestError) as unknown:
                await person.certificates.revoke(number)
            await owner.testdata.create_person(NIP, pesel, "Sole trader")
            await person.certificates.revoke(number)
            (row,) = [row async for row in person.certificates.list()]

    assert unknown.value.code == ErrorCode.UNKNOWN_CERTIFICATE
    assert (row.certificate_serial_number, row.status) == (number, CertificateStatus.BLOCKED)


@pytest.mark.parametrize(
    ("given", "refused_with"),
    [
        pytest.param("Blocked", "Certyfikat zawieszony", id="blocked"),
        pytest.param("Revoked", "Certyfikat odwołany", id="revoked"),
        pytest.param("Expired", "Nieważny certyfikat", id="expired"),
        pytest.param("Offline", "Niepoprawny certyfikat", id="for offline invoices"),
        pytest.param("Later", "Nieważny certyfikat", id="not valid yet"),
    ],
)
async def test_certificate_that_is_not_active_does_not_log_in(
    still_sandbox: Sandbox, given: str, refused_with: str
) -> None:
    sandbox = still_sandbox
    key = new_private_key()
    now = sandbox.clock.now()
    special: dict[str, dict[str, Any]] = {
        "Offline": {"certificate_type": CertificateType.OFFLINE},
        "Later": {"valid_from": now + timedelta(hours=1)},
    }
    options = special.get(given, {})
    async with client_of(sandbox) as client:
        handle = await client.certificates.enroll("Certyfikat", key, **options)
        sandbox.clock.advance(1)
        number = (await handle.wait(SOON)).certificate_serial_number
        assert number is not None
        der = await retrieved(client, number)
        if given in ("Blocked", "Revoked"):
            await client.certificates.revoke(number, RevocationReason.KEY_COMPROMISE)
        if given == "Expired":
            await client.certificates.set_validity(number, sandbox.clock.now() - timedelta(seconds=1))
        if given == "Revoked":
            sandbox.clock.advance(1)
        (row,) = [row async for row in client.certificates.list()]
        assert row.status == (given if given in {*CertificateStatus} else "Active")
    # With the dates of another, for the client itself would not sign with what has not begun or has expired.
    readable = self_signed_seal(NIP, key).readable
    certificate = attrs.evolve(load_certificate(der), readable=readable)
    credentials = CertificateCredentials(certificate=certificate, key=key, nip=NIP)

    async with client_of(sandbox, credentials) as blocked:
        with pytest.raises(LoginFailedError, match=refused_with) as caught:
            await blocked.log_in()

    assert caught.value.code == 460


async def test_application_is_found_again_by_its_number(still_sandbox: Sandbox) -> None:
    async with client_of(still_sandbox) as client:
        handle = await client.certificates.enroll("Certyfikat", new_private_key())
        with pytest.raises(WaitTimeoutError):
            await handle.wait(Cadence(interval=0.01, deadline=0.05))
        assert [row async for row in client.certificates.list()] == []
        still_sandbox.clock.advance(1)

        again = client.certificates.enrollment(handle.reference_number)
        done = await again.wait(SOON)
        assert done.certificate_serial_number is not None
        still_sandbox.clock.advance(30 * 86400)
        with pytest.raises(GoneError):
            await again.status()


async def test_subject_of_the_login_is_what_is_enrolled(client: KsefClient) -> None:
    assert await client.certificates.get_enrollment_data() == EnrollmentData(
        common_name="Firma Kowalski Sp. z o.o.",
        country_name="PL",
        organization_name="Firma Kowalski Sp. z o.o.",
        organization_identifier=f"VATPL-{NIP}",
    )


async def test_limits_count_what_was_enrolled(client: KsefClient, sandbox: Sandbox) -> None:
    before = await client.certificates.get_limits()
    number = await enrolled(client)
    between = await client.certificates.get_limits()
    await client.certificates.revoke(number)
    after = await client.certificates.get_limits()

    assert (before.enrollment.limit, before.certificate.limit, before.can_request) == (300, 100, True)
    assert (between.enrollment.remaining, between.certificate.remaining) == (299, 99)
    assert (after.enrollment.remaining, after.certificate.remaining) == (299, 100)


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        pytest.param({"enrollment": EnrollmentQuota(1)}, ErrorCode.ENROLLMENT_LIMIT, id="applications"),
        pytest.param({"certificate": CertificateQuota(1)}, ErrorCode.CERTIFICATE_LIMIT, id="certificates"),
    ],
)
async def test_limit_that_is_reached_is_told(
    client: KsefClient, sandbox: Sandbox, limit: dict[str, Any], code: ErrorCode
) -> None:
    subject = Subject("Nip", NIP)
    sandbox.world.granted.override_subject(subject, **{"enrollment": None, "certificate": None, **limit})
    await enrolled(client)

    with pytest.raises(BadRequestError) as caught:
        await client.certificates.enroll("Certyfikat 2", new_private_key())

    assert caught.value.code == code
    assert not (await client.certificates.get_limits()).can_request


def _csr(subject: dict[str, str], key: Any, algorithm: Any, **options: Any) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.load_der_x509_csr(build_csr(subject, new_private_key())).subject
    )
    return builder.sign(key, algorithm, **options).public_bytes(serialization.Encoding.DER)


def _another_subject(subject: dict[str, str]) -> bytes:
    return build_csr({**subject, "common_name": "Inna"}, EC_KEY)


def _less(subject: dict[str, str]) -> bytes:
    return build_csr({"common_name": subject["common_name"], "country_name": "PL"}, EC_KEY)


def _tampered(subject: dict[str, str]) -> bytes:
    csr = bytearray(build_csr(subject, EC_KEY))
    csr[-1] ^= 1
    return bytes(csr)


BAD: dict[str, tuple[Callable[[dict[str, str]], bytes], ErrorCode]] = {
    "another subject": (_another_subject, ErrorCode.WRONG_CSR_SUBJECT),
    "less of a subject": (_less, ErrorCode.WRONG_CSR_SUBJECT),
    "no request": (lambda _: b"x", ErrorCode.INVALID_CSR),
    "tampered": (_tampered, ErrorCode.INVALID_CSR),
    "P-384": (
        lambda subject: _csr(subject, ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()),
        ErrorCode.INVALID_CSR_KEY,
    ),
    "RSA with 3072 bits": (
        lambda subject: _csr(subject, rsa.generate_private_key(65537, 3072), hashes.SHA256()),
        ErrorCode.INVALID_CSR_KEY,
    ),
    "SHA3": (lambda subject: _csr(subject, EC_KEY, hashes.SHA3_256()), ErrorCode.INVALID_CSR_ALGORITHM),
}


@pytest.mark.parametrize(("made", "code"), BAD.values(), ids=BAD)
async def test_bad_request_is_refused(
    client: KsefClient, made: Callable[[dict[str, str]], bytes], code: ErrorCode
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.certificates.enroll_csr("Certyfikat", made(SEAL.subject))

    assert caught.value.code == code


async def test_request_signed_with_pss_is_taken(client: KsefClient) -> None:
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    csr = _csr(SEAL.subject, RSA_KEY, hashes.SHA256(), rsa_padding=scheme)

    handle = await client.certificates.enroll_csr("Certyfikat", csr)

    assert (await handle.wait(SOON)).certificate_serial_number


async def test_key_of_somebody_else_is_refused(sandbox: Sandbox, client: KsefClient) -> None:
    other_nip = "1111111111"
    other = CertificateCredentials(certificate=self_signed_seal(other_nip, RSA_KEY), key=RSA_KEY, nip=other_nip)
    key = new_private_key()
    await enrolled(client, key=key)

    async with client_of(sandbox, other) as stranger:
        handle = await stranger.certificates.enroll("Certyfikat", key)
        with pytest.raises(OperationFailedError, match="certyfikowany przez inny podmiot") as caught:
            await handle.wait(SOON)

    assert caught.value.code == 400


async def test_strangers_see_nothing(sandbox: Sandbox, client: KsefClient) -> None:
    handle = await client.certificates.enroll("Certyfikat", new_private_key())
    number = (await handle.wait(SOON)).certificate_serial_number
    assert number is not None
    other_nip = "1111111111"
    other = CertificateCredentials(certificate=self_signed_seal(other_nip, RSA_KEY), key=RSA_KEY, nip=other_nip)

    async with client_of(sandbox, other) as stranger:
        assert await stranger.certificates.get([number]) == ()
        assert [row async for row in stranger.certificates.list()] == []
        with pytest.raises(BadRequestError) as unknown:
            await stranger.certificates.enrollment(handle.reference_number).status()
        with pytest.raises(BadRequestError) as revoking:
            await stranger.certificates.revoke(number)
        with pytest.raises(BadRequestError) as ending:
            await stranger.certificates.set_validity(number, sandbox.clock.now())

    codes = [caught.value.code for caught in (unknown, revoking, ending)]
    assert codes == [ErrorCode.UNKNOWN_ENROLLMENT, ErrorCode.UNKNOWN_CERTIFICATE, ErrorCode.UNKNOWN_CERTIFICATE]


async def test_revoking_twice_does_no_harm(client: KsefClient, sandbox: Sandbox) -> None:
    number = await enrolled(client)

    await client.certificates.revoke(number)
    await client.certificates.revoke(number)

    expired = await enrolled(client, "Certyfikat 2")
    await client.certificates.set_validity(expired, sandbox.clock.now() - timedelta(seconds=1))
    with pytest.raises(BadRequestError) as caught:
        await client.certificates.revoke(expired)
    assert caught.value.code == ErrorCode.CERTIFICATE_NOT_REVOCABLE


async def test_validity_only_gets_shorter(client: KsefClient) -> None:
    number = await enrolled(client)
    (row,) = [row async for row in client.certificates.list()]

    assert row.valid_to is not None
    with pytest.raises(BadRequestError) as caught:
        await client.certificates.set_validity(number, row.valid_to + timedelta(seconds=1))

    assert caught.value.code == ErrorCode.INVALID_INPUT


async def test_token_has_no_certificates(sandbox: Sandbox) -> None:
    async with connected(sandbox) as client:
        for call in (
            client.certificates.get_enrollment_data(),
            client.certificates.enroll_csr("Certyfikat", build_csr(SEAL.subject, EC_KEY)),
            client.certificates.revoke("0" * 16),
        ):
            with pytest.raises(ForbiddenError) as caught:
                await call
            assert caught.value.reason == "auth-method-not-allowed"
        assert not (await client.certificates.get_limits()).can_request


async def test_login_without_a_whole_subject_gets_none(sandbox: Sandbox) -> None:
    bare = self_signed({"serial_number": f"TINPL-{NIP}"}, EC_KEY)

    async with client_of(sandbox, CertificateCredentials(certificate=bare, key=EC_KEY, nip=NIP)) as client:
        with pytest.raises(BadRequestError) as data:
            await client.certificates.get_enrollment_data()
        with pytest.raises(BadRequestError) as enrolling:
            await client.certificates.enroll_csr("Certyfikat", build_csr(SEAL.subject, EC_KEY))

    assert (data.value.code, enrolling.value.code) == (
        ErrorCode.NO_ENROLLMENT_DATA,
        ErrorCode.ENROLLMENT_NOT_ALLOWED,
    )


@pytest.mark.parametrize("number", ["0", "g" * 16, "0123456789abcdef"])
async def test_serial_number_that_is_none_is_refused(client: KsefClient, sandbox: Sandbox, number: str) -> None:
    for call in (
        client.certificates.revoke(number),
        client.certificates.set_validity(number, sandbox.clock.now()),
    ):
        with pytest.raises(BadRequestError) as caught:
            await call
        assert caught.value.code == ErrorCode.INVALID_INPUT
    with pytest.raises(InvalidFieldError):
        CertificateFilter(certificate_serial_number=number)
    with pytest.raises(InvalidFieldError):
        await client.certificates.get([number])


async def test_one_to_ten_certificates_are_fetched_at_a_time(client: KsefClient) -> None:
    for count in (0, 11):
        with pytest.raises(InvalidFieldError):
            await client.certificates.get(["0" * 16] * count)
    assert await client.certificates.get(["0" * 16] * 10) == ()


@pytest.mark.parametrize("name", ["abcd", "x" * 101, "Certyfikat!", "Certyfikat\n"])
async def test_name_that_ksef_refuses_is_not_sent(client: KsefClient, name: str) -> None:
    with pytest.raises(InvalidFieldError):
        await client.certificates.enroll_csr(name, b"x")


async def test_certificates_are_listed_page_by_page_and_by_what_they_are(client: KsefClient, sandbox: Sandbox) -> None:
    numbers = [await enrolled(client, f"Certyfikat {n}") for n in range(11)]
    await enrolled(client, "Do faktur", certificate_type=CertificateType.OFFLINE)
    await client.certificates.revoke(numbers[0])

    async def listed(**wanted: Any) -> list[str | None]:
        return [row.name async for row in client.certificates.list(CertificateFilter(**wanted))]

    assert (await listed())[:2] == ["Do faktur", "Certyfikat 10"]
    assert len(await listed()) == 12
    assert await listed(type=CertificateType.OFFLINE) == ["Do faktur"]
    assert await listed(name="yfikat 1") == ["Certyfikat 10", "Certyfikat 1"]
    assert await listed(certificate_serial_number=numbers[3]) == ["Certyfikat 3"]
    assert len(await listed(status=CertificateStatus.ACTIVE)) == 11
    assert await listed(expires_after=datetime.max.replace(tzinfo=sandbox.clock.now().tzinfo)) == []


async def test_persons_have_smaller_limits(sandbox: Sandbox) -> None:
    person = self_signed_person(EC_KEY, pesel="44051401458")
    sandbox.world.permissions_of = lambda login: ("InvoiceRead",)  # type: ignore[method-assign]  # as granted by somebody

    async with client_of(sandbox, CertificateCredentials(certificate=person, key=EC_KEY, nip=NIP)) as client:
        limits = await client.certificates.get_limits()
        number = await enrolled(client)
        (row,) = [row async for row in client.certificates.list()]

    assert (limits.enrollment.limit, limits.certificate.limit) == (12, 6)
    assert row.certificate_serial_number == number
    assert row.subject == SubjectIdentifier(SubjectType.PESEL, "44051401458")
