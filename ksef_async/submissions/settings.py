"""How the work is done: named numbers."""

from __future__ import annotations

from pathlib import Path

import attrs

from ..protocol.retry import growing_pause

__all__ = ["Settings"]


@attrs.frozen(kw_only=True)
class Settings:
    """How submissions are delivered; all times are in seconds."""

    linger: float = 5.0
    """How long a session is kept open for more invoices after the last one; the UPO comes after that."""
    poll_interval: float = 0.5
    """Between looks for work that another process has committed."""
    concurrency: int = 16
    """Sends of one context under way at once."""
    online_within: float = 600.0
    """A backlog goes one by one while that is over within this time; otherwise by batch, if the plan says so."""
    part_size: int = 10_000_000
    """Plain bytes of each part of a batch, up to 100,000,000; more where that would make more than 50 of them. After a
    crash those parts are uploaded again that were under way.
    """
    spool: Path | None = None
    """Where batches are packed; by default in the system's place for temporary files."""
    max_contexts: int = 200
    """Contexts delivered at once in this process."""
    lease_duration: float = 15.0
    """After which a silent worker counts as dead, and another takes its contexts over."""
    first_pause: float = 1.0
    """The first pause after something went wrong with a whole context; each further one is twice as long ..."""
    longest_pause: float = 60.0
    """... up to this."""
    tries: int = 6
    """How often one document may fail by itself, while others succeed, before it is rejected."""

    def pause(self, failures: int) -> float:
        """Seconds to pause after the ``failures``-th failure in a row (from 1)."""
        return growing_pause(failures, first=self.first_pause, longest=self.longest_pause)
