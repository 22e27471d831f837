from __future__ import annotations

import anyio
import pytest
from clients import connected
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from ksef_async import FormCode
from ksef_async.api.limits import GET_RATE_LIMITS
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.telemetry.opentelemetry import OpenTelemetryHook


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("test")


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


async def test_each_attempt_is_a_span_below_that_of_the_caller(
    sandbox: Sandbox, tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    sandbox.faults.add("get_rate_limits", Fault.html(502))
    async with connected(sandbox, hook=OpenTelemetryHook(tracer)) as client:
        await client.log_in()
        exporter.clear()
        with tracer.start_as_current_span("order 7") as order:
            await client.call(GET_RATE_LIMITS)

    first, second, own = exporter.get_finished_spans()
    assert (first.name, second.name, own.name) == ("get_rate_limits", "get_rate_limits", "order 7")
    assert first.kind is SpanKind.CLIENT
    assert first.parent == second.parent == order.get_span_context()
    assert [attribute(span, "ksef.attempt") for span in (first, second)] == [1, 2]
    assert attribute(first, "ksef.request_id") == attribute(second, "ksef.request_id") is not None
    assert attribute(first, "ksef.nip") == sandbox.nip
    assert (attribute(first, "http.response.status_code"), first.status.status_code) == (502, StatusCode.ERROR)
    assert (attribute(second, "http.response.status_code"), second.status.status_code) == (200, StatusCode.UNSET)
    (retried,) = own.events
    assert (retried.name, (retried.attributes or {})["error.type"]) == ("ksef.RequestRetried", "ServerError")


async def test_lost_answers_and_cancelled_calls_end_their_spans(
    sandbox: Sandbox, tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    sandbox.faults.add("close_online_session", Fault.drop_after())
    async with connected(sandbox, hook=OpenTelemetryHook(tracer)) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            await session.send(sample_invoice(sandbox.nip))
        sandbox.faults.add("get_rate_limits", Fault.wait(60))
        with anyio.move_on_after(0.2):
            await client.call(GET_RATE_LIMITS)

    spans = {span.name: span for span in reversed(exporter.get_finished_spans())}
    lost, cancelled = spans["close_online_session"], spans["get_rate_limits"]
    assert (attribute(lost, "error.type"), attribute(lost, "ksef.maybe_delivered")) == ("TransportError", True)
    assert attribute(cancelled, "error.type") == "cancelled"


async def test_spans_of_several_clients_are_not_mixed_up(
    sandbox: Sandbox, tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    hook = OpenTelemetryHook(tracer)
    async with connected(sandbox, hook=hook) as one, connected(sandbox, hook=hook) as other:
        await one.log_in()
        await other.log_in()
        exporter.clear()
        async with anyio.create_task_group() as tasks:
            for client in (one, other) * 5:
                tasks.start_soon(client.call, GET_RATE_LIMITS)

    spans = exporter.get_finished_spans()
    assert len(spans) == len({attribute(span, "ksef.request_id") for span in spans}) == 10


async def test_without_an_sdk_nothing_happens(sandbox: Sandbox) -> None:
    async with connected(sandbox, hook=OpenTelemetryHook()) as client:
        await client.call(GET_RATE_LIMITS)

    assert not trace.get_current_span().is_recording()
