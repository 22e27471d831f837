"""What a download goes on from: kept whole, read from earlier versions, refused when it is something else."""

from __future__ import annotations

import pytest

from ksef_async import LocalProtocolError
from ksef_async.api.invoices import InvoiceSubject
from ksef_async.downloads.checkpoint import Checkpoint, Position, TakenInvoice

CURSOR = "2026-07-01T10:00:00.9999999+00:00"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version":3,"positions":{}}', '{"version":1,"positions":{"Subject2":{}}}',
     '{"version":1,"positions":{"Subject2":{"cursor":"yesterday","taken":[]}}}',
     '{"version":1,"positions":{"Subject2":{"cursor":"2026-07-01T10:00:00Z","taken":[1]}}}',
     '{"version":2,"positions":{"Subject2":{"cursor":"2026-07-01T10:00:00Z","taken":[]}}}',
     '{"version":2,"positions":{"Subject2":{"cursor":"2026-07-01T10:00:00Z","knownFrom":"?","taken":[]}}}',
     '{"version":2,"positions":{"Subject2":{"cursor":"2026-07-01","knownFrom":"2026-07-01","taken":["a"]}}}'],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        Checkpoint.from_json(text)


def test_checkpoint_keeps_the_server_s_text() -> None:
    known_from = "2026-07-01T09:00:00.0000001+00:00"
    taken = (TakenInvoice("a", "2026-07-01T09:30:00.1234567+00:00"), TakenInvoice("b"))
    position = Position(subject_type=InvoiceSubject.BUYER, cursor=CURSOR, known_from=known_from, taken=taken)

    read = Checkpoint.from_json(Checkpoint((position,)).to_json())

    assert read.positions == (position,)
    assert read.positions[0].moment.text == CURSOR


def test_checkpoint_of_the_first_version_is_read() -> None:
    text = '{"version":1,"positions":{"Subject2":{"cursor":"' + CURSOR + '","taken":["a","b"]}}}'

    (position,) = Checkpoint.from_json(text).positions

    # Nothing is known of what lies below the cursor, so nothing there is looked at again.
    assert (position.cursor, position.known_from) == (CURSOR, CURSOR)
    assert position.taken == (TakenInvoice("a"), TakenInvoice("b"))
