"""Requests made up from the official specification, good and bad ones, against the sandbox: ``nox -s schemathesis``.

Whatever is asked, the answer is one that the specification allows, and never a 5xx.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="only for nox -s schemathesis")

from anyio.from_thread import BlockingPortal, start_blocking_portal  # noqa: E402
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from official import SPECIFICATION, needs  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.core.failures import FailureGroup  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ksef_async import FormCode, KsefClient, KsefToken, Pacer  # noqa: E402
from ksef_async.api.operation import Bearer, Operation  # noqa: E402
from ksef_async.api.table import OPERATIONS  # noqa: E402
from ksef_async.protocol.wire import camel  # noqa: E402
from ksef_async.sandbox import Fault, Sandbox, sample_invoice  # noqa: E402

#: Made up for each operation.
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "25"))

pytestmark = [
    needs(SPECIFICATION),
    pytest.mark.timeout(600),
]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


#: Of the tokens below: what is refused for want of a permission is not looked at any further.
PERMISSIONS = (
    '["InvoiceRead","InvoiceWrite","CredentialsRead","CredentialsManage","SubunitManage","Introspection","VatUeManage",'
    '"CollectiveIdentifierManage"]'
)


class Prepared:
    """A sandbox in which there is something to ask about."""

    def __init__(self, sandbox: Sandbox, portal: BlockingPortal) -> None:
        self.sandbox = sandbox
        self._portal = portal
        #: What can stand in a path: by the name of the placeholder, or by the start of the path.
        self.known: dict[str, list[str]] = {}

    async def fill(self) -> None:
        """Send invoices, generate a token, group the invoices."""
        sandbox = self.sandbox
        sandbox.world.tokens_generate_tokens = True
        async with self._client() as client:
            async with await client.sessions.open_online(FormCode.FA3) as session:
                sent = [await session.send(sample_invoice(sandbox.nip, f"FV/{number}")) for number in range(3)]
                numbers = [(await each.outcome()).ksef_number for each in sent]
            await session.upo()
            status = await session.status()
            generated = await client.tokens.generate(["InvoiceRead"], "For reading")
            await generated.wait()
            await client.collective_identifiers.create(numbers)
        assert status.upo is not None
        self.known = {
            "/sessions": [session.reference_number],
            "/tokens": [generated.reference_number],
            "invoiceReferenceNumber": [each.reference_number for each in sent],
            "upoReferenceNumber": [status.upo.pages[0].reference_number],
            "ksefNumber": numbers,
        }

    def bearer(self, kind: Bearer) -> str | None:
        """A token for an operation, of a login of its own: some operations end it."""
        return None if kind is Bearer.NONE else self._portal.call(self._log_in, kind)

    async def _log_in(self, kind: Bearer) -> str:
        async with self._client() as client:
            await client.log_in()
        world = self.sandbox.world
        login = next(reversed(world.logins.values()))
        claims = {"arn": login.reference_number, "pec": PERMISSIONS}
        return world.ministry.issue_jwt(kind, claims, self.sandbox.clock.now(), timedelta(hours=1))

    def _client(self) -> KsefClient:
        credentials = KsefToken(nip=self.sandbox.nip, token=self.sandbox.token)
        return KsefClient(self.sandbox.environment, credentials, pacer=Pacer.unlimited())


@pytest.fixture(scope="module")
def prepared() -> Iterator[Prepared]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Sandbox(rate_limits=None)) as sandbox,
    ):
        prepared = Prepared(sandbox, portal)
        portal.call(prepared.fill)
        yield prepared


@pytest.fixture(scope="module")
def schema() -> Any:
    return schemathesis.openapi.from_path(str(SPECIFICATION))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_answer_fits_the_specification(
    prepared: Prepared, schema: Any, operation: Operation[Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    answers: Counter[int] = Counter()
    path = re.sub(r"{(\w+)}", lambda name: "{" + camel(name[1]) + "}", operation.path)
    endpoint = schema[path][operation.method.value]
    bearer = prepared.bearer(operation.bearer)
    of_path = next((found for start, found in prepared.known.items() if path.startswith(start)), [])
    known = prepared.known | {"referenceNumber": of_path}
    cases = st.one_of([endpoint.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode])

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
        database=None,
        derandomize="SCHEMATHESIS_RANDOM" not in os.environ,
    )
    @given(case=cases, is_real=st.booleans(), problem_details=st.booleans())
    def ask(case: Any, is_real: bool, problem_details: bool) -> None:
        for name in case.path_parameters or {}:
            if is_real and known.get(name):
                case.path_parameters[name] = known[name][0]
        headers = {"X-Error-Format": "problem-details"} if problem_details else {}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        response = case.call(base_url=prepared.sandbox.environment.base_url, headers=headers)
        # A rate limit that the call has lowered is not what the next one is about.
        for login in list(prepared.sandbox.world.logins.values()):
            prepared.sandbox.world.limiter.override(login.context, None)
        answers[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    ask()
    with capsys.disabled():
        print(f"\n{operation.name:40} {dict(sorted(answers.items()))}", end=" ")


def test_what_does_not_fit_is_seen(prepared: Prepared, schema: Any) -> None:
    prepared.sandbox.faults.add("get_challenge", Fault.server_error())
    prepared.sandbox.faults.add("get_challenge", Fault.html(200))
    case = schema["/auth/challenge"]["POST"].Case()

    for _ in range(2):
        response = case.call(base_url=prepared.sandbox.environment.base_url)
        with pytest.raises(FailureGroup):
            case.validate_response(response, checks=CHECKS)
    response = case.call(base_url=prepared.sandbox.environment.base_url)
    case.validate_response(response, checks=CHECKS)
