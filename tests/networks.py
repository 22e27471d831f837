"""A company's network: a proxy, an authority of its own, and TLS in front of the sandbox."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from raw_server import forwarding_to, listening, read_head

#: Resolves nowhere: whoever gets there came through the proxy.
HOST = "ksef.company.invalid"


@attrs.frozen
class Authority:
    """An authority that no system trusts, and a certificate for `HOST` and 127.0.0.1 that it issued."""

    ca_file: Path
    certificate: Path

    @classmethod
    def make(cls, folder: Path) -> Authority:
        key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Company Authority")])
        now = datetime.now(UTC)

        def builder(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
            return (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(name)
                .public_key(public_key)
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - timedelta(days=1))
                .not_valid_after(now + timedelta(days=1))
            )

        usage = {
            each: each in ("key_cert_sign", "crl_sign")
            for each in (
                *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
                *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
            )
        }
        authority = (
            builder(name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        names = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        server = (
            builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]), server_key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem, nothing = serialization.Encoding.PEM, serialization.NoEncryption()
        made = cls(folder / "authority.pem", folder / "server.pem")
        made.ca_file.write_bytes(authority.public_bytes(pem))
        secret = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, nothing)
        made.certificate.write_bytes(secret + server.public_bytes(pem))
        return made

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate)
        return context


@asynccontextmanager
async def behind_tls(port: int, authority: Authority) -> AsyncGenerator[int]:
    """A port at which the server of another port answers by TLS."""
    async with listening(forwarding_to(port), tls=authority.server_context()) as tls_port:
        yield tls_port


class ConnectProxy:
    """A proxy that leads `HOST` to a port of this machine, and any other host nowhere."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        #: Heads of the requests, in order.
        self.heads: list[str] = []
        #: What it answers in place of 200; nothing but this is sent.
        self.answer: bytes | None = None
        #: User and password in base64; None where it asks nobody.
        self.authorization: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def targets(self) -> set[str]:
        return {head.split()[1] for head in self.heads}

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await read_head(reader)).decode()
        self.heads.append(head)
        if self.answer is not None:
            writer.write(self.answer)
            await writer.drain()
        elif self.authorization is not None and f"Proxy-Authorization: Basic {self.authorization}\r\n" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        elif head.startswith(f"CONNECT {HOST}:"):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await forwarding_to(self.target)(reader, writer)
        else:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


@asynccontextmanager
async def proxying(port: int, tls: ssl.SSLContext | None = None) -> AsyncGenerator[ConnectProxy]:
    """Serve a proxy, by TLS where a context is given."""
    proxy = ConnectProxy(port)
    async with listening(proxy.converse, tls=tls) as proxy.port:
        yield proxy
