"""What the sandbox keeps of bodies for its page: never a secret, and never more than can be looked at."""

from __future__ import annotations

import json
from typing import Any, get_args, get_origin

import attrs
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ksef_async.api.operation import Operation
from ksef_async.api.table import OPERATIONS
from ksef_async.protocol.wire import camel
from ksef_async.sandbox.redacting import HIDDEN, show_answer, show_query, show_request

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
SECRETS = {
    "JWT": JWT,
    "KSeF token": "20260101-EC-0000000000-ABCDEF0123-45|nip-1111111111|" + "ab" * 32,
    "signed link": "https://storage.example/01/x/upo.xml?sv=2024&sig=aGFzaA%3D%3D",
    "long Base64": "QUJD" * 20,
    "hexadecimal": "0f" * 32,
}


def shown(body: object) -> str:
    read = show_request(json.dumps(body).encode(), is_json=True)
    assert read is not None
    return read.text


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize(
    "place", ["value", "inside a text", "in a list", "deep", "as a key", "in an answer", "XML", "query"]
)
def test_what_looks_like_a_secret_is_left_out(secret: str, place: str) -> None:
    text = {
        "value": lambda: shown({"description": secret}),
        "inside a text": lambda: shown({"description": f"see {secret} here"}),
        "in a list": lambda: shown({"descriptions": ["a", secret]}),
        "deep": lambda: shown({"a": [{"b": {"c": secret}}]}),
        "as a key": lambda: shown({secret: 1}),
        "in an answer": lambda: answer(json.dumps({"a": secret}).encode(), "application/problem+json"),
        "XML": lambda: answer(f"<a>{secret}</a>".encode(), "application/xml"),
        "query": lambda: show_query(f"from=2026&name={secret}"),
    }[place]()

    assert HIDDEN in text
    for start in range(0, len(secret) - 20, 10):
        assert secret[start : start + 20] not in text or secret[start : start + 20].startswith("https://")


def answer(body: bytes, content_type: str) -> str:
    read = show_answer(web.Response(body=body, content_type=content_type))
    assert read is not None
    return read.text


def secret_fields() -> set[str]:
    """The fields of requests and answers that the library itself keeps out of every repr."""
    found: set[str] = set()
    seen: set[Any] = set()

    def visit(model: Any) -> None:
        for one in (get_origin(model), *get_args(model)):
            if one is not None:
                visit(one)
        if not isinstance(model, type) or model in seen or not attrs.has(model):
            return
        seen.add(model)
        for field in attrs.fields(attrs.resolve_types(model)):
            if not field.repr and ("str" in str(field.type) or "bytes" in str(field.type)):
                found.add(camel(field.name))
            visit(field.type)

    operation: Operation[Any, Any]
    for operation in OPERATIONS:
        visit(operation.request)
        visit(operation.response)
    return found


def test_every_field_that_the_library_keeps_out_of_sight_is_left_out() -> None:
    names = secret_fields()

    assert len(names) > 8
    assert {
        name for name in names if HIDDEN not in shown({name: {"any": "abc"} if name == "headers" else "abc"})
    } == set()


def test_what_only_names_a_secret_is_shown() -> None:
    body = {
        "tokenDescription": "nightly",
        "publicKeyId": "ab-1",
        "certificateSerialNumber": "01",
        "hash": "a" * 43 + "=",
    }

    assert json.loads(shown(body)) == body


@pytest.mark.parametrize(
    ("body", "is_json"),
    [(b"<xml>signed</xml>", False), (b'{"token": "abc', True), (b"token=abc", True), (b"[" * 5_000, True)],
    ids=["not JSON", "cut off", "form", "nested without end"],
)
def test_request_that_cannot_be_read_is_not_shown(body: bytes, is_json: bool) -> None:
    read = show_request(body, is_json=is_json)

    assert read is not None
    assert (read.kind, read.text, read.size) == ("hidden", "", len(body))


def test_empty_body_is_none() -> None:
    assert show_request(b"", is_json=True) is None
    assert show_answer(web.Response(status=204)) is None


@pytest.mark.parametrize(
    "body",
    [
        {"a": ["x" * 5_000] * 5_000},
        {f"name{place}": {"b": "word " * 1_000} for place in range(2_000)},
        "word " * 150_000,
    ],
    ids=["long list", "many names", "long text"],
)
def test_long_body_is_cut(body: object) -> None:
    assert len(shown(body)) < 25_000


def test_secret_at_the_cut_does_not_show_its_first_half() -> None:
    for fill in range(520, 620):
        assert "Zx" not in shown({"text": "w " * (fill // 2) + "Zx" * 40}).replace(HIDDEN, "")
        assert "Zx" not in answer(b"w " * (9_700 + fill) + b"Zx" * 400, "text/plain")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_values, st.sampled_from([*SECRETS.values()]), st.sampled_from(["token", "a", "referenceNumber"]))
def test_any_json_is_shown_without_the_secret_in_it(value: object, secret: str, name: str) -> None:
    text = shown({"first": value, name: [secret], "last": value})

    assert secret not in text
    assert json.loads(text)
