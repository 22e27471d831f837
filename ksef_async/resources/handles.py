"""What KSeF does in its own time: a handle to ask about it, and to wait for its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from ..calling.polling import Cadence, wait_until
from ..errors import OperationFailedError, ProcessingError, Status, describe

if TYPE_CHECKING:
    from ..protocol.resource_lifecycles import AnyLifecycle

__all__ = ["OPERATION_CADENCE", "OperationHandle"]

SeenT = TypeVar("SeenT")

OPERATION_CADENCE: Final = Cadence(first_look=0.5, interval=0.75, factor=1.6, longest=10.0, deadline=300.0)
"""KSeF takes half a second at least, and counts the looks of each kind of operation: 30 a minute, 120 an hour. So the
first look comes when there may be something to see; one that only sees 100 would be one of the 30.
"""


class OperationHandle(Generic[SeenT]):
    """An operation that KSeF has taken in: ``await handle.wait()`` until it is done.

    Nothing happens in the background: KSeF is asked only while somebody waits. The reference number is all there is
    to it: stored, it finds the operation again, after a restart or in another process.

    Args:
        what: What it is, for errors: ``"Grant"``.
        reference_number: As KSeF gave it.
        look: Asks KSeF how far it is.
        lifecycle: The states it goes through.
        status: The status in what `look` brings.
        failure: The error of an operation that failed; `OperationFailedError` by default.
    """

    def __init__(
        self,
        what: str,
        reference_number: str,
        look: Callable[[], Awaitable[SeenT]],
        *,
        lifecycle: AnyLifecycle,
        status: Callable[[SeenT], Status],
        failure: Callable[[str, SeenT], ProcessingError] | None = None,
    ) -> None:
        self._what = what
        self._look = look
        self._lifecycle = lifecycle
        self._status = status
        self._failure = failure
        self._last: Status | None = None
        self.reference_number = reference_number
        """36 characters; what the operation is found again by."""

    def __repr__(self) -> str:
        return f"<{self._what} {self.reference_number} {describe(self._last) if self._last else 'not looked at'}>"

    async def status(self) -> SeenT:
        """Ask KSeF once how far it is.

        Raises:
            GoneError: It is too old to be asked about.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.
        """
        seen = await self._look()
        self._last = self._status(seen)
        return seen

    async def wait(self, cadence: Cadence = OPERATION_CADENCE) -> SeenT:
        """Wait until it has succeeded; several may wait, each looks for itself.

        Args:
            cadence: How often to look, and for how long.

        Returns:
            What KSeF says of it in the end.

        Raises:
            OperationFailedError: KSeF could not do it; ``code`` and ``details`` say why.
            WaitTimeoutError: It was still in progress when ``cadence.deadline`` passed; waiting again is safe.
            GoneError: It is too old to be asked about.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.
        """
        what = f"{self._what} {self.reference_number}"
        seen = await wait_until(
            self.status,
            lambda each: self._lifecycle.is_terminal(self._status(each).code),
            cadence,
            what=what,
            status=self._status,
        )
        status = self._status(seen)
        if self._lifecycle.is_success(status.code):
            return seen
        if self._failure is not None:
            raise self._failure(f"{what} failed", seen)
        raise OperationFailedError(f"{what} failed", status=status, reference_number=self.reference_number)
