"""A gateway's rooms without its doors, people whose keys sign drafts, and a second worker on the same store."""

import base64
import os
import shutil
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gateway.app import found_premises, opened
from gateway.audit.reading import Question, open_detail, page
from gateway.client import statements
from gateway.domain.parties import Party, Person
from gateway.domain.vocabulary import Department
from gateway.flows import policy_changes
from gateway.flows.policy_changes import By
from gateway.flows.policy_versions import Versions
from gateway.settings import Settings
from gateway.store.audit import get_entries
from gateway.store.registry import Enrolled
from gateway.store.registry_changes import add_person
from keys.signing import SigningKey
from policies.book import PolicyBook
from policies.rows import Rule
from policies.sources import Edit

ROOT_KEY = base64.b64encode(bytes(range(32))).decode()
ORGANISATION = "91350100M000100Y43"
LIN = By(f"{ORGANISATION}/lin", "command line", Department.EDUCATION)
DROPPED = "X02 institution_officer@civil_affairs query normal statutory"
CASE = """
[[case]]
name = "X02 institution_officer@civil_affairs query normal statutory"
who = "institution_officer@civil_affairs"
action = "query"
exchange = "X02"
door = "normal"
purpose = "P14"
con = "statutory"
grants = { enrolled = "clear", as_of = "clear" }
withheld = { stage = "no_rule", grade = "no_rule", school_org_code = "no_rule", boarding = "no_rule", status = "no_rule" }
entry = "query.released"
"""


class ShiftedClock:
    """The real time, moved by `ahead`."""

    def __init__(self):
        self.ahead = timedelta(0)

    def now(self):
        return datetime.now(UTC) + self.ahead


@dataclass
class Rooms:
    """The house, and the keys of the people who sign."""

    house: object
    clock: ShiftedClock
    people: dict = field(default_factory=dict)

    @property
    def book(self):
        return self.house.book

    async def enrol(self, name, department, *functions):
        """A person with a key of their own; the key."""
        key, party = SigningKey.generate(), Party(ORGANISATION, Department(department))
        person = Person(name, party, frozenset(functions or ("approver",)), key.thumbprint, key.verify_key.public)
        enrolled = Enrolled(person, int(time.time()) + 10**6, "an administrator", "a statement")
        async with self.house.database.write() as writing:
            await add_person(writing, enrolled, now=int(time.time()))
        self.house.registry.forget()
        self.people[name] = (party, key)
        return key

    def sign(self, name, subject, *, now=None):
        party, key = self.people[name]
        return statements.approval(name, party, key, subject=subject, now=int(now or self.clock.now().timestamp()))

    async def take(self, making):
        """Make a step and write it."""
        step = await making
        await policy_changes.carry_out(self.house, step)
        return dict(step.answer)

    async def draft(self, edit, *, by=LIN, reason="试验", **more):
        return (await self.take(policy_changes.draft(self.house, edit, reason=reason, by=by, **more)))["change"]

    async def approve(self, change, *names):
        for name in names:
            subject = (await policy_changes.standing(self.house, change)).subject
            await self.take(policy_changes.approve(self.house, change, self.sign(name, subject), by=LIN))

    async def activate(self, change, **more):
        return await self.take(policy_changes.activate(self.house, change, by=LIN, **more))

    async def activated(self, edit, *names):
        change = await self.draft(edit)
        await self.approve(change, *names)
        await self.activate(change)
        return change

    async def told(self):
        """(code, policy version, detail) of every entry about the policy, oldest first."""
        async with self.house.database.read() as reading:
            shown = await page(reading, Question(kind="policy.changed", limit=1000))
            rows = {one.index: (await get_entries(reading, one.index, one.index + 1))[0] for one in shown}
            return [
                (
                    one.skeleton["code"],
                    one.skeleton["policy"],
                    (await open_detail(reading, self.house.log.keeper, rows[one.index]))["facts"],
                )
                for one in reversed(shown)
            ]

    async def another_worker(self):
        """A second worker's own view of the same store."""
        versions = Versions(self.house.database, self.house.registry, self.house.versions.secret)
        snapshot = await versions.follow(int(self.clock.now().timestamp()))
        return replace(self.house, policy_versions=versions, book=PolicyBook(snapshot, clock=self.clock))


def settings_of(folder):
    """Premises whose root key stands in the environment: a passphrase would cost more than the test."""
    os.environ["RUNXIN_ROOT_KEY"] = ROOT_KEY
    return Settings(data=folder / "gateway", root_key_source="env", disk_reserve_mib=0, log_level="error", demo=True)


@asynccontextmanager
async def rooms(folder, like=None):
    """The rooms in a folder, founded there or copied. like: a folder that was founded and closed."""
    settings = settings_of(folder)
    if not settings.data.exists():
        if like is not None:
            shutil.copytree(like / "gateway", settings.data)
        else:
            found_premises(settings)
    clock = ShiftedClock()
    async with opened(settings_of(folder)) as house:
        async with house.database.read() as reading:
            await house.registry.refresh(reading)
        yield Rooms(replace(house, clock=clock), clock)


def rule(snapshot, rule_id) -> Rule:
    return next(each for each in snapshot.rules if each.id == rule_id)


def opening(snapshot, rule_id="X02.ca.new", *, reason="机构工作人员核验在校情况") -> Edit:
    """An edit that lets officers of institutions ask X02 too, with the case that says so."""
    row = replace(rule(snapshot, "X02.ca.q01"), id=rule_id, sub="institution_officer@civil_affairs", reason=reason)
    return Edit(put=(row,), put_cases=CASE)
