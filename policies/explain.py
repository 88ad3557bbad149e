"""Why, and why not: for each field the rules that allowed or refused it, and for a refusal the smallest lawful change.

Rules kept here: basis and region are what whoever calls this says; nothing is looked up, so an explanation cannot tell whether a
record or a consent exists (who may hear of a real child's basis is `gateway/flows/explain.py`'s to say); a suggestion is only made where one column alone
stands in the way, and the catalogue's own limits and deny rows are never suggested away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.domain.exchanges import Exchange
from gateway.domain.vocabulary import ConsentState, Department, Door
from policies import deciding
from policies.deciding import Refusals, answer
from policies.rows import ANY, Rule
from policies.snapshot import Request, Snapshot

CALLER, PEOPLE_ADMIN, GUARDIAN, OWNER, NOBODY = "caller", "people_administrator", "guardian", "owner", "nobody"
APPROVER = "approver"
# The order in which changes are offered: what the asker can do alone comes first, a new rule last.
_COLUMNS = (("pur", CALLER), ("sub", PEOPLE_ADMIN), ("con", GUARDIAN), ("reg", OWNER))


@dataclass(frozen=True, slots=True)
class Remedy:
    """The smallest lawful change. who: caller, people_administrator, approver, guardian, owner (of the rules) or nobody.

    column, value: what would have to hold. rule: the nearest allow row's id, empty where a new row is the only way.
    owner: the department that answers for the row, where the owner must act.
    """

    who: str
    column: str
    value: str
    rule: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class FieldExplanation:
    """One field. rules: ids that allowed it, or the deny row that refused it."""

    field: str
    allowed: bool
    obligation: str
    code: str
    rules: tuple[str, ...]
    remedy: Remedy | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer under one version. code: why nothing at all is granted, else empty."""

    version: str
    code: str
    fields: tuple[FieldExplanation, ...]


def explain(
    snapshot: Snapshot,
    request: Request,
    fields: Iterable[str] = (),
    *,
    consumer: Department,
    consent_fields: frozenset[str] | None = None,
) -> Explanation:
    """Why a request gets what it gets. consumer: the department that would hold the data in the end. consent_fields: what the
    consent behind it covers, None where none is supposed.
    """
    exchange = snapshot.catalogue.exchanges.get(request.obj)
    fields = tuple(fields)
    answered = answer(snapshot, request, fields, consumer=consumer, consent_fields=consent_fields)
    if exchange is None or (answered.code and not answered.withheld):
        remedy = _catalogue_remedy(exchange, answered.code, consumer)
        closed = FieldExplanation("", allowed=False, obligation="", code=answered.code, rules=(), remedy=remedy)
        return Explanation(snapshot.version, answered.code, (closed,))
    asked = tuple(dict.fromkeys(fields)) or tuple(exchange.fields)
    refusals = Refusals(snapshot, request)
    verdicts = snapshot.judge(request, asked)
    explained = []
    for field in asked:
        if field in answered.grants:
            rules = tuple(rule.id for rule in answered.matching[field])
            text = answered.grants[field].text
            explained.append(FieldExplanation(field, allowed=True, obligation=text, code="", rules=rules, remedy=None))
            continue
        witness = verdicts[field].witness
        denying = witness if witness is not None and not witness.allows else None
        explained.append(
            FieldExplanation(
                field,
                allowed=False,
                obligation="",
                code=answered.withheld[field],
                rules=(denying.id,) if denying else tuple(rule.id for rule in verdicts[field].matching),
                remedy=_remedy(refusals, request, field, denying, exchange)
                if answered.withheld[field] != deciding.CONSENT_FIELD
                else Remedy(GUARDIAN, "field", field),
            )
        )
    return Explanation(snapshot.version, answered.code, tuple(explained))


def draft(snapshot: Snapshot, request: Request, field: str, *, until: str) -> Rule:
    """The narrowest row that would allow exactly this field to exactly this asker: pre-filled for an application.

    until: end of the row, fixed-width UTC text. The obligation is the most protective that the field can bear.
    """
    exchange = snapshot.catalogue.exchanges[request.obj]
    sealed = deciding.sealing(exchange, exchange.fields[field])
    return Rule(
        id=f"{request.obj}.draft",
        eft="allow",
        sub=request.sub,
        dom=request.dom,
        obj=request.obj,
        fld=field,
        act=request.act,
        pur=request.pur,
        reg=request.reg,
        con=request.con,
        nbf=request.now,
        exp=until,
        obl="clear+sealed" if sealed else "clear",
        code="-",
        owner=str(exchange.providers[0]) if exchange.providers else request.dom,
        legal="(to be stated)",
        reason="(to be stated)",
    )


def _catalogue_remedy(exchange: Exchange | None, code: str, consumer: Department) -> Remedy | None:
    if exchange is None:
        return None
    if code == deciding.PURPOSE:
        return Remedy(CALLER, "pur", exchange.purpose)
    if code == "door_closed":
        doors = sorted(exchange.doors_for(consumer), key=list(Door).index)
        return Remedy(CALLER, "door", str(doors[0])) if doors else Remedy(NOBODY, "consumer", "")
    return None


def _remedy(refusals: Refusals, request: Request, field: str, denying: Rule | None, exchange: Exchange) -> Remedy:
    if denying is not None and denying.con == ANY:
        return Remedy(NOBODY, "sub", "", denying.id, denying.owner)
    for column, who in _COLUMNS:
        rule = next(refusals.near(field, column), None) if denying is None or column == "con" else None
        if rule is not None:
            return _towards(rule, column, who)
    if denying is not None:
        return Remedy(GUARDIAN, "con", str(ConsentState.GRANTED), denying.id)
    owner = str(exchange.providers[0]) if exchange.providers else request.dom
    return Remedy(OWNER, "rule", "", owner=owner)


def _towards(rule: Rule, column: str, who: str) -> Remedy:
    value = getattr(rule, column)
    if column == "con" and value in (ConsentState.EMERGENCY, ConsentState.PROTECTIVE, ConsentState.STATUTORY):
        return Remedy(
            CALLER, column, value, rule.id
        )  # a matter of the right door or the right department, not of consent
    return Remedy(who, column, value, rule.id, rule.owner if who == OWNER else "")
