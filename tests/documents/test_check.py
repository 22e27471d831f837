# ruff: noqa: E501  # tables
"""What a check says: the code, the place, and sentences that say what to do."""

from __future__ import annotations

import json
import pickle
import string
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from every import check_every
from official import SAMPLES, needs

from ksef_async import KsefError
from ksef_async.documents import SENTENCES, DocumentError, Problem, Report, check
from ksef_async.protocol.invoices import MAX_SIZE
from ksef_async.sandbox.samples import sample_invoice

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
SAMPLE = sample_invoice("5265877635", "FV/1", date(2026, 2, 1)).decode().replace("><", ">\n<")


def changed(*changes: tuple[str, str]) -> bytes:
    xml = SAMPLE
    for old, new in changes:
        assert xml.count(old) == 1, old
        xml = xml.replace(old, new)
    return xml.encode()


def checked(xml: bytes, **options: Any) -> Report:
    report = check(xml, now=NOW, **options)
    for problem in (*report.problems, *report.warnings):
        assert_placed(problem, xml)
    return report


def assert_placed(problem: Problem, xml: bytes) -> None:
    assert "{" not in problem.message + problem.message_pl
    if problem.offset is None:
        assert (problem.line, problem.column) == (None, None)
        return
    before = xml[: problem.offset].decode("utf-8", "replace")
    assert problem.line == before.count("\n") + 1
    assert problem.column == len(before.rpartition("\n")[2]) + 1
    if problem.path and "@" not in problem.path:
        name = problem.path.rpartition("/")[2].partition("[")[0]
        assert xml[problem.offset :].decode().lstrip("<").partition(">")[0].startswith(name)


def found(report: Report) -> list[tuple[str, str | None]]:
    return [(problem.code, problem.path) for problem in report.problems]


@needs(SAMPLES)
def test_official_samples_have_neither_problems_nor_warnings() -> None:
    def check_sample(file: Path) -> None:
        report = checked(file.read_bytes().replace(b"2027-", b"2026-"), context_nip="9999999999")
        later = check(file.read_bytes(), now=datetime(2030, 1, 1, tzinfo=UTC))
        assert [problem.code for problem in report.problems] in ([], ["future"])
        assert (later.ok, later.warnings, later.form) == (True, (), "FA (3)")

    files = sorted(SAMPLES.glob("*.xml"))

    assert len(files) == 12
    check_every(files, check_sample)


def test_sample_of_the_sandbox_has_neither_problems_nor_warnings() -> None:
    assert checked(SAMPLE.encode(), context_nip="5265877635") == Report(form="FA (3)")


ROW = "/Faktura/Fa/FaWiersz"

SHAPE = [
    ("element_missing", "/Faktura/Fa/P_13_1", ("<P_2>FV/1</P_2>\n", "")),
    ("element_missing", "/Faktura/Fa/FaWiersz", ("<NrWierszaFa>1</NrWierszaFa>", ""), "/P_7"),
    ("element_missing", "/Faktura", ("<Fa>", "<Fa>"), None),
    ("element_unknown", "/Faktura/Fa/P15", ("<P_15>1230.00</P_15>", "<P_15>1230.00</P_15><P15>1</P15>")),
    ("element_order", "/Faktura/Fa/P_6", ("<P_15>", "<P_6>2026-02-01</P_6><P_15>")),
    ("element_early", "/Faktura/Fa/P_2", ("<P_1>2026-02-01</P_1>\n<P_2>FV/1</P_2>", "<P_2>FV/1</P_2><P_1>2026-02-01</P_1>")),
    ("element_repeated", "/Faktura/Fa/P_15[2]", ("<P_15>", "<P_15>1</P_15><P_15>")),
    ("element_too_many", "/Faktura/Podmiot2/DaneKontaktowe[4]", ("<JST>", "<DaneKontaktowe/>" * 4 + "<JST>")),
    ("element_conflict", "/Faktura/Podmiot2/DaneIdentyfikacyjne/BrakID", ("<NIP>1111111111</NIP>", "<NIP>1111111111</NIP><BrakID>1</BrakID>")),
    ("choice_missing", "/Faktura/Podmiot2/DaneIdentyfikacyjne/Nazwa", ("<NIP>1111111111</NIP>", "")),
    ("choice_missing", "/Faktura/Fa/Adnotacje/Zwolnienie", ("<P_19N>1</P_19N>", "")),
    ("element_missing", "/Faktura/Fa/P_14_1", ("<P_13_1>1000.00</P_13_1>", "")),
    ("element_missing", "/Faktura/Podmiot2/DaneIdentyfikacyjne/NrVatUE", ("<NIP>1111111111</NIP>", "<NrVatUE>1</NrVatUE>")),
    ("element_namespace", "/Faktura/Fa/P_2", ("<P_2>", '<P_2 xmlns="a">')),
    ("text_unexpected", "/Faktura/Fa", ("<P_15>", "text<P_15>")),
    ("element_in_value", "/Faktura/Fa/P_2", ("FV/1", "<b/>")),
    ("too_deep", "/Faktura/Fa/P_2", ("FV/1", "<b>" * 200 + "</b>" * 200)),
    ("too_deep", "/Faktura/Fa/b", ("<P_15>", "<b>" * 200 + "</b>" * 200 + "<P_15>")),
    ("attribute_unknown", "/Faktura/Fa/P_2/@a", ("<P_2>", '<P_2 a="b">')),
    ("attribute_missing", "/Faktura/Naglowek/KodFormularza/@wersjaSchemy", (' wersjaSchemy="1-0E"', "")),
    ("value_not_listed", "/Faktura/Naglowek/KodFormularza/@kodSystemowy", ("FA (3)", "FA (2)")),
    ("value_not_listed", "/Faktura/Fa/RodzajFaktury", ("<RodzajFaktury>VAT", "<RodzajFaktury>XYZ")),
    ("value_not_listed", "/Faktura/Fa/KodWaluty", ("<KodWaluty>PLN", "<KodWaluty>ZŁ")),
    ("value_not_listed", "/Faktura/Fa/Adnotacje/P_16", ("<P_16>2", "<P_16>3")),
    ("value_missing", "/Faktura/Fa/P_2", ("FV/1", "")),
    ("value_missing", "/Faktura/Fa/P_15", ("<P_15>1230.00", "<P_15>")),
    ("value_too_long", f"{ROW}/P_7", ("Usługa przykładowa", "ą" * 513)),
    ("value_too_long", f"{ROW}/P_7", ("Usługa przykładowa", "ą" * 450_000)),
    ("value_too_short", "/Faktura/Fa/Platnosc/RachunekBankowy/NrRB", ("</FaWiersz>", "</FaWiersz><Platnosc><RachunekBankowy><NrRB>123</NrRB></RachunekBankowy></Platnosc>")),
    ("value_pattern", "/Faktura/Podmiot2/DaneIdentyfikacyjne/NIP", ("1111111111", "111-111-11-11")),
    ("number_comma", "/Faktura/Fa/P_15", ("<P_15>1230.00", "<P_15>1,23")),
    ("number_exponent", "/Faktura/Fa/P_15", ("<P_15>1230.00", "<P_15>1e3")),
    ("number_blank", "/Faktura/Fa/P_15", ("<P_15>1230.00", "<P_15>1 230.00")),
    ("number", "/Faktura/Fa/P_15", ("<P_15>1230.00", "<P_15>abc")),
    ("number_written", "/Faktura/Fa/P_15", ("<P_15>1230.00", "<P_15>+1230.00")),
    ("number_written", "/Faktura/Fa/P_15", ("<P_15>1230.00", "<P_15>01230.00")),
    ("number_decimals", "/Faktura/Fa/P_15", ("<P_15>1230.00", "<P_15>1230.001")),
    ("number_digits", "/Faktura/Fa/P_15", ("<P_15>1230.00", "<P_15>12345678901234567.12")),
    ("value_too_long", "/Faktura/Fa/P_15", ("<P_15>1230.00", "<P_15>" + "9" * 900_000)),
    ("number_range", f"{ROW}/NrWierszaFa", ("<NrWierszaFa>1", "<NrWierszaFa>0")),
    ("date", "/Faktura/Fa/P_1", ("<P_1>2026-02-01", "<P_1>01.02.2026")),
    ("date_impossible", "/Faktura/Fa/P_1", ("<P_1>2026-02-01", "<P_1>2026-02-30")),
    ("date_range", "/Faktura/Fa/P_1", ("<P_1>2026-02-01", "<P_1>2005-02-01")),
    ("date_range", "/Faktura/Naglowek/DataWytworzeniaFa", ("2026-02-01T00:00:00Z", "2025-08-31T00:00:00Z")),
    ("date", "/Faktura/Naglowek/DataWytworzeniaFa", ("2026-02-01T00:00:00Z", "2026-02-01 00:00")),
    ("root", "/Invoice", ("<Faktura", "<Invoice"), ("</Faktura", "</Invoice")),
    ("namespace", "/Faktura", ("2025/06/25/13775", "2035/06/25/13775")),
    ("namespace_old", "/Faktura", ("2025/06/25/13775", "2021/11/29/11089")),
]  # fmt: skip


def test_every_mistake_has_its_code_and_place() -> None:
    def check_one(case: tuple[Any, ...]) -> None:
        code, path, *changes = case
        if path == "/Faktura":
            changes = [change for change in changes if change] if code != "element_missing" else []
        if changes and isinstance(changes[-1], str):
            path += changes.pop()
        xml = changed(*changes)
        if code == "element_missing" and path == "/Faktura":
            xml = xml[: xml.index(b"<Fa>")] + b"</Faktura>"
        assert found(checked(xml)) == [(code, path)]

    check_every(SHAPE, check_one, named=lambda case: f"{case[0]} {case[1]}")


def test_two_wrong_elements_are_two_problems_in_the_order_of_the_document() -> None:
    xml = changed(("<P_15>1230.00</P_15>", ""), ("<P_16>2", "<P_16>tak"), ("2026-02-01T00:00:00Z", "yesterday"))

    assert found(checked(xml)) == [
        ("date", "/Faktura/Naglowek/DataWytworzeniaFa"),
        ("element_missing", "/Faktura/Fa/Adnotacje"),
        ("number", "/Faktura/Fa/Adnotacje/P_16"),
    ]


def test_sentences_say_what_and_what_to_do_in_two_languages() -> None:
    (problem,) = checked(changed(("<P_15>1230.00", "<P_15>1,23"))).problems

    assert (
        problem.message
        == 'P_15 is "1,23"; write the number with a point, and without anything between thousands: 1234.56.'
    )
    assert problem.message_pl == 'P_15 ma wartość "1,23"; zapisz liczbę z kropką i bez separatora tysięcy: 1234.56.'
    assert str(problem).startswith("/Faktura/Fa/P_15 (line 37, column 1): P_15 is")


def test_every_sentence_names_the_same_in_both_languages() -> None:
    def names(sentence: str) -> set[str]:
        return {(name or "").removesuffix("_pl") for _, name, _, _ in string.Formatter().parse(sentence) if name}

    for code, (english, polish) in SENTENCES.items():
        assert names(english) == names(polish), code
        assert english.endswith(".")
        assert polish.endswith(".")


def test_close_name_is_offered() -> None:
    (problem,) = checked(
        changed(("<RodzajFaktury>VAT", "<Rodzajfaktury>VAT"), ("</RodzajFaktury>", "</Rodzajfaktury>"))
    ).problems

    assert problem.code == "element_unknown"
    assert "RodzajFaktury?" in problem.message


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf" + SAMPLE.encode(), "bom"),
        (SAMPLE.encode("utf-16"), "encoding"),
        (SAMPLE.replace("UTF-8", "ISO-8859-2").encode("iso-8859-2"), "encoding"),
        (SAMPLE.encode().replace("ł".encode(), b"\xb3"), "not_utf8"),
        (SAMPLE.replace("\n<Faktura", '\n<!DOCTYPE Faktura [<!ENTITY a "b">]>\n<Faktura').encode(), "dtd"),
        (SAMPLE.replace("<Fa>", "<Fa><?xml-stylesheet a?>").encode(), "processing_instruction"),
        (SAMPLE.replace("</Fa>", "").encode(), "not_well_formed"),
        (SAMPLE.replace("FV/1", "&nbsp;").encode(), "not_well_formed"),
        (b"<a>" * 999_999, "too_many_elements"),
        (b" " * 3_000_001, "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_file_that_ksef_refuses_is_one_problem(xml: bytes, code: str) -> None:
    report = check(xml, now=NOW)

    assert [problem.code for problem in report.problems] == [code]
    assert not report.ok


def test_large_invoice_is_a_problem_unless_it_has_an_attachment() -> None:
    large = changed(("</FaWiersz>", "</FaWiersz>" + " " * MAX_SIZE))
    attachment = (
        "<Zalacznik><BlokDanych><MetaDane><ZKlucz>a</ZKlucz><ZWartosc>b</ZWartosc></MetaDane></BlokDanych></Zalacznik>"
    )

    assert found(checked(large)) == [("too_large", None)]
    assert checked(large.replace(b"</Faktura>", attachment.encode() + b"</Faktura>")).ok


@pytest.mark.parametrize(
    "character", ["\x7f", "\x80", "\x9f", "\ufdd0", "\ufdef", "\U0001fffe", "\U0010ffff"], ids=ascii
)
def test_discouraged_character_is_a_warning_with_its_place(character: str) -> None:
    xml = changed(("Usługa przykładowa", f"Usługa\u00a0\x85 {character}"))

    report = checked(xml)

    assert report.ok
    assert [(it.code, it.offset) for it in report.warnings] == [("character", xml.index(character.encode()))]
    assert f"U+{ord(character):04X}" in report.warnings[0].message


def test_characters_beside_the_discouraged_ones_are_fine() -> None:
    assert (
        checked(changed(("Usługa przykładowa", "\x7e\x85\u00a0\ufdcf\ufdf0\ufffd\U0001fffd\U0001ffbf😿"))).warnings
        == ()
    )


def test_100_000_rows_are_too_many() -> None:
    row = SAMPLE[SAMPLE.index("<FaWiersz>") : SAMPLE.index("</FaWiersz>")] + "</FaWiersz>"
    rows = "".join(f"<FaWiersz><NrWierszaFa>{number}</NrWierszaFa></FaWiersz>" for number in range(10_002))

    assert [it.code for it in check(changed((row, row * 100_000)), now=NOW).problems] == ["too_large"]
    assert ("element_too_many", f"{ROW}[10001]") in found(checked(changed((row, rows))))


#: Up to three million bytes, which a mark of an attachment allows.
MOST = 2_990_000
ATTACHED = ("</Fa>", "</Fa><!--Zalacznik-->")
HOSTILE = [
    ("rows", ("<FaWiersz>", "<FaWiersz/>" * 200_000 + "<FaWiersz>")),
    ("unknown elements", ("<P_15>", "<a/>" * 290_000 + "<P_15>")),
    ("deep elements", ("<P_15>", "<a>" * 290_000 + "</a>" * 290_000 + "<P_15>")),
    ("digits", ("<P_15>", "<P_15>" + "9" * MOST)),
    ("commas", ("<P_15>", "<P_15>" + "1," * (MOST // 2))),
    ("text", ("<P_7>", "<P_7>" + "x" * MOST)),
    ("blanks", ("<P_7>", "<P_7>" + " " * MOST)),
    ("e-mail", ("<JST>", f"<DaneKontaktowe><Email>{'@' * MOST}</Email></DaneKontaktowe><JST>")),
    ("link", ("</FaWiersz>", f"</FaWiersz><Platnosc><LinkDoPlatnosci>http://{'a.' * 250}</LinkDoPlatnosci></Platnosc>")),
    ("attributes", ("<P_15>", "<P_15 " + " ".join(f'a{number}="b"' for number in range(200_000)) + ">")),
    ("attribute", ("<P_15>", f'<P_15 a="{"b" * MOST}">')),
    ("namespaces", ("<P_15>", "<P_15 " + " ".join(f'xmlns:a{number}="b"' for number in range(100_000)) + ">")),
    ("comments", ("<P_15>", "<!---->" * 400_000 + "<P_15>")),
    ("CDATA", ("<P_7>", "<P_7>" + "<![CDATA[<]]>" * 200_000)),
    ("lines", ("<P_15>", "\n" * MOST + "<P_15>")),
    ("long name", ("<P_15>", f"<{'a' * MOST}/><P_15>")),
    ("order", ("<P_15>", "<P_1>2026-01-01</P_1><P_2>x</P_2>" * 70_000 + "<P_15>")),
    ("choices", ("<P_19N>1</P_19N>", "<P_19A>a</P_19A><P_19N>1</P_19N>" * 60_000)),
    ("instructions", ("<P_15>", "<?a b?>" * 300_000 + "<P_15>")),
]  # fmt: skip


def test_hostile_documents_take_bounded_time_and_sentences() -> None:
    def check_one(case: tuple[str, tuple[str, str]]) -> None:
        _, change = case
        xml = changed(ATTACHED, change)
        began = time.process_time()
        report = check(xml, now=NOW)
        assert time.process_time() - began < 4  # 0.7 s at most on a machine of 2026 that is idle
        assert len(report.problems) + len(report.warnings) <= 100
        for problem in report.problems:
            assert len(problem.message) + len(problem.message_pl) < 600
            assert len(problem.path or "") < 200

    check_every(HOSTILE, check_one, named=lambda case: case[0])


def test_no_more_than_a_hundred_problems_are_told() -> None:
    assert len(checked(changed(("<P_15>", "<x/>" * 10_000 + "<P_15>"))).problems) == 100


# --- beyond the shape


def test_wrong_check_digit_is_a_warning_unless_ksef_looks() -> None:
    xml = changed(("5265877635", "5265877636"))
    place = [("check_digit", "/Faktura/Podmiot1/DaneIdentyfikacyjne/NIP")]

    assert [(it.code, it.path) for it in checked(xml).warnings] == place
    assert found(checked(xml, check_identifiers=True)) == place


@pytest.mark.parametrize(
    ("now", "is_future"),
    [
        ("2026-01-31T22:59:59+00:00", True),
        ("2026-01-31T23:00:00+00:00", False),
        ("2026-02-01T00:00:00+01:00", False),
    ],
)
def test_day_of_issue_is_compared_with_the_day_in_poland(now: str, is_future: bool) -> None:
    report = check(SAMPLE.encode(), now=datetime.fromisoformat(now))

    assert found(report) == ([("future", "/Faktura/Fa/P_1")] if is_future else [])


def test_context_must_be_a_party() -> None:
    assert checked(SAMPLE.encode(), context_nip="5265877635").ok
    assert checked(SAMPLE.encode(), context_nip="1111111111").ok
    assert found(checked(SAMPLE.encode(), context_nip="2222222222")) == [
        ("context", "/Faktura/Podmiot1/DaneIdentyfikacyjne/NIP")
    ]


TWO_ROWS = "</FaWiersz>\n<FaWiersz><NrWierszaFa>2</NrWierszaFa><P_7>a</P_7><P_11>100.00</P_11><P_12>8</P_12></FaWiersz>"
ORDER = "<Zamowienie><WartoscZamowienia>{}</WartoscZamowienia><ZamowienieWiersz><NrWierszaZam>1</NrWierszaZam><P_11NettoZ>100</P_11NettoZ><P_11VatZ>23</P_11VatZ></ZamowienieWiersz></Zamowienie>"
CORRECTED = "<DaneFaKorygowanej><DataWystFaKorygowanej>2026-01-01</DataWystFaKorygowanej><NrFaKorygowanej>1</NrFaKorygowanej><NrKSeFN>1</NrKSeFN></DaneFaKorygowanej>"
BEFORE = "</FaWiersz><FaWiersz><NrWierszaFa>1</NrWierszaFa><P_7>a</P_7><P_11>400.00</P_11><P_12>23</P_12><StanPrzed>1</StanPrzed></FaWiersz>"

SUMS = [
    ("total", "/Faktura/Fa/P_15", ("<P_15>1230.00", "<P_15>1230.02")),
    ("", "", ("<P_15>1230.00", "<P_15>1230.01")),
    ("row_value", f"{ROW}/P_11", ("<P_8B>1<", "<P_8B>2<")),
    ("", "", ("<P_8B>1</P_8B>\n<P_9A>1000.00</P_9A>", "<P_8B>2</P_8B><P_9A>600</P_9A><P_10>200</P_10>")),
    ("", "", ("<P_8B>1</P_8B>\n<P_9A>1000.00</P_9A>", "<P_8B>2</P_8B><P_9A>600</P_9A><P_10>100</P_10>")),
    ("", "", ("<P_8B>1</P_8B>\n<P_9A>1000.00</P_9A>", "<P_8B>3</P_8B><P_9A>333.333333</P_9A>")),
    ("sum_of_rows", "/Faktura/Fa/P_13_1", ("<P_9A>1000.00</P_9A>\n<P_11>1000.00", "<P_11>990.00")),
    ("tax", "/Faktura/Fa/P_14_1", ("<P_14_1>230.00", "<P_14_1>80.00"), ("<P_15>1230.00", "<P_15>1080.00")),
    ("sum_absent", "/Faktura/Fa/P_15", ("</FaWiersz>", TWO_ROWS)),
    ("", "", ("</FaWiersz>", TWO_ROWS), ("<P_15>1230.00", "<P_13_2>100.00</P_13_2><P_14_2>8.00</P_14_2><P_15>1338.00")),
    ("row_number", f"{ROW}[2]/NrWierszaFa", ("</FaWiersz>", TWO_ROWS.replace("Fa>2", "Fa>1")), ("<P_15>1230.00", "<P_13_2>100</P_13_2><P_14_2>8</P_14_2><P_15>1338.00")),
    ("", "", ("<P_9A>1000.00</P_9A>\n<P_11>1000.00</P_11>", "<P_9B>1230</P_9B><P_11A>1230</P_11A>")),
    ("row_value", f"{ROW}/P_11A", ("<P_9A>1000.00</P_9A>\n<P_11>1000.00</P_11>", "<P_9B>1231</P_9B><P_11A>1230</P_11A>")),
    ("tax_pln_absent", "/Faktura/Fa/P_14_1", ("<KodWaluty>PLN", "<KodWaluty>EUR")),
    ("tax_pln_needless", "/Faktura/Fa/P_14_1W", ("</P_14_1>", "</P_14_1><P_14_1W>1</P_14_1W>")),
    ("", "", ("<KodWaluty>PLN", "<KodWaluty>EUR"), ("</P_14_1>", "</P_14_1><P_14_1W>977.50</P_14_1W>"), ("</P_12>", "</P_12><KursWaluty>4.25</KursWaluty>")),
    ("tax_pln", "/Faktura/Fa/P_14_1W", ("<KodWaluty>PLN", "<KodWaluty>EUR"), ("</P_14_1>", "</P_14_1><P_14_1W>230</P_14_1W>"), ("</P_12>", "</P_12><KursWaluty>4.25</KursWaluty>")),
    ("correction", "/Faktura/Fa/RodzajFaktury", ("<RodzajFaktury>VAT", "<RodzajFaktury>KOR")),
    ("no_correction", "/Faktura/Fa/DaneFaKorygowanej", ("</RodzajFaktury>", "</RodzajFaktury>" + CORRECTED)),
    ("", "", ("<RodzajFaktury>VAT</RodzajFaktury>", "<RodzajFaktury>KOR</RodzajFaktury>" + CORRECTED)),
    ("sum_of_rows", "/Faktura/Fa/P_13_1", ("<RodzajFaktury>VAT</RodzajFaktury>", "<RodzajFaktury>KOR</RodzajFaktury>" + CORRECTED), ("</FaWiersz>", BEFORE)),
    ("", "", ("<RodzajFaktury>VAT</RodzajFaktury>", "<RodzajFaktury>KOR</RodzajFaktury>" + CORRECTED), ("</FaWiersz>", BEFORE), ("<P_13_1>1000.00", "<P_13_1>600.00"), ("<P_14_1>230.00", "<P_14_1>138.00"), ("<P_15>1230", "<P_15>738")),
    ("settlement", "/Faktura/Fa/RodzajFaktury", ("<RodzajFaktury>VAT", "<RodzajFaktury>ROZ")),
    ("partial_sum", "/Faktura/Fa/P_15", ("<RodzajFaktury>VAT</RodzajFaktury>", "<RodzajFaktury>ZAL</RodzajFaktury><ZaliczkaCzesciowa><P_6Z>2026-01-01</P_6Z><P_15Z>1</P_15Z></ZaliczkaCzesciowa>")),
    ("partial_sum", "/Faktura/Fa/Rozliczenie/SumaObciazen", ("</FaWiersz>", "</FaWiersz><Rozliczenie><Obciazenia><Kwota>5</Kwota><Powod>a</Powod></Obciazenia><SumaObciazen>4</SumaObciazen></Rozliczenie>")),
    ("partial_sum", "/Faktura/Fa/Rozliczenie/DoZaplaty", ("</FaWiersz>", "</FaWiersz><Rozliczenie><Odliczenia><Kwota>30</Kwota><Powod>a</Powod></Odliczenia><SumaOdliczen>30</SumaOdliczen><DoZaplaty>1230.00</DoZaplaty></Rozliczenie>")),
    ("", "", ("</FaWiersz>", "</FaWiersz><Rozliczenie><Odliczenia><Kwota>30</Kwota><Powod>a</Powod></Odliczenia><SumaOdliczen>30</SumaOdliczen><DoZaplaty>1200.00</DoZaplaty></Rozliczenie>")),
    ("partial_sum", "/Faktura/Fa/Zamowienie/WartoscZamowienia", ("</FaWiersz>", "</FaWiersz>" + ORDER.format("100"))),
    ("", "", ("</FaWiersz>", "</FaWiersz>" + ORDER.format("123.00"))),
]  # fmt: skip


def test_sums_that_do_not_add_up_are_warnings() -> None:
    def check_one(case: tuple[Any, ...]) -> None:
        code, path, *changes = case
        report = checked(changed(*changes))
        assert report.ok, report.problems
        assert [(it.code, it.path) for it in report.warnings] == ([(code, path)] if code else [])

    check_every(list(enumerate(SUMS)), lambda case: check_one(case[1]), named=lambda case: f"{case[0]} {case[1][0]}")


def test_blanks_around_a_number_are_a_warning() -> None:
    report = checked(changed(("<P_15>1230.00", "<P_15> 1230.00 "), ("<P_16>2", "<P_16>\n2")))

    assert report.ok
    assert [(it.code, it.path) for it in report.warnings] == [
        ("number_around", "/Faktura/Fa/P_15"),
        ("number_around", "/Faktura/Fa/Adnotacje/P_16"),
    ]


def test_pef_is_not_looked_into() -> None:
    report = checked(b'<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"/>')

    assert (report.ok, report.form, [it.code for it in report.warnings]) == (True, None, ["not_checked"])


def test_report_is_json_and_raises() -> None:
    report = checked(changed(("<P_15>1230.00", "<P_15>abc"), ("<P_16>2", "<P_16>tak")))

    data = json.loads(json.dumps(report.to_dict()))

    assert data["ok"] is False
    assert data["problems"][0]["path"] == "/Faktura/Fa/P_15"
    with pytest.raises(DocumentError, match=r"P_15 is \"abc\".* \(and 1 more\)") as caught:
        report.raise_for_problems()
    assert (caught.value.report, caught.value.problems) == (report, report.problems)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert isinstance(caught.value, KsefError)
    checked(SAMPLE.encode()).raise_for_problems()
