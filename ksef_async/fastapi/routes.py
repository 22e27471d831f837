"""The addresses of a service: submit, list, status, UPO and events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Header, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError

from ..documents import DocumentError
from ..errors import CryptoError, KsefError, LocalProtocolError
from ..protocol.invoices import MAX_SIZE_WITH_ATTACHMENT
from ..protocol.numbers import file_name
from ..protocol.offline import OfflineMode
from ..submissions import IdentityTakenError, NotIssuedError, Submission, SubmissionState, UnknownSubmissionError
from . import received
from .refusals import FaultRoute, responses
from .service import journal_of, service_of
from .views import EXAMPLE_OF_EVENTS, EventStream, IssuedView, SubmissionView, event_id

__all__ = [
    "correct_invoice",
    "get_invoice",
    "get_upo",
    "issue_invoice",
    "list_invoices",
    "release_invoice",
    "router",
    "submit_invoice",
    "watch_invoice",
]

Model = TypeVar("Model", bound=BaseModel)

router: Final = APIRouter(tags=["KSeF"], route_class=FaultRoute)
"""Under ``/{nip}/invoices``. What is asked for most reads the request itself, and tells OpenAPI what it reads:
parameters and response models of FastAPI's take longer than the journal.
"""

_LARGEST_ID: Final = 2**63 - 1
_DIGITS: Final = len(str(_LARGEST_ID))

# What the path holds is declared to FastAPI, which then tells OpenAPI of it once, though dependencies of the user's
# ask for it as well. An id is read by hand: Python refuses to read thousands of digits.
_Id: TypeAlias = Annotated[str, Path(json_schema_extra={"type": "integer"})]


async def _find(request: Request, nip: str, number: str) -> Submission:
    journal = journal_of(request, nip)
    is_possible = number.isascii() and number.isdecimal() and len(number) <= _DIGITS
    try:
        # Of another company: as if it were not there.
        return await journal.get(int(number) if is_possible else 0, nip=nip)
    except UnknownSubmissionError:
        raise HTTPException(404, "There is no such submission.") from None


def _told(submission: Submission, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content = SubmissionView.of(submission).model_dump_json()
    return Response(content, status_code, headers, "application/json")


_KEY: Final = "Idempotency-Key"


class _Options(BaseModel):
    """What may be said of an invoice beside the document: ``key`` in a header, the others in the query."""

    key: Annotated[str | None, Field(max_length=200)] = None
    priority: Annotated[int, Field(ge=0, le=100)] = 0
    offline: Literal["offline24", "unavailability", "emergency"] | None = None
    corrects: str | None = None

    @classmethod
    def of(cls, request: Request) -> _Options:
        """Those of a request, refused as FastAPI refuses them."""
        if request.headers.get(_KEY) is None and not request.scope["query_string"]:
            return _NO_OPTIONS
        return _validated(cls, request)


def _validated(model: type[Model], request: Request) -> Model:
    try:
        return model.model_validate({**request.query_params, "key": request.headers.get(_KEY)})
    except ValidationError as error:
        refused = [{**one, "loc": _place(*one["loc"])} for one in error.errors(include_url=False)]
        raise RequestValidationError(refused) from error


def _place(name: int | str, *within: int | str) -> tuple[int | str, ...]:
    return ("header", _KEY) if name == "key" else ("query", name, *within)


_NO_OPTIONS: Final = _Options()


def _handed_in(options: type[BaseModel]) -> dict[str, Any]:
    """Return what OpenAPI says of a document with options, which are read by hand."""
    parameters: list[dict[str, Any]] = []
    for field, schema in options.model_json_schema()["properties"].items():
        place, name = _place(field)
        parameters.append({"name": name, "in": place, "schema": schema})
    return {"requestBody": _DOCUMENT, "parameters": parameters}


_DOCUMENT: Final = {"required": True, "content": {"application/xml": {"schema": {"type": "string"}}}}
_REFUSED: Final = responses(400, 404, 409, 413, 422, 503)


@router.post(
    "/{nip}/invoices",
    status_code=202,
    response_model=SubmissionView,
    responses=_REFUSED,
    openapi_extra=_handed_in(_Options),
)
async def submit_invoice(nip: str, request: Request) -> Response:
    """Write one invoice (the XML as the body) into the journal; from there it is delivered exactly once.

    The same document again is the same submission. A technical correction has ``offline`` and, as ``corrects``, the
    ``sha256`` of the rejected offline invoice, in hexadecimal as that is told.
    """
    submissions = journal_of(request, nip)
    options = _Options.of(request)
    document = await _read_body(request)
    try:
        replaced = None if options.corrects is None else bytes.fromhex(options.corrects)
    except ValueError as error:
        raise HTTPException(400, "corrects is a SHA-256 in hexadecimal: 64 digits.") from error
    offline = None if options.offline is None else OfflineMode(options.offline)
    try:
        submission = await submissions.submit(
            document,
            key=options.key,
            nip=nip,
            priority=options.priority,
            offline=offline,
            corrects=replaced,
            signer=None if offline is None else service_of(request).signers.get(nip),
        )
    except _REFUSALS as error:
        return _refused(error)
    return _told(submission, 202, {"Location": f"{quote(request.scope['path'])}/{submission.id}"})


# Nothing was written; or KSeF refused what was.
_REFUSALS: Final = (LocalProtocolError, CryptoError, NotIssuedError)


def _refused(error: KsefError) -> Response:
    match error:
        case IdentityTakenError() | DocumentError():
            raise error  # which the route answers
        case NotIssuedError():
            submission = SubmissionView.of(error.submission).model_dump(mode="json")
            return JSONResponse({"detail": str(error), "submission": submission}, 422)
        case CryptoError():
            # Of the service's own signer: it is not the caller who can do something about it.
            raise HTTPException(500, str(error)) from error
        case _:
            raise HTTPException(400, str(error)) from error


class _IssueOptions(BaseModel):
    key: Annotated[str | None, Field(max_length=200)] = None
    within: Annotated[float, Field(ge=0, le=60, description="Seconds after which it is issued offline")] = 5.0


@router.post("/{nip}/issued", response_model=IssuedView, responses=_REFUSED, openapi_extra=_handed_in(_IssueOptions))
async def issue_invoice(nip: str, request: Request) -> Response:
    """Issue one invoice (the XML as the body) while the customer waits: online in time, otherwise offline.

    It is in the journal before anything else, and delivered exactly once; how it goes on, ``/invoices/{id}`` tells.
    """
    submissions = journal_of(request, nip)
    if (signer := service_of(request).signers.get(nip)) is None:
        raise HTTPException(
            409, "The company has nobody who signs what is issued offline: see signers= of KsefService."
        )
    options = _validated(_IssueOptions, request)
    document = await _read_body(request)
    try:
        issued = await submissions.issue(document, signer=signer, within=options.within, key=options.key, nip=nip)
    except _REFUSALS as error:
        return _refused(error)
    return Response(IssuedView.of(issued).model_dump_json(), 200, media_type="application/json")


@router.post(
    "/{nip}/invoices/{submission_id}/correction",
    status_code=202,
    response_model=SubmissionView,
    responses=_REFUSED,
    openapi_extra={"requestBody": _DOCUMENT},
)
async def correct_invoice(nip: str, submission_id: _Id, request: Request) -> Response:
    """Write the technical correction (the XML as the body) of a rejected offline invoice into the journal."""
    original = await _find(request, nip, submission_id)
    document = await _read_body(request)
    try:
        submission = await service_of(request).submissions.correct(
            original.id, document, signer=service_of(request).signers.get(original.nip)
        )
    except _REFUSALS as error:
        return _refused(error)
    listed = request.scope["path"].rpartition("/")[0].rpartition("/")[0]
    return _told(submission, 202, {"Location": f"{quote(listed)}/{submission.id}"})


@router.post(
    "/{nip}/invoices/{submission_id}/release",
    status_code=202,
    response_model=SubmissionView,
    responses=responses(400, 404, 422, 503),
)
async def release_invoice(nip: str, submission_id: _Id, request: Request) -> Response:
    """Have a held invoice sent as an offline invoice; the service's signer, if the company has one, signs KOD II."""
    held = await _find(request, nip, submission_id)
    try:
        submission = await service_of(request).submissions.release(
            held.id, signer=service_of(request).signers.get(held.nip)
        )
    except _REFUSALS as error:
        return _refused(error)
    return _told(submission, 202, {"Location": quote(request.scope["path"].rpartition("/")[0])})


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_SIZE_WITH_ATTACHMENT:
            raise HTTPException(413, f"An invoice has at most {MAX_SIZE_WITH_ATTACHMENT:,} bytes.")
    return bytes(body)


@router.get("/{nip}/invoices", responses=responses(404, 422, 503))
async def list_invoices(
    nip: str,
    request: Request,
    state: Annotated[list[SubmissionState] | None, Query()] = None,
    after: Annotated[int, Query(ge=0, le=_LARGEST_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[SubmissionView]:
    """Return the company's submissions by their ids, from ``after`` (exclusive)."""
    found = await journal_of(request, nip).list_page(nip=nip, states=state or (), after=after, limit=limit)
    return [SubmissionView.of(submission) for submission in found]


@router.get(
    "/{nip}/invoices/{submission_id}",
    response_model=SubmissionView,
    responses=responses(404, 422, 503),
)
async def get_invoice(nip: str, submission_id: _Id, request: Request) -> Response:
    """Return an invoice's status."""
    return _told(await _find(request, nip, submission_id))


@router.get(
    "/{nip}/invoices/{submission_id}/upo",
    response_class=Response,
    responses={200: {"description": "The UPO", "content": {"application/xml": {}}}, **responses(404, 422, 503)},
)
async def get_upo(nip: str, submission_id: _Id, request: Request) -> Response:
    """Return the UPO, exactly as KSeF issued it. 404 until it is there: it comes once the session is closed."""
    submission = await _find(request, nip, submission_id)
    if not submission.has_upo:
        raise HTTPException(404, "There is no UPO yet.")
    name = f"{file_name(submission.ksef_number or str(submission.id))}.upo.xml"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    upo = await service_of(request).submissions.upo(submission.id)
    return Response(upo, media_type="application/xml", headers=headers)


@router.get(
    "/{nip}/invoices/{submission_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "Events ``transition`` whose data is a SubmissionView; comments in between keep it open",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE_OF_EVENTS}},
        },
        204: {"description": "The end was told before"},
        **responses(404, 422, 503),
    },
)
async def watch_invoice(
    nip: str, submission_id: _Id, request: Request, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """Each change of an invoice's state as an event ``transition`` (SSE), the present one first, to its end.

    A browser that comes back after the end is answered with 204, so that it stops asking.
    """
    submission = await _find(request, nip, submission_id)
    if submission.state.is_terminal and last_event_id == event_id(submission):
        return Response(status_code=204)
    service = service_of(request)
    return EventStream(service.submissions.watch(submission.id), service.stream_lifetime)


router.include_router(received.router)
