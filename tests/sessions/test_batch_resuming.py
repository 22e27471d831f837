"""Going on with a batch session in another process."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import anyio
import attrs
import pytest
from clients import Traffic, connected
from cryptography.fernet import Fernet
from packages import packed

from ksef_async import (
    AiohttpTransport,
    Caller,
    CryptoError,
    FormCode,
    KsefClient,
    LocalProtocolError,
    UploadExpiredError,
)
from ksef_async.api.batch import PartUploadRequest
from ksef_async.packing import Package
from ksef_async.sandbox import Fault, Sandbox
from ksef_async.sandbox.faults import UPLOAD_PART
from ksef_async.sessions.batch import BatchSession
from ksef_async.sessions.snapshot import BATCH_SNAPSHOT
from ksef_async.sessions.uploads import FileLedger, Uploads

KEY = Fernet.generate_key()


class Notes:
    """A ledger of the caller's own."""

    def __init__(self, known: set[int]) -> None:
        self.known = known
        #: What was written down.
        self.parts: set[tuple[str, int]] = set()

    async def parts_in(self, session: str) -> set[int]:
        return self.known

    async def note_part(self, session: str, number: int) -> None:
        self.parts.add((session, number))

    async def forget_parts(self, session: str, numbers: Collection[int]) -> None:
        self.parts -= {(session, number) for number in numbers}


async def interrupted(client: KsefClient, sandbox: Sandbox, package: Package) -> tuple[BatchSession, bytes]:
    """A session of which some parts are in, and its snapshot."""
    await package.write_manifest(KEY)
    session = await client.sessions.open_batch(package, form_code=FormCode.FA3, concurrency=1)
    snapshot = session.snapshot(KEY)
    sandbox.faults.add(UPLOAD_PART, Fault.wait(0.1), times=100)
    with anyio.move_on_after(0.35):
        await session.upload()
    sandbox.faults.clear()
    return session, snapshot


async def test_only_missing_parts_are_uploaded(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox, 30, part_size=1500) as package:
        session, snapshot = await interrupted(client, sandbox, package)
        done = len(session.uploaded_parts)
        assert 1 <= done < len(package.parts)

        traffic = Traffic()
        async with connected(sandbox, hook=traffic) as other:
            again = await Package.reopen(package.folder, KEY)
            resumed = await other.sessions.resume(snapshot, KEY, package=again)
            async with resumed:
                pass
            outcomes = [outcome.key async for outcome in resumed.outcomes()]

    assert traffic.answers[UPLOAD_PART, 201] == len(package.parts) - done
    assert sorted(outcomes) == sorted(f"key of FV/{n}" for n in range(1, 31))


async def test_part_that_ksef_lost_is_uploaded_after_a_crash_too(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox, 30, part_size=1500) as package:
        await package.write_manifest(KEY)
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        snapshot = session.snapshot(KEY)
        sandbox.faults.add(UPLOAD_PART, Fault.part_lost())
        with pytest.raises(UploadExpiredError):
            async with session:
                # The part goes up again when KSeF misses it, and this process does not live to see it in.
                sandbox.faults.add(UPLOAD_PART, Fault.link_refused())

        traffic = Traffic()
        async with connected(sandbox, hook=traffic) as other:
            again = await Package.reopen(package.folder, KEY)
            resumed = await other.sessions.resume(snapshot, KEY, package=again)
            async with resumed:
                pass
            assert len([outcome async for outcome in resumed.outcomes()]) == 30

    assert traffic.of(UPLOAD_PART) == 1
    assert traffic.of("close_batch_session") == 1


@pytest.mark.parametrize("numbers", [[1, 2], [1, 2, 4], [1, 2, 3, 4], []])
async def test_upload_requests_that_are_not_for_these_parts_are_refused(
    client: KsefClient, sandbox: Sandbox, numbers: list[int]
) -> None:
    async with packed(sandbox, 3, part_size=400) as package:
        three = attrs.evolve(package, parts=package.parts[:3])
    assert len(three.parts) == 3
    requests = [
        PartUploadRequest(ordinal_number=number, method="PUT", url="https://127.0.0.1/part", headers={})
        for number in numbers
    ]

    with pytest.raises(LocalProtocolError, match=f"The session has {len(numbers)} parts, the package 3"):
        Uploads(
            Caller(sandbox.environment, AiohttpTransport()),
            "",
            three,
            requests,
            until=sandbox.clock.now(),
            concurrency=1,
        )


async def test_closed_session_is_followed_not_sent_again(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        snapshot = session.snapshot(KEY)
        async with session:
            pass

        traffic = Traffic()
        async with connected(sandbox, hook=traffic) as other:
            resumed = await other.sessions.resume(snapshot, KEY, package=package)
            async with resumed:
                pass
            assert len([outcome async for outcome in resumed.outcomes()]) == 3

    assert traffic.of(UPLOAD_PART, "close_batch_session") == 0


async def test_window_that_is_over_is_told_at_once(still_sandbox: Sandbox) -> None:
    async with connected(still_sandbox) as client, packed(still_sandbox) as package:
        snapshot = (await client.sessions.open_batch(package, form_code=FormCode.FA3)).snapshot(KEY)
        still_sandbox.clock.advance(20 * 60 * len(package.parts) + 2)

        resumed = await client.sessions.resume(snapshot, KEY, package=package)
        with pytest.raises(UploadExpiredError, match="Open a new session with the same package"):
            await resumed.upload()


async def test_snapshot_tells_nothing_without_its_key(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        snapshot = session.snapshot(KEY)

        assert b"sig" not in snapshot
        assert session.reference_number.encode() not in snapshot
        with pytest.raises(CryptoError, match="the key is another"):
            await client.sessions.resume(snapshot, Fernet.generate_key(), package=package)


async def test_snapshots_of_both_kinds_are_told_apart(client: KsefClient, sandbox: Sandbox) -> None:
    online = (await client.sessions.open_online(FormCode.FA3)).snapshot(KEY)
    async with packed(sandbox) as package:
        batch = (await client.sessions.open_batch(package, form_code=FormCode.FA3)).snapshot(KEY)

        with pytest.raises(
            LocalProtocolError,
            match=r"of a batch session, not of an online session. Resume a batch session with package=",
        ):
            await client.sessions.resume(batch, KEY)
        with pytest.raises(
            LocalProtocolError,
            match=r"of an online session, not of a batch session. Resume an online session without a package",
        ):
            await client.sessions.resume(online, KEY, package=package)


async def test_another_package_is_refused(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package, packed(sandbox, 4) as other:
        snapshot = (await client.sessions.open_batch(package, form_code=FormCode.FA3)).snapshot(KEY)

        with pytest.raises(LocalProtocolError, match="was opened with another package"):
            await client.sessions.resume(snapshot, KEY, package=other)


async def test_package_packed_again_to_the_same_parts_is_gone_on_with(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox, 30, part_size=1500) as package:
        session, snapshot = await interrupted(client, sandbox, package)
        done = {*session.uploaded_parts}
    saved = BATCH_SNAPSHOT.decrypt(snapshot, KEY)

    traffic = Traffic()
    async with (
        connected(sandbox, hook=traffic) as other,
        packed(
            sandbox,
            30,
            part_size=1500,
            symmetric_key=saved.symmetric_key,
            initialization_vector=saved.initialization_vector,
        ) as again,
    ):
        ledger = Notes(done)
        resumed = await other.sessions.resume(snapshot, KEY, package=again, ledger=ledger)
        async with resumed:
            pass
        assert len([outcome async for outcome in resumed.outcomes()]) == 30

    assert traffic.answers[UPLOAD_PART, 201] == len(again.parts) - len(done)
    assert ledger.parts == {(session.reference_number, part.ordinal_number) for part in again.parts} - {
        (session.reference_number, number) for number in done
    }


async def test_same_invoices_under_another_key_are_another_package(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package, packed(sandbox) as other:
        assert package.sha256 == other.sha256
        snapshot = (await client.sessions.open_batch(package, form_code=FormCode.FA3)).snapshot(KEY)

        with pytest.raises(LocalProtocolError, match="was opened with another package"):
            await client.sessions.resume(snapshot, KEY, package=other)


async def test_ledger_that_fails_stops_the_upload_with_its_own_error(client: KsefClient, sandbox: Sandbox) -> None:
    class Broken(Notes):
        async def note_part(self, session: str, number: int) -> None:
            raise ZeroDivisionError(number)

    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3, ledger=Broken(set()))

        with pytest.raises(ZeroDivisionError):
            await session.upload()


async def test_ledger_remembers_what_is_in(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path)
    assert await ledger.parts_in("S") == set()

    for number in (1, 12, 3):
        await ledger.note_part("S", number)
    await ledger.note_part("ANOTHER", 7)
    await ledger.forget_parts("S", [1, 3])
    await ledger.note_part("S", 3)

    assert await FileLedger(tmp_path).parts_in("S") == {3, 12}


async def test_line_that_a_crash_cut_off_does_not_count(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path)
    await ledger.note_part("S", 1)
    (file,) = tmp_path.iterdir()
    file.write_text("+1\n+12\n-1\n+3")

    assert await ledger.parts_in("S") == {12}
    await ledger.note_part("S", 4)

    assert await ledger.parts_in("S") == {4, 12}
