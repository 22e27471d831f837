"""Invoices as PDF: all that the page of HTML says, as text only, on as many pages as it takes."""

from __future__ import annotations

import io
import random
import re
import subprocess
import sys
import time
from datetime import date
from decimal import Decimal
from functools import partial
from xml.etree import ElementTree as ET

import anyio.lowlevel
import anyio.to_thread
import pypdfium2
import pytest
import zxingcpp
from every import check_every
from made_documents import make_document
from official import SAMPLES, needs
from PIL import Image
from readable import said_values

from ksef_async import Environment
from ksef_async.documents import DocumentError, building, fa3, pdf
from ksef_async.documents.pdf_page import MAX_PDF_TEXT
from ksef_async.documents.shape import FORMS, load_shape
from ksef_async.errors import LocalProtocolError
from ksef_async.protocol.verification_codes import VerificationCode
from ksef_async.sandbox import sample_invoice

NIP = "5265877635"
HOSTILE = (
    "#panic()", '#import "x.typ"', '#read("/etc/passwd")', "*gruby*", "_pochyły_", "$x^2$", "\\", "\\u{41}", "`a`",
    "= Nagłówek", "- a", "+ b", "/ c: d", "<etykieta>", "@odnośnik", "[treść]", "{kod}", "// uwaga", "/* uwaga */", "~",
    "---", "...", '"cudzysłów"', "'a'", "</script>", "%d", "{0}", "https://example.pl/a",
)  # fmt: skip


def pages(document: bytes) -> list[str]:
    """The text of each page, as another program reads it, without white space."""
    with pypdfium2.PdfDocument(document) as opened:
        return [bare(page.get_textpage().get_text_range()) for page in opened]


def bare(text: str) -> str:
    # Where a word is broken, this program says so with U+FFFE or a hyphen of its own.
    return re.sub("[\\s\u200b\u00ad\ufffe\u0002]", "", text)


def invoice(*names: str, count: int = 1) -> bytes:
    rows = [building.row(name, 1, Decimal("1.00")) for name in (names or ("Usługa",)) for _ in range(count)]
    seller = building.seller(NIP, "Zażółć gęślą jaźń S.A.", "ul. Źdźbła 1, 00-001 Łódź")
    buyer = building.buyer("Ćma i Świt ĄĆĘŁŃÓŚŹŻ", "ul. Wzorcowa 2, 30-002 Kraków", nip="1111111111")
    return fa3.write(building.invoice(seller=seller, buyer=buyer, rows=rows, number="FV/1", issued_on=date(2026, 2, 1)))


@needs(SAMPLES)
def test_official_samples_are_shown_with_their_values() -> None:
    def check_sample(path: object) -> None:
        document = path.read_bytes()  # type: ignore[attr-defined]
        text = "".join(pages(pdf(document)))

        values = [bare(value) for value in said_values(ET.fromstring(document), load_shape("fa3"))]
        assert [value for value in values if value not in text] == []

    check_every(sorted(SAMPLES.glob("*.xml")), check_sample)


@pytest.mark.parametrize("form", FORMS)
def test_every_document_is_shown_in_both_languages(form: str) -> None:
    def check_document(seed: int) -> None:
        document = make_document(form, random.Random(seed), fill=0.6)

        for language in ("pl", "en"):
            shown = pages(pdf(document, language=language))
            assert f"1/{len(shown)}" in shown[0]

    check_every(range(5), check_document)


def test_polish_letters_are_shown_as_they_are() -> None:
    text = "".join(pages(pdf(invoice("zażółć gęślą jaźń ĄĆĘŁŃÓŚŹŻ"))))

    for words in ("zażółćgęśląjaźńĄĆĘŁŃÓŚŹŻ", "ĆmaiŚwitĄĆĘŁŃÓŚŹŻ", "ul.Źdźbła1,00-001Łódź"):
        assert words in text


def test_texts_of_a_document_are_never_markup() -> None:
    text = "".join(pages(pdf(invoice(*HOSTILE))))

    # Each is the whole name of an item, between its number and its quantity.
    assert [each for each in HOSTILE if bare(each) not in text] == []


def test_markup_in_every_value_changes_nothing_but_texts() -> None:
    document = make_document("fa3", random.Random(4), fill=0.6)
    evil = re.sub(
        rb"(<(?:Nazwa|P_1M|P_2|P_7|PrzyczynaKorekty|Klucz|Wartosc|Opis)>)[^<]*", rb"\1#panic($[*`\\\\", document
    )
    assert evil.count(b"#panic") >= 3

    assert "#panic($[*`\\\\" in "".join(pages(pdf(evil)))


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("pl", ["FakturaVAT", "SPRZEDAWCA", "NABYWCA", "Kwotanależnościogółem", "1000,00", "23%"]),
        ("en", ["VATinvoice", "SELLER", "BUYER", "Totalamountdue", "1,000.00", "23%"]),
    ],
)
def test_pdf_speaks_its_language(language: str, words: list[str]) -> None:
    text = "".join(pages(pdf(sample_invoice(NIP), language=language)))  # type: ignore[arg-type]

    assert [word for word in words if word not in text] == []


def test_table_goes_on_over_pages_with_its_head() -> None:
    shown = pages(pdf(invoice("Towar o bardzo długiej nazwie " * 12, count=60)))

    assert len(shown) > 3
    for number, text in enumerate(shown, 1):
        assert f"{number}/{len(shown)}" in text
    assert all("Nazwatowarulubusługi" in text for text in shown[:-1])


def test_long_word_stays_in_its_column() -> None:
    made = pdf(invoice("Ż" * 400))

    with pypdfium2.PdfDocument(made) as opened:
        page = opened[0].get_textpage()
        text = page.get_text_range()
        start = text.index("Ilość")
        # Left, bottom, right and top of the letters.
        boxes = [page.get_charbox(start + place) for place, letter in enumerate(text[start:]) if letter == "Ż"]
        next_column = page.get_charbox(start)[0]
    assert "Ż" * 400 in bare(text)
    assert max(right for _, _, right, _ in boxes) < next_column


def test_codes_are_drawn_with_labels_and_links() -> None:
    document = sample_invoice(NIP)
    one = VerificationCode.of_invoice(document, Environment.TEST)
    other = VerificationCode.of_certificate(f"{Environment.TEST.qr_url}/certificate/Nip/{NIP}/{NIP}/01/" + "aB3-" * 90)

    made = pdf(document, codes=[one, other])

    text = "".join(pages(made))
    with pypdfium2.PdfDocument(made) as opened:
        picture = Image.open(io.BytesIO(_png(opened[len(opened) - 1])))
    assert {code.text for code in zxingcpp.read_barcodes(picture)} == {one.link, other.link}
    for words in ("OFFLINE", "CERTYFIKAT", one.link, other.link):
        assert words in text


def _png(page: pypdfium2.PdfPage) -> bytes:
    out = io.BytesIO()
    page.render(scale=5).to_pil().save(out, "PNG")
    return out.getvalue()


def test_ksef_number_is_shown() -> None:
    number = "5265877635-20250826-0100001AF629-AF"

    assert f"NumerKSeF:{number}" in pages(pdf(sample_invoice(NIP), ksef_number=number))[0]


def test_same_document_gives_the_same_bytes() -> None:
    document = sample_invoice(NIP)

    assert pdf(document) == pdf(document)


async def test_event_loop_is_free_while_a_pdf_is_made_in_a_thread() -> None:
    document = invoice(count=300)
    made: list[bytes] = []
    late = 0.0

    async def make() -> None:
        made.append(await anyio.to_thread.run_sync(partial(pdf, document)))

    async with anyio.create_task_group() as group:
        group.start_soon(make)
        while not made:
            before = time.perf_counter()
            await anyio.lowlevel.checkpoint()
            late = max(late, time.perf_counter() - before)

    assert made[0].startswith(b"%PDF")
    assert late < 1


def document(content: str) -> bytes:
    return f'<Faktura xmlns="{load_shape("fa3").namespace}"><Fa>{content}</Fa></Faktura>'.encode()


@pytest.mark.parametrize(
    "content",
    [
        "<x>" * 50_000 + "</x>" * 50_000,
        "<x><y>a</y></x>" * 2_000,
        f"<P_2>{'ż' * MAX_PDF_TEXT}</P_2>",
        f"<FaWiersz><P_7>{'ż' * MAX_PDF_TEXT}</P_7><P_8A>{'a ' * (MAX_PDF_TEXT // 2)}</P_8A></FaWiersz>",
        f"<WZ>{'ż' * 256}</WZ>" * 200,
        "<P_15>1e3</P_15>",
        "",
    ],
    ids=["deep", "many parts", "long", "long row", "long heading", "no number", "empty"],
)
def test_odd_document_is_shown_in_bounded_time(content: str) -> None:
    start = time.process_time()
    made = pdf(document(content))

    assert time.process_time() - start < 20
    assert len(made) < 10_000_000


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("<FaWiersz/>" * 100_000, "200,000 values to show, a PDF at most 125,000"),
        (f"<Zamowienie>{'<ZamowienieWiersz/>' * 100_000}</Zamowienie>", "200,000 values to show"),
        ("<x><y><z>a</z></y></x>" * 60_000, "180,000 values to show"),
        (f"<P_2>{'ż' * 1_000_000}</P_2>", "A value of this invoice has 1,000,000 characters, in a PDF at most 10,000"),
        (f"<FaWiersz><P_7>{'a ' * 500_000}</P_7></FaWiersz>", "has 999,999 characters"),
    ],
    ids=["rows", "rows of an order", "values", "long word", "long text"],
)
def test_too_large_document_is_refused_at_once(content: str, sentence: str) -> None:
    start = time.process_time()
    with pytest.raises(LocalProtocolError, match=f"{sentence}.*; show it as HTML"):
        pdf(document(content))

    assert time.process_time() - start < 10


@pytest.mark.parametrize("document", [b"", b"<a/>", b"<!DOCTYPE a><a/>"])
def test_what_is_no_invoice_is_refused(document: bytes) -> None:
    with pytest.raises(DocumentError):
        pdf(document)


def test_language_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="'pl' or 'en', not in 'de'"):
        pdf(sample_invoice(NIP), language="de")  # type: ignore[arg-type]


def test_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)

    with pytest.raises(LocalProtocolError, match="needs typst; install ksef_async with the extra 'pdf'"):
        pdf(sample_invoice(NIP))


def test_typst_is_loaded_for_a_pdf_only() -> None:
    program = "import sys; from ksef_async.documents import check, html, pdf; print('typst' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout.strip() == b"False"
