"""Controls that the catalogue and its rules keep: what may be exchanged at all, by whom, and what nobody may. Each bad case is a
change of the shipped catalogue that has to be refused.
"""

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Department, ExchangeState, Level, Transform
from gateway.errors import Denied
from gateway.release.labels import labels
from policies import catalogue
from policies.book import PolicyBook, build
from policies.catalogue import CatalogueError
from policies.classes import Space
from policies.invariants import STATUS_EXCHANGES, breaches, invariants
from policies.snapshot import Request
from tests.unit.policies.test_policy_book import basis

BOOK = PolicyBook.open()
EXCHANGES = BOOK.catalogue.exchanges
NOW = "2026-11-22T00:00:00Z"


@pytest.fixture
def home(tmp_path):
    copied = tmp_path / "catalogue"
    shutil.copytree(catalogue.HOME, copied, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return copied


def edit(home, name, old, new):
    path = home / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def refusal(home):
    with pytest.raises(CatalogueError) as refused:
        catalogue.load(home)
    return str(refused.value)


def code_of(*args, **more):
    with pytest.raises(Denied) as refused:
        BOOK.decide(basis(*args, **more))
    return refused.value.code


def test_C01_an_exchange_that_cites_a_notice_only_does_not_load_and_with_a_law_it_does(home):
    path = home / "exchanges" / "X02.toml"
    head, _, rest = path.read_text("utf-8").partition("[[citations]]")
    fields = rest[rest.index("[fields.") :]
    notice = '[[citations]]\nlaw = "民函〔2025〕32号"\narticles = "全文"\nstatute = false\n\n'
    path.write_text(head + notice + fields, "utf-8")
    assert "X02.toml" in refusal(home)
    law = '[[citations]]\nlaw = "中华人民共和国未成年人保护法"\narticles = "43"\nstatute = true\n\n'
    path.write_text(head + notice + law + fields, "utf-8")
    assert [cited.statute for cited in catalogue.load(home).exchanges["X02"].citations] == [False, True]


def test_C03_every_release_is_labelled_with_purpose_and_end_and_may_not_be_passed_on():
    until = datetime(2026, 12, 31, tzinfo=UTC)
    for each in EXCHANGES.values():
        told = labels(each, each.purpose, until)
        assert (told["exchange"], told["purpose"], told["onward"]) == (each.id, each.purpose, "no")
        assert told["until"] == "2026-12-31T00:00:00Z"


def test_C04_l4_and_l5_do_not_load_without_an_approved_assessment(home):
    sensitive = [each for each in EXCHANGES.values() if each.level in (Level.L4, Level.L5)]
    assert sensitive and all(each.assessment for each in sensitive)
    text = (home / "assessments.toml").read_text("utf-8")
    (home / "assessments.toml").write_text(text.replace('state = "approved"', 'state = "draft"', 1), "utf-8")
    assert "assessment" in refusal(home)


def test_C09_a_risk_band_is_handed_in_by_a_named_professional_and_never_by_a_system_alone():
    for name in ("X05", "X08"):
        assert "risk_band" in EXCHANGES[name].fields
        for provider in EXCHANGES[name].providers:
            consumer = next(iter(EXCHANGES[name].consumers))
            assert code_of(name, f"system@{provider}", action="submit", to=consumer, con="granted") == "no_rule"
    permit = BOOK.decide(
        basis("X05", "school_psychologist@education", action="submit", to="civil_affairs", con="granted")
    )
    assert "risk_band" in permit.grants


def test_C31_whatever_no_rule_allows_is_refused():
    refusing = code_of("X05", "volunteer@education", action="submit", to="civil_affairs", con="granted")
    assert refusing in {"no_rule", "rule_denied"}
    space = Space(BOOK.snapshot.catalogue, BOOK.snapshot.relations, BOOK.snapshot.rules)
    allowed = {(obj, sub) for shape in space.shapes if shape.rule.allows for obj, sub in space.cells(shape.rule)}
    asked = refused = 0
    for obj, each in EXCHANGES.items():
        for function, known in BOOK.catalogue.functions.items():
            for department in known.departments:
                sub = f"{function}@{department}"
                if (obj, sub) in allowed:
                    continue
                for act in ("query", "submit", "receive"):
                    field = next(iter(each.fields))
                    pur = f"normal.{each.purpose}"
                    request = Request(sub, department, obj, field, act, pur, "330106", "statutory", NOW)
                    asked += 1
                    refused += not BOOK.snapshot.enforce(request)[0]
    assert asked > 1000 and refused == asked


@pytest.mark.parametrize("role", ["system_administrator", "security_administrator", "auditor"])
def test_C32_administrators_and_auditors_read_no_payload_whatever_the_exchange(role):
    for each in EXCHANGES.values():
        for con in ("statutory", "granted", "emergency", "protective"):
            for door in ("normal", "emergency", "protective"):
                for field in each.fields:
                    sub = f"{role}@civil_affairs"
                    pur = f"{door}.{each.purpose}"
                    request = Request(sub, "civil_affairs", each.id, field, "query", pur, "330106", con, NOW)
                    assert not BOOK.snapshot.decide_compiled(request)


def test_C32_no_version_in_which_an_administrator_sees_data_is_sound():
    assert not breaches(BOOK.snapshot)
    rules = list(BOOK.snapshot.rules)
    without = [rule for rule in rules if not (rule.eft == "deny" and rule.sub == "administrator")]
    one = next(rule for rule in rules if rule.allows and rule.obj == "X02")
    opened = build(BOOK.catalogue, [*without, replace(one, id="X02.bad", sub="auditor@civil_affairs", dom="*")])
    assert "no administrator sees data" in {breach.invariant for breach in breaches(opened)}


def test_C34_a_rule_of_one_county_opens_nothing_in_another():
    local = [replace(r, reg="330106") if r.obj == "X02" and r.allows else r for r in BOOK.snapshot.rules]
    snapshot = build(BOOK.catalogue, local)
    answers = []
    for region in ("330106", "330106001", "330102", "3301", "440106"):
        sub, pur = "case_worker@civil_affairs", "normal.P14"
        request = Request(sub, "civil_affairs", "X02", "enrolled", "query", pur, region, "statutory", NOW)
        answers.append(snapshot.decide_compiled(request))
    assert answers == [True, True, False, False, False]


def test_C34_a_permit_reaches_only_the_organisations_own_region():
    assert BOOK.decide(basis("X02", "case_worker@civil_affairs", region="330106")).regions == ("330106",)


def test_C35_a_person_of_a_merged_bureau_acts_in_one_departments_function_only():
    # 卫体局, 社会事业局: the organisation is the same in both cases, the function is not.
    assert BOOK.decide(basis("X02", "case_worker@civil_affairs")).grants
    for function in ("case_worker", "registrar", "school_psychologist"):
        assert code_of("X22", f"{function}@education", con="granted") in {"no_rule", "door_closed", "not_served"}


def test_C53_no_condition_can_be_added_by_a_request_and_every_share_attribute_is_of_the_three():
    assert {each.share.partition("(")[0].partition("（")[0] for each in EXCHANGES.values()} <= {
        "无条件",
        "有条件",
        "不予共享",
    }
    # What decides is a fixed row of nine words: there is no place for a condition of one's own.
    assert Request._fields == ("sub", "dom", "obj", "fld", "act", "pur", "reg", "con", "now")


@pytest.mark.parametrize("side", ["provider", "consumer"])
def test_C61_an_exchange_without_the_responsible_post_of_a_side_does_not_load(home, side):
    assert all(set(each.responsible) == {"provider", "consumer"} for each in EXCHANGES.values())
    path = home / "exchanges" / "X05.toml"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(f"{side} = ")), "utf-8")
    assert "X05.toml" in refusal(home)


def test_C63_the_status_class_never_reaches_an_exchange_that_does_not_need_it():
    space = Space(BOOK.snapshot.catalogue, BOOK.snapshot.relations, BOOK.snapshot.rules)
    carrying = {
        obj
        for shape in space.shapes
        if shape.rule.allows
        for obj, _ in space.cells(shape.rule)
        if any(
            EXCHANGES[obj].fields[name].field_class == "status"
            for name in shape.fields
            if name in EXCHANGES[obj].fields
        )
    }
    assert carrying and carrying <= set(STATUS_EXCHANGES)
    for each in EXCHANGES.values():
        if each.state is ExchangeState.SERVED and each.id not in STATUS_EXCHANGES:
            told = [word for field in each.fields.values() for word in field.values]
            assert not {"orphan", "de_facto_unattended", "in_difficulty", "left_behind"} & set(told)
    # Where the class does go, one purpose learns the one class that it needs.
    answer = BOOK.decide(basis("X01", "case_worker@health")).grants["status_class"]
    assert answer == Obligation(Transform.ANSWER_ONLY, "class=de_facto_unattended")


def test_C63_planted_status_word_is_found_by_the_invariant(home):
    path = home / "exchanges" / "X12.toml"
    planted = '\n[fields.status_class]\nzh = "困境类别"\nen = "Class"\ntype = "code:status_class"\nclass = "status"\n'
    path.write_text(path.read_text("utf-8") + planted + 'values = ["orphan", "left_behind"]\n', "utf-8")
    changed = catalogue.load(home)
    one = next(rule for rule in BOOK.snapshot.rules if rule.allows and rule.obj == "X12")
    row = replace(one, id="X12.bad", fld="class:status", obl="clear+sealed")
    found = breaches(build(changed, [*BOOK.snapshot.rules, row]))
    assert any("status class" in breach.invariant and "X12" in breach.invariant for breach in found)
    assert len(invariants(changed)) > 30


def test_C64_no_purpose_covers_attention_traffic_fundraising_or_sales(home):
    words = ("募", "流量", "直播", "带货", "营销", "推广", "广告", "fundrais", "traffic", "sales", "market")
    names = [text.lower() for text in BOOK.catalogue.purposes.values()]
    assert not [name for name in names if any(word in name for word in words)]
    assert set(BOOK.catalogue.purposes) == {f"P{n:02d}" for n in range(1, 15)}
    edit(home, "exchanges/X15.toml", 'purpose = "P05"', 'purpose = "P15"')
    assert "purpose" in refusal(home)


def test_C64_charities_are_no_consumers_of_identified_data():
    posted, revealed = EXCHANGES["X15"], EXCHANGES["X17"]
    assert posted.profile == "D3" and not {f.type for f in posted.fields.values()} & {"name", "phone", "id_number"}
    assert set(revealed.consent.values()) == {"R"}
    assert all(isinstance(consumer, Department) for each in EXCHANGES.values() for consumer in each.consumers)


def test_C66_eligibility_is_an_answer_without_category_and_victims_stand_nowhere_else():
    assert EXCHANGES["X25"].profile == "Q"
    classes = {field.field_class for field in EXCHANGES["X25"].fields.values()}
    assert classes == {"answer"} and "status_class" not in EXCHANGES["X25"].fields
    harmful = {each.id for each in EXCHANGES.values() for field in each.fields.values() if field.field_class == "harm"}
    assert harmful == {"X19", "X20"}
    space = Space(BOOK.snapshot.catalogue, BOOK.snapshot.relations, BOOK.snapshot.rules)
    for shape in space.shapes:
        if shape.rule.allows and {obj for obj, _ in space.cells(shape.rule)} & harmful:
            assert shape.rule.pur.startswith("protective")


@pytest.mark.parametrize("key", ["providers", "share", "level", "purpose", "retention", "zh", "profile"])
def test_C51_an_exchange_without_one_of_its_core_metadata_does_not_load(home, key):
    path = home / "exchanges" / "X02.toml"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    assert any(line.startswith(f"{key} = ") for line in lines)
    path.write_text("".join(line for line in lines if not line.startswith(f"{key} = ")), "utf-8")
    assert "X02.toml" in refusal(home)


def test_C51_a_changed_catalogue_is_another_version(home):
    before = catalogue.load(home).digest
    edit(home, "exchanges/X02.toml", 'zh = "', 'zh = "新')
    assert catalogue.load(home).digest != before
