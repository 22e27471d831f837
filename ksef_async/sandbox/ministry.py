"""The pretend Ministry's secrets: RSA keys with certificates, JWT, signed links. Real cryptography throughout."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import secrets
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlencode

import attrs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ..api.keys import PublicKeyCertificate, PublicKeyUsage
from ..api.operation import Bearer
from ..crypto.issuing import LIFETIME, self_signed

__all__ = ["JWT_KINDS", "KeyPair", "Ministry", "make_key_pair"]

JWT_KINDS: Final = {
    Bearer.LOGIN: "AuthenticationToken",
    Bearer.ACCESS: "ContextToken",
    Bearer.REFRESH: "RefreshToken",
}
"""KSeF's names for the kinds of JWT."""

_ISSUER: Final = "ksef-api-te"


@attrs.frozen
class KeyPair:
    """A private key, and the certificate that publishes it."""

    private_key: rsa.RSAPrivateKey = attrs.field(repr=False)
    certificate: PublicKeyCertificate


def make_key_pair(usage: PublicKeyUsage, key: rsa.RSAPrivateKey, now: datetime) -> KeyPair:
    """Return an RSA key with a self-made certificate for two years."""
    start = now.replace(microsecond=0) - timedelta(days=1)
    subject = {
        "country_name": "PL",
        "organization_name": "ksef_async sandbox",
        "common_name": "SYMULATOR - nie Ministerstwo Finansów",
    }
    der = self_signed(subject, key, valid_from=start).der
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    published = PublicKeyCertificate(
        certificate=der,
        certificate_id=_b64_sha256(der),
        public_key_id=_b64_sha256(spki),
        valid_from=start,
        valid_to=start + timedelta(seconds=LIFETIME),
        usage=(usage,),
    )
    return KeyPair(key, published)


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def _first_key(_: PublicKeyUsage) -> rsa.RSAPrivateKey:
    # Making a key takes a tenth of a second, and all sandboxes of a process may start with the same.
    return _new_key()


class Ministry:
    """The Ministry's keys: decrypts, issues tokens, signs links."""

    def __init__(self) -> None:
        # The newest first; older ones go on being accepted until they are withdrawn.
        self._key_pairs: dict[PublicKeyUsage, list[KeyPair]] = {}
        self._secret = secrets.token_bytes(32)

    def publish_first_keys(self, now: datetime) -> None:
        """Make the first keys; takes a fraction of a second, once in a process."""
        self._key_pairs = {usage: [make_key_pair(usage, _first_key(usage), now)] for usage in PublicKeyUsage}

    @property
    def certificates(self) -> tuple[PublicKeyCertificate, ...]:
        """Return the published certificates."""
        return tuple(pair.certificate for pairs in self._key_pairs.values() for pair in pairs)

    def rotate(self, now: datetime, *, withdraw: bool) -> None:
        """Publish new keys, and withdraw the old ones if asked to; takes a fraction of a second."""
        for usage, pairs in self._key_pairs.items():
            new = make_key_pair(usage, _new_key(), now)
            self._key_pairs[usage] = [new] if withdraw else [new, *pairs]

    def private_key(self, usage: PublicKeyUsage, public_key_id: str | None) -> rsa.RSAPrivateKey | None:
        """Return the key that a request names, or the newest; None when the named one is unknown for this usage."""
        for pair in self._key_pairs[usage]:
            if public_key_id in (None, pair.certificate.public_key_id):
                return pair.private_key
        return None

    # --- tokens -------------------------------------------------------------------------------------------

    def issue_jwt(self, kind: Bearer, claims: dict[str, Any], now: datetime, lifetime: timedelta) -> str:
        """Return a JWT (HS256) of KSeF's shape."""
        header = {"alg": "HS256", "typ": "JWT"}
        payload = {
            "typ": JWT_KINDS[kind],
            **claims,
            # Two tokens issued in one second would otherwise be the same.
            "jti": secrets.token_hex(8),
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "iss": _ISSUER,
            "aud": _ISSUER,
        }
        signed = ".".join(_b64url(json.dumps(part, ensure_ascii=False).encode()) for part in (header, payload))
        return f"{signed}.{_b64url(self._mac(signed))}"

    def read_jwt(self, token: str, now: datetime) -> dict[str, Any] | None:
        """Return the claims of a JWT of ours that has not expired; None for any other."""
        signed, _, signature = token.rpartition(".")
        try:
            if not hmac.compare_digest(_b64url(self._mac(signed)).encode(), signature.encode()):
                return None
            payload = signed.split(".")[1]
            claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (ValueError, IndexError):
            return None
        return claims if claims["exp"] > now.timestamp() else None

    # --- signed links -------------------------------------------------------------------------------------

    def sign_link(
        self, path: str, now: datetime, lifetime: timedelta, permission: Literal["r", "w"] = "r"
    ) -> tuple[str, datetime]:
        """Return ``path`` with a signature to read (or write) it without a token, and until when it is valid."""
        end = (now + lifetime).replace(microsecond=0)
        start = now - timedelta(minutes=5)
        query = {"sv": "2025-01-05", "st": _sas_time(start), "se": _sas_time(end), "sr": "b", "sp": permission}
        return f"{path}?{urlencode({**query, 'sig': self._link_signature(path, query)})}", end

    def is_signed(
        self, path: str, query: Mapping[str, str], now: datetime, permission: Literal["r", "w"] = "r"
    ) -> bool:
        """Return whether ``query`` has a valid signature to read (or write) ``path``."""
        fields = {name: value for name, value in query.items() if name != "sig"}
        if not hmac.compare_digest(self._link_signature(path, fields).encode(), query.get("sig", "").encode()):
            return False
        return fields["sp"] == permission and now <= datetime.fromisoformat(fields["se"])

    def _link_signature(self, path: str, query: Mapping[str, str]) -> str:
        # Over the decoded fields: clients differ in what they escape.
        return b64encode(self._mac("\n".join([path, *(f"{name}={value}" for name, value in query.items())]))).decode()

    def _mac(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode(), "sha256")


def _sas_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _b64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _b64_sha256(data: bytes) -> str:
    return b64encode(hashlib.sha256(data).digest()).decode("ascii")
