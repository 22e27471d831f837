"""The faults that the page offers; a program has all of them, see `faults`. Their labels are in ``words.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from ...protocol.error_codes import ErrorCode
from ..faults import Fault

__all__ = ["PRESETS"]

_HOUR: Final = timedelta(hours=1)

PRESETS: Final[Mapping[str, Callable[[], Fault]]] = {
    "drop_before": Fault.drop_before,
    "drop_after": Fault.drop_after,
    "slow": lambda: Fault.wait(5),
    "server_error": Fault.server_error,
    "server_error_after": lambda: Fault.server_error(after_effect=True),
    "other_success": lambda: Fault.answer_becomes(200),
    "bad_gateway": lambda: Fault.html(502),
    "maintenance": lambda: Fault.html(503),
    "firewall": lambda: Fault.html(200),
    "firewall_refuses": lambda: Fault.html(403),
    "unauthorized": Fault.empty,
    "forbidden": Fault.forbidden,
    "too_many_requests": lambda: Fault.too_many_requests(5),
    "unavailable": lambda: Fault.refuse(ErrorCode(21184)),
    "out_of_step": lambda: Fault.refuse(ErrorCode(21301)),
    "link_refused": Fault.link_refused,
    "wrong_key": Fault.wrong_key,
    "session_dies": Fault.session_dies,
    "batch_key": lambda: Fault.session_ends(415),
    "batch_archive": lambda: Fault.session_ends(430),
    "batch_cancelled": lambda: Fault.session_ends(440),
    "batch_unknown_error": lambda: Fault.session_ends(500),
    "stuck": Fault.stuck,
    "invoice_decryption": lambda: Fault.invoice_ends(435),
    "invoice_unknown_error": lambda: Fault.invoice_ends(500),
    "invoice_cancelled": lambda: Fault.invoice_ends(550),
    "indexed_late": lambda: Fault.indexed_late(600),
    "export_unknown_error": lambda: Fault.export_ends(500),
    "mark_beyond": lambda: Fault.mark_becomes(lambda mark: mark + _HOUR),
}
