"""The simulated 12355 platform (青少年服务台): a vendor's REST service with cursor paging, and webhooks that it signs.

Rules kept here: it knows nothing of the gateway but the address that a webhook goes to; its clients have counsellors' notes and a
caller's phone, as real ones do; every request is written to its own log; a task is stored once per number.

    python -m adapters.sandbox.vendor_system --data DIR --secret-file F [--port 0] [--children N]

POST /v2/clients/search {"ids", "fields"}   POST /v2/clients/list {"cursor", "limit", "fields"}   PUT /v2/tasks/{number}
POST /v2/services/search   POST /v2/services/list   GET /v2/ping   GET /v2/tasks
POST /call {"url", "secret", "event": {…}, "id"?} -> {"status", "body"}: the vendor calls a webhook   POST /knobs {…}
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from pathlib import Path
from typing import Any, TextIO

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from adapters.base.webhooks import signature
from adapters.sandbox import codes, serving
from adapters.sandbox.circles import client_key, known_to_youth_league
from adapters.sandbox.population import Child, Population, build
from adapters.sandbox.processes import Running

_JSON = "application/json"
Record = dict[str, Any]
Said = tuple[int, str, str]


def client(c: Child) -> Record:
    """A client of the hotline and of care classes, with its newest case."""
    return {
        "no": client_key(c),
        "name": c.name,
        "idcard": c.identifier or "",
        "issued_no": c.issued if c.issued and c.known_to_civil_affairs else "",
        "birthday": c.born.isoformat(),
        "area": c.county,
        "phone": c.guardians[0].phone,
        "case_no": f"QN{c.number:07d}",
        "caller": ("1", "2", "9")[c.number % 3],
        "is_anonymous": False,
        "call_area": c.county,
        "topics": ("QX|XX", "JT", "QX|TB", "QL")[c.number % 4],
        "risk": ("G", "Y", "G")[c.number % 3],
        "callback_no": f"HB{c.number:07d}",
        "notes": f"来电人自述{c.name}近期情绪低落，已约定回访。",
        "class": "爱心托管班" if c.care is not None else "",
    }


def services() -> dict[str, Record]:
    """Counselling rooms and care classes of the city; no person."""
    made = {}
    for index, (name, kind) in enumerate(
        (("青少年服务台", "RX"), ("流动少年宫", "FD"), ("爱心托管班", "PB"), ("心理辅导室", "ZX"))
    ):
        for county in codes.COUNTIES:
            number = f"S{county}{index}"
            made[number] = {
                "no": number,
                "org_code": codes.social_credit_code("51", county, 800 + index),
                "org_name": f"{codes.COUNTIES[county]}{name}",
                "kind": kind,
                "licences": "XL|SG" if kind in ("RX", "ZX") else "ZY",
                "seats": 20 + index,
                "address": f"{codes.COUNTIES[county]}青年路{index + 1}号",
                "phone": f"0571-8800{index:04d}",
                "cost": "0",
                "area": county,
            }
    return made


class VendorSystem:
    """The platform's tables and routes."""

    def __init__(self, population: Population, token: str, log: TextIO) -> None:
        self._token = f"Bearer {token}"
        self.desk = serving.Desk(log, self._authentic)
        known = [c for c in population.children if known_to_youth_league(c)]
        self._tables = {"clients": {r["no"]: r for r in map(client, known)}, "services": services()}
        self._order = {name: sorted(table) for name, table in self._tables.items()}
        self._tasks: dict[str, Record] = {}

    def app(self) -> Starlette:
        """The ASGI application."""
        guarded = self.desk.guarded
        return Starlette(
            routes=[
                Route("/v2/{table}/search", guarded(self._search), methods=["POST"]),
                Route("/v2/{table}/list", guarded(self._list), methods=["POST"]),
                Route("/v2/tasks/{number}", guarded(self._put), methods=["PUT"]),
                Route("/v2/tasks", guarded(self._show), methods=["GET"]),
                Route("/v2/ping", guarded(self._ping), methods=["GET"]),
                Route("/call", guarded(self._call), methods=["POST"]),
                Route("/knobs", self.desk.turn, methods=["POST"]),
            ]
        )

    def _authentic(self, request: Request, body: bytes) -> bool:
        del body
        return hmac.compare_digest(request.headers.get("authorization", "").encode(), self._token.encode())

    async def _search(self, request: Request, body: bytes) -> Said:
        asked, table = json.loads(body), self._tables[request.path_params["table"]]
        rows = [self._cut(table[number], asked["fields"]) for number in asked["ids"] if number in table]
        self.desk.note(request.url.path, asked, len(rows))
        return 200, _JSON, _text({"items": rows})

    async def _list(self, request: Request, body: bytes) -> Said:
        asked, name = json.loads(body), request.path_params["table"]
        order, limit = self._order[name], min(int(asked["limit"]), 1000)
        start = int(asked["cursor"] or "0", 36)
        rows = [self._cut(self._tables[name][n], asked["fields"]) for n in order[start : start + limit]]
        more = start + limit < len(order)
        self.desk.note(request.url.path, asked, len(rows))
        return 200, _JSON, _text({"items": rows, "next": _base36(start + limit) if more else None})

    def _cut(self, record: Record, wanted: list[str]) -> Record:
        return record if self.desk.knobs.surplus else {name: record[name] for name in wanted if name in record}

    async def _put(self, request: Request, body: bytes) -> Said:
        number = request.path_params["number"]
        asked = json.loads(body)
        self._tasks.setdefault(number, asked)
        self.desk.note("/v2/tasks", {"id": number, **asked}, 1)
        return 200, _JSON, "{}"

    async def _show(self, request: Request, body: bytes) -> Said:
        del request, body
        return 200, _JSON, _text(self._tasks)

    async def _ping(self, request: Request, body: bytes) -> Said:
        del request, body
        return 200, _JSON, "{}"

    async def _call(self, request: Request, body: bytes) -> Said:
        """Sign an event and call its webhook, as the platform does when an operator hands a case over."""
        del request
        asked = json.loads(body)
        number, stamp, event = (
            asked.get("id") or secrets.token_hex(8),
            str(int(time.time())),
            _text(asked["event"]).encode(),
        )
        headers = {
            "webhook-id": number,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(asked["secret"].encode(), number, stamp, event),
            "content-type": _JSON,
        }
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            answer = await http.post(asked["url"], content=event, headers=headers)
        return 200, _JSON, _text({"status": answer.status_code, "body": answer.json()})


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return text or "0"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def start(directory: Path, *, token: str, count: int = 2000) -> Running:
    """Start the platform over a directory of its own. `RuntimeError` if it does not come up."""
    return serving.start("adapters.sandbox.vendor_system", directory, secret=token, count=count)


def main() -> None:
    """Build the population, serve."""
    given = serving.parser(__doc__).parse_args()
    token = given.secret_file.read_text().strip()
    population = build(given.children, given.seed, given.on)
    serving.run(lambda log: VendorSystem(population, token, log).app(), given.data, given.port)


if __name__ == "__main__":
    main()
