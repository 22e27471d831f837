"""Everything the pretend Ministry remembers. States are pure functions of the clock, never of how often one looks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..api.peppol import PeppolProvider
from ..api.rates import RateLimits
from ..api.sessions import InvoiceStatusCode
from ..protocol.midnight import mode_of
from ..protocol.numbers import with_check_digits
from .authority import Authority
from .clock import Clock, Timings
from .document_file import Documents
from .exports import Exports
from .grants import Granted, Grants
from .intake import CheckedInvoice
from .limiter import RateLimiter
from .logged_in import Login, SignatureProof, StoredToken
from .memory import Background, Group, QueryMoments, Recent
from .ministry import Ministry
from .repository import Repository
from .sent import Invoice, InvoiceVerdict, Session
from .shapes import ShapeCheck
from .subjects import OWNER_PERMISSIONS, Subject
from .versions import NEWEST, ApiVersion

if TYPE_CHECKING:
    from .auth_documents import AuthSchema

__all__ = [
    "OWNER_PERMISSIONS",
    "Invoice",
    "InvoiceVerdict",
    "Login",
    "Session",
    "SignatureProof",
    "StoredToken",
    "Subject",
    "World",
    "new_reference_number",
]


def new_reference_number(kind: str, now: datetime, running: int = 0) -> str:
    """Return a new reference number with valid check digits.

    Args:
        kind: The two letters of its type, e.g. ``SO``.
        now: Its day (UTC), and its first group: milliseconds since midnight UTC, times 4096.
        running: Added to the first group; KSeF counts the invoices of a batch session there.
    """
    utc = now.astimezone(UTC)
    midnight = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    first = (utc - midnight) // timedelta(milliseconds=1) * 4096 + running
    return with_check_digits(f"{utc:%Y%m%d}-{kind}-{first:010X}-{secrets.token_hex(5).upper()}")


class World:
    """The memory of one sandbox.

    Args:
        clock: What time it is.
        timings: How long things take.
        max_invoices: How many invoices a session takes.
        rate_limits: What every context is granted.
        version: Of the API, as which it answers.
        is_production: Behave as production where that differs from TEST.
    """

    def __init__(
        self,
        clock: Clock,
        timings: Timings,
        *,
        max_invoices: int,
        rate_limits: RateLimits,
        version: ApiVersion = NEWEST,
        is_production: bool = False,
    ) -> None:
        self.version = version
        """Of the API, as which it answers."""
        self.is_production = is_production
        """Whether it behaves as production where that differs from TEST."""
        self.clock = clock
        self.timings = timings
        self.granted = Granted(max_invoices)
        self.grants = Grants()
        """Who may do what on whose behalf."""
        self.limiter = RateLimiter(rate_limits, version)
        self.shape_check = ShapeCheck()
        """Finds what is wrong with the shape of invoices."""
        self.auth_schema: AuthSchema | None = None
        """What the document of a login by certificate is validated against, besides being read."""
        self.ministry = Ministry()
        self.spool = Path()
        """Where files are kept while the sandbox serves: uploaded parts, documents, parts of exports."""
        self.documents = Documents(self.spool)
        self.background = Background()
        """Work that goes on after a call is answered."""
        self.repository = Repository()
        """Every accepted invoice, and what is asked of them."""
        self.queries = QueryMoments(timings)
        self.exports = Exports()
        self.recent = Recent()
        """For the page the sandbox serves."""
        self.public_url = ""
        """Where clients reach the storage, without a final slash."""
        self.tokens: dict[str, StoredToken] = {}
        """By their secret."""
        self.tokens_generate_tokens = False
        """KSeF gives new tokens only to those who logged in with a certificate; True lets a token beget others."""
        self.challenges: dict[str, tuple[int, datetime]] = {}
        """When each was issued, in milliseconds and as a time; gone once used."""
        self.logins: dict[str, Login] = {}
        self.authority = Authority(clock.now())
        """Issues KSeF certificates."""
        self.sessions: dict[str, Session] = {}
        self.groups: dict[str, Group] = {}
        """By their numbers."""
        self.peppol_providers: dict[str, PeppolProvider] = {}
        """By their identifiers."""
        # The accepted (or to be accepted) invoice for each seller, kind and number, and its session.
        self._originals: dict[tuple[str, str, str], tuple[InvoiceVerdict, str]] = {}
        self.accepted_hashes: set[bytes] = set()
        """SHA-256 of accepted invoices, and of those an accepted technical correction has corrected."""
        self.corrected_hashes: set[bytes] = set()

    def permissions_of(self, login: Login) -> tuple[str, ...]:
        """Return the present permissions of a login in its context."""
        if login.subject is None:
            return ()
        granted = self.grants.permissions(login.subject, login.context, self.clock.now())
        held = tuple(permission for permission in granted if self.version.has_permission(permission))
        if login.token is None:
            return held
        # A token never lets do more than its author may do by now.
        return tuple(permission for permission in held if permission in login.token.permissions)

    def invoices(self) -> Iterator[Invoice]:
        """Return every invoice of every session."""
        return (invoice for session in self.sessions.values() for invoice in session.invoices.values())

    def decide(
        self, document: CheckedInvoice, session_reference_number: str, received_at: datetime, *, offline: bool
    ) -> InvoiceVerdict:
        """Return the verdict on a checked invoice: a KSeF number, or a duplicate of seller, kind and number."""
        key = (document.seller_nip, document.kind, document.invoice_number)
        if original := self._originals.get(key):
            verdict, session = original
            detail = (
                f"Duplikat faktury. Faktura o numerze KSeF: {verdict.ksef_number} została już prawidłowo "
                f"przesłana do systemu w sesji: {session}"
            )
            return InvoiceVerdict(
                code=InvoiceStatusCode.DUPLICATE,
                details=(detail,),
                extensions={
                    "originalSessionReferenceNumber": session,
                    "originalKsefNumber": verdict.ksef_number or "",
                },
                invoice_number=document.invoice_number,
            )
        verdict = InvoiceVerdict(
            code=InvoiceStatusCode.ACCEPTED,
            invoice_number=document.invoice_number,
            # The technical part has no meaning, and no beginning of its own.
            ksef_number=with_check_digits(
                f"{document.seller_nip}-{received_at.astimezone(UTC):%Y%m%d}-{secrets.token_hex(6).upper()}"
            ),
            mode=mode_of(document.issued_on, received_at, offline=offline),
            document=document,
        )
        self._originals[key] = (verdict, session_reference_number)
        return verdict

    def cancel_invoices(self, session: Session, now: datetime) -> None:
        """End every invoice of a session that is still in progress with 405, as if it had never been sent."""
        for invoice in session.invoices.values():
            if invoice.timeline.is_terminal_at(now):
                continue
            document, number = invoice.verdict.document, invoice.verdict.ksef_number
            if document is not None and number is not None:
                del self._originals[document.seller_nip, document.kind, document.invoice_number]
                self.accepted_hashes.discard(invoice.invoice_hash)
                archived = self.repository.remove(number)
                if archived is not None and archived.metadata.hash_of_corrected_invoice is not None:
                    self.corrected_hashes.discard(archived.metadata.hash_of_corrected_invoice)
            invoice.verdict = InvoiceVerdict(code=InvoiceStatusCode.SESSION_FAILED)
            invoice.schedule(now, processing_at=now, final_at=now)
