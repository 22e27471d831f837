"""What the engine of both ways of sending writes down, and how patient it is.

`keep_open` has a book in memory, the journal one in a database. The rule: each method returns once what it was given
is safe, so the step that needs it comes after it: a session is written down before anything is sent in it. That a
document is about to be sent is written down before it is given to the engine: by the caller who has it, or in the
journal with the claim.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Protocol, TypeVar

import attrs

from ..errors import ApiError, KsefError
from ..protocol.delivery import Asked, DocumentFate, Step
from .online import OnlineSession
from .outcomes import Outcome
from .session import Session
from .tracking import SentInvoice

__all__ = ["Book", "Outgoing", "Patience", "Undelivered"]

Result = TypeVar("Result")


@attrs.frozen(kw_only=True, slots=False)
class Outgoing:
    """A document, and how it is sent."""

    xml: bytes = attrs.field(repr=False)
    offline: bool = False
    corrects: bytes | None = None
    send_before: datetime | None = None
    """When it may not be sent as it is any more, e.g. because its date is over; None for no such time."""
    turned_offline: Callable[[], Awaitable[bool]] | None = attrs.field(default=None, eq=False, repr=False)
    """Asked right before each attempt to send an invoice that was issued online: True once it was handed out as an
    offline invoice, so that it is sent as one.
    """

    @cached_property
    def sha256(self) -> bytes:
        """Of the document (32 bytes)."""
        return sha256(self.xml).digest()


@attrs.frozen(kw_only=True)
class Undelivered:
    """Why a document was not handed over in a session."""

    error: KsefError
    step: Step
    """`ANOTHER_SESSION`, `GIVE_UP`, or `SETTLE`."""
    fate: DocumentFate
    """What is known of it: `NOT_TAKEN_IN`, `REFUSED`, or `IN_DOUBT`, which its session's list settles."""
    failures: int = 0
    """How often KSeF failed on it before it was given up; 0 where it was refused."""

    @property
    def code(self) -> int | None:
        """KSeF's exception code, where it gave one of the document."""
        return self.error.code if isinstance(self.error, ApiError) and not self.failures else None

    def __str__(self) -> str:
        return f"KSeF failed on it {self.failures} times: {self.error}" if self.failures else str(self.error)


class Book(Protocol):
    """The record of sessions and documents."""

    async def session_opened(self, session: OnlineSession) -> None:
        """Write down a session that was opened; nothing is sent in it before this returns, and never if it raises."""
        ...

    async def session_forgotten(self, session: OnlineSession) -> None:
        """Write down that KSeF does not know a session; nothing was sent in it."""
        ...

    def taken_in(self, outgoing: Outgoing, sent: SentInvoice) -> None:
        """Write down that KSeF has taken a document in."""
        ...

    def undelivered(self, session: OnlineSession, outgoing: Outgoing, result: Undelivered) -> None:
        """Write down that a document was not handed over in a session."""
        ...

    async def decided(self, session: Session, outcome: Outcome, fate: DocumentFate) -> None:
        """Write down what became of a document."""
        ...


class Patience(Protocol):
    """The policy for errors that may pass: a caller gets them at once, a worker waits for as long as it takes."""

    async def retry(self, call: Callable[[], Awaitable[Result]], *, asked: Asked | None = None) -> Result:
        """Return what ``call`` returns; an error after which another call may go better is waited out, or raised.

        Args:
            call: Makes the call.
            asked: What is asked by it; None for something that may go better whatever goes wrong.

        Raises:
            KsefError: What was not waited out.
        """
        ...

    async def wait_out(self, error: KsefError, tries: int) -> None:
        """Pause after the ``tries``-th error in a row (from 1), or raise it."""
        ...

    async def before_another_session(self, error: KsefError, in_vain: int) -> None:
        """Pause before a session takes the place of one that came to nothing, the ``in_vain``-th in a row (from 1)."""
        ...
