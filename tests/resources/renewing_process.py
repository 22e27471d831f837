"""Renews a certificate, and dies before its n-th step: a change of a file, or a request, or its answer.

With -1 it lives; it ends with 3 where the renewal is refused here."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from ksef_async import AiohttpTransport, Cadence, CertificateCredentials, Environment, KsefClient, LocalProtocolError
from ksef_async.protocol.messages import RawRequest, RawResponse
from ksef_async.protocol.pacing import Pacer

STEPS = ("os.rename", "os.remove", "os.mkdir", "open")


class Death:
    """Ends the process, as SIGKILL does, before its n-th step."""

    def __init__(self, at: int, folder: str) -> None:
        self._at = at
        self._folder = folder
        self.steps = 0
        self.is_on = False

    def step(self) -> None:
        if self.is_on:
            if self.steps == self._at:
                os._exit(9)
            self.steps += 1

    def audit(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name in STEPS and isinstance(arguments[0], str | Path) and str(arguments[0]).startswith(self._folder):
            self.step()


class DyingTransport(AiohttpTransport):
    def __init__(self, death: Death) -> None:
        super().__init__()
        self._death = death

    async def send(self, request: RawRequest) -> RawResponse:
        if "certificates" not in request.url:
            return await super().send(request)
        self._death.step()
        response = await super().send(request)
        self._death.step()
        return response


async def main(told: dict[str, Any]) -> None:
    file = Path(told["file"])
    credentials = await CertificateCredentials.from_files(file, nip=told["nip"])
    death = Death(told["at"], str(file))
    sys.addaudithook(death.audit)
    transport = DyingTransport(death)
    environment = Environment(told["base_url"])
    async with KsefClient(environment, credentials, transport=transport, pacer=Pacer.unlimited()) as client:
        await client.log_in()
        death.is_on = True
        try:
            renewed = await client.certificates.renew(file, cadence=Cadence(interval=0.01))
        except LocalProtocolError as error:
            print(error)
            sys.exit(3)
        death.is_on = False
    await transport.aclose()
    print(renewed.serial_number)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
