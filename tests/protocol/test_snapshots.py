"""The one format of what is written down for another process."""

from __future__ import annotations

from typing import Final

import pytest
from cryptography.fernet import Fernet

from ksef_async.errors import CryptoError, LocalProtocolError
from ksef_async.protocol.snapshots import SnapshotFormat

KEY: Final = Fernet.generate_key()
EGG: Final = SnapshotFormat[int](
    kind="egg", dump=lambda count: {"count": count}, load=lambda fields: int(fields["count"]), otherwise=" Cook it."
)


def test_snapshot_says_what_it_is() -> None:
    assert EGG.write(3) == b'{"kind":"egg","version":1,"count":3}'


def test_snapshot_is_read_as_it_was_written() -> None:
    assert EGG.read(EGG.write(3)) == 3
    assert EGG.decrypt(EGG.encrypt(3, KEY), KEY) == 3


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"", "This is no snapshot of an egg", id="nothing"),
        pytest.param(b"[1]", "This is no snapshot of an egg", id="no object"),
        pytest.param(b'{"version":1}', "This is no snapshot of an egg", id="no kind"),
        pytest.param(b'{"kind":"egg"}', "This is no snapshot of an egg", id="no version"),
        pytest.param(b'{"kind":"ham","version":1}', "is of a ham, not of an egg. Cook it.", id="another kind"),
        pytest.param(
            b'{"kind":"egg","version":2}', "has version 2; this ksef_async reads version 1", id="another version"
        ),
        pytest.param(b'{"kind":"egg","version":1}', "of an egg is damaged (KeyError)", id="no field"),
        pytest.param(
            b'{"kind":"egg","version":1,"count":"SECRET"}',
            "of an egg is damaged (ValueError)",
            id="a field that is wrong",
        ),
    ],
)
def test_what_is_no_snapshot_of_the_kind_is_refused_without_its_values(data: bytes, error: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        EGG.read(data)

    assert error in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None or "SECRET" not in repr(caught.value.__context__)


def test_encrypted_snapshot_is_read_with_its_key_only() -> None:
    data = EGG.encrypt(3, KEY)

    assert b"egg" not in data
    with pytest.raises(CryptoError, match="The snapshot of an egg cannot be read: the key is another"):
        EGG.decrypt(data, Fernet.generate_key())
    with pytest.raises(CryptoError, match="generate_key"):
        EGG.encrypt(3, "short")
