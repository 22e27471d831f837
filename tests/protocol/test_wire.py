from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksef_async import operations
from ksef_async.models.auth import AllowedIps, AuthorizationPolicy, LoginStatus, TokenLoginRequest, TokenPair
from ksef_async.models.common import Context, ContextType
from ksef_async.models.keys import EncryptionInfo, PublicKeyUsage
from ksef_async.models.sessions import (
    UPO,
    FormCode,
    InvoiceStatusInfo,
    OpenOnlineSessionRequest,
    SendInvoiceRequest,
    SessionStatus,
    UPOPage,
)
from ksef_async.protocol.wire import WIRE, UnreadableJsonError, Wire, WireError, camel, format_datetime

TOLERANT = Wire(tolerant=True)
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOON_JSON = "2026-07-01T12:00:00+00:00"

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
@pytest.mark.parametrize("wire", [WIRE, TOLERANT], ids=["exact", "tolerant"])
def test_what_is_written_is_read(wire: Wire, model: object, json: object) -> None:
    assert wire.dump(wire.load(json, type(model))) == json


@pytest.mark.parametrize(
    ("cls", "json", "expected"),
    [
        pytest.param(
            InvoiceStatusInfo,
            {"code": 200, "description": "Sukces", "details": None, "extensions": None, "novelty": {"a": [1]}},
            InvoiceStatusInfo(200, "Sukces"),
            id="null counts as absent; unknown properties are ignored",
        ),
        pytest.param(
            InvoiceStatusInfo,
            {"code": 440, "description": "d", "extensions": {"originalKsefNumber": None, "snake_key": "v"}},
            InvoiceStatusInfo(440, "d", extensions={"originalKsefNumber": None, "snake_key": "v"}),
            id="keys of a map are left as they are, its values may be null",
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
                "status": {"code": 100, "description": "d"},
                "dateCreated": "2026-07-01T14:00:00+02:00",
                "dateUpdated": "2026-07-01T12:00:00Z",
            },
            SessionStatus(
                status=operations.SessionStatus.__attrs_attrs__[0].type and WIRE.load({"code": 100, "description": "d"}, Any),
                date_created=NOON,
                date_updated=NOON,
            ),
            id="absent counters are zero; offset and Z",
        ),
    ],
)
def test_reading(cls: Any, json: object, expected: object) -> None:
    assert WIRE.load(json, cls) == expected
