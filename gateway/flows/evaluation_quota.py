"""How many children a party may have named: by points at the blind door, by identifiers in clear everywhere else.

Rules kept here: the quota is part of the cryptography, because minors' IDs can be counted through (2 % of the enrolled register
a day, at least 500, beyond what a grant declares, and at most a quarter of that, at least 250, within ten minutes); it is taken
in the transaction of the entry that ends the request, so calls at the same time cannot pass it together; whoever runs into it
raises an alarm, one a day; the emergency and protective doors have a quota of their own, so that no day's work uses up theirs.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime

from gateway.audit.log import AuditLog
from gateway.domain.clock import SHANGHAI, Clock
from gateway.domain.entries import EntryDraft
from gateway.domain.parties import Caller
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import Denied
from gateway.store.database import Writing
from gateway.store.exchanges import count_evaluations, enrolled_size, use_grant
from gateway.store.naming import count_burst, first_alarm, forget_ended

LEAST_QUOTA = 500
QUOTA_SHARE = 50  # one fiftieth of the register: 2 % a day
LEAST_BURST = 250
BURST_SHARE = 4  # a quarter of the day's quota
BURST_SECONDS = 600
DAY = 86_400
LIMITS = ("quota", "burst")


@dataclass(slots=True)
class Tally:
    """What one request takes from its party's quota. names: points or identifiers so far; grant: an enrolment grant that carries
    them; urgent: it came through the emergency or the protective door.
    """

    caller: Caller
    clock: Clock
    names: int = 0
    grant: str | None = None
    urgent: bool = False

    async def take(self, writing: Writing) -> None:
        """Take the names from the grant, or count them against window and day.

        `Denied`: quota, burst (both with `retry_after`, seconds), grant_unknown.
        """
        now, party = self.clock.now(), self.caller.party.text
        seconds = int(now.timestamp())
        if self.grant:
            if not await use_grant(writing, self.grant, party, self.names, seconds):
                raise Denied("grant_unknown")
            return
        quota = max(LEAST_QUOTA, await enrolled_size(writing, party) // QUOTA_SHARE)
        counted = f"{party}#urgent" if self.urgent else party
        if not await count_evaluations(writing, counted, _day(now), self.names, quota):
            raise Denied("quota", retry_after=_until_midnight(now))
        window, passed = divmod(seconds, BURST_SECONDS)
        if not await count_burst(writing, counted, window, self.names, max(LEAST_BURST, quota // BURST_SHARE)):
            raise Denied("burst", retry_after=BURST_SECONDS - passed)

    async def alarm(self, log: AuditLog, code: str) -> None:
        """One `alarm` entry per party, day and kind: somebody asks for more names than a department's day needs."""
        party, client, day = self.caller.party.text, self.caller.client.client_id, _day(self.clock.now())
        draft = EntryDraft(
            kind=EntryKind.ALARM,
            outcome=Outcome.DENIED,
            code=code,
            requester=self.caller.party.department,
            actors=(f"client:{client}",),
            detail={"party": party, "client": client, "day": day},
        )

        async def once(writing: Writing) -> None:
            if not await first_alarm(writing, party, day, code):
                raise _Known

        with contextlib.suppress(_Known):
            await log.append(draft, effect=once)


async def forget_counts(writing: Writing, now: datetime) -> None:
    """Remove counts and alarms of the past, with the house's upkeep."""
    seconds = int(now.timestamp())
    await forget_ended(writing, now=seconds, today=_day(now), window=seconds // BURST_SECONDS)


class _Known(Exception):  # noqa: N818 (no error: it only ends a submission that has nothing to say)
    """The day has this alarm already."""


def _day(now: datetime) -> str:
    return now.astimezone(SHANGHAI).date().isoformat()


def _until_midnight(now: datetime) -> int:
    local = now.astimezone(SHANGHAI)
    passed = local.hour * 3600 + local.minute * 60 + local.second
    return DAY - passed
