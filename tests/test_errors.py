from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from ksef_async import StatusInfo, errors
from ksef_async.errors import KsefError, describe

STATUS = StatusInfo(440, "Sesja anulowana", ("Nie przesłano faktur",))
API: dict[str, Any] = {
    "operation": "open_online_session",
    "http_status": 400,
    "code": 21405,
    "details": ("'a'",),
    "trace_id": "t",
}
REJECTED: dict[str, Any] = {
    "status": STATUS,
    "reference_number": "EE",
    "session_reference_number": "SO",
    "invoice_hash": b"hash",
}

#: What each class is made of besides its message; bases that nobody raises are here too.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "KsefError": {},
    "LocalProtocolError": {},
    "InvalidFieldError": {"rule": "must be between 5 and 256"},
    "ConfigurationError": {},
    "RemoteProtocolError": {"operation": "o", "path": "$.a"},
    "TransportError": {"maybe_delivered": True},
    "ConnectError": {"maybe_delivered": False},
    "AnswerTimeoutError": {"maybe_delivered": True},
    "ApiError": API,
    "BadRequestError": API,
    "UnauthorizedError": API,
    "ForbiddenError": {**API, "reason": "ip-not-allowed", "security": {"clientIp": "10.0.0.1"}},
    "GoneError": API,
    "RateLimitedError": {**API, "retry_after": 30.0},
    "ServerError": API,
    "ProcessingError": {"status": STATUS},
    "LoginFailedError": {"status": STATUS},
    "OperationFailedError": {"status": STATUS, "reference_number": "EG"},
    "ExportFailedError": {"status": STATUS, "reference_number": "EH"},
    "SessionFailedError": {"status": STATUS, "reference_number": "SO"},
    "InvoiceRejectedError": REJECTED,
    "DuplicateInvoiceError": {**REJECTED, "original_ksef_number": "K", "original_session": None},
    "WaitTimeoutError": {"last_status": STATUS},
    "UploadExpiredError": {},
    "CryptoError": {},
}


def test_every_error_is_in_the_table_above() -> None:
    classes = inspect.getmembers(errors, lambda value: isinstance(value, type) and issubclass(value, KsefError))

    assert {name for name, _ in classes} == set(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("clone", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_error_keeps_what_it_knows_across_processes(name: str, clone: Any) -> None:
    error = getattr(errors, name)("Something failed", **ARGUMENTS[name])
    error.add_note("a note")

    cloned = clone(error)

    assert type(cloned) is type(error)
    assert str(cloned) == str(error)
    assert cloned.__notes__ == ["a note"]
    for attribute, value in ARGUMENTS[name].items():
        assert getattr(cloned, attribute) == getattr(error, attribute) == value


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.LoginFailedError("Login", status=STATUS), "Login: 440 Sesja anulowana (Nie przesłano faktur)"),
        (
            errors.WaitTimeoutError("Still", last_status=STATUS),
            "Still; last seen: 440 Sesja anulowana (Nie przesłano faktur)",
        ),
        (errors.WaitTimeoutError("Still"), "Still"),
        (errors.RateLimitedError("Wait", **API), "Wait"),
    ],
)
def test_message_says_what_was_seen(error: KsefError, said: str) -> None:
    assert str(error) == said


def test_failed_processing_has_code_and_details() -> None:
    error = errors.InvoiceRejectedError("Rejected", **REJECTED)

    assert (error.code, error.details) == (440, ("Nie przesłano faktur",))


@pytest.mark.parametrize(
    ("details", "line"),
    [((), "415 Błąd"), (("a",), "415 Błąd (a)"), (("a", "b"), "415 Błąd (a; b)")],
)
def test_status_is_described_in_one_line(details: tuple[str, ...], line: str) -> None:
    assert describe(StatusInfo(415, "Błąd", details)) == line


def test_every_error_is_drawn_in_the_tree() -> None:
    drawn = re.findall(r"\w+Error", errors.__doc__ or "")

    assert sorted(name for name in drawn if name != "KsefError") == sorted(set(ARGUMENTS) - {"KsefError"})


@pytest.mark.parametrize("name", ["ProcessingError", "WaitTimeoutError"])
def test_status_that_an_error_keeps_holds_no_secret(name: str) -> None:
    secret = "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiIxIn0.c2ln"
    status = StatusInfo(500, f"Token {secret}", (f"see https://a/b?sig={secret}", "line\nbreak"))
    argument = {"ProcessingError": "status", "WaitTimeoutError": "last_status"}[name]

    error = getattr(errors, name)("failed", **{argument: status})

    kept = getattr(error, argument)
    assert kept == StatusInfo(500, "Token [...]", ("see https://a/b?[...]", "line break"))
    assert getattr(getattr(errors, name)("failed", **{argument: STATUS}), argument) is STATUS
