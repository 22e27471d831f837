"""Every exchange of receiving, held to the specification by openapi-core."""

from __future__ import annotations

import pytest
from contract.recording import Recorder, SpecRequest, SpecResponse
from openapi_core import OpenAPI
from receiving import BUYER, everything, feed, feed_samples, settle

from ksef_async import BadRequestError, Cadence, Caller, ExportFailedError, KsefToken, Pacer
from ksef_async.api.invoices import DateType, InvoiceSubject
from ksef_async.api.packages import CompressionType
from ksef_async.auth.access import AccessTokens
from ksef_async.calling.keys import PublicKeys
from ksef_async.downloads.manager import Downloads
from ksef_async.resources.invoices import Invoices
from ksef_async.sandbox import Fault, Sandbox, sample_invoice

AT_ONCE = Cadence(interval=0.01, factor=1.0, deadline=20)


async def test_every_exchange_of_receiving_fits_the_specification(sandbox: Sandbox, openapi: OpenAPI) -> None:
    numbers = feed_samples(sandbox, 12)
    feed(sandbox, [sample_invoice(BUYER, "S/1", buyer_nip=sandbox.nip)], nip=BUYER)
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 10
    recorder = Recorder()
    caller = Caller(sandbox.environment, recorder, pacer=Pacer.unlimited())
    keys = PublicKeys(caller)
    credentials = KsefToken(nip=BUYER, token=sandbox.issue_token(BUYER))
    api = caller.with_bearer(AccessTokens(caller, keys, credentials))
    invoices, downloads = Invoices(api), Downloads(api, keys)

    await invoices.get(numbers[0])
    with pytest.raises(BadRequestError):
        await invoices.get("5265877635-20250826-0100001AF629-AF")
    for date_type in (DateType.PERMANENT_STORAGE, DateType.INVOICING):
        query = everything(sandbox, date_type=date_type)
        assert len([each async for each in invoices.list(query, page_size=10)]) == 12
        for compression in CompressionType:
            export = await downloads.export(query, compression=compression)
            await export.status()
            assert len([each async for each in export.invoices(AT_ONCE)]) == 10
    sandbox.faults.add("export_invoices", Fault.export_ends(550))
    export = await downloads.export(everything(sandbox, InvoiceSubject.SELLER), only_metadata=True)
    with pytest.raises(ExportFailedError):
        await export.wait(AT_ONCE)
    await recorder.aclose()

    exchanges = [exchange for exchange in recorder.exchanges if exchange[0].operation != "export_part"]
    for raw_request, raw_response in exchanges:
        request = SpecRequest(raw_request)
        openapi.validate_request(request)
        openapi.validate_response(request, SpecResponse(raw_response))
    assert {request.operation for request, _ in exchanges} >= {
        "get_invoice", "query_invoice_metadata", "export_invoices", "get_export_status",
    }  # fmt: skip
    links = [request for request, _ in recorder.exchanges if request.operation == "export_part"]
    assert links
    assert all("authorization" not in {name.lower() for name in request.headers} for request in links)
