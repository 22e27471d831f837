"""Issuing an invoice while the customer waits: online if KSeF answers in time, otherwise offline; and correcting it.

The order of things in `issue` makes that whatever dies in between:

1. The invoice is in the journal, as one issued online, before anybody waits for KSeF.
2. When the time is over, one statement makes an offline invoice of it, with its deadline and KOD II, unless KSeF has
   decided; only then is it handed out as one. So what a customer has in hand is in the journal, with both codes.
3. What is still queued then goes as an offline invoice. What is under way, or KSeF has already taken in, is not taken
   back: nobody knows yet whether KSeF has it, and sent in two ways it could be there twice. It goes on as it was begun,
   and if KSeF's list shows that it did not arrive, it is sent once more, as an offline invoice.

The paper stays true either way: KOD I and KOD II are made of the file, which does not change. Which mode KSeF gave it
in the end is in `Submission.invoicing_mode`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

import anyio

from ..api.common import Context, ContextType
from ..api.environment import Environment
from ..api.sessions import InvoiceStatusCode, InvoicingMode
from ..errors import LocalProtocolError, WaitTimeoutError
from ..protocol.verification_links import InvoiceFingerprint, verification_link
from .intake import NewDocument, read_identity
from .models import IssuedInvoice, NotIssuedError, Submission, SubmissionState
from .store import Store

if TYPE_CHECKING:
    from ..auth.offline_signing import OfflineSigner

__all__ = ["correction_of", "issue", "link_of"]

# Seconds between looks at the journal while somebody waits at the till.
_LOOK: Final = 0.05

# With these KSeF refuses who sends, not what is sent: a technical correction changes nothing about that.
_NOT_CORRECTABLE: Final = frozenset({InvoiceStatusCode.NOT_PERMITTED, InvoiceStatusCode.ATTACHMENT_REFUSED})

_Get = Callable[[int], Awaitable[Submission]]


async def link_of(
    fingerprint: InvoiceFingerprint, signer: OfflineSigner, nip: str, environment: Environment, now: datetime
) -> str:
    """Return the link of KOD II for an invoice that is sent for a NIP.

    Raises:
        CryptoError: The certificate has expired or is not valid yet, or the signature is not of its key.
    """
    from ..auth.offline_signing import certificate_link

    return await certificate_link(fingerprint, signer, Context(ContextType.NIP, nip), environment, now=now)


async def issue(
    submission: Submission,
    fingerprint: InvoiceFingerprint,
    *,
    within: float,
    environment: Environment,
    sign: Callable[[], Awaitable[str]] | None,
    get: _Get,
    store: Store,
) -> IssuedInvoice:
    """Wait for KSeF, and issue what it has not decided in time as an offline invoice.

    Args:
        submission: In the journal, just now or before.
        fingerprint: Of its document; the journal does not know the date of what an earlier version wrote.
        within: Seconds to wait.
        environment: Where the invoice is sent.
        sign: Makes the link of KOD II. It begins when half of the time is over, so that it is mostly made by the end
            of it, and not made at all where KSeF is quick. None where nobody signs.
        get: Reads a submission.
        store: Makes an offline invoice of it.

    Raises:
        NotIssuedError: KSeF refused it, or it was taken back.
        WaitTimeoutError: KSeF has not decided in time, and nobody signs.
        LocalProtocolError: It was issued offline before, without KOD II, and nobody signs.
        Exception: What ``sign`` raised; the invoice is delivered all the same, as one issued online.
    """
    if sign is None:
        submission = await _decided_in_time(submission, within, get)
    elif submission.offline is None:
        signing = _Signing(sign, within / 2)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(signing.run)
            with anyio.move_on_after(within):
                submission = await _decided(submission, get)
            if submission.state.is_terminal:
                tasks.cancel_scope.cancel()
            else:
                signing.is_wanted.set()
        if not submission.state.is_terminal:
            submission = await _issued_offline(submission, fingerprint, signing, get, store)
    if sign is not None and submission.certificate_link is None and _needs_second_code(submission):
        # Handed in as an offline invoice without a signer; or its date is over, so that it is one for KSeF.
        submission = await store.add_certificate_link(submission.id, await sign()) or await get(submission.id)
    if submission.ksef_number is None and (submission.offline is None or submission.state.is_terminal):
        why = "" if submission.reason is None else f": {submission.reason.text}"
        raise NotIssuedError(f"Invoice {submission.identity} is {submission.state.value}{why}", submission=submission)
    return IssuedInvoice(submission=submission, verification_link=verification_link(fingerprint, environment))


def _needs_second_code(submission: Submission) -> bool:
    if submission.state is SubmissionState.ACCEPTED:
        return submission.invoicing_mode is InvoicingMode.OFFLINE
    return submission.offline is not None and not submission.state.is_terminal


async def _decided_in_time(submission: Submission, within: float, get: _Get) -> Submission:
    """Return the submission once KSeF has decided; one that was issued offline with both codes, at once."""
    if submission.offline is None:
        with anyio.move_on_after(within):
            submission = await _decided(submission, get)
    if submission.state.is_terminal or (submission.offline is not None and submission.certificate_link is not None):
        return submission
    if submission.offline is not None:
        raise LocalProtocolError(
            f"Invoice {submission.identity} is issued offline, and without KOD II it cannot be handed out: say who "
            "signs it."
        )
    raise WaitTimeoutError(
        f"KSeF has not decided on invoice {submission.identity} in time, and it is not issued: offline it "
        "needs a certificate of the type Offline. It stays in the journal, and goes to KSeF as an online invoice."
    )


async def _decided(submission: Submission, get: _Get) -> Submission:
    while not submission.state.is_terminal:
        await anyio.sleep(_LOOK)
        submission = await get(submission.id)
    return submission


async def _issued_offline(
    submission: Submission, fingerprint: InvoiceFingerprint, signing: _Signing, get: _Get, store: Store
) -> Submission:
    if signing.error is not None:
        # Signing may have taken a while, after which nobody need sign any more.
        submission = await get(submission.id)
        if submission.state.is_terminal or submission.offline is not None:
            return submission
    link = signing.result(submission)
    # None: KSeF has decided in the last moment, or another caller was as late with the same invoice.
    return await store.issue_offline(submission.id, fingerprint.issued_on, link) or await get(submission.id)


class _Signing:
    """Makes a link in time.

    Args:
        sign: Makes it.
        delay: Seconds to wait before.
    """

    def __init__(self, sign: Callable[[], Awaitable[str]], delay: float) -> None:
        self._sign = sign
        self._delay = delay
        self._link: str | None = None
        self.error: Exception | None = None
        """The reason why there is no link."""
        self.is_wanted = anyio.Event()
        """Set to begin at once."""

    async def run(self) -> None:
        """Make the link."""
        with anyio.move_on_after(self._delay):
            await self.is_wanted.wait()
        try:
            self._link = await self._sign()
        except Exception as error:  # noqa: BLE001  # the caller's hook; raised where the link is needed
            self.error = error

    def result(self, submission: Submission) -> str:
        """Return the link, or raise what went wrong."""
        if self.error is not None:
            self.error.add_note(
                f"Submission {submission.id} is in the journal, and is delivered as an invoice issued online."
            )
            raise self.error
        if self._link is None:
            raise AssertionError("it has run to its end")
        return self._link


def correction_of(
    original: Submission, xml: bytes, *, key: str | None, certificate_link: str | None, check: bool
) -> NewDocument:
    """Return the technical correction of a rejected offline invoice, ready to be handed in.

    Raises:
        LocalProtocolError: It cannot be corrected so; or ``xml`` is another invoice.
    """
    if original.state is not SubmissionState.REJECTED or original.offline is None:
        how = "online" if original.offline is None else f"offline, and is {original.state.value}"
        raise LocalProtocolError(
            f"Submission {original.id} was issued {how}: only a rejected offline invoice has a technical correction."
        )
    if original.reason is not None and original.reason.code in _NOT_CORRECTABLE:
        raise LocalProtocolError(
            f"KSeF refused submission {original.id} for want of a permission ({original.reason.code}); once that is "
            "granted, retry it as it is."
        )
    identity = read_identity(xml)
    if identity != original.identity or (
        original.issued_on is not None and InvoiceFingerprint.of(xml).issued_on != original.issued_on
    ):
        raise LocalProtocolError(
            f"A technical correction has the content of the invoice: {original.identity}, not {identity}."
        )
    return NewDocument(
        xml=xml,
        key=key,
        nip=original.nip,
        priority=original.priority,
        offline=original.offline,
        corrects=original.invoice_hash,
        corrects_id=original.id,
        certificate_link=certificate_link,
        due_by=original.due_by,
        check=check,
    )
