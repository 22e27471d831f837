"""Opening and closing batch sessions; all else is as for online ones. Source: OpenAPI 2.9.0, /sessions/batch."""

from __future__ import annotations

from http import HTTPMethod

from ..models.batch import OpenBatchSessionRequest, OpenBatchSessionResponse
from .operation import Operation, RateGroup

__all__ = ["CLOSE_BATCH_SESSION", "OPEN_BATCH_SESSION"]

POST = HTTPMethod.POST

_SENDERS = ("InvoiceWrite", "EnforcementOperations")

OPEN_BATCH_SESSION: Operation[OpenBatchSessionRequest, OpenBatchSessionResponse] = Operation(
    # Repeat-safe because a session whose opening nobody heard of gets no package, and expires by itself.
    name="open_batch_session", method=POST, path="/sessions/batch", success=201,
    request=OpenBatchSessionRequest, response=OpenBatchSessionResponse,
    permissions=_SENDERS, rate_group=RateGroup.BATCH_SESSION, repeat_safe=True,
)  # fmt: skip
CLOSE_BATCH_SESSION: Operation[None, None] = Operation(
    # Not repeat-safe: after a 5xx the status tells whether KSeF has begun, and the session layer asks it first.
    name="close_batch_session", method=POST, path="/sessions/batch/{reference_number}/close", success=204,
    permissions=_SENDERS, rate_group=RateGroup.BATCH_SESSION_CLOSE,
)  # fmt: skip
