"""What our own calls saw of KSeF: when it last answered, and when it last did not."""

from __future__ import annotations

__all__ = ["SeenCalls"]


class SeenCalls:
    """Remembers how the last calls ended. Times are the event loop's (`anyio.current_time`)."""

    def __init__(self) -> None:
        self.answered_at: float | None = None
        """When KSeF last answered, be it with a refusal; a firewall's page with 200 or 403 counts as one."""
        self.failed_at: float | None = None
        """When a call last failed: no answer came, or a 5xx."""
        self.failures = 0
        """How many calls in a row have failed since KSeF last answered."""

    def note_answer(self, http_status: int, now: float) -> None:
        """Take note of an answer."""
        if http_status < 500:
            self.answered_at = now
            self.failures = 0
        else:
            self.note_failure(now)

    def note_failure(self, now: float) -> None:
        """Take note that no answer came."""
        self.failed_at = now
        self.failures += 1
