"""Sessions as values: forms by their codes, and status codes as enum members."""

from __future__ import annotations

import pytest

from ksef_async import FormCode, SessionStatus, SessionSummary, StatusCode, StatusInfo


@pytest.mark.parametrize("form", FormCode)
def test_form_is_found_by_each_way_to_write_its_code(form: FormCode) -> None:
    code = form.system_code

    assert FormCode(code) is form
    assert FormCode(code.replace(" ", "")) is form
    assert FormCode(code.replace(" (", "").replace(")", "")) is form


@pytest.mark.parametrize("code", ["", "FA", "FA (4)", "FA  (3)", "fa(3)", "FA(3", 3, None])
def test_other_codes_are_no_form(code: object) -> None:
    with pytest.raises(ValueError, match="FormCode"):
        FormCode(code)


def test_status_of_a_session_has_a_known_code_as_a_member() -> None:
    status = SessionStatus(status=StatusInfo(170, "closed"))
    row = SessionSummary(reference_number="r", status=StatusInfo(440))

    assert (status.status.code, row.status.code) == (StatusCode.CLOSED, StatusCode.CANCELLED)
    assert isinstance(status.status.code, StatusCode)
    assert isinstance(row.status.code, StatusCode)


def test_unknown_code_of_a_session_stays_a_number() -> None:
    code = SessionStatus(status=StatusInfo(199)).status.code

    assert (code, type(code)) == (199, int)
