"""The faults the page offers; a program has all of them, see `faults`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs

from ...protocol.error_codes import ErrorCode
from ..faults import Fault

__all__ = ["PRESETS", "Preset"]


@attrs.frozen
class Preset:
    """A fault, in words."""

    label: str
    make: Callable[[], Fault]


PRESETS: Final[Mapping[str, Preset]] = {
    "drop_before": Preset("Connection lost, KSeF saw nothing", Fault.drop_before),
    "drop_after": Preset("Connection lost after KSeF acted", Fault.drop_after),
    "server_error": Preset("500 from KSeF", Fault.server_error),
    "server_error_after": Preset("500 although KSeF acted", lambda: Fault.server_error(after_effect=True)),
    "bad_gateway": Preset("502 page of a gateway", lambda: Fault.html(502)),
    "maintenance": Preset("503 page, maintenance", lambda: Fault.html(503)),
    "firewall": Preset("200 page of a firewall", lambda: Fault.html(200)),
    "unauthorized": Preset("401 without a body", Fault.empty),
    "forbidden": Preset("403 without a reason", Fault.forbidden),
    "too_many_requests": Preset("429, retry after 5 s", lambda: Fault.too_many_requests(5)),
    "unavailable": Preset("400, code 21184: unavailable", lambda: Fault.refuse(ErrorCode(21184))),
    "slow": Preset("Answer takes 5 s", lambda: Fault.wait(5)),
    "wrong_key": Preset("Session's key cannot be read (415)", Fault.wrong_key),
    "stuck": Preset("Session or invoice stays in progress", Fault.stuck),
    "invoice_unknown_error": Preset("Invoice ends with 500", lambda: Fault.invoice_ends(500)),
    "invoice_cancelled": Preset("Invoice ends with 550", lambda: Fault.invoice_ends(550)),
}
