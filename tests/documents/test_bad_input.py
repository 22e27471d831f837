"""Documents that nobody means to send: each has a sentence of its own, in bounded time and memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from ksef_async import InvoiceFingerprint, LocalProtocolError
from ksef_async.documents import DocumentError, check, fa3, html
from ksef_async.sandbox import sample_invoice

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
SAMPLE = sample_invoice("5265877635", "FV/1", date(2026, 2, 1)).decode()
ROW = "<FaWiersz><NrWierszaFa>1</NrWierszaFa><P_7>a</P_7><P_12>23</P_12></FaWiersz>"
MOST_SECONDS, MOST_MEMORY = 2.0, 400


def changed(old: str, new: str) -> bytes:
    assert SAMPLE.count(old) >= 1
    return SAMPLE.replace(old, new).encode()


#: What is wrong, and what is said of it first; nothing where it is only odd.
BAD: dict[str, tuple[bytes, list[str]]] = {
    "another root": (
        changed("Faktura", "Invoice"),
        ["The document's element is Invoice; an invoice of KSeF begins with Faktura"],
    ),
    "two wrong elements": (
        changed("<P_15>1230.00</P_15>", "<P15>1</P15><P_16>1</P_16>"),
        ["Fa has no element P15", "Fa has no element P_16"],
    ),
    "100,000 rows": (changed("<FaWiersz>", ROW * 100_000 + "<FaWiersz>"), ["The document has 7601347 bytes"]),
    "100,000 small rows": (
        changed("<FaWiersz>", "<FaWiersz/>" * 100_000 + "<FaWiersz>"),
        ["The document has 1101347 bytes"],
    ),
    "12,000 rows": (changed("<FaWiersz>", ROW * 12_000 + "<FaWiersz>"), ["Fa has more than 10000 of FaWiersz"]),
    "a million characters": (changed("Usługa przykładowa", "a" * 990_000), ["P_7 has 990000 characters"]),
    "deep nesting": (changed("FV/1", "<b>" * 60_000 + "</b>" * 60_000), ["The elements are nested more than 100 deep"]),
    "entity": (changed("FV/1", "&x;"), ["The document is not well-formed XML: undefined entity"]),
    "entities of its own": (
        changed("<Faktura", '<!DOCTYPE a [<!ENTITY b "c">]><Faktura'),
        ["A DTD (<!DOCTYPE>) is not allowed, nor are its entities"],
    ),
    "UTF-16": (SAMPLE.encode("utf-16"), ["The document is in UTF-16; KSeF takes UTF-8 only"]),
    "ISO-8859-2": (
        SAMPLE.replace("UTF-8", "ISO-8859-2").encode("iso-8859-2"),
        ["The document is in ISO-8859-2; KSeF takes UTF-8 only"],
    ),
    "KSeF 1.0": (changed("2025/06/25/13775", "2021/11/29/11089"), ["FA(1)"]),
    "1,23": (changed("<P_15>1230.00", "<P_15>1,23"), ['P_15 is "1,23"; write the number with a point']),
    "1e3": (changed("<P_15>1230.00", "<P_15>1e3"), ['P_15 is "1e3"']),
    # White space around a number is nothing to the schema, nor to KSeF.
    " 1 ": (changed("<P_15>1230.00", "<P_15> 1230.00 "), []),
    "1 230": (changed("<P_15>1230.00", "<P_15>1 230.00"), ['P_15 is "1 230.00"; write the number without blanks']),
    "2026-02-30": (changed("<P_1>2026-02-01", "<P_1>2026-02-30"), ['P_1 is "2026-02-30"; there is no such day']),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_document_has_its_own_sentence_in_bounded_time(name: str) -> None:
    document, sentences = BAD[name]

    start = time.process_time()
    report = check(document, now=NOW)
    seconds = time.process_time() - start

    assert len(report.problems) >= len(sentences)
    for problem, sentence in zip(report.problems, sentences, strict=False):
        assert sentence in problem.message
        assert problem.message != problem.message_pl
        assert len(problem.message) < 300
    assert report.ok == (not sentences)
    assert seconds < MOST_SECONDS


def test_sentences_differ() -> None:
    reports = [check(document, now=NOW) for document, _ in BAD.values()]
    first = [report.problems[0].message for report in reports if report.problems]

    assert len(set(first)) == len(first)


@pytest.mark.parametrize("call", [fa3.read, html], ids=["read", "html"])
def test_bad_document_is_read_or_shown_or_refused_in_bounded_time(call: Callable[[bytes], Any]) -> None:
    for name, (document, _) in BAD.items():
        start = time.process_time()
        # Anything else that is raised fails the test.
        with suppress(DocumentError):
            call(document)
        assert time.process_time() - start < 5 * MOST_SECONDS, name


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_bad_documents_take_bounded_memory() -> None:
    # Not by getrusage, which counts what the process that started this one had.
    program = """
import re
from pathlib import Path
from test_bad_input import BAD, NOW, DocumentError, check, fa3
for document, _ in BAD.values():
    check(document, now=NOW)
    try:
        fa3.read(document)
    except DocumentError:
        pass
print(re.search("VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1])
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )

    assert int(result.stdout) / 1000 < MOST_MEMORY


@pytest.mark.parametrize("value", ["<Faktura/>", None, bytearray(b"<Faktura/>")], ids=["str", "None", "bytearray"])
@pytest.mark.parametrize(
    "read", [check, fa3.read, html, InvoiceFingerprint.of], ids=["check", "read", "html", "fingerprint"]
)
def test_what_is_not_bytes_is_refused_with_a_sentence(read: Callable[[Any], object], value: object) -> None:
    with pytest.raises(LocalProtocolError, match=f"An invoice is sent as bytes, not {type(value).__name__}"):
        read(value)
