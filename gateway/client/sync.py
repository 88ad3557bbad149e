"""The SDK for synchronous programs.

Rules kept here: this file carries and decides nothing; redirects are not followed, proxies and other settings of the
environment are not used, so that a request goes where the configuration says and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
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


class RunxinClient:
    """润心网关 for a departmental system.

    ::

        configuration = load(Path("runxin.toml"))
        with RunxinClient(configuration, exchanges=catalogue.exchanges) as gateway:
            answer = gateway.ask("X02", "P02", identifier=("cn-rid", number), case=case)
            print(answer.values, answer.receipt.index)

    exchanges: the catalogue's definitions, needed for `send` only. transport: for tests, or for TLS settings of one's own
    (`httpx2.HTTPTransport(verify=…, cert=…)`). Every method may raise `GatewayRefused`, `GatewayUnreachable` and
    `AnswerRejected`.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        exchanges: Mapping[str, Exchange] | None = None,
        transport: httpx2.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._exchanges, self._clock = exchanges, clock
        self._core = Core(configuration, exchanges=exchanges, clock=clock)
        self._http = httpx2.Client(
            base_url=configuration.gateway, transport=transport, trust_env=False, follow_redirects=False
        )
        self._borrowed = False

    def acting_as(self, officer: OfficerKey | None) -> RunxinClient:
        """The same system with another officer behind it (None: the system itself), over the same connections."""
        other = object.__new__(type(self))
        other._exchanges, other._clock = self._exchanges, self._clock
        configuration = replace(self._core.configuration, officer=officer)
        other._core = Core(configuration, exchanges=self._exchanges, clock=self._clock)
        other._http, other._borrowed = self._http, True
        return other

    def ask(
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
        return self._run(
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

    def send(
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
        return self._run(
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

    def inbox(self, *, wait: int = 0, limit: int = 10) -> Iterator[Received]:
        """Envelopes waiting for this party, until a poll brings none. wait: seconds of each long poll, at most 25.

        An envelope that is not acknowledged is handed out again: acknowledge what was stored, and expect the same
        delivery twice.
        """
        while taken := self._run(self._core.take(wait=wait, limit=limit)):
            yield from taken

    def open(self, received: Received) -> tuple[Record, ...]:
        """Verify the sender's signature and open every record of an envelope."""
        return self._run(self._core.open(received))

    def acknowledge(self, delivery: str, *, status: str = "stored", code: str = "") -> None:
        """Say that the envelope is `stored`, or `rejected` with a code. Either way the gateway destroys its copy."""
        self._run(self._core.acknowledge(delivery, status=status, code=code))

    def evaluate(self, points: Sequence[bytes], grant: str | None = None) -> tuple[list[bytes], int]:
        """The blind door itself: points (32 bytes each, at most 2,000) multiplied by this department's key, and the epoch."""
        return self._run(self._core.evaluate(points, grant))

    def pseudonyms(self, identifiers: Sequence[Naming], *, grant: str | None = None) -> list[str]:
        """Names of these identifiers in this department's open scope, in their order. grant: for enrolling a register."""
        return self._run(self._core.pseudonyms(identifiers, grant))

    def enrolment_grant(self, approvals: Sequence[str]) -> str:
        """Hand in two approvers' statements of the register's size (`statements.enrolment_grant`); the grant's id."""
        return self._run(self._core.enrolment_grant(approvals))

    def open_case(
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
        return self._run(
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

    def close_case(self, case: str) -> None:
        """Close a case."""
        self._run(self._core.close_case(case))

    def hand_in_approval(self, approval: str) -> str:
        """Carry an approver's signed statement in (`statements.approval`); the approval's reference."""
        return self._run(self._core.hand_in_approval(approval))

    def record_consent(
        self,
        statement: str,
        *,
        identifier: Naming | None = None,
        pseudonym: str | None = None,
        assisted: bool = False,
    ) -> str:
        """Record a consent: the child, and the officer's signed statement of everything else; its reference."""
        return self._run(
            self._core.record_consent(statement, identifier=identifier, pseudonym=pseudonym, assisted=assisted)
        )

    def hand_over_link(
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
        return self._run(
            self._core.hand_over_link(offer, identifier=identifier, pseudonym=pseudonym, assisted=assisted)
        )

    def links(self) -> list[dict[str, Any]]:
        """One-time links of this department, newest first: link, subject, state and, once given, the consent's reference."""
        return self._run(self._core.links())

    def cancel_link(self, link: str) -> None:
        """Take a link back that nobody has answered."""
        self._run(self._core.cancel_link(link))

    def withdraw_consent(self, consent: str) -> None:
        """Withdraw a consent; it covers nothing from the next request on."""
        self._run(self._core.withdraw_consent(consent))

    def guardian_accesses(
        self, *, identifier: Naming | None = None, pseudonym: str | None = None, assisted: bool = False
    ) -> dict[str, Any]:
        """Who saw what of this child, for its guardian: `sentence` and `accesses`."""
        return self._run(self._core.guardian_accesses(identifier=identifier, pseudonym=pseudonym, assisted=assisted))

    def enrol_person(self, statement: str) -> str:
        """Carry the people administrator's statement in (`statements.person_key_statement`); the key's thumbprint."""
        return self._run(self._core.enrol_person(statement))

    def reviews(self) -> list[dict[str, Any]]:
        """Reviews that wait for this department."""
        return self._run(self._core.reviews())

    def close_review(self, review: str, finding: str) -> None:
        """Close a review: `justified` or `unjustified`."""
        self._run(self._core.close_review(review, finding))

    def deliveries(self) -> list[dict[str, Any]]:
        """What became of what this client sent: delivery, exchange, state, recipient."""
        return self._run(self._core.deliveries())

    def epochs(self) -> dict[str, Epochs]:
        """The epochs of this department's scopes: `open`, or the exchange of a closed one."""
        return self._run(self._core.epochs())

    def convert(
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
        return self._run(self._core.convert(pseudonyms, exchange=exchange, epoch=epoch, finished=finished))

    def join_names(
        self, issued: Naming, identified: Naming, *, approvals: Sequence[str] = (), assisted: bool = False
    ) -> str:
        """A child without an ID has got one: from now on the issued identifier and this one name the same child.

        approvals: two approvers' statements where both names already have a history. Returns the child's pseudonym.
        """
        return self._run(self._core.join_names(issued, identified, approvals=approvals, assisted=assisted))

    def ask_reidentification(self, request: str, approvals: Sequence[str]) -> str:
        """Hand in `statements.reidentification_request` and two approvals of the same; the grant of one view."""
        return self._run(self._core.ask_reidentification(request, approvals))

    def view_reidentification(self, grant: str, source: Party) -> Record:
        """The one view of a grant, within fifteen minutes: the source's identifier of the child, opened and verified."""
        return self._run(self._core.view_reidentification(grant, source))

    def headers(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """The headers of one request that another program will send (curl …): token, proof, officer assertion.

        Good once, for this method, path and body, within a minute.
        """
        return self._run(self._core.headers(method, path, body))

    def receipt(self, index: int) -> LogProof:
        """The leaf of an entry and its tlog-proof. Believe it only after `receipts.prove`."""
        return self._run(self._core.receipt(index))

    def check_receipt(self, receipt: KeptReceipt) -> ProvedEntry:
        """Prove that the log holds exactly this request and answer, under the pinned log key.

        Raises `AnswerRejected("receipt_invalid")`, `ValueError` where no log key is pinned.
        """
        return self._run(self._core.check_receipt(receipt))

    def close(self) -> None:
        """Give the connections back."""
        if not self._borrowed:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, step: Step[T]) -> T:
        reply: Incoming | Lost | None = None
        while True:
            try:
                wish = step.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(wish, Pause):
                time.sleep(wish.seconds)
                reply = None
            else:
                reply = self._carry(wish)

    def _carry(self, wish: Outgoing) -> Incoming | Lost:
        try:
            return read_incoming(
                self._http.request(
                    wish.method, wish.path, headers=dict(wish.headers), content=wish.body, timeout=wish.timeout
                )
            )
        except httpx2.TransportError as error:
            return lost(error)
