"""Spans of OpenTelemetry: one for each attempt at a request, below the span of whoever made the call."""

from __future__ import annotations

from typing import Final

from ..calling.events import (
    About,
    AboutRequest,
    AnswerIncomplete,
    Event,
    RequestAnswered,
    RequestCancelled,
    RequestFailed,
    RequestPaced,
    RequestRetried,
    RequestSent,
    SystemWarning,
)
from ..protocol.extras import extra
from ..protocol.retry import may_have_taken_effect

with extra("otel", "opentelemetry", what=__name__):
    from opentelemetry import trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

__all__ = ["OpenTelemetryHook"]

_ERRORS_FROM: Final = 400


class OpenTelemetryHook:
    """A hook that makes spans; needs the extra ``otel``.

    A span has the operation's name and the kind CLIENT. Its attributes are ``ksef.operation``, ``ksef.request_id``,
    ``ksef.attempt``, ``ksef.nip``, ``http.response.status_code``, and on a failure ``error.type`` and
    ``ksef.maybe_delivered``. Waits, repeats, warnings and every other event are events of the span that is current
    where they happen, which is the program's own. Nothing secret is in either.

    Args:
        tracer: Makes the spans; that of the global provider by default.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer or trace.get_tracer("ksef_async")
        self._open: dict[int | None, Span] = {}

    def __call__(self, event: Event) -> None:
        """Begin or end a span, or add an event to one."""
        match event:
            case RequestSent():
                attributes: dict[str, str | int] = {"ksef.operation": event.operation, "ksef.attempt": event.attempt}
                if event.request_id is not None:
                    attributes["ksef.request_id"] = event.request_id
                if event.nip is not None:
                    attributes["ksef.nip"] = event.nip
                # Attempts at one request come one after the other.
                self._open[event.request_id] = self._tracer.start_span(
                    event.operation, kind=SpanKind.CLIENT, attributes=attributes
                )
            case RequestAnswered():
                if span := self._open.pop(event.request_id, None):
                    span.set_attribute("http.response.status_code", event.http_status)
                    if event.http_status >= _ERRORS_FROM:
                        span.set_attribute("error.type", str(event.http_status))
                        span.set_status(Status(StatusCode.ERROR))
                    span.end()
            case RequestFailed():
                if span := self._open.pop(event.request_id, None):
                    span.set_attribute("error.type", type(event.error).__name__)
                    span.set_attribute("ksef.maybe_delivered", may_have_taken_effect(event.error))
                    span.set_status(Status(StatusCode.ERROR))
                    span.end()
            case RequestCancelled():
                if span := self._open.pop(event.request_id, None):
                    span.set_attribute("error.type", "cancelled")
                    span.set_attribute("ksef.maybe_delivered", True)
                    span.end()
            case _:
                trace.get_current_span().add_event(f"ksef.{type(event).__name__}", _attributes(event))


def _attributes(event: About) -> dict[str, str | int | float]:
    found: dict[str, str | int | float] = {}
    if isinstance(event, AboutRequest):
        found["ksef.operation"] = event.operation
        if event.request_id is not None:
            found["ksef.request_id"] = event.request_id
    if isinstance(event, RequestPaced | RequestRetried):
        found["ksef.delay"] = event.delay
    if isinstance(event, RequestRetried):
        found["error.type"] = type(event.error).__name__
    if isinstance(event, AnswerIncomplete):
        found["ksef.count"] = event.count
    if isinstance(event, SystemWarning):
        found["ksef.warning"] = event.text
    return found
