"""Packing invoices for a batch session: archive, cut, encrypt; in one pass, in constant memory, off the event loop."""

from __future__ import annotations

from .package import Package, PackedInvoice, PackedPart
from .packer import pack
from .sources import Source

__all__ = ["Package", "PackedInvoice", "PackedPart", "Source", "pack"]
