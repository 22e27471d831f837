"""An invoice whose document is kept until KSeF has decided on it: when KSeF fails on it, it is sent again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from ..calling.polling import Cadence
from ..errors import InvoiceRejectedError
from .outcomes import AcceptedInvoice
from .tracking import OUTCOME_CADENCE, SentInvoice

__all__ = ["Document", "KeptInvoice"]


@attrs.frozen(kw_only=True)
class Document:
    """What is sent, and how."""

    xml: bytes = attrs.field(repr=False)
    offline: bool = False
    corrects: bytes | None = None


class KeptInvoice(SentInvoice):
    """An invoice that KSeF has taken in, and that is sent again in another session when KSeF fails on it.

    Args:
        sent: As it was sent first.
        document: What was sent.
        send_again: Sends it again after this rejection, and moves it; returns False when it is not to be.
        settled: Called once KSeF has decided.
    """

    __slots__ = ("_send_again", "_settled", "document", "times_sent")

    def __init__(
        self,
        sent: SentInvoice,
        document: Document,
        send_again: Callable[[KeptInvoice, InvoiceRejectedError], Awaitable[bool]],
        settled: Callable[[KeptInvoice], None],
    ) -> None:
        self.times_sent = 0
        self.document: Document | None = document
        """None once KSeF has decided, or the document was sent as often as it may be."""
        self._send_again = send_again
        self._settled = settled
        self.invoice_hash = sent.invoice_hash
        self.move_to(sent)

    def move_to(self, sent: SentInvoice) -> None:
        """Follow the invoice where it was sent last."""
        self._api, self._tracker = sent._api, sent._tracker
        self.session_reference_number = sent.session_reference_number
        self.reference_number = sent.reference_number
        self.times_sent += 1

    async def outcome(self, cadence: Cadence = OUTCOME_CADENCE) -> AcceptedInvoice:
        """Wait until KSeF has decided, and send the invoice again when KSeF fails on it; see `SentInvoice.outcome`.

        Args:
            cadence: How often to look, and for how long, each time it was sent.

        Raises:
            InvoiceRejectedError: KSeF refused the document; or it failed on it as often as it was sent.
            KsefError: As `SentInvoice.outcome`; or sending it again failed.
        """
        while True:
            try:
                outcome = await super().outcome(cadence)
            except InvoiceRejectedError as error:
                if not error.may_be_sent_again or not await self._send_again(self, error):
                    self._settled(self)
                    raise
            else:
                self._settled(self)
                return outcome
