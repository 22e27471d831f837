"""Finding invoices of a session by the words and the kind of state that the page asks for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from ...protocol.lifecycle import INVOICE, Phase
from ..sent import Invoice, Session

__all__ = ["MOODS", "InvoiceSearch"]

MOODS: Final = {Phase.IN_PROGRESS: "progress", Phase.SUCCESS: "success", Phase.FAILURE: "failure"}
"""By the phase of a state: also the name of its colour."""


class InvoiceSearch:
    """Searches the invoices of a session, and remembers of the last search what it found out.

    The page asks the same every second. An invoice whose verdict shows never changes, so it is read once.
    """

    def __init__(self) -> None:
        self._asked: tuple[object, ...] = ()
        self._known: dict[str, bool] = {}

    def find(self, session: Session, now: datetime, query: str, mood: str) -> Sequence[Invoice]:
        """Return invoices, the newest first.

        Args:
            session: Whose invoices.
            now: The present.
            query: Only those in which every word of it is found: in their numbers, NIPs or states.
            mood: Only those of one of `MOODS`.
        """
        words = query.casefold().split()
        asked = (session.reference_number, *words, mood)
        if asked != self._asked:
            self._asked, self._known = asked, {}
        return [one for one in reversed(session.invoices_at(now)) if self._is_found(one, now, words, mood)]

    def _is_found(self, invoice: Invoice, now: datetime, words: list[str], mood: str) -> bool:
        is_found = self._known.get(invoice.reference_number)
        if is_found is None:
            is_final = invoice.timeline.is_terminal_at(now)
            is_found = _matches(invoice, now, words, mood, is_final=is_final)
            if is_final:
                self._known[invoice.reference_number] = is_found
        return is_found


def _matches(invoice: Invoice, now: datetime, words: list[str], mood: str, *, is_final: bool) -> bool:
    code = invoice.timeline.code_at(now)
    if mood and MOODS[INVOICE.phase(code)] != mood:
        return False
    texts = [invoice.reference_number, str(int(code)), INVOICE.states[code].description]
    # What KSeF has not decided yet is not told.
    if is_final:
        verdict = invoice.verdict
        texts += [verdict.invoice_number or "", verdict.ksef_number or ""]
        if (document := verdict.document) is not None:
            texts += document.parties
    known = "\n".join(texts).casefold()
    return all(word in known for word in words)
