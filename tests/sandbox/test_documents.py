from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ksef_async.sandbox.document_file import Documents


def test_documents_of_many_threads_are_read_back(tmp_path: Path) -> None:
    chance = random.Random(1)
    originals = [chance.randbytes(chance.choice((0, 1, 4_000, 300_000))) for _ in range(200)]
    documents = Documents(tmp_path / "documents")

    with ThreadPoolExecutor(8) as threads:
        kept = [*threads.map(documents.keep, originals)]
        read = [*threads.map(lambda each: each.read(), kept)]
    documents.close()

    assert read == originals
    assert [each.size for each in kept] == [*map(len, originals)]


def test_a_sandbox_that_takes_nothing_in_writes_nothing(tmp_path: Path) -> None:
    Documents(tmp_path / "documents").close()

    assert [*tmp_path.iterdir()] == []
