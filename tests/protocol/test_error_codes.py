from __future__ import annotations

from ksef_async.protocol.error_codes import DESCRIPTIONS, ErrorCode


def test_every_code_has_a_description() -> None:
    assert set(DESCRIPTIONS) == set(ErrorCode)
    assert all(DESCRIPTIONS.values())
