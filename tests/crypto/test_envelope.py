from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from ksef_async import CryptoError
from ksef_async.crypto.envelope import (
    IV_SIZE,
    KEY_SIZE,
    SessionCipher,
    encrypted_size,
    load_public_key,
    new_key,
    rsa_decrypt,
    rsa_encrypt,
)

# NIST SP 800-38A, F.2.5: CBC-AES256.Encrypt.
KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
IV = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
PLAIN = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
CIPHERTEXT = bytes.fromhex(
    "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
    "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"
)

OPENSSL = shutil.which("openssl")
with_openssl = pytest.mark.skipif(OPENSSL is None, reason="the openssl command is not here")


def openssl(*arguments: str | Path, stdin: bytes) -> bytes:
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *map(str, arguments)], input=stdin, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def key_file(private_key: rsa.RSAPrivateKey, tmp_path: Path) -> Path:
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (path := tmp_path / "key.pem").write_bytes(pem)
    return path


def certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_known_answer_of_nist() -> None:
    encrypted = SessionCipher(KEY, IV).encrypt(PLAIN)

    assert encrypted[: len(CIPHERTEXT)] == CIPHERTEXT
    assert len(encrypted) == len(CIPHERTEXT) + 16  # a whole block of padding
    assert SessionCipher(KEY, IV).decrypt(encrypted) == PLAIN


@with_openssl
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 6480])
def test_openssl_reads_what_is_encrypted_and_the_other_way_round(size: int) -> None:
    plain = (PLAIN * 102)[:size]
    key = ("-aes-256-cbc", "-K", KEY.hex(), "-iv", IV.hex())

    encrypted = SessionCipher(KEY, IV).encrypt(plain)

    assert openssl("enc", "-d", *key, stdin=encrypted) == plain
    assert openssl("enc", *key, stdin=plain) == encrypted
    assert len(encrypted) == encrypted_size(size)


@settings(deadline=None)
@given(st.binary(min_size=KEY_SIZE, max_size=KEY_SIZE), st.binary(min_size=IV_SIZE, max_size=IV_SIZE), st.binary())
def test_what_is_encrypted_can_be_decrypted(key: bytes, iv: bytes, plain: bytes) -> None:
    cipher = SessionCipher(key, iv)

    encrypted = cipher.encrypt(plain)

    assert len(encrypted) == encrypted_size(len(plain))
    assert cipher.decrypt(encrypted) == plain


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40)))
def test_pieces_are_encrypted_as_the_whole(pieces: list[bytes]) -> None:
    cipher = SessionCipher(KEY, IV)

    assert b"".join(cipher.encrypt_pieces(pieces)) == cipher.encrypt(b"".join(pieces))


@pytest.mark.parametrize(
    ("key", "iv", "said"),
    [
        (KEY[:16], IV, "has 32 bytes, not 16"),
        (KEY + b"x", IV, "has 32 bytes, not 33"),
        (b"", IV, "has 32 bytes, not 0"),
        (KEY, IV[:12], "has 16 bytes, not 12"),
        (KEY, IV + IV, "has 16 bytes, not 32"),
    ],
)
def test_key_of_a_wrong_length_is_refused(key: bytes, iv: bytes, said: str) -> None:
    with pytest.raises(CryptoError, match=said):
        SessionCipher(key, iv)


@pytest.mark.parametrize(
    ("ciphertext", "said"),
    [
        pytest.param(b"", "multiple of 16 bytes, not 0", id="empty"),
        pytest.param(CIPHERTEXT[:-1], "multiple of 16 bytes, not 63", id="cut short"),
        pytest.param(CIPHERTEXT, "padding is wrong", id="padding 16 of other bytes"),
        pytest.param(SessionCipher(KEY, PLAIN[:16]).encrypt(b"")[:16], "padding is wrong", id="another vector"),
    ],
)
def test_what_is_not_a_ciphertext_of_this_key_is_refused(ciphertext: bytes, said: str) -> None:
    with pytest.raises(CryptoError, match=said):
        SessionCipher(KEY, IV).decrypt(ciphertext)


@pytest.mark.parametrize("last_block", [bytes(16), b"\x11" * 16, b"x" * 14 + b"\x01\x02", b"x" * 15 + b"\xff"])
@with_openssl
def test_wrong_padding_is_refused(last_block: bytes) -> None:
    key = ("-aes-256-cbc", "-nopad", "-K", KEY.hex(), "-iv", IV.hex())

    with pytest.raises(CryptoError, match="padding is wrong"):
        SessionCipher(KEY, IV).decrypt(openssl("enc", *key, stdin=PLAIN + last_block))


def test_one_cipher_serves_many_threads() -> None:
    cipher = SessionCipher(KEY, IV)
    plains = [bytes([number]) * (50_000 + number) for number in range(40)]
    expected = [SessionCipher(KEY, IV).encrypt(plain) for plain in plains]

    with ThreadPoolExecutor(8) as threads:
        encrypted = list(threads.map(cipher.encrypt, plains))
        decrypted = list(threads.map(cipher.decrypt, encrypted))

    assert encrypted == expected
    assert decrypted == plains


def test_new_keys_differ_and_fit() -> None:
    keys = [new_key() for _ in range(20)]

    assert len({part for pair in keys for part in pair}) == 40
    for key, iv in keys:
        SessionCipher(key, iv)


def test_rsa_round_trip_is_randomized(private_key: rsa.RSAPrivateKey) -> None:
    wrapped = [rsa_encrypt(private_key.public_key(), KEY) for _ in range(2)]

    assert wrapped[0] != wrapped[1]
    assert [(len(each), rsa_decrypt(private_key, each)) for each in wrapped] == [(256, KEY)] * 2


@with_openssl
def test_openssl_unwraps_the_key_as_the_ministry_would(private_key: rsa.RSAPrivateKey, key_file: Path) -> None:
    oaep = ("rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256")
    options = [word for option in oaep for word in ("-pkeyopt", option)]

    wrapped = rsa_encrypt(private_key.public_key(), KEY)

    assert openssl("pkeyutl", "-decrypt", "-inkey", key_file, *options, stdin=wrapped) == KEY
    assert rsa_decrypt(private_key, openssl("pkeyutl", "-encrypt", "-inkey", key_file, *options, stdin=KEY)) == KEY


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(padding.PKCS1v15(), id="pkcs1 v1.5"),
        pytest.param(padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None), id="oaep sha-1"),
        pytest.param(padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA256(), None), id="mgf1 sha-1"),
        pytest.param(padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label"), id="label"),
    ],
)
def test_key_wrapped_by_another_method_is_refused(
    private_key: rsa.RSAPrivateKey, method: padding.AsymmetricPadding
) -> None:
    with pytest.raises(CryptoError, match="does not fit the RSA key"):
        rsa_decrypt(private_key, private_key.public_key().encrypt(KEY, method))


def test_what_does_not_fit_the_rsa_key_is_refused(private_key: rsa.RSAPrivateKey) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    with pytest.raises(CryptoError, match="191 bytes are too many for a 2048-bit RSA key"):
        rsa_encrypt(private_key.public_key(), bytes(191))
    for ciphertext in (rsa_encrypt(other.public_key(), KEY), b"", bytes(255), bytes(256)):
        with pytest.raises(CryptoError, match="does not fit the RSA key"):
            rsa_decrypt(private_key, ciphertext)


def test_public_key_is_read_from_its_certificate(private_key: rsa.RSAPrivateKey) -> None:
    assert load_public_key(certificate(private_key)) == private_key.public_key()


def test_certificate_that_cannot_be_used_is_refused(private_key: rsa.RSAPrivateKey) -> None:
    der = certificate(private_key)
    of_an_ec_key = certificate(ec.generate_private_key(ec.SECP256R1()))
    rsa_encryption, unknown = bytes.fromhex("06092a864886f70d010101"), bytes.fromhex("06092a864886f70d01017f")

    for bad, said in (
        (b"", "cannot be read"),
        (der[:-1], "cannot be read"),
        (der.replace(rsa_encryption, unknown), "cannot be read"),
        (of_an_ec_key, "only RSA is specified"),
    ):
        with pytest.raises(CryptoError, match=said):
            load_public_key(bad)
