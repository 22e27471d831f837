"""The table of operations -> routes: who calls, what with, and how the answer is written.

Also whether somebody who has proved who they are may log in, and what their tokens let do. Source:
uwierzytelnianie.md; OpenAPI 2.9.0, login status.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, Self

import anyio
import anyio.to_thread
import attrs
from aiohttp import web

from ..api.operation import Bearer, Operation
from ..api.table import OPERATIONS
from ..api.tokens import TokenStatus
from ..protocol import json
from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import LoginStatusCode
from ..protocol.wire import UnreadableJsonError, Wire, WireError, camel
from .clock import seven_digits
from .faults import Fault, Faults
from .ministry import JWT_KINDS
from .redacting import show_answer, show_query, show_request
from .refusals import Forbidden, InvalidInput, Refusal, Unauthorized, internal_error
from .subjects import OWNER
from .validation import UNREADABLE_JSON, check_media, problems_in_words, read_query
from .versions import NEWEST, UnknownValueError
from .world import Login, StoredToken, World

__all__ = [
    "Call",
    "Handler",
    "WrittenAnswer",
    "XmlAnswer",
    "add_routes",
    "admit",
    "check_alive",
    "permissions_in",
    "status_of_token",
]


_log = logging.getLogger("ksef_async.sandbox")
_PERMISSION_DETAIL: Final = "Brak wymaganych uprawnień do wykonania operacji w bieżącym kontekście."
# The errors of 400 and 429 as problem details; the header that warns; the checks of identifiers on demand.
_PROBLEM_DETAILS_SINCE: Final = "2.4.0"
_WARNINGS_SINCE: Final = "2.6.0"
_FEATURES_SINCE: Final = "2.9.0"
WIRE = Wire(requests=True, datetime_format=seven_digits)


@attrs.frozen
class XmlAnswer:
    """An XML answer with the hash that KSeF sends in a header."""

    xml: bytes = attrs.field(repr=False)
    sha256: str


@attrs.frozen
class WrittenAnswer:
    """An answer that is JSON already: a long one, which was written in a worker thread."""

    json: bytes = attrs.field(repr=False)

    @classmethod
    async def of(cls, make: Callable[[], object]) -> Self:
        """Make an answer and write it, both in a worker thread."""
        return cls(await anyio.to_thread.run_sync(lambda: WIRE.to_json(make())))


@attrs.frozen(kw_only=True)
class Call:
    """One call of an operation, as its handler sees it."""

    world: World
    now: datetime
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    login: Login | None
    permissions: frozenset[str]
    """The permissions of the caller's token, as of the moment it was issued."""
    features: frozenset[str]
    fault: Fault | None
    """The planned fault that happens to it."""
    client_ip: str
    continuation_token: str | None
    warnings: list[str] = attrs.field(factory=list)
    """KSeF's warnings about a call that it carries out all the same, each as ``[code]: text``."""

    @property
    def caller(self) -> Login:
        """Return the login whose token the call came with."""
        if self.login is None:
            raise Unauthorized
        return self.login


Handler = Callable[[Call], Awaitable[object]]


def add_routes(app: web.Application, world: World, faults: Faults, handlers: Mapping[str, Handler]) -> None:
    """Route every operation to its handler, under ``/v2`` and the older ``/api/v2``.

    Raises:
        LookupError: An operation has no handler.
    """
    if missing := [operation.name for operation in OPERATIONS if operation.name not in handlers]:
        raise LookupError(f"no handler for {', '.join(missing)}")
    # /sessions/{r}/invoices/{i} would otherwise shadow /sessions/{r}/invoices/failed.
    for operation in sorted(OPERATIONS, key=lambda row: row.path.count("{")):
        endpoint = _endpoint(operation, world, faults, handlers[operation.name])
        for prefix in ("/v2", "/api/v2"):
            app.router.add_route(operation.method.value, prefix + operation.path, endpoint)


def _endpoint(
    operation: Operation[Any, Any], world: World, faults: Faults, handler: Handler
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def endpoint(request: web.Request) -> web.Response:
        if not _is_there(operation, world):
            return web.Response(status=404)
        await request.read()  # whole, before anything happens: a caller who goes away meanwhile has asked all the same
        now = world.clock.now()
        started = time.perf_counter()
        fault = faults.next_for(operation)
        refused = None
        try:
            response = None
            if fault is not None and not fault.after_effect:
                response = fault.response(request, now)
            if response is None:
                call = await _read_call(operation, world, fault, request, now)
                response = await _write(operation, world, await handler(call))
                _warn(response, world, request, call)
                if fault is not None and fault.after_effect:
                    await anyio.sleep(fault.seconds)
                    # A response is a mapping, and an empty one is false in older aiohttp.
                    replaced = fault.response(request, now, response)
                    response = response if replaced is None else replaced
        except Refusal as refusal:
            wanted = request.headers.get("X-Error-Format", "").lower() == "problem-details"
            problem_details = wanted and world.version.has(_PROBLEM_DETAILS_SINCE)
            response = refusal.response(instance=request.path, now=now, problem_details=problem_details)
            if not world.version.has(_PROBLEM_DETAILS_SINCE):
                _drop_time(response)
            refused = str(refusal)
        except Exception:  # noqa: BLE001  # a bug in the sandbox must look like one of KSeF's, and be seen
            _log.exception("%s failed", operation.name)
            response = internal_error(now)
        is_dropped = fault is not None and fault.kind == "drop"
        world.recent.saw(
            operation.name,
            request.method,
            request.path,
            at=now,
            status=0 if is_dropped else response.status,
            seconds=time.perf_counter() - started,
            fault=fault.kind if fault is not None else None,
            refusal=refused,
            query=show_query(request.rel_url.raw_query_string),
            asked=show_request(await request.read(), is_json=operation.request is not bytes),
            answered=None if is_dropped else show_answer(response),
        )
        return response

    return endpoint


def _drop_time(response: web.Response) -> None:
    """Remove the time, which problem details did not have before 2.4."""
    if response.content_type == "application/problem+json" and response.text:
        response.body = json.dumps(
            {name: value for name, value in json.loads(response.text).items() if name != "timestamp"}
        )


def _is_there(operation: Operation[Any, Any], world: World) -> bool:
    """Return whether the simulated version has an operation; production has no operations for test data."""
    is_for_tests = operation.path.startswith("/testdata/")
    return world.version.has_operation(operation) and not (world.is_production and is_for_tests)


async def _read_call(
    operation: Operation[Any, Any], world: World, fault: Fault | None, request: web.Request, now: datetime
) -> Call:
    client_ip = request.remote or ""
    login, permissions = (
        (None, frozenset[str]()) if operation.bearer is Bearer.NONE else _authorize(operation, world, request, now)
    )
    world.limiter.count(operation, login.context if login else None, client_ip, now)
    check_media(operation, request)
    body = _read_body(operation, world, await request.read()) if operation.request else None
    if wrong := [name for name, value in request.match_info.items() if "reference" in name and len(value) != 36]:
        raise InvalidInput(*(f"'{camel(name)}' must be 36 characters in length." for name in wrong))
    return Call(
        world=world,
        now=now,
        path=dict(request.match_info),
        query=read_query(operation, request),
        body=body,
        login=login,
        permissions=permissions,
        features=frozenset(
            feature.strip()
            for line in request.headers.getall("X-KSeF-Feature", [])
            for feature in line.split(",")
            if world.version.has(_FEATURES_SINCE)
        ),
        fault=fault,
        client_ip=client_ip,
        continuation_token=request.headers.get("x-continuation-token") or None,
    )


def _authorize(
    operation: Operation[Any, Any], world: World, request: web.Request, now: datetime
) -> tuple[Login, frozenset[str]]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    claims = world.ministry.read_jwt(token, now) if scheme.lower() == "bearer" else None
    if claims is None or claims.get("arn") not in world.logins:
        raise Unauthorized
    wanted = {JWT_KINDS[operation.bearer]}
    if operation.name == "revoke_current_login":
        wanted.add(JWT_KINDS[Bearer.ACCESS])
    if claims["typ"] not in wanted:
        raise Forbidden("missing-permissions", "Dostęp zabroniony.")
    login = world.logins[claims["arn"]]
    if not login.admits(request.remote or ""):
        raise Forbidden("ip-not-allowed", "Dostęp zabroniony.", {"clientIp": request.remote or ""})
    present, held = permissions_in(world, login, claims, now)
    if operation.permissions and held.isdisjoint(operation.permissions):
        security = {"requiredAnyOfPermissions": list(operation.permissions), "presentPermissions": present}
        raise Forbidden("missing-permissions", _PERMISSION_DETAIL, security)
    return login, held


def _read_body(operation: Operation[Any, Any], world: World, body: bytes) -> object:
    if operation.request is bytes:
        return body
    model = operation.request or dict
    try:
        if world.version == NEWEST:
            return WIRE.from_json(body, model)
        # Numbers of such requests are small, so that nothing is lost by reading them once more.
        older = world.version.request(operation, WIRE.from_json(body, dict))
        return WIRE.from_json(WIRE.to_json(older), model)
    except UnreadableJsonError as error:
        # 21001 is as new as 2.9.
        if world.version.has("2.9.0"):
            raise Refusal(ErrorCode.UNREADABLE_CONTENT, UNREADABLE_JSON) from error
        raise InvalidInput(UNREADABLE_JSON) from error
    except UnknownValueError as error:
        raise InvalidInput(f"'{error.path}' has a range of values which does not include it.") from error
    except WireError as error:
        raise InvalidInput(*problems_in_words(error)) from error


async def _write(operation: Operation[Any, Any], world: World, answer: object) -> web.Response:
    if isinstance(answer, XmlAnswer):
        headers = {"x-ms-meta-hash": answer.sha256}
        return web.Response(status=operation.success, body=answer.xml, content_type="application/xml", headers=headers)
    if answer is None:
        return web.Response(status=operation.success)
    if isinstance(answer, WrittenAnswer):
        body = answer.json
    elif world.version.changes_answers_of(operation):
        body = WIRE.to_json(world.version.answer(operation, WIRE.dump(answer)))
    else:
        body = WIRE.to_json(answer)
    return web.Response(status=operation.success, body=body, content_type="application/json")


def _warn(response: web.Response, world: World, request: web.Request, call: Call) -> None:
    """Add the header with KSeF's warnings; TEST adds the one that the request asks for."""
    warnings = [*call.warnings]
    if not world.is_production and (wanted := request.headers.get("X-Test-System-Warning")):
        warnings.append(wanted)
    if warnings and world.version.has(_WARNINGS_SINCE):
        response.headers["X-System-Warning"] = " | ".join(warnings)


# --- who may log in, and what tokens let do --------------------------------------------------------------------------


def admit(world: World, login: Login) -> LoginStatusCode:
    """Return the outcome of a login whose proof is good: success, or why the subject or the context is refused."""
    registry = world.grants.registry
    if login.context in registry.blocked:
        return LoginStatusCode.BLOCKED
    if login.subject is not None and registry.is_deceased(login.subject):
        return LoginStatusCode.DECEASED_PERSON
    if not world.permissions_of(login):
        return LoginStatusCode.NO_PERMISSIONS
    return LoginStatusCode.SUCCEEDED


def check_alive(world: World, login: Login) -> None:
    """Check that the person who logged in has not died since.

    Raises:
        Refusal: 21308.
    """
    if login.subject is not None and world.grants.registry.is_deceased(login.subject):
        raise Refusal(ErrorCode.DECEASED_PERSON)


def permissions_in(
    world: World, login: Login, claims: Mapping[str, Any], now: datetime
) -> tuple[list[str], frozenset[str]]:
    """Return the permissions that a JWT names, and what they come to; what changes later counts in the next JWT."""
    named: list[str] = json.loads(claims.get("per", "[]"))
    held = set(named)
    if OWNER in held and login.subject is not None:
        held.update(world.grants.owned(login.subject, login.context, now))
    return named, frozenset(held)


def status_of_token(world: World, token: StoredToken, now: datetime) -> TokenStatus:
    """Return how far a KSeF token is; one whose author loses all permissions is revoked by this.

    "Tokens are revoked automatically when permissions are lost" (uwierzytelnianie.md). The Ministry's own test
    (RevokedPermissionsKsefTokenLifecycleIntegrationTests) shows what it means: the KSeF token logs nobody in any more,
    while a login made before can still be refreshed, to access tokens that let do nothing.
    """
    status = token.status_at(now)
    if status is TokenStatus.ACTIVE and world.grants.has_lost_all(token.author, token.context, token.created_at, now):
        return token.timeline.observe(now, TokenStatus.REVOKED)
    return status
