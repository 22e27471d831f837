"""What there is to read in invoices: one with something to read in it, and what any says in its own words."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from xml.etree import ElementTree as ET

from ksef_async.documents.shape import Shape

__all__ = ["office_invoice", "said_values"]

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
