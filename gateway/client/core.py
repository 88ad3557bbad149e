"""Everything the SDK can do, as steps. `RunxinClient` and `AsyncRunxinClient` carry them; tests drive them without a socket.

Rules kept here: one place decides, two places carry; a method takes and gives plain values and frozen ones of this room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.client import asking, desk, keeping, naming, receipts, receiving, sending
from gateway.client.configuration import Configuration
from gateway.client.opening import Record
from gateway.client.senders import Senders
from gateway.client.session import Session, Step
from gateway.domain.clock import Clock, SystemClock
from gateway.domain.exchanges import Exchange
from gateway.domain.parties import Party
from gateway.domain.vocabulary import AgeBand, Door
from keys.identifiers import Identifier, identify

Naming = Identifier | tuple[str, str]
"""An identifier, or its kind and text, such as `("cn-rid", "…")`."""


def subject_of(identifier: Naming | None, pseudonym: str | None) -> naming.Subject:
    """One of the two, or neither. `BadRequest("identifier_invalid")`, `ValueError` where both are given."""
    if identifier is not None and pseudonym is not None:
        raise ValueError("name the child by identifier or by pseudonym, not both")
    if isinstance(identifier, tuple):
        identifier = identify(*identifier)
    return naming.Subject(identifier=identifier, pseudonym=pseudonym)


def outbound(
    values: Mapping[str, Any],
    *,
    identifier: Naming | None = None,
    pseudonym: str | None = None,
    region: str | None = None,
) -> sending.Outbound:
    """One record for `send`. values: field -> local value. region: six digits of the record's region."""
    return sending.Outbound(subject_of(identifier, pseudonym), dict(values), region)


class Core:
    """The SDK's verbs as steps; see `RunxinClient` for what each does."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        exchanges: Mapping[str, Exchange] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.configuration = configuration
        self._clock = clock or SystemClock()
        self._exchanges = dict(exchanges or {})
        self._session = Session(configuration, self._clock)
        self._senders = Senders(self._session)

    def ask(
        self,
        exchange: str,
        purpose: str,
        *,
        identifier: Naming | None,
        pseudonym: str | None,
        case: str | None,
        fields: Sequence[str] | None,
        reason: str | None,
        door: Door,
        assisted: bool,
    ) -> Step[asking.Answer]:
        """A query."""
        return asking.ask(
            self._session,
            self._senders,
            exchange=exchange,
            purpose=purpose,
            subject=subject_of(identifier, pseudonym),
            case=case,
            fields=fields,
            reason=reason,
            door=door,
            assisted=assisted,
        )

    def send(
        self,
        exchange: str,
        purpose: str,
        *,
        recipient: Party,
        records: Sequence[sending.Outbound],
        case: str | None,
        reason: str | None,
        door: Door,
        medical: bool,
        idempotency_key: str | None,
    ) -> Step[sending.Sent]:
        """A delivery."""
        definition = self._exchanges.get(exchange)
        if definition is None:
            raise ValueError("the exchange is not in the catalogue that this client was given")
        return sending.send(
            self._session,
            self._clock,
            definition,
            purpose=purpose,
            recipient=recipient,
            records=records,
            case=case,
            reason=reason,
            door=door,
            medical=medical,
            idempotency_key=idempotency_key,
        )

    def take(self, *, wait: int, limit: int) -> Step[tuple[receiving.Received, ...]]:
        """One long poll."""
        return receiving.take(self._session, wait=wait, limit=limit)

    def open(self, received: receiving.Received) -> Step[tuple[Record, ...]]:
        """Verify and open an envelope."""
        return receiving.open_received(self._session, self._senders, received)

    def acknowledge(self, delivery: str, *, status: str, code: str) -> Step[None]:
        """Acknowledge an envelope."""
        return receiving.acknowledge(self._session, delivery, status=status, code=code)

    def evaluate(self, points: Sequence[bytes], grant: str | None) -> Step[tuple[list[bytes], int]]:
        """The blind door."""
        return naming.evaluate(self._session, points, grant)

    def pseudonyms(self, identifiers: Sequence[Naming], grant: str | None) -> Step[list[str]]:
        """Names for identifiers."""
        typed = [identify(*item) if isinstance(item, tuple) else item for item in identifiers]
        return naming.pseudonyms(self._session, typed, grant)

    def open_case(
        self,
        *,
        identifier: Naming | None,
        pseudonym: str | None,
        exchanges: Sequence[str],
        parties: Sequence[Party],
        region: str,
        age_band: AgeBand | None,
        assisted: bool,
    ) -> Step[str]:
        """Open a case."""
        return desk.open_case(
            self._session,
            subject_of(identifier, pseudonym),
            exchanges=exchanges,
            parties=parties,
            region=region,
            age_band=age_band,
            assisted=assisted,
        )

    def record_consent(
        self, statement: str, *, identifier: Naming | None, pseudonym: str | None, assisted: bool
    ) -> Step[str]:
        """Record a consent."""
        return desk.record_consent(self._session, subject_of(identifier, pseudonym), statement, assisted=assisted)

    def hand_over_link(
        self, offer: str, *, identifier: Naming | None, pseudonym: str | None, assisted: bool
    ) -> Step[dict[str, Any]]:
        """Make a one-time link."""
        return desk.hand_over_link(self._session, subject_of(identifier, pseudonym), offer, assisted=assisted)

    def links(self) -> Step[list[dict[str, Any]]]:
        """One-time links."""
        return desk.links(self._session)

    def cancel_link(self, link: str) -> Step[None]:
        """Take a link back."""
        return desk.cancel_link(self._session, link)

    def guardian_accesses(
        self, *, identifier: Naming | None, pseudonym: str | None, assisted: bool
    ) -> Step[dict[str, Any]]:
        """A guardian's question."""
        return desk.guardian_accesses(self._session, subject_of(identifier, pseudonym), assisted=assisted)

    def close_case(self, case: str) -> Step[None]:
        """Close a case."""
        return desk.close_case(self._session, case)

    def hand_in_approval(self, approval: str) -> Step[str]:
        """Carry an approval in."""
        return desk.hand_in_approval(self._session, approval)

    def withdraw_consent(self, consent: str) -> Step[None]:
        """Withdraw a consent."""
        return desk.withdraw_consent(self._session, consent)

    def enrolment_grant(self, approvals: Sequence[str]) -> Step[str]:
        """Hand in two approvals of the register's size."""
        return desk.enrolment_grant(self._session, approvals)

    def enrol_person(self, statement: str) -> Step[str]:
        """Carry a person-key statement in."""
        return desk.enrol_person(self._session, statement)

    def reviews(self) -> Step[list[dict[str, Any]]]:
        """Waiting reviews."""
        return desk.reviews(self._session)

    def close_review(self, review: str, finding: str) -> Step[None]:
        """Close a review."""
        return desk.close_review(self._session, review, finding)

    def deliveries(self) -> Step[list[dict[str, Any]]]:
        """What became of sent envelopes."""
        return desk.deliveries(self._session)

    def epochs(self) -> Step[dict[str, keeping.Epochs]]:
        """Epochs of this department's scopes."""
        return keeping.epochs(self._session)

    def convert(
        self, pseudonyms: Sequence[str], *, exchange: str | None, epoch: int | None, finished: bool
    ) -> Step[list[str]]:
        """Follow a rotation."""
        return keeping.convert(self._session, pseudonyms, exchange=exchange, epoch=epoch, finished=finished)

    def join_names(self, issued: Naming, identified: Naming, *, approvals: Sequence[str], assisted: bool) -> Step[str]:
        """Join two names of one child."""
        one, other = subject_of(issued, None), subject_of(identified, None)
        return keeping.join_names(self._session, one, other, approvals=approvals, assisted=assisted)

    def ask_reidentification(self, request: str, approvals: Sequence[str]) -> Step[str]:
        """Ask for a re-identification."""
        return keeping.ask_reidentification(self._session, request, approvals)

    def view_reidentification(self, grant: str, source: Party) -> Step[Record]:
        """The one view."""
        return keeping.view_reidentification(self._session, self._senders, grant, source)

    def headers(self, method: str, path: str, body: bytes) -> Step[dict[str, str]]:
        """Headers of one request."""
        return self._session.headers(method, path, body)

    def receipt(self, index: int) -> Step[receipts.LogProof]:
        """The proof of an entry."""
        return receipts.fetch_proof(self._session, index)

    def check_receipt(self, receipt: receipts.KeptReceipt) -> Step[receipts.ProvedEntry]:
        """Fetch and verify the proof of an answer."""
        log_vkey = self.configuration.log_vkey
        if log_vkey is None:
            raise ValueError("no log key is pinned in the configuration")
        proof = yield from receipts.fetch_proof(self._session, receipt.index)
        return receipts.check_receipt(receipt, proof, log_vkey=log_vkey, policy=self.configuration.witness_policy)
