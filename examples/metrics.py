"""Hang metrics on the hook: counts of requests by operation and status, and the time they took.

The same hook carries OpenTelemetry spans: start one on ``RequestSent``, end it on ``RequestAnswered`` or
``RequestFailed`` of the same operation.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

from ksef_async import Event, FormCode, RequestAnswered, RequestFailed, RequestPaced, RequestRetried
from ksef_async.cli.demo import connect
from ksef_async.sandbox import sample_invoice


class Metrics:
    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.waited = 0.0

    def __call__(self, event: Event) -> None:
        match event:
            case RequestAnswered(operation=operation, http_status=status, seconds=seconds):
                self.requests[operation, str(status)] += 1
                self.seconds[operation] += seconds
            case RequestFailed(operation=operation, error=error):
                self.requests[operation, type(error).__name__] += 1
            case RequestPaced(delay=delay) | RequestRetried(delay=delay):
                self.waited += delay
            case _:
                pass

    def __str__(self) -> str:
        lines = [
            f'ksef_requests_total{{operation="{operation}",status="{status}"}} {count}'
            for (operation, status), count in sorted(self.requests.items())
        ]
        lines += [
            f'ksef_request_seconds_sum{{operation="{operation}"}} {seconds:.3f}'
            for operation, seconds in sorted(self.seconds.items())
        ]
        return "\n".join([*lines, f"ksef_waited_seconds_total {self.waited:.3f}"])


async def main() -> None:
    metrics = Metrics()
    async with connect(hook=metrics) as (client, nip), await client.sessions.open_online(FormCode.FA3) as session:
        invoices = (sample_invoice(nip, f"FV/{number}") for number in range(5))
        async for sent in session.send_many(invoices):
            await sent.outcome()
    print(metrics)


if __name__ == "__main__":
    asyncio.run(main())

# ksef_requests_total{operation="close_online_session",status="204"} 1
# ksef_requests_total{operation="send_invoice",status="202"} 5
# ksef_request_seconds_sum{operation="send_invoice"} 0.021
