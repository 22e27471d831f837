"""Documents as models: what is read is written again, and models are what editors are told."""

from __future__ import annotations

import ast
import copy
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, get_args
from xml.parsers import expat

import attrs
import pytest
from every import check_every
from hypothesis import given
from hypothesis import strategies as st
from made_documents import make_document
from official import SAMPLES, needs

from ksef_async.documents import DocumentError, fa2, fa3, fa_rr1
from ksef_async.documents.models import load_models
from ksef_async.documents.shape import FORMS
from ksef_async.protocol.xml import ET
from ksef_async.sandbox.samples import sample_invoice

FORM_MODULES: dict[str, Any] = {"fa3": fa3, "fa2": fa2, "fa_rr1": fa_rr1}

#: What is read and written; documents are made up anew with other seeds for a larger run.
SEEDS = range(170)

SAMPLE = sample_invoice("5265877635", "FV/1", date(2026, 2, 1))


def told(xml: bytes) -> list[Any]:
    """Elements, their order, texts and attributes; white space where there are elements is nobody's business."""

    def tell(element: ET.Element) -> list[Any]:
        text = element.text or ""
        return [element.tag, dict(element.attrib), text if text.strip() else "", [tell(child) for child in element]]

    return tell(ET.fromstring(xml))


@needs(SAMPLES)
def test_official_samples_are_written_as_they_were_read() -> None:
    def check(file: Path) -> None:
        xml = file.read_bytes()
        assert told(fa3.write(fa3.read(xml))) == told(xml)

    files = sorted(SAMPLES.glob("*.xml"))

    assert len(files) == 12
    check_every(files, check)


def test_made_up_documents_are_written_as_they_were_read() -> None:
    def check(case: tuple[str, int]) -> None:
        form, seed = case
        xml = make_document(form, random.Random(seed), fill=0.3 + seed % 5 / 10)
        invoice = FORM_MODULES[form].read(xml)
        written = FORM_MODULES[form].write(invoice)

        assert told(written) == told(xml)
        assert FORM_MODULES[form].read(written) == invoice

    check_every([(form, seed) for form in FORMS for seed in SEEDS], check)


def test_values_are_typed() -> None:
    invoice = fa3.read(SAMPLE)

    assert invoice.naglowek.kod_formularza == fa3.KodFormularza()
    assert invoice.naglowek.wariant_formularza == 3
    assert invoice.fa.p_1 == date(2026, 2, 1)
    assert invoice.fa.p_15 == Decimal("1230.00")
    assert invoice.fa.fa_wiersz[0].p_12 == "23"
    assert invoice.fa.fa_wiersz[0].gtu is None
    assert invoice.podmiot3 == []


@pytest.mark.parametrize(
    "text", ["2051", "2051.0", "2051.00", "0.00000001", "-0", "+5", "05", ".5", "5.", " 1.00\n", "100"], ids=repr
)
def test_numbers_keep_their_writing(text: str) -> None:
    xml = SAMPLE.replace(b"<P_8B>1</P_8B>", b"<P_8B>" + text.encode() + b"</P_8B>")

    invoice = fa3.read(xml)

    assert invoice.fa.fa_wiersz[0].p_8b == Decimal(text.strip())
    assert told(fa3.write(invoice)) == told(xml)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-01T12:00:00Z", datetime(2026, 2, 1, 12, tzinfo=UTC)),
        ("2026-02-01T12:00:00+00:00", datetime(2026, 2, 1, 12, tzinfo=UTC)),
        ("2026-02-01T12:00:00+01:00", datetime(2026, 2, 1, 12, tzinfo=timezone(timedelta(hours=1)))),
        ("2026-02-01T12:00:00", datetime(2026, 2, 1, 12)),
        ("2026-02-01T12:00:00.5Z", datetime(2026, 2, 1, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-02-01T12:00:00.1234567891Z", datetime(2026, 2, 1, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-02-28T24:00:00Z", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
    ids=lambda value: str(value),
)
def test_moments_keep_their_writing(text: str, moment: datetime) -> None:
    xml = SAMPLE.replace(b"2026-02-01T00:00:00Z", text.encode())

    invoice = fa3.read(xml)

    assert invoice.naglowek.data_wytworzenia_fa == moment
    assert told(fa3.write(invoice)) == told(xml)


def test_one_field_is_changed_and_nothing_else() -> None:
    xml = SAMPLE.replace(b"<P_8B>1</P_8B>", b"<P_8B> 1.0 </P_8B>").replace(b"<P_18>2<", b"<P_18>02<")
    invoice = fa3.read(xml)

    invoice.fa.fa_wiersz[0].p_7 = "a < b & c"

    assert told(fa3.write(invoice)) == told(xml.replace("Usługa przykładowa".encode(), b"a &lt; b &amp; c"))


def test_changed_value_is_written_as_it_is_now() -> None:
    invoice = fa3.read(SAMPLE.replace(b"<P_8B>1</P_8B>", b"<P_8B>+1</P_8B>"))

    invoice.fa.fa_wiersz[0].p_8b = Decimal("2.50")

    assert b"<P_8B>2.50</P_8B>" in fa3.write(invoice)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["copy", "deep", "pickle"]
)
def test_copies_are_equal_and_are_written_the_same(copied: Callable[[Any], Any]) -> None:
    invoice = fa3.read(SAMPLE.replace(b"<P_8B>1</P_8B>", b"<P_8B> +1 </P_8B>"))

    copy_of_it = copied(invoice)

    assert copy_of_it == invoice
    assert fa3.write(copy_of_it) == fa3.write(invoice)


def test_models_are_attrs_classes() -> None:
    row = fa3.FaWiersz(nr_wiersza_fa=1, p_7="a")

    assert attrs.evolve(row, p_7="b") == fa3.FaWiersz(nr_wiersza_fa=1, p_7="b")
    assert row != fa3.FaWiersz(nr_wiersza_fa=2, p_7="a")
    assert repr(row) == "FaWiersz(nr_wiersza_fa=1, p_7='a')"
    with pytest.raises(AttributeError):
        row.p7 = "typo"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="nr_wiersza_fa"):
        fa3.FaWiersz()  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="no attribute 'Invoice'"):
        fa3.Invoice  # type: ignore[attr-defined]  # noqa: B018


def test_schema_location_is_kept() -> None:
    location = b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b"'
    xml = SAMPLE.replace(b"<Faktura", b"<Faktura" + location)

    assert fa3.read(xml).schema_location == "a b"
    assert told(fa3.write(fa3.read(xml))) == told(xml)


def test_prefix_makes_no_difference() -> None:
    xml = SAMPLE.replace(b"</", b"</t:").replace(b"<", b"<t:").replace(b"<t:/t:", b"</t:").replace(b"<t:?", b"<?")

    assert fa3.read(xml.replace(b"xmlns=", b"xmlns:t=")) == fa3.read(SAMPLE)


def wrong(xml: bytes) -> tuple[str, str | None, int | None]:
    with pytest.raises(DocumentError) as caught:
        fa3.read(xml)
    (problem,) = caught.value.problems
    if problem.offset is not None:
        before = xml[: problem.offset].decode()
        assert problem.line == before.count("\n") + 1
        assert problem.column == len(before.rpartition("\n")[2]) + 1
    return problem.code, problem.path, problem.offset


@pytest.mark.parametrize(
    ("old", "new", "code", "path", "at"),
    [
        ("<P_15>", "<P_15x>0</P_15x><P_15>", "element_unknown", "/Faktura/Fa/P_15x", "<P_15x>"),
        ("<P_15>", "<P_1>2026-02-02</P_1><P_15>", "element_order", "/Faktura/Fa/P_1[2]", "<P_1>2026-02-02"),
        ("<P_15>", "<P_15>1</P_15><P_15>", "element_repeated", "/Faktura/Fa/P_15[2]", "<P_15>1230"),
        ("<P_15>1230.00</P_15>", "", "element_missing", "/Faktura/Fa", "<Fa>"),
        ("<P_15>1230.00", "<P_15>abc", "number", "/Faktura/Fa/P_15", "<P_15>"),
        ("<P_15>1230.00", "<P_15>1,23", "number_comma", "/Faktura/Fa/P_15", "<P_15>"),
        ("<P_15>1230.00", "<P_15>1e3", "number_exponent", "/Faktura/Fa/P_15", "<P_15>"),
        ("<P_15>1230.00", "<P_15>1 230.00", "number_blank", "/Faktura/Fa/P_15", "<P_15>"),
        ("<P_15>1230.00", "<P_15>" + "9" * 1_000_000, "value_too_long", "/Faktura/Fa/P_15", "<P_15>"),
        ("<P_15>1230.00", "<P_15>١٢", "number", "/Faktura/Fa/P_15", "<P_15>"),
        ("<P_15>1230.00", "<P_15>NaN", "number", "/Faktura/Fa/P_15", "<P_15>"),
        ("<P_1>2026-02-01", "<P_1>2026-02-30", "date_impossible", "/Faktura/Fa/P_1", "<P_1>"),
        ("<P_1>2026-02-01", "<P_1>01.02.2026", "date", "/Faktura/Fa/P_1", "<P_1>"),
        ("<P_1>2026-02-01", "<P_1>2026-W01-1", "date", "/Faktura/Fa/P_1", "<P_1>"),
        ("<P_15>", "text<P_15>", "text_unexpected", "/Faktura/Fa", "<Fa>"),
        ("<P_2>FV/1", "<P_2><b/>FV/1", "element_in_value", "/Faktura/Fa/P_2", "<P_2>"),
        ("<P_2>", '<P_2 a="b">', "attribute_unknown", "/Faktura/Fa/P_2/@a", "<P_2 "),
        (' wersjaSchemy="1-0E"', "", "attribute_missing", "/Faktura/Naglowek/KodFormularza/@wersjaSchemy", "<KodF"),
        ("<P_15>1230.00</P_15>", '<P_15 xmlns="a">1</P_15>', "element_namespace", "/Faktura/Fa/P_15", "<P_15 "),
        ("2025/06/25/13775", "2021/11/29/11089", "namespace", "/Faktura", "<Faktura"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_what_a_model_cannot_hold_is_refused_with_its_place(old: str, new: str, code: str, path: str, at: str) -> None:
    xml = SAMPLE.decode().replace("><", ">\n<").replace(old.replace("><", ">\n<"), new).encode()

    assert wrong(xml) == (code, path, xml.index(at.encode()))


@pytest.mark.parametrize(
    ("xml", "code", "offset"),
    [
        (b"", "empty", None),
        (b"\xef\xbb\xbf" + SAMPLE, "bom", 0),
        (SAMPLE.decode().encode("utf-16"), "encoding", 0),
        (SAMPLE.decode().encode("utf-16-le"), "encoding", 0),
        (b'<?xml version="1.0" encoding="windows-1250"?><Faktura/>', "encoding", 30),
        (b"<Faktura>\n\xb9</Faktura>", "not_utf8", 10),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><Faktura>&b;</Faktura>', "dtd", 0),
        (b"<Faktura>\n<?a b?></Faktura>", "processing_instruction", 10),
        (b"<Faktura>\n <a></b></Faktura>", "not_well_formed", 16),
        (b"<Faktura>\xc4\x85&b;</Faktura>", "not_well_formed", 11),
        (b"\r\xc3\x80", "not_well_formed", 1),
        (b"<Faktura>\r\r\n&b;</Faktura>", "not_well_formed", 12),
        (b"<Faktura>\r\r\n<?a b?></Faktura>", "processing_instruction", 12),
        (b"<Faktura/>" + b" " * 3_000_000, "too_large", None),
        (b"<a>" * 900_000, "too_many_elements", None),
        (b"<a>" * 90_000, "not_well_formed", 270_000),
        (b"<a><![CDATA[" + b"<" * 700_000 + b"]]></a>", "root", 0),
        (b"<Invoice/>", "root", 0),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_bytes_that_ksef_does_not_take_are_refused(xml: bytes, code: str, offset: int | None) -> None:
    with pytest.raises(DocumentError) as caught:
        fa3.read(xml)

    assert (caught.value.problems[0].code, caught.value.problems[0].offset) == (code, offset)


@given(text=st.text(st.sampled_from("\r\n<a/>& ąż🧾\x01"), max_size=30))
def test_place_of_what_is_not_well_formed_is_where_expat_stops(text: str) -> None:
    xml = f"<Faktura>{text}".encode()
    parser = expat.ParserCreate()
    with pytest.raises(expat.ExpatError):
        parser.Parse(xml, True)

    with pytest.raises(DocumentError) as caught:
        fa3.read(xml)

    [problem] = caught.value.problems
    place = (parser.ErrorLineNumber, parser.ErrorColumnNumber + 1, parser.ErrorByteIndex)
    assert (problem.line, problem.column, problem.offset) == place


def test_comment_may_have_what_looks_like_a_dtd() -> None:
    xml = SAMPLE.replace(b"<Fa>", b"<!-- <!DOCTYPE a> <?b?> --><Fa>")

    assert fa3.read(xml) == fa3.read(SAMPLE)


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        (1230.1, "float", 'Decimal("1230.1")'),
        ("1230.00", "type", "a Decimal, not str"),
        (True, "type", "a Decimal, not bool"),
        (Decimal("NaN"), "type", "a number"),
        (None, "element_missing", "Fa has no P_15"),
    ],
    ids=str,
)
def test_field_of_another_type_is_not_written(value: Any, code: str, said: str) -> None:
    invoice = fa3.read(SAMPLE)
    invoice.fa.p_15 = value

    with pytest.raises(DocumentError, match=r".+") as caught:
        fa3.write(invoice)

    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == (code, "/Faktura/Fa/P_15")
    assert said in problem.message


def test_wrong_things_among_rows_are_named() -> None:
    invoice = fa3.read(SAMPLE)
    invoice.fa.fa_wiersz = [*invoice.fa.fa_wiersz, fa3.FaWiersz(nr_wiersza_fa=2, p_7="\x00")]
    with pytest.raises(DocumentError, match=r"/Faktura/Fa/FaWiersz\[2\]/P_7: .*U\+0000"):
        fa3.write(invoice)

    invoice.fa.fa_wiersz[1] = fa2.FaWiersz(nr_wiersza_fa=1)  # type: ignore[call-overload]
    with pytest.raises(DocumentError, match=r"/Faktura/Fa/FaWiersz\[2\]: .*takes FaWiersz"):
        fa3.write(invoice)

    with pytest.raises(TypeError, match=r"fa2\.Faktura"):
        fa2.write(invoice)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"),
    [(Decimal("1E+3"), "1000"), (Decimal("1E-7"), "0.0000001"), (5, "5"), (Decimal("-0.10"), "-0.10")],
    ids=str,
)
def test_numbers_are_written_without_exponent(value: Decimal, text: str) -> None:
    invoice = fa3.read(SAMPLE)
    invoice.fa.p_15 = value

    assert f"<P_15>{text}</P_15>".encode() in fa3.write(invoice)


# --- what editors are told


def stub(module: ModuleType) -> ast.Module:
    return ast.parse(Path(module.__file__ or "").with_suffix(".pyi").read_text("utf-8"))


@pytest.mark.parametrize("form", FORMS)
def test_models_are_what_editors_are_told(form: str) -> None:
    module = FORM_MODULES[form]
    classes = {node.name: node for node in stub(module).body if isinstance(node, ast.ClassDef)}

    assert tuple(classes) == load_models(form).names
    for name, node in classes.items():
        fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
        made = attrs.fields(getattr(module, name))
        assert [(ast.unparse(part.target), part.value is not None) for part in fields] == [
            (field.name, field.default is not attrs.NOTHING) for field in made
        ], name


@pytest.mark.parametrize("form", FORMS)
def test_values_of_types_are_what_editors_are_told(form: str) -> None:
    module = FORM_MODULES[form]
    aliases = [node for node in stub(module).body if isinstance(node, ast.AnnAssign)]

    assert len(aliases) >= 4
    for node in aliases:
        assert node.value is not None
        values = ast.literal_eval(node.value.slice)  # type: ignore[attr-defined]  # Literal[...]
        assert get_args(getattr(module, ast.unparse(node.target))) == values


def test_import_takes_little_time() -> None:
    program = """
import ksef_async, time
ksef_async.KsefClient  # what every program has
start = time.process_time()
from ksef_async.documents import fa3
fa3.Faktura
print(time.process_time() - start)
"""

    times = [float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(5)]

    assert min(times) < 0.06
