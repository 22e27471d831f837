"""Invoices that turn up late, marks that mean nothing, packages cut off anywhere: each invoice is told exactly once.

A KSeF is played by chance over a real socket; how many times is read from KSEF_SYNC_EXAMPLES (30 by default).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
from clients import QUICK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from receiving import BUYER, feed

from ksef_async import KsefClient, KsefToken, Pacer
from ksef_async.api.invoices import InvoiceSubject
from ksef_async.downloads.checkpoint import Checkpoint
from ksef_async.sandbox import Clock, Fault, Sandbox, Timings, sample_invoice

EXAMPLES = int(os.environ.get("KSEF_SYNC_EXAMPLES", "30"))
#: No invoice is indexed later than this after it was stored.
OVERLAP = 10 * 60.0
#: Fewer invoices than this share a moment, or they could not be told apart by dates.
SMALLEST_PACKAGE = 4

MARKS: dict[str, Callable[[datetime], datetime | None]] = {
    "honest": lambda mark: mark,
    "missing": lambda _: None,
    "in the far future": lambda _: datetime(9999, 12, 30, tzinfo=UTC),
    "in the far past": lambda _: datetime(1, 1, 2, tzinfo=UTC),
    "beyond": lambda mark: mark + timedelta(minutes=5),
    "a little beyond": lambda mark: mark + timedelta(seconds=1),
    "before": lambda mark: mark - timedelta(minutes=20),
    "long before": lambda mark: mark - timedelta(days=50),
}


@attrs.frozen
class Arrival:
    """Invoices that are stored at one moment."""

    count: int
    index_lag: float


@attrs.frozen
class Passing:
    """Time goes by."""

    duration: float


@attrs.frozen
class Look:
    """The download goes on, as far as `stops_after` invoices; then the process is another one."""

    mark: str
    package: int
    stops_after: int


STEPS = st.lists(
    st.one_of(
        st.builds(
            Arrival,
            st.integers(1, SMALLEST_PACKAGE - 1),
            st.sampled_from([0.0, 30.0, OVERLAP - 1]),
        ),
        st.builds(Passing, st.sampled_from([1.0, 7 * 60.0, 60 * 86400.0])),
        st.builds(Look, st.sampled_from(sorted(MARKS)), st.integers(SMALLEST_PACKAGE, 9), st.integers(0, 12)),
    ),
    max_size=14,
)


@given(STEPS, st.booleans())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_every_invoice_is_told_once_and_the_cursor_never_goes_back(steps: list[object], is_late: bool) -> None:
    none = 0.0
    timings = Timings(login_delay=none, export_delay=none, access_token_lifetime=9_000 * 86400)
    clock = Clock(ticking=False)
    async with Sandbox(clock=clock, timings=timings, rate_limits=None) as sandbox:
        since, fed = clock.now(), list[str]()
        told, cursors, checkpoint = list[str](), [since], Checkpoint()
        credentials = KsefToken(nip=BUYER, token=sandbox.issue_token(BUYER))
        async with KsefClient(sandbox.environment, credentials, pacer=Pacer.unlimited(), retry=QUICK) as client:
            for step in [*steps, Passing(2 * 86400.0), Look("honest", 9, 1_000), Look("honest", 9, 1_000)]:
                if isinstance(step, Arrival):
                    object.__setattr__(timings, "index_lag", step.index_lag if is_late else none)
                    first = len(fed)
                    documents = [
                        sample_invoice(sandbox.nip, f"FV/{number}", buyer_nip=BUYER)
                        for number in range(first, first + step.count)
                    ]
                    fed += feed(sandbox, documents)
                    # Those of one call share their moment, and no others do.
                    clock.advance(0.5)
                elif isinstance(step, Passing):
                    clock.advance(step.duration)
                elif isinstance(step, Look):
                    sandbox.faults.clear()
                    sandbox.faults.add("export_invoices", Fault.mark_becomes(MARKS[step.mark]), times=1_000)
                    sandbox.world.exports.limits.max_invoices = step.package
                    sync = client.downloads.sync(
                        since,
                        checkpoint=Checkpoint.from_json(checkpoint.to_json()),
                        overlap=OVERLAP if is_late else none,
                    )
                    stream, count = aiter(sync), 0
                    async for invoice in stream:
                        told.append(invoice.metadata.ksef_number)
                        checkpoint, count = invoice.checkpoint, count + 1
                        cursors.append(moment_of(checkpoint, since))
                        if count > step.stops_after:
                            break
                    else:
                        checkpoint = sync.checkpoint
                        cursors.append(moment_of(checkpoint, since))
                    await stream.aclose()

    assert Counter(told) == Counter(fed)
    assert cursors == sorted(cursors)


def moment_of(checkpoint: Checkpoint, since: datetime) -> datetime:
    position = checkpoint.of(InvoiceSubject.BUYER)
    return since if position is None else position.moment
