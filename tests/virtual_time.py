"""An event loop in which waiting takes no time: hours of pacing pass in seconds, over real sockets."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

import anyio.to_thread

__all__ = ["VirtualTimeLoop", "mind_threads"]

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


#: How much slower than real time the loop's own time runs between jumps: a busy machine must not look like a slow
#: network.
_SLOWNESS = 50


class _JumpingSelector(selectors.DefaultSelector):
    """Jumps to the next timer once nothing is on its way any more."""

    def __init__(self) -> None:
        super().__init__()
        self.jump: Callable[[float], None] = lambda _: None
        self.threads_are_busy: Callable[[], bool] = lambda: False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        # What was written to a socket of this process is there at once; what a thread does, is not.
        pause = min(timeout, 0.02 if self.threads_are_busy() else 0.0005)
        events = super().select(pause)
        if not events and not self.threads_are_busy():
            self.jump(timeout)
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.skipped = 0.0
        self.jumping = _JumpingSelector()
        self.jumping.jump = self._jump
        self.jumping.threads_are_busy = lambda: self._jobs > 0
        self._jobs = 0
        super().__init__(self.jumping)

    def time(self) -> float:
        return super().time() / _SLOWNESS + self.skipped

    def _jump(self, seconds: float) -> None:
        self.skipped += seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], Result], *args: *Arguments
    ) -> asyncio.Future[Result]:
        """Let time stand still while the job is under way, e.g. a statement in SQLite."""
        job = super().run_in_executor(executor, func, *args)
        self._jobs += 1
        job.add_done_callback(self._end_job)
        return job

    def _end_job(self, _: asyncio.Future[Any]) -> None:
        self._jobs -= 1


_run_sync = anyio.to_thread.run_sync
_busy_threads = 0


async def _counted(*args: Any, **options: Any) -> Any:
    global _busy_threads
    _busy_threads += 1
    try:
        return await _run_sync(*args, **options)
    finally:
        _busy_threads -= 1


async def mind_threads() -> None:
    """Let time stand still while one of anyio's worker threads is busy, too; call it at the start of a test."""
    # Not by a limiter's tokens: those who pack have a limiter of their own.
    anyio.to_thread.run_sync = _counted  # type: ignore[assignment]  # it passes everything on
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    others = loop.jumping.threads_are_busy
    loop.jumping.threads_are_busy = lambda: _busy_threads > 0 or others()
