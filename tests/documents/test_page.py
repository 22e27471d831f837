"""Invoices as pages: all that the document says, nothing that runs or loads, in both languages."""

from __future__ import annotations

import random
import re
import time
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from every import check_every
from made_documents import make_document
from official import SAMPLES, needs
from readable import said_values

from ksef_async import Environment
from ksef_async.documents import DocumentError, html
from ksef_async.documents.labels import LABELS
from ksef_async.documents.shape import FORMS, load_shape
from ksef_async.errors import LocalProtocolError
from ksef_async.protocol.verification_codes import VerificationCode
from ksef_async.sandbox import sample_invoice

NIP = "5265877635"
TAGS = re.compile(
    "a|b|body|br|caption|dd|div|dl|dt|figcaption|figure|h1|h2|h3|head|header|html|li|main|meta|p|path|section|small|"
    "span|style|svg|table|tbody|td|text|th|thead|title|tr|ul"
)


class Seen(HTMLParser):
    """What a browser would show, and the tags and attributes that it would look at."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self._in_head = True
        self.feed(page)
        self.text = " ".join(" ".join(self.texts).replace("\u00a0", "").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._in_head = self._in_head and tag != "body"

    def handle_data(self, data: str) -> None:
        if not self._in_head:
            self.texts.append(data)


@pytest.mark.parametrize("form", FORMS)
def test_page_says_all_that_the_document_says(form: str) -> None:
    shape = load_shape(form)

    def check_document(seed: int) -> None:
        document = make_document(form, random.Random(seed), fill=0.6)
        page = Seen(html(document, language="en" if seed % 2 else "pl"))

        shown = page.text.replace(" ", "")
        missing = [value for value in said_values(ET.fromstring(document), shape) if _bare(value) not in shown]
        assert missing == []
        assert [tag for tag in page.tags if not TAGS.fullmatch(tag)] == []

    check_every(range(15), check_document)


def _bare(value: str) -> str:
    return re.sub(r"\s", "", value)


@needs(SAMPLES)
def test_official_samples_are_shown_with_their_amounts() -> None:
    def check_sample(path: object) -> None:
        document = path.read_bytes()  # type: ignore[attr-defined]
        root = ET.fromstring(document)
        page = Seen(html(document)).text
        amounts = [element.text or "" for element in root.iter() if re.search(r"}P_(1[345]|11|9A)", element.tag)]

        assert amounts
        for amount in amounts:
            assert amount.replace(".", ",").replace("-", "\u2212") in page

    check_every(sorted(SAMPLES.glob("*.xml")), check_sample)


def test_markup_in_a_document_is_shown_as_text() -> None:
    evil = "</td><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"
    escaped = evil.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    document = sample_invoice(NIP, "FV/EVIL").decode()
    for text in ("FV/EVIL", "Usługa przykładowa", "Nabywca S.A.", "szt.", "ul. Wzorcowa 2, 30-002 Kraków"):
        assert text in document
        document = document.replace(text, escaped)

    page = Seen(html(document.encode()))

    assert [tag for tag in page.tags if not TAGS.fullmatch(tag)] == []
    assert page.text.count("<script>alert(1)</script>") >= 5
    assert {name for _, name, _ in page.attributes if name.startswith("on")} == set()


def test_page_loads_nothing() -> None:
    page = html(sample_invoice(NIP))

    assert {name for _, name, _ in Seen(page).attributes} & {"src", "srcset", "href", "action", "data"} == set()
    assert not re.search(r"url\(|@import|https?://", page)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "pl",
            ["Faktura VAT", "Sprzedawca", "Nabywca", "Kwota należności ogółem", "1000,00", "23%", "ul. Przykładowa 1"],
        ),
        ("en", ["VAT invoice", "Seller", "Buyer", "Total amount due", "1,000.00", "23%", "ul. Przykładowa 1"]),
    ],
)
def test_page_speaks_its_language(language: str, words: list[str]) -> None:
    page = html(sample_invoice(NIP), language=language)  # type: ignore[arg-type]

    text = Seen(page).text
    assert f'<html lang="{language}">' in page
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    ("no", "yes", "polish", "english"),
    [
        ("<P_16>2", "<P_16>1", "Metoda kasowa", "Cash accounting"),
        ("<P_17>2", "<P_17>1", "Samofakturowanie", "Self-billing"),
        ("<P_18>2", "<P_18>1", "Odwrotne obciążenie", "Reverse charge"),
        ("<P_18A>2", "<P_18A>1", "Mechanizm podzielonej płatności", "Split payment"),
        ("<P_19N>1</P_19N>", "<P_19>1</P_19><P_19A>art. 113</P_19A>", "ustawa: art. 113", "Polish act: art. 113"),
        (
            "<P_PMarzyN>1</P_PMarzyN>",
            "<P_PMarzy>1</P_PMarzy><P_PMarzy_3_1>1</P_PMarzy_3_1>",
            "Procedura marży: towary używane",
            "Margin scheme: second-hand goods",
        ),
    ],
    ids=["cash", "self-billing", "reverse charge", "split payment", "exempt", "margin"],
)
def test_annotation_is_said_where_it_applies(no: str, yes: str, polish: str, english: str) -> None:
    plain = sample_invoice(NIP)
    document = plain.replace(no.encode(), yes.encode())
    assert document != plain

    for language, phrase in (("pl", polish), ("en", english)):
        assert phrase not in Seen(html(plain, language=language)).text  # type: ignore[arg-type]
        assert phrase in Seen(html(document, language=language)).text  # type: ignore[arg-type]


def test_codes_are_drawn_with_their_links() -> None:
    document = sample_invoice(NIP)
    code = VerificationCode.of_invoice(document, Environment.TEST, ksef_number="5265877635-20250826-0100001AF629-AF")

    page = html(document, ksef_number=code.label, codes=[code])

    assert code.svg() in page
    assert [value for tag, name, value in Seen(page).attributes if name == "href"] == [code.link]
    assert Seen(page).text.count(code.label) == 2


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"", "empty"),
        (b"<a/>", "root"),
        (b"<Faktura/>", "namespace"),
        (b'<Faktura xmlns="http://crd.gov.pl/wzor/2021/11/29/11089/"/>', "namespace_old"),
        (b'<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"/>', "not_checked"),
        (b"<!DOCTYPE a><a/>", "dtd"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_invoice_is_refused(document: bytes, code: str) -> None:
    with pytest.raises(DocumentError) as refused:
        html(document)

    assert refused.value.problems[0].code == code


def test_language_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="'pl' or 'en', not in 'de'"):
        html(sample_invoice(NIP), language="de")  # type: ignore[arg-type]


def test_code_without_its_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    code = VerificationCode.of_invoice(sample_invoice(NIP), Environment.TEST)
    monkeypatch.setitem(__import__("sys").modules, "segno", None)

    with pytest.raises(LocalProtocolError, match="extra 'qr'"):
        html(sample_invoice(NIP), codes=[code])


@pytest.mark.parametrize(
    "content",
    ["<x>" * 50_000 + "</x>" * 50_000, "<FaWiersz/>" * 100_000, f"<P_2>{'ż' * 1_000_000}</P_2>", "<P_15>1e3</P_15>"],
    ids=["deep", "many rows", "long", "no number"],
)
def test_odd_document_is_shown_in_bounded_time(content: str) -> None:
    document = f'<Faktura xmlns="{load_shape("fa3").namespace}"><Fa>{content}</Fa></Faktura>'.encode()

    start = time.process_time()
    page = html(document)

    assert time.process_time() - start < 10
    assert len(page) < 60_000_000


def test_names_of_elements_are_those_of_the_forms() -> None:
    names = {
        item.name
        for shape in map(load_shape, FORMS)
        for element in shape.elements
        for item in shape.complex(element).items
    }

    assert LABELS.keys() - names == set()
