"""What the sandbox grants, and that it is what it holds callers to."""

from __future__ import annotations

from typing import Any

import pytest
from sandbox.wire import Tokens, Wire, connected

from ksef_async.api.rates import PRODUCTION_LIMITS

SESSION = {"maxInvoiceSizeInMB": 1, "maxInvoiceWithAttachmentSizeInMB": 3, "maxInvoices": 10_000}
DEFAULT = {"onlineSession": SESSION, "batchSession": SESSION, "collectiveIdentifier": {"maxInvoices": 500}}
CONTEXT = "/testdata/limits/context/session"
SUBJECT = "/testdata/limits/subject/certificate"
GROUPS = (
    "onlineSession", "batchSession", "invoiceSend", "invoiceStatus", "sessionList", "sessionInvoiceList", "sessionMisc",
    "invoiceMetadata", "invoiceExport", "invoiceExportStatus", "invoiceDownload", "collectiveIdentifier", "other",
)  # fmt: skip


def rates(**changes: Any) -> dict[str, Any]:
    one = {"perSecond": 5, "perMinute": 10, "perHour": 20}
    return {"rateLimits": dict.fromkeys(GROUPS, one) | changes}


async def test_context_limits_are_overridden_for_one_context_and_restored(wire: Wire, tokens: Tokens) -> None:
    stranger = await wire.stranger()
    assert (await wire.call("GET", "/limits/context", tokens.access)).json == DEFAULT
    changed = DEFAULT | {"onlineSession": {**SESSION, "maxInvoices": 1}, "collectiveIdentifier": {"maxInvoices": 2}}

    answer = await wire.call("POST", CONTEXT, tokens.access, json=changed)

    assert (answer.status, answer.body) == (200, b"")
    assert (await wire.call("GET", "/limits/context", tokens.access)).json == changed
    assert (await wire.call("GET", "/limits/context", stranger.access)).json == DEFAULT
    assert (await wire.call("DELETE", CONTEXT, tokens.access)).status == 200
    assert (await wire.call("GET", "/limits/context", tokens.access)).json == DEFAULT


async def test_session_takes_as_many_invoices_as_its_context_is_granted(wire: Wire, tokens: Tokens) -> None:
    limits = DEFAULT | {"onlineSession": {**SESSION, "maxInvoices": 1}}
    await wire.call("POST", CONTEXT, tokens.access, json=limits)
    session = await wire.open(tokens.access)

    assert (await session.send(wire.invoice("FV/1"))).status == 202
    refused = await session.send(wire.invoice("FV/2"))

    assert refused.error == (400, 21155)
    assert refused.details[0].endswith("faktur 1.")


@pytest.mark.parametrize(("megabytes", "code"), [(1, 430), (2, 200)])
async def test_invoice_may_be_as_large_as_its_context_is_granted(
    wire: Wire, tokens: Tokens, megabytes: int, code: int
) -> None:
    limits = DEFAULT | {"onlineSession": {**SESSION, "maxInvoiceSizeInMB": megabytes}}
    await wire.call("POST", CONTEXT, tokens.access, json=limits)
    session = await wire.open(tokens.access)
    large = wire.invoice() + b"<!-- " + b"x" * 1_000_000 + b" -->"

    assert (await session.outcome(large))["status"]["code"] == code


async def test_every_context_limit_out_of_bounds_is_named(wire: Wire, tokens: Tokens) -> None:
    beyond = {"maxInvoiceSizeInMB": 6, "maxInvoiceWithAttachmentSizeInMB": 11, "maxInvoices": 100_001}
    below = {"maxInvoiceSizeInMB": -1, "maxInvoiceWithAttachmentSizeInMB": 10, "maxInvoices": 0}
    limits = {"onlineSession": beyond, "batchSession": below, "collectiveIdentifier": {"maxInvoices": 1}}

    refused = await wire.call("POST", CONTEXT, tokens.access, json=limits)

    assert refused.error == (400, 21405)
    assert refused.details == [
        "'onlineSession.maxInvoiceSizeInMB' must be between 0 and 5. You entered 6.",
        "'onlineSession.maxInvoiceWithAttachmentSizeInMB' must be between 0 and 10. You entered 11.",
        "'onlineSession.maxInvoices' must be between 0 and 100000. You entered 100001.",
        "'batchSession.maxInvoiceSizeInMB' must be between 0 and 5. You entered -1.",
        "'collectiveIdentifier.maxInvoices' must be between 2 and 5000. You entered 1.",
    ]


async def test_subject_limits_are_overridden_and_restored(wire: Wire, tokens: Tokens) -> None:
    default = {"enrollment": {"maxEnrollments": 300}, "certificate": {"maxCertificates": 100}}
    assert (await wire.call("GET", "/limits/subject", tokens.access)).json == default

    override = {"subjectIdentifierType": "nip", "certificate": {"maxCertificates": 1}, "enrollment": None}
    assert (await wire.call("POST", SUBJECT, tokens.access, json=override)).status == 200

    expected = default | {"certificate": {"maxCertificates": 1}}
    assert (await wire.call("GET", "/limits/subject", tokens.access)).json == expected
    assert (await wire.call("DELETE", SUBJECT, tokens.access)).status == 200
    assert (await wire.call("GET", "/limits/subject", tokens.access)).json == default


@pytest.mark.parametrize(
    "override",
    [
        {"enrollment": {"maxEnrollments": -1}},
        {"certificate": {"maxCertificates": -1}},
        {"subjectIdentifierType": "Pesel"},
    ],
)
async def test_bad_subject_limit_is_refused(wire: Wire, tokens: Tokens, override: dict[str, Any]) -> None:
    assert (await wire.call("POST", SUBJECT, tokens.access, json=override)).error == (400, 21405)


async def test_rate_limits_of_one_context_are_overridden_enforced_and_restored() -> None:
    async with connected(rate_limits=PRODUCTION_LIMITS) as wire:
        tokens = await wire.tokens()
        stranger = await wire.stranger()
        before = (await wire.call("GET", "/rate-limits", tokens.access)).json
        few = rates(sessionList={"perSecond": 1, "perMinute": 2, "perHour": 3})

        assert (await wire.call("POST", "/testdata/rate-limits", tokens.access, json=few)).status == 200

        after = (await wire.call("GET", "/rate-limits", tokens.access)).json
        assert after == before | few["rateLimits"]
        assert (await wire.call("GET", "/rate-limits", stranger.access)).json == before
        path = "/sessions?sessionType=Online"
        assert (await wire.call("GET", path, tokens.access)).status == 200
        refused = await wire.call("GET", path, tokens.access)
        assert refused.status == 429
        assert "Przekroczono limit 1 żądań na sekundę" in refused.json["status"]["details"][0]
        assert [(await wire.call("GET", path, stranger.access)).status for _ in range(2)] == [200, 200]

        assert (await wire.call("DELETE", "/testdata/rate-limits", tokens.access)).status == 200
        assert (await wire.call("GET", "/rate-limits", tokens.access)).json == before
        assert [(await wire.call("GET", path, tokens.access)).status for _ in range(2)] == [200, 200]


async def test_context_may_ask_for_the_rates_of_production(wire: Wire, tokens: Tokens) -> None:
    assert (await wire.call("GET", "/rate-limits", tokens.access)).json["sessionList"]["perSecond"] == -1

    await wire.call("POST", "/testdata/rate-limits/production", tokens.access)

    granted = (await wire.call("GET", "/rate-limits", tokens.access)).json
    assert granted["sessionList"] == {"perSecond": 5, "perMinute": 10, "perHour": 60}
    path = "/sessions?sessionType=Online"
    statuses = [(await wire.call("GET", path, tokens.access)).status for _ in range(6)]
    assert statuses == [200] * 5 + [429]


async def test_every_rate_limit_out_of_bounds_is_named(wire: Wire, tokens: Tokens) -> None:
    request = rates(
        onlineSession={"perSecond": 100, "perMinute": 300, "perHour": 11_111_111},
        other={"perSecond": 0, "perMinute": -1, "perHour": 1},
    )

    refused = await wire.call("POST", "/testdata/rate-limits", tokens.access, json=request)

    assert refused.error == (400, 21405)
    assert refused.details == [
        "'rateLimits.onlineSession.perHour' must be between 1 and 1200. You entered 11111111.",
        "'rateLimits.other.perSecond' must be between 1 and 100. You entered 0.",
        "'rateLimits.other.perMinute' must be between 1 and 300. You entered -1.",
    ]
    del request["rateLimits"]["other"]
    assert (await wire.call("POST", "/testdata/rate-limits", tokens.access, json=request)).error == (400, 21405)
