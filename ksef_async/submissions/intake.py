"""Writing a submission into the journal, in anybody's transaction, at most once."""

from __future__ import annotations

import hashlib
import time
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.sql import ColumnElement

from ..errors import LocalProtocolError
from ..protocol.invoices import check_correction, check_invoice_file
from .errors import IdentityTakenError
from .identity import read_identity
from .models import Identity, Submission
from .rows import COLUMNS, submission_of
from .schema import SUBMISSIONS
from .states import SubmissionState
from .transactions import Transaction, execute, insert_for
from .vault import Vault

__all__ = ["hand_in", "identity_text"]

#: A row that was in the way can be gone when it is looked for: rejected or cancelled meanwhile.
_TRIES: Final = 3


def identity_text(seller_nip: str, kind: str, number: str) -> str:
    """What must be unique among the submissions that may still become an invoice, or have."""
    return f"{seller_nip} {kind} {number}"


async def hand_in(
    tx: Transaction,
    vault: Vault,
    xml: bytes,
    *,
    key: str | None,
    priority: int,
    nip: str | None,
    offline: bool,
    corrects: bytes | None,
) -> Submission:
    """Insert one row, unless the document is in the journal already.

    Raises:
        LocalProtocolError: The file is not fit to be sent, or its identity cannot be read; or it is a technical
            correction of something that cannot be corrected so.
        IdentityTakenError: Another document has its identity, or its key.
    """
    check_invoice_file(xml)
    check_correction(corrects, offline=offline)
    identity = read_identity(xml)
    digest = hashlib.sha256(xml).digest()
    stored = None
    for _ in range(_TRIES):
        if (known := await _find(tx, identity, digest, key)) is not None:
            return known
        stored = stored or await vault.lock(xml)
        now = time.time()
        row = {
            "key": key,
            "context": nip or identity.seller_nip,
            "seller_nip": identity.seller_nip,
            "kind": identity.kind,
            "number": identity.number,
            "form_code": identity.form_code.system_code,
            "identity": identity_text(identity.seller_nip, identity.kind, identity.number),
            "sha256": digest,
            "document": stored,
            "offline": offline,
            "corrects": corrects,
            "priority": priority,
            "state": SubmissionState.QUEUED.value,
            "attempt": 0,
            "is_duplicate": False,
            "acknowledged": False,
            "submitted_at": now,
            "updated_at": now,
        }
        insert = insert_for(tx)(SUBMISSIONS).values(row).on_conflict_do_nothing().returning(*COLUMNS)
        if rows := await execute(tx, insert):
            return submission_of(rows[0])
    raise LocalProtocolError(f"Invoice {identity} could not be written: others wrote it and took it back meanwhile.")


async def _find(tx: Transaction, identity: Identity, digest: bytes, key: str | None) -> Submission | None:
    """What is in the journal of this document already; refuses what must not stand beside it."""
    table = SUBMISSIONS.c
    same: ColumnElement[bool] = (
        (table.seller_nip == identity.seller_nip)
        & (table.kind == identity.kind)
        & (table.number == identity.number)
    )  # fmt: skip
    wanted = same if key is None else or_(same, table.key == key)
    rows = await execute(tx, select(*COLUMNS).where(wanted).order_by(table.id))
    found = [submission_of(row) for row in rows]
    if key is not None and (other := next((row for row in found if row.key == key), None)):
        if other.invoice_hash != digest:
            raise IdentityTakenError(
                f"Key {key!r} belongs to submission {other.id}, which is another document.", submission_id=other.id
            )
        return other
    # The last of several: earlier ones with this identity were rejected or taken back.
    if twin := next((row for row in reversed(found) if row.invoice_hash == digest), None):
        return twin
    given_up = (SubmissionState.REJECTED, SubmissionState.CANCELLED)
    if taken := next((row for row in found if row.state not in given_up), None):
        raise IdentityTakenError(
            f"Submission {taken.id} is another document with kind and number of invoice {identity}; "
            "correct the number, or cancel that one before it is sent.",
            submission_id=taken.id,
        )
    return None
