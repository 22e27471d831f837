"""Between the table's rows and what the journal tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ..api.sessions import FormCode
from .models import Identity, Reason, Submission
from .schema import SUBMISSIONS
from .states import SubmissionState

__all__ = ["COLUMNS", "submission_of"]

_NAMES: Final = (
    "id", "context", "caller_key", "seller_nip", "kind", "number", "form_code", "sha256", "offline", "priority",
    "state", "attempt", "session", "reference_number", "ksef_number", "acquired_at", "is_duplicate", "reason_code",
    "reason", "upo_id", "acknowledged", "submitted_at", "updated_at", "corrects",
)  # fmt: skip

COLUMNS: Final = tuple(SUBMISSIONS.c[name] for name in _NAMES)
"""What `submission_of` takes, in its order: all but the document itself."""


def submission_of(row: Sequence[Any]) -> Submission:
    """The submission that a row of `COLUMNS` tells of."""
    # Unpacked as it is: there are hundreds at a time.
    (
        number, context, key, seller_nip, kind, invoice_number, form_code, digest, offline, priority, state,
        attempt, session, reference_number, ksef_number, acquired_at, is_duplicate, reason_code, reason,
        upo_id, acknowledged, submitted_at, updated_at, corrects,
    ) = row  # fmt: skip
    return Submission(
        id=number,
        key=key,
        nip=context,
        identity=Identity(
            seller_nip=seller_nip,
            kind=kind,
            number=invoice_number,
            form_code=FormCode(form_code),
        ),
        invoice_hash=bytes(digest),
        state=SubmissionState(state),
        priority=priority,
        offline=bool(offline),
        corrects=None if corrects is None else bytes(corrects),
        attempt=attempt,
        session_reference_number=session,
        reference_number=reference_number,
        ksef_number=ksef_number,
        acquisition_date=_time(acquired_at),
        is_duplicate=bool(is_duplicate),
        reason=None if reason is None else Reason(reason_code, reason),
        has_upo=upo_id is not None,
        is_acknowledged=bool(acknowledged),
        submitted_at=_aware(submitted_at),
        updated_at=_aware(updated_at),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else _aware(seconds)


def _aware(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
