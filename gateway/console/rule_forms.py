"""A sharing rule as a form: each column with its vocabulary in the visitor's language, and the row that a filled form means.

Rules kept here: a column offers the words of the catalogue and nothing else; what the form means is checked by the policy room
and by nobody else; a row that is changed keeps its id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.console.languages import Tongue
from gateway.console.refusals import Refused
from gateway.console.rule_sentences import field_name, subject, target
from gateway.domain.vocabulary import Action, ConsentState, Department, Door
from policies.ancestry import ancestries
from policies.catalogue import Catalogue
from policies.rows import ANY, BEGINNING, COLUMNS, DENIED, END, Rule

CHOSEN = ("eft", "sub", "dom", "obj", "fld", "act", "pur", "con", "obl", "code", "owner")
TYPED = ("id", "reg", "nbf", "exp", "legal", "reason")
MOST_ROWS, LONGEST = 40, 300
DENIALS = ("-", "consent_withdrawn", "consent_none", DENIED)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the form. options: word -> name; empty where it is typed."""

    name: str
    value: str
    options: Mapping[str, str]


def columns(tongue: Tongue, catalogue: Catalogue, rules: Iterable[Rule], row: Mapping[str, str]) -> list[Column]:
    """The form's columns in the order of the row. row: what stands in them."""
    offered = vocabularies(tongue, catalogue, rules, row.get("obj", ""))
    return [Column(name, row.get(name, ""), offered.get(name, {})) for name in COLUMNS]


def vocabularies(
    tongue: Tongue, catalogue: Catalogue, rules: Iterable[Rule], exchange: str
) -> dict[str, dict[str, str]]:
    """Column -> word -> name. exchange: whose fields are offered by name; all fields where it is a group."""
    tree = ancestries(catalogue)
    anything = {ANY: "*"}
    fields = catalogue.exchanges[exchange].fields if exchange in catalogue.exchanges else catalogue.field_names
    classes = {f"class:{name}" for name in catalogue.field_classes}
    departments = tongue.words("department")
    return {
        "eft": {"allow": tongue.text("allows"), "deny": tongue.text("forbids")},
        "sub": anything | {one: f"{subject(tongue, one, catalogue)} ({one})" for one in sorted(tree["g"].names)},
        "dom": anything | {str(one): departments[str(one)] for one in Department},
        "obj": anything | {one: target(tongue, one, catalogue) for one in sorted(tree["g2"].names)},
        "fld": anything | {one: field_name(tongue, one, catalogue, exchange) for one in (*sorted(classes), *fields)},
        "act": anything | {str(one): tongue.word("action", one) for one in Action},
        "pur": anything | {one: _purpose(tongue, one) for one in sorted(tree["g3"].names)},
        "con": anything | {str(one): tongue.word("con", one) for one in ConsentState},
        "obl": {one: one for one in sorted({"none", "clear", *(rule.obl for rule in rules)})},
        "code": {one: one for one in DENIALS},
        "owner": departments | {"all": tongue.text("all departments together")},
    }


def blank(exchange: str, owner: str) -> dict[str, str]:
    """A new row before anybody filled it."""
    empty = dict.fromkeys(COLUMNS, "")
    return empty | {
        "eft": "allow",
        "dom": owner,
        "obj": exchange,
        "fld": "class:answer",
        "act": str(Action.QUERY),
        "reg": ANY,
        "con": str(ConsentState.STATUTORY),
        "nbf": BEGINNING,
        "exp": END,
        "obl": "clear",
        "code": "-",
        "owner": owner,
    }


def as_form(rule: Rule) -> dict[str, str]:
    """A row as the form shows it."""
    return {name: getattr(rule, name) for name in COLUMNS}


def meant(form: Mapping[str, str]) -> Rule:
    """The row that a filled form means; the policy room checks it."""
    return Rule(**{name: form.get(name, "").strip() for name in COLUMNS})


@dataclass(frozen=True, slots=True)
class Gathered:
    """Rows that a draft changes beside the one that stands in the form: put (new or changed) by id, and removed ids."""

    put: Mapping[str, Rule]
    removed: frozenset[str]

    @classmethod
    def read(cls, text: str) -> Gathered:
        """What the form carried along. Raises `Refused("form_invalid")` for anything but rows of text."""
        try:
            wanted = json.loads(text or '{"put": [], "removed": []}')
            put, gone = wanted.pop("put"), wanted.pop("removed")
            if wanted or not isinstance(put, list) or not isinstance(gone, list):
                raise Refused("form_invalid")
            rows, removed = [Rule(**row) for row in put], frozenset(gone)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Refused("form_invalid") from None
        words = [*removed, *(getattr(row, name) for row in rows for name in COLUMNS)]
        if len(rows) + len(removed) > MOST_ROWS or not all(
            isinstance(one, str) and len(one) <= LONGEST for one in words
        ):
            raise Refused("form_invalid")
        return cls({row.id: row for row in rows}, removed)

    def text(self) -> str:
        """As the form carries it."""
        return json.dumps(
            {"put": [as_form(row) for row in self.put.values()], "removed": sorted(self.removed)}, ensure_ascii=False
        )

    def without(self, rule: str) -> Gathered:
        """The same without one row."""
        return Gathered({name: row for name, row in self.put.items() if name != rule}, self.removed - {rule})

    def with_put(self, row: Rule) -> Gathered:
        """The same and this row, new or changed."""
        kept = self.without(row.id)
        return Gathered({**kept.put, row.id: row}, kept.removed)

    def with_removed(self, rule: str) -> Gathered:
        """The same, and this row is gone."""
        kept = self.without(rule)
        return Gathered(kept.put, kept.removed | {rule})


def _purpose(tongue: Tongue, text: str) -> str:
    door, dot, purpose = text.partition(".")
    shown = tongue.word("door", door) if door in set(map(str, Door)) else door
    return f"{shown} · {purpose} {tongue.word('purpose', purpose)}" if dot else shown
