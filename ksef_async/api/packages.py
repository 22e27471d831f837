"""Packages of invoices for a batch session: their format, and how far the work on one is."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

import attrs

from .common import OpenStrEnum

__all__ = ["CompressionType", "PackageProgress", "PackageStage", "ProgressHook"]


class CompressionType(OpenStrEnum):
    """How the invoices are put together. Source: OpenAPI 2.9.0, ``compressionType``."""

    #: Each invoice compressed by itself.
    ZIP = "Zip"
    #: All compressed as one stream: about half the bytes when the invoices are small. What the Ministry recommends.
    TAR_GZ = "TarGz"


class PackageStage(StrEnum):
    """What is being done with a package."""

    #: A first pass that only finds out how large the archive will be.
    MEASURING = "measuring"
    #: Compressing, hashing and encrypting.
    PACKING = "packing"
    UPLOADING = "uploading"
    #: KSeF works on it.
    PROCESSING = "processing"


@attrs.frozen(kw_only=True)
class PackageProgress:
    """How far a stage is."""

    stage: PackageStage
    #: Bytes: of plain invoices while measuring and packing, of encrypted parts while uploading.
    done: int
    #: None while nobody knows it yet.
    total: int | None
    #: How many parts are complete.
    parts: int
    #: None while nobody knows it yet.
    parts_total: int | None = None


#: Called on the event loop, so it must be quick; what it raises is logged and goes no further.
ProgressHook: TypeAlias = Callable[[PackageProgress], None]
