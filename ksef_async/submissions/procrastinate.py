"""Procrastinate as the engine: workers on any number of machines, PostgreSQL and nothing else (extra `procrastinate`).

Jobs carry a NIP. Procrastinate's locks are not used: the journal's lease admits one worker to a context, and a dead
worker's job then holds nothing up. The reaper ends such jobs, the relay asks for the context anew.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
import procrastinate
from procrastinate import exceptions
from procrastinate.jobs import Status
from sqlalchemy.engine import make_url

__all__ = ["ProcrastinateEngine"]

_log = logging.getLogger(__name__)

_TASK: Final = "ksef_async.drain"


class ProcrastinateEngine:
    """Hands contexts to workers by way of Procrastinate's tables.

    Args:
        url: Of PostgreSQL, SQLAlchemy's or libpq's; mostly the journal's.
        queue: Procrastinate's queue.
        heartbeat: Seconds between a worker's signs of life.
        stalled_after: Seconds after which a silent worker's jobs are ended by the reaper.
        polling_interval: Seconds between looks for jobs, besides being notified.
    """

    def __init__(
        self,
        url: str,
        *,
        queue: str = "ksef",
        heartbeat: float = 5.0,
        stalled_after: float = 20.0,
        polling_interval: float = 1.0,
    ) -> None:
        address = make_url(url).set(drivername="postgresql")
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=address.render_as_string(hide_password=False))
        )
        self._queue = queue
        self._heartbeat = heartbeat
        self._stalled_after = stalled_after
        self._polling_interval = polling_interval

    def __repr__(self) -> str:
        return f"<ProcrastinateEngine, queue {self._queue}>"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Connect, and make Procrastinate's tables where there are none."""
        async with self._app.open_async():
            await self._make_tables()
            yield

    async def _make_tables(self) -> None:
        executor = self._app.connector
        row = await executor.execute_query_one_async("SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there")
        if row["there"]:
            return
        try:
            await self._app.schema_manager.apply_schema_async()
        except exceptions.ConnectorException:
            # Another worker was faster.
            row = await executor.execute_query_one_async(
                "SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there"
            )
            if not row["there"]:
                raise

    async def request(self, context: str) -> None:
        """Put a job into the queue, unless one for the context waits there already."""
        job = self._app.configure_task(_TASK, allow_unknown=True, queue=self._queue, queueing_lock=f"ksef {context}")
        try:
            await job.defer_async(context=context)
        except exceptions.AlreadyEnqueued:
            return

    async def work(self, drain: Callable[[str], Awaitable[None]], concurrency: int) -> None:
        """Run a worker, and the reaper beside it, until cancelled."""

        @self._app.task(name=_TASK, queue=self._queue)
        async def task(context: str) -> None:
            await drain(context)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._reap)
            await self._app.run_worker_async(
                queues=[self._queue],
                concurrency=concurrency,
                install_signal_handlers=False,
                delete_jobs="always",
                fetch_job_polling_interval=self._polling_interval,
                update_heartbeat_interval=self._heartbeat,
                stalled_worker_timeout=self._stalled_after,
                shutdown_graceful_timeout=0.0,
            )

    async def _reap(self) -> None:
        """End the jobs of dead workers: their contexts are asked for anew by the relay."""
        while True:
            await anyio.sleep(self._stalled_after / 2)
            try:
                await self._reap_once()
            except exceptions.ConnectorException:
                _log.exception("jobs of workers that are gone cannot be ended; trying again")

    async def _reap_once(self) -> None:
        stalled = await self._app.job_manager.get_stalled_jobs(
            queue=self._queue, seconds_since_heartbeat=self._stalled_after
        )
        for job in stalled:
            _log.info("job %s of a worker that is gone is ended", job.id)
            await self._app.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)
