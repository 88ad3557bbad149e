"""为何放行、为何不放行: a made-up request explained to anybody; a real child's basis only to who has an open case on that child.

Rules kept here: without such a case there is one code, `basis_missing`, of one shape, after the same reads, whatever is recorded
about the child; a made-up request touches no record at all; whether a provider holds a record is never looked up; an
explanation that names a child is an entry in that child's history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.basis import Ask
from gateway.domain.canonical import canonical
from gateway.domain.clock import policy_time
from gateway.domain.exchanges import Exchange
from gateway.domain.parties import Caller
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import Action, ConsentState, Department, Door, EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.flows.account import Account, recorded
from gateway.flows.asked import case_asked
from gateway.flows.decide import party_named
from gateway.flows.house import House
from gateway.flows.inbox import spend_proof
from gateway.flows.query import Answer
from gateway.flows.recognise import recognise
from gateway.flows.requests import SignedRequest, SubjectRequest
from gateway.store.database import Reading
from policies import explain as room
from policies import regions
from policies.explain import Explanation, FieldExplanation, Remedy
from policies.snapshot import Request

BASIS_MISSING = "basis_missing"
CASE_REFUSALS = frozenset({"case_missing", "case_party", "case_other_child", "case_closed", "case_exchange"})
"""Codes that only say that the caller has no open case on this child: nobody hears which of them it was."""
CONSENT_STATES = {"consent_withdrawn": ConsentState.WITHDRAWN, "consent_none": ConsentState.NONE}


@dataclass(frozen=True, slots=True)
class Supposed:
    """A made-up request, as words from outside. subject: `<function>@<department>`. purpose, consumer: "" for the usual one."""

    exchange: str
    subject: str
    action: str
    door: str
    region: str
    con: str
    purpose: str = ""
    consumer: str = ""
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """`POST /v1/policy/explain`: as the caller itself. con: supposed, where no child is named. recipient: of a `submit`."""

    exchange: str
    action: Action
    door: Door
    purpose: str = ""
    recipient: str = ""
    region: str = ""
    con: ConsentState | None = None
    subject: SubjectRequest | None = field(default=None, repr=False)
    case: str = ""
    fields: tuple[str, ...] = ()


def suppose(house: House, supposed: Supposed) -> Explanation:
    """Explain a made-up request. `BadRequest("body_invalid")` names the word that is not known."""
    function, _, department = supposed.subject.partition("@")
    catalogue = house.book.catalogue
    exchange = catalogue.exchanges.get(supposed.exchange)
    if exchange is None:
        raise BadRequest("exchange_unknown")
    if not regions.is_region(supposed.region):
        raise BadRequest("body_invalid", place="region", fault="unknown")
    if function not in {*catalogue.functions, "inbox"}:
        raise BadRequest("body_invalid", place="subject", fault="unknown")
    action = Action(_word("action", supposed.action, Action))
    own = Department(_word("subject", department, Department))
    return _explained(
        house,
        exchange,
        subject=supposed.subject,
        department=own,
        action=action,
        door=Door(_word("door", supposed.door, Door)),
        purpose=_word("purpose", supposed.purpose or exchange.purpose, catalogue.purposes),
        region=supposed.region,
        con=ConsentState(_word("con", supposed.con, ConsentState)),
        consumer=Department(_word("consumer", supposed.consumer or str(_consumer(exchange, action, own)), Department)),
        fields=supposed.fields,
    )


async def explain(house: House, signed: SignedRequest, read: Callable[[bytes], ExplainRequest]) -> Answer | bytes:
    """Explain a caller's own request; with a child named, from its real basis, which needs an open case on that child."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
        caller = authenticated.caller
        account = Account(EntryKind.POLICY_EXPLAINED, caller, authenticated.proof_id)
        async with recorded(house.log, account):
            request = read(signed.body)
            if request.subject is not None:
                explanation = await _of_child(house, account, request, reading)
    if request.subject is None:
        async with recorded(house.log, account):
            body = canonical(told(suppose(house, _as_caller(caller, request))))
            await spend_proof(house, authenticated.proof_id)
        return body
    async with recorded(house.log, account):
        body = canonical(told(explanation))
        receipt = await house.log.append(
            account.draft(Outcome.DONE, code=explanation.code, answer=body),
            effect=account.effect(),
            proof_id=account.proof_id,
        )
    return Answer(body, receipt)


async def _of_child(house: House, account: Account, request: ExplainRequest, reading: Reading) -> Explanation:
    caller = account.caller
    exchange = house.book.catalogue.exchanges.get(request.exchange)
    if exchange is None:
        raise BadRequest("exchange_unknown")
    if request.door is not Door.NORMAL or not exchange.personal:
        # The other doors rest on no consent: what is made up says it all.
        raise BadRequest("subject_unexpected")
    account.exchange, account.door, account.purpose = exchange.id, request.door, exchange.purpose
    recognised = await recognise(house, account, exchange, request.subject, reading)
    assert isinstance(recognised.subject, Child)
    account.children = (recognised.subject.key,)
    account.policy_version = house.book.version
    ask = Ask(
        exchange=exchange,
        purpose=request.purpose or exchange.purpose,
        door=request.door,
        action=request.action,
        recipient=party_named(house, request.recipient) if request.action is Action.SUBMIT else caller.party,
        fields=request.fields or tuple(exchange.fields),
        # Without a case there is still one, nobody's: the reads are the same and so is the refusal.
        case_id=await case_asked(request.case, caller, reading),
        region=caller.region,
    )
    consented = None
    try:
        basis = await house.basis.find(recognised, ask, reading, again=True)
        con, consented = basis.con, basis.consent_fields
    except Denied as refused:
        code = BASIS_MISSING if refused.code in CASE_REFUSALS else refused.code
        if code not in CONSENT_STATES:
            return _closed(house, code)
        con = CONSENT_STATES[code]
    return _explained(
        house,
        exchange,
        subject=caller.role,
        department=caller.party.department,
        action=request.action,
        door=request.door,
        purpose=ask.purpose,
        region=caller.region,
        con=con,
        consumer=ask.recipient.department,
        fields=request.fields,
        consented=consented,
    )


def told(explanation: Explanation) -> dict[str, Any]:
    """An explanation as JSON."""
    return {
        "version": explanation.version,
        "code": explanation.code,
        "fields": [
            {
                "field": each.field,
                "allowed": each.allowed,
                "obligation": each.obligation,
                "code": each.code,
                "rules": list(each.rules),
                "remedy": _remedy(each.remedy),
            }
            for each in explanation.fields
        ],
    }


def _remedy(remedy: Remedy | None) -> dict[str, str]:
    if remedy is None:
        return {}
    return {
        "who": remedy.who,
        "column": remedy.column,
        "value": remedy.value,
        "rule": remedy.rule,
        "owner": remedy.owner,
    }


def _explained(
    house: House,
    exchange: Exchange,
    *,
    subject: str,
    department: Department,
    action: Action,
    door: Door,
    purpose: str,
    region: str,
    con: ConsentState,
    consumer: Department,
    fields: tuple[str, ...],
    consented: frozenset[str] | None = None,
) -> Explanation:
    request = Request(
        sub=subject,
        dom=str(department),
        obj=exchange.id,
        fld="",
        act=str(action),
        pur=f"{door}.{purpose}",
        reg=region,
        con=str(con),
        now=policy_time(house.clock.now()),
    )
    if any(name not in exchange.fields for name in fields):
        raise BadRequest("field_unknown")
    return room.explain(house.book.snapshot, request, fields, consumer=consumer, consent_fields=consented)


def _closed(house: House, code: str) -> Explanation:
    """What stands before any rule. Approvals are an approver's to give; a case, the caller's to open."""
    if code == BASIS_MISSING:
        remedy = Remedy(room.CALLER, "case", "")
    elif code.startswith("approval_"):
        remedy = Remedy(room.APPROVER, "approval", "")
    elif code.startswith("consent_") or code == "child_consent_missing":
        remedy = Remedy(room.GUARDIAN, "con", str(ConsentState.GRANTED))
    else:
        remedy = Remedy(room.NOBODY, "", "")
    field_ = FieldExplanation("", allowed=False, obligation="", code=code, rules=(), remedy=remedy)
    return Explanation(house.book.version, code, (field_,))


def _as_caller(caller: Caller, request: ExplainRequest) -> Supposed:
    if request.con is None:
        raise BadRequest("body_invalid", place="con", fault="missing")
    return Supposed(
        exchange=request.exchange,
        subject=caller.role,
        action=str(request.action),
        door=str(request.door),
        region=request.region or caller.region,
        con=str(request.con),
        purpose=request.purpose,
        consumer=request.recipient.partition("/")[2],
        fields=request.fields,
    )


def _consumer(exchange: Exchange, action: Action, own: Department) -> Department:
    """Who would hold the data in the end, where nobody is named."""
    return exchange.consumers[0] if action is Action.SUBMIT and exchange.consumers else own


def _word(place: str, word: str, words: Any) -> str:
    if word not in {*map(str, words)}:
        raise BadRequest("body_invalid", place=place, fault="unknown")
    return word
