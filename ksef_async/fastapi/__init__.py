"""KSeF in a FastAPI service: a lifespan, two dependencies and a router; extras ``fastapi`` and ``durable``.

    service = KsefService(Environment.TEST, {nip: KsefToken(nip=nip, token=secret)}, journal="sqlite+aiosqlite:///k.db")
    app = FastAPI(lifespan=service.lifespan)
    app.include_router(router, prefix="/ksef", dependencies=[Depends(who_may)])

The router asks nobody who they are: ``who_may`` is yours, and finds the company as ``nip`` in the path.
"""

from __future__ import annotations

from ..protocol.extras import extra

with extra("fastapi", "fastapi", "pydantic", "starlette", what=__name__):
    from .refusals import FaultRoute
    from .routes import router
    from .service import KsefClientDep, KsefService, SubmissionsDep
    from .views import IssuedView, SubmissionView

__all__ = ["FaultRoute", "IssuedView", "KsefClientDep", "KsefService", "SubmissionView", "SubmissionsDep", "router"]
