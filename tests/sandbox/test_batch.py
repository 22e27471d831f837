"""The batch half of the sandbox, by hand: opening, the storage, closing, every state by the clock."""

from __future__ import annotations

import secrets
import socket
from typing import Any
from urllib.parse import urlsplit

import anyio
import attrs
import pytest
from packages import tarred, zipped
from sandbox.wire import FA3, START, Answer, Tokens, Wire, connected, encrypt, sha256

from ksef_async.sandbox import Fault, Timings
from ksef_async.sandbox.sessions import BatchSession

BLOB = {"x-ms-blob-type": "BlockBlob"}
ATTACHMENT = (
    b"<Zalacznik><BlokDanych><MetaDane><ZKlucz>a</ZKlucz><ZWartosc>b</ZWartosc></MetaDane></BlokDanych></Zalacznik>"
)
UNKNOWN = "20250625-SB-2C3E6C8000-B675CF5D68-07"


@attrs.frozen
class Batch:
    """A batch session, with what its owner knows."""

    wire: Wire
    reference_number: str
    requests: list[dict[str, Any]]
    parts: list[bytes]
    access: str

    async def get(self, path: str = "") -> Any:
        return (await self.wire.call("GET", f"/sessions/{self.reference_number}{path}", self.access)).json

    async def status(self) -> tuple[int, list[str]]:
        status = (await self.get())["status"]
        return status["code"], status.get("details") or []

    async def put(self, number: int = 1, data: bytes | None = None) -> Answer:
        """Upload a part."""
        request = self.requests[number - 1]
        content = self.parts[number - 1] if data is None else data
        return await self.wire.call("PUT", request["url"], data=content, headers=request["headers"])

    async def close(self) -> Answer:
        return await self.wire.call("POST", f"/sessions/batch/{self.reference_number}/close", self.access)

    async def processed(self) -> None:
        """Wait until the sandbox has done its work, which the clock does not show."""
        session = self.wire.sandbox.world.sessions[self.reference_number]
        assert isinstance(session, BatchSession)
        with anyio.fail_after(5):
            while session.result is None:
                await anyio.sleep(0.005)


async def request_for(wire: Wire, archive: bytes, cut_at: int, **changes: Any) -> tuple[dict[str, Any], list[bytes]]:
    key, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    parts = [encrypt(archive[start : start + cut_at], key, iv) for start in range(0, len(archive), cut_at)]
    request = await wire.open_request(key, iv)
    request["batchFile"] = {
        "fileSize": len(archive),
        "fileHash": sha256(archive),
        "compressionType": "Zip",
        "fileParts": [
            {"ordinalNumber": number, "fileSize": len(part), "fileHash": sha256(part)}
            for number, part in enumerate(parts, 1)
        ],
    }
    request["batchFile"] |= changes.pop("batchFile", {})
    return request | changes, parts


async def opened(wire: Wire, tokens: Tokens, archive: bytes | None = None, **changes: Any) -> Batch:
    archive = archive or zipped([(f"{number}.xml", wire.invoice(f"FV/{number}")) for number in (1, 2)])
    request, parts = await request_for(wire, archive, changes.pop("cut_at", 600), **changes)
    answer = await wire.call("POST", "/sessions/batch", tokens.access, json=request)
    assert answer.status == 201, answer.body
    return Batch(wire, answer.json["referenceNumber"], answer.json["partUploadRequests"], parts, tokens.access)


@pytest.fixture
async def batch(wire: Wire, tokens: Tokens) -> Batch:
    return await opened(wire, tokens)


# --- opening -------------------------------------------------------------------------------------------------


async def test_opening_tells_how_to_upload_each_part(batch: Batch) -> None:
    host = urlsplit(batch.wire.sandbox.environment.base_url).netloc

    assert batch.reference_number[8:12] == "-SB-"
    assert [request["ordinalNumber"] for request in batch.requests] == [*range(1, len(batch.parts) + 1)]
    for request in batch.requests:
        assert (request["method"], request["headers"]) == ("PUT", BLOB)
        url = urlsplit(request["url"])
        number = request["ordinalNumber"]
        assert (url.netloc, url.path) == (
            host,
            f"/storage/09/{batch.reference_number.lower()}/batch-parts/{number}.zip.enc",
        )
        assert "sp=w&" in url.query
    assert (await batch.status()) == (100, [])
    assert "invoiceCount" not in await batch.get()


@pytest.mark.parametrize(
    ("change", "code", "detail"),
    [
        ({"batchFile": {"fileSize": 5_000_000_001}}, 21405, "'fileSize' must be less than or equal to '5000000000'."),
        ({"batchFile": {"fileSize": 0}}, 21405, "'fileSize' must be greater than or equal to '1'."),
        ({"batchFile": {"fileHash": "AAAA"}}, 21405, "Niepoprawny skrót pliku."),
        ({"batchFile": {"fileParts": []}}, 21405, "'fileParts' must not be empty."),
        ({"batchFile": {"compressionType": "Rar"}}, 21405, "'compressionType' has a range of values"),
        (
            {"formCode": {"systemCode": "PEF (3)", "schemaVersion": "2-1", "value": "PEF"}},
            21405,
            "Wskazany kod formularza nie jest wspierany.",
        ),
        (
            {"batchFile": {"fileParts": [{"ordinalNumber": 2, "fileSize": 16, "fileHash": sha256(b"")}]}},
            21405,
            "'fileParts.ordinalNumber' must be unique and count from 1.",
        ),
        (
            {"batchFile": {"fileParts": [{"ordinalNumber": 1, "fileSize": 0, "fileHash": sha256(b"")}]}},
            21405,
            "'fileParts.fileSize' must be greater than or equal to '1'.",
        ),
        (
            {"batchFile": {"fileParts": [{"ordinalNumber": 1, "fileSize": 100_000_017, "fileHash": sha256(b"")}]}},
            21157,
            "Rozmiar części 1 przekroczył dozwolony rozmiar 100MB.",
        ),
        (
            {
                "batchFile": {
                    "fileParts": [
                        {"ordinalNumber": number, "fileSize": 16, "fileHash": sha256(b"")} for number in range(1, 52)
                    ]
                }
            },
            21161,
            "Liczba części pliku musi być mniejsza lub równa niż 50.",
        ),
    ],
)
async def test_package_that_ksef_does_not_take_is_refused_at_once(
    wire: Wire, tokens: Tokens, change: dict[str, Any], code: int, detail: str
) -> None:
    request, _ = await request_for(wire, b"archive", 100, **change)

    answer = await wire.call("POST", "/sessions/batch", tokens.access, json=request)

    assert answer.error == (400, code)
    assert answer.details[0].startswith(detail)
    assert wire.sandbox.world.sessions == {}


async def test_largest_part_and_package_are_taken(wire: Wire, tokens: Tokens) -> None:
    parts = [{"ordinalNumber": n, "fileSize": 100_000_016, "fileHash": sha256(b"")} for n in range(1, 51)]
    request, _ = await request_for(wire, b"x", 100, batchFile={"fileSize": 5_000_000_000, "fileParts": parts})

    assert (await wire.call("POST", "/sessions/batch", tokens.access, json=request)).status == 201


async def test_compression_is_zip_unless_told_otherwise(wire: Wire, tokens: Tokens) -> None:
    batch = await opened(wire, tokens, batchFile={"compressionType": None}, formCode=FA3)

    assert batch.requests[0]["url"].partition("?")[0].endswith(".zip.enc")


# --- the storage ---------------------------------------------------------------------------------------------


async def test_part_is_taken_with_201_and_nothing_else(batch: Batch) -> None:
    answer = await batch.put()

    assert (answer.status, answer.body) == (201, b"")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Authorization": "Bearer x"}, 400, "InvalidAuthenticationInfo"),
        ({"x-ms-blob-type": "PageBlob"}, 400, "InvalidHeaderValue"),
    ],
)
async def test_upload_with_wrong_headers_is_refused(
    batch: Batch, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await batch.wire.call("PUT", batch.requests[0]["url"], data=batch.parts[0], headers=BLOB | headers)

    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert f"<Code>{code}</Code>".encode() in answer.body


async def test_blob_type_is_demanded(batch: Batch) -> None:
    answer = await batch.wire.call("PUT", batch.requests[0]["url"], data=batch.parts[0])

    assert (answer.status, b"<Code>MissingRequiredHeader</Code>" in answer.body) == (400, True)


async def raw(batch: Batch, *lines: str, body: bytes = b"") -> bytes:
    """A request as it stands, for what no client would send."""
    url = urlsplit(batch.requests[0]["url"])
    head = [f"PUT {url.path}?{url.query} HTTP/1.1", f"Host: {url.netloc}", "x-ms-blob-type: BlockBlob", *lines]
    head.append("Connection: close")
    async with await anyio.connect_tcp(url.hostname or "", url.port or 0) as stream:
        await stream.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        answer = b""
        try:
            while True:
                answer += await stream.receive()
        except anyio.EndOfStream:
            return answer


async def test_chunked_upload_is_refused(batch: Batch) -> None:
    answer = await raw(batch, "Transfer-Encoding: chunked", body=b"1\r\nx\r\n0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<Code>UnsupportedHeader</Code>" in answer


async def test_upload_without_a_length_is_refused(batch: Batch) -> None:
    answer = await raw(batch)

    assert answer.startswith(b"HTTP/1.1 411 ")
    assert b"<Code>MissingContentLengthHeader</Code>" in answer


async def test_upload_that_breaks_off_counts_for_nothing(batch: Batch) -> None:
    url = urlsplit(batch.requests[0]["url"])
    async with await anyio.connect_tcp(url.hostname or "", url.port or 0) as stream:
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nx-ms-blob-type: BlockBlob\r\n"
        await stream.send(f"{head}Content-Length: 600\r\n\r\n".encode() + bytes(100))
        await anyio.sleep(0.1)
        stream.extra(anyio.abc.SocketAttribute.raw_socket).shutdown(socket.SHUT_RDWR)

    with anyio.fail_after(5):
        while [*batch.wire.sandbox.world.spool.iterdir()]:
            await anyio.sleep(0.01)
    assert (await batch.close()).error == (400, 21205)


@pytest.mark.parametrize("change", [("sig=", "sig=A"), ("1.zip.enc", "2.zip.enc"), ("sp=w", "sp=r")])
async def test_link_that_was_changed_is_refused(batch: Batch, change: tuple[str, str]) -> None:
    url = batch.requests[0]["url"].replace(*change)

    answer = await batch.wire.call("PUT", url, data=batch.parts[0], headers=BLOB)

    assert (answer.status, b"<Code>AuthenticationFailed</Code>" in answer.body) == (403, True)


async def test_link_to_upload_does_not_read(batch: Batch) -> None:
    await batch.put()

    answer = await batch.wire.call("GET", batch.requests[0]["url"])

    assert (answer.status, b"<Code>AuthenticationFailed</Code>" in answer.body) == (403, True)


async def test_every_part_has_the_time_of_all(batch: Batch) -> None:
    window = 20 * 60 * len(batch.parts)

    batch.wire.advance(window - 1)
    assert (await batch.put()).status == 201
    batch.wire.advance(2)
    assert (await batch.put()).status == 403


async def test_part_may_be_uploaded_again_until_the_close(batch: Batch) -> None:
    assert (await batch.put(data=b"rubbish")).status == 201
    for number in range(1, len(batch.parts) + 1):
        assert (await batch.put(number)).status == 201
    assert (await batch.close()).status == 204
    # What comes now is taken, and changes nothing.
    assert (await batch.put(data=b"rubbish")).status == 201
    await batch.processed()
    batch.wire.advance(3)

    assert await batch.status() == (200, [])


async def test_parts_are_gone_when_the_sandbox_is(tmp_path: object) -> None:
    async with connected() as wire:
        batch = await opened(wire, await wire.tokens())
        await batch.put()
        spool = wire.sandbox.world.spool
        assert [*spool.iterdir()] != []

    assert not spool.exists()


async def test_parts_are_gone_and_documents_are_kept_when_the_package_is_processed(batch: Batch) -> None:
    spool = batch.wire.sandbox.world.spool
    for number in range(1, len(batch.parts) + 1):
        await batch.put(number)
    assert len([*spool.iterdir()]) == len(batch.parts)

    await batch.close()
    await batch.processed()

    assert [(file.name, file.stat().st_size) for file in spool.iterdir()] == [
        ("documents", sum(len(batch.wire.invoice(f"FV/{number}")) for number in (1, 2)))
    ]


# --- closing -------------------------------------------------------------------------------------------------


async def test_close_names_the_part_that_is_missing_and_leaves_the_session_open(batch: Batch) -> None:
    await batch.put(1)

    answer = await batch.close()

    assert answer.error == (400, 21205)
    assert answer.details == ["Nie przesłano zadeklarowanej '2' części pliku."]
    assert await batch.status() == (100, [])


async def test_close_names_the_part_whose_size_is_wrong(batch: Batch) -> None:
    for number in range(1, len(batch.parts) + 1):
        await batch.put(number)
    await batch.put(2, data=batch.parts[1][:-16])

    answer = await batch.close()

    assert answer.error == (400, 21157)
    assert answer.details == ["Zadeklarowany rozmiar części '2' nie zgadza się z rzeczywistym."]


async def test_close_comes_too_late(batch: Batch) -> None:
    batch.wire.advance(20 * 60 * len(batch.parts) + 1)
    tokens = await batch.wire.tokens()

    answer = await attrs.evolve(batch, access=tokens.access).close()

    assert answer.error == (400, 21208)
    assert answer.details == ["Sesja anulowana, przekroczony czas wysyłki."]


async def test_session_that_is_not_closed_expires(batch: Batch) -> None:
    for number in range(1, len(batch.parts) + 1):
        await batch.put(number)
    batch.wire.advance(12 * 3600)
    batch = attrs.evolve(batch, access=(await batch.wire.tokens()).access)

    assert await batch.status() == (440, ["Przekroczono czas wysyłki"])
    assert (await batch.close()).error == (400, 21208)


async def test_session_is_closed_once(batch: Batch) -> None:
    for number in range(1, len(batch.parts) + 1):
        await batch.put(number)
    assert (await batch.close()).status == 204

    answer = await batch.close()

    assert answer.error == (400, 21180)
    assert answer.details == ["Status sesji (150) uniemożliwia jej zamknięcie."]


async def test_calls_of_the_other_kind_do_not_know_the_session(wire: Wire, tokens: Tokens, batch: Batch) -> None:
    online = await wire.open(tokens.access)

    close_online = f"/sessions/batch/{online.reference_number}/close"
    close_batch = f"/sessions/online/{batch.reference_number}/close"
    assert (await wire.call("POST", close_online, tokens.access)).error == (400, 21173)
    assert (await wire.call("POST", close_batch, tokens.access)).error == (400, 21173)
    assert (await wire.call("POST", f"/sessions/batch/{UNKNOWN}/close", tokens.access)).error == (400, 21173)


async def test_session_belongs_to_its_context(wire: Wire, batch: Batch) -> None:
    stranger = await wire.stranger()

    assert (await attrs.evolve(batch, access=stranger.access).close()).status == 403


async def test_session_may_be_unknown_at_first() -> None:
    async with connected(timings=Timings(batch_visibility_lag=2)) as wire:
        batch = await opened(wire, await wire.tokens())

        assert (await batch.close()).error == (400, 21173)
        wire.advance(2)
        assert (await batch.close()).error == (400, 21205)


# --- processing ----------------------------------------------------------------------------------------------


async def test_states_follow_the_clock(wire: Wire, batch: Batch) -> None:
    for number in range(1, len(batch.parts) + 1):
        await batch.put(number)
    await batch.close()
    await batch.processed()

    assert await batch.status() == (150, [])
    assert (await batch.get("/invoices"))["invoices"] == []
    wire.advance(1)
    rows = (await batch.get("/invoices"))["invoices"]
    assert [row["status"]["code"] for row in rows] == [150, 150]
    assert [row["invoiceFileName"] for row in rows] == ["1.xml", "2.xml"]
    assert [row["ordinalNumber"] for row in rows] == [1, 2]
    assert {row["invoicingDate"] for row in rows} == {(await batch.get())["dateCreated"]}
    wire.advance(1)
    rows = (await batch.get("/invoices"))["invoices"]
    assert [row["status"]["code"] for row in rows] == [200, 200]
    assert await batch.status() == (150, [])
    wire.advance(1)
    status = await batch.get()
    assert status["status"]["code"] == 200
    assert [status[f"{name}InvoiceCount"] for name in ("successful", "failed")] == [2, 0]
    assert status["invoiceCount"] == 2
    (page,) = status["upo"]["pages"]
    upo = await wire.call("GET", page["downloadUrl"])
    assert (upo.status, upo.headers["x-ms-meta-hash"]) == (200, sha256(upo.body))
    assert (await batch.get("/invoices/failed"))["invoices"] == []


async def test_attachment_needs_consent(wire: Wire, tokens: Tokens) -> None:
    archive = zipped([("1.xml", wire.invoice().replace(b"</Faktura>", ATTACHMENT + b"</Faktura>"))])
    consent = {"nip": wire.sandbox.nip}
    codes = []
    for path in (None, "/testdata/attachment", "/testdata/attachment/revoke"):
        if path is not None:
            assert (await wire.call("POST", path, json=consent)).status == 200
        batch = await opened(wire, tokens, archive, cut_at=10**6)
        await batch.put()
        await batch.close()
        await batch.processed()
        wire.advance(3)
        codes += [row["status"]["code"] for row in (await batch.get("/invoices"))["invoices"]]

    assert codes == [410, 200, 410]


async def test_buyer_sends_for_the_seller_that_authorized_it(wire: Wire) -> None:
    buyer = "3568707925"
    access = await wire.tokens(nip=buyer, token=wire.sandbox.issue_token(buyer))
    seller = await wire.tokens()
    invoice = wire.invoice(buyer_nip=buyer).replace(b"<P_17>2</P_17>", b"<P_17>1</P_17>")
    grant = {
        "subjectIdentifier": {"type": "Nip", "value": buyer},
        "permission": "SelfInvoicing",
        "description": "Self-invoicing",
        "subjectDetails": {"fullName": "Nabywca S.A."},
    }
    codes = []
    for is_authorized in (False, True):
        if is_authorized:
            await wire.call("POST", "/permissions/authorizations/grants", seller.access, json=grant)
            wire.advance(1)
        batch = await opened(wire, access, zipped([("1.xml", invoice)]), cut_at=10**6)
        await batch.put()
        await batch.close()
        await batch.processed()
        wire.advance(3)
        codes += [row["status"]["code"] for row in (await batch.get("/invoices"))["invoices"]]

    assert codes == [410, 200]


async def test_invoice_is_accepted_once_whatever_it_comes_in(wire: Wire, tokens: Tokens) -> None:
    online = await wire.open(tokens.access)
    await online.outcome(wire.invoice("FV/1"))
    batch = await opened(wire, tokens)
    for number in range(1, len(batch.parts) + 1):
        await batch.put(number)
    await batch.close()
    await batch.processed()
    wire.advance(3)

    first, second = (await batch.get("/invoices"))["invoices"]
    assert (first["status"]["code"], second["status"]["code"]) == (440, 200)
    assert first["status"]["extensions"]["originalSessionReferenceNumber"] == online.reference_number
    assert second["invoicingDate"] > START.isoformat()
    assert [row["referenceNumber"] for row in (await batch.get("/invoices/failed"))["invoices"]] == [
        first["referenceNumber"]
    ]


# --- how sessions end that KSeF does not describe -------------------------------------------------------------


@pytest.mark.parametrize("compression", ["Zip", "TarGz"])
async def test_too_many_invoices_are_counted(compression: str) -> None:
    async with connected(max_invoices=3) as wire:
        files = [(f"{number}.xml", wire.invoice(f"FV/{number}")) for number in range(5)]
        archive = zipped(files) if compression == "Zip" else tarred(files)
        batch = await opened(wire, await wire.tokens(), archive, batchFile={"compressionType": compression})
        await finished(batch)

        status = await batch.status()

    detail = "Przekroczono dopuszczalną liczbę faktur w paczce: '3'. Liczba faktur w paczce: '5'."
    assert status == (420, [detail])


async def test_session_closed_in_time_may_be_cancelled_all_the_same(wire: Wire, tokens: Tokens) -> None:
    """ksef-api#308."""
    wire.sandbox.faults.add("open_batch_session", Fault.session_ends(440))
    batch = await opened(wire, tokens)
    for number in range(1, len(batch.parts) + 1):
        await batch.put(number)
    assert (await batch.close()).status == 204
    await batch.processed()
    assert (await batch.status())[0] == 150
    wire.advance(5)

    assert await batch.status() == (440, ["Sesja anulowana, przekroczony czas wysyłki"])


async def finished(batch: Batch) -> None:
    """Upload everything, close, and move on to the end."""
    for number in range(1, len(batch.parts) + 1):
        await batch.put(number)
    assert (await batch.close()).status == 204
    await batch.processed()
    batch.wire.advance(5)
