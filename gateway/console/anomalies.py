"""异常规则: which accesses an auditor should look at, each with the figures that say why.

`anomalies.toml` holds the rules; here is how each measure is computed. A hit gathers the entries that belong together, so that a
person who took forty children is one matter and not forty.

Rules kept here: explanation comes first - an open case, a visit or a referral of the same office settles `unrelated`, the rule
of most of what is read; a rule only proposes, a person decides; nothing here knows a name.
"""

from __future__ import annotations

import statistics
import tomllib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

from gateway.consent.calendar import WorkingDays
from gateway.console.accesses import Access, Link, Tie
from gateway.domain.clock import SHANGHAI
from gateway.domain.vocabulary import Door, Outcome

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. zh, en: its name. limits: the numbers that its measure reads. severity: 1 to 3."""

    name: str
    measure: str
    severity: int
    zh: str
    en: str
    sentences: Mapping[str, str]
    settled: Mapping[str, str]
    limits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Matter:
    """Entries that a rule puts together, oldest first, with the figures of its sentence."""

    rule: Rule
    entries: tuple[Access, ...]
    figures: Mapping[str, int]

    @property
    def matter_id(self) -> str:
        """The same matter has the same id whenever it is found again."""
        return f"{self.rule.name}-{self.entries[0].index}"

    @property
    def score(self) -> int:
        """For the order of the queue: severity first, then how many entries."""
        return self.rule.severity * 100 + min(len(self.entries), 99)


Hits = Iterator[tuple[Sequence[Access], dict[str, int]]]


@cache
def rules() -> Mapping[str, Rule]:
    """The shipped rules by name."""
    text = resources.files("gateway.console").joinpath("anomalies.toml").read_text("utf-8")
    found = {}
    for name, row in tomllib.loads(text).items():
        sentences = {"zh": row.pop("zh"), "en": row.pop("en")}
        settled = {"zh": row.pop("settled_zh"), "en": row.pop("settled_en")}
        names = row.pop("name_zh"), row.pop("name_en")
        found[name] = Rule(name, row.pop("measure"), row.pop("severity"), *names, sentences, settled, row)
    return found


class Ties:
    """Which links hold for a party, a child and a moment."""

    def __init__(self, links: Iterable[Link]) -> None:
        self._links: dict[tuple[str, bytes], list[Link]] = defaultdict(list)
        for link in links:
            self._links[(link.party, link.child)].append(link)

    def of(self, access: Access, *, within: int = 0, only: Tie | None = None) -> Tie | None:
        """What explains an access, or did so within so many seconds after it. only: this tie and no other."""
        for link in self._links.get((access.party, access.child), ()):
            if link.begins <= access.at + within and access.at < link.ends and only in (None, link.tie):
                return link.tie
        return None


def judge(
    accesses: Iterable[Access],
    links: Iterable[Link],
    days: WorkingDays,
    *,
    now: int,
    chosen: Iterable[Rule] | None = None,
) -> list[Matter]:
    """Every matter, the gravest first. now: unix seconds; what may still be explained is not judged yet."""
    ordered, ties = sorted(accesses, key=lambda one: (one.at, one.index)), Ties(links)
    sight = Sight(ordered, ties, days, now)
    found = [
        Matter(rule, tuple(entries), figures)
        for rule in (rules().values() if chosen is None else chosen)
        for entries, figures in MEASURES[rule.measure](sight, rule.limits)
    ]
    return sorted(found, key=lambda matter: (-matter.score, matter.entries[0].index))


@dataclass(frozen=True, slots=True)
class Sight:
    """What a measure sees: accesses in order of time."""

    accesses: Sequence[Access]
    ties: Ties
    days: WorkingDays
    now: int

    def grouped(self, key: Callable[[Access], Any], keep: Callable[[Access], bool]) -> list[list[Access]]:
        """Accesses that pass, by a key, each group in order of time."""
        groups: dict[Any, list[Access]] = defaultdict(list)
        for access in self.accesses:
            if keep(access):
                groups[key(access)].append(access)
        return list(groups.values())


# --- measures ------------------------------------------------------------------------------------------------------------


def _unrelated(sight: Sight, _limits: Mapping[str, Any]) -> Hits:
    def strange(access: Access) -> bool:
        return access.read and access.door is Door.NORMAL and sight.ties.of(access) is None

    for group in sight.grouped(lambda one: (one.person, one.child, _day(one)), strange):
        yield group, {"reads": len(group)}


def _children_a_day(sight: Sight, limits: Mapping[str, Any]) -> Hits:
    for own in sight.grouped(lambda one: one.person, lambda one: one.read):
        days: dict[Any, list[Access]] = defaultdict(list)
        for access in own:
            days[_day(access)].append(access)
        counts = {day: len({one.child for one in group}) for day, group in days.items()}
        for day, group in days.items():
            others = [count for other, count in counts.items() if other != day]
            usual = max(limits["at_least"] - 1, _usual(others, limits["deviations"]))
            if counts[day] > usual:
                yield group, {"children": counts[day], "usual": usual}


def _usual(counts: Sequence[int], deviations: int) -> int:
    """Median and so many median absolute deviations."""
    if not counts:
        return 0
    middle = statistics.median(counts)
    return int(middle + deviations * statistics.median([abs(count - middle) for count in counts]))


def _misses(sight: Sight, limits: Mapping[str, Any]) -> Hits:
    for own in sight.grouped(lambda one: one.person, lambda one: one.outcome is Outcome.NO_RESULT):
        for group in _bursts(own, limits["seconds"], limits["at_least"]):
            yield group, {"misses": len(group)}


def _off_hours(sight: Sight, limits: Mapping[str, Any]) -> Hits:
    def odd(access: Access) -> bool:
        if not access.read or access.door is not Door.NORMAL or access.department in limits["duty"]:
            return False
        moment = _moment(access)
        return not limits["begins"] <= moment.hour < limits["ends"] or not sight.days.works(moment.date())

    for group in sight.grouped(lambda one: (one.person, (one.at - 6 * 3600) // DAY_SECONDS), odd):
        yield group, {"reads": len(group), "begins": limits["begins"], "ends": limits["ends"]}


def _proxy(sight: Sight, limits: Mapping[str, Any]) -> Hits:
    for group in sight.grouped(lambda one: (one.party, one.child), lambda _one: True):
        for refused in (one for one in group if one.outcome is Outcome.DENIED):
            for access in group:
                after = access.at - refused.at
                if not access.read or access.person == refused.person or not 0 <= after <= limits["seconds"]:
                    continue
                since = access.at - limits["familiar_seconds"]
                if not any(one.read and one.person == access.person and since <= one.at < access.at for one in group):
                    yield [access], {"minutes": after // 60}
                break


def _emergency_unconfirmed(sight: Sight, limits: Mapping[str, Any]) -> Hits:
    for access in sight.accesses:
        if access.door is not Door.EMERGENCY or not access.read or access.at + limits["seconds"] > sight.now:
            continue
        if sight.ties.of(access, within=limits["seconds"], only=Tie.CASE) is None:
            yield [access], {"hours": limits["seconds"] // 3600}


def _repeats(sight: Sight, limits: Mapping[str, Any]) -> Hits:
    for own in sight.grouped(lambda one: (one.person, one.child), lambda one: one.read):
        for group in _bursts(own, limits["seconds"], limits["at_least"]):
            yield group, {"reads": len(group)}


def _two_desks(sight: Sight, limits: Mapping[str, Any]) -> Hits:
    for own in sight.grouped(lambda one: one.person, lambda one: bool(one.officer)):
        changes = [later for earlier, later in pairwise(own) if earlier.client != later.client]
        for group in _bursts(changes, limits["seconds"], limits["at_least"]):
            first, last = group[0].at - limits["seconds"], group[-1].at
            together = [one for one in own if first <= one.at <= last]
            yield together, {"switches": len(group)}


def _bursts(own: Sequence[Access], seconds: int, at_least: int) -> Iterator[list[Access]]:
    """Stretches in which at least so many fall into so many seconds; those that overlap are one."""
    times = [access.at for access in own]
    end = 0
    for start in range(len(own)):
        if start < end:
            continue
        stop = bisect_right(times, times[start] + seconds)
        if stop - start < at_least:
            continue
        while (further := _reaches(times, stop, seconds, at_least)) > stop:
            stop = further
        yield list(own[start:stop])
        end = stop


def _reaches(times: Sequence[int], stop: int, seconds: int, at_least: int) -> int:
    """How far a stretch goes on: the next one still belongs while enough stand in the seconds before it."""
    if stop < len(times) and stop + 1 - bisect_left(times, times[stop] - seconds) >= at_least:
        return stop + 1
    return stop


def _moment(access: Access) -> datetime:
    return datetime.fromtimestamp(access.at, SHANGHAI)


def _day(access: Access) -> Any:
    return _moment(access).date()


MEASURES: Mapping[str, Callable[[Sight, Mapping[str, Any]], Hits]] = {
    "unrelated": _unrelated,
    "children_a_day": _children_a_day,
    "misses": _misses,
    "off_hours": _off_hours,
    "proxy": _proxy,
    "emergency_unconfirmed": _emergency_unconfirmed,
    "repeats": _repeats,
    "two_desks": _two_desks,
}
