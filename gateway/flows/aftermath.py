"""What a delivery leaves owing: notices to guardians and reviews, written beside the `accepted` entry and then recorded.

Rules kept here: the rows stand in the transaction of the hand-in, so no emergency passes without its review; their entries
follow at once, and a crash in between leaves the rows, which are what the deadlines run on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.consent.uses import owe
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.flows.account import Account
from gateway.flows.calendar_days import DAYS
from gateway.flows.decide import SendDecision
from gateway.flows.house import House
from gateway.store.database import Writing


@dataclass(slots=True)
class Aftermath:
    """The duties of one hand-in; `left` is filled when its transaction has run."""

    house: House
    decision: SendDecision
    request: str
    left: list[tuple[bytes | None, dict[str, str]]] = field(default_factory=list)

    async def within(self, writing: Writing) -> None:
        """Count the use against its limits and write what it owes, once per child."""
        self.left.clear()
        for line in self.decision.lines:
            if line.permit is None:
                continue
            made = await owe(
                writing,
                line.permit.basis,
                now=self.house.clock.now(),
                days=DAYS,
                limits=self.house.basis.limits,
                request=self.request,
            )
            if made:
                self.left.append((line.child, made))


_KINDS = {"notice": EntryKind.NOTICE_OWED, "review": EntryKind.REVIEW_OPENED}


async def settle(house: House, account: Account, aftermath: Aftermath) -> None:
    """The entries of what was left owing."""
    for child, made in aftermath.left:
        for kind, name in made.items():
            told = Account(
                kind=_KINDS[kind],
                caller=account.caller,
                proof_id="",
                exchange=account.exchange,
                door=account.door,
                purpose=account.purpose,
                provider=account.provider,
                policy_version=account.policy_version,
                children=(child,) if child else (),
                references={kind: name, "about": aftermath.request},
            )
            await house.log.append(told.draft(Outcome.DONE))
