"""The exact diff lists every class of request whose answer changes, and nothing else changes."""

import dataclasses
import random
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "policies"))

import policy_worlds as worlds

from policies import diff, obligations, regions
from policies.book import build
from policies.classes import REFUSED

SAMPLES = 250


def said(snapshot, request):
    """The answer by another way than the diff's: Casbin through the index, then the obligations of its witnesses."""
    verdict = snapshot.judge(request, [request.fld])[request.fld]
    if not verdict.allowed:
        return REFUSED
    parsed = [obligations.parse(rule.obl) for rule in verdict.matching]
    duties = frozenset().union(*(each.duties for each in parsed))
    text = obligations.write(obligations.RowObligation(obligations.combine(each.obligation for each in parsed), duties))
    reach = min((regions.prefix(rule.reg) for rule in verdict.matching), key=len)
    return f"{text} in {reach}" if reach else text


def covers(change, request):
    each = change.requests
    return (
        each.exchange == request.obj
        and each.subject == request.sub
        and request.fld in each.fields
        and request.act in each.actions
        and request.pur in each.purposes
        and request.con in each.states
        and each.since <= request.now < each.until
        and request.reg.startswith(each.region)
        and not request.reg.startswith(each.without or ("-",))
    )


def edited(rng, rules):
    place = rng.randrange(len(rules))
    rule = rules[place]
    match rng.choice(["drop", "swap", "region", "purpose", "field", "obligation", "add"]):
        case "drop" if len(rules) > 1:
            return rules[:place] + rules[place + 1 :]
        case "swap":
            eft = "deny" if rule.allows else "allow"
            new = dataclasses.replace(rule, eft=eft, obl="none" if eft == "deny" else "clear")
        case "region":
            new = dataclasses.replace(rule, reg="*")
        case "purpose":
            new = dataclasses.replace(rule, pur="normal")
        case "field":
            new = dataclasses.replace(rule, fld="*")
        case "obligation":
            new = dataclasses.replace(rule, obl="suppress" if rule.allows else "none")
        case _:
            return [*rules, dataclasses.replace(worlds.rule(rng, 900, wild=0.5), id="NEW")]
    return [*rules[:place], new, *rules[place + 1 :]]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40), st.sampled_from([0.3, 0.6, 0.9]))
def test_a_request_changes_exactly_if_the_diff_lists_its_class(seed, size, wild):
    rng = random.Random(seed)
    rules = worlds.rules(seed, size, wild=wild)
    changed = edited(rng, rules)
    before, after = build(worlds.CATALOGUE, rules, worlds.MODEL), build(worlds.CATALOGUE, changed, worlds.MODEL)
    found = diff.difference(before, after, limit=10**9)
    assert found.complete
    near = [rule for rule in [*rules, *changed] if rule not in rules or rule not in changed] or rules
    for _ in range(SAMPLES):
        request = worlds.request(rng, near)
        if request.sub == "stranger" or "stranger" in (request.obj, request.fld, request.pur):
            continue
        if request.dom != request.sub.partition("@")[2]:
            request = request._replace(dom=request.sub.partition("@")[2])
        if request.fld not in worlds.CATALOGUE.exchanges[request.obj].fields:
            request = request._replace(fld=rng.choice(list(worlds.CATALOGUE.exchanges[request.obj].fields)))
        was, will = said(before, request), said(after, request)
        listed = {(change.before, change.after) for change in found.changes if covers(change, request)}
        assert listed == ({(was, will)} if was != will else set()), request


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40))
def test_each_listed_class_changes_as_listed(seed, size):
    rng = random.Random(seed)
    rules = worlds.rules(seed, size, wild=0.6)
    changed = edited(rng, rules)
    before, after = build(worlds.CATALOGUE, rules, worlds.MODEL), build(worlds.CATALOGUE, changed, worlds.MODEL)
    found = diff.difference(before, after, limit=10**9)
    for change in rng.sample(found.changes, min(60, len(found.changes))):
        each = change.requests
        request = worlds.Request(
            sub=each.subject,
            dom=each.subject.partition("@")[2],
            obj=each.exchange,
            fld=rng.choice(each.fields),
            act=rng.choice(each.actions),
            pur=rng.choice(each.purposes),
            reg=each.region.ljust(6, "0") if each.region else "990000",
            con=rng.choice(each.states),
            now=each.since,
        )
        assert (said(before, request), said(after, request)) == (change.before, change.after)


def test_equal_versions_have_no_difference():
    rules = worlds.rules(5, 30)
    snapshot = build(worlds.CATALOGUE, rules, worlds.MODEL)
    assert diff.difference(snapshot, build(worlds.CATALOGUE, list(rules), worlds.MODEL)) == diff.Difference(
        (), (), False
    )


def test_a_reordered_policy_has_no_difference():
    rules = worlds.rules(6, 30)
    before = build(worlds.CATALOGUE, rules, worlds.MODEL)
    assert diff.difference(before, build(worlds.CATALOGUE, rules[::-1], worlds.MODEL)).size == 0


def test_a_broad_allow_is_shown_as_its_box_and_said_so():
    rules = worlds.rules(7, 60, wild=0.5)
    broad = dataclasses.replace(
        rules[0], id="BROAD", eft="allow", obl="clear", code="-", nbf=worlds.BEGINNING, exp=worlds.END
    )
    for column in ("dom", "obj", "fld", "act", "pur", "reg", "con"):
        broad = dataclasses.replace(broad, **{column: "*"})
    broad = dataclasses.replace(broad, sub="officer")
    before = build(worlds.CATALOGUE, rules, worlds.MODEL)
    found = diff.difference(before, build(worlds.CATALOGUE, [*rules, broad], worlds.MODEL), limit=100)
    assert found.boxes == (broad,)
    assert not found.complete
