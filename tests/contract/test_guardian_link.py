"""A guardian's one-time link, from the officer's signed offer to the recorded answer, over the real application."""

import asyncio
import hashlib
import re
import time
from dataclasses import replace
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest

from gateway.client import statements
from gateway.consent.notice_text import retention_in_english
from gateway.domain.canonical import canonical
from gateway.flows.upkeep import upkeep
from gateway.guardian_page.sentences import sentence
from gateway.store.registry_changes import reset_switch, throw_switch
from policies.catalogue import load
from tests.contract.api_house import REPORT, WARNING, X05_FIELDS, api_house, month_end, month_end_today, refused

pytestmark = pytest.mark.anyio

SAME_SITE = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("house")


@pytest.fixture(scope="module")
async def whole(folder):
    async with api_house(folder) as made:
        yield made


def offer(caller, child, *, lifetime=7 * 86_400, **changes):
    """An officer's signed offer of X05, without anything that the answer brings."""
    now = int(time.time())
    artefact = {
        "exchange": "X05",
        "purpose": "P01",
        "recipients": ["civil_affairs"],
        "fields": sorted(X05_FIELDS),
        "age_band": "8-13",
        "grantor": "guardian",
        "relation": "51",
        "guardian": f"g-{child[-6:-1]}",
        "method": "link_page",
        "ends": month_end(month_end_today(), 6).isoformat(),
        "notice_version": "2026-1",
    } | changes
    return statements.consent_statement(
        caller.person,
        caller.party,
        caller.body.people[caller.person],
        artefact=artefact,
        now=now,
        lifetime=lifetime,
    )


async def link(caller, child, **changes):
    body = {"subject": {"pseudonym": caller.pseudonym(child)}, "statement": offer(caller, child, **changes)}
    return await caller.post("/v1/consents/links", body)


async def handed_over(caller, child, **changes):
    made = await link(caller, child, **changes)
    assert made.status_code == 201, made.text
    return made.json()


async def send(walls, path, **form):
    return await walls.http.post(path, data=form, headers=SAME_SITE)


async def read(walls, code):
    return await send(walls, "/guardian/", code=code)


def digest_in(page):
    return re.search(r'name="notice" value="([0-9a-f]{64})"', page.text)[1]


async def answered(walls, code, answer, view="granted"):
    notice = digest_in(await read(walls, code))
    return await send(walls, "/guardian/answer", code=code, notice=notice, view=view, answer=answer)


async def test_a_guardian_agrees_on_the_page_and_the_school_may_send(walls, sc):
    child, ca = walls.child(), walls.caller("ca")
    refused(await sc.post("/v1/send-permits", sc.wish(child, ca)), 403, "consent_none")
    made = await handed_over(sc, child)
    assert made["address"] == f"http://127.0.0.1:8440/guardian/#{made['code']}"
    page = await read(walls, made["code"])
    assert page.status_code == 200
    for words in ("心理异常预警线索", "风险等级", "学校联系人电话", "民政部门", "您可以不同意", "随时"):
        assert words in page.text
    done = await answered(walls, made["code"], "agree")
    assert done.status_code == 200 and "已经记录：同意" in done.text
    assert await sc.delivered(child, ca, WARNING)
    (known,) = [each for each in (await sc.get("/v1/consents/links")).json()["links"] if each["link"] == made["link"]]
    assert known["state"] == "given"
    await sc.withdraw(known["consent"])
    refused(await sc.post("/v1/send-permits", sc.wish(child, ca)), 403, "consent_withdrawn")


async def test_the_entry_holds_the_signed_offer_and_the_evidence_that_the_consent_names(walls, sc):
    child = walls.child()
    made = await handed_over(sc, child)
    page = await read(walls, made["code"])
    await answered(walls, made["code"], "agree")
    (asked, _), (given, opened) = (await walls.history(child))[-2:]
    detail = opened["facts"]
    assert (asked["kind"], given["kind"], given["outcome"]) == ("consent.asked", "consent.given", "done")
    evidence = detail["answer"]
    assert evidence["offer"] == hashlib.sha256(detail["statement"].encode()).hexdigest()
    assert evidence["notice"] == digest_in(page)
    assert (evidence["answer"], evidence["child_grant"]) == ("agree", "granted")
    async with walls.house.database.read() as reading:
        rows = await reading.connection.exec_driver_sql(
            "SELECT evidence_digest, method FROM consents WHERE consent_id = ?", (detail["consent"],)
        )
        assert rows.one() == (hashlib.sha256(canonical(evidence)).hexdigest(), "link_page")


async def test_a_refusal_on_the_page_is_respected_for_90_days(walls, sc):
    child = walls.child()
    made = await handed_over(sc, child)
    done = await answered(walls, made["code"], "refuse", view="")
    assert "已经记录：不同意" in done.text
    refused(await link(sc, child), 403, "consent_asked_again")
    refused(await sc.post("/v1/send-permits", sc.wish(child, walls.caller("ca"))), 403, "consent_none")


async def test_an_answer_counts_once(walls, sc):
    child = walls.child()
    made = await handed_over(sc, child)
    notice = digest_in(await read(walls, made["code"]))
    form = {"code": made["code"], "notice": notice, "view": "granted", "answer": "agree"}
    answers = await asyncio.gather(*(send(walls, "/guardian/answer", **form) for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [200, 410, 410, 410]
    again = await send(walls, "/guardian/answer", **form | {"answer": "refuse"})
    assert again.status_code == 410 and "已经用过了" in again.text
    assert (await read(walls, made["code"])).status_code == 410
    kinds = [skeleton["kind"] for skeleton, _ in await walls.history(child)]
    assert kinds.count("consent.given") == 1 and "consent.refused" not in kinds


async def test_one_signed_offer_makes_one_link(walls, sc):
    child = walls.child()
    body = {"subject": {"pseudonym": sc.pseudonym(child)}, "statement": offer(sc, child)}
    assert (await sc.post("/v1/consents/links", body)).status_code == 201
    refused(await sc.post("/v1/consents/links", body), 409, "consent_replayed")


async def test_a_link_ends_after_three_days_and_its_offer_is_wiped(walls, sc):
    child = walls.child()
    made = await handed_over(sc, child)
    walls.clock.ahead = timedelta(days=3)
    late = await read(walls, made["code"])
    assert late.status_code == 410 and "已经过期" in late.text
    walls.clock.ahead = timedelta(days=3, seconds=-30)
    assert (await read(walls, made["code"])).status_code == 200
    walls.clock.ahead = timedelta(days=3)
    await upkeep(walls.house)
    digest = hashlib.sha256(made["code"].replace("-", "").encode()).hexdigest()
    async with walls.house.database.read() as reading:
        rows = await reading.connection.exec_driver_sql(
            "SELECT state, statement FROM consent_links WHERE code_digest = ?", (digest,)
        )
        assert rows.one() == ("waiting", "")


async def test_a_link_ends_with_the_officers_signature_if_that_is_sooner(walls, sc):
    made = await handed_over(sc, walls.child(), lifetime=3_600)
    ends = datetime.fromisoformat(made["ends"])
    assert timedelta(minutes=58) < ends - walls.house.clock.now() <= timedelta(hours=1)
    walls.clock.ahead = timedelta(minutes=58)
    assert (await read(walls, made["code"])).status_code == 200
    walls.clock.ahead = timedelta(minutes=60)
    late = await read(walls, made["code"])
    assert late.status_code == 410 and "已经过期" in late.text


async def test_a_link_that_was_taken_back_opens_nothing(walls, sc):
    child = walls.child()
    made = await handed_over(sc, child)
    stranger = walls.caller("ed", "J0201", "case_worker")
    refused(await stranger.post("/v1/consents/links/cancel", {"link": made["link"]}), 409, "link_state")
    back = await sc.post("/v1/consents/links/cancel", {"link": made["link"]})
    assert back.json()["state"] == "cancelled"
    page = await read(walls, made["code"])
    assert page.status_code == 410 and "收回" in page.text
    refused(await sc.post("/v1/consents/links/cancel", {"link": made["link"]}), 409, "link_state")


async def test_a_wrong_code_opens_nothing_and_trying_is_slowed(walls, sc):
    for code in ("", "abcd", "a" * 26, "ABCD-EFGH " * 3, "〇" * 26, "a" * 70_000):
        assert (await read(walls, code)).status_code in (404, 422), code[:9]
    tries = [await read(walls, "b" * 26) for _ in range(130)]
    assert {each.status_code for each in tries} == {404, 429}
    assert tries[-1].status_code == 429


async def test_the_code_may_be_typed_with_capitals_spaces_and_full_width_letters(walls, sc):
    made = await handed_over(sc, walls.child())
    plain = made["code"].replace("-", "")
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in plain.upper())
    for typed in (plain, plain.upper(), f"  {plain[:9]} {plain[9:]}\u3000", wide):
        assert (await read(walls, typed)).status_code == 200, typed


async def test_from_eight_the_childs_view_has_to_be_chosen_before_agreeing(walls, sc):
    made = await handed_over(sc, walls.child())
    page = await answered(walls, made["code"], "agree", view="")
    assert page.status_code == 422 and "请先选择孩子自己的意见" in page.text
    page = await answered(walls, made["code"], "agree", view="not_asked")
    assert page.status_code == 422
    page = await send(walls, "/guardian/answer", code=made["code"], notice="", view="granted")
    assert page.status_code == 422 and "请选择“同意”或者“不同意”" in page.text
    assert (await answered(walls, made["code"], "agree")).status_code == 200


async def test_a_childs_objection_holds_the_consent_for_a_human(walls, sc):
    child = walls.child()
    made = await handed_over(sc, child)
    page = await answered(walls, made["code"], "agree", view="objects")
    assert "暂不共享" in page.text
    refused(await sc.post("/v1/send-permits", sc.wish(child, walls.caller("ca"))), 403, "child_objects")
    reviews = (await sc.get("/v1/reviews")).json()["reviews"]
    assert any(review["kind"] == "objection" for review in reviews)


async def test_a_guardians_page_never_gives_the_own_consent_of_a_child_of_fourteen(walls, sc):
    child, ca = walls.child(), walls.caller("ca")
    made = await handed_over(sc, child, age_band="14-15")
    page = await read(walls, made["code"])
    assert 'value="granted"' not in page.text
    assert (await answered(walls, made["code"], "agree", view="granted")).status_code == 422
    assert (await answered(walls, made["code"], "agree", view="not_asked")).status_code == 200
    refused(await sc.post("/v1/send-permits", sc.wish(child, ca)), 403, "child_consent_missing")
    own = await handed_over(sc, child, age_band="14-15", grantor="child", guardian="", relation="01")
    page = await read(walls, own["code"])
    assert "你同意共享这些信息吗" in page.text and "您" not in re.sub(r"(?s)<footer>.*", "", page.text)
    assert (await answered(walls, own["code"], "agree", view="")).status_code == 200
    assert await sc.delivered(child, ca, WARNING)


async def test_an_offer_that_the_law_would_not_take_makes_no_link(walls, sc):
    child = walls.child()
    refused(await link(sc, child, grantor="civil_affairs_guardian"), 403, "guardian_two_approvers")
    refused(await link(sc, child, recipients=["health"]), 403, "consent_scope")
    refused(await link(sc, child, ends="2026-12-30"), 403, "consent_term")
    refused(await link(sc, child, fields=["*"]), 403, "consent_wildcard")
    refused(await link(sc, child, method="in_person"), 422, "consent_form")
    refused(await link(sc, child, given=int(time.time())), 422, "consent_form")
    refused(await link(sc, child, grantor="child", guardian=""), 403, "grantor_age")
    other = walls.caller("ed", "J0201", "case_worker")
    body = {"subject": {"pseudonym": sc.pseudonym(child)}, "statement": offer(other, child)}
    refused(await sc.post("/v1/consents/links", body), 403, "consent_recorder")


async def test_an_offer_is_no_consent(walls, sc):
    child = walls.child()
    body = {"subject": {"pseudonym": sc.pseudonym(child)}, "statement": offer(sc, child)}
    refused(await sc.post("/v1/consents", body), 422, "consent_form")


async def test_words_that_changed_since_they_were_shown_are_read_again(walls, sc):
    made = await handed_over(sc, walls.child())
    form = {"code": made["code"], "view": "granted", "answer": "agree"}
    page = await send(walls, "/guardian/answer", **form, notice="0" * 64)
    assert page.status_code == 422 and "请重新看一遍" in page.text
    assert (await answered(walls, made["code"], "agree")).status_code == 200


async def test_a_stopped_client_or_a_revoked_guardian_ends_its_links(walls, sc):
    child, ca = walls.child(), walls.caller("ca", "M0101", "case_worker")
    made = await handed_over(sc, child)
    client = "sc-system"
    await walls.change(lambda writing: throw_switch(writing, "client", client, by="operator", now=0))
    walls.house.registry.forget()
    assert (await read(walls, made["code"])).status_code == 401
    await walls.change(lambda writing: reset_switch(writing, "client", client))
    walls.house.registry.forget()
    revoked = {"subject": {"pseudonym": ca.pseudonym(child)}, "guardian": f"g-{child[-6:-1]}"}
    assert (await ca.post("/v1/guardians/revoke", revoked)).status_code == 201
    page = await answered(walls, made["code"], "agree")
    assert page.status_code == 403 and "请联系" in page.text
    refused(await link(sc, child), 403, "guardian_revoked")
    (denied, _) = (await walls.history(child))[-2]
    assert (denied["kind"], denied["outcome"], denied["code"]) == ("consent.given", "denied", "guardian_revoked")


async def test_the_code_stands_in_no_file_of_the_gateway_and_in_no_entry(walls, sc, folder):
    child = walls.child()
    made = await handed_over(sc, child)
    await answered(walls, made["code"], "agree")
    plain = made["code"].replace("-", "")
    files = [each for each in (folder / "gateway").rglob("*") if each.is_file()]
    assert any(each.suffix == ".sqlite3" for each in files)
    for text in (made["code"], plain, plain.upper()):
        assert not [each.name for each in files if text.encode() in each.read_bytes()]
        assert text not in str(await walls.history(child))


async def test_every_answer_of_the_page_is_fenced_and_nothing_of_it_is_kept(walls, sc):
    made = await handed_over(sc, walls.child())
    pages = [await walls.http.get("/guardian/"), await read(walls, made["code"]), await read(walls, "c" * 26)]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "'unsafe" not in policy
        assert page.headers["cache-control"] == "no-store" and "set-cookie" not in page.headers
        assert page.headers["referrer-policy"] == "no-referrer"
        assert not re.search(r"(?i)(src|href)=\"(?!/guardian/|data:,|#)", page.text)
        assert "style=" not in page.text and "<style" not in page.text
    other_site = await walls.http.post(
        "/guardian/", data={"code": made["code"]}, headers={"sec-fetch-site": "cross-site"}
    )
    assert other_site.status_code == 422
    moved = await walls.http.get("/guardian")
    assert (moved.status_code, moved.headers["location"]) == (307, "/guardian/")


async def test_a_guardian_reads_and_answers_in_english_and_the_evidence_says_so(walls, sc):
    child = walls.child()
    made = await handed_over(sc, child)
    chinese, page = await read(walls, made["code"]), await send(walls, "/guardian/", code=made["code"], lang="en")
    for words in (
        "Early-warning signal",
        "Risk band",
        "the civil affairs department",
        "You may refuse.",
        "at any time",
    ):
        assert words in page.text
    # Only names stay Chinese, each marked as such.
    plain = re.sub(r'<(span|li|button)[^>]* lang="zh-CN"[^>]*>.*?</\1>', "", page.text)
    assert not re.search(r"[\u4e00-\u9fff]", plain)
    form = {"code": made["code"], "lang": "en", "answer": "agree"}
    wanting = await send(walls, "/guardian/answer", **form, notice=digest_in(page))
    assert wanting.status_code == 422 and "Please choose the child's own view first." in wanting.text
    # What was read in one language is not answered in the other.
    assert digest_in(chinese) != digest_in(page)
    other = await send(walls, "/guardian/answer", **form, notice=digest_in(chinese), view="granted")
    assert other.status_code == 422 and "The words have just changed." in other.text
    done = await send(walls, "/guardian/answer", **form, notice=digest_in(page), view="granted")
    assert done.status_code == 200 and "Recorded: agreed" in done.text
    used = await send(walls, "/guardian/", code=made["code"], lang="en")
    assert "used already" in used.text
    (_, opened) = (await walls.history(child))[-1]
    evidence = opened["facts"]["answer"]
    assert (evidence["language"], evidence["notice"]) == ("en", digest_in(page))
    elsewhere = await walls.http.get("/guardian/", params={"lang": "fr"})
    assert "征求您的意见" in elsewhere.text
    assert "Your decision is asked for" in (await walls.http.get("/guardian/", params={"lang": "en"})).text


def test_both_languages_are_the_same_page():
    """The same elements, fields and conditions in the same order; only words differ."""
    home = Path(str(resources.files("gateway.guardian_page"))) / "templates"
    names = sorted(path.name for path in (home / "zh").iterdir())
    assert names == sorted(path.name for path in (home / "en").iterdir())

    def bones(text):
        text = re.sub(r"</?span[^>]*>|\{% set .*? %\}|\{% block title %\}.*?\{% endblock %\}", "", text)
        text = re.sub(r' (lang|hreflang|data-taken|href|value)="[^"]*"', "", text)
        return re.findall(r"<[^>]*>|\{% .*? %\}", text)

    for name in names:
        zh, en = ((home / language / name).read_text("utf-8") for language in ("zh", "en"))
        assert bones(zh) == bones(en), name
        assert re.findall(r'value="(?!zh|en)[^"]*"', zh) == re.findall(r'value="(?!zh|en)[^"]*"', en)
        assert set(re.findall(r"notice\.(\w+)", zh)) <= set(re.findall(r"notice\.(\w+)", en)), name


def test_every_retention_that_a_guardian_reads_has_english_words_and_every_refusal_too():
    catalogue = load()
    resting = [
        each for each in catalogue.exchanges.values() if any(code.needs_consent for code in each.consent.values())
    ]
    assert len(resting) >= 10
    for exchange in resting:
        assert retention_in_english(exchange.retention).isascii(), exchange.id
    assert all(name.isascii() for name in catalogue.purposes_in_english.values())
    assert catalogue.purposes_in_english.keys() == catalogue.purposes.keys()
    for code in ("link_unknown", "link_used", "link_ended", "rate_limited", "whatever"):
        assert sentence(code, "en").isascii()
        assert sentence(code, "zh") != sentence(code, "en")


async def test_a_protective_report_is_untouched_by_a_refusal(walls, sc):
    child, ca = walls.child(), walls.caller("ca")
    made = await handed_over(sc, child)
    await answered(walls, made["code"], "refuse", view="")
    reporter = walls.caller("sc", "T0500", "reporter")
    assert await reporter.delivered(child, ca, REPORT, exchange="X20", purpose="P07", door="protective")


async def test_the_sdk_hands_a_link_over_follows_it_and_takes_it_back(walls, sc):
    child = walls.child()
    async with sc.sdk() as client:
        made = await client.hand_over_link(offer(sc, child), pseudonym=sc.pseudonym(child))
        assert (await answered(walls, made["code"], "agree")).status_code == 200
        (known,) = [each for each in await client.links() if each["link"] == made["link"]]
        await client.withdraw_consent(known["consent"])
        fewer = offer(sc, child, fields=["risk_band"])
        other = await client.hand_over_link(fewer, pseudonym=sc.pseudonym(child))
        await client.cancel_link(other["link"])
    assert (await read(walls, other["code"])).status_code == 410


async def test_the_address_is_that_of_the_portal_which_passes_the_page_on(walls, sc):
    walls.app.state.house = replace(walls.house, guardian_address="https://portal.example/guardian/")
    made = await handed_over(sc, walls.child())
    assert made["address"] == f"https://portal.example/guardian/#{made['code']}"
