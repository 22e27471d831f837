"""``_metadata.json``: what is told of the invoices in a package."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from ..errors import RemoteProtocolError
from ..models.invoices import InvoiceMetadata
from ..protocol.wire import WIRE, WireError

__all__ = ["read_metadata"]

_ARRAY: Final = re.compile(r'\s*\{.*?"invoices"\s*:\s*\[\s*', re.DOTALL)
_NEXT: Final = re.compile(r"\s*([,\]])\s*")


def read_metadata(data: bytes) -> Iterator[InvoiceMetadata]:
    """Each invoice, one by one: ten thousand at once would keep all other threads waiting.

    Raises:
        RemoteProtocolError: Not what KSeF specifies; ``path`` names the field.
    """
    decoder = json.JSONDecoder(parse_float=Decimal)
    number = 0
    try:
        text = data.decode("utf-8-sig")
        found = _ARRAY.match(text)
        if found is None:
            raise ValueError("no array of invoices")
        at = found.end()
        following = "]" if text.startswith("]", at) else ","
        while following == ",":
            value, at = decoder.raw_decode(text, at)
            yield WIRE.load(value, InvoiceMetadata)
            number += 1
            if (end := _NEXT.match(text, at)) is None:
                raise ValueError("the array does not end")
            following, at = end[1], end.end()
    except WireError as error:
        raise RemoteProtocolError(
            f"KSeF's package tells of an invoice in a way that does not fit the specification: {error}.",
            operation="export_package",
            path=error.path.replace("$", f"$.invoices[{number}]", 1),
        ) from error
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(
            f"KSeF's package tells of its invoices in something that is not JSON: {error}.", operation="export_package"
        ) from error
