"""Certificates of the type Offline: loaded in every form they come in, refused when they are of no use, and signing."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from certificates import EC_KEY, NIP, RSA_KEY, key_bytes, pem, with_null_parameters
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.serialization import pkcs12

from ksef_async import Context, ContextType, CryptoError, Environment, LocalProtocolError
from ksef_async.api.certificates import CertificateType, EnrollmentData
from ksef_async.auth.offline_signing import OfflineSigner, certificate_link
from ksef_async.crypto.certificates import Certificate, PrivateKey
from ksef_async.crypto.issuing import self_signed_seal
from ksef_async.crypto.link_signatures import is_link_signature
from ksef_async.protocol.verification_links import InvoiceFingerprint
from ksef_async.sandbox.authority import Authority

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
CONTEXT = Context(ContextType.NIP, NIP)
INVOICE = InvoiceFingerprint(seller_nip=NIP, issued_on=date(2026, 3, 3), sha256=bytes(32))
SUBJECT = EnrollmentData(common_name="Firma", country_name="PL", organization_identifier=f"VATPL-{NIP}")
AUTHORITY = Authority(NOW - timedelta(days=30))

KEYS = pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["P-256", "RSA"])


def issued(
    key: PrivateKey, kind: CertificateType = CertificateType.OFFLINE, start: datetime = NOW - timedelta(days=1)
) -> Certificate:
    return AUTHORITY.issue(SUBJECT, key.public_key(), start, kind)[1]


def split(link: str) -> tuple[str, bytes]:
    """What was signed, and the signature."""
    signed, _, signature = link.removeprefix("https://").rpartition("/")
    return signed, urlsafe_b64decode(signature + "=" * (-len(signature) % 4))


@KEYS
async def test_link_is_signed_as_the_ministry_asks(key: PrivateKey, tmp_path: Path) -> None:
    signer = OfflineSigner.from_key(pem(issued(key)), key)

    link = await certificate_link(INVOICE, signer, CONTEXT, Environment.TEST, now=NOW)

    signed, signature = split(link)
    expected = f"qr-test.ksef.mf.gov.pl/certificate/Nip/{NIP}/{NIP}/{signer.serial_number}/{'A' * 43}"
    assert signed == expected
    assert link == f"https://{signed}/{link.rpartition('/')[2]}"
    # By OpenSSL, which knows nothing of us.
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        assert len(signature) == 64
        halves = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        signature, options = utils.encode_dss_signature(*halves), []
    else:
        options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
    for name, data in (("key", public), ("signature", signature), ("data", signed.encode())):
        (tmp_path / name).write_bytes(data)
    command = ["openssl", "dgst", "-sha256", "-verify", "key", *options, "-signature", "signature", "data"]
    assert (await anyio.run_process(command, cwd=tmp_path)).stdout == b"Verified OK\n"


@KEYS
async def test_signer_is_made_from_everything_a_certificate_comes_in(key: PrivateKey, tmp_path: Path) -> None:
    certificate = issued(key)
    bag = pkcs12.serialize_key_and_certificates(
        b"", key, certificate.readable, None, serialization.BestAvailableEncryption(b"secret")
    )
    other = pem(AUTHORITY.certificate)
    files = {"c.pem": other + pem(certificate), "k.pem": key_bytes(key, password=b"pin"), "both.p12": bag}
    files["both.pem"] = files["k.pem"] + files["c.pem"]
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)

    signers = [
        OfflineSigner.from_bytes(certificate.der, key_bytes(key, der=True)),
        OfflineSigner.from_bytes(pem(certificate).decode(), key_bytes(key, password=b"pin"), password="pin"),
        OfflineSigner.from_pkcs12(bag, "secret"),
        OfflineSigner.from_key(certificate.der, key),
        OfflineSigner.from_key(other + pem(certificate), key),
        await OfflineSigner.from_files(tmp_path / "c.pem", tmp_path / "k.pem", password="pin"),
        await OfflineSigner.from_files(tmp_path / "both.p12", password=b"secret"),
        await OfflineSigner.from_files(tmp_path / "both.pem", password="pin"),
    ]

    for signer in signers:
        signature = await signer.sign(b"text", now=NOW)
        assert is_link_signature(signature, key.public_key(), b"text")
        assert signer.serial_number == f"{certificate.readable.serial_number:016X}"
        assert "secret" not in repr(signer)
        assert "PrivateKey" not in repr(signer)


async def test_certificate_that_ksef_wrote_wrong_is_taken_all_the_same() -> None:
    signer = OfflineSigner.from_key(with_null_parameters(issued(EC_KEY), EC_KEY), EC_KEY)

    assert is_link_signature(await signer.sign(b"text", now=NOW), EC_KEY.public_key(), b"text")


class Card:
    """Signs like a key of `cryptography`, and shows no public key."""

    def sign(self, data: bytes, *, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        return EC_KEY.sign(data, signature_algorithm)


async def test_what_signs_like_a_key_is_as_good_and_shows_at_the_first_signature() -> None:
    own, other = issued(EC_KEY), issued(ec.generate_private_key(ec.SECP256R1()))

    assert is_link_signature(
        await OfflineSigner.from_key(own.der, Card()).sign(b"text", now=NOW), EC_KEY.public_key(), b"text"
    )
    with pytest.raises(CryptoError, match="not that of the certificate's key"):
        await OfflineSigner.from_key(other.der, Card()).sign(b"text", now=NOW)


def sign_elsewhere(key: PrivateKey, data: bytes, algorithm: str) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        assert algorithm == "ecdsa-sha256"
        return key.sign(data, ec.ECDSA(hashes.SHA256()))
    assert algorithm == "rsa-pss-sha256"
    return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


@KEYS
async def test_hook_signs_whether_it_has_to_be_waited_for_or_not(key: PrivateKey) -> None:
    async def patient(data: bytes, algorithm: str) -> bytes:
        return sign_elsewhere(key, data, algorithm)

    def quick(data: bytes, algorithm: str) -> bytes:
        return sign_elsewhere(key, data, algorithm)

    for hook in (patient, quick):
        signer = OfflineSigner.from_hook(pem(issued(key)), hook)
        signed, signature = split(await certificate_link(INVOICE, signer, CONTEXT, Environment.TEST, now=NOW))
        assert is_link_signature(signature, key.public_key(), signed.encode())
        # The hook gave DER.
        assert len(signature) == (64 if key is EC_KEY else 256)


async def test_hook_may_give_both_halves_of_an_ecdsa_signature_as_they_are() -> None:
    def raw(data: bytes, _: str) -> bytes:
        r, s = utils.decode_dss_signature(EC_KEY.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    signature = await OfflineSigner.from_hook(pem(issued(EC_KEY)), raw).sign(b"text", now=NOW)

    assert len(signature) == 64
    assert is_link_signature(signature, EC_KEY.public_key(), b"text")


@KEYS
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 70, 255, 256, 257, 2000])
@pytest.mark.parametrize("byte", [b"\0", b"\x30", b"\xff"])
def test_bytes_of_any_length_are_no_signature(key: PrivateKey, size: int, byte: bytes) -> None:
    assert not is_link_signature(byte * size, key.public_key(), b"text")


async def test_failure_of_the_hook_comes_out_as_it_is() -> None:
    async def locked(_: bytes, __: str) -> bytes:
        raise PermissionError("wrong PIN")

    with pytest.raises(PermissionError, match="wrong PIN"):
        await OfflineSigner.from_hook(pem(issued(EC_KEY)), locked).sign(b"text", now=NOW)


@KEYS
async def test_signature_of_another_key_or_another_kind_is_refused(key: PrivateKey) -> None:
    other = ec.generate_private_key(ec.SECP256R1())

    for wrong in (
        lambda data, _: other.sign(data, ec.ECDSA(hashes.SHA256())),
        lambda data, algorithm: sign_elsewhere(key, data + b"!", algorithm),
        lambda data, _: RSA_KEY.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 20), hashes.SHA256()),
        lambda data, _: RSA_KEY.sign(data, padding.PKCS1v15(), hashes.SHA256()),
        lambda _, __: b"",
        lambda _, __: bytes(64),
    ):
        with pytest.raises(CryptoError, match="not that of the certificate's key"):
            await OfflineSigner.from_hook(pem(issued(key)), wrong).sign(b"text", now=NOW)


@pytest.mark.parametrize(
    ("certificate", "sentence"),
    [
        pytest.param(issued(EC_KEY, CertificateType.AUTHENTICATION), "of the type Authentication", id="for logging in"),
        pytest.param(self_signed_seal(NIP, EC_KEY), "none of KSeF's", id="self-signed"),
        pytest.param(AUTHORITY.certificate, "none of KSeF's", id="an authority"),
    ],
)
def test_certificate_of_another_type_is_refused(certificate: Certificate, sentence: str) -> None:
    with pytest.raises(CryptoError, match=sentence):
        OfflineSigner(certificate=certificate, key=EC_KEY)


@pytest.mark.parametrize(
    ("now", "sentence"),
    [
        pytest.param(NOW - timedelta(days=2), "valid only from", id="not yet valid"),
        pytest.param(NOW + timedelta(days=730), "expired", id="expired"),
    ],
)
async def test_certificate_out_of_its_time_is_refused(now: datetime, sentence: str) -> None:
    signer = OfflineSigner.from_key(issued(EC_KEY).der, EC_KEY)

    with pytest.raises(CryptoError, match=sentence):
        await certificate_link(INVOICE, signer, CONTEXT, Environment.TEST, now=now)


async def test_certificate_is_judged_by_the_time_of_this_machine_by_default() -> None:
    future = issued(EC_KEY, start=datetime.now(UTC) + timedelta(days=1))
    current = issued(EC_KEY, start=datetime.now(UTC) - timedelta(days=1))

    assert await OfflineSigner.from_key(current.der, EC_KEY).sign(b"text")
    with pytest.raises(CryptoError, match="valid only from"):
        await OfflineSigner.from_key(future.der, EC_KEY).sign(b"text")


def test_key_of_another_certificate_curve_or_none_is_refused() -> None:
    curve = ec.generate_private_key(ec.SECP384R1())

    with pytest.raises(CryptoError, match="do not belong together"):
        OfflineSigner.from_key(issued(EC_KEY).der, RSA_KEY)
    with pytest.raises(CryptoError, match="RSA or P-256 keys, not secp384r1"):
        OfflineSigner.from_key(issued(curve).der, curve)
    with pytest.raises(LocalProtocolError, match="either a key or a hook"):
        OfflineSigner(certificate=issued(EC_KEY))
