"""KSeF's side of the wire, spoken by hand: JSON written from its documentation, and nothing of our own client.

A misreading that the client and the sandbox share would show here.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import BytesIO
from json import dumps
from typing import Any

import aiohttp
import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from yarl import URL

from ksef_async.sandbox import Clock, Sandbox, Timings, sample_invoice

FA3 = {"systemCode": "FA (3)", "schemaVersion": "1-0E", "value": "FA"}
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)

#: Noon in Warsaw.
START = datetime(2026, 7, 1, 10, 0, 0, 123_456, UTC)
#: Every stage takes a second, so that a test can stop at each.
SECOND_BY_SECOND = Timings(
    login_delay=1,
    key_check_delay=1,
    invoice_queue_delay=1,
    invoice_processing_delay=1,
    storage_lag=1,
    session_closing_delay=1,
    permission_delay=1,
    token_delay=1,
)
#: From sending to the verdict.
VERDICT = 2


def sha256(data: bytes) -> str:
    return b64encode(hashlib.sha256(data).digest()).decode()


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def check_digits(text: str) -> str:
    """CRC-8 with polynomial 0x07, as KSeF's numbers end with it."""
    crc = 0
    for byte in text.encode():
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return f"{crc:02X}"


def encrypt(plain: bytes, key: bytes, iv: bytes) -> bytes:
    padder = block_padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


@attrs.frozen
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, int | None]:
        """HTTP status, and the exception code of an error in the legacy format."""
        return self.status, self._entry.get("exceptionCode")

    @property
    def details(self) -> list[str]:
        """What an error in the legacy format says beside its code."""
        return list(self._entry.get("details") or [])

    @property
    def _entry(self) -> Any:
        if self.status != 400:
            return {}
        (entry,) = self.json["exception"]["exceptionDetailList"]
        return entry


@attrs.frozen
class Tokens:
    """What a login gave."""

    reference_number: str
    operation: str
    access: str
    refresh: str


@attrs.frozen
class OpenedSession:
    """An online session, with what its owner knows."""

    wire: Wire
    reference_number: str
    valid_until: str
    key: bytes
    iv: bytes
    access: str

    async def get(self, path: str = "", **headers: str) -> Answer:
        return await self.wire.call("GET", f"/sessions/{self.reference_number}{path}", self.access, headers=headers)

    async def status(self) -> int:
        return int((await self.get()).json["status"]["code"])

    async def close(self) -> Answer:
        return await self.wire.call("POST", f"/sessions/online/{self.reference_number}/close", self.access)

    async def send(self, invoice: bytes, **changes: Any) -> Answer:
        """Send an invoice; ``changes`` replace what the request would say of it."""
        content = encrypt(invoice, self.key, self.iv)
        request = {
            "invoiceHash": sha256(invoice),
            "invoiceSize": len(invoice),
            "encryptedInvoiceHash": sha256(content),
            "encryptedInvoiceSize": len(content),
            "encryptedInvoiceContent": base64(content),
            "offlineMode": False,
        }
        path = f"/sessions/online/{self.reference_number}/invoices"
        return await self.wire.call("POST", path, self.access, json=request | changes)

    async def outcome(self, invoice: bytes, **changes: Any) -> Any:
        """Send an invoice and move on to its verdict: the invoice as KSeF then shows it."""
        sent = await self.send(invoice, **changes)
        assert sent.status == 202, sent.body
        self.wire.advance(VERDICT)
        return (await self.get(f"/invoices/{sent.json['referenceNumber']}")).json


class Wire:
    """Calls the sandbox with JSON written by hand."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self._http = http

    def advance(self, seconds: float) -> None:
        self.sandbox.clock.advance(seconds)

    def invoice(self, number: str = "FV/1", **changes: Any) -> bytes:
        """An invoice of the first company, issued on the day the test starts."""
        return sample_invoice(self.sandbox.nip, number, **{"issued_on": START.date(), **changes})

    async def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        *,
        json: object = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call; ``path`` is a path of the API, or a whole address to be taken as it is."""
        url = path if path.startswith("http") else self.sandbox.environment.base_url + path
        sent = {} if token is None else {"Authorization": f"Bearer {token}"}
        if json is not None:
            data, sent["Content-Type"] = dumps(json).encode(), "application/json"
        async with self._http.request(
            # aiohttp warns of large bodies that are not read piece by piece.
            method,
            URL(url, encoded=True),
            data=data and BytesIO(data),
            headers={**sent, **(headers or {})},
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def public_key(self, usage: str) -> tuple[rsa.RSAPublicKey, str]:
        """The Ministry's key for a usage, and its identifier."""
        (row,) = [row for row in (await self.call("GET", PUBLIC_KEYS)).json if usage in row["usage"]]
        key = x509.load_der_x509_certificate(b64decode(row["certificate"])).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        # An older KSeF ignores what a request says of it.
        return key, row.get("publicKeyId", "")

    async def log_in(self, *, nip: str | None = None, token: str | None = None, **changes: Any) -> Answer:
        """Ask for a login; ``changes`` replace what the request would say."""
        challenge = (await self.call("POST", "/auth/challenge")).json
        key, key_id = await self.public_key("KsefTokenEncryption")
        plain = f"{token or self.sandbox.token}|{challenge['timestampMs']}"
        request = {
            "challenge": challenge["challenge"],
            "contextIdentifier": {"type": "Nip", "value": nip or self.sandbox.nip},
            "encryptedToken": base64(key.encrypt(plain.encode(), OAEP)),
            "publicKeyId": key_id,
        }
        return await self.call("POST", "/auth/ksef-token", json=request | changes)

    async def tokens(self, *, nip: str | None = None, token: str | None = None) -> Tokens:
        """Log in, to the end."""
        started = (await self.log_in(nip=nip, token=token)).json
        operation = started["authenticationToken"]["token"]
        self.advance(1)
        pair = (await self.call("POST", "/auth/token/redeem", operation)).json
        access, refresh = pair["accessToken"]["token"], pair["refreshToken"]["token"]
        return Tokens(started["referenceNumber"], operation, access, refresh)

    async def stranger(self) -> Tokens:
        """Log in as another company."""
        nip = "5265877635"
        return await self.tokens(nip=nip, token=self.sandbox.issue_token(nip))

    async def open_request(self, key: bytes, iv: bytes) -> dict[str, Any]:
        """What opens an online session."""
        public_key, key_id = await self.public_key("SymmetricKeyEncryption")
        encryption = {
            "encryptedSymmetricKey": base64(public_key.encrypt(key, OAEP)),
            "initializationVector": base64(iv),
            "publicKeyId": key_id,
        }
        return {"formCode": FA3, "encryption": encryption}

    async def open(
        self, access: str, *, encryption: Mapping[str, str] | None = None, feature: str | None = None
    ) -> OpenedSession:
        """Open an online session; ``encryption`` replaces what the request would say of its key."""
        key, iv = secrets.token_bytes(32), secrets.token_bytes(16)
        request = await self.open_request(key, iv)
        request["encryption"] |= encryption or {}
        headers = {"X-KSeF-Feature": feature} if feature else {}
        answer = await self.call("POST", "/sessions/online", access, json=request, headers=headers)
        assert answer.status == 201, answer.body
        return OpenedSession(self, answer.json["referenceNumber"], answer.json["validUntil"], key, iv, access)


PUBLIC_KEYS = "/security/public-key-certificates"


@asynccontextmanager
async def connected(**options: Any) -> AsyncGenerator[Wire]:
    """A sandbox of its own, whose clock stands still and which counts no calls unless ``options`` say otherwise."""
    defaults: dict[str, Any] = {"clock": Clock(START, ticking=False), "timings": SECOND_BY_SECOND, "rate_limits": None}
    async with Sandbox(**{**defaults, **options}) as sandbox, aiohttp.ClientSession() as http:
        yield Wire(sandbox, http)
