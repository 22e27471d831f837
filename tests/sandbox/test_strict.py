"""The sandbox refuses documents of the wrong shape, as KSeF does; and no others."""

from __future__ import annotations

import random
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from clients import connected
from made_documents import make_document
from parties import token_of

from ksef_async import Context, ContextType, FormCode, InvoiceRejectedError, KsefClient, KsefToken
from ksef_async.api.limits import SessionLimits
from ksef_async.documents import building, fa3
from ksef_async.documents.checking import find_shape_problems
from ksef_async.packing import pack
from ksef_async.protocol.xml import parse_xml
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.sandbox.intake import CheckedInvoice, Rejected, Relations, examine
from ksef_async.sandbox.shapes import ShapeCheck
from ksef_async.sandbox.subjects import Subject

FA3 = "http://crd.gov.pl/wzor/2025/06/25/13775/"
FORMS = {"fa3": FormCode.FA3, "fa2": FormCode.FA2, "fa_rr1": FormCode.FA_RR1}

#: What is replaced (a pattern), by what, where that is wrong below the root, and what KSeF says.
SOFT = {
    "foreign namespace": (FA3, "http://a.pl/", "", "The 'http://a.pl/:Faktura' element is not declared."),
    "form of KSeF 1.0": ("2025/06/25/13775", "2021/11/29/11089", "", "element is not declared."),
    "no P_15": ("<P_15>.*?</P_15>", "", "/Fa/Adnotacje", "List of possible elements expected: 'P_15'"),
    "no Podmiot2": ("<Podmiot2>.*</Podmiot2>", "", "/Fa", "List of possible elements expected: 'Podmiot2'"),
    "empty PMarzy": ("(<PMarzy>).*(</PMarzy>)", r"\1\2", "/Fa/Adnotacje/PMarzy", "has incomplete content."),
    "P_15 of abc": ("(<P_15>).*?<", r"\g<1>abc<", "/Fa/P_15", "The string 'abc' is not a valid Decimal value."),
    "decimal comma": ("(<P_15>).*?<", r"\g<1>1,23<", "/Fa/P_15", "The string '1,23' is not a valid Decimal value."),
    "exponent": ("(<P_15>).*?<", r"\g<1>1e3<", "/Fa/P_15", "The string '1e3' is not a valid Decimal value."),
    "three decimal places": ("(<P_15>).*?<", r"\g<1>1.234<", "/Fa/P_15", "The FractionDigits constraint failed."),
    "empty P_15": ("(<P_15>).*?<", r"\g<1><", "/Fa/P_15", "The string '' is not a valid Decimal value."),
    "invented element": ("(<P_15>)", r"<Suma>1</Suma>\1", "/Fa/Suma", "has invalid child element 'Suma'"),
    "element elsewhere": ("(<P_15>)", r"<NIP>1</NIP>\1", "/Fa/NIP", "has invalid child element 'NIP'"),
    "element of another namespace": (
        "<P_15",
        "<P_15 xmlns='x:y'",
        "/Fa/P_15",
        "'P_15' in namespace 'x:y'.",
    ),
    "invented attribute": ("<P_15", "<P_15 typ='x'", "/Fa/P_15/@typ", "The 'typ' attribute is not declared."),
    "RodzajFaktury XYZ": (">VAT<", ">XYZ<", "/Fa/RodzajFaktury", "'XYZ' is invalid according to its datatype"),
    "wrong order": ("(<P_1>.*</P_1>\n)(<P_2>.*</P_2>\n)", r"\2\1", "/Fa/P_2", "has invalid child element 'P_2'"),
    "twice": ("(<P_2>.*</P_2>\n)", r"\1\1", "/Fa/P_2[2]", "has invalid child element 'P_2'"),
    "no kodSystemowy": (
        " kodSystemowy=.FA .3..",
        "",
        "/Naglowek/KodFormularza/@kodSystemowy",
        "The required attribute 'kodSystemowy' is missing.",
    ),
    "no wersjaSchemy": (
        " wersjaSchemy=.1-0E.",
        "",
        "/Naglowek/KodFormularza/@wersjaSchemy",
        "The required attribute 'wersjaSchemy' is missing.",
    ),
    "unknown form": (
        "FA .3.",
        "FA (9)",
        "/Naglowek/KodFormularza/@kodSystemowy",
        "The value of the 'kodSystemowy' attribute does not equal its fixed value.",
    ),
    "no such day": (
        "(<P_1>).*?<",
        r"\g<1>2026-02-30<",
        "/Fa/P_1",
        "'2026-02-30' is not a valid Date value.",
    ),
    "Polish date": (
        "(<P_1>).*?<",
        r"\g<1>01.02.2026<",
        "/Fa/P_1",
        "'01.02.2026' is not a valid Date value.",
    ),
    "made before the form": (
        "(<DataWytworzeniaFa>)....",
        r"\g<1>2024",
        "/Naglowek/DataWytworzeniaFa",
        "The MinInclusive constraint failed.",
    ),
    "NIP of 9 digits": (
        "<NIP>1111111111",
        "<NIP>111111111",
        "/Podmiot2/DaneIdentyfikacyjne/NIP",
        "The Pattern constraint failed.",
    ),
    "empty P_2": ("(<P_2>).*?<", r"\1<", "/Fa/P_2", "The actual length is less than the MinLength value."),
    "P_2 of 257 characters": (
        "(<P_2>).*?<",
        rf"\g<1>{'9' * 257}<",
        "/Fa/P_2",
        "The actual length is greater than the MaxLength value.",
    ),
    "P_16 of 3": ("(<P_16>)2", r"\g<1>3", "/Fa/Adnotacje/P_16", "The Enumeration constraint failed."),
    "currency in small letters": (">PLN<", ">pln<", "/Fa/KodWaluty", "The Enumeration constraint failed."),
    "text between elements": ("(<Fa>)", r"\1tekst", "/Fa", "cannot contain text."),
    "element in a text": ("(<P_7>).*?<", r"\1<b/><", "/Fa/FaWiersz/P_7", "cannot contain child element 'b'"),
}


def on_lines(invoice: bytes) -> str:
    """The document with a line for each element."""
    return invoice.decode().replace("><", ">\n<")


@pytest.mark.parametrize(("wrong", "by", "path", "says"), SOFT.values(), ids=SOFT)
async def test_wrong_shape_is_refused_with_its_place(
    client: KsefClient, sandbox: Sandbox, wrong: str, by: str, path: str, says: str
) -> None:
    sound = on_lines(sample_invoice(sandbox.nip))
    xml = re.sub(wrong, by, sound, count=1, flags=re.DOTALL)
    assert xml != sound
    path = f"/Faktura{path}"
    # The last of these elements is the wrong one.
    *_, tag = re.finditer(f"<{path.partition('/@')[0].rpartition('/')[2].removesuffix('[2]')}[ >]", xml)
    line = xml.count("\n", 0, tag.start()) + 1
    column = tag.start() - xml.rfind("\n", 0, tag.start())

    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(xml.encode())
        with pytest.raises(InvoiceRejectedError) as caught:
            await sent.outcome()
    (row,) = [row async for row in session.failed_invoices()]

    assert caught.value.code == 450
    assert row.status.description == "Błąd weryfikacji semantyki dokumentu faktury"
    assert says in caught.value.details[0]
    assert caught.value.details[0].endswith(f"({path}, line {line}, column {column})")


async def test_everything_that_is_wrong_is_said_in_the_order_of_the_document(
    client: KsefClient, sandbox: Sandbox
) -> None:
    xml = on_lines(sample_invoice(sandbox.nip)).replace(">1230.00<", ">abc<").replace("<P_8B>1<", "<P_8B>x<")
    xml = xml.replace("<KodKraju>PL<", "<KodKraju>Polska<")

    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(InvoiceRejectedError) as caught:
            await (await session.send(xml.encode())).outcome()

    places = [detail.rpartition(" (")[2].split(",")[0] for detail in caught.value.details]
    assert places == [
        "/Faktura/Podmiot1/Adres/KodKraju",
        "/Faktura/Podmiot2/Adres/KodKraju",
        "/Faktura/Fa/P_15",
        "/Faktura/Fa/FaWiersz/P_8B",
    ]


async def test_rejected_document_keeps_its_number(client: KsefClient, sandbox: Sandbox) -> None:
    xml = sample_invoice(sandbox.nip, "FV/7").replace(b">1230.00<", b">abc<")

    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(InvoiceRejectedError):
            await (await session.send(xml)).outcome()
    (row,) = [row async for row in session.failed_invoices()]

    assert row.invoice_number == "FV/7"


async def test_wrong_shape_is_refused_in_a_batch(client: KsefClient, sandbox: Sandbox) -> None:
    wrong = sample_invoice(sandbox.nip, "FV/1").replace(b"<RodzajFaktury>VAT", b"<RodzajFaktury>XYZ")
    invoices = [("1.xml", wrong, "wrong"), ("2.xml", sample_invoice(sandbox.nip, "FV/2"), "sound")]

    async with pack(invoices) as package:
        async with await client.sessions.open_batch(package, form_code=FormCode.FA3) as session:
            pass
        outcomes = {outcome.key: outcome.outcome async for outcome in session.outcomes()}

    assert isinstance(rejected := outcomes["wrong"], InvoiceRejectedError)
    assert rejected.code == 450
    assert "(/Faktura/Fa/RodzajFaktury, line 2, " in rejected.details[0]
    assert not isinstance(outcomes["sound"], InvoiceRejectedError)


async def test_lax_sandbox_takes_what_it_can_read() -> None:
    async with (
        Sandbox(strict=False) as sandbox,
        connected(sandbox) as client,
        await client.sessions.open_online(FormCode.FA3) as session,
    ):
        xml = sample_invoice(sandbox.nip).replace(b">1230.00<", b">abc<").replace(FA3.encode(), b"x:y")
        accepted = await (await session.send(xml)).outcome()

    assert accepted.invoice_number == "FV/1"


async def test_document_of_another_form_is_refused_as_by_ksef(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA2) as session:
        with pytest.raises(InvoiceRejectedError) as caught:
            await (await session.send(sample_invoice(sandbox.nip))).outcome()

    assert caught.value.details == ("The value of the 'kodSystemowy' attribute does not equal its fixed value.",)


@pytest.mark.parametrize("content", ["", "<Faktura/>"], ids=["nothing", "an element"])
async def test_form_whose_shape_is_unknown_is_checked_as_before(sandbox: Sandbox, content: str) -> None:
    provider = Context(ContextType.PEPPOL_ID, "PPL123456")
    token = token_of(sandbox, Subject("PeppolId", "PPL123456"), provider)
    number = "<ID>FV/1</ID><IssueDate>2026-01-01</IssueDate>"
    seller = "<CompanyID>PL5265877635</CompanyID>"
    for name in ("PartyTaxScheme", "Party", "AccountingSupplierParty"):
        seller = f"<{name}>{seller}</{name}>"

    async with (
        KsefClient(sandbox.environment, KsefToken(context=provider, token=token)) as client,
        await client.sessions.open_online(FormCode.PEF3) as session,
    ):
        sent = await session.send(f"<Invoice>{number}{seller}{content}</Invoice>".encode())
        with pytest.raises(InvoiceRejectedError) as caught:
            await sent.outcome()

    # It was read; nobody has authorized the provider.
    assert caught.value.code == 410


# --- what KSeF takes is taken ----------------------------------------------------------------------------------------


def examined(form: str, xml: bytes) -> CheckedInvoice | Rejected:
    """What the sandbox makes of a document that its seller sends, or its buyer where that is how the form is sent."""
    root = parse_xml(xml)
    seller = root.findtext("{*}Podmiot1/{*}DaneIdentyfikacyjne/{*}NIP") or ""
    buyer = root.findtext("{*}Podmiot2/{*}DaneIdentyfikacyjne/{*}NIP") or ""
    code = FORMS[form]
    try:
        return examine(
            xml,
            form_code=code,
            context=Context(ContextType.NIP, buyer if form == "fa_rr1" else seller),
            received_at=datetime(2050, 1, 2, 12, tzinfo=UTC),
            declared=None,
            is_correction=True,
            check_identifiers=False,
            limits=SessionLimits(max_invoice_size_mb=1, max_invoice_with_attachment_size_mb=3, max_invoices=1),
            find_shape_problems=partial(ShapeCheck().problems, code),
            relations=Relations(authorizations=frozenset({(seller, "RRInvoicing")})),
        )
    except Rejected as rejected:
        return rejected


@pytest.mark.timeout(120)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fill", [0.1, 0.5], ids=["short", "long"])
def test_every_valid_document_is_accepted(form: str, fill: float) -> None:
    chance = random.Random(f"{form} {fill}")

    for number in range(100):
        xml = make_document(form, chance, fill=fill)
        assert not find_shape_problems(parse_xml(xml))
        verdict = examined(form, xml)
        assert isinstance(verdict, CheckedInvoice), (number, verdict, xml)


RATES: list[Any] = ["23", "22", "8", "7", "5", "4", "3", "0 KR", "0 WDT", "0 EX", "zw", "np I", "np II", "oo"]


def built(nip: str, chance: random.Random, number: int) -> bytes:
    """An invoice of the builder's, of chance."""
    currency = chance.choice(["PLN", "PLN", "EUR"])
    rows = [
        building.row(
            chance.choice(["Zażółć gęślą jaźń", "<&>\"'", "x" * 200]),
            Decimal(chance.randint(1, 10**6)).scaleb(-3),
            Decimal(chance.randint(1, 10**7)).scaleb(-2),
            rate=chance.choice(RATES),
            gross=chance.random() < 0.2,
        )
        for _ in range(chance.randint(1, 9))
    ]
    invoice = building.invoice(
        seller=building.seller(nip, "Żółw i Wspólnicy sp. z o.o.", "ul. Łąkowa 1\n00-001 Warszawa", email="a@b.pl"),
        buyer=building.buyer("Nabywca S.A.", "ul. Wzorcowa 2, 30-002 Kraków", nip="1111111111"),
        rows=rows,
        number=f"FV/{number}",
        issued_on=date(2026, 3, 1),
        currency=currency,
        exchange_rate=None if currency == "PLN" else Decimal("4.2345"),
        notes=building.legal_notes(exempt_act="art. 43 ust. 1 pkt 37"),
        payment=building.payment(due=date(2026, 3, 15), form="transfer", account="73111111111111111111111111"),
    )
    return fa3.write(invoice)


async def test_200_built_invoices_are_accepted(client: KsefClient, sandbox: Sandbox) -> None:
    chance = random.Random(17)
    invoices = [(f"{number}.xml", built(sandbox.nip, chance, number)) for number in range(200)]

    async with pack(invoices) as package:
        async with await client.sessions.open_batch(package, form_code=FormCode.FA3) as session:
            pass
        outcomes = [outcome.outcome async for outcome in session.outcomes()]

    assert len(outcomes) == 200
    assert [outcome for outcome in outcomes if isinstance(outcome, InvoiceRejectedError)] == []
