"""Whom an exchange is about.

Rules kept here: the gateway knows a child only by a point of its own scope; the point never shows itself in a repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.domain.parties import Caller
from gateway.domain.vocabulary import Department, ScopeKind


@dataclass(frozen=True, slots=True)
class Scope:
    """范围: where a pseudonym means something.

    holder: a department, the gateway itself (`gateway`), or a registered outside body's code.
    exchange: None for an open scope and for the gateway's own; the exchange id for a closed one.
    """

    holder: str
    kind: ScopeKind
    exchange: str | None = None

    @classmethod
    def open(cls, department: Department) -> Scope:
        """The one open scope of a department."""
        return _OPEN[department]

    @classmethod
    def closed(cls, holder: str, exchange: str) -> Scope:
        """The closed scope of one (recipient, exchange)."""
        return cls(holder=str(holder), kind=ScopeKind.CLOSED, exchange=exchange)

    @property
    def name(self) -> str:
        """`open:education`, `closed:youth_league:X13`, `gateway`."""
        if self.holder == "gateway":
            return "gateway"
        return f"{self.kind}:{self.holder}" + (f":{self.exchange}" if self.exchange else "")


_OPEN = {department: Scope(holder=str(department), kind=ScopeKind.OPEN) for department in Department}
GATEWAY_SCOPE = Scope(holder="gateway", kind=ScopeKind.CLOSED)


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """假名: one ristretto255 point within a scope and epoch. `point`: 32 canonical bytes, never the identity."""

    scope: Scope
    epoch: int
    point: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Child:
    """A child by the gateway's own pseudonym (scope `gateway`)."""

    pseudonym: Pseudonym = field(repr=False)

    @property
    def key(self) -> bytes:
        """The 32 bytes under which the gateway's store knows the child."""
        return self.pseudonym.point


@dataclass(frozen=True, slots=True)
class NoChild:
    """Directories and aggregates are about nobody."""


Subject = Child | NoChild


@dataclass(frozen=True, slots=True)
class Recognised:
    """Step (2) done: the caller and whom it is about. `assisted`: an identifier was in the body and is forgotten.
    known: the pseudonym in the caller's own scope by which it asked, None where it asked by none.
    """

    caller: Caller
    subject: Subject
    assisted: bool = False
    known: Pseudonym | None = None
