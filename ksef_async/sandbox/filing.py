"""Filing what was accepted in a session, so that its parties find it."""

from __future__ import annotations

from datetime import timedelta

from .world import Invoice, Session, World

__all__ = ["file_invoice"]


def file_invoice(
    world: World,
    invoice: Invoice,
    session: Session,
    corrected_hash: bytes | None = None,
    *,
    index_lag: timedelta | None = None,
) -> None:
    """Keep an invoice that is, or will be, accepted; its parties find it once it is in permanent storage.

    Args:
        world: Whose repository it goes to.
        invoice: With its verdict; nothing is done with one that is rejected.
        session: In which it was sent.
        corrected_hash: SHA-256 of the invoice that this one corrects technically.
        index_lag: How long after its storage it is found; as long as all others by default.
    """
    verdict, stored = invoice.verdict, invoice.stored
    if stored is None or verdict.document is None or verdict.ksef_number is None or verdict.mode is None:
        return
    world.repository.file(
        verdict.document,
        stored,
        ksef_number=verdict.ksef_number,
        invoice_hash=invoice.invoice_hash,
        mode=verdict.mode,
        form_code=session.form_code,
        context=session.context,
        received_at=invoice.received_at,
        final_at=invoice.final_at,
        # Not before now, however long the work took: the high-water mark has passed by what is before.
        stored_at=max(invoice.final_at + world.timings.storage_lag, world.clock.now()),
        index_lag=world.timings.index_lag if index_lag is None else index_lag,
        corrected_hash=corrected_hash,
    )
