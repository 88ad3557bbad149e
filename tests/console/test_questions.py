"""The weekly sample that nobody can steer, the twelve questions, reviews that wait, and tables as files."""

import csv
import hashlib
import io
import re
import time
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gateway.console.pages.questions import QUESTIONS
from gateway.console.pages.sample import Week, week_of
from gateway.console.roles import Role
from gateway.domain.clock import SHANGHAI
from gateway.store.audit_keys import put_cosigned
from tests.console.site import CODE, HOSTILE, kinds_since, make_site, sign_in, size_of, text_of

WEEK = 7 * 86_400


class LaterClock:
    """The real time and a week more, so that the entries of today are those of a week that has ended."""

    def now(self):
        return datetime.now(SHANGHAI) + timedelta(seconds=WEEK)


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    site = make_site(tmp_path_factory.mktemp("sample"))
    with site.running() as client:
        client.app.state.house = replace(client.app.state.house, clock=LaterClock())
        yield (
            client,
            {role: sign_in(client, site, role) for role in (Role.AUDIT_ADMIN, Role.AUDITOR, Role.SYSTEM_ADMIN)},
        )


def indexes(html):
    return [int(one) for one in re.findall(r'row-link" href="/console/entries/(\d+)"', html)]


def test_the_sample_of_a_week_is_the_one_that_anybody_draws_from_its_seed(later):
    _, browsers = later
    admin = browsers[Role.AUDIT_ADMIN]
    before = size_of(admin)
    html = admin.get("/console/sample").text
    assert kinds_since(admin, before) == [("audit.query", "done", "")]
    found = indexes(html)
    assert len(found) == len(set(found)) == 60
    seed = bytes.fromhex(re.search(r'class="mono root">([0-9a-f]{64})<', html)[1])
    first, end = map(int, re.search(r"\((\d+) – (\d+)\)", html).groups())
    draws = [
        first + int.from_bytes(hashlib.sha256(seed + n.to_bytes(4, "big")).digest()[:8], "big") % (end - first)
        for n in range(3000)
    ]
    kinds = [kind for kind, _, _ in kinds_since(admin, 0)]
    assert found == [one for one in dict.fromkeys(draws) if kinds[one] in ("query", "delivered")][:60]
    assert "未经见证" in html
    assert "不足 4.9%" in text_of(html)


def test_a_witnessed_checkpoint_after_the_weeks_end_is_the_seed(later):
    client, browsers = later
    house = client.app.state.house

    async def witness():
        from gateway.store.audit import get_head

        async with house.database.read() as reading:
            head = await get_head(reading)
        async with house.database.write() as writing:
            await put_cosigned(writing, head.size, head.checkpoint, True, 1)

    client.portal.call(witness)
    html = browsers[Role.AUDIT_ADMIN].get("/console/sample").text
    assert "已见证检查点" in html
    assert "未经见证" not in html


def test_a_departments_auditor_draws_among_the_own_departments_accesses(later):
    _, browsers = later
    html = browsers[Role.AUDITOR].get("/console/sample").text
    assert indexes(html)
    assert "X12" not in html


def test_another_seed_draws_another_sample_and_every_entry_has_its_chance():
    week = Week(datetime.now(SHANGHAI), 100, 160, b"a" * 32, 200, True)
    assert set(week.draws()) == set(range(100, 160))
    assert list(week.draws()) != list(replace(week, seed=b"b" * 32).draws())


def test_the_week_begins_on_monday_in_shanghai(later):
    client, _ = later

    async def ask():
        async with client.app.state.house.database.read() as reading:
            return await week_of(reading, int(time.time()), 1)

    week = client.portal.call(ask)
    assert (week.first_day.weekday(), week.first_day.hour) == (0, 0)
    assert week.begins == week.ends, "nothing was written a week ago"


def test_twelve_questions_lead_to_the_entries_that_they_count(browsers):
    admin = browsers[Role.AUDIT_ADMIN]
    assert len(QUESTIONS) == 12
    html = admin.get("/console/questions").text
    links = re.findall(r'<a class="matter row-link" href="([^"]+)"><span>([^<]+)</span>(?:<b>([\d,]+)</b>)?', html)
    assert len(links) == 12
    for where, message, number in links:
        page = admin.get(where.replace("&amp;", "&"))
        assert page.status_code == 200, message
        if "outcome=denied" in where and "entries" in where:
            assert len(indexes(page.text)) >= min(int(number.replace(",", "")), 1), message


def test_a_review_that_waits_is_shown_to_its_department_and_to_nobody_elses(fresh_review):
    browsers = fresh_review
    assert CODE in browsers[Role.AUDITOR].get("/console/reviews").text
    assert "已逾期" in browsers[Role.AUDIT_ADMIN].get("/console/reviews").text
    foreign = browsers[Role.AUDITOR].get("/console/reviews").text
    assert "X20" not in foreign
    assert "X20" in browsers[Role.AUDIT_ADMIN].get("/console/reviews").text


@pytest.fixture
def fresh_review(later):
    client, browsers = later
    from sqlalchemy import insert

    from gateway.store.basis_tables import reviews

    def row(number, exchange, department):
        names = ("record_id", "officer", "note", "outcome", "closed_by", "age_band")
        rest = {name: "" for name in names if name in reviews.c}
        values = {
            "review_id": f"rv-{number}",
            "kind": "emergency",
            "exchange": exchange,
            "party": f"{CODE}/{department}",
        }
        return rest | values | {"opened": 1, "due": 2, "state": "open"}

    async def put():
        async with client.app.state.house.database.write() as writing:
            for one in (row(1, "X05", "civil_affairs"), row(2, "X20", "health")):
                await writing.connection.execute(insert(reviews).values(**one))

    client.portal.call(put)
    return browsers


def test_every_table_that_is_exported_holds_no_formula_and_no_markup(later):
    _, browsers = later
    admin = browsers[Role.AUDIT_ADMIN]
    entry = indexes(admin.get("/console/entries?kind=query").text)[0]
    for text in (HOSTILE, "=HYPERLINK(1)"):
        made = admin.post(
            "/console/findings", data={"entry": str(entry), "severity": "low", "against": "", "text": text}
        )
        assert made.status_code == 303, text_of(made.text)
    files = {"findings": admin, "review": admin, "parties": browsers[Role.SYSTEM_ADMIN], "entries": admin}
    for name, browser in files.items():
        answer = browser.get(f"/console/{name}.csv")
        assert answer.headers["content-type"].startswith("text/csv")
        assert "attachment" in answer.headers["content-disposition"]
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert len({len(row) for row in rows}) == 1
        assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert "'=HYPERLINK(1)" in admin.get("/console/findings.csv").text


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"kind": "query"},
        {"kind": "query", "outcome": "denied"},
        {"kind": "delivered", "limit": 1},
        {"outcome": "released", "limit": 7},
        {"exchange": "X33"},
        {"kind": "query", "after": 30, "limit": 5},
        {"kind": "query", "from_us": 1, "until_us": 2},
        {"kind": "query", "until_us": 4 * 10**15},
    ],
    ids=str,
)
def test_a_search_by_hours_finds_what_a_walk_through_the_log_finds(asked, site, stranger):
    from gateway.audit.reading import Question, page
    from gateway.console.searching import find

    async def both():
        async with stranger.app.state.house.database.read() as reading:
            return await find(reading, Question(**asked)), await page(reading, Question(**asked))

    found, walked = stranger.portal.call(both)
    assert [one.index for one in found] == [one.index for one in walked]
