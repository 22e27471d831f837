"""Clients for tests: they neither pace their calls nor pause long before they try again, unless a test says so."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ksef_async import AiohttpTransport, KsefClient, KsefToken, RawRequest, RawResponse
from ksef_async.calling.events import Event, RequestAnswered
from ksef_async.protocol.pacing import Pacer
from ksef_async.protocol.retry import RetryPolicy
from ksef_async.sandbox import Sandbox

QUICK = RetryPolicy(first_pause=0.01, longest_pause=0.05)
ONCE = RetryPolicy(attempts=1, patience=0)


def connected(sandbox: Sandbox, *, token: str | None = None, **options: Any) -> KsefClient:
    """A client of the sandbox's first company, with its first token; ``options`` are those of `KsefClient`."""
    credentials = KsefToken(nip=sandbox.nip, token=token or sandbox.token)
    return KsefClient(sandbox.environment, credentials, **{"pacer": Pacer.unlimited(), "retry": QUICK, **options})


class RecordingTransport(AiohttpTransport):
    """Keeps every request and its answer; whoever makes one closes it."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[tuple[RawRequest, RawResponse]] = []

    async def send(self, request: RawRequest) -> RawResponse:
        response = await super().send(request)
        self.exchanges.append((request, response))
        return response

    def requests(self, operation: str) -> list[RawRequest]:
        return [request for request, _ in self.exchanges if request.operation == operation]

    def answers(self, operation: str) -> list[bytes]:
        return [response.body for request, response in self.exchanges if request.operation == operation]


class Traffic:
    """Counts what was asked and how it was answered."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestAnswered):
            self.answers[event.operation, event.http_status] += 1

    def of(self, *operations: str) -> int:
        return sum(count for (operation, _), count in self.answers.items() if operation in operations)

    @property
    def refused(self) -> int:
        return sum(count for (_, status), count in self.answers.items() if status == 429)
