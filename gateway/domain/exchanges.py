"""An exchange as the catalogue defines it: one definition drives validation, field forms, consent and notices.

Rules kept here: frozen; loaded only by `policies/catalogue`; an exchange is a value, it decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.vocabulary import (
    ConsentCode,
    Department,
    Door,
    ExchangeState,
    Level,
    Pattern,
    Profile,
    ScopeKind,
)


@dataclass(frozen=True, slots=True)
class Citation:
    """A law or administrative regulation and its articles. `statute` is False for notices (民函/民发), which alone
    never suffice (PIPL 34).
    """

    law: str
    articles: str
    statute: bool


@dataclass(frozen=True, slots=True)
class Field:
    """字段: one item of information of an exchange.

    type: a form known to `gateway/release/forms.py` (`yes_no`, `date`, `code:<table>`, `org_code`, `region`, `name`,
    `phone`, `id_number`, `text`, `integer`, `codes:<table>`, `record_id`, `period`, …).
    field_class: sensitivity class for rules (`class:answer`, `class:identity`, …).
    gate: read by a rule at the gateway, so it crosses unsealed and is dropped from the outbox row once checked.
    required: a release without it is refused (deliveries) or reported (queries).
    """

    name: str
    zh: str
    en: str
    type: str
    field_class: str
    gate: bool = False
    required: bool = False
    sealed: bool | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateRule:
    """A precondition on a gate field, e.g. X05: `guardian_contacted` must be "Y" unless the door is the emergency one."""

    field: str
    equals: tuple[str, ...]
    code: str
    doors: frozenset[Door]


@dataclass(frozen=True, slots=True)
class TableOfCounts:
    """统计表: the one table of counts that an exchange may publish, per region and period.

    rows, columns: disjoint groups, so that sums count nobody twice. threshold: smaller counts are not shown. rounding: published counts
    and totals are rounded to this base (1: not at all). Only one per exchange: two tables of the same children could be
    subtracted from each other.
    """

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    threshold: int = 5
    rounding: int = 1


@dataclass(frozen=True, slots=True)
class Generalisation:
    """How published records of an exchange become like each other: its sensitive field, and each quasi-identifier's ways to be coarser.

    Per quasi-identifier the groups of its values, finest level first (the values themselves, then declared groups); or, for region
    codes, to how many leading digits they are cut.
    """

    sensitive: str
    groups: Mapping[str, tuple[Mapping[str, str], ...]]
    digits: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """共享事项.

    consent: consent code per consumer department. scopes: the kind of scope per recipient (open or closed).
    responsible: responsible person's post per side (C61). assessment: reference of the approved impact assessment
    (C04), needed for L4 and L5. retention_days: how long a recipient may keep it, None where case-bound.
    reach: "own" - the record's region must lie within the receiving organisation's own region as well as the rule's;
    "rule" - within the rule's region only. assisted: whether the assisted door may be used.
    case_bound: a query needs an open case that concerns this child (C37) and an approval (C30).
    table, generalisation: what it may publish of counts or of records without a name; None where nothing is published so.
    """

    id: str
    zh: str
    en: str
    state: ExchangeState
    pattern: Pattern
    purpose: str
    providers: tuple[Department, ...]
    consumers: tuple[Department, ...]
    level: Level
    profile: Profile
    share: str
    citations: tuple[Citation, ...]
    consent: Mapping[Department, ConsentCode]
    scopes: Mapping[Department, ScopeKind]
    fields: Mapping[str, Field]
    gates: tuple[GateRule, ...] = ()
    personal: bool = True
    case_bound: bool = True
    assisted: bool = True
    reach: str = "own"
    ttl_hours: int = 72
    retention: str = ""
    retention_days: int | None = None
    responsible: Mapping[str, str] = field(default_factory=dict)
    assessment: str | None = None
    seed: str = ""
    table: TableOfCounts | None = None
    generalisation: Generalisation | None = None

    def __hash__(self) -> int:
        # Its mappings have no hash of their own, and its id tells it from all others but its own later definitions.
        return hash(self.id)

    def doors_for(self, consumer: Department) -> frozenset[Door]:
        """The doors that the law opens for this consumer; empty if it is no consumer of the exchange."""
        code = self.consent.get(consumer)
        return code.doors if code else frozenset()
