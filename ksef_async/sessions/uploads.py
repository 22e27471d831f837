"""Uploading the parts of a package: several at a time, each tried again by itself, and written down once it is in.

Only 201 is success: a firewall has answered 200 with a page of its own. Source: sesja-wsadowa.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import anyio
import anyio.to_thread

from ..api.batch import PartUploadRequest
from ..api.packages import PackageProgress, PackageStage, ProgressHook
from ..calling.caller import Caller
from ..calling.events import RequestRetried
from ..errors import (
    ForbiddenError,
    LocalProtocolError,
    RemoteProtocolError,
    ServerError,
    TransportError,
    UploadExpiredError,
)
from ..packing.packer import ProgressReporter
from ..protocol.messages import FileBody
from ..protocol.numbers import file_name

if TYPE_CHECKING:
    from ..packing import Package, PackedPart

__all__ = ["UPLOAD_PART", "UPLOAD_WINDOW", "FileLedger", "UploadLedger", "Uploads", "check_concurrency"]

UPLOAD_WINDOW: Final = timedelta(minutes=20)
"""For each part; every part has the sum. Source: sesja-wsadowa.md."""

UPLOAD_PART: Final = "upload_part"
"""What an upload is called in events and errors."""


class UploadLedger(Protocol):
    """Where it is written down which parts of a session KSeF has taken in; after a crash only the others are uploaded.

    A part that was taken in a moment before the crash, and is not written down yet, is uploaded once more, which does
    no harm. Several parts may be written down at once.
    """

    async def parts_in(self, session: str) -> set[int]:
        """Return the ordinal numbers of the parts of ``session`` (its reference number) that are in."""
        ...

    async def note_part(self, session: str, number: int) -> None:
        """A part is in."""
        ...

    async def forget_parts(self, session: str, numbers: Collection[int]) -> None:
        """Parts are not in after all."""
        ...


class FileLedger:
    """A ledger in files beside the parts: ``+3`` for a part taken in, ``-3`` for one that was lost; nothing secret.

    Args:
        folder: Where the files are, one for each session.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = anyio.Lock()

    async def parts_in(self, session: str) -> set[int]:
        """See `UploadLedger.parts_in`."""
        return await anyio.to_thread.run_sync(self._read, session)

    async def note_part(self, session: str, number: int) -> None:
        """See `UploadLedger.note_part`."""
        await self._append(session, f"+{number}\n")

    async def forget_parts(self, session: str, numbers: Collection[int]) -> None:
        """See `UploadLedger.forget_parts`."""
        await self._append(session, "".join(f"-{number}\n" for number in numbers))

    def _path(self, session: str) -> Path:
        return self._folder / f"uploaded-{file_name(session)}"

    def _read(self, session: str) -> set[int]:
        path = self._path(session)
        try:
            text = path.read_text("ascii")
        except FileNotFoundError:
            return set()
        if not text.endswith("\n"):
            # The last line was cut off by a crash; what follows must not be glued to it.
            text = text[: text.rfind("\n") + 1]
            path.write_text(text, "ascii")
        found: set[int] = set()
        for sign, number in re.findall(r"^([+-])(\d+)$", text, re.MULTILINE):
            (found.add if sign == "+" else found.discard)(int(number))
        return found

    async def _append(self, session: str, text: str) -> None:
        async with self._lock:
            await anyio.to_thread.run_sync(self._write, session, text)

    def _write(self, session: str, text: str) -> None:
        with self._path(session).open("a", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


class Uploads:
    """The parts of one package on their way to KSeF.

    Args:
        caller: How to reach KSeF; no token goes to the storage.
        session: Reference number of the session.
        package: What is uploaded.
        requests: How, as KSeF said at the opening.
        until: When KSeF takes no further uploads; those under way by then are completed.
        concurrency: How many parts are under way at once.
        progress: Called with the progress.
        ledger: Where it is written down which parts are in; by default beside the parts.

    Raises:
        LocalProtocolError: The requests are not those of ``package``, or ``concurrency`` is less than 1.
    """

    def __init__(
        self,
        caller: Caller,
        session: str,
        package: Package,
        requests: Sequence[PartUploadRequest],
        *,
        until: datetime,
        concurrency: int,
        progress: ProgressHook | None = None,
        ledger: UploadLedger | None = None,
    ) -> None:
        self._caller = caller
        self._session = session
        self.package = package
        self.requests = tuple(requests)
        self.until = until
        check_concurrency(concurrency)
        self._by_number = {request.ordinal_number: request for request in requests}
        if self._by_number.keys() != {part.ordinal_number for part in package.parts}:
            raise LocalProtocolError(f"The session has {len(requests)} parts, the package {len(package.parts)}.")
        self._concurrency = concurrency
        self.progress = progress
        self.report_progress = ProgressReporter(progress)
        self._ledger = ledger or FileLedger(package.folder)
        self._was_read = False
        self.confirmed: set[int] = set()
        """Ordinal numbers of the parts that are in."""
        self._sizes = {part.ordinal_number: part.size for part in package.parts}
        self._total = package.encrypted_size
        # Bytes of the parts that are in; None when it is to be added up anew.
        self._done: int | None = None
        self._under_way: dict[int, int] = {}

    async def upload_missing(self) -> None:
        """Upload every part that is not in yet; returns when all are.

        The first failure stops the others; no task is left, and what is in stays in.

        Raises:
            UploadExpiredError: The time to upload is over.
            TransportError: A part could not be uploaded, again and again.
            ApiError: As for TransportError.
            RemoteProtocolError: A link leads to another host, and is not followed.
            LocalProtocolError: A part is shorter than it was.
            OSError: A part, or the list of those uploaded, cannot be read or written.
            Exception: What a ledger of the caller's raised.
        """
        if not self._was_read:
            self.confirmed |= await self._ledger.parts_in(self._session) & self._sizes.keys()
            self._was_read, self._done = True, None
        # Of those that an earlier call left on their way, because it failed or was cancelled, nothing is in.
        self._under_way.clear()
        missing = [part for part in self.package.parts if part.ordinal_number not in self.confirmed]
        failures: list[Exception] = []
        waiting = iter(missing)

        async def work() -> None:
            for part in waiting:
                try:
                    await self._upload(part)
                except Exception as error:  # noqa: BLE001  # raised below, as itself rather than in a group
                    failures.append(error)
                    tasks.cancel_scope.cancel()
                    return

        self._report()
        async with anyio.create_task_group() as tasks:
            for _ in range(min(self._concurrency, len(missing))):
                tasks.start_soon(work)
        if failures:
            raise failures[0]

    async def forget(self, numbers: Iterable[int]) -> None:
        """Upload these parts again the next time: KSeF says that they are not in, or not whole."""
        lost = sorted(numbers)
        await self._ledger.forget_parts(self._session, lost)
        self.confirmed.difference_update(lost)
        self._done = None

    async def _upload(self, part: PackedPart) -> None:
        number = part.ordinal_number
        body = FileBody(path=part.path, size=part.size, progress=partial(self._advance, number))
        # A part may take long, so the time of the earlier attempts does not count: KSeF's window is the limit.
        attempts = self._caller.attempts(is_timed=False)
        while True:
            self._check_time(number)
            try:
                await self._caller.upload(UPLOAD_PART, self._by_number[number], body, attempt=attempts.number)
                break
            except ForbiddenError as error:
                raise UploadExpiredError(
                    f"The storage refuses part {number} of session {self._session}: its link is over or withdrawn. "
                    "Open a new session with the same package."
                ) from error
            except (TransportError, ServerError, RemoteProtocolError) as error:
                if not attempts.may_go_on(error):
                    error.add_note(f"This was part {number} of {len(self.package.parts)} of session {self._session}.")
                    raise
                self._caller.report(
                    RequestRetried(operation=UPLOAD_PART, attempt=attempts.number, error=error, delay=attempts.delay)
                )
            await attempts.pause()
        await self._ledger.note_part(self._session, number)
        self._under_way.pop(number, None)
        self.confirmed.add(number)
        self._done = None
        self._report()

    def _check_time(self, number: int) -> None:
        if self._caller.now() >= self.until:
            raise UploadExpiredError(
                f"The time to upload the package of session {self._session} was over at {self.until:%H:%M:%S} UTC, "
                f"before part {number} was in ({len(self.confirmed)} of {len(self.package.parts)} are). "
                "Open a new session with the same package."
            )

    def _advance(self, number: int, sent: int) -> None:
        self._under_way[number] = sent
        self._report()

    def _report(self) -> None:
        # Called for every quarter of a megabyte, so nothing is added up over all the parts.
        done = sum(self._sizes[number] for number in self.confirmed) if self._done is None else self._done
        self._done = done
        self.report_progress(
            PackageProgress(
                stage=PackageStage.UPLOADING,
                done=done + sum(self._under_way.values()),
                total=self._total,
                parts=len(self.confirmed),
                parts_total=len(self._sizes),
            )
        )


def check_concurrency(concurrency: int) -> None:
    """Check how many parts are to be under way at once.

    Raises:
        LocalProtocolError: It is less than 1.
    """
    if concurrency < 1:
        raise LocalProtocolError(f"concurrency is at least 1, not {concurrency}.")
