"""The whole flow with a made-up company: login by a certificate that signs itself, session, invoice, UPO.

KSeF takes such a certificate on TEST only (and the sandbox does), so nothing here can have a legal effect. Even so it
refuses to begin on any other environment of the Ministry's.
"""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from typing import Final

import anyio.to_thread
import attrs

from ...api.environment import Environment
from ...api.sessions import FormCode
from ...auth.credentials import CertificateCredentials
from ...calling.transport import Transport
from ...client import KsefClient
from ...errors import KsefError
from ...protocol.numbers import make_up_nip
from ...protocol.polish_calendar import polish_day
from ...protocol.retry import RetryPolicy
from ...sessions.online import OnlineSession
from ...sessions.outcomes import AcceptedInvoice
from .checking import Checker, CheckResult, failed, ok, skipped

__all__ = ["Trial", "may_try"]

# A little patience, for on TEST everybody tries: at most so many seconds of it.
_RETRY: Final = RetryPolicy(attempts=3, patience=10.0, deadline=30.0)
_NAMES: Final = ("made-up company", "session", "invoice", "UPO")
_LOGIN_SECONDS: Final = 120.0
_SESSION_SECONDS: Final = 60.0
_INVOICE_SECONDS: Final = 120.0
_UPO_SECONDS: Final = 180.0


def may_try(environment: Environment) -> bool:
    """Return whether the flow may be tried: on TEST, or on what is none of the Ministry's environments (a sandbox)."""
    host = environment.host
    if host == Environment.TEST.host:
        return True
    return host != "mf.gov.pl" and not host.endswith(".mf.gov.pl")


@attrs.define(kw_only=True)
class Trial:
    """One run of the flow."""

    environment: Environment
    transport: Transport
    _client_stack: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False)
    _session_stack: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False)
    _client: KsefClient | None = attrs.field(default=None, init=False)
    _session: OnlineSession | None = attrs.field(default=None, init=False)
    _accepted: AcceptedInvoice | None = attrs.field(default=None, init=False)
    _nip: str = attrs.field(factory=make_up_nip, init=False)

    async def run(self, checker: Checker) -> None:
        """Run the steps, each within its time; after one that fails the others are skipped."""
        steps = (self._log_in, self._open, self._send, self._fetch_upo)
        seconds = (_LOGIN_SECONDS, _SESSION_SECONDS, _INVOICE_SECONDS, _UPO_SECONDS)
        works = True
        try:
            for name, step, most in zip(_NAMES, steps, seconds, strict=True):
                if works:
                    works = await checker.run(name, step, most)
                else:
                    checker.add(name, skipped("What comes before it failed."))
            if self._session is not None and self._accepted is None:
                await checker.run("session closed", self._close, _SESSION_SECONDS)
        finally:
            # Whatever happened: the session before the login, each in its own time.
            with suppress(KsefError):
                await self._session_stack.aclose()
            with suppress(KsefError):
                await self._client_stack.aclose()

    async def _close(self) -> CheckResult:
        assert self._session is not None  # noqa: S101 - asked before
        await self._session_stack.aclose()
        return ok(f"{self._session.reference_number} is closed.")

    async def _log_in(self) -> CheckResult:
        if find_spec("signxml") is None:
            return failed("A certificate needs signxml.", "pip install 'ksef_async[xades]'")
        credentials = await CertificateCredentials.self_signed(self._nip)
        client = KsefClient(self.environment, credentials, transport=self.transport, retry=_RETRY, revoke_on_exit=True)
        self._client = await self._client_stack.enter_async_context(client)
        await client.log_in()
        return ok(f"NIP {self._nip} is logged in with a certificate that signs itself.")

    async def _open(self) -> CheckResult:
        assert self._client is not None  # noqa: S101 - the step before has succeeded
        session = await self._client.sessions.open_online(FormCode.FA3)
        self._session = await self._session_stack.enter_async_context(session)
        return ok(f"{session.reference_number} is open.")

    async def _send(self) -> CheckResult:
        assert self._session is not None  # noqa: S101 - the step before has succeeded
        xml = await anyio.to_thread.run_sync(_make_invoice, self._nip)
        outcome = await (await self._session.send(xml)).outcome()
        self._accepted = outcome
        return ok(f"{len(xml):,} bytes of FA(3), accepted as {outcome.ksef_number}.")

    async def _fetch_upo(self) -> CheckResult:
        assert self._session is not None  # noqa: S101 - the step before has succeeded
        assert self._accepted is not None  # noqa: S101 - likewise
        await self._session_stack.aclose()
        upo = await self._session.upo()
        confirmed = [(entry.ksef_number, entry.invoice_hash) for entry in upo.entries]
        if confirmed != [(self._accepted.ksef_number, self._accepted.invoice_hash)]:
            return failed(f"The UPO confirms {len(confirmed)} invoices, which are not what was sent.")
        (document, *_) = upo.documents
        return ok(f"{len(document.xml):,} bytes, issued by {document.issuer}; its hashes are those of what was sent.")


def _make_invoice(nip: str) -> bytes:
    from ...documents import building, fa3

    now = datetime.now(UTC)
    built = building.invoice(
        seller=building.seller(nip, "Firma Zmyślona (ksef-async doctor)", "ul. Próbna 1, 00-001 Warszawa"),
        buyer=building.buyer("Nabywca Zmyślony S.A.", "ul. Próbna 2, 30-002 Kraków", nip=make_up_nip()),
        rows=[building.row("Próba połączenia", 1, Decimal("1.00"))],
        number=f"DOCTOR/{now:%Y%m%d%H%M%S}/{secrets.token_hex(3).upper()}",
        issued_on=polish_day(now),
    )
    return fa3.write(built)
