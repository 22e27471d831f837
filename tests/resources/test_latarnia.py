"""Latarnia over real sockets: what it says, how often it is asked, and that it stops nothing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from clients import connected
from raw_server import Conversation, listening
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import (
    AnswerTimeoutError,
    Environment,
    FormCode,
    KsefClient,
    KsefError,
    KsefToken,
    LocalProtocolError,
    RemoteProtocolError,
    ServerError,
    TransportError,
)
from ksef_async.api.latarnia import LatarniaCategory, LatarniaMessageType, LatarniaReport, LatarniaStatus
from ksef_async.calling.events import Event, RequestSent
from ksef_async.protocol.availability import AvailabilityState, outages_of
from ksef_async.protocol.offline import OfflineMode, Outage, OutageKind
from ksef_async.sandbox import Fault, Sandbox, sample_invoice

STATUS, MESSAGES = "get_latarnia_status", "get_latarnia_messages"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class Asked:
    """Counts what was sent, by operation."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestSent):
            self.counts[event.operation] += 1


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def client(sandbox: Sandbox, asked: Asked) -> AsyncIterator[KsefClient]:
    async with connected(sandbox, hook=asked) as client:
        yield client


async def test_status_is_what_was_announced(client: KsefClient, sandbox: Sandbox) -> None:
    assert await client.latarnia.status() == LatarniaReport(LatarniaStatus.AVAILABLE)

    sandbox.latarnia.announce(LatarniaStatus.FAILURE, text="Trwa awaria.")

    report = await client.latarnia.status(fresh=True)
    assert report.status is LatarniaStatus.FAILURE
    (message,) = report.messages
    assert (message.category, message.type) == (LatarniaCategory.FAILURE, LatarniaMessageType.FAILURE_START)
    assert (message.text, message.end) == ("Trwa awaria.", None)
    assert message.start is not None
    assert abs(message.start - sandbox.clock.now()) < timedelta(minutes=1)


async def test_messages_tell_of_the_past_and_of_the_future(client: KsefClient, sandbox: Sandbox) -> None:
    now = sandbox.clock.now().replace(microsecond=0)
    event = sandbox.latarnia.announce("TOTAL_FAILURE", start=now)
    sandbox.latarnia.announce("MAINTENANCE", start=now + timedelta(days=3), end=6 * 3600)
    sandbox.clock.advance(3600)
    sandbox.latarnia.end(event)

    total, planned = outages_of(await client.latarnia.get_messages())

    assert (total.kind, total.start) == (OutageKind.TOTAL_FAILURE, now)
    assert total.end is not None
    assert timedelta(hours=1) <= total.end - now < timedelta(hours=1, minutes=1)
    assert planned == Outage(
        kind=OutageKind.UNAVAILABILITY, start=now + timedelta(days=3), end=now + timedelta(days=3, hours=6)
    )
    assert (await client.latarnia.status()).status is LatarniaStatus.AVAILABLE
    sandbox.clock.advance(3 * 86400)
    assert (await client.latarnia.status(fresh=True)).status is LatarniaStatus.MAINTENANCE


async def test_worst_of_several_outages_is_told(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.latarnia.announce("MAINTENANCE", end=2 * 3600)
    total = sandbox.latarnia.announce("TOTAL_FAILURE")
    sandbox.latarnia.announce("FAILURE", end=3600)

    assert (await client.latarnia.status(fresh=True)).status is LatarniaStatus.TOTAL_FAILURE
    sandbox.latarnia.end(total)
    assert (await client.latarnia.status(fresh=True)).status is LatarniaStatus.FAILURE
    sandbox.clock.advance(3600)
    assert (await client.latarnia.status(fresh=True)).status is LatarniaStatus.MAINTENANCE
    sandbox.clock.advance(3600)
    assert (await client.latarnia.status(fresh=True)).status is LatarniaStatus.AVAILABLE


async def test_answer_is_asked_for_once_a_minute(client: KsefClient, asked: Asked) -> None:
    latarnia = client.latarnia
    for pause in (25, 34.5, 1, 0):
        await asyncio.gather(*(latarnia.status() for _ in range(5)), *(latarnia.get_messages() for _ in range(5)))
        await anyio.sleep(pause)
    assert (asked.counts[STATUS], asked.counts[MESSAGES]) == (2, 2)

    await latarnia.status(fresh=True)
    await latarnia.status()
    assert (asked.counts[STATUS], asked.counts[MESSAGES]) == (3, 2)


async def test_many_that_want_it_fresh_share_an_answer(client: KsefClient, asked: Asked) -> None:
    await asyncio.gather(*(client.latarnia.status(fresh=True) for _ in range(20)))

    assert asked.counts[STATUS] <= 2


async def test_changes_are_told_once_each_and_troubles_are_passed_over(
    client: KsefClient, sandbox: Sandbox, asked: Asked
) -> None:
    await mind_threads()
    seen: list[tuple[str, float]] = []
    started = anyio.current_time()

    async def follow() -> None:
        async for report in client.latarnia.changes(interval=30):
            seen.append((report.status.value, round((anyio.current_time() - started) / 30)))
            if len(seen) == 3:
                return

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.sleep(100)
        event = sandbox.latarnia.announce("FAILURE")
        await anyio.sleep(100)
        # While it is down, nothing is said; and what it says then is known already.
        sandbox.faults.add(STATUS, Fault.html(502), times=6)
        await anyio.sleep(200)
        sandbox.latarnia.end(event)

    assert seen == [("AVAILABLE", 0), ("FAILURE", 4), ("AVAILABLE", 14)]
    assert sandbox.faults.happened[STATUS] == 6


async def test_interval_of_nothing_is_refused(client: KsefClient) -> None:
    for interval in (0, -1.0, float("nan")):
        with pytest.raises(LocalProtocolError, match="above 0"):
            client.latarnia.changes(interval=interval)
    assert (await anext(aiter(client.latarnia.changes(interval=0.5)))).status


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param(Fault.html(502), ServerError, id="a gateway"),
        pytest.param(Fault.html(200), ServerError, id="a page"),
        pytest.param(Fault.drop_before(), TransportError, id="no answer"),
        pytest.param(Fault.answer_becomes(body=b"[]"), RemoteProtocolError, id="another JSON"),
        pytest.param(Fault.answer_becomes(body=b"{}"), RemoteProtocolError, id="no status"),
        pytest.param(Fault.answer_becomes(body=b'{"status": null}'), RemoteProtocolError, id="null"),
        pytest.param(Fault.answer_becomes(body=b"ok"), RemoteProtocolError, id="no JSON"),
        pytest.param(Fault.answer_becomes(body=b'"' + b"a" * 2_000_000 + b'"'), RemoteProtocolError, id="endless"),
        pytest.param(Fault.answer_becomes(404), KsefError, id="moved"),
    ],
)
async def test_latarnia_that_is_down_or_wrong_is_an_error_of_its_own_and_stops_nothing(
    client: KsefClient, sandbox: Sandbox, fault: Fault, expected: type[KsefError]
) -> None:
    sandbox.faults.add(STATUS, fault, probability=0.999999999)

    with pytest.raises(expected):
        await client.latarnia.status()
    availability = await client.availability()
    assert availability.report is None
    assert isinstance(availability.report_error, expected)
    async with await client.sessions.open_online(FormCode.FA3) as session:
        assert (await (await session.send(sample_invoice(sandbox.nip))).outcome()).ksef_number


@pytest.mark.parametrize(
    ("body", "status", "messages"),
    [
        pytest.param({"status": "AVAILABLE"}, "AVAILABLE", 0, id="bare"),
        pytest.param({"status": "AVAILABLE", "messages": None, "new": 1}, "AVAILABLE", 0, id="null"),
        pytest.param({"status": "PARTIAL", "messages": []}, "PARTIAL", 0, id="a new status"),
        pytest.param({"status": "FAILURE", "messages": "none"}, "FAILURE", 0, id="messages of another kind"),
        pytest.param({"status": "FAILURE", "messages": [{}, 1, {"eventId": "x"}, None]}, "FAILURE", 2, id="odd ones"),
        pytest.param(
            {"status": "FAILURE", "messages": [{"start": "long ago", "end": 5, "category": "STRIKE"}]},
            "FAILURE",
            1,
            id="odd fields",
        ),
    ],
)
async def test_what_can_be_read_of_an_answer_is_read(
    client: KsefClient, sandbox: Sandbox, body: object, status: str, messages: int
) -> None:
    sandbox.faults.add(STATUS, Fault.answer_becomes(body=json.dumps(body).encode()))

    report = await client.latarnia.status()

    assert report.status == status
    assert len(report.messages) == messages


async def test_latarnia_that_hangs_is_given_up_after_ten_seconds(client: KsefClient, sandbox: Sandbox) -> None:
    await mind_threads()
    sandbox.faults.add(STATUS, Fault.wait(3600), times=5)
    started = anyio.current_time()

    with pytest.raises(AnswerTimeoutError, match="within 10 s"):
        await client.latarnia.status()

    assert anyio.current_time() - started < 11


async def test_total_failure_announced_on_test_stops_nothing(sandbox: Sandbox) -> None:
    sandbox.latarnia.announce("TOTAL_FAILURE")
    async with connected(sandbox) as client:
        assert (await client.latarnia.status()).status is LatarniaStatus.TOTAL_FAILURE
        async with await client.sessions.open_online(FormCode.FA3) as session:
            assert (await (await session.send(sample_invoice(sandbox.nip))).outcome()).ksef_number

        availability = await client.availability()

    assert availability.state is AvailabilityState.UP
    assert availability.announced_mode is OfflineMode.TOTAL_FAILURE


async def test_availability_joins_what_is_announced_with_what_our_calls_saw(
    client: KsefClient, sandbox: Sandbox
) -> None:
    assert (await client.availability()).state is AvailabilityState.UP  # as announced
    await client.log_in()
    seen = await client.availability()
    assert (seen.state, seen.failures, seen.failed_at) == (AvailabilityState.UP, 0, None)
    assert seen.answered_at is not None
    assert timedelta() <= seen.at - seen.answered_at < timedelta(seconds=5)

    sandbox.faults.add("get_rate_limits", Fault.html(503), times=4)
    sandbox.faults.add("get_rate_limits", Fault.drop_before(), times=1)
    with pytest.raises(KsefError):
        await client.limits.get_rates()
    seen = await client.availability()
    assert (seen.state, seen.failures) == (AvailabilityState.DOWN, 5)

    await anyio.sleep(400)
    # What the calls saw is old by now.
    assert (await client.availability()).state is AvailabilityState.UP
    sandbox.latarnia.announce("FAILURE")
    await anyio.sleep(61)
    seen = await client.availability()
    assert (seen.state, seen.announced_mode) == (AvailabilityState.DOWN, OfflineMode.EMERGENCY)
    await client.limits.get_rates()
    assert (await client.availability()).state is AvailabilityState.UP


async def test_refusal_is_an_answer(client: KsefClient) -> None:
    with pytest.raises(KsefError):
        await client.certificates.get_enrollment_data()

    seen = await client.availability()

    assert (seen.state, seen.failures) == (AvailabilityState.UP, 0)


def answering(body: bytes, requests: list[bytes]) -> Conversation:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        date = "Date: Sat, 01 Jan 2028 00:00:00 GMT\r\n\r\n"
        writer.write(head.encode() + date.encode() + body)
        await writer.drain()

    return converse


async def test_latarnia_gets_no_token_and_its_clock_is_not_ksefs(sandbox: Sandbox) -> None:
    requests: list[bytes] = []
    async with listening(answering(b'{"status": "AVAILABLE"}', requests)) as port:
        environment = Environment(sandbox.environment.base_url, latarnia_url=f"http://127.0.0.1:{port}/x")
        async with KsefClient(environment, KsefToken(nip=sandbox.nip, token=sandbox.token)) as client:
            await client.log_in()
            assert (await client.latarnia.status()).status is LatarniaStatus.AVAILABLE
            availability = await client.availability()

    (request,) = requests
    assert request.startswith(b"GET /x/status HTTP/1.1\r\n")
    assert b"authorization" not in request.lower()
    assert sandbox.token.encode() not in request
    assert availability.at < datetime(2028, 1, 1, tzinfo=UTC)


async def test_announcing_what_makes_no_sense_is_refused(sandbox: Sandbox) -> None:
    for category in ("AVAILABLE", "STRIKE"):
        with pytest.raises(ValueError, match="is no outage"):
            sandbox.latarnia.announce(category)
    with pytest.raises(ValueError, match="cannot end before"):
        sandbox.latarnia.announce("FAILURE", end=-1 * 3600)
    with pytest.raises(ValueError, match="no event 1"):
        sandbox.latarnia.end(1)
