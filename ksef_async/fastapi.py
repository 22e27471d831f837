"""KSeF in a FastAPI service: a lifespan, two dependencies and a router; extras ``fastapi`` and ``durable``.

    service = KsefService(Environment.TEST, {nip: KsefToken(nip=nip, token=secret)}, journal="sqlite+aiosqlite:///k.db")
    app = FastAPI(lifespan=service.lifespan)
    app.include_router(router, prefix="/ksef", dependencies=[Depends(who_may)])

The router asks nobody who they are: ``who_may`` is yours, and finds the company as ``nip`` in the path.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import quote

import anyio
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from .auth.credentials import Credentials
from .client import KsefClient
from .environment import Environment
from .errors import LocalProtocolError
from .protocol.invoices import MAX_SIZE_WITH_ATTACHMENT
from .protocol.pacing import AddressBudget, Pacer
from .submissions import (
    Engine,
    IdentityTakenError,
    Settings,
    Submission,
    Submissions,
    SubmissionState,
    UnknownSubmissionError,
)

__all__ = [
    "KsefClientDep",
    "KsefService",
    "SubmissionView",
    "SubmissionsDep",
    "get_invoice",
    "get_upo",
    "list_invoices",
    "router",
    "submit_invoice",
    "watch_invoice",
]

#: Seconds between comments in an event stream, so that proxies keep it open.
_PING: Final = 15.0
_NO_COMPANY: Final = "There is no such company here."


class KsefService:
    """KSeF for the companies of one service: a client for each, and one journal for all.

    Args:
        environment: Where KSeF is.
        companies: Who logs in, by NIP. A login is made at the first call that needs it.
        journal: SQLAlchemy's async URL, see `Submissions`.
        keys: Fernet keys for what the journal stores, the newest first.
        engine: Distributes the work among processes; see `Submissions`.
        settings: How the work is done.
        deliver: Deliver in this process; False where a worker does, with the same journal.
        stream_lifetime: Seconds after which an event stream ends; a browser opens it again by itself. Servers wait for
            open streams when they stop, for so long at most.
        client_options: For every `KsefClient`: ``hook=``, ``retry=``, ``answer_timeout=``, ... By default each has
            a pacer of its own, and all share what KSeF grants their address.
    """

    def __init__(
        self,
        environment: Environment,
        companies: Mapping[str, Credentials],
        *,
        journal: str,
        keys: Sequence[bytes | str] = (),
        engine: Engine | None = None,
        settings: Settings | None = None,
        deliver: bool = True,
        stream_lifetime: float = 30.0,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._deliver = deliver
        self.stream_lifetime = stream_lifetime
        address = AddressBudget()
        options = client_options or {}
        settings = settings or Settings()
        #: By NIP; open while the lifespan lasts.
        self.clients: Mapping[str, KsefClient] = {
            nip: KsefClient(environment, credentials, **{"pacer": Pacer(address=address), **options})
            for nip, credentials in companies.items()
        }
        self.submissions = Submissions(
            journal,
            client=self.clients,
            keys=keys,
            engine=engine,
            settings=settings,
        )

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncGenerator[None]:
        """Open clients and journal, and deliver, while the application runs: ``FastAPI(lifespan=service.lifespan)``.

        A lifespan of your own enters it: ``async with service.lifespan(app): yield``. Stopping stops sending; what is
        under way is in the journal, and the next start goes on with it.

        Raises:
            JournalBusyError: Another process delivers from this SQLite journal.
        """
        async with AsyncExitStack() as stack:
            for client in self.clients.values():
                await stack.enter_async_context(client)
            await stack.enter_async_context(self.submissions)
            if self._deliver:
                await stack.enter_async_context(self.submissions.running())
            app.state.ksef = self
            yield

    def client_of(self, nip: str | None) -> KsefClient:
        """The client of a company, or of the only one.

        Raises:
            LookupError: There is none with this NIP, or None of several.
        """
        if nip is None and len(self.clients) == 1:
            return next(iter(self.clients.values()))
        return self.clients[nip or ""]


def _service(connection: HTTPConnection) -> KsefService:
    service = getattr(connection.app.state, "ksef", None)
    if not isinstance(service, KsefService):
        raise RuntimeError("The application does not run in KsefService.lifespan.")
    return service


def _nip(connection: HTTPConnection) -> str | None:
    nip: str | None = connection.path_params.get("nip") or connection.query_params.get("nip")
    return nip


async def _client(connection: HTTPConnection) -> KsefClient:
    try:
        return _service(connection).client_of(_nip(connection))
    except LookupError:
        raise HTTPException(404, _NO_COMPANY) from None


async def _submissions(connection: HTTPConnection) -> Submissions:
    return _service(connection).submissions


#: The client of the company named by ``nip`` in the path or the query, or of the only one; 404 where there is none.
KsefClientDep = Annotated[KsefClient, Depends(_client)]
#: The journal.
SubmissionsDep = Annotated[Submissions, Depends(_submissions)]


class SubmissionView(BaseModel):
    """A submission, as the router tells it."""

    id: int
    key: str | None
    nip: str
    number: str
    kind: str
    state: SubmissionState
    ksef_number: str | None
    session_reference_number: str | None
    #: SHA-256 of the document, in hexadecimal.
    sha256: str
    has_upo: bool
    reason_code: int | None
    reason: str | None
    submitted_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, submission: Submission) -> SubmissionView:
        """What is told of ``submission``."""
        reason = submission.reason
        return cls(
            id=submission.id,
            key=submission.key,
            nip=submission.nip,
            number=submission.identity.number,
            kind=submission.identity.kind,
            state=submission.state,
            ksef_number=submission.ksef_number,
            session_reference_number=submission.session_reference_number,
            sha256=submission.invoice_hash.hex(),
            has_upo=submission.has_upo,
            reason_code=None if reason is None else reason.code,
            reason=None if reason is None else reason.text,
            submitted_at=submission.submitted_at,
            updated_at=submission.updated_at,
        )


#: Submit, list, status, UPO and events, under ``/{nip}/invoices``. What is asked for most does without dependencies and
#: response models, which cost FastAPI more time than the journal takes.
router: Final = APIRouter(tags=["KSeF"])


def _journal(request: Request, nip: str) -> Submissions:
    """The journal, if the company is one of the service's."""
    service = _service(request)
    if nip not in service.clients:
        raise HTTPException(404, _NO_COMPANY)
    return service.submissions


async def _find(request: Request, nip: str, submission_id: int) -> Submission:
    try:
        submission = await _journal(request, nip).get(submission_id)
    except UnknownSubmissionError:
        submission = None
    # Of another company: as if it were not there.
    if submission is None or submission.nip != nip:
        raise HTTPException(404, "There is no such submission.")
    return submission


def _told(submission: Submission, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content = SubmissionView.of(submission).model_dump_json()
    return Response(content, status_code, headers, "application/json")


class _Options(BaseModel):
    """What may be said of an invoice beside the document: read by hand, in a fraction of FastAPI's 0.04 ms."""

    priority: Annotated[int, Field(ge=0, le=100)] = 0
    offline: bool = False
    corrects: str | None = None

    @classmethod
    def of(cls, request: Request) -> _Options:
        """Those of a request, refused as FastAPI refuses them."""
        if not request.scope["query_string"]:
            return _NO_OPTIONS
        try:
            return cls.model_validate(dict(request.query_params))
        except ValidationError as error:
            refused = [{**one, "loc": ("query", *one["loc"])} for one in error.errors(include_url=False)]
            raise RequestValidationError(refused) from error


_NO_OPTIONS: Final = _Options()
_SUBMITTED: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/xml": {"schema": {"type": "string"}}}},
    "parameters": [
        {"name": name, "in": "query", "schema": schema}
        for name, schema in _Options.model_json_schema()["properties"].items()
    ],
}


@router.post("/{nip}/invoices", status_code=202, response_model=SubmissionView, openapi_extra=_SUBMITTED)
async def submit_invoice(
    nip: str,
    request: Request,
    key: Annotated[str | None, Header(alias="Idempotency-Key", max_length=200)] = None,
) -> Response:
    """Write one invoice (the XML as the body) into the journal; from there it is delivered exactly once.

    The same document again is the same submission. A technical correction has ``offline`` and, as ``corrects``, the
    ``sha256`` of the rejected offline invoice, in hexadecimal as that is told. 400: not fit to be sent, or no technical
    correction. 409: another document has its seller, kind and number, or its key. 413: too large.
    """
    submissions = _journal(request, nip)
    options = _Options.of(request)
    document = await _read_body(request)
    try:
        replaced = None if options.corrects is None else bytes.fromhex(options.corrects)
    except ValueError as error:
        raise HTTPException(400, "corrects is a SHA-256 in hexadecimal: 64 digits.") from error
    try:
        submission = await submissions.submit(
            document, key=key, nip=nip, priority=options.priority, offline=options.offline, corrects=replaced
        )
    except IdentityTakenError as error:
        raise HTTPException(409, str(error)) from error
    except LocalProtocolError as error:
        raise HTTPException(400, str(error)) from error
    if submission.nip != nip:
        raise HTTPException(409, "This document was submitted in the context of another company.")
    return _told(submission, 202, {"Location": f"{quote(request.scope['path'])}/{submission.id}"})


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_SIZE_WITH_ATTACHMENT:
            raise HTTPException(413, f"An invoice has at most {MAX_SIZE_WITH_ATTACHMENT:,} bytes.")
    return bytes(body)


@router.get("/{nip}/invoices")
async def list_invoices(
    nip: str,
    request: Request,
    state: Annotated[list[SubmissionState] | None, Query()] = None,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[SubmissionView]:
    """The company's submissions by their ids, from ``after`` (exclusive)."""
    found = await _journal(request, nip).list(nip=nip, states=state or (), after=after, limit=limit)
    return [SubmissionView.of(submission) for submission in found]


@router.get("/{nip}/invoices/{submission_id}", response_model=SubmissionView)
async def get_invoice(nip: str, submission_id: int, request: Request) -> Response:
    """How far an invoice is."""
    return _told(await _find(request, nip, submission_id))


@router.get("/{nip}/invoices/{submission_id}/upo", response_class=Response)
async def get_upo(nip: str, submission_id: int, request: Request) -> Response:
    """The UPO, exactly as KSeF issued it. 404 until it is there: it comes once the session is closed."""
    submission = await _find(request, nip, submission_id)
    if not submission.has_upo:
        raise HTTPException(404, "There is no UPO yet.")
    name = f"{submission.ksef_number or submission.id}.upo.xml"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(await _journal(request, nip).upo(submission.id), media_type="application/xml", headers=headers)


@router.get("/{nip}/invoices/{submission_id}/events", response_class=Response)
async def watch_invoice(
    nip: str,
    submission_id: int,
    request: Request,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Each change of an invoice's state as an event ``transition`` (SSE), the present one first, to its end.

    A browser that comes back after the end is answered with 204, so that it stops asking.
    """
    submission = await _find(request, nip, submission_id)
    if submission.state.is_terminal and last_event_id == _event_id(submission):
        return Response(status_code=204)
    return _EventStream(_journal(request, nip).watch(submission.id), _service(request).stream_lifetime)


def _event_id(submission: Submission) -> str:
    return f"{submission.id}-{submission.state.value}-{int(submission.has_upo)}"


class _EventStream(Response):
    """Server-sent events; all its tasks live within its call, so nothing is left when the listener goes."""

    media_type = "text/event-stream"

    def __init__(self, changes: AsyncIterator[Submission], lifetime: float) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._changes = changes
        self._lifetime = lifetime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        lock = anyio.Lock()  # one piece at a time
        with anyio.move_on_after(self._lifetime):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
                tasks.start_soon(_keep_alive, partial(_write, send, lock))
                async for submission in self._changes:
                    data = SubmissionView.of(submission).model_dump_json()
                    event = f"id: {_event_id(submission)}\nevent: transition\ndata: {data}\n\n"
                    await _write(send, lock, event)
                tasks.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _write(send: Send, lock: anyio.Lock, text: str) -> None:
    async with lock:
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _keep_alive(write: Any) -> None:
    while True:
        await anyio.sleep(_PING)
        await write(": still here\n\n")


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
