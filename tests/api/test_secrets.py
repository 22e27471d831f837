from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

import ksef_async
from ksef_async import EncryptionInfo, Environment, KsefClient, KsefToken, SessionStatus, StatusInfo, UPOPage
from ksef_async.api.auth import AccessTokenResponse, LoginStarted, TokenInfo, TokenLoginRequest, TokenPair
from ksef_async.api.common import Context, ContextType
from ksef_async.api.sessions import (
    UPO,
    FormCode,
    InvoiceStatusInfo,
    OpenOnlineSessionRequest,
    SendInvoiceRequest,
    SessionInvoice,
)
from ksef_async.calling.caller import FixedToken
from ksef_async.crypto.envelope import SessionCipher
from ksef_async.protocol.messages import RawRequest, RawResponse

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
STATUS = StatusInfo(200, "d")

SECRET = "planted-5ecret"
BYTES = SECRET.encode().ljust(32)
LINK = f"https://ksef.example/x.xml?sig={SECRET}"
TOKEN = TokenInfo(SECRET, NOON)
ENCRYPTION = EncryptionInfo(encrypted_symmetric_key=BYTES, initialization_vector=BYTES, symmetric_key=BYTES)
CREDENTIALS = KsefToken(nip="5265877635", token=SECRET)


@pytest.mark.parametrize(
    "holder",
    [
        CREDENTIALS,
        TOKEN,
        LoginStarted("r", TOKEN),
        TokenPair(TOKEN, TOKEN),
        AccessTokenResponse(TOKEN),
        FixedToken(SECRET),
        TokenLoginRequest(challenge="c", context_identifier=Context(ContextType.NIP, "1"), encrypted_token=BYTES),
        ENCRYPTION,
        OpenOnlineSessionRequest(FormCode.FA3, ENCRYPTION),
        SessionCipher(BYTES, BYTES[:16]),
        SendInvoiceRequest(
            invoice_hash=b"",
            invoice_size=1,
            encrypted_invoice_hash=b"",
            encrypted_invoice_size=1,
            encrypted_invoice_content=BYTES,
        ),
        UPOPage("r", LINK, NOON),
        SessionStatus(status=STATUS, date_created=NOON, date_updated=NOON, upo=UPO((UPOPage("r", LINK, NOON),))),
        SessionInvoice(
            ordinal_number=1,
            reference_number="r",
            invoice_hash=b"",
            invoicing_date=NOON,
            upo_download_url=LINK,
            status=InvoiceStatusInfo(200, "d"),
        ),
        RawRequest(operation="o", method="GET", url=LINK, headers={"Authorization": SECRET}, body=BYTES),
        RawResponse(status=200, headers={"x": SECRET}, body=BYTES),
        KsefClient(Environment.TEST, CREDENTIALS),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_secret_shows_neither_in_repr_nor_in_str(holder: object) -> None:
    for shown in (repr(holder), str(holder), f"{holder}", repr([holder]), repr({"x": holder})):
        assert SECRET not in shown
        assert type(holder).__name__ in shown


def data_classes() -> Iterator[type[Any]]:
    """Every attrs class of the library, but not of the sandbox: its secrets are worth nothing outside a test."""
    for info in pkgutil.walk_packages(ksef_async.__path__, "ksef_async."):
        if info.name.startswith("ksef_async.sandbox"):
            continue
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if isinstance(value, type) and attrs.has(value) and value.__module__ == module.__name__:
                yield value


def annotation(cls: type, name: str) -> str:
    """How the field is annotated, here or in the class it is inherited from."""
    found: str = next(
        base.__annotations__[name] for base in cls.__mro__ if name in vars(base).get("__annotations__", {})
    )
    return found


SECRET_NAME = re.compile(r"token|key$|vector|content$|url$|^url|^xml$|^body$|^headers$|password|^iv$|certificate$")
NOT_SECRET = {
    "base_url": "the address of an environment",
    "continuation_token": "a place in a list",
    "Proxy.url": "host and port: user and password of a proxy are kept apart",
    "NewDocument.key": "what the caller knows the invoice by, e.g. the number of an order",
    "Submission.key": "the same",
}


def test_every_field_that_sounds_secret_is_kept_out_of_repr() -> None:
    # Models keep their own secrets; flags, dates and enums have none.
    bare = [
        (cls, field)
        for cls in data_classes()
        for field in attrs.fields(cls)
        if re.fullmatch(r"(str|bytes|rsa\.RSA\w+Key)( \| None)?", annotation(cls, field.name))
    ]

    shown = {
        f"{cls.__name__}.{field.name}"
        for cls, field in bare
        if field.repr is True
        and SECRET_NAME.search(field.name)
        and not {field.name, f"{cls.__name__}.{field.name}"} & NOT_SECRET.keys()
    }

    assert len(bare) > 50
    assert shown == set()
