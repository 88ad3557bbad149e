"""Two names of one child: the identifier that a department issued to a child without an ID, and the ID that came later.

Rules kept here: an officer says so, and it is an entry in the histories of both names; what was recorded under the old name is
recorded under the new one from the same moment; where both names already have a history two children might be mixed up, so
two approvers of the department, neither of them the officer, must have signed exactly this joining; nothing is ever taken apart again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.domain.canonical import canonical
from gateway.domain.parties import Caller, Person
from gateway.domain.subjects import GATEWAY_SCOPE, Child, Scope
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.recognise import name_for, recognise
from gateway.flows.requests import AliasRequest, SignedRequest, SubjectRequest
from gateway.identity.approvals import verify_approval
from gateway.store.children import has_history, join, move_child
from gateway.store.database import Reading, Writing
from gateway.store.exchanges import resolve_alias
from keys.text import read as read_pseudonym

APPROVERS = 2


async def alias(house: House, signed: SignedRequest, read: Callable[[bytes], AliasRequest]) -> Answer:
    """Join the issued and the later name of one child. The answer is what the caller calls the child from now on.

    `Denied`: alias_same (joined already), approval_missing (both have a history and there are not two approvals),
    approval_self, approval_subject, approval_other_department and what `verify_approval` raises.
    """
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
        caller = authenticated.caller
        account = Account(EntryKind.KEY_EVENT, caller, authenticated.proof_id)
        async with recorded(house.log, account):
            request = read(signed.body)
            old = await _child(house, account, request.issued, reading)
            new = await _child(house, account, request.identified, reading)
            if old == new:
                raise Denied("alias_same")
            approvers = await _approved(house, caller, request, (old.key, new.key), reading)
            account.more_actors = tuple(f"person:{p.party.organisation}/{p.person_id}" for p in approvers)
            account.references["approvals"] = list(request.approvals)
            await _require_approved(reading, old, new, approvers)
    async with recorded(house.log, account):
        account.children = (old.key, new.key)
        body = canonical({"pseudonym": name_for(house.ring, new, Scope.open(caller.party.department))})

        async def effect(writing: Writing) -> None:
            # Looked at again under the log's lock: a history may have begun since.
            await _require_approved(writing, old, new, approvers)
            await join(writing, old.key, new.key, caller.request_id)
            await move_child(writing, old.key, new.key)

        try:
            receipt = await house.log.append(
                account.draft(Outcome.DONE, code="alias", answer=body),
                effect=account.effect(effect),
                proof_id=account.proof_id,
            )
        except Denied:
            # A refusal leaves no trace in a history that has not begun.
            account.children = ()
            raise
    return Answer(body, receipt)


async def _child(house: House, account: Account, subject: SubjectRequest, reading: Reading) -> Child:
    recognised = await recognise(house, account, None, subject, reading)
    if not isinstance(recognised.subject, Child):
        raise BadRequest("subject_missing")
    return recognised.subject


async def _require_approved(reading: Reading, old: Child, new: Child, approvers: Sequence[Person]) -> None:
    if len(approvers) >= APPROVERS:
        return
    if await has_history(reading, old.key) and await has_history(reading, new.key):
        raise Denied("approval_missing")


async def _approved(
    house: House, caller: Caller, request: AliasRequest, joined: tuple[bytes, bytes], reading: Reading
) -> tuple[Person, ...]:
    """Who signed this joining; each signature must hold and be another person's."""
    now = int(house.clock.now().timestamp())
    approvers: dict[tuple[str, str], Person] = {}
    for text in request.approvals:
        verified = verify_approval(text, snapshot=house.registry.current, now=now)
        subject, person = verified.subject, verified.approver
        if set(subject) != {"kind", "issued", "identified"} or subject["kind"] != "alias":
            raise Denied("approval_subject")
        if person.party.department is not caller.party.department:
            raise Denied("approval_other_department")
        named = [await _point(house, caller, subject[member], reading) for member in ("issued", "identified")]
        if tuple(named) != joined:
            raise Denied("approval_subject")
        if caller.officer is not None and _same(person, caller):
            raise Denied("approval_self")
        approvers[person.party.organisation, person.person_id] = person
    return tuple(approvers.values())


def _same(person: Person, caller: Caller) -> bool:
    officer = caller.officer
    return officer is not None and (officer.party.organisation, officer.person_id) == (
        person.party.organisation,
        person.person_id,
    )


async def _point(house: House, caller: Caller, text: object, reading: Reading) -> bytes:
    """The gateway's own name behind a pseudonym in an approval, in whichever accepted epoch it was written."""
    if not isinstance(text, str):
        raise Denied("approval_subject")
    try:
        known = read_pseudonym(text, Scope.open(caller.party.department))
        own = house.ring.translate([known], GATEWAY_SCOPE)[0].point
    except BadRequest:
        raise Denied("approval_subject") from None
    return await resolve_alias(reading, own)
