"""Invoices as documents: FA(3), FA(2) and FA_RR(1) are read, written, and checked before they are sent.

Nothing of this is loaded until it is used, and nothing of it needs the Ministry's schemas or lxml.
"""

from __future__ import annotations

from .checking import check
from .report import DocumentError, Problem, Report, Severity
from .sentences import SENTENCES

__all__ = ["SENTENCES", "DocumentError", "Problem", "Report", "Severity", "check"]
