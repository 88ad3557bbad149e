"""What a review of accesses looks at: who read about which child, and what ties that reader's office to the child.

Rules kept here: values only, made by `triage.py` from opened entries and kept in memory while a review runs; a child stands as a
holder (32 bytes) that no repr shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.domain.vocabulary import Department, Door, Outcome


class Tie(StrEnum):
    """What explains an access."""

    CASE = "case"
    VISIT = "visit"
    REFERRAL = "referral"


@dataclass(frozen=True, slots=True)
class Access:
    """One query about one child, also one that got nothing. at: unix seconds. officer: staff number, "" for a system's own
    query. child: the history's holder.
    """

    index: int
    at: int
    department: Department
    organisation: str
    officer: str
    client: str
    child: bytes = field(repr=False)
    exchange: str
    door: Door
    outcome: Outcome
    code: str = ""

    @property
    def party(self) -> str:
        """`<organisation>/<department>`."""
        return f"{self.organisation}/{self.department}"

    @property
    def person(self) -> str:
        """The officer within the party; the system where there is no officer."""
        return f"{self.party}/{self.officer or self.client}"

    @property
    def read(self) -> bool:
        """Whether something left."""
        return self.outcome is Outcome.RELEASED


@dataclass(frozen=True, slots=True)
class Link:
    """Why a party may have to do with a child, from and until when (unix seconds, half-open)."""

    tie: Tie
    child: bytes = field(repr=False)
    party: str
    begins: int
    ends: int
