"""Between the table's rows and what the journal tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ..models.sessions import FormCode
from .models import Identity, Reason, Submission
from .schema import SUBMISSIONS
from .states import SubmissionState

__all__ = ["COLUMNS", "submission_of"]

_NAMES: Final = (
    "id", "key", "context", "seller_nip", "kind", "number", "form_code", "sha256", "offline", "priority", "state",
    "attempt", "session", "reference_number", "ksef_number", "acquired_at", "is_duplicate", "reason_code", "reason",
    "upo_id", "acknowledged", "submitted_at", "updated_at", "corrects",
)  # fmt: skip

#: What `submission_of` takes, in its order: all but the document itself.
COLUMNS: Final = tuple(SUBMISSIONS.c[name] for name in _NAMES)


def submission_of(row: Sequence[Any]) -> Submission:
    """The submission that a row of `COLUMNS` tells of."""
    value = dict(zip(_NAMES, row, strict=True))
    reason = None
    if value["reason"] is not None:
        reason = Reason(value["reason_code"], value["reason"])
    return Submission(
        id=value["id"],
        key=value["key"],
        nip=value["context"],
        identity=Identity(
            seller_nip=value["seller_nip"],
            kind=value["kind"],
            number=value["number"],
            form_code=FormCode(value["form_code"]),
        ),
        invoice_hash=bytes(value["sha256"]),
        state=SubmissionState(value["state"]),
        priority=value["priority"],
        offline=bool(value["offline"]),
        corrects=None if value["corrects"] is None else bytes(value["corrects"]),
        attempt=value["attempt"],
        session_reference_number=value["session"],
        reference_number=value["reference_number"],
        ksef_number=value["ksef_number"],
        acquisition_date=_time(value["acquired_at"]),
        is_duplicate=bool(value["is_duplicate"]),
        reason=reason,
        has_upo=value["upo_id"] is not None,
        is_acknowledged=bool(value["acknowledged"]),
        submitted_at=_aware(value["submitted_at"]),
        updated_at=_aware(value["updated_at"]),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else _aware(seconds)


def _aware(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
