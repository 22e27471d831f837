"""One export: waiting for its package, fetching it, and finding it again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from ..api.invoices import GET_EXPORT_STATUS, ExportStatus, InvoicePackage
from ..api.keys import EncryptionInfo
from ..calling.caller import Caller
from ..calling.polling import Cadence
from ..errors import ExportFailedError, ProcessingError
from ..protocol.lifecycle import EXPORT, ExportStatusCode
from ..protocol.snapshots import SnapshotFormat, dump_encryption, load_encryption
from ..resources.handles import OperationHandle
from .archives import UnpackLimits
from .package import DownloadedPackage, ExportedInvoice
from .parts import fetch_package

__all__ = ["EXPORT_CADENCE", "EXPORT_SNAPSHOT", "Export", "ExportSnapshot"]


@attrs.frozen(kw_only=True)
class ExportSnapshot:
    """An export to go on with."""

    reference_number: str
    only_metadata: bool
    encryption: EncryptionInfo = attrs.field(repr=False)


def _dump(snapshot: ExportSnapshot) -> dict[str, Any]:
    return {
        "referenceNumber": snapshot.reference_number,
        "onlyMetadata": snapshot.only_metadata,
        **dump_encryption(snapshot.encryption),
    }


def _load(content: Mapping[str, Any]) -> ExportSnapshot:
    return ExportSnapshot(
        reference_number=content["referenceNumber"],
        only_metadata=content["onlyMetadata"],
        encryption=load_encryption(content),
    )


EXPORT_SNAPSHOT: Final = SnapshotFormat(kind="export", dump=_dump, load=_load)
"""How an `ExportSnapshot` is written down."""


EXPORT_CADENCE: Final = Cadence(interval=0.5, factor=1.5, longest=15.0, deadline=1800.0)
"""KSeF takes seconds to minutes, and counts 60 looks a minute, 600 an hour."""


class Export(OperationHandle[ExportStatus]):
    """An export that KSeF has begun: ``async for invoice in export.invoices()``.

    Its package is there for seven days. `snapshot` keeps what is needed to fetch it from another process.

    Args:
        api: How to call KSeF.
        reference_number: As KSeF gave it.
        encryption: The key the package is made with.
        only_metadata: Whether the documents are left out.
        limits: The most the package may hold.
        forget_keys: Is called when KSeF cannot decrypt the key: the Ministry's keys have changed.
    """

    def __init__(
        self,
        api: Caller,
        reference_number: str,
        encryption: EncryptionInfo,
        *,
        only_metadata: bool,
        limits: UnpackLimits,
        forget_keys: Callable[[], None],
    ) -> None:
        async def look() -> ExportStatus:
            return await api.call(GET_EXPORT_STATUS, path={"reference_number": reference_number})

        super().__init__(
            "Export", reference_number, look, lifecycle=EXPORT, status=lambda seen: seen.status, failure=self._failed
        )
        self._api = api
        self._encryption = encryption
        self._only_metadata = only_metadata
        self._limits = limits
        self._forget_keys = forget_keys

    async def wait(self, cadence: Cadence = EXPORT_CADENCE) -> ExportStatus:
        """Wait until the package is ready; several may wait, each looks for itself.

        Args:
            cadence: How often to look, and for how long.

        Returns:
            What KSeF says of it in the end.

        Raises:
            ExportFailedError: KSeF could not make it, or it is there no longer.
            WaitTimeoutError: It was not ready when ``cadence.deadline`` passed; waiting again is safe. Exports have
                hung for days (CIRFMF/ksef-docs#307): another one does not.
            GoneError: The export is too old to be asked about.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.
        """
        return await super().wait(cadence)

    def snapshot(self, key: bytes | str) -> bytes:
        """Return this export, encrypted with ``key``, for `Downloads.resume` to go on with.

        Args:
            key: From ``cryptography.fernet.Fernet.generate_key()``.

        Raises:
            CryptoError: ``key`` is no Fernet key.
        """
        snapshot = ExportSnapshot(
            reference_number=self.reference_number, only_metadata=self._only_metadata, encryption=self._encryption
        )
        return EXPORT_SNAPSHOT.encrypt(snapshot, key)

    @asynccontextmanager
    async def package(self, cadence: Cadence = EXPORT_CADENCE) -> AsyncGenerator[DownloadedPackage]:
        """Fetch and verify the package: ``async with export.package() as package``.

        Args:
            cadence: How often to look whether it is ready, and for how long.

        Raises:
            ExportFailedError: KSeF could not make it, or it is there no longer.
            WaitTimeoutError: It was not ready when ``cadence.deadline`` passed; trying again is safe.
            GoneError: The export is too old to be asked about.
            RemoteProtocolError: It is broken, or not what KSeF said of it.
            CryptoError: The key is another.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            OSError: The temporary file cannot be written: the disk is full.
        """
        info = self._described(await self.wait(cadence))
        spool = None
        if info.parts:
            spool = await fetch_package(self._api, info, self._encryption, limits=self._limits, renew=self._fresh_links)
        package = await DownloadedPackage.open(
            info, spool, self._limits, only_metadata=self._only_metadata, report=self._api.report
        )
        try:
            yield package
        finally:
            await package.aclose()

    async def invoices(self, cadence: Cadence = EXPORT_CADENCE) -> AsyncIterator[ExportedInvoice]:
        """Iterate over every invoice of the package; arguments and errors are those of `package`."""
        async with self.package(cadence) as package:
            async for invoice in package:
                yield invoice

    async def save(self, to_folder: Path | str, cadence: Cadence = EXPORT_CADENCE) -> tuple[Path, ...]:
        """Write the package's documents into a folder; see `DownloadedPackage.save`.

        Args:
            to_folder: Made if it is not there; nothing is written outside of it.
            cadence: As for `package`.

        Returns:
            The files.

        Raises:
            OSError: A file cannot be written.
            KsefError: As for `package`.
        """
        async with self.package(cadence) as package:
            return await package.save(Path(to_folder))

    async def _fresh_links(self) -> InvoicePackage:
        return self._described(await self.wait())

    @staticmethod
    def _described(seen: ExportStatus) -> InvoicePackage:
        # Where nothing was found, KSeF need not say so.
        return seen.package or InvoicePackage(parts=(), is_truncated=False)

    def _failed(self, message: str, seen: ExportStatus) -> ProcessingError:
        if seen.status.code == ExportStatusCode.DECRYPTION_ERROR:
            self._forget_keys()
        return ExportFailedError(message, status=seen.status, reference_number=self.reference_number)
