"""监护人查询: which departments asked about my child, what for, when, and how it ended - in plain Chinese.

Rules kept here: a line names departments, exchange, purpose, legal basis, time and outcome, never an officer and never a value;
protective exchanges are not in the table that this reads (`basis_tables.accesses`), and every page carries the same
sentence, so a page with and a page without them cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.clock import SHANGHAI
from gateway.domain.exchanges import Exchange
from gateway.domain.subjects import Child
from gateway.store.basis import AccessRow, moment
from gateway.store.basis_lists import MOST, accesses_of
from gateway.store.database import Reading

SENTENCE = "依法单独登记的查询不在本页显示；如需了解，可向民政部门提出书面申请。"
"""The same on every page (DESIGN section 8): accesses that the law has recorded separately are not shown here."""

DEPARTMENTS = {
    "civil_affairs": "民政部门",
    "education": "教育部门",
    "health": "卫生健康部门",
    "youth_league": "共青团",
    "womens_federation": "妇联",
}
_OUTCOMES = {
    "released": "已提供",
    "no_result": "无可提供的内容",
    "denied": "未予提供",
    "fault": "因故障未提供",
    "done": "已登记",
}
_DOORS = {"normal": "", "emergency": "（紧急情况，已安排事后复核）"}


@dataclass(frozen=True, slots=True)
class Access:
    """One line. at: Asia/Shanghai, to the minute; text: the whole line as one plain sentence."""

    at: str
    requester: str
    provider: str
    exchange: str
    purpose: str
    outcome: str
    basis: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """A guardian's page: the fixed sentence and the lines, newest first."""

    sentence: str
    accesses: tuple[Access, ...]


async def page(
    reading: Reading,
    child: Child,
    *,
    exchanges: Mapping[str, Exchange],
    purposes: Mapping[str, str],
    limit: int = MOST,
) -> Page:
    """The page of one child. purposes: purpose code -> Chinese name."""
    rows = await accesses_of(reading, child.key, limit=limit)
    return Page(SENTENCE, tuple(_line(row, exchanges.get(row.exchange), purposes) for row in rows))


def _line(row: AccessRow, exchange: Exchange | None, purposes: Mapping[str, str]) -> Access:
    at = moment(row.at).astimezone(SHANGHAI)
    requester = DEPARTMENTS[row.requester.partition("/")[2]]
    provider = DEPARTMENTS.get(row.provider, row.provider)
    name = exchange.zh if exchange else row.exchange
    purpose = purposes.get(row.purpose, row.purpose)
    basis = "；".join(f"《{cited.law}》{cited.articles}" for cited in exchange.citations) if exchange else ""
    outcome = _OUTCOMES[row.outcome]
    day = f"{at.year}年{at.month}月{at.day}日{at.hour}时{at.minute}分"
    asked = exchange is None or exchange.pattern.is_query
    what = f"{requester}为“{purpose}”向{provider}查询" if asked else f"{provider}为“{purpose}”向{requester}发送"
    text = f"{day}，{what}“{name}”，{outcome}{_DOORS[row.door]}。"
    return Access(at.strftime("%Y-%m-%d %H:%M"), requester, provider, name, purpose, outcome, basis, text)
