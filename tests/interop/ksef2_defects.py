"""Where `ksef2` itself goes wrong; each is shown again at the sandbox."""

from __future__ import annotations

import anyio
import pytest
from interop.ksef2_logins import Walker
from interop.steps import samples
from ksef2 import FormSchema, KSeFApiError, KSeFServerError
from ksef2.clients import AsyncAuthenticatedClient

from ksef_async.sandbox import Fault
from ksef_async.sandbox.faults import UPLOAD_PART


async def show_defects(walker: Walker, auth: AsyncAuthenticatedClient) -> None:
    world, faults, now = walker.sandbox.world, walker.sandbox.faults, walker.sandbox.clock.now
    with walker.steps.defect("upload answered by a proxy's page", "200 with HTML counts as stored; the close fails"):
        faults.add(UPLOAD_PART, Fault.html(200), times=1)
        with pytest.raises(KSeFApiError, match="21205"):
            await auth.batch.submit(await auth.batch.prepare(samples(walker.sandbox, "Lost")))
    with walker.steps.defect("online session closed while KSeF is down", "one 503 at the close leaves it open"):
        faults.add("close_online_session", Fault.html(503), times=1)
        with pytest.raises(KSeFServerError):
            async with auth.online_session(form_code=FormSchema.FA3) as session:
                pass
        assert world.sessions[session.reference_number].closed_since(now()) is None
    with walker.steps.defect("online session left by a cancelled scope of anyio", "it stays open: no close is sent"):
        with anyio.CancelScope() as scope:
            async with auth.online_session(form_code=FormSchema.FA3) as session:
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert world.sessions[session.reference_number].closed_since(now()) is None
