"""A certificate that is renewed: the next one is written with its key, and nothing is lost whatever dies in between."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import anyio
import pytest
from certificates import EC_KEY, NIP, key_bytes, pem
from cryptography.x509.oid import NameOID

from ksef_async import (
    Cadence,
    CertificateCredentials,
    CertificateType,
    ConfigurationError,
    CryptoError,
    KsefClient,
    LocalProtocolError,
    OfflineSigner,
    OperationFailedError,
    RenewedCertificate,
    TransportError,
)
from ksef_async.auth.variables import Variables
from ksef_async.crypto.issuing import new_private_key, self_signed_seal
from ksef_async.protocol.pacing import Pacer
from ksef_async.protocol.retry import RetryPolicy
from ksef_async.resources.renewal import RenewalFile
from ksef_async.sandbox import Fault, Sandbox

SOON = Cadence(interval=0.01)
PROCESS = Path(__file__).with_name("renewing_process.py")
#: Every third step; each one with `RENEWAL_STEPS=all`, as `nox -s durable` does.
EACH_STEP = 1 if os.environ.get("RENEWAL_STEPS") == "all" else 3


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The present key and certificate, in one file."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    path = folder / "company.pem"
    path.write_bytes(key_bytes(EC_KEY) + pem(self_signed_seal(NIP, EC_KEY)))
    path.chmod(0o600)
    return path


async def client_of(sandbox: Sandbox, file: Path, password: str | None = None) -> KsefClient:
    credentials = await CertificateCredentials.from_files(file, password=password, nip=NIP)
    return KsefClient(sandbox.environment, credentials, pacer=Pacer.unlimited(), retry=RetryPolicy(attempts=1))


async def renew(
    sandbox: Sandbox, file: Path, into: Path | None = None, password: str | None = None
) -> RenewedCertificate:
    async with await client_of(sandbox, file) as client:
        return await client.certificates.renew(into or file, cadence=SOON, password=password)


async def issuer_of(file: Path) -> str:
    credentials = await CertificateCredentials.from_files(file, nip=NIP)
    (name,) = credentials.certificate.readable.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_next_certificate_logs_in_and_the_present_one_stays(sandbox: Sandbox, file: Path) -> None:
    present = file.read_bytes()

    renewed = await renew(sandbox, file)

    assert names(file.parent) == {"company.pem", "company.pem.old"}
    assert file.with_name("company.pem.old").read_bytes() == present
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}
    (issued,) = sandbox.world.authority.issued.values()
    assert (renewed.file, renewed.serial_number) == (file, issued.serial_number)
    assert renewed.valid_until == issued.valid_until
    async with await client_of(sandbox, file) as client:
        await client.log_in()
    assert next(reversed(sandbox.world.logins.values())).method.name == "InternalCertificate"
    # The environment may name the one file for both.
    variables = Variables.of({"KSEF_NIP": NIP, "KSEF_CERTIFICATE_FILE": str(file)})
    assert (await anyio.to_thread.run_sync(variables.credentials)).context.value == NIP


async def test_it_is_renewed_again_and_again(sandbox: Sandbox, file: Path) -> None:
    first = await renew(sandbox, file)
    before = file.read_bytes()
    second = await renew(sandbox, file)

    assert first.serial_number != second.serial_number
    assert file.with_name("company.pem.old").read_bytes() == before


async def test_another_file_leaves_the_present_one_alone(sandbox: Sandbox, file: Path) -> None:
    present = file.read_bytes()

    await renew(sandbox, file, file.with_name("next.pem"), password="hasło")

    assert names(file.parent) == {"company.pem", "next.pem"}
    assert file.read_bytes() == present
    async with await client_of(sandbox, file.with_name("next.pem"), "hasło") as client:
        await client.log_in()


async def test_first_certificate_of_the_type_offline_signs_from_its_file(sandbox: Sandbox, file: Path) -> None:
    offline = file.with_name("offline.pem")
    async with await client_of(sandbox, file) as client:
        await client.certificates.renew(offline, cadence=SOON, certificate_type=CertificateType.OFFLINE)

        signer = await OfflineSigner.from_files(offline)
        (issued,) = sandbox.world.authority.issued.values()
        assert signer.serial_number == issued.serial_number
        # Neither takes the place of the other.
        for path, kind in ((file, CertificateType.OFFLINE), (offline, CertificateType.AUTHENTICATION)):
            before = path.read_bytes()
            with pytest.raises(ConfigurationError, match="name another file"):
                await client.certificates.renew(path, certificate_type=kind)
            assert path.read_bytes() == before
    assert names(file.parent) == {"company.pem", "offline.pem"}


async def run(sandbox: Sandbox, file: Path, at: int) -> tuple[int, str]:
    told = {"file": str(file), "nip": NIP, "base_url": sandbox.environment.base_url, "at": at}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), json.dumps(told), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


@pytest.mark.timeout(240)
async def test_killed_at_each_step_it_loses_neither_the_old_nor_the_new(sandbox: Sandbox, file: Path) -> None:
    present, step, died = file.read_bytes(), 0, True
    while died:
        for path in file.parent.iterdir():
            path.unlink()
        file.write_bytes(present)
        file.chmod(0o600)
        before = set(sandbox.world.authority.issued)

        code, _ = await run(sandbox, file, step)
        died = code == 9
        assert code in (0, 9)

        # Whatever is there logs in: it is the old one, or the new one, whole.
        is_new = await issuer_of(file) != "Test"
        if died and not is_new:
            assert file.read_bytes() == present
        else:
            assert file.with_name("company.pem.old").read_bytes() == present
        # The lock of a process that died right after the end stays, and keeps nobody out.
        is_over = names(file.parent) - {"company.pem.lock"} == {"company.pem", "company.pem.old"}
        renewed = None if is_over else await renew(sandbox, file)
        assert await issuer_of(file) != "Test", step
        assert file.with_name("company.pem.old").read_bytes() == present, step
        assert names(file.parent) - {"company.pem.lock"} == {"company.pem", "company.pem.old"}, step
        issued = set(sandbox.world.authority.issued) - before
        # Where KSeF had not decided yet, nothing shows that it knows of the key; then another is issued, for the same.
        assert 1 <= len(issued) <= 2, step
        assert renewed is None or renewed.serial_number in issued
        step += EACH_STEP
    assert step > 12


async def test_two_processes_at_once_issue_one_certificate(sandbox: Sandbox, file: Path) -> None:
    present = file.read_bytes()

    # Until the other has begun as well.
    sandbox.faults.add("get_enrollment", Fault.wait(5.0))
    ends = [await end for end in asyncio.as_completed([run(sandbox, file, -1) for _ in range(2)])]

    assert sorted(code for code, _ in ends) == [0, 3]
    assert len(sandbox.world.authority.issued) == 1
    (told,) = [text for code, text in ends if code == 3]
    assert "renews" in told
    assert "company.pem.lock" in told
    assert file.with_name("company.pem.old").read_bytes() == present
    assert names(file.parent) == {"company.pem", "company.pem.old"}
    assert await issuer_of(file) != "Test"


async def test_renewal_while_another_process_is_at_it_is_refused_and_asks_nothing(sandbox: Sandbox, file: Path) -> None:
    present = file.read_bytes()
    sandbox.faults.add("get_enrollment", Fault.wait(3.0))
    async with anyio.create_task_group() as tasks:
        other: list[tuple[int, str]] = []

        async def renew_in_process() -> None:
            other.append(await run(sandbox, file, -1))

        tasks.start_soon(renew_in_process)
        with anyio.fail_after(20):
            while not sandbox.world.authority.enrollments:
                await anyio.sleep(0.01)
        for _ in range(2):
            with pytest.raises(LocalProtocolError, match=r"Process \d+ renews .*company\.pem already"):
                await renew(sandbox, file)
        assert len(sandbox.world.authority.enrollments) == 1

    ((code, serial_number),) = other
    assert (code, serial_number.strip()) == (0, *sandbox.world.authority.issued)
    assert names(file.parent) == {"company.pem", "company.pem.old"}
    assert file.with_name("company.pem.old").read_bytes() == present
    # It is over, so the next may begin.
    assert (await renew(sandbox, file)).serial_number != serial_number.strip()


async def test_two_tasks_at_once_issue_one_certificate(sandbox: Sandbox, file: Path) -> None:
    refused: list[LocalProtocolError] = []

    async def once() -> None:
        try:
            await renew(sandbox, file)
        except LocalProtocolError as error:
            refused.append(error)

    sandbox.faults.add("get_enrollment", Fault.wait(1.0))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(once)
        tasks.start_soon(once)

    assert len(refused) == 1
    assert len(sandbox.world.authority.issued) == 1


async def test_application_whose_answer_is_lost_is_found_by_its_key(sandbox: Sandbox, file: Path) -> None:
    sandbox.faults.add("enroll_certificate", Fault.drop_after())

    with pytest.raises(TransportError):
        await renew(sandbox, file)
    sandbox.clock.advance(60)
    renewed = await renew(sandbox, file)

    assert {*sandbox.world.authority.issued} == {renewed.serial_number}


async def test_application_that_ksef_refuses_is_forgotten(sandbox: Sandbox, file: Path) -> None:
    key = new_private_key()
    stranger = await CertificateCredentials.self_signed("1111111111")
    async with KsefClient(sandbox.environment, stranger, pacer=Pacer.unlimited()) as client:
        await (await client.certificates.enroll("Certyfikat", key)).wait(SOON)
    await anyio.to_thread.run_sync(RenewalFile(file).keep, key)

    with pytest.raises(OperationFailedError):
        await renew(sandbox, file)

    assert names(file.parent) == {"company.pem"}
    await renew(sandbox, file)


async def test_application_that_is_forgotten_by_ksef_is_made_anew(sandbox: Sandbox, file: Path) -> None:
    sandbox.faults.add("get_enrollment", Fault.drop_before())
    with pytest.raises(TransportError):
        await renew(sandbox, file)
    assert names(file.parent) == {"company.pem", "company.pem.renewal"}
    sandbox.clock.advance(31 * 86400)

    # KSeF has forgotten the application, not the certificate.
    renewed = await renew(sandbox, file)

    assert {*sandbox.world.authority.issued} == {renewed.serial_number}


async def test_renewal_begun_with_another_password_says_so(sandbox: Sandbox, file: Path) -> None:
    sandbox.faults.add("get_enrollment", Fault.drop_before())
    with pytest.raises(TransportError):
        await renew(sandbox, file, password="one")

    with pytest.raises(CryptoError, match="password is wrong"):
        await renew(sandbox, file, password="two")


@pytest.mark.parametrize("name", ["none/company.pem", "secrets"])
async def test_place_that_cannot_be_written_is_told_before_anything_is_asked(
    sandbox: Sandbox, file: Path, name: str
) -> None:
    with pytest.raises(ConfigurationError):
        await renew(sandbox, file, file.parent.parent / name)

    assert not sandbox.world.authority.enrollments
