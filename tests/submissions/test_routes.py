"""Which backlogs go one by one, and which in a batch."""

from __future__ import annotations

import attrs
import pytest

from ksef_async import Environment, FormCode, KsefClient, KsefToken
from ksef_async.api.rates import PRODUCTION_LIMITS, RateLimit
from ksef_async.protocol.pacing import Pacer
from ksef_async.protocol.planning import Route
from ksef_async.submissions import Settings
from ksef_async.submissions.batch_work import choose_route


@pytest.mark.parametrize(
    ("form_code", "count", "size", "within", "route"),
    [
        pytest.param(FormCode.FA3, 20, 10_000, 600.0, Route.ONLINE, id="few, and time enough"),
        pytest.param(FormCode.FA3, 20, 10_000, 0.0, Route.ONLINE, id="few, and sooner one by one"),
        pytest.param(FormCode.FA3, 180, 10_000, 600.0, Route.ONLINE, id="an hour's worth, over within six minutes"),
        pytest.param(FormCode.FA3, 180, 10_000, 60.0, Route.BATCH, id="no time for an hour's worth"),
        pytest.param(FormCode.FA3, 181, 10_000, 600.0, Route.BATCH, id="more than an hour's worth"),
        pytest.param(FormCode.FA3, 181, 10_000, 3700.0, Route.ONLINE, id="more than an hour's worth, and time enough"),
        pytest.param(FormCode.FA3, 181, 0, 600.0, Route.BATCH, id="sizes that round to nothing"),
        pytest.param(FormCode.FA3, 181, 9_000_000, 600.0, Route.BATCH, id="larger than any, and refused later"),
        pytest.param(FormCode.PEF3, 5000, 10_000, 0.0, Route.ONLINE, id="no batch takes the form"),
    ],
)
def test_backlog_goes_in_a_batch_where_one_by_one_takes_too_long(
    form_code: FormCode, count: int, size: int, within: float, route: Route
) -> None:
    client = KsefClient(Environment.TEST, KsefToken(nip="5265877635", token="t"))

    assert choose_route(client, form_code, count, count * size, Settings(online_within=within)) is route


@pytest.mark.parametrize(("count", "route"), [(19, Route.ONLINE), (20, Route.BATCH)])
def test_fewer_than_twenty_are_not_worth_a_batch_however_long_they_take(count: int, route: Route) -> None:
    two_an_hour = attrs.evolve(PRODUCTION_LIMITS, invoice_send=RateLimit(1, 1, 2))
    credentials = KsefToken(nip="5265877635", token="t")
    client = KsefClient(Environment.TEST, credentials, pacer=Pacer(two_an_hour))

    assert choose_route(client, FormCode.FA3, count, count * 10_000, Settings()) is route
