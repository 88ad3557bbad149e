"""How every department answers an order: look up, read, hold back, reduce, seal. In this order, and nothing else leaves.

Rules kept here: the register is asked for the ordered fields of known children only; absent, unknown and outside the permitted region
all give "missing" for that line; a contradicted age band refuses the whole order, but only a record that may be shown can contradict
it; what the release room drops is counted, never sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from adapters.base.mapping import LocalMapping
from adapters.base.source import Description, Enrolment, Evaluate, Health, Inbound, Progress, Record, Register, Wanted
from adapters.directory import Directory
from gateway.domain.clock import SHANGHAI, Clock, SystemClock
from gateway.domain.exchanges import Exchange
from gateway.domain.orders import Acknowledgement, Line, Order, OrderLine, Release, SealInfo
from gateway.domain.parties import Party
from gateway.domain.vocabulary import AgeBand, Transform
from gateway.errors import BadRequest, Denied, ProviderFault
from gateway.release import reidentification
from gateway.release.reduce import Reduced, Reducer
from gateway.release.shift import shift_value
from keys.envelope import seal_line
from keys.signing import SigningKey


@dataclass(frozen=True, slots=True)
class Office:
    """Who answers: the party, its region, the key that signs its lines, and whether it is a medical institution."""

    party: Party
    region: str
    signer: SigningKey
    medical: bool = False


class DepartmentSource:
    """A department's `Source`, built from its `Register`, directory and mapping."""

    def __init__(
        self,
        office: Office,
        *,
        exchanges: Mapping[str, Exchange],
        mapping: LocalMapping,
        register: Register,
        directory: Directory,
        clock: Clock | None = None,
    ) -> None:
        self._office = office
        self._exchanges = exchanges
        self._mapping = mapping
        self._register = register
        self._directory = directory
        self._clock = clock or SystemClock()

    async def fetch(self, order: Order) -> Release:
        """Answer an order. Raises `Denied` (`order_misdirected`, `order_unserved`, `age_band_contradicted`), `ProviderFault`."""
        if order.exchange == reidentification.EXCHANGE:
            return await self._reidentify(order)
        exchange = self._served(order)
        keys = {line.number: self._directory.record(line.subject) for line in order.lines if line.subject is not None}
        asked = tuple(dict.fromkeys(key for key in keys.values() if key is not None))
        wanted = Wanted(exchange.id, asked, self._mapped(order), birth=order.age_band is not None)
        found = await self._register.read(wanted) if asked else {}
        shown = {key: r for key, r in found.items() if r.region.startswith(order.regions)}
        if order.age_band is not None:
            self._hold_against(order.age_band, shown)
        given = [(line, shown[key]) for line in order.lines if (key := keys.get(line.number)) in shown]
        reduced = self._reduced(order, exchange, [record for _, record in given])
        lines = [self._line(order, *one, form) for one, form in zip(given, reduced, strict=True)]
        surplus = sum(form.surplus + record.surplus for (_, record), form in zip(given, reduced, strict=True))
        answered = {line.number for line in lines}
        missing = tuple(line.number for line in order.lines if line.number not in answered)
        return Release(order.request, exchange.id, self._office.party, tuple(lines), missing, surplus)

    async def _reidentify(self, order: Order) -> Release:
        """Who is behind one pseudonym: the register's own identifier, sealed; nothing where it is not there.

        The register is read in its own order until the record comes: this happens a few times a year, and needs no mapping.
        """
        if order.provider != self._office.party:
            raise Denied("order_misdirected")
        if order.recipient_key.party != order.recipient or dict(order.grants) != dict(reidentification.GRANTS):
            raise Denied("order_unserved")
        if len(order.lines) != 1:
            raise Denied("order_unserved")
        (ordered,) = order.lines
        key = self._directory.record(ordered.subject) if ordered.subject is not None else None
        number = await self._number_of(key) if key is not None else None
        if number is None:
            return Release(order.request, order.exchange, self._office.party, (), (ordered.number,))
        line = seal_line(
            {"identifier_kind": number[0], "identifier": number[1]},
            grants=order.grants,
            info=self._info(order, ordered),
            recipient=order.recipient_key,
            signer=self._office.signer,
            number=ordered.number,
            subject=ordered.subject,
            references={},
            region=None,
        )
        return Release(order.request, order.exchange, self._office.party, (line,), ())

    async def _number_of(self, key: str) -> tuple[str, str] | None:
        async for person in self._register.people():
            if person.key == key:
                return person.numbers[0] if person.numbers else None
        return None

    def _info(self, order: Order, ordered: OrderLine) -> SealInfo:
        return SealInfo(
            request=order.request,
            line=ordered.number,
            exchange=order.exchange,
            sender=self._office.party,
            recipient=order.recipient,
            recipient_kid=order.recipient_key.kid,
        )

    def _served(self, order: Order) -> Exchange:
        """The exchange as this edge was given it, if the order is for this edge and for mapped fields."""
        if order.provider != self._office.party:
            raise Denied("order_misdirected")
        exchange = self._exchanges.get(order.exchange)
        mapped = self._mapping.exchanges.get(order.exchange)
        if exchange is None or mapped is None or order.purpose != exchange.purpose:
            raise Denied("order_unserved")
        if not order.grants or not set(order.grants) <= set(exchange.fields):
            raise Denied("order_unserved")
        if order.recipient.department not in exchange.consumers or order.recipient_key.party != order.recipient:
            raise Denied("order_unserved")
        return exchange

    def _mapped(self, order: Order) -> frozenset[str]:
        """The ordered fields that this department has and that may show anything; a suppressed field is not even read."""
        mapped = self._mapping.exchanges[order.exchange].fields
        return frozenset(n for n, o in order.grants.items() if n in mapped and o.transform is not Transform.SUPPRESS)

    def _hold_against(self, asserted: AgeBand, shown: Mapping[str, Record]) -> None:
        """Refuse where a register's birth date lies in another band; a record without one contradicts nothing."""
        today = self._clock.now().astimezone(SHANGHAI).date()
        if any(contradicts(asserted, record.born, today) for record in shown.values() if record.born is not None):
            raise Denied("age_band_contradicted")

    def _reduced(self, order: Order, exchange: Exchange, records: list[Record]) -> list[Reduced]:
        today = self._clock.now().astimezone(SHANGHAI).date()
        reducer = Reducer(exchange, order.grants, medical=self._office.medical, age_band=order.age_band, today=today)
        key = self._directory.shift_key
        shifts = [shift_value(key, child=record.key, purpose=order.purpose) for record in records]
        try:
            return reducer.reduce_all([record.values for record in records], shifts)
        except BadRequest as error:
            # What may not be in a record at all (an image, item answers) is the provider's fault, not the asker's.
            raise ProviderFault(error.code, **error.facts) from None

    def _line(self, order: Order, ordered: OrderLine, record: Record, reduced: Reduced) -> Line:
        """One sealed line."""
        return seal_line(
            reduced.sealable,
            grants=order.grants,
            info=self._info(order, ordered),
            recipient=order.recipient_key,
            signer=self._office.signer,
            number=ordered.number,
            subject=ordered.subject,
            references=reduced.references,
            region=record.region[:6],
        )

    async def receive(self, message: Inbound) -> Acknowledgement:
        """Hand an opened envelope to the departmental system: `stored`, or `rejected` with a code when it never can be.

        Raises `ProviderFault` when it may succeed later.
        """
        inbound = self._mapping.inbound.get(message.exchange)
        if inbound is None:
            return Acknowledgement(message.delivery, "rejected", "order_unserved")
        names = {name for line in message.lines for name in (*line.values, *line.references)}
        if not names <= set(inbound):
            return Acknowledgement(message.delivery, "rejected", "field_unmapped")
        await self._register.take(message)
        return Acknowledgement(message.delivery, "stored")

    def is_about_children(self, exchange: str) -> bool:
        """Whether an exchange's records are children's; True for one that is unknown here."""
        known = self._exchanges.get(exchange)
        return known is None or known.personal

    async def local_values(self, exchange: str, records: tuple[str, ...]) -> Mapping[str, Record]:
        """The department's own records in the catalogue's words, for a delivery that it sends itself.

        Raises `Denied("order_unserved")` for an exchange without a mapping, `ProviderFault`.
        """
        mapped = self._mapping.exchanges.get(exchange)
        if mapped is None:
            raise Denied("order_unserved")
        return await self._register.read(Wanted(exchange, records, frozenset(mapped.fields)))

    async def enrol(self, evaluate: Evaluate, grant: str | None, progress: Progress | None = None) -> Enrolment:
        """Bring the directory up to date with the register. Raises what `evaluate` raises, `ProviderFault`."""
        return await self._directory.enrol(self._register.people(), evaluate, grant, progress)

    def describe(self) -> Description:
        """What is served, in names of the catalogue."""
        return Description(
            party=self._office.party,
            region=self._office.region,
            provides={name: tuple(sorted(m.fields)) for name, m in sorted(self._mapping.exchanges.items())},
            receives=tuple(sorted(self._mapping.inbound)),
            epoch=self._directory.epoch,
            enrolled=self._directory.size,
        )

    async def health(self) -> Health:
        """Whether the departmental system answers."""
        try:
            await self._register.probe()
        except ProviderFault as fault:
            return Health(ok=False, code=fault.code)
        return Health(ok=True)


def contradicts(asserted: AgeBand, born: date, today: date) -> bool:
    """Whether a birth date lies in another band than the asserted one. A band changes with the month: in the month of a birthday on
    which it changes both the running band and, before the day, the coming one are true (docs/adr/0006).
    """
    low, high = map(int, asserted.split("-"))
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    by_month_end = today.year - born.year - (today.month < born.month)
    return by_month_end < low or years > high
