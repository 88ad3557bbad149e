"""审计条目: the list with filters and keyset pages, one entry with its proof, its details, and the list as CSV.

Rules kept here: a department's auditor sees entries in which the own department asked or provided, and the filter is set by the
server; each page, entry and opened detail leaves an entry before it is shown; a detail is opened with a reason only.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from gateway.audit.reading import Question, Shown, open_detail, shown
from gateway.audit.receipts import make_receipt
from gateway.console import telling
from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import INSPECTORS
from gateway.console.searching import find
from gateway.console.tables import csv_answer
from gateway.console.visits import Visit
from gateway.domain.clock import SHANGHAI
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from gateway.errors import BadRequest, GatewayError
from gateway.store import audit as store
from gateway.store.audit import EntryRow

PAGE, CSV_ROWS = 50, 1000


@dataclass(frozen=True, slots=True)
class Filters:
    """What the visitor asked for. side: for a department's auditor, whether it asked or provided. from_, until: days."""

    kind: str = ""
    exchange: str = ""
    door: str = ""
    purpose: str = ""
    outcome: str = ""
    requester: str = ""
    provider: str = ""
    code: str = ""
    side: str = ""
    begins: str = ""
    ends: str = ""

    def query(self, **more: object) -> str:
        """As a query string."""
        values = {name: value for name, value in {**asdict(self), **more}.items() if value not in ("", None)}
        return "?" + urlencode(values) if values else ""


def read_filters(visit: Visit) -> Filters:
    """The filters of a query string. Raises `Refused("form_invalid")` for a word that its list does not hold."""
    given = {name: visit.query(name) for name in Filters.__slots__}
    lists = {
        "kind": EntryKind,
        "door": Door,
        "outcome": Outcome,
        "requester": Department,
        "provider": Department,
        "exchange": visit.house.catalogue.exchanges,
        "purpose": visit.house.catalogue.purposes,
        "side": ("asked", "provided"),
    }
    for name, words in lists.items():
        if given[name] and given[name] not in {str(word) for word in words}:
            raise Refused("form_invalid")
    if given["code"] and not given["code"].replace("_", "").replace(".", "").isalnum():
        raise Refused("form_invalid")
    filters = Filters(**given)
    if visit.department is None:
        return replace(filters, side="")
    own = str(visit.department)
    if filters.side == "provided":
        return replace(filters, provider=own)
    return replace(filters, side="asked", requester=own)


def question(filters: Filters, *, after: int | None, limit: int) -> Question:
    """The filters as the audit room asks them."""
    return Question(
        kind=filters.kind,
        exchange=filters.exchange,
        door=filters.door,
        purpose=filters.purpose,
        outcome=filters.outcome,
        requester=filters.requester,
        provider=filters.provider,
        code=filters.code,
        from_us=_day(filters.begins) or 0,
        until_us=_day(filters.ends, after=1),
        after=after,
        limit=limit,
    )


def _day(text: str, *, after: int = 0) -> int | None:
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=SHANGHAI)
    except ValueError:
        raise Refused("form_invalid") from None
    return int(day.timestamp() + after * 86_400) * 1_000_000


@door("GET", "/entries", roles=INSPECTORS, does="Entries", menu="audit")
async def entries(visit: Visit) -> Response:
    """A page of entries, newest first."""
    filters, after = read_filters(visit), visit.number(visit.query("after"))
    asked = question(filters, after=after, limit=PAGE)
    async with visit.house.database.read() as reading:
        found = await find(reading, asked)
    await visit.look("entries", pattern=asked.pattern, shown=len(found))
    part = visit.request.headers.get("hx-request") == "true" and after is not None
    return visit.page(
        "_entry_rows.html" if part else "entries.html",
        rows=found,
        filters=filters,
        more=found[-1].index if len(found) == PAGE else None,
        exchanges=visit.house.catalogue.exchanges,
        tell=lambda row: telling.sentence(visit.tongue, row.skeleton, visit.house.catalogue.exchanges),
        kinds={str(kind): visit.tongue.word("kind", kind) for kind in EntryKind},
        doors={str(one): visit.tongue.word("door", one) for one in Door},
        outcomes={str(one): visit.tongue.word("outcome", one) for one in Outcome},
        departments=visit.tongue.words("department"),
    )


@door("GET", "/entries.csv", roles=INSPECTORS, does="Entries as CSV")
async def entries_csv(visit: Visit) -> Response:
    """Up to a thousand entries of the same filters. No cell can be read as a formula."""
    filters = read_filters(visit)
    asked = question(filters, after=visit.number(visit.query("after")), limit=CSV_ROWS)
    async with visit.house.database.read() as reading:
        found = await find(reading, asked)
    await visit.look("entries.csv", pattern=asked.pattern, shown=len(found))
    names = ("kind", "exchange", "door", "purpose", "from", "to", "outcome", "code", "policy")
    rows = (
        [row.index, visit.tongue.time(int(row.skeleton["t"]) / 1e6), *(row.skeleton.get(name, "") for name in names)]
        for row in found
    )
    return csv_answer("entries", ["index", "time", *names], rows)


@door("GET", "/entries/{index:int}", roles=INSPECTORS, does="One entry")
async def entry(visit: Visit) -> Response:
    """An entry's skeleton in words, and what the browser needs to check its proof."""
    row = await _own_entry(visit)
    await visit.look("entry", index=row.index)
    return _entry_page(visit, shown(row), refusal="")


@door("POST", "/entries/{index:int}/details", roles=INSPECTORS, does="Open an entry's details")
async def entry_details(visit: Visit) -> Response:
    """The details, with a reason. What is sealed to two departments stays sealed."""
    row = await _own_entry(visit)
    reason = visit.prose("reason")
    refusal, detail = "", None
    async with visit.house.database.read() as reading:
        try:
            detail = await open_detail(reading, visit.house.log.keeper, row)
        except BadRequest as error:
            refusal = visit.sentence(error)
    children = tuple(bytes.fromhex(child) for child in (detail or {}).get("children", ()))
    await visit.look("details", children=children, index=row.index, reason=reason)
    return _entry_page(visit, shown(row, detail), refusal=refusal)


@door("GET", "/entries/{index:int}/proof", roles=INSPECTORS, does="An entry's proof")
async def entry_proof(visit: Visit) -> Response:
    """What the browser checks: the leaf's bytes, the tlog-proof, the log's key."""
    row = await _own_entry(visit)
    async with visit.house.database.read() as reading:
        made = await make_receipt(reading, row.index)
    return JSONResponse(
        {
            "leaf": base64.b64encode(made.leaf).decode(),
            "proof": made.proof,
            "state": made.state,
            "vkey": visit.house.log.signer.verifier.vkey,
        }
    )


def require_part(visit: Visit, row: EntryRow) -> None:
    """Refuse an entry in which the visitor's department has no part: `Refused("entry_foreign")`."""
    skeleton = shown(row).skeleton
    if visit.department is not None and visit.department not in (skeleton.get("from"), skeleton.get("to")):
        raise Refused("entry_foreign")


async def _own_entry(visit: Visit) -> EntryRow:
    index = int(visit.path("index"))
    async with visit.house.database.read() as reading:
        rows = await store.get_entries(reading, index, index + 1) if index < 2**53 else []
    if not rows:
        raise BadRequest("entry_unknown")
    require_part(visit, rows[0])
    return rows[0]


def _entry_page(visit: Visit, row: Shown, *, refusal: str) -> Response:
    exchanges = visit.house.catalogue.exchanges
    return visit.page(
        "entry.html",
        row=row,
        told=telling.sentence(visit.tongue, row.skeleton, exchanges),
        because=visit.sentence(GatewayError(row.skeleton["code"])) if _known(visit, row) else "",
        exchange=telling.exchange_name(visit.tongue, row.skeleton.get("exchange", ""), exchanges),
        detail=telling.detail_lines(row.detail) if row.detail is not None else None,
        has_child=bool(row.detail and row.detail.get("children")),
        refusal=refusal,
        leaf=row.leaf.decode("utf-8"),
    )


def _known(visit: Visit, row: Shown) -> bool:
    return row.skeleton.get("outcome") != Outcome.DONE and row.skeleton.get("code") in visit.console.sentences
