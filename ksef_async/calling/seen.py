"""What our own calls saw of KSeF: when it last answered, and when it last did not."""

from __future__ import annotations

import anyio

from .events import Event, Hook, RequestAnswered, RequestFailed

__all__ = ["SeenCalls"]


class SeenCalls:
    """A hook that remembers how the last calls ended, and tells another hook of everything.

    Times are the event loop's (`anyio.current_time`).
    """

    def __init__(self, hook: Hook | None = None) -> None:
        self._hook = hook
        self.answered_at: float | None = None
        """When KSeF last answered, be it with a refusal; a firewall's page with 200 or 403 counts as one."""
        self.failed_at: float | None = None
        """When a call last failed: no answer came, or a 5xx."""
        self.failures = 0
        """How many calls in a row have failed since KSeF last answered."""

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, RequestAnswered) and event.http_status < 500:
            self.answered_at = anyio.current_time()
            self.failures = 0
        elif isinstance(event, RequestAnswered | RequestFailed):
            self.failed_at = anyio.current_time()
            self.failures += 1
        if self._hook is not None:
            self._hook(event)
