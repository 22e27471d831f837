"""What a download goes on from: kept whole, read from earlier versions, refused when it is something else."""

from __future__ import annotations

import pytest

from ksef_async import LocalProtocolError
from ksef_async.api.invoices import InvoiceSubject
from ksef_async.downloads.checkpoint import Checkpoint, Position, TakenInvoice

CURSOR = "2026-07-01T10:00:00.9999999+00:00"


def download(position: str) -> str:
    return f'{{"kind":"download","version":1,"positions":{{"Subject2":{position}}}}}'


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version":1,"positions":{}}', '{"kind":"export","version":1,"positions":{}}',
     '{"kind":"download","version":3,"positions":{}}', '{"kind":"download","version":1}',
     download("{}"),
     download('{"cursor":"2026-07-01T10:00:00Z","taken":[]}'),
     download('{"cursor":"yesterday","knownFrom":"2026-07-01T10:00:00Z","taken":[]}'),
     download('{"cursor":"2026-07-01T10:00:00Z","knownFrom":"?","taken":[]}'),
     download('{"cursor":"2026-07-01","knownFrom":"2026-07-01","taken":["a"]}'),
     download('{"cursor":"2026-07-01","knownFrom":"2026-07-01","taken":[[1,null]]}'),
     '{"kind":"download","version":1,"positions":[]}'],
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


def test_checkpoint_is_one_json_object_that_says_what_it_is() -> None:
    position = Position(subject_type=InvoiceSubject.BUYER, cursor=CURSOR, taken=(TakenInvoice("a"),))

    text = Checkpoint((position,)).to_json()

    assert text == download(f'{{"cursor":"{CURSOR}","knownFrom":"{CURSOR}","taken":[["a",null]]}}')
