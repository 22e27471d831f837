"""Opening a batch session, and going on with one after a crash; loaded when the first batch is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ..api.batch import OPEN_BATCH_SESSION, BatchFile, BatchFilePart, OpenBatchSessionRequest
from ..api.keys import EncryptionInfo, PublicKeyUsage
from ..api.packages import ProgressHook
from ..api.sessions import Feature, FormCode
from ..calling.caller import Caller
from ..calling.keys import PublicKey, PublicKeys
from ..calling.polling import Cadence
from ..crypto.envelope import rsa_encrypt
from ..errors import LocalProtocolError, SessionFailedError, UploadExpiredError
from ..protocol.ends import SEND_AGAIN_LIMIT
from .batch import BatchSession
from .opening import Histories, waiting_for_session
from .snapshot import read_batch_snapshot
from .uploads import UploadLedger

if TYPE_CHECKING:
    from ..packing import Package

__all__ = ["UPLOAD_WINDOW", "open_batch", "resume_batch", "send_batch"]

UPLOAD_WINDOW: Final = timedelta(minutes=20)
"""For each part; every part has the sum. Source: sesja-wsadowa.md."""


async def open_batch(
    api: Caller,
    keys: PublicKeys,
    history: Histories,
    package: Package,
    *,
    form_code: FormCode | str,
    offline: bool,
    features: Iterable[Feature | str],
    concurrency: int,
    progress: ProgressHook | None,
    ledger: UploadLedger | None,
) -> BatchSession:
    """See `SessionManager.open_batch`."""
    known = [code for code in FormCode if code.form != "PEF"]
    if form_code not in known and form_code not in {code.system_code for code in known}:
        names = ", ".join(code.system_code for code in known)
        raise LocalProtocolError(f"A batch session does not take the form {form_code!r}; KSeF takes {names}.")
    if concurrency < 1:
        raise LocalProtocolError(f"concurrency is at least 1, not {concurrency}.")
    form_code = FormCode(form_code)
    wanted = ",".join(features)
    headers = {"X-KSeF-Feature": wanted} if wanted else None
    declared = _declare(package)

    async def open_with(key: PublicKey) -> BatchSession:
        # The package is encrypted already: a rotated public key wraps the same key again.
        encryption = EncryptionInfo(
            encrypted_symmetric_key=rsa_encrypt(key.key, package.symmetric_key),
            initialization_vector=package.initialization_vector,
            public_key_id=key.public_key_id,
            symmetric_key=package.symmetric_key,
        )
        request = OpenBatchSessionRequest(
            form_code=form_code, batch_file=declared, encryption=encryption, offline_mode=offline
        )
        asked_at = api.now()
        opened = await api.call(OPEN_BATCH_SESSION, request, headers=headers)
        own = waiting_for_session(api, opened.reference_number)
        return BatchSession(
            own,
            opened.reference_number,
            history(own, opened.reference_number),
            package=package,
            form_code=form_code,
            part_upload_requests=opened.part_upload_requests,
            upload_until=min(asked_at, api.now()) + UPLOAD_WINDOW * len(package.parts),
            concurrency=concurrency,
            progress=progress,
            ledger=ledger,
        )

    return await keys.use(PublicKeyUsage.SYMMETRIC_KEY_ENCRYPTION, open_with)


async def send_batch(open_session: Callable[[], Awaitable[BatchSession]], cadence: Cadence) -> BatchSession:
    """See `SessionManager.send_batch`.

    Args:
        open_session: Opens a session for the package.
        cadence: How often to look at each session, and for how long.
    """
    attempt = 0
    while True:
        attempt += 1
        session = await open_session()
        try:
            async with session:
                pass
            await session.wait_until_processed(cadence)
        except SessionFailedError as error:
            if not error.may_be_sent_again or attempt > SEND_AGAIN_LIMIT:
                raise
        except UploadExpiredError:
            # Nothing of it was processed; the next session has links and time of its own.
            if attempt > SEND_AGAIN_LIMIT:
                raise
        else:
            return session


def _declare(package: Package) -> BatchFile:
    return BatchFile(
        file_size=package.size,
        file_hash=package.sha256,
        compression_type=package.compression,
        file_parts=tuple(
            BatchFilePart(ordinal_number=part.ordinal_number, file_size=part.size, file_hash=part.sha256)
            for part in package.parts
        ),
    )


async def resume_batch(
    api: Caller,
    history: Histories,
    snapshot: bytes,
    key: bytes | str,
    package: Package,
    *,
    concurrency: int,
    progress: ProgressHook | None,
    ledger: UploadLedger | None,
) -> BatchSession:
    """See `SessionManager.resume`."""
    saved = read_batch_snapshot(snapshot, key)
    if saved.part_hashes != tuple(part.sha256 for part in package.parts):
        raise LocalProtocolError(f"Session {saved.reference_number} was opened with another package.")
    seen = history(api, saved.reference_number)
    # First of all: what is closed must be followed, not sent again.
    await seen.look()
    return BatchSession(
        waiting_for_session(api, saved.reference_number),
        saved.reference_number,
        seen,
        package=package,
        form_code=saved.form_code,
        part_upload_requests=saved.part_upload_requests,
        upload_until=saved.upload_until,
        concurrency=concurrency,
        progress=progress,
        ledger=ledger,
    )
