"""A command that stands still says what it waits for."""

from __future__ import annotations

import re

from processes import running
from shell import Shell

from ksef_async.sandbox import Fault, Sandbox


async def test_command_says_once_what_it_waits_for(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    sandbox.faults.add("send_invoice", Fault.too_many_requests(3))

    result = await shell.run("send", shell.folder, "--json")

    assert (result.code, result.states) == (0, {"accepted": 1})
    assert re.fullmatch(r"Waiting \d s for KSeF's limits \(send_invoice\)\.\n", result.err)


async def test_command_that_does_not_wait_says_nothing(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)

    result = await shell.run("send", shell.folder, "--json")

    assert (result.code, result.err) == (0, "")


async def test_program_prints_no_log_line_beside_what_it_waits_for(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    sandbox.faults.add("send_invoice", Fault.too_many_requests(3))
    # In a process of its own: pytest has handlers of the root logger.
    async with running(sandbox, "send", ".", "--json") as process:
        assert await process.end() == 0

    assert re.fullmatch(r"Waiting \d s for KSeF's limits \(send_invoice\)\.\n", process.err)
