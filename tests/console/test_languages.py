"""Both languages are whole: every message translated, every placeholder kept, every word of every closed list named."""

import re
from datetime import datetime
from pathlib import Path

import pytest
from babel.dates import format_datetime
from babel.numbers import format_decimal
from jinja2 import Environment
from jinja2.ext import extract_from_ast

import gateway.app  # noqa: F401
from gateway.console.doors import doors
from gateway.console.languages import Tongue, catalogue
from gateway.console.pages import overview
from gateway.console.pages.questions import QUESTIONS
from gateway.console.roles import Role
from gateway.console.rule_sentences import sentence
from gateway.domain.clock import SHANGHAI
from gateway.domain.vocabulary import (
    Action,
    ConsentCode,
    ConsentState,
    Department,
    Door,
    Duty,
    EntryKind,
    ExchangeState,
    Outcome,
    Pattern,
    Transform,
)
from policies.book import PolicyBook
from tests.console.site import text_of

HOME = Path(gateway.app.__file__).parent / "console"
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def messages():
    environment = Environment(extensions=["jinja2.ext.i18n"], trim_blocks=True, lstrip_blocks=True)
    found = set()
    for path in (HOME / "templates").glob("*.html"):
        for _, _, message in extract_from_ast(environment.parse(path.read_text("utf-8"))):
            found |= {message} if isinstance(message, str) else {one for one in message or () if one}
    found |= {door.does for door in doors()} | {one.message for one in QUESTIONS}
    return found | set(re.findall(r'Matter\(\s*"([^"]+)"', Path(overview.__file__).read_text("utf-8")))


def test_every_message_is_translated_with_its_placeholders():
    zh = catalogue("zh")
    for message in sorted(messages()):
        told = zh.gettext(message)
        assert CHINESE.search(told), message
        assert sorted(re.findall(r"%\(\w+\)s", told)) == sorted(re.findall(r"%\(\w+\)s", message)), message


def test_the_catalogue_holds_nothing_that_no_page_says():
    source = (HOME / "locale/zh_CN.po").read_text("utf-8")
    held = set(re.findall(r'^msgid "(.+)"$', source, re.MULTILINE))
    assert {one.replace('\\"', '"') for one in held} == messages()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("role", Role),
        ("door", Door),
        ("outcome", Outcome),
        ("kind", EntryKind),
        ("action", Action),
        ("pattern", Pattern),
        ("state", ExchangeState),
        ("con", ConsentState),
        ("consent", ConsentCode),
        ("transform", Transform),
        ("duty", Duty),
        ("department", Department),
    ],
)
def test_every_word_of_a_closed_list_has_a_name_in_both_languages(kind, words):
    for word in words:
        assert CHINESE.search(Tongue("zh").word(kind, word)), word
        assert Tongue("en").word(kind, word).isascii(), word
        assert str(word) in Tongue("en").words(kind)


def test_every_rule_that_ships_becomes_a_sentence_without_raw_words():
    snapshot = PolicyBook.open().snapshot
    for rule in snapshot.rules:
        told = sentence(Tongue("zh"), rule, snapshot.catalogue)
        assert told.startswith("允许" if rule.allows else "禁止")
        assert "_" not in told.replace("date.month", "").replace("answer_only", "").split("（class=")[0], told
        if rule.obj in snapshot.catalogue.exchanges:
            assert snapshot.catalogue.exchanges[rule.obj].zh in told
            assert snapshot.catalogue.exchanges[rule.obj].en in sentence(Tongue("en"), rule, snapshot.catalogue)


def test_two_rules_that_differ_in_a_column_that_decides_have_different_sentences():
    snapshot = PolicyBook.open().snapshot
    columns = ("eft", "sub", "obj", "fld", "act", "pur", "reg", "con", "nbf", "exp", "obl")
    for language in ("zh", "en"):
        told = {}
        for rule in snapshot.rules:
            key = tuple(getattr(rule, column) for column in columns)
            assert told.setdefault(sentence(Tongue(language), rule, snapshot.catalogue), key) == key, rule.id


@pytest.mark.parametrize("role", list(Role), ids=str)
def test_english_pages_speak_english_in_every_menu_and_heading(role, browsers):
    browser = browsers[role]
    browser.cookies.set("runxin-look", "en.light", domain="127.0.0.1", path="/console")
    try:
        for door in doors():
            if door.menu and role in door.roles:
                html = browser.get(f"/console{door.path}").text
                assert '<html lang="en"' in html
                said = re.findall(r"<(?:h1|h2|th|label|button|summary)[^>]*>(.*?)</", html, re.DOTALL)
                raw = [text_of(one) for one in said if CHINESE.search(one) and "中文" not in one]
                assert not raw, (door.name, raw[:3])
    finally:
        browser.cookies.delete("runxin-look", domain="127.0.0.1", path="/console")


@pytest.mark.parametrize(("language", "pattern"), [("zh", "y年M月d日 HH:mm:ss"), ("en", "d MMM y, HH:mm:ss")])
def test_times_and_numbers_are_written_as_babel_writes_them(language, pattern):
    locale = {"zh": "zh_Hans_CN", "en": "en"}[language]
    for seconds in range(0, 2_000_000_000, 86_400 * 29 + 3671):
        moment = datetime.fromtimestamp(seconds, SHANGHAI)
        assert Tongue(language).time(seconds) == format_datetime(moment, pattern, tzinfo=SHANGHAI, locale=locale)
    for number in (0, 7, 999, 1000, 1_234_567):
        assert Tongue(language).number(number) == format_decimal(number, locale=locale)


def test_no_template_loads_anything_from_outside_or_carries_inline_code():
    for path in (HOME / "templates").glob("*.html"):
        source = path.read_text("utf-8")
        assert not re.search(r"https?://", source), path.name
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|\|\s*safe\b|<script(?![^>]*src=)", source), path.name
    for path in (HOME / "static").glob("*.js"):
        assert not re.search(r"\beval\(|new Function|innerHTML|https?://", path.read_text("utf-8")), path.name
