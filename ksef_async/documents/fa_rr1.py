"""FA_RR(1): its models in the Ministry's names in Python dress, read from XML and written to it.

The models are made when they are first asked for; fa_rr1.pyi has them for editors and type checkers.
"""

from __future__ import annotations

from .models import Element, load_models
from .reading import read_document
from .writing import write_document

__all__ = ["read", "write"]


def __getattr__(name: str) -> object:
    return load_models("fa_rr1").find(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *load_models("fa_rr1").names})


def read(xml: bytes) -> Element:
    """Return the invoice that a document is.

    Args:
        xml: The document, UTF-8 without BOM.

    Raises:
        DocumentError: It is not XML as KSeF takes it, of another form, or has something that the form does not.
    """
    return read_document("fa_rr1", xml)


def write(invoice: Element) -> bytes:
    """Return an invoice as a document, UTF-8 without BOM.

    Args:
        invoice: A ``Faktura`` of this form.

    Raises:
        TypeError: It is no ``Faktura`` of this form.
        DocumentError: A field has a value of another type, or none where there must be one.
    """
    return write_document("fa_rr1", invoice)
