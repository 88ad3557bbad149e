"""Who may open which door: the printed matrix, and every role tried at every door."""

import re

import pytest

import gateway.app  # noqa: F401
from gateway.console.doors import doors
from gateway.console.fences import HEADERS
from gateway.console.refusals import own_sentences
from gateway.console.roles import Role
from tests.console.matrix import PAGE, matrix
from tests.console.site import kinds_since, size_of

DOORS = doors()
ENDS_SESSION = {"sign_out"}


def address(door) -> str:
    path = door.path.replace("{index:int}", "0").replace("{exchange}", "X02").replace("{finding}", "fi-none")
    path = (
        path.replace("{matter}", "bulk-0")
        .replace("{change}", "pc-none")
        .replace("{work}", "ex-none")
        .replace("{account}", "nobody")
        .replace("{key}", "00")
        .replace("{request}", "rr-none")
        .replace("{review}", "rv-none")
    )
    assert "{" not in path
    return f"/console{path}"


def test_the_printed_matrix_is_the_one_in_the_code():
    assert PAGE.read_text("utf-8") == matrix()


def test_every_page_and_action_names_its_roles_and_few_need_no_sign_in():
    assert {door.name for door in DOORS if not door.roles} == {
        "sign_in_page",
        "sign_in",
        "sign_in_options",
        "openid_begin",
        "openid_back",
        "openid_out",
        "look",
    }


def test_who_changes_policy_or_accounts_cannot_read_entries():
    readers = {role for door in DOORS if door.name in ("entries", "entry", "entry_details") for role in door.roles}
    changers = {role for door in DOORS if door.name in ("switch_stop", "account_role") for role in door.roles}
    assert not readers & changers


# Not tried: doors without roles, and the one that would end the session which the next try needs.
TRIED = [(door, role) for door in DOORS for role in Role if door.roles and door.name not in ENDS_SESSION]


@pytest.mark.parametrize(("door", "role"), TRIED, ids=lambda one: one.name if hasattr(one, "path") else str(one))
def test_a_door_opens_for_its_roles_only(door, role, browsers):
    browser = browsers[role]
    before = size_of(browser)
    answer = browser.request(door.method, address(door), data={} if door.method == "POST" else None)
    refused = answer.status_code == 403 and "role_missing" in answer.text
    assert refused == (role not in door.roles), (answer.status_code, answer.text[:400])
    assert answer.status_code < 500
    if refused:
        assert own_sentences()["role_missing"].zh in answer.text
        assert ("audit.query", "denied", "role_missing") in kinds_since(browser, before)


@pytest.mark.parametrize("door", [door for door in DOORS if door.roles], ids=lambda door: f"{door.method} {door.path}")
def test_whoever_is_not_signed_in_learns_nothing_but_the_sign_in(door, stranger):
    answer = stranger.request(door.method, address(door), data={} if door.method == "POST" else None)
    if door.method == "GET":
        assert (answer.status_code, answer.headers["location"], answer.content) == (303, "/console/sign-in", b"")
    else:
        assert answer.status_code == 401
        assert "signed_out" in answer.text


@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door.method} {door.path}")
def test_no_answer_can_be_framed_sniffed_or_cached(door, browsers, stranger):
    browser = stranger if door.name in ENDS_SESSION else browsers[Role.AUDIT_ADMIN]
    answer = browser.request(door.method, address(door), data={} if door.method == "POST" else None)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in answer.headers["content-security-policy"]
    if answer.headers.get("content-type", "").startswith("text/csv"):
        # What somebody wrote stands there as it was written: saved as a file, and never taken for a page.
        assert answer.headers["content-disposition"].startswith("attachment")
        return
    assert not re.search(r"<[^>]+ (style|on[a-z]+)=", answer.text)
    assert not re.search(r"<script(?![^>]* src=)", answer.text)


def test_a_page_that_is_not_there_is_fenced_too(stranger):
    answer = stranger.get("/console/nothing/here")
    assert answer.status_code == 404
    assert answer.headers["x-frame-options"] == "DENY"


def test_every_refusal_of_the_console_has_a_sentence_in_both_languages():
    from pathlib import Path

    raised = set()
    for path in Path(gateway.app.__file__).parent.joinpath("console").rglob("*.py"):
        raised |= set(re.findall(r'Refused\(\s*"([a-z_]+)"', path.read_text("utf-8")))
    assert raised <= set(own_sentences()), raised - set(own_sentences())
    for row in own_sentences().values():
        assert re.search(r"[\u4e00-\u9fff]", row.zh)
        assert row.en.isascii()
        assert 400 <= row.status < 600
