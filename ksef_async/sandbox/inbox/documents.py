"""An invoice as a page of its own, which the sandbox's page shows in a frame; `ksef_async.documents.html` writes it.

The page has no script. Were one to slip in by what an invoice says, it would not run: the answer's policy admits
nothing but the page's own style, and puts it into a sandbox without scripts, forms and links to elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

import attrs

from ...documents import DocumentError, html
from ...documents.blocks import Language
from ...documents.checking import form_of
from ...documents.source import parse_document
from ..document_file import StoredDocument

__all__ = ["DrawnDocument", "draw", "read_text"]

# Characters of XML that are shown.
_MOST_TEXT: Final = 400_000
_STYLE: Final = re.compile(r"<style>(.*?)</style>", re.DOTALL)


@attrs.frozen
class DrawnDocument:
    """A page, and the headers it is answered with."""

    html: str = attrs.field(repr=False)
    headers: Mapping[str, str]


def read_text(stored: StoredDocument) -> dict[str, Any]:
    """Return the text of a document, cut where it is very long, and whether it can be drawn; call it in a thread."""
    xml = stored.read()
    text = xml.decode("utf-8", "replace")
    return {"xml": text[:_MOST_TEXT], "isCut": len(text) > _MOST_TEXT, "isDrawn": _is_drawn(xml)}


def _is_drawn(xml: bytes) -> bool:
    try:
        return form_of(parse_document(xml)) is not None
    except DocumentError:
        return False


def draw(stored: StoredDocument, language: Language, ksef_number: str | None) -> DrawnDocument | None:
    """Return a document as a page; None for one of an unknown form, or that is no XML. Call it in a thread."""
    try:
        page = html(stored.read(), language=language, ksef_number=ksef_number)
    except DocumentError:
        return None
    style = _STYLE.search(page)
    digest = hashlib.sha256(style[1].encode() if style else b"").digest()
    policy = (
        f"default-src 'none'; style-src 'sha256-{b64encode(digest).decode()}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'; sandbox allow-same-origin"
    )
    # A page in a sandbox may not ask for an opener of its own as well: opened in a tab, it would be refused.
    return DrawnDocument(page, {"Content-Security-Policy": policy, "Cross-Origin-Opener-Policy": "unsafe-none"})
