"""The book decides by one snapshot, refuses to start wrong, and never mixes two versions."""

import asyncio
import dataclasses
import sys
import threading
from datetime import UTC, datetime

import pytest

from gateway.domain.basis import Ask, Basis
from gateway.domain.parties import Caller, Client, Officer, Party
from gateway.domain.permits import Obligation
from gateway.domain.subjects import NoChild, Recognised
from gateway.domain.vocabulary import Action, ConsentState, Department, Door, Duty, Transform
from gateway.errors import Denied, GatewayFault
from policies import book, catalogue, matcher, rows
from policies.book import PolicyBook, PolicyError, build
from tests.unit.stepping_clock import SteppingClock

BOOK = PolicyBook.open()
CATALOGUE = BOOK.catalogue
UNTIL = datetime(2026, 12, 31, tzinfo=UTC)


def basis(
    exchange, who, *, action="query", to=None, door="normal", con="statutory", region="330106", fields=(), **more
):
    function, _, department = who.partition("@")
    party = Party("91350100M000100Y43", Department(department))
    client = Client("c1", party, region, "thumb", b"")
    officer = Officer("p1", party, function, "thumb") if function else None
    caller = Caller(client, officer, region, b"", (), "r1")
    found = CATALOGUE.exchanges[exchange]
    recipient = Party("91350100M000100Y43", Department(to)) if to else party
    ask = Ask(found, found.purpose, Door(door), Action(action), recipient, tuple(fields), region=region)
    return Basis(
        recognised=Recognised(caller, NoChild()),
        ask=ask,
        con=ConsentState(con),
        case_id=None,
        case_region=None,
        age_band=None,
        consent_fields=more.get("consent_fields"),
        until=UNTIL,
        duties=more.get("duties", frozenset()),
    )


def test_a_permit_names_fields_obligations_rules_regions_and_version():
    permit = BOOK.decide(basis("X01", "case_worker@education"))
    assert permit.grants["status_class"] == Obligation(Transform.ANSWER_ONLY, "class=left_behind")
    assert permit.rules["status_class"] == ("X01.ed.q02",)
    assert permit.regions == ("330106",)
    assert permit.policy_version == BOOK.version
    assert permit.until == UNTIL


def test_withdrawn_consent_refuses_and_names_the_deny_row():
    with pytest.raises(Denied) as refused:
        BOOK.decide(basis("X01", "hotline_operator@youth_league", con="withdrawn"))
    assert (refused.value.code, refused.value.rules) == ("consent_withdrawn", ("D01",))


def test_withdrawal_does_not_close_the_emergency_door():
    permit = BOOK.decide(
        basis(
            "X05",
            "school_psychologist@education",
            action="submit",
            to="civil_affairs",
            door="emergency",
            con="emergency",
        )
    )
    assert permit.duties == {Duty.NOTIFY_GUARDIAN, Duty.REVIEW}


def test_delivery_seals_all_but_gates_and_references():
    permit = BOOK.decide(
        basis("X20", "duty_officer@health", action="submit", to="education", door="protective", con="protective")
    )
    assert permit.grants["report_id"] == Obligation(Transform.PSEUDONYMISE)
    assert all(each.sealed for name, each in permit.grants.items() if name != "report_id")
    permit = BOOK.decide(
        basis("X05", "school_psychologist@education", action="submit", to="civil_affairs", con="granted")
    )
    assert [name for name, each in permit.grants.items() if not each.sealed] == ["urgency", "guardian_contacted"]


def test_receive_reads_the_recipients_region():
    sent = basis("X05", "school_psychologist@education", action="receive", to="civil_affairs", con="granted")
    assert BOOK.decide(sent, region="330100").regions == ("3301",)


def test_region_is_told_apart_from_no_rule():
    local = [dataclasses.replace(rule, reg="330100") if rule.allows else rule for rule in BOOK.snapshot.rules]
    here = PolicyBook(build(CATALOGUE, local))
    assert here.decide(basis("X02", "case_worker@civil_affairs")).grants
    with pytest.raises(Denied) as refused:
        here.decide(basis("X02", "case_worker@civil_affairs", region="510101"))
    assert refused.value.code == "region"
    with pytest.raises(Denied) as refused:
        here.decide(basis("X02", "registrar@civil_affairs", region="510101"))
    assert refused.value.code == "no_rule"


def test_an_expired_rule_gives_nothing():
    past = [
        dataclasses.replace(rule, exp="2026-01-01T00:00:00Z") if rule.allows else rule for rule in BOOK.snapshot.rules
    ]
    with pytest.raises(Denied):
        PolicyBook(build(CATALOGUE, past)).decide(basis("X02", "case_worker@civil_affairs"))


def test_a_permit_that_was_worked_out_before_follows_the_basis_and_the_rules_times():
    ends = datetime(2026, 11, 3, tzinfo=UTC)
    ending = [dataclasses.replace(rule, exp="2026-11-03T00:00:00Z") for rule in BOOK.snapshot.rules]
    clock = SteppingClock()
    here = PolicyBook(build(CATALOGUE, ending), clock=clock)
    first = here.decide(basis("X02", "case_worker@civil_affairs"))
    assert (first.until, first.duties) == (ends, frozenset())
    sooner = dataclasses.replace(basis("X02", "case_worker@civil_affairs", duties={"review"}), until=clock.now())
    again = here.decide(sooner)
    assert (again.grants, again.until, again.duties) == (first.grants, clock.now(), {Duty.REVIEW})
    one = basis("X02", "case_worker@civil_affairs", consent_fields=frozenset({"enrolled"}))
    assert set(here.decide(one).grants) == {"enrolled"}
    clock.moment = ends
    with pytest.raises(Denied):
        here.decide(basis("X02", "case_worker@civil_affairs"))


def test_two_overlapping_rows_give_the_more_protective_obligation():
    row = next(rule for rule in BOOK.snapshot.rules if rule.id == "X01.ed.q02")
    wider = dataclasses.replace(row, id="X01.wider", obl="clear")
    both = PolicyBook(build(CATALOGUE, [*BOOK.snapshot.rules, wider]))
    assert both.decide(basis("X01", "case_worker@education")).grants["status_class"].form == "class=left_behind"
    other = dataclasses.replace(row, id="X01.other", obl="answer_only:class=orphan")
    clash = PolicyBook(build(CATALOGUE, [*BOOK.snapshot.rules, other]))
    assert clash.decide(basis("X01", "case_worker@education")).withheld == {"status_class": "obligation_withheld"}


def test_an_empty_policy_does_not_start():
    with pytest.raises(PolicyError, match="empty"):
        build(CATALOGUE, [])


@pytest.mark.parametrize(
    "broken",
    [
        "eval(p.sub)",
        "r.act == p.act && regexMatch(r.sub, p.sub)",
        'r.act == p.act && r.act == "query"',
        "r.act == p.colour",
        "r.act == p.act == p.dom",
        "g(r.sub, p.sub, r.dom)",
        "keyMatch(r.sub, p.sub)",
        "r.sub.__class__ == p.sub",
        "(lambda: r.sub)() == p.sub",
    ],
)
def test_a_matcher_that_names_anything_unknown_does_not_load(broken):
    text = (book.HOME / "model.conf").read_text(encoding="utf-8")
    head = text[: text.index("[matchers]")]
    with pytest.raises((matcher.MatcherError, PolicyError)):
        build(CATALOGUE, BOOK.snapshot.rules, f"{head}[matchers]\nm = {broken}\n")


def test_the_stopped_distribution_beside_pycasbin_does_not_start(monkeypatch):
    monkeypatch.setattr(book.metadata, "packages_distributions", lambda: {"casbin": ["pycasbin", "casbin"]})
    book.providers_of_casbin.cache_clear()
    with pytest.raises(PolicyError, match="pycasbin"):
        build(CATALOGUE, BOOK.snapshot.rules)
    monkeypatch.undo()
    book.providers_of_casbin.cache_clear()


def test_an_untested_series_of_pycasbin_does_not_start(monkeypatch):
    monkeypatch.setattr(book.metadata, "version", lambda _: "2.9.0")
    with pytest.raises(PolicyError, match="series"):
        build(CATALOGUE, BOOK.snapshot.rules)


def test_an_engine_that_raises_is_a_fault_and_never_an_answer():
    class Broken:
        def enforce(self, rows, request):
            raise RuntimeError("synthetic")

    snapshot = build(CATALOGUE, BOOK.snapshot.rules)
    snapshot.engine = Broken()
    with pytest.raises(GatewayFault, match="policy_failed"):
        PolicyBook(snapshot).decide(basis("X01", "case_worker@education"))


def test_version_covers_model_catalogue_rules_and_obligations():
    rules = list(BOOK.snapshot.rules)
    model = BOOK.snapshot.model_text
    edited = [dataclasses.replace(rules[-1], obl="suppress"), dataclasses.replace(rules[-1], reason="另一理由")]
    versions = {build(CATALOGUE, [*rules[:-1], each]).version for each in edited}
    versions |= {build(CATALOGUE, rules, model + "\n").version, build(CATALOGUE, rules).version}
    versions.add(build(dataclasses.replace(CATALOGUE, digest="0" * 64), rules).version)
    assert len(versions) == 5
    assert build(CATALOGUE, rules).version == BOOK.version


def test_no_request_value_reaches_a_log(caplog):
    with caplog.at_level("DEBUG"), pytest.raises(Denied):
        BOOK.decide(basis("X01", "volunteer@education"))
    assert caplog.records == []


def fifty_versions():
    """Fifty-one versions of which no two answer the same question alike, and what each answers."""
    fields = list(CATALOGUE.exchanges["X02"].fields)
    rows = [rule for rule in BOOK.snapshot.rules if rule.obj == "X02" or rule.owner == "all"]
    asked = basis("X02", "case_worker@civil_affairs")
    versions, answers = [], []
    for number in range(51):
        shown = {name for place, name in enumerate(fields) if (number + 1) >> place & 1}
        like = next(rule for rule in rows if rule.id == "X02.ca.q01")
        own = [dataclasses.replace(like, id=f"X02.own.{name}", fld=name) for name in sorted(shown)]
        snapshot = build(CATALOGUE, [*(rule for rule in rows if not rule.id.startswith("X02.ca.")), *own])
        versions.append(snapshot)
        answers.append((snapshot.version, frozenset(PolicyBook(snapshot).decide(asked).grants)))
    assert len({grants for _, grants in answers}) == 51
    return asked, versions, answers


def test_eight_threads_and_two_hundred_tasks_get_only_the_old_answer_or_the_new_while_fifty_versions_are_published():
    asked, versions, answers = fifty_versions()
    shared, place = PolicyBook(versions[0]), {version: number for number, (version, _) in enumerate(answers)}
    published, stop, seen, wrong = [0], threading.Event(), set(), []

    def ask():
        first = published[0]
        permit = shared.decide(asked)
        # Read after the decision, one further: `publish` swaps first and tells afterwards.
        last = published[0] + 1
        number = place[permit.policy_version]
        seen.add(number)
        if not first <= number <= last or (permit.policy_version, frozenset(permit.grants)) != answers[number]:
            wrong.append((first, number, last))

    def ask_until_told():
        while not stop.wait(0.001):
            ask()

    async def ask_in_turns():
        while published[0] < 50:
            ask()
            await asyncio.sleep(0.01)

    async def publish():
        for number in range(1, 51):
            before = len(seen)
            shared.publish(versions[number])
            published[0] = number
            while len(seen) == before:  # somebody has decided by the new one before the next comes
                await asyncio.sleep(0.001)

    async def everybody():
        await asyncio.gather(publish(), *(ask_in_turns() for _ in range(200)))

    threads = [threading.Thread(target=ask_until_told) for _ in range(8)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    for thread in threads:
        thread.start()
    try:
        asyncio.run(everybody())
    finally:
        sys.setswitchinterval(usual)
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert seen == set(range(51)) or seen == set(range(1, 51))


def test_strangers_leave_no_trace_in_the_relations():
    before = len(BOOK.snapshot.relations["g"].above)
    for number in range(50):
        with pytest.raises(Denied):
            BOOK.decide(basis("X01", f"stranger{number}@education"))
    assert len(BOOK.snapshot.relations["g"].above) == before


def test_rules_of_the_seed_are_those_of_the_book():
    assert rows.read(rows.HOME, catalogue.load()) == BOOK.snapshot.rules
