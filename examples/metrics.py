"""Metrics for Prometheus, as a scrape sees them; ``examples/grafana.json`` is a dashboard of them.

Needs ``pip install 'ksef_async[prometheus]'``. A service offers them by `prometheus_client.make_asgi_app` or
`prometheus_client.start_http_server`. Spans come the same way, by
`ksef_async.telemetry.opentelemetry.OpenTelemetryHook` (extra ``otel``).
"""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, generate_latest

from ksef_async import FormCode
from ksef_async.cli.demo import connect, new_number
from ksef_async.sandbox import sample_invoice
from ksef_async.telemetry.prometheus import PrometheusMetrics


async def main() -> None:
    registry = CollectorRegistry()  # or prometheus_client.REGISTRY, which is the default
    metrics = PrometheusMetrics(registry)
    async with connect(hook=metrics) as (client, nip), await client.sessions.open_online(FormCode.FA3) as session:
        metrics.watch(client)
        invoices = (sample_invoice(nip, new_number()) for _ in range(5))
        async for sent in session.send_many(invoices):
            await sent.outcome()
        print(generate_latest(registry).decode())


if __name__ == "__main__":
    asyncio.run(main())

# ksef_request_seconds_count{operation="send_invoice",status="202"} 5.0
# ksef_calls_remaining{client="",group="invoiceSend",window="hour"} 174.0
