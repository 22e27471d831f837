"""Whatever answers: the right thing, or one of our errors. Whole flows, over real sockets, with changed answers.

``nox -s fuzz`` changes 100,000 of them with a seed of its own, which is printed; FUZZ_SEED brings the same again.
A flow passes when its outcome is right (where nobody lied) or it ends with a `KsefError`, within two hours of its own
time; when no error anywhere in it tells a secret; when no invoice was sent twice; and when no online session is left
open but one whose opening was not answered readably, or whose close could not be called.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import sys
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from blockbuster import BlockBuster
from fuzz_flows import FLOWS, USUAL_WEIGHT, WEIGHTS, Bench
from mutating_proxy import Answer, Cut, Exchange, MutatingProxy, Wire
from mutations import BOMB, HONEST, INSTEAD, LIES
from parties import OTHER
from receiving import feed_samples
from secrets_watch import Listener
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import Environment, KsefClient, KsefError, KsefToken, Pacer
from ksef_async.api.sessions import SessionType, StatusCode
from ksef_async.sandbox import Clock, Sandbox

MUTATIONS = int(os.environ.get("FUZZ_MUTATIONS", "150"))
SEED = int(os.environ.get("FUZZ_SEED", "20261127"))
#: Tests among which they are divided, each with a seed of its own, so that several processes can share the work.
SHARDS = int(os.environ.get("FUZZ_SHARDS", "1"))
#: Flows between two fresh sandboxes: what a world has taken in slows it down.
FLOWS_A_WORLD = 150
#: Answers changed in one flow.
MOST_IN_A_FLOW = 40
#: Seconds of virtual time: the longest that a flow may take. The journal waits out every lock-out, an hour each.
LONGEST = 36 * 3600.0
#: Megabytes by which the process may grow: the longest answer that is read has 64 MB, compressed or not.
MOST_MEMORY = 400


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@attrs.define
class Trouble:
    """Decides what becomes of each answer of one flow, and remembers it."""

    chance: random.Random
    #: How likely it is for an answer to be changed; 0 for not at all.
    rate: float = 0.0
    lies: bool = False
    #: Operations, and what was done to them.
    done: list[tuple[str, str]] = attrs.field(factory=list)
    count: Counter[str] = attrs.field(factory=Counter)

    @property
    def is_over(self) -> bool:
        """Every trouble ends: what waits for the end of it shall come to one, too."""
        return len(self.done) >= MOST_IN_A_FLOW

    def instead(self, exchange: Exchange) -> Answer | Wire | Cut | None:
        if self.is_over or self.chance.random() >= self.rate / 8:
            return None
        made = self.chance.choice((*INSTEAD, None))
        self._note(exchange, made.__name__ if made else "cut before")
        return made(self.chance) if made else Cut()

    def change(self, exchange: Exchange, answer: Answer) -> Answer | Wire | Cut:
        if self.is_over or self.chance.random() >= self.rate:
            return answer
        mutation = self.chance.choice(LIES if self.lies and self.chance.random() < 0.6 else HONEST)
        if self.chance.random() < 0.002:
            mutation = BOMB
        self._note(exchange, mutation.__name__)
        return mutation(self.chance, answer)

    def _note(self, exchange: Exchange, what: str) -> None:
        self.done.append((exchange.operation, what))
        self.count[what] += 1


@asynccontextmanager
async def benches(trouble: Trouble, chance: random.Random, folder: Path) -> AsyncIterator[Bench]:
    """A sandbox behind the proxy, and a client of a company that sends and of one that receives."""
    clock = Clock(monotonic=asyncio.get_running_loop().time)
    proxy = MutatingProxy(trouble.instead, trouble.change)
    async with proxy.serving(), Sandbox(clock=clock, rate_limits=None, public_url=proxy.url) as sandbox:
        proxy.upstream = int(sandbox.environment.base_url.rpartition(":")[2].partition("/")[0])
        sandbox.world.tokens_generate_tokens = True
        feed_samples(sandbox, 12, buyer=OTHER)
        for session in sandbox.world.sessions.values():
            session.close(clock.now())
        # From then on it may be exported.
        clock.advance(3600.0)
        received = {
            each.verdict.ksef_number or "": each.stored.read() if each.stored else b""
            for each in sandbox.world.invoices()
        }
        environment, pacer = Environment(f"{proxy.url}/v2"), Pacer.unlimited()
        sender = KsefToken(nip=sandbox.nip, token=sandbox.token)
        receiver = KsefToken(nip=OTHER, token=sandbox.issue_token(OTHER))
        async with (
            KsefClient(environment, sender, pacer=pacer, answer_timeout=1e6) as client,
            KsefClient(environment, receiver, pacer=pacer, answer_timeout=1e6) as buyer,
        ):
            await client.log_in()
            await buyer.log_in()
            yield Bench(sandbox, client, buyer, pacer, chance, 0, received, folder)


async def run(name: str, bench: Bench, trouble: Trouble) -> KsefError | None:
    """One flow; its error, which is one of ours."""
    try:
        async with asyncio.timeout(LONGEST):
            await FLOWS[name](bench)
    except KsefError as error:
        return error
    return None


def sent_twice(bench: Bench) -> set[bytes]:
    counted = Counter(each.invoice_hash for each in bench.sandbox.world.invoices())
    return {digest for digest, count in counted.items() if count > 1}


def check_world(bench: Bench, trouble: Trouble) -> None:
    """Nothing twice, and no online session left open that could have been closed."""
    world = bench.sandbox.world
    known, bench.twice = bench.twice, sent_twice(bench)
    twice = bench.twice - known
    # Who is told that KSeF does not have it sends it again.
    assert not (twice and bench.is_honest), "an invoice was sent twice"
    touched = {operation for operation, _ in trouble.done}
    could_not = touched & {
        "open_online_session",
        "close_online_session",
        "refresh_access_token",
        "redeem_tokens",
        "log_in_with_token",
        "get_login_status",
        "get_challenge",
        "list_public_keys",
    }
    now = world.clock.now()
    for session in world.sessions.values():
        if session.kind is SessionType.ONLINE and session.code_at(now) == StatusCode.OPENED:
            assert could_not, f"{session.reference_number} was left open"
            session.close(now)  # seen once


@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", [SEED + shard for shard in range(SHARDS)])
async def test_whatever_answers_it_is_right_or_one_of_our_errors(
    seed: int,
    nothing_secret: Listener,
    no_blocking_calls: BlockBuster,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    # SQLAlchemy makes the path of an SQLite file absolute.
    no_blocking_calls.functions["os.path.abspath"].can_block_in(
        "sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args"
    )
    await mind_threads()
    chance, wanted = random.Random(seed), MUTATIONS // SHARDS
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    failures: list[str] = []
    flows = told = grown = 0
    while total.total() < wanted and len(failures) < 20:
        trouble = Trouble(random.Random(chance.random()))
        async with benches(trouble, chance, tmp_path) as bench:
            for _ in range(FLOWS_A_WORLD):
                if total.total() + trouble.count.total() >= wanted:
                    break
                flows += 1
                bench.number += 1
                own = chance.randrange(2**32)
                trouble.chance, bench.chance = random.Random(own), random.Random(own)
                trouble.rate = trouble.chance.choice((0.05, 0.2, 0.4, 0.7))
                trouble.lies = trouble.chance.random() < 0.5
                trouble.done.clear()
                bench.is_honest = not trouble.lies
                (name,) = trouble.chance.choices([*FLOWS], [WEIGHTS.get(each, USUAL_WEIGHT) for each in FLOWS])
                try:
                    error = await run(name, bench, trouble)
                    ended[type(error).__name__ if error else "right"] += 1
                    trouble.rate = 0.0
                    check_world(bench, trouble)
                    leaks = nothing_secret.leaks
                    assert leaks == [], f"told: {leaks[:3]}"
                except Exception:  # noqa: BLE001  # to tell of all of them
                    # What this flow left behind is told once.
                    bench.twice = sent_twice(bench)
                    now = bench.sandbox.clock.now()
                    for session in bench.sandbox.world.sessions.values():
                        if session.code_at(now) == StatusCode.OPENED:
                            session.close(now)
                    failures.append(f"{name}, flow {flows}, {trouble.done}\n{traceback.format_exc(limit=-8)[-1500:]}")
                finally:
                    nothing_secret.told.clear()
                    nothing_secret.errors.clear()
                    nothing_secret.keys.clear()
                trouble.rate = 0.0
                if any(what in ("_limited", "_no", "_headers") for _, what in trouble.done):
                    # Whoever is locked out waits.
                    await asyncio.sleep(3700.0)
        total += trouble.count
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        for failure in failures[told:]:
            print(f"fuzz: {failure}", file=sys.stderr)
        told = len(failures)
    record_property(
        "fuzz", f"seed {seed}: {total.total():,} answers changed in {flows:,} flows, {grown} MB more memory"
    )
    record_property("fuzz", f"seed {seed}: {dict(ended.most_common())}")
    assert not failures, f"{len(failures)} flows failed, the first: {failures[0]}"
    assert grown < MOST_MEMORY
