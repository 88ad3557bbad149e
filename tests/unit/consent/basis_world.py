"""A small world for the tests of the basis room: a movable clock, parties, officers, exchanges and a database."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gateway.consent import approvals, artefact, book, cases, uses
from gateway.consent.basis import BasisFinder
from gateway.consent.calendar import WorkingDays, latest_end, shanghai_day
from gateway.consent.changes import Change, digest
from gateway.consent.doors import Limits
from gateway.domain.basis import Ask, Basis
from gateway.domain.clock import SHANGHAI
from gateway.domain.entries import EntryDraft
from gateway.domain.exchanges import Citation, Exchange, Field
from gateway.domain.parties import Caller, Client, Officer, Party, Person
from gateway.domain.subjects import GATEWAY_SCOPE, Child, Pseudonym, Recognised, Scope
from gateway.domain.vocabulary import (
    Action,
    AgeBand,
    ConsentCode,
    Department,
    Door,
    EntryKind,
    ExchangeState,
    Level,
    Outcome,
    Pattern,
    Profile,
    ScopeKind,
)
from gateway.store.basis import case_of
from gateway.store.database import Database

CA, ED, HE, YL, WF = Department
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=SHANGHAI)
DAYS = WorkingDays.load()
CA_BUREAU = Party("11330106MB1234567A", CA)
ED_BUREAU = Party("11330106MB7654321B", ED)
HE_BUREAU = Party("12330106MB0000001C", HE)
YL_OFFICE = Party("13330106MB0000002D", YL)
REGION = "330106"


@dataclass(slots=True)
class MovedClock:
    """A clock that the test moves."""

    moment: datetime = NOON

    def now(self) -> datetime:
        return self.moment

    def move(self, **parts: float) -> None:
        self.moment += timedelta(**parts)


def refer(kind: str, record_id: str, scope: Scope) -> str:
    """Stands where the key ring's reference stands: different per scope, not the id."""
    digest = hashlib.sha256(f"{scope.name}|{kind}|{record_id}".encode()).digest()
    return f"{kind}-{base64.b32encode(digest)[:26].decode().lower()}"


def child(number: int) -> Child:
    return Child(Pseudonym(GATEWAY_SCOPE, 1, hashlib.sha256(f"child {number}".encode()).digest()))


ONE, TWO = child(1), child(2)


def person(name: str, party: Party, *functions: str) -> Person:
    return Person(name, party, frozenset(functions), f"key-of-{party.organisation}-{name}", b"\0" * 32)


def caller(party: Party, officer: str | None = "zhou", *, client: str = "", key: str = "") -> Caller:
    client_id = client or f"client-{party.department.short}"
    who = Officer(officer, party, "caseworker", key or f"key-of-{party.organisation}-{officer}") if officer else None
    return Caller(Client(client_id, party, REGION, "t", b"\0" * 32), who, REGION, b"\0" * 32, (), "rq-1")


def exchange(
    name: str,
    *,
    consent: Mapping[Department, ConsentCode],
    providers: tuple[Department, ...],
    level: Level = Level.L4,
    pattern: Pattern = Pattern.PUSH,
    purpose: str = "P01",
    fields: tuple[str, ...] = ("a", "b"),
    personal: bool = True,
) -> Exchange:
    return Exchange(
        id=name,
        zh=f"事项{name}",
        en=name,
        state=ExchangeState.SERVED,
        pattern=pattern,
        purpose=purpose,
        providers=providers,
        consumers=tuple(consent),
        level=level,
        profile=Profile.D1,
        share="有条件",
        citations=(Citation("未成年人保护法", "第九十六条", statute=True),),
        consent=dict(consent),
        scopes=dict.fromkeys(consent, ScopeKind.OPEN),
        fields={item: Field(item, item, item, "yes_no", "class:answer") for item in fields},
        personal=personal,
    )


# Shaped as the catalogue shapes them: a statutory query, warning signals, a protective report, a health query, one-time.
X02 = exchange("X02", consent={CA: ConsentCode.STATUTORY}, providers=(ED,), pattern=Pattern.VERIFY, purpose="P14")
X05 = exchange("X05", consent={CA: ConsentCode.GUARDIAN_SEPARATE_OR_EMERGENCY}, providers=(ED,), level=Level.L5)
X09 = exchange("X09", consent={ED: ConsentCode.GUARDIAN_SEPARATE}, providers=(HE,), level=Level.L5, purpose="P02")
X13 = exchange(
    "X13", consent={ED: ConsentCode.STATUTORY, YL: ConsentCode.GUARDIAN_SEPARATE}, providers=(CA,), purpose="P04"
)
X17 = exchange("X17", consent={YL: ConsentCode.ONE_TIME}, providers=(CA,), purpose="P05")
X20 = exchange("X20", consent={CA: ConsentCode.PROTECTIVE}, providers=(ED,), level=Level.L5, purpose="P07")
X22 = exchange(
    "X22",
    consent={CA: ConsentCode.GUARDIAN_SEPARATE},
    providers=(HE,),
    level=Level.L5,
    pattern=Pattern.VERIFY,
    purpose="P06",
)
X16 = exchange("X16", consent={CA: ConsentCode.NO_PERSONAL_DATA}, providers=(YL,), purpose="P05", personal=False)

_COUNT = itertools.count()


def statements_so_far() -> int:
    """How many statements were made up to now: `consent.<number>.sig`, `approval.<number>.sig`."""
    return next(_COUNT)


@dataclass(slots=True)
class World:
    """The room with its database; `do` runs a change as the log would: effect inside one transaction."""

    database: Database
    clock: MovedClock = field(default_factory=MovedClock)
    limits: Limits = field(default_factory=Limits)

    @property
    def finder(self) -> BasisFinder:
        return BasisFinder(self.clock, self.limits)

    async def do(self, change: Change) -> EntryDraft:
        async with self.database.write() as writing:
            return (await change.effect(writing)) or change.draft

    async def open_case(
        self,
        by: Caller,
        about: Child = ONE,
        *,
        exchanges: tuple[str, ...] = ("X02", "X22", "X05"),
        parties: tuple[Party, ...] = (),
        band: AgeBand | None = AgeBand.A8_13,
    ) -> str:
        change = cases.open_case(
            by,
            about,
            exchanges=exchanges,
            parties=parties,
            region=REGION,
            age_band=band,
            now=self.clock.now(),
            days=DAYS,
            refer=refer,
        )
        await self.do(change)
        return change.record_id

    async def advance(self, by: Caller, case_id: str, *events: str) -> None:
        for event in events:
            async with self.database.read() as reading:
                case = await case_of(reading, case_id)
            assert case is not None
            await self.do(cases.advance(by, case, event, now=self.clock.now(), days=DAYS))

    def approval(
        self,
        case_id: str,
        *,
        officer: str = "zhou",
        approver: Person | None = None,
        exchanges: tuple[str, ...] = ("X02", "X22"),
        begins: datetime | None = None,
        term: timedelta = timedelta(days=30),
        organisation: str | None = None,
    ) -> approvals.ApprovalClaims:
        approver = approver or person("lin", CA_BUREAU, "approver")
        start = begins or self.clock.now()
        subject = {
            "kind": "case-access",
            "case": refer("case", case_id, Scope.open(approver.party.department)),
            "officer": officer,
            "organisation": organisation or approver.party.organisation,
            "exchanges": list(exchanges),
            "from": int(start.timestamp()),
            "until": int((start + term).timestamp()),
        }
        return approvals.ApprovalClaims(approver, subject, digest(subject), f"approval.{next(_COUNT)}.sig")

    async def approve(self, by: Caller, case_id: str, claims: approvals.ApprovalClaims | None = None) -> str:
        async with self.database.read() as reading:
            case = await case_of(reading, case_id)
        change = approvals.record_approval(
            by, claims or self.approval(case_id), case, now=self.clock.now(), refer=refer
        )
        await self.do(change)
        return change.record_id

    def consent(self, to: Exchange, recipient: Department, **other: object) -> artefact.ConsentClaims:
        """Claims of a guardian's consent to everything of an exchange, for a child of 8-13 who agrees."""
        now = self.clock.now()
        given: dict[str, object] = {
            "exchange": to.id,
            "purpose": to.purpose,
            "recipients": [str(recipient)],
            "fields": sorted(to.fields),
            "age_band": "8-13",
            "grantor": "guardian",
            "relation": "51",
            "guardian": "ca:guardian-1",
            "child_grant": "granted",
            "method": "in_person",
            "given": int(now.timestamp()),
            "ends": latest_end(shanghai_day(now)).isoformat(),
            "notice_version": "2026-01",
            "evidence_digest": "0" * 64,
        }
        recorder = other.pop("recorder", None) or person("wu", ED_BUREAU)
        assert isinstance(recorder, Person)
        return artefact.read_artefact(given | other, recorder=recorder, statement=f"consent.{next(_COUNT)}.sig")

    async def give(self, by: Caller, to: Exchange, recipient: Department, about: Child = ONE, **other: object) -> str:
        claims = self.consent(to, recipient, recorder=person("wu", by.party), **other)
        change = book.give(by, about, claims, to, now=self.clock.now(), days=DAYS, refer=refer)
        await self.do(change)
        return change.record_id

    async def withdraw(self, by: Caller, of: Exchange, about: Child = ONE, consent_id: str | None = None) -> None:
        await self.do(book.withdraw(by, about, of, now=self.clock.now(), days=DAYS, consent_id=consent_id))

    async def find(
        self,
        by: Caller,
        what: Exchange,
        about: Child = ONE,
        *,
        door: Door = Door.NORMAL,
        action: Action | None = None,
        recipient: Party | None = None,
        case_id: str | None = None,
        reason: str | None = None,
        fields: tuple[str, ...] = ("a", "b"),
        purpose: str | None = None,
        again: bool = False,
    ) -> Basis:
        ask = Ask(
            exchange=what,
            purpose=purpose or what.purpose,
            door=door,
            action=action or (Action.QUERY if what.pattern.is_query else Action.SUBMIT),
            recipient=recipient or by.party,
            fields=fields,
            case_id=case_id,
            reason=reason,
            region=REGION,
        )
        async with self.database.read() as reading:
            return await self.finder.find(Recognised(by, about), ask, reading, again=again)

    async def signal(self, by: Caller, about: Child = ONE, **other: object) -> Basis:
        """A school hands a warning (X05) to civil affairs."""
        return await self.find(by, X05, about, recipient=CA_BUREAU, **other)  # type: ignore[arg-type]


async def release(world: World, basis: Basis, provider: Department = ED) -> EntryDraft | None:
    """A query's answer leaves under `basis`, with what it owes; its entry as changed by that."""
    effect = uses.released(
        basis,
        EntryDraft(EntryKind.QUERY, Outcome.RELEASED, detail={"request": "rq-1"}),
        provider=provider,
        fields=("a",),
        now=world.clock.now(),
        days=DAYS,
        limits=world.limits,
        request="rq-1",
    )
    async with world.database.write() as writing:
        return await effect(writing)


__all__ = ["replace"]
