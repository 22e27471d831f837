"""Handing in: what is read in a document, and which submission it becomes, in anybody's transaction, at most once.

An invoice is known in KSeF by seller, kind and number (faktury/weryfikacja-faktury.md, uniqueness); their places in
FA_RR and Peppol documents are inferred [INF].
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final, TypeAlias
from xml.etree.ElementTree import Element

import attrs

from ..api.sessions import FormCode
from ..calling.finishing import offload
from ..errors import LocalProtocolError
from ..protocol.invoices import check_correction, check_invoice_file
from ..protocol.numbers import nip_problem
from ..protocol.offline import OfflineMode
from ..protocol.polish_calendar import is_calendar_year
from ..protocol.xml import collapsed, local_name, parse_xml
from ..sessions.checking import check_document
from .deadlines import first_deadline, send_by
from .models import GIVEN_UP, OPEN, Identity, IdentityTakenError, Submission, SubmissionState
from .store import add, add_certificate_link, find_rivals, identity_text, read, turn_offline
from .transactions import Transaction
from .vault import Vault

__all__ = ["NewDocument", "hand_in", "read_identity"]

# A row that was in the way can be gone when it is looked for: rejected or cancelled meanwhile.
_TRIES: Final = 3

# Bytes of documents that are checked and read before others have their turn on the event loop: in two milliseconds.
_AT_A_TIME: Final = 20_000

# As the columns take them; of the numbers, what every database takes.
_LONGEST_KEY: Final = 255
_LEAST_PRIORITY: Final = -(2**31) + 1

# A key, or an identity, of a context.
_Scoped: TypeAlias = tuple[str, str]


@attrs.frozen(kw_only=True, eq=False)
class NewDocument:
    """A document as it is handed over, not yet read.

    Raises:
        LocalProtocolError: The file is not fit to be sent; or it is a technical correction of something that cannot be
            corrected so.
    """

    xml: bytes = attrs.field(repr=False)
    key: str | None
    nip: str | None
    """The NIP that it is sent for; None for the seller's."""
    priority: int
    offline: OfflineMode | None
    corrects: bytes | None
    check: bool = False
    """Whether it is refused if KSeF would refuse it."""
    certificate_link: str | None = None
    """Link of KOD II."""
    corrects_id: int | None = None
    """Of a technical correction: the submission of the rejected invoice."""
    due_by: datetime | None = None
    """The deadline of what it corrects, which is its own; None for a deadline of its own."""

    def __attrs_post_init__(self) -> None:
        if self.key is not None and (not 0 < len(self.key) <= _LONGEST_KEY or "\0" in self.key):
            raise LocalProtocolError(f"A key has 1 to {_LONGEST_KEY} characters, and no NUL.")
        if self.nip is not None and (problem := nip_problem(self.nip)):
            raise LocalProtocolError(problem)
        if not _LEAST_PRIORITY <= self.priority <= -_LEAST_PRIORITY:
            raise LocalProtocolError(f"A priority is between {_LEAST_PRIORITY} and {-_LEAST_PRIORITY}.")
        check_invoice_file(self.xml)
        check_correction(self.corrects, offline=self.offline is not None)
        if self.corrects is not None and hashlib.sha256(self.xml).digest() == self.corrects:
            # It would be the same submission, which is rejected, and nothing would be delivered.
            raise LocalProtocolError("This is the very file that KSeF rejected: correct it, or retry it as it is.")
        if self.offline is OfflineMode.TOTAL_FAILURE:
            raise LocalProtocolError("An invoice issued in a total failure of KSeF is never delivered.")


@attrs.frozen(kw_only=True, eq=False)
class _Entry:
    """A document that was read and encrypted, ready to be compared with the journal."""

    document: NewDocument
    identity: Identity
    issued_on: date | None
    digest: bytes
    """SHA-256 of the document (32 bytes)."""
    stored: bytes = attrs.field(repr=False)
    """The document as it is stored."""
    due_by: float | None
    """Of one issued offline: seconds since 1970."""

    @property
    def context(self) -> str:
        """The NIP it is sent for."""
        return self.document.nip or self.identity.seller_nip

    @property
    def scoped(self) -> _Scoped:
        """The identity, which must be unique in its context."""
        return self.context, identity_text(self.identity)

    def row(self) -> dict[str, Any]:
        """Return what to store of it."""
        about, document = self.identity, self.document
        return {
            "context": self.context,
            "caller_key": document.key,
            "seller_nip": about.seller_nip,
            "kind": about.kind,
            "number": about.number,
            "form_code": about.form_code.system_code,
            "taken_identity": identity_text(about),
            "sha256": self.digest,
            "document": self.stored,
            "offline": document.offline is not None,
            "mode": None if document.offline is None else document.offline.value,
            "issued_on": None if self.issued_on is None else self.issued_on.isoformat(),
            "due_by": self.due_by,
            "send_by": send_by(self.issued_on, self.due_by),
            "certificate_link": document.certificate_link,
            "corrects": document.corrects,
            "corrects_id": document.corrects_id,
            "priority": document.priority,
        }


async def hand_in(vault: Vault, tx: Transaction, documents: Sequence[NewDocument]) -> list[Submission | Exception]:
    """Insert what is not in the journal yet; return for each its submission or its error, as if one came after another.

    The errors are: IdentityTakenError: another document has its identity, or its key. DocumentError: KSeF would refuse
    it. LocalProtocolError: its identity cannot be read; or others wrote it and took it back, time and again.
    """
    answers: dict[int, Submission | Exception] = {}
    left: list[tuple[int, _Entry]] = []
    size = 0
    for number, document in enumerate(documents):
        # One right after the other: amid other work each takes half as long again.
        if size > _AT_A_TIME:
            size = 0
            await asyncio.sleep(0)
        size += len(document.xml)
        try:
            left.append((number, await _read(vault, document)))
        except LocalProtocolError as error:
            answers[number] = error
    for _ in range(_TRIES):
        if not left:
            break
        known = _Known(
            await find_rivals(tx, [(entry.context, entry.identity, entry.document.key) for _, entry in left])
        )
        decisions = [(number, entry, *known.decide(entry)) for number, entry in left]
        if known.new:
            for submission in await add(tx, [entry.row() for entry, _ in known.new.values()]):
                known.new[submission.nip, identity_text(submission.identity)][1].submission = submission
        left = []
        for number, entry, held, answer in decisions:
            if held.submission is not None:
                answers[number] = found = answer(entry, held.submission)
                if isinstance(found, Submission) and entry.document.offline is not None:
                    answers[number] = found = await _issued_offline(tx, entry, found)
                    if isinstance(found, Submission):
                        held.submission = found
            else:
                left.append((number, entry))  # Others were quicker, with it or with what it was measured against.
    answers |= {number: _unlucky(entry) for number, entry in left}
    return [answers[number] for number in range(len(documents))]


async def _issued_offline(tx: Transaction, entry: _Entry, known: Submission) -> Submission | Exception:
    """Return the submission of a document that was issued offline; one that waits as an online invoice becomes so."""
    document = entry.document
    is_waiting = known.state in OPEN or known.state is SubmissionState.HELD
    if is_waiting and (known.offline is None or known.is_late):
        changed = await turn_offline(tx, known.id, entry.row())
        if changed is not None:
            return changed
        known = await read(tx, known.id)
    if known.state in OPEN and document.corrects not in (None, known.corrects):
        return LocalProtocolError(
            f"Submission {known.id} is this very document, and is {known.state.value}, but not as the technical "
            "correction of that file."
        )
    if document.certificate_link is None or known.offline is None or known.certificate_link is not None:
        return known
    return await add_certificate_link(tx, known.id, document.certificate_link) or await read(tx, known.id)


async def _read(vault: Vault, document: NewDocument) -> _Entry:
    """Return a document checked, read and encrypted: all that needs no database."""
    if document.check:
        await check_document(document.xml, context_nip=document.nip)
    identity, issued_on = await offload(len(document.xml), _read_file, document.xml)
    due_by = None if document.due_by is None else document.due_by.timestamp()
    if document.offline is not None and due_by is None:
        if issued_on is None:
            raise LocalProtocolError(f"Invoice {identity} has no date, so its deadline is not known.")
        due_by = first_deadline(document.offline, issued_on).timestamp()
    digest = hashlib.sha256(document.xml).digest()
    stored = await vault.lock(document.xml)
    return _Entry(
        document=document, identity=identity, issued_on=issued_on, digest=digest, stored=stored, due_by=due_by
    )


# --- what is in the journal, and will be ----------------------------------------------------------------------

_Answer: TypeAlias = Callable[[_Entry, Submission], Submission | Exception]


@attrs.define(kw_only=True, eq=False)
class _Held:
    """A document in the journal, or to be inserted."""

    digest: bytes
    is_given_up: bool = False
    """True if it has left its identity to others."""
    submission: Submission | None = None
    """None until it is inserted."""


class _Known:
    """The submissions that documents may conflict with, by key and by identity in each context."""

    def __init__(self, found: Iterable[Submission]) -> None:
        self._by_key: dict[_Scoped, _Held] = {}
        self._by_identity: dict[_Scoped, list[_Held]] = {}
        self.new: dict[_Scoped, tuple[_Entry, _Held]] = {}
        for submission in found:
            given_up = submission.state in GIVEN_UP
            held = _Held(digest=submission.invoice_hash, is_given_up=given_up, submission=submission)
            self._add(held, submission.key, (submission.nip, identity_text(submission.identity)))

    def _add(self, held: _Held, key: str | None, identity: _Scoped) -> None:
        self._by_identity.setdefault(identity, []).append(held)
        if key is not None:
            self._by_key[identity[0], key] = held

    def decide(self, entry: _Entry) -> tuple[_Held, _Answer]:
        """Return the submission that an entry repeats or collides with, or a new one, and how to answer."""
        key = entry.document.key
        if key is not None and (other := self._by_key.get((entry.context, key))) is not None:
            return other, _same if other.digest == entry.digest else _key_taken
        identity = entry.scoped
        rivals = self._by_identity.get(identity, ())
        # The last of several: earlier ones with this identity were rejected or taken back.
        if twin := next((held for held in reversed(rivals) if held.digest == entry.digest), None):
            return twin, _same
        if taken := next((held for held in rivals if not held.is_given_up), None):
            return taken, _identity_taken
        held = _Held(digest=entry.digest)
        self._add(held, key, identity)
        self.new[identity] = entry, held
        return held, _same


def _same(_: _Entry, submission: Submission) -> Submission:
    return submission


def _key_taken(entry: _Entry, other: Submission) -> Exception:
    return IdentityTakenError(
        f"Key {entry.document.key!r} belongs to submission {other.id}, which is another document.",
        submission_id=other.id,
    )


def _identity_taken(entry: _Entry, taken: Submission) -> Exception:
    return IdentityTakenError(
        f"Submission {taken.id} is another document with kind and number of invoice {entry.identity}; "
        "correct the number, or cancel that one before it is sent.",
        submission_id=taken.id,
    )


def _unlucky(entry: _Entry) -> Exception:
    return LocalProtocolError(
        f"Invoice {entry.identity} could not be written: others wrote it and took it back meanwhile."
    )


# --- what a document says ------------------------------------------------------------------------------------

_Path: TypeAlias = tuple[str, ...]

# Characters of what the journal stores; KSeF takes fewer.
_LONGEST: Final = 32
_LONGEST_NUMBER: Final = 512

_FORM: Final = ("Naglowek", "KodFormularza")
_SELLER: Final = ("Podmiot1", "DaneIdentyfikacyjne", "NIP")
_UBL_SELLER: Final = ("AccountingSupplierParty", "Party", "PartyTaxScheme", "CompanyID")
_UBL_DATE: Final = ("IssueDate",)
_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UBL_FORMS: Final = {"Invoice": FormCode.PEF3, "CreditNote": FormCode.PEF_KOR3}


def read_identity(xml: bytes) -> Identity:
    """Return seller, kind, number and form of an invoice.

    Raises:
        LocalProtocolError: It is not well-formed, has a DTD, is of no form KSeF takes, or one of them is missing.
    """
    return _read_file(xml)[0]


def _read_file(xml: bytes) -> tuple[Identity, date | None]:
    """Return an invoice's identity and its date (P_1)."""
    try:
        root = parse_xml(xml)
    except ValueError as error:
        raise LocalProtocolError(f"The invoice cannot be read: {error}.") from error
    if (form := _UBL_FORMS.get(local_name(root))) is not None:
        seller = _required(root, _UBL_SELLER).removeprefix("PL")
        number = _required(root, ("ID",), _LONGEST_NUMBER)
        identity = Identity(seller_nip=seller, kind=local_name(root), number=number, form_code=form)
        return identity, _date(root, _UBL_DATE)
    header = _find(root, _FORM)
    system_code = header.get("kodSystemowy") if header is not None else None
    # To the letter, unlike `FormCode(...)`: KSeF compares it so.
    forms = {form.system_code: form for form in FormCode}
    if system_code not in forms:
        raise LocalProtocolError(f"The document's form is {system_code}; KSeF takes {', '.join(forms)}.")
    form = forms[system_code]
    is_rr = form is FormCode.FA_RR1
    body, name, issued_on = ("FakturaRR", "P_4C", "P_4B") if is_rr else ("Fa", "P_2", "P_1")
    identity = Identity(
        seller_nip=_required(root, _SELLER),
        kind=_required(root, (body, "RodzajFaktury")),
        number=_required(root, (body, name), _LONGEST_NUMBER),
        form_code=form,
    )
    return identity, _date(root, (body, issued_on))


def _date(root: Element, path: _Path) -> date | None:
    """Return the date at ``path``; None where there is none of our time, which KSeF, not the journal, refuses."""
    found = _find(root, path)
    text = collapsed((found.text if found is not None else None) or "")
    try:
        read = date.fromisoformat(text) if _ISO_DATE.fullmatch(text) else None
    except ValueError:
        return None
    return read if read is not None and is_calendar_year(read.year) else None


def _required(root: Element, path: _Path, longest: int = _LONGEST) -> str:
    found = _find(root, path)
    text = collapsed((found.text if found is not None else None) or "")
    if not text:
        raise LocalProtocolError(f"The invoice has no {'/'.join(path)}.")
    if len(text) > longest:
        raise LocalProtocolError(f"{'/'.join(path)} has {len(text):,} characters, more than any invoice may have.")
    return text


def _find(element: Element, path: _Path) -> Element | None:
    """Return the first element at ``path``, whatever the namespaces."""
    for place, name in enumerate(path):
        namespace, brace, _ = element.tag.rpartition("}")
        found = element.find(f"{namespace}{brace}{name}")
        if found is None:
            # UBL has other namespaces inside than outside. Wildcards take more time.
            return element.find("/".join(f"{{*}}{step}" for step in path[place:]))
        element = found
    return element
