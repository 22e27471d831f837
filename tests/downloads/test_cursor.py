"""The rules of the cursor: it never skips and never goes back, whatever KSeF says of its high-water mark."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import attrs
import pytest

from ksef_async.api.common import ServerTime
from ksef_async.api.invoices import (
    Buyer,
    BuyerIdentifier,
    BuyerIdentifierType,
    InvoiceMetadata,
    InvoicePackage,
    InvoiceSubject,
    InvoiceType,
    Seller,
)
from ksef_async.api.packages import CompressionType
from ksef_async.api.sessions import FormCode, InvoicingMode
from ksef_async.downloads.checkpoint import Checkpoint, Position, TakenInvoice
from ksef_async.downloads.cursor import Cursor, Window
from ksef_async.errors import RemoteProtocolError

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
DAY = 24


def at(hours: float) -> ServerTime:
    """A time by the hours since noon."""
    return ServerTime.parse((NOON + timedelta(hours=hours)).isoformat())


def invoice(number: str, hours: float) -> InvoiceMetadata:
    return InvoiceMetadata(
        ksef_number=number,
        invoice_number=number,
        issue_date=NOON.date(),
        invoicing_date=at(hours),
        acquisition_date=at(hours),
        permanent_storage_date=at(hours),
        seller=Seller("5265877635"),
        buyer=Buyer(BuyerIdentifier(BuyerIdentifierType.NONE)),
        net_amount=Decimal(1),
        gross_amount=Decimal(1),
        vat_amount=Decimal(0),
        currency="PLN",
        invoicing_mode=InvoicingMode.ONLINE,
        invoice_type=InvoiceType.VAT,
        form_code=FormCode.FA3,
        is_self_invoicing=False,
        has_attachment=False,
        invoice_hash=bytes(32),
    )


def package(*, mark: float | None = None, last: float | None = None, is_truncated: bool = False) -> InvoicePackage:
    return InvoicePackage(
        invoice_count=0,
        size=0,
        parts=(),
        is_truncated=is_truncated,
        last_permanent_storage_date=None if last is None else at(last),
        permanent_storage_hwm_date=None if mark is None else at(mark),
        compression_type=CompressionType.ZIP,
    )


def begun(cursor: float = 0, *, overlap: float = 0, known_from: float | None = None, taken: str = "") -> Cursor:
    position = Position(
        subject_type=InvoiceSubject.BUYER,
        cursor=at(cursor).text,
        known_from=at(cursor if known_from is None else known_from).text,
        taken=tuple(TakenInvoice(number, at(cursor).text) for number in taken),
    )
    return Cursor(position, timedelta(hours=overlap), at(cursor))


def window(start: float = 0, end: float | None = None, *, asked_at: float = 5) -> Window:
    return Window(start=at(start), end=None if end is None else at(end), asked_at=at(asked_at))


# The range begins at noon and is asked for at 17:00 (5); the package has invoices of 13:00 (1) and 15:00 (3).
MARKS: dict[str, tuple[float | None, float | None, bool, float | None, float]] = {
    # mark, end of the range, truncated, last date told; where the cursor stands then
    "within": (4, None, False, None, 4),
    "below an invoice": (2, None, False, None, 2),
    "at the start": (0, None, False, None, 0),
    "before the start": (-3, None, False, None, 0),
    "long before the start": (-17e6, None, False, None, 0),
    "after the question": (5.01, None, False, None, 5),
    "in the future": (9, None, False, None, 0),
    "in the far future": (5e7, None, False, None, 0),
    "missing": (None, None, False, None, 0),
    "beyond the end": (4.5, 4, False, None, 4),
    "before the end": (3.5, 4, False, None, 3.5),
    "truncated": (4, None, True, 3, 3),
    "truncated, mark below the last": (2, None, True, 3, 2),
    "truncated, mark before the start": (-3, None, True, 3, 0),
    "truncated, without the last": (4, None, True, None, 3),
    "truncated, last later than its invoices": (4, None, True, 4, 3),
    "truncated, last before the start": (4, None, True, -5, 3),
}


@pytest.mark.parametrize("kind", MARKS)
def test_cursor_moves_to_the_smallest_of_mark_end_and_last_invoice(kind: str) -> None:
    mark, end, is_truncated, last, expected = MARKS[kind]
    cursor, asked = begun(), window(end=end)
    info, invoices = package(mark=mark, last=last, is_truncated=is_truncated), [invoice("a", 1), invoice("b", 3)]

    cursor.begin(asked, info, invoices, at(5))
    positions = [cursor.position]
    for each in invoices:
        cursor.take(each)
        positions.append(cursor.position)
    cursor.finish(asked, info)
    positions.append(cursor.position)

    assert cursor.position.moment == at(expected)
    assert [each.moment for each in positions] == sorted(each.moment for each in positions)
    # What lies above it, or on it, is not given again.
    assert {each.ksef_number for each in cursor.position.taken} == {
        number for number, stored_at in (("a", 1), ("b", 3)) if stored_at >= expected
    }


def test_mark_that_is_missing_counts_as_yesterday_s() -> None:
    cursor, asked = begun(-10 * DAY), window(-10 * DAY)

    cursor.begin(asked, package(), [], at(5))
    cursor.finish(asked, package())

    assert cursor.position.moment == at(5 - DAY)


ENDS: dict[str, tuple[float | None, float | None, bool, float | None]] = {
    # end of the range (asked at 5), mark, truncated; where the next range begins
    "no end": (None, 4, False, None),
    "end reached": (4, 4.5, False, 4),
    "recent end not reached": (4, 3.5, False, None),
    "old end not reached": (-40, -45, False, -40),
    "old end, absurd mark": (-40, -17e6, False, -40),
    "old end, no mark": (-40, None, False, -40),
    "truncated": (None, 4, True, -49),
    "truncated, mark before it": (None, -60, True, -49),
}


@pytest.mark.parametrize("kind", ENDS)
def test_next_range_begins_where_this_one_ends(kind: str) -> None:
    end, mark, is_truncated, expected = ENDS[kind]
    cursor, asked = begun(-50), window(-50, end)
    info = package(mark=mark, is_truncated=is_truncated)

    cursor.begin(asked, info, [invoice("a", -49)], at(5))
    cursor.take(invoice("a", -49))

    assert cursor.finish(asked, info) == (None if expected is None else at(expected))


def test_package_that_is_cut_off_nowhere_is_refused() -> None:
    cursor, asked, info = begun(), window(), package(mark=4, is_truncated=True)

    cursor.begin(asked, info, [], at(5))

    with pytest.raises(RemoteProtocolError):
        cursor.finish(asked, info)


def test_invoices_out_of_order_do_not_move_the_cursor_past_those_that_are_missing() -> None:
    cursor, info = begun(), package(mark=4)
    cursor.begin(window(), info, [invoice("a", 1), invoice("b", 2), invoice("c", 3)], at(5))

    cursor.take(invoice("c", 3))
    cursor.take(invoice("b", 2))
    before = cursor.position
    cursor.take(invoice("a", 1))

    assert before.moment == at(0)
    assert {each.ksef_number for each in before.taken} == {"b", "c"}
    assert cursor.position.moment == at(3)


def test_looking_back_ends_where_it_is_not_known_what_was_given() -> None:
    assert begun(0, overlap=2).look_back == at(0)
    assert begun(0, overlap=2, known_from=-1).look_back == at(-1)
    assert begun(0, overlap=2, known_from=-9).look_back == at(-2)
    assert begun(0, known_from=-9).look_back == at(0)


def test_what_was_given_within_the_overlap_is_remembered_across_a_restart() -> None:
    cursor, asked, info = begun(overlap=2), window(), package(mark=4)
    invoices = [invoice("a", 1), invoice("b", 3)]
    cursor.begin(asked, info, invoices, at(5))
    for each in invoices:
        cursor.take(each)
    cursor.finish(asked, info)

    stored = Checkpoint.from_json(Checkpoint((cursor.position,)).to_json())
    again = Cursor(stored.positions[0], timedelta(hours=2), at(5))

    assert again.look_back == at(2)
    assert not again.is_new(invoice("b", 3))
    assert again.is_new(invoice("late", 2.5))
    # It would have been given before, and nobody remembers.
    assert not again.is_new(invoice("a", 1))


def test_only_so_many_are_remembered_and_looking_back_is_cut_short_by_that() -> None:
    cursor, asked, info = begun(overlap=1_000), window(), package(mark=4)
    invoices = [invoice(str(number), number / 10_000) for number in range(10_500)]
    cursor.begin(asked, info, invoices, at(5))
    for each in invoices:
        cursor.take(each)
    cursor.finish(asked, info)

    assert len(cursor.position.taken) == 10_000
    assert cursor.is_cut_short
    assert at(0.0499) < cursor.look_back <= at(0.05)
    assert not any(cursor.is_new(each) for each in invoices)


def test_invoice_of_the_first_version_s_checkpoint_is_remembered_until_now_has_passed() -> None:
    position = Position(subject_type=InvoiceSubject.BUYER, cursor=at(0).text, taken=(TakenInvoice("a"),))
    cursor = Cursor(position, timedelta(), at(5))
    cursor.begin(window(), package(mark=4), [], at(5))
    cursor.finish(window(), package(mark=4))

    assert not cursor.is_new(invoice("a", 4.5))
    assert not Cursor(cursor.position, timedelta(), at(6)).is_new(invoice("a", 4.5))

    later = window(4, asked_at=9)
    cursor.begin(later, package(mark=8), [], at(9))
    cursor.finish(later, package(mark=8))
    assert cursor.position.taken == ()


def test_more_than_can_be_remembered_above_the_mark_is_refused() -> None:
    cursor, info = begun(), package(mark=0)
    template = invoice("", 1)
    many = [attrs.evolve(template, ksef_number=str(number)) for number in range(110_001)]
    cursor.begin(window(), info, many, at(5))

    with pytest.raises(RemoteProtocolError, match="high-water mark"):
        for each in many:
            cursor.take(each)


@pytest.mark.parametrize(("days", "has_end"), [(98, False), (100, True)])
def test_range_is_no_longer_than_ksef_allows(days: int, has_end: bool) -> None:
    beginning = Window.beginning(at(-days * DAY), NOON)

    assert (beginning.end is not None) == has_end
    assert attrs.evolve(beginning, end=None).limit == NOON


@pytest.mark.parametrize(
    ("ahead", "next_range"),
    [
        pytest.param(0.9, 0.9, id="our clock is behind"),
        pytest.param(61, 0, id="a date that is not true"),
    ],
)
def test_package_may_end_a_little_after_the_time_at_which_it_was_asked_for(ahead: float, next_range: float) -> None:
    # KSeF's time is known from headers, which have whole seconds.
    seconds = 1 / 3600
    cursor, asked = begun(0), window(0, asked_at=1)
    info = package(mark=0.5, is_truncated=True)
    last = invoice("a", 1 + ahead * seconds)

    cursor.begin(asked, info, [last], at(1))
    cursor.take(last)

    assert cursor.finish(asked, info) == at(1 + next_range * seconds)
