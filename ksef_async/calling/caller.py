"""Calling one operation: wait for the rate budget, send, decipher, and try again where that is safe."""

from __future__ import annotations

import asyncio
import copy
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from http import HTTPMethod
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, TypeVar

import anyio
import attrs

from ..api.environment import Environment
from ..api.operation import LARGEST_UPO, Bearer, Operation, RateGroup
from ..errors import (
    ApiError,
    ConnectError,
    ForbiddenError,
    KsefError,
    LocalProtocolError,
    RateLimitedError,
    RemoteProtocolError,
    TransportError,
    UnauthorizedError,
    quote,
)
from ..protocol.messages import FileBody, RawRequest, RawResponse
from ..protocol.pacing import Pacer
from ..protocol.reading import Assumed, Unread
from ..protocol.requests import Query, build_link_request, build_request, build_upload_request, with_bearer
from ..protocol.responses import ServerClock, decipher_link_response, decipher_response, decipher_upload_response
from ..protocol.retry import AGREEMENT_PAUSES, RetryPolicy, may_be_outdated, may_have_taken_effect
from .attempts import Attempts
from .events import (
    AnswerIncomplete,
    Event,
    Hook,
    RequestAnswered,
    RequestCancelled,
    RequestFailed,
    RequestPaced,
    RequestRetried,
    RequestSent,
    SystemWarning,
    log_level,
)
from .finishing import offload
from .seen import SeenCalls
from .transport import Transport

if TYPE_CHECKING:
    from ..api.batch import PartUploadRequest

__all__ = ["BearerSource", "Caller", "FixedToken", "InFlight"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Of the whole process, so that no two clients have events of one number.
_request_ids: Final = itertools.count(1)


def _now() -> float:
    # As `anyio.current_time`, which first finds out by five calls whose event loop this is.
    return asyncio.get_running_loop().time()


class BearerSource(Protocol):
    """Where a `Caller` gets its token from."""

    @property
    def current(self) -> str | None:
        """The token used last; None before the first."""
        ...

    async def get(self) -> str:
        """Return a token to call with."""
        ...

    async def replace(self, refused: str) -> str | None:
        """Return another token, after KSeF refused this one; None when there is no way to get one."""
        ...


class FixedToken:
    """A token that is used as it is."""

    def __init__(self, token: str) -> None:
        self._token = token

    @property
    def current(self) -> str:
        """The token."""
        return self._token

    async def get(self) -> str:
        """Return the token."""
        return self._token

    async def replace(self, refused: str) -> None:
        """Return None: whoever brought the token has to bring another."""


class InFlight:
    """The state of a call: whether it may be at KSeF right now; see `Caller.tracked_by`."""

    __slots__ = ("is_on_the_way",)

    def __init__(self) -> None:
        self.is_on_the_way = False
        """True from the moment a request leaves until KSeF has refused it, or the attempt has failed.

        It stays true after an answer of success.
        """


class Caller:
    """Calls operations of one environment, with the token it is given.

    Its copies (`with_bearer`, `waiting_for_agreement`, `tracked_by`) share its connections, rate limits and clock.

    Args:
        environment: Where KSeF is.
        transport: How to get there.
        retry: How hard to try.
        pacer: Keeps the calls within KSeF's rate limits; those of production by default.
        hook: Called with every event.
        check: Raises where nothing may be called: before its owner is opened, and after it is closed.
        nip: For events: on whose behalf calls are made.
    """

    def __init__(
        self,
        environment: Environment,
        transport: Transport,
        *,
        retry: RetryPolicy | None = None,
        pacer: Pacer | None = None,
        hook: Hook | None = None,
        check: Callable[[], None] = lambda: None,
        nip: str | None = None,
    ) -> None:
        self.environment = environment
        self._check = check
        self.pacer = pacer or Pacer()
        # The storage behind signed links has no rate limits of its own; what it says by 429 is kept to.
        self._link_pacer = Pacer.unlimited()
        self.seen = SeenCalls()
        """How the last calls ended."""
        self._clock = ServerClock()
        self._transport = transport
        self._retry = retry or RetryPolicy()
        self._hook = hook
        self._nip = nip
        self._chance = random.Random()  # noqa: S311  # jitter, nothing secret
        self._bearer: BearerSource | None = None
        self._is_early: Callable[[ApiError], bool] | None = None
        self._about: str | None = None
        self._in_flight = InFlight()

    # --- copies -------------------------------------------------------------------------------------------

    def with_bearer(self, bearer: BearerSource | str) -> Caller:
        """Return a copy that calls with this token.

        Args:
            bearer: A JWT, or where to get one. One that is refused (401), or that lacks a permission (403
                ``missing-permissions``, or without a reason), is replaced once a call.
        """
        other = copy.copy(self)
        other._bearer = FixedToken(bearer) if isinstance(bearer, str) else bearer
        return other

    def waiting_for_agreement(self, is_early: Callable[[ApiError], bool], *, about: str | None = None) -> Caller:
        """Return a copy that calls again, for some seconds, while KSeF's parts do not agree on what one has made.

        Args:
            is_early: Returns whether KSeF may decide otherwise in a moment than by this refusal.
            about: The reference number of what KSeF has made, where only calls with it in their path are meant.
        """
        other = copy.copy(self)
        other._is_early, other._about = is_early, about
        return other

    def tracked_by(self, in_flight: InFlight) -> Caller:
        """Return a copy whose calls, one at a time, set in ``in_flight`` whether they may be at KSeF."""
        other = copy.copy(self)
        other._in_flight = in_flight
        return other

    @property
    def has_bearer(self) -> bool:
        """Return whether it has a token to call with, or a source of one."""
        return self._bearer is not None

    @property
    def access_token(self) -> str | None:
        """The token used last; None before the first call, and where there is none."""
        return None if self._bearer is None else self._bearer.current

    # --- calls --------------------------------------------------------------------------------------------

    async def call(
        self,
        operation: Operation[RequestT, ResponseT],
        body: RequestT | None = None,
        *,
        path: Mapping[str, str] | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        make_body: Callable[[], Awaitable[RequestT]] | None = None,
    ) -> ResponseT:
        """Call one row of the table, again where that is safe.

        Args:
            operation: The row.
            body: Its JSON body.
            path: A value for each placeholder of its path.
            query: An attrs instance or a mapping with its query parameters.
            headers: Sent besides the usual ones.
            make_body: Returns the body, in place of ``body``, where it depends on the moment at which it is sent.
                Called right before each attempt, when the call has its turn and its token.

        Returns:
            The answer as the row's model, ``bytes`` for an XML document, None where there is none.

        Raises:
            LocalProtocolError: The arguments do not fit the row, or there is no token; or the client is not open, or of
                another event loop. Nothing was sent.
            LoginFailedError: KSeF refused a login that the call needed.
            TransportError: No answer came; ``maybe_delivered`` says whether KSeF may have acted.
            RateLimitedError: The budget is spent for longer than `RetryPolicy.patience`; nothing was sent, or
                nothing was done. ``retry_after`` is in seconds.
            ApiError: KSeF said no. After a `ServerError` it may have acted all the same.
            RemoteProtocolError: The answer does not fit the specification; ``maybe_delivered`` says that it was one
                of success, so that KSeF has acted.
        """
        self._check()
        bearer = None if operation.bearer is Bearer.NONE else self._bearer
        if bearer is None and operation.bearer is not Bearer.NONE:
            raise LocalProtocolError(f"{operation.name} needs a token ({operation.bearer.value}).")
        build = partial(build_request, operation, self.environment.base_url, path=path, query=query, headers=headers)
        unread: list[Unread] = []
        request_id = next(_request_ids)
        answer = await self._perform(
            operation,
            build(body=body) if make_body is None else partial(_built, build, make_body),
            request_id,
            lambda response: decipher_response(operation, response, unread),
            self.pacer,
            bearer=bearer,
            is_early=self._is_early if self._about in (None, *(path or {}).values()) else None,
        )
        if unread:
            is_assumed = all(isinstance(each, Assumed) for each in unread)
            self.report(AnswerIncomplete.of(operation.name, unread, is_assumed=is_assumed, request_id=request_id))
        return answer

    async def download(
        self, name: str, url: str, *, largest_answer: int = LARGEST_UPO, into: IO[bytes] | None = None
    ) -> bytes:
        """Fetch what is behind a signed link and check its SHA-256; no token goes with it.

        Args:
            name: What it is, for errors: the link itself is a secret.
            url: As KSeF gave it.
            largest_answer: The most bytes the document may have.
            into: A file that takes the document in place of memory; what is returned is then its beginning only.

        Raises:
            RemoteProtocolError: The link leads to another host, or over plain http, and is not followed; or the
                document is not the one KSeF vouches for (``x-ms-meta-hash``), or too large.
            TransportError: No answer came.
            ApiError: The storage said no; 403 means the link has expired.
        """
        self._check()
        self._check_link(name, url)
        request = build_link_request(name, url, largest_answer=largest_answer, into=into)
        decipher = partial(decipher_link_response, name)
        return await self._perform(_link(name), request, next(_request_ids), decipher, self._link_pacer)

    async def upload(self, name: str, link: PartUploadRequest, body: FileBody, *, attempt: int = 1) -> None:
        """Send a file to a signed link, once; no token goes with it, and the storage has no rate limits.

        Args:
            name: What it is, for errors and events: the link itself is a secret.
            link: As KSeF gave it.
            body: The file.
            attempt: For events: which attempt it is, from 1.

        Raises:
            RemoteProtocolError: The link leads to another host, or over plain http, and is not followed.
            TransportError: No answer came.
            ApiError: The storage said no; 403 means the link has expired.
            LocalProtocolError: The file is shorter than it should be.
        """
        self._check()
        self._check_link(name, link.url)
        request = build_upload_request(name, link, body)
        await self._attempt(request, next(_request_ids), partial(decipher_upload_response, name), attempt)

    def _check_link(self, name: str, url: str) -> None:
        if not self.environment.accepts(url):
            raise RemoteProtocolError(
                f"{name}: KSeF's link does not lead to {self.environment.host} by https, so it is not followed; "
                "if the host is right, name it in Environment(storage_hosts=...).",
                operation=name,
            )

    def attempts(self, *, repeat_safe: bool = True, is_timed: bool = True) -> Attempts:
        """Return what counts the attempts at something, by this client's policy.

        Args:
            repeat_safe: As for `Attempts`.
            is_timed: As for `Attempts`.
        """
        return Attempts(self._retry, self._chance, repeat_safe=repeat_safe, is_timed=is_timed)

    async def begin_anew(self, flow: Callable[[], Awaitable[T]]) -> T:
        """Await ``flow``, and as hard as the policy says again from its start when an answer in it is lost.

        Args:
            flow: Several calls that depend on each other, of which those made before do no harm.

        Raises:
            KsefError: What ``flow`` raised at last.
        """
        attempts = self.attempts()
        while True:
            try:
                return await flow()
            except KsefError as error:
                is_lost = may_have_taken_effect(error) or isinstance(error, ConnectError)
                if not is_lost or not attempts.may_go_on(error):
                    raise
            await attempts.pause()

    def now(self) -> datetime:
        """Return the time at KSeF (UTC), to a second or so."""
        return self._clock.now(_now())

    def report(self, event: Event) -> None:
        """Log what happened and call the hook."""
        if event.nip is None and self._nip is not None:
            event = attrs.evolve(event, nip=self._nip)
        _log.log(log_level(event), "%s", event, extra={"ksef_event": event})
        if self._hook is not None:
            try:
                self._hook(event)
            except Exception:  # noqa: BLE001  # the caller's metrics must not cost an invoice
                _log.exception("the hook failed on %s", event)

    async def _perform(
        self,
        operation: Operation[Any, Any],
        request: RawRequest | Callable[[], Awaitable[RawRequest]],
        request_id: int,
        decipher: Callable[[RawResponse], T],
        pacer: Pacer,
        *,
        bearer: BearerSource | None = None,
        is_early: Callable[[ApiError], bool] | None = None,
    ) -> T:
        attempts: Attempts | None = None
        replacement: str | None = None
        agreement = iter(AGREEMENT_PAUSES if is_early else ())
        while True:
            token = await self._wait_for_turn(operation, request_id, pacer, bearer, replacement)
            # Made after the first turn has come: the time before it does not count.
            attempts = attempts or self.attempts(repeat_safe=operation.repeat_safe)
            ready = request if isinstance(request, RawRequest) else await request()
            self._in_flight.is_on_the_way = True
            try:
                return await self._attempt(with_bearer(ready, token), request_id, decipher, attempts.number)
            except (TransportError, ApiError, RemoteProtocolError) as error:
                self._in_flight.is_on_the_way = False
                pause = next(agreement, None) if is_early and isinstance(error, ApiError) and is_early(error) else None
                if pause is None and replacement is None:
                    replacement = await _replacement(error, bearer, token)
                    if replacement is not None:
                        continue
                may_go_on = attempts.may_go_on(error, pause=pause)
                if isinstance(error, RateLimitedError):
                    # Those of the same group wait, too, as long as KSeF says, or as this call does.
                    seconds = attempts.delay if error.retry_after is None else error.retry_after
                    pacer.block(operation, _now() + seconds)
                if not may_go_on:
                    raise
                self.report(
                    RequestRetried(
                        operation=operation.name,
                        request_id=request_id,
                        attempt=attempts.number,
                        error=error,
                        delay=attempts.delay,
                    )
                )
            await attempts.pause()

    async def _wait_for_turn(
        self,
        operation: Operation[Any, Any],
        request_id: int,
        pacer: Pacer,
        bearer: BearerSource | None,
        replacement: str | None,
    ) -> str | None:
        """Wait until the call may start, unless that takes too long; return the token to make it with."""
        now = _now()
        turn = pacer.reserve(operation, now)
        try:
            if (delay := turn - now) > self._retry.patience:
                raise RateLimitedError(
                    f"{operation.name}: KSeF's limit for {operation.rate_group.value} is reached for another "
                    f"{delay:.0f} s, longer than the patience of {self._retry.patience:g} s; nothing was sent.",
                    operation=operation.name,
                    http_status=429,
                    retry_after=delay,
                )
            if delay > 0:
                await self._sleep_until(turn, operation, request_id)
            # Only now: a call may wait for its turn longer than a token lives.
            token = replacement or (await bearer.get() if bearer else None)
            if pacer.address is not None:
                await self._sleep_until(pacer.address.reserve(operation, _now()), operation, request_id)
        except BaseException:
            pacer.release(operation, turn)
            raise
        return token

    async def _sleep_until(self, start: float, operation: Operation[Any, Any], request_id: int) -> None:
        if (delay := start - _now()) > 0:
            self.report(RequestPaced(operation=operation.name, request_id=request_id, delay=delay))
            await anyio.sleep(delay)

    async def _attempt(
        self, request: RawRequest, request_id: int, decipher: Callable[[RawResponse], T], attempt: int
    ) -> T:
        name = request.operation
        # Most often there is neither hook nor log, and these two events would be made in vain.
        is_observed = self._hook is not None or _log.isEnabledFor(logging.DEBUG)
        if is_observed:
            self.report(RequestSent(nip=self._nip, operation=name, request_id=request_id, attempt=attempt))
        started = _now()
        try:
            response = await self._transport.send(request)
        except asyncio.CancelledError:
            self.report(
                RequestCancelled(operation=name, request_id=request_id, attempt=attempt, seconds=_now() - started)
            )
            raise
        except (TransportError, RemoteProtocolError) as error:
            now = _now()
            self.seen.note_failure(now)
            self.report(
                RequestFailed(
                    operation=name, request_id=request_id, attempt=attempt, error=error, seconds=now - started
                )
            )
            raise
        now = _now()
        self.seen.note_answer(response.status, now)
        self._clock.observe(response.headers.get("date"), now)
        if is_observed:
            self.report(
                RequestAnswered(
                    nip=self._nip,
                    operation=name,
                    request_id=request_id,
                    attempt=attempt,
                    http_status=response.status,
                    seconds=now - started,
                )
            )
        if warning := response.headers.get("x-system-warning"):
            self.report(SystemWarning(operation=name, request_id=request_id, text=quote(warning)))
        return await offload(len(response.body), decipher, response)


async def _built(build: Callable[..., RawRequest], make_body: Callable[[], Awaitable[object]]) -> RawRequest:
    return build(body=await make_body())


def _link(name: str) -> Operation[None, bytes]:
    """Return a row for what is behind a signed link, of which the table knows nothing."""
    return Operation(
        name=name,
        method=HTTPMethod.GET,
        path="",
        success=200,
        response=bytes,
        bearer=Bearer.NONE,
        rate_group=RateGroup.OTHER,
        repeat_safe=True,
    )


async def _replacement(error: KsefError, bearer: BearerSource | None, token: str | None) -> str | None:
    """Return another token for a call that was refused for its token; None where that cannot help."""
    # Both are answered before KSeF looks at the request, so repeating it is safe even for an invoice.
    if not isinstance(error, UnauthorizedError | ForbiddenError) or not may_be_outdated(error):
        return None
    if bearer is None or token is None:
        return None
    # Two tokens of one second can be the same, which would be refused again.
    replacement = await bearer.replace(token)
    return None if replacement == token else replacement
