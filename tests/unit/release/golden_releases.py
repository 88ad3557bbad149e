"""What each profile lets each department have, as files that people can read: one for every profile and consuming department.

`python -m tests.unit.release.golden_releases` writes them anew from the shipped policy's expected decisions and one invented child's
record; the diff is then for people to judge. Values that cross sealed are marked so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from gateway.domain.exchanges import Exchange, Field, TableOfCounts
from gateway.domain.vocabulary import AgeBand, Department, Profile
from gateway.errors import BadRequest
from gateway.release.aggregate import publish
from gateway.release.codes import TABLES
from gateway.release.kanonymity import Hierarchy, anonymise
from gateway.release.labels import labels
from gateway.release.reduce import Reducer
from policies import catalogue, expectations
from policies.obligations import parse
from tests.unit.release import release_world as world

FOLDER = Path(__file__).parent / "golden"
SHIFT = bytes(range(32))
_VALUES = {
    "yes_no": True,
    "date": "2013-05-17",
    "instant": "2026-11-20T08:30:00+08:00",
    "period": "2026-09-01/2026-10-31",
    "integer": 37,
    "band": "6-11",
    "org_code": "91350100M000100Y43",
    "school": "云溪镇中心小学",
    "region": "330106109203",
    "name": "欧阳晓明",
    "phone": "13812341234",
    "id_number": "11010519491231002X",
    "address": "浙江省杭州市西湖区云溪镇清风村3组12号",
    "text": "与孩子谈话，情绪平稳。",
    "record_id": "case-mfrggzdf",
}


@cache
def shipped() -> tuple[Mapping[str, Exchange], tuple[expectations.Expectation, ...]]:
    """The shipped catalogue's exchanges and the policy's expected decisions that grant something."""
    return catalogue.load().exchanges, tuple(case for case in expectations.read() if case.grants)


def value_of(field: Field) -> object:
    """An invented source value of a field's type; of a code table or a closed list, its first."""
    kind, _, table = field.type.partition(":")
    if kind in ("code", "codes"):
        codes = sorted(field.values or (TABLES[table].codes if table in TABLES else ()))
        return codes[:2] if kind == "codes" else next(iter(codes), "")
    return field.values[0] if field.values else _VALUES[kind]


def golden(profile: Profile, department: Department) -> dict:
    """Exchange -> what a reduced record looks like for each way in which the shipped policy lets the department have it."""
    exchanges, cases = shipped()
    shown: dict[str, list[dict]] = {}
    for case in cases:
        exchange = exchanges.get(case.request.obj)
        if exchange is None or exchange.profile is not profile or case.consumer != department:
            continue
        seen = shown.setdefault(exchange.id, [])
        way = f"{case.request.sub} {case.request.act} {case.request.pur}"
        release = released(exchange, case.grants)
        alike = next((one for one in seen if {**one, "to": None} == {**release, "to": None}), None)
        if alike is None:
            seen.append({"to": [way], **release})
        elif way not in alike["to"]:
            alike["to"].append(way)
    # Of these two profiles no record leaves: needs as classes of k, counts as tables.
    if profile is Profile.D3:
        return {"needs of a department, k = 5": needs(department)}
    if profile is Profile.D4:
        return {"a table of a department": table(department)}
    return dict(sorted(shown.items()))


def needs(department: Department) -> list[dict[str, str]]:
    """Invented needs of 14 children, published as classes; each department's differ."""
    turn = list(Department).index(department)
    counties = ("330106", "330106", "330105", "330203")
    rows = [
        {"age": str(8 + (number + turn) % 5), "county": counties[number % 4], "need": ("goods", "tutoring")[number % 2]}
        for number in range(14)
    ]
    ages, bands = {str(age): str(age) for age in range(6, 18)}, {str(age): "6-17" for age in range(6, 18)}
    places = Hierarchy(({one: one for one in counties}, {one: one[:4] for one in counties}))
    return anonymise(rows, hierarchies={"age": Hierarchy((ages, bands)), "county": places}, sensitive="need")


def table(department: Department) -> dict:
    """One period's invented counts with one small cell, as published."""
    turn = list(Department).index(department)
    declared = TableOfCounts("X28.referred", ("330102", "330105", "330106"), ("primary", "junior", "senior"))
    counts = {(row, column): 20 + turn for row in declared.rows for column in declared.columns}
    counts["330105", "junior"] = turn
    shown = publish(declared, "2026-10", counts, kept={})
    cells = {row: {column: shown.cells[row, column] for column in declared.columns} for row in declared.rows}
    return {"cells": cells, "rows": shown.row_totals, "columns": shown.column_totals, "total": shown.total}


def released(exchange: Exchange, texts: dict[str, str]) -> dict:
    """One record, reduced under some grants, as a golden file shows it."""
    grants = {name: parse(text).obligation for name, text in texts.items()}
    record = {name: value_of(field) for name, field in exchange.fields.items()}
    reducer = Reducer(exchange, grants, medical=True, age_band=AgeBand.A16_17, today=world.TODAY)
    try:
        reduced = reducer.reduce(record, shift=SHIFT)
    except BadRequest as refused:
        return {"refused": refused.code, **refused.facts}
    fields = {
        name: {"sealed": value} if grants[name].sealed else value for name, value in sorted(reduced.values.items())
    }
    level = labels(exchange, exchange.purpose, world.UNTIL, grants)["gbt42460"]
    return {"gbt42460": level, "fields": fields, "withheld": dict(sorted(reduced.withheld.items()))}


def name_of(profile: Profile, department: Department) -> str:
    """The golden file's name."""
    return f"{profile}-{department}.json"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for profile in Profile:
        for department in Department:
            text = json.dumps(golden(profile, department), ensure_ascii=False, indent=1) + "\n"
            (FOLDER / name_of(profile, department)).write_text(text, "utf-8")
