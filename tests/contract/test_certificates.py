"""Logins by certificate and certificates: what is sent and got, held to the specification by openapi-core."""

from __future__ import annotations

from collections.abc import Awaitable

import attrs
import pytest
from contract.recording import Recorder, SpecRequest, SpecResponse
from openapi_core import OpenAPI

from ksef_async import ApiError, Caller, CertificateCredentials, Pacer
from ksef_async.api.auth import LOG_IN_WITH_SIGNATURE
from ksef_async.api.certificates import CertificateFilter, CertificateStatus, CertificateType, RevocationReason
from ksef_async.api.table import OPERATIONS
from ksef_async.auth.access import AccessTokens
from ksef_async.calling.keys import PublicKeys
from ksef_async.crypto.issuing import new_private_key
from ksef_async.protocol.messages import RawResponse
from ksef_async.resources.certificates import Certificates
from ksef_async.sandbox import Sandbox


async def refused(call: Awaitable[object]) -> None:
    with pytest.raises(ApiError):
        await call


async def test_every_exchange_with_certificates_fits_the_specification(sandbox: Sandbox, openapi: OpenAPI) -> None:
    recorder = Recorder()
    caller = Caller(sandbox.environment, recorder, pacer=Pacer.unlimited())
    credentials = await CertificateCredentials.self_signed("5265877635", verify_certificate_chain=False)
    api = caller.with_bearer(AccessTokens(caller, PublicKeys(caller), credentials))
    certificates = Certificates(api)

    await certificates.get_limits()
    handle = await certificates.enroll("Certyfikat 1", new_private_key(), valid_from=sandbox.clock.now())
    number = (await handle.wait()).certificate_serial_number
    assert number is not None
    assert len(await certificates.get([number, "0" * 16])) == 1
    wanted = CertificateFilter(
        certificate_serial_number=number,
        name="Cert",
        type=CertificateType.AUTHENTICATION,
        status=CertificateStatus.ACTIVE,
        expires_after=sandbox.clock.now(),
    )
    assert len([row async for row in certificates.list(wanted)]) == 1
    (row,) = [row async for row in certificates.list()]
    assert row.valid_to is not None
    await certificates.set_validity(number, row.valid_to)
    await certificates.revoke(number, RevocationReason.SUPERSEDED)
    await certificates.revoke(number)
    await refused(caller.call(LOG_IN_WITH_SIGNATURE, b"<a/>", query={"verify_certificate_chain": True}))
    await refused(certificates.revoke("F" * 16))
    await refused(certificates.enroll_csr("Certyfikat 2", b"x"))
    await refused(certificates.enrollment(handle.reference_number.replace("EH", "EX")).status())
    await recorder.aclose()

    seen = {request.operation for request, _ in recorder.exchanges}
    own = {row.name for row in OPERATIONS if "/certificates" in row.path or "xades" in row.path}
    assert seen >= own
    assert len(own) == 9
    for raw_request, raw_response in recorder.exchanges:
        request = SpecRequest(raw_request)
        openapi.validate_request(request)
        # An answer without a body has no type, though aiohttp names one.
        response = raw_response if raw_response.body else attrs.evolve(raw_response, body=b"")
        assert isinstance(response, RawResponse)
        openapi.validate_response(request, SpecResponse(response))
