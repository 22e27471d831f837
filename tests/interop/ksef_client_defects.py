"""Where `ksef-client` itself goes wrong; each is shown again at the sandbox."""

from __future__ import annotations

import pytest
from interop.ksef_client_invoices import open_batch
from interop.ksef_client_logins import Walker
from interop.steps import samples
from ksef_client import KsefHttpError

from ksef_async.sandbox import Fault
from ksef_async.sandbox.faults import UPLOAD_PART


async def show_defects(walker: Walker, access: str) -> None:
    with walker.steps.defect("upload answered by a proxy's page", "200 with HTML counts as stored; the close fails"):
        session = await open_batch(walker, access, "Zip", samples(walker.sandbox, "Lost"))
        walker.sandbox.faults.add(UPLOAD_PART, Fault.html(200), times=1)
        await session.upload_parts()
        with pytest.raises(KsefHttpError) as refusal:
            await session.close()
        assert "21205" in str(refusal.value.response_body)
    with walker.steps.defect("session written to a log", "its repr shows the access token and the signed links"):
        shown = repr(session)
        assert access in shown
        assert session.part_upload_requests[0].url in shown
