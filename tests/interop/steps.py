"""What the walks of independent clients through the sandbox share: the table they print, and what they send."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TypeVar
from xml.etree import ElementTree as ET

import anyio
from certificates import key_bytes, pem

from ksef_async.crypto.issuing import KeyKind, new_private_key, self_signed_person, self_signed_seal
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.sandbox.grants import Grant

BUYER = "1111111111"
OFFICE = "7762811692"
PESEL = "15062788702"

#: In a batch: more than fit on the smallest page.
MANY = 20

_Seen = TypeVar("_Seen")


class Steps:
    """The table of a client's steps: each is ok, a finding with its evidence, or where the walk ended."""

    def __init__(self, package: str) -> None:
        self.title = f"{package} {version(package)} from PyPI against the sandbox"
        self.rows: list[tuple[str, str]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A step that is ok if its block ends without an error."""
        try:
            yield
        except BaseException as error:
            self.rows.append((name, f"FAILED: {type(error).__name__}: {error}"))
            raise
        self.rows.append((name, "ok"))

    @contextmanager
    def defect(self, name: str, evidence: str) -> Iterator[None]:
        """A step at which the client itself goes wrong: the block shows that it still does."""
        with self._finding(name, f"defect: {evidence}"):
            yield

    @contextmanager
    def undecided(self, name: str, evidence: str) -> Iterator[None]:
        """A step at which client and sandbox read KSeF's documents differently, and these do not say who is right."""
        with self._finding(name, f"undecided: {evidence}"):
            yield

    @contextmanager
    def _finding(self, name: str, result: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.rows.append((name, f"FAILED: no longer {result!r}: {type(error).__name__}: {error}"))
            raise
        self.rows.append((name, result))

    def __str__(self) -> str:
        width = max((len(name) for name, _ in self.rows), default=0)
        lines = [f"{number:>4}  {name:<{width}}  {result}" for number, (name, result) in enumerate(self.rows, 1)]
        return "\n".join(["", self.title, *lines])


async def until(look: Callable[[], Awaitable[_Seen]], done: Callable[[_Seen], bool]) -> _Seen:
    """What is seen once it is ``done``, looking twenty times a second."""
    with anyio.fail_after(10):
        while not done(seen := await look()):
            await anyio.sleep(0.05)
        return seen


def samples(sandbox: Sandbox, prefix: str) -> list[bytes]:
    """`MANY` invoices of the sandbox's company to `BUYER`."""
    return [sample_invoice(sandbox.nip, f"{prefix}/{number}", buyer_nip=BUYER) for number in range(MANY)]


def hash_of(document: bytes) -> str:
    return base64.b64encode(hashlib.sha256(document).digest()).decode()


def hashes(documents: list[bytes]) -> set[str]:
    return {hash_of(document) for document in documents}


def confirmed(upo: bytes) -> set[str]:
    """The hashes of the documents that a receipt is for."""
    return {element.text or "" for element in ET.fromstring(upo).iterfind(".//{*}SkrotDokumentu")}


def accepted(sandbox: Sandbox) -> set[str]:
    """The hashes of all documents that the sandbox has accepted."""
    invoices = sandbox.world.invoices()
    return {base64.b64encode(invoice.invoice_hash).decode() for invoice in invoices if invoice.is_accepted}


def granted(sandbox: Sandbox, subject: str) -> list[Grant]:
    """What somebody is granted at present."""
    return [grant for grant in sandbox.world.grants.in_force(sandbox.clock.now()) if grant.subject.value == subject]


def identities(nip: str) -> Iterator[tuple[str, bytes, bytes]]:
    """Certificates that a company can log in with, and their keys; both in PEM."""
    kinds: tuple[KeyKind, ...] = ("rsa", "ec")
    for kind in kinds:
        key = new_private_key(kind)
        yield f"{kind.upper()}, seal", pem(self_signed_seal(nip, key)), key_bytes(key)
        yield f"{kind.upper()}, person", pem(self_signed_person(key, nip=nip)), key_bytes(key)


def yesterday() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)
