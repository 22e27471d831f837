"""How a command ends: every exit code, and what to do about it, is in this file."""

from __future__ import annotations

import enum

__all__ = ["EXIT_CODES", "Exit", "ReportedError", "UsageError"]


class Exit(enum.IntEnum):
    """The exit codes of every command."""

    #: Everything that was asked for is done.
    OK = 0
    #: KSeF, or the way to it, failed. Nothing is lost; run it again.
    FAILED = 1
    #: Wrong arguments, or no usable credentials. Nothing was sent.
    USAGE = 2
    #: Done, but at least one invoice was rejected, refused or in conflict; its reason is in the output.
    REJECTED = 3
    #: The time given was up, or what was asked for is not there yet. Run it again later.
    UNFINISHED = 4
    #: Interrupted (Ctrl-C). Run it again to go on; nothing is sent twice.
    INTERRUPTED = 130


EXIT_CODES = """Exit codes:

- **0**: everything that was asked for is done
- **1**: KSeF, or the way to it, failed; nothing is lost, run it again
- **2**: wrong arguments, or no usable credentials; nothing was sent
- **3**: done, but an invoice was rejected, refused or in conflict; the output says why
- **4**: the time was up, or what was asked for is not there yet; run it again later
- **130**: interrupted; run it again to go on, nothing is sent twice

Credentials come from the environment, or from a file of such lines (`--credentials`, which wins), never from
arguments, which other users of a machine can read. `KSEF_ENV` is TEST, DEMO, PRODUCTION or a base URL, `KSEF_NIP` the
company. Who logs in is either `KSEF_TOKEN`, or `KSEF_CERTIFICATE`: the path of a PKCS#12 file, or, with its key's in
`KSEF_PRIVATE_KEY`, of a certificate in PEM or DER. The password, where there is one, is `KSEF_CERTIFICATE_PASSWORD`, or
in the file that `KSEF_CERTIFICATE_PASSWORD_FILE` names. Files with secrets have to be readable for their owner only.
Whatever is missing, named twice, unreadable, expired or opened with a wrong password ends a command with 2.
"""


class UsageError(Exception):
    """What was given on the command line, in the environment or in a file cannot be used."""


class ReportedError(Exception):
    """Something failed, and the JSON that was being printed says so already.

    Args:
        error: What failed.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
