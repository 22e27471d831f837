"""What a distributed task engine has to do: three methods. The journal does the rest, so a job carries a NIP only.

Another engine behind the port, e.g. Taskiq with Redis:

    class TaskiqEngine:
        def __init__(self, broker): self._broker = broker

        @asynccontextmanager
        async def open(self):
            await self._broker.startup()
            try:
                yield
            finally:
                await self._broker.shutdown()

        async def request(self, context):
            await self._broker.task(task_name="ksef_drain")(_drain).kiq(context)

        async def work(self, drain):
            self._broker.register_task(drain, task_name="ksef_drain")
            await run_receiver_task(self._broker)

What it may get wrong without harm: lose a job (the relay asks again), run one twice, or twice at once (the lease
admits one), or run one on a worker that dies (the lease ends, the relay asks again).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

__all__ = ["Engine"]


class Engine(Protocol):
    """Brings contexts with work to workers."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Connect while the block lasts, and make what the engine needs in its own store."""
        ...

    async def request(self, context: str) -> None:
        """Have one of the workers drain ``context`` soon; asking again before one has begun changes nothing."""
        ...

    async def work(self, drain: Callable[[str], Awaitable[None]], concurrency: int) -> None:
        """Be a worker until cancelled: call ``drain`` for every context asked for, ``concurrency`` at a time.

        When it raises, or returns, no ``drain`` of its is running any more; it is called again after a pause, unless
        the error is one that a database always gives, e.g. that there is no such table.
        """
        ...
