"""Batch sessions: opened, closed; the parts between are uploaded to the storage. Source: sesja-wsadowa.md."""

from __future__ import annotations

from functools import partial
from typing import Final

from ...api.batch import BatchFile, OpenBatchSessionRequest, OpenBatchSessionResponse, PartUploadRequest
from ...api.packages import CompressionType
from ...api.sessions import Feature, StatusCode
from ...crypto.envelope import encrypted_size
from ...protocol.error_codes import ErrorCode
from ..clock import seconds
from ..handling import check_form_code, find_session_of, goes_wrong, unwrap_key
from ..processing import process
from ..refusals import InvalidInput, Refusal
from ..router import Call
from ..sessions import BatchSession, DeclaredPart
from ..uploads import part_link
from ..world import new_reference_number

__all__ = ["close_batch_session", "open_batch_session"]

_MOST_PARTS: Final = 50
_LARGEST_PART: Final = 100_000_000
_LARGEST_PACKAGE: Final = 5_000_000_000
_HEADERS: Final[dict[str, str | None]] = {"x-ms-blob-type": "BlockBlob"}


async def open_batch_session(call: Call) -> OpenBatchSessionResponse:
    """POST /sessions/batch; whether the key can be decrypted shows only after the close."""
    request: OpenBatchSessionRequest = call.body
    check_form_code(call, request.form_code, is_batch=True)
    declared = request.batch_file
    _check_package(declared)
    cipher = unwrap_key(call, request.encryption)
    reference_number = new_reference_number("SB", call.now)
    session = BatchSession(
        reference_number=reference_number,
        login=call.caller,
        form_code=request.form_code,
        cipher=cipher,
        check_identifiers=Feature.SUBJECT_IDENTIFIER_VALIDATION in call.features,
        opened_at=call.now,
        valid_until=call.now + seconds(call.world.timings.session_lifetime),
        timings=call.world.timings,
        is_stuck=goes_wrong(call, "stuck"),
        offline_mode=request.offline_mode,
        compression=declared.compression_type or CompressionType.ZIP,
        declared_size=declared.file_size,
        declared_hash=declared.file_hash,
        parts={
            part.ordinal_number: DeclaredPart(
                ordinal_number=part.ordinal_number,
                declared_size=part.file_size,
                declared_hash=part.file_hash,
                path=call.world.spool / f"{reference_number}.{part.ordinal_number}",
            )
            for part in declared.file_parts
        },
        upload_until=call.now + seconds(call.world.timings.upload_window) * len(declared.file_parts),
        forced_end=call.fault.session_end if call.fault is not None else None,
    )
    call.world.sessions[reference_number] = session
    requests = [
        PartUploadRequest(
            ordinal_number=part.ordinal_number, method="PUT", url=part_link(call.world, session, part), headers=_HEADERS
        )
        for part in session.parts.values()
    ]
    return OpenBatchSessionResponse(reference_number=reference_number, part_upload_requests=tuple(requests))


def _check_package(declared: BatchFile) -> None:
    parts = declared.file_parts
    if len(parts) > _MOST_PARTS:
        detail = f"Liczba części pliku musi być mniejsza lub równa niż {_MOST_PARTS}."
        raise Refusal(ErrorCode.TOO_MANY_PARTS, detail)
    problems = []
    if not parts:
        problems.append("'fileParts' must not be empty.")
    if declared.file_size < 1:
        problems.append("'fileSize' must be greater than or equal to '1'.")
    if declared.file_size > _LARGEST_PACKAGE:
        problems.append(f"'fileSize' must be less than or equal to '{_LARGEST_PACKAGE}'.")
    if any(len(digest) != 32 for digest in (declared.file_hash, *(part.file_hash for part in parts))):
        problems.append("Niepoprawny skrót pliku.")
    if any(part.file_size < 1 for part in parts):
        problems.append("'fileParts.fileSize' must be greater than or equal to '1'.")
    if sorted(part.ordinal_number for part in parts) != [*range(1, len(parts) + 1)]:
        # Whether KSeF takes gaps is not known [INF].
        problems.append("'fileParts.ordinalNumber' must be unique and count from 1.")
    if declared.compression_type is not None and not declared.compression_type.is_known:
        problems.append("'compressionType' has a range of values which does not include it.")
    if problems:
        raise InvalidInput(*problems)
    for part in parts:
        if part.file_size > encrypted_size(_LARGEST_PART):
            detail = f"Rozmiar części {part.ordinal_number} przekroczył dozwolony rozmiar 100MB."
            raise Refusal(ErrorCode.WRONG_PART_SIZE, detail)


async def close_batch_session(call: Call) -> None:
    """POST /sessions/batch/{referenceNumber}/close; only now the package is processed."""
    session = find_session_of(BatchSession, call)
    code = session.code_at(call.now)
    if code == StatusCode.CANCELLED and session.closed_at is None:
        raise Refusal(ErrorCode.UPLOAD_TIMED_OUT, "Sesja anulowana, przekroczony czas wysyłki.")
    if code != StatusCode.OPENED:
        raise Refusal(ErrorCode.SESSION_NOT_OPEN, f"Status sesji ({code.value}) uniemożliwia jej zamknięcie.")
    for number, part in sorted(session.parts.items()):
        if part.stored_size is None:
            if call.now > session.upload_until:
                # It cannot come any more [INF].
                raise Refusal(ErrorCode.UPLOAD_TIMED_OUT, "Sesja anulowana, przekroczony czas wysyłki.")
            raise Refusal(ErrorCode.PART_MISSING, f"Nie przesłano zadeklarowanej '{number}' części pliku.")
        if part.stored_size != part.declared_size:
            detail = f"Zadeklarowany rozmiar części '{number}' nie zgadza się z rzeczywistym."
            raise Refusal(ErrorCode.WRONG_PART_SIZE, detail)
    session.close(call.now)
    call.world.background.start(partial(process, call.world, session))
