from __future__ import annotations

from collections.abc import Iterator

import pytest

from ksef_async import Cadence, StatusInfo, WaitTimeoutError
from ksef_async.errors import OperationFailedError, ProcessingError
from ksef_async.protocol.lifecycle import PERMISSION_OPERATION
from ksef_async.resources.handles import OperationHandle

REFERENCE = "20250626-EG-333C814000-C529F710D8-D2"
AT_ONCE = Cadence(interval=0)


def handle_of(*codes: int, failure: type[ProcessingError] | None = None) -> OperationHandle[StatusInfo]:
    """An operation that is seen in these states, one a look."""
    states: Iterator[StatusInfo] = (StatusInfo(code, f"state {code}") for code in codes)

    async def look() -> StatusInfo:
        return next(states)

    fail = None if failure is None else lambda message, seen: failure(message, status=seen)
    lifecycle = PERMISSION_OPERATION
    return OperationHandle("Grant", REFERENCE, look, lifecycle=lifecycle, status=lambda seen: seen, failure=fail)


async def test_waiting_ends_with_success() -> None:
    assert await handle_of(100, 150, 200).wait(AT_ONCE) == StatusInfo(200, "state 200")


@pytest.mark.parametrize("code", [201, 400, 550, 999])
async def test_every_other_terminal_code_is_failure(code: int) -> None:
    with pytest.raises(OperationFailedError, match=f"Grant {REFERENCE} failed: {code}") as failed:
        await handle_of(100, code).wait(AT_ONCE)

    assert failed.value.status == StatusInfo(code, f"state {code}")
    assert failed.value.reference_number == REFERENCE


async def test_failure_can_have_an_error_of_its_own() -> None:
    class RefusedError(ProcessingError):
        pass

    with pytest.raises(RefusedError):
        await handle_of(400, failure=RefusedError).wait(AT_ONCE)


async def test_deadline_ends_the_waiting_with_what_was_seen_last() -> None:
    with pytest.raises(WaitTimeoutError, match="last seen: 100") as late:
        await handle_of(*[100] * 1000).wait(Cadence(interval=0.001, factor=1.0, deadline=0.02))

    assert late.value.last_status == StatusInfo(100, "state 100")


async def test_repr_shows_what_was_seen_last() -> None:
    handle = handle_of(100, 200)

    assert repr(handle) == f"<Grant {REFERENCE} not looked at>"
    await handle.status()
    assert repr(handle) == f"<Grant {REFERENCE} 100 state 100>"
    await handle.wait(AT_ONCE)
    assert repr(handle) == f"<Grant {REFERENCE} 200 state 200>"
