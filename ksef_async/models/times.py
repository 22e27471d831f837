"""Points in time that go back to KSeF as they came."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self

__all__ = ["ServerTime"]


class ServerTime(datetime):
    """A point in time that keeps the text KSeF wrote it in.

    KSeF writes seven digits of a second, a `datetime` holds six. Where one goes back to KSeF as a cursor, the text
    goes back, so that nothing is rounded and no invoice falls between two queries.
    """

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ISO 8601; without a zone it is UTC.

        Raises:
            ValueError: Not a time.
        """
        moment = cls.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment.__dict__["text"] = text
        return moment

    def __getattr__(self, name: str) -> str:
        # Only for what was computed and not read.
        if name == "text":
            return self.isoformat()
        raise AttributeError(name)

    #: As KSeF wrote it.
    text: str

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return type(self).parse, (self.text,)
