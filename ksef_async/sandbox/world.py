"""Everything the pretend Ministry remembers. States are pure functions of the clock, never of how often one looks."""

from __future__ import annotations

import abc
import secrets
from collections.abc import Iterator
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs

from ..crypto.certificates import Certificate
from ..crypto.envelope import SessionCipher
from ..models.auth import AuthorizationPolicy
from ..models.common import Context, StatusInfo
from ..models.peppol import PeppolProvider
from ..models.rates import RateLimits
from ..models.sessions import FormCode, InvoiceStatusCode, InvoicingMode, SessionType, StatusCode
from ..models.tokens import TokenStatus
from ..protocol.ksef_number import with_check_digits
from ..protocol.lifecycle import INVOICE_STATES, LOGIN_STATES, LoginStatusCode
from .authority import Authority
from .background import Background
from .clock import Clock, Timings
from .documents import Documents, StoredDocument
from .exports import Exports
from .granted import Granted
from .grants import Grants
from .groups import Group
from .intake import WARSAW, Document
from .limiter import RateLimiter
from .methods import TOKEN, LoginMethod
from .ministry import Ministry
from .query_moments import QueryMoments
from .recent import Recent
from .repository import Repository
from .schemas import Schemas
from .subjects import OWNER_PERMISSIONS, Subject

if TYPE_CHECKING:
    from .auth_documents import AuthSchema

__all__ = [
    "OWNER_PERMISSIONS",
    "Invoice",
    "Login",
    "Session",
    "SignatureProof",
    "StoredToken",
    "Subject",
    "Verdict",
    "World",
    "new_reference_number",
]


def new_reference_number(kind: str, now: datetime) -> str:
    """A reference number with valid check digits; the two groups carry no meaning here."""
    return with_check_digits(f"{now:%Y%m%d}-{kind}-{secrets.token_hex(5).upper()}-{secrets.token_hex(5).upper()}")


@attrs.define(kw_only=True)
class StoredToken:
    """A KSeF token that was issued."""

    reference_number: str
    context: Context
    author: Subject
    permissions: tuple[str, ...]
    description: str
    created_at: datetime
    #: From then on it can be logged in with.
    active_at: datetime
    #: Why it never will be; empty otherwise.
    failure: str = ""
    revoked_at: datetime | None = None
    #: When a revocation is done.
    gone_at: datetime | None = None
    last_used_at: datetime | None = None

    def status_at(self, now: datetime) -> TokenStatus:
        """How far it is."""
        if self.revoked_at is not None and self.gone_at is not None:
            return TokenStatus.REVOKED if now >= self.gone_at else TokenStatus.REVOKING
        if now < self.active_at:
            return TokenStatus.PENDING
        return TokenStatus.FAILED if self.failure else TokenStatus.ACTIVE


@attrs.frozen(kw_only=True)
class SignatureProof:
    """What a login by certificate was proved with."""

    certificate: Certificate
    #: SHA-256 of the signed document.
    document_hash: bytes
    method: LoginMethod


@attrs.define(kw_only=True)
class Login:
    """A login and, once redeemed, its auth session."""

    reference_number: str
    context: Context
    #: None when the proof did not tell.
    subject: Subject | None
    #: What it was proved with; None for a certificate.
    token: StoredToken | None
    policy: AuthorizationPolicy | None
    client_ip: str
    started_at: datetime
    decided_at: datetime
    code: LoginStatusCode
    details: tuple[str, ...]
    #: None for a token.
    signature: SignatureProof | None = None
    is_redeemed: bool = False
    is_revoked: bool = False
    refreshed_at: datetime | None = None
    refresh_until: datetime | None = None

    def status_at(self, now: datetime) -> StatusInfo:
        """How far it is."""
        code = self.code if now >= self.decided_at else LoginStatusCode.IN_PROGRESS
        if self.is_revoked:
            code = LoginStatusCode.REVOKED
        state = LOGIN_STATES[code]
        return StatusInfo(code, state.description, self.details or state.details)

    @property
    def method(self) -> LoginMethod:
        """How it was proved."""
        return self.signature.method if self.signature else TOKEN

    def admits(self, address: str) -> bool:
        """Whether its tokens may be used from ``address`` (IPv4)."""
        allowed = self.policy.allowed_ips if self.policy else None
        if allowed is None:
            return True
        ip = IPv4Address(address)
        return (
            any(ip == IPv4Address(one) for one in allowed.ip4_addresses)
            or any(IPv4Address(first) <= ip <= IPv4Address(last) for first, last in map(_ends, allowed.ip4_ranges))
            or any(ip in IPv4Network(mask, strict=False) for mask in allowed.ip4_masks)
        )


def _ends(ip_range: str) -> tuple[str, str]:
    first, _, last = ip_range.partition("-")
    return first, last


@attrs.frozen(kw_only=True)
class Verdict:
    """What an invoice's status will be once it is final."""

    code: InvoiceStatusCode
    details: tuple[str, ...] = ()
    extensions: dict[str, str | None] = attrs.field(factory=dict)
    invoice_number: str | None = None
    ksef_number: str | None = None
    mode: InvoicingMode | None = None
    document: Document | None = None


@attrs.define(kw_only=True)
class Invoice:
    """An invoice that was sent."""

    reference_number: str
    ordinal_number: int
    invoice_hash: bytes
    #: In the package of a batch session.
    file_name: str | None = None
    #: As it was decrypted, sound or not; None where it could not be.
    stored: StoredDocument | None = None
    received_at: datetime
    processing_at: datetime
    final_at: datetime
    verdict: Verdict
    #: Its receipt, once somebody has asked for it: a signature made again would be another.
    upo: bytes = attrs.field(default=b"", repr=False)

    @property
    def is_accepted(self) -> bool:
        """Whether it is, or will be, accepted."""
        return self.verdict.code is InvoiceStatusCode.ACCEPTED

    def code_at(self, now: datetime) -> InvoiceStatusCode:
        """How far it is."""
        if now >= self.final_at:
            return self.verdict.code
        return InvoiceStatusCode.PROCESSING if now >= self.processing_at else InvoiceStatusCode.RECEIVED

    def details_at(self, now: datetime) -> tuple[str, ...]:
        """What is said of its status."""
        if now < self.final_at:
            return ()
        return self.verdict.details or INVOICE_STATES[self.verdict.code].details


@attrs.define(kw_only=True)
class Session(abc.ABC):
    """What both kinds of session are."""

    kind: ClassVar[SessionType]

    reference_number: str
    login: Login
    form_code: FormCode
    #: None when the key it came with cannot be decrypted.
    cipher: SessionCipher | None
    check_identifiers: bool
    opened_at: datetime
    valid_until: datetime
    timings: Timings
    closed_at: datetime | None = None
    #: By their reference numbers, in the order they were taken in.
    invoices: dict[str, Invoice] = attrs.field(factory=dict)
    #: Stays in progress, on purpose.
    is_stuck: bool = False
    upo_pages: tuple[tuple[str, bytes], ...] = ()

    @property
    def context(self) -> Context:
        """On whose behalf it was opened."""
        return self.login.context

    def closed_since(self, now: datetime) -> datetime | None:
        """When it was closed, by its owner or by KSeF; None while it is open."""
        if self.closed_at is not None:
            return self.closed_at
        expired_at = self.valid_until + self.timings.expiry_lag
        return expired_at if now >= expired_at else None

    @abc.abstractmethod
    def final_since(self, now: datetime) -> datetime | None:
        """When it became final; None before."""

    @abc.abstractmethod
    def code_at(self, now: datetime) -> StatusCode:
        """How far it is."""

    @abc.abstractmethod
    def status_at(self, now: datetime) -> StatusInfo:
        """How far it is, in KSeF's words."""

    def is_visible_at(self, now: datetime) -> bool:
        """Whether KSeF knows it already."""
        return now >= self.opened_at

    def lists_at(self, now: datetime) -> bool:
        """Whether its invoices are listed already."""
        return now >= self.opened_at

    def invoices_at(self, now: datetime) -> tuple[Invoice, ...]:
        """What it lists."""
        return tuple(self.invoices.values()) if self.lists_at(now) else ()

    def updated_at(self, now: datetime) -> datetime:
        """When something happened last; KSeF gives whole seconds."""
        moments = [self.opened_at, self.closed_since(now), self.final_since(now)]
        if invoices := self.invoices_at(now):
            moments.append(invoices[-1].received_at)
        return max(moment for moment in moments if moment is not None).replace(microsecond=0)

    def counts_at(self, now: datetime) -> tuple[int, int, int]:
        """Invoices taken in, accepted, rejected."""
        listed = self.invoices_at(now)
        final = [invoice for invoice in listed if now >= invoice.final_at]
        accepted = sum(invoice.is_accepted for invoice in final)
        return len(listed), accepted, len(final) - accepted


class World:
    """The memory of one sandbox.

    Args:
        clock: What time it is.
        timings: How long things take.
        max_invoices: How many invoices a session takes.
        rate_limits: What every context is granted.
    """

    def __init__(
        self,
        clock: Clock,
        timings: Timings,
        *,
        max_invoices: int,
        rate_limits: RateLimits,
    ) -> None:
        self.clock = clock
        self.timings = timings
        self.granted = Granted(max_invoices)
        #: Who may do what on whose behalf.
        self.grants = Grants()
        self.limiter = RateLimiter(rate_limits)
        #: What invoices are validated against; None for the checks that need no schema.
        self.schemas: Schemas | None = None
        #: What the document of a login by certificate is validated against, besides being read.
        self.auth_schema: AuthSchema | None = None
        self.ministry = Ministry()
        #: Where files are kept while the sandbox serves: uploaded parts, documents, parts of exports.
        self.spool = Path()
        self.documents = Documents(self.spool)
        #: What goes on after a call is answered.
        self.background = Background()
        #: Every accepted invoice, and what is asked of them.
        self.repository = Repository()
        self.queries = QueryMoments(timings)
        self.exports = Exports()
        #: For the page the sandbox serves.
        self.recent = Recent()
        #: Where clients reach the storage, without a final slash.
        self.public_url = ""
        #: By their secret.
        self.tokens: dict[str, StoredToken] = {}
        #: KSeF gives new tokens only to those who logged in with a certificate; True lets a token beget others.
        self.tokens_generate_tokens = False
        #: When each was issued, in milliseconds and as a time; gone once used.
        self.challenges: dict[str, tuple[int, datetime]] = {}
        self.logins: dict[str, Login] = {}
        #: Issues KSeF certificates.
        self.authority = Authority(clock.now())
        self.sessions: dict[str, Session] = {}
        #: By their numbers.
        self.groups: dict[str, Group] = {}
        #: By their identifiers.
        self.peppol_providers: dict[str, PeppolProvider] = {}
        #: The accepted (or to be accepted) invoice for each seller, kind and number, and its session.
        self._originals: dict[tuple[str, str, str], tuple[Verdict, str]] = {}
        #: SHA-256 of accepted invoices, and of those an accepted technical correction has corrected.
        self.accepted_hashes: set[bytes] = set()
        self.corrected_hashes: set[bytes] = set()

    def permissions_of(self, login: Login) -> tuple[str, ...]:
        """What a login may do in its context as things are now."""
        if login.subject is None:
            return ()
        held = self.grants.permissions(login.subject, login.context, self.clock.now())
        if login.token is None:
            return held
        # A token never lets do more than its author may do by now.
        return tuple(permission for permission in held if permission in login.token.permissions)

    def invoices(self) -> Iterator[Invoice]:
        """Every invoice of every session."""
        return (invoice for session in self.sessions.values() for invoice in session.invoices.values())

    def decide(
        self, document: Document, session_reference_number: str, received_at: datetime, *, offline: bool
    ) -> Verdict:
        """Give a sound document its KSeF number, unless seller, kind and number have come before."""
        key = (document.seller_nip, document.kind, document.invoice_number)
        if original := self._originals.get(key):
            verdict, session = original
            detail = (
                f"Duplikat faktury. Faktura o numerze KSeF: {verdict.ksef_number} została już prawidłowo "
                f"przesłana do systemu w sesji: {session}"
            )
            return Verdict(
                code=InvoiceStatusCode.DUPLICATE,
                details=(detail,),
                extensions={
                    "originalSessionReferenceNumber": session,
                    "originalKsefNumber": verdict.ksef_number or "",
                },
                invoice_number=document.invoice_number,
            )
        today = received_at.astimezone(WARSAW).date()
        verdict = Verdict(
            code=InvoiceStatusCode.ACCEPTED,
            invoice_number=document.invoice_number,
            ksef_number=with_check_digits(
                f"{document.seller_nip}-{received_at:%Y%m%d}-01{secrets.token_hex(5).upper()}"
            ),
            mode=InvoicingMode.OFFLINE if offline or document.issued_on < today else InvoicingMode.ONLINE,
            document=document,
        )
        self._originals[key] = (verdict, session_reference_number)
        return verdict
