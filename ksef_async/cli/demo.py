"""``ksef-async demo``: the main job, start to finish, with a timeline.

`company` decides where: the environment and login that environment variables name (see `KsefClient.from_env`), or an
embedded sandbox where KSEF_ENV is not set, with a certificate that signs itself, as TEST takes it as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final

import anyio.to_thread

from ..api.environment import Environment
from ..api.sessions import FormCode
from ..auth.credentials import CertificateCredentials, Credentials, KsefToken
from ..auth.variables import Variables
from ..calling.events import Hook
from ..client import KsefClient
from ..errors import ConfigurationError, RemoteProtocolError
from ..protocol.xml import parse_xml
from ..sandbox import Sandbox, sample_invoice
from ..sessions.outcomes import AcceptedInvoice
from ..sessions.upo import SessionUPO
from .arguments import Command, Parser
from .files import add_file_arguments, find_files, read_file, tell_left_out
from .output import Exit, UsageError

__all__ = ["COMMAND", "check_receipt", "company", "connect", "demo", "new_number"]

_numbers = count(1)


@asynccontextmanager
async def company(nip: str | None = None) -> AsyncIterator[tuple[Environment, Credentials]]:
    """Return the environment, and the credentials to log in with.

    Args:
        nip: Which company the sandbox is to know; made up by default. A real environment takes KSEF_NIP.

    Raises:
        UsageError: KSEF_ENV is set, and something that goes with it is missing or cannot be used.
    """
    variables = Variables.of()
    if variables.values.get("ENV"):
        try:
            environment, credentials = variables.environment, await anyio.to_thread.run_sync(variables.credentials)
        except ConfigurationError as error:
            raise UsageError(str(error)) from error
        yield environment, credentials
        return
    async with Sandbox(nip=nip) as sandbox:
        if find_spec("signxml") is None:
            yield sandbox.environment, KsefToken(nip=sandbox.nip, token=sandbox.token)
        else:
            yield sandbox.environment, await CertificateCredentials.self_signed(sandbox.nip)


@asynccontextmanager
async def connect(nip: str | None = None, *, hook: Hook | None = None) -> AsyncIterator[tuple[KsefClient, str]]:
    """A client, and the NIP it is logged in for.

    Args:
        nip: As for `company`.
        hook: Is told of every event.

    Raises:
        UsageError: As for `company`.
    """
    async with company(nip) as (environment, credentials), _client(environment, credentials, hook) as client:
        yield client, credentials.context.value


def _client(environment: Environment, credentials: Credentials, hook: Hook | None) -> KsefClient:
    variables = Variables.of()
    return KsefClient(
        environment,
        credentials,
        hook=hook,
        revoke_on_exit=True,
        proxy=variables.proxy,
        ca_file=variables.ca_file,
    )


def _describe(credentials: Credentials) -> str:
    if isinstance(credentials, CertificateCredentials):
        certificate = credentials.certificate
        is_own = certificate.readable.issuer == certificate.readable.subject
        return (
            f"by a certificate{' that signs itself' if is_own else ''}, valid until {certificate.valid_until:%Y-%m-%d}"
        )
    hint = "" if os.environ.get("KSEF_ENV") else "; a certificate needs: pip install 'ksef_async[xades]'"
    return f"by KSeF token{hint}"


def new_number() -> str:
    """Return an invoice number that no run before has used: KSeF takes seller, kind and number once."""
    # The clock of Windows stands still for milliseconds.
    return f"FV/{datetime.now(UTC):%Y%m%d/%H%M%S%f}/{next(_numbers)}"


def check_receipt(upo: SessionUPO, accepted: Sequence[AcceptedInvoice]) -> None:
    """Check that the UPO confirms exactly the accepted invoices, by SHA-256 and KSeF number.

    Raises:
        RemoteProtocolError: It does not.
    """
    confirmed = {entry.invoice_hash: entry.ksef_number for entry in upo.entries}
    expected = {invoice.invoice_hash: invoice.ksef_number for invoice in accepted}
    if confirmed != expected:
        raise RemoteProtocolError(
            f"The UPO of session {upo.session_reference_number} confirms {len(confirmed)} invoices, "
            f"which are not the {len(expected)} accepted ones.",
            operation="session_upo",
        )


def _add_arguments(parser: Parser) -> None:
    add_file_arguments(parser)


async def demo(files: Sequence[Path] = (), *, recursive: bool = False) -> int:
    """Send invoices through one session and print the timeline.

    Without files it makes one up. They go to an embedded sandbox, or to the environment named by KSEF_ENV (TEST, DEMO,
    PRODUCTION or a base URL), with KSEF_NIP and the certificate or token of the other variables.
    """
    started = time.monotonic()

    def say(what: str, text: str) -> None:
        print(f"{time.monotonic() - started:6.2f} s  {what:<9} {text}")

    found = await anyio.to_thread.run_sync(partial(find_files, files, recursive=recursive))
    tell_left_out(found)
    if files and not found.files:
        raise UsageError("There are no invoices in what was named.")
    invoices = [(path.name, await anyio.to_thread.run_sync(read_file, path)) for path in found.files]
    nip = _seller_nip(invoices[0][1]) if invoices else None
    number = new_number()
    async with company(nip) as (environment, credentials), _client(environment, credentials, None) as client:
        nip = credentials.context.value
        where = "" if os.environ.get("KSEF_ENV") else " (embedded sandbox: a simulator without legal effect)"
        say("KSeF", f"{client.environment.base_url}{where}")
        await client.log_in()
        say("login", f"NIP {nip}, {_describe(credentials)}")

        session = await client.sessions.open_online(FormCode.FA3)
        until = f", valid until {session.valid_until:%Y-%m-%d %H:%M} UTC" if session.valid_until else ""
        say("open", f"session {session.reference_number}{until}")
        async with session:
            accepted = []
            for name, invoice in invoices or [(number, sample_invoice(nip, number))]:
                sent = await session.send(invoice)
                say("sent", f"{name}, {len(invoice):,} bytes, as {sent.reference_number}")
                outcome = await sent.outcome()
                accepted.append(outcome)
                say("accepted", f"{name}: KSeF number {outcome.ksef_number}")
        say("closed", "session terminated")

        async for transition in session.transitions():
            say("status", f"{transition}")
        upo = await session.upo()
        check_receipt(upo, accepted)
        for page in upo.documents:
            say("UPO", f"page {page.page} of {page.page_count}: {len(page.xml):,} bytes, issued by {page.issuer}")
        say("verified", f"SHA-256 of the UPO, and of each of its {len(accepted)} invoice(s), match what was sent")
    return Exit.OK


COMMAND: Final = Command(run=demo, add_arguments=_add_arguments, examples=("demo", "demo invoice.xml"), access=())


def _seller_nip(invoice: bytes) -> str | None:
    """The seller's NIP in an invoice; None where it cannot be found."""
    try:
        root = parse_xml(invoice)
    except ValueError:
        return None
    return root.findtext("{*}Podmiot1/{*}DaneIdentyfikacyjne/{*}NIP")
