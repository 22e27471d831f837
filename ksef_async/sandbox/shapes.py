"""Whether an invoice has the shape of its form: by a folder of the Ministry's schemas, or by the library's data."""

from __future__ import annotations

from typing import Final

from ..api.sessions import FormCode
from ..documents.checking import find_shape_problems
from ..protocol.xml import ET
from .schemas import Schemas
from .shape_words import describe

__all__ = ["ShapeCheck"]

# The forms whose shape the library has; PEF is UBL, whose schemas are many times as large.
_KNOWN: Final = frozenset({FormCode.FA3, FormCode.FA2, FormCode.FA_RR1})


class ShapeCheck:
    """Finds what is wrong with the shape of invoices; for any number of threads at once.

    Args:
        schemas: The Ministry's, which decide on the forms that they have; None without a folder of them.
        strict: Check FA(3), FA(2) and FA_RR(1) by the library's data where ``schemas`` does not.
    """

    def __init__(self, schemas: Schemas | None = None, *, strict: bool = True) -> None:
        self._schemas = schemas
        self._strict = strict

    def __repr__(self) -> str:
        return f"<ShapeCheck strict={self._strict}, {'with' if self._schemas else 'without'} schemas>"

    def problems(self, form_code: FormCode, invoice: bytes, root: ET.Element) -> tuple[str, ...]:
        """Return what is wrong with the shape of an invoice, each with its place; nothing where that is not checked.

        A document of another form than the session's is checked as what it is; its codes are for who calls.

        Call it in a worker thread: it may take tens of milliseconds.

        Args:
            form_code: What the session takes.
            invoice: The document.
            root: The document, parsed.
        """
        if self._schemas is not None and form_code in self._schemas:
            return self._schemas.validate(form_code, invoice)
        if not self._strict or form_code not in _KNOWN:
            return ()
        findings = find_shape_problems(root)
        return describe(findings, invoice, root) if findings else ()
