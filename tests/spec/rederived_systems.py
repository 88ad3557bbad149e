"""The departmental systems' own logs of what they were asked and told: PostgreSQL's statements, the REST system's requests.

Rules kept here: everything that the front-end machine's account did is read, and a statement of no known kind is kept as `other`, so
that nothing it asked can go unnoticed; local column names are those of the systems, as their owners call them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PUPIL_COLUMNS = {
    "enrolled": "zxzt",
    "stage": "xd",
    "grade": "nj",
    "school_org_code": "xxdm",
    "boarding": "jdfs",
    "status": "zxzt",
    "as_of": "gxrq",
}
FILE_COLUMNS = {"in_programme": "在册状态", "status_class": "保障类别", "as_of": "更新日期"}
PUPIL_FRAME = {"xsbh", "xxqh"}
"""Record key and region: what every order needs besides its fields."""
FILE_FRAME = {"档案编号", "现居住地区划"}
PUPIL_IDENTITY = {"xsbh", "sfzjh", "mzbh"}
FILE_IDENTITY = {"档案编号", "身份证号", "临时编号"}

REGISTER_MESSAGE = {
    "tzbh": "register_id",
    "fabh": "plan_id",
    "jryy": "entry_reasons",
    "zrbm": "responsible_department",
    "tzzt": "status",
    "xcxdrq": "next_action_due",
}
WARNING_MESSAGE = {
    "风险等级": "risk_band",
    "观察起始日": "observed_from",
    "沟通时间": "guardian_contacted_at",
    "学校联系人电话": "school_contact",
}
REPORT_MESSAGE = {
    "报告编号": "report_id",
    "儿童姓名": "child_name",
    "儿童证件号码": "child_id_number",
    "所在地点": "location",
    "侵害类型": "harm_type",
    "现实危险": "immediate_danger",
    "报告单位": "reporter_org",
    "已采取措施": "actions_taken",
}
DISCHARGE_MESSAGE = {
    "个案编号": "case_id",
    "回归去向": "return_to",
    "回归日期": "return_date",
    "支持等级": "support_level",
    "预警表现": "warning_signs",
    "是否需服药提醒": "medication_reminder",
    "紧急联系电话": "emergency_contact",
    "首次随访期限": "first_follow_up_due",
}
CLUE_MESSAGE = {
    "线索编号": "clue_id",
    "儿童姓名": "child_name",
    "所在地点": "location",
    "侵害类型": "harm_type",
    "危险程度": "danger_level",
    "接报时间": "reported_at",
}
RISK = {"1": "attention", "2": "warning", "3": "crisis"}

_SETTING_UP = re.compile(
    r"BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|select pg_catalog\.version\(\)|select current_schema\(\)|show |SELECT\s+typname AS name"
)
_RECORD = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ UTC \[(\w*)\] (LOG|DETAIL):  ", re.MULTILINE)
_PARAMETER = re.compile(r"\$(\d+) = ('(?:[^']|'')*'|NULL)")


@dataclass(frozen=True, slots=True)
class Asked:
    """A read. keys: record keys, empty where the whole register was paged. columns: local names."""

    keys: tuple[str, ...]
    columns: frozenset[str]


@dataclass(frozen=True, slots=True)
class Told:
    """A message that the system took in. record: key of the child's record, "" where the system knows none."""

    message: str
    exchange: str
    record: str
    alias: str = field(repr=False)
    content: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SystemLog:
    """One system's log, in order."""

    asked: tuple[Asked, ...]
    told: tuple[Told, ...]
    other: tuple[str, ...]


def education(path: Path) -> SystemLog:
    """`requests.jsonl` of the REST system."""
    asked, told, other = [], [], []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        body = row["asked"]
        match row["path"].removeprefix("/openapi/v1/"):
            case "students/page":
                asked.append(Asked((), frozenset(body["fields"])))
            case "students/query":
                asked.append(Asked(tuple(body["keys"]), frozenset(body["fields"])))
            case "messages":
                told.append(Told(body["id"], body["kind"], body["student"], body["alias"], body["content"]))
            case elsewhere:
                other.append(elsewhere)
    return SystemLog(tuple(asked), tuple(told), tuple(other))


def civil_affairs(path: Path) -> SystemLog:
    """PostgreSQL's statement log: what the account of the front-end machine executed, with its parameters."""
    asked, told, other = [], [], []
    for statement, given in statements(path.read_text("utf-8")):
        if _SETTING_UP.match(statement):
            continue
        if read := re.fullmatch(r"SELECT (.+?)\s+FROM v_et_gx\s+WHERE (.+)", statement, re.DOTALL):
            columns = frozenset(re.findall(r'v_et_gx\."([^"]+)"', read[1]))
            one = re.match(r'v_et_gx\."档案编号" IN \(([^)]*)\)', read[2])
            places = [int(place) for place in re.findall(r"\$(\d+)", one[1])] if one else []
            asked.append(Asked(tuple(given[place] or "" for place in places), columns))
        elif re.match(r"INSERT INTO jh_sjx \(xxbh, sx, dah, jm, nr, jssj\)", statement):
            told.append(
                Told(given[1] or "", given[2] or "", given[3] or "", given[4] or "", json.loads(given[5] or "{}"))
            )
        else:
            other.append(statement)
    return SystemLog(tuple(asked), tuple(told), tuple(other))


def statements(text: str, account: str = "qianzhi") -> Iterator[tuple[str, dict[int, str | None]]]:
    """(statement, parameters by number) of one account, in order."""
    marks = list(_RECORD.finditer(text))
    records = [
        (mark[1], mark[2], text[mark.end() : following.start() if following else len(text)].strip())
        for mark, following in zip(marks, [*marks[1:], None], strict=True)
    ]
    for place, (who, kind, said) in enumerate(records):
        if who != account or kind != "LOG":
            continue
        statement = re.sub(r"^(?:statement|execute [^:]+): ", "", said)
        given: dict[int, str | None] = {}
        if place + 1 < len(records) and records[place + 1][1] == "DETAIL":
            for number, value in _PARAMETER.findall(records[place + 1][2]):
                given[int(number)] = None if value == "NULL" else value[1:-1].replace("''", "'")
        yield statement.strip(), given
