"""Procrastinate as the engine: workers on any number of machines, PostgreSQL and nothing else (extra `procrastinate`).

Jobs carry a NIP. Procrastinate's locks are not used: the journal's lease admits one worker to a context, and a dead
worker's job then holds nothing up. The reaper ends such jobs, the relay asks for the context anew.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from sqlalchemy.engine import make_url

from ..calling.finishing import ended, finish
from ..protocol.extras import extra

with extra("procrastinate", "procrastinate", what=__name__):
    import procrastinate
    from procrastinate import exceptions, manager
    from procrastinate.jobs import Job, Status

__all__ = ["ProcrastinateEngine"]

_log = logging.getLogger(__name__)

_TASK: Final = "ksef_async.drain"

# Seconds that a lost connection is tried again by the pool.
_RECONNECTING: Final = 5.0

# Seconds that a question waits for a connection; so long, or twice, it takes to leave while the server is gone.
_PATIENCE: Final = 5.0


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
            connector=procrastinate.PsycopgConnector(
                conninfo=address.render_as_string(hide_password=False),
                # A pool that has lost its server tries less and less often, for minutes; one that has given up tries
                # again at the next question.
                reconnect_timeout=_RECONNECTING,
                timeout=_PATIENCE,
            )
        )
        self._app.job_manager = _Jobs(self._app.connector)
        self._drain: Callable[[str], Awaitable[None]] | None = None

        @self._app.task(name=_TASK, queue=queue)
        async def task(context: str) -> None:
            if self._drain is not None:
                await self._drain(context)

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
        if await self._has_tables():
            return
        try:
            await self._app.schema_manager.apply_schema_async()
        except exceptions.ConnectorException:
            # Another worker was faster.
            if not await self._has_tables():
                raise

    async def _has_tables(self) -> bool:
        asked = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there"
        return bool((await self._app.connector.execute_query_one_async(asked))["there"])

    async def request(self, context: str) -> None:
        """Put a job into the queue, unless one for the context waits there already."""
        job = self._app.configure_task(_TASK, allow_unknown=True, queue=self._queue, queueing_lock=f"ksef {context}")
        try:
            await job.defer_async(context=context)
        except exceptions.AlreadyEnqueued:
            return

    async def work(self, drain: Callable[[str], Awaitable[None]], concurrency: int) -> None:
        """Run a worker, and the reaper beside it, until cancelled, or until the server is lost.

        Raises:
            ConnectorException: It was lost; all that was being drained has ended by then.
        """
        self._drain = drain
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._reap)
            await _run(
                self._app.run_worker_async(
                    queues=[self._queue],
                    concurrency=concurrency,
                    install_signal_handlers=False,
                    delete_jobs="always",
                    fetch_job_polling_interval=self._polling_interval,
                    update_heartbeat_interval=self._heartbeat,
                    stalled_worker_timeout=self._stalled_after,
                    shutdown_graceful_timeout=0.0,
                )
            )
            # It ends by itself when one of its side tasks has failed; it has logged why.
            tasks.cancel_scope.cancel()

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


async def _run(worker: Coroutine[Any, Any, None]) -> None:
    """Run a worker until it ends; when cancelled, cancel it once, and wait until all its jobs have ended.

    anyio cancels what its scopes hold again and again, and the second time would take the worker from its jobs.
    """
    task = asyncio.ensure_future(worker)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError as cancelled:
        task.cancel()
        await finish(ended(task), math.inf)
        if not task.cancelled() and (failure := task.exception()) is not None:
            cancelled.add_note(f"The worker could not sign off: {failure!r}")
        raise
    task.result()


class _Jobs(manager.JobManager):
    """A job that cannot be ended because the server is gone, or that was ended meanwhile, is nothing to fail for."""

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """End a job; it carries a NIP only, and the relay asks for that anew if there is anything to be done."""
        try:
            await super().finish_job(job, status, delete_job)
        except exceptions.ConnectorException as error:
            _log.warning("job %s cannot be ended: %r", job.id, error.__cause__ or error)
