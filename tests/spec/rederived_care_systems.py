"""The three younger systems' own logs of what they were asked and told: the hospital's FHIR requests, the 12355 platform's, 12338's files.

Rules kept here: as in `rederived_systems.py`; the columns and codes below are written down from the systems' own documents, not read from
the adapters' mappings.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.sandbox import fhir_data
from tests.spec.rederived_systems import Asked, SystemLog, Told

MEDICAL_WORDS = (*fhir_data.DIAGNOSES, fhir_data.DIAGNOSIS_TEXT, fhir_data.DRUG_TEXT, fhir_data.WARD_TEXT)
"""What every record of the simulated hospital has, and nobody else may learn."""

PATIENT_IDENTITY = {"Patient.id", "Patient.identifier"}
CLIENT_IDENTITY = {"no", "idcard", "issued_no"}
PATIENT_FRAME = {f"Patient.{name}" for name in ("id", "address", "birthDate")}
REFERRAL_FRAME = {
    f"Task.{name}"
    for name in ("id", "status", "intent", "for", "groupIdentifier", "businessStatus", "executionPeriod", "output")
}
STAY_FRAME = {
    f"Encounter.{name}" for name in ("id", "status", "class", "subject", "identifier", "period", "hospitalization")
} | {f"Observation.{name}" for name in ("id", "status", "code", "subject", "value", "component")}
"""Elements without any that holds a diagnosis (reasonCode), a drug (note) or a ward (location)."""
HAND_OVER_COLUMNS = {
    "case_id": "case_no",
    "caller_type": "caller",
    "anonymous": "is_anonymous",
    "region": "call_area",
    "issue_codes": "topics",
    "risk_band": "risk",
    "callback": "callback_no",
}
CLIENT_FRAME = {"no", "area"}
SERVICE_COLUMNS = {"no", "area", "address", "seats", "cost", "org_code", "org_name", "phone", "licences", "kind"}

_REFERRAL = {
    name: name for name in ("guardian_name", "guardian_phone", "guardian_relation", "risk_band", "safety_flag")
}
_REFERRAL |= {name: name for name in ("scale", "scale_band", "scale_date", "scale_total", "special_needs")}
HOSPITAL_MESSAGES = {
    "X08": {**_REFERRAL, "case_number": "case_id", "reasons": "reason_codes", "consent_number": "consent_id"},
    "X12": {
        **{
            name: name for name in ("functioning", "adherence", "observations", "safety_flag", "visit_date", "next_due")
        },
        "case_number": "case_id",
        "visit_mode": "mode",
    },
    "X18": {
        **{name: name for name in ("anonymous", "callback", "caller_type", "risk_band")},
        "case_number": "case_id",
        "reasons": "issue_codes",
        "caller_region": "region",
    },
}
PATIENT_FIELDS = {"child_name", "child_id_type", "child_id_number", "sex", "birth_date"}
"""Of a referral about a patient whom the hospital knows these are not written again."""
TICKET = {
    "派单编号": "ticket_id",
    "监护人姓名": "guardian_name",
    "监护人电话": "guardian_phone",
    "与儿童关系": "guardian_relation",
    "指导主题": "topic_codes",
    "方便时间": "preferred_time",
}
SERVICE = {
    "机构代码": "org_code",
    "机构名称": "org_name",
    "服务类型": "service_type",
    "资质": "qualifications",
    "容量": "capacity",
    "服务时间": "hours",
    "地址": "address",
    "电话": "phone",
    "收费": "cost",
    "地区": "region",
}
TOPICS = {"陪伴": "companionship", "情绪": "emotion", "沟通": "communication"}


@dataclass(frozen=True, slots=True)
class HospitalLog(SystemLog):
    """A hospital's log. tasks: (patient, status) of every task that was written into it, in order."""

    tasks: tuple[tuple[str, str], ...] = field(default=())


def health(path: Path) -> HospitalLog:
    """`requests.jsonl` of the FHIR server. A referral's message is told by its ServiceRequest, its content by its Task."""
    asked, told, other, tasks = [], [], [], []
    messages: dict[str, tuple[str, str]] = {}
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        given, (kind, rest) = row["asked"], row["path"].removeprefix("/fhir/").split("/")
        if rest == "_search":
            if "_elements" not in given:
                other.append(f"{kind} in full")
                continue
            columns = frozenset(f"{kind}.{name}" for name in given["_elements"].split(","))
            named = given.get("_id") or given.get("patient") or given.get("subject") or ""
            keys = tuple(name.rpartition("/")[2] for name in named.split(",") if name)
            asked.append(Asked(keys, columns))
        elif kind == "ServiceRequest":
            (coding,) = given["category"][0]["coding"]
            messages[given["id"]] = (given["identifier"][0]["value"], coding["code"])
        elif kind == "Task":
            message, exchange = messages[_number(given["focus"])]
            patient = _number(given["for"])
            told.append(Told(message, exchange, patient, "", _parts(given["input"], "type")))
            tasks.append((patient, given["status"]))
        elif kind == "Observation":
            told.append(Told(given["id"], "X12", _number(given["subject"]), "", _parts(given["component"], "code")))
        else:
            other.append(row["path"])
    return HospitalLog(tuple(asked), tuple(told), tuple(other), tuple(tasks))


def _number(reference: Mapping[str, str]) -> str:
    return reference["reference"].rpartition("/")[2]


def _parts(parts: list[dict[str, Any]], name: str) -> dict[str, str]:
    return {part[name]["coding"][0]["code"]: part["valueString"] for part in parts}


def youth_league(path: Path) -> SystemLog:
    """`requests.jsonl` of the vendor's platform."""
    asked, other = [], []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        match row["path"].removeprefix("/v2/"):
            case "clients/list":
                asked.append(Asked((), frozenset(row["asked"]["fields"])))
            case "clients/search" | "services/search":
                asked.append(Asked(tuple(row["asked"]["ids"]), frozenset(row["asked"]["fields"])))
            case elsewhere:
                other.append(elsewhere)
    return SystemLog(tuple(asked), (), tuple(other))


def womens_federation(folder: Path) -> SystemLog:
    """The SFTP server's log and what lies in its folder: files opened, tickets put and renamed when they were whole."""
    asked, told, other = [], [], []
    for line in (folder / "requests.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        what, name = row["path"], row["asked"].removeprefix("./")
        if what == "sftp:open" and name.startswith("12338_"):
            asked.append(Asked((name,), frozenset()))
        elif what == "sftp:rename" and name.startswith("in/"):
            told += _put(folder / "files" / name)
        elif not (what == "sftp:open" and name.endswith(".part")):
            other.append(f"{what} {name}")
    return SystemLog(tuple(asked), tuple(told), tuple(other))


def _put(path: Path) -> list[Told]:
    exchange = path.name.partition("-")[0]
    rows = csv.DictReader(io.StringIO(path.read_bytes().decode("gb18030"), newline=""))
    return [Told(row.pop("message"), exchange, row.pop("record"), row.pop("alias"), row) for row in rows]
