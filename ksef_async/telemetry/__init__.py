"""Metrics and traces out of the events that a client's hook is told.

`ksef_async.telemetry.prometheus` (extra ``prometheus``) counts; `ksef_async.telemetry.opentelemetry` (extra ``otel``,
which has OpenTelemetry's API only: the SDK is the program's own choice) makes spans. Both are hooks, and one hook may
call several::

    metrics, traces = PrometheusMetrics(), OpenTelemetryHook()

    def hook(event: Event) -> None:
        metrics(event)
        traces(event)

    client = KsefClient(Environment.PRODUCTION, credentials, hook=hook)

``examples/grafana.json`` is a dashboard of the metrics.
"""

from __future__ import annotations

__all__: list[str] = []
