"""What may become of an answer on its way: truths told oddly, and lies.

An `HONEST` change leaves no doubt that something went wrong, or leaves what KSeF said in force: what the caller gets is
right, or an error. A lie puts other values in KSeF's mouth, which nobody can see through; what comes of it must still
stay within the library's errors and bounds.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from typing import Any, Final

import orjson
from mutating_proxy import Answer, Cut, Wire

__all__ = ["HONEST", "INSTEAD", "JWT", "LIES"]

#: Looks like what opens doors; wherever it is put, no error may tell it.
JWT: Final = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0eXAiOiJDb250ZXh0VG9rZW4iLCJmdXp6IjoxfQ.c2lnbmF0dXJl"
LINK: Final = "https://evil.example/storage/x?sv=2024&sig=c2VjcmV0LXNpZ25hdHVyZQ"
_PAGE: Final = b"<!DOCTYPE html><html><body>Request ID: 0000</body></html>"
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
_CODES: Final = (9101, 21001, 21173, 21180, 21184, 21301, 21304, 21405, 21470, 30001)

Chance = random.Random
Mutation = Callable[[Chance, Answer], Answer | Wire | Cut]


def _page(chance: Chance, answer: Answer) -> Answer:
    status = chance.choice((200, 201, 202, 204, 302, 400, 401, 403, 404, 405, 500, 502, 503, 504))
    content_type = chance.choice(("text/html", "text/html; charset=utf-8", "application/json", "x"))
    return Answer(status, answer.headers, b"" if status == 204 else _PAGE).with_header("Content-Type", content_type)


def _number(chance: Chance, answer: Answer) -> Answer:
    if not 200 <= answer.status < 300:
        return answer
    return Answer(chance.choice((200, 201, 202, 203, 206, 226, 299)), answer.headers, answer.body)


def _odd_number(chance: Chance, answer: Answer) -> Answer:
    return Answer(chance.choice((300, 301, 304, 307, 408, 500, 502, 503, 504, 599, 600, 999)), answer.headers, b"")


def _redirect(chance: Chance, answer: Answer) -> Answer:
    target = chance.choice((LINK, "/v2/auth/challenge", "//evil.example", "https://[", ""))
    return Answer(chance.choice((301, 302, 303, 307, 308)), answer.headers, b"").with_header("Location", target)


def _empty(chance: Chance, answer: Answer) -> Answer:
    return answer.with_body(b"")


def _truncated(chance: Chance, answer: Answer) -> Answer:
    return answer.with_body(answer.body[: chance.randrange(len(answer.body) + 1)])


def _cut_in_the_body(chance: Chance, answer: Answer) -> Wire:
    whole = answer.written()
    return Wire(whole[: chance.randrange(len(whole))])


def _length(chance: Chance, answer: Answer) -> Wire:
    length = chance.choice(("-1", "0x10", "99999999999999999999", "1e3", "", "5, 6", str(len(answer.body) + 7)))
    return Wire(answer.with_header("Content-Length", length).written())


def _framing(chance: Chance, answer: Answer) -> Wire:
    encoding = chance.choice(("chunked", "gzip", "chunked, chunked", "identity", "\x00"))
    return Wire(answer.with_header("Transfer-Encoding", encoding).written())


def _chunks(chance: Chance, answer: Answer) -> Wire:
    head = answer.with_header("Transfer-Encoding", "chunked").with_body(b"").written()
    size = chance.choice((b"zz", b"-5", b"ffffffffffffffffffff", b"3;x=y", b"%x" % len(answer.body)))
    return Wire(head + size + b"\r\n" + answer.body + b"\r\n" + chance.choice((b"0\r\n\r\n", b"", b"x")))


def _date(chance: Chance, answer: Answer) -> Answer:
    return answer.with_header("Date", chance.choice(DATES))


DATES: Final = (
    "Fri, 27 Nov 99999999999 20:00:00 GMT",
    "Fri, 27 Nov 9999 23:59:59 GMT",
    "Mon, 01 Jan 0001 00:00:00 GMT",
    "Fri, 27 Nov 2026 20:00:00 +9999",
    "Fri, 27 Nov 2026 20:00:00 -2359",
    "Fri, 99 Nov 2026 99:99:99 GMT",
    "0",
    "",
    "\t",
    "é",
    JWT,
)


def _content_type(chance: Chance, answer: Answer) -> Answer:
    types = ((), ("",), ("application/json; charset=utf-16",), ("text/html",), ("text/plain",), (JWT,), ("a", "b"))
    return answer.with_header("Content-Type", *chance.choice(types))


def _encoding(chance: Chance, answer: Answer) -> Answer:
    name = chance.choice(("gzip", "deflate", "br", "zstd", "identity", "gzip, gzip", "x"))
    return answer.with_header("Content-Encoding", name)


def _compressed(chance: Chance, answer: Answer) -> Answer:
    return answer.with_body(gzip.compress(answer.body)).with_header("Content-Encoding", "gzip")


def _packed_brackets(megabytes: int) -> bytes:
    """Gzip of very many brackets, made in pieces so that the tests themselves take no memory."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join([*(packer.compress(b"[" * 10**6) for _ in range(megabytes)), packer.flush()])


_BOMB: Final = _packed_brackets(200)


def _bomb(chance: Chance, answer: Answer) -> Answer:
    return answer.with_body(_BOMB).with_header("Content-Encoding", "gzip")


def _broken_gzip(chance: Chance, answer: Answer) -> Answer:
    packed = gzip.compress(answer.body)
    return answer.with_body(packed[: len(packed) // 2] + b"\x00\xff").with_header("Content-Encoding", "gzip")


def _headers(chance: Chance, answer: Answer) -> Answer:
    name, value = chance.choice(
        (
            ("X-System-Warning", f"xml-002 {JWT} {LINK}\x7f\t" + "w" * 3000),
            ("Set-Cookie", f"session={JWT}; Domain=evil.example"),
            ("Retry-After", "99999999"),
            ("Server", "x" * 9000),
            ("X-" + "y" * 9000, "z"),
            ("Bad Name", "v"),
            ("Connection", "upgrade"),
            ("Upgrade", "websocket"),
            ("Trailer", "Content-Length"),
            ("X-Many", "v"),
        )
    )
    values = [value] * (500 if name == "X-Many" else 1)
    return answer.with_header(name, *values)


def _injected(chance: Chance, answer: Answer) -> Wire:
    return Wire(answer.with_header("X-Odd", "a\r\nb", "c\x00d", "e\nf: g").written())


def _hash(chance: Chance, answer: Answer) -> Answer:
    return answer.with_header("x-ms-meta-hash", *chance.choice(((), ("",), (JWT,), ("AAAA",), ("é",))))


def _garbage(chance: Chance, answer: Answer) -> Wire:
    return Wire(
        chance.choice(
            (
                chance.randbytes(200),
                b"",
                b"SSH-2.0-OpenSSH\r\n",
                b"HTTP/1.1\r\n\r\n",
                b"HTTP/1.1 20 OK\r\n\r\n",
                b"HTTP/9.9 200 OK\r\n\r\n",
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
                b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
                b"x" * 100_000,
            )
        )
    )


def _doubled(chance: Chance, answer: Answer) -> Wire:
    return Wire(answer.written() * 2)


def _cut(chance: Chance, answer: Answer) -> Cut:
    return Cut()


def _blanks(chance: Chance, answer: Answer) -> Answer:
    return answer.with_body(answer.body + b" " * chance.choice((1, 1000, 3_000_000)))


def _nested(chance: Chance, answer: Answer) -> Answer:
    depth = chance.choice((100, 5000, 200_000))
    opened, closed = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return answer.with_body(opened * depth + b"1" + closed * chance.choice((0, depth)))


def _random_bytes(chance: Chance, answer: Answer) -> Answer:
    body = bytearray(answer.body or b"{}")
    for _ in range(chance.randrange(1, 5)):
        body[chance.randrange(len(body))] = chance.choice(b'\x00\xff"{}[]\\,:9')
    return answer.with_body(bytes(body))


# --- other values -----------------------------------------------------------------------------------------

_STRINGS: Final = (
    "",
    "\x00",
    "a\r\nX-Evil: b",
    "..",
    "../../etc/passwd",
    "a/b",
    "x" * 5000,
    "\ud800",
    "\u202e\u0000\x1b[31m",
    JWT,
    f"{JWT}\r\nEvil: 1",
    LINK,
    "https://[",
    "https://127.0.0.1:99999/x?sig=abcdefgh",
    "http://127.0.0.1:abc/x",
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59.9999999Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-13-45T99:99:99",
    "2026-11-27T20:00:00.123456789012345678901234567890Z",
    "PUT / HTTP/1.1",
    "=",
    "AAAA",
    "NaN",
    "1111111111-20260701-010080615740-E4",
)
_NUMBERS: Final = (0, -1, 1, 99, 100, 150, 200, 299, 440, 10**9, 2**31, 2**63 - 1, -(2**63), 10**400, 1.5, 1e308, -0.0)


def _other_value(chance: Chance, value: Any) -> Any:
    kind = chance.randrange(6)
    if kind == 0:
        return None
    if kind == 1:
        return chance.choice((True, False))
    if kind == 2:
        return chance.choice(_NUMBERS)
    if kind == 3:
        return [value] * chance.choice((0, 1, 2, 200))
    if kind == 4:
        return {"a": value}
    return chance.choice(_STRINGS)


def _changed(chance: Chance, value: Any) -> Any:
    """One place in a JSON value, changed, dropped or doubled."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice([*value])
        other = dict(value)
        kind = chance.randrange(5)
        if kind == 0:
            del other[name]
        elif kind == 1:
            other[name] = None
        elif kind == 2:
            other["novelty"] = other[name]
        else:
            other[name] = _changed(chance, other[name])
        return other
    if isinstance(value, list) and value and chance.random() < 0.85:
        place = chance.randrange(len(value))
        kind = chance.randrange(4)
        if kind == 0:
            return value[:place] + value[place + 1 :]
        if kind == 1:
            return value + [value[place]] * chance.choice((1, 50))
        return [*value[:place], _changed(chance, value[place]), *value[place + 1 :]]
    return _other_value(chance, value)


def _lie(chance: Chance, answer: Answer) -> Answer:
    try:
        value = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return _random_bytes(chance, answer)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        value = _changed(chance, value)
    return answer.with_body(_dumps(value))


def _dumps(value: Any) -> bytes:
    # Not orjson: it writes neither half characters nor numbers without end.
    return json.dumps(value).encode()


def _no(chance: Chance, answer: Answer) -> Answer:
    """A no, although KSeF has acted."""
    return chance.choice(INSTEAD)(chance)


# --- answers in place of KSeF's, which has not seen the request -------------------------------------------


def _problem(status: int, **more: object) -> Answer:
    body = {"title": "T", "status": status, "detail": f"D. {JWT}", "traceId": f"{LINK}\x00", **more}
    return Answer(status, (("Content-Type", _PROBLEM),), orjson.dumps(body))


def _code(chance: Chance) -> Answer:
    details = [chance.choice(_STRINGS[:6]) + LINK, "d" * 3000] * chance.choice((0, 1, 300))
    return _problem(400, errors=[{"code": chance.choice(_CODES), "description": JWT, "details": details}])


def _legacy_code(chance: Chance) -> Answer:
    entry = {"exceptionCode": chance.choice(_CODES), "exceptionDescription": JWT, "details": None}
    body = {"exception": {"exceptionDetailList": [entry], "serviceCode": JWT}}
    return Answer(400, (("Content-Type", _JSON),), orjson.dumps(body))


def _unauthorized(chance: Chance) -> Answer:
    return chance.choice((_problem(401), Answer(401, (), b"")))


def _forbidden(chance: Chance) -> Answer:
    reason = chance.choice(("missing-permissions", "ip-not-allowed", None, JWT))
    return _problem(403, reasonCode=reason, security={JWT: [LINK]})


def _limited(chance: Chance) -> Answer:
    after = chance.choice(
        ((), ("0",), ("1",), ("99999999",), ("9" * 400,), ("-1",), ("é",), ("Fri, 27 Nov 2099 20:00:00 GMT",), DATES)
    )
    return _problem(429).with_header("Retry-After", *after)


def _gone(chance: Chance) -> Answer:
    return Answer(chance.choice((404, 405, 406, 409, 410, 413, 415, 418, 422, 451)), (), b"")


#: The sandbox does not see the request, so what these say is true.
INSTEAD: Final[tuple[Callable[[Chance], Answer], ...]] = (
    _code,
    _legacy_code,
    _unauthorized,
    _forbidden,
    _limited,
    _gone,
)

HONEST: Final[tuple[Mutation, ...]] = (
    _page,
    _number,
    _odd_number,
    _redirect,
    _empty,
    _truncated,
    _cut_in_the_body,
    _length,
    _framing,
    _chunks,
    _date,
    _content_type,
    _encoding,
    _compressed,
    _broken_gzip,
    _headers,
    _injected,
    _hash,
    _garbage,
    _doubled,
    _cut,
    _blanks,
    _nested,
)
#: Rarely: it takes a tenth of a second.
BOMB: Final[Mutation] = _bomb
LIES: Final[tuple[Mutation, ...]] = (_lie, _lie, _lie, _lie, _random_bytes, _no)
