"""共享规则 as a sentence: who may (or may not) do what with which field, where, on which basis, and in which form.

Rules kept here: the sentence is made from the row's columns alone, column by column, so nothing that the row says is left out and
nothing that it does not say is added; a word without a name stands as it is.
"""

from __future__ import annotations

from gateway.console.languages import Tongue
from policies import obligations
from policies.catalogue import Catalogue
from policies.obligations import NONE
from policies.rows import ANY, BEGINNING, END, Rule

_SENTENCE = {
    "zh": "{effect}{subject}{act}{object}的{field}；{purpose}；{region}；{con}{order}{term}。",
    "en": "{effect} {subject} {act} {field} of {object}; {purpose}; {region}; {con}{order}{term}.",
}
_WORDS = {
    "zh": {
        "allow": "允许",
        "deny": "禁止",
        "any_subject": "任何人",
        "any_object": "任何事项",
        "any_field": "全部字段",
        "any_act": "查询、报送或接收",
        "any_purpose": "任何用途、任何通道",
        "any_region": "不限地区",
        "any_con": "不论依据如何",
        "region": "限{0}地区",
        "con": "依据为{0}",
        "purpose": "限{0}、用途为{1}",
        "branch": "限{0}",
        "class": "{0}",
        "order": "；{0}提供",
        "sealed": "并密封",
        "duty": "，须{0}",
        "term": "；有效期 {0} 至 {1}",
        "level": "{0} 级事项",
        "pattern": "{0}类事项",
        "consumer": "{0}为使用方的事项",
        "impersonal": "不含个人信息的事项",
        "government_department": "政府部门",
        "joiner": "、",
        "quote": "“{0}”",
        "of": "{1}的{0}",
    },
    "en": {
        "allow": "Allow",
        "deny": "Forbid",
        "any_subject": "anybody",
        "any_object": "any exchange",
        "any_field": "every field",
        "any_act": "to query, submit or receive",
        "any_purpose": "for any purpose, by any door",
        "any_region": "in any region",
        "any_con": "whatever the basis",
        "region": "in region {0}",
        "con": "basis: {0}",
        "purpose": "by the {0}, for {1}",
        "branch": "by the {0}",
        "class": "{0}",
        "order": "; {0}",
        "sealed": " and sealed",
        "duty": ", with the duty to {0}",
        "term": "; valid from {0} to {1}",
        "level": "exchanges of level {0}",
        "pattern": "exchanges of the kind {0}",
        "consumer": "exchanges that {0} consumes",
        "impersonal": "exchanges without personal information",
        "government_department": "government departments",
        "joiner": ", ",
        "quote": "“{0}”",
        "of": "{0} of {1}",
    },
}


def sentence(tongue: Tongue, rule: Rule, catalogue: Catalogue) -> str:
    """The row as one sentence."""
    say = _WORDS[tongue.language]
    return _SENTENCE[tongue.language].format(
        effect=say[rule.eft],
        subject=subject(tongue, rule.sub, catalogue),
        act=say["any_act"] if rule.act == ANY else _act(tongue, rule.act),
        object=target(tongue, rule.obj, catalogue),
        field=field_name(tongue, rule.fld, catalogue, rule.obj),
        purpose=_purpose(tongue, rule.pur),
        region=say["any_region"] if rule.reg == ANY else say["region"].format(rule.reg),
        con=say["any_con"] if rule.con == ANY else say["con"].format(tongue.word("con", rule.con)),
        order=_order(tongue, rule),
        term="" if (rule.nbf, rule.exp) == (BEGINNING, END) else say["term"].format(rule.nbf[:10], rule.exp[:10]),
    )


def subject(tongue: Tongue, text: str, catalogue: Catalogue) -> str:
    """`<function>@<department>`, or the name of a group."""
    say = _WORDS[tongue.language]
    if text == ANY:
        return say["any_subject"]
    name, at, department = text.partition("@")
    function = catalogue.functions.get(name)
    shown = tongue.name(function) if function else say.get(name, tongue.word("group", name))
    return say["of"].format(shown, tongue.word("department", department)) if at else shown


def target(tongue: Tongue, text: str, catalogue: Catalogue) -> str:
    """An exchange, or a group of exchanges."""
    say = _WORDS[tongue.language]
    if text == ANY:
        return say["any_object"]
    exchange = catalogue.exchanges.get(text)
    if exchange is not None:
        return say["quote"].format(f"{text} {tongue.name(exchange)}")
    kind, _, value = text.partition(":")
    named = {"pattern": tongue.word("pattern", value), "consumer": tongue.word("department", value)}.get(kind, value)
    return say[kind].format(named) if kind in say else tongue.word("group", text)


def field_name(tongue: Tongue, text: str, catalogue: Catalogue, exchange: str) -> str:
    """A field, a class of fields, or every field."""
    say = _WORDS[tongue.language]
    if text == ANY:
        return say["any_field"]
    if text.startswith("class:"):
        return tongue.word("class", text.removeprefix("class:"))
    found = catalogue.exchanges.get(exchange)
    field = found.fields.get(text) if found else None
    return tongue.name(field) if field else text


def _act(tongue: Tongue, act: str) -> str:
    name = tongue.word("action", act)
    return name if tongue.language == "zh" else f"to {name}"


def _purpose(tongue: Tongue, text: str) -> str:
    say = _WORDS[tongue.language]
    if text == ANY:
        return say["any_purpose"]
    door, dot, purpose = text.partition(".")
    shown = tongue.word("door", door)
    named = f"{purpose} {tongue.word('purpose', purpose)}"
    return say["purpose"].format(shown, named) if dot else say["branch"].format(shown)


def _order(tongue: Tongue, rule: Rule) -> str:
    if rule.obl == NONE:
        return ""
    say = _WORDS[tongue.language]
    parsed = obligations.parse(rule.obl)
    how = tongue.word("transform", parsed.obligation.transform)
    if parsed.obligation.form:
        how += f"（{parsed.obligation.form}）" if tongue.language == "zh" else f" ({parsed.obligation.form})"
    how += say["sealed"] if parsed.obligation.sealed else ""
    duties = [tongue.word("duty", duty) for duty in sorted(parsed.duties)]
    return say["order"].format(how) + (say["duty"].format(say["joiner"].join(duties)) if duties else "")
