"""监护人查询: a departmental portal asks on a guardian's behalf who looked at the child's records, and why.

Rules kept here: the look itself is an entry; every page has the same sentence about separately recorded accesses; what came
through the protective door was never written where this reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from gateway.consent.guardians import page
from gateway.domain.canonical import canonical
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.query import Answer, note_subject
from gateway.flows.recognise import recognise
from gateway.flows.requests import HistoryRequest, SignedRequest


async def accesses(house: House, signed: SignedRequest, read: Callable[[bytes], HistoryRequest]) -> Answer:
    """The child's page, newest first."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
        account = Account(EntryKind.GUARDIAN_VIEW, authenticated.caller, authenticated.proof_id)
        async with recorded(house.log, account):
            request = read(signed.body)
            recognised = await recognise(house, account, None, request.subject, reading)
            note_subject(account, recognised)
            assert isinstance(recognised.subject, Child)
            catalogue = house.catalogue
            found = await page(reading, recognised.subject, exchanges=catalogue.exchanges, purposes=catalogue.purposes)
    body = canonical({"sentence": found.sentence, "accesses": [asdict(access) for access in found.accesses]})
    async with recorded(house.log, account):
        receipt = await house.log.append(
            account.draft(Outcome.DONE, answer=body), effect=account.effect(), proof_id=account.proof_id
        )
    return Answer(body, receipt)
