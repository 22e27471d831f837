"""The page's own files, and the page in one of its languages; the words of both are in ``words.json``."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from importlib import resources
from typing import Any, Final

from ...documents.blocks import Language
from ...protocol import json
from .state import CODES

__all__ = ["LANGUAGES", "packaged", "page_in", "read_language", "words_in"]

LANGUAGES: Final[tuple[Language, ...]] = ("en", "pl")
"""In the order in which ``words.json`` has them; the first is for those who want neither."""

_PLACE: Final = re.compile(r"\{\{([\w.]+)\}\}")
# Of one answer's header, which names languages as in "pl-PL,pl;q=0.9,en;q=0.8", the best first.
_TAG: Final = re.compile(r"\s*([a-z]{2})\b", re.IGNORECASE)


def read_language(chosen: str | None, kept: str | None, accepted: str | None) -> Language:
    """Return the language of a page.

    Args:
        chosen: In this request, before everything else.
        kept: From an earlier request.
        accepted: The header ``Accept-Language``, whose first language that there is counts.
    """
    tags = (_TAG.match(part) for part in (accepted or "").split(","))
    wanted = [chosen, kept, *(match[1].lower() for match in tags if match)]
    found: list[Language] = [language for each in wanted for language in LANGUAGES if each == language]
    return found[0] if found else LANGUAGES[0]


@cache
def packaged(name: str) -> str:
    """Return a file of the page; the first time, call it in a thread."""
    return (resources.files("ksef_async.sandbox.inbox") / name).read_text("utf-8")


@cache
def words_in(language: Language) -> dict[str, str]:
    """Return the page's words in a language; the first time, call it in a thread."""
    pairs: dict[str, list[str]] = json.loads(packaged("words.json"))
    return {key: pair[LANGUAGES.index(language)] for key, pair in pairs.items()}


def page_in(language: Language, token: str) -> str:
    """Return the page in a language; the first time, call it in a thread."""
    words = words_in(language)
    data: dict[str, Any] = {"words": words, "codes": CODES}
    places = {
        "page.language": language,
        "page.token": token,
        # Inside a script element nothing ends it but what begins with "<".
        "page.data": json.dumps(data).decode().replace("<", "\\u003c"),
        **{f"page.is_{one}": str(one == language).lower() for one in LANGUAGES},
    }

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        return places[name] if name in places else escape(words[name])

    return _PLACE.sub(fill, packaged("inbox.html"))
