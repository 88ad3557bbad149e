"""The headers of one request, for tools that send it themselves (`runxin token`, curl).

Rules kept here: the same code signs as in the SDK; a proof is good for one method, URL and body, once.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from gateway.client.configuration import load
from gateway.client.session import Session, Step
from gateway.client.sync import RunxinClient


def headers_for(config: Path, *, method: str, url: str, body: bytes) -> dict[str, str]:
    """Fetch a token and sign one request. Raises as the SDK does (`GatewayRefused`, `GatewayUnreachable`)."""
    configuration = load(config)
    with RunxinClient(configuration) as client:
        return client._run(_signed(Session(configuration), method, urlsplit(url).path, body))


def _signed(session: Session, method: str, path: str, body: bytes) -> Step[dict[str, str]]:
    token = yield from session._current_token()
    return session._signed_headers(method, path, body, token)
