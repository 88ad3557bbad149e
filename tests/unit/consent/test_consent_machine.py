"""A consent's life at random: whatever guardians, children, reviewers and the clock do, the most protective reading wins.

The model keeps its own short account of what happened and never asks the room what it believes.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.consent import book, reviews
from gateway.consent.calendar import latest_end, midnight_after, shanghai_day
from gateway.domain.basis import Basis
from gateway.domain.vocabulary import ConsentState
from gateway.errors import Denied
from gateway.store.basis_lists import load_review, reviews_of
from gateway.store.database import Database
from tests.unit.consent.basis_world import CA, ED_BUREAU, ONE, X05, World, caller

SCHOOL, HEAD = caller(ED_BUREAU, "wu"), caller(ED_BUREAU, "head")
BANDS = st.sampled_from(["0-7", "8-13", "14-15"])


@dataclass
class Told:
    """What the model remembers of one consent."""

    guardian: str
    fields: frozenset[str]
    band: str
    child: bool
    given: datetime
    ends: datetime
    objected: bool = False
    lifted: bool = False
    refused: bool = False


class ConsentLife(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.mkdtemp()
        self.world = World(Database(f"sqlite+aiosqlite:///{self.directory}/basis.db", pool_size=1))
        self.run(self.world.database.create_schema())
        self.told: dict[str, Told] = {}
        self.withdrawn_at: datetime | None = None
        self.revoked: set[str] = set()

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.run(self.world.database.close())
            self.loop.close()
            shutil.rmtree(self.directory)

    @rule(
        fields=st.sets(st.sampled_from(["a", "b"]), min_size=1),
        band=BANDS,
        grant=st.sampled_from(["granted", "objects", "not_asked"]),
        guardian=st.sampled_from(["g1", "g2"]),
        months=st.integers(0, 11),
    )
    def guardian_gives(self, fields: set[str], band: str, grant: str, guardian: str, months: int) -> None:
        now = self.world.clock.now().replace(microsecond=0)
        day = shanghai_day(now)
        ends = min(
            latest_end(day),
            latest_end(day, ((day.year * 12 + day.month + months) // 12, (day.month + months) % 12 + 1)),
        )
        ends = max(ends, day) if ends < day else ends
        try:
            name = self.run(
                self.world.give(
                    SCHOOL,
                    X05,
                    CA,
                    fields=sorted(fields),
                    age_band=band,
                    child_grant=grant,
                    guardian=guardian,
                    ends=ends.isoformat(),
                )
            )
        except Denied as refusal:
            assert refusal.code in {"guardian_revoked", "child_view_missing", "consent_term"}
            assert (refusal.code == "guardian_revoked") <= (guardian in self.revoked)
            return
        assert guardian not in self.revoked
        self.told[name] = Told(
            guardian, frozenset(fields), band, grant == "granted", now, midnight_after(ends), grant == "objects"
        )

    @rule(days=st.integers(0, 45), seconds=st.integers(1, 86_400))
    def time_passes(self, days: int, seconds: int) -> None:
        self.world.clock.move(days=days, seconds=seconds)

    @rule()
    def time_stops_just_before_midnight(self) -> None:
        boundary = midnight_after(shanghai_day(self.world.clock.now()))
        self.world.clock.moment = boundary - timedelta(microseconds=1)

    @rule()
    def somebody_withdraws_everything(self) -> None:
        try:
            self.run(self.world.withdraw(SCHOOL, X05))
        except Denied as refusal:
            assert refusal.code == "consent_none"
        else:
            self.withdrawn_at = self.world.clock.now()

    @rule(guardian=st.sampled_from(["g1", "g2"]))
    def guardian_is_revoked(self, guardian: str) -> None:
        self.run(self.world.do(book.revoke_guardian(SCHOOL, ONE, guardian, now=self.world.clock.now())))
        self.revoked.add(guardian)

    @precondition(lambda self: any(told.objected and not told.lifted for told in self.told.values()))
    @rule(respect=st.booleans())
    def objection_is_reviewed(self, respect: bool) -> None:
        async def close() -> None:
            async with self.world.database.read() as reading:
                found = await reviews_of(reading, ED_BUREAU.text)
                task = await load_review(reading, found[0].review_id) if found else None
            if task is None:
                return
            finding = "justified" if respect else "unjustified"
            change = reviews.close_review(HEAD, task, finding, now=self.world.clock.now())
            await self.world.do(change)
            told = self.told[task.record_id]
            told.refused, told.lifted = respect, not respect

        try:
            self.run(close())
        except Denied as refusal:
            assert refusal.code == "child_decides"

    def asked(self) -> Basis | str:
        try:
            return self.run(self.world.signal(SCHOOL))
        except Denied as refusal:
            return refusal.code

    @invariant()
    def most_protective_reading_wins(self) -> None:
        if not hasattr(self, "world"):
            return
        now = self.world.clock.now()
        after = [told for told in self.told.values() if self.withdrawn_at is None or told.given > self.withdrawn_at]
        inside = [told for told in after if told.given <= now < told.ends and told.guardian not in self.revoked]
        standing = [told for told in inside if not told.refused]
        found = self.asked()
        if isinstance(found, str):
            unproblematic = [told for told in standing if told.child and not told.objected]
            if unproblematic and unproblematic == standing:
                # All consents in force agree, and the child with them: only disjoint fields may still refuse.
                assert not frozenset.intersection(*(told.fields for told in standing))
            return
        assert found.con is ConsentState.GRANTED
        assert standing
        assert not [told for told in standing if told.objected and not told.lifted]
        assert found.consent_fields == frozenset.intersection(*(told.fields for told in standing))
        assert found.until == min(told.ends for told in standing)
        assert found.until <= now + timedelta(days=366)
        if any(told.band == "14-15" for told in standing):
            assert any(told.child for told in standing)


ConsentLife.TestCase.settings = settings(
    max_examples=25, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)
TestConsentLife = ConsentLife.TestCase
