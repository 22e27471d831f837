from __future__ import annotations

import json
import re
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from clients import connected
from prometheus_client import CollectorRegistry, generate_latest

from ksef_async import FormCode, KsefClient
from ksef_async.api.limits import GET_RATE_LIMITS
from ksef_async.api.rates import PRODUCTION_LIMITS
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.telemetry.prometheus import PrometheusMetrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


async def send_one(client: KsefClient, nip: str) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await (await session.send(sample_invoice(nip))).outcome()


async def test_requests_and_failures_are_counted(sandbox: Sandbox, registry: CollectorRegistry) -> None:
    metrics = PrometheusMetrics(registry)
    sandbox.faults.add("close_online_session", Fault.drop_after())
    sandbox.faults.add("get_rate_limits", Fault.html(502))
    async with connected(sandbox, hook=metrics) as client:
        await send_one(client, sandbox.nip)
        await client.call(GET_RATE_LIMITS)

    sent = {"operation": "send_invoice", "status": "202"}
    assert registry.get_sample_value("ksef_request_seconds_count", sent) == 1
    assert registry.get_sample_value("ksef_request_seconds_count", sent | {"status": "502"}) is None
    failed = {"operation": "get_rate_limits", "status": "502"}
    assert registry.get_sample_value("ksef_request_seconds_count", failed) == 1
    lost = {"operation": "close_online_session", "error": "TransportError"}
    assert registry.get_sample_value("ksef_request_failures_total", lost) == 1
    waited = registry.get_sample_value("ksef_waited_seconds_total", {"operation": "get_rate_limits", "reason": "retry"})
    assert waited is not None
    assert waited > 0
    assert registry.get_sample_value("ksef_session_changes_total", {"status": "100"}) == 1


async def test_companies_are_told_apart_on_demand(sandbox: Sandbox, registry: CollectorRegistry) -> None:
    async with connected(sandbox, hook=PrometheusMetrics(registry, by_company=True)) as client:
        await client.call(GET_RATE_LIMITS)

    labels = {"operation": "get_rate_limits", "status": "200", "nip": sandbox.nip}
    assert registry.get_sample_value("ksef_request_seconds_count", labels) == 1


async def test_cancelled_request_is_counted(sandbox: Sandbox, registry: CollectorRegistry) -> None:
    async with connected(sandbox, hook=PrometheusMetrics(registry)) as client:
        await client.log_in()
        sandbox.faults.add("get_rate_limits", Fault.wait(60))
        with anyio.move_on_after(0.2):
            await client.call(GET_RATE_LIMITS)

    labels = {"operation": "get_rate_limits", "error": "cancelled"}
    assert registry.get_sample_value("ksef_request_failures_total", labels) == 1


async def test_what_is_left_of_the_limits_is_a_gauge(sandbox: Sandbox, registry: CollectorRegistry) -> None:
    metrics = PrometheusMetrics(registry)
    async with connected(sandbox, hook=metrics, pacer=Pacer(PRODUCTION_LIMITS, margin=0)) as client:
        metrics.watch(client, name="shop")
        await send_one(client, sandbox.nip)

        labels = {"client": "shop", "group": "invoiceSend", "window": "hour"}
        from_the_loop = registry.get_sample_value("ksef_calls_remaining", labels)
        from_a_thread = await to_thread.run_sync(registry.get_sample_value, "ksef_calls_remaining", labels)
        text = await to_thread.run_sync(generate_latest, registry)

    assert from_the_loop == from_a_thread == PRODUCTION_LIMITS.invoice_send.per_hour - 1
    assert b'ksef_calls_remaining{client="shop",group="invoiceSend",window="hour"} 179.0' in text


def test_scrape_after_the_event_loop_goes_without_the_gauge(registry: CollectorRegistry) -> None:
    metrics = PrometheusMetrics(registry)

    async def main() -> None:
        async with Sandbox() as sandbox, connected(sandbox, hook=metrics) as client:
            metrics.watch(client)

    anyio.run(main)

    assert b"ksef_calls_remaining{" not in generate_latest(registry)
    assert b"ksef_request_seconds" in generate_latest(registry)


def test_dashboard_asks_for_metrics_there_are(registry: CollectorRegistry) -> None:
    PrometheusMetrics(registry)
    dashboard = json.loads((Path(__file__).parents[2] / "examples" / "grafana.json").read_bytes())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"ksef_\w+", target["expr"])
    }
    families = list(registry.collect())
    offered = {
        f"{family.name}{suffix}"
        for family in families
        for suffix in {"counter": ("_total",), "histogram": ("_count", "_bucket"), "gauge": ("",)}[family.type]
    }

    assert asked <= offered
    # And none is left out.
    assert {family.name for family in families if not any(name.startswith(family.name) for name in asked)} == set()
