"""How a service answers when it cannot do what it is asked: which of our errors is which HTTP status."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from ..documents import DocumentError, Severity
from ..errors import ApiError, InvalidFieldError, KsefError, RateLimitedError, RemoteProtocolError, TransportError
from ..protocol.error_codes import ErrorCode
from ..submissions import IdentityTakenError, JournalError, UnknownSubmissionError
from .views import SubmissionView

__all__ = ["FaultRoute", "Finding", "Refusal", "Report", "refusal_of", "responses"]

#: Seconds after which asking again is sensible where nobody knows better.
_SOON: Final = 5


class Finding(BaseModel):
    """One thing that is wrong with a document, or that may be."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    code: str
    """What is wrong, for programs."""
    path: str | None = None
    """The element, as ``/Faktura/Fa/P_15``; null where it is the whole file."""
    line: int | None = None
    """From 1."""
    column: int | None = None
    """From 1."""
    offset: int | None = None
    """The byte of the file, from 0."""
    severity: Severity
    """Whether KSeF refuses the document for it."""
    message: str
    """What to do, in English."""
    message_pl: str
    """What to do, in Polish."""


class Report(BaseModel):
    """The result of checking a document."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    ok: bool
    """Whether there is no problem."""
    form: str | None
    """The form by its system code, as ``FA (3)``; null where it is none that is known here."""
    problems: list[Finding]
    """What KSeF would refuse the document for."""
    warnings: list[Finding]
    """What may be meant."""


class Refusal(BaseModel):
    """The reason why a service did not do what it was asked."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"detail": "There is no such submission."}]},
    )

    detail: str | list[dict[str, Any]]
    """A sentence; of parameters that cannot be understood, FastAPI's list."""
    report: Report | None = None
    """Where a document was checked and is not fit to be sent."""
    submission: SubmissionView | None = None
    """Where KSeF rejected an invoice that was to be issued while the customer waits."""


_DESCRIPTIONS: Final = {
    400: "Not fit to be sent, no technical correction, or not held",
    404: "There is no such company, invoice or receipt",
    409: (
        "Another document of the company has its seller, kind and number, or its key; or an invoice is to be issued "
        "for a company without a signer (``KsefService(signers=...)``)"
    ),
    413: "Too large",
    422: "KSeF would refuse the document (``report`` says why), or a parameter cannot be understood",
    502: "KSeF refused the service, or did not answer",
    503: "The journal or KSeF cannot be asked now; ``Retry-After`` is in seconds",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of these answers.

    Args:
        statuses: Beside those of success.
    """
    return {status: {"description": _DESCRIPTIONS[status], "model": Refusal} for status in statuses}


def refusal_of(error: KsefError) -> Response | None:
    """Return the answer to what was asked and cannot be done, or not now; None where the program itself is wrong.

    Args:
        error: What was raised.
    """
    after: float | None = None
    match error:
        case JournalError(passes=passes):
            status, after = 503, _SOON if passes else None
        case RateLimitedError(retry_after=told):
            status, after = 503, told or _SOON
        case ApiError(code=ErrorCode.INVOICE_NOT_STORED_YET):
            status, after = 503, _SOON
        case ApiError(code=ErrorCode.UNKNOWN_INVOICE):
            status = 404
        case DocumentError():
            return JSONResponse({"detail": str(error), "report": error.report.to_dict()}, 422)
        case IdentityTakenError():
            status = 409
        case InvalidFieldError():
            status = 422
        case ApiError() | TransportError() | RemoteProtocolError():
            status = 502
        case UnknownSubmissionError():
            status = 404
        case _:
            return None
    headers = None if after is None else {"Retry-After": str(math.ceil(after))}
    return JSONResponse({"detail": str(error)}, status, headers)


class FaultRoute(APIRoute):
    """A route that answers what the library refuses with a status and a sentence, where FastAPI would answer 500.

    The routes of `router` are such routes; those of your own are with ``APIRouter(route_class=FaultRoute)``.
    ``app.router.route_class = FaultRoute`` makes all that are added to the application from then on.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which answers where the one of FastAPI would raise."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except KsefError as error:
                if (refused := refusal_of(error)) is None:
                    raise
                return refused

        return answer
