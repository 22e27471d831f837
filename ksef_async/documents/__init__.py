"""Invoices as documents: FA(3), FA(2) and FA_RR(1) are read, written, and checked before they are sent.

Nothing of this is loaded until it is used, and nothing of it needs the Ministry's schemas or lxml.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .report import DocumentError, Problem, Report, Severity
from .sentences import SENTENCES

if TYPE_CHECKING:
    from .checking import check
    from .page import html
    from .pdf_page import pdf

__all__ = ["SENTENCES", "DocumentError", "Problem", "Report", "Severity", "check", "html", "pdf"]


def __getattr__(name: str) -> object:
    # Who only reads or only catches errors does without what checks.
    if name == "check":
        from .checking import check

        return check
    if name == "html":
        from .page import html

        return html
    if name == "pdf":
        from .pdf_page import pdf

        return pdf
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
