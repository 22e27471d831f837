"""What an older sandbox answers, held to the specification of its version: no field more, and none missing."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from contract.recording import HOST, Recorder, SpecRequest, SpecResponse
from contract.test_main_flow import record_main_flow
from contract.test_permissions import grant_and_revoke
from contract.test_resources import manage_limits, manage_logins, manage_tokens
from official import HISTORY, need
from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from receiving import BUYER, everything, feed_samples, settle

from ksef_async import Cadence, Caller, KsefToken, Pacer
from ksef_async.auth.access import AccessTokens
from ksef_async.calling.keys import PublicKeys
from ksef_async.downloads.manager import Downloads
from ksef_async.protocol.messages import RawRequest, RawResponse
from ksef_async.resources.invoices import Invoices
from ksef_async.resources.permissions import Permissions
from ksef_async.sandbox import Sandbox
from ksef_async.sandbox.versions import VERSIONS

AT_ONCE = Cadence(interval=0.01, factor=1.0, deadline=20)
#: Documents behind signed links, which no specification describes.
LINKS = {"session_upo", "invoice_upo", "export_part", "upload_part"}


def strict(version: str) -> OpenAPI:
    """The specification of a version, which allows no field that it does not name."""
    need(HISTORY)
    file = HISTORY / f"openapi-{version}.json"
    spec: dict[str, Any] = json.loads(file.read_text("utf-8"))
    for schema in spec["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    config = Config(
        extra_media_type_deserializers={
            "application/xml": lambda body, **_: body.decode(),
            "application/problem+json": lambda body, **_: orjson.loads(body),
        }
    )
    return OpenAPI.from_dict(spec | {"servers": [{"url": f"{HOST}/v2"}]}, config=config)


async def receive(sandbox: Sandbox) -> list[tuple[RawRequest, RawResponse]]:
    """Query, export, and manage tokens, permissions, limits and logins."""
    feed_samples(sandbox, 3)
    settle(sandbox)
    sandbox.world.tokens_generate_tokens = True
    recorder = Recorder()
    caller = Caller(sandbox.environment, recorder, pacer=Pacer.unlimited())
    keys = PublicKeys(caller)

    def api_of(nip: str, token: str) -> Caller:
        return caller.with_bearer(AccessTokens(caller, keys, KsefToken(nip=nip, token=token)))

    buyer = api_of(BUYER, sandbox.issue_token(BUYER))
    assert len([each async for each in Invoices(buyer).list(everything(sandbox))]) == 3
    export = await Downloads(buyer, keys).export(everything(sandbox))
    assert len([each async for each in export.invoices(AT_ONCE)]) == 3
    owner = api_of(sandbox.nip, sandbox.token)
    permissions = Permissions(owner)
    await grant_and_revoke(permissions, sandbox.nip)
    for rows in (
        permissions.list_own(),
        permissions.list_of_persons(),
        permissions.list_roles(),
        permissions.list_authorizations(),
    ):
        _ = [row async for row in rows]
    await manage_tokens(owner)
    await manage_limits(owner)
    await manage_logins(owner)
    await recorder.aclose()
    return recorder.exchanges


@pytest.mark.parametrize("version", VERSIONS[:-1])
async def test_answers_of_an_older_sandbox_fit_the_specification_of_its_version(version: str) -> None:
    openapi = strict(version)
    async with Sandbox(api_version=version) as sandbox, Sandbox(api_version=version) as another:
        exchanges = [*await record_main_flow(sandbox), *await receive(another)]

    answered = 0
    for request, response in exchanges:
        if request.operation in LINKS:
            continue
        try:
            openapi.validate_response(SpecRequest(request), SpecResponse(response))
        except OpenAPIError as error:
            pytest.fail(f"{request.operation} {response.status}: {error!r} {error.__cause__!r}")
        answered += 1
    assert answered > 90
    assert len({request.operation for request, _ in exchanges}) > 50
