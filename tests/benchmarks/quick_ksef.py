"""A KSeF that answers and does nothing else, so that in a bench the client is what takes the time.

It logs everybody in, takes every invoice and every part, and looks into none: that all is sent as it should be is what
the tests show, against the sandbox. uvloop and httptools in a process of its own make an answer cost a fraction of what
the request costs. Needs ``uvicorn[standard]``, which brings both.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import cast

__all__ = ["NIP", "TOKEN", "quick_ksef"]

NIP, TOKEN = "5265877635", "bench"


KINDS = {"online": "SO", "batch": "SB"}


@contextmanager
def quick_ksef(cpu: int | None = None) -> Iterator[str]:
    """Serve in a process of its own for as long as the block lasts.

    Args:
        cpu: The one core it may use; None for any.

    Yields:
        The base URL, with the version.
    """
    command = [sys.executable, __file__, *(() if cpu is None else ("--cpu", str(cpu)))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


class Answers:
    """What is answered to each request; status and body."""

    def __init__(self) -> None:
        self.base_url = ""
        self._numbers = count(1)
        self._certificates = self._make_certificates()
        self._closed: set[str] = set()

    def __call__(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        steps = path.partition("?")[0].removeprefix("/v2").split("/")[1:]
        match method, steps:
            case "POST", ["sessions", "online", _, "invoices"]:
                return 202, b'{"referenceNumber":"%b"}' % self._number("EE").encode()
            case "PUT", ["part", *_]:
                return 201, b""
            case _:
                status, answer = self._seldom(method, steps, body)
                return status, b"" if answer is None else json.dumps(answer).encode()

    def _seldom(self, method: str, steps: list[str], body: bytes) -> tuple[int, object]:
        match method, steps:
            case "GET", ["security", "public-key-certificates"]:
                return 200, self._certificates
            case "POST", ["auth", "challenge"]:
                now = datetime.now(UTC)
                return 200, {
                    "challenge": self._number("CR"),
                    "timestamp": now.isoformat(),
                    "timestampMs": int(now.timestamp() * 1000),
                    "clientIp": "127.0.0.1",
                }
            case "POST", ["auth", "ksef-token"]:
                return 202, {"referenceNumber": self._number("AU"), "authenticationToken": _jwt()}
            case "POST", ["auth", "token", "redeem"]:
                return 200, {"accessToken": _jwt(), "refreshToken": _jwt()}
            case "GET", ["auth", _]:
                return 200, {
                    "startDate": _later(0),
                    "authenticationMethod": "Token",
                    "status": {"code": 200, "description": "Uwierzytelnianie zakończone sukcesem"},
                }
            case "POST", ["sessions", "online" | "batch" as kind]:
                return 201, self._opened(kind, json.loads(body))
            case "POST", ["sessions", _, number, "close"]:
                self._closed.add(number)
                return 204, None
            case "GET", ["sessions", number]:
                code = 150 if number in self._closed else 100
                return 200, {"status": {"code": code, "description": "..."}, "validUntil": _later(12)}
        return 404, {}

    def _opened(self, kind: str, request: Mapping[str, object]) -> object:
        number = self._number(KINDS[kind])
        opened: dict[str, object] = {"referenceNumber": number, "validUntil": _later(12)}
        file = request.get("batchFile")
        if isinstance(file, dict):
            opened["partUploadRequests"] = [
                {
                    "ordinalNumber": part["ordinalNumber"],
                    "method": "PUT",
                    "url": f"{self.base_url.removesuffix('/v2')}/part/{number}/{part['ordinalNumber']}?sig=x",
                    "headers": {"x-ms-blob-type": "BlockBlob"},
                }
                for part in file["fileParts"]
            ]
        return opened

    def _number(self, kind: str) -> str:
        return f"20260701-{kind}-{next(self._numbers):010X}-0000000000-00"

    @staticmethod
    def _make_certificates() -> object:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        from ksef_async.crypto.issuing import new_private_key, self_signed

        key = new_private_key("rsa")
        der = self_signed({"common_name": "quick"}, key).der
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return [
            {
                "certificate": base64.b64encode(der).decode(),
                "certificateId": "1",
                "publicKeyId": base64.b64encode(hashlib.sha256(spki).digest()).decode(),
                "validFrom": _later(-1),
                "validTo": _later(24),
                "usage": [usage],
            }
            for usage in ("KsefTokenEncryption", "SymmetricKeyEncryption")
        ]


def _later(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def _jwt() -> dict[str, str]:
    # As long as KSeF's.
    return {"token": f"eyJhbGciOiJIUzI1NiJ9.{'a' * 800}.c2ln", "validUntil": _later(24)}


class Connection(asyncio.Protocol):
    """One connection; httptools calls the methods ``on_...``."""

    def __init__(self, answers: Answers) -> None:
        import httptools

        self._answers = answers
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one without being called so.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = b""
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, piece: bytes) -> None:
        if not self._url.startswith(b"/part/"):
            self._body.append(piece)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        status, body = self._answers(method, self._url.decode(), b"".join(self._body))
        head = b"HTTP/1.1 %d .\r\ncontent-type: application/json\r\n" % status
        length = b"" if status == 204 else b"content-length: %d\r\n" % len(body)
        self._transport.write(head + length + b"\r\n" + body)


async def serve() -> None:
    answers = Answers()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(answers), "127.0.0.1", 0)
    answers.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2"
    print(answers.base_url, flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", type=int, help="the one core it may use")
    options = parser.parse_args()
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    # Not at the top: the benches import this file.
    import uvloop

    uvloop.run(serve())


if __name__ == "__main__":
    main()
