"""How much of a package is unpacked before it is taken for an attack. Source: OpenAPI 2.9.0, /invoices/exports."""

from __future__ import annotations

import attrs

__all__ = ["UnpackLimits"]


@attrs.frozen(kw_only=True)
class UnpackLimits:
    """The most that a package may hold; all sizes are bytes. KSeF's own limits fit in many times over."""

    #: All parts together, decrypted; KSeF stops at 1 GB of compressed documents.
    max_package_size: int = 2_000_000_000
    #: One part as it is fetched; KSeF's have up to 50 MB.
    max_part_size: int = 100_000_000
    #: KSeF stops at 10,000 documents.
    max_entries: int = 11_000
    #: One document; KSeF itself takes 3 MB, and 10 MB at most on TEST.
    max_invoice_size: int = 10_000_000
    #: What is told of all documents together: of 10,000, with 6,400 bytes for each, of which most need 1,000.
    max_metadata_size: int = 64_000_000
    #: What is told of one document; the 100 third parties that FA(3) allows need 350,000, every letter escaped.
    max_row_size: int = 500_000
    #: All documents together.
    max_total_size: int = 50_000_000_000
