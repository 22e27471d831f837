"""The example's service without pacing, for a sandbox without rate limits; and an empty handler beside it."""

from __future__ import annotations

import gc
import importlib
import sys
from functools import partial

from fastapi import FastAPI

from ksef_async.fastapi import KsefService
from ksef_async.protocol.pacing import Pacer

__all__ = ["app", "empty"]

example = importlib.import_module("fastapi_service")
example.KsefService = partial(KsefService, client_options={"pacer": Pacer.unlimited()})  # type: ignore[attr-defined]
app: FastAPI = example.app

# For the longest tenths of a second, which a service of one process has: what is loaded by now stays, so Python need
# not look through all of it for garbage; and SQLite's threads do not wait 5 ms each time they have an answer.
gc.freeze()
gc.set_threshold(100_000)
sys.setswitchinterval(0.0005)

#: What FastAPI takes for nothing at all.
empty = FastAPI()


@app.get("/empty")
@empty.get("/empty")
@empty.post("/empty")
async def nothing() -> None:
    return None
