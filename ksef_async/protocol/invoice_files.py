"""Which files of a folder are invoices: one rule for packing and for every command."""

from __future__ import annotations

__all__ = ["is_invoice_file"]


def is_invoice_file(name: str) -> bool:
    """Return whether a file of a folder is taken for an invoice, by its name.

    ``*.xml`` in any case is, but not receipts (``*.upo.xml``, as the command line saves them) and hidden files, such as
    the ``._*.xml`` that macOS leaves on other file systems.
    """
    lower = name.lower()
    return lower.endswith(".xml") and not lower.endswith(".upo.xml") and not lower.startswith(".")
