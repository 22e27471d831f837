"""What the router tells."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from ..submissions import Submission, SubmissionState

__all__ = ["SubmissionView"]


class SubmissionView(BaseModel):
    """A submission, as the router tells it."""

    id: int
    key: str | None
    nip: str
    number: str
    kind: str
    state: SubmissionState
    ksef_number: str | None
    session_reference_number: str | None
    #: SHA-256 of the document, in hexadecimal.
    sha256: str
    has_upo: bool
    reason_code: int | None
    reason: str | None
    submitted_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, submission: Submission) -> SubmissionView:
        """What is told of ``submission``."""
        reason = submission.reason
        return cls(
            id=submission.id,
            key=submission.key,
            nip=submission.nip,
            number=submission.identity.number,
            kind=submission.identity.kind,
            state=submission.state,
            ksef_number=submission.ksef_number,
            session_reference_number=submission.session_reference_number,
            sha256=submission.invoice_hash.hex(),
            has_upo=submission.has_upo,
            reason_code=None if reason is None else reason.code,
            reason=None if reason is None else reason.text,
            submitted_at=submission.submitted_at,
            updated_at=submission.updated_at,
        )
