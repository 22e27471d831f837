from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from certificates import EC_KEY, NIP, RSA_KEY, key_bytes, pem, with_null_parameters
from clients import ONCE, QUICK
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from parties import grant

from ksef_async import (
    AllowedIps,
    AuthorizationPolicy,
    BadRequestError,
    CertificateCredentials,
    Context,
    ContextType,
    CryptoError,
    FormCode,
    KsefClient,
    LocalProtocolError,
    LoginFailedError,
    SubjectBy,
)
from ksef_async.api.auth import GET_LOGIN_STATUS
from ksef_async.auth.credentials import CertificateOptions
from ksef_async.crypto.issuing import KeyKind, self_signed, self_signed_person, self_signed_seal
from ksef_async.protocol.error_codes import ErrorCode
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Clock, Sandbox, Timings, sample_invoice
from ksef_async.sandbox.grants import GrantKind
from ksef_async.sandbox.subjects import Subject

RSA_SEAL, EC_SEAL = self_signed_seal(NIP, RSA_KEY), self_signed_seal(NIP, EC_KEY)
PASSWORD = b"haslo"


def client_of(sandbox: Sandbox, credentials: CertificateCredentials, **options: Any) -> KsefClient:
    return KsefClient(sandbox.environment, credentials, **{"pacer": Pacer.unlimited(), "retry": QUICK, **options})


async def log_in(sandbox: Sandbox, credentials: CertificateCredentials, **options: Any) -> Any:
    """Log in, and do something that needs it: the login as the sandbox remembers it."""
    async with client_of(sandbox, credentials, **options) as client:
        await client.pacing.adopt_limits()
    return next(reversed(sandbox.world.logins.values()))


def _pkcs12() -> CertificateCredentials:
    encryption = serialization.BestAvailableEncryption(PASSWORD)
    data = pkcs12.serialize_key_and_certificates(b"x", RSA_KEY, RSA_SEAL.readable, None, encryption)
    return CertificateCredentials.from_pkcs12(data, PASSWORD.decode(), nip=NIP)


class Card:
    """Signs like a key of `cryptography`, and gives nothing away: what a driver of a smart card looks like."""

    def sign(self, data: bytes, *, padding: Any, algorithm: Any) -> bytes:
        return RSA_KEY.sign(data, padding, algorithm)


async def _hsm(data: bytes, algorithm: str) -> bytes:
    assert algorithm == "ecdsa-sha256"
    await anyio.sleep(0.01)
    return await anyio.to_thread.run_sync(EC_KEY.sign, data, ec.ECDSA(hashes.SHA256()))


async def _rsa_hsm(data: bytes, algorithm: str) -> bytes:
    assert algorithm == "rsa-sha256"
    return await anyio.to_thread.run_sync(RSA_KEY.sign, data, padding.PKCS1v15(), hashes.SHA256())


WAYS: dict[str, Callable[[], CertificateCredentials]] = {
    "PEM, RSA": lambda: CertificateCredentials.from_bytes(pem(RSA_SEAL), key_bytes(RSA_KEY), nip=NIP),
    "PEM as text, EC": lambda: CertificateCredentials.from_bytes(
        pem(EC_SEAL).decode(), key_bytes(EC_KEY).decode(), nip=NIP
    ),
    "DER, with a password": lambda: CertificateCredentials.from_bytes(
        EC_SEAL.der, key_bytes(EC_KEY, password=PASSWORD, der=True), password=PASSWORD, nip=NIP
    ),
    "PKCS#12": _pkcs12,
    "card": lambda: CertificateCredentials.from_key(RSA_SEAL.der, Card(), nip=NIP),
    "key at hand": lambda: CertificateCredentials.from_key(pem(EC_SEAL), EC_KEY, nip=NIP),
    "hook, EC": lambda: CertificateCredentials.from_hook(EC_SEAL.der, _hsm, nip=NIP),
    "hook, RSA": lambda: CertificateCredentials.from_hook(pem(RSA_SEAL), _rsa_hsm, nip=NIP),
    "a person": lambda: CertificateCredentials(certificate=self_signed_person(EC_KEY, nip=NIP), key=EC_KEY, nip=NIP),
    "written wrong by KSeF": lambda: CertificateCredentials.from_bytes(
        with_null_parameters(EC_SEAL, EC_KEY), key_bytes(EC_KEY), nip=NIP
    ),
}


@pytest.mark.parametrize("made", WAYS.values(), ids=WAYS)
async def test_certificate_logs_in(sandbox: Sandbox, made: Callable[[], CertificateCredentials]) -> None:
    credentials = await anyio.to_thread.run_sync(made)

    login = await log_in(sandbox, credentials)

    assert login.is_redeemed
    assert login.signature.certificate.der == credentials.certificate.der
    assert (login.subject.type, login.subject.value) == ("Nip", NIP)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
async def test_certificate_of_our_own_logs_in(sandbox: Sandbox, kind: Any) -> None:
    login = await log_in(sandbox, await CertificateCredentials.self_signed(NIP, key_kind=kind))

    assert login.method.name == "QualifiedSeal"


@pytest.mark.parametrize(
    ("person", "subject"),
    [
        pytest.param({"person_nip": NIP}, ("Nip", NIP), id="by NIP"),
        pytest.param({"person_nip": "1111111111"}, ("Nip", "1111111111"), id="by another NIP"),
        pytest.param({"pesel": "15062788702"}, ("Pesel", "15062788702"), id="by PESEL"),
    ],
)
async def test_person_logs_in_with_a_certificate_of_our_own(
    sandbox: Sandbox, person: dict[str, Any], subject: tuple[Any, str]
) -> None:
    grant(sandbox, GrantKind.PERSON, Context(ContextType.NIP, NIP), Subject(*subject), "InvoiceRead")

    login = await log_in(sandbox, await CertificateCredentials.self_signed(NIP, **person))

    assert login.subject == Subject(*subject)
    assert login.context == Context(ContextType.NIP, NIP)
    assert login.method.name == "QualifiedSignature"
    assert login.signature.certificate.subject["given_name"]


async def test_person_has_either_a_pesel_or_a_nip() -> None:
    with pytest.raises(LocalProtocolError, match="not both"):
        await CertificateCredentials.self_signed(NIP, pesel="15062788702", person_nip=NIP)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
async def test_certificate_of_ones_own_is_kept_in_a_file(sandbox: Sandbox, tmp_path: Path, kind: KeyKind) -> None:
    made = await CertificateCredentials.self_signed(NIP, key_kind=kind)
    file = tmp_path / "company.pem"

    await made.save(file)

    assert file.stat().st_mode & 0o777 == 0o600
    credentials = await CertificateCredentials.from_files(file, nip=NIP)
    assert credentials.certificate.der == made.certificate.der
    async with KsefClient(sandbox.environment, credentials) as client:
        await client.log_in()
    with pytest.raises(LocalProtocolError, match="there already"):
        await made.save(file)


async def test_key_of_a_card_is_kept_in_no_file(tmp_path: Path) -> None:
    async def sign(data: bytes, algorithm: str) -> bytes:
        return b""

    made = await CertificateCredentials.self_signed(NIP)
    credentials = CertificateCredentials.from_hook(made.certificate.der, sign, nip=NIP)

    with pytest.raises(LocalProtocolError, match="signs elsewhere"):
        await credentials.save(tmp_path / "company.pem")
    assert [*tmp_path.iterdir()] == []


async def test_certificate_logs_in_from_files(sandbox: Sandbox, tmp_path: Path) -> None:
    files = {name: anyio.Path(tmp_path / name) for name in ("c.pem", "c.key", "c.p12")}
    await files["c.pem"].write_bytes(pem(RSA_SEAL))
    await files["c.key"].write_bytes(key_bytes(RSA_KEY, password=PASSWORD))
    encryption = serialization.BestAvailableEncryption(PASSWORD)
    data = pkcs12.serialize_key_and_certificates(b"x", RSA_KEY, RSA_SEAL.readable, None, encryption)
    await files["c.p12"].write_bytes(data)

    for paths in ((files["c.pem"], files["c.key"]), (files["c.p12"],)):
        credentials = await CertificateCredentials.from_files(*paths, password=PASSWORD, nip=NIP)
        assert (await log_in(sandbox, credentials)).is_redeemed
    with pytest.raises(CryptoError, match="password is wrong"):
        await CertificateCredentials.from_files(files["c.p12"], password="another", nip=NIP)
    with pytest.raises(FileNotFoundError):
        await CertificateCredentials.from_files(tmp_path / "nothing.p12", nip=NIP)


async def test_invoice_is_sent_after_a_login_by_certificate(sandbox: Sandbox) -> None:
    credentials = await CertificateCredentials.self_signed(NIP)

    async with client_of(sandbox, credentials) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            outcome = await (await session.send(sample_invoice(NIP))).outcome()
        receipt = await session.upo()

    assert outcome.ksef_number.startswith(NIP)
    assert b"SkrotDokumentuUwierzytelniajacego" in receipt.documents[0].xml


async def test_peppol_provider_and_others_log_in_to_their_contexts(sandbox: Sandbox) -> None:
    subject = {"country_name": "PL", "organization_name": "Provider", "common_name": "PPL123456"}
    context = Context(ContextType.PEPPOL_ID, "PPL123456")
    provider = CertificateCredentials(certificate=self_signed(subject, EC_KEY), key=EC_KEY, context=context)

    assert (await log_in(sandbox, provider)).context == context

    # Nobody has granted these anything; what counts is that KSeF reads them and says so.
    others = ((ContextType.INTERNAL_ID, "6824515772-12343"), (ContextType.NIP_VAT_UE, f"{NIP}-DE123456789"))
    for other in (Context(*each) for each in others):
        with pytest.raises(LoginFailedError) as caught:
            await log_in(sandbox, CertificateCredentials(certificate=EC_SEAL, key=EC_KEY, context=other))
        assert caught.value.code == 415


async def test_login_without_permission_tells_whose_certificate_it_is(sandbox: Sandbox) -> None:
    stranger = await CertificateCredentials.self_signed("1111111111", nip=NIP)
    person = await CertificateCredentials.self_signed(NIP, pesel="15062788702")

    refused = ((stranger, "by the certificate of NIP 1111111111"), (person, "of a person known by PESEL"))
    for credentials, who in refused:
        with pytest.raises(LoginFailedError, match=rf"for Nip {NIP} .*{who} \(the company has to grant") as caught:
            await log_in(sandbox, credentials)
        assert (caught.value.code, "15062788702" in str(caught.value)) == (415, False)


async def test_fingerprint_is_who_logs_in_when_it_is_asked_for(sandbox: Sandbox) -> None:
    by = CertificateCredentials(certificate=EC_SEAL, key=EC_KEY, nip=NIP, subject_by=SubjectBy.CERTIFICATE_FINGERPRINT)

    with pytest.raises(LoginFailedError, match="Brak przypisanych uprawnień"):
        await log_in(sandbox, by)

    (login,) = sandbox.world.logins.values()
    assert login.subject is not None
    assert (login.subject.type, login.subject.value) == ("Fingerprint", EC_SEAL.fingerprint)


async def test_addresses_are_asked_for(sandbox: Sandbox) -> None:
    policy = AuthorizationPolicy(AllowedIps(ip4_addresses=("127.0.0.1",), ip4_masks=("10.0.0.0/8",)))

    login = await log_in(sandbox, await CertificateCredentials.self_signed(NIP, policy=policy))

    assert login.policy == policy


async def test_chain_is_verified_when_it_is_asked_for(sandbox: Sandbox) -> None:
    credentials = await CertificateCredentials.self_signed(NIP, verify_certificate_chain=True)

    with pytest.raises(LoginFailedError, match="Niezaufany łańcuch certyfikatów") as caught:
        await log_in(sandbox, credentials)

    assert caught.value.code == 460


async def test_signature_is_dated_by_the_clock_of_ksef() -> None:
    """And a certificate is held to it: this machine's clock may be wrong."""
    then = datetime(2031, 1, 1, tzinfo=UTC)
    ending = self_signed_seal(NIP, EC_KEY, valid_from=then - timedelta(days=9), lifetime=10 * 86400)
    credentials = CertificateCredentials(certificate=ending, key=EC_KEY, nip=NIP)
    timings = Timings(login_delay=0)
    async with Sandbox(clock=Clock(then, ticking=False), timings=timings, rate_limits=None) as sandbox:
        assert (await log_in(sandbox, credentials)).is_redeemed
        sandbox.clock.advance(2 * 86400)
        with pytest.raises(CryptoError, match="expired on 2031-01-02"):
            await log_in(sandbox, credentials)
    too_early = Clock(then - timedelta(days=20), ticking=False)
    async with Sandbox(clock=too_early, timings=timings, rate_limits=None) as sandbox:
        with pytest.raises(CryptoError, match="valid only from 2030-12-23"):
            await log_in(sandbox, credentials)


async def test_patience_is_longer_than_for_a_token() -> None:
    """KSeF asks the certificate's issuer, and half an hour was seen."""
    timings = Timings(login_delay=30 * 60)
    credentials = CertificateCredentials(certificate=EC_SEAL, key=EC_KEY, nip=NIP)
    async with Sandbox(timings=timings, rate_limits=None) as sandbox:
        looked = 0

        def advance(event: Any) -> None:
            nonlocal looked
            if getattr(event, "operation", "") == GET_LOGIN_STATUS.name and type(event).__name__ == "RequestAnswered":
                looked += 1
                sandbox.clock.advance(31 * 60 if looked == 3 else 0)

        assert (await log_in(sandbox, credentials, hook=advance)).is_redeemed
        assert looked >= 3
    from ksef_async.auth.login import CERTIFICATE_LOGIN_CADENCE, LOGIN_CADENCE

    assert (CERTIFICATE_LOGIN_CADENCE.deadline or 0) > 1800 > (LOGIN_CADENCE.deadline or 0)


async def test_what_a_hook_raises_comes_out(sandbox: Sandbox) -> None:
    class NoCardError(Exception):
        pass

    async def no_card(data: bytes, algorithm: str) -> bytes:
        raise NoCardError

    with pytest.raises(NoCardError):
        await log_in(sandbox, CertificateCredentials.from_hook(EC_SEAL.der, no_card, nip=NIP))


async def test_signature_of_another_key_is_not_sent(sandbox: Sandbox) -> None:
    other = CertificateCredentials.from_hook(self_signed_seal(NIP, _other_key()).der, _hsm, nip=NIP)

    with pytest.raises(CryptoError, match="does not fit the certificate"):
        await log_in(sandbox, other)

    assert not sandbox.world.logins


async def test_cancelled_hook_ends_the_login(sandbox: Sandbox) -> None:
    async def waits_for_a_pin(data: bytes, algorithm: str) -> bytes:
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.move_on_after(0.3) as scope:
        await log_in(sandbox, CertificateCredentials.from_hook(EC_SEAL.der, waits_for_a_pin, nip=NIP))

    assert scope.cancelled_caught


async def test_refusal_of_ksef_keeps_its_code(sandbox: Sandbox) -> None:
    nobody = self_signed({"common_name": "Nobody", "country_name": "PL"}, EC_KEY)
    credentials = CertificateCredentials(certificate=nobody, key=EC_KEY, nip=NIP)

    with pytest.raises(BadRequestError) as caught:
        await log_in(sandbox, credentials, retry=ONCE)

    assert caught.value.code == ErrorCode.INVALID_CERTIFICATE


def _other_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({}, "needs the NIP", id="no context"),
        pytest.param({"nip": "123"}, "is not a NIP", id="NIP"),
        pytest.param({"nip": NIP, "context": Context(ContextType.NIP, "1111111111")}, "not both", id="two contexts"),
        pytest.param({"context": Context(ContextType.INTERNAL_ID, f"{NIP}-123")}, "type InternalId", id="internal"),
        pytest.param({"context": Context(ContextType.NIP_VAT_UE, NIP)}, "type NipVatUe", id="VAT UE"),
        pytest.param({"context": Context(ContextType.PEPPOL_ID, "P1")}, "type PeppolId", id="Peppol"),
    ],
)
def test_context_that_is_none_is_refused(options: CertificateOptions, said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        CertificateCredentials.from_bytes(EC_SEAL.der, key_bytes(EC_KEY), **options)


def test_credentials_sign_with_a_key_or_a_hook() -> None:
    for options in ({}, {"key": EC_KEY, "hook": _hsm}):
        with pytest.raises(LocalProtocolError, match="either a key or a hook"):
            CertificateCredentials(certificate=EC_SEAL, nip=NIP, **options)  # type: ignore[arg-type]


def test_key_that_does_not_fit_is_refused_before_anything_is_sent() -> None:
    for key in (_other_key(), RSA_KEY):
        with pytest.raises(CryptoError, match="do not belong together"):
            CertificateCredentials.from_bytes(EC_SEAL.der, key_bytes(key), nip=NIP)
        with pytest.raises(CryptoError, match="do not belong together"):
            CertificateCredentials.from_key(EC_SEAL.der, key, nip=NIP)
    small = rsa.generate_private_key(65537, 1024)
    with pytest.raises(CryptoError, match="from 2048 bits on"):
        CertificateCredentials.from_bytes(RSA_SEAL.der, key_bytes(small), nip=NIP)


@pytest.mark.parametrize("place", range(3))
def test_certificate_of_a_bundle_is_the_one_that_fits_the_key(place: int) -> None:
    """ksef-api#150: bundles come in any order."""
    others = [self_signed_seal("1111111111", _other_key()), RSA_SEAL]
    bundle = b"".join(pem(each) for each in [*others[:place], EC_SEAL, *others[place:]])

    by_bytes = CertificateCredentials.from_bytes(bundle, key_bytes(EC_KEY), nip=NIP)
    by_key = CertificateCredentials.from_key(bundle, EC_KEY, nip=NIP)

    assert by_bytes.certificate.der == by_key.certificate.der == EC_SEAL.der


def test_bundle_without_a_certificate_of_the_key_is_refused() -> None:
    with pytest.raises(CryptoError, match="do not belong together"):
        CertificateCredentials.from_bytes(pem(RSA_SEAL) + pem(EC_SEAL), key_bytes(_other_key()), nip=NIP)


def test_key_does_not_show() -> None:
    credentials = CertificateCredentials(certificate=EC_SEAL, key=EC_KEY, nip=NIP)

    assert repr(credentials) == (
        "CertificateCredentials(nip='5265877635', context=Context(type=<ContextType.NIP: 'Nip'>, value='5265877635'), "
        "subject_by=<SubjectBy.CERTIFICATE_SUBJECT: 'certificateSubject'>, policy=None, verify_certificate_chain=False)"
    )


def test_import_loads_neither_xml_nor_certificates() -> None:
    program = """
import sys
from ksef_async import CertificateCredentials
print(*(name for name in ("lxml", "signxml", "cryptography.x509") if name in sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == ""


async def test_missing_extra_is_named(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "signxml", None)
    monkeypatch.setitem(sys.modules, "signxml.algorithms", None)
    monkeypatch.delitem(sys.modules, "ksef_async.crypto.xades", raising=False)

    with pytest.raises(LocalProtocolError, match="with the extra 'xades'"):
        await log_in(sandbox, CertificateCredentials(certificate=EC_SEAL, key=EC_KEY, nip=NIP))


async def test_many_log_in_at_once(sandbox: Sandbox) -> None:
    credentials = [await CertificateCredentials.self_signed(NIP) for _ in range(5)]
    async with anyio.create_task_group() as group:
        for each in credentials:
            group.start_soon(log_in, sandbox, each)

    assert all(login.is_redeemed for login in sandbox.world.logins.values())
    assert len(sandbox.world.logins) == 5
