"""The provider of the exchange benchmark: a real edge door over a register in memory, and the same record bare.

`POST /v1/orders` is the edge's own code; `GET /record` and `POST /bare/v1/orders` are the same record as JSON, for the bare routes beside the
gateway.
"""

import json
import sys
from datetime import date
from pathlib import Path

import uvicorn
from starlette.responses import Response

from adapters.base.answering import DepartmentSource, Office
from adapters.base.exchange_file import read as read_exchanges
from adapters.base.mapping import load as load_mapping
from adapters.base.source import Record
from adapters.directory import Directory
from adapters.edge.service import OrderDoor, build_app
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from keys.signing import SigningKey, VerifyKey

VALUES = {
    "enrolled": "Y",
    "stage": "primary",
    "grade": "03",
    "school_org_code": "12330106MB0010233R",
    "boarding": "N",
    "status": "enrolled",
    "as_of": "2026-11-01",
}


class InMemory:
    """Answers every key with one record."""

    async def read(self, wanted):
        return {
            key: Record(key, "330106", date(2016, 5, 1), {n: v for n, v in VALUES.items() if n in wanted.fields}, 0)
            for key in wanted.keys
        }


class AnyChild(Directory):
    """Knows every pseudonym: the benchmark is not about look-ups in the edge."""

    def record(self, pseudonym):
        return "XS0000001"


def main() -> None:
    config = json.loads(Path(sys.argv[1]).read_text())
    home = Path(sys.argv[1]).parent
    key = SigningKey.load(Path(config["signing_key"]))
    party = Party(config["organisation"], Department.EDUCATION)
    exchanges = read_exchanges(Path(config["exchanges"]))
    root = Path(__file__).parents[2]
    source = DepartmentSource(
        Office(party, "330106", key),
        exchanges=exchanges,
        mapping=load_mapping(root / "adapters/education/mapping.toml", exchanges),
        register=InMemory(),
        directory=AnyChild(home / "directory.sqlite3", Department.EDUCATION),
    )
    app = build_app(OrderDoor(source, VerifyKey.from_jwk(config["gateway_key"])), source)
    record = json.dumps(VALUES).encode()

    @app.get("/record")
    @app.post("/bare/v1/orders")
    async def bare() -> Response:
        return Response(record, media_type="application/json")

    uvicorn.run(app, host="127.0.0.1", port=config["port"], log_level="error", access_log=False)


if __name__ == "__main__":
    main()
