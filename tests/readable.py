"""What there is to read in invoices: one with something to read in it, and what any says in its own words."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from xml.etree import ElementTree as ET

from ksef_async.documents import building, fa3
from ksef_async.documents.shape import Shape

__all__ = ["export_correction", "office_invoice", "said_values"]

_LINES = (
    ("Fotel biurowy Wierzba, tapicerka grafitowa", "szt.", 4, "689.00", 23),
    ("Biurko regulowane elektrycznie 160 × 80 cm", "szt.", 2, "1849.00", 23),
    ("Montaż i transport na terenie Krakowa", "usł.", 1, "350.00", 8),
    ("Katalog wzorów tkanin, wydanie drukowane", "egz.", 3, "24.90", 5),
)


def office_invoice(seller_nip: str, number: str, issued_on: date, *, seller: str = "Meble Wierzba sp. z o.o.") -> bytes:
    """An FA(3) invoice of four lines at three rates, with terms of payment. ``seller`` is put in as it is."""
    net = dict.fromkeys((23, 8, 5), Decimal(0))
    lines = ""
    for position, (name, unit, quantity, price, rate) in enumerate(_LINES, 1):
        value = Decimal(price) * quantity
        net[rate] += value
        lines += (
            f"<FaWiersz><NrWierszaFa>{position}</NrWierszaFa><P_7>{name}</P_7><P_8A>{unit}</P_8A>"
            f"<P_8B>{quantity}</P_8B><P_9A>{price}</P_9A><P_11>{value:.2f}</P_11><P_12>{rate}</P_12></FaWiersz>"
        )
    sums, total = "", Decimal(0)
    for field, (rate, value) in enumerate(net.items(), 1):
        vat = (value * rate / 100).quantize(Decimal("0.01"))
        total += value + vat
        sums += f"<P_13_{field}>{value:.2f}</P_13_{field}><P_14_{field}>{vat:.2f}</P_14_{field}>"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Faktura xmlns="http://crd.gov.pl/wzor/2025/06/25/13775/">
<Naglowek><KodFormularza kodSystemowy="FA (3)" wersjaSchemy="1-0E">FA</KodFormularza>
<WariantFormularza>3</WariantFormularza><DataWytworzeniaFa>{issued_on}T08:00:00Z</DataWytworzeniaFa>
<SystemInfo>ksef_async</SystemInfo></Naglowek>
<Podmiot1><DaneIdentyfikacyjne><NIP>{seller_nip}</NIP><Nazwa>{seller}</Nazwa></DaneIdentyfikacyjne>
<Adres><KodKraju>PL</KodKraju><AdresL1>ul. Stolarska 14/2</AdresL1><AdresL2>60-788 Poznań</AdresL2></Adres></Podmiot1>
<Podmiot2><DaneIdentyfikacyjne><NIP>1111111111</NIP><Nazwa>Kancelaria Lipa i Wspólnicy sp.k.</Nazwa>
</DaneIdentyfikacyjne><Adres><KodKraju>PL</KodKraju><AdresL1>ul. Karmelicka 33</AdresL1>
<AdresL2>31-131 Kraków</AdresL2></Adres><JST>2</JST><GV>2</GV></Podmiot2>
<Fa><KodWaluty>PLN</KodWaluty><P_1>{issued_on}</P_1><P_1M>Poznań</P_1M><P_2>{number}</P_2><P_6>{issued_on}</P_6>
{sums}<P_15>{total:.2f}</P_15>
<Adnotacje><P_16>2</P_16><P_17>2</P_17><P_18>2</P_18><P_18A>1</P_18A><Zwolnienie><P_19N>1</P_19N></Zwolnienie>
<NoweSrodkiTransportu><P_22N>1</P_22N></NoweSrodkiTransportu><P_23>2</P_23><PMarzy><P_PMarzyN>1</P_PMarzyN></PMarzy>
</Adnotacje><RodzajFaktury>VAT</RodzajFaktury>{lines}
<Platnosc><TerminPlatnosci><Termin>{issued_on + timedelta(days=14)}</Termin></TerminPlatnosci>
<FormaPlatnosci>6</FormaPlatnosci><RachunekBankowy><NrRB>61109010140000071219812874</NrRB></RachunekBankowy></Platnosc>
</Fa></Faktura>""".encode()


def said_values(root: ET.Element, shape: Shape) -> list[str]:
    """The values that a document says in its own words: no codes, no flags, no numbers of rows."""
    values: list[str] = []

    def collect(element: ET.Element, type_name: str) -> None:
        complex_type = shape.complex(type_name)
        types = {item.name: item.type for item in complex_type.items}
        for child in element:
            child_type = types[child.tag.rpartition("}")[2]]
            if not shape.is_simple(child_type):
                collect(child, child_type)
            elif shape.simple(child_type).base in {"string", "date", "datetime"} and not shape.simple(child_type).enum:
                values.append(" ".join((child.text or "").split()))

    collect(root, shape.root)
    return values


def export_correction() -> bytes:
    """A correction in EUR with nearly all that a page may have: margin, exempt rows, a third party, an attachment."""
    before = [
        building.row("Turbina wiatrowa Żar 3000, łopaty z włókna węglowego", 2, Decimal("12450.00"), code="84128080"),
        building.row("Montaż i rozruch na miejscu", 36, Decimal("118.50"), unit="godz.", rate="8"),
    ]
    after = [
        building.row("Turbina wiatrowa Żar 3000, łopaty z włókna węglowego", 2, Decimal("11990.00"), code="84128080"),
        building.row("Montaż i rozruch na miejscu", 40, Decimal("118.50"), unit="godz.", rate="8"),
    ]
    rows = building.changes(before, after)
    rows += [
        building.row("Szkolenie obsługi (usługa zwolniona)", 1, Decimal("900.00"), rate="zw", unit="usł."),
        building.row("Agregat prądotwórczy, używany", 1, Decimal("2150.00"), rate=None, gross=True),
    ]
    for number, one in enumerate(rows[len(before) + len(after) :], 3):
        one.nr_wiersza_fa = number
    block = building.attachment_block(
        {"Licznik": "PL-88-4471", "Okres": "styczeń 2026"},
        heading="Produkcja prądu w czasie rozruchu",
        paragraphs=["Odczyty co siedem dni, w kilowatogodzinach."],
        columns=["Dzień", "Turbina 1", "Turbina 2", "Razem"],
        rows=[["2026-01-07", "1204,5", "1188,0", "2392,5"], ["2026-01-14", "1321,0", "1297,5", "2618,5"]],
    )
    invoice = building.invoice(
        seller=building.seller(
            "5265877635", "Zażółć Energia sp. z o.o.", "ul. Źródlana 7\n00-001 Łódź", email="faktury@zazolc.example"
        ),
        buyer=building.buyer(
            "Windpark Nord GmbH", "Hafenstraße 12, 20457 Hamburg", eu_vat=("DE", "136695976"), country="DE"
        ),
        rows=rows,
        number="FK/2026/02/11",
        issued_on=date(2026, 2, 27),
        period=(date(2026, 1, 1), date(2026, 1, 31)),
        place="Łódź",
        currency="EUR",
        exchange_rate=Decimal("4.2137"),
        notes=building.legal_notes(split_payment=True, exempt_act="art. 43 ust. 1 pkt 29", margin="used_goods"),
        payment=building.payment(
            due=date(2026, 3, 13), form="transfer", account="73111111111111111111111111", bank="Bank Świętokrzyski S.A."
        ),
        third_parties=[building.third_party("payer", "Ärmelkanal Finanz AG", "Ringstraße 1, Wien", nip="1111111111")],
        attachment=building.attachment(block),
    )
    corrected = building.corrected_invoice("FV/2026/01/88", date(2026, 1, 31), "5265877635-20260131-0100001AF629-AF")
    return fa3.write(
        building.make_correction(
            invoice, [corrected], reason="Upust za opóźnienie i dłuższy montaż", effect="correction"
        )
    )
