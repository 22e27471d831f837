"""What crosses the wire, in both directions, held to the specification by openapi-core."""

from __future__ import annotations

import attrs
import orjson
import pytest
from contract.recording import Recorder, SpecRequest, SpecResponse
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError

from ksef_async import (
    BadRequestError,
    Caller,
    Environment,
    FormCode,
    KsefToken,
    SessionFilter,
    SessionManager,
    SessionType,
    UnauthorizedError,
)
from ksef_async.api.auth import REFRESH_ACCESS_TOKEN
from ksef_async.api.limits import GET_RATE_LIMITS
from ksef_async.api.sessions import GET_INVOICE_UPO_BY_KSEF_NUMBER, GET_SESSION_STATUS, GET_SESSION_UPO_PAGE
from ksef_async.auth.access import AccessTokens
from ksef_async.calling.keys import PublicKeys
from ksef_async.packing import pack
from ksef_async.protocol.messages import RawRequest, RawResponse
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.sessions.uploads import UPLOAD_PART


async def record_main_flow(sandbox: Sandbox) -> list[tuple[RawRequest, RawResponse]]:
    """Log in, send, follow, fetch receipts, list, refresh, revoke, and be refused."""
    recorder = Recorder()
    caller = Caller(Environment(f"{sandbox.environment.base_url}"), recorder)
    keys = PublicKeys(caller)
    tokens = AccessTokens(caller, keys, KsefToken(nip=sandbox.nip, token=sandbox.token))
    api = caller.with_bearer(tokens)
    sessions = SessionManager(api, keys)
    session = await sessions.open_online(FormCode.FA3)
    async with session:
        sent = await session.send(sample_invoice(sandbox.nip))
        accepted = await sent.outcome()
        duplicate = await session.send(sample_invoice(sandbox.nip), again=True)
        await duplicate.outcome()
        await duplicate.status()
        await sent.upo()
        _ = [invoice async for invoice in session.invoices()]
        _ = [invoice async for invoice in session.failed_invoices()]
    await session.upo()
    status = await session.status()
    assert status.upo is not None
    path = {"reference_number": session.reference_number}
    await api.call(GET_SESSION_UPO_PAGE, path=path | {"upo_reference_number": status.upo.pages[0].reference_number})
    await api.call(GET_INVOICE_UPO_BY_KSEF_NUMBER, path=path | {"ksef_number": accepted.ksef_number})
    async with pack([("one.xml", sample_invoice(sandbox.nip, "FV/2")), ("two.xml", b"none")]) as package:
        batch = await sessions.open_batch(package, form_code=FormCode.FA3)
        async with batch:
            pass
        _ = [outcome async for outcome in batch.outcomes()]
        await batch.upo()
    for kind in (SessionType.ONLINE, SessionType.BATCH):
        _ = [each async for each in sessions.list(SessionFilter(session_type=kind))]
    await api.call(GET_RATE_LIMITS)
    await tokens.replace(session.access_token or "")
    with pytest.raises(BadRequestError):
        await sessions.status("20250625-SO-2C3E6C8000-B675CF5D68-07")
    with pytest.raises(UnauthorizedError):
        await caller.with_bearer("none").call(GET_SESSION_STATUS, path=path)
    await tokens.revoke()
    await recorder.aclose()
    return [exchange for exchange in recorder.exchanges if exchange[0].operation not in ("session_upo", UPLOAD_PART)]


async def test_every_exchange_of_the_main_flow_fits_the_specification(sandbox: Sandbox, openapi: OpenAPI) -> None:
    exchanges = await record_main_flow(sandbox)

    for raw_request, raw_response in exchanges:
        request = SpecRequest(raw_request)
        openapi.validate_request(request)
        openapi.validate_response(request, SpecResponse(raw_response))
    covered = {request.operation for request, _ in exchanges}
    assert len(covered) == 21
    assert REFRESH_ACCESS_TOKEN.name in covered
    assert {response.status for _, response in exchanges} >= {200, 201, 202, 204, 400, 401}
    assert {response.content_type for _, response in exchanges if response.status >= 400} == {
        "application/problem+json"
    }


async def test_what_does_not_fit_is_seen(sandbox: Sandbox, openapi: OpenAPI) -> None:
    exchanges = await record_main_flow(sandbox)
    request, response = next(
        (request, response) for request, response in exchanges if request.operation == "open_online_session"
    )
    without_date = orjson.dumps({"referenceNumber": orjson.loads(response.body)["referenceNumber"]})

    with pytest.raises(OpenAPIError):
        openapi.validate_response(SpecRequest(request), SpecResponse(attrs.evolve(response, body=without_date)))
    with pytest.raises(OpenAPIError):
        openapi.validate_request(SpecRequest(attrs.evolve(request, body=b'{"formCode": {}}')))
    with pytest.raises(OpenAPIError):
        openapi.validate_request(SpecRequest(attrs.evolve(request, url=request.url + "/nowhere")))
