"""A worker: finds contexts with work, and delivers for them, on the caller's loop; nothing runs on after the block.

Contexts come from the journal itself, or from an engine that distributes them among workers (`Engine`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Protocol, TypeAlias, cast

import anyio
import attrs
from anyio.abc import TaskGroup

from ..calling.events import CredentialsEnding
from ..calling.finishing import ended, finish
from ..client import KsefClient
from ..errors import ConfigurationError, LocalProtocolError
from ..protocol.numbers import nip_problem
from .context_store import ContextStore
from .database import Database
from .deadline_watch import DeadlineWatch
from .drain import Drain
from .faults import fault_of, journal_faults
from .leases import Lease, Leases, exclusive
from .models import LeaseLostError, Settings
from .trouble import Unreachable, gist
from .vault import Vault

__all__ = [
    "Clients",
    "Engine",
    "Worker",
    "beside",
    "check_nips",
    "check_open",
    "client_of",
    "endings",
    "journal_outage",
]

_log = logging.getLogger(__name__)

Clients: TypeAlias = KsefClient | Mapping[str, KsefClient] | Callable[[str], KsefClient]
"""One client, NIP -> client, or a function NIP -> client that raises LookupError for a NIP it does not know."""


def check_nips(clients: Clients | None) -> None:
    """Make sure that the keys of a mapping of clients are NIPs, as those of submissions are.

    Raises:
        LocalProtocolError: One is not.
    """
    for nip in clients if isinstance(clients, Mapping) else ():
        if problem := nip_problem(nip):
            raise LocalProtocolError(problem)


def check_open(clients: Clients) -> None:
    """Make sure that those who deliver are open; a function's are not known yet.

    Raises:
        LocalProtocolError: One is not.
    """
    for client in _known(clients):
        if not client.is_open:
            raise LocalProtocolError(f"{client!r} is not open: enter it before `running()`, with `async with`.")


def endings(clients: Clients | None) -> list[CredentialsEnding]:
    """Return the warnings about logins that soon end; a function's clients are not known."""
    found = [client.credentials_ending for client in _known(clients) if client.is_open]
    return [ending for ending in found if ending is not None]


def _known(clients: Clients | None) -> Iterable[KsefClient]:
    if isinstance(clients, KsefClient):
        return (clients,)
    return clients.values() if isinstance(clients, Mapping) else ()


# Seconds that giving a lease back may take when a worker is stopped.
_GRACE = 5.0


class Engine(Protocol):
    """Brings contexts with work to workers. The journal does the rest, so a job carries a NIP only.

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


@attrs.define
class _Failures:
    """The failures of a context since it was last delivered."""

    count: int = 0
    retry_at: float = 0.0
    """By the event loop's clock."""
    logged: set[str] = attrs.field(factory=set)
    """The gist of each."""


class Worker:
    """Delivers from a journal.

    Args:
        database: Of the journal.
        vault: Opens documents.
        clients: Who delivers.
        engine: Brings contexts here; None to look for them.
        settings: How to work.
        yield_to_others: Waits a moment while others of this process have more urgent work.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        clients: Clients,
        engine: Engine | None,
        settings: Settings,
        yield_to_others: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._vault = vault
        self._clients = clients
        self._engine = engine
        self._settings = settings
        self._yield_to_others = yield_to_others
        self._leases = Leases(database, f"{os.getpid()}-{uuid.uuid4().hex}", settings.lease_duration)
        self._drains: dict[str, Drain | None] = {}
        self._journal = journal_outage(database, settings)
        self._deadlines = DeadlineWatch(database, partial(client_of, clients), settings, self._journal)
        # Of the contexts whose delivery failed last.
        self._failures: dict[str, _Failures] = {}
        self._news = anyio.Event()

    def __repr__(self) -> str:
        return f"<Worker {self._leases.owner}, {len(self._drains)} contexts being delivered>"

    def wake(self, context: str | None = None) -> None:
        """Look for work: there may be something new, e.g. for ``context``."""
        self._news.set()
        if context is not None and (drain := self._drains.get(context)) is not None:
            drain.wake()

    async def run(self, ready: Callable[[], None]) -> None:
        """Deliver until cancelled.

        Args:
            ready: Called once the journal is this worker's to deliver from.

        Raises:
            JournalBusyError: Another process delivers from this SQLite journal.
            JournalError: The journal cannot be used, and will not be by itself (`is_final`).
            Exception: The engine cannot.
        """
        with journal_faults(self._database):
            await self._run(ready)

    async def _run(self, ready: Callable[[], None]) -> None:
        file = self._database.file
        async with exclusive(file) if file is not None else nullcontext():
            if self._database.is_sqlite:
                await self._leases.release_all()
            ready()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._deadlines.run)
                if self._engine is None:
                    await self._look(tasks)
                else:
                    tasks.start_soon(self._relay, self._engine)
                    await self._work(self._engine)

    async def _look(self, tasks: TaskGroup) -> None:
        while True:
            self._news = anyio.Event()
            waiting = await self._waiting()
            room = self._settings.max_contexts - len(self._drains)
            for context in waiting[: max(0, room)]:
                tasks.start_soon(self.drain, context)
            for drain in self._drains.values():
                if drain is not None:
                    drain.is_in_a_hurry = len(waiting) > room
            with anyio.move_on_after(self._settings.poll_interval):
                await self._news.wait()

    async def _work(self, engine: Engine) -> None:
        """Be the engine's worker; start again whenever the engine's store was unreachable."""
        outage = Unreachable("the engine's store", self._settings)
        while True:
            began = anyio.current_time()
            error: Exception = RuntimeError("the worker has stopped")
            try:
                await engine.work(self.drain, self._settings.max_contexts)
            except Exception as raised:  # noqa: BLE001  # any engine's own; what is final is raised below
                error = raised
            if anyio.current_time() - began > self._settings.longest_pause:
                outage.is_over()
            await outage.wait_out(error)

    async def _relay(self, engine: Engine) -> None:
        """Ask the engine for whatever has work and no worker: new, lost, committed elsewhere, or its worker died."""
        outage = Unreachable("the engine", self._settings)
        while True:
            waiting = await self._waiting()
            try:
                for context in waiting:
                    await engine.request(context)
            except Exception as error:  # noqa: BLE001  # any engine's own; what is final is raised
                await outage.wait_out(error)
                continue
            outage.is_over()
            await anyio.sleep(self._settings.poll_interval)

    async def _waiting(self) -> list[str]:
        try:
            waiting = await self._leases.waiting()
        except Exception as error:  # noqa: BLE001  # any driver's own; what is final is raised
            await self._journal.wait_out(error)
            return []
        self._journal.is_over()
        now = anyio.current_time()
        paused = {context for context, failures in self._failures.items() if failures.retry_at > now}
        return [context for context in waiting if context not in self._drains and context not in paused]

    async def drain(self, context: str) -> None:
        """Deliver for one context, unless another worker does; what goes wrong is logged and written to the journal."""
        if context in self._drains:
            return  # An engine may ask twice.
        self._drains[context] = None
        try:
            lease = await self._leases.take(context)
            if lease is None:
                return
            await self._drain(lease)
            self._failures.pop(context, None)
        except Exception as error:  # noqa: BLE001  # one context must not stop the others
            await self._failed(context, error)
        finally:
            del self._drains[context]
            self._news.set()

    async def _drain(self, lease: Lease) -> None:
        history: dict[str, list[float]] | None = None
        try:
            client = client_of(self._clients, lease.context)
            journal = ContextStore(self._database, self._vault, lease)
            drain = self._drains[lease.context] = Drain(
                client, journal, self._leases, lease, self._settings, self._yield_to_others
            )
            try:
                await drain.run()
            finally:
                history = client.pacing.history()
        finally:
            await finish(self._leases.give_back(lease, history), _GRACE)

    async def _failed(self, context: str, error: Exception) -> None:
        if isinstance(error, ExceptionGroup) and error.subgroup(LeaseLostError) is not None:
            _log.warning("another worker has taken context %s over", context)
            return
        # Not slept: meanwhile the worker delivers for others.
        failures = self._failures.setdefault(context, _Failures())
        failures.count += 1
        pause = self._settings.pause(failures.count)
        failures.retry_at = anyio.current_time() + pause
        faults = {each: fault_of(each, self._database) for each in _leaves(error)}
        text = "; ".join({_described(fault or each): None for each, fault in faults.items()})
        try:
            await self._leases.note_trouble(context, text)
        except Exception as again:  # noqa: BLE001  # one failure must not stop the others
            # Mostly one outage for all contexts, which `_waiting` logs.
            _log.warning(
                "delivery for %s was broken off (%s), and the journal cannot be written: %s",
                context,
                text,
                _described(fault_of(again, self._database) or again),
            )
            return
        if (about := gist(text)) not in failures.logged:
            failures.logged.add(about)
            # A fault of the database, or a company that nobody serves, is one sentence; all else has its traceback.
            plain = all(fault or isinstance(each, ConfigurationError) for each, fault in faults.items())
            exc_info = None if plain else error
            _log.error("delivery for %s failed; trying again in %g s: %s", context, pause, text, exc_info=exc_info)


def journal_outage(database: Database, settings: Settings) -> Unreachable:
    """Return what waits while a journal's database cannot be reached."""
    return Unreachable("the journal", settings, lambda error: fault_of(error, database) or error)


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def client_of(clients: Clients, context: str) -> KsefClient:
    """Return the client of a context.

    Raises:
        ConfigurationError: There is none.
    """
    if isinstance(clients, KsefClient):
        return clients
    try:
        return clients[context] if isinstance(clients, Mapping) else clients(context)
    except LookupError:
        raise ConfigurationError(f"There is no client for {context}: nobody logs in for this company here.") from None


def _leaves(error: Exception) -> Iterator[Exception]:
    """Iterate over the errors in a group: the text of a group says nothing."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


# --- beside the caller's block --------------------------------------------------------------------------------


@asynccontextmanager
async def beside(work: Callable[[Callable[[], None]], Coroutine[Any, Any, None]]) -> AsyncGenerator[None]:
    """Run ``work`` while the block lasts; the block begins once it has called what it is given.

    The block may end in another task than the one it began in, as that of a fixture of pytest-asyncio does; a task
    group would have to be left by the task that entered it.

    When it fails the block is cancelled, if the task that began it is still at it, and the error is raised in place of
    the cancellation; otherwise at the end of the block.

    Raises:
        Exception: What ``work`` raised; of a group with one error, that error.
    """
    host = cast("asyncio.Task[Any]", asyncio.current_task())
    cancelled_before = host.cancelling()
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(work(lambda: None if ready.done() else ready.set_result(None)))
    watch = _Watch(task, host)
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            watch.is_on = True
            yield
    except asyncio.CancelledError:
        if await watch.is_cause(cancelled_before):
            raise watch.error() from None
        raise
    except Exception:
        await watch.is_cause(cancelled_before)
        raise
    finally:
        watch.is_on = False
        task.cancel()
        await finish(ended(task), math.inf)
    if await watch.is_cause(cancelled_before) or (not task.cancelled() and task.exception() is not None):
        raise watch.error() from None


class _Watch:
    """Cancels the host of a block when the work beside it fails.

    Args:
        task: The work.
        host: The task that began the block.
    """

    def __init__(self, task: asyncio.Task[None], host: asyncio.Task[Any]) -> None:
        self._task = task
        self._host = host
        self.is_on = False
        """True while the block lasts."""
        self._has_cancelled = False
        task.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        if self.is_on and not self._host.done():
            self._has_cancelled = True
            self._host.cancel()

    async def is_cause(self, cancelled_before: int) -> bool:
        """Return whether only the failed work has cancelled the block, and take that cancellation back."""
        if not self._has_cancelled or asyncio.current_task() is not self._host:
            return False
        self._has_cancelled = False
        if self._host.uncancel() > cancelled_before:
            return False
        with suppress(asyncio.CancelledError):
            # Where the block ended meanwhile, the cancellation has not been raised yet.
            await asyncio.sleep(0)
        return True

    def error(self) -> BaseException:
        """Return the error that the work has failed with."""
        error: BaseException | None = None if self._task.cancelled() else self._task.exception()
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        return error or RuntimeError("The delivery has ended.")
