"""The sample invoice as the world outside takes it."""

from __future__ import annotations

from datetime import datetime
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from ksef_async.sandbox import sample_invoice


def test_sample_is_issued_today_in_poland() -> None:
    # An invoice of yesterday is an offline one; in Poland the day begins an hour or two before it does in UTC.
    before = datetime.now(ZoneInfo("Europe/Warsaw")).date()
    written = ET.fromstring(sample_invoice("1111111111")).findtext(".//{*}P_1")
    after = datetime.now(ZoneInfo("Europe/Warsaw")).date()

    assert written in {before.isoformat(), after.isoformat()}
