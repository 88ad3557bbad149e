"""告知: what guardians are owed word of, and that they got it.

Rules kept here: every statutory release owes one notice per exchange and recipient (PIPL 17, 35), every emergency one of its
own by the next working day (PIPL 18(2)); nothing protective is ever noticed; a notice that was given says how, never to
whom; what is late is listed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from gateway.consent.changes import Change, actors_of
from gateway.domain.entries import EntryDraft
from gateway.domain.parties import Caller
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import Denied
from gateway.store.basis import micros
from gateway.store.basis_tables import notices
from gateway.store.basis_writes import settle
from gateway.store.database import Writing

Method = Literal["in_person", "letter", "telephone", "link_page"]


def give_notice(caller: Caller, child: Child, notice_id: str, *, method: Method, now: datetime) -> Change:
    """A department told the guardian. In the effect Denied(notice_unknown) where nothing of this kind is owed."""
    key = {"notice_id": notice_id, "child": child.key}

    async def effect(writing: Writing) -> None:
        if not await settle(writing, notices, key=key, before="owed", row={"state": "given", "given": micros(now)}):
            raise Denied("notice_unknown")

    draft = EntryDraft(
        kind=EntryKind.NOTICE_OWED,
        outcome=Outcome.DONE,
        code="given",
        requester=caller.party.department,
        children=(child.key,),
        actors=actors_of(caller),
        detail={"notice": notice_id, "method": method},
    )
    return Change(draft, effect, notice_id)
