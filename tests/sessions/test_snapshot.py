from __future__ import annotations

import orjson
import pytest
from clients import Traffic, connected
from cryptography.fernet import Fernet

from ksef_async import BadRequestError, CryptoError, FormCode, KsefClient, LocalProtocolError
from ksef_async.sandbox import Sandbox, sample_invoice

KEY = Fernet.generate_key()


async def test_resumed_session_goes_on_where_the_first_stopped(client: KsefClient, sandbox: Sandbox) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    snapshot = session.snapshot(KEY)
    first = await session.send(sample_invoice(sandbox.nip, "FV/1"))

    traffic = Traffic()
    async with connected(sandbox, hook=traffic) as other:
        resumed = await other.sessions.resume(snapshot, KEY)
        assert (resumed.form_code, resumed.valid_until) == (session.form_code, session.valid_until)
        async with resumed:
            again = await resumed.send(sample_invoice(sandbox.nip, "FV/1"))
            second = await resumed.send(sample_invoice(sandbox.nip, "FV/2"))

    assert again.reference_number == first.reference_number
    assert [*sandbox.world.sessions[session.reference_number].invoices] == [
        first.reference_number,
        second.reference_number,
    ]
    assert (traffic.of("send_invoice"), traffic.of("list_session_invoices")) == (1, 1)


async def test_snapshot_tells_nothing_without_its_key(client: KsefClient) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    snapshot = session.snapshot(KEY)

    assert session.reference_number.encode() not in snapshot
    content = orjson.loads(Fernet(KEY).decrypt(snapshot))
    assert (content["kind"], content["version"]) == ("online session", 1)
    assert content["referenceNumber"] == session.reference_number


@pytest.mark.parametrize("key", [Fernet.generate_key(), Fernet.generate_key().decode()], ids=["bytes", "text"])
async def test_wrong_key_is_refused(client: KsefClient, key: bytes | str) -> None:
    snapshot = (await client.sessions.open_online(FormCode.FA3)).snapshot(KEY)

    with pytest.raises(CryptoError, match="the key is another, or it is damaged"):
        await client.sessions.resume(snapshot, key)


@pytest.mark.parametrize("key", [b"", "short", b"x" * 44])
async def test_key_of_another_kind_is_refused(client: KsefClient, key: bytes | str) -> None:
    session = await client.sessions.open_online(FormCode.FA3)

    with pytest.raises(CryptoError, match="generate_key"):
        session.snapshot(key)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:40] + b"A" + data[41:], lambda _: b""])
async def test_damaged_snapshot_is_refused(client: KsefClient, damage: object) -> None:
    snapshot = (await client.sessions.open_online(FormCode.FA3)).snapshot(KEY)
    assert callable(damage)

    with pytest.raises(CryptoError, match="damaged"):
        await client.sessions.resume(damage(snapshot), KEY)


async def test_snapshot_of_a_later_version_is_refused(client: KsefClient) -> None:
    snapshot = Fernet(KEY).encrypt(b'{"kind": "online session", "version": 3}')

    with pytest.raises(LocalProtocolError, match="online session has version 3; this ksef_async reads version 1"):
        await client.sessions.resume(snapshot, KEY)


async def test_snapshot_of_another_environment_is_refused(client: KsefClient) -> None:
    snapshot = (await client.sessions.open_online(FormCode.FA3)).snapshot(KEY)

    async with Sandbox() as elsewhere, connected(elsewhere) as other:
        with pytest.raises(BadRequestError) as caught:
            await other.sessions.resume(snapshot, KEY)

    assert caught.value.code == 21173


async def test_session_without_its_key_has_no_snapshot(client: KsefClient) -> None:
    session = await client.sessions.open_online(FormCode.FA3)

    attached = await client.sessions.attach(session.reference_number)

    with pytest.raises(LocalProtocolError, match="without its key"):
        attached.snapshot(KEY)
