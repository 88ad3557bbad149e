"""Accesses that nothing explains: what the rules find, what they leave alone, and what an auditor does about it."""

import re
from dataclasses import replace

import pytest

from gateway.console.accesses import Access, Link, Tie
from gateway.console.anomalies import judge, rules
from gateway.console.roles import Role
from gateway.domain.vocabulary import Department, Door, Outcome
from gateway.flows.calendar_days import DAYS
from tests.console import misuse
from tests.console.misuse_report import HELD_OUT, PAGE, measured, report
from tests.console.site import HOSTILE, kinds_since, make_site, sign_in, size_of, text_of
from tests.console.test_work import until_done

MORNING = int(misuse.FIRST.timestamp()) + 10 * 3600  # Monday, ten o'clock
CHILD = b"c" * 32
NOW = MORNING + 30 * 86_400


def access(index=0, *, at=MORNING, **more):
    one = Access(
        index,
        at,
        Department.CIVIL_AFFAIRS,
        "91330106MA28A1234X",
        "M0101",
        "desk",
        CHILD,
        "X02",
        Door.NORMAL,
        Outcome.RELEASED,
    )
    return replace(one, **more)


def case(*, begins=0, ends=2**40, party=None, tie=Tie.CASE):
    return Link(tie, CHILD, party or access().party, begins, ends)


def hits(accesses, links=(), *, now=NOW):
    return [matter.rule.name for matter in judge(accesses, links, DAYS, now=now)]


# --- the rules ------------------------------------------------------------------------------------------------------------


def test_there_are_eight_rules_and_each_explains_itself_in_both_languages():
    assert len(rules()) == 8
    for rule in rules().values():
        assert 1 <= rule.severity <= 3
        assert re.search(r"[\u4e00-\u9fff]", rule.zh + rule.sentences["zh"])
        assert (rule.en + rule.sentences["en"] + rule.settled["en"]).isascii()
        assert set(re.findall(r"\{\w+\}", rule.sentences["zh"])) == set(re.findall(r"\{\w+\}", rule.sentences["en"]))


@pytest.mark.parametrize("tie", list(Tie), ids=str)
def test_an_open_case_a_visit_or_a_referral_explains_an_access(tie):
    assert hits([access()]) == ["unrelated"]
    assert hits([access()], [case(tie=tie)]) == []


def test_a_case_of_another_office_another_child_or_another_time_explains_nothing():
    other = case(party="91330108MA28A1235Y/civil_affairs")
    for link in (other, replace(case(), child=b"d" * 32), case(begins=MORNING + 1), case(ends=MORNING)):
        assert hits([access()], [link]) == ["unrelated"]


def test_an_emergency_is_judged_a_day_later_and_settled_by_a_case_only():
    one = [access(door=Door.EMERGENCY)]
    assert hits(one, now=MORNING + 86_399) == []
    assert hits(one) == ["emergency_unconfirmed"]
    assert hits(one, [case(begins=MORNING + 80_000)]) == []
    assert hits(one, [case(tie=Tie.VISIT)]) == ["emergency_unconfirmed"]
    assert hits(one, [case(tie=Tie.VISIT), case(begins=MORNING + 80_000)]) == []


@pytest.mark.parametrize(
    ("rule", "few", "enough"),
    [
        ("bulk", 19, 20),
        ("enumeration", 5, 6),
        ("repeats", 7, 8),
    ],
)
def test_a_limit_is_a_limit(rule, few, enough):
    def some(number):
        children = [bytes([n]) * 32 for n in range(number)]
        match rule:
            case "bulk":
                made = [access(n, at=MORNING + n, child=child) for n, child in enumerate(children)]
            case "enumeration":
                missed = {"outcome": Outcome.NO_RESULT}
                made = [access(n, at=MORNING + n, child=child, **missed) for n, child in enumerate(children)]
            case _:
                made = [access(n, at=MORNING + n * 3600 * 20) for n in range(number)]
        return rule in hits(made, [case()])

    assert not some(few)
    assert some(enough)


def test_nights_and_days_off_stand_out_where_nobody_is_on_duty():
    night, holiday = MORNING + 13 * 3600, MORNING - 86_400  # 23:00; Sunday
    for at in (night, holiday):
        assert hits([access(at=at)], [case()]) == ["off_hours"]
        health = access(at=at, department=Department.HEALTH)
        assert hits([health], [case(party=health.party)]) == []


def test_a_colleague_who_reads_after_a_refusal_stands_out_unless_he_knew_the_child():
    refused = access(0, outcome=Outcome.DENIED)
    colleague = access(1, at=MORNING + 600, officer="M0102")
    assert hits([refused, colleague], [case()]) == ["proxy"]
    assert hits([refused, replace(colleague, officer="M0101")], [case()]) == []
    assert hits([refused, replace(colleague, at=MORNING + 1801)], [case()]) == []
    assert hits([access(2, at=MORNING - 86_400 * 3, officer="M0102"), refused, colleague], [case()]) == []


def test_two_desks_are_two_only_when_they_alternate():
    def switching(*clients):
        return [access(n, at=MORNING + n * 100, client=client) for n, client in enumerate(clients)]

    assert hits(switching("a", "a", "b", "b"), [case()]) == []
    assert hits(switching("a", "b", "a"), [case()]) == ["two_desks"]


def test_precision_and_recall_on_weeks_that_nobody_looked_at_are_the_printed_ones():
    assert PAGE.read_text("utf-8") == report()
    told = measured(HELD_OUT)
    assert told.precision >= 0.8
    assert told.recall >= 0.95
    assert told.found["one careful look"] <= told.misuse["one careful look"] / 2, (
        "the generator holds what no rule sees"
    )


# --- the queue ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    """A site whose log was reviewed once."""
    site = make_site(tmp_path_factory.mktemp("review"))
    with site.running() as client:
        browsers = {role: sign_in(client, site, role) for role in Role}
        assert browsers[Role.AUDIT_ADMIN].post("/console/review").status_code == 303
        html = until_done(browsers[Role.AUDIT_ADMIN], "/console/review")
        yield site, client, browsers, html


def matters_in(html):
    return re.findall(r'row-link" href="/console/review/([a-z_]+-\d+)"', html)


def test_a_review_of_the_log_puts_forward_what_its_entries_show(reviewed):
    _, _, browsers, html = reviewed
    names = {one.rpartition("-")[0] for one in matters_in(html)}
    assert {"unrelated", "repeats"} <= names
    assert "没有个案、走访或转介，却查询 60 次" in text_of(html)
    assert HOSTILE not in html
    assert "M0101" not in html
    assert "有查询待您复核" in browsers[Role.AUDITOR].get("/console/").text


def test_reviewing_again_finds_nothing_twice(reviewed):
    _, _, browsers, html = reviewed
    admin = browsers[Role.AUDIT_ADMIN]
    before = size_of(admin)
    assert admin.post("/console/review").status_code == 303
    again = until_done(admin, "/console/review")
    assert sorted(matters_in(again)) == sorted(matters_in(html))
    assert ("audit.query", "done", "") in kinds_since(admin, before), "the review itself is an entry"


def test_a_matter_of_other_departments_is_not_shown(reviewed):
    from gateway.store.console_matters import MatterRow, put_matters

    _, client, browsers, _ = reviewed
    row = MatterRow(
        "bulk-3",
        "bulk",
        3,
        1,
        "3",
        '{"children": 30, "usual": 19}',
        301,
        1,
        "health",
        "education",
        "waiting",
        "",
        "",
        1,
    )

    async def put():
        async with client.app.state.house.database.write() as writing:
            await put_matters(writing, [row])

    client.portal.call(put)
    auditor = browsers[Role.AUDITOR]
    assert "bulk-3" not in matters_in(auditor.get("/console/review").text)
    assert auditor.get("/console/review/bulk-3").status_code == 404
    assert auditor.post("/console/review/bulk-3/explain", data={"reason": "例行抽查"}).status_code == 404
    assert browsers[Role.AUDIT_ADMIN].get("/console/review/bulk-3").status_code == 200


def test_a_matter_is_explained_once_and_stays_explained(reviewed):
    _, _, browsers, html = reviewed
    auditor = browsers[Role.AUDITOR]
    matter = next(one for one in matters_in(html) if one.startswith("repeats"))
    before = size_of(auditor)
    assert auditor.post(f"/console/review/{matter}/explain", data={"reason": "危机干预期间"}).status_code == 303
    assert ("audit.finding", "done", "matter_explained") in kinds_since(auditor, before)
    again = auditor.post(f"/console/review/{matter}/explain", data={"reason": "再次说明"})
    assert again.status_code == 409
    assert "matter_decided" in again.text
    assert auditor.post("/console/review").status_code == 303
    html = until_done(auditor, "/console/review")
    assert matter not in matters_in(html)
    assert matter in matters_in(auditor.get("/console/review?state=explained").text)


def test_a_finding_takes_its_matter_out_of_the_queue_and_goes_to_remedy_and_retest(reviewed):
    _, _, browsers, html = reviewed
    auditor, owner = browsers[Role.AUDITOR], browsers[Role.POLICY_OWNER]
    matter = next(one for one in matters_in(html) if one.startswith("unrelated"))
    entry = matter.rpartition("-")[2]
    form = {"entry": entry, "matter": matter, "severity": "high", "against": "civil_affairs", "text": "查询无个案支持"}
    made = auditor.post("/console/findings", data=form)
    assert made.status_code == 303, text_of(made.text)
    assert matter in matters_in(auditor.get("/console/review?state=finding").text)
    assert auditor.post("/console/findings", data=form).status_code == 409
    finding = made.headers["location"]
    assert owner.post(f"{finding}/answer", data={"text": "已补建个案并培训"}).status_code == 303
    assert auditor.post(f"{finding}/retest", data={"verdict": "passed", "text": "复验通过"}).status_code == 303
    assert "已办结" in auditor.get(finding).text
