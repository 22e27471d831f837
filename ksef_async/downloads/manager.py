"""Packages of invoices: asking for one, finding it again, and going on from where one stopped."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ..api.invoices import EXPORT_INVOICES, ExportInvoicesRequest, InvoiceFilters, InvoiceSubject
from ..api.keys import EncryptionInfo, PublicKeyUsage
from ..api.packages import CompressionType
from ..calling.caller import Caller
from ..calling.keys import PublicKeys, wrap_new_key
from ..protocol.invoice_queries import check_filters
from .archives import UnpackLimits
from .checkpoint import Checkpoint
from .export import EXPORT_SNAPSHOT, Export
from .sync import SYNC_INTERVAL, Sync

__all__ = ["Downloads"]


class Downloads:
    """Receives invoices in packages. `KsefClient.downloads` is one.

    Args:
        api: How to call KSeF.
        keys: The Ministry's public keys.
        limits: The most a package may hold.
    """

    def __init__(self, api: Caller, keys: PublicKeys, limits: UnpackLimits | None = None) -> None:
        self._api = api
        self._keys = keys
        self._limits = limits or UnpackLimits()

    async def export(
        self,
        filters: InvoiceFilters,
        *,
        only_metadata: bool = False,
        compression: CompressionType = CompressionType.ZIP,
    ) -> Export:
        """Ask KSeF for a package; after a lost answer again, as hard as `RetryPolicy` says.

        Args:
            filters: Which invoices; at most 10,000 of them, or 1 GB, come in one package, the oldest first.
            only_metadata: Leave the documents out.
            compression: How the package is packed.

        Returns:
            A handle to wait for the package, and to fetch it.

        Raises:
            InvalidFieldError: A value that KSeF would refuse; nothing was sent.
            BadRequestError: Ten exports are running (21182), or this kind of context cannot look as
                ``filters.subject_type`` (21181).
            RateLimitedError: KSeF takes 20 exports an hour; ``retry_after`` is in seconds.
            CryptoError: KSeF offers no usable public key.
            TransportError: The call failed, after a lost answer several times. Exports that were begun without an
                answer do no harm, but count among the 20.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: POST /invoices/exports.
        """
        check_filters(filters, self._api.now())

        async def start(encryption: EncryptionInfo) -> Export:
            request = ExportInvoicesRequest(
                encryption=encryption, only_metadata=only_metadata, filters=filters, compression_type=compression
            )
            response = await self._api.call(EXPORT_INVOICES, request)
            return self._handle(response.reference_number, encryption, only_metadata=only_metadata)

        return await self._keys.use(PublicKeyUsage.SYMMETRIC_KEY_ENCRYPTION, lambda key: start(wrap_new_key(key)))

    def attach(self, reference_number: str, encryption: EncryptionInfo, *, only_metadata: bool = False) -> Export:
        """Return an export that was begun elsewhere; nothing is asked yet.

        Args:
            reference_number: 36 characters, given by KSeF.
            encryption: The key it was begun with.
            only_metadata: Whether the documents were left out.
        """
        return self._handle(reference_number, encryption, only_metadata=only_metadata)

    def resume(self, snapshot: bytes, key: bytes | str) -> Export:
        """Return an export that was begun in another process; nothing is asked yet.

        Args:
            snapshot: From `Export.snapshot`.
            key: The one it was written with.

        Raises:
            CryptoError: The key is another, or the snapshot is damaged.
            LocalProtocolError: The snapshot is not of an export, or was written by a later version of this library.
        """
        saved = EXPORT_SNAPSHOT.decrypt(snapshot, key)
        return self._handle(saved.reference_number, saved.encryption, only_metadata=saved.only_metadata)

    def sync(
        self,
        since: datetime,
        subject_types: Iterable[InvoiceSubject | str] = (InvoiceSubject.BUYER,),
        *,
        checkpoint: Checkpoint | None = None,
        follow: bool = False,
        interval: float = SYNC_INTERVAL,
        overlap: float = 0.0,
    ) -> Sync:
        """Return every invoice stored at KSeF since then, each once, as an async iterator that can be resumed.

        Store `SyncedInvoice.checkpoint` together with each invoice (in one transaction, if it must not come twice
        nor be missed), and begin with the last one stored after a restart.

        Args:
            since: Aware; what was stored for good before is left out.
            subject_types: As what the context looks. An invoice in which it plays several parts comes once for each.
            checkpoint: Where to go on; from there ``since`` has no say for the subject types in it.
            follow: Go on for ever: look again for each subject type when ``interval`` has passed. Otherwise stop
                at what is there now.
            interval: Seconds between two looks at one subject type; the Ministry advises 15 minutes and more.
            overlap: Seconds each look goes back below what was taken, up to 90 days. KSeF's index lags behind its
                storage, and invoices have turned up below a mark up to which KSeF had said that all is there
                (CIRFMF/ksef-docs#557, #711). What was taken within the overlap is remembered in the checkpoint (up
                to 10,000 invoices for each subject type), so nothing comes twice. A checkpoint without an overlap
                knows nothing of what lies below it: after such a one, looking back begins there.

        Raises:
            InvalidFieldError: ``since`` has no time zone, ``subject_types`` is empty, or ``overlap`` is out of its
                bounds; nothing was sent.

        Source: POST /invoices/exports; pobieranie-faktur/przyrostowe-pobieranie-faktur.md.
        """
        return Sync(
            self,
            self._api.now,
            since,
            tuple(InvoiceSubject(each) for each in subject_types),
            checkpoint=checkpoint or Checkpoint(),
            follow=follow,
            interval=interval,
            overlap=overlap,
            report=self._api.report,
        )

    def _handle(self, reference_number: str, encryption: EncryptionInfo, *, only_metadata: bool) -> Export:
        return Export(
            self._api,
            reference_number,
            encryption,
            only_metadata=only_metadata,
            limits=self._limits,
            forget_keys=self._keys.forget,
        )
