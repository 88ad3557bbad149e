"""The peers of the exchange benchmark: bare FastAPI routes that fetch the same record.

`/v1/query` uses the client library as anybody would; `/v1/lean` fetches it over the gateway's own connections (ADR 10).
"""

import ssl
import sys

import httpx2
import uvicorn
from fastapi import FastAPI, Request, Response

from adapters.lanes import Lanes


def main() -> None:
    port, provider = int(sys.argv[1]), sys.argv[2]
    app = FastAPI(docs_url=None, redoc_url=None)
    client = httpx2.AsyncClient(
        trust_env=False, limits=httpx2.Limits(max_connections=128, max_keepalive_connections=64)
    )

    @app.post("/v1/query")
    async def query(request: Request) -> Response:
        await request.json()
        answer = await client.get(f"{provider}/record")
        return Response(answer.content, media_type="application/json")

    lanes = Lanes(f"{provider}/bare", ssl.create_default_context())

    @app.post("/v1/lean")
    async def lean(request: Request) -> Response:
        await request.json()
        answer = await lanes.post(b"", b"{}", at_most=65_536)
        return Response(answer.body, media_type="application/json")

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    main()
