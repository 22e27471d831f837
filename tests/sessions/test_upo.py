from __future__ import annotations

import orjson
import pytest
from clients import connected
from official import UPO_SAMPLES, needs

from ksef_async import BadRequestError, Context, ContextType, ForbiddenError, FormCode, KsefClient, RemoteProtocolError
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sandbox.faults import DOWNLOAD_UPO
from ksef_async.sessions.upo import parse_upo, verify_upo

UPO = """<?xml version="1.0" encoding="utf-8"?>
<Potwierdzenie xmlns="http://upo.schematy.mf.gov.pl/KSeF/v4-3">
  <NazwaPodmiotuPrzyjmujacego>Ministerstwo Finansów</NazwaPodmiotuPrzyjmujacego>
  <NumerReferencyjnySesji>20250625-SO-2C3E6C8000-B675CF5D68-07</NumerReferencyjnySesji>
  <Uwierzytelnienie>
    <IdKontekstu><Nip>5265877635</Nip></IdKontekstu>
    <NumerReferencyjnyTokenaKSeF>20250819-EC-1ECDD12000-5EE71AE5E3-B7</NumerReferencyjnyTokenaKSeF>
  </Uwierzytelnienie>
  <NazwaStrukturyLogicznej>Schemat_FA(3)_v1-0E.xsd</NazwaStrukturyLogicznej>
  <KodFormularza>FA (3)</KodFormularza>
  <Dokument>
    <NipSprzedawcy>5265877635</NipSprzedawcy>
    <NumerKSeFDokumentu>5265877635-20250826-0100001AF629-AF</NumerKSeFDokumentu>
    <NumerFaktury>FV/1</NumerFaktury>
    <DataWystawieniaFaktury>2025-08-26</DataWystawieniaFaktury>
    <DataPrzeslaniaDokumentu>2025-08-26T11:02:41.584+02:00</DataPrzeslaniaDokumentu>
    <DataNadaniaNumeruKSeF>2025-08-26T11:02:42.084+02:00</DataNadaniaNumeruKSeF>
    <SkrotDokumentu>jli86Kp2Kw7jppX59P8VmjWRcwLTvsPK3DcPEB87mNk=</SkrotDokumentu>
    <TrybWysylki>Online</TrybWysylki>
  </Dokument>
</Potwierdzenie>
"""
SESSION = "20250625-SO-2C3E6C8000-B675CF5D68-07"


@needs(UPO_SAMPLES)
def test_official_samples_are_read() -> None:
    documents = {path.name: parse_upo(path.read_bytes()) for path in sorted(UPO_SAMPLES.glob("*/*.xml"))}

    assert len(documents) == 6
    assert {document.form for document in documents.values()} == {"FA (3)"}
    session = documents["upo-sesja-kontekst-id-nip.xml"]
    assert session.context == Context(ContextType.NIP, "5265877635")
    assert [entry.invoice_number for entry in session.entries] == [
        "FA/SIGTF-3388125147/11/2025",
        "FA/XVQUD-9997622510/04/2027",
    ]
    assert documents["upo-faktura-internal-id.xml"].context.type is ContextType.INTERNAL_ID
    assert documents["upo-sesja-id-zlozony-vat-ue.xml"].context.type is ContextType.NIP_VAT_UE


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("Potwierdzenie", "Faktura", "not Potwierdzenie", id="another document"),
        pytest.param("<KodFormularza>FA (3)</KodFormularza>", "", "KodFormularza is missing", id="no form"),
        pytest.param("<Nip>5265877635</Nip>", "<Inny>1</Inny>", "IdKontekstu", id="unknown context"),
        pytest.param("<NumerFaktury>FV/1</NumerFaktury>", "", "Dokument/NumerFaktury is missing", id="no number"),
        pytest.param("0100001AF629-AF", "0100001AF629-AE", "wrong check digits", id="broken KSeF number"),
        pytest.param("2025-08-26<", "26.08.2025<", "26.08.2025", id="broken date"),
        pytest.param("mNk=", "mNk", "padding", id="broken hash"),
        pytest.param(
            '<?xml version="1.0" encoding="utf-8"?>', '<!DOCTYPE p [<!ENTITY e "x">]>', "DTD is not allowed", id="dtd"
        ),
        pytest.param("</Potwierdzenie>", "", "not well-formed", id="cut off"),
    ],
)
async def test_document_that_is_no_upo_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        await verify_upo(UPO.replace(old, new).encode(), session_reference_number=SESSION)


async def test_upo_of_another_session_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="is about session"):
        await verify_upo(UPO.encode(), session_reference_number=SESSION.replace("SO", "SB"))


async def test_older_upo_without_mode_is_read() -> None:
    old = UPO.replace("v4-3", "v4-2").replace("<TrybWysylki>Online</TrybWysylki>", "")

    document = await verify_upo(old.encode(), session_reference_number=SESSION)

    assert document.entries[0].invoicing_mode is None


async def test_large_upo_is_read_off_the_event_loop() -> None:
    head, entry, tail = UPO.partition("  <Dokument>")[0], UPO[UPO.index("  <Dokument>") :], "</Potwierdzenie>"
    entry = entry.removesuffix("</Potwierdzenie>\n")

    document = await verify_upo((head + entry * 2000 + tail).encode(), session_reference_number=SESSION)

    assert len(document.entries) == 2000


@pytest.mark.parametrize(
    "other",
    [
        pytest.param('<Dokument xmlns="urn:other"><NumerFaktury/></Dokument>', id="of another namespace"),
        pytest.param("<Inny><Dokument><NumerFaktury/></Dokument></Inny>", id="inside something else"),
    ],
)
def test_only_the_documents_of_the_receipt_itself_count(other: str) -> None:
    document = parse_upo(UPO.replace("  <Dokument>", f"  {other}<Dokument>").encode())

    assert [entry.invoice_number for entry in document.entries] == ["FV/1"]


async def test_invoice_has_its_own_upo_while_the_session_is_open(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(sample_invoice(sandbox.nip))
        accepted = await sent.outcome()

        document = await sent.upo()

    assert [entry.ksef_number for entry in document.entries] == [accepted.ksef_number]
    assert b"Potwierdzenie" in document.xml


async def test_invoice_that_is_not_accepted_has_no_upo(still_sandbox: Sandbox) -> None:
    sandbox = still_sandbox
    async with connected(sandbox) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            sent = await session.send(sample_invoice(sandbox.nip))

            with pytest.raises(BadRequestError) as caught:
                await sent.upo()

    assert caught.value.code == 21178


async def test_page_is_fetched_by_its_reference_number(sandbox: Sandbox, client: KsefClient) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    async with session:
        await (await session.send(sample_invoice(sandbox.nip))).outcome()
    receipt = await session.upo()
    status = await session.status()
    assert status.upo is not None

    page = await session.upo_page(status.upo.pages[0].reference_number)

    assert page == receipt.documents[0]
    with pytest.raises(BadRequestError) as caught:
        await session.upo_page("20250625-EU-2C3E6C8000-B675CF5D68-07")
    assert caught.value.code == 21178


LINK_TROUBLE = {
    "over": Fault.link_refused(),
    "gone": Fault.link_refused(404, "BlobNotFound"),
    "a firewall's page": Fault.html(403),
    "busy": Fault.link_refused(503, "ServerBusy"),
    "broken connections": Fault.drop_before(),
    "another document": Fault.answer_becomes(body=b"<Potwierdzenie/>"),
}


@pytest.mark.parametrize("fault", LINK_TROUBLE.values(), ids=LINK_TROUBLE)
async def test_receipt_comes_through_the_api_where_links_are_blocked(
    client: KsefClient, sandbox: Sandbox, fault: Fault
) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    async with session:
        accepted = await (await session.send(sample_invoice(sandbox.nip))).outcome()
    sandbox.faults.add(DOWNLOAD_UPO, fault, times=1000)

    receipt = await session.upo()

    assert [entry.ksef_number for entry in receipt.entries] == [accepted.ksef_number]


@pytest.mark.parametrize(
    "by_api",
    [
        pytest.param(Fault.refuse(21178), id="not known"),
        pytest.param(Fault.answer_becomes(body=b"<Potwierdzenie/>"), id="another document"),
    ],
)
async def test_new_link_is_tried_where_link_and_api_fail(client: KsefClient, sandbox: Sandbox, by_api: Fault) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    async with session:
        accepted = await (await session.send(sample_invoice(sandbox.nip))).outcome()
    sandbox.faults.add(DOWNLOAD_UPO, Fault.link_refused())
    sandbox.faults.add("get_session_upo_page", by_api, times=1000)

    receipt = await session.upo()

    assert [entry.ksef_number for entry in receipt.entries] == [accepted.ksef_number]


async def test_receipt_that_comes_in_no_way_is_told_with_every_reason(client: KsefClient, sandbox: Sandbox) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    async with session:
        await (await session.send(sample_invoice(sandbox.nip))).outcome()
    sandbox.faults.add(DOWNLOAD_UPO, Fault.link_refused(), times=1000)
    sandbox.faults.add("get_session_upo_page", Fault.refuse(21178), times=1000)

    with pytest.raises(ForbiddenError) as caught:
        await session.upo()

    assert "code 21178" in caught.value.__notes__[0]


async def test_receipt_that_is_named_a_moment_after_the_session_is_processed_is_waited_for(
    client: KsefClient, sandbox: Sandbox
) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    async with session:
        await (await session.send(sample_invoice(sandbox.nip))).outcome()
    async for _ in session.transitions():
        pass

    def without_pages(body: bytes) -> bytes:
        return orjson.dumps(orjson.loads(body) | {"upo": None})

    sandbox.faults.add("get_session_status", Fault.answer_becomes(body=without_pages), times=2)

    assert len((await session.upo()).documents) == 1
