"""Whatever is asked, the sandbox answers as KSeF would: never with 5xx, and with no word of Python or of ours.

``WORDS=all`` asks everything of every operation, which takes a minute; otherwise each asks a share, in turns.
"""

from __future__ import annotations

import copy
import itertools
import os
import re
import types
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from json import dumps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args, get_origin

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packages import zipped
from sandbox.wire import Answer, Wire, connected

from ksef_async.api.common import Context, ContextType, OpenStrEnum
from ksef_async.api.limits import SessionLimits
from ksef_async.api.operation import Bearer, Operation
from ksef_async.api.packages import CompressionType
from ksef_async.api.sessions import FormCode
from ksef_async.api.table import OPERATIONS
from ksef_async.crypto.envelope import SessionCipher
from ksef_async.protocol.wire import Unread, WireError, camel
from ksef_async.sandbox import sample_invoice
from ksef_async.sandbox.archives import ArchiveError, DecryptedParts, EmptyArchiveError, TooManyEntriesError, unpack
from ksef_async.sandbox.intake import Rejected, examine
from ksef_async.sandbox.shapes import ShapeCheck
from ksef_async.sandbox.validation import problems_in_words

#: Each operation asks one of so many wrong bodies, values and texts, the next operation the one after it.
SHARES = 1 if os.environ.get("WORDS") == "all" else 9

#: What no text of KSeF has: exceptions and types of Python, its values, representations, names as we write them.
FOREIGN = re.compile(
    r"NoneType|\bNone\b|\bTrue\b|\bFalse\b|Traceback|\w+(?:Error|Exception)\b(?!Detail)|object has no|attribute '|"
    r"\b(?:str|int|float|bool|dict|tuple|list|bytes|datetime|Decimal)\b|iterable|codec can't|isoformat|attrs|"
    r"ksef_async\.|<class|<[a-z_.]+ object|0x[0-9a-f]{6}|\b[a-z]+(?:_[a-z]+)+\b|\\d|\(\?|\[A-Z\]|\bmodel\b|\bfile \""
)
# What .NET says of a document, whose names and values KSeF repeats, may look like that.
OF_DOCUMENTS = re.compile(r"The required attribute|'.*?'|a valid \w+ value")
PERMISSIONS = [
    "InvoiceRead", "InvoiceWrite", "CredentialsRead", "CredentialsManage", "SubunitManage", "Introspection",
    "VatUeManage", "CollectiveIdentifierManage", "EnforcementOperations", "PefInvoiceWrite",
]  # fmt: skip
BAD_VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", " ", "x", "ż" * 300, "2026-13-45", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00", "\0", [], [None], ["x"], [1], {}, {"type": "x"}, {"value": 1},
]  # fmt: skip
BAD_BODIES = [
    b"", b"null", b"[]", b"1", b'"x"', b"{", b"{}", b'{"a":}', b"\xff\xfe", b"[" * 5000, b'{"a":' * 500, b"NaN",
    b'{"a":1e999}', b"\xef\xbb\xbf{}", b"<a/>", b"<a", b"<!DOCTYPE a><a/>",
]  # fmt: skip
BAD_TEXTS = [
    "", "x", "-1", "9" * 20, "%E2%98%83", "true", "2026-13-45", "%00", "a" * 36, "a" * 3000, "1e5", "'%22%3C", "%FF",
]  # fmt: skip


def example(kind: Any) -> Any:
    """JSON of about the right shape for a type."""
    if kind is FormCode:
        return {"systemCode": "FA (3)", "schemaVersion": "1-0E", "value": "FA"}
    if isinstance(kind, types.UnionType):
        return example(get_args(kind)[0])
    if get_origin(kind) is tuple:
        return [example(get_args(kind)[0])]
    if isinstance(kind, type) and attrs.has(kind):
        return {
            field.metadata.get("wire_name") or camel(field.name): example(field.type)
            for field in attrs.fields(attrs.resolve_types(kind))
        }
    if isinstance(kind, type) and issubclass(kind, OpenStrEnum | Enum):
        return next(iter(kind)).value
    known: dict[Any, Any] = {
        bool: True, int: 1, Decimal: 1.5, bytes: "AAAA", str: "5265877635",
        date: "2026-07-01", datetime: "2026-07-01T00:00:00Z",
    }  # fmt: skip
    return known.get(kind, "x")


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, by its path."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def changed(root: Any, path: tuple[Any, ...], value: Any) -> Any:
    whole = copy.deepcopy(root)
    node = whole
    for key in path[:-1]:
        node = node[key]
    if value is ...:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return whole


def bodies(operation: Operation[Any, Any], turn: int) -> Iterator[bytes]:
    yield from share(BAD_BODIES, turn)
    if operation.request in (None, bytes):
        return
    good = example(operation.request)
    yield dumps(good).encode()
    for number, path in enumerate(places(good)):
        for value in (..., *share(BAD_VALUES, turn + number)):
            yield dumps(changed(good, path, value)).encode()


def share(values: list[Any], turn: int) -> list[Any]:
    """The part of the values whose turn it is; another place or another operation has others."""
    return values[turn % SHARES :: SHARES]


async def bearer(wire: Wire, kind: Bearer) -> str | None:
    """A token that lets do everything, of a login of its own."""
    if kind is Bearer.NONE:
        return None
    started = await wire.log_in()
    wire.advance(1)
    login = wire.sandbox.world.logins[started.json["referenceNumber"]]
    login.is_redeemed = kind is not Bearer.LOGIN
    claims = {"arn": login.reference_number, "per": dumps(PERMISSIONS), "pec": "[]"}
    return wire.sandbox.world.ministry.issue_jwt(kind, claims, wire.sandbox.clock.now(), timedelta(days=1))


def problem_of(answer: Answer) -> str | None:
    """What is wrong with an answer."""
    if answer.status >= 500:
        return "a failure"
    if answer.status < 400 or not answer.body:
        return None
    kind = answer.headers["Content-Type"].partition(";")[0]
    if kind not in ("application/json", "application/problem+json"):
        return f"the type {kind}"
    if not {"exception", "status"} & set(answer.json):
        return "neither shape of an error"
    found = FOREIGN.search("\n".join(texts(answer.json)))
    return found and found[0]


def texts(node: Any) -> Iterator[str]:
    """What an error says; neither its keys nor what it repeats of the request's address."""
    if isinstance(node, dict):
        for key, child in node.items():
            if key not in ("instance", "traceId", "serviceCode", "reasonCode", "requiredAnyOfPermissions"):
                yield from texts(child)
    elif isinstance(node, list):
        for child in node:
            yield from texts(child)
    elif isinstance(node, str):
        yield node


async def test_nothing_of_python_is_said() -> None:
    wrong: list[str] = []
    async with connected() as wire:
        for turn, operation in enumerate(OPERATIONS):
            wrong += [problem async for problem in problems_of(wire, operation, turn)]

    assert wrong == []


async def problems_of(wire: Wire, operation: Operation[Any, Any], turn: int) -> AsyncIterator[str]:
    """What is wrong with the answers to whatever can be asked of an operation."""
    token = await bearer(wire, operation.bearer)
    path = re.sub(r"{\w+}", "20260701-SO-0000000000-0000000000-00", operation.path)
    formats = itertools.cycle(({}, {"X-Error-Format": "problem-details"}))
    content_type = {"Content-Type": "application/xml" if operation.request is bytes else "application/json"}
    for target, body, headers in questions(operation, path, turn):
        sent = {**content_type, **next(formats), **headers}
        answer = await wire.call(operation.method.value, target, token, data=body, headers=sent)
        if (problem := problem_of(answer)) is not None:
            yield f"{operation.name} {target} {body!r} {headers}: {problem} in {answer}"
        # A login that was ended by the last call would answer all that follow.
        if any(login.is_revoked for login in wire.sandbox.world.logins.values()):
            wire.sandbox.world.logins.clear()
            token = await bearer(wire, operation.bearer)


def questions(
    operation: Operation[Any, Any], path: str, turn: int
) -> Iterator[tuple[str, bytes | None, dict[str, str]]]:
    """Paths, bodies and headers of requests."""
    for body in bodies(operation, turn) if operation.request else [None]:
        yield path, body, {}
    good = dumps(example(operation.request)).encode() if operation.request not in (None, bytes) else None
    for number, name in enumerate(operation.query):
        for text in share(BAD_TEXTS, turn + number):
            yield f"{path}?{camel(name)}={text}", good, {}
    for text in share(BAD_TEXTS, turn):
        if "{" in operation.path and text:
            yield re.sub(r"{\w+}", text, operation.path), good, {}
        if operation.continued and text.isascii():
            yield path, good, {"x-continuation-token": text}


INVOICE = sample_invoice("5265877635", issued_on=date(2026, 7, 1))


@st.composite
def damaged_invoices(draw: st.DrawFn) -> bytes:
    """An invoice in which a piece is replaced by another, or by anything."""
    start = draw(st.integers(0, len(INVOICE)))
    end = draw(st.integers(start, min(len(INVOICE), start + 200)))
    pieces = [
        b"",
        b"<",
        b"&x;",
        b"<?p?>",
        b"<!DOCTYPE a>",
        b"\xff",
        "\x85".encode(),
        b'encoding="x"',
        b"9" * 400,
        b"\0",
    ]
    return INVOICE[:start] + draw(st.sampled_from(pieces) | st.binary(max_size=20)) + INVOICE[end:]


@given(invoice=damaged_invoices(), is_production=st.booleans())
def test_invoice_is_refused_in_words_of_ksef(invoice: bytes, is_production: bool) -> None:
    said = ""
    try:
        examine(
            invoice,
            form_code=FormCode.FA3,
            context=Context(ContextType.NIP, "5265877635"),
            received_at=datetime(2026, 7, 1, 12, tzinfo=UTC),
            declared=None,
            is_correction=False,
            check_identifiers=True,
            limits=SessionLimits(max_invoice_size_mb=1, max_invoice_with_attachment_size_mb=3, max_invoices=1),
            find_shape_problems=partial(ShapeCheck().problems, FormCode.FA3),
            is_production=is_production,
        )
    except Rejected as rejected:
        said = OF_DOCUMENTS.sub("", " ".join(rejected.details))

    assert FOREIGN.search(said) is None, said


@given(archive=st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: zipped([("a.xml", b"x")]) + tail))
def test_package_is_refused_in_words_of_ksef(archive: bytes) -> None:
    cipher = SessionCipher(bytes(32), bytes(16))
    said = []
    with TemporaryDirectory() as folder:
        path = Path(folder, "part")
        path.write_bytes(cipher.encrypt(archive))
        for compression in CompressionType:
            # More invoices than allowed, or none, have words of their own.
            with suppress(TooManyEntriesError, EmptyArchiveError):
                try:
                    with DecryptedParts([path], cipher, lambda: None) as parts:
                        list(unpack(parts, compression, max_invoices=3, largest=1000))
                except ArchiveError as error:
                    said.append(str(error))

    assert not [text for text in said if FOREIGN.search(text)]


@given(path=st.text(), text=st.text())
def test_any_problem_is_told_in_words_of_ksef(path: str, text: str) -> None:
    """Even one that nobody has thought of: only its field is named."""
    (said,) = problems_in_words(WireError([Unread(path, text)]))

    name = path.removeprefix("$").removeprefix(".")
    assert said in (f"'{name}' is invalid.", "A non-empty request body is required.")


@pytest.mark.parametrize(
    "text",
    [
        "'date_range.from_date' must not be before from_date",
        "expected int at $.invoiceSize",
        "ValueError: Invalid isoformat string: 'x'",
        "invalid value for type, expected datetime",
        "'NoneType' object has no attribute 'value'",
        "must be written as \\d{10}; it is '1'",
        "<ksef_async.sandbox.world.World object at 0x7f6599670490>",
    ],
)
def test_what_is_looked_for_is_found(text: str) -> None:
    assert FOREIGN.search(text)
