"""What KSeF would refuse is refused before anything is sent."""

from __future__ import annotations

import pytest

from ksef_async import AllowedIps
from ksef_async.errors import InvalidFieldError


@pytest.mark.parametrize(
    ("field", "given"),
    [
        pytest.param("ip4_addresses", ("10.0.0.1", "0.0.0.0", "255.255.255.255"), id="addresses"),
        pytest.param("ip4_addresses", ("10.0.0.1",) * 10, id="ten"),
        pytest.param("ip4_ranges", ("10.0.0.1-10.0.0.9", "192.168.0.0-192.168.255.255"), id="ranges"),
        pytest.param("ip4_masks", ("10.0.0.0/24", "0.0.0.0/0", "10.0.0.1/32"), id="masks"),
        pytest.param("ip4_masks", (), id="none"),
    ],
)
def test_allowed_addresses_are_taken(field: str, given: tuple[str, ...]) -> None:
    assert getattr(AllowedIps(**{field: given}), field) == given


@pytest.mark.parametrize(
    ("field", "given", "said"),
    [
        pytest.param("ip4_addresses", ("10.0.0.1",) * 11, "between 0 and 10; it is 11", id="eleven addresses"),
        pytest.param("ip4_ranges", ("10.0.0.1-10.0.0.9",) * 11, "between 0 and 10", id="eleven ranges"),
        pytest.param("ip4_masks", ("10.0.0.0/24",) * 11, "between 0 and 10", id="eleven masks"),
        pytest.param("ip4_addresses", ("10.0.0.1", "10.0.0.256"), "'10.0.0.256'", id="the second is none"),
        pytest.param("ip4_addresses", ("10.0.0",), "'10.0.0'", id="three numbers"),
        pytest.param("ip4_addresses", ("010.0.0.1",), "'010.0.0.1'", id="leading zero"),
        pytest.param("ip4_addresses", ("10.0.0.1 ",), "'10.0.0.1 '", id="a space"),
        pytest.param("ip4_addresses", ("10.0.0.1\n",), "must be written", id="a line"),
        pytest.param("ip4_addresses", ("1٠.0.0.1",), "must be written", id="other digits"),
        pytest.param("ip4_addresses", ("::1",), "'::1'", id="IPv6"),
        pytest.param("ip4_addresses", ("localhost",), "'localhost'", id="a name"),
        pytest.param("ip4_addresses", ("10.0.0.0/24",), "'10.0.0.0/24'", id="a mask among addresses"),
        pytest.param("ip4_ranges", ("10.0.0.1",), "'10.0.0.1'", id="an address among ranges"),
        pytest.param("ip4_ranges", ("10.0.0.1-9",), "'10.0.0.1-9'", id="half a range"),
        pytest.param("ip4_ranges", ("10.0.0.1 - 10.0.0.9",), "must be written", id="a range with spaces"),
        pytest.param("ip4_ranges", ("10.0.0.1–10.0.0.9",), "must be written", id="a dash for the hyphen"),
        pytest.param("ip4_masks", ("10.0.0.0",), "'10.0.0.0'", id="no mask"),
        pytest.param("ip4_masks", ("10.0.0.0/33",), "'10.0.0.0/33'", id="too many bits"),
        pytest.param("ip4_masks", ("10.0.0.0/08",), "'10.0.0.0/08'", id="bits with a zero"),
        pytest.param("ip4_masks", ("10.0.0.0/255.0.0.0",), "must be written", id="a mask in bytes"),
    ],
)
def test_other_addresses_are_refused(field: str, given: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidFieldError, match=field) as refused:
        AllowedIps(**{field: given})

    assert refused.value.field == field
    assert said in refused.value.rule
