"""The port between an edge and a department: what an edge asks of a department's adapter, and what it gets.

Rules kept here: `Source` speaks of pseudonyms, orders and releases; `Register` speaks of local records and mapped fields; only
`answering.DepartmentSource` stands between the two, so that every department reduces and seals in the same way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, Protocol

from gateway.domain.orders import Acknowledgement, FieldValue, Order, Release
from gateway.domain.parties import Party


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of a register: records by local key, catalogue fields of one exchange. birth: whether an age band must be held
    against the register.
    """

    exchange: str
    keys: tuple[str, ...] = field(repr=False)
    fields: frozenset[str] = frozenset()
    birth: bool = False


class Record(NamedTuple):
    """One local record in the catalogue's words. region: six digits or more. surplus: columns that came unasked and were dropped.

    A tuple, because hundreds are made for one answer and a frozen dataclass takes three times as long to make.
    """

    key: str
    region: str
    born: date | None
    values: Mapping[str, FieldValue]
    surplus: int = 0

    def __repr__(self) -> str:
        return f"Record(region={self.region!r}, surplus={self.surplus!r})"


@dataclass(frozen=True, slots=True)
class LocalPerson:
    """One record of the register for enrolment: its key and its identifiers as (kind, text), best first."""

    key: str = field(repr=False)
    numbers: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class InboundLine:
    """One opened line of an envelope. record: the local key behind its pseudonym; None where the directory does not know the child,
    which the department settles by hand with the pseudonym (`subject`), and for NoChild exchanges, where both are None.
    """

    number: int
    subject: str | None = field(repr=False)
    record: str | None = field(repr=False)
    references: Mapping[str, str] = field(repr=False)
    values: Mapping[str, FieldValue] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Inbound:
    """An opened envelope for a departmental system. delivery: the id by which it is stored once."""

    delivery: str
    exchange: str
    purpose: str
    sender: Party
    labels: Mapping[str, str]
    lines: tuple[InboundLine, ...]


@dataclass(frozen=True, slots=True)
class Enrolment:
    """How an enrolment stands. enrolled: new pseudonyms; kept: already there; unidentified: no usable identifier; conflicts: another
    record has the same identifier. epoch: of the pseudonyms, 0 before the first answer.
    """

    seen: int = 0
    enrolled: int = 0
    kept: int = 0
    unidentified: int = 0
    conflicts: int = 0
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Description:
    """What an edge serves, for `GET /describe`: names of the catalogue only."""

    party: Party
    region: str
    provides: Mapping[str, tuple[str, ...]]
    receives: tuple[str, ...]
    epoch: int
    enrolled: int


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the departmental system answers; code: the fault's, empty when all is well."""

    ok: bool
    code: str = ""


Evaluate = Callable[[Sequence[bytes], str | None], Awaitable[tuple[Sequence[bytes], int]]]
"""The blind door: (points, grant) -> (evaluated points, epoch)."""

Progress = Callable[[Enrolment], None]


class Source(Protocol):
    """A department as the gateway's side of the house sees it."""

    async def fetch(self, order: Order) -> Release:
        """Answer an order: only its fields, reduced and sealed. Raises `ProviderFault`, `Denied`."""
        ...

    async def receive(self, message: Inbound) -> Acknowledgement:
        """Hand an opened envelope to the departmental system. Raises `ProviderFault` when that may succeed later."""
        ...

    async def enrol(self, evaluate: Evaluate, grant: str | None, progress: Progress | None = None) -> Enrolment:
        """Bring the directory up to date through the blind door."""
        ...

    def describe(self) -> Description:
        """What is served."""
        ...

    async def health(self) -> Health:
        """Whether the departmental system answers."""
        ...


class Register(Protocol):
    """A departmental system in its own words; what a new department's adapter has to write."""

    async def read(self, wanted: Wanted) -> Mapping[str, Record]:
        """Records by local key; those that do not exist are left out. Raises `ProviderFault`."""
        ...

    async def take(self, message: Inbound) -> None:
        """Store a message, once per delivery and line. Raises `ProviderFault`."""
        ...

    def people(self) -> AsyncIterator[LocalPerson]:
        """Every record's key and identifiers, in a stable order. Raises `ProviderFault`."""
        ...

    async def probe(self) -> None:
        """Raises `ProviderFault` when the system does not answer."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
