from __future__ import annotations

import anyio
import pytest

from ksef_async.shielding import finish


async def test_what_takes_too_long_is_over_when_a_cancelled_scope_is_left() -> None:
    events = []

    async def slow() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            events.append("cleaned up")

    with anyio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(TimeoutError):
            await finish(slow(), 0.01)
        events.append("finished")

    assert events == ["cleaned up", "finished"]
