"""Which files of a folder are invoices: one rule for packing and for every command."""

from __future__ import annotations

__all__ = ["is_invoice_file", "name_problem"]


def name_problem(name: str) -> str | None:
    """Return why a file of a folder is not taken for an invoice, by its name; None where it is.

    ``*.xml`` in any case is, but not receipts (``*.upo.xml``, as the command line saves them) and hidden files, such as
    the ``._*.xml`` that macOS leaves on other file systems.
    """
    lower = name.lower()
    if lower.startswith("."):
        return "hidden"
    if lower.endswith(".upo.xml"):
        return "a receipt"
    return None if lower.endswith(".xml") else "not *.xml"


def is_invoice_file(name: str) -> bool:
    """Return whether a file of a folder is taken for an invoice, by its name; see `name_problem`."""
    return name_problem(name) is None
