"""What crosses the wire, in both directions, held to the specification by openapi-core."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import orjson
import pytest
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

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
from ksef_async.auth.access import AccessTokens, AuthorizedCaller
from ksef_async.keys import PublicKeys
from ksef_async.operations.auth import REFRESH_ACCESS_TOKEN
from ksef_async.operations.limits import GET_RATE_LIMITS
from ksef_async.operations.sessions import GET_INVOICE_UPO_BY_KSEF_NUMBER, GET_SESSION_STATUS, GET_SESSION_UPO_PAGE
from ksef_async.protocol.messages import RawRequest, RawResponse
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.transport import AiohttpTransport

HOST = "https://api-test.ksef.mf.gov.pl"


class Recorder(AiohttpTransport):
    """Keeps everything that goes out and comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[tuple[RawRequest, RawResponse]] = []

    async def send(self, request: RawRequest) -> RawResponse:
        response = await super().send(request)
        self.exchanges.append((request, response))
        return response


class SpecRequest:
    """A request as openapi-core wants it."""

    def __init__(self, request: RawRequest) -> None:
        url = urlsplit(request.url)
        self.host_url = HOST
        self.path = url.path
        self.method = request.method.lower()
        self.content_type = request.headers.get("Content-Type", "")
        self.body = request.body
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(parse_qsl(url.query)), header=Headers(dict(request.headers)), cookie={}
        )


class SpecResponse:
    """An answer as openapi-core wants it."""

    def __init__(self, response: RawResponse) -> None:
        self.status_code = response.status
        self.content_type = response.content_type
        self.headers = dict(response.headers)
        self.data = response.body or None


async def record_main_flow(sandbox: Sandbox) -> list[tuple[RawRequest, RawResponse]]:
    """Log in, send, follow, fetch receipts, list, refresh, revoke, and be refused."""
    recorder = Recorder()
    caller = Caller(Environment(f"{sandbox.environment.base_url}"), recorder)
    keys = PublicKeys(caller)
    tokens = AccessTokens(caller, keys, KsefToken(nip=sandbox.nip, token=sandbox.token))
    api = AuthorizedCaller(caller, tokens)
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
    _ = [each async for each in sessions.list(SessionFilter(session_type=SessionType.ONLINE))]
    await api.call(GET_RATE_LIMITS)
    await tokens.replace(session.access_token or "")
    with pytest.raises(BadRequestError):
        await sessions.status("20250625-SO-2C3E6C8000-B675CF5D68-07")
    with pytest.raises(UnauthorizedError):
        await caller.call(GET_SESSION_STATUS, path=path, bearer="none")
    await tokens.revoke()
    await recorder.aclose()
    return [exchange for exchange in recorder.exchanges if exchange[0].operation != "session_upo"]


@pytest.fixture
def openapi(spec: dict[str, Any]) -> OpenAPI:
    # To the specification an XML document is a string; problem details are JSON.
    config = Config(
        extra_media_type_deserializers={
            "application/xml": lambda body, **_: body.decode(),
            "application/problem+json": lambda body, **_: orjson.loads(body),
        }
    )
    return OpenAPI.from_dict(spec | {"servers": [{"url": f"{HOST}/v2"}]}, config=config)


async def test_every_exchange_of_the_main_flow_fits_the_specification(sandbox: Sandbox, openapi: OpenAPI) -> None:
    exchanges = await record_main_flow(sandbox)

    for raw_request, raw_response in exchanges:
        request = SpecRequest(raw_request)
        openapi.validate_request(request)
        openapi.validate_response(request, SpecResponse(raw_response))
    covered = {request.operation for request, _ in exchanges}
    assert len(covered) == 19
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
