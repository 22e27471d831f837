"""Batch sessions: what is declared, and where the parts go.

Source: OpenAPI 2.9.0, /sessions/batch; sesja-wsadowa.md.
"""

from __future__ import annotations

from http import HTTPMethod
from typing import Annotated

import attrs

from .common import EVERY_ITEM, Identifier, Method, SignedLink, UploadHeaders
from .keys import EncryptionInfo
from .operation import Operation, RateGroup
from .packages import CompressionType
from .sessions import FormCode

__all__ = [
    "CLOSE_BATCH_SESSION",
    "OPEN_BATCH_SESSION",
    "BatchFile",
    "BatchFilePart",
    "OpenBatchSessionRequest",
    "OpenBatchSessionResponse",
    "PartUploadRequest",
]


@attrs.frozen(kw_only=True)
class BatchFilePart:
    """One part of a package, encrypted on its own."""

    ordinal_number: int
    """From 1."""
    file_size: int
    """Bytes of the encrypted part."""
    file_hash: bytes
    """SHA-256 of the encrypted part (32 bytes)."""


@attrs.frozen(kw_only=True)
class BatchFile:
    """A package: an archive of invoices, cut into parts."""

    file_size: int
    """Bytes of the plain archive."""
    file_hash: bytes
    """SHA-256 of the plain archive (32 bytes)."""
    compression_type: CompressionType | None = None
    """None means `CompressionType.ZIP`."""
    file_parts: tuple[BatchFilePart, ...]


@attrs.frozen(kw_only=True)
class OpenBatchSessionRequest:
    """Opens a batch session."""

    form_code: FormCode
    batch_file: BatchFile
    encryption: EncryptionInfo
    offline_mode: bool = False
    """True when the invoices were issued in an offline mode."""


@attrs.frozen(kw_only=True)
class PartUploadRequest:
    """The request that uploads one part: method, address and headers are used exactly as given, without a token."""

    ordinal_number: int
    method: Method
    url: SignedLink = attrs.field(repr=False)
    """A signed link: whoever has it can write the part, so it is kept out of ``repr``."""
    headers: UploadHeaders = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class OpenBatchSessionResponse:
    """A batch session KSeF has opened."""

    reference_number: Identifier
    part_upload_requests: Annotated[tuple[PartUploadRequest, ...], EVERY_ITEM]


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
