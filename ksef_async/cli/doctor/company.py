"""The company: its credentials and their end, the login, permissions, limits, and the journal."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import attrs

from ...api.auth import REVOKE_CURRENT_LOGIN, TokenPair
from ...api.rates import PRODUCTION_LIMITS
from ...auth.credentials import Credentials, KsefToken
from ...auth.ending import EXPIRY_NOTICE, TOKENS_END, ending_of
from ...auth.login import log_in
from ...calling.caller import Caller
from ...calling.keys import PublicKeys
from ...errors import ApiError, TransportError, quote
from ...resources.limits import Limits
from ..access import JOURNAL_NEEDS, Settled
from ..output import Exit, UsageError, counts_text, need_extra
from .checking import CheckResult, failed, ok, skipped, warning

__all__ = ["Company"]

_AFTER_THE_END: Final = (
    "It cannot log in to apply for its successor: apply in the Ministry's application (Aplikacja Podatnika KSeF), or "
    "log in with another certificate that is valid, or with the company's seal. See Credentials, 'After its end'."
)
_ONLY_FOR_NOW: Final = (
    f"KSeF tokens serve as a login until {TOKENS_END:%Y-%m-%d} by today's regulation; certificates stay"
)


@attrs.define(kw_only=True)
class Company:
    """The checks of one company's access."""

    settled: Settled
    caller: Caller
    """Not logged in."""
    _credentials: Credentials | None = attrs.field(default=None, init=False, repr=False)
    _tokens: TokenPair | None = attrs.field(default=None, init=False, repr=False)

    async def check_credentials(self) -> CheckResult:
        """Read the credentials, and look at their end."""
        if not self.settled.has_credentials:
            return skipped("None are set.", "See `ksef-async help credentials`.")
        self._credentials = await self.settled.credentials()
        if isinstance(self._credentials, KsefToken):
            return ok(f"A KSeF token for NIP {self._credentials.context.value}; {_ONLY_FOR_NOW}.")
        certificate, now = self._credentials.certificate, datetime.now(UTC)
        holder = self._credentials.holder
        name = certificate.subject.get("common_name")
        whose = f"{quote(name, 100)} ({holder})" if name else holder
        text = f"A certificate of {whose}, until {certificate.valid_until:%Y-%m-%d %H:%M} UTC"
        if now > certificate.valid_until:
            return failed(f"{text}: it has expired.", _AFTER_THE_END, Exit.USAGE)
        if now < certificate.valid_from:
            return failed(
                f"{text}: it is not valid before {certificate.valid_from:%Y-%m-%d %H:%M} UTC.", "", Exit.USAGE
            )
        if ending_of(self._credentials, self.caller.environment, now, EXPIRY_NOTICE) is not None:
            days = (certificate.valid_until - now).days
            return warning(f"{text}: {days} days are left.", "Apply for the next one: `ksef-async certificate FILE`.")
        return ok(f"{text}.")

    async def check_login(self) -> CheckResult:
        """Log in; `log_out` ends it."""
        if self._credentials is None:
            return skipped("There are no usable credentials.")
        self._tokens = await log_in(self.caller, PublicKeys(self.caller), self._credentials)
        until = self._tokens.refresh_token.valid_until
        return ok(f"Logged in for {self._credentials.context}{f', until {until:%Y-%m-%d %H:%M} UTC' if until else ''}.")

    async def check_permissions(self) -> CheckResult:
        """Read the permissions in the access token."""
        if self._tokens is None:
            return skipped("There is no login.")
        granted = _permissions(self._tokens.access_token.token)
        if granted is None:
            return warning("The access token does not tell the permissions.")
        if not granted:
            return warning("None: whoever logs in may do nothing for this company.", "Grant permissions in KSeF.")
        text = f"{', '.join(granted)}."
        missing = [name for name in ("InvoiceWrite", "InvoiceRead") if name not in granted]
        if missing and "Owner" not in granted:
            uses = {"InvoiceWrite": "send invoices", "InvoiceRead": "fetch invoices"}
            return warning(f"{text} Not to {' or '.join(uses[name] for name in missing)}.", "Fine if that is meant.")
        return ok(text)

    async def check_limits(self) -> CheckResult:
        """Ask what KSeF grants this company from here."""
        if self._tokens is None:
            return skipped("There is no login.")
        limits = Limits(self.caller.with_bearer(self._tokens.access_token.token))
        rates, context = await limits.get_rates(), await limits.get_context()
        sends, usual = rates.invoice_send.per_hour, PRODUCTION_LIMITS.invoice_send.per_hour
        hourly = "any number of" if sends < 0 else f"{sends:,}"
        compared = "as" if sends == usual else "unlike"
        return ok(
            f"{hourly} invoices an hour online ({compared} production: {usual:,}), "
            f"{context.online_session.max_invoices:,} in an online session, {context.batch_session.max_invoices:,} "
            f"in a batch, of {context.online_session.max_invoice_size_mb} MB each."
        )

    async def check_journal(self) -> CheckResult:
        """Open the journal, where one is set or lies here, and count what is in it."""
        path = self.settled.journal
        if not path.exists() and self.settled.variables.journal is None:
            return skipped("None is set (KSEF_JOURNAL), and none lies in this folder.")
        try:
            need_extra("doctor", "cli", *JOURNAL_NEEDS)
        except UsageError as error:
            return skipped(f"{path} was not looked into.", str(error))
        async with self.settled.submissions(must_exist=True) as submissions:
            counts = {state.value: count for state, count in (await submissions.count()).items() if count}
            troubles = [*dict.fromkeys((await submissions.troubles()).values())]
        listed = counts_text(counts) or "nothing"
        if troubles:
            return warning(f"{path}: {listed}. {' '.join(troubles[:3])}", "See `ksef-async status`.")
        return ok(f"{path}: {listed}.")

    async def log_out(self) -> None:
        """End the login at KSeF, as far as it can be reached."""
        tokens, self._tokens = self._tokens, None
        if tokens is not None:
            # It ends by itself, and what is wrong with the way has been told.
            with suppress(ApiError, TransportError):
                await self.caller.with_bearer(tokens.refresh_token.token).call(REVOKE_CURRENT_LOGIN)


def _permissions(token: str) -> list[str] | None:
    """Return the permissions in an access token; None where it does not tell them.

    Source: the claim ``per`` (uwierzytelnianie.md), a list as JSON in a text.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        listed = claims["per"]
        granted = json.loads(listed) if isinstance(listed, str) else listed
        return [str(name) for name in granted]
    except (ValueError, LookupError, TypeError):
        return None
