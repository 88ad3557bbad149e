"""The SDK for asynchronous programs: `RunxinClient` with `await`.

Rules kept here: this file carries and decides nothing; redirects are not followed, proxies and other settings of the
environment are not used, so that a request goes where the configuration says and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from gateway.client.asking import Answer
from gateway.client.carrying import lost, read_incoming
from gateway.client.configuration import Configuration, OfficerKey
from gateway.client.core import Core, Naming
from gateway.client.keeping import Epochs
from gateway.client.opening import Record
from gateway.client.receipts import KeptReceipt, LogProof, ProvedEntry
from gateway.client.receiving import Received
from gateway.client.sending import Outbound, Sent
from gateway.client.session import Incoming, Lost, Outgoing, Pause, Step
from gateway.domain.clock import Clock
from gateway.domain.exchanges import Exchange
from gateway.domain.parties import Party
from gateway.domain.vocabulary import AgeBand, Door

T = TypeVar("T")


class AsyncRunxinClient:
    """润心网关 for a departmental system.

    ::

        configuration = load(Path("runxin.toml"))
        async with AsyncRunxinClient(configuration, exchanges=catalogue.exchanges) as gateway:
            answer = await gateway.ask("X02", "P02", identifier=("cn-rid", number), case=case)
            print(answer.values, answer.receipt.index)

    exchanges: the catalogue's definitions, needed for `send` only. transport: for tests, or for TLS settings of one's own
    (`httpx2.AsyncHTTPTransport(verify=…, cert=…)`). Every method may raise `GatewayRefused`, `GatewayUnreachable` and
    `AnswerRejected`.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        exchanges: Mapping[str, Exchange] | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._exchanges, self._clock = exchanges, clock
        self._core = Core(configuration, exchanges=exchanges, clock=clock)
        self._http = httpx2.AsyncClient(
            base_url=configuration.gateway, transport=transport, trust_env=False, follow_redirects=False
        )
        self._borrowed = False

    def acting_as(self, officer: OfficerKey | None) -> AsyncRunxinClient:
        """The same system with another officer behind it (None: the system itself), over the same connections."""
        other = object.__new__(type(self))
        other._exchanges, other._clock = self._exchanges, self._clock
        configuration = replace(self._core.configuration, officer=officer)
        other._core = Core(configuration, exchanges=self._exchanges, clock=self._clock)
        other._http, other._borrowed = self._http, True
        return other

    async def ask(
        self,
        exchange: str,
        purpose: str,
        *,
        identifier: Naming | None = None,
        pseudonym: str | None = None,
        case: str | None = None,
        fields: Sequence[str] | None = None,
        reason: str | None = None,
        door: Door = Door.NORMAL,
        assisted: bool = False,
    ) -> Answer:
        """Ask a provider about a child (or about nobody, where the exchange is a directory).

        identifier: blinded here and named through the blind door, so that it never leaves this process; with `assisted` it
        is sent as it is. pseudonym: text form, of this department's open scope. case: this department's reference. fields:
        None asks for all. reason: a code, for the doors that need one.

        The answer is checked before it is given: labels, receipt, the provider's signature, the seals. Raises
        `GatewayRefused` with code `no_result` where there is nothing that may be shown.
        """
        return await self._run(
            self._core.ask(
                exchange,
                purpose,
                identifier=identifier,
                pseudonym=pseudonym,
                case=case,
                fields=fields,
                reason=reason,
                door=door,
                assisted=assisted,
            )
        )

    async def send(
        self,
        exchange: str,
        purpose: str,
        *,
        recipient: Party,
        records: Sequence[Outbound],
        case: str | None = None,
        reason: str | None = None,
        door: Door = Door.NORMAL,
        medical: bool = False,
        idempotency_key: str | None = None,
    ) -> Sent:
        """Send records to a recipient: ask how, reduce, seal, sign, hand in.

        records: see `outbound`; local values, of which only what the permit grants leaves this process, reduced and sealed.
        medical: whether this organisation is a medical institution (精神卫生法 29). idempotency_key: 8 to 128 ASCII characters
        of one's own, so that a send repeated after a crash delivers once. Raises `NothingPermitted` where every line was
        denied, `BadRequest` where a value may not be sent by anybody.
        """
        return await self._run(
            self._core.send(
                exchange,
                purpose,
                recipient=recipient,
                records=records,
                case=case,
                reason=reason,
                door=door,
                medical=medical,
                idempotency_key=idempotency_key,
            )
        )

    async def inbox(self, *, wait: int = 0, limit: int = 10) -> AsyncIterator[Received]:
        """Envelopes waiting for this party, until a poll brings none. wait: seconds of each long poll, at most 25.

        An envelope that is not acknowledged is handed out again: acknowledge what was stored, and expect the same
        delivery twice.
        """
        while taken := await self._run(self._core.take(wait=wait, limit=limit)):
            for received in taken:
                yield received

    async def open(self, received: Received) -> tuple[Record, ...]:
        """Verify the sender's signature and open every record of an envelope."""
        return await self._run(self._core.open(received))

    async def acknowledge(self, delivery: str, *, status: str = "stored", code: str = "") -> None:
        """Say that the envelope is `stored`, or `rejected` with a code. Either way the gateway destroys its copy."""
        await self._run(self._core.acknowledge(delivery, status=status, code=code))

    async def evaluate(self, points: Sequence[bytes], grant: str | None = None) -> tuple[list[bytes], int]:
        """The blind door itself: points (32 bytes each, at most 2,000) multiplied by this department's key, and the epoch."""
        return await self._run(self._core.evaluate(points, grant))

    async def pseudonyms(self, identifiers: Sequence[Naming], *, grant: str | None = None) -> list[str]:
        """Names of these identifiers in this department's open scope, in their order. grant: for enrolling a register."""
        return await self._run(self._core.pseudonyms(identifiers, grant))

    async def enrolment_grant(self, approvals: Sequence[str]) -> str:
        """Hand in two approvers' statements of the register's size (`statements.enrolment_grant`); the grant's id."""
        return await self._run(self._core.enrolment_grant(approvals))

    async def open_case(
        self,
        *,
        exchanges: Sequence[str],
        parties: Sequence[Party],
        region: str,
        identifier: Naming | None = None,
        pseudonym: str | None = None,
        age_band: AgeBand | None = None,
        assisted: bool = False,
    ) -> str:
        """Open a case on a child; this department's reference to it. region: GB/T 2260 digits."""
        return await self._run(
            self._core.open_case(
                identifier=identifier,
                pseudonym=pseudonym,
                exchanges=exchanges,
                parties=parties,
                region=region,
                age_band=age_band,
                assisted=assisted,
            )
        )

    async def close_case(self, case: str) -> None:
        """Close a case."""
        await self._run(self._core.close_case(case))

    async def hand_in_approval(self, approval: str) -> str:
        """Carry an approver's signed statement in (`statements.approval`); the approval's reference."""
        return await self._run(self._core.hand_in_approval(approval))

    async def record_consent(
        self,
        statement: str,
        *,
        identifier: Naming | None = None,
        pseudonym: str | None = None,
        assisted: bool = False,
    ) -> str:
        """Record a consent: the child, and the officer's signed statement of everything else; its reference."""
        return await self._run(
            self._core.record_consent(statement, identifier=identifier, pseudonym=pseudonym, assisted=assisted)
        )

    async def hand_over_link(
        self,
        offer: str,
        *,
        identifier: Naming | None = None,
        pseudonym: str | None = None,
        assisted: bool = False,
    ) -> dict[str, Any]:
        """Make a one-time link on which guardian or child answers: `link`, `code`, `address` (of the page, with the code behind `#`)
        and `ends`. offer: an officer's `statements.consent_statement` over an artefact of method `link_page` without `given`,
        `child_grant` and `evidence_digest`.
        """
        return await self._run(
            self._core.hand_over_link(offer, identifier=identifier, pseudonym=pseudonym, assisted=assisted)
        )

    async def links(self) -> list[dict[str, Any]]:
        """One-time links of this department, newest first: link, subject, state and, once given, the consent's reference."""
        return await self._run(self._core.links())

    async def cancel_link(self, link: str) -> None:
        """Take a link back that nobody has answered."""
        await self._run(self._core.cancel_link(link))

    async def withdraw_consent(self, consent: str) -> None:
        """Withdraw a consent; it covers nothing from the next request on."""
        await self._run(self._core.withdraw_consent(consent))

    async def guardian_accesses(
        self, *, identifier: Naming | None = None, pseudonym: str | None = None, assisted: bool = False
    ) -> dict[str, Any]:
        """Who saw what of this child, for its guardian: `sentence` and `accesses`."""
        return await self._run(
            self._core.guardian_accesses(identifier=identifier, pseudonym=pseudonym, assisted=assisted)
        )

    async def enrol_person(self, statement: str) -> str:
        """Carry the people administrator's statement in (`statements.person_key_statement`); the key's thumbprint."""
        return await self._run(self._core.enrol_person(statement))

    async def reviews(self) -> list[dict[str, Any]]:
        """Reviews that wait for this department."""
        return await self._run(self._core.reviews())

    async def close_review(self, review: str, finding: str) -> None:
        """Close a review: `justified` or `unjustified`."""
        await self._run(self._core.close_review(review, finding))

    async def deliveries(self) -> list[dict[str, Any]]:
        """What became of what this client sent: delivery, exchange, state, recipient."""
        return await self._run(self._core.deliveries())

    async def epochs(self) -> dict[str, Epochs]:
        """The epochs of this department's scopes: `open`, or the exchange of a closed one."""
        return await self._run(self._core.epochs())

    async def convert(
        self,
        pseudonyms: Sequence[str],
        *,
        exchange: str | None = None,
        epoch: int | None = None,
        finished: bool = False,
    ) -> list[str]:
        """Stored pseudonyms in another epoch while a rotation runs, in their order. exchange: of a closed scope. epoch: None
        for the newest. finished: nothing is left to convert after these, which lets the rotation go on.
        """
        return await self._run(self._core.convert(pseudonyms, exchange=exchange, epoch=epoch, finished=finished))

    async def join_names(
        self, issued: Naming, identified: Naming, *, approvals: Sequence[str] = (), assisted: bool = False
    ) -> str:
        """A child without an ID has got one: from now on the issued identifier and this one name the same child.

        approvals: two approvers' statements where both names already have a history. Returns the child's pseudonym.
        """
        return await self._run(self._core.join_names(issued, identified, approvals=approvals, assisted=assisted))

    async def ask_reidentification(self, request: str, approvals: Sequence[str]) -> str:
        """Hand in `statements.reidentification_request` and two approvals of the same; the grant of one view."""
        return await self._run(self._core.ask_reidentification(request, approvals))

    async def view_reidentification(self, grant: str, source: Party) -> Record:
        """The one view of a grant, within fifteen minutes: the source's identifier of the child, opened and verified."""
        return await self._run(self._core.view_reidentification(grant, source))

    async def headers(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """The headers of one request that another program will send (curl …): token, proof, officer assertion.

        Good once, for this method, path and body, within a minute.
        """
        return await self._run(self._core.headers(method, path, body))

    async def receipt(self, index: int) -> LogProof:
        """The leaf of an entry and its tlog-proof. Believe it only after `receipts.prove`."""
        return await self._run(self._core.receipt(index))

    async def check_receipt(self, receipt: KeptReceipt) -> ProvedEntry:
        """Prove that the log holds exactly this request and answer, under the pinned log key.

        Raises `AnswerRejected("receipt_invalid")`, `ValueError` where no log key is pinned.
        """
        return await self._run(self._core.check_receipt(receipt))

    async def aclose(self) -> None:
        """Give the connections back."""
        if not self._borrowed:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self, step: Step[T]) -> T:
        reply: Incoming | Lost | None = None
        while True:
            try:
                wish = step.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(wish, Pause):
                await asyncio.sleep(wish.seconds)
                reply = None
            else:
                reply = await self._carry(wish)

    async def _carry(self, wish: Outgoing) -> Incoming | Lost:
        try:
            return read_incoming(
                await self._http.request(
                    wish.method, wish.path, headers=dict(wish.headers), content=wish.body, timeout=wish.timeout
                )
            )
        except httpx2.TransportError as error:
            return lost(error)
