"""``ksef-async latarnia``: what the Ministry announces of KSeF's availability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..api.environment import Environment
from .access import Access
from .arguments import Command, Parser
from .output import Exit, print_json

if TYPE_CHECKING:
    from ..api.latarnia import LatarniaMessage

__all__ = ["COMMAND", "latarnia"]


def _add_arguments(_: Parser) -> None:
    pass  # only those of `Access`


async def latarnia(*, access: Access) -> int:
    """Show whether the Ministry announces an outage of KSeF.

    Needs no login. It is advice: on TEST and DEMO what is announced means nothing, and nothing here stops sending
    because of it.
    """
    from ..resources.latarnia import Latarnia

    settled = await access.settle()
    environment = settled.environment
    transport = await settled.transport()
    try:
        asked = Latarnia(environment, transport)
        report, messages = await asked.status(), await asked.get_messages()
    finally:
        await transport.aclose()
    if access.json:
        told = {"status": report.status.value, "is_dummy": environment.has_dummy_latarnia}
        print_json({**told, "messages": [_described(message) for message in messages]})
        return Exit.OK
    print(f"{report.status.value}, by {environment.latarnia_url}.{_caution(environment)}")
    for message in messages:
        facts = (f"{value}" for value in (message.id, message.type, message.start, message.title) if value is not None)
        end = "" if message.end is None else f", until {message.end}"
        print(f"  {', '.join(facts)}{end}")
    return Exit.OK


COMMAND: Final = Command(
    run=latarnia,
    add_arguments=_add_arguments,
    examples=("latarnia", "latarnia --json"),
)


def _caution(environment: Environment) -> str:
    return " On TEST and DEMO this means nothing." if environment.has_dummy_latarnia else ""


def _described(message: LatarniaMessage) -> dict[str, object]:
    return {
        "id": message.id,
        "event": message.event_id,
        "category": message.category,
        "type": message.type,
        "start": None if message.start is None else message.start.isoformat(),
        "end": None if message.end is None else message.end.isoformat(),
        "title": message.title,
        "text": message.text,
    }
