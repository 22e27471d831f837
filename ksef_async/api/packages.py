"""Packages of invoices for a batch session: their format, and how far the work on one is."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

import attrs

from .common import OpenStrEnum

__all__ = ["CompressionType", "PackageProgress", "PackageStage", "ProgressHook"]


class CompressionType(OpenStrEnum):
    """The format of a package's archive. Source: OpenAPI 2.9.0, ``compressionType``."""

    ZIP = "Zip"
    """Each invoice compressed by itself."""
    TAR_GZ = "TarGz"
    """All compressed as one stream: about half the bytes when the invoices are small. What the Ministry recommends."""


class PackageStage(StrEnum):
    """A stage in the making and sending of a package."""

    MEASURING = "measuring"
    """A first pass that only finds out how large the archive will be."""
    PACKING = "packing"
    """Compressing, hashing and encrypting."""
    UPLOADING = "uploading"
    """Parts are on their way to KSeF's storage."""
    PROCESSING = "processing"
    """KSeF works on it."""


@attrs.frozen(kw_only=True)
class PackageProgress:
    """The progress of a stage."""

    stage: PackageStage
    """What is being done."""
    done: int
    """Bytes: of plain invoices while measuring and packing, of encrypted parts while uploading."""
    total: int | None
    """None while nobody knows it yet."""
    parts: int
    """How many parts are complete."""
    parts_total: int | None = None
    """None while nobody knows it yet."""


ProgressHook: TypeAlias = Callable[[PackageProgress], None]
"""Called on the event loop, so it must be quick; what it raises is logged and goes no further."""
