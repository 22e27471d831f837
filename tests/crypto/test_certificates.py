from __future__ import annotations

import hashlib
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import EC_KEY, NIP, RSA_KEY, WRONG, key_bytes, pem, with_null_parameters
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from hypothesis import given, settings
from hypothesis import strategies as st

from ksef_async import CryptoError
from ksef_async.crypto.certificates import PrivateKey, check_pair, load_certificate, load_pkcs12, load_private_key
from ksef_async.crypto.der import items, without_null_parameters, wrap
from ksef_async.crypto.issuing import build_csr, new_private_key, self_signed, self_signed_person, self_signed_seal

PASSWORD = b"zl0te haslo"
OPENSSL = shutil.which("openssl")

SEAL = self_signed_seal(NIP, EC_KEY)
BROKEN = with_null_parameters(SEAL, EC_KEY)

both_keys = pytest.mark.parametrize("key", [RSA_KEY, EC_KEY], ids=["rsa", "ec"])


@both_keys
def test_certificate_is_read_from_pem_and_der(key: PrivateKey) -> None:
    made = self_signed_seal(NIP, key)

    for data in (made.der, pem(made), b"Bag Attributes\n" + pem(made) + pem(SEAL)):
        read = load_certificate(data)
        assert read.der == made.der
        assert read.fingerprint == hashlib.sha256(made.der).hexdigest().upper()
        assert read.public_key == key.public_key()


@both_keys
@pytest.mark.parametrize("der", [False, True], ids=["pem", "der"])
@pytest.mark.parametrize("password", [None, PASSWORD], ids=["open", "with a password"])
def test_private_key_is_read(key: PrivateKey, der: bool, password: bytes | None) -> None:
    read = load_private_key(key_bytes(key, password=password, der=der), password)

    assert read.private_numbers() == key.private_numbers()


@both_keys
def test_pkcs12_is_read_with_the_certificates_of_its_issuers(key: PrivateKey) -> None:
    made = self_signed_seal(NIP, key)
    encryption = serialization.BestAvailableEncryption(PASSWORD)
    data = pkcs12.serialize_key_and_certificates(b"x", key, made.readable, [SEAL.readable], encryption)

    certificate, read = load_pkcs12(data, PASSWORD)

    assert (certificate.der, read.private_numbers()) == (made.der, key.private_numbers())


def test_certificate_that_ksef_wrote_wrong_is_read() -> None:
    """`cryptography` from 49 on refuses it; who holds one has nothing else to log in with."""
    assert BROKEN.count(WRONG) == 2

    read = load_certificate(BROKEN)

    assert read.der == BROKEN
    assert read.fingerprint == hashlib.sha256(BROKEN).hexdigest().upper()
    assert read.public_key == EC_KEY.public_key()
    assert read.identifier == ("Nip", NIP)
    assert (read.valid_from, read.valid_until) == (SEAL.valid_from, SEAL.valid_until)
    assert read.subject == SEAL.subject
    check_pair(read, EC_KEY.public_key())
    as_pem = b"-----BEGIN CERTIFICATE-----\n" + b64encode(BROKEN) + b"\n-----END CERTIFICATE-----\n"
    assert load_certificate(as_pem).der == BROKEN


def test_repairing_changes_the_algorithms_and_nothing_else() -> None:
    repaired = without_null_parameters(BROKEN)

    assert WRONG not in repaired
    assert x509.load_der_x509_certificate(repaired).subject == SEAL.readable.subject
    assert without_null_parameters(SEAL.der) == SEAL.der
    of_rsa = self_signed_seal(NIP, RSA_KEY).der
    assert without_null_parameters(of_rsa) == of_rsa  # RSA has a NULL there by right


@pytest.mark.skipif(OPENSSL is None, reason="the openssl command is not here")
@pytest.mark.parametrize("options", [(), ("-certpbe", "AES-128-CBC", "-macalg", "sha1"), ("-certpbe", "NONE")])
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # of what damage makes
def test_certificate_that_ksef_wrote_wrong_is_read_from_pkcs12(options: tuple[str, ...], tmp_path: Path) -> None:
    assert OPENSSL is not None
    der, certificate, key, out = (tmp_path / name for name in ("c.der", "c.pem", "key.pem", "c.p12"))
    der.write_bytes(BROKEN)
    key.write_bytes(key_bytes(EC_KEY))
    passout = ("-passout", f"pass:{PASSWORD.decode()}")
    convert = ("x509", "-inform", "DER", "-in", der, "-out", certificate)
    export = ("pkcs12", "-export", "-in", certificate, "-inkey", key, "-out", out, *passout, *options)
    for command in (convert, export):
        subprocess.run([OPENSSL, *map(str, command)], check=True, capture_output=True)

    loaded, read = load_pkcs12(out.read_bytes(), PASSWORD)

    assert (loaded.der, read.private_numbers()) == (BROKEN, EC_KEY.private_numbers())
    for wrong in (None, b"", b"another"):
        with pytest.raises(CryptoError, match="its password is wrong, it is damaged"):
            load_pkcs12(out.read_bytes(), wrong)
    for at in range(0, out.stat().st_size, 41):
        damaged = bytearray(out.read_bytes())
        damaged[at] ^= 0x15
        try:
            _, read = load_pkcs12(bytes(damaged), PASSWORD)
        except CryptoError:
            continue
        # Damage to what is not looked at, such as the file's checksum, or the name of the key.
        assert read.private_numbers() == EC_KEY.private_numbers()


def _named(**parts: str) -> Callable[[], Any]:
    return lambda: self_signed({"common_name": "x", **parts}, EC_KEY)


@pytest.mark.parametrize(
    ("made", "identifier"),
    [
        pytest.param(lambda: self_signed_seal(NIP, EC_KEY), ("Nip", NIP), id="seal"),
        pytest.param(lambda: self_signed_person(EC_KEY, nip=NIP), ("Nip", NIP), id="person with a NIP"),
        pytest.param(lambda: self_signed_person(EC_KEY, pesel="44051401458"), ("Pesel", "44051401458"), id="PESEL"),
        pytest.param(_named(serial_number=f"NIP: {NIP}"), ("Nip", NIP), id="another way to write a NIP"),
        pytest.param(_named(serial_number="PESEL:44051401458"), ("Pesel", "44051401458"), id="... a PESEL"),
        pytest.param(_named(serial_number=NIP), None, id="number of nothing"),
        pytest.param(_named(organization_identifier=NIP), None, id="organization without a country"),
        pytest.param(_named(organization_identifier=f"VATPL-{NIP}", surname="T"), None, id="seal of a person"),
        pytest.param(_named(), None, id="nobody"),
    ],
)
def test_subject_tells_who_a_certificate_stands_for(made: Callable[[], Any], identifier: object) -> None:
    assert made().identifier == identifier


def test_dates_are_held_to_the_moment() -> None:
    start = datetime(2026, 7, 1, tzinfo=UTC)
    certificate = self_signed_seal(NIP, EC_KEY, valid_from=start, lifetime=86400)

    certificate.check_valid(start)
    certificate.check_valid(start + timedelta(days=1))
    with pytest.raises(CryptoError, match=r"valid only from 2026-07-01 00:00 UTC"):
        certificate.check_valid(start - timedelta(seconds=1))
    with pytest.raises(CryptoError, match=r"expired on 2026-07-02 00:00 UTC"):
        certificate.check_valid(start + timedelta(days=1, seconds=1))


@pytest.mark.parametrize(
    ("data", "password", "said"),
    [
        pytest.param(key_bytes(EC_KEY, password=PASSWORD), None, "is encrypted: give its password", id="no password"),
        pytest.param(key_bytes(EC_KEY, password=PASSWORD), b"x", "the password is wrong, or", id="wrong password"),
        pytest.param(
            key_bytes(EC_KEY, password=PASSWORD, der=True), b"x", "the password is wrong, or", id="... of DER"
        ),
        pytest.param(key_bytes(EC_KEY), PASSWORD, "is not encrypted: give no password", id="needless password"),
        pytest.param(b"", None, "neither PEM nor DER", id="nothing"),
        pytest.param(pem(SEAL), None, "neither PEM nor DER", id="a certificate"),
        pytest.param(key_bytes(EC_KEY)[:100], None, "neither PEM nor DER", id="cut short"),
    ],
)
def test_private_key_that_cannot_be_read_is_refused(data: bytes, password: bytes | None, said: str) -> None:
    with pytest.raises(CryptoError, match=said):
        load_private_key(data, password)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        pytest.param(rsa.generate_private_key(65537, 1024), "RSA keys from 2048 bits on; this one has 1024", id="rsa"),
        pytest.param(ec.generate_private_key(ec.SECP192R1()), "EC keys from 256 bits on; this one has 192", id="ec"),
        pytest.param(dsa.generate_private_key(1024), "RSA and EC keys, not DSAPrivateKey", id="dsa"),
        pytest.param(ed25519.Ed25519PrivateKey.generate(), "RSA and EC keys, not Ed25519PrivateKey", id="ed25519"),
    ],
)
def test_key_that_ksef_does_not_take_is_refused(key: Any, said: str) -> None:
    with pytest.raises(CryptoError, match=said):
        load_private_key(key_bytes(key))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"x", id="text"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----", id="damaged PEM"),
        pytest.param(key_bytes(EC_KEY), id="a key"),
        pytest.param(SEAL.der[:-1], id="cut short"),
        pytest.param(BROKEN[:-1], id="broken and cut short"),
    ],
)
def test_certificate_that_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        load_certificate(data)


def test_pkcs12_that_cannot_be_used_is_refused() -> None:
    encryption = serialization.BestAvailableEncryption(PASSWORD)
    small = rsa.generate_private_key(65537, 1024)
    files = {
        "has no RSA or EC key": pkcs12.serialize_key_and_certificates(b"x", None, SEAL.readable, None, encryption),
        "no certificate of its key": pkcs12.serialize_key_and_certificates(b"x", EC_KEY, None, None, encryption),
        "from 2048 bits on": pkcs12.serialize_key_and_certificates(b"x", small, None, None, encryption),
        "its password is wrong": b"",
    }

    for said, data in files.items():
        with pytest.raises(CryptoError, match=said):
            load_pkcs12(data, PASSWORD)


def test_key_of_another_certificate_is_refused() -> None:
    with pytest.raises(CryptoError, match="do not belong together"):
        check_pair(SEAL, new_private_key().public_key())
    with pytest.raises(CryptoError, match="do not belong together"):
        check_pair(SEAL, RSA_KEY.public_key())


def test_person_has_one_identifier() -> None:
    both: dict[str, Any] = {"nip": NIP, "pesel": "44051401458"}
    for numbers in ({}, both):
        with pytest.raises(CryptoError, match="either a PESEL or a NIP"):
            self_signed_person(EC_KEY, **numbers)


def test_what_is_no_subject_is_refused() -> None:
    with pytest.raises(CryptoError, match="cannot be written as a certificate's subject"):
        self_signed({"country_name": "Polska"}, EC_KEY)


@both_keys
def test_request_has_the_subject_it_was_asked_for(key: PrivateKey) -> None:
    subject = {
        "common_name": "Zażółć Gęślą",
        "country_name": "PL",
        "given_name": None,
        "unique_identifier": "d9d22724-4696-460c-9e5e-b9e3aafb0af3",
        "organization_identifier": "7762811692",
    }

    request = x509.load_der_x509_csr(build_csr(subject, key))

    assert request.is_signature_valid
    assert isinstance(request.signature_hash_algorithm, hashes.SHA256)
    assert request.public_key() == key.public_key()
    assert {attribute.oid.dotted_string: attribute.value for attribute in request.subject} == {
        "2.5.4.3": "Zażółć Gęślą",
        "2.5.4.6": "PL",
        "2.5.4.45": "d9d22724-4696-460c-9e5e-b9e3aafb0af3",
        "2.5.4.97": "7762811692",
    }


def test_secrets_do_not_show() -> None:
    with pytest.raises(CryptoError) as caught:
        load_private_key(key_bytes(EC_KEY, password=PASSWORD), b"a secret guess")

    assert "guess" not in f"{caught.value!r} {caught.value}"
    assert repr(SEAL).startswith(f"<Certificate {SEAL.fingerprint[:16]}... until 2")


@given(st.integers(0, 255), st.binary(max_size=70_000))
@settings(deadline=None, max_examples=50)
def test_der_that_is_written_can_be_read(tag: int, content: bytes) -> None:
    encoded = wrap(tag, content)

    assert list(items(encoded + encoded)) == [(tag, content, encoded)] * 2


@given(st.data())
@settings(deadline=None, max_examples=200)
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # of what damage makes
def test_damaged_certificate_gives_a_certificate_or_our_error(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(BROKEN) - 1))
    damaged = BROKEN[:at] + data.draw(st.binary(max_size=3)) + BROKEN[at + 1 :]

    try:
        certificate = load_certificate(damaged)
        assert certificate.der == damaged
        assert certificate.public_key.key_size
    except CryptoError:
        pass


def test_certificate_of_an_unknown_version_is_refused() -> None:
    with pytest.raises(CryptoError, match="cannot be read"):
        load_certificate(BROKEN.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1))
