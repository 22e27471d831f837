"""Planning: the arithmetic of limits, against the pacer that really hands out the times."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksef_async.api.limits import CollectiveIdentifierLimits, ContextLimits, SessionLimits
from ksef_async.api.rates import PRODUCTION_LIMITS, UNLIMITED, RateLimit
from ksef_async.api.sessions import SEND_INVOICE
from ksef_async.errors import LocalProtocolError
from ksef_async.protocol.pacing import Pacer
from ksef_async.protocol.planning import Route, SendingPlan, plan, time_of_call

HOUR = 3_600.0
DAY = 24 * HOUR
GENEROUS = attrs.evolve(PRODUCTION_LIMITS, invoice_send=RateLimit(100, 300, 1800))
SMALL = ContextLimits(
    online_session=SessionLimits(max_invoice_size_mb=1, max_invoice_with_attachment_size_mb=1, max_invoices=1000),
    batch_session=SessionLimits(max_invoice_size_mb=1, max_invoice_with_attachment_size_mb=1, max_invoices=1000),
    collective_identifier=CollectiveIdentifierLimits(500),
)

calls = st.integers(1, 40) | st.just(UNLIMITED)


def planned(count: int, sizes: int | list[int] = 10_000, **options: Any) -> SendingPlan:
    return plan(count, sizes, **{"rates": PRODUCTION_LIMITS, **options})


@pytest.mark.parametrize(
    ("count", "options", "route", "batches", "bound_by", "meets_deadline"),
    [
        pytest.param(1, {}, Route.ONLINE, 0, "nothing: KSeF's limits are not reached", None, id="one"),
        pytest.param(10, {}, Route.ONLINE, 0, "nothing: KSeF's limits are not reached", None, id="a second's worth"),
        pytest.param(30, {}, Route.ONLINE, 0, "invoiceSend: 10 a second", None, id="a minute's worth"),
        pytest.param(31, {}, Route.BATCH, 1, "processing: about 8 invoices a second in a batch", None, id="over it"),
        pytest.param(31, {"deadline": HOUR}, Route.ONLINE, 0, "invoiceSend: 30 a minute", True, id="but time enough"),
        pytest.param(180, {"deadline": HOUR}, Route.ONLINE, 0, "invoiceSend: 30 a minute", True, id="an hour's worth"),
        pytest.param(
            181,
            {"deadline": HOUR},
            Route.BATCH,
            1,
            "processing: about 8 invoices a second in a batch",
            True,
            id="one more",
        ),
        pytest.param(181, {"deadline": 2 * HOUR}, Route.ONLINE, 0, "invoiceSend: 180 an hour", True, id="two hours"),
        pytest.param(4000, {"deadline": DAY}, Route.ONLINE, 0, "invoiceSend: 180 an hour", True, id="all day"),
        pytest.param(
            1000, {"deadline": HOUR, "rates": GENEROUS}, Route.ONLINE, 0, "invoiceSend: 300 a minute", True, id="raised"
        ),
        pytest.param(
            10_000, {}, Route.BATCH, 1, "processing: about 8 invoices a second in a batch", None, id="one full batch"
        ),
        pytest.param(
            10_001, {}, Route.BATCH, 2, "processing: about 8 invoices a second in a batch", None, id="two batches"
        ),
        pytest.param(200, {"sizes": 3_000_000}, Route.BATCH, 1, "upload: 2 MB a second", None, id="large invoices"),
        pytest.param(
            10_000, {"sizes": 1_000_000}, Route.BATCH, 2, "upload: 2 MB a second", None, id="too many bytes for one"
        ),
        pytest.param(
            90_000,
            {"limits": SMALL, "upload_rate": 1e9},
            Route.BATCH,
            90,
            "batchSession: 60 an hour",
            None,
            id="many small batches",
        ),
        pytest.param(
            10_000,
            {"deadline": 300.0},
            Route.BATCH,
            1,
            "processing: about 8 invoices a second in a batch",
            False,
            id="not to be met",
        ),
    ],
)
def test_plan_names_route_batches_and_what_binds(
    count: int, options: dict[str, Any], route: Route, batches: int, bound_by: str, meets_deadline: bool | None
) -> None:
    result = planned(count, **options)

    assert (result.route, result.batches, result.bound_by, result.meets_deadline) == (
        route,
        batches,
        bound_by,
        meets_deadline,
    )
    assert result.seconds == (result.seconds_online if route is Route.ONLINE else result.seconds_batch)


def test_batch_of_ten_thousand_is_done_while_online_sending_would_take_days() -> None:
    result = planned(10_000)

    assert result.seconds_batch < 25 * 60
    assert result.seconds_online > 55 * 3600


def test_batches_split_by_number_and_by_bytes() -> None:
    assert planned(25_000, 1000).batch_invoices == 10_000
    assert planned(4000, [3_000_000] * 4000).batches == 3


@pytest.mark.parametrize(
    ("count", "sizes", "sentence"),
    [
        (0, 10, "nothing to plan"),
        (2, [10], "1 sizes were given for 2"),
        (1, 3_000_001, "1 to 3,000,000 bytes"),
        (1, 0, "has 1 to"),
    ],
)
def test_impossible_volume_is_refused(count: int, sizes: int | list[int], sentence: str) -> None:
    with pytest.raises(LocalProtocolError, match=sentence):
        planned(count, sizes)


def test_limits_of_the_context_are_what_counts() -> None:
    none = attrs.evolve(SMALL, batch_session=attrs.evolve(SMALL.batch_session, max_invoices=0))

    assert planned(2500, limits=SMALL).batches == 3
    with pytest.raises(LocalProtocolError, match="1 to 1,000,000 bytes"):
        planned(1, 1_000_001, limits=SMALL)
    with pytest.raises(LocalProtocolError, match="no invoice in a batch"):
        planned(1, limits=none)


def test_attachments_count_in_what_an_invoice_may_have() -> None:
    with_attachments = SessionLimits(max_invoice_size_mb=1, max_invoice_with_attachment_size_mb=3, max_invoices=1000)
    limits = attrs.evolve(SMALL, batch_session=with_attachments)

    assert planned(1, 3_000_000, limits=limits).route is Route.ONLINE
    with pytest.raises(LocalProtocolError, match="1 to 3,000,000 bytes"):
        planned(1, 3_000_001, limits=limits)


@pytest.mark.parametrize(
    ("count", "options", "seconds"),
    [
        pytest.param(1000, {}, 10 + 5 + 120, id="processing"),
        pytest.param(1500, {"sizes": 1_000_000}, 10 + 750 + 180, id="upload"),
        pytest.param(90_000, {"limits": SMALL, "upload_rate": 1e9}, 10 + 3600.25 + 60.25 + 120, id="openings"),
    ],
)
def test_batch_takes_its_start_what_is_slower_of_openings_and_upload_and_the_processing(
    count: int, options: dict[str, Any], seconds: float
) -> None:
    assert planned(count, **options).seconds_batch == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("limit", "count", "bound_by"),
    [
        (RateLimit(10, UNLIMITED, UNLIMITED), 11, "invoiceSend: 10 a second"),
        (RateLimit(10, UNLIMITED, UNLIMITED), 10, "nothing: KSeF's limits are not reached"),
        (RateLimit(UNLIMITED, 30, UNLIMITED), 31, "invoiceSend: 30 a minute"),
        (RateLimit(UNLIMITED, UNLIMITED, UNLIMITED), 9999, "nothing: KSeF's limits are not reached"),
    ],
)
def test_window_without_a_limit_binds_nobody(limit: RateLimit, count: int, bound_by: str) -> None:
    result = planned(count, rates=attrs.evolve(PRODUCTION_LIMITS, invoice_send=limit), deadline=DAY)

    assert (result.route, result.bound_by) == (Route.ONLINE, bound_by)


@given(st.builds(RateLimit, calls, calls, calls), st.integers(0, 300))
def test_time_of_call_is_when_the_pacer_would_let_it_go(limit: RateLimit, number: int) -> None:
    pacer = Pacer(attrs.evolve(PRODUCTION_LIMITS, invoice_send=limit))

    for _ in range(number + 1):
        start = pacer.reserve(SEND_INVOICE, 0.0)

    assert time_of_call(number, limit) == pytest.approx(start)
