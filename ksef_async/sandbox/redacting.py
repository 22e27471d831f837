"""Bodies of requests and answers as the sandbox's page may show them: without secrets, and of bounded length.

The rule: what is secret is left out before anything is kept. A string is secret by the name of its field (tokens, keys,
encrypted content, certificates, signed links) or by its look (JWT, signed link, KSeF token, a long run of Base64), and
where in doubt it is left out. Of what a client sent, only JSON is kept.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import Final, Literal

import attrs
from aiohttp import web

from ..protocol import json

__all__ = ["HIDDEN", "ShownBody", "show_answer", "show_query", "show_request"]

HIDDEN: Final = "••••••"
"""Stands for a secret; its length follows in parentheses."""

_SECRET_NAME: Final = re.compile(
    r"(?:token|key|secret|password|vector|content|csr|certificate|signature|url|link|authorization|header)s?",
    re.IGNORECASE,
)
_SECRET_TEXT: Final = re.compile(r"eyJ[\w-]{5,}[\w.-]*|https?://[^\s\"'<>]*\?[^\s\"'<>]*|(?<![\w+/=-])[\w+/=-]{60,}")
_KSEF_TOKEN: Final = re.compile(r"[^\s\"'<>]{0,200}\|nip-[^\s\"'<>]*")
# A text that is shorter and has none of these is no secret: most are looked at no further.
_SHORTEST_RUN: Final = 60
_SIGNS: Final = ("eyJ", "://", "|nip-")
_WORD_ENDS: Final = re.compile(r"[_-]|(?<=[a-z0-9])(?=[A-Z])")
# A body longer than this is not read, a text or a list longer than that is cut.
_MOST_BYTES: Final = 1_000_000
_LONGEST_TEXT: Final = 600
_LONGEST_LIST: Final = 20
_MOST_NAMES: Final = 100
_LONGEST_NAME: Final = 80
_LONGEST_BODY: Final = 20_000
_LONGEST_JSON: Final = 60_000
_DEEPEST: Final = 16
_MOST_VALUES: Final = 1_500


@attrs.frozen
class ShownBody:
    """A body without its secrets."""

    size: int
    """Bytes of the body as it was."""
    kind: Literal["json", "text", "hidden"]
    """``hidden`` where nothing of it is shown: encrypted, signed, not JSON, or too long."""
    text: str = attrs.field(default="", repr=False)


def show_request(body: bytes, *, is_json: bool) -> ShownBody | None:
    """Return the body of a request; None where there is none."""
    if not body:
        return None
    return (_json(body) if is_json else None) or ShownBody(len(body), "hidden")


def show_answer(response: web.Response) -> ShownBody | None:
    """Return the body of an answer; None where there is none."""
    body = response.body
    if not isinstance(body, bytes | bytearray) or not body:
        return None
    if "json" in response.content_type:
        return _json(bytes(body)) or ShownBody(len(body), "hidden")
    if response.content_type.startswith("text/") or "xml" in response.content_type:
        return ShownBody(len(body), "text", _without_secrets(body.decode("utf-8", "replace"), _LONGEST_BODY))
    return ShownBody(len(body), "hidden")


def show_query(query: str) -> str:
    """Return a query without its secrets."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return "&".join(f"{name}{sign}{_value(name, value)}" for name, sign, value in pairs)[:_LONGEST_TEXT]


def _json(body: bytes) -> ShownBody | None:
    if len(body) > _MOST_BYTES:
        return None
    try:
        read = json.loads(body)
    except json.JSONDecodeError:
        return None
    shown = json.dumps(_Reader().read("", read)).decode()
    return ShownBody(len(body), "json", shown if len(shown) <= _LONGEST_JSON else f"{shown[:_LONGEST_JSON]}…")


def _value(name: str, text: str) -> str:
    if text and (len(name) > _LONGEST_NAME or _is_secret(name)):
        return f"{HIDDEN} ({len(text)})"
    if len(text) < _SHORTEST_RUN and not any(sign in text for sign in _SIGNS):
        return text
    return _without_secrets(text, _LONGEST_TEXT)


@lru_cache(maxsize=2_000)
def _is_secret(name: str) -> bool:
    # The last word decides: `publicKeyId` and `tokenDescription` only name something.
    return _SECRET_NAME.fullmatch(_WORD_ENDS.split(name)[-1]) is not None


def _without_secrets(text: str, most: int) -> str:
    """Return a text without its secrets, cut before the first word that does not fit: half a secret is one, too."""
    shown = _cut(text, most)
    if "|nip-" in shown:
        shown = _KSEF_TOKEN.sub(_hide, shown)
    shown = _SECRET_TEXT.sub(_hide, shown)
    return shown if len(text) <= most else f"{shown}… (+{len(text) - most})"


def _hide(match: re.Match[str]) -> str:
    return f"{HIDDEN} ({len(match[0])})"


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    kept = text[:most]
    return kept[: max(kept.rfind(space) for space in " \n>,") + 1]


class _Reader:
    """Copies a JSON value without its secrets, and stops where there is too much."""

    def __init__(self) -> None:
        self._values = 0

    def read(self, name: str, value: object, depth: int = 0) -> object:
        self._values += 1
        if isinstance(value, str):
            return _value(name, value)
        if not isinstance(value, dict | list):
            return value
        if depth > _DEEPEST or self._values > _MOST_VALUES:
            return "…"
        if isinstance(value, list):
            items = [self.read(name, item, depth + 1) for item in value[:_LONGEST_LIST]]
            return items if len(value) <= _LONGEST_LIST else [*items, f"… (+{len(value) - _LONGEST_LIST})"]
        pairs = [*islice(value.items(), _MOST_NAMES)]
        # What a header is called tells nothing of how secret it is.
        names = [name if name == "headers" else key for key, _ in pairs]
        return {
            _value("", key): self.read(inner, item, depth + 1) for inner, (key, item) in zip(names, pairs, strict=True)
        }
