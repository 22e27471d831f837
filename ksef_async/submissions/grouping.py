"""Group work: calls that come while one transaction is under way are answered together in the next."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from ..calling.finishing import ended, finish

__all__ = ["Grouped", "answered"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# The most items in one transaction, and the most they may weigh together: others wait for their turn.
_LARGEST: Final = 256
_HEAVIEST: Final = 4_000_000

# Turns of the event loop from the bytes of a request to its question: they are read, a task is made, it runs. Waiting
# for them answers together what comes at once: of 200 callers over sockets (SQLite) the slowest hundredth waits 0.35 to
# 0.6 s in place of 0.7 s, for 0.78 of the CPU.
_QUIET: Final = 3


class Grouped(Generic[Item, Answer]):
    """Answers many callers with one transaction, each with its own answer or its own error.

    No caller joins a group that is being answered, so whatever was committed before it asked is seen. A caller that is
    cancelled is not waited for, and does not stop the others.

    Args:
        begin: Opens a transaction (or a connection to read with).
        answer: An answer or an error for each item, in their order. What it raises is about one of them, perhaps:
            they are tried one by one then. What ``begin`` raises is about all.
        weigh: How much of a transaction an item takes; at most 4,000,000 go into one, but a heavier item alone.
    """

    def __init__(
        self,
        begin: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
        answer: Callable[[AsyncConnection, Sequence[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        weigh: Callable[[Item], int] = lambda _: 0,
    ) -> None:
        self._begin = begin
        self._answer = answer
        self._weigh = weigh
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._working: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Grouped {'working' if self._working else 'idle'}, {len(self._waiting)} waiting>"

    async def ask(self, item: Item) -> Answer:
        """Return the answer for ``item``; or raise its error, or what the database raised."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._working is None:
            # A task of its own, for it outlives the caller that is cancelled; and a context of its own, for it works
            # for many callers.
            self._working = asyncio.create_task(self._work(), context=contextvars.Context())
        return await answer

    async def wait_idle(self, patience: float) -> None:
        """Wait until those who have asked are answered, for ``patience`` seconds at most."""
        if self._working is not None:
            await asyncio.wait([self._working], timeout=patience)

    async def aclose(self) -> None:
        """Wait until everybody who has asked is answered."""
        while (working := self._working) is not None:
            await finish(ended(working), math.inf)

    async def _work(self) -> None:
        group: list[tuple[Item, asyncio.Future[Answer]]] = []
        try:
            while self._waiting:
                group = []
                answers = await self._together(group)
                for (_, future), answer in zip(group, answers, strict=True):
                    if future.done():
                        continue  # Its caller was cancelled.
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        finally:
            self._working = None
            # Somebody ends the event loop with all its tasks: nobody may wait for ever.
            for _, future in (*group, *self._waiting):
                future.cancel()

    async def _next_group(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        # Whoever is about to ask would wait for the end of this transaction: so it goes on once some turns of the
        # loop have brought nobody else.
        before = quiet = 0
        while quiet < _QUIET and 0 < len(self._waiting) < _LARGEST:
            quiet = quiet + 1 if len(self._waiting) == before else 0
            before = len(self._waiting)
            await asyncio.sleep(0)
        group: list[tuple[Item, asyncio.Future[Answer]]] = []
        weight = 0
        while self._waiting and len(group) < _LARGEST:
            item, future = self._waiting[0]
            if not future.done():
                weight += self._weigh(item)
                if group and weight > _HEAVIEST:
                    break
                group.append((item, future))
            self._waiting.popleft()
        return group

    async def _together(self, group: list[tuple[Item, asyncio.Future[Answer]]]) -> Sequence[Answer | Exception]:
        """Take the next callers into ``group``, which is empty, and answer them."""
        try:
            # Begun first: until others have ended theirs, more callers come.
            async with self._begin() as connection:
                group += await self._next_group()
                return await self._answered(connection, [item for item, _ in group]) if group else ()
        except _AnswerError as failure:
            return [failure.error] if len(group) == 1 else await self._one_by_one([item for item, _ in group])
        except Exception as error:  # noqa: BLE001  # raised to every caller
            if not group:
                group += self._waiting
                self._waiting.clear()
            return [error] * len(group)

    async def _one_by_one(self, items: Sequence[Item]) -> Sequence[Answer | Exception]:
        answers: list[Answer | Exception] = []
        for item in items:
            try:
                async with self._begin() as connection:
                    answers += await self._answered(connection, [item])
            except _AnswerError as failure:
                answers.append(failure.error)
            except Exception as error:  # noqa: BLE001  # raised to every caller
                return answers + [error] * (len(items) - len(answers))
        return answers

    async def _answered(self, connection: AsyncConnection, items: Sequence[Item]) -> Sequence[Answer | Exception]:
        try:
            return await self._answer(connection, items)
        except Exception as error:
            raise _AnswerError(error) from error


def answered(answer: Answer | Exception) -> Answer:
    """Return the answer, or raise its error."""
    if isinstance(answer, Exception):
        raise answer
    return answer


class _AnswerError(Exception):
    """Carries the error of an answer out of its transaction, which is rolled back."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error
