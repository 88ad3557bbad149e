"""What auditors and administrators do all day: look, verify, export, find, stop; each step leaves its entry."""

import io
import json
import re
import subprocess
import sys
import time
import zipfile

import pytest

from gateway.console.pages.findings import MOVES
from gateway.console.roles import Role
from gateway.domain.vocabulary import Department
from tests.console.site import HOSTILE, account_row, kinds_since, make_site, sign_in, size_of, text_of

REASON = {"reason": "例行抽查"}


@pytest.fixture
def fresh(tmp_path):
    """A site that one test may change."""
    site = make_site(tmp_path)
    with site.running() as client:
        yield site, client, {role: sign_in(client, site, role) for role in Role}


def first_index(browser, query=""):
    return int(re.findall(r"/console/entries/(\d+)", browser.get(f"/console/entries{query}").text)[0])


# --- looking --------------------------------------------------------------------------------------------------------


def test_a_departments_auditor_sees_the_own_departments_entries_only(browsers):
    auditor = browsers[Role.AUDITOR]  # of civil affairs
    foreign = first_index(browsers[Role.AUDIT_ADMIN], "?kind=delivered")
    listed = auditor.get("/console/entries?kind=delivered").text
    assert f"/console/entries/{foreign}" not in listed
    for path in (f"/console/entries/{foreign}", f"/console/entries/{foreign}/proof"):
        answer = auditor.get(path)
        assert answer.status_code == 403
        assert "entry_foreign" in answer.text
    refused = auditor.post(f"/console/entries/{foreign}/details", data=REASON)
    assert "entry_foreign" in refused.text
    assert "entry_foreign" in auditor.post("/console/timelines/child", data={"entry": foreign, **REASON}).text


def test_an_auditor_cannot_widen_the_filter_to_another_department(browsers):
    auditor = browsers[Role.AUDITOR]
    for query in ("?requester=health&provider=womens_federation", "?side=asked&requester=health", "?requester=health"):
        rows = re.findall(r"<tr data-row>.*?</tr>", auditor.get(f"/console/entries{query}").text, re.DOTALL)
        assert not [row for row in rows if "X12" in row]
    rows = auditor.get("/console/entries.csv?requester=health").text
    assert "womens_federation" not in rows


def test_pages_follow_each_other_without_gap_or_repetition(browsers):
    admin = browsers[Role.AUDIT_ADMIN]
    query, seen = "?kind=query&outcome=released", []
    while query:
        html = admin.get(f"/console/entries{query}").text
        seen += [int(found) for found in re.findall(r'row-link" href="/console/entries/(\d+)"', html)]
        more = re.search(r'href="/console/entries(\?[^"]*after=\d+)"', html)
        query = more[1].replace("&amp;", "&") if more else ""
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 60


@pytest.mark.parametrize(
    ("path", "form", "what"),
    [
        ("/entries", None, "audit.query"),
        ("/entries/7", None, "audit.query"),
        ("/entries.csv", None, "audit.query"),
        ("/matrix", None, "audit.query"),
        ("/entries/7/details", REASON, "audit.query"),
        ("/timelines/actor", {"actor": "client:ca-system", **REASON}, "audit.query"),
    ],
)
def test_every_look_of_an_auditor_is_an_entry(path, form, what, browsers):
    admin = browsers[Role.AUDIT_ADMIN]
    before = size_of(admin)
    answer = admin.post(f"/console{path}", data=form) if form else admin.get(f"/console{path}")
    assert answer.status_code == 200, text_of(answer.text)
    assert kinds_since(admin, before) == [(what, "done", "")]


def test_nothing_is_shown_when_the_look_cannot_be_recorded(fresh, monkeypatch):
    from gateway.errors import GatewayFault

    _, client, browsers = fresh

    async def refuse(*_args, **_kwargs):
        raise GatewayFault("audit_unavailable")

    monkeypatch.setattr(client.app.state.house.log, "append", refuse)
    for path in ("/entries", "/entries/7", "/matrix"):
        answer = browsers[Role.AUDIT_ADMIN].get(f"/console{path}")
        assert answer.status_code == 503
        assert "X02" not in answer.text


def test_a_childs_timeline_by_pseudonym_is_whole_and_stands_in_the_childs_own_history(fresh):
    site, _, browsers = fresh
    auditor = browsers[Role.AUDITOR]
    first = auditor.post("/console/timelines/child", data={"pseudonym": site.child, **REASON})
    assert first.status_code == 200, text_of(first.text)
    assert first.text.count('<li class="') == site.seeded + 1  # the look itself is the last one
    assert site.child not in first.text
    second = auditor.post("/console/timelines/child", data={"pseudonym": site.child, **REASON})
    assert second.text.count('<li class="') == site.seeded + 2
    assert HOSTILE not in second.text


def test_another_departments_entry_in_a_timeline_keeps_its_details(fresh):
    site, _, browsers = fresh
    html = browsers[Role.AUDITOR].post("/console/timelines/child", data={"pseudonym": site.child, **REASON}).text
    foreign = [part for part in html.split("<li class=") if "X12" in part]
    assert len(foreign) == 1
    assert "M0101" not in foreign[0]


@pytest.mark.parametrize("text", ["", "cao1xyz", "heo1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"])
def test_a_pseudonym_of_another_shape_or_scope_is_refused(text, browsers):
    answer = browsers[Role.AUDITOR].post("/console/timelines/child", data={"pseudonym": text, **REASON})
    assert answer.status_code == 422
    assert "pseudonym_" in answer.text


def test_no_timeline_and_no_detail_without_a_reason(browsers, site):
    admin = browsers[Role.AUDITOR]
    for path, form in (
        ("/entries/7/details", {}),
        ("/timelines/child", {"pseudonym": site.child}),
        ("/timelines/actor", {"actor": "client:ca-system"}),
        ("/exports", {}),
    ):
        answer = admin.post(f"/console{path}", data=form)
        assert "reason_short" in answer.text or "entry_foreign" in answer.text


def test_an_actor_of_another_department_is_refused_to_a_departments_auditor(browsers):
    auditor = browsers[Role.AUDITOR]
    for actor in ("client:unknown", "person:91330106MA28A1234X/T0417", "account:demo-system-admin"):
        answer = auditor.post("/console/timelines/actor", data={"actor": actor, **REASON})
        assert answer.status_code == 403
        assert "actor_foreign" in answer.text
    own = auditor.post("/console/timelines/actor", data={"actor": "account:demo-auditor", **REASON})
    assert own.status_code == 200


def test_the_overview_of_an_auditor_counts_the_own_department_only(browsers):
    html = browsers[Role.AUDITOR].get("/console/").text
    row = re.search(r"X12 .*?</tr>", html, re.DOTALL)[0]
    assert re.findall(r'class="num">([^<]+)<', row) == ["0", "0", "0", "0"]
    whole = re.search(r"X12 .*?</tr>", browsers[Role.AUDIT_ADMIN].get("/console/").text, re.DOTALL)[0]
    assert re.findall(r'class="num">([^<]+)<', whole)[0] == "1"


# --- verifying and exporting ------------------------------------------------------------------------------------------


def until_done(browser, path, word="完成", seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        html = browser.get(path).text
        if word in html and "进行中" not in html:
            return html
        time.sleep(0.1)
    raise AssertionError(text_of(html))


def test_a_verification_runs_is_found_again_and_names_the_entry_that_is_wrong(fresh):
    _, client, browsers = fresh
    admin = browsers[Role.AUDIT_ADMIN]
    assert admin.post("/console/verification").status_code == 303
    until_done(admin, "/console/verification")
    assert "已整体核验" in admin.get("/console/").text

    async def spoil():
        from gateway.store.audit import run

        async with client.app.state.house.database.write() as writing:
            change = "UPDATE audit_entries SET leaf = CAST(replace(leaf, 'X02', 'X03') AS BLOB) WHERE idx = ?"
            await run(writing, [(change, [(11,)])])

    client.portal.call(spoil)
    assert admin.post("/console/verification").status_code == 303
    html = until_done(browsers[Role.SYSTEM_ADMIN], "/console/verification", "失败")
    assert "首个有误条目：11" in html
    assert "最近一次日志核验未通过" in admin.get("/console/").text


def test_an_export_pack_is_fetched_and_verifies_with_nothing_but_python(fresh, tmp_path):
    site, _, browsers = fresh
    auditor = browsers[Role.AUDITOR]
    before = size_of(auditor)
    form = {"pseudonym": site.child, "details": "yes", **REASON}
    assert auditor.post("/console/exports", data=form).status_code == 303
    html = until_done(auditor, "/console/exports")
    assert ("audit.export", "done", "") in kinds_since(auditor, before)
    link = re.search(r"/console/exports/[a-z0-9-]+/pack", html)[0]
    pack = auditor.get(link)
    assert pack.headers["content-type"] == "application/zip"
    folder = tmp_path / "pack"
    with zipfile.ZipFile(io.BytesIO(pack.content)) as archive:
        archive.extractall(folder)
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "verify.py"), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((folder / "histories/0.json").read_text())["closed"] is True
    for role in (Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.POLICY_OWNER):
        assert browsers[role].get(link).status_code == 403
    assert browsers[Role.AUDIT_ADMIN].get(link).status_code == 200


def test_work_whose_process_has_ended_is_shown_as_interrupted(fresh):
    _, client, browsers = fresh

    async def leave():
        from gateway.store.console import WorkRow, put_work

        async with client.app.state.house.database.write() as writing:
            row = WorkRow("ve-old", "verification", "demo-audit-admin", "", "wk-gone", "running", 5, 9, "", -1, 1, 0)
            await put_work(writing, row)

    client.portal.call(leave)
    admin = browsers[Role.AUDIT_ADMIN]
    assert "已中断" in admin.get("/console/verification").text
    assert admin.post("/console/verification").status_code == 303, "it does not stand in the way of a new run"


# --- findings ---------------------------------------------------------------------------------------------------------


def open_finding(browser, against=""):
    form = {"entry": "7", "severity": "medium", "against": against, "text": "审批与查询时间不符"}
    answer = browser.post("/console/findings", data=form)
    assert answer.status_code == 303, text_of(answer.text)
    return answer.headers["location"]


def test_a_finding_goes_from_open_over_answer_and_retest_to_closed(fresh):
    _, client, browsers = fresh
    auditor, owner = browsers[Role.AUDITOR], browsers[Role.POLICY_OWNER]
    before = size_of(client)
    place = open_finding(auditor, "civil_affairs")
    assert "审计问题待您答复" in owner.get("/console/").text
    assert "finding_open_first" in auditor.post(f"{place}/retest", data={"verdict": "passed", "text": "已整改"}).text
    assert owner.post(f"{place}/answer", data={"text": "已补充审批流程"}).status_code == 303
    assert "已答复的问题待您复验" in auditor.get("/console/").text
    assert auditor.post(f"{place}/retest", data={"verdict": "failed", "text": "仍缺审批"}).status_code == 303
    assert owner.post(f"{place}/answer", data={"text": "已再次整改"}).status_code == 303
    assert auditor.post(f"{place}/retest", data={"verdict": "passed", "text": "复验合格"}).status_code == 303
    assert "finding_closed" in owner.post(f"{place}/answer", data={"text": "再答一次"}).text
    steps = [code for kind, outcome, code in kinds_since(client, before) if kind == "audit.finding"]
    assert steps == [
        "finding_opened",
        "finding_answered",
        "finding_open",
        "finding_answered",
        "finding_closed",
    ]


def test_a_finding_against_another_department_is_not_answered_here(fresh):
    _, _, browsers = fresh
    place = open_finding(browsers[Role.AUDIT_ADMIN], "health")
    assert browsers[Role.POLICY_OWNER].get(place).status_code == 404
    assert "finding_foreign" in browsers[Role.SECURITY_ADMIN].post(f"{place}/answer", data={"text": "代为答复"}).text


def test_the_states_of_a_finding_all_end():
    assert set(MOVES) == {"open", "answered", "closed"}
    assert MOVES["closed"] == ()
    assert all(following in MOVES for moves in MOVES.values() for following in moves)


# --- policy and switches ------------------------------------------------------------------------------------------------


def test_a_stopped_exchange_is_refused_at_once_and_runs_again(fresh):
    from gateway.errors import Denied

    _, client, browsers = fresh
    boss = browsers[Role.SECURITY_ADMIN]
    before = size_of(client)
    form = {"kind": "exchange", "target": "X02", "reason": "疑似批量查询"}
    assert boss.post("/console/switches/stop", data=form).status_code == 303

    async def refused():
        house = client.app.state.house
        async with house.database.read() as reading:
            await house.registry.refresh(reading)
        try:
            house.registry.require_running("X02", "ca-system")
        except Denied as error:
            return error.code
        return ""

    assert client.portal.call(refused) == "exchange_stopped"
    assert "已停用" in boss.get("/console/").text
    assert boss.post("/console/switches/resume", data=form).status_code == 303
    assert client.portal.call(refused) == ""
    assert [one for one in kinds_since(client, before) if one[0] == "kill_switch"] == [
        ("kill_switch", "done", "stopped"),
        ("kill_switch", "done", "resumed"),
    ]


def test_a_system_administrator_stops_clients_but_no_exchange_and_reads_why_beside_the_button(fresh):
    _, _, browsers = fresh
    admin = browsers[Role.SYSTEM_ADMIN]
    html = admin.get("/console/switches").text
    sentence = "系统管理员只能停用接入系统；共享事项由安全管理员停用。"
    assert sentence in html
    refused = admin.post("/console/switches/stop", data={"kind": "exchange", "target": "X02", "reason": "测试停用"})
    assert refused.status_code == 403
    assert sentence in refused.text
    form = {"kind": "client", "target": "ca-system", "reason": "测试停用"}
    assert admin.post("/console/switches/stop", data=form).status_code == 303


def test_the_playground_gives_the_answer_of_the_policy_room(browsers):
    owner = browsers[Role.POLICY_OWNER]
    form = {
        "department": "civil_affairs",
        "function": "case_worker",
        "action": "query",
        "exchange": "X02",
        "door": "normal",
        "purpose": "P14",
        "con": "statutory",
        "region": "330106",
    }
    allowed = owner.post("/console/why", data=form)
    assert "X02.ca.q01" in allowed.text
    refused = owner.post("/console/why", data=form | {"purpose": "P05"})
    assert "全部不予放行" in refused.text
    assert "pur = P14" in text_of(refused.text)


def test_asking_the_playground_is_no_entry_because_it_is_about_nobody(browsers):
    before = size_of(browsers[Role.POLICY_OWNER])
    browsers[Role.POLICY_OWNER].get("/console/why")
    assert size_of(browsers[Role.POLICY_OWNER]) == before


def test_settings_show_no_secret(browsers, site):
    html = browsers[Role.SYSTEM_ADMIN].get("/console/settings").text
    assert site.settings.root_passphrase.get_secret_value() not in html
    assert "RUNXIN_ROOT_PASSPHRASE" in html


def test_no_page_shows_a_secret_of_an_account(browsers):
    html = browsers[Role.SECURITY_ADMIN].get("/console/accounts").text
    row = account_row(browsers[Role.SECURITY_ADMIN], "demo-auditor")
    assert row.password_hash not in html
    assert row.department == Department.CIVIL_AFFAIRS


@pytest.mark.browser
def test_the_first_page_stays_under_300_kb_without_charts(browsers):
    admin = browsers[Role.AUDIT_ADMIN]
    answer = admin.get("/console/", headers={"Accept-Encoding": "gzip"})
    total = len(answer.content)
    for address in set(re.findall(r'(?:src|href)="(/console/static/[^"]+)"', answer.text)):
        if "echarts" in address or "chart.js" in address:
            continue
        with admin.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as file:
            assert file.status_code == 200
            total += len(b"".join(file.iter_raw()))
    assert total < 300_000
