from __future__ import annotations

import pickle
import re
import types
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksef_async.api.auth import AllowedIps, AuthorizationPolicy, TokenInfo, TokenLoginRequest, TokenPair
from ksef_async.api.collective_identifiers import CollectiveIdentifierFilter
from ksef_async.api.common import (
    CURRENCIES,
    Bounds,
    ChallengeText,
    Context,
    ContextType,
    Cursor,
    Identifier,
    Jwt,
    Method,
    OpenStrEnum,
    ServerTime,
    SignedLink,
    StatusInfo,
    UploadHeaders,
    check_currency,
)
from ksef_async.api.invoices import AmountFilter, AmountType, BuyerIdentifier, DateRange, DateType
from ksef_async.api.keys import EncryptionInfo, PublicKeyUsage
from ksef_async.api.limits import Limit
from ksef_async.api.permission_grants import AttachmentConsent
from ksef_async.api.rates import UNLIMITED, Calls
from ksef_async.api.sessions import (
    UPO,
    FormCode,
    InvoiceStatusInfo,
    OpenOnlineSessionRequest,
    SendInvoiceRequest,
    SessionFilter,
    SessionStatus,
    SessionType,
    UPOPage,
)
from ksef_async.api.table import OPERATIONS
from ksef_async.protocol.wire import WIRE, Unread, UnreadableJsonError, Wire, WireError, camel, format_datetime

REQUESTS = Wire(requests=True)
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOON_JSON = "2026-07-01T12:00:00+00:00"
#: What is read as a point in time, as text, and as what is more than text.
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 31))
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.text(CHARACTERS)
CHECKED: dict[Any, st.SearchStrategy[Any]] = {
    Identifier: st.text("AZaz09-", min_size=1, max_size=9),
    Jwt: st.text("eyJ.-_~!", min_size=1, max_size=9),
    Cursor: st.text("abc=+/", max_size=9),
    ChallengeText: st.text("ABC-09", min_size=1, max_size=9),
    Method: st.sampled_from(["PUT", "POST"]),
    SignedLink: st.text("abc/?=&%", max_size=9).map("https://ksef.mf.gov.pl/{}".format),
    UploadHeaders: st.dictionaries(st.text("a-Z", min_size=1, max_size=4), st.none() | st.text("a;=", max_size=9)),
    Calls: st.sampled_from([UNLIMITED, 1, 60, 2**31 - 1]),
    Limit: st.integers(0, 2**31 - 1),
}
#: Every model that crosses the wire.
MODELS: list[Any] = [
    model
    for model in dict.fromkeys(model for row in OPERATIONS for model in (row.request, row.response))
    if model not in (None, bytes)
]

WRITTEN = [
    pytest.param(
        OpenOnlineSessionRequest(
            FormCode.FA3,
            EncryptionInfo(encrypted_symmetric_key=b"abc", initialization_vector=b"iv", symmetric_key=b"secret"),
        ),
        {
            "formCode": {"systemCode": "FA (3)", "schemaVersion": "1-0E", "value": "FA"},
            "encryption": {"encryptedSymmetricKey": "YWJj", "initializationVector": "aXY="},
        },
        id="local and default fields stay here",
    ),
    pytest.param(
        TokenLoginRequest(
            challenge="c",
            context_identifier=Context(ContextType.INTERNAL_ID, "5265877635-12345"),
            encrypted_token=b"abc",
            public_key_id="k",
            authorization_policy=AuthorizationPolicy(AllowedIps(ip4_masks=("10.0.0.0/24",))),
        ),
        {
            "challenge": "c",
            "contextIdentifier": {"type": "InternalId", "value": "5265877635-12345"},
            "encryptedToken": "YWJj",
            "publicKeyId": "k",
            "authorizationPolicy": {"allowedIps": {"ip4Masks": ["10.0.0.0/24"]}},
        },
        id="nested, with digits in names",
    ),
    pytest.param(
        SendInvoiceRequest(
            invoice_hash=b"h",
            invoice_size=1,
            encrypted_invoice_hash=b"e",
            encrypted_invoice_size=16,
            encrypted_invoice_content=b"abc",
            offline_mode=True,
            hash_of_corrected_invoice=b"x",
        ),
        {
            "invoiceHash": "aA==",
            "invoiceSize": 1,
            "encryptedInvoiceHash": "ZQ==",
            "encryptedInvoiceSize": 16,
            "encryptedInvoiceContent": "YWJj",
            "offlineMode": True,
            "hashOfCorrectedInvoice": "eA==",
        },
        id="numbers, flags and bytes",
    ),
    pytest.param(
        UPO((UPOPage("r", "https://x/?sig=s", NOON),)),
        {
            "pages": [
                {"referenceNumber": "r", "downloadUrl": "https://x/?sig=s", "downloadUrlExpirationDate": NOON_JSON}
            ]
        },
        id="a name of its own on the wire",
    ),
]


@pytest.mark.parametrize(("model", "json"), WRITTEN)
def test_model_is_written_as_ksef_spells_it(model: object, json: object) -> None:
    assert orjson.loads(WIRE.to_json(model)) == json


@pytest.mark.parametrize(("model", "json"), WRITTEN)
@pytest.mark.parametrize("wire", [WIRE, REQUESTS], ids=["answers", "requests"])
def test_what_is_written_is_read(wire: Wire, model: object, json: object) -> None:
    assert wire.dump(wire.load(json, type(model))) == json


@pytest.mark.parametrize(
    ("cls", "json", "expected"),
    [
        pytest.param(
            InvoiceStatusInfo,
            {"code": 200, "description": "Sukces", "details": None, "extensions": None, "novelty": {"a": [1]}},
            InvoiceStatusInfo(200, "Sukces"),
            id="null counts as absent and unknown properties are ignored",
        ),
        pytest.param(
            InvoiceStatusInfo,
            {"code": 440, "description": "d", "extensions": {"originalKsefNumber": None, "snake_key": "v"}},
            InvoiceStatusInfo(440, "d", extensions={"originalKsefNumber": None, "snake_key": "v"}),
            id="keys of a map are left as they are and its values may be null",
        ),
        pytest.param(
            tuple[PublicKeyUsage, ...],
            ["SymmetricKeyEncryption", "PostQuantum"],
            (PublicKeyUsage.SYMMETRIC_KEY_ENCRYPTION, PublicKeyUsage("PostQuantum")),
            id="unknown enum values",
        ),
        pytest.param(
            SessionStatus,
            {
                "status": {"code": 100, "description": "d", "details": []},
                "dateCreated": "2026-07-01T14:00:00+02:00",
                "dateUpdated": "2026-07-01T12:00:00Z",
                "validUntil": "2026-07-01T12:00:00",
            },
            SessionStatus(status=StatusInfo(100, "d"), date_created=NOON, date_updated=NOON, valid_until=NOON),
            id="an offset, Z, no zone; absent counters are zero",
        ),
    ],
)
def test_answer_is_read(cls: Any, json: object, expected: object) -> None:
    assert WIRE.load(json, cls) == expected


def test_unknown_enum_value_reads_as_itself() -> None:
    usage = WIRE.load("PostQuantum", PublicKeyUsage)

    assert (usage, usage.value, usage.is_known, WIRE.dump(usage)) == (
        "PostQuantum",
        "PostQuantum",
        False,
        "PostQuantum",
    )
    assert WIRE.load("SymmetricKeyEncryption", PublicKeyUsage) is PublicKeyUsage.SYMMETRIC_KEY_ENCRYPTION
    assert "PostQuantum" not in list(PublicKeyUsage)


@pytest.mark.parametrize(
    ("cls", "json", "path"),
    [
        (StatusInfo, {"code": "100", "description": "d"}, "$.code"),
        (StatusInfo, {"code": True, "description": "d"}, "$.code"),
        (StatusInfo, {"code": 100.0, "description": "d"}, "$.code"),
        (StatusInfo, {"code": 100, "description": 7}, "$.description"),
        (StatusInfo, {"code": None, "description": "d"}, "$.code"),
        (StatusInfo, {"code": 100, "description": "d", "details": "abc"}, "$.details"),
        (StatusInfo, {"code": 100, "description": "d", "details": ["a", None]}, "$.details[1]"),
        (InvoiceStatusInfo, {"code": 1, "description": "d", "extensions": {"a_b": 3}}, "$.extensions"),
        (InvoiceStatusInfo, {"code": 1, "description": "d", "extensions": "abc"}, "$.extensions"),
        (TokenPair, {"accessToken": {"token": "t", "validUntil": NOON_JSON}, "refreshToken": []}, "$.refreshToken"),
        (TokenInfo, {"token": "t", "validUntil": 0}, "$.validUntil"),
        (TokenInfo, {"token": "t", "validUntil": "tomorrow"}, "$.validUntil"),
        (UPO, {"pages": [{"referenceNumber": "r"}, {"downloadUrl": "u"}]}, "$.pages[1].referenceNumber"),
        (EncryptionInfo, {"encryptedSymmetricKey": "?", "initializationVector": "aXY="}, "$.encryptedSymmetricKey"),
        (EncryptionInfo, {"encryptedSymmetricKey": "ą", "initializationVector": "aXY="}, "$.encryptedSymmetricKey"),
        (tuple[PublicKeyUsage, ...], ["SymmetricKeyEncryption", 5], "$[1]"),
        (tuple[PublicKeyUsage, ...], {"0": "SymmetricKeyEncryption"}, "$"),
        (FormCode, {"systemCode": "FA(3)", "schemaVersion": "1-0E", "value": "FA"}, "$"),
        (FormCode, "FA (3)", "$"),
        (Context, None, "$"),
    ],
)
def test_wrong_value_of_a_request_is_an_error_that_names_its_path(cls: Any, json: object, path: str) -> None:
    with pytest.raises(WireError) as caught:
        REQUESTS.load(json, cls)

    assert caught.value.path == path
    assert str(caught.value).endswith(f" at {path}")


SECRET = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2VjcmV0"


@pytest.mark.parametrize(
    ("cls", "json", "expected", "unread"),
    [
        pytest.param(
            InvoiceStatusInfo,
            {"code": 440, "description": "d", "details": ["a", None, 5, "b"], "extensions": "abc"},
            InvoiceStatusInfo(440, "d", ("a", "b")),
            ["$.details[1]", "$.details[2]", "$.extensions"],
            id="a field with a default, and items of a list",
        ),
        pytest.param(
            AmountFilter,
            {"type": "Netto", "from": "1.00", "to": 2},
            AmountFilter(AmountType.NET, to_amount=Decimal(2)),
            ["$.from"],
            id="a number in quotes",
        ),
        pytest.param(
            BuyerIdentifier,
            {"type": "Other", "value": "x" * 51},
            None,
            [],
            id="longer than we may send it",
        ),
        pytest.param(
            tuple[Context, ...],
            [{"type": "Nip", "value": "1"}, {"type": "Nip"}, 7, {"type": "Galaxy", "value": "2"}],
            (Context(ContextType.NIP, "1"), Context(ContextType("Galaxy"), "2")),
            ["$[1].value", "$[2]"],
            id="rows",
        ),
    ],
)
def test_what_an_answer_can_do_without_is_left_out_and_noted(
    cls: Any, json: object, expected: object, unread: list[str]
) -> None:
    notes: list[Unread] = []

    found = WIRE.load(json, cls, notes)

    if expected is not None:
        assert found == expected
    assert [note.path for note in notes] == unread


@pytest.mark.parametrize("text", ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-12:00"])
@pytest.mark.parametrize("cls", [datetime, ServerTime])
def test_time_that_cannot_be_reckoned_with_is_unreadable(cls: Any, text: str) -> None:
    with pytest.raises(WireError, match="expected a time"):
        WIRE.load(text, cls)


@pytest.mark.parametrize("cls", [datetime, date, int, bool, Decimal, bytes, FormCode, Context, Identifier, SignedLink])
def test_no_error_tells_what_stands_there(cls: Any) -> None:
    with pytest.raises(WireError) as caught:
        WIRE.load(SECRET, cls)

    assert SECRET not in told(caught.value)


def test_no_error_tells_what_is_not_json() -> None:
    with pytest.raises(UnreadableJsonError) as caught:
        WIRE.from_json(f'{{"token": "{SECRET}", '.encode(), StatusInfo)
    with pytest.raises(UnreadableJsonError) as exact:
        WIRE.from_json(f'{{"token": "{SECRET}", '.encode(), AmountFilter)

    assert SECRET not in told(caught.value) + told(exact.value)


def told(error: BaseException | None) -> str:
    """Everything an error and what is behind it tell."""
    if error is None:
        return ""
    own = [str(error), repr(error.args), repr(vars(error)), repr(getattr(error, "doc", ""))]
    return "".join([*own, told(error.__cause__), told(error.__context__)])


@pytest.mark.parametrize(
    ("cls", "good", "bad"),
    [
        pytest.param(
            Identifier,
            ["20260701-SO-2C1A0F9000-9F1D2E3C4B-5A", "5265877635-20250826-0100001AF629-AF"],
            ["", "../../etc/passwd", "a/b", "a\0b", "A" * 5000, "\u0661", "a b", "a\n"],
            id="identifiers",
        ),
        pytest.param(Jwt, [SECRET], ["", "a\r\nb", "a b", "\xe9", "a" * 20_000], id="tokens"),
        pytest.param(Cursor, ["", "W3sidG9rZW4iOg=="], ["a\nb", "\0", "a" * 9_000], id="cursors"),
        pytest.param(
            SignedLink,
            ["https://ksef.mf.gov.pl/storage/06/x?sig=a%2F", "http://127.0.0.1:8080/x", "http://[::1]:80/"],
            ["https://[", "https://x:99999/", "https://x:abc/", "https://x:0/", "/x", "https:///x", "https://x/\r\n",
             "ftp://x/", "https://x/" + "a" * 9_000, "https://[v]/"],
            id="links",
        ),
        pytest.param(
            UploadHeaders,
            [{"x-ms-blob-type": "BlockBlob", "x-empty": "", "x-none": None}],
            [{"a b": "c"}, {"a": "b\r\nc"}, {"": "x"}, {"a": "\xe9"}, {"a": " b"}],
            id="headers",
        ),
    ],
)  # fmt: skip
def test_text_that_is_used_is_checked_where_it_is_read(cls: Any, good: list[object], bad: list[object]) -> None:
    for value in good:
        assert WIRE.load(value, cls) == value
    for value in bad:
        with pytest.raises(WireError):
            WIRE.load(value, cls)


@pytest.mark.parametrize("data", [b"", b"{", b"<html>", b"\xff\xfe", b"NaN", b"[" * 2000])
def test_what_is_not_json_is_said_to_be_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableJsonError):
        WIRE.from_json(data, StatusInfo)


def test_tolerant_wire_reads_names_and_enum_values_in_any_case() -> None:
    json = {"TYPE": "internalid", "Value": "As It Is"}

    assert REQUESTS.load(json, Context) == Context(ContextType.INTERNAL_ID, "As It Is")
    assert not REQUESTS.load({"type": "Galaxy", "value": "v"}, Context).type.is_known
    assert REQUESTS.load({"SYSTEMCODE": "FA (3)", "schemaversion": "1-0E", "Value": "FA"}, FormCode) is FormCode.FA3
    with pytest.raises(WireError, match=r"\$\.type$"):
        WIRE.load(json, Context)


@pytest.mark.parametrize(
    ("ours", "wire"),
    [("nip", "nip"), ("reference_number", "referenceNumber"), ("ip4_addresses", "ip4Addresses"), ("a_b_c", "aBC")],
)
def test_camel(ours: str, wire: str) -> None:
    assert camel(ours) == wire


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOON, NOON_JSON),
        (NOON.replace(microsecond=120_000), "2026-07-01T12:00:00.12+00:00"),
        (NOON.replace(microsecond=1), "2026-07-01T12:00:00.000001+00:00"),
        (NOON.astimezone(timezone(timedelta(hours=-7))), NOON_JSON),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00+00:00"),
    ],
)
def test_datetime_is_written_in_utc_without_trailing_zeros(moment: datetime, text: str) -> None:
    assert format_datetime(moment) == text


def test_datetime_without_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        WIRE.dump(SessionFilter(session_type=SessionType.ONLINE, date_created_from=NOON.replace(tzinfo=None)))


@settings(deadline=None)
@given(MOMENTS, st.text("0123456789", max_size=7), st.sampled_from(["Z", "+00:00"]))
def test_datetime_is_read_with_up_to_seven_digits_and_cut_to_six(moment: datetime, digits: str, zone: str) -> None:
    text = moment.replace(microsecond=0).isoformat() + (f".{digits}" if digits else "") + zone

    expected = moment.replace(microsecond=int(f"{digits:0<6}"[:6]), tzinfo=UTC)
    assert WIRE.load(text, datetime) == expected
    assert WIRE.load(format_datetime(expected), datetime) == expected


def values(field: attrs.Attribute[Any]) -> st.SearchStrategy[Any]:
    """Anything the field allows."""
    if field.validator is check_currency:
        return st.sampled_from(sorted(CURRENCIES))
    if not isinstance(field.validator, Bounds):
        return instances(field.type)
    bounds = field.validator
    found: st.SearchStrategy[Any]
    if bounds.kind == "number":
        found = st.integers(bounds.least, bounds.most)
    elif bounds.kind == "items":
        items = instances(get_args(field.type)[0])
        if bounds.pattern is not None:
            items = st.from_regex(re.compile(bounds.pattern, re.ASCII), fullmatch=True)
        found = st.lists(items, min_size=bounds.least or 0, max_size=bounds.most or 3).map(tuple)
    elif bounds.pattern is not None:
        least, most = bounds.least or 0, bounds.most
        # A pattern that leaves the length open is of characters that may be repeated.
        found = st.from_regex(re.compile(bounds.pattern, re.ASCII), fullmatch=True).map(
            lambda text: text if len(text) >= least else (text * least)[:most]
        )
    else:
        found = st.text(CHARACTERS, min_size=bounds.least or 0, max_size=bounds.most)
    return found | st.none() if field.default is None else found


def instances(annotation: Any) -> st.SearchStrategy[Any]:
    """Anything the annotation allows and JSON can carry."""
    simple: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
        datetime: lambda: MOMENTS.map(lambda each: each.replace(tzinfo=UTC)),
        date: lambda: MOMENTS.map(datetime.date),
        str: lambda: TEXTS,
        int: lambda: st.integers(-(2**63), 2**63 - 1),
        # Amounts, with two digits after the point and more before it than a double holds.
        Decimal: lambda: st.integers(-(10**20), 10**20).map(lambda cents: Decimal(cents) / 100),
        ServerTime: lambda: MOMENTS.map(lambda each: ServerTime.parse(f"{each.isoformat()}+00:00")),
        types.NoneType: st.none,
        # Its start and end depend on each other.
        CollectiveIdentifierFilter: lambda: st.builds(
            CollectiveIdentifierFilter, date_created_from=st.just(NOON), date_created_to=st.just(NOON)
        ),
    }
    if annotation in CHECKED:
        return CHECKED[annotation]
    if annotation in simple:
        return simple[annotation]()
    if get_origin(annotation) is Annotated:
        return instances(get_args(annotation)[0])
    if attrs.has(annotation):
        fields = attrs.fields(attrs.resolve_types(annotation))
        return st.builds(annotation, **{f.name: values(f) for f in fields if not f.metadata.get("local")})
    arguments = [instances(argument) for argument in get_args(annotation) if argument is not ...]
    if get_origin(annotation) is tuple:
        return st.lists(arguments[0], max_size=2).map(tuple)
    if get_origin(annotation) is dict:
        return st.dictionaries(*arguments, max_size=2)
    if get_origin(annotation) in (types.UnionType, Union):
        return st.one_of(arguments)
    if issubclass(annotation, OpenStrEnum):
        return st.sampled_from(annotation) | TEXTS.map(annotation)
    return st.from_type(annotation)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_every_model_comes_back_as_it_was_written(model: Any) -> None:
    @settings(deadline=None, max_examples=25)
    @given(instances(model))
    def round_trip(instance: object) -> None:
        assert WIRE.from_json(WIRE.to_json(instance), model) == instance

    round_trip()


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["status", "pages", "code"]), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.sampled_from(MODELS), ANY_JSON)
def test_whatever_json_arrives_is_a_model_or_a_wire_error(model: Any, json: object) -> None:
    try:
        loaded = WIRE.load(json, model)
    except WireError:
        return
    assert isinstance(loaded, get_origin(model) or model)


@pytest.mark.parametrize("amount", ["0.1", "1.10", "9999999999999999.99", "-123456789012345678.90", "1000.00", "7"])
def test_amounts_keep_every_digit(amount: str) -> None:
    written = f'{{"type":"Netto","from":{amount}}}'.encode()

    read = WIRE.from_json(written, AmountFilter)

    assert str(read.from_amount) == amount
    assert WIRE.to_json(read) == written


@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "true", '"1.00"', "[]", "1.0e999999999", "1.0e-999999999", "9" * 41]
)
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(WireError) as caught:
        REQUESTS.from_json(f'{{"type":"Netto","from":{amount}}}'.encode(), AmountFilter)

    assert caught.value.path == "$.from"


def test_deep_nesting_is_unreadable_and_no_crash() -> None:
    with pytest.raises(UnreadableJsonError):
        WIRE.from_json(b'{"type":' + b"[" * 100_000, AmountFilter)


def test_time_of_the_server_goes_back_in_its_own_text() -> None:
    text = "2026-07-01T10:00:00.1234567+00:00"

    moment = WIRE.load(text, ServerTime)

    assert moment == datetime(2026, 7, 1, 10, 0, 0, 123456, UTC)
    assert WIRE.dump(moment) == text
    assert WIRE.dump(DateRange(DateType.PERMANENT_STORAGE, moment))["from"] == text
    assert pickle.loads(pickle.dumps(moment)).text == text
    assert WIRE.dump(moment + timedelta(seconds=1)) == "2026-07-01T10:00:01.123456+00:00"


@pytest.mark.parametrize(
    ("wire", "written"),
    [
        pytest.param(WIRE, {}, id="by us, who leave out what is so by default"),
        pytest.param(REQUESTS, {"isAttachmentAllowed": False}, id="by KSeF"),
    ],
)
def test_optional_boolean_that_is_false_is_written_by_ksef_only(wire: Wire, written: dict[str, object]) -> None:
    assert wire.dump(AttachmentConsent()) == written
    assert wire.dump(AttachmentConsent(is_attachment_allowed=True)) == {"isAttachmentAllowed": True}
