"""Metrics for Prometheus: requests, waits, warnings, sessions, deadlines, and what is left of KSeF's rate limits."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Iterator
from typing import Final, TypeVar

from ..api.operation import RateGroup
from ..api.rates import UNLIMITED, RateLimit
from ..calling.events import (
    AnswerIncomplete,
    CredentialsEnding,
    DeadlineNear,
    DeadlinePassed,
    Event,
    ExportReplaced,
    InvoicesLate,
    InvoiceTurnedOffline,
    RequestAnswered,
    RequestCancelled,
    RequestFailed,
    RequestPaced,
    RequestRetried,
    SessionChanged,
    SystemWarning,
)
from ..client import KsefClient
from ..protocol.extras import extra

with extra("prometheus", "prometheus_client", what=__name__):
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
    from prometheus_client.metrics_core import GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector

__all__ = ["PrometheusMetrics"]

MetricT = TypeVar("MetricT", Counter, Histogram)

#: Seconds; KSeF takes tenths of one for most calls, and minutes for large parts.
_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
#: Seconds that a scrape in another thread waits for the event loop.
_LOOP_ANSWERS_WITHIN: Final = 2.0


class PrometheusMetrics(Collector):
    """A hook that counts what happens; needs the extra ``prometheus``.

    Its metrics begin with ``ksef_``. The companies are told apart only on demand: a label with a thousand values is a
    thousand times as many series.

    Args:
        registry: Where the metrics go; Prometheus' own by default.
        by_company: Give every metric the label ``nip``.

    Raises:
        ValueError: The registry has these metrics already: one hook serves all clients.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, by_company: bool = False) -> None:
        self._by_company = by_company
        self._clients: list[tuple[KsefClient, asyncio.AbstractEventLoop, str]] = []

        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(f"ksef_{name}", documentation, self._labels(*labels), registry=registry)

        self._seconds = Histogram(
            "ksef_request_seconds",
            "Time from sending a request to its answer",
            self._labels("operation", "status"),
            registry=registry,
            buckets=_BUCKETS,
        )
        self._failures = counter("request_failures", "Requests without an answer", "operation", "error")
        self._waited = counter("waited_seconds", "Time spent waiting before a request", "operation", "reason")
        self._warnings = counter("system_warnings", "Warnings of KSeF (X-System-Warning)", "operation")
        self._unread = counter("answer_parts_unread", "Parts of answers that could not be read", "operation")
        self._sessions = counter("session_changes", "Sessions seen in a new state", "status")
        self._exports = counter("exports_replaced", "Exports that were given up and begun anew")
        self._deadlines = counter("deadline_notices", "Invoices near or past a deadline", "kind")
        self._endings = counter("credentials_ending", "Days on which a login was told to end soon", "kind")
        registry.register(self)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        nip = event.nip or ""
        match event:
            case RequestAnswered():
                self._child(self._seconds, nip, event.operation, str(event.http_status)).observe(event.seconds)
            case RequestFailed():
                self._child(self._failures, nip, event.operation, type(event.error).__name__).inc()
            case RequestCancelled():
                self._child(self._failures, nip, event.operation, "cancelled").inc()
            case RequestPaced():
                self._child(self._waited, nip, event.operation, "rate_limit").inc(event.delay)
            case RequestRetried():
                self._child(self._waited, nip, event.operation, "retry").inc(event.delay)
            case SystemWarning():
                self._child(self._warnings, nip, event.operation).inc()
            case AnswerIncomplete(is_assumed=False):
                self._child(self._unread, nip, event.operation).inc(event.count)
            case SessionChanged():
                self._child(self._sessions, nip, str(event.current)).inc()
            case ExportReplaced():
                self._child(self._exports, nip).inc()
            case DeadlineNear():
                self._child(self._deadlines, nip, "near").inc(event.count)
            case DeadlinePassed():
                self._child(self._deadlines, nip, "passed").inc(event.count)
            case InvoicesLate():
                self._child(self._deadlines, nip, "midnight").inc(event.count)
            case InvoiceTurnedOffline():
                self._child(self._deadlines, nip, "turned_offline").inc()
            case CredentialsEnding():
                self._child(self._endings, nip, event.kind).inc()
            case _:
                pass

    def watch(self, client: KsefClient, *, name: str = "") -> None:
        """Show what is left of a client's rate limits, as the gauge ``ksef_calls_remaining``.

        Call it where the client is entered, on its event loop. A scrape may come in any thread; one that the event loop
        does not answer within two seconds goes without the gauge.

        Args:
            client: The client.
            name: Value of the label ``client``, which tells several clients apart.
        """
        self._clients.append((client, asyncio.get_running_loop(), name))

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges, as Prometheus asks for them."""
        gauge = GaugeMetricFamily(
            "ksef_calls_remaining", "Calls left within KSeF's rate limits", labels=("client", "group", "window")
        )
        for client, loop, name in self._clients:
            for group, left in _remaining(client, loop).items():
                for window in ("second", "minute", "hour"):
                    value: int = getattr(left, f"per_{window}")
                    if value != UNLIMITED:
                        gauge.add_metric((name, group, window), value)
        yield gauge

    def _labels(self, *labels: str) -> tuple[str, ...]:
        return (*labels, "nip") if self._by_company else labels

    def _child(self, metric: MetricT, nip: str, *values: str) -> MetricT:
        values = (*values, nip) if self._by_company else values
        return metric.labels(*values) if values else metric


def _remaining(client: KsefClient, loop: asyncio.AbstractEventLoop) -> dict[RateGroup, RateLimit]:
    """Return what is left in each group, by the client's own event loop; empty where that is not running."""

    def ask() -> dict[RateGroup, RateLimit]:
        return {group: client.pacing.remaining(group) for group in RateGroup}

    try:
        if asyncio.get_running_loop() is loop:
            return ask()
    except RuntimeError:
        pass  # no event loop in this thread
    answer: concurrent.futures.Future[dict[RateGroup, RateLimit]] = concurrent.futures.Future()

    def answer_with() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:  # noqa: BLE001  # it is raised in the other thread
            answer.set_exception(error)

    try:
        loop.call_soon_threadsafe(answer_with)
        return answer.result(_LOOP_ANSWERS_WITHIN)
    except (RuntimeError, TimeoutError):
        return {}
