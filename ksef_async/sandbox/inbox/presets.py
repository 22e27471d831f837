"""The faults the page offers; a program has all of them, see `faults`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import attrs

from ...protocol.error_codes import ErrorCode
from ..faults import Fault

__all__ = ["PRESETS", "Preset"]

_HOUR: Final = timedelta(hours=1)


@attrs.frozen
class Preset:
    """A fault, in words."""

    label: str
    make: Callable[[], Fault]


PRESETS: Final[Mapping[str, Preset]] = {
    "drop_before": Preset("Connection lost, KSeF saw nothing", Fault.drop_before),
    "drop_after": Preset("Connection lost after KSeF acted", Fault.drop_after),
    "slow": Preset("Answer takes 5 s", lambda: Fault.wait(5)),
    "server_error": Preset("500 from KSeF", Fault.server_error),
    "server_error_after": Preset("500 although KSeF acted", lambda: Fault.server_error(after_effect=True)),
    "other_success": Preset("200 whatever success should be", lambda: Fault.answer_becomes(200)),
    "bad_gateway": Preset("502 page of a gateway", lambda: Fault.html(502)),
    "maintenance": Preset("503 page, maintenance", lambda: Fault.html(503)),
    "firewall": Preset("200 page of a firewall", lambda: Fault.html(200)),
    "firewall_refuses": Preset("403 page of a firewall", lambda: Fault.html(403)),
    "unauthorized": Preset("401 without a body", Fault.empty),
    "forbidden": Preset("403 without a reason", Fault.forbidden),
    "too_many_requests": Preset("429, retry after 5 s", lambda: Fault.too_many_requests(5)),
    "unavailable": Preset("400, code 21184: unavailable", lambda: Fault.refuse(ErrorCode(21184))),
    "out_of_step": Preset("400, code 21301: login not known yet", lambda: Fault.refuse(ErrorCode(21301))),
    "link_refused": Preset("Storage refuses the link (403)", Fault.link_refused),
    "wrong_key": Preset("Session's key cannot be read (415)", Fault.wrong_key),
    "session_dies": Preset("Session ends after this invoice (415)", Fault.session_dies),
    "batch_key": Preset("Batch session ends with 415", lambda: Fault.session_ends(415)),
    "batch_archive": Preset("Batch session ends with 430", lambda: Fault.session_ends(430)),
    "batch_cancelled": Preset("Batch session ends with 440", lambda: Fault.session_ends(440)),
    "batch_unknown_error": Preset("Batch session ends with 500", lambda: Fault.session_ends(500)),
    "stuck": Preset("Session, invoice or export stays in progress", Fault.stuck),
    "invoice_decryption": Preset("Invoice ends with 435", lambda: Fault.invoice_ends(435)),
    "invoice_unknown_error": Preset("Invoice ends with 500", lambda: Fault.invoice_ends(500)),
    "invoice_cancelled": Preset("Invoice ends with 550", lambda: Fault.invoice_ends(550)),
    "indexed_late": Preset("Invoice is found 10 minutes late", lambda: Fault.indexed_late(600)),
    "export_unknown_error": Preset("Export ends with 500", lambda: Fault.export_ends(500)),
    "mark_beyond": Preset("Export tells a mark an hour ahead", lambda: Fault.mark_told(lambda mark: mark + _HOUR)),
}
